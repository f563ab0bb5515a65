package horizon

import (
	"testing"
	"time"
)

// paced is a pace that is told what looks were like, at times of the test's own.
type paced struct {
	*pollInterval
	now time.Time
}

func newPaced(options Options) *paced {
	p := &paced{pollInterval: newPollInterval(options)}
	p.now = p.moved
	return p
}

var defaults = Options{Poll: 500 * time.Microsecond, PollMax: time.Second, PollFactor: 1.5}

// passes lets the pause pass, and then a look.
func (p *paced) passes(moved int64, held bool) {
	p.now = p.now.Add(p.interval)
	p.polled(poll{at: p.now, took: 100 * time.Microsecond, moved: moved, held: held})
}

func TestPollInterval_followsWhatLooksBring(t *testing.T) {
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
			p := newPaced(defaults)
			for range 30 {
				p.passes(of.moved, of.held)
			}
			if p.interval < of.least || p.interval > of.most {
				t.Errorf("the pause is %s, must be from %s to %s", p.interval, of.least, of.most)
			}
			p.passes(1, false)
			if p.interval != defaults.Poll {
				t.Errorf("after a single event the pause is %s", p.interval)
			}
		})
	}
}

func TestPollInterval_looksTakeAShareOfTheTimeOnly(t *testing.T) {
	t.Parallel()
	p := newPaced(defaults)
	p.polled(poll{at: p.now, took: 8 * time.Millisecond, moved: 1})
	if p.interval != 2*time.Millisecond {
		t.Errorf("after a look of 8 ms the pause is %s", p.interval)
	}
}

// TestPollInterval_looksInVainBetweenEventsDoNotLengthenIt has events come at a rate at which some looks find
// none, or one under way.
func TestPollInterval_looksInVainBetweenEventsDoNotLengthenIt(t *testing.T) {
	t.Parallel()
	p := newPaced(defaults)
	for _, held := range []bool{false, true, false} {
		p.passes(1, false)
		for range 3 {
			if p.passes(0, held); p.interval != defaults.Poll {
				t.Errorf("the pause is %s", p.interval)
			}
		}
	}
}

// TestPollInterval_aLongPauseDoesNotMakeItselfLast has looks bring what came in a long pause, at a rate that
// calls for short ones.
func TestPollInterval_aLongPauseDoesNotMakeItselfLast(t *testing.T) {
	t.Parallel()
	p := newPaced(defaults)
	for range 30 {
		p.passes(1000, false)
	}
	for range 3 {
		p.passes(p.interval.Milliseconds()+1, false) // an event a millisecond
	}
	if p.interval != defaults.Poll {
		t.Errorf("at an event a millisecond the pause stays %s", p.interval)
	}
}

func TestPollInterval_keepsWithinWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	p := newPaced(Options{Poll: 30 * time.Millisecond, PollMax: 40 * time.Millisecond, PollFactor: defaults.PollFactor})
	for i := range 200 {
		p.passes([]int64{0, 0, 0, 0, 1, 50}[i%6], i%7 == 0)
		if p.interval < 30*time.Millisecond || p.interval > 40*time.Millisecond {
			t.Fatalf("the pause is %s", p.interval)
		}
	}
}

func TestPollInterval_isStillAtAHundredASecondAndNotAtAThousand(t *testing.T) {
	t.Parallel()
	for _, of := range []struct {
		every time.Duration
		still bool
	}{{10 * time.Millisecond, true}, {time.Millisecond, false}} {
		p := newPaced(defaults)
		still := false
		next, end := p.now, p.now.Add(time.Second)
		for !still && p.now.Before(end) {
			moved := int64(0)
			for ; !next.After(p.now.Add(p.interval)); next = next.Add(of.every) {
				moved++
			}
			p.passes(moved, false)
			still = p.isQuiet()
		}
		if still != of.still {
			t.Errorf("with an event every %s it is still: %v", of.every, still)
		}
	}
}

// TestPollInterval_waitsLongerAfterADozeThatDidNotLast is what keeps bursts from making the head announce and
// take back all the time.
func TestPollInterval_waitsLongerAfterADozeThatDidNotLast(t *testing.T) {
	t.Parallel()
	p := newPaced(defaults)
	stillAfter := func() time.Duration {
		p.passes(1, false)
		from := p.now
		for !p.isQuiet() {
			p.passes(0, false)
		}
		p.armed()
		return p.now.Sub(from)
	}
	first := stillAfter()
	for range 10 {
		p.now = p.now.Add(50 * time.Millisecond)
		p.passes(1, false)
		p.disarmed()
	}
	if longer := stillAfter(); first > 10*time.Millisecond || longer < 100*time.Millisecond {
		t.Errorf("it is still after %s, and after dozes that did not last after %s", first, longer)
	}
	p.now = p.now.Add(2 * time.Second)
	p.passes(1, false)
	p.disarmed()
	if again := stillAfter(); again != first {
		t.Errorf("after a doze that lasted it is still after %s, must be %s", again, first)
	}
}
