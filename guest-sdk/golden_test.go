package pup

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/pupwasm/pupwasm/guest-sdk/internal/host"
)

// vectors is where the host keeps the golden vectors of the ABI; the SDK has to agree with every one of them.
const vectors = "../host/abi/testdata/golden"

// forEachVector calls check for every vector of a kind with its JSON form and its block, which is aligned to 8 bytes.
func forEachVector(t *testing.T, kind string, check func(t *testing.T, form, block []byte)) {
	files, err := filepath.Glob(filepath.Join(vectors, kind+"_*.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("there are no golden vectors in %s: the SDK is tested without the rest of the project", vectors)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".bin"), func(t *testing.T) {
			block, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			form, err := os.ReadFile(strings.TrimSuffix(file, ".bin") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			check(t, form, aligned(block))
		})
	}
}

func aligned(block []byte) []byte {
	words := make([]uint64, len(block)/8+1)
	copied := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(block))
	copy(copied, block)
	return copied
}

func parse(t *testing.T, form []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(form, into); err != nil {
		t.Fatal(err)
	}
}

func TestGolden_batchesAreRead(t *testing.T) {
	t.Parallel()
	forEachVector(t, "batch", func(t *testing.T, form, block []byte) {
		var want struct {
			Segment  int
			LogLevel Level `json:"log_level"`
			Events   []map[string]string
		}
		parse(t, form, &want)
		var b Batch
		if problem := b.decode(block); problem != "" {
			t.Fatal(problem)
		}
		if b.Len() != len(want.Events) || b.Segment() != want.Segment || b.logLevel != want.LogLevel {
			t.Errorf("%d events, segment %d, log level %d", b.Len(), b.Segment(), b.logLevel)
		}
		for e := range b.Events() {
			for name, value := range want.Events[e.Index()] {
				if got := goldenField(e, name); got != value {
					t.Errorf("event %d: %s is %s, want %s", e.Index(), name, got, value)
				}
			}
		}
	})
}

// goldenField returns a field in the form of the vectors.
func goldenField(e Event, name string) string {
	number := func(v int64) string { return strconv.FormatInt(v, 10) }
	raw := func(v []byte) string {
		if !json.Valid(v) && len(v) > 0 {
			return "hex:" + hex.EncodeToString(v)
		}
		return string(v)
	}
	switch Field(slices.Index(fieldNames[:], name)) {
	case GlobalPosition:
		return number(e.Position())
	case AggregateVersion:
		return number(e.AggregateVersion())
	case BoundedContext:
		return e.BoundedContext()
	case AggregateType:
		return e.AggregateType()
	case AggregateID:
		return e.AggregateID()
	case EventID:
		id := e.ID()
		return hex.EncodeToString(id[:])
	case EventType:
		return e.Type()
	case EventVersion:
		return number(int64(e.Version()))
	case Payload:
		return raw(e.Payload())
	case Metadata:
		return string(e.Metadata())
	case TraceID:
		return e.TraceID()
	case CorrelationID:
		return e.CorrelationID()
	case CausationID:
		return e.CausationID()
	case CreatedAt:
		return number(e.CreatedAt())
	case PartitionHash:
		return number(int64(e.PartitionHash()))
	case PartitionKey:
		return e.PartitionKey()
	}
	return "a field that the SDK does not know"
}

func TestGolden_repliesAreWritten(t *testing.T) {
	t.Parallel()
	forEachVector(t, "reply", func(t *testing.T, form, block []byte) {
		var want struct {
			Status    int
			Mutations []struct {
				Write, Event int
				Values       []goldenValue
			}
			Event, Code uint32
			Message     string
		}
		parse(t, form, &want)
		out := newMutations(nil, 0)
		var reply []byte
		if want.Status == statusError {
			reply = out.finishError(&Error{Event: int(int32(want.Event)), Code: want.Code, Message: want.Message})
		} else {
			for _, m := range want.Mutations {
				w := &Write{change: change{index: m.Write, params: types(m.Values)}}
				row := w.Row(out, Event{index: m.Event})
				for _, v := range m.Values {
					v.give(row)
				}
			}
			out.row.end()
			reply = out.finish()
		}
		if out.row.failure != nil || !bytes.Equal(reply, block) {
			t.Errorf("written is\n%x\nwant\n%x\nerror %v", reply, block, out.row.failure)
		}
	})
}

