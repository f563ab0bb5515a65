package abi_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/host/abi"
)

func drawBatch(t *rapid.T) *batch {
	b := &batch{segment: rapid.Uint32().Draw(t, "segment"), logLevel: rapid.Uint32().Draw(t, "log level")}
	columns := rapid.Permutation(allColumns()).Draw(t, "columns")
	b.columns = columns[:rapid.IntRange(0, len(columns)).Draw(t, "number of columns")]
	for i, c := range b.columns {
		if c.id != abi.Payload && c.id != abi.Metadata && (c.encoding == abi.Dictionary || c.encoding == abi.Strings) {
			b.columns[i].encoding = rapid.SampledFrom([]abi.Encoding{abi.Dictionary, abi.Strings}).Draw(t, "encoding")
		}
	}
	// Few texts, so that dictionaries have something to do.
	texts := rapid.SliceOfN(rapid.String(), 1, 4).Draw(t, "texts")
	for range rapid.IntRange(0, 20).Draw(t, "events") {
		e := event{}
		for _, c := range b.columns {
			switch {
			case c.encoding == abi.Fixed4:
				e[c.id] = rapid.Uint32().Draw(t, "u32")
			case c.encoding == abi.Fixed8:
				e[c.id] = rapid.Int64().Draw(t, "i64")
			case c.encoding == abi.Fixed16:
				e[c.id] = [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
			case c.id == abi.Payload || c.id == abi.Metadata:
				e[c.id] = string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
			default:
				e[c.id] = rapid.SampledFrom(texts).Draw(t, "text")
			}
		}
		b.events = append(b.events, e)
	}
	return b
}

// TestBatch_roundTrip checks with one encoder for all batches that nothing of a batch leaks into the next one.
func TestBatch_roundTrip(t *testing.T) {
	t.Parallel()
	encoder := &abi.BatchEncoder{}
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t)
		block, err := b.encode(encoder)
		if err != nil {
			t.Fatal(err)
		}
		if len(block)%8 != 0 {
			t.Errorf("the block has %d bytes, which is no multiple of 8", len(block))
		}
		if !bytes.Equal(block, b.block()) {
			t.Error("a used encoder gives another block than a new one")
		}
		for _, variant := range [][]byte{block, asLaterHost(block)} {
			decoded, err := abi.DecodeBatch(variant)
			if err != nil {
				t.Fatal(err)
			}
			if decoded.Count != len(b.events) {
				t.Fatalf("got %d events, want %d", decoded.Count, len(b.events))
			}
			got, err := read(decoded, b.columns)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, b) {
				t.Errorf("got %v, want %v", got, b)
			}
			for _, c := range allColumns() {
				wanted := slices.ContainsFunc(b.columns, func(w columnForm) bool { return w.id == c.id })
				if decoded.Has(c.id) != wanted {
					t.Errorf("Has(%s) = %v", c.id, decoded.Has(c.id))
				}
			}
		}
	})
}

// TestBatch_cutOrLengthened checks that no part of a batch passes for a batch.
func TestBatch_cutOrLengthened(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		block := drawBatch(t).block()
		cut := rapid.IntRange(0, len(block)-1).Draw(t, "cut")
		if _, err := abi.DecodeBatch(block[:cut]); !errors.Is(err, abi.ErrFormat) {
			t.Errorf("cut off at %d: got %v, want ErrFormat", cut, err)
		}
		more := rapid.SliceOfN(rapid.Byte(), 1, 16).Draw(t, "more")
		if _, err := abi.DecodeBatch(append(block, more...)); !errors.Is(err, abi.ErrFormat) {
			t.Errorf("%d bytes more: got %v, want ErrFormat", len(more), err)
		}
	})
}

// TestBatch_damaged checks that a damaged batch is refused or read within its bounds.
func TestBatch_damaged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t)
		block := bytes.Clone(b.block())
		for range rapid.IntRange(1, 3).Draw(t, "damages") {
			block[rapid.IntRange(0, len(block)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		decoded, err := abi.DecodeBatch(block)
		if err == nil {
			_, _ = read(decoded, columnsOf(block, decoded))
		} else if !errors.Is(err, abi.ErrFormat) {
			t.Errorf("got %v, want ErrFormat", err)
		}
	})
}

