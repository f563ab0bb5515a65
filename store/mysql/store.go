// Package mysql is the store on MariaDB, 10.6 or later. MySQL is refused.
//
// An application opens a [Store], makes its tables by Migrate, appends and reads events, and gives it to a host of
// package pupwasm. InTx, AppendTx and StreamsTx append in a transaction of the application. Hosts and commands use the same
// database by Backend, as a log and as tables that projections write: see package store.
//
// Events, checkpoints and leases are tables with a prefix ("pupwasm__" by default) in the database that the URL names. A
// projection's tables are in a database of its version beside it: table fines of projection fine_balance is
// shop__fine_balance__v1.fines, and its view for readers shop__fine_balance.fines. The first are made by package
// migrations.
//
//	append.go     events in; append_fast.go: of one stream, in one round trip; append_plan.go: of several, and beside
//	              programs that insert events by themselves; append_text.go: what is sent
//	read.go       events out, only the columns asked for
//	snapshots.go  streams as aggregates use them, in transactions of the caller too
//	migrate.go    the store's own tables
//	horizon.go    how far it is safe to read, by the append fence; look.go: one look at it; holder.go: who holds it
//	log_id.go     which log it is, and what a checkpoint has of it
//	check_log.go  whether somebody has changed the log so that events may be lost; diagnose.go: more of that kind
//	server.go     what a server and the log's objects are
//	backend.go    what hosts do in the database; apart.go the same for a log in another one
//	catalogue.go  the statements of a projection
//	install.go    install, by steps that can be repeated; unfinished.go: those that another host has left
//	shape.go      tables as they are in the database
//	tables.go     the SQL that makes them; additions.go, indexes.go, replace.go: that changes them
//	expressions.go  generated columns and checks
//	views.go      views; reader_views.go: those for readers
//	place.go      what databases are called
//	versions.go   versions of a projection beside each other; retire.go, rebuild.go: and their end
//	sandbox.go    what a declared statement may touch; user.go: with whose rights it runs
//	statements.go the SQL of declarative writes and queries
//	commit.go     one transaction: fence, rows, checkpoint, commit; batch.go: its text
//	parking.go    keys whose events wait
//	outbox.go     messages, until they are sent; outbox_put.go: in, with a commit; outbox_handover.go: which version's;
//	              outbox_relays.go: by whom; outbox_pending.go: what is to be sent; outbox_messages.go: as people see them
//	native.go     the transaction in the hands of a program that writes by itself; handler.go gives it a type
//	limits.go     what the SQL of a module may take
//	wire.go       values to and from SQL; literal.go: in a text
//	lease.go      who may advance which segment; layout.go: into which a projection is divided
//	errors.go     MariaDB's errors in the words of package store; verdicts.go: what each of them means
//	conn.go       a connection: statements, transactions; session.go: one that a caller has
//	url.go        the URL, and the settings of connections; idle.go: how long a transaction may have nothing to do
//
// Many connections write at once. Each runs at READ COMMITTED, and a deadlock, which the server ends, is tried again.
//
// # A log apart
//
// A host whose log is on MariaDB and whose tables are elsewhere begins, on each connection, without a checkpoint to know
// how far the log was safe. While a transaction is open that has appended, or may have, since before the host looked
// first, the horizon is 0: the host reads nothing until it ends. Where log and tables are one database, checkpoints tell.
//
// # Appends
//
// An append locks the rows that table streams has of its streams, in the order of their names, so that appends to a
// stream come one after the other, and positions grow with versions. Other programs may insert events by themselves, with
// versions of their choice: the unique key of the stream and the version keeps them apart. An append that loses its
// connection, or is cancelled, while the server works at it may be stored all the same: the same append with
// SkipDuplicates finds out.
//
// The server's max_allowed_packet bounds payloads and snapshots: they take twice their size.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Options configures a store. The zero value is ready to use.
type Options struct {
	// Schema is the prefix of the tables for events, checkpoints and leases. Defaults to "pupwasm".
	Schema string
	// PayloadBytesMax is the limit on the payload of one event. Defaults to 16 MiB.
	PayloadBytesMax int
	// ConnectionsMax bounds the connections of the store, which has at least 2, besides one that looks how far the log may
	// be read and two for leases. Defaults to 16.
	ConnectionsMax int
	// StatementTimeout bounds each query of a module, and all writes of a commit together in which SQL of a module
	// runs. After it the query or commit is a [store.LimitError]. Defaults to 5 seconds; below 0 there is no limit.
	StatementTimeout time.Duration
	// TransactionTimeout bounds all queries and writes of a transaction together, since a guest may query without end.
	// Defaults to twice StatementTimeout, but at least 2 minutes; below 0 there is no limit.
	TransactionTimeout time.Duration
	// GaleraSingleWriter lets the server be a node of a Galera cluster. It says that all programs that append, and all
	// hosts, use this one node: appends on another node would be skipped. The parameter galera=single-writer of the URL
	// says the same.
	GaleraSingleWriter bool

	idleMax time.Duration // of transactions of the store, see idle.go
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
	if o.ConnectionsMax == 0 {
		o.ConnectionsMax = 16
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = 5 * time.Second
	}
	if o.idleMax == 0 {
		o.idleMax = idleMax
	}
	if o.TransactionTimeout == 0 {
		o.TransactionTimeout = max(2*o.StatementTimeout, 2*time.Minute)
	}
}

