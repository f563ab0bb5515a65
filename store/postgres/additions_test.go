package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// noted is versioned(version) with columns that old rows may lack, which a view shows too.
func noted(version int, names ...string) *store.Projection {
	p := versioned(version)
	for _, name := range names {
		p.Tables[0].Columns = append(p.Tables[0].Columns,
			store.Column{Name: name, Type: typed("text"), Backfill: store.BackfillNone})
	}
	return p
}

// TestAddition_keepsWhatReadersHave adds a column for readers with rights on the view or on one column, with what others
// have built upon it.
func TestAddition_keepsWhatReadersHave(t *testing.T) {
	t.Parallel()
	for _, isolation := range []postgres.Isolation{postgres.IsolationNone, postgres.IsolationRole} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			admin, s := db.Connect(t), openIsolated(t, db, isolation)
			versions(t, db, s, 1)
			all, column := "adds_all_"+string(isolation), "adds_column_"+string(isolation)
			conn, mayAll := reader(t, db, all)
			_, mayColumn := reader(t, db, column)
			execute(t, admin, "GRANT USAGE ON SCHEMA sums TO "+all+", "+column+"; GRANT SELECT ON sums.total TO "+all+
				"; GRANT SELECT (name) ON sums.total TO "+column)
			execute(t, admin, "CREATE VIEW public.built AS SELECT name FROM sums.total")
			execute(t, conn, "PREPARE named AS SELECT name FROM sums.total")
			for _, names := range [][]string{{"extra"}, {}, {"extra", "second"}, {"second", "third"}} {
				_, err := s.Install(t.Context(), noted(1, names...), 1)
				must(t, err)
				if got := query(t, conn, "EXECUTE named"); len(got) != 1 || got[0][0] != "v1" {
					t.Errorf("a prepared statement gives %v", got)
				}
				must(t, mayAll("SELECT extra FROM sums.total"))
				must(t, mayColumn("SELECT name FROM sums.total"))
				if mayColumn("SELECT extra FROM sums.total") == nil || mayAll("SELECT FROM "+sumsTotal) == nil {
					t.Error("a reader may read what was not granted")
				}
			}
			wantRows(t, db, "SELECT * FROM sums.total", "v1 1 NULL NULL NULL NULL")
			wantRows(t, db, "SELECT * FROM public.built", "v1")
			wantRows(t, db, "SELECT count(*) FROM pupwasm.reader_grants", "0")
			wantRows(t, db, "SELECT count(DISTINCT relowner) FROM pg_class WHERE relname = 'total' AND relkind IN ('r', 'v')", "1")
		})
	}
}

// TestAddition_doesNotKeepReadersWaiting has a reader or a commit hold the table: an install gives up at once, and those
// that come later never wait behind it.
func TestAddition_doesNotKeepReadersWaiting(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	versions(t, db, s, 1)
	for _, holds := range []string{
		"SELECT FROM sums.total", "SELECT FROM " + sumsTotal, "UPDATE " + sumsTotal + " SET n = 1 WHERE false",
	} {
		long := begin(t, db.Connect(t))
		execute(t, long.Conn(), holds)
		for range 3 {
			_, err := s.Install(t.Context(), noted(1, "extra"), 1)
			if !errors.Is(err, store.ErrTransient) || !errors.Is(err, store.ErrLocked) {
				t.Errorf("after %s: %v", holds, err)
			}
			wantRows(t, db, "SELECT * FROM sums.total", "v1 1 NULL")
			wantRows(t, db, waitingLocks, "0")
		}
		bad := noted(1, "extra")
		bad.Views[0].SQL = anySQL("SELECT name, extra || n AS shown FROM {total} WHERE nothing = 1")
		_, err := s.Install(t.Context(), bad, 1) // it is tried without the lock
		var fault *store.CatalogueError
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), `view "shown": column "nothing" does not exist`) {
			t.Errorf("a module that does not fit: %v", err)
		}
		_, err = s.Install(t.Context(), versioned(1), 1)
		must(t, err)
		must(t, long.Rollback(t.Context()))
	}
	p := noted(1, "extra")
	p.Views[0].SQL = anySQL("SELECT name, total.extra FROM {total} WHERE total.extra IS NULL")
	_, err := s.Install(t.Context(), p, 1)
	must(t, err)
	wantRows(t, db, "SELECT * FROM sums.total", "v1 1 NULL NULL")
	wantRows(t, db, "SELECT * FROM sums.shown", "v1 NULL")
	wantRows(t, db, "SELECT count(*) FROM pg_class WHERE relname = 'total' AND relpersistence = 't'", "0")
}

// TestAddition_withoutTemporaryTables has a role that may make none: the statements are checked once the column is there.
func TestAddition_withoutTemporaryTables(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin, s := db.Connect(t), openIsolated(t, db, postgres.IsolationRole)
	versions(t, db, s, 1)
	execute(t, admin, "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$")
	p := noted(1, "extra")
	p.Views[0].SQL = anySQL("SELECT name, extra FROM {total}")
	_, err := s.Install(t.Context(), p, 1)
	must(t, err)
	wantRows(t, db, "SELECT * FROM sums.shown", "v1 NULL")
}

// TestAddition_whatTheTableHasByHand tries statements against all that somebody has added.
func TestAddition_whatTheTableHasByHand(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin, s := db.Connect(t), open(t, db)
	versions(t, db, s, 1)
	execute(t, admin, `ALTER TABLE `+sumsTotal+` ADD COLUMN twice bigint GENERATED ALWAYS AS (n * 2) STORED,
		ADD COLUMN counted bigint GENERATED BY DEFAULT AS IDENTITY, ADD CONSTRAINT above CHECK (n > -7);
		CREATE UNIQUE INDEX by_hand ON `+sumsTotal+` (counted);
		CREATE VIEW public.built AS SELECT twice FROM `+sumsTotal)
	p := noted(1, "extra")
	p.Writes = append(slices.Clone(p.Writes), store.Write{
		Name: "by_hand", Unordered: true,
		SQL: anySQL("INSERT INTO {total} (name, n, counted, extra) VALUES ('x', 1, 7, 'y') ON CONFLICT (counted) DO NOTHING"),
	})
	_, err := s.Install(t.Context(), p, 1)
	must(t, err)
	wantRows(t, db, "SELECT * FROM sums.total", "v1 1 NULL 2 1 NULL")
}
