package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// endless runs until somebody stops it.
const endless = "SELECT count(*) FROM generate_series(1, 100000000000) a, generate_series(1, 100000000000) b"

// hostile is a projection of writes and queries that take what they can get, beside those of sums.
func hostile(queries map[string]string, results string) *store.Projection {
	p := sums()
	p.Writes = append(p.Writes, store.Write{
		Name: "endless", SQL: anySQL("INSERT INTO {total} (n) " + endless),
		Unordered: true,
	})
	for name, sql := range queries {
		p.Queries = append(p.Queries, store.Query{
			Name: name, SQL: anySQL(sql), Results: []store.Type{typed(results)},
			Unordered: true,
		})
	}
	return p
}

// with installs another projection of the same name in the place of sums.
func (r *rig) with(p *store.Projection) *rig {
	r.Helper()
	catalogue, err := r.store.Install(r.Context(), p, 1)
	must(r, err)
	r.catalogue, r.folder = catalogue, store.NewFolder(p)
	return r
}

// ask asks the last query of a projection.
func (r *rig) ask(p *store.Projection, rows *store.Rows) error {
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	return tx.Query(r.Context(), len(p.Queries)-1, nil, rows)
}

// wantQuiet waits until the server runs nothing for the store any more.
func (r *rig) wantQuiet() {
	r.Helper()
	conn := r.db.Connect(r)
	testwait.Until(r, "nothing runs on the server", func() bool {
		return query(r, conn, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "+
			"application_name = 'pupwasm' AND state <> 'idle'")[0][0] == "0"
	})
}

func wantLimit(t testing.TB, err error, statement string, says ...string) {
	t.Helper()
	var limit *store.LimitError
	if !errors.As(err, &limit) || !errors.Is(err, store.ErrTransient) || limit.Statement != statement {
		t.Errorf("got %v, must be a limit of %s", err, statement)
		return
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func wantNoLimit(t testing.TB, what string, err error) {
	t.Helper()
	var limit *store.LimitError
	if !errors.Is(err, store.ErrTransient) || errors.As(err, &limit) {
		t.Errorf("%s: %v, must be a transient error and no limit", what, err)
	}
}

// TestLimits_queryStorm asks without end, each time for little.
func TestLimits_queryStorm(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{
		ConnectionsMax: 1, TransactionTimeout: 300 * time.Millisecond,
		Lazy: true,
	})
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	var rows store.Rows
	err := error(nil)
	for err == nil {
		err = tx.Query(t.Context(), sumsAll, nil, &rows)
	}
	wantLimit(t, err, `query "all"`, "had taken longer than 300ms: Options.TransactionTimeout raises the limit")
	tx.Rollback()
	r.wantQuiet()
	must(t, r.commit(t.Context(), add("a", 1)))
	r.want("a 1")
}

// TestLimits_statementsOfABatchTogether has statements that are each within their limit, and not all of them together.
func TestLimits_statementsOfABatchTogether(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{
		ConnectionsMax: 1, StatementTimeout: time.Hour,
		TransactionTimeout: 300 * time.Millisecond, Lazy: true,
	})
	p := hostile(map[string]string{"endless": endless}, "i64")
	r.with(p)
	wantLimit(t, r.commit(t.Context(), add("a", 1), store.Mutation{Write: len(p.Writes) - 1}), `write "endless"`,
		"Options.TransactionTimeout")
	r.wantQuiet() // the statement was cancelled on the server
	var rows store.Rows
	wantLimit(t, r.ask(p, &rows), `query "endless"`, "Options.TransactionTimeout")
	r.wantQuiet()
	must(t, r.commit(t.Context(), add("a", 1)))
	r.want("a 1")
}

// TestLimits_aCancelledContextEndsTheStatement has a host that stops.
func TestLimits_aCancelledContextEndsTheStatement(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 1, StatementTimeout: time.Hour, Lazy: true})
	p := hostile(nil, "i64")
	r.with(p)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.commit(ctx, store.Mutation{Write: len(p.Writes) - 1}) }()
	conn := db.Connect(t)
	testwait.Until(t, "the statement runs", func() bool {
		return query(t, conn, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "+
			"application_name = 'pupwasm' AND state = 'active'")[0][0] == "1"
	})
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	r.wantQuiet()
}

