package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
)

// theirEvent is a row of pupsourcing's table of events.
type theirEvent struct {
	context, kind, id  string
	version            int
	eventID            uuid.UUID
	name               string
	schema             int // event_version
	payload            []byte
	trace, correlation *string
	causation          *string
	metadata           *string // JSON, or nil for NULL
	created            time.Time
}

// theirEvents makes up events of several streams, in order of position. With older, their ids are UUIDs.
func theirEvents(count int, older bool) []theirEvent {
	random := rand.New(rand.NewPCG(7, 7))
	text := func(s string) *string { return &s }
	link := func(s string) *string {
		if older {
			s = uuid.NewSHA1(uuid.Nil, []byte(s)).String()
		}
		return &s
	}
	contexts, kinds := []string{"Identity", "Sales", `Отдел "1" \ co`}, []string{"User", "Order"}
	ids := []string{
		"ann", "o-1", "with a space", `quo"te\n`, "日本🙂", "a/b", "NULL", "%",
		strings.Repeat("é", 400), uuid.NameSpaceDNS.String(),
	}
	payloads := [][]byte{
		[]byte(`{"email":"ann@example.com"}`), []byte("{\n  \"spaces\" : 1.10 }\n"),
		{},
		[]byte(`null`),
		{0, 1, 2, 255},
		[]byte("no JSON"), []byte(`{"nul":"\u0000"}`), []byte("{\"broken"),
		{0xff, 0xfe},
		make([]byte, 10_000),
		[]byte(strings.Repeat("base64 ", 40)),
	}
	metadata := []*string{
		nil, text(`{}`), text(`{"user":"ann","n":1.10,"deep":[{"a":null}],"text":"it's \\ \"so\" é"}`), text(`null`),
		text(`[1,null]`), text(`"text"`), text(`7`), text(`false`),
	}
	events := make([]theirEvent, count)
	versions := map[string]int{}
	for i := range events {
		e := theirEvent{
			context: contexts[random.IntN(len(contexts))], kind: kinds[random.IntN(len(kinds))], id: ids[random.IntN(len(ids))],
			eventID: uuid.NewSHA1(uuid.Nil, []byte{byte(i), byte(i >> 8)}), name: fmt.Sprintf("Event%d", i%5),
			schema: i % 4, payload: payloads[i%len(payloads)], metadata: metadata[i%len(metadata)],
			created: time.Date(2025, 1, 1, 0, 0, i, i%1_000_000*1000, time.UTC),
		}
		if older {
			e.context, e.id = "", uuid.NewSHA1(uuid.Nil, []byte(e.id)).String()
		}
		if i%3 == 0 {
			e.trace, e.correlation = link("0af7651916cd43dd8448eb211c80319c"), link("order \"1\" \\ ü")
		}
		if i%5 == 0 {
			e.causation = link(fmt.Sprint(i))
		}
		switch i {
		case 10:
			e.created = time.Time{}
		case 11:
			e.created = time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
		case 12:
			e.created = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		}
		stream := e.context + "\n" + e.kind + "\n" + e.id
		versions[stream]++
		e.version = versions[stream]
		events[i] = e
	}
	return events
}

// ourEvent is an event as 'pupwasm events --json' prints it, without its position.
type ourEvent struct {
	Context     string          `json:"bounded_context"`
	Kind        string          `json:"aggregate_type"`
	ID          string          `json:"aggregate_id"`
	Version     int             `json:"aggregate_version"`
	EventID     uuid.UUID       `json:"event_id"`
	Name        string          `json:"event_type"`
	Schema      int             `json:"event_version"`
	Payload     json.RawMessage `json:"payload"`
	Base64      []byte          `json:"payload_base64"`
	Metadata    any             `json:"metadata"`
	Trace       string          `json:"trace_id"`
	Correlation string          `json:"correlation_id"`
	Causation   string          `json:"causation_id"`
	Created     time.Time       `json:"created_at"`
}

// moved is what the page says that becomes of an event. context is the one for events without a context.
func (e theirEvent) moved(context string) ourEvent {
	value := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	o := ourEvent{
		Context: e.context, Kind: e.kind, ID: e.id, Version: e.version, EventID: e.eventID, Name: e.name,
		Schema: max(e.schema, 1), Base64: e.payload, Trace: value(e.trace), Correlation: value(e.correlation),
		Causation: value(e.causation), Created: e.created, Metadata: map[string]any{},
	}
	if e.context == "" {
		o.Context = context
	}
	if e.created.IsZero() {
		o.Created = e.created.Add(time.Microsecond)
	}
	if e.metadata != nil {
		metadata := decodeJSON(*e.metadata)
		if object, is := metadata.(map[string]any); is {
			o.Metadata = object
		} else if metadata != nil {
			o.Metadata = map[string]any{"metadata": metadata}
		}
	}
	return o
}

// decodeJSON keeps numbers as they are written.
func decodeJSON(text string) (value any) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		panic(err)
	}
	return value
}
