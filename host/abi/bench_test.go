package abi_test

import (
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/host/abi"
)

// The benchmarks work on batches of 1,000 events with about 260 bytes of payload each, as in shared
// measurements. Compare with
//
//	go test -run='^$' -bench=. -count=10 ./host/abi | tee new.txt; benchstat old.txt new.txt

const benchEvents = 1000

// benchBatch is a batch of n events of a typical shop: few types, one stream in four events.
func benchBatch(n int) *batch {
	payload := `{"order":"o-00000001","customer":"c-0042","currency":"EUR","lines":[{"sku":"A-1","quantity":2,"price":"12.50"},` +
		`{"sku":"B-7","quantity":1,"price":"7.95"}],"note":"leave the parcel with the neighbours in number twelve, please",` +
		`"total":"32.95","placed_at":"2024-05-01T10:00:00Z"}`
	types := []string{"OrderPlaced", "OrderPaid", "OrderShipped", "OrderClosed"}
	b := &batch{columns: allColumns(), logLevel: 1}
	for i := range n {
		b.events = append(b.events, event{
			abi.GlobalPosition:   int64(i + 1),
			abi.AggregateVersion: int64(i%4 + 1),
			abi.BoundedContext:   "sales",
			abi.AggregateType:    "order",
			abi.AggregateID:      fmt.Sprintf("order-%08d", i/4),
			abi.EventID:          [16]byte{byte(i), byte(i >> 8), 6: 0x70, 8: 0x80},
			abi.EventType:        types[i%len(types)],
			abi.EventVersion:     uint32(1),
			abi.Payload:          payload,
			abi.Metadata:         `{"user":"u-17","source":"web"}`,
			abi.TraceID:          fmt.Sprintf("4bf92f3577b34da6a3ce929d%08x", i),
			abi.CorrelationID:    fmt.Sprintf("c-%08d", i/4),
			abi.CausationID:      "",
			abi.CreatedAt:        1_700_000_000_000_000 + int64(i),
			abi.PartitionHash:    uint32(i) * 2654435761,
		})
	}
	return b
}

// columnarEvents holds the fields of a batch as a host has them, without maps and boxing.
type columnarEvents struct {
	positions, versions, created     []int64
	contexts, types, ids, names      []string
	traces, correlations, causations []string
	eventIDs                         [][16]byte
	eventVersions, hashes            []uint32
	payloads, metadata               [][]byte
}

func benchColumns(n int) *columnarEvents {
	c := &columnarEvents{}
	for _, e := range benchBatch(n).events {
		c.positions = append(c.positions, e[abi.GlobalPosition].(int64))
		c.versions = append(c.versions, e[abi.AggregateVersion].(int64))
		c.contexts = append(c.contexts, e[abi.BoundedContext].(string))
		c.types = append(c.types, e[abi.AggregateType].(string))
		c.ids = append(c.ids, e[abi.AggregateID].(string))
		c.eventIDs = append(c.eventIDs, e[abi.EventID].([16]byte))
		c.names = append(c.names, e[abi.EventType].(string))
		c.eventVersions = append(c.eventVersions, e[abi.EventVersion].(uint32))
		c.payloads = append(c.payloads, []byte(e[abi.Payload].(string)))
		c.metadata = append(c.metadata, []byte(e[abi.Metadata].(string)))
		c.traces = append(c.traces, e[abi.TraceID].(string))
		c.correlations = append(c.correlations, e[abi.CorrelationID].(string))
		c.causations = append(c.causations, e[abi.CausationID].(string))
		c.created = append(c.created, e[abi.CreatedAt].(int64))
		c.hashes = append(c.hashes, e[abi.PartitionHash].(uint32))
	}
	return c
}

// encodeAll lays out every column.
func (c *columnarEvents) encodeAll(e *abi.BatchEncoder) ([]byte, error) {
	e.Begin(abi.BatchHeader{Count: len(c.positions), LogLevel: 1}, 15)
	c.encodeFew(e)
	e.Repeated(abi.BoundedContext, func(i int) string { return c.contexts[i] })
	e.Repeated(abi.AggregateType, func(i int) string { return c.types[i] })
	e.UUIDs(abi.EventID, func(i int) [16]byte { return c.eventIDs[i] })
	e.Uint32s(abi.EventVersion, func(i int) uint32 { return c.eventVersions[i] })
	e.Bytes(abi.Metadata, func(i int) []byte { return c.metadata[i] })
	e.Texts(abi.TraceID, func(i int) string { return c.traces[i] })
	e.Texts(abi.CorrelationID, func(i int) string { return c.correlations[i] })
	e.Texts(abi.CausationID, func(i int) string { return c.causations[i] })
	e.Int64s(abi.CreatedAt, func(i int) int64 { return c.created[i] })
	e.Uint32s(abi.PartitionHash, func(i int) uint32 { return c.hashes[i] })
	return e.Finish()
}

