package sqlite_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// limited is a store on a new file with a projection of the queries given, and a write that never ends, whose
// segment is claimed.
type limited struct {
	*testing.T
	store     sqlite.Backend
	catalogue store.Catalogue
	claim     store.Claim
}

func newLimited(t *testing.T, options sqlite.Options, queries ...store.Query) *limited {
	t.Helper()
	p := totals()
	p.Queries = append(queries, p.Queries...)
	p.Writes = append([]store.Write{{
		Name: "endless",
		SQL:  store.Statement{store.DialectAny: "INSERT INTO {table} (id) VALUES ((" + endless + "))"}, Unordered: true,
	}}, p.Writes...)
	s := open(t, migrated(t), options)
	return &limited{T: t, store: s, catalogue: install(t, s, p, 1), claim: claim(t, s, p.Name, 1)[0]}
}

func asks(sql string, result store.Type) store.Query {
	return store.Query{
		Name: "q", SQL: store.Statement{store.DialectAny: sql}, Results: []store.Type{result},
		Unordered: true,
	}
}

func (l *limited) ask() error {
	var found store.Rows
	return l.catalogue.Begin(l.claim).Query(l.Context(), 0, nil, &found)
}

func (l *limited) write() error {
	return l.catalogue.Begin(l.claim).Commit(l.Context(), store.Commit{
		Through: 1, Steps: []store.Step{{Count: 1}},
		Log: l.claim.Applied.Log,
	})
}

func (l *limited) wantLimit(err error, statement string, says string) {
	l.Helper()
	var limit *store.LimitError
	if !errors.As(err, &limit) || !errors.Is(err, store.ErrTransient) || limit.Statement != statement ||
		!strings.Contains(err.Error(), says) {
		l.Errorf("got %v, must be a limit of %s: %s", err, statement, says)
	}
}

// TestLimits_anEndlessStatementHoldsNobodyUp has it hold the file's one writer while others wait for it.
func TestLimits_anEndlessStatementHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	l := newLimited(t, sqlite.Options{StatementTimeout: 200 * time.Millisecond}, asks(endless, i64))
	ended := make(chan error, 1)
	go func() { ended <- l.write() }()
	for n := range 5 {
		appendTo(t, l.store, "a", 1)
		if err := l.store.Heartbeat(t.Context(), store.Worker{Name: "worker"}, time.Minute); err != nil {
			t.Errorf("heartbeat %d: %v", n, err)
		}
	}
	l.wantLimit(<-ended, `write "endless"`, "ran for longer than 200ms: Options.StatementTimeout raises the limit")
	l.wantLimit(l.ask(), `query "q"`, "Options.StatementTimeout")
	if err := l.catalogue.Begin(l.claim).Commit(t.Context(),
		store.Commit{Through: 1, Log: l.claim.Applied.Log}); err != nil {
		t.Errorf("the claim was lost: %v", err)
	}
}

// TestLimits_queryStorm asks without end, each time for little.
func TestLimits_queryStorm(t *testing.T) {
	t.Parallel()
	l := newLimited(t, sqlite.Options{TransactionTimeout: 100 * time.Millisecond}, asks("SELECT 1", i64))
	unit := l.catalogue.Begin(l.claim)
	defer unit.Rollback()
	err := error(nil)
	for err == nil {
		var found store.Rows
		err = unit.Query(t.Context(), 0, nil, &found)
	}
	l.wantLimit(err, `query "q"`, "had taken longer than 100ms: Options.TransactionTimeout raises the limit")
	if err := l.ask(); err != nil {
		t.Errorf("the next transaction: %v", err)
	}
}

