// Package pace tells how fast something goes and how long the rest takes, from where it was at two times.
package pace

import "time"

// Mark is how far something was at some time.
type Mark struct {
	At     time.Time
	Behind int64 // positions to go
	Events int64 // events that were applied
}

const (
	// spanMin is the shortest time from which the rest is estimated.
	spanMin = time.Second
	// secondsMax bounds an estimate, which would not fit otherwise.
	secondsMax = 1e8
)

// Rate is how many events a second were applied since another mark.
func (m Mark) Rate(since Mark) float64 {
	return float64(m.Events-since.Events) / max(m.At.Sub(since.At).Seconds(), 1e-3)
}

// Left estimates the time for the rest at the speed since another mark, in whole seconds, rounded up. It reports false
// when there was no progress, or too little time for an estimate.
func (m Mark) Left(since Mark) (time.Duration, bool) {
	took, done := m.At.Sub(since.At), since.Behind-m.Behind
	if done <= 0 || took < spanMin {
		return 0, false
	}
	seconds := float64(m.Behind) / float64(done) * took.Seconds()
	return time.Duration(min(seconds, secondsMax)+1) * time.Second, true
}
