package segments

import "github.com/pupwasm/pupwasm/internal/callback"

// JoinObservers returns an observer that tells several, in their order. Those that are nil are left out, and a function
// that none of them has is nil.
func JoinObservers(observers ...*Observer) *Observer {
	joined := &Observer{}
	for _, o := range observers {
		if o == nil {
			continue
		}
		joined.Traces = max(joined.Traces, o.Traces)
		callback.Join(&joined.Installed, o.Installed)
		callback.Join(&joined.Refused, o.Refused)
		callback.Join(&joined.Claimed, o.Claimed)
		callback.Join(&joined.Failed, o.Failed)
		callback.Join(&joined.Released, o.Released)
		callback.Join(&joined.Read, o.Read)
		callback.Join(&joined.Applied, o.Applied)
		callback.Join(&joined.Committed, o.Committed)
		callback.Join(&joined.Deadlocked, o.Deadlocked)
		callback.Join(&joined.Faulted, o.Faulted)
		callback.Join(&joined.Parked, o.Parked)
		callback.Join(&joined.Retried, o.Retried)
		callback.Join(&joined.Unparked, o.Unparked)
		callback.Join(&joined.OutboxFull, o.OutboxFull)
		callback.Join(&joined.OutboxRoom, o.OutboxRoom)
		callback.Join(&joined.Polled, o.Polled)
		callback.Join(&joined.Listening, o.Listening)
		callback.Join(&joined.Away, o.Away)
		callback.Join(&joined.Back, o.Back)
	}
	return joined
}
