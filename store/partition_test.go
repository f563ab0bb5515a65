package store_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// keyCase is an entry of testdata/partition_keys.json.
type keyCase struct {
	Name string
	store.Partition
	Payload       string
	PayloadHex    string `json:"payload_hex"`
	Metadata      string
	CorrelationID string `json:"correlation_id"`
	Key           *string
	Fault         string
}

func (c *keyCase) event(t testing.TB) *store.RecordedEvent {
	t.Helper()
	e := &store.RecordedEvent{Stream: store.Stream{AggregateID: "stream-1"}}
	e.Payload, e.Metadata, e.CorrelationID = []byte(c.Payload), []byte(c.Metadata), c.CorrelationID
	if c.PayloadHex != "" {
		payload, err := hex.DecodeString(c.PayloadHex)
		if err != nil {
			t.Fatal(err)
		}
		e.Payload = payload
	}
	return e
}

func keyCases(t testing.TB) []keyCase {
	t.Helper()
	text, err := os.ReadFile("testdata/partition_keys.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var cases []keyCase
	if err := decoder.Decode(&cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestPartition_Key(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range keyCases(t) {
		if seen[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		seen[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			e := c.event(t)
			key, err := c.Partition.Key(e)
			switch {
			case c.Fault != "":
				if err == nil || !strings.Contains(err.Error(), c.Fault) || strings.Contains(err.Error(), "\n") ||
					key != nil {
					t.Errorf("key %q, error %v; want none, and %q in one line", key, err, c.Fault)
				}
			case err != nil:
				t.Errorf("error %v", err)
			case c.Key == nil && key != nil, c.Key != nil && (key == nil || string(key) != *c.Key):
				t.Errorf("key %q, want %v", key, c.Key)
			}
			if e.Key = key; c.Key == nil && string(e.KeyBytes()) != "stream-1" || c.Key != nil &&
				string(e.KeyBytes()) != *c.Key {
				t.Errorf("KeyBytes() = %q", e.KeyBytes())
			}
		})
	}
}

func TestPartition_KeyDepth(t *testing.T) {
	t.Parallel()
	partition := store.Partition{By: store.PartitionJSON, Path: []string{"k"}}
	for _, c := range []struct {
		depth int
		ok    bool
	}{{10_000, true}, {10_001, false}} {
		for _, brackets := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
			open, end := strings.Repeat(brackets[0], c.depth-1), strings.Repeat(brackets[1], c.depth-1)
			payload := `{"a":` + strings.ReplaceAll(open+"0"+end, "[0]", "[]") + `,"k":"c1"}`
			if json.Valid([]byte(payload)) != c.ok {
				t.Fatal("encoding/json has another limit")
			}
			key, err := partition.Key(&store.RecordedEvent{Event: store.Event{Payload: []byte(payload)}})
			if (err == nil) != c.ok || c.ok && string(key) != "c1" {
				t.Errorf("%d deep: key %q, error %v", c.depth, key, err)
			}
		}
	}
}

func TestPartition_KeyAllocatesNothing(t *testing.T) {
	e := &store.RecordedEvent{Stream: store.Stream{AggregateID: "stream-1"}}
	e.Payload = []byte(`{"a":"\n","list":[1,{"b":null}],"\u0063ustomer":{"id":"c-0000000000001"}}`)
	e.Metadata, e.CorrelationID = []byte(`{"n":-12}`), "correlation"
	for _, partition := range []store.Partition{
		{},
		{By: store.PartitionJSON, Path: []string{"customer", "id"}},
		{By: store.PartitionJSON, Path: []string{"nothing"}},
		{By: store.PartitionMetadata, Path: []string{"n"}},
		{By: store.PartitionCorrelation},
	} {
		allocations := testing.AllocsPerRun(100, func() {
			key, err := partition.Key(e)
			if err != nil {
				t.Fatal(err)
			}
			e.Key = key
			_ = store.PartitionHashOf(e.KeyBytes())
		})
		if allocations > 0 {
			t.Errorf("%s: %v allocations", partition, allocations)
		}
	}
}

func TestPartition_Columns(t *testing.T) {
	t.Parallel()
	full := store.RecordedEvent{Stream: store.Stream{AggregateID: "a"}}
	full.Payload, full.Metadata, full.CorrelationID = []byte(`{"k":"p"}`), []byte(`{"k":"m"}`), "c"
	for _, c := range []struct {
		partition store.Partition
		columns   store.Columns
		key       string
	}{
		{store.Partition{}, store.ColumnAggregateID, "a"},
		{store.Partition{By: store.PartitionStream}, store.ColumnAggregateID, "a"},
		{
			store.Partition{By: store.PartitionJSON, Path: []string{"k"}},
			store.ColumnAggregateID | store.ColumnPayload,
			"p",
		},
		{
			store.Partition{By: store.PartitionMetadata, Path: []string{"k"}},
			store.ColumnAggregateID | store.ColumnMetadata, "m",
		},
		{store.Partition{By: store.PartitionCorrelation}, store.ColumnAggregateID | store.ColumnCorrelationID, "c"},
	} {
		if got := c.partition.Columns(); got != c.columns {
			t.Errorf("%s: Columns() = %b, want %b", c.partition, got, c.columns)
		}
		e := full
		e.Key, _ = c.partition.Key(&e)
		if string(e.KeyBytes()) != c.key {
			t.Errorf("%s: key %q, want %q", c.partition, e.KeyBytes(), c.key)
		}
	}
}

func TestPartitionHashOf(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a", "fine-1", "Zoë"} {
		if store.PartitionHashOf([]byte(text)) != store.PartitionHash(text) {
			t.Errorf("the hashes of %q differ", text)
		}
	}
	if got := store.PartitionHash("foobar"); got != 0xbf9cf968 {
		t.Errorf("PartitionHash = %#x is not FNV-1a", got)
	}
}

func BenchmarkPartition_Key(b *testing.B) {
	payload := []byte(`{"amount":"35.00","points":0,"article":"157","vehicleClass":"A","dismissal":"NIL","notificationType":"P","lastSent":"P",` +
		`"paymentAmount":"36.00","totalPaymentAmount":"36.00","matricola":"","expense":"11.00","resource":"561","fine":"A1234567","place":{"city":"x"}}`)
	e := &store.RecordedEvent{Event: store.Event{Payload: payload}}
	for _, name := range []string{"amount", "fine", "absent"} {
		partition := store.Partition{By: store.PartitionJSON, Path: []string{name}}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				if _, err := partition.Key(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
