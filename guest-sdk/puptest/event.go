package puptest

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Event is an event to be applied. Zero fields take defaults: the next position and version, a new id, version
// 1, the metadata {} and a time that grows by a second an event.
type Event struct {
	BoundedContext   string // of the stream
	AggregateType    string // of the stream
	AggregateID      string // the stream's id
	AggregateVersion int64  // the event's place in its stream, from 1
	Position         int64  // global, larger than those before
	ID               [16]byte
	Type             string
	Version          int32 // of the event's schema
	Payload          any   // a string, []byte or json.RawMessage as it is; anything else is encoded as JSON
	Metadata         string
	TraceID          string
	CorrelationID    string
	CausationID      string
	CreatedAt        time.Time
}

// ReadEvents reads a fixture with one JSON object a line:
//
//	{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"u1","event_type":"UserRegistered",
//	 "event_version":1,"created_at":"2024-05-01T10:00:00Z","payload":{…}}
//
// It is the format of 'pupwasm append' and 'pupwasm record'. The position and the version in the stream of
// a line are left out: events get new ones. Empty lines are skipped. Unknown fields are an error.
func ReadEvents(t testing.TB, path string) []Event {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var events []Event
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 16<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		event, err := parseEvent(lines.Bytes())
		if err != nil {
			t.Fatalf("%s:%d: %v", path, n, err)
		}
		events = append(events, event)
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	return events
}

func parseEvent(line []byte) (Event, error) {
	var fixture struct {
		BoundedContext string          `json:"bounded_context"`
		AggregateType  string          `json:"aggregate_type"`
		AggregateID    string          `json:"aggregate_id"`
		EventType      string          `json:"event_type"`
		EventVersion   int32           `json:"event_version"`
		CreatedAt      time.Time       `json:"created_at"`
		Payload        json.RawMessage `json:"payload"`
		Metadata       json.RawMessage `json:"metadata"`
		TraceID        string          `json:"trace_id"`
		CorrelationID  string          `json:"correlation_id"`
		CausationID    string          `json:"causation_id"`
		EventID        string          `json:"event_id"`
		PayloadBase64  []byte          `json:"payload_base64"`
		// What the log assigns, or is for it.
		Position json.RawMessage `json:"global_position"`
		InStream json.RawMessage `json:"aggregate_version"`
		Expected json.RawMessage `json:"expected_version"`
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&fixture); err != nil {
		return Event{}, err
	}
	id, err := parseID(fixture.EventID)
	if err != nil {
		return Event{}, err
	}
	var payload any = fixture.Payload
	if fixture.PayloadBase64 != nil {
		payload = fixture.PayloadBase64
	}
	return Event{
		ID:             id,
		BoundedContext: fixture.BoundedContext,
		AggregateType:  fixture.AggregateType,
		AggregateID:    fixture.AggregateID,
		Type:           fixture.EventType,
		Version:        fixture.EventVersion,
		CreatedAt:      fixture.CreatedAt,
		Payload:        payload,
		Metadata:       string(fixture.Metadata),
		TraceID:        fixture.TraceID,
		CorrelationID:  fixture.CorrelationID,
		CausationID:    fixture.CausationID,
	}, nil
}

// parseID reads the id of an event, with its hyphens; "" is none.
func parseID(text string) (id [16]byte, err error) {
	if text == "" {
		return id, nil
	}
	digits, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(digits) != len(id) {
		return id, fmt.Errorf("event_id %q is no UUID", text)
	}
	copy(id[:], digits)
	return id, nil
}

func (e *Event) payload() ([]byte, error) {
	switch payload := e.Payload.(type) {
	case nil:
		return []byte("{}"), nil
	case string:
		return []byte(payload), nil
	case []byte:
		return payload, nil
	case json.RawMessage:
		return payload, nil
	default:
		data, err := json.Marshal(payload)
		if err != nil {
			return nil, fmt.Errorf("payload of a %s: %w", e.Type, err)
		}
		return data, nil
	}
}

// streamTime is when the first event happens that has no time of its own.
var streamTime = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

type stream struct{ context, aggregate, id string }

// log gives events their places, as the event store does.
type log struct {
	position int64
	versions map[stream]int64
}

// event is an event of a log, with the key by which it is divided.
type event struct {
	Event
	payload  []byte
	key      string
	keyFault error // the event has no key: a batch that contains it fails
}

// fault describes an event whose batch fails.
func (e *event) fault(reason string) error {
	return fmt.Errorf("at event %d of stream %s/%s/%s: %s", e.Position, e.BoundedContext, e.AggregateType, e.AggregateID,
		reason)
}

func (l *log) complete(e Event) (event, error) {
	if e.Position == 0 {
		e.Position = l.position + 1
	}
	l.position = e.Position
	s := stream{e.BoundedContext, e.AggregateType, e.AggregateID}
	if e.AggregateVersion == 0 {
		e.AggregateVersion = l.versions[s] + 1
	}
	l.versions[s] = e.AggregateVersion
	if e.ID == [16]byte{} {
		for i := range 8 {
			e.ID[15-i] = byte(e.Position >> (8 * i))
		}
	}
	if e.Version == 0 {
		e.Version = 1
	}
	if e.Metadata == "" {
		e.Metadata = "{}"
	}
	if e.CreatedAt.IsZero() {
		e.CreatedAt = streamTime.Add(time.Duration(e.Position) * time.Second)
	}
	payload, err := e.payload()
	return event{Event: e, payload: payload, key: e.AggregateID}, err
}