func drawScalar(t *rapid.T, kind abi.Kind) value {
	switch kind {
	case abi.KindNull:
		return null
	case abi.KindBool:
		return boolean(rapid.Bool().Draw(t, "bool"))
	case abi.KindI64, abi.KindTimestamp, abi.KindF64:
		return value{kind: kind, word: rapid.Uint64().Draw(t, "word")}
	case abi.KindNumeric:
		return bytesOf(kind, rapid.StringMatching(`[-+]?[0-9]{1,40}(\.[0-9]{1,40})?`).Draw(t, "numeric"))
	case abi.KindText:
		return text(rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 })).Draw(t, "text"))
	case abi.KindJSON:
		return bytesOf(kind, string(mustJSON(map[string]any{
			"v": rapid.String().Draw(t, "string"),
			"n": rapid.Float64().Draw(t, "number"),
		})))
	case abi.KindUUID:
		return bytesOf(kind, string(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid")))
	default:
		return bytesOf(kind, string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
	}
}

func drawValue(t *rapid.T) value {
	kind := abi.Kind(rapid.IntRange(0, len(kindNames)-1).Draw(t, "kind"))
	if kind == abi.KindNull || rapid.Bool().Draw(t, "scalar") {
		return drawScalar(t, kind)
	}
	array := value{kind: kind, array: true}
	for range rapid.IntRange(0, 5).Draw(t, "elements") {
		if rapid.Bool().Draw(t, "null") {
			array.elements = append(array.elements, null)
		} else {
			array.elements = append(array.elements, drawScalar(t, kind))
		}
	}
	return array
}

func drawReply(t *rapid.T) *replyJSON {
	r := &replyJSON{}
	for range rapid.IntRange(0, 5).Draw(t, "mutations") {
		r.Mutations = append(r.Mutations, mutationJSON{
			Write:  int(rapid.Uint16().Draw(t, "write")),
			Event:  int(rapid.Int32Min(0).Draw(t, "event")),
			Values: drawValues(t),
		})
	}
	return r
}

func drawValues(t *rapid.T) []value {
	values := []value{}
	for range rapid.IntRange(0, 6).Draw(t, "values") {
		values = append(values, drawValue(t))
	}
	return values
}

func TestReply_roundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := drawReply(t)
		got, err := readReply(r.encode())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Errorf("got %s, want %s", mustJSON(got), mustJSON(r))
		}
	})
}

// TestReply_cutOrLengthened checks that no part of a reply passes for a reply, not even with a size that fits.
func TestReply_cutOrLengthened(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		block := drawReply(t).encode()
		cut := rapid.IntRange(0, len(block)-1).Draw(t, "cut")
		if _, err := readReply(block[:cut]); !errors.Is(err, abi.ErrFormat) {
			t.Errorf("cut off at %d: got %v, want ErrFormat", cut, err)
		}
		if cut >= abi.ReplyHeaderSize {
			if _, err := readReply(put(block[:cut], 16, uint32(cut-abi.ReplyHeaderSize))); !errors.Is(err, abi.ErrFormat) {
				t.Errorf("cut off at %d with its size: got %v, want ErrFormat", cut, err)
			}
		}
		longer := append(block, rapid.SliceOfN(rapid.Byte(), 1, 16).Draw(t, "more")...)
		if _, err := readReply(longer); !errors.Is(err, abi.ErrFormat) {
			t.Errorf("lengthened: got %v, want ErrFormat", err)
		}
		if _, err := readReply(put(longer, 16, uint32(len(longer)-abi.ReplyHeaderSize))); !errors.Is(err, abi.ErrFormat) {
			t.Errorf("lengthened with its size: got %v, want ErrFormat", err)
		}
	})
}

func TestErrorReply_roundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := errorVector("", rapid.Uint32().Draw(t, "event"), rapid.Uint32().Draw(t, "code"),
			drawScalar(t, abi.KindText).bytes)
		got, err := readReply(r.encode())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Errorf("got %s, want %s", mustJSON(got), mustJSON(r))
		}
	})
}

func TestQuery_roundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := &queryJSON{Query: int(rapid.Int32Min(0).Draw(t, "query")), Arguments: drawValues(t)}
		got, err := readQuery(q.encode())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, q) {
			t.Errorf("got %s, want %s", mustJSON(got), mustJSON(q))
		}
	})
}

func TestRows_roundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := &rowsJSON{Rows: rapid.IntRange(0, 5).Draw(t, "rows"), Width: rapid.IntRange(1, 4).Draw(t, "width")}
		for range r.Rows {
			row := []value{}
			for range r.Width {
				row = append(row, drawValue(t))
			}
			r.Cells = append(r.Cells, row)
		}
		got, err := readRows(r.encode())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Errorf("got %s, want %s", mustJSON(got), mustJSON(r))
		}
	})
}
