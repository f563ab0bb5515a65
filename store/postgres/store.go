// Package postgres is the store on PostgreSQL 14 and later.
//
// An application opens a [Store], makes its tables by Migrate, appends and reads events, and gives it to a host of
// package pupwasm. AppendTx appends in a transaction of the application. Hosts and commands use the same database by
// Backend, as a log and as tables that projections write: see package store.
//
// Events, checkpoints and leases live in one schema ("pupwasm" by default), the tables of every
// version of a projection in a schema named after it, "fine_balance__v1", and views for readers in one of the plain
// name. Where the first schema is another, both begin with its name: "shop__fine_balance". The first tables are made
// by package migrations.
//
//	append.go     events in: one call of the SQL function append_events, or append_event for one
//	append_sql.go  the same in a transaction of database/sql
//	bulk.go       many events in, by COPY
//	horizon.go    how far it is safe to read (the append fence is in the migration)
//	log_id.go     which log it is, and what a checkpoint has of it
//	backend.go    what hosts do in the database; apart.go the same for a log in another one
//	check_log.go  whether somebody has changed the log so that events may be lost
//	read.go       events out, in binary, only the columns asked for
//	snapshots.go  streams as aggregates use them, in transactions of the caller too
//	peek.go       both in one round trip
//	catalogue.go  the statements of a projection, and its status
//	install.go    install: what is declared is compared with what is there, and made where there is nothing
//	tables.go     tables and indexes: made, and as they are in the database
//	additions.go  columns that are added to tables that are there
//	indexes.go    indexes that are built for tables that are there
//	internal/grammar  what SQL of a module may have, by PostgreSQL's grammar; what is run is written there
//	sandbox.go    what a declared statement may touch, asked of the server
//	parse_tree.go  the parse tree that it answers with
//	isolation.go  the role that owns a projection's tables, and the functions by which its rows are written
//	expressions.go generated columns and checks
//	views.go      views
//	place.go      the schemas of a projection, and its reset
//	reader_views.go  the views by which it is read, and what was granted on them
//	statements.go the SQL of declarative writes and queries
//	commit.go     one transaction: fence, rows, checkpoint and commit in one round trip
//	copy.go       many rows that are inserted, by COPY
//	parking.go    keys whose events wait
//	outbox.go     messages that wait to be sent; outbox_put.go: put in by commits; outbox_sent.go: what became of them
//	relays.go     who sends them
//	handover.go   which version's are sent
//	native.go     the transaction in the hands of a program that writes by itself; handler.go gives it a type
//	pipeline.go   several statements in one round trip
//	limits.go     what a transaction may take, and whose fault it is when it takes more
//	stmt_cache.go  statements that the server keeps prepared
//	rehearse.go   connections made ready before the first commit
//	wire.go       values to and from PostgreSQL's binary format
//	lease.go      who may advance which segment
//	layout.go     into which segments a projection is divided
//	notify.go     notifications of appends, for hosts that wait
//	silence.go    connections that are half open
//	server.go     which servers and connections are refused
//	errors.go     PostgreSQL's errors in the words of package store; verdicts.go: what each of them means
//	queries.go    the fixed statements
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/store"
)

