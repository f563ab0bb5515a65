package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// versions installs versions of sums beside each other, all at one position, each with a row that has its name.
func versions(t *testing.T, db pgtest.Database, s postgres.Backend, numbers ...int) {
	t.Helper()
	admin := db.Connect(t)
	for _, version := range numbers {
		_, err := s.Install(t.Context(), versioned(version), 2)
		must(t, err)
		execute(t, admin, "UPDATE pupwasm.segments SET position = 5")
		execute(t, admin, fmt.Sprintf("INSERT INTO sums__v%[1]d.total (name, n) VALUES ('v%[1]d', %[1]d)", version))
	}
}

func promote(t *testing.T, s postgres.Backend, version int) {
	t.Helper()
	_, err := s.Promote(t.Context(), store.ProjectionID{Name: "sums", Version: version})
	must(t, err)
}

// TestPromote_keepsWhatReadersHave has readers with rights on the views or on one column, and what others have built:
// views, a materialized view, a function, and a path to search. All follow to the version that is live.
func TestPromote_keepsWhatReadersHave(t *testing.T) {
	t.Parallel()
	for _, isolation := range []postgres.Isolation{postgres.IsolationNone, postgres.IsolationRole} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			admin, s := db.Connect(t), openIsolated(t, db, isolation)
			versions(t, db, s, 1, 2, 3, 4)
			name := "follows_" + string(isolation)
			conn, may := reader(t, db, name)
			execute(t, admin, "GRANT USAGE ON SCHEMA sums TO "+name+"; GRANT SELECT (name) ON sums.total TO "+name)
			check := func(version int) {
				t.Helper()
				want := fmt.Sprintf("v%d", version)
				if got := query(t, conn, "SELECT name FROM sums.total"); len(got) != 1 || got[0][0] != want {
					t.Errorf("a reader sees %v, want %s", got, want)
				}
				if may("SELECT n FROM sums.total") == nil || may("SELECT name FROM sums.shown") == nil {
					t.Error("a reader may read what was not granted")
				}
			}
			check(1)
			for _, version := range []int{2, 3, 4, 1} { // from 3 on, the columns are others
				promote(t, s, version)
				check(version)
			}
			execute(t, admin, `CREATE VIEW public.built AS SELECT name FROM sums.total;
				CREATE MATERIALIZED VIEW public.stored AS SELECT name FROM public.built;
				CREATE FUNCTION public.asked() RETURNS text LANGUAGE sql AS 'SELECT name FROM sums.total'`)
			promote(t, s, 2)
			execute(t, admin, "REFRESH MATERIALIZED VIEW public.stored; SET search_path = sums")
			if got := query(t, admin, `SELECT (SELECT name FROM public.built), (SELECT name FROM public.stored), public.asked(),
				(SELECT name FROM total)`); strings.Join(got[0], " ") != "v2 v2 v2 v2" {
				t.Errorf("what others have built has %v", got)
			}
			_, err := s.Promote(t.Context(), store.ProjectionID{Name: "sums", Version: 3})
			var catalogue *store.CatalogueError
			if !errors.As(err, &catalogue) || !strings.Contains(err.Error(), "public.built depends on view sums.total") ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("other columns, with a view of others upon them: %v", err)
			}
			check(2)
			execute(t, admin, "DROP MATERIALIZED VIEW public.stored; DROP VIEW public.built")
			promote(t, s, 3)
			check(3)
		})
	}
}

// waitingLocks counts the sessions of the database that wait for a lock.
const waitingLocks = `SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
	WHERE NOT l.granted AND d.datname = current_database()`

// TestPromote_doesNotKeepReadersWaiting has a reader hold one of two views: the promotion gives up at once, readers of
// the other view never wait for longer, and nothing is half exchanged.
func TestPromote_doesNotKeepReadersWaiting(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	versions(t, db, s, 1, 2)
	for _, held := range []string{"total", "shown"} {
		long := begin(t, db.Connect(t))
		execute(t, long.Conn(), "SELECT FROM sums."+held)
		for range 3 {
			_, err := s.Promote(t.Context(), store.ProjectionID{Name: "sums", Version: 2})
			if !errors.Is(err, store.ErrTransient) || !errors.Is(err, store.ErrLocked) {
				t.Errorf("while a reader holds the view: %v", err)
			}
			wantRows(t, db, "SELECT t.name, s.name FROM sums.total t, sums.shown s", "v1 v1")
			wantRows(t, db, waitingLocks, "0")
		}
		must(t, long.Rollback(t.Context()))
	}
	promote(t, s, 2)
	wantRows(t, db, "SELECT t.name, s.name FROM sums.total t, sums.shown s", "v2 v2")
}

