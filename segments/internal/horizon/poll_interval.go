package horizon

import (
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// pollInterval is the time between two polls: short after one that has brought something, and ever longer when nothing
// happens.
type pollInterval struct {
	options  Options
	last     poll
	interval time.Duration // before the next poll
	moved    time.Time     // when the horizon last moved
}

// poll is what one poll was like.
type poll struct {
	at    time.Time
	moved int64 // by how many positions
	held  bool  // back, by an append in flight
}

func newPollInterval(options Options) *pollInterval {
	return &pollInterval{options: options, interval: options.Poll, moved: clock.Now()}
}

// polled takes a poll into account.
func (p *pollInterval) polled(last poll) {
	p.last = last
	limit := p.options.PollMax
	switch {
	case last.moved > 0:
		p.interval, p.moved = p.options.Poll, last.at
		return
	case last.held:
		limit = min(limit, heldMax)
	}
	p.interval = max(min(time.Duration(float64(p.interval)*p.options.PollFactor), limit), p.options.Poll)
}

// within returns the interval, or limit when that is shorter.
func (p *pollInterval) within(limit time.Duration) time.Duration { return min(p.interval, limit) }

// isQuiet reports that nothing has happened for long enough to wait for notifications.
func (p *pollInterval) isQuiet() bool { return !p.last.held && p.last.at.Sub(p.moved) >= quietMin }

// expects reports that the next poll is likely to find something.
func (p *pollInterval) expects() bool { return p.last.moved > 0 }
