// Package shop is what the examples in Go share: the database that the command line names, and events of a shop.
package shop

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that OpenSQL uses

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// Database is what *postgres.Store, *mysql.Store and *sqlite.Store have in common.
type Database interface {
	pupwasm.Database
	store.Streams
	Migrate(ctx context.Context) error
	Horizon(ctx context.Context) (store.Horizon, error)
	Read(ctx context.Context, request store.ReadRequest, page *store.Page) error
	ReadStream(ctx context.Context, stream store.Stream, first, last int64) ([]store.RecordedEvent, error)
	Close()
}

// Main runs an example on the database that --database names, by default a SQLite file in a temporary folder. The context
// ends at Ctrl-C. An error ends the process.
func Main(run func(ctx context.Context, url string) error) {
	pupwasm.CompilerMain() // first of all: modules are compiled in processes of their own
	url := flag.String("database", "", "`URL` of an empty database, postgres://…, mysql://… or sqlite:PATH (default: a temporary file)")
	flag.Parse()
	slog.SetLogLoggerLevel(slog.LevelWarn) // a host logs to slog.Default: here warnings alone
	if err := runOn(*url, run); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runOn(url string, run func(ctx context.Context, url string) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if url == "" {
		folder, err := os.MkdirTemp("", "pupwasm-example-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		url = "sqlite:" + filepath.Join(folder, "shop.db")
	}
	return run(ctx, url)
}

// Open opens a database and makes the tables of pupwasm. The caller closes it.
//
// # Errors
//
// One for a database that has events: the rows would not be those of the example's page.
func Open(ctx context.Context, url string) (Database, error) {
	db, err := open(url)
	if err != nil {
		return nil, err
	}
	horizon, err := prepare(ctx, db)
	if err == nil && horizon.Position > 0 {
		err = errors.New("the database has events already: give an empty one, so that the rows are those of the page")
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func open(url string) (Database, error) {
	if path, is := strings.CutPrefix(url, "sqlite:"); is {
		return sqlite.Open(path, sqlite.Options{})
	}
	if isMariaDB(url) {
		return mysql.Open(url, mysql.Options{})
	}
	return postgres.Open(url, postgres.Options{})
}

func prepare(ctx context.Context, db Database) (store.Horizon, error) {
	if err := db.Migrate(ctx); err != nil {
		return store.Horizon{}, err
	}
	return db.Horizon(ctx)
}

// OpenSQL opens a database for SQL of the example's own. The caller closes it.
func OpenSQL(url string) (*sql.DB, error) {
	if path, is := strings.CutPrefix(url, "sqlite:"); is {
		return sqlite.OpenSQL(path)
	}
	if isMariaDB(url) {
		return mysql.OpenSQL(url)
	}
	return sql.Open("pgx", url)
}

// Table is the name by which readers know a table of a projection, in the database of the URL.
func Table(url, projection, table string) string {
	if strings.HasPrefix(url, "sqlite:") {
		return projection + "__" + table
	}
	if config, err := mysql.ParseURL(url); err == nil { // a database of its own
		return config.DBName + "__" + projection + "." + table
	}
	return projection + "." + table
}

// Parameter is how SQL names its only parameter, in the database of the URL.
func Parameter(url string) string {
	if isMariaDB(url) {
		return "?"
	}
	return "$1"
}

func isMariaDB(url string) bool {
	return strings.HasPrefix(url, "mysql:") || strings.HasPrefix(url, "mariadb:")
}

// Print prints the rows of a query, with a blank between columns.
func Print(ctx context.Context, db *sql.DB, query string) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, targets := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for i, value := range values {
			if text, is := value.([]byte); is { // as MariaDB's driver returns it
				values[i] = string(text)
			}
		}
		fmt.Println(values...)
	}
	return rows.Err()
}

// Order returns events of an order, which is a stream of its own.
func Order(id string, events ...store.Event) store.StreamAppend {
	return store.StreamAppend{
		Stream: store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: id},
		Events: events,
	}
}

// Placed returns the event that a user has placed an order.
func Placed(user string, cents int) store.Event {
	return store.Event{Type: "OrderPlaced", Payload: fmt.Appendf(nil, `{"user_id":%q,"cents":%d}`, user, cents)}
}
