// Package sqlite is the store on SQLite, in the process, in one file.
//
// An application opens a [Store], makes its tables by Migrate, appends and reads events, and gives it to a host of
// package pupwasm. InTx and AppendConn append in a transaction of the application. Hosts and commands use the same
// database by Backend, as a log and as tables that projections write: see package store.
//
// Events, checkpoints and leases are tables with a prefix ("pupwasm__" by default); a projection's
// tables have its name and version as prefix: table fines of projection fine_balance is fine_balance__v1__fines, and
// its view for readers fine_balance__fines. Where the prefix of the first is another, "shop", both begin with it:
// shop__fine_balance__fines. The first are made by package migrations.
//
//	append.go     events in: checks, then inserts, in one transaction
//	horizon.go    how far it is safe to read: SQLite has one writer, so up to the last commit
//	log_id.go     which log it is, and what a checkpoint has of it
//	backend.go    what hosts do in the database; apart.go the same for a log in another one
//	check_log.go  whether somebody has changed the log so that events may be lost
//	read.go       events out, only the columns asked for
//	snapshots.go  streams as aggregates use them, in transactions of the caller too
//	catalogue.go  the statements of a projection, and its status
//	install.go    install: what is declared is compared with what is there, and made where there is nothing
//	shape.go      tables as they are in the file
//	tables.go     the SQL that makes them
//	expressions.go  generated columns and checks
//	views.go      views
//	place.go      what a projection's tables and the views of readers are called, and its reset
//	sandbox.go    what a declared statement may touch, asked of SQLite's authorizer
//	statements.go the SQL of declarative writes and queries
//	commit.go     one transaction: fence, rows, checkpoint, commit
//	parking.go    keys whose events wait
//	outbox.go     messages, until they are sent; outbox_handover.go: which version sends, when another becomes live
//	native.go     the transaction in the hands of a program that writes by itself; handler.go gives it a type
//	limits.go     what the SQL of a module may take
//	functions_text.go  functions that replace those of SQLite's of which one call may take days
//	pattern.go    LIKE and GLOB, which read a text once
//	functions.go  functions for sums, least and greatest values
//	wire.go       values to and from SQLite's storage classes
//	lease.go      who may advance which segment
//	errors.go     SQLite's errors in the words of package store; verdicts.go: what each of them means
//	conn.go       a connection: settings, prepared statements, transactions
//	pool.go       gives connections out, in order
//	sql.go        the file for database/sql, for package migrations
//
// A store has one connection that writes, given out in the order of asking, and a few that read. Several processes may
// share the file: they wait for each other in BEGIN IMMEDIATE, and after [Options.BusyTimeout] the wait is a
// [store.ErrTransient]. The file must be on a local disk.
//
// # Types
//
// Tables are STRICT. bool, i64 and timestamptz (microseconds since 1970-01-01 UTC) are INTEGER, f64 is REAL, which
// has no NaN; text, json and numeric are TEXT; bytes and uuid are BLOB. A numeric is exact decimal text: key
// columns hold the shortest form ("1.5"), so that equal numbers are one key, other columns keep their decimals
// ("1.50"). SQL must not calculate with it by + and <, which go through floating point, but by decimal_add,
// decimal_sub, decimal_mul, decimal_cmp and decimal_sum.
//
// Arrays are JSON text that json_each takes apart: true and false, integers, floats (NaN and infinity as strings),
// strings for text and numeric, lower-case hex for bytes and uuid, microseconds for timestamptz, and for json a string
// that holds the element's JSON, so that an element null differs from NULL.
//
// # What it does not do
//
// A query of a transaction runs on a reader, as a statement of its own, so that the writer is free while a guest
// runs. It sees what is committed, as under PostgreSQL's READ COMMITTED. There is no :memory: database, no network
// file system, and no way for a declared statement to use date and time functions, not even on given values,
// because SQLite's take 'now' from a parameter.
package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Options configures a store. The zero value is ready to use.
type Options struct {
	// Schema is the prefix of the tables for events, checkpoints and leases. Defaults to "pupwasm".
	Schema string
	// PayloadBytesMax is the limit on the payload of one event. Defaults to 16 MiB.
	PayloadBytesMax int
	// Durable makes every commit wait for the disk. Without it, a crash of the machine (not of the process) may
	// lose the last few commits, appends too, in order, so that the file is as it was a moment before.
	// Defaults to false.
	Durable bool
	// ReadersMax bounds the connections that read. Defaults to 4.
	ReadersMax int
	// BusyTimeout is how long a write waits for another process. Defaults to 5 seconds.
	BusyTimeout time.Duration
	// StatementTimeout bounds each query of a module, and all writes of a commit together in which SQL of a module
	// runs, since nobody else writes meanwhile. After it the query or commit is a [store.LimitError]. Defaults to
	// 5 seconds; below 0 there is no limit.
	StatementTimeout time.Duration
	// TransactionTimeout bounds all queries and writes of a transaction together, since a guest may query without end.
	// Defaults to twice StatementTimeout, but at least 2 minutes; below 0 there is no limit.
	TransactionTimeout time.Duration
}

