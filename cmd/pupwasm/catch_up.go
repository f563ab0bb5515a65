package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// catchUp shows the progress of projections to where the log ended when the worker began: in a line each below the log
// of a terminal, otherwise every 10 seconds in the log. It logs once for each that it has caught up.
type catchUp struct {
	log      zerolog.Logger
	lines    *statusLines // nil without a terminal
	began    time.Time
	interval time.Duration // between lines of the log

	projections map[store.ProjectionID]*catchingUp
}

// catchingUp is one projection that catches up.
type catchingUp struct {
	from     int64 // the farthest that it was behind
	caughtUp bool
	logged   progressMark    // the last line of the log
	marks    [2]progressMark // some time ago and not so long ago: the rate that a terminal shows is since the first
}

// progressMark is how far a projection was at some time.
type progressMark struct {
	at     time.Time
	behind int64
	events int64 // that it had applied
}

const (
	catchUpPoll     = 250 * time.Millisecond
	catchUpInterval = 10 * time.Second
	// rateSpan is about how far back the rate of a terminal reaches: once to twice as long.
	rateSpan = 5 * time.Second
)

func newCatchUp(log zerolog.Logger, lines *statusLines) *catchUp {
	return &catchUp{
		log: log, lines: lines, began: clock.Now(), interval: catchUpInterval,
		projections: map[store.ProjectionID]*catchingUp{},
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
			c.lines.show()
			return
		}
	}
}

func (c *catchUp) poll(now time.Time, all []segments.Progress) {
	var behind []segments.Progress
	for _, p := range all {
		if !p.Known {
			continue
		}
		mark := progressMark{at: now, behind: p.Behind, events: p.Events}
		known, seen := c.projections[p.Projection]
		if !seen {
			known = &catchingUp{logged: mark, marks: [2]progressMark{mark, mark}}
			c.projections[p.Projection] = known
		}
		if known.caughtUp {
			continue
		}
		known.note(mark)
		switch {
		case p.Behind == 0:
			known.caughtUp = true
			named(c.log.Info(), p).Int64("position", p.Position).Int64("events", p.Events).
				Stringer("after", now.Sub(c.began).Round(time.Millisecond)).Msg("caught up")
		case c.lines != nil:
			behind = append(behind, p)
		case now.Sub(known.logged.at) >= c.interval && p.Behind != known.logged.behind:
			c.logProgress(p, known.logged, mark)
			known.logged = mark
		}
	}
	if c.lines != nil {
		c.lines.show(c.shown(now, all, behind)...)
	}
}

// named has the fields of a line of the log that name a projection, as in the lines of the worker.
func named(event *zerolog.Event, p segments.Progress) *zerolog.Event {
	return event.Str("projection", p.Projection.Name).Int("version", p.Projection.Version)
}

// note remembers how far the projection is.
func (k *catchingUp) note(mark progressMark) {
	k.from = max(k.from, mark.behind)
	if mark.at.Sub(k.marks[1].at) >= rateSpan {
		k.marks = [2]progressMark{k.marks[1], mark}
	}
}

// logProgress logs the progress since the last line, so that a falling rate is seen.
func (c *catchUp) logProgress(p segments.Progress, last, now progressMark) {
	event := named(c.log.Info(), p).Int64("position", p.Position).Int64("behind", p.Behind).
		Int64("events_per_second", int64(now.rate(last)))
	if left, ok := now.left(last); ok {
		event = event.Stringer("left", left)
	}
	event.Msg("catching up")
}

// shown are the lines of a terminal: one for each projection of all that is behind, as long as there is room.
func (c *catchUp) shown(now time.Time, all, behind []segments.Progress) []string {
	room, rest := c.lines.room(), 0
	if len(behind) > room {
		rest = len(behind) - max(room-1, 1)
		behind = behind[:len(behind)-rest]
	}
	width, labels := 0, make([]string, len(behind))
	for i, p := range behind {
		labels[i] = labelOf(p, all)
		width = max(width, len(labels[i]))
	}
	lines := make([]string, 0, len(behind)+1)
	for i, p := range behind {
		known := c.projections[p.Projection]
		mark := progressMark{at: now, behind: p.Behind, events: p.Events}
		lines = append(lines, fmt.Sprintf("%-*s  %s", width, labels[i], known.text(p, mark)))
	}
	if rest > 0 && room > 1 {
		lines = append(lines, fmt.Sprintf("… and %s more", count(int64(rest), "projection")))
	}
	return lines
}

// labelOf is what people call a projection of a host, among all that it runs.
func labelOf(p segments.Progress, all []segments.Progress) string {
	return status.Label(p.Projection, slices.ContainsFunc(all, func(other segments.Progress) bool {
		return other.Projection.Name == p.Projection.Name && other.Projection != p.Projection
	}))
}

// barWidth is the length of a bar in characters.
const barWidth = 20

// text is a bar with the rate and the time left.
func (k *catchingUp) text(p segments.Progress, now progressMark) string {
	done := float64(k.from-p.Behind) / float64(max(k.from, 1))
	full := int(done * barWidth)
	text := fmt.Sprintf("%s%s %3d%%", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), int(100*done))
	if p.Paused {
		return text + "  paused"
	}
	if left, ok := now.left(k.marks[0]); ok {
		text += fmt.Sprintf("  %.0f events/s  %s left", now.rate(k.marks[0]), left)
	}
	return text
}

// rate is how many events a second were applied since another mark.
func (m progressMark) rate(since progressMark) float64 {
	return float64(m.events-since.events) / max(m.at.Sub(since.at).Seconds(), 1e-3)
}

// left estimates the time for the rest at the speed since another mark. It reports false when there was no progress.
func (m progressMark) left(since progressMark) (time.Duration, bool) {
	took, done := m.at.Sub(since.at), since.behind-m.behind
	if done <= 0 || took < time.Second {
		return 0, false
	}
	seconds := float64(m.behind) / float64(done) * took.Seconds()
	return time.Duration(min(seconds, 1e8)+1) * time.Second, true
}
