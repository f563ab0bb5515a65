package mysql_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// endless counts for hours, where it is given a number for that.
const endless = "(WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < $1) SELECT COUNT(*) FROM c)"

// hours is that number.
var hours = []store.Value{store.I64(1e12)}

// The writes of looping, and its queries.
const (
	loopingEndless = iota
	loopingBrief
	loopingAdd
)

const (
	loopingAsk = iota
	loopingShort
)

// looping is a projection whose module has SQL that never ends, and SQL that does.
func looping() *store.Projection {
	p := ledger()
	integers := []store.Type{kind(store.KindI64)}
	text := func(sql string) store.Statement { return store.Statement{store.DialectAny: sql} }
	p.Writes = append([]store.Write{
		{Name: "endless", SQL: text("UPDATE {total} SET n = " + endless), Params: integers, Unordered: true},
		{Name: "brief", SQL: text("UPDATE {total} SET n = n + 1"), Unordered: true},
	}, p.Writes...)
	p.Queries = []store.Query{
		{Name: "ask", SQL: text("SELECT " + endless), Params: integers, Results: integers, Unordered: true},
		{Name: "short", SQL: text("SELECT 1"), Results: integers, Unordered: true},
	}
	return p
}

func newLooping(t *testing.T, at mariadbtest.Database, options mysql.Options) *rig {
	t.Helper()
	return newRigOf(t, at, at.URL, options, looping())
}

func wantLimit(t *testing.T, err error, statement, says string) {
	t.Helper()
	var limit *store.LimitError
	if !errors.As(err, &limit) || !errors.Is(err, store.ErrTransient) || limit.Statement != statement ||
		!strings.Contains(err.Error(), says) {
		t.Errorf("got %v, must be a limit of %s: %s", err, statement, says)
	}
}

func TestLimits_endlessStatements(t *testing.T) {
	t.Parallel()
	r := newLooping(t, mariadbtest.New(t), mysql.Options{StatementTimeout: 200 * time.Millisecond})
	addOne := store.Mutation{Write: loopingAdd, Values: []store.Value{store.Text("a"), store.I64(1)}}
	must(t, r.commit(t.Context(), addOne))
	const says = "ran for longer than 200ms: Options.StatementTimeout raises the limit"
	err := r.commit(t.Context(), addOne, store.Mutation{Write: loopingBrief}, store.Mutation{Write: loopingEndless, Values: hours})
	wantLimit(t, err, `write "endless"`, says)
	var rows store.Rows
	wantLimit(t, r.catalogue.Begin(r.claim).Query(t.Context(), loopingAsk, hours, &rows), `query "ask"`, says)
	r.want("a 1")
	must(t, r.commit(t.Context(), addOne, store.Mutation{Write: loopingBrief}))
	r.want("a 3")
	wantSessions(t, r)
}

// TestLimits_manyStatements writes one row after the other, each in little time.
func TestLimits_manyStatements(t *testing.T) {
	t.Parallel()
	r := newLooping(t, mariadbtest.New(t), mysql.Options{StatementTimeout: 100 * time.Millisecond})
	mutations := make([]store.Mutation, 100_000)
	for i := range mutations {
		mutations[i] = store.Mutation{Write: loopingBrief}
	}
	wantLimit(t, r.commit(t.Context(), mutations...), `write "brief"`, "ran for longer than 100ms")
	must(t, r.commit(t.Context(), mutations[:10]...))
}

// TestLimits_queryStorm asks without end, each time for little.
func TestLimits_queryStorm(t *testing.T) {
	t.Parallel()
	r := newLooping(t, mariadbtest.New(t), mysql.Options{TransactionTimeout: 100 * time.Millisecond})
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	err := error(nil)
	for err == nil {
		var rows store.Rows
		err = tx.Query(t.Context(), loopingShort, nil, &rows)
	}
	wantLimit(t, err, `query "short"`, "had taken longer than 100ms: Options.TransactionTimeout raises the limit")
	must(t, r.commit(t.Context()))
}

// TestLimits_aLockIsNobodysFault has a statement of a module wait for somebody else.
func TestLimits_aLockIsNobodysFault(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newLooping(t, at, mysql.Options{StatementTimeout: 4 * time.Second})
	must(t, r.commit(t.Context(), store.Mutation{Write: loopingAdd, Values: []store.Value{store.Text("a"), store.I64(1)}}))
	begun(t, at, "UPDATE "+r.table("total")+" SET n = 7")
	err := r.commit(t.Context(), store.Mutation{Write: loopingBrief})
	var limit *store.LimitError
	if !errors.Is(err, store.ErrLocked) || errors.As(err, &limit) {
		t.Errorf("got %v", err)
	}
}