// WithDefaults returns the options with the default where a field is 0.
func (o Options) WithDefaults() Options {
	o.withDefaults()
	return o
}

func (o *Options) withDefaults() {
	if o.Schema == "" {
		o.Schema = store.DefaultSchema
	}
	if o.PayloadBytesMax == 0 {
		o.PayloadBytesMax = store.PayloadBytesMax
	}
	if o.ReadersMax == 0 {
		o.ReadersMax = 4
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = 5 * time.Second
	}
	if o.TransactionTimeout == 0 {
		o.TransactionTimeout = max(2*o.StatementTimeout, 2*time.Minute)
	}
}

// Store is one SQLite file. It is safe for concurrent use.
type Store struct {
	path    string
	options Options
	queries queries
	writer  *pool
	readers *pool
}

// Open prepares a store and opens nothing: the first use finds a file that is missing, damaged or out of reach. It
// never creates the file, which the migrations do by [OpenSQL].
//
// # Errors
//
// A path that names no file: empty, ":memory:" or a URI. A schema that is no prefix of a name.
func Open(path string, options Options) (*Store, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	options.withDefaults()
	if err := store.CheckSchema(options.Schema); err != nil {
		return nil, err
	}
	s := &Store{path: path, options: options, queries: queriesFor(options.Schema, now)}
	s.writer = newPool(1, func(ctx context.Context) (*conn, error) { return openConn(ctx, path, options, false) })
	s.readers = newPool(options.ReadersMax, func(ctx context.Context) (*conn,
		error,
	) {
		return openConn(ctx, path, options, true)
	})
	return s, nil
}

func checkPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("the path of the database file is empty")
	case strings.Contains(path, ":memory:"):
		return fmt.Errorf("%s: a database in memory has one connection, pupwasm needs several: give the path of a file",
			path)
	case strings.HasPrefix(path, "file:"):
		return fmt.Errorf("%s: give the path of the database file, not a URI", path)
	case strings.ContainsRune(path, 0):
		return fmt.Errorf("the path of the database file contains a NUL character")
	}
	return nil
}

// Ping reports whether the file can be read and has the tables of this version. A file in UTF-16 is refused here, as
// by every other use.
func (s *Store) Ping(ctx context.Context) error {
	ready := false
	err := s.read(ctx, func(c *conn) error {
		return c.query(s.queries.ready, func(row *prepared) error {
			ready = row.ColumnInt64(0) != 0
			return nil
		})
	})
	if err == nil && !ready {
		return store.ErrNotMigrated
	}
	return err
}

// Close waits for connections in use and closes all.
func (s *Store) Close() {
	s.readers.close()
	s.writer.close()
}

// read runs fn on a connection that reads, and translates its error.
func (s *Store) read(ctx context.Context, fn func(c *conn) error) error {
	c, err := s.readers.acquire(ctx)
	if err != nil {
		return s.translate(ctx, err)
	}
	defer s.readers.release(c)
	return s.translate(ctx, c.guard(func() error { return fn(c) }))
}

// write runs fn in a transaction of the writer, and translates its error.
func (s *Store) write(ctx context.Context, fn func(c *conn) error) error {
	return s.writeWith(ctx, store.DurabilityOfStore, fn)
}

func (s *Store) writeWith(ctx context.Context, durability store.Durability, fn func(c *conn) error) error {
	c, err := s.writer.acquire(ctx)
	if err != nil {
		return s.translate(ctx, err)
	}
	defer s.writer.release(c)
	return s.translate(ctx, c.guard(func() error {
		if err := c.waitForDisk(durability.Waits(s.options.Durable)); err != nil {
			return err
		}
		return c.transact(beginWrite, fn)
	}))
}
