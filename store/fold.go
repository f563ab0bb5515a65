package store

import (
	"cmp"
	"math"
	"slices"
)

// Mutation is one change that a guest asks for: an entry of the catalogue with its values, caused by an event.
type Mutation struct {
	Write  int // index into Projection.Writes
	Event  int // index into the batch
	Values []Value
}

// Step is a part of the write plan: rows of one of the writes of [Projection.Plan]. Steps are applied in order.
//
// The rows of a declarative step have distinct keys, in an order that is the same on every host, and may be
// applied as a set. Rows of an insert may repeat a key: the database refuses the second one. Rows of a SQL
// statement, and of a table without a key, are applied one by one, in order.
//
// Between two unordered statements, steps of shared tables come first, one per table, in the order of the
// declaration. So the transactions of several segments lock shared rows in one order.
type Step struct {
	Write  int     // index into [Projection.Plan]
	Width  int     // values per row
	Count  int     // rows; with Width 0 it is the only measure
	Values []Value // row by row
}

// Folder turns the mutations of one batch, or of several in a row, into the fewest steps with the same outcome. One
// goroutine uses it again and again: Add for each batch, then Steps, then Reset.
//
// It makes one row of all rows of a write and key (add+add, set+set), and keeps the order of changes to a key: a
// row never moves before a step that touched the same key, nor across a SQL statement, whose reach is unknown. In
// a shared table the rows of all writes with one key become one row. One outcome may differ from that of rows one
// by one: a sum of i64 that leaves the range and comes back within the batches is not refused.
type Folder struct {
	projection *Projection
	writes     []foldWrite // by index of the plan

	steps   []Step
	spare   [][]Value // by step: room for its rows in another order
	ranks   []ranked
	touched keyIndex // the last row that touched a key
	latest  []int    // per write: its last step, or -1
	barrier int      // steps before this index must not receive rows any more
	// sharedBarrier is the same for rows of shared tables: only statements that are unordered may reach these.
	sharedBarrier int
	rows          int
	keys          *SegmentKeys // see Follow; nil when it does not know them
	fresh         bool         // there are rows of new keys
	kept          arena        // what values of the steps point to
	scratch       []byte
}

type foldWrite struct {
	*Write
	table    int // index into Projection.Tables; -1 for SQL
	keyWidth int
	width    int
	alone    bool // inserts into a table that nothing else writes to: keys need not be compared
	shared   *sharedRow
	fresh    *freshRow // where a row may be known whole
	into     int       // the write of the plan that rows become rows of
}

// NewFolder prepares a folder for a valid projection.
func NewFolder(projection *Projection) *Folder {
	plan := projection.Plan()
	f := &Folder{projection: projection, touched: newKeyIndex(), latest: make([]int, len(plan))}
	for i := range plan {
		w := &plan[i]
		folded := foldWrite{Write: w, table: -1, width: len(projection.Parameters(w)), into: i}
		for t := range projection.Tables {
			if w.SQL == nil && projection.Tables[t].Name == w.Table {
				folded.table, folded.keyWidth = t, len(projection.Tables[t].Key)
			}
		}
		f.writes = append(f.writes, folded)
	}
	for i := range f.writes {
		f.writes[i].alone = f.writes[i].Action == Insert && f.writers(f.writes[i].table) == 1
	}
	f.freshTables(f.shareTables(len(projection.Writes)))
	f.Reset()
	return f
}

// shareTables directs the rows of each shared table to one write of the plan. The combined writes are behind the
// declared. It returns where they end.
func (f *Folder) shareTables(combined int) (end int) {
	for t := range f.projection.Tables {
		table := &f.projection.Tables[t]
		writes := f.projection.sharedWrites(t)
		var into int
		switch len(writes) {
		case 0:
			continue
		case 1:
			into = writes[0]
		default:
			into = combined
			combined++
		}
		for _, i := range writes {
			f.writes[i].into, f.writes[i].shared = into, newSharedRow(table, f.writes[i].Write, f.writes[into].Write)
		}
		f.writes[into].shared = newSharedRow(table, f.writes[into].Write, f.writes[into].Write)
	}
	return combined
}

// freshTables directs the new rows of each table to its insert, which are behind the combined writes.
func (f *Folder) freshTables(insert int) {
	for t := range f.projection.Tables {
		if _, ok := f.projection.freshInsert(t); !ok {
			continue
		}
		for i := range f.projection.Writes {
			if w := &f.writes[i]; w.table == t {
				w.fresh = newFreshRow(&f.projection.Tables[t], w.Write, f.writes[insert].Write, insert)
			}
		}
		insert++
	}
}

// writers returns how many declarative writes a table has.
func (f *Folder) writers(table int) (count int) {
	for i := range f.writes {
		if f.writes[i].table == table {
			count++
		}
	}
	return count
}

// Fold returns the steps of one batch by itself. See Steps.
func (f *Folder) Fold(mutations []Mutation) []Step {
	f.Reset()
	f.Add(mutations)
	return f.Steps()
}

// Reset removes what was added.
func (f *Folder) Reset() {
	f.steps = f.steps[:0]
	f.touched.reset()
	for i := range f.latest {
		f.latest[i] = -1
	}
	f.barrier, f.sharedBarrier, f.rows, f.fresh = 0, 0, 0, false
	f.kept.reset()
}

