package storetest

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var applyCases = []testCase{
	{"upsert_actions", applyUpsert},
	{"upsert_of_the_key_alone", applyUpsertKey},
	{"insert", applyInsert},
	{"insert_without_a_key", applyInsertKeyless},
	{"insert_ignore", applyInsertIgnore},
	{"delete", applyDelete},
	{"statements_run_in_order", applyStatements},
	{"steps_run_in_order", applySteps},
	{"statement_without_parameters", applyBareStatement},
	{"no_steps_move_the_checkpoint", applyNothing},
	{"a_large_batch", applyLarge},
	{"refusals_name_the_write", applyRefusals},
	{"invariant_1_one_transaction", applyOneTransaction},
}

// actions is a table with a column an action.
func actions() *store.Projection {
	columns := []store.Column{{Name: "id", Type: typed("i64")}}
	write := store.Write{Name: "put", Action: store.Upsert, Table: "row"}
	add := func(name, kind string, action store.Action) {
		columns = append(columns, store.Column{Name: name, Type: typed(kind)})
		write.Columns = append(write.Columns, store.WriteColumn{Name: name, Action: action})
	}
	add("set_text", "text", store.ActionSet)
	add("add_i64", "i64", store.ActionAdd)
	add("add_numeric", "numeric", store.ActionAdd)
	add("min_i64", "i64", store.ActionMin)
	add("max_numeric", "numeric", store.ActionMax)
	add("min_time", "timestamptz", store.ActionMin)
	add("first_text", "text", store.ActionIfNull)
	results := types("i64", "text", "i64", "numeric", "i64", "numeric", "timestamptz", "text")
	return &store.Projection{
		Name: "actions", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{Name: "row", Key: []string{"id"}, Columns: columns}},
		Writes: []store.Write{
			write,
			{Name: "new", Action: store.Insert, Table: "row", Columns: []store.WriteColumn{{Name: "set_text"}}},
			{Name: "maybe", Action: store.InsertIgnore, Table: "row", Columns: []store.WriteColumn{{Name: "set_text"}}},
			{Name: "gone", Action: store.Delete, Table: "row"},
			{Name: "touch", Action: store.Upsert, Table: "row"},
			{
				Name: "note", SQL: anySQL(`UPDATE {row} SET set_text = coalesce(set_text, '') || $1 WHERE id = $2`),
				Params: types("text", "i64"),
			},
			{Name: "note all", SQL: anySQL(`UPDATE {row} SET set_text = coalesce(set_text, '') || '!'`)},
		},
		Queries: []store.Query{{
			Name: "all", Results: results,
			SQL: anySQL(`SELECT id, set_text, add_i64, add_numeric, min_i64, max_numeric, min_time, first_text
				FROM {row} ORDER BY id`),
		}},
	}
}

// The writes of actions.
const (
	actionsPut = iota
	actionsNew
	actionsMaybe
	actionsGone
	actionsTouch
	actionsNote
	actionsNoteAll
)

func number(text string) store.Value { return store.BytesOf(store.KindNumeric, []byte(text)) }

func applyUpsert(f *fixture) {
	null := store.Null()
	rows := [][]store.Value{
		{store.Text("a"), store.I64(5), number("1.50"), store.I64(5), number("2.5"), store.Timestamp(50), null},
		{
			store.Text("b"), store.I64(-7), number("-0.25"), store.I64(7), number("-3"), store.Timestamp(-50),
			store.Text("first"),
		},
		{null, null, null, null, null, null, null},
		{store.Text("c"), null, number("100"), store.I64(3), number("2.50"), store.Timestamp(60), store.Text("second")},
	}
	want := []string{
		"1 a 5 1.5 5 2.5 50 NULL",
		"1 b -2 1.25 5 2.5 -50 first",
		"1 NULL -2 1.25 5 2.5 -50 first",
		"1 c -2 101.25 3 2.5 -50 first",
	}
	r := f.running(actions())
	for i, row := range rows {
		r.apply(mutate(actionsPut, append([]store.Value{store.I64(1)}, row...)...))
		if got := r.table(); got != want[i] {
			f.Errorf("after %d rows, each a batch, the table is %q, want %q", i+1, got, want[i])
		}
	}
	var batch []store.Mutation
	for _, row := range rows {
		batch = append(batch, mutate(actionsPut, append([]store.Value{store.I64(2)}, row...)...))
	}
	r.apply(batch...)
	if got := r.table(); got != want[3]+"; "+strings.Replace(want[3], "1", "2", 1) {
		f.Errorf("in one batch the table is %q", got)
	}
	for _, row := range [][]store.Value{rows[2], rows[0]} { // NULL first, then numbers
		r.apply(mutate(actionsPut, append([]store.Value{store.I64(3)}, row...)...))
	}
	if got := r.table(); !strings.HasSuffix(got, "; 3 a 5 1.5 5 2.5 50 NULL") {
		f.Errorf("over NULLs the table is %q", got)
	}
}

