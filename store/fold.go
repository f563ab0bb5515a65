package store

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Mutation is one change that a guest asks for: an entry of the catalogue with its values, caused by an event of the batch.
type Mutation struct {
	Write  int // index into Projection.Writes
	Event  int // index into the batch
	Values []Value
}

// Step is a part of the write plan: rows for one entry of the catalogue. Steps are applied in order. The rows of a
// declarative step have distinct keys and may be applied as a set; those of a SQL statement are applied in order.
type Step struct {
	Write  int
	Width  int     // values a row
	Count  int     // rows; with Width 0 it is the only measure
	Values []Value // row by row
}

// Folder turns the mutations of a batch into the fewest steps with the same outcome. It is used again and again by one
// goroutine.
type Folder struct {
	projection *Projection
	writes     []foldWrite

	steps   []Step
	touched map[touch]slot // the last step and row that touched a key
	latest  []int          // per write: its last step, or -1
	barrier int            // steps before this index must not receive rows any more
	scratch []byte
}

type foldWrite struct {
	*Write
	table    int // index into Projection.Tables; -1 for SQL
	keyWidth int
	width    int
}

type touch struct {
	table int
	key   string
}

type slot struct{ step, row int }

// NewFolder prepares a folder for a valid projection.
func NewFolder(projection *Projection) *Folder {
	f := &Folder{projection: projection, touched: map[touch]slot{}, latest: make([]int, len(projection.Writes))}
	for i := range projection.Writes {
		w := &projection.Writes[i]
		folded := foldWrite{Write: w, table: -1, width: len(projection.Parameters(w))}
		for t := range projection.Tables {
			if w.SQL == nil && projection.Tables[t].Name == w.Table {
				folded.table, folded.keyWidth = t, len(projection.Tables[t].Key)
			}
		}
		f.writes = append(f.writes, folded)
	}
	return f
}

// Fold returns the steps. They belong to the folder and are valid until the next call; their values point to where the
// mutations' values point.
//
// Rows of one write and key become one row (add+add, set+set), while the order of changes to a key is kept: a row
// never moves before a step that touched the same key, nor across a SQL statement, whose reach is unknown. One outcome may
// differ from that of rows one by one: a sum of i64 that leaves the range and comes back within a batch is not refused.
func (f *Folder) Fold(mutations []Mutation) []Step {
	f.steps = f.steps[:0]
	clear(f.touched)
	for i := range f.latest {
		f.latest[i] = -1
	}
	f.barrier = 0
	for i := range mutations {
		m := &mutations[i]
		w := &f.writes[m.Write]
		switch {
		case w.SQL != nil:
			f.foldStatement(m, w)
		case w.keyWidth == 0:
			f.appendRow(f.stepFor(m.Write, w, f.barrier), m.Values)
		default:
			f.foldRow(m, w)
		}
	}
	return f.steps
}

func (f *Folder) foldStatement(m *Mutation, w *foldWrite) {
	last := len(f.steps) - 1
	if last < 0 || f.steps[last].Write != m.Write {
		last = f.newStep(m.Write, w)
	}
	f.appendRow(last, m.Values)
	f.barrier = len(f.steps)
}

func (f *Folder) foldRow(m *Mutation, w *foldWrite) {
	f.scratch = f.scratch[:0]
	for _, v := range m.Values[:w.keyWidth] {
		f.scratch = appendKey(f.scratch, v)
	}
	// The conversion within the index expression does not allocate.
	last, seen := f.touched[touch{w.table, string(f.scratch)}]
	if seen && f.steps[last.step].Write == m.Write && last.step >= f.barrier {
		step := &f.steps[last.step]
		row := step.Values[last.row*step.Width : (last.row+1)*step.Width]
		if mergeRow(w, row, m.Values) {
			return
		}
	}
	earliest := f.barrier
	if seen {
		earliest = max(earliest, last.step+1)
	}
	step := f.stepFor(m.Write, w, earliest)
	f.touched[touch{w.table, string(f.scratch)}] = slot{step, f.steps[step].Count}
	f.appendRow(step, m.Values)
}

// stepFor returns the write's last step when it is not before earliest, or else a new one.
func (f *Folder) stepFor(write int, w *foldWrite, earliest int) int {
	if f.latest[write] >= earliest {
		return f.latest[write]
	}
	return f.newStep(write, w)
}

func (f *Folder) newStep(write int, w *foldWrite) int {
	index := len(f.steps)
	if index < cap(f.steps) {
		f.steps = f.steps[:index+1]
		f.steps[index] = Step{Write: write, Width: w.width, Values: f.steps[index].Values[:0]}
	} else {
		f.steps = append(f.steps, Step{Write: write, Width: w.width})
	}
	f.latest[write] = index
	return index
}

func (f *Folder) appendRow(step int, values []Value) {
	f.steps[step].Values = append(f.steps[step].Values, values...)
	f.steps[step].Count++
}

// mergeRow folds a later row into an earlier one of the same key, and reports false when the two must stay apart.
func mergeRow(w *foldWrite, row, later []Value) bool {
	switch w.Action {
	case InsertIgnore, Delete:
		return true // the first row decides
	case Insert:
		return false // the database has to see the second one, and refuse it
	}
	for i := range w.Columns {
		at := w.keyWidth + i
		if w.Columns[i].Action == ActionAdd && !canAdd(row[at], later[at]) {
			return false
		}
	}
	for i := range w.Columns {
		at := w.keyWidth + i
		row[at] = mergeValue(w.Columns[i].Action, row[at], later[at])
	}
	return true
}

func mergeValue(action Action, earlier, later Value) Value {
	switch {
	case action == ActionSet:
		return later
	case later.IsNull():
		return earlier
	case earlier.IsNull():
		return later
	case action == ActionAdd:
		if earlier.Kind == KindI64 {
			return I64(earlier.Int() + later.Int())
		}
		sum, _ := AddNumeric(earlier.Bytes(), later.Bytes())
		return BytesOf(KindNumeric, sum)
	case action == ActionMin && compareValues(later, earlier) < 0,
		action == ActionMax && compareValues(later, earlier) > 0:
		return later
	default: // ActionIfNull keeps the first
		return earlier
	}
}

// canAdd tells whether the sum of two values can be held, so that overflow is left to the database to report.
func canAdd(a, b Value) bool {
	if a.Kind == KindNumeric && b.Kind == KindNumeric {
		return len(a.Bytes())+len(b.Bytes()) < numericDigitsMax // so many digits the sum has at most
	}
	if a.Kind != KindI64 || b.Kind != KindI64 {
		return true
	}
	if b.Int() >= 0 {
		return a.Int() <= math.MaxInt64-b.Int()
	}
	return a.Int() >= math.MinInt64-b.Int()
}

func compareValues(a, b Value) int {
	if a.Kind == KindNumeric {
		order, _ := CompareNumeric(a.Bytes(), b.Bytes())
		return order
	}
	switch {
	case a.Int() < b.Int():
		return -1
	case a.Int() > b.Int():
		return 1
	default:
		return 0
	}
}

// appendKey appends a form of the value that is equal exactly for values that the database holds equal.
func appendKey(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case KindBool, KindI64, KindF64, KindTimestamp:
		return binary.LittleEndian.AppendUint64(dst, v.word)
	case KindNumeric:
		canonical, err := CanonicalNumeric(v.bytes)
		if err != nil {
			panic(fmt.Sprintf("numeric %q was not checked when the reply was decoded", v.bytes))
		}
		v.bytes = canonical
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v.bytes)))
	return append(dst, v.bytes...)
}
