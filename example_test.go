package pupwasm_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// exampleModules stands for os.DirFS("modules"), or for an embed.FS. Its module has a projection called users,
// which makes no rows.
var exampleModules fs.FS = fstest.MapFS{"users.wasm": {Data: (&hosttest.Guest{Describe: `{"name":"users","version":1}`}).Wasm()}}

// registered is one event.
func registered(user string) store.StreamAppend {
	return store.StreamAppend{
		Stream: store.Stream{BoundedContext: "Shop", AggregateType: "User", AggregateID: user},
		Events: []store.Event{{Type: "UserRegistered", Payload: []byte(`{"country":"NL"}`)}},
	}
}

// must ends an example that does not work.
func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// openExample opens a database in a file of its own.
func openExample(ctx context.Context) (db *sqlite.Store, remove func()) {
	folder, err := os.MkdirTemp("", "pupwasm-example-")
	must(err)
	db, err = sqlite.Open(filepath.Join(folder, "shop.db"), sqlite.Options{})
	must(err)
	must(db.Migrate(ctx))
	return db, func() {
		db.Close()
		os.RemoveAll(folder)
	}
}

// A program that runs projections beside its own work, and reads what it wrote.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	db, remove := openExample(ctx)
	defer remove()
	host, err := pupwasm.NewHost(db, pupwasm.Options{Modules: exampleModules})
	must(err)
	stopped := make(chan error)
	go func() { stopped <- host.Run(ctx) }()

	appended, err := db.Append(ctx, store.AppendOptions{}, registered("ann"))
	must(err)
	must(host.Wait(ctx, "users", appended[0].Position))
	status, err := host.Status(ctx, "users")
	must(err)
	fmt.Println(status[0].Name, "has", len(status[0].Segments), "segments")

	stop()
	fmt.Println("stopped:", <-stopped)
	// Output:
	// users has 4 segments
	// stopped: <nil>
}

// The application's own pool and transaction: its row and the event are committed together, or neither.
func Example_ownTransaction() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	must(err)
	defer pool.Close()
	db, err := postgres.New(pool, postgres.Options{})
	must(err)
	defer db.Close()
	must(db.Migrate(ctx))

	tx, err := pool.Begin(ctx)
	must(err)
	defer func() { _ = tx.Rollback(ctx) }() // does nothing after Commit
	_, err = tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS users (name text PRIMARY KEY)")
	must(err)
	_, err = tx.Exec(ctx, "INSERT INTO users VALUES ('ann') ON CONFLICT DO NOTHING")
	must(err)
	appended, err := db.AppendTx(ctx, tx, store.AppendOptions{}, registered("ann"))
	must(err)
	must(tx.Commit(ctx))
	fmt.Println("version", appended[0].AggregateVersion)
	// Output:
	// version 1
}

// The same with database/sql.
func Example_ownSQLTransaction() {
	ctx := context.Background()
	handle, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	must(err)
	defer handle.Close()
	db, err := postgres.Open(os.Getenv("DATABASE_URL"), postgres.Options{Lazy: true})
	must(err)
	defer db.Close()
	must(db.Migrate(ctx))

	tx, err := handle.BeginTx(ctx, nil)
	must(err)
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	appended, err := db.AppendSQLTx(ctx, tx, store.AppendOptions{}, registered("bob"))
	must(err)
	must(tx.Commit())
	fmt.Println("version", appended[0].AggregateVersion)
	// Output:
	// version 1
}

// A test of an application appends, applies what is there, and looks.
func ExampleHost_RunOnce() {
	ctx := context.Background()
	db, remove := openExample(ctx)
	defer remove()
	_, err := db.Append(ctx, store.AppendOptions{}, registered("ann"), registered("bob"))
	must(err)
	host, err := pupwasm.NewHost(db, pupwasm.Options{Modules: exampleModules})
	must(err)
	must(host.RunOnce(ctx))
	for _, p := range host.Progress() {
		fmt.Println(p.Projection.Name, "applied", p.Events, "events")
	}
	// Output:
	// users applied 2 events
}

// Logs go to the application's logger, with the worker, projection and segment as attributes.
func ExampleOptions_logger() {
	ctx := context.Background()
	db, remove := openExample(ctx)
	defer remove()
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}}
	host, err := pupwasm.NewHost(db, pupwasm.Options{
		Modules: exampleModules,
		Worker:  segments.Options{Name: "web-1"},
		Logger:  slog.New(slog.NewTextHandler(os.Stdout, plain)),
	})
	must(err)
	must(host.RunOnce(ctx))
	// Output:
	// level=INFO msg="projection installed" worker=web-1 projection=users version=1 module=users.wasm
}

// The settings of the work and of the sandbox, whose zero values are the defaults.
func ExampleOptions() {
	ctx := context.Background()
	db, remove := openExample(ctx)
	defer remove()
	_, err := pupwasm.NewHost(db, pupwasm.Options{
		Modules: exampleModules,
		Worker: segments.Options{
			Segments:    8,                      // of a projection: the parallelism
			BatchEvents: 500,                    // that a module gets in one call, at most
			BatchPause:  100 * time.Millisecond, // between batches, to spare the database
			PollMax:     5 * time.Second,        // when nothing happens and no notification comes
			FailFast:    true,                   // the first failure ends Run
			Projections: map[string]segments.ProjectionOptions{
				"mails": {Segments: 1, BatchEvents: -10}, // which cannot be
			},
		},
		Runtime: host.Options{Limits: host.Limits{MemoryMiB: 32, BatchTimeout: 10 * time.Second}},
	})
	fmt.Println(err)
	// Output:
	// option Projections["mails"].BatchEvents must be between 1 and 100000, it is -10
}

