package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/pace"
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
	logged   pace.Mark    // the last line of the log
	marks    [2]pace.Mark // some time ago and not so long ago: the rate that a terminal shows is since the first
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
		mark := pace.Mark{At: now, Behind: p.Behind, Events: p.Events}
		known, seen := c.projections[p.Projection]
		if !seen {
			known = &catchingUp{logged: mark, marks: [2]pace.Mark{mark, mark}}
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
		case now.Sub(known.logged.At) >= c.interval && p.Behind != known.logged.Behind:
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
	event = event.Str("projection", p.Projection.Name)
	if p.Projection.Build == 0 {
		return event.Int("version", p.Projection.Version)
	}
	return event.Str("version", p.Projection.VersionText())
}

// note remembers how far the projection is.
func (k *catchingUp) note(mark pace.Mark) {
	k.from = max(k.from, mark.Behind)
	if mark.At.Sub(k.marks[1].At) >= rateSpan {
		k.marks = [2]pace.Mark{k.marks[1], mark}
	}
}

// logProgress logs the progress since the last line, so that a falling rate is seen.
func (c *catchUp) logProgress(p segments.Progress, last, now pace.Mark) {
	event := named(c.log.Info(), p).Int64("position", p.Position).Int64("behind", p.Behind).
		Int64("events_per_second", int64(now.Rate(last)))
	if left, ok := now.Left(last); ok {
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
		mark := pace.Mark{At: now, Behind: p.Behind, Events: p.Events}
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
func (k *catchingUp) text(p segments.Progress, now pace.Mark) string {
	done := float64(k.from-p.Behind) / float64(max(k.from, 1))
	full := int(done * barWidth)
	text := fmt.Sprintf("%s%s %3d%%", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), int(100*done))
	if p.Paused {
		return text + "  paused"
	}
	if left, ok := now.Left(k.marks[0]); ok {
		text += fmt.Sprintf("  %.0f events/s  %s left", now.Rate(k.marks[0]), left)
	}
	return text
}
