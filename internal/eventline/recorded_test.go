package eventline

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

func TestDecoder_readsWhatAppendWrites(t *testing.T) {
	t.Parallel()
	want := store.RecordedEvent{
		Event: store.Event{
			ID: store.UUID{1, 2}, Type: "E", Version: 3, Payload: []byte("\x00no text"), Metadata: []byte(`{"a":1}`),
			CausationID: "c", CreatedAt: time.Date(2024, 5, 6, 7, 8, 9, 1000, time.UTC),
		},
		Stream:   store.Stream{BoundedContext: "C", AggregateType: "T", AggregateID: "1"},
		Position: 1 << 53, AggregateVersion: 7, PartitionHash: store.PartitionHash("1"),
	}
	got, err := NewDecoder(store.PayloadBytesMax).Recorded(Append(nil, &want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read back: %+v, %v", got, err)
	}
}

func TestDecoder_refusesWhatIsNotRecorded(t *testing.T) {
	t.Parallel()
	const id, at = `,"event_id":"018bcfe5-68a8-7000-8000-00000000000a"`, `,"created_at":"2020-01-01T00:00:00Z"`
	const place = `,"global_position":9,"aggregate_version":5`
	for text, want := range map[string]string{
		head + `}`:                                  "global_position is missing",
		head + place + at + `}`:                     "event_id is missing",
		head + place + id + `}`:                     "created_at is missing",
		head + `,"global_position":9}`:              "aggregate_version is missing",
		head + `,"global_position":1.5}`:            "global_position is 1.5, must be a whole number",
		head + place + `,"expected_version":1}`:     "expected_version is of an event that is to be appended",
		head + place + id + at + `,"stray":true}`:   `member "stray" is not known`,
		`{"bounded_context":"C"` + place + id + `}`: "aggregate_type is required",
	} {
		if _, err := NewDecoder(store.PayloadBytesMax).Recorded([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", text, err, want)
		}
	}
}
