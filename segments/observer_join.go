package segments

// JoinObservers returns an observer that tells several, in their order. Those that are nil are left out, and a function
// that none of them has is nil.
func JoinObservers(observers ...*Observer) *Observer {
	joined := &Observer{}
	for _, o := range observers {
		if o == nil {
			continue
		}
		joined.Traces = max(joined.Traces, o.Traces)
		join(&joined.Installed, o.Installed)
		join(&joined.Refused, o.Refused)
		join(&joined.Claimed, o.Claimed)
		join(&joined.Failed, o.Failed)
		join(&joined.Released, o.Released)
		join(&joined.Read, o.Read)
		join(&joined.Applied, o.Applied)
		join(&joined.Committed, o.Committed)
		join(&joined.Deadlocked, o.Deadlocked)
		join(&joined.Faulted, o.Faulted)
		join(&joined.Parked, o.Parked)
		join(&joined.Retried, o.Retried)
		join(&joined.Unparked, o.Unparked)
		join(&joined.OutboxFull, o.OutboxFull)
		join(&joined.OutboxRoom, o.OutboxRoom)
		join(&joined.Polled, o.Polled)
		join(&joined.Listening, o.Listening)
		join(&joined.Away, o.Away)
		join(&joined.Back, o.Back)
	}
	return joined
}

// join makes a function of an observer tell another one too.
func join[T any](function *func(T), other func(T)) {
	first := *function
	switch {
	case other == nil:
	case first == nil:
		*function = other
	default:
		*function = func(what T) {
			first(what)
			other(what)
		}
	}
}
