package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/storetest"
)

// shown is a projection with a table and a view, in a version, with another column from version 3 on.
func shown(version int) *store.Projection {
	columns := []store.Column{
		{Name: "name", Type: kind(store.KindText), Partition: true}, {Name: "n", Type: kind(store.KindI64)},
	}
	if version >= 3 {
		columns = append([]store.Column{{Name: "first", Type: kind(store.KindText)}}, columns...)
	}
	return &store.Projection{
		Name: "sums", Version: version,
		Tables: []store.Table{{Name: "total", Key: []string{"name"}, Columns: columns}},
		Writes: []store.Write{{
			Name: "put", Action: store.Upsert, Table: "total",
			Columns: []store.WriteColumn{{Name: "n", Action: store.ActionAdd}},
		}},
		Views: []store.View{{Name: "seen", SQL: store.Statement{store.DialectAny: "SELECT name FROM {total}"}}},
	}
}

func kind(of store.Kind) store.Type { return store.Type{Kind: of} }

func sumsOf(version int) store.ProjectionID {
	return store.ProjectionID{Name: "sums", Version: version}
}

// versions installs versions of sums beside each other, all at one position, each with a row that has its name.
func versions(t *testing.T, db *sql.DB, at mariadbtest.Database, s mysql.Backend, numbers ...int) {
	t.Helper()
	for _, version := range numbers {
		if _, err := s.InstallBeside(t.Context(), shown(version), 2); err != nil {
			t.Fatal(err)
		}
		execute(t, db, "UPDATE pupwasm__segments SET position = 5")
		execute(t, db, fmt.Sprintf("INSERT INTO %[1]s__sums__v%[2]d.total (name, n) VALUES ('v%[2]d', %[2]d)", at.Name, version))
	}
}

func promote(t *testing.T, s mysql.Backend, version int) {
	t.Helper()
	if _, err := s.Promote(t.Context(), sumsOf(version)); err != nil {
		t.Fatal(err)
	}
}

// text is the result of a query on one line.
func text(t testing.TB, db *sql.DB, query string) string {
	t.Helper()
	var lines []string
	for _, row := range queryText(t, db, query) {
		lines = append(lines, strings.Join(row, " "))
	}
	return strings.Join(lines, "; ")
}

func wantText(t testing.TB, db *sql.DB, query, want string) {
	t.Helper()
	if got := text(t, db, query); got != want {
		t.Errorf("%s: got %q, want %q", query, got, want)
	}
}

