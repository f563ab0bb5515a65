package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// reader creates a role that may do nothing, and connects with it.
func reader(t *testing.T, db pgtest.Database, name string) (conn *pgx.Conn, may func(sql string) error) {
	t.Helper()
	admin := connectTo(t, pgtest.Shared(t).DSN)
	execute(t, admin, "CREATE ROLE "+name+" LOGIN")
	t.Cleanup(func() {
		execute(t, connectTo(t, db.DSN), "DROP OWNED BY "+name)
		execute(t, admin, "DROP ROLE "+name)
	})
	conn = connectTo(t, strings.Replace(db.DSN, "postgres@", name+"@", 1))
	return conn, func(sql string) error {
		_, err := conn.Exec(t.Context(), sql)
		return err
	}
}

// versioned is sums in a version, with another column from version 3 on.
func versioned(version int) *store.Projection {
	p := sums()
	p.Version = version
	p.Views = []store.View{{Name: "shown", SQL: anySQL("SELECT name FROM {total}")}}
	if version >= 3 {
		p.Tables[0].Columns = append([]store.Column{{Name: "first", Type: typed("text")}}, p.Tables[0].Columns...)
	}
	return p
}

// TestReaders_keepWhatTheyWereGranted goes from version to version, also to one with other columns, by a reset and
// while a version is not in use. Readers never need a right on the schema of a version.
func TestReaders_keepWhatTheyWereGranted(t *testing.T) {
	t.Parallel()
	for _, isolation := range []postgres.Isolation{postgres.IsolationNone, postgres.IsolationRole} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			admin, s := db.Connect(t), openIsolated(t, db, isolation)
			_, all := reader(t, db, "reads_all_"+string(isolation))
			_, column := reader(t, db, "reads_column_"+string(isolation))
			_, err := s.Install(t.Context(), versioned(1), 1)
			must(t, err)
			execute(t, admin, strings.ReplaceAll(`GRANT USAGE ON SCHEMA sums TO reads_all_x, reads_column_x;
				GRANT SELECT ON ALL TABLES IN SCHEMA sums TO reads_all_x WITH GRANT OPTION;
				GRANT SELECT (name) ON sums.total TO reads_column_x`, "_x", "_"+string(isolation)))
			check := func(what string) {
				t.Helper()
				must(t, all("SELECT * FROM sums.total"))
				must(t, all("SELECT * FROM sums.shown"))
				must(t, column("SELECT name FROM sums.total"))
				if column("SELECT n FROM sums.total") == nil || column("SELECT * FROM sums.shown") == nil {
					t.Errorf("%s: who may read a column reads others", what)
				}
				wantRows(t, db, `SELECT has_table_privilege('reads_all_`+string(isolation)+`', 'sums.total', 'SELECT WITH GRANT OPTION'),
					count(*) FROM pg_namespace WHERE nspname LIKE 'sums\_\_v%'`, "t 1")
				for _, role := range []string{"reads_all_", "reads_column_"} {
					wantRows(t, db, "SELECT bool_or(has_schema_privilege('"+role+string(isolation)+
						"', oid, 'USAGE')) FROM pg_namespace WHERE nspname LIKE 'sums\\_\\_v%'", "f")
				}
			}
			check("version 1")
			for version := 2; version <= 4; version++ {
				must(t, s.Reset(t.Context(), "sums"))
				if all("SELECT * FROM sums.total") == nil {
					t.Error("the view is there after a reset")
				}
				_, err = s.Install(t.Context(), versioned(version), 1)
				must(t, err)
				check("after a reset")
			}
			for _, version := range []int{5, 6} { // while no event is applied
				_, err = s.Install(t.Context(), versioned(version), 1)
				must(t, err)
				check("replaced")
			}
			p := versioned(6)
			p.Tables[0].Columns[0].Type = typed("i64")
			p.Views[0].SQL = anySQL("SELECT n, name FROM {total}")
			_, err = s.Install(t.Context(), p, 1)
			must(t, err)
			check("the same version with other columns")
			wantRows(t, db, "SELECT count(*) FROM pupwasm.reader_grants", "0")
		})
	}
}

// TestReaders_aRoleThatIsGoneGetsNothing drops a role between a reset and the next install, and makes another of the
// same name.
func TestReaders_aRoleThatIsGoneGetsNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin, s := db.Connect(t), openIsolated(t, db, postgres.IsolationRole)
	_, err := s.Install(t.Context(), sums(), 1)
	must(t, err)
	execute(t, admin, "CREATE ROLE reads_once; CREATE ROLE reads_after")
	t.Cleanup(func() { execute(t, connectTo(t, pgtest.Shared(t).DSN), "DROP ROLE reads_once, reads_after") })
	execute(t, admin, "GRANT SELECT ON sums.total TO reads_once, PUBLIC; GRANT USAGE ON SCHEMA sums TO PUBLIC")
	must(t, s.Reset(t.Context(), "sums"))
	execute(t, admin, "DROP ROLE reads_once; CREATE ROLE reads_once")
	_, err = s.Install(t.Context(), sums(), 1)
	must(t, err)
	wantRows(t, db, `SELECT DISTINCT grantee::regrole FROM pg_class, aclexplode(relacl) WHERE oid = 'sums.total'::regclass
		ORDER BY 1`, "-;pupwasm__sums")
}

