package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
)

const (
	beginWrite = "BEGIN IMMEDIATE"
	beginRead  = "BEGIN DEFERRED"
	// statementsMax bounds the prepared statements that a connection keeps.
	statementsMax = 256
	// valueBytesMax bounds a string or blob that SQL can make, above the largest payload.
	valueBytesMax = 64 << 20
	// heapBytesMax bounds the memory of a connection, with its cache, which has room for three values of the
	// largest size. Where larger events may be appended, it grows with them.
	heapBytesMax = 192 << 20
)

// conn is a connection with its prepared statements. It is used by one goroutine at a time.
type conn struct {
	db         *sqlite3.Conn
	statements map[statementKey]*prepared
	// policy is what the statement that is being prepared or run may touch. Nil allows everything: the statement
	// is ours.
	policy *policy
	// refusal is why the policy refused the statement that was prepared last, or "".
	refusal string
	// unnamed are the names in FROM of the statement that was prepared last that may be tables or not.
	unnamed []string
	builder store.PageBuilder
	durable bool // commits wait for the disk
	broken  bool
	undone  bool // while the connection is lent, its transaction was rolled back
}

type statementKey struct{ projection, sql string }

// prepared is a statement with the places of its parameters: $3 need not be the third that SQLite meets.
type prepared struct {
	*sqlite3.Stmt
	places []int // places[n-1] is SQLite's index of parameter $n, or 0 when the statement does not use it
}

