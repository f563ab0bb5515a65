package spent_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm"
	spent "github.com/pupwasm/pupwasm/examples/one_off_in_tests"
	"github.com/pupwasm/pupwasm/pupwasmtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

var orders = []store.StreamAppend{
	pupwasmtest.Event("Shop/Order/o1", "OrderPlaced", map[string]any{"user_id": "ann"}),
	pupwasmtest.Event("Shop/Order/o2", "OrderPlaced", map[string]any{"user_id": "bob"}),
	pupwasmtest.Event("Shop/Order/o3", "OrderPlaced", map[string]any{"user_id": "ann"}),
}

// TestSpent applies what is there, and returns: there is nothing to wait for.
func TestSpent(t *testing.T) {
	db := open(t)
	if _, err := db.store.Append(t.Context(), store.AppendOptions{}, orders...); err != nil {
		t.Fatal(err)
	}
	host, err := pupwasm.NewHost(db.store, pupwasm.Options{
		Consumers: []pupwasm.Consumer{spent.Consumer},
		Worker:    segments.Options{FailFast: true}, // nothing is parked: an event that fails is an error
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := host.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := db.rows(t), "ann 2\nbob 1\n"; got != want {
		t.Fatalf("rows are\n%swant\n%s", got, want)
	}
}

// TestSpent_inAnyNumberOfSegments finds rows that depend on how events are divided.
func TestSpent_inAnyNumberOfSegments(t *testing.T) {
	pupwasmtest.CheckSegments(t, spent.Consumer, orders, func(t testing.TB) pupwasmtest.Database {
		db := open(t)
		return pupwasmtest.Database{Store: db.store, Rows: db.rows}
	})
}

type database struct {
	store *sqlite.Store
	own   *sql.DB
}

// open makes a database in a folder of the test.
func open(t testing.TB) database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	own, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.Close() })
	if _, err := own.ExecContext(t.Context(), spent.Schema); err != nil {
		t.Fatal(err)
	}
	return database{store: db, own: own}
}

func (db database) rows(t testing.TB) string {
	t.Helper()
	rows, err := db.own.QueryContext(t.Context(), "SELECT user_id, orders FROM spent ORDER BY user_id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var text strings.Builder
	for rows.Next() {
		var user string
		var orders int
		if err := rows.Scan(&user, &orders); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&text, user, orders)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}
