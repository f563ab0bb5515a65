package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/pupwasm/pupwasm/store"
)

// manyCases are about commits that insert so many rows that a store may write them in another way.
var manyCases = []testCase{
	{"are_as_few", manyAsFew},
	{"a_duplicate_is_refused", manyDuplicate},
	{"a_lost_claim_writes_none", manyFenced},
}

const manyRows = 5000

// many has a table with a column of each kind that has no fraction, and one without a key.
func many(name string) *store.Projection {
	p := &store.Projection{
		Name: name, Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{
			{Name: "row", Key: []string{"id"}, Columns: []store.Column{{Name: "id", Type: typed("i64")}}},
			{Name: "list", Columns: []store.Column{{Name: "n", Type: typed("i64")}}},
		},
		Writes: []store.Write{
			{Name: "new", Action: store.Insert, Table: "row"},
			{Name: "list", Action: store.Insert, Table: "list", Columns: []store.WriteColumn{{Name: "n"}}},
			{Name: "drop", Action: store.Delete, Table: "row"},
		},
	}
	for _, kind := range []string{"text", "bool", "i64", "f64", "bytes", "json", "timestamptz", "uuid"} {
		p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: "a_" + kind, Type: typed(kind)})
		p.Writes[0].Columns = append(p.Writes[0].Columns, store.WriteColumn{Name: "a_" + kind})
	}
	return p
}

const (
	manyNew = iota
	manyList
	manyDrop
)

// manyRow is one of the rows, in which some values are NULL.
func manyRow(n int) store.Mutation {
	id := binary.BigEndian.AppendUint64(make([]byte, 8, 16), uint64(n))
	values := []store.Value{
		store.I64(int64(n)), store.Text(fmt.Sprintf("é\t%d\\.\n", n)), store.Bool(n%2 == 0), store.I64(-int64(n) << 32),
		store.F64(float64(n) / 3), store.BytesOf(store.KindBytes, id), store.BytesOf(store.KindJSON, fmt.Appendf(nil, `{"n": %d}`, n)),
		store.Timestamp(int64(n) * 1_000_003), store.BytesOf(store.KindUUID, id),
	}
	if n%5 == 0 {
		for i := 1 + n%8; i < len(values); i += 2 {
			values[i] = store.Null()
		}
	}
	return mutate(manyNew, values...)
}

// rowsOf returns the rows of a table in order of its first column.
func (f *fixture) rowsOf(projection, table string) [][]string {
	f.Helper()
	return f.Query(f, "SELECT * FROM "+f.stored(projection, table)+" ORDER BY 1")
}

func manyAsFew(f *fixture) {
	large, small := f.runningOn(f.store, many("large"), "large"), f.runningOn(f.store, many("small"), "small")
	var all []store.Mutation
	for n := range manyRows {
		part := []store.Mutation{manyRow(n), mutate(manyList, store.I64(int64(n%100)))}
		all = append(all, part...)
		if n%500 == 0 {
			small.apply(all[len(all)-2])
			small.apply(all[len(all)-1])
		} else if n%500 == 499 {
			small.apply(all[len(all)-998:]...)
		}
	}
	for n := range 10 {
		all = append(all, mutate(manyDrop, store.I64(int64(n))))
	}
	small.apply(all[len(all)-10:]...)
	large.apply(all...)
	for _, table := range []string{"row", "list"} {
		a, b := f.rowsOf("large", table), f.rowsOf("small", table)
		if len(a) < manyRows-10 || !reflect.DeepEqual(a, b) {
			f.Errorf("table %s has %d rows in one commit and %d in several, or others", table, len(a), len(b))
		}
	}
	large.apply(mutate(manyDrop, store.I64(20))) // the connection can be used again
}

func manyDuplicate(f *fixture) {
	r := f.running(many("many"))
	r.apply(manyRow(77))
	before := r.position()
	var all []store.Mutation
	for n := range manyRows {
		all = append(all, manyRow(n))
	}
	var refused *store.RejectedError
	if err := r.commit(all...); !errors.As(err, &refused) || refused.Statement != `write "new"` {
		f.Errorf("a duplicate: %v", err)
	}
	if rows := f.rowsOf("many", "row"); len(rows) != 1 || r.position() != before {
		f.Errorf("there are %d rows, and the checkpoint is at %d, it was at %d", len(rows), r.position(), before)
	}
	r.apply(all[100:]...)
	if rows := f.rowsOf("many", "row"); len(rows) != manyRows-99 {
		f.Errorf("there are %d rows", len(rows))
	}
}

func manyFenced(f *fixture) {
	r := f.running(many("many"))
	var all []store.Mutation
	for n := range manyRows {
		all = append(all, manyRow(n))
	}
	lost := r.claim
	lost.Epoch--
	if err := r.commitAs(lost, all...); !errors.Is(err, store.ErrFenced) {
		f.Errorf("with a claim that is lost: %v", err)
	}
	if rows := f.rowsOf("many", "row"); len(rows) != 0 {
		f.Errorf("there are %d rows", len(rows))
	}
	r.apply(all...)
}
