package status

import (
	"time"

	"github.com/pupwasm/pupwasm/internal/pace"
	"github.com/pupwasm/pupwasm/store"
)

// Speeds remembers reports, and so tells how fast projections go and how long the rest takes. One goroutine uses it at a
// time.
type Speeds struct {
	marks map[store.ProjectionID][2]pace.Mark // some time ago, and not so long ago
}

// speedSpan is about how far back a speed reaches: once to twice as long, or as long as two reports are apart.
const speedSpan = 5 * time.Second

// Note adds to a report, read at a time, how fast each projection went since earlier reports. Those of which there is
// none, and those that are at the head, have no speed.
func (s *Speeds) Note(report *Report, at time.Time) {
	known := map[store.ProjectionID][2]pace.Mark{}
	for i := range report.Projections {
		p := &report.Projections[i]
		if !p.Installed {
			continue
		}
		now := p.mark(report.Head, at)
		marks, seen := s.marks[p.ID()]
		if !seen || now.Events < marks[1].Events { // it was reset
			marks = [2]pace.Mark{now, now}
		}
		if now.Behind > 0 && at.After(marks[0].At) {
			rate := now.Rate(marks[0])
			p.Rate = &rate
			if left, estimated := now.Left(marks[0]); estimated {
				seconds := left.Seconds()
				p.LeftSeconds = &seconds
			}
		}
		if at.Sub(marks[1].At) >= speedSpan {
			marks = [2]pace.Mark{marks[1], now}
		}
		known[p.ID()] = marks
	}
	s.marks = known
}

// mark is how far a projection is, in positions of the log: the mean of its segments.
func (p *Projection) mark(head int64, at time.Time) pace.Mark {
	var passed, behind int64
	for i := range p.Segments {
		passed += p.Segments[i].Position
		behind += max(head-p.Segments[i].Position, 0)
	}
	n := int64(max(len(p.Segments), 1))
	return pace.Mark{At: at, Behind: (behind + n - 1) / n, Events: passed / n}
}

// Done is the part of the log that the projection has passed, from 0 to 1: the mean of its segments.
func (p *Projection) Done(head int64) float64 {
	return 1 - float64(p.mark(head, time.Time{}).Behind)/float64(max(head, 1))
}