// Add folds the mutations into what was added since the last Reset. It keeps no reference to them. After Steps,
// call Reset before Add.
func (f *Folder) Add(mutations []Mutation) {
	for i := range mutations {
		m := &mutations[i]
		w := &f.writes[m.Write]
		switch {
		case w.SQL != nil:
			f.foldStatement(m, w)
		case w.keyWidth == 0, w.alone:
			f.appendRow(f.stepFor(m.Write, w, f.barrier), m.Values)
		case w.shared != nil:
			f.foldRow(w.into, w.shared.of(m.Values), f.sharedBarrier)
		default:
			f.foldRow(m.Write, m.Values, f.barrier)
		}
	}
}

// Rows returns how many rows the steps have by now.
func (f *Folder) Rows() int { return f.rows }

// Bytes returns about how much memory the steps take by now.
func (f *Folder) Bytes() int {
	bytes := f.kept.size
	for i := range f.steps {
		bytes += len(f.steps[i].Values) * valueSize
	}
	return bytes
}

// Steps returns the steps of everything that was added. They and their values belong to the folder, and are valid
// until the next Reset.
func (f *Folder) Steps() []Step {
	f.orderSteps()
	for len(f.spare) < len(f.steps) {
		f.spare = append(f.spare, nil)
	}
	for i := range f.steps {
		if keyWidth := f.writes[f.steps[i].Write].keyWidth; keyWidth > 0 {
			f.spare[i], f.ranks = sortRows(&f.steps[i], keyWidth, f.spare[i], f.ranks)
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
	if w.Unordered {
		f.sharedBarrier = f.barrier
	}
}

// foldRow adds a row of a write, in a step that is not before the barrier.
func (f *Folder) foldRow(write int, values []Value, barrier int) {
	w := &f.writes[write]
	last, hash := f.lastOf(w.table, values[:w.keyWidth])
	earliest := barrier
	if *last != (place{}) {
		step, row := last.indexes()
		s := &f.steps[step]
		if s.Write == write && step >= barrier && f.mergeRow(w, s.row(row), values) ||
			w.fresh != nil && s.Write == w.fresh.into && f.mergeFresh(w, s.row(row), values) {
			return
		}
		earliest = max(earliest, step+1)
	} else {
		f.touched.taken++
		if f.isFresh(w, hash, values) {
			write, values = w.fresh.into, w.fresh.of(values)
			w, f.fresh = &f.writes[write], true
		}
	}
	step := f.stepFor(write, w, earliest)
	*last = placeOf(step, f.steps[step].Count)
	f.appendRow(step, values)
}

// isFresh reports that a row is new, as far as the segment knows, and whole. It notes the key.
func (f *Folder) isFresh(w *foldWrite, hash uint64, values []Value) bool {
	return f.keys != nil && w.fresh != nil && f.keys.add(hash) && w.fresh.begins && w.fresh.holds(values)
}

// orderSteps puts the steps of shared tables first, in the order of their tables, between statements that are
// unordered. The other steps keep their order: their rows are written by this segment only.
func (f *Folder) orderSteps() {
	for start := 0; start < len(f.steps); start++ {
		end := start
		for end < len(f.steps) && !f.writes[f.steps[end].Write].Unordered {
			end++
		}
		slices.SortStableFunc(f.steps[start:end], func(a, b Step) int { return cmp.Compare(f.turn(a), f.turn(b)) })
		start = end
	}
}

func (f *Folder) turn(s Step) int {
	if w := &f.writes[s.Write]; w.shared != nil {
		return w.table
	}
	return len(f.projection.Tables)
}

// lastOf returns where the last row is noted that touched a key, until it is called again, and the key's hash. None is
// noted for a key that is new.
func (f *Folder) lastOf(table int, key []Value) (last *place, hash uint64) {
	f.touched.grow()
	hash = f.touched.hash(table, key)
	for at := hash; ; at++ {
		slot := f.touched.at(at)
		if slot.place == (place{}) {
			slot.hash = hash
			return &slot.place, hash
		}
		if slot.hash != hash {
			continue
		}
		step, row := slot.place.indexes()
		if s := &f.steps[step]; f.writes[s.Write].table == table && sameKey(key, s.row(row)) {
			return &slot.place, hash
		}
	}
}

func (s *Step) row(n int) []Value { return s.Values[n*s.Width : (n+1)*s.Width] }

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
	s := &f.steps[step]
	start := len(s.Values)
	s.Values = append(s.Values, values...)
	for i := start; i < len(s.Values); i++ {
		if s.Values[i].data != nil {
			s.Values[i] = f.kept.own(s.Values[i])
		}
	}
	s.Count++
	f.rows++
}

// mergeRow folds a later row into an earlier one of the same key, and reports false when the two must stay apart.
func (f *Folder) mergeRow(w *foldWrite, row, later []Value) bool {
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
		f.mergeValue(w.Columns[i].Action, &row[at], later[at])
	}
	return true
}

// mergeValue changes the value of a row, whose bytes are the folder's own.
func (f *Folder) mergeValue(action Action, row *Value, later Value) {
	switch {
	case action == ActionSet:
		f.kept.replace(row, later)
	case later.IsNull():
	case row.IsNull():
		*row = f.kept.own(later)
	case action == ActionAdd:
		f.add(row, later)
	case action == ActionMin && compareValues(later, *row) < 0,
		action == ActionMax && compareValues(later, *row) > 0:
		f.kept.replace(row, later)
	}
}

func (f *Folder) add(row *Value, later Value) {
	if row.Kind == KindI64 {
		row.word += later.word
		return
	}
	var small bool
	if f.scratch, small = appendSmallSum(f.scratch[:0], row.Bytes(), later.Bytes()); !small {
		f.scratch, _ = AddNumeric(row.Bytes(), later.Bytes())
	}
	f.kept.replace(row, BytesOf(KindNumeric, f.scratch))
}

// canAdd reports whether the sum of two values can be held, so that overflow is left to the database to report.
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