func applyUpsertKey(f *fixture) {
	r := f.running(actions())
	r.apply(mutate(actionsMaybe, store.I64(1), store.Text("kept")))
	r.apply(mutate(actionsTouch, store.I64(1)), mutate(actionsTouch, store.I64(2)), mutate(actionsTouch, store.I64(2)))
	if got, want := r.table(), "1 kept NULL NULL NULL NULL NULL NULL; 2 NULL NULL NULL NULL NULL NULL NULL"; got != want {
		f.Errorf("the table is %q", got)
	}
}

func applyInsert(f *fixture) {
	r := f.running(actions())
	r.apply(mutate(actionsNew, store.I64(1), store.Text("a")), mutate(actionsNew, store.I64(2), store.Null()))
	var rejection *store.RejectedError
	err := r.commit(mutate(actionsNew, store.I64(3), store.Text("c")),
		mutate(actionsNew, store.I64(1), store.Text("b")))
	if !errors.As(err, &rejection) || !strings.Contains(rejection.Statement, `"new"`) {
		f.Errorf("a second row of a key: %v", err)
	}
	if err := r.commit(mutate(actionsNew, store.I64(4), store.Null()),
		mutate(actionsNew, store.I64(4), store.Null())); !errors.As(err, &rejection) {
		f.Errorf("two rows of a key in a batch: %v", err)
	}
	if got, want := r.table(), "1 a NULL NULL NULL NULL NULL NULL; 2 NULL NULL NULL NULL NULL NULL NULL"; got != want {
		f.Errorf("the table is %q", got)
	}
}

func applyInsertKeyless(f *fixture) {
	p := &store.Projection{
		Name: "journal", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{Name: "line", Columns: []store.Column{
			{Name: "at", Type: typed("i64")},
			{Name: "text", Type: typed("text")},
		}}},
		Writes: []store.Write{{
			Name: "write", Action: store.Insert, Table: "line",
			Columns: []store.WriteColumn{{Name: "text"}, {Name: "at"}},
		}},
		Queries: []store.Query{{
			Name: "all", SQL: anySQL(`SELECT at, text FROM {line} ORDER BY at, text`),
			Results: types("i64", "text"),
		}},
	}
	r := f.running(p)
	r.apply(mutate(0, store.Text("x"), store.I64(1)), mutate(0, store.Text("x"), store.I64(1)),
		mutate(0, store.Null(), store.I64(2)))
	if got := r.table(); got != "1 x; 1 x; 2 NULL" {
		f.Errorf("the table is %q", got)
	}
}

func applyInsertIgnore(f *fixture) {
	r := f.running(actions())
	r.apply(mutate(actionsMaybe, store.I64(1), store.Text("a")), mutate(actionsMaybe, store.I64(1), store.Text("b")))
	r.apply(mutate(actionsMaybe, store.I64(1), store.Text("c")), mutate(actionsMaybe, store.I64(2), store.Text("d")))
	if got, want := r.table(), "1 a NULL NULL NULL NULL NULL NULL; 2 d NULL NULL NULL NULL NULL NULL"; got != want {
		f.Errorf("the table is %q", got)
	}
}