// TestLimits_temporaryFiles sorts more than may be in files, and asks for a result that the server would put aside
// in files first.
func TestLimits_temporaryFiles(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN+"&work_mem=64kB", postgres.Options{
		ConnectionsMax: 1, TempFileBytesMax: 1 << 20,
		Lazy: true,
	})
	for results, sql := range map[string]string{
		"i64": "SELECT count(*) FROM (SELECT repeat(md5(i::text), 300) AS s FROM generate_series(1, 100000000) " +
			"AS i ORDER BY 1) x",
		"text": "SELECT repeat('x', 16000000) FROM generate_series(1, 1000)",
	} {
		p := hostile(map[string]string{"large": sql}, results)
		r.with(p)
		var rows store.Rows
		wantLimit(t, r.ask(p, &rows), `query "large"`, "temp_file_limit", "(1024kB): Options.TempFileBytesMax raises it")
		must(t, r.commit(t.Context(), add("a", 1)))
	}
}

// TestLimits_resultsAreBoundedBeforeTheyTakeMemory asks for rows, and for arrays, that would take a multiple of
// what they have on the wire.
func TestLimits_resultsAreBoundedBeforeTheyTakeMemory(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 1, Lazy: true})
	for _, c := range []struct{ sql, results, want string }{
		{
			"SELECT repeat(chr(97 + i::integer), 200000000) FROM generate_series(1, 1) AS i", "text",
			"a row of the result has more than 64 MiB",
		},
		{
			"SELECT array_agg(CASE WHEN i < 0 THEN i END) FROM generate_series(1, 3000000) AS i", "i64[]",
			"the result has more than 64 MiB",
		},
	} {
		p := hostile(map[string]string{"large": c.sql}, c.results)
		r.with(p)
		var rows store.Rows
		var rejection *store.RejectedError
		if err := r.ask(p, &rows); !errors.As(err, &rejection) || rejection.Statement != `query "large"` ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.sql, err)
		}
		must(t, r.commit(t.Context(), add("a", 1)))
	}
}

// TestLimits_planningComputesConstants: a statement that does so without end is refused when it is installed.
func TestLimits_planningComputesConstants(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, err := postgres.OpenBackend(db.DSN, postgres.Options{
		ConnectionsMax: 1, StatementTimeout: 2 * time.Second,
		Lazy: true,
	})
	must(t, err)
	t.Cleanup(s.Close)
	_, err = s.Install(t.Context(), hostile(map[string]string{"constant": "SELECT length(factorial(30000)::text) " +
		"+ length(factorial(30001)::text)" +
		strings.Repeat(" + length(factorial(32000)::text)", 40)}, "i64"), 1)
	var refused *store.CatalogueError
	if !errors.As(err, &refused) || refused.Item != `query "constant"` ||
		!strings.Contains(err.Error(), "cannot be planned, which computes its constants") {
		t.Errorf("got %v", err)
	}
}

// TestLimits_whatOthersDoIsNobodysFault has a lock, and another session that cancels: a statement that waits or is
// ended is not to blame.
func TestLimits_whatOthersDoIsNobodysFault(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r := newRig(t, db, db.DSN, postgres.Options{
		ConnectionsMax: 1, StatementTimeout: 400 * time.Millisecond,
		Lazy: true,
	})
	ctx := t.Context()
	must(t, r.commit(ctx, add("a", 1)))
	holding := begin(t, db.Connect(t))
	execute(t, holding.Conn(), "LOCK TABLE "+sumsTotal)
	wantNoLimit(t, "a statement of the module that waits for a lock", r.commit(ctx, double("a")))
	wantNoLimit(t, "rows that wait for a lock", r.commit(ctx, add("a", 1)))
	must(t, holding.Rollback(ctx))
	holding = begin(t, db.Connect(t))
	execute(t, holding.Conn(), "SELECT FROM pupwasm.segments FOR UPDATE")
	wantNoLimit(t, "the fence", r.commit(ctx, double("a")))
	must(t, holding.Rollback(ctx))
	must(t, r.commit(ctx, double("a")))
	r.want("a 2")
	must(t, r.store.Release(ctx, r.claim))
	must(t, r.store.Reset(ctx, "sums"))

	r = newRig(t, db, db.DSN, postgres.Options{ConnectionsMax: 1, StatementTimeout: time.Hour, Lazy: true})
	p := hostile(nil, "i64")
	r.with(p)
	ended := make(chan error, 1)
	go func() { ended <- r.commit(ctx, store.Mutation{Write: len(p.Writes) - 1}) }()
	conn := db.Connect(t)
	testwait.Until(t, "the statement is cancelled", func() bool {
		return query(t, conn, "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE datname = "+
			"current_database() AND application_name = 'pupwasm' AND state = 'active' AND query LIKE '%pupwasm__%'")[0][0] == "1"
	})
	wantNoLimit(t, "a statement that an administrator cancels", <-ended)
}

