package segments

import (
	"context"
	"errors"
	"testing"
)

// TestReplies_nobodyWaitsForGuestsThatAreStopped has the time of a segment that was asked to stop run out while guests are at work:
// they give up without an answer.
func TestReplies_nobodyWaitsForGuestsThatAreStopped(t *testing.T) {
	t.Parallel()
	over, stop := context.WithCancel(t.Context())
	stop()
	r := &replies{ctx: over, batches: make([]batch, guestsAtOnce), answers: make([]chan answer, guestsAtOnce)}
	if _, err := r.next(nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the next reply comes with %v", err)
	}
}
