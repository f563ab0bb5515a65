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
	p.polled(poll{at: p.now, took: 100 * time.Microsecond, moved: moved, held: held})
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
		{"many at once make batches", 1000, false, 5 * time.Millisecond, 5 * time.Millisecond},
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

func TestPollInterval_pollsTakeAShareOfTheTimeOnly(t *testing.T) {
	t.Parallel()
	p := newTimedInterval(defaults)
	p.polled(poll{at: p.now, took: 8 * time.Millisecond, moved: 1})
	if p.interval != 2*time.Millisecond {
		t.Errorf("after a poll of 8 ms the interval is %s", p.interval)
	}
}

// TestPollInterval_emptyPollsBetweenEventsDoNotLengthenIt has events come at a rate at which some polls find
// none, or one in flight.
func TestPollInterval_emptyPollsBetweenEventsDoNotLengthenIt(t *testing.T) {
	t.Parallel()
	p := newTimedInterval(defaults)
	for _, held := range []bool{false, true, false} {
		p.passes(1, false)
		for range 3 {
			if p.passes(0, held); p.interval != defaults.Poll {
				t.Errorf("the interval is %s", p.interval)
			}
		}
	}
}

// TestPollInterval_aLongIntervalDoesNotMakeItselfLast has polls bring what came in a long interval, at a rate that
// calls for short ones.
func TestPollInterval_aLongIntervalDoesNotMakeItselfLast(t *testing.T) {
	t.Parallel()
	p := newTimedInterval(defaults)
	for range 30 {
		p.passes(1000, false)
	}
	for range 3 {
		p.passes(p.interval.Milliseconds()+1, false) // an event a millisecond
	}
	if p.interval != defaults.Poll {
		t.Errorf("at an event a millisecond the interval stays %s", p.interval)
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

// TestPollInterval_waitsLongerAfterItWasDisarmedSoon is what keeps bursts from making the poller arm and
// disarm all the time.
func TestPollInterval_waitsLongerAfterItWasDisarmedSoon(t *testing.T) {
	t.Parallel()
	p := newTimedInterval(defaults)
	quietAfter := func() time.Duration {
		p.passes(1, false)
		from := p.now
		for !p.isQuiet() {
			p.passes(0, false)
		}
		p.armed()
		return p.now.Sub(from)
	}
	first := quietAfter()
	for range 10 {
		p.now = p.now.Add(50 * time.Millisecond)
		p.passes(1, false)
		p.disarmed()
	}
	if longer := quietAfter(); first > 10*time.Millisecond || longer < 100*time.Millisecond {
		t.Errorf("it is quiet after %s, and after it was disarmed soon after %s", first, longer)
	}
	p.now = p.now.Add(2 * time.Second)
	p.passes(1, false)
	p.disarmed()
	if again := quietAfter(); again != first {
		t.Errorf("after it was armed for long it is quiet after %s, must be %s", again, first)
	}
}
