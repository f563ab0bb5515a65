package eventmap_test

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/eventmap"
	"github.com/pupwasm/pupwasm/store"
)

type placedV1 struct {
	Customer string `json:"customer"`
}

type placedV2 struct {
	Customer string `json:"customer"`
	Channel  string `json:"channel"`
}

type placedV3 struct {
	Buyer   string `json:"buyer"`
	Channel string `json:"channel"`
}

func upPlacedV2(old placedV1) placedV2 { return placedV2{Customer: old.Customer, Channel: "web"} }

func upPlacedV3(old placedV2) placedV3 { return placedV3{Buyer: old.Customer, Channel: old.Channel} }

var registry = eventmap.MustNew(
	eventmap.Type[placedV1]("OrderPlaced", 1, eventmap.Up(upPlacedV2)),
	eventmap.Type[placedV2]("OrderPlaced", 2, eventmap.Up(upPlacedV3)),
	eventmap.Type[placedV3]("OrderPlaced", 3),
)

func ExampleRegistry() {
	event, err := registry.Event(placedV3{Buyer: "ann", Channel: "shop"})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s version %d: %s\n", event.Type, event.Version, event.Payload)

	old := store.RecordedEvent{Event: store.Event{Type: "OrderPlaced", Version: 1, Payload: []byte(`{"customer":"bob"}`)}}
	read, err := registry.Read(&old)
	if err != nil {
		panic(err)
	}
	switch read := read.(type) {
	case placedV3:
		fmt.Printf("%s by %s\n", read.Buyer, read.Channel)
	}
	// Output:
	// OrderPlaced version 3: {"buyer":"ann","channel":"shop"}
	// bob by web
}

func TestRegistry_readsWhatItWrites(t *testing.T) {
	t.Parallel()
	for _, event := range []any{placedV1{Customer: "ann"}, &placedV2{Customer: "ann", Channel: "shop"}, placedV3{}} {
		written, err := registry.Events(event)
		if err != nil {
			t.Fatal(err)
		}
		read, err := registry.ReadStored(&store.RecordedEvent{Event: written[0]})
		if err != nil || !reflect.DeepEqual(reflect.Indirect(reflect.ValueOf(event)).Interface(), read) {
			t.Errorf("%+v becomes %+v, %v", event, read, err)
		}
	}
}

// counted has its JSON by methods of pointers.
type counted struct{ Total big.Int }

func TestRegistry_writesByMethodsOfPointers(t *testing.T) {
	t.Parallel()
	registry := eventmap.MustNew(eventmap.Type[counted]("Counted", 1))
	event := counted{Total: *big.NewInt(7)}
	for _, given := range []any{event, &event} {
		written, err := registry.Event(given)
		if err != nil || string(written.Payload) != `{"Total":7}` {
			t.Errorf("%s, %v", written.Payload, err)
		}
	}
}

func TestRegistry_emptyPayload(t *testing.T) {
	t.Parallel()
	read, err := registry.Read(&store.RecordedEvent{Event: store.Event{Type: "OrderPlaced", Version: 1}})
	if err != nil || read != (placedV3{Channel: "web"}) {
		t.Errorf("%+v, %v", read, err)
	}
}

func TestRegistry_errors(t *testing.T) {
	t.Parallel()
	for _, event := range []any{nil, 7, "text", struct{}{}, (*placedV1)(nil), []any{placedV1{}}} {
		if _, err := registry.Event(event); !errors.Is(err, eventmap.ErrUnknown) {
			t.Errorf("%#v: %v", event, err)
		}
	}
	for _, c := range []struct {
		event store.Event
		want  string
	}{
		{store.Event{Type: "OrderPlaced", Version: 4}, "OrderPlaced version 4, event 9 (known versions: 1, 2, 3)"},
		{store.Event{Type: "OrderPaid", Version: 1}, "eventmap: unknown event: OrderPaid version 1, event 9"},
		{store.Event{Type: "OrderPlaced", Version: 2, Payload: []byte(`{"customer":1}`)}, "eventmap: event 9, OrderPlaced version 2: json: "},
	} {
		_, err := registry.Read(&store.RecordedEvent{Event: c.event, Position: 9})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	for want, entries := range map[string][]eventmap.Entry{
		"OrderPlaced version 1 is registered twice": {
			eventmap.Type[placedV1]("OrderPlaced", 1), eventmap.Type[placedV2]("OrderPlaced", 1),
		},
		"placedV1 is registered twice": {eventmap.Type[placedV1]("A", 1), eventmap.Type[placedV1]("B", 1)},
		"which is not registered":      {eventmap.Type[placedV1]("A", 1, eventmap.Up(upPlacedV2))},
		"takes eventmap_test.placedV2": {eventmap.Type[placedV1]("A", 1, eventmap.Up(upPlacedV3)), eventmap.Type[placedV3]("A", 3)},
		"lead in a circle": {
			eventmap.Type[placedV1]("A", 1, eventmap.Up(upPlacedV2)),
			eventmap.Type[placedV2]("A", 2, eventmap.Up(func(placedV2) placedV1 { return placedV1{} })),
		},
		"is a pointer":           {eventmap.Type[*placedV1]("A", 1)},
		"an entry is empty":      {{}},
		"has 2 upcasters":        {eventmap.Type[placedV1]("A", 1, eventmap.Up(upPlacedV2), eventmap.Up(upPlacedV2))},
		"versions begin at 1":    {eventmap.Type[placedV1]("A", 0)},
		"event_type is required": {eventmap.Type[placedV1]("", 1)},
	} {
		if _, err := eventmap.New(entries...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MustNew does not panic")
		}
	}()
	eventmap.MustNew(eventmap.Type[placedV1]("", 1))
}
