package pupwasmtest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/pupwasmtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// open makes a database with a table of what was seen of each key.
func open(t testing.TB) pupwasmtest.Database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	sql, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sql.Close() })
	if _, err := sql.ExecContext(t.Context(), "CREATE TABLE seen (key TEXT PRIMARY KEY, n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	return pupwasmtest.Database{Store: db, Rows: func(t testing.TB) string {
		t.Helper()
		var rows string
		if err := sql.QueryRowContext(t.Context(),
			"SELECT group_concat(key || ' ' || n, ', ' ORDER BY key) FROM seen").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}}
}

// order is a consumer whose rows depend on the order of the events of a key.
func order(key func(e *store.RecordedEvent) string) pupwasm.Consumer {
	return pupwasm.Consumer{
		Name: "orders", Partition: pupwasm.ByStream(),
		Handle: sqlite.Handler(func(_ context.Context, conn *sqlite3.Conn, events []store.RecordedEvent) error {
			for i := range events {
				statement := fmt.Sprintf("INSERT INTO seen VALUES ('%s', %d) ON CONFLICT (key) DO UPDATE SET n = (n * 31 + excluded.n) %% 1000003", key(&events[i]), events[i].Position)
				if err := conn.Exec(statement); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

func events() []store.StreamAppend {
	var all []store.StreamAppend
	for n := range 60 {
		all = append(all, store.StreamAppend{
			Stream: store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: fmt.Sprintf("order-%d", n%15)},
			Events: []store.Event{{Type: "Placed"}},
		})
	}
	return all
}

// failing keeps the failure of a test.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Errorf(format string, args ...any) { f.said += fmt.Sprintf(format, args...) }

func TestCheckSegments_rowsOfOneKeyEach(t *testing.T) {
	t.Parallel()
	pupwasmtest.CheckSegments(t, order(func(e *store.RecordedEvent) string { return e.AggregateID }), events(), open)
}

func TestCheckSegments_findsARowOfSeveralKeys(t *testing.T) {
	t.Parallel()
	seen := &failing{TB: t}
	pupwasmtest.CheckSegments(seen, order(func(*store.RecordedEvent) string { return "all" }), events(), open)
	if !strings.Contains(seen.said, "consumer orders in 8 segments, batches of 8, gives") {
		t.Errorf("said %q", seen.said)
	}
}
