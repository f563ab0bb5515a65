package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/pupwasm/pupwasm/store"
)

// An index of a table with rows is built by CREATE INDEX CONCURRENTLY, which keeps neither commits nor readers waiting,
// and takes no part in a transaction. When it ends early it leaves an index that is not valid, which rows are added to
// and nobody reads by.
//
// Two things see to it that one host builds at a time. A lock of a transaction on a connection of its own, which works
// behind a pooler as well, ends with the host. The server may go on with a build whose host was killed; it has a lock on
// the table, which is asked for before anything is touched.

// BuildIndexes makes the declared indexes that are missing. See [store.Projections].
func (s backend) BuildIndexes(
	ctx context.Context, projection *store.Projection, told func(store.IndexBuild),
) error {
	b := &indexBuilder{store: s.Store, projection: s.placed(projection), told: told}
	work, err := b.look(ctx, s.pool)
	if err != nil || work.none() {
		return translate(err)
	}
	if err = b.build(ctx); vanished(err) {
		return fmt.Errorf("%w: %s", store.ErrTransient, describeError(err)) // it is looked for again
	}
	return translate(err)
}

// vanished reports that a table or an index is gone meanwhile.
func vanished(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == stateUndefinedTable || pg.Code == stateUndefinedObject ||
		pg.Code == stateInvalidSchema)
}

// indexBuilder is one call of BuildIndexes.
type indexBuilder struct {
	store      *Store
	projection placed
	told       func(store.IndexBuild)
	conn       *pgx.Conn // which builds
}

// indexWork is what there is to do.
type indexWork struct {
	missing []store.MissingIndex
	left    []leftIndex
}

func (w indexWork) none() bool { return len(w.missing)+len(w.left) == 0 }

// leftIndex is an index that is not valid, since it is being built or its building has ended early.
type leftIndex struct{ table, name string }

// beginner is a pool or a connection.
type beginner interface {
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// look finds what there is to do.
func (b *indexBuilder) look(ctx context.Context, by beginner) (work indexWork, err error) {
	ctx, cancel := b.store.bounded(ctx)
	defer cancel()
	err = pgx.BeginTxFunc(ctx, by, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		i := &installer{tx: tx, projection: b.projection}
		found, err := i.shapes(ctx)
		if err != nil {
			return err
		}
		work.missing = b.projection.MissingIndexes(found)
		names := make([]string, len(found))
		for t := range found {
			names[t] = found[t].Name
		}
		rows, err := tx.Query(ctx, `SELECT c.relname::text, x.relname::text FROM pg_index i
			JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
			WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY ($2) AND NOT i.indisvalid
			AND starts_with(x.relname, c.relname || $3) ORDER BY 1, 2`,
			quote(b.projection.schema), names, indexInfix)
		if err != nil {
			return err
		}
		work.left, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l leftIndex, err error) {
			err = row.Scan(&l.table, &l.name)
			return l, err
		})
		return err
	})
	if err != nil {
		err = fmt.Errorf("looking at the indexes: %w", err)
	}
	return work, err
}

// indexInfix is between the table and the rest in the name of an index. No name of a table has two underscores.
const indexInfix = "__index_"

// indexName is the same for the same columns, and within 63 bytes.
func indexName(index store.MissingIndex) string {
	sum := sha256.Sum256([]byte(strings.Join(index.Columns, "\x00")))
	return index.Table + indexInfix + hex.EncodeToString(sum[:6])
}

// build does what there is to do, while no other host does.
func (b *indexBuilder) build(ctx context.Context) error {
	held, err := b.hold(ctx)
	if err != nil {
		return err
	}
	defer held.release()
	if b.conn, err = b.store.connectToBuild(ctx); err != nil {
		return err
	}
	defer closeWithin(b.conn, pingPatience)
	work, err := b.look(ctx, b.conn) // another host may have done it
	if err != nil {
		return err
	}
	for _, l := range work.left {
		if err := cmp.Or(b.idle(ctx, l.table), held.check()); err != nil {
			return err
		}
		if err := b.drop(ctx, l.name); err != nil {
			return err
		}
	}
	for _, index := range work.missing {
		if err := cmp.Or(b.idle(ctx, index.Table), held.check()); err != nil {
			return err
		}
		if err := b.create(ctx, index); err != nil {
			return err
		}
	}
	return nil
}

// buildsWaitMax is longer than a server waits before it looks for deadlocks, by default: until then an automatic vacuum
// keeps its lock on a table.
const buildsWaitMax = 3 * time.Second

// idle makes sure that nobody builds an index of a table. It holds nothing: who would wait behind it builds too.
func (b *indexBuilder) idle(ctx context.Context, table string) error {
	tx, err := b.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	for _, statement := range []string{
		fmt.Sprintf("SET LOCAL lock_timeout = %d", buildsWaitMax.Milliseconds()),
		"LOCK TABLE " + b.projection.table(table) + " IN SHARE UPDATE EXCLUSIVE MODE",
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("waiting for other builds: %w", err)
		}
	}
	return nil
}