func applyDelete(f *fixture) {
	r := f.running(actions())
	r.apply(mutate(actionsTouch, store.I64(1)), mutate(actionsTouch, store.I64(2)), mutate(actionsTouch, store.I64(3)))
	r.apply(mutate(actionsGone, store.I64(1)), mutate(actionsGone, store.I64(3)), mutate(actionsGone, store.I64(9)),
		mutate(actionsGone, store.I64(1)))
	if got, want := r.table(), "2 NULL NULL NULL NULL NULL NULL NULL"; got != want {
		f.Errorf("the table is %q", got)
	}
}

func applyStatements(f *fixture) {
	r := f.running(actions())
	batch := []store.Mutation{mutate(actionsTouch, store.I64(1))}
	for _, letter := range "abc" {
		batch = append(batch, mutate(actionsNote, store.Text(string(letter)), store.I64(1)), mutate(actionsNoteAll))
	}
	r.apply(append(batch, mutate(actionsNote, store.Text("d"), store.I64(1)),
		mutate(actionsNote, store.Text("e"), store.I64(1)))...)
	if got, want := r.table(), "1 a!b!c!de NULL NULL NULL NULL NULL NULL"; got != want {
		f.Errorf("the table is %q, want %q", got, want)
	}
}

// applySteps mixes declarative writes and statements on one row: none may overtake another.
func applySteps(f *fixture) {
	r := f.running(actions())
	set := func(text string) store.Mutation {
		row := []store.Value{store.I64(1), store.Text(text)}
		for range 6 {
			row = append(row, store.Null())
		}
		return mutate(actionsPut, row...)
	}
	r.apply(set("a"), mutate(actionsNote, store.Text("b"), store.I64(1)), set("c"),
		mutate(actionsNote, store.Text("d"), store.I64(1)))
	if got := r.table(); !strings.HasPrefix(got, "1 cd ") {
		f.Errorf("the table is %q", got)
	}
	r.apply(mutate(actionsGone, store.I64(1)), mutate(actionsMaybe, store.I64(1), store.Text("e")),
		mutate(actionsMaybe, store.I64(1), store.Text("f")),
		mutate(actionsGone, store.I64(1)), mutate(actionsNew, store.I64(1), store.Text("g")), set("h"))
	if got := r.table(); !strings.HasPrefix(got, "1 h ") {
		f.Errorf("the table is %q", got)
	}
}

func applyBareStatement(f *fixture) {
	r := f.running(actions())
	r.apply(mutate(actionsTouch, store.I64(1)), mutate(actionsTouch, store.I64(2)))
	r.apply(mutate(actionsNoteAll), mutate(actionsNoteAll))
	if got := r.table(); strings.Count(got, "!!") != 2 {
		f.Errorf("the table is %q", got)
	}
}

func applyNothing(f *fixture) {
	r := f.running(actions())
	tx := r.catalogue.Begin(r.claim)
	f.must(tx.Commit(f.ctx, store.Commit{Through: f.at(90), Log: r.claim.Applied.Log}))
	tx.Rollback()
	if got := r.position(); got != r.at(90) {
		f.Errorf("the checkpoint is at %d, want %d", got, r.at(90))
	}
}

func applyLarge(f *fixture) {
	const rows = 5000
	r := f.running(actions())
	var batch []store.Mutation
	for i := range rows {
		batch = append(batch, mutate(actionsMaybe, store.I64(int64(i)), store.Text(strings.Repeat("x", i%200))))
	}
	for i := range 500 {
		batch = append(batch, mutate(actionsNote, store.Text("y"), store.I64(int64(i))))
	}
	r.apply(batch...)
	if got := f.Query(f, "SELECT count(*), sum(length(set_text)) FROM "+
		f.Table("actions", "row")); got[0][0] != fmt.Sprint(rows) || got[0][1] != fmt.Sprint(rows/200*199*100+500) {
		f.Errorf("the table has %v", got)
	}
	// A row far behind the first is refused: none of them is written.
	r.apply(addTo(rows-1, store.I64(math.MaxInt64)))
	batch = batch[:0]
	for i := range int64(rows) {
		batch = append(batch, addTo(i, store.I64(1)))
	}
	var rejection *store.RejectedError
	if err := r.commit(batch...); !errors.As(err, &rejection) || rejection.Statement != `write "put"` {
		f.Errorf("a sum out of range in the last row: %v", err)
	}
	if got := f.Query(f, "SELECT count(*) FROM "+f.Table("actions", "row")+" WHERE add_i64 = 1"); got[0][0] != "0" {
		f.Errorf("%s rows are written of a batch that is refused", got[0][0])
	}
}