// TestLimits_memoryAndLength has statements that would take more than a connection has, each of which is refused
// at once and for good.
func TestLimits_memoryAndLength(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		of   store.Type
		want string
	}{
		"memory": {
			"SELECT length(json_group_array(hex(zeroblob(1000000)))) FROM generate_series(1, 80)",
			i64, "needs more memory than a connection has",
		},
		"a sort in memory": {"SELECT length(hex(zeroblob(100000))) AS n FROM generate_series(1, 2000) ORDER " +
			"BY hex(zeroblob(100000)) || value", i64, "needs more memory than a connection has"},
		"a text": {"SELECT hex(zeroblob(40000000))", text, "string or blob too big"},
		"a pattern": {
			"SELECT 'a' LIKE replace(hex(zeroblob(300)), '0', '%')", i64,
			"LIKE or GLOB pattern too complex",
		},
		"rows": {
			"SELECT value FROM generate_series(1, 2000000)", i64,
			"the result has more than 64 MiB",
		},
		"large rows": {
			"SELECT printf('%.*c', 16000000, 'x') FROM generate_series(1, 1000)", text,
			"the result has more than 64 MiB",
		},
		"elements of an array": {
			"SELECT json_group_array(0) FROM generate_series(1, 2000000)",
			store.Type{Kind: store.KindI64, Array: true},
			"the result has more than 64 MiB",
		},
		"strings with a comma": {
			`SELECT '["' || replace(hex(zeroblob(1000000)), '0', ',') || '"]'`,
			store.Type{Kind: store.KindText, Array: true},
			"",
		},
		"keys of an empty text": {
			"SELECT json_group_array('') FROM generate_series(1, 2000000)",
			store.Type{Kind: store.KindText, Array: true},
			"the result has more than 64 MiB",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLimited(t, sqlite.Options{}, asks(c.sql, c.of))
			err := l.ask()
			var rejection *store.RejectedError
			if c.want == "" && err != nil || c.want != "" &&
				(!errors.As(err, &rejection) || rejection.Statement != `query "q"` ||
					!strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			appendTo(t, l.store, "a", 1)
		})
	}
}

// TestLimits_whatIsTooLargeToCompile is refused when it is installed.
func TestLimits_whatIsTooLargeToCompile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sql, want string }{
		"a long statement": {"SELECT 1 -- " + strings.Repeat("x", 1_000_000), "too big"},
		"a compound": {
			strings.Repeat("SELECT 1 UNION ALL ", 101) + "SELECT 1",
			"too many terms in compound SELECT",
		},
		"arguments": {
			"SELECT max(1" + strings.Repeat(", 1", 200) + ")",
			"too many arguments on function max",
		},
		"a nested expression": {
			"SELECT " + strings.Repeat("1 + (", 3000) + "1" + strings.Repeat(")", 3000),
			"Recursion limit",
		},
	} {
		p := totals()
		p.Queries = []store.Query{asks(c.sql, i64)}
		var refused *store.CatalogueError
		if _, err := openNew(t).Install(t.Context(), p, 1); !errors.As(err, &refused) ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.300v, want %q", name, err, c.want)
		}
	}
}

// hostileSteps are functions on large arguments, each of which is one step of SQLite, which nothing interrupts.
var hostileSteps = map[string]string{
	"instr": "SELECT instr(replace(hex(zeroblob(8000000)), '0', 'a'), replace(hex(zeroblob(4000000)), '0', " +
		"'a') || 'b')",
	"replace": "SELECT length(replace(hex(zeroblob(8000000)), hex(zeroblob(4000000)) || 'b', 'x'))",
	"trim":    "SELECT length(trim(hex(zeroblob(8000000)), replace(hex(zeroblob(4000000)), '0', 'a') || '0'))",
	"ltrim":   "SELECT length(ltrim(hex(zeroblob(8000000)), replace(hex(zeroblob(4000000)), '0', 'a') || '0'))",
	"rtrim":   "SELECT length(rtrim(hex(zeroblob(8000000)), replace(hex(zeroblob(4000000)), '0', 'a') || '0'))",
	"unhex": "SELECT length(unhex(replace(hex(zeroblob(1000000)), '0', 'z') || '00', " +
		"replace(hex(zeroblob(1000000)), '0', 'y') || 'z'))",
	"glob":         "SELECT replace(hex(zeroblob(8000000)), '0', 'a') GLOB '*[" + strings.Repeat("b", 95) + "]'",
	"glob of many": "SELECT replace(hex(zeroblob(4000000)), '0', 'ä') GLOB '*" + strings.Repeat("[^b]", 24) + "b'",
	"like":         "SELECT replace(hex(zeroblob(8000000)), '0', 'a') LIKE '%" + strings.Repeat("a", 95) + "b'",
	"json_replace": "SELECT length(json_replace('[0' || replace(hex(zeroblob(300000)), '0', ',0') || ']'" +
		strings.Repeat(", '$[#-1]', 0", 15) + "))",
	"decimal_mul": "SELECT length(decimal_mul(replace(hex(zeroblob(1000000)), '0', '7'), " +
		"replace(hex(zeroblob(1000000)), '0', '7')))",
}

// TestLimits_noFunctionTakesLongInOneStep has a limit of time that only statements can meet which are interrupted
// in time.
func TestLimits_noFunctionTakesLongInOneStep(t *testing.T) {
	t.Parallel()
	for name, sql := range hostileSteps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLimited(t, sqlite.Options{}, asks(sql, i64))
			var rejection *store.RejectedError
			if err := l.ask(); err != nil && !errors.As(err, &rejection) {
				t.Errorf("got %v", err)
			}
		})
	}
}