// Store is one database of a MariaDB server. It is safe for concurrent use.
type Store struct {
	database string // the name of the database that has the store's own tables
	shown    string // the server and the database, without password
	plain    bool   // connections are without TLS
	options  Options
	queries  queries
	reader   reader // of the SQL of modules
	db       *sql.DB
	control  *sql.DB      // for leases, which must not queue behind batches
	batches  atomic.Int64 // how many were begun
	one      preparedOnce // appends one event

	silence       time.Duration // is waited for beyond the limit of a module's query
	silenceLocked time.Duration // beyond that of its writes, in front of which fences may wait for locks

	second chan struct{} // is full while somebody has, or waits for, a second connection

	looks *sql.DB // the one connection that looks at the append fence
	watch watch   // what it remembers
}

const (
	// connectionsMin is what takeSecond needs.
	connectionsMin = 2
	// controlConnections come beside Options.ConnectionsMax.
	controlConnections = 2
)

// Open prepares a store and connects to nothing: the first use finds a server that is out of reach. See [ParseURL] for
// the form of the URL.
//
// # Errors
//
// A URL that cannot be read or names no database. A schema that is no prefix of a name.
func Open(url string, options Options) (*Store, error) {
	options.withDefaults()
	if err := store.CheckSchema(options.Schema); err != nil {
		return nil, err
	}
	config, given, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	options.GaleraSingleWriter = options.GaleraSingleWriter || given.galeraSingleWriter
	db, err := openSQL(config, options.idleMax)
	if err != nil {
		return nil, err
	}
	options.ConnectionsMax = max(options.ConnectionsMax, connectionsMin)
	looks, err := openSQL(config, options.idleMax)
	if err != nil {
		return nil, err
	}
	control, err := openSQL(config, options.idleMax)
	if err != nil {
		return nil, err
	}
	looks.SetMaxOpenConns(1)
	control.SetMaxOpenConns(controlConnections)
	control.SetMaxIdleConns(controlConnections)
	db.SetMaxOpenConns(options.ConnectionsMax)
	db.SetMaxIdleConns(options.ConnectionsMax)
	return &Store{
		database: config.DBName, shown: config.Addr + "/" + config.DBName, plain: isPlain(config), options: options,
		queries: queriesFor(config.DBName, options.Schema, now), db: db, control: control, second: make(chan struct{}, 1),
		looks: looks, reader: sqlReader, silence: silenceMax, silenceLocked: silenceMax + lockWait, watch: watch{oneWriter: options.GaleraSingleWriter},
	}, nil
}

// Ping reports whether the server answers and the database has the tables of this version.
func (s *Store) Ping(ctx context.Context) error {
	ready := false
	err := s.read(ctx, func(c *conn) error {
		return c.query(s.queries.ready, func(r *row) error {
			ready = r.bool(0)
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
	_ = s.looks.Close()
	_ = s.control.Close()
	_ = s.db.Close()
}

// read runs fn on a connection outside of a transaction, and translates its error.
func (s *Store) read(ctx context.Context, fn func(c *conn) error) error {
	return s.translate(ctx, s.lend(ctx, fn))
}

// deadlocksMax is how often a transaction is tried that the server ends for the sake of another one.
const deadlocksMax = 10

// write runs fn in a transaction, and translates its error. The server may end the transaction for the sake of another
// one, and then fn runs again: it must set what it has set before.
func (s *Store) write(ctx context.Context, fn func(c *conn) error) error {
	return s.change(ctx, func(c *conn) error { return c.transact(fn) })
}

// change runs fn on a connection outside of a transaction, where each statement commits by itself, and translates its
// error. Like that of write, fn may run again.
func (s *Store) change(ctx context.Context, fn func(c *conn) error) error {
	return s.changeFrom(ctx, s.db, fn)
}

func (s *Store) changeFrom(ctx context.Context, db *sql.DB, fn func(c *conn) error) error {
	var err error
	for range deadlocksMax {
		err = lendFrom(ctx, db, fn)
		if !isDeadlock(err) {
			break
		}
	}
	return s.translate(ctx, err)
}

// takeSecond is for who has a connection and needs another one beside it, until release: several who have one each must
// not wait for another for ever.
func (s *Store) takeSecond(ctx context.Context) (release func(), err error) {
	select {
	case s.second <- struct{}{}:
		return func() { <-s.second }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// lend gives fn a connection. One that an error has left within a transaction, or broken, is closed.
func (s *Store) lend(ctx context.Context, fn func(c *conn) error) error {
	return lendFrom(ctx, s.db, fn)
}

func lendFrom(ctx context.Context, db *sql.DB, fn func(c *conn) error) error {
	held, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	var own error
	err = held.Raw(func(driverConn any) error {
		c, err := connOf(ctx, driverConn)
		if err != nil {
			return err
		}
		own = fn(c)
		if c.broken {
			return errBroken // database/sql gives the connection up
		}
		return nil
	})
	if closing := held.Close(); own == nil && err == nil {
		err = closing
	}
	if own != nil {
		return own
	}
	if err != nil && !errors.Is(err, errBroken) {
		return fmt.Errorf("using a connection: %w", err)
	}
	return nil
}
