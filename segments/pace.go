package segments

import (
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// pace says how long the head pauses between two looks: shortly while single events come, longer when the looks bring many at
// once, since a larger batch is worth more then than a millisecond, and ever longer when nothing happens.
type pace struct {
	options Options
	last    look
	many    bool          // it brought enough for a batch
	pause   time.Duration // before the next look
	swift   time.Duration // after the next one that brings something
	moved   time.Time     // when the horizon last moved
	dozed   time.Time     // when the head last began to doze
	calm    time.Duration // for how long nothing must have happened before it does again
}

// look is what one look at the horizon was like.
type look struct {
	at    time.Time
	took  time.Duration
	moved int64 // by how many positions
	held  bool  // back, by an append under way
}

const (
	// lookMany is how many events in the shortest pause are enough for a batch. Counted by look and not by time, a pause that is
	// long would bring enough to stay long.
	lookMany = 8
	// swiftMax bounds the pauses while events come.
	swiftMax = 5 * time.Millisecond
	// heldMax bounds them while an append is under way, which may be for long.
	heldMax = 100 * time.Millisecond
	// lookShare bounds the time that looks take: a pause is at least 1/lookShare of the look before it. A look is slow when others want
	// the processors too, and a pause as long would make an event wait twice for that.
	lookShare = 4
	// calmMin and calmMax bound the stillness that leads to an announcement. It is longer for a while after one that had to be
	// taken back soon: events then come in bursts, or at a rate at which to announce is not worth while. Pauses do not grow within
	// calmMin: a look in vain between two events says nothing.
	calmMin = 5 * time.Millisecond
	calmMax = 100 * time.Millisecond
	// dozeShort is how long a doze lasts that was worth while.
	dozeShort = time.Second
)

func newPace(options Options) *pace {
	return &pace{options: options, pause: options.Poll, swift: options.Poll, moved: clock.Now(), calm: calmMin}
}

// looked takes a look into account.
func (p *pace) looked(l look) {
	since := l.at.Sub(p.last.at)
	p.last = l
	p.many = l.moved > lookMany*max(int64(since/p.options.Poll), 1)
	longer := func(pause, most time.Duration) time.Duration {
		return max(min(time.Duration(float64(pause)*p.options.PollFactor), most, p.options.PollMax), p.options.Poll)
	}
	switch {
	case p.many:
		p.pause = p.swift
		p.swift = longer(p.swift, swiftMax)
	case l.moved > 0:
		p.pause, p.swift = p.options.Poll, p.options.Poll
	case l.at.Sub(p.moved) < calmMin:
		p.pause = p.options.Poll
	case l.held:
		p.pause = longer(p.pause, heldMax)
	default:
		p.pause = longer(p.pause, p.options.PollMax)
	}
	p.pause = max(p.pause, min(l.took/lookShare, swiftMax))
	if l.moved > 0 {
		p.moved = l.at
	}
}

// pauseWithin returns the pause, if it is not to be longer than most.
func (p *pace) pauseWithin(most time.Duration) time.Duration { return min(p.pause, most) }

// still tells whether nothing has happened for long enough to wait for notifications.
func (p *pace) still() bool { return !p.last.held && p.last.at.Sub(p.moved) >= p.calm }

// expects tells whether the next look may well find something, and little.
func (p *pace) expects() bool { return p.last.moved > 0 && !p.many }

// dozes notes that the head begins to doze.
func (p *pace) dozes() { p.dozed = p.last.at }

// disturbed notes that it had to give it up, because too many events came.
func (p *pace) disturbed() {
	if p.last.at.Sub(p.dozed) < dozeShort {
		p.calm = min(2*p.calm, calmMax)
	} else {
		p.calm = calmMin
	}
}

// throng tells when so many append that they had better not notify: when notifications come faster than throngRate for more than
// an instant, or when time and again another append is under way. Who notifies keeps others from committing until the disk has
// answered, so that on a slow disk a throng is one of few notifications.
type throng struct {
	at    time.Time
	heard int64
	level float64
	held  int // looks in succession that a notification led to, and that another append held back
}

const (
	// throngRate is how many notifications a second appends may well be asked for.
	throngRate = 300
	// throngMost is how many more than that it takes until they are spared.
	throngMost = 20
	// throngHeld is how many looks in succession find another append by accident.
	throngHeld = 8
)

// there takes the last look and the count of notifications into account.
func (t *throng) there(l look, heard int64) bool {
	count := heard - t.heard
	t.level = max(t.level-throngRate*l.at.Sub(t.at).Seconds(), 0) + float64(count)
	t.at, t.heard = l.at, heard
	switch {
	case !l.held:
		t.held = 0
	case count > 0:
		t.held++
	}
	return t.level > throngMost || t.held >= throngHeld
}
