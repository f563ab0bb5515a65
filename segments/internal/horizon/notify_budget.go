package horizon

import "time"

// notifyBudget is a token bucket that tells when so many append that they should not notify: when notifications
// come faster than notifyRate for more than an instant.
type notifyBudget struct {
	at    time.Time
	heard int64
	level float64
}

// contended takes the count of notifications at a time into account.
func (b *notifyBudget) contended(at time.Time, heard int64) bool {
	b.level = max(b.level-notifyRate*at.Sub(b.at).Seconds(), 0) + float64(heard-b.heard)
	b.at, b.heard = at, heard
	return b.level > notifyBurst
}