// TestLimits_areSetForTheTransaction has a trigger write down what a commit runs with.
func TestLimits_areSetForTheTransaction(t *testing.T) {
	t.Parallel()
	settings := []string{
		"statement_timeout", "lock_timeout", "work_mem", "hash_mem_multiplier",
		"max_parallel_workers_per_gather", "temp_file_limit", "transaction_timeout",
	}
	note := func(t *testing.T, db, asRole pgtest.Database, dsn string, options postgres.Options) string {
		t.Helper()
		options.ConnectionsMax, options.Lazy = 1, true
		r := newRig(t, db, asRole.DSN+dsn, options)
		execute(t, db.Connect(t), `CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN
				NEW.note := (SELECT string_agg(current_setting(s, true), ' ' ORDER BY n) FROM unnest('{`+strings.Join(settings, ",")+`}'::text[]) WITH ORDINALITY AS u (s, n));
				RETURN NEW;
			END $$;
			CREATE TRIGGER note BEFORE INSERT OR UPDATE ON `+sumsTotal+` FOR EACH ROW EXECUTE FUNCTION public.note()`)
		must(t, r.commit(t.Context(), add("a", 1)))
		return ask(t, db, "SELECT note FROM sums.total")[0][0]
	}
	transaction := ""
	if hasSetting(t, connectTo(t, pgtest.Shared(t).DSN), "transaction_timeout") {
		transaction = " 130s"
	}
	for _, c := range []struct {
		name, dsn, want string
		options         postgres.Options
	}{
		{
			"a server with much memory", "&work_mem=1GB&hash_mem_multiplier=8", "1min 30s 16MB 1 0 1GB",
			postgres.Options{},
		},
		{"one with less", "&work_mem=64kB&temp_file_limit=512kB", "1min 30s 64kB 1 0 512kB", postgres.Options{}},
		{"other limits", "", "1s 500ms 4MB 1 0 2MB", postgres.Options{
			StatementTimeout: time.Second,
			TempFileBytesMax: 2 << 20,
		}},
		{
			"none", "&statement_timeout=7s&lock_timeout=3s", "7s 3s 4MB 1 0 -1",
			postgres.Options{StatementTimeout: -1, TransactionTimeout: 2 * time.Minute, TempFileBytesMax: -1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			if got := note(t, db, db, c.dsn, c.options); got != c.want+transaction {
				t.Errorf("the settings %v are %q, must be %q", settings, got, c.want+transaction)
			}
		})
	}
	t.Run("a role that may not set all of it", func(t *testing.T) {
		t.Parallel()
		db, asRole := roleWithout(t, "limits_host", func(t *testing.T) pgtest.Database { t.Helper(); return pgtest.New(t) })
		execute(t, db.Connect(t), `GRANT USAGE ON SCHEMA pupwasm TO limits_host; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pupwasm TO limits_host;
			GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA pupwasm TO limits_host; CREATE SCHEMA sums AUTHORIZATION limits_host;
			CREATE SCHEMA sums__v1 AUTHORIZATION limits_host`)
		if got, want := note(t, db, asRole, "", postgres.Options{}), "1min 30s 4MB 1 0 -1"+transaction; got != want {
			t.Errorf("the settings %v are %q, must be %q", settings, got, want)
		}
	})
	t.Run("a role that the parameter is granted to", func(t *testing.T) {
		t.Parallel()
		db, asRole := roleWithout(t,
			"limits_granted", func(t *testing.T) pgtest.Database { t.Helper(); return pgtest.New(t) })
		conn := db.Connect(t)
		if query(t, conn, "SELECT current_setting('server_version_num')::integer >= 150000")[0][0] != "true" {
			t.Skip("before PostgreSQL 15 no parameter can be granted")
		}
		execute(t, conn, `GRANT USAGE ON SCHEMA pupwasm TO limits_granted; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pupwasm TO limits_granted;
			GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA pupwasm TO limits_granted; CREATE SCHEMA sums AUTHORIZATION limits_granted; CREATE SCHEMA sums__v1 AUTHORIZATION limits_granted;
			GRANT SET ON PARAMETER temp_file_limit TO limits_granted`)
		t.Cleanup(func() {
			execute(t, connectTo(t, pgtest.Shared(t).DSN), "REVOKE SET ON PARAMETER temp_file_limit FROM limits_granted")
		})
		if got, want := note(t, db, asRole, "", postgres.Options{}), "1min 30s 4MB 1 0 1GB"+transaction; got != want {
			t.Errorf("the settings %v are %q, must be %q", settings, got, want)
		}
	})
}
