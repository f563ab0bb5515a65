package abi_test

import (
	"testing"

	"github.com/pupwasm/pupwasm/host/abi"
)

// The allocation tests count for a whole batch of 1,000 events: what is allowed is a few for each column or
// block, and nothing that grows with the number of events. They cannot be parallel, since AllocsPerRun counts
// the whole process.

func TestBatchEncoder_allocatesNothingPerEvent(t *testing.T) {
	c := benchColumns(benchEvents)
	encoder := &abi.BatchEncoder{}
	encode := func() {
		if _, err := c.encodeAll(encoder); err != nil {
			t.Fatal(err)
		}
	}
	encode() // warms the encoder's buffers
	const columns = 15
	if allocs := testing.AllocsPerRun(20, encode); allocs > columns {
		t.Errorf("encoding %d events allocates %.0f times, want one a column at most", benchEvents, allocs)
	}
}

func TestDecodeBatch_allocatesNothingPerEvent(t *testing.T) {
	block := benchBatch(benchEvents).block()
	sum := 0
	allocs := testing.AllocsPerRun(20, func() {
		decoded, err := abi.DecodeBatch(block)
		if err != nil {
			t.Fatal(err)
		}
		for i := range decoded.Count {
			id := decoded.UUID(abi.EventID, i)
			sum += int(decoded.Int64(abi.GlobalPosition, i)) + int(decoded.Uint32(abi.PartitionHash, i)) + int(id[0])
			sum += len(decoded.Bytes(abi.EventType, i)) + len(decoded.Bytes(abi.Payload, i))
		}
	})
	if allocs > 1 {
		t.Errorf("decoding %d events allocates %.0f times, want once", benchEvents, allocs)
	}
}

func TestDecodeReply_allocatesNothingPerMutation(t *testing.T) {
	// JSON is left out: json.Valid borrows a scanner from a pool, which the race detector empties at random.
	for _, shape := range []string{"counter", "row"} {
		reply := benchReply(shape)
		allocs := testing.AllocsPerRun(20, func() {
			if err := decodeReply(reply); err != nil {
				t.Fatal(err)
			}
		})
		if allocs > 1 {
			t.Errorf("%s: decoding %d mutations allocates %.0f times, want once", shape, benchEvents, allocs)
		}
	}
}

func TestAppend_allocatesNothing(t *testing.T) {
	buffer := make([]byte, 0, 1<<10)
	allocs := testing.AllocsPerRun(20, func() {
		buffer = abi.AppendReply(buffer[:0], 1, 0)
		buffer = abi.AppendMutation(buffer, 0, 10, 0)
		buffer = abi.AppendNull(buffer)
		buffer = abi.AppendBool(buffer, true)
		buffer = abi.AppendI64(buffer, 1)
		buffer = abi.AppendF64(buffer, 1)
		buffer = abi.AppendTimestamp(buffer, 1)
		buffer = abi.AppendUUID(buffer, [16]byte{1})
		buffer = abi.AppendBytes(buffer, abi.KindText, "text")
		buffer = abi.AppendArray(buffer, abi.KindI64, 1)
		buffer = abi.AppendQuery(buffer, 0, 0)
		buffer = abi.AppendRows(buffer, 0, 0)
	})
	if allocs > 0 {
		t.Errorf("appending to a buffer with room allocates %.0f times", allocs)
	}
}
