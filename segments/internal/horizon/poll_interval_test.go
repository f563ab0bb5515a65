package horizon

import (
	"testing"
	"time"
)

// timedInterval is told what polls were like, at times of the test's own.
type timedInterval struct {
	*pollInterval
	now time.Time
}

func newTimedInterval(options Options) *timedInterval {
	p := &timedInterval{pollInterval: newPollInterval(options)}
	p.now = p.moved
	return p
}

var defaults = Options{Poll: 500 * time.Microsecond, PollMax: time.Second, PollFactor: 1.5}

// passes lets the interval pass, and then polls.
func (p *timedInterval) passes(moved int64, held bool) {
	p.now = p.now.Add(p.interval)
	p.polled(poll{at: p.now, moved: moved, held: held})
}

func TestPollInterval_followsWhatPollsBring(t *testing.T) {
	t.Parallel()
	for _, of := range []struct {
		name        string
		moved       int64
		held        bool
		least, most time.Duration
	}{
		{"single events keep it short", 1, false, defaults.Poll, defaults.Poll},
		{"and many at once", 1000, false, defaults.Poll, defaults.Poll},
		{"an append under way may be for long", 0, true, 100 * time.Millisecond, 100 * time.Millisecond},
		{"nothing lets it grow to the end", 0, false, time.Second, time.Second},
	} {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			p := newTimedInterval(defaults)
			for range 30 {
				p.passes(of.moved, of.held)
			}
			if p.interval < of.least || p.interval > of.most {
				t.Errorf("the interval is %s, must be from %s to %s", p.interval, of.least, of.most)
			}
			p.passes(1, false)
			if p.interval != defaults.Poll {
				t.Errorf("after a single event the interval is %s", p.interval)
			}
		})
	}
}

func TestPollInterval_keepsWithinWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	p := newTimedInterval(Options{
		Poll: 30 * time.Millisecond, PollMax: 40 * time.Millisecond,
		PollFactor: defaults.PollFactor,
	})
	for i := range 200 {
		p.passes([]int64{0, 0, 0, 0, 1, 50}[i%6], i%7 == 0)
		if p.interval < 30*time.Millisecond || p.interval > 40*time.Millisecond {
			t.Fatalf("the interval is %s", p.interval)
		}
	}
}

func TestPollInterval_isQuietAtAHundredASecondAndNotAtAThousand(t *testing.T) {
	t.Parallel()
	for _, of := range []struct {
		every time.Duration
		quiet bool
	}{{10 * time.Millisecond, true}, {time.Millisecond, false}} {
		p := newTimedInterval(defaults)
		quiet := false
		next, end := p.now, p.now.Add(time.Second)
		for !quiet && p.now.Before(end) {
			moved := int64(0)
			for ; !next.After(p.now.Add(p.interval)); next = next.Add(of.every) {
				moved++
			}
			p.passes(moved, false)
			quiet = p.isQuiet()
		}
		if quiet != of.quiet {
			t.Errorf("with an event every %s it is quiet: %v", of.every, quiet)
		}
	}
}
