package jetstream

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

// hostile are texts that would be a header, a token or a line of their own.
var hostile = []string{
	"", ".", "*", ">", "a.b", " ", "\r\nNats-Rollup: all", "\r\n\r\nPUB events 1\r\nx", "%00", "%2E", "\t", "ü", "\u2028", "\x7f",
	"$JS.API", strings.Repeat("ö", 400), strings.Repeat("x", 800), strings.Repeat("x", 799) + "y", `"'`,
}

func drawText(t *rapid.T, name string) string {
	return rapid.OneOf(rapid.SampledFrom(hostile), rapid.String().Filter(func(text string) bool {
		return !strings.Contains(text, "\x00") && len(text) <= store.TextBytesMax
	})).Draw(t, name)
}

func drawEvent(t *rapid.T) store.RecordedEvent {
	e := store.RecordedEvent{
		Stream: store.Stream{
			BoundedContext: drawText(t, "context"), AggregateType: drawText(t, "type"), AggregateID: drawText(t, "id"),
		},
		Position: rapid.Int64Min(1).Draw(t, "position"), AggregateVersion: rapid.Int64Min(1).Draw(t, "version"),
	}
	e.ID = store.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "event"))
	e.Type, e.Version = drawText(t, "event type"), rapid.Int32Min(1).Draw(t, "event version")
	e.TraceID, e.CorrelationID, e.CausationID = drawText(t, "trace"), drawText(t, "correlation"), drawText(t, "causation")
	e.Payload = rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
	if rapid.Bool().Draw(t, "with metadata") {
		e.Metadata = []byte(`{"user": "` + strings.Repeat("ü", rapid.SampledFrom([]int{0, 3, 2000, 10_000, 100_000}).Draw(t, "length")) + "\"\n}")
	}
	e.CreatedAt = time.UnixMicro(rapid.Int64Range(-62135596800_000000, 253402300799_999999).Draw(t, "created")).UTC()
	return e
}

// TestEvent_isWhatWasCopied gives it any event: what comes back is the same, and the message can be no other than one.
func TestEvent_isWhatWasCopied(t *testing.T) {
	t.Parallel()
	log := store.UUID{1, 2, 3}
	rapid.Check(t, func(t *rapid.T) {
		event := drawEvent(t)
		message := messageOf("events", log, &event)
		size := 0
		for name, values := range message.Header {
			size += len(name) + len(values[0]) + 4
			if len(values) != 1 || strings.ContainsFunc(values[0], func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Fatalf("the header %s is %q", name, values)
			}
		}
		if size > 60_000 {
			t.Fatalf("the headers have %d bytes", size)
		}
		if !store.IsSubject(message.Subject[:min(len(message.Subject), store.SubjectBytesMax)]+"x") && !strings.Contains(message.Subject, "%~") ||
			strings.Count(message.Subject, ".") != 4 || len(message.Subject) > 1200 {
			t.Fatalf("the subject is %q", message.Subject)
		}
		got, of, err := Event(message.Header, message.Data)
		if err != nil || of != log || len(got.Payload) != len(event.Payload) {
			t.Fatalf("%+v of log %s is read, must be %+v (%v)", got, of, event, err)
		}
		got.Payload, event.Payload = append([]byte{}, got.Payload...), append([]byte{}, event.Payload...)
		if !reflect.DeepEqual(got, event) {
			t.Fatalf("%+v is read, must be %+v", got, event)
		}
	})
}

// TestSubjectOf_isOfOneStreamAndType gives it two events: they have one subject only when context, type, id and event type
// are the same.
func TestSubjectOf_isOfOneStreamAndType(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawEvent(t), drawEvent(t)
		same := a.Stream == b.Stream && a.Type == b.Type
		if (subjectOf("events", &a) == subjectOf("events", &b)) != same {
			t.Fatalf("%q and %q", subjectOf("events", &a), subjectOf("events", &b))
		}
	})
	event := store.RecordedEvent{Stream: store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: "C.7/ü"}}
	event.Type = "OrderPaid"
	if got := subjectOf("events", &event); got != "events.Shop.Order.C%2E7%2F%C3%BC.OrderPaid" {
		t.Errorf("the subject is %s", got)
	}
}

func TestEvent_refusesWhatIsNone(t *testing.T) {
	t.Parallel()
	event := store.RecordedEvent{Position: 1, AggregateVersion: 1}
	event.Version, event.CreatedAt, event.Metadata = 1, time.Unix(0, 0), []byte(strings.Repeat("x", 10_000))
	for name, value := range map[string]string{
		headerLog: "", headerPosition: "-1", headerAggregateVersion: "1e3", headerEventVersion: "2147483648", headerEventID: "x",
		headerCreatedAt: "yesterday", headerContext: "%zz", headerMetadataBytes: "10001",
	} {
		message := messageOf("events", store.UUID{1}, &event)
		if _, _, err := Event(message.Header, message.Data); err != nil {
			t.Fatal(err)
		}
		message.Header.Set(name, value)
		if _, _, err := Event(message.Header, message.Data); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with %s %q the error is %v", name, value, err)
		}
	}
}

// FuzzEvent gives it headers of others.
func FuzzEvent(f *testing.F) {
	f.Add("x", "1", "1", "{}", "5", []byte("payload"))
	f.Add("%41", "9223372036854775807", "-1", "%", "99999999999", []byte{})
	f.Fuzz(func(t *testing.T, id, position, version, metadata, length string, data []byte) {
		header := messageOf("events", store.UUID{1}, &store.RecordedEvent{Position: 1}).Header
		header.Set(headerAggregateID, id)
		header.Set(headerPosition, position)
		header.Set(headerAggregateVersion, version)
		header.Set(headerMetadata, metadata)
		header.Set(headerMetadataBytes, length)
		if event, _, err := Event(header, data); err == nil && len(event.Payload) > len(data) {
			t.Errorf("%d bytes of payload out of %d", len(event.Payload), len(data))
		}
	})
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, of := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"a.b.c", "a.b.c", true},
		{"*", "a", true},
		{"*", "a.b", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.b.d", false},
		{"*.*", "a.b", true},
		{">", "a", true},
		{">", "a.b.c", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{"a.>", "b.c", false},
	} {
		if got := matches(of.pattern, of.subject); got != of.want {
			t.Errorf("%s has %s: %v, must be %v", of.pattern, of.subject, got, of.want)
		}
	}
}