// openConn opens the file, which must exist.
func openConn(ctx context.Context, path string, options Options, reader bool) (*conn, error) {
	db, err := sqlite3.OpenFlags(path, sqlite3.OPEN_READWRITE)
	if err != nil {
		return nil, err
	}
	c := &conn{db: db, statements: map[statementKey]*prepared{}}
	if err = c.configure(ctx, options, reader); err == nil {
		err = shareMode(path)
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return c, nil
}

func (c *conn) configure(ctx context.Context, options Options, reader bool) error {
	c.db.SetInterrupt(ctx)
	if err := useWAL(ctx, c.db, options.BusyTimeout); err != nil {
		return err
	}
	if err := checkEncoding(c.db); err != nil {
		return err
	}
	// 16 MiB of cache and of log: a checkpoint after every append of some thousand events costs more than it saves.
	settings := "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA " +
		"wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA synchronous = NORMAL"
	if reader {
		settings += "; PRAGMA query_only = ON"
	}
	if err := c.db.Exec(settings); err != nil {
		return err
	}
	for setting, on := range map[sqlite3.DBConfig]bool{
		sqlite3.DBCONFIG_DEFENSIVE:      true,
		sqlite3.DBCONFIG_TRUSTED_SCHEMA: false,
	} {
		if _, err := c.db.Config(setting, on); err != nil {
			return err
		}
	}
	c.db.Limit(sqlite3.LIMIT_LENGTH, max(valueBytesMax, options.PayloadBytesMax+1<<20))
	for limit, value := range limits {
		c.db.Limit(limit, value)
	}
	c.db.HardHeapLimit(max(heapBytesMax, 4*int64(options.PayloadBytesMax)+heapBytesMax/2))
	if err := registerFunctions(c.db); err != nil {
		return err
	}
	if err := registerTextFunctions(c.db); err != nil {
		return err
	}
	return c.db.SetAuthorizer(c.authorize)
}

// waitForDisk sets whether commits wait for the disk. It is called outside of a transaction.
func (c *conn) waitForDisk(durable bool) error {
	if c.durable == durable {
		return nil
	}
	mode := "NORMAL"
	if durable {
		mode = "FULL"
	}
	if err := c.db.Exec("PRAGMA synchronous = " + mode); err != nil {
		return err
	}
	c.durable = durable
	return nil
}

// useWAL switches the file to the write-ahead log. Of two processes that do so at once, SQLite sends one away without
// waiting, since both hold what the other needs.
func useWAL(ctx context.Context, db *sqlite3.Conn, timeout time.Duration) error {
	if err := db.BusyTimeout(timeout); err != nil {
		return err
	}
	var err error
	for range 3 {
		if err = db.Exec("PRAGMA journal_mode = WAL"); !errors.Is(err, sqlite3.BUSY) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// checkEncoding refuses a file in UTF-16, in which text has another order and another length.
func checkEncoding(db *sqlite3.Conn) error {
	statement, _, err := db.Prepare("PRAGMA encoding")
	if err != nil {
		return err
	}
	defer func() { _ = statement.Close() }()
	encoding := ""
	if statement.Step() {
		encoding = statement.ColumnText(0)
	}
	if err := statement.Err(); err != nil {
		return err
	}
	if encoding != "UTF-8" {
		return fmt.Errorf("the database file has the encoding %s, pupwasm needs UTF-8: use a new file", encoding)
	}
	return nil
}

// close closes the connection and every statement, also those that a caller of InTx left open: with one of them SQLite
// would keep the connection and its locks.
func (c *conn) close() {
	for _, statement := range slices.Collect(c.db.Stmts()) {
		// Closing a statement repeats its last error, by a panic again when that was a lack of memory; it is
		// closed all the same.
		_ = c.guard(statement.Close)
	}
	_ = c.guard(c.db.Close)
}

// prepare returns the statement, made now or before. It is reset and belongs to the connection.
func (c *conn) prepare(sql string) (*prepared, error) {
	key := statementKey{sql: sql}
	if c.policy != nil {
		key.projection = c.policy.projection
	}
	if known, ok := c.statements[key]; ok {
		return known, nil
	}
	made, err := c.prepareNew(sql)
	if err != nil {
		return nil, err
	}
	c.statements[key] = made
	return made, nil
}

// prepareNew makes a statement that the caller closes.
func (c *conn) prepareNew(sql string) (*prepared, error) {
	statement, tail, err := c.db.Prepare(sql)
	if err != nil {
		return nil, err
	}
	if statement == nil {
		return nil, errors.New("is empty")
	}
	places, err := placesOf(statement)
	if err == nil {
		err = c.checkTail(tail)
	}
	if err != nil {
		_ = statement.Close()
		return nil, err
	}
	return &prepared{Stmt: statement, places: places}, nil
}

// close closes a statement that prepareNew made. What it reports is the last error of a run, which its caller had
// already.
func (p *prepared) close() { _ = p.Stmt.Close() }

// checkTail finds a second statement behind the first.
func (c *conn) checkTail(tail string) error {
	for strings.TrimSpace(tail) != "" {
		second, rest, err := c.db.Prepare(tail)
		if second != nil || err != nil {
			_ = second.Close()
			return errors.New("has more than one statement")
		}
		if rest == tail {
			return nil
		}
		tail = rest
	}
	return nil
}

// forget closes the statements when they are too many. None may be in use.
func (c *conn) forget() {
	if len(c.statements) > statementsMax {
		for _, statement := range c.statements {
			_ = statement.Close()
		}
		clear(c.statements)
	}
}

// query runs one of our own statements and gives each row to handle.
func (c *conn) query(sql string, handle func(row *prepared) error, args ...any) error {
	statement, err := c.prepare(sql)
	if err != nil {
		return err
	}
	if err := statement.bindAll(args); err != nil {
		return err
	}
	for statement.Step() {
		if err := handle(statement); err != nil {
			_ = statement.Reset()
			return err
		}
	}
	return statement.finish()
}

// some reports whether a query has rows.
func (c *conn) some(query string, args ...any) (found bool, err error) {
	err = c.query(query, func(*prepared) error {
		found = true
		return nil
	}, args...)
	return found, err
}

// finish resets a statement that gave its last row. The driver notices a context that is over before it asks
// SQLite, whose Reset then knows of no error: rows that are missing would pass for rows that do not exist.
func (p *prepared) finish() error {
	err := p.Err()
	if reset := p.Reset(); err == nil {
		err = reset
	}
	return err
}

// exec runs one of our own statements and returns how many rows it changed.
func (c *conn) exec(sql string, args ...any) (changed int64, err error) {
	err = c.query(sql, func(*prepared) error { return nil }, args...)
	return c.db.Changes(), err
}

func (p *prepared) bindAll(args []any) error {
	for i, arg := range args {
		var err error
		switch arg := arg.(type) {
		case bool:
			err = p.BindBool(p.places[i], arg)
		case int64:
			err = p.BindInt64(p.places[i], arg)
		case int:
			err = p.BindInt(p.places[i], arg)
		case string:
			err = p.BindText(p.places[i], arg)
		case []byte:
			if err = p.BindNull(p.places[i]); arg != nil {
				err = p.BindBlob(p.places[i], arg)
			}
		case store.UUID:
			err = p.BindBlob(p.places[i], arg[:])
		default:
			err = fmt.Errorf("cannot bind a %T", arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// transact runs fn in a transaction that begins with the statement given.
func (c *conn) transact(begin string, fn func(c *conn) error) error {
	if _, err := c.exec(begin); err != nil {
		return err
	}
	return c.finish(fn)
}

// finish runs fn in the transaction that has begun, and commits. After an error it rolls back.
func (c *conn) finish(fn func(c *conn) error) error {
	err := fn(c)
	if err == nil && c.db.GetAutocommit() {
		// A statement ended the transaction, as INSERT OR ROLLBACK does; what came after it would be outside of a
		// transaction.
		err = errTxEnded
	}
	if err == nil {
		_, err = c.exec("COMMIT")
	}
	if err != nil && !c.db.GetAutocommit() {
		c.rollback()
	}
	return err
}

// errTxEnded says that SQL within a transaction has ended it. Nothing was committed.
var errTxEnded = &store.RejectedError{Statement: "the transaction", Reason: "was ended by a statement within it"}

// lend lets code that is not ours use the connection in a transaction. Nothing that it runs commits: neither COMMIT,
// nor a statement after one that has ended the transaction.
func (c *conn) lend() {
	c.undone = false
	c.db.CommitHook(func() bool { return false })
	c.db.RollbackHook(func() { c.undone = true })
}

// takeBack ends lend, with the statements that were left open, which would keep the transaction from its end. It
// fails when the transaction has ended, also where another was begun after it.
func (c *conn) takeBack() error {
	c.db.CommitHook(nil)
	c.db.RollbackHook(nil)
	for statement := range c.db.Stmts() {
		if statement.Busy() {
			_ = statement.Reset() // its error was reported when it ran
		}
	}
	if c.undone || c.db.GetAutocommit() {
		return errTxEnded
	}
	return nil
}

// rollback ends the transaction although the context may be over.
func (c *conn) rollback() {
	interrupt := c.db.SetInterrupt(context.Background())
	defer c.db.SetInterrupt(interrupt)
	if _, err := c.exec("ROLLBACK"); err != nil {
		c.broken = true
	}
}

// errMemory replaces the panic that the driver raises when SQLite has no memory left.
var errMemory = errors.New("SQLite needs more memory than a connection has")

// guard turns that panic into an error, since the SQL of a projection can bring it about. The connection is given up.
func (c *conn) guard(fn func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			c.broken = true
			failure, ok := reason.(error)
			if !ok || !strings.Contains(failure.Error(), "out of memory") {
				panic(reason)
			}
			err = errMemory
		}
	}()
	return fn()
}