// A function of the application as a projection: its rows are in the application's table, and are committed with
// the checkpoint.
func ExampleConsumer() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	must(err)
	defer pool.Close()
	db, err := postgres.New(pool, postgres.Options{Schema: "countries"})
	must(err)
	defer db.Close()
	must(db.Migrate(ctx))
	_, err = pool.Exec(ctx, "CREATE TABLE visitors (country text PRIMARY KEY, users bigint NOT NULL)")
	must(err)
	_, err = db.Append(ctx, store.AppendOptions{}, registered("ann"), registered("bob"))
	must(err)

	host, err := pupwasm.NewHost(db, pupwasm.Options{Consumers: []pupwasm.Consumer{{
		Name:         "visitors",
		Subscription: store.Subscription{EventTypes: []string{"UserRegistered"}},
		Handle: postgres.Handler(func(ctx context.Context, tx pgx.Tx, events []store.RecordedEvent) error {
			for i := range events {
				_, err := tx.Exec(ctx, `INSERT INTO visitors VALUES ($1::json ->> 'country', 1)
					ON CONFLICT (country) DO UPDATE SET users = visitors.users + 1`, events[i].Payload)
				if err != nil {
					return fmt.Errorf("event %s: %w", events[i].ID, err)
				}
			}
			return nil
		}),
	}}})
	must(err)
	must(host.RunOnce(ctx)) // or Run, in a goroutine

	var users int
	must(pool.QueryRow(ctx, "SELECT users FROM visitors WHERE country = 'NL'").Scan(&users))
	fmt.Println("NL:", users)
	// Output:
	// NL: 2
}

// A consumer that is divided by stream runs in several segments at once, on one host or on several.
func ExampleByStream() {
	ctx := context.Background()
	db, remove := openExample(ctx)
	defer remove()
	_, err := db.Append(ctx, store.AppendOptions{}, registered("ann"), registered("bob"))
	must(err)
	host, err := pupwasm.NewHost(db, pupwasm.Options{Consumers: []pupwasm.Consumer{{
		Name: "mails", Partition: pupwasm.ByStream(),
		Handle: sqlite.Handler(func(_ context.Context, conn *sqlite3.Conn, events []store.RecordedEvent) error {
			return conn.Exec("CREATE TABLE IF NOT EXISTS mails (user TEXT)") // and so on
		}),
	}}})
	must(err)
	must(host.RunOnce(ctx))
	status, err := host.Status(ctx)
	must(err)
	fmt.Println(status[0].Name, "has", len(status[0].Segments), "segments")
	// Output:
	// mails has 4 segments
}

// A consumer that greets every user who registers, by a message to whoever subscribes to greetings. It writes no rows.
func ExampleSend() {
	ctx := context.Background()
	db, remove := openExample(ctx)
	defer remove()
	_, err := db.Append(ctx, store.AppendOptions{}, registered("ann"), registered("bob"))
	must(err)
	host, err := pupwasm.NewHost(db, pupwasm.Options{Consumers: []pupwasm.Consumer{{
		Name: "greetings", Partition: pupwasm.ByStream(),
		Messages: []store.MessageType{{Name: "welcome", Subject: "greetings.{user}.welcome"}},
		Handle: sqlite.Handler(func(ctx context.Context, _ *sqlite3.Conn, events []store.RecordedEvent) error {
			for i := range events {
				e := &events[i]
				if err := pupwasm.Send(ctx, "welcome", e, e.Payload, e.AggregateID); err != nil {
					return err
				}
			}
			return nil
		}),
	}}})
	must(err)
	must(host.RunOnce(ctx)) // or Run, in a goroutine

	status, err := host.Status(ctx, "greetings")
	must(err)
	fmt.Println("parked:", status[0].Parked)
	// Output:
	// parked: 0
}

// A program serves its metrics and probes with its own server.
func ExampleHost_Handler() {
	ctx, stop := context.WithCancel(context.Background())
	db, remove := openExample(ctx)
	defer remove()
	host, err := pupwasm.NewHost(db, pupwasm.Options{Modules: exampleModules, Logger: slog.New(slog.DiscardHandler)})
	must(err)
	server := httptest.NewServer(host.Handler(""))
	defer server.Close()
	stopped := make(chan error)
	go func() { stopped <- host.Run(ctx) }()

	appended, err := db.Append(ctx, store.AppendOptions{}, registered("ann"))
	must(err)
	must(host.Wait(ctx, "users", appended[0].Position))
	response, err := http.Get(server.URL + "/metrics")
	must(err)
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "pupwasm_projection_position{") {
			fmt.Println(lines.Text())
		}
	}
	stop()
	must(<-stopped)
	// Output:
	// pupwasm_projection_position{projection="users",version="1"} 1
}
