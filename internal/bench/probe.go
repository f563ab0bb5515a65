package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// probe appends an event to each of many streams, each of which makes a row, and then asks the server when
// the rows were committed. A probe that looked for them while they come would take one of two processors.
type probe struct {
	dsn, table string
	ended      chan error // of the follower
	loses      bool       // whether it may lose events
	lost       int
}

// probeWriters append in turn, so that a slow append does not put the next one off.
const probeWriters = 4

// sample returns the times of what counts, and at which rate it was appended.
func (p *probe) sample(ctx context.Context, load load) ([]time.Duration, float64, error) {
	s, err := postgres.Open(p.dsn, postgres.Options{ConnectionsMax: probeWriters, Lazy: true})
	if err != nil {
		return nil, 0, err
	}
	defer s.Close()
	conn, err := pgx.Connect(ctx, p.dsn)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close(ctx)
	// A worker makes its table when it starts, and one event shows that it follows.
	if err := appendTo(ctx, s, 0); err != nil {
		return nil, 0, err
	}
	if err := p.await(ctx, conn, 1); err != nil {
		return nil, 0, err
	}
	count := 1 + load.warmUp() + load.samples
	ends := make([]time.Time, count)
	watch := startStopwatch()
	if err := p.append(ctx, s, load.every, ends); err != nil {
		return nil, 0, err
	}
	rate := float64(count-1) / watch.elapsed().Seconds()
	if err := p.await(ctx, conn, count); err != nil {
		return nil, 0, err
	}
	times, err := p.times(ctx, conn, ends, load.warmUp())
	return times, rate, err
}

// append appends one event every so often, and notes when the appends ended. The first one has been.
func (p *probe) append(ctx context.Context, s *postgres.Store, every time.Duration, ends []time.Time) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	from := clock.Now()
	for range probeWriters {
		group.Go(func() {
			for {
				n := int(next.Add(1))
				if n >= len(ends) {
					return
				}
				timer := time.NewTimer(time.Duration(n)*every - clock.Since(from))
				select {
				case <-timer.C:
				case <-ctx.Done():
					timer.Stop()
					return
				}
				if err := appendTo(ctx, s, n); err != nil {
					stop(err)
					return
				}
				ends[n] = clock.Now()
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

func appendTo(ctx context.Context, s *postgres.Store, account int) error {
	event := booking{account: account, amount: 1, kind: "Deposited"}.append(account)
	_, err := s.Append(ctx, store.AppendOptions{}, event)
	return err
}

const (
	// probeTimeout bounds the first event, whose follower is still starting, and the last.
	probeTimeout  = 30 * time.Second
	probeInterval = 20 * time.Millisecond
	// A follower that may lose events has lost the rest when no row came for lossTimeout.
	lossTimeout = time.Second
)

// await waits until there are so many rows.
func (p *probe) await(ctx context.Context, conn *pgx.Conn, rows int) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	last, since := 0, startStopwatch()
	for watch := startStopwatch(); watch.elapsed() < probeTimeout; {
		var exists bool
		if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", p.table).Scan(&exists); err != nil {
			return err
		}
		if exists {
			var count int
			if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+p.table).Scan(&count); err != nil || count >= rows {
				return err
			}
			if count > last {
				last, since = count, startStopwatch()
			}
			if p.loses && last > 0 && since.elapsed() > lossTimeout {
				return nil
			}
		}
		select {
		case err := <-p.ended:
			return fmt.Errorf("the follower ended: %w", err)
		case <-tick.C:
		}
	}
	return errors.New("an event did not become visible")
}

// times asks when the rows were committed, and returns how long that was after the ends of the appends. The
// server's clock is that of the same machine. A commit is seen a few microseconds later.
func (p *probe) times(ctx context.Context, conn *pgx.Conn, ends []time.Time, warmUp int) ([]time.Duration, error) {
	rows, err := conn.Query(ctx, "SELECT account, pg_xact_commit_timestamp(xmin) FROM "+p.table)
	if err != nil {
		return nil, err
	}
	commits := make(map[string]time.Time, len(ends))
	var account string
	var commit time.Time
	if _, err := pgx.ForEachRow(rows, []any{&account, &commit}, func() error {
		commits[account] = commit
		return nil
	}); err != nil {
		return nil, err
	}
	var times []time.Duration
	for i, end := range ends {
		commit, known := commits[accountName(i)]
		switch {
		case !known && p.loses:
			p.lost++
		case !known:
			return nil, fmt.Errorf("%s has no row", accountName(i))
		case i > warmUp:
			times = append(times, commit.Sub(end))
		}
	}
	return times, nil
}
