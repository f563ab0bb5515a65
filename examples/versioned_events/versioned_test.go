package versioned_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
)

func TestMain(m *testing.M) {
	pupwasm.CompilerMain()
	code := pgtest.Main(m)
	mariadbtest.Stop()
	os.Exit(code)
}

// TestSales_mixedVersionsGiveTheRowsOfTheRewrittenLog compares a log in which old and new versions are mixed with one that
// was rewritten by hand, on all databases.
func TestSales_mixedVersionsGiveTheRowsOfTheRewrittenLog(t *testing.T) {
	t.Parallel()
	module := guestbuild.Module(t, guestbuild.Auto, filepath.Join(guestbuild.Root(t), "examples", "versioned_events", "sales"))
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			mixed, rewritten := logs(rand.New(rand.NewPCG(seed, 0)), 500)
			want := onSQLite(t, module, rewritten)
			if strings.Count(want, "\n") < 5 {
				t.Fatalf("there are few rows:\n%s", want)
			}
			for name, rows := range map[string]string{
				"mixed on SQLite": onSQLite(t, module, mixed), "mixed on PostgreSQL": onPostgres(t, module, mixed),
				"rewritten on PostgreSQL": onPostgres(t, module, rewritten), "mixed on MariaDB": onMariaDB(t, module, mixed),
			} {
				if rows != want {
					t.Errorf("%s:\n%s\nnot\n%s", name, rows, want)
				}
			}
		})
	}
}

// logs are a log in which the versions of events change at random, and the same one with new versions only. The payloads
// are written here, not by the code that is tested.
func logs(random *rand.Rand, count int) (mixed, rewritten []store.StreamAppend) {
	for i := range count {
		stream := store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: fmt.Sprint(i)}
		add := func(to *[]store.StreamAppend, eventType string, version int32, payload string) {
			*to = append(*to, store.StreamAppend{Stream: stream, Events: []store.Event{{
				Type: eventType, Version: version, Payload: []byte(payload),
			}}})
		}
		article, cents := fmt.Sprintf("article %d", random.IntN(5)), random.IntN(10_000)
		price := fmt.Sprintf("%d.%02d", cents/100, cents%100)
		switch random.IntN(5) {
		case 0, 1:
			add(&mixed, "OrderPlaced", 1, fmt.Sprintf(`{"customer":"ann","article":%q,"price":%s}`, article, price))
			add(&rewritten, "OrderPlaced", 2,
				fmt.Sprintf(`{"customer":"ann","lines":[{"article":%q,"price":%s,"pieces":1}],"channel":"web"}`, article, price))
		case 2, 3:
			payload := fmt.Sprintf(`{"customer":"bob","channel":"shop","lines":[{"article":%q,"price":%s,"pieces":%d},{"article":"bag","price":0.1,"pieces":1}]}`,
				article, price, 1+random.IntN(3))
			add(&mixed, "OrderPlaced", 2, payload)
			add(&rewritten, "OrderPlaced", 2, payload)
		case 4:
			add(&mixed, "OrderCancelled", 1, `{"reason":"late"}`)
			add(&rewritten, "OrderCancelled", 1, `{"reason":"late"}`)
		}
	}
	return mixed, rewritten
}

func onSQLite(t *testing.T, module []byte, log []store.StreamAppend) string {
	t.Helper()
	return rowsOf(t, "sqlite:"+filepath.Join(t.TempDir(), "shop.db"), module, log)
}

func onPostgres(t *testing.T, module []byte, log []store.StreamAppend) string {
	t.Helper()
	return rowsOf(t, pgtest.Empty(t).DSN, module, log)
}

func onMariaDB(t *testing.T, module []byte, log []store.StreamAppend) string {
	t.Helper()
	return rowsOf(t, mariadbtest.Empty(t).URL, module, log)
}

// rowsOf appends a log to an empty database, runs the projection over it, and returns the rows.
func rowsOf(t *testing.T, url string, module []byte, log []store.StreamAppend) string {
	t.Helper()
	db, err := shop.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Append(t.Context(), store.AppendOptions{}, log...); err != nil {
		t.Fatal(err)
	}
	project(t, db, module)
	return rows(t, url)
}

// project runs the projection over all that is there.
func project(t *testing.T, db pupwasm.Database, module []byte) {
	t.Helper()
	host, err := pupwasm.NewHost(db, pupwasm.Options{Modules: fstest.MapFS{"sales.wasm": {Data: module}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := host.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// rows are the rows of both tables.
func rows(t *testing.T, url string) string {
	t.Helper()
	db, err := shop.OpenSQL(url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out strings.Builder
	for _, query := range []string{
		"SELECT article, pieces, cents FROM " + shop.Table(url, "sales", "sales") + " ORDER BY article",
		"SELECT channel, orders, 0 FROM " + shop.Table(url, "sales", "channels") + " ORDER BY channel",
	} {
		found, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer found.Close()
		for found.Next() {
			var name string
			var a, b int64
			if err := found.Scan(&name, &a, &b); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&out, name, a, b)
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}
