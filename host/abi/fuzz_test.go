package abi_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host/abi"
)

// The fuzz tests start from testdata/fuzz, which TestCorpus keeps, and from the golden vectors. What a
// decoder accepts has to survive encoding and decoding again; what it refuses has to be ErrFormat.

// addGolden seeds a fuzz test with the golden vectors of a kind.
func addGolden(f *testing.F, kind string) {
	for name, vector := range goldenVectors() {
		if strings.HasPrefix(name, kind+"_") {
			f.Add(vector.encode())
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	addGolden(f, "batch")
	f.Fuzz(func(t *testing.T, block []byte) {
		before := bytes.Clone(block)
		decoded, err := abi.DecodeBatch(block)
		if err != nil {
			if !errors.Is(err, abi.ErrFormat) {
				t.Fatalf("got %v, want ErrFormat", err)
			}
			return
		}
		columns := columnsOf(block, decoded)
		b, err := read(decoded, columns)
		if err != nil {
			t.Fatal(err)
		}
		checkCapped(t, decoded, columns)
		if len(columns) == 0 {
			return // written again it is shorter than its number of events, which no block of a host is: they have positions
		}
		again, err := abi.DecodeBatch(b.block())
		if err != nil {
			t.Fatalf("encoded again: %v", err)
		}
		got, err := read(again, columns)
		if err != nil {
			t.Fatal(err)
		}
		if want := mustJSON(b.readable("")); !bytes.Equal(mustJSON(got.readable("")), want) {
			t.Errorf("encoded again and decoded\n got %s\nwant %s", mustJSON(got.readable("")), want)
		}
		if !bytes.Equal(before, block) {
			t.Error("decoding changed the block")
		}
	})
}

// columnsOf finds the columns of a decoded block with the encodings that its descriptors give.
func columnsOf(block []byte, decoded *abi.Batch) []columnForm {
	encodings := map[abi.Column]abi.Encoding{}
	descriptors := block[binary.LittleEndian.Uint16(block[batchHeaderSize:]):]
	for range binary.LittleEndian.Uint32(block[batchColumns:]) {
		id := abi.Column(binary.LittleEndian.Uint16(descriptors))
		encodings[id] = abi.Encoding(binary.LittleEndian.Uint16(descriptors[fieldEncoding:]))
		descriptors = descriptors[abi.ColumnDescriptorSize:]
	}
	var columns []columnForm
	for _, c := range allColumns() {
		if decoded.Has(c.id) {
			columns = append(columns, columnForm{c.id, encodings[c.id]})
		}
	}
	return columns
}

// checkCapped checks that appending to a view that an accessor gives copies it and cannot reach the next value.
func checkCapped(t *testing.T, decoded *abi.Batch, columns []columnForm) {
	t.Helper()
	for _, c := range columns {
		if c.encoding != abi.Dictionary && c.encoding != abi.Strings {
			continue
		}
		for i := range decoded.Count {
			if v := decoded.Bytes(c.id, i); cap(v) != len(v) {
				t.Fatalf("column %s, event %d has %d bytes and room for %d", c.id, i, len(v), cap(v))
			}
		}
	}
}

func FuzzDecodeReply(f *testing.F) {
	addGolden(f, "reply")
	f.Fuzz(func(t *testing.T, block []byte) {
		reply, err := readReply(block)
		if err != nil {
			if !errors.Is(err, abi.ErrFormat) {
				t.Fatalf("got %v, want ErrFormat", err)
			}
			return
		}
		// Values have one encoding only, so that the same bytes come out, except for fields that a reader
		// ignores.
		want := put(block, 20, uint32(0))
		if reply.Status == abi.StatusMutations {
			want = put(want, 12, uint32(0))
		}
		if got := reply.encode(); !bytes.Equal(got, want) {
			t.Errorf("encoded again\n got %x\nwant %x", got, want)
		}
	})
}

func FuzzDecodeQuery(f *testing.F) {
	addGolden(f, "query")
	f.Fuzz(func(t *testing.T, block []byte) {
		query, err := readQuery(block)
		if err != nil {
			if !errors.Is(err, abi.ErrFormat) {
				t.Fatalf("got %v, want ErrFormat", err)
			}
			return
		}
		if got, want := query.encode(), put(block, 6, uint16(0)); !bytes.Equal(got, want) {
			t.Errorf("encoded again\n got %x\nwant %x", got, want)
		}
	})
}

func FuzzDecodeRows(f *testing.F) {
	addGolden(f, "rows")
	f.Fuzz(func(t *testing.T, block []byte) {
		rows, err := readRows(block)
		if err != nil {
			if !errors.Is(err, abi.ErrFormat) {
				t.Fatalf("got %v, want ErrFormat", err)
			}
			return
		}
		if got := rows.encode(); !bytes.Equal(got, block) {
			t.Errorf("encoded again\n got %x\nwant %x", got, block)
		}
	})
}
