package horizon

import (
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// pollInterval adapts the time between two polls: short while single events come, longer when a poll brings
// many at once, since a larger batch is worth more then than a millisecond, and ever longer when nothing
// happens.
type pollInterval struct {
	options  Options
	last     poll
	busy     bool          // it brought enough for a batch
	interval time.Duration // before the next poll
	burst    time.Duration // after the next one that brings something
	moved    time.Time     // when the horizon last moved
	armedAt  time.Time     // when the listener was last armed
	quiet    time.Duration // for how long nothing must have happened before it is armed again
}

// poll is what one poll was like.
type poll struct {
	at    time.Time
	took  time.Duration
	moved int64 // by how many positions
	held  bool  // back, by an append in flight
}

func newPollInterval(options Options) *pollInterval {
	return &pollInterval{
		options: options, interval: options.Poll, burst: options.Poll, moved: clock.Now(), quiet: quietMin,
	}
}

// polled takes a poll into account.
func (p *pollInterval) polled(last poll) {
	since := last.at.Sub(p.last.at)
	p.last = last
	p.busy = last.moved > busyEvents*max(int64(since/p.options.Poll), 1)
	longer := func(interval, limit time.Duration) time.Duration {
		return max(min(time.Duration(float64(interval)*p.options.PollFactor), limit, p.options.PollMax), p.options.Poll)
	}
	switch {
	case p.busy:
		p.interval = p.burst
		p.burst = longer(p.burst, burstMax)
	case last.moved > 0:
		p.interval, p.burst = p.options.Poll, p.options.Poll
	case last.at.Sub(p.moved) < quietMin:
		p.interval = p.options.Poll
	case last.held:
		p.interval = longer(p.interval, heldMax)
	default:
		p.interval = longer(p.interval, p.options.PollMax)
	}
	p.interval = max(p.interval, min(last.took/pollShare, burstMax))
	if last.moved > 0 {
		p.moved = last.at
	}
}

// within returns the interval, or limit when that is shorter.
func (p *pollInterval) within(limit time.Duration) time.Duration { return min(p.interval, limit) }

// isQuiet reports that nothing has happened for long enough to wait for notifications.
func (p *pollInterval) isQuiet() bool { return !p.last.held && p.last.at.Sub(p.moved) >= p.quiet }

// expects reports that the next poll is likely to find something, and little.
func (p *pollInterval) expects() bool { return p.last.moved > 0 && !p.busy }

// armed notes that the listener was armed.
func (p *pollInterval) armed() { p.armedAt = p.last.at }

// disarmed notes that it had to be disarmed, because too many events came.
func (p *pollInterval) disarmed() {
	if p.last.at.Sub(p.armedAt) < armedMin {
		p.quiet = min(2*p.quiet, quietMax)
	} else {
		p.quiet = quietMin
	}
}
