package pipeline

import (
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// TestWithheld_aKeyThatIsParkedAnewStays has a retry learn late that it has unparked a key: the pipeline has found
// out before, and has parked the key again.
func TestWithheld_aKeyThatIsParkedAnewStays(t *testing.T) {
	t.Parallel()
	key := []byte("k")
	w := NewWithheld([]store.ParkedKey{{ParkedID: store.ParkedID{Key: key}}})
	retried := w.Find(key)
	w.Renew(nil)
	w.Park(key, store.ParkedFault{Position: 7})
	w.Unpark(retried)
	var passed parking
	if !w.take(&store.RecordedEvent{Position: 8}, key, &passed) {
		t.Error("an event behind the one that failed is applied")
	}
	w.Unpark(w.Find(key))
	if w.Any() {
		t.Error("the key is still withheld")
	}
	w.Unpark(w.Find(key))
}

func TestWithheld_forgetsSkippedEventsOnceTheyArePassed(t *testing.T) {
	t.Parallel()
	w := NewWithheld(nil)
	w.Skip(store.SkippedEvent{Position: 3})
	w.Skip(store.SkippedEvent{Position: 5})
	w.passed(4)
	var to parking
	if w.take(&store.RecordedEvent{Position: 3}, nil, &to) || !w.take(&store.RecordedEvent{Position: 5}, nil, &to) {
		t.Errorf("taken are %+v, want position 5", to.skipped)
	}
	w.passed(5)
	if w.Any() {
		t.Error("an event is still withheld")
	}
}