// reader makes a user that may do nothing, and connects with it.
func reader(t *testing.T, at mariadbtest.Database, admin *sql.DB, name string) (db *sql.DB, may func(query string) error) {
	t.Helper()
	execute(t, admin, "CREATE USER "+name)
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.WithoutCancel(t.Context()), "DROP USER IF EXISTS "+name); err != nil {
			t.Error(err)
		}
	})
	db, err := sql.Open("mysql", fmt.Sprintf("%s@tcp(127.0.0.1:%d)/", name, at.Server.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, func(query string) error {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return errors.Join(rows.Err(), rows.Close())
	}
}

// TestPromote_keepsWhatReadersHave has readers with rights on a view, on one column, and on the database, and what
// others have built. All follow to the version that is live.
func TestPromote_keepsWhatReadersHave(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	versions(t, db, at, s, 1, 2, 3, 4)
	all, mayAll := reader(t, at, db, "follows_all")
	_, mayOne := reader(t, at, db, "follows_one")
	_, mayColumn := reader(t, at, db, "follows_column")
	place := at.Name + "__sums"
	execute(t, db, fmt.Sprintf("GRANT SELECT ON `%s`.* TO follows_all; GRANT SELECT ON %s.total TO follows_one; "+
		"GRANT SELECT (name) ON %[2]s.total TO follows_column", strings.ReplaceAll(place, "_", `\_`), place))
	execute(t, db, fmt.Sprintf(`CREATE VIEW built AS SELECT name FROM %[1]s.total;
		CREATE FUNCTION asked() RETURNS TEXT RETURN (SELECT name FROM %[1]s.total)`, place))
	for _, version := range []int{1, 2, 3, 4, 1} { // from 3 on, the columns are others
		promote(t, s, version)
		want := fmt.Sprintf("v%d", version)
		wantText(t, all, "SELECT name FROM "+place+".total", want)
		wantText(t, db, "SELECT b.name, asked() FROM built AS b", want+" "+want)
		for query, right := range map[string]func(string) error{
			"total": mayAll, "seen": mayAll, place + ".total": mayOne,
		} {
			if err := right("SELECT * FROM " + place + "." + strings.TrimPrefix(query, place+".")); err != nil {
				t.Errorf("version %d: %v", version, err)
			}
		}
		if err := mayColumn("SELECT name FROM " + place + ".total"); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
		if mayColumn("SELECT n FROM "+place+".total") == nil || mayOne("SELECT name FROM "+place+".seen") == nil ||
			mayAll(fmt.Sprintf("SELECT name FROM %s__v%d.total", place, version)) == nil {
			t.Errorf("version %d: a reader may read what was not granted", version)
		}
	}
	wantText(t, db, "SELECT table_name FROM information_schema.tables WHERE table_schema = '"+place+"' ORDER BY 1", "seen; total")
}

// TestReset_keepsWhatReadersWereGranted goes to another version by a reset, and while a version is not in use.
func TestReset_keepsWhatReadersWereGranted(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	if _, err := s.Install(t.Context(), shown(1), 1); err != nil {
		t.Fatal(err)
	}
	_, may := reader(t, at, db, "stays_all")
	_, mayColumn := reader(t, at, db, "stays_column")
	reader(t, at, db, "stays_once")
	place := at.Name + "__sums"
	execute(t, db, fmt.Sprintf("GRANT SELECT ON `%s`.* TO stays_all; GRANT SELECT (name) ON %s.total TO stays_column; "+
		"GRANT SELECT ON %[2]s.total TO stays_once", strings.ReplaceAll(place, "_", `\_`), place))
	check := func() {
		t.Helper()
		for _, err := range []error{
			may("SELECT * FROM " + place + ".total"), may("SELECT * FROM " + place + ".seen"),
			mayColumn("SELECT name FROM " + place + ".total"),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		if mayColumn("SELECT n FROM "+place+".total") == nil {
			t.Error("who may read a column reads others")
		}
	}
	check()
	for version := 2; version <= 4; version++ {
		if err := s.Reset(t.Context(), "sums"); err != nil {
			t.Fatal(err)
		}
		wantText(t, db, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '"+place+"%'", "")
		if version == 3 { // somebody else of that name
			execute(t, db, "DROP USER stays_once; CREATE USER stays_once")
		}
		if _, err := s.Install(t.Context(), shown(version), 1); err != nil {
			t.Fatal(err)
		}
		check()
	}
	if _, err := s.Install(t.Context(), shown(5), 1); err != nil { // while no event is applied
		t.Fatal(err)
	}
	check()
	wantText(t, db, "SELECT count(*) FROM information_schema.table_privileges WHERE grantee LIKE '%stays_once%'", "0")
}

// TestPromote_doesNotKeepReadersWaiting has a reader hold one of two views: the promotion gives up soon, and nothing is
// half exchanged.
func TestPromote_doesNotKeepReadersWaiting(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	versions(t, db, at, s, 1, 2)
	place := at.Name + "__sums"
	both := fmt.Sprintf("SELECT t.name, s.name FROM %[1]s.total AS t, %[1]s.seen AS s", place)
	for _, held := range []string{"total", "seen"} {
		long, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := long.ExecContext(t.Context(), "SELECT * FROM "+place+"."+held); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, err := s.Promote(t.Context(), sumsOf(2))
			if !errors.Is(err, store.ErrTransient) || !errors.Is(err, store.ErrLocked) || strings.Contains(err.Error(), "\n") {
				t.Errorf("while a reader holds the view: %v", err)
			}
			wantText(t, db, both, "v1 v1")
			wantText(t, db, "SELECT version, live FROM pupwasm__projections ORDER BY 1", "1 1; 2 0")
		}
		if err := long.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
	promote(t, s, 2)
	wantText(t, db, both, "v2 v2")
}

// TestPromote_aPreparedStatement has statements go on over other columns, also one with a star.
func TestPromote_aPreparedStatement(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	versions(t, db, at, s, 2, 3)
	held, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	named, err := held.PrepareContext(t.Context(), "SELECT name FROM "+at.Name+"__sums.total WHERE n > ?")
	if err != nil {
		t.Fatal(err)
	}
	star, err := held.PrepareContext(t.Context(), "SELECT * FROM "+at.Name+"__sums.total WHERE n > ?")
	if err != nil {
		t.Fatal(err)
	}
	for version, columns := range map[int]int{3: 3, 2: 2} {
		promote(t, s, version)
		var name string
		if err := named.QueryRowContext(t.Context(), 0).Scan(&name); err != nil || name != fmt.Sprintf("v%d", version) {
			t.Errorf("the statement gives %q: %v", name, err)
		}
		got := storetest.CollectText(t, func() (*sql.Rows, error) { return star.QueryContext(t.Context(), 0) })
		if len(got) != 1 || len(got[0]) != columns {
			t.Errorf("the star of version %d gives %q", version, got)
		}
	}
}

// TestInstall_leavesViewsAlone has a reader not hold up an install that changes nothing.
func TestInstall_leavesViewsAlone(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	if _, err := s.Install(t.Context(), shown(1), 1); err != nil {
		t.Fatal(err)
	}
	long, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = long.Rollback() }()
	if _, err := long.ExecContext(t.Context(), fmt.Sprintf("SELECT * FROM %[1]s.total, %[1]s.seen", at.Name+"__sums")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Install(t.Context(), shown(1), 1); err != nil {
		t.Error(err)
	}
	if err := s.Reset(t.Context(), "sums"); !errors.Is(err, store.ErrTransient) || !errors.Is(err, store.ErrLocked) {
		t.Errorf("a reset while a reader holds the views: %v", err)
	}
	if err := long.Rollback(); err != nil {
		t.Fatal(err)
	}
	wantText(t, db, "SELECT count(*) FROM "+at.Name+"__sums.total", "0")
	if err := s.Reset(t.Context(), "sums"); err != nil {
		t.Fatal(err)
	}
}

// TestRetire_whileACommitHasTheTables has a transaction hold the tables that are about to go: the version is gone, and
// its database goes with the next change.
func TestRetire_whileATransactionHasTheTables(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	versions(t, db, at, s, 1, 2)
	promote(t, s, 2)
	long, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = long.Rollback() }()
	if _, err := long.ExecContext(t.Context(), "SELECT * FROM "+at.Name+"__sums__v1.total"); err != nil {
		t.Fatal(err)
	}
	if err := s.Retire(t.Context(), sumsOf(1)); !errors.Is(err, store.ErrTransient) || !errors.Is(err, store.ErrLocked) {
		t.Errorf("while the tables are in use: %v", err)
	}
	wantText(t, db, "SELECT version FROM pupwasm__projections", "2")
	if err := long.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Install(t.Context(), shown(2), 2); err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, db, at, "sums; sums__v2")
}

// wantPlaces compares the databases of projections, without those who made the test's.
func wantPlaces(t *testing.T, db *sql.DB, at mariadbtest.Database, want string) {
	t.Helper()
	wantText(t, db, fmt.Sprintf("SELECT substr(schema_name, %d) FROM information_schema.schemata WHERE schema_name LIKE '%s' ORDER BY 1",
		len(at.Name)+3, strings.ReplaceAll(at.Name, "_", `\_`)+`\_\_%`), want)
	wantText(t, db, "SELECT count(*) FROM pupwasm__unfinished", "0")
}

// wantOneVersion returns the version that is live, which both views show.
func wantOneVersion(t *testing.T, db *sql.DB, at mariadbtest.Database) int {
	t.Helper()
	live := text(t, db, "SELECT version FROM pupwasm__projections WHERE live")
	wantText(t, db, fmt.Sprintf("SELECT t.name, s.name FROM %[1]s.total AS t, %[1]s.seen AS s", at.Name+"__sums"),
		"v"+live+" v"+live)
	wantText(t, db, "SELECT table_name FROM information_schema.tables WHERE table_schema = '"+at.Name+"__sums' ORDER BY 1",
		"seen; total")
	return slices.Index([]string{"", "1", "2"}, live)
}

// TestPromote_whileOthersPromote has hosts promote, roll back, install and compare at once: each succeeds, or says that
// it may be tried again.
func TestPromote_whileOthersPromote(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	versions(t, db, at, s, 1, 2)
	until := time.After(time.Second)
	failed := make(chan error, 8)
	done := make(chan struct{})
	for n := range 4 {
		host := open(t, at.URL, mysql.Options{ConnectionsMax: 1})
		go func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					failed <- nil
					return
				default:
				}
				var err error
				switch (i + n) % 4 {
				case 0, 1:
					_, err = host.Promote(t.Context(), sumsOf(1+(i+n)%2))
				case 2:
					_, err = host.Install(t.Context(), shown(1), 2)
				case 3:
					_, err = host.Compare(t.Context(), sumsOf(1), sumsOf(2), 10, func() {})
				}
				if err != nil && !errors.Is(err, store.ErrTransient) {
					failed <- err
					return
				}
			}
		}()
	}
	<-until
	close(done)
	for range 4 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	wantOneVersion(t, db, at)
}