// encodeFew lays out the columns that most projections want.
func (c *columnarEvents) encodeFew(e *abi.BatchEncoder) {
	e.Int64s(abi.GlobalPosition, func(i int) int64 { return c.positions[i] })
	e.Int64s(abi.AggregateVersion, func(i int) int64 { return c.versions[i] })
	e.Texts(abi.AggregateID, func(i int) string { return c.ids[i] })
	e.Repeated(abi.EventType, func(i int) string { return c.names[i] })
	e.Bytes(abi.Payload, func(i int) []byte { return c.payloads[i] })
}

// perEvent adds the time of one event to a benchmark's numbers.
func perEvent(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchEvents), "ns/event")
}

func BenchmarkEncodeBatch(b *testing.B) {
	c := benchColumns(benchEvents)
	encode := map[string]func(e *abi.BatchEncoder) ([]byte, error){
		"all": c.encodeAll,
		"few": func(e *abi.BatchEncoder) ([]byte, error) {
			e.Begin(abi.BatchHeader{Count: benchEvents}, 5)
			c.encodeFew(e)
			return e.Finish()
		},
	}
	for _, columns := range []string{"all", "few"} {
		b.Run("columns="+columns, func(b *testing.B) {
			e := &abi.BatchEncoder{}
			block, err := encode[columns](e)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := encode[columns](e); err != nil {
					b.Fatal(err)
				}
			}
			perEvent(b)
		})
	}
}

func BenchmarkDecodeBatch(b *testing.B) {
	block := benchBatch(benchEvents).block()
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		decoded, err := abi.DecodeBatch(block)
		if err != nil {
			b.Fatal(err)
		}
		for i := range decoded.Count {
			_ = decoded.Int64(abi.GlobalPosition, i)
			_ = decoded.Bytes(abi.EventType, i)
			_ = decoded.Bytes(abi.Payload, i)
		}
	}
	perEvent(b)
}

// benchReply has one mutation an event, in three shapes.
func benchReply(shape string) []byte {
	body := []byte{}
	for i := range benchEvents {
		key := fmt.Sprintf("order-%08d", i/4)
		switch shape {
		case "counter":
			body = abi.AppendMutation(body, 0, 2, uint32(i))
			body = appendValues(body, text(key), i64(1))
		case "row":
			body = abi.AppendMutation(body, 1, 7, uint32(i))
			body = appendValues(body, text(key), text("OrderPlaced"), bytesOf(abi.KindNumeric, "32.95"),
				timestamp(int64(i)),
				bytesOf(abi.KindUUID, "0123456789abcdef"), boolean(true), null)
		case "document":
			body = abi.AppendMutation(body, 2, 2, uint32(i))
			body = appendValues(body, text(key), bytesOf(abi.KindJSON, string(benchDocument)))
		}
	}
	return append(abi.AppendReply(nil, benchEvents, len(body)), body...)
}

var benchDocument = []byte(benchBatch(1).events[0][abi.Payload].(string))

func decodeReply(reply []byte) error {
	r, err := abi.DecodeReply(reply)
	if err != nil {
		return err
	}
	for range r.Count {
		m, err := r.Mutation()
		if err != nil {
			return err
		}
		for range m.Values {
			if _, err := r.Next(); err != nil {
				return err
			}
		}
	}
	return r.End()
}

func BenchmarkDecodeReply(b *testing.B) {
	for _, shape := range []string{"counter", "row", "document"} {
		b.Run("shape="+shape, func(b *testing.B) {
			reply := benchReply(shape)
			b.SetBytes(int64(len(reply)))
			b.ReportAllocs()
			for b.Loop() {
				if err := decodeReply(reply); err != nil {
					b.Fatal(err)
				}
			}
			perEvent(b)
		})
	}
}

func BenchmarkAppendReply(b *testing.B) {
	buffer := benchReply("row")
	b.SetBytes(int64(len(buffer)))
	b.ReportAllocs()
	for b.Loop() {
		buffer = abi.AppendReply(buffer[:0], benchEvents, 0)
		for i := range benchEvents {
			buffer = abi.AppendMutation(buffer, 1, 4, uint32(i))
			buffer = abi.AppendBytes(buffer, abi.KindText, "order-00000001")
			buffer = abi.AppendI64(buffer, int64(i))
			buffer = abi.AppendTimestamp(buffer, int64(i))
			buffer = abi.AppendNull(buffer)
		}
	}
	perEvent(b)
}
