package eventline

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/store"
)

const head = `{"bounded_context":"C","aggregate_type":"T","aggregate_id":"1","event_type":"E"`

func TestDecoder_keepsEveryMember(t *testing.T) {
	t.Parallel()
	text := "{ \"\\u0062ounded_context\" :\t\"C\\n\", \"aggregate_type\":\"T\",\"aggregate_id\":\"\\ud83d\\ude00\\\\\\\"}\",\"event_type\":\"E\"," +
		`"event_version":7,"created_at":"2020-02-29T23:59:59.9999999-01:00","payload": {"a":[1,{"b":"}"}], "c":null} ,"metadata":{"k":[]},` +
		`"event_id":"018BCFE5-68a8-7000-8000-00000000000a","expected_version":4,"trace_id":"t","correlation_id":"c","causation_id":null,` +
		`"global_position":9,"aggregate_version":5}`
	got, err := NewDecoder(store.PayloadBytesMax).Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := store.Stream{BoundedContext: "C\n", AggregateType: "T", AggregateID: "😀\\\"}"}
	if got.Stream != want || got.Expected != store.Exact(4) {
		t.Errorf("stream %q, expected %s", got.Stream, got.Expected)
	}
	e := got.Event
	if e.ID.String() != "018bcfe5-68a8-7000-8000-00000000000a" || e.Type != "E" || e.Version != 7 || e.TraceID != "t" ||
		e.CorrelationID != "c" || e.CausationID != "" {
		t.Errorf("event is %+v", e)
	}
	if string(e.Payload) != `{"a":[1,{"b":"}"}], "c":null}` || string(e.Metadata) != `{"k":[]}` {
		t.Errorf("payload %s, metadata %s", e.Payload, e.Metadata)
	}
	if at := time.Date(2020, 3, 1, 0, 59, 59, 999_999_000, time.UTC); !e.CreatedAt.Equal(at) {
		t.Errorf("created at %s, must be %s", e.CreatedAt, at)
	}
}

func TestDecoder_refuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"two events in a line", head + `}{}`, "not valid JSON at byte 81"},
		{"a cut line", head, "the line ends before the event does"},
		{"invalid UTF-8 in a payload", head + `,"payload":"` + "\xff" + `"}`, "the line is not valid UTF-8"},
		{"half a surrogate pair in a text", head + `,"trace_id":"\ud800x"}`, "trace_id has half of a surrogate pair"},
		{"half a surrogate pair in metadata", head + `,"metadata":{"a":"\udc00"}}`, "metadata has half of a surrogate pair"},
		{"NUL in metadata", head + `,"metadata":{"a":"\u0000"}}`, `metadata contains \u0000`},
		{"an escaped duplicate", head + `,"\u0065vent_type":"F"}`, "member event_type is given twice"},
		{"a member that is null and unknown", head + `,"type":null}`, `member "type" is not known`},
		{
			"a text that is too long", head + `,"trace_id":"` + strings.Repeat("x", store.TextBytesMax+1) + `"}`,
			"trace_id has 801 bytes, the limit is 800",
		},
		{
			"a payload that is too large", head + `,"payload":"` + strings.Repeat("x", store.PayloadBytesMax) + `"}`,
			"payload has 16777218 bytes, the limit is 16777216",
		},
		{
			"a required member that is null",
			`{"bounded_context":null,"aggregate_type":"T","aggregate_id":"1","event_type":"E"}`, "bounded_context is required",
		},
		{"a UUID of zeros", head + `,"event_id":"00000000-0000-0000-0000-000000000000"}`, "event_id is the UUID of zeros"},
		{"a version beyond 32 bits", head + `,"event_version":2147483648}`, "event_version is 2147483648, must be from 1"},
		{"a whole number as a float", head + `,"expected_version":1.0}`, "expected_version is 1.0, must be a whole number"},
		{"a year of five digits", head + `,"created_at":"10000-01-01T00:00:00Z"}`, "created_at is"},
		{"a year before Christ", head + `,"created_at":"0000-01-01T00:00:00Z"}`, "the years go from 1 to 9999"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewDecoder(store.PayloadBytesMax).Decode([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, must have %q", err, test.want)
			}
		})
	}
}

// FuzzDecoder compares the decoder with encoding/json, which is slower and more tolerant, on every line
// that it takes.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte(head + `,"payload":{"a":[1,2,{"b":"}\""}]},"metadata":{},"trace_id":"\ud83d\ude00"}`))
	f.Add([]byte(head + ` , "payload" : 1e5 , "expected_version" : 0 , "created_at" : "2020-01-01T00:00:00Z" }`))
	f.Add([]byte(head + `,"payload_base64":"AA==","payload":null}`))
	f.Add([]byte(`{"":"","\"":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			return // the reader leaves blank lines out
		}
		line, err := NewDecoder(store.PayloadBytesMax).Decode(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without text")
			}
			return
		}
		var want struct {
			BoundedContext string          `json:"bounded_context"`
			AggregateID    string          `json:"aggregate_id"`
			EventType      string          `json:"event_type"`
			TraceID        string          `json:"trace_id"`
			Payload        json.RawMessage `json:"payload"`
			PayloadBase64  []byte          `json:"payload_base64"`
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("encoding/json refuses what was taken: %v", err)
		}
		payload := want.Payload
		if payload == nil {
			payload = want.PayloadBase64
		}
		e := line.Event
		if line.Stream.BoundedContext != want.BoundedContext || line.Stream.AggregateID != want.AggregateID ||
			e.Type != want.EventType || e.TraceID != want.TraceID || !bytes.Equal(e.Payload, payload) {
			t.Errorf("%q: got %+v, must be %+v", text, line, want)
		}
		if !utf8.ValidString(line.Stream.AggregateID) {
			t.Errorf("%q: id is not UTF-8", text)
		}
		exported := Append(nil, &store.RecordedEvent{
			Event: e, Stream: line.Stream, Position: 1,
			AggregateVersion: 1,
		})
		again, err := NewDecoder(store.PayloadBytesMax).Decode(exported)
		if e.ID == (store.UUID{}) || e.CreatedAt.IsZero() {
			return // what is stored has both
		}
		if err != nil || again.Stream != line.Stream || !bytes.Equal(again.Event.Payload, e.Payload) ||
			!again.Event.CreatedAt.Equal(e.CreatedAt) {
			t.Errorf("%s: exported and read back: %+v, %v", exported, again, err)
		}
	})
}

func BenchmarkDecoder(b *testing.B) {
	text := []byte(`{"bounded_context":"Traffic","aggregate_type":"Fine","aggregate_id":"S38735","event_type":"CreateFine","event_version":1,` +
		`"created_at":"1999-12-31T23:00:00Z","payload":{"amount":62.59,"resource":"18","dismissal":"NIL","vehicleClass":"A","article":158}}`)
	decoder := NewDecoder(store.PayloadBytesMax)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decoder.Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}
