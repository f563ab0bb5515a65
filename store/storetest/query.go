package storetest

import (
	"errors"
	"math"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var queryCases = []testCase{
	{"load_answers_in_order_of_the_request", queryLoad},
	{"statement_with_parameters", queryStatement},
	{"a_query_sees_what_was_committed", querySees},
	{"queries_and_commit_are_one_transaction", queryThenCommit},
	{"a_refused_query_names_itself", queryRefused},
	{"a_result_that_is_too_large_is_refused", queryTooLarge},
	{"a_result_of_large_values_is_refused", queryLargeValues},
	{"rollback_ends_the_transaction", queryRollback},
	{"rows_are_used_again", queryRowsAgain},
}

func textArray(texts ...string) store.Value {
	values := make([]store.Value, len(texts))
	for i, text := range texts {
		values[i] = store.Text(text)
	}
	return store.ArrayOf(store.KindText, values)
}

func (r *runner) fill() {
	r.Helper()
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)), mutate(totalsPut, store.Text("b"), store.I64(2)),
		mutate(totalsPut, store.Text("c"), store.I64(3)))
}

func queryLoad(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	cases := []struct {
		keys store.Value
		want string
	}{
		{textArray("a"), "0 1"},
		{textArray("c", "a", "b"), "0 3; 1 1; 2 2"},
		{textArray("x", "b", "y", "a"), "1 2; 3 1"},
		{textArray("x"), ""},
		{textArray(), ""},
		{textArray("a", "a"), "0 1; 1 1"},
	}
	for _, c := range cases {
		if got := show(r.query(1, c.keys)); got != c.want {
			f.Errorf("keys %s: %q, want %q", showValue(c.keys), got, c.want)
		}
	}
}

func queryStatement(f *fixture) {
	p := totals("sums")
	p.Queries = append(p.Queries, store.Query{
		Name: "above", SQL: anySQL("SELECT count(*), max(name), n > $2 FROM {table} WHERE n > $1 GROUP BY n > $2 " +
			"ORDER BY 3 -- a remark"),
		Params: types("i64", "i64"), Results: types("i64", "text", "bool"), Unordered: true,
	})
	r := f.running(p)
	r.fill()
	if got := show(r.query(2, store.I64(1), store.I64(2))); got != "1 b false; 1 c true" {
		f.Errorf("got %q", got)
	}
	if got := show(r.query(2, store.Null(), store.I64(2))); got != "" {
		f.Errorf("with NULL: %q", got)
	}
}

func querySees(f *fixture) {
	r := f.running(totals("sums"))
	for i, want := range []string{"", "a 1", "a 2", "a 3"} {
		if got := r.table(); got != want {
			f.Errorf("after %d commits: %q, want %q", i, got, want)
		}
		r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
	}
}

func queryThenCommit(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	for range 3 {
		tx := r.catalogue.Begin(r.claim)
		var rows store.Rows
		f.must(tx.Query(f.ctx, 1, []store.Value{textArray("a")}, &rows))
		f.must(tx.Query(f.ctx, 0, nil, &rows))
		n := rows.Values[1].Int()
		f.must(tx.Commit(f.ctx, store.Commit{
			Through: r.claim.Position + 1,
			Steps: r.folder.Fold([]store.Mutation{mutate(totalsPut, store.Text("a"),
				store.I64(n))}), Log: r.claim.Applied.Log,
		}))
		tx.Rollback()
		r.claim.Position++
	}
	if got := r.table(); got != "a 8; b 2; c 3" || r.position() != r.at(4) {
		f.Errorf("the table is %q at position %d", got, r.position())
	}
	// And a transaction whose commit is refused after its queries leaves nothing.
	tx := r.catalogue.Begin(r.claim)
	var rows store.Rows
	f.must(tx.Query(f.ctx, 0, nil, &rows))
	var rejection *store.RejectedError
	steps := r.folder.Fold([]store.Mutation{
		mutate(totalsPut, store.Text("a"), store.I64(1)), mutate(totalsFail, store.Text("b"), store.I64(1)),
	})
	err := tx.Commit(f.ctx, store.Commit{Through: r.claim.Position + 1, Steps: steps, Log: r.claim.Applied.Log})
	tx.Rollback()
	if !errors.As(err, &rejection) || r.table() != "a 8; b 2; c 3" || r.position() != r.at(4) {
		f.Errorf("%v; the table is %q at position %d", err, r.table(), r.position())
	}
}

