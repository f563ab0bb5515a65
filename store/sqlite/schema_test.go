package sqlite_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// withSchema adds another schema's tables to a file and opens it.
func withSchema(t *testing.T, path, schema string) sqlite.Backend {
	t.Helper()
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrator, err := migrations.New(db, migrations.SQLite, schema)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	return open(t, path, sqlite.Options{Schema: schema})
}

// TestStore_schemasRunTheSameProjection has a schema a tenant in one file.
func TestStore_schemasRunTheSameProjection(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	p := totals()
	schemas := []string{"pupwasm", "select", "fines", strings.Repeat("x", 16)}
	stores := make([]sqlite.Backend, len(schemas))
	for i, schema := range schemas {
		stores[i] = withSchema(t, path, schema)
		appendTo(t, stores[i], "1", 1)
		c := install(t, stores[i], p, 1)
		held := claim(t, stores[i], p.Name, 1)[0]
		steps := store.NewFolder(p).Fold([]store.Mutation{{
			Write:  0,
			Values: []store.Value{store.Text("a"), store.I64(int64(i))},
		}})
		if err := c.Begin(held).Commit(t.Context(), store.Commit{
			Through: 1, Steps: steps,
			Log: held.Applied.Log,
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := stores[1].Leave(t.Context(), store.Worker{Name: "worker"}); err != nil {
		t.Fatal(err)
	}
	if err := stores[1].Reset(t.Context(), p.Name); err != nil {
		t.Fatal(err)
	}
	for i := range schemas {
		want := fmt.Sprint(i)
		if i == 1 {
			want = ""
		}
		got := ""
		if all := rows(t, install(t, stores[i], p, 1), 1); len(all.Values) == 2 {
			got = fmt.Sprint(all.Values[1].Int())
		}
		if got != want {
			t.Errorf("schema %s has the sum %q, want %q", schemas[i], got, want)
		}
	}
}

// TestReset_keepsTheEventsOfASchemaOfTheSameName has a schema be made for events whose name is a projection's already.
func TestReset_keepsTheEventsOfASchemaOfTheSameName(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	s := open(t, path, sqlite.Options{})
	install(t, s, totals(), 1)
	other := withSchema(t, path, "fines")
	appendTo(t, other, "1", 3)
	if err := s.Reset(t.Context(), "fines"); err != nil {
		t.Fatal(err)
	}
	if h, err := other.Horizon(t.Context()); err != nil || h.Head != 3 {
		t.Errorf("the other schema's events: %+v, %v", h, err)
	}
	install(t, s, totals(), 1)
}

// TestReset_withAView leaves a view alone that somebody has built on that of readers: it follows to the next version.
func TestReset_withAView(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	s := open(t, path, sqlite.Options{BusyTimeout: time.Minute})
	install(t, s, totals(), 1)
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute(t, db, "CREATE VIEW fines__a AS SELECT * FROM fines__total")
	if err := s.Reset(t.Context(), "fines"); err != nil {
		t.Fatal(err)
	}
	p := totals()
	p.Version = 2
	install(t, s, p, 1)
	execute(t, db, "INSERT INTO fines__v2__total (id, amount) VALUES ('a', 7)")
	n := 0
	if err := db.QueryRow("SELECT amount FROM fines__a").Scan(&n); err != nil || n != 7 {
		t.Errorf("the view has %d, %v", n, err)
	}
}
