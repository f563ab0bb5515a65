package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments"
)

// catchUp shows the progress of projections to where the log ended when the worker began: in the last line of a
// terminal, otherwise every 10 seconds in the log. It logs once for each that it has caught up.
type catchUp struct {
	log      zerolog.Logger
	line     *statusLine // nil without a terminal
	began    time.Time
	interval time.Duration // between lines of the log

	projections map[string]*catchingUp
}

// catchingUp is one projection that catches up.
type catchingUp struct {
	from     int64     // how far it was behind when it was seen first
	since    time.Time // when that was
	events   int64     // how many it had applied then
	caughtUp bool

	loggedAt     time.Time // the last line of the log
	loggedBehind int64
	loggedEvents int64
}

const (
	catchUpPoll     = 250 * time.Millisecond
	catchUpInterval = 10 * time.Second
)

func newCatchUp(log zerolog.Logger, line *statusLine) *catchUp {
	return &catchUp{
		log: log, line: line, began: clock.Now(), interval: catchUpInterval,
		projections: map[string]*catchingUp{},
	}
}

// run polls the progress until ctx ends, and once more then.
func (c *catchUp) run(ctx context.Context, progress func() []segments.Progress) {
	tick := time.NewTicker(catchUpPoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.poll(clock.Now(), progress())
		case <-ctx.Done():
			c.poll(clock.Now(), progress())
			c.line.show("")
			return
		}
	}
}

func (c *catchUp) poll(now time.Time, all []segments.Progress) {
	var shown []string
	for _, p := range all {
		if !p.Known {
			continue
		}
		known, seen := c.projections[p.Projection]
		if !seen {
			known = &catchingUp{
				from: p.Behind, since: now, loggedAt: now, events: p.Events, loggedBehind: p.Behind,
				loggedEvents: p.Events,
			}
			c.projections[p.Projection] = known
		}
		switch {
		case known.caughtUp:
		case p.Behind == 0:
			known.caughtUp = true
			c.log.Info().Str("projection", p.Projection).Int64("position", p.Position).Int64("events", p.Events).
				Stringer("after", now.Sub(c.began).Round(time.Millisecond)).Msg("caught up")
		default:
			if c.line != nil {
				shown = append(shown, known.text(now, p))
			} else if now.Sub(known.loggedAt) >= c.interval && p.Behind != known.loggedBehind {
				c.logProgress(now, known, p)
			}
		}
	}
	c.line.show(strings.Join(shown, "; "))
}

// logProgress logs the progress since the last line, so that a falling rate is seen.
func (c *catchUp) logProgress(now time.Time, known *catchingUp, p segments.Progress) {
	took := now.Sub(known.loggedAt)
	event := c.log.Info().Str("projection", p.Projection).Int64("position", p.Position).Int64("behind", p.Behind).
		Int64("events_per_second", int64(float64(p.Events-known.loggedEvents)/took.Seconds()))
	if left, ok := timeLeft(p.Behind, known.loggedBehind-p.Behind, took); ok {
		event = event.Stringer("left", left)
	}
	event.Msg("catching up")
	known.loggedAt, known.loggedBehind, known.loggedEvents = now, p.Behind, p.Events
}

// text is what a terminal shows of one projection.
func (k *catchingUp) text(now time.Time, p segments.Progress) string {
	took, done := now.Sub(k.since), k.from-p.Behind
	text := fmt.Sprintf("%s %d%%", p.Projection, 100*done/max(k.from, 1))
	if left, ok := timeLeft(p.Behind, done, took); ok {
		text += fmt.Sprintf(", %.0f events/s, %s left", float64(p.Events-k.events)/max(now.Sub(k.since).Seconds(), 1e-3),
			left)
	}
	return text
}

// timeLeft estimates the time for the rest at the same speed. It reports false when there was no progress.
func timeLeft(rest, done int64, took time.Duration) (time.Duration, bool) {
	if done <= 0 || took < time.Second {
		return 0, false
	}
	seconds := float64(rest) / float64(done) * took.Seconds()
	return time.Duration(min(seconds, 1e8)+1) * time.Second, true
}