// TestReaders_defaultPrivileges has an administrator say in advance who reads what is made in the schema.
func TestReaders_defaultPrivileges(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin, s := db.Connect(t), openIsolated(t, db, postgres.IsolationRole)
	_, may := reader(t, db, "reads_default")
	_, err := s.Install(t.Context(), sums(), 1)
	must(t, err)
	execute(t, admin, `GRANT USAGE ON SCHEMA sums TO reads_default;
		ALTER DEFAULT PRIVILEGES FOR ROLE pupwasm__sums IN SCHEMA sums GRANT SELECT ON TABLES TO reads_default`)
	must(t, s.Reset(t.Context(), "sums"))
	wantRows(t, db, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'sums%'", "sums") // it has the privileges
	_, err = s.Install(t.Context(), versioned(2), 1)
	must(t, err)
	must(t, may("SELECT * FROM sums.total"))
	must(t, may("SELECT * FROM sums.shown"))
}

// TestReaders_aReaderDoesNotHoldUpAnInstall has a view that is right stay as it is.
func TestReaders_aReaderDoesNotHoldUpAnInstall(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db)
	_, err := s.Install(t.Context(), versioned(1), 1)
	must(t, err)
	long := begin(t, db.Connect(t))
	execute(t, long.Conn(), "SELECT FROM sums.total, sums.shown")
	before := ask(t, db, "SELECT xmin, oid FROM pg_class WHERE relnamespace = 'sums'::regnamespace ORDER BY oid")
	_, err = s.Install(t.Context(), versioned(1), 1)
	must(t, err)
	after := ask(t, db, "SELECT xmin, oid FROM pg_class WHERE relnamespace = 'sums'::regnamespace ORDER BY oid")
	if len(before) != 2 || before[0][0] != after[0][0] || before[1][0] != after[1][0] {
		t.Errorf("the views were made again: %v, before %v", after, before)
	}
}

// TestReset_namesWhatWasBuiltUponTheProjection has views of others upon a view for readers, upon the table, and
// within another schema. A view follows where no reset is needed.
func TestReset_namesWhatWasBuiltUponTheProjection(t *testing.T) {
	t.Parallel()
	for _, isolation := range []postgres.Isolation{postgres.IsolationNone, postgres.IsolationRole} {
		db := pgtest.New(t)
		admin, s := db.Connect(t), openIsolated(t, db, isolation)
		_, err := s.Install(t.Context(), versioned(1), 1)
		must(t, err)
		for _, from := range []string{"sums.total", "sums.shown", sumsTotal, pgtest.Table("sums", 1, "shown")} {
			execute(t, admin, "CREATE VIEW public.built AS SELECT name FROM "+from)
			var input *store.InputError
			if err := s.Reset(t.Context(), "sums"); !errors.As(err, &input) || strings.Contains(err.Error(), "\n") ||
				!strings.HasPrefix(err.Error(), "projection sums has tables or views that others have built upon: ") ||
				!strings.Contains(err.Error(), "view built depends on") {
				t.Errorf("a view upon %s: %v", from, err)
			}
			wantRows(t, db, "SELECT count(*) FROM public.built", "0")
			execute(t, admin, "DROP VIEW public.built")
		}
		execute(t, admin, "CREATE VIEW public.built AS SELECT name FROM sums.total")
		_, err = s.Install(t.Context(), versioned(2), 1) // the same columns, while no event is applied
		must(t, err)
		execute(t, admin, "INSERT INTO sums__v2.total (name, n) VALUES ('a', 1)")
		wantRows(t, db, "SELECT name FROM public.built", "a")
		execute(t, admin, "TRUNCATE sums__v2.total")
		var catalogue *store.CatalogueError
		_, err = s.Install(t.Context(), versioned(3), 1) // other columns
		if !errors.As(err, &catalogue) || !strings.Contains(err.Error(), "view public.built depends on view sums.total") {
			t.Errorf("an install that drops the view: %v", err)
		}
		wantRows(t, db, "SELECT count(*) FROM public.built", "0")
		execute(t, admin, "DROP VIEW public.built")
		_, err = s.Install(t.Context(), versioned(3), 1)
		must(t, err)
		must(t, s.Reset(t.Context(), "sums"))
		wantRows(t, db, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'sums%'", "0")
	}
}

// TestReset_whileAReaderHoldsTheView has a reader hold the view while a reset waits: it gives up as a transient
// failure, and nothing is gone.
func TestReset_whileAReaderHoldsTheView(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	dsn := db.DSN + "&lock_timeout=100"
	s, err := postgres.OpenBackend(dsn, postgres.Options{Schema: db.Schema, Lazy: true})
	must(t, err)
	t.Cleanup(s.Close)
	_, err = s.Install(t.Context(), sums(), 1)
	must(t, err)
	long := begin(t, db.Connect(t))
	execute(t, long.Conn(), "SELECT FROM sums.total")
	if err := s.Reset(t.Context(), "sums"); !errors.Is(err, store.ErrTransient) {
		t.Errorf("the reset returns %v", err)
	}
	must(t, long.Rollback(t.Context()))
	wantRows(t, db, "SELECT count(*) FROM sums.total", "0")
	must(t, s.Reset(t.Context(), "sums"))
}