// addTo adds to the sum of a row.
func addTo(id int64, sum store.Value) store.Mutation {
	return mutate(actionsPut, store.I64(id), store.Null(), sum, store.Null(), store.Null(), store.Null(), store.Null(),
		store.Null())
}

func applyRefusals(f *fixture) {
	r := f.running(actions())
	r.apply(addTo(1, store.I64(math.MaxInt64)))
	cases := []struct {
		name      string
		mutations []store.Mutation
		statement string
	}{
		{"a sum out of range in the table", []store.Mutation{addTo(1, store.I64(1))}, `write "put"`},
		{"a sum out of range within the batch", []store.Mutation{
			addTo(2, store.I64(math.MaxInt64)),
			addTo(2, store.I64(1)),
		}, `write "put"`},
		{"a key that is NULL", []store.Mutation{mutate(actionsTouch, store.Null())}, `write "touch"`},
	}
	for _, c := range cases {
		err := r.commit(append([]store.Mutation{mutate(actionsTouch, store.I64(77))}, c.mutations...)...)
		var rejection *store.RejectedError
		if !errors.As(err, &rejection) || rejection.Statement != c.statement || rejection.Reason == "" ||
			strings.Contains(rejection.Reason, "\n") {
			f.Errorf("%s: %v", c.name, err)
		}
	}
	if got := r.table(); !strings.HasPrefix(got, "1 ") || strings.Contains(got, ";") {
		f.Errorf("the table is %q", got)
	}
	r.apply(mutate(actionsTouch, store.I64(78))) // the claim and its connection are as good as before
}

// applyOneTransaction lets every kind of step fail after others have been applied.
func applyOneTransaction(f *fixture) {
	r := f.running(totals("sums"))
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(5)), mutate(totalsPut, store.Text("b"), store.I64(6)))
	good := []store.Mutation{
		mutate(totalsPut, store.Text("a"), store.I64(1)), mutate(totalsDelete, store.Text("b")),
		mutate(totalsDouble, store.Text("a")), mutate(totalsPut, store.Text("c"), store.I64(1)),
	}
	bad := map[string]store.Mutation{
		"insert":    mutate(totalsFail, store.Text("a"), store.I64(1)),
		"upsert":    mutate(totalsPut, store.Text("d"), store.Null()),
		"delete":    mutate(totalsPut, store.Text("a"), store.I64(math.MaxInt64)),
		"statement": mutate(totalsDouble, store.Text("big")),
	}
	r.apply(mutate(totalsPut, store.Text("big"), store.I64(math.MaxInt64)))
	before, position := r.table(), r.position()
	for name, fails := range bad {
		for _, at := range []int{0, len(good) / 2, len(good)} {
			batch := append(append(append([]store.Mutation(nil), good[:at]...), fails), good[at:]...)
			var rejection *store.RejectedError
			if err := r.commit(batch...); !errors.As(err, &rejection) {
				f.Errorf("%s at %d: %v", name, at, err)
			}
			if r.table() != before || r.position() != position {
				f.Fatalf("%s at %d: the table is %q at position %d, was %q at %d", name, at, r.table(), r.position(),
					before, position)
			}
		}
	}
	r.apply(good...)
	if got := r.table(); got != "a 12; big 9223372036854775807; c 1" || r.position() != position+1 {
		f.Errorf("the good batch gives %q at position %d", got, r.position())
	}
}
