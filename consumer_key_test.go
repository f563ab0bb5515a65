package pupwasm_test

import (
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/store"
)

// TestConsumer_anUnusableKeyParksTheStream has an event whose partition key is an object.
func TestConsumer_anUnusableKeyParksTheStream(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, db database) {
		orders(t, db, 2, 2)
		_, err := db.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
			Stream: store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: "order-1"},
			Events: []store.Event{{Type: "Placed", Payload: []byte(`{"n":{}}`)}, {Type: "Placed", Payload: []byte("{}")}},
		})
		must(err)
		last := orders(t, db, 1, 1)
		h := runHost(t, db, pupwasm.Options{Worker: quickly(), Consumers: []pupwasm.Consumer{{
			Name: "keyed", Partition: pupwasm.ByJSON("n"), Handle: db.handler(fine),
		}}})
		must(h.Wait(t.Context(), "keyed", last))
		parked, err := db.Backend().Parked(t.Context(),
			store.ParkedRequest{Range: store.FullRange()})
		must(err)
		if len(parked) != 1 || string(parked[0].Key) != "order-1" || parked[0].Events != 2 ||
			!strings.Contains(parked[0].Error, "consumer keyed: ") {
			t.Errorf("parked are %+v", parked)
		}
		if rows := db.rows(t); len(rows["order-0"]) != 3 || len(rows["order-1"]) != 2 {
			t.Errorf("rows are %v", rows)
		}
	})
}
