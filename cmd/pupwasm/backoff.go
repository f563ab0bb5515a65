package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

const (
	retryFirst = 100 * time.Millisecond
	retryMax   = 5 * time.Second
)

// backoff retries calls that fail because the database is not available.
type backoff struct {
	// limit is how long one call may fail before the failure is returned. Zero tries once, below zero means forever.
	limit time.Duration
	log   zerolog.Logger
	// before is called before a log line, or nil.
	before func()
}

// do calls fn until it succeeds, fails with another error, or has failed for the limit. It logs once that it
// waits and once that the database answers again.
func (p *backoff) do(ctx context.Context, fn func() error) error {
	var since time.Time
	wait := retryFirst
	for {
		err := fn()
		switch {
		case !errors.Is(err, store.ErrTransient) || ctx.Err() != nil:
			if err == nil && !since.IsZero() {
				p.logLine(p.log.Info().Dur("after_ms", clock.Now().Sub(since)), "database answers again")
			}
			return err
		case since.IsZero():
			since = clock.Now()
			if p.limit != 0 {
				event := p.log.Warn().Err(err)
				if p.limit > 0 {
					event = event.Stringer("for", p.limit)
				}
				if errors.Is(err, store.ErrReadOnly) {
					p.logLine(event, "database is read-only, trying again")
				} else {
					p.logLine(event, "database not available, trying again")
				}
			}
		}
		if p.limit >= 0 && clock.Now().Sub(since)+wait > p.limit {
			return err
		}
		// Half of the wait is random, so that many clients do not come back at the same moment.
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		wait = min(2*wait, retryMax)
	}
}

func (p *backoff) logLine(event *zerolog.Event, message string) {
	if p.before != nil {
		p.before()
	}
	event.Msg(message)
}

// withTimeout is the context of what may take so long, or as long as it wants with 0.
func withTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout > 0 {
		return context.WithTimeout(ctx, timeout)
	}
	return context.WithCancel(ctx)
}
