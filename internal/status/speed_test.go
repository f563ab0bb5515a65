package status_test

import (
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

// TestSpeeds_atAFixedRate has a candidate pass the log at a rate by its own clock, in two segments of which one is
// further, while events are appended: what is left is within a second and a tenth of what it takes.
func TestSpeeds_atAFixedRate(t *testing.T) {
	t.Parallel()
	const rate, appended, head = 1000, 100, 1_000_000
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, every := range []time.Duration{time.Second, 3 * time.Second, 15 * time.Second} {
		var speeds status.Speeds
		for at := time.Duration(0); ; at += every {
			seconds := int64(at / time.Second)
			end, position := head+appended*seconds, rate*seconds
			if position >= end {
				break
			}
			report := reportOf(end, max(position-500, 0), min(position+500, end))
			speeds.Note(report, began.Add(at))
			p := report.Projections[0]
			if at == 0 {
				if p.Rate != nil || p.LeftSeconds != nil {
					t.Errorf("the first report has a speed")
				}
				continue
			}
			if at < 20*time.Second { // the two segments begin together
				continue
			}
			takes := float64(end-position) / (rate - appended)
			if takes < 3 { // they end together, too
				continue
			}
			if p.LeftSeconds == nil || *p.LeftSeconds < takes-2 || *p.LeftSeconds > takes*1.1+2 || *p.Rate < rate*0.98 ||
				*p.Rate > rate*1.02 {
				t.Fatalf("every %s, after %s: the rate is %v, %v s left, it takes %v s", every, at, value(p.Rate),
					value(p.LeftSeconds), takes)
			}
		}
	}
}

func TestSpeeds_withoutOne(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var speeds status.Speeds
	for i, positions := range [][2]int64{{0, 0}, {500, 500}, {1000, 1000}, {10, 10}, {10, 10}} {
		report := reportOf(1000, positions[0], positions[1])
		speeds.Note(report, began.Add(time.Duration(i)*10*time.Second))
		p := report.Projections[0]
		if left := p.LeftSeconds != nil; left != (i == 1) { // not at the head, after a reset, or without progress
			t.Errorf("report %d: %v s left", i, value(p.LeftSeconds))
		}
	}
}

func value(of *float64) float64 {
	if of == nil {
		return -1
	}
	return *of
}

// reportOf is a report of a projection with segments at positions.
func reportOf(head int64, positions ...int64) *status.Report {
	p := status.Projection{Name: "sums", Version: 2, Installed: true, Stage: store.StageCandidate}
	for i, position := range positions {
		p.Segments = append(p.Segments, status.Segment{Number: i, Position: position})
	}
	return &status.Report{Head: head, Projections: []status.Projection{p}}
}
