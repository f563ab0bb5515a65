package horizon

import "time"

// notifyBudget is a token bucket that tells when so many append that they should not notify: when notifications
// come faster than notifyRate for more than an instant, or when again and again another append is in flight. An
// append that notifies keeps others from committing until the disk has answered, so that appends contend on a
// slow disk although few of them notify.
type notifyBudget struct {
	at    time.Time
	heard int64
	level float64
	held  int // polls in succession that a notification led to, and that another append held back
}

// contended takes the last poll and the count of notifications into account.
func (b *notifyBudget) contended(last poll, heard int64) bool {
	count := heard - b.heard
	b.level = max(b.level-notifyRate*last.at.Sub(b.at).Seconds(), 0) + float64(count)
	b.at, b.heard = last.at, heard
	switch {
	case !last.held:
		b.held = 0
	case count > 0:
		b.held++
	}
	return b.level > notifyBurst || b.held >= contendedPolls
}
