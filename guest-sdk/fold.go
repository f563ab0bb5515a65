package pup

// Fold keeps one state of type S for every key of a table, for rules that need earlier events. It loads the
// states of all keys of a batch with one query, applies the events in order, and writes each state back as one
// row.
//
//	var orders = pup.NewTable("orders", pup.Text("order_id").Key().Partition(), pup.I64("cents"), pup.Bool("paid"))
//
//	type order struct {
//		cents int64
//		paid  bool
//	}
//
//	var fold = pup.NewFold(orders, pup.FoldFuncs[order]{
//		Key:  func(e pup.Event, key *pup.Row) { key.Text(e.AggregateID()) },
//		Load: func(row *pup.Rows, o *order) { o.cents, o.paid = row.I64(), row.Bool() },
//		Save: func(row *pup.Row, o *order) { row.I64(o.cents).Bool(o.paid) },
//	})
//
//	func handle(b *pup.Batch, out *pup.Mutations) error {
//		return fold.Run(b, out, func(e pup.Event, o *order) error { … })
//	}
//
// If adding, setting, or a least or greatest value is enough, use an upsert, which needs no query.
type Fold[S any] struct {
	funcs   FoldFuncs[S]
	load    *Query
	save    *Write
	drop    *Write
	keys    keySet
	states  []S
	dropped []bool  // per key
	slots   []int32 // per event: the number of its key, or -1
	last    []int32 // per key: the last event that touched it
	origin  origin
}

// FoldFuncs says how the states of a [Fold] are found, read and written.
type FoldFuncs[S any] struct {
	// Key gives the key columns of the row that e changes. One of them is the partition key. If it gives nothing,
	// e is skipped.
	Key func(e Event, key *Row)
	// Load reads the columns of a row that exists into a zero state. A state without a row stays zero.
	Load func(row *Rows, state *S)
	// Save gives the same columns of the row that is written.
	Save func(row *Row, state *S)
	// Drop is optional. It reports that a state is no longer needed: the state becomes zero, and its row is
	// deleted unless a later event of the batch fills it again.
	Drop func(state *S) bool
}

// NewFold declares a fold over the rows of a table, with the given columns or all that are not part of the key,
// in the order in which Load and Save know them. It adds the query "load_<table>", the write "save_<table>"
// and, with a Drop, the write "drop_<table>" to the catalogue. The fold must be the only one that writes these
// columns.
//
// A fold reads a row and writes it back, so no other worker may write the row. A key column of the table must
// be marked by [Column.Partition], and Key must give it the partition key of the event, which is the stream's
// id unless [Projection].Partition says otherwise. The host refuses a table without the mark when it loads the
// module, and a row with another key when it is written. With OrderGlobal any key is possible.
//
// It panics when the table has no key, or a numeric one, whose spellings (1.0 and 1.00) it could not tell to be
// the same.
func NewFold[S any](table *Table, funcs FoldFuncs[S], columns ...string) *Fold[S] {
	if len(columns) == 0 {
		columns = table.valueColumns()
	}
	if len(table.key) == 0 {
		misuse("table " + table.name + " has no key, a fold needs one")
	}
	for _, k := range table.key {
		if table.columns[k].typ == TypeNumeric {
			misuse("table " + table.name + " has a numeric key, whose many spellings a fold cannot tell apart")
		}
	}
	f := &Fold[S]{
		funcs:  funcs,
		origin: origin{"the key of a fold of table", table.name},
		load:   table.Load("load_"+table.name, columns...),
		save:   table.Upsert("save_"+table.name, Set(columns...)),
	}
	if funcs.Drop != nil {
		f.drop = table.Delete("drop_" + table.name)
	}
	return f
}

// Run loads, calls apply for every event that has a key, in order, and writes the states back in the order in
// which their keys first came. It is called once in a Handle. An error of apply ends it, is returned, and is
// attributed to the event. It may write rows of other tables: add what an event changes about a state to totals that
// many states share.
//
// The row of a state is caused by the last event of its key.
func (f *Fold[S]) Run(b *Batch, out *Mutations, apply func(e Event, state *S) error) error {
	if !f.collect(b) || f.keys.len() == 0 {
		return nil
	}
	f.loadStates(b)
	for i, slot := range f.slots {
		if slot < 0 {
			continue
		}
		b.at = i
		state := &f.states[slot]
		if err := apply(Event{b, i}, state); err != nil {
			return err
		}
		f.dropped[slot] = f.drop != nil && f.funcs.Drop(state)
		if f.dropped[slot] {
			var zero S
			*state = zero // as it will be when the next batch loads it
		}
	}
	b.at = noEvent
	f.writeStates(b, out)
	return nil
}

func (f *Fold[S]) writeStates(b *Batch, out *Mutations) {
	for slot := range f.states {
		e := Event{b, int(f.last[slot])}
		write := f.save
		if f.dropped[slot] {
			write = f.drop
		}
		row := write.Row(out, e)
		row.keyOf(&f.keys, slot, len(f.load.params))
		if !f.dropped[slot] {
			f.funcs.Save(row, &f.states[slot])
		}
	}
}

// collect finds the keys of the batch. It reports false when a key was wrongly given.
func (f *Fold[S]) collect(b *Batch) bool {
	f.keys.reset()
	f.slots, f.last = f.slots[:0], f.last[:0]
	types := f.save.params[:len(f.load.params)]
	key := &f.keys.row
	for i := range b.length {
		key.begin(&f.origin, types, i)
		b.at = i
		f.funcs.Key(Event{b, i}, key)
		if key.next == 0 && key.pending == 0 && key.failure == nil {
			key.types = nil // no key
			f.slots = append(f.slots, -1)
			continue
		}
		key.end()
		if key.failure != nil {
			b.fail(i, key.failure.Message)
			return false
		}
		slot, added := f.keys.add()
		if added {
			f.last = append(f.last, int32(i))
		} else {
			f.last[slot] = int32(i)
		}
		f.slots = append(f.slots, int32(slot))
	}
	b.at = noEvent
	return true
}

func (f *Fold[S]) loadStates(b *Batch) {
	n := f.keys.len()
	if cap(f.states) < n {
		f.states, f.dropped = make([]S, n+n/2), make([]bool, n+n/2)
	}
	f.states, f.dropped = f.states[:n], f.dropped[:n]
	clear(f.states)
	clear(f.dropped)
	args := f.load.Args(b)
	for column := range f.load.params {
		args.arrayOf(&f.keys, column)
	}
	rows := f.load.Run(b)
	for rows.Next() {
		slot := rows.I64()
		if uint64(slot) >= uint64(n) {
			misuse("query " + f.load.name + ": the result names a key that was not asked for")
		}
		f.funcs.Load(rows, &f.states[slot])
	}
}
