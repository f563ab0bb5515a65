package abi_test

import (
	"testing"

	"github.com/pupwasm/pupwasm/host/abi"
)

func TestColumnByName(t *testing.T) {
	t.Parallel()
	for _, c := range allColumns() {
		if got, known := abi.ColumnByName(c.id.String()); !known || got != c.id {
			t.Errorf("ColumnByName(%q) = %d, %v, want %d", c.id, got, known, c.id)
		}
	}
	for _, name := range []string{"", "Payload", "payload ", "position"} {
		if got, known := abi.ColumnByName(name); known {
			t.Errorf("ColumnByName(%q) = %d, want none", name, got)
		}
	}
	for _, id := range []abi.Column{0, abi.PartitionKey + 1, 0xFFFF} {
		if got := id.String(); got != "" {
			t.Errorf("Column(%d).String() = %q, want none", id, got)
		}
	}
}

func TestBatchEncoder_anotherNumberOfColumns(t *testing.T) {
	t.Parallel()
	for name, columns := range map[string]int{"fewer": 0, "more": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("Finish does not panic")
				}
			}()
			e := &abi.BatchEncoder{}
			e.Begin(abi.BatchHeader{Count: 8}, 1)
			for range columns {
				e.Int64s(abi.GlobalPosition, func(i int) int64 { return int64(i) })
			}
			_, _ = e.Finish()
		})
	}
}

func TestBatchEncoder_startsAfresh(t *testing.T) {
	t.Parallel()
	e := &abi.BatchEncoder{}
	large, small := benchBatch(50), goldenTexts(abi.Dictionary)
	if _, err := large.encode(e); err != nil {
		t.Fatal(err)
	}
	block, err := small.encode(e)
	if err != nil {
		t.Fatal(err)
	}
	if want := small.block(); string(block) != string(want) {
		t.Errorf("after a larger batch\n got %x\nwant %x", block, want)
	}
}

func TestRepeated_dictionaryHoldsEveryTextOnce(t *testing.T) {
	t.Parallel()
	texts := []string{"a", "", "a", "b", "", "", "a\x00", "b"}
	e := &abi.BatchEncoder{}
	e.Begin(abi.BatchHeader{Count: len(texts)}, 1)
	e.Repeated(abi.EventType, func(i int) string { return texts[i] })
	block, err := e.Finish()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := abi.DecodeBatch(block)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range texts {
		if got := string(decoded.Bytes(abi.EventType, i)); got != want {
			t.Errorf("event %d: got %q, want %q", i, got, want)
		}
	}
	const entries = abi.BatchHeaderSize + fieldEntries
	if block[entries] != 4 {
		t.Errorf("the dictionary has %d entries, want 4", block[entries])
	}
}
