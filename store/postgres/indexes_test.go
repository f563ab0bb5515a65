package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// indexed is versioned(1) with an index over its number.
func indexed() *store.Projection {
	p := versioned(1)
	p.Tables[0].Indexes = [][]string{{"n"}}
	return p
}

const (
	// sumsIndexes are those over n, with whether they are complete.
	sumsIndexes = `SELECT i.indisvalid FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE i.indrelid = 'sums__v1.total'::regclass AND a.attname = 'n'`
	// buildsIndex are the sessions of the database that build one.
	buildsIndex = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%'
		AND state = 'active'`
)

// building builds the index of sums in the background, by a store of its own. ended has the result.
type building struct {
	begun, ended chan error
	cancel       context.CancelFunc
}

func startBuilding(t *testing.T, s postgres.Backend) *building {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &building{begun: make(chan error, 9), ended: make(chan error, 1), cancel: cancel}
	var running sync.WaitGroup
	running.Go(func() {
		b.ended <- s.BuildIndexes(ctx, indexed(), func(build store.IndexBuild) {
			if !build.Done {
				b.begun <- nil
			}
		})
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return b
}

// holdBack has a reader keep a snapshot, for which a build waits before it is complete, and waits until the build does.
func holdBack(t *testing.T, db pgtest.Database, s postgres.Backend) (reader pgx.Tx, b *building) {
	t.Helper()
	reader = begin(t, db.Connect(t))
	execute(t, reader.Conn(), "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
	execute(t, reader.Conn(), "SELECT FROM sums.total")
	b = startBuilding(t, s)
	<-b.begun
	testwait.Until(t, "the index is there and not complete", func() bool {
		got := ask(t, db, sumsIndexes)
		return len(got) == 1 && got[0][0] == "f" && len(ask(t, db, buildsIndex+" AND wait_event_type = 'Lock'")) == 1
	})
	return reader, b
}

// TestBuildIndexes_holdsNobodyUp has a reader keep a build from its end: commits, readers and installs go on meanwhile,
// and other hosts leave it to the one that builds.
func TestBuildIndexes_holdsNobodyUp(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, other := open(t, db), open(t, db)
	versions(t, db, s, 1)
	admin := db.Connect(t)
	_, err := s.Install(t.Context(), indexed(), 1)
	must(t, err)
	wantRows(t, db, "SELECT count(*) FROM ("+sumsIndexes+") x", "0") // an install does not wait for it
	long, b := holdBack(t, db, s)
	for range 2 {
		_, err = other.Install(t.Context(), indexed(), 1)
		must(t, err)
		err := other.BuildIndexes(t.Context(), indexed(), func(store.IndexBuild) { t.Error("another host builds too") })
		if !errors.Is(err, store.ErrTransient) || !errors.Is(err, store.ErrLocked) {
			t.Errorf("another host: %v", err)
		}
		_, err = other.Install(t.Context(), noted(1, "extra"), 1) // its lock would exclude a build
		if !errors.Is(err, store.ErrLocked) {
			t.Errorf("a column meanwhile: %v", err)
		}
		execute(t, admin, "INSERT INTO sums__v1.total (name, n) SELECT 'more' || i, i FROM generate_series(1, 100) i")
		execute(t, admin, "UPDATE sums__v1.total SET n = n + 1; DELETE FROM sums__v1.total WHERE name LIKE 'more%'")
		wantRows(t, db, "SELECT name, n > 1 FROM sums.total", "v1 t")
	}
	must(t, long.Rollback(t.Context()))
	must(t, <-b.ended)
	wantRows(t, db, sumsIndexes, "t")
	must(t, other.BuildIndexes(t.Context(), indexed(), func(store.IndexBuild) { t.Error("it is built again") }))
	wantRows(t, db, "SELECT pg_get_userbyid(relowner) = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'sums__v1.total'::regclass) FROM pg_class WHERE relname LIKE 'total\\_\\_index%'", "t")
	wantRows(t, db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())", "0")
	_, err = other.Install(t.Context(), noted(1, "extra"), 1)
	must(t, err)
}

// TestBuildIndexes_resumes ends a build in the middle: by its context, by an administrator, and with the host. What is
// left is dropped, and the index is built.
func TestBuildIndexes_resumes(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	versions(t, db, s, 1)
	admin := db.Connect(t)
	end := func(how string) {
		if got := query(t, admin, "SELECT "+how+"(pid) FROM ("+buildsIndex+") b"); len(got) != 1 || got[0][0] != "t" {
			t.Errorf("%s: %v", how, got)
		}
	}
	for _, c := range []struct {
		name string
		end  func(b *building)
		want error
	}{
		{"its context", func(b *building) { b.cancel() }, context.Canceled},
		{"a cancelled statement", func(*building) { end("pg_cancel_backend") }, store.ErrTransient},
		{"an ended session", func(*building) { end("pg_terminate_backend") }, store.ErrTransient},
	} {
		_, err := s.Install(t.Context(), indexed(), 1)
		must(t, err)
		long, b := holdBack(t, db, s)
		c.end(b)
		if err := <-b.ended; !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		wantRows(t, db, sumsIndexes, "f")
		wantRows(t, db, "SELECT count(*) FROM ("+buildsIndex+") b", "0") // nor does the server go on
		must(t, long.Rollback(t.Context()))
		begun := 0
		must(t, s.BuildIndexes(t.Context(), indexed(), func(build store.IndexBuild) {
			if !build.Done {
				begun++
			}
		}))
		wantRows(t, db, sumsIndexes, "t")
		if begun != 1 {
			t.Errorf("%s: it was built %d times", c.name, begun)
		}
		execute(t, admin, "DO $$ BEGIN EXECUTE (SELECT 'DROP INDEX ' || i.indexrelid::regclass FROM pg_index i "+
			"WHERE i.indrelid = 'sums__v1.total'::regclass AND NOT i.indisprimary); END $$")
	}
}

// TestBuildIndexes_whoseHostIsGone has the server go on with a build whose host is gone: the next one waits for it, and
// has nothing to do then. What nobody declares any more is dropped.
func TestBuildIndexes_whoseHostIsGone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	versions(t, db, s, 1)
	admin := db.Connect(t)
	long, b := holdBack(t, db, s)
	if got := query(t, admin, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); len(got) != 1 {
		t.Errorf("%d sessions have the lock", len(got))
	}
	err := open(t, db).BuildIndexes(t.Context(), indexed(), func(store.IndexBuild) { t.Error("it is built twice") })
	if !errors.Is(err, store.ErrLocked) {
		t.Errorf("while the server builds: %v", err)
	}
	must(t, long.Rollback(t.Context()))
	must(t, <-b.ended)
	wantRows(t, db, sumsIndexes, "t")

	execute(t, admin, "UPDATE pg_index SET indisvalid = false WHERE indrelid = 'sums__v1.total'::regclass AND NOT indisprimary")
	must(t, s.BuildIndexes(t.Context(), versioned(1), func(store.IndexBuild) { t.Error("nothing is declared") }))
	wantRows(t, db, "SELECT count(*) FROM ("+sumsIndexes+") x", "0")
}

// TestBuildIndexes_whatTheServerRefuses has a value that no index takes: nothing is left, so that rows go on.
func TestBuildIndexes_whatTheServerRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	versions(t, db, s, 1)
	admin := db.Connect(t)
	execute(t, admin, "UPDATE sums__v1.total SET note = (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i)")
	p := versioned(1)
	p.Tables[0].Indexes = [][]string{{"note"}, {"n"}}
	_, err := s.Install(t.Context(), p, 1)
	must(t, err)
	err = s.BuildIndexes(t.Context(), p, nil)
	var fault *store.CatalogueError
	if !errors.As(err, &fault) || !strings.HasPrefix(err.Error(), "index total (note): ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a value that is too large: %v", err)
	}
	wantRows(t, db, "SELECT count(*) FROM pg_index WHERE indrelid = 'sums__v1.total'::regclass", "1")
	execute(t, admin, "UPDATE sums__v1.total SET note = 'short'")
	must(t, s.BuildIndexes(t.Context(), p, nil))
	wantRows(t, db, "SELECT count(*) FROM pg_index WHERE indrelid = 'sums__v1.total'::regclass AND indisvalid", "3")
}

// TestBuildIndexes_underSettingsOfOthers has roles with limits, with another isolation, and a pooler by transaction.
func TestBuildIndexes_underSettingsOfOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, setting string }{
		{"statement_timeout", "statement_timeout = '200ms'"},
		{"lock_timeout", "lock_timeout = '200ms'"},
		{"isolation", "default_transaction_isolation = 'serializable'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			versions(t, db, open(t, db), 1)
			execute(t, db.Connect(t), "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "+strings.ReplaceAll(c.setting, "'", "''")+
				"', current_database()); END $$")
			long, b := holdBack(t, db, open(t, db))
			wantRows(t, db, "SELECT pg_sleep(0.15)", "")
			wantRows(t, db, "SELECT pg_sleep(0.15)", "")
			must(t, long.Rollback(t.Context()))
			must(t, <-b.ended)
			wantRows(t, db, sumsIndexes, "t")
		})
	}
	t.Run("pooler", func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t)
		versions(t, db, open(t, db), 1)
		pooled := db
		pooled.DSN = db.Pooler(t)
		s := open(t, pooled)
		_, err := s.Install(t.Context(), indexed(), 1)
		must(t, err)
		must(t, s.BuildIndexes(t.Context(), indexed(), nil))
		wantRows(t, db, sumsIndexes, "t")
	})
}

// TestBuildIndexes_byTheRoleOfAHost builds for a role that may do no more than a host does.
func TestBuildIndexes_byTheRoleOfAHost(t *testing.T) {
	t.Parallel()
	db, asRole := roleWithout(t, "builds_host", func(t *testing.T) pgtest.Database { t.Helper(); return pgtest.New(t) })
	admin := db.Connect(t)
	execute(t, admin, `GRANT USAGE ON SCHEMA pupwasm TO builds_host;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pupwasm TO builds_host;
		GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA pupwasm TO builds_host`)
	execute(t, admin, postgres.GrantSQL("pupwasm", "sums", "builds_host"))
	t.Cleanup(func() { execute(t, connectTo(t, db.DSN), "REASSIGN OWNED BY builds_host TO postgres") })
	s := openIsolated(t, asRole, postgres.IsolationRole)
	_, err := s.Install(t.Context(), versioned(1), 1)
	must(t, err)
	execute(t, admin, "UPDATE pupwasm.segments SET position = 5; INSERT INTO sums__v1.total (name, n) VALUES ('a', 1)")
	p := noted(1, "extra")
	p.Tables[0].Indexes = [][]string{{"extra"}, {"n"}}
	_, err = s.Install(t.Context(), p, 1)
	must(t, err)
	must(t, s.BuildIndexes(t.Context(), p, nil))
	wantRows(t, db, "SELECT DISTINCT pg_get_userbyid(c.relowner) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE indrelid = 'sums__v1.total'::regclass", "pupwasm__sums")
	wantRows(t, db, "SELECT count(*) FROM pg_index WHERE indrelid = 'sums__v1.total'::regclass AND indisvalid", "3")
	wantRows(t, db, "SELECT * FROM sums.total", "a 1 NULL NULL")
}
