package relay

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// failure is what a try has come to that was not successful.
type failure struct {
	err     error
	refused bool          // the message is at fault
	later   time.Duration // what the receiver asks for, or 0
}

func failureOf(err error) failure {
	f := failure{err: err}
	var refused *RefusedError
	var later *LaterError
	switch {
	case errors.As(err, &refused):
		f.refused = true
	case errors.As(err, &later):
		f.later = min(max(later.After, 0), laterMax)
	}
	return f
}

// errorBytesMax bounds what is stored of an error.
const errorBytesMax = 2000

// undelivered is what the outbox notes.
func (f *failure) undelivered(m *store.OutboxMessage, options *Options) store.Undelivered {
	u := store.Undelivered{OutboxID: m.ID(), Key: m.Key, Error: storable(f.err)}
	switch {
	case f.refused && m.Attempts+1 >= options.Attempts:
		u.RetryAfter = -1
	case f.later > 0:
		u.RetryAfter = max(f.later, options.RetryMin)
	default:
		u.RetryAfter = pause(m.Attempts, options)
	}
	return u
}

// pause is how long a message waits that has failed so often before, with jitter.
func pause(attempts int, options *Options) time.Duration {
	longest := options.RetryMax
	if attempts < 20 { // an hour that doubles more often is too much for the type
		longest = min(options.RetryMin<<attempts, options.RetryMax)
	}
	return longest/2 + rand.N(longest/2+1)
}

// storable is the text of an error in one line, as every database takes it.
func storable(err error) string {
	text := strings.ToValidUTF8(oneline.Of(err), "\uFFFD")
	if len(text) > errorBytesMax {
		text = strings.ToValidUTF8(text[:errorBytesMax], "") + "…"
	}
	return text
}