// Options configures a store. The zero value is ready to use.
type Options struct {
	// Schema holds events, checkpoints and leases. Defaults to "pupwasm".
	Schema string
	// PayloadBytesMax is the limit on the payload of one event. Defaults to 16 MiB.
	PayloadBytesMax int
	// Durable makes projection transactions wait for the disk. Without it, a crash of the server may lose the last
	// few, rows and checkpoint together, so that they are computed again. Appends always wait. Defaults to false.
	Durable bool
	// StatementTimeout bounds each statement of a projection, whose SQL may loop. After it the commit or query is
	// a [store.LimitError], since the server may only be busy. A lock is waited for during half of it. Defaults to
	// 1 minute; below 0 the server's own limits hold.
	StatementTimeout time.Duration
	// TransactionTimeout bounds all queries and statements of a transaction together, since a guest may query
	// without end. Defaults to twice StatementTimeout, but at least 2 minutes; below 0 there is no limit.
	TransactionTimeout time.Duration
	// TempFileBytesMax bounds what the statements of a transaction may have in temporary files at once, where the
	// role may set temp_file_limit: a superuser, or whom GRANT SET ON PARAMETER names. Defaults to 1 GiB; below 0
	// the server's own limit holds.
	TempFileBytesMax int64
	// ConnectionsMax bounds the connections for events and batches. Beside them are two for leases, one for the
	// horizon, one that listens for notifications, and two while an index is built. Defaults to 8, or the DSN's
	// pool_max_conns.
	ConnectionsMax int
	// Isolation says with whose rights the rows of projections are written. Defaults to IsolationAuto.
	Isolation Isolation
	// Lazy opens connections when they are needed: for a program that appends or reads now and then. Otherwise all
	// are opened at once, in the background, kept when there is nothing to do, and made ready for what is
	// installed, so that no event waits for a connection that is new. Defaults to false.
	Lazy bool
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
	if o.Isolation == "" {
		o.Isolation = IsolationAuto
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = time.Minute
	}
	if o.TransactionTimeout == 0 {
		o.TransactionTimeout = max(2*o.StatementTimeout, 2*time.Minute)
	}
	if o.TempFileBytesMax == 0 {
		o.TempFileBytesMax = 1 << 30
	}
	if o.ConnectionsMax == 0 {
		o.ConnectionsMax = 8
	}
}

// Store is one PostgreSQL database. It is safe for concurrent use.
type Store struct {
	pool     *pgxpool.Pool // for appends, reads and commits
	borrowed bool          // the pool is the caller's
	control  *pgxpool.Pool // for leases, which must not queue behind batches
	polls    *pgxpool.Pool // for the horizon, whose polls must not wait
	options  Options
	queries  queries
	silence  time.Duration // how long, beyond a statement's own limit, its answer is waited for

	pingAfter, pingTimeout time.Duration // see silence.go

	opened       atomic.Bool // all pools are there
	stmtCacheOff atomic.Bool // see stmtCache
	read         reader
	advance      statement
	advanceApart statement
	poll         statement
	ordering     statement
	park         statement
	retry        statement
	put          statement
}

// What comes beside Options.ConnectionsMax.
const (
	controlConnections = 2
	pollConnections    = 1
)

// Open prepares a pool of connections and waits for none: a database that is down is found by the first use.
//
// # Errors
//
// A DSN that cannot be read, whose text never has the password. A schema that is no name, or too long for the
// names that begin with it.
func Open(dsn string, options Options) (*Store, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		var parse *pgconn.ParseConfigError
		if errors.As(err, &parse) {
			return nil, fmt.Errorf("reading the database URL: %w", err)
		}
		return nil, fmt.Errorf("reading the database URL: %s", strings.ReplaceAll(err.Error(), dsn, "…"))
	}
	options.withDefaults()
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns = int32(options.ConnectionsMax)
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "pupwasm"
	}
	if !strings.Contains(dsn, "default_query_exec_mode") {
		// Without named statements: a pooler that works by transaction loses them, and their plans are kept from a
		// time when tables were small. What is worth keeping is kept by stmt_cache.go.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	// Behind a pooler a connection may be sent what another client listens to. The driver would keep it for ever.
	config.ConnConfig.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {}
	return newStore(nil, config, options)
}

// New makes a store that appends, reads and commits on the connections of a pool of the caller's, who closes it
// after the store. The few connections for leases, the horizon and notifications are the store's own, by the
// pool's configuration. ConnectionsMax and Lazy have no meaning: the pool has its own settings.
//
// # Errors
//
// A schema that is no name, or too long for the names that begin with it.
func New(pool *pgxpool.Pool, options Options) (*Store, error) {
	options.withDefaults()
	return newStore(pool, pool.Config(), options)
}

