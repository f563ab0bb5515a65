package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

// The writes of counters.
const (
	countersSeen = iota
	countersPaid
	countersDay
	countersOwn
	countersDrop
	countersSweep
	countersOther
)

// counters has two shared tables, one of which has several writes, and an owned one.
func counters() *store.Projection {
	add := func(columns ...string) (all []store.WriteColumn) {
		for _, name := range columns {
			all = append(all, store.WriteColumn{Name: name, Action: store.ActionAdd})
		}
		return all
	}
	return &store.Projection{
		Name: "counters", Version: 1,
		Tables: []store.Table{
			{Name: "customer", Key: []string{"id"}, Columns: []store.Column{
				{Name: "id", Type: typed("text")},
				{Name: "events", Type: typed("i64"), NotNull: true, Default: []byte("0")},
				{Name: "paid", Type: typed("numeric"), Default: []byte("0")},
				{Name: "last", Type: typed("i64")},
			}},
			{Name: "day", Key: []string{"day"}, Columns: []store.Column{
				{Name: "day", Type: typed("i64")},
				{Name: "events", Type: typed("i64")},
			}},
			{Name: "order", Key: []string{"id"}, Columns: []store.Column{{
				Name: "id", Type: typed("text"),
				Partition: true,
			}, {Name: "state", Type: typed("text")}}},
		},
		Writes: []store.Write{
			{Name: "seen", Action: store.InsertIgnore, Table: "customer"},
			{
				Name: "paid", Action: store.Upsert, Table: "customer",
				Columns: append(add("paid", "events"), store.WriteColumn{Name: "last", Action: store.ActionMax}),
			},
			{Name: "day", Action: store.Upsert, Table: "day", Columns: add("events")},
			{
				Name: "own", Action: store.Upsert, Table: "order",
				Columns: []store.WriteColumn{{Name: "state", Action: store.ActionSet}},
			},
			{Name: "drop", Action: store.Delete, Table: "order"},
			{Name: "sweep", SQL: store.Statement{store.DialectAny: "UPDATE {customer} SET last = 0"}, Unordered: true},
			{
				Name: "other", SQL: store.Statement{store.DialectAny: "DELETE FROM {order} WHERE id = $1"},
				Params: types("text"), PartitionParam: 1,
			},
		},
	}
}

func countersMutation(write int, key string) store.Mutation {
	switch write {
	case countersPaid:
		return store.Mutation{Write: write, Values: []store.Value{
			store.Text(key), store.BytesOf(store.KindNumeric, []byte("1.5")), store.I64(1), store.Null(),
		}}
	case countersDay:
		return store.Mutation{Write: write, Values: []store.Value{store.I64(int64(key[0] - 'a')), store.I64(1)}}
	case countersOwn:
		return store.Mutation{Write: write, Values: []store.Value{store.Text(key), store.Text("new")}}
	case countersSweep:
		return store.Mutation{Write: write}
	}
	return store.Mutation{Write: write, Values: []store.Value{store.Text(key)}}
}

// TestFolder_sharedTablesAreOneStatementEach: whatever the order of the events, transactions lock the rows of
// shared tables in one order, table by table and key by key.
func TestFolder_sharedTablesAreOneStatementEach(t *testing.T) {
	t.Parallel()
	p := counters()
	plan := p.Plan()
	folder := store.NewFolder(p)
	rapid.Check(t, func(t *rapid.T) {
		mutations := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.Mutation {
			return countersMutation(rapid.IntRange(countersSeen, countersOther).Draw(t, "write"),
				rapid.StringMatching(`[a-f]`).Draw(t, "key"))
		}), 0, 40).Draw(t, "mutations")
		tables := []string{"customer", "day"}
		reached, last := -1, "" // between two statements that are unordered
		for _, step := range folder.Fold(mutations) {
			write := &plan[step.Write]
			if write.Unordered {
				reached = -1
			}
			at := slices.Index(tables, write.Table)
			if at < 0 {
				continue
			}
			if at <= reached {
				t.Fatalf("table %s has a statement behind one of table %s", write.Table, tables[reached])
			}
			reached, last = at, ""
			for row := range step.Count {
				key := show(step.Values[row*step.Width])
				if key <= last {
					t.Fatalf("table %s: row %s comes behind row %s", write.Table, key, last)
				}
				last = key
			}
		}
	})
}

// TestFolder_sharedRowsOfSeveralWrites: a column that a write leaves out, or gives as NULL, is NULL, or 0 where
// that is its default.
func TestFolder_sharedRowsOfSeveralWrites(t *testing.T) {
	t.Parallel()
	p := counters()
	plan := p.Plan()
	null := store.Mutation{Write: countersPaid, Values: []store.Value{
		store.Text("c"), store.Null(), store.Null(),
		store.I64(7),
	}}
	steps := store.NewFolder(p).Fold([]store.Mutation{
		countersMutation(countersPaid, "b"), countersMutation(countersSeen, "a"), null,
		countersMutation(countersOther, "b"), countersMutation(countersPaid, "b"), countersMutation(countersSeen, "b"),
	})
	if len(steps) != 2 || plan[steps[1].Write].Name != "other" {
		t.Fatalf("the steps are %+v", steps)
	}
	var rows []string
	for row := range steps[0].Count {
		var values []string
		for i, v := range steps[0].Values[row*steps[0].Width : (row+1)*steps[0].Width] {
			name := "id"
			if i > 0 {
				name = plan[steps[0].Write].Columns[i-1].Name
			}
			values = append(values, fmt.Sprintf("%s=%s", name, show(v)))
		}
		rows = append(rows, strings.Join(values, " "))
	}
	want := fmt.Sprintf("id=%s paid=%s events=%s last=%s;id=%s paid=%s events=%s last=%s;id=%s paid=%s "+
		"events=%s last=%s",
		show(store.Text("a")), numeric("0"), show(store.I64(0)), show(store.Null()),
		show(store.Text("b")), numeric("3.0"), show(store.I64(2)), show(store.Null()),
		show(store.Text("c")), numeric("0"), show(store.I64(0)), show(store.I64(7)))
	if got := strings.Join(rows, ";"); got != want {
		t.Errorf("the rows are\n%s, want\n%s", got, want)
	}
}

func numeric(text string) string { return show(store.BytesOf(store.KindNumeric, []byte(text))) }
