//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestCompareStream(t *testing.T) {
	t.Parallel()
	log := &ordersLog{messages: map[string]string{
		"order_messages.v1.1.0": "a", "order_messages.v1.2.0": "b", "order_messages.v1.3.0": "a", "order_messages.v1.10.0": "a",
	}}
	of := func(position, key string) stored { return stored{"order_messages.v1." + position + ".0", key} }
	for name, test := range map[string]struct {
		all  []stored
		want comparison
	}{
		"each once, in order": {
			[]stored{of("2", "b"), of("1", "a"), of("3", "a"), of("10", "a")}, comparison{messages: 4, keys: 2},
		},
		"nothing": {nil, comparison{missing: 4}},
		"one twice": {
			[]stored{of("1", "a"), of("2", "b"), of("1", "a"), of("3", "a"), of("10", "a")}, comparison{messages: 5, twice: 1, keys: 2},
		},
		"out of order": {
			[]stored{of("3", "a"), of("1", "a"), of("10", "a"), of("2", "b")}, comparison{messages: 4, disordered: 1, keys: 2},
		},
		"others": {
			[]stored{of("1", "b"), of("4", "a"), {"", ""}, of("2", "b")},
			comparison{messages: 4, missing: 3, unexpected: 3, keys: 1},
		},
	} {
		if got := compareStream(test.all, log); got != test.want {
			t.Errorf("%s: it is %+v, must be %+v", name, got, test.want)
		}
	}
}

// TestShop_isReadByAppend has one event a line, of so many orders.
func TestShop_isReadByAppend(t *testing.T) {
	t.Parallel()
	placed := map[string]bool{}
	for line := range bytes.Lines(shop()) {
		var event struct {
			ID      string          `json:"aggregate_id"`
			Type    string          `json:"event_type"`
			Payload json.RawMessage `json:"payload"`
		}
		if err := json.Unmarshal(line, &event); err != nil || len(event.Payload) == 0 {
			t.Fatalf("%s: %v", line, err)
		}
		if event.Type == "OrderPlaced" {
			placed[event.ID] = true
		}
	}
	if len(placed) != orders {
		t.Errorf("%d orders are placed, must be %d", len(placed), orders)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := number(n); got != want {
			t.Errorf("%d is %s, must be %s", n, got, want)
		}
	}
}