func queryRefused(f *fixture) {
	p := totals("sums")
	p.Queries = append(p.Queries, store.Query{
		Name: "distance", SQL: anySQL(`SELECT abs($1)`), Params: types("i64"),
		Results: types("i64"), Unordered: true,
	})
	r := f.running(p)
	r.fill()
	tx := r.catalogue.Begin(r.claim)
	var rows store.Rows
	f.must(tx.Query(f.ctx, 0, nil, &rows))
	err := tx.Query(f.ctx, 2, []store.Value{store.I64(math.MinInt64)}, &rows)
	var rejection *store.RejectedError
	if !errors.As(err, &rejection) || rejection.Statement != `query "distance"` || strings.Contains(err.Error(), "\n") {
		f.Errorf("got %v", err)
	}
	tx.Rollback()
	if got := show(r.query(2, store.I64(-4))); got != "4" {
		f.Errorf("the next transaction gets %q", got)
	}
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
}

// queryTooLarge asks for rows that would not fit into the host.
func queryTooLarge(f *fixture) {
	p := totals("sums")
	count := `WITH RECURSIVE n (x) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT x + 1 FROM n WHERE x < $1)
		SELECT x, x, x, x, x, x, x, x FROM n`
	p.Queries = append(p.Queries, store.Query{
		Name: "count", Params: types("i64"),
		SQL: store.Statement{
			store.DialectAny:   count,
			store.DialectMySQL: strings.Replace(count, "bigint", "SIGNED", 1),
		},
		Results: types("i64", "i64", "i64", "i64", "i64", "i64", "i64", "i64"), Unordered: true,
	})
	r := f.running(p)
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	var rows store.Rows
	var rejection *store.RejectedError
	err := tx.Query(f.ctx, 2, []store.Value{store.I64(400_000)}, &rows)
	if !errors.As(err, &rejection) || rejection.Statement != `query "count"` ||
		!strings.Contains(err.Error(), "the result has more than 64 MiB") {
		f.Errorf("three million values: %v", err)
	}
	tx.Rollback()
	if got := show(r.query(2, store.I64(2))); got != "1 1 1 1 1 1 1 1; 2 2 2 2 2 2 2 2" {
		f.Errorf("the next transaction gets %q", got)
	}
}

// queryLargeValues asks for values of 8 MB, of which a few are read. A server may put all of them aside first,
// within its own limits.
func queryLargeValues(f *fixture) {
	p := totals("sums")
	p.Queries = append(p.Queries, store.Query{
		Name: "large", Results: types("text"), Unordered: true,
		SQL: store.Statement{
			store.DialectPostgres: `SELECT repeat('x', 8000000) FROM generate_series(1, 20)`,
			store.DialectSQLite:   `SELECT printf('%.*c', 8000000, 'x') FROM generate_series(1, 20)`,
			store.DialectMySQL: `WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20)
				SELECT CONCAT(t, t, t, t, t, t, t, t) FROM n JOIN (SELECT REPEAT('x', 1000000) AS t) AS million`,
		},
	})
	r := f.running(p)
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	var rows store.Rows
	var rejection *store.RejectedError
	if err := tx.Query(f.ctx, 2, nil, &rows); !errors.As(err, &rejection) ||
		!strings.Contains(err.Error(), "the result has more than 64 MiB") {
		f.Errorf("got %v", err)
	}
	if len(rows.Values) > 8 {
		f.Errorf("%d values were read, must be 8 at most", len(rows.Values))
	}
	tx.Rollback()
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
}

func queryRollback(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	for range 40 { // more than any pool holds
		tx := r.catalogue.Begin(r.claim)
		var rows store.Rows
		f.must(tx.Query(f.ctx, 0, nil, &rows))
		tx.Rollback()
		tx.Rollback()
	}
	r.catalogue.Begin(r.claim).Rollback() // one that never began
	if got := r.position(); got != r.at(1) {
		f.Errorf("the checkpoint is at %d", got)
	}
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
}

func queryRowsAgain(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	var rows store.Rows
	f.must(tx.Query(f.ctx, 0, nil, &rows))
	if rows.Width != 2 || len(rows.Values) != 6 {
		f.Fatalf("width %d, %d values", rows.Width, len(rows.Values))
	}
	f.must(tx.Query(f.ctx, 1, []store.Value{textArray("none")}, &rows))
	if rows.Width != 2 || len(rows.Values) != 0 {
		f.Errorf("a query without a row leaves width %d, %d values", rows.Width, len(rows.Values))
	}
}