// TestPromote_aPreparedStatement has a statement that names its columns go on over other columns. One with a star has
// another result, which PostgreSQL says once; prepared again it goes on.
func TestPromote_aPreparedStatement(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	versions(t, db, s, 2, 3)
	conn := db.Connect(t)
	execute(t, conn, "PREPARE named AS SELECT name FROM sums.total; PREPARE star AS SELECT * FROM sums.total")
	for _, version := range []int{3, 2, 3} {
		promote(t, s, version)
		if got := query(t, conn, "EXECUTE named"); got[0][0] != fmt.Sprintf("v%d", version) {
			t.Errorf("the statement gives %v", got)
		}
		_, err := conn.Exec(t.Context(), "EXECUTE star")
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "0A000" {
			t.Errorf("a star over other columns: %v", err)
		}
		execute(t, conn, "DEALLOCATE star; PREPARE star AS SELECT * FROM sums.total")
		execute(t, conn, "EXECUTE star")
	}
}

// TestRetire_namesWhatWasBuiltUponTheVersion has a view of others upon a version's own table.
func TestRetire_namesWhatWasBuiltUponTheVersion(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	versions(t, db, s, 1, 2)
	promote(t, s, 2)
	admin := db.Connect(t)
	execute(t, admin, "CREATE VIEW public.built AS SELECT name FROM sums__v1.total")
	var input *store.InputError
	first := store.ProjectionID{Name: "sums", Version: 1}
	if err := s.Retire(t.Context(), first); !errors.As(err, &input) || !strings.Contains(err.Error(), "view built depends on") {
		t.Errorf("with a view upon it: %v", err)
	}
	wantRows(t, db, "SELECT name FROM public.built", "v1")
	execute(t, admin, "DROP VIEW public.built")
	must(t, s.Retire(t.Context(), first))
	wantRows(t, db, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'sums%' ORDER BY 1", "sums;sums__v2")
}

// TestPromote_changesNoOwner has an administrator promote what a host owns that may make no roles. A role that is no
// member of the owner is refused.
func TestPromote_changesNoOwner(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin := db.Connect(t)
	host, _ := reader(t, db, "hosts_versions")
	reader(t, db, "promotes_nothing")
	execute(t, admin, `GRANT CREATE ON DATABASE `+host.Config().Database+` TO hosts_versions;
		GRANT USAGE ON SCHEMA pupwasm TO hosts_versions, promotes_nothing;
		GRANT ALL ON ALL TABLES IN SCHEMA pupwasm TO hosts_versions, promotes_nothing;
		GRANT ALL ON ALL SEQUENCES IN SCHEMA pupwasm TO hosts_versions, promotes_nothing`)
	as := func(conn string) postgres.Backend {
		s, err := postgres.OpenBackend(strings.Replace(db.DSN, "postgres@", conn+"@", 1), postgres.Options{Schema: db.Schema, Lazy: true})
		must(t, err)
		t.Cleanup(s.Close)
		return s
	}
	versions(t, db, as("hosts_versions"), 1, 2)
	owners := `SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'sums%'
		UNION SELECT DISTINCT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname LIKE 'sums%'`
	wantRows(t, db, owners, "hosts_versions")
	_, err := as("promotes_nothing").Promote(t.Context(), store.ProjectionID{Name: "sums", Version: 2})
	var input *store.InputError
	if !errors.As(err, &input) || !strings.Contains(err.Error(), "belongs to role hosts_versions") {
		t.Errorf("a role that is no member: %v", err)
	}
	promote(t, as("postgres"), 2)
	wantRows(t, db, owners, "hosts_versions")
	wantRows(t, db, "SELECT name FROM sums.total", "v2")
	promote(t, as("hosts_versions"), 1)
	wantRows(t, db, "SELECT name FROM sums.total", "v1")
}
