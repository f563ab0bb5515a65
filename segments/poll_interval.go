package segments

import (
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// pollInterval says how long the head pauses between two looks: shortly while single events come, longer when the looks bring many at
// once, since a larger batch is worth more then than a millisecond, and ever longer when nothing happens.
type pollInterval struct {
	options  Options
	last     poll
	busy     bool          // it brought enough for a batch
	interval time.Duration // before the next look
	burst    time.Duration // after the next one that brings something
	moved    time.Time     // when the horizon last moved
	armedAt  time.Time     // when the head last began to doze
	quiet    time.Duration // for how long nothing must have happened before it does again
}

// poll is what one look at the horizon was like.
type poll struct {
	at    time.Time
	took  time.Duration
	moved int64 // by how many positions
	held  bool  // back, by an append under way
}

const (
	// busyEvents is how many events in the shortest pause are enough for a batch. Counted by look and not by time, a pause that is
	// long would bring enough to stay long.
	busyEvents = 8
	// burstMax bounds the pauses while events come.
	burstMax = 5 * time.Millisecond
	// heldMax bounds them while an append is under way, which may be for long.
	heldMax = 100 * time.Millisecond
	// pollShare bounds the time that looks take: a pause is at least 1/lookShare of the look before it. A look is slow when others want
	// the processors too, and a pause as long would make an event wait twice for that.
	pollShare = 4
	// quietMin and calmMax bound the stillness that leads to an announcement. It is longer for a while after one that had to be
	// taken back soon: events then come in bursts, or at a rate at which to announce is not worth while. Pauses do not grow within
	// calmMin: a look in vain between two events says nothing.
	quietMin = 5 * time.Millisecond
	quietMax = 100 * time.Millisecond
	// armedMin is how long a doze lasts that was worth while.
	armedMin = time.Second
)

func newPollInterval(options Options) *pollInterval {
	return &pollInterval{options: options, interval: options.Poll, burst: options.Poll, moved: clock.Now(), quiet: quietMin}
}

// polled takes a look into account.
func (p *pollInterval) polled(l poll) {
	since := l.at.Sub(p.last.at)
	p.last = l
	p.busy = l.moved > busyEvents*max(int64(since/p.options.Poll), 1)
	longer := func(pause, most time.Duration) time.Duration {
		return max(min(time.Duration(float64(pause)*p.options.PollFactor), most, p.options.PollMax), p.options.Poll)
	}
	switch {
	case p.busy:
		p.interval = p.burst
		p.burst = longer(p.burst, burstMax)
	case l.moved > 0:
		p.interval, p.burst = p.options.Poll, p.options.Poll
	case l.at.Sub(p.moved) < quietMin:
		p.interval = p.options.Poll
	case l.held:
		p.interval = longer(p.interval, heldMax)
	default:
		p.interval = longer(p.interval, p.options.PollMax)
	}
	p.interval = max(p.interval, min(l.took/pollShare, burstMax))
	if l.moved > 0 {
		p.moved = l.at
	}
}

// within returns the pause, if it is not to be longer than most.
func (p *pollInterval) within(most time.Duration) time.Duration { return min(p.interval, most) }

// isQuiet tells whether nothing has happened for long enough to wait for notifications.
func (p *pollInterval) isQuiet() bool { return !p.last.held && p.last.at.Sub(p.moved) >= p.quiet }

// expects tells whether the next look may well find something, and little.
func (p *pollInterval) expects() bool { return p.last.moved > 0 && !p.busy }

// armed notes that the head begins to doze.
func (p *pollInterval) armed() { p.armedAt = p.last.at }

// disarmed notes that it had to give it up, because too many events came.
func (p *pollInterval) disarmed() {
	if p.last.at.Sub(p.armedAt) < armedMin {
		p.quiet = min(2*p.quiet, quietMax)
	} else {
		p.quiet = quietMin
	}
}

// notifyBudget tells when so many append that they had better not notify: when notifications come faster than throngRate for more than
// an instant, or when time and again another append is under way. Who notifies keeps others from committing until the disk has
// answered, so that on a slow disk a throng is one of few notifications.
type notifyBudget struct {
	at    time.Time
	heard int64
	level float64
	held  int // looks in succession that a notification led to, and that another append held back
}

const (
	// notifyRate is how many notifications a second appends may well be asked for.
	notifyRate = 300
	// notifyBurst is how many more than that it takes until they are spared.
	notifyBurst = 20
	// contendedPolls is how many looks in succession find another append by accident.
	contendedPolls = 8
)

// contended takes the last look and the count of notifications into account.
func (t *notifyBudget) contended(l poll, heard int64) bool {
	count := heard - t.heard
	t.level = max(t.level-notifyRate*l.at.Sub(t.at).Seconds(), 0) + float64(count)
	t.at, t.heard = l.at, heard
	switch {
	case !l.held:
		t.held = 0
	case count > 0:
		t.held++
	}
	return t.level > notifyBurst || t.held >= contendedPolls
}