// newStore makes a store with a pool of the caller's, or with one of its own where that is nil.
func newStore(pool *pgxpool.Pool, config *pgxpool.Config, options Options) (*Store, error) {
	if err := store.CheckSchema(options.Schema); err != nil {
		return nil, err
	}
	s := &Store{
		options: options, queries: queriesFor(options.Schema, now), silence: silenceMax,
		pingAfter: pingAfter, pingTimeout: pingTimeout, read: byGrammar(), pool: pool, borrowed: pool != nil,
	}
	s.advance = statement{sql: s.queries.advance, params: advanceParams}
	s.advance.cache()
	s.advanceApart = statement{sql: s.queries.advanceApart, params: advanceApartParams}
	s.advanceApart.cache()
	s.poll = statement{sql: s.queries.horizon}
	s.poll.cache()
	s.ordering = statement{sql: s.queries.inOrder}
	s.ordering.cache()
	s.park = statement{sql: s.queries.park, params: parkParams}
	s.retry = statement{sql: s.queries.retry, params: retryParams}
	s.put = statement{sql: s.queries.outbox.put, params: messageParams}
	s.put.cache()
	Encode(config.ConnConfig)
	config.AfterConnect = afterConnect(config.AfterConnect)
	s.guard(config)
	own := []ownPool{{&s.control, controlConnections}, {&s.polls, pollConnections}}
	if pool == nil {
		own = append(own, ownPool{&s.pool, config.MaxConns})
	}
	for _, pool := range own {
		config := config.Copy()
		config.MaxConns = pool.connections
		config.MinConns = min(config.MinConns, pool.connections)
		if !options.Lazy {
			config.MinConns = pool.connections
		}
		var err error
		if *pool.of, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
			s.Close()
			return nil, fmt.Errorf("preparing the connection pool: %w", err)
		}
	}
	s.opened.Store(true)
	return s, nil
}

// afterConnect is what the application does with a new connection, and the check of it.
func afterConnect(first func(context.Context, *pgx.Conn) error) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		if first != nil {
			if err := first(ctx, conn); err != nil {
				return err
			}
		}
		return CheckConnection(ctx, conn)
	}
}

// ownPool is a pool that the store makes.
type ownPool struct {
	of          **pgxpool.Pool
	connections int32
}

// ownPools are those that the store closes.
func (s *Store) ownPools() []*pgxpool.Pool {
	own := []*pgxpool.Pool{s.control, s.polls}
	if !s.borrowed {
		own = append(own, s.pool)
	}
	return own
}

// acquire takes a connection for events or a batch. Code of the application may have set it to another encoding. Of
// the server, connections of the store's own pools were asked when they connected.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	check := checkEncodings(conn.Conn().PgConn())
	if s.borrowed && check == nil {
		check = checkServer(conn.Conn().PgConn().ParameterStatus)
	}
	if check != nil {
		conn.Release()
		return nil, check
	}
	return conn, nil
}

// Ping tells whether the database answers and has the tables of this version. A database whose encoding is not
// UTF8 is refused here, as by every other use.
func (s *Store) Ping(ctx context.Context) error {
	var ready bool
	if err := s.pool.QueryRow(ctx, s.queries.ready).Scan(&ready); err != nil {
		return translate(err)
	}
	if !ready {
		return store.ErrNotMigrated
	}
	return nil
}

const silenceMax = 10 * time.Second

// bounded ends a call to a server that has gone silent, as one does that has lost its power: nothing tells the
// connection, and the server's own limit on the statement no longer does.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.options.StatementTimeout < 0 {
		return ctx, func() {}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.options.StatementTimeout+s.silence, errSilent)
	return ctx, func() {
		if errors.Is(context.Cause(ctx), errSilent) {
			s.dropIdle()
		}
		cancel()
	}
}

// Close waits for connections in use and closes all, except those of a pool of the caller's.
func (s *Store) Close() {
	for _, pool := range s.ownPools() {
		if pool != nil { // it could not be prepared
			pool.Close()
		}
	}
}