func (b *indexBuilder) drop(ctx context.Context, name string) error {
	if _, err := b.conn.Exec(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+b.projection.table(name)); err != nil {
		return fmt.Errorf("dropping index %s, which is not complete: %w", name, err)
	}
	return nil
}

// create makes an index. What the server refuses for good leaves nothing, since rows would have to fit it.
func (b *indexBuilder) create(ctx context.Context, index store.MissingIndex) error {
	name := indexName(index)
	b.tell(index, false)
	_, err := b.conn.Exec(ctx, fmt.Sprintf("CREATE INDEX CONCURRENTLY %s ON %s (%s)", quote(name),
		b.projection.table(index.Table), quoteList(index.Columns)))
	if err == nil {
		b.tell(index, true)
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("creating index %s: %w", name, err)
	refused := refusedFor(fmt.Sprintf("index %s", index), err)
	var fault *store.CatalogueError
	if vanished(err) || !errors.As(refused, &fault) {
		return err
	}
	if err := b.drop(ctx, name); err != nil {
		return err
	}
	return refused
}

func (b *indexBuilder) tell(index store.MissingIndex, done bool) {
	if b.told != nil {
		b.told(store.IndexBuild{MissingIndex: index, Done: done})
	}
}

// connConfig is that of a connection beside the pools.
func (s *Store) connConfig(ctx context.Context) (*pgx.ConnConfig, error) {
	config := s.pool.Config()
	if config.BeforeConnect == nil {
		return config.ConnConfig, nil
	}
	return config.ConnConfig, config.BeforeConnect(ctx, config.ConnConfig)
}

// connectToBuild makes a connection whose statements may take as long as they want, and are cancelled on the server when
// their context ends. Behind a pooler that takes no settings of a session those of the role hold.
func (s *Store) connectToBuild(ctx context.Context) (*pgx.Conn, error) {
	config, err := s.connConfig(ctx)
	if err != nil {
		return nil, err
	}
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: pingPatience}
	}
	unlimited := config.Copy()
	unlimited.RuntimeParams["statement_timeout"], unlimited.RuntimeParams["lock_timeout"] = "0", "0"
	conn, err := pgx.ConnectConfig(ctx, unlimited)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateProtocolViolation {
		conn, err = pgx.ConnectConfig(ctx, config)
	}
	return conn, err
}

// heldBuild is the lock of the host that builds indexes of a projection.
type heldBuild struct {
	conn    *pgx.Conn
	release func()
	lost    chan struct{} // closed when the lock is
}

const (
	// holdPing is the interval at which the lock's connection is used, so that nothing on the way forgets it.
	holdPing = 10 * time.Second
	// holdIdleMax is when the server ends the transaction of a host that is stopped, or cut off.
	holdIdleMax = time.Minute
)

// hold takes the lock. Its transaction must not keep a snapshot, or the build would wait for it: so it reads committed
// rows whatever the default is, and by the simple protocol, since a portal of the other one has its snapshot to the end.
func (b *indexBuilder) hold(ctx context.Context) (*heldBuild, error) {
	config, err := b.store.connConfig(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	var mine bool
	_, err = conn.Exec(ctx, fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = %d",
		holdIdleMax.Milliseconds()), pgx.QueryExecModeSimpleProtocol)
	if err == nil {
		err = conn.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", pgx.QueryExecModeSimpleProtocol,
			b.store.options.Schema+".indexes."+b.projection.Name).Scan(&mine)
	}
	if err != nil || !mine {
		closeWithin(conn, pingPatience)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("locking the indexes: %w", err)
	case !mine:
		return nil, fmt.Errorf("%w: %w: another host builds indexes of projection %s", store.ErrTransient,
			store.ErrLocked, b.projection.Name)
	}
	ctx, cancel := context.WithCancel(ctx)
	h, ended := &heldBuild{conn: conn, lost: make(chan struct{})}, make(chan struct{})
	h.release = func() {
		cancel()
		<-ended
		closeWithin(conn, pingPatience)
	}
	go func() {
		defer close(ended)
		h.keep(ctx)
	}()
	return h, nil
}

// keep uses the connection now and then, without a snapshot: a ping is an empty query.
func (h *heldBuild) keep(ctx context.Context) {
	ticker := time.NewTicker(holdPing)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		within, cancel := context.WithTimeout(ctx, pingPatience)
		err := h.conn.Ping(within)
		cancel()
		if err != nil {
			close(h.lost)
			return
		}
	}
}

// check reports that the lock is lost, as far as that is known.
func (h *heldBuild) check() error {
	select {
	case <-h.lost:
		return fmt.Errorf("%w: the lock of the indexes is lost", store.ErrTransient)
	default:
		return nil
	}
}