func TestGolden_queriesAreWritten(t *testing.T) {
	forEachVector(t, "query", func(t *testing.T, form, block []byte) {
		var want struct {
			Query     int
			Arguments []goldenValue
		}
		parse(t, form, &want)
		var b Batch
		q := &Query{index: want.Query, params: types(want.Arguments)}
		args := q.Args(&b)
		for _, v := range want.Arguments {
			v.give(args)
		}
		var request []byte
		host.OnQuery = func(r []byte) []byte {
			request = bytes.Clone(r)
			return make([]byte, rowsHeaderSize)
		}
		defer func() { host.OnQuery = nil }()
		if q.Run(&b).Next() || b.failure != nil || !bytes.Equal(request, block) {
			t.Errorf("written is\n%x\nwant\n%x\nerror %v", request, block, b.failure)
		}
	})
}

func TestGolden_rowsAreRead(t *testing.T) {
	forEachVector(t, "rows", func(t *testing.T, form, block []byte) {
		var want struct {
			Rows, Width int
			Cells       [][]goldenValue
		}
		parse(t, form, &want)
		q := &Query{results: make([]Type, want.Width)}
		for _, row := range want.Cells {
			for i, t := range types(row) {
				q.results[i] = max(q.results[i], t) // NULL has no type of its own
			}
		}
		host.OnQuery = func([]byte) []byte { return block }
		defer func() { host.OnQuery = nil }()
		var b Batch
		rows := q.Run(&b)
		if rows.Len() != want.Rows {
			t.Errorf("%d rows, want %d", rows.Len(), want.Rows)
		}
		for _, row := range want.Cells {
			rows.Next()
			for i, v := range row {
				if got := read(rows, q.results[i]); got != v.String() {
					t.Errorf("a value is %s, want %s", got, v)
				}
			}
		}
		if rows.Next() {
			t.Error("there is a row more")
		}
	})
}

// goldenValue is a value in the form of the vectors: {"i64":"1"}, {"text[]":["a",null]} or null.
type goldenValue struct {
	kind  Type
	value any
}

func (v *goldenValue) UnmarshalJSON(data []byte) error {
	var form map[string]any
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	for name, value := range form {
		element, array := strings.CutSuffix(name, "[]")
		v.kind, v.value = Type(slices.Index(typeNames[:], element)), value
		if array {
			v.kind = v.kind.Array()
		}
	}
	return nil
}

func (v goldenValue) String() string { return fmt.Sprint(v.kind, " ", v.value) }

func types(values []goldenValue) []Type {
	all := make([]Type, len(values))
	for i, v := range values {
		all[i] = v.kind
	}
	return all
}

// give writes the value by the method of its type.
func (v goldenValue) give(r *Row) {
	if v.kind&arrayBit != 0 {
		elements := v.value.([]any)
		r.Array(len(elements))
		for _, element := range elements {
			if element == nil {
				r.Null()
			} else {
				goldenValue{v.kind &^ arrayBit, element}.give(r)
			}
		}
		return
	}
	text, _ := v.value.(string)
	number, _ := strconv.ParseInt(text, 10, 64)
	raw, _ := hex.DecodeString(text)
	switch v.kind {
	case kindNull:
		r.Null()
	case TypeBool:
		r.Bool(v.value.(bool))
	case TypeI64:
		r.I64(number)
	case TypeF64:
		float, _ := strconv.ParseFloat(text, 64)
		r.F64(float)
	case TypeNumeric:
		r.Numeric(text)
	case TypeText:
		r.Text(text)
	case TypeBytes:
		r.Bytes(raw)
	case TypeJSON:
		r.JSON([]byte(text))
	case TypeTimestamp:
		r.Timestamp(number)
	case TypeUUID:
		r.UUID([16]byte(raw))
	}
}

// read reads a value by the method of its type, in the form of goldenValue.String.
func read(r *Rows, t Type) string {
	if r.Null() {
		return goldenValue{}.String()
	}
	switch t {
	case TypeI64:
		return fmt.Sprint(t, " ", r.I64())
	case TypeNumeric:
		return fmt.Sprint(t, " ", r.Numeric())
	case TypeText:
		return fmt.Sprint(t, " ", r.Text())
	}
	return "a type that the vectors do not have: " + t.String()
}
