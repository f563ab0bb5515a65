package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// insertEvent writes past the store, as any program can: position, hash, id, time and metadata are the database's.
const insertEvent = `INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
	event_type, payload) VALUES ('shop', 'order', ?, ?, 'inserted', '')`

// selectEvents writes as many events as the log has had versions of 'seed' inserted.
const selectEvents = `INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, aggregate_version,
	event_type, payload) SELECT 'shop', 'order', '%s', slot + 1, 'inserted', '' FROM pupwasm__fence WHERE slot < %d`

// log is a database with a store on it.
type log struct {
	testing.TB
	at       mariadbtest.Database
	store    mysql.Backend
	sql      *sql.DB
	versions map[string]int
}

func newLog(t testing.TB, at mariadbtest.Database) *log {
	t.Helper()
	return &log{TB: t, at: at, store: open(t, at.URL, mysql.Options{}), sql: at.Connect(t), versions: map[string]int{}}
}

// horizon is without the id, which the conformance suite looks at.
func (l *log) horizon() store.Horizon {
	l.Helper()
	h, err := l.store.Horizon(context.Background())
	must(l.TB, err)
	h.Log = store.LogID{}
	return h
}

// inserter is a connection or a transaction.
type inserter interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// insert writes an event, and returns its position.
func (l *log) insert(in inserter, id string) int64 {
	l.Helper()
	l.versions[id]++
	result, err := in.ExecContext(context.Background(), insertEvent, id, l.versions[id])
	must(l.TB, err)
	position, err := result.LastInsertId()
	must(l.TB, err)
	return position
}

func (l *log) add() int64 { l.Helper(); return l.insert(l.sql, "a") }

func (l *log) begin(isolation sql.IsolationLevel) *sql.Tx {
	l.Helper()
	tx, err := l.sql.BeginTx(context.Background(), &sql.TxOptions{Isolation: isolation})
	must(l.TB, err)
	l.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func (l *log) conn() *sql.Conn {
	l.Helper()
	conn, err := l.sql.Conn(context.Background())
	must(l.TB, err)
	l.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (l *log) execute(in inserter, text string) {
	l.Helper()
	_, err := in.ExecContext(context.Background(), text)
	must(l.TB, err)
}

// free has the store see all rows of the fence free. Rows that others look at just now seem to be held.
func (l *log) free() store.Horizon {
	l.Helper()
	var h store.Horizon
	testwait.Until(l.TB, "nothing holds the horizon", func() bool {
		h = l.horizon()
		return h.Position == h.Head
	})
	return h
}

func TestHorizon_isHeldByEveryWayToInsert(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	l.execute(l.sql, `CREATE PROCEDURE try() BEGIN
		DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
		`+fmt.Sprintf(selectEvents, "x", 1)+`; `+fmt.Sprintf(selectEvents, "x", 1)+`; END`)
	values := strings.NewReplacer("?, ?", "'x', 1").Replace(insertEvent)
	ways := map[string]string{
		"multi-row":               values + ", ('shop', 'order', 'x', 2, 'e', '')",
		"insert from a query":     fmt.Sprintf(selectEvents, "x", 5),
		"within a procedure":      "CALL try()",
		"ignoring what is there":  "INSERT IGNORE" + strings.TrimPrefix(values, "INSERT") + ", ('shop', 'order', 'a', 1, 'e', '')",
		"updating what is there":  values + ", ('shop', 'order', 'a', 1, 'e', '') ON DUPLICATE KEY UPDATE trace_id = 'x'",
		"replacing what is there": "REPLACE" + strings.TrimPrefix(values, "INSERT"),
		"returning":               values + " RETURNING global_position",
		"loading": `LOAD DATA LOCAL INFILE 'Reader::horizon' INTO TABLE pupwasm__events FIELDS TERMINATED BY ','
			(bounded_context, aggregate_type, aggregate_id, aggregate_version, event_type, payload)`,
	}
	driver.RegisterReaderHandler("horizon", func() io.Reader { return strings.NewReader("shop,order,x,1,e,\nshop,order,x,2,e,\n") })
	l.insert(l.sql, "m") // parts the streams, so that locks of what is between them are not met
	for isolation := sql.LevelReadUncommitted; isolation <= sql.LevelSerializable; isolation++ {
		if isolation == sql.LevelWriteCommitted || isolation == sql.LevelSnapshot {
			continue
		}
		for name, insert := range ways {
			before := l.add()
			l.free()
			tx := l.begin(isolation)
			l.execute(tx, "SELECT COUNT(*) FROM pupwasm__log") // takes the snapshot, where there is one
			between := l.add()
			l.free()
			if _, err := tx.ExecContext(t.Context(), insert); err != nil {
				t.Fatalf("%s, %s: %v", name, isolation, err)
			}
			head := l.add()
			for range 3 {
				if h := l.horizon(); h.Position < before || h.Position > between || h.Head != head {
					t.Errorf("%s, %s: with the append open behind %d the horizon is %+v", name, isolation, between, h)
				}
			}
			must(t, tx.Rollback())
			if h := l.free(); h.Position != head || h.Holder != 0 {
				t.Errorf("%s, %s: after the rollback the horizon is %+v", name, isolation, h)
			}
		}
	}
}

func TestHorizon_isNotHeldByWhatDoesNotAppend(t *testing.T) {
	t.Parallel()
	l, other := newLog(t, mariadbtest.New(t)), newLog(t, mariadbtest.New(t))
	l.add()
	l.execute(l.sql, "CREATE TABLE unrelated (x INT)")
	for _, text := range []string{
		"INSERT INTO unrelated VALUES (1)",
		"SELECT COUNT(*) FROM pupwasm__events",
		"SELECT * FROM pupwasm__events FOR UPDATE",
		"UPDATE pupwasm__events SET trace_id = 'x' WHERE aggregate_version = 1",
		"SELECT GET_LOCK('x', 0), GET_LOCK('pupwasm', 0)",
	} {
		tx := l.begin(sql.LevelReadCommitted)
		l.execute(tx, text)
		must(t, tx.Rollback())
		l.execute(l.begin(sql.LevelReadCommitted), text)
		if strings.Contains(text, "FOR UPDATE") {
			break // it keeps others waiting
		}
	}
	other.insert(other.begin(sql.LevelReadCommitted), "x")
	other.execute(other.sql, "CREATE TABLE unrelated (x INT)")
	conn := other.conn()
	other.execute(conn, "XA START 'elsewhere'; INSERT INTO unrelated VALUES (1); XA END 'elsewhere'; XA PREPARE 'elsewhere'")
	for range 3 {
		if last, h := l.add(), l.free(); h.Position < last || h.Holder != 0 || h.Prepared != "" {
			t.Errorf("after position %d the horizon is %+v", last, h)
		}
	}
	other.execute(conn, "XA ROLLBACK 'elsewhere'")
}

// TestHorizon_savepoints: one that is rolled back leaves the lock, unless nothing of the transaction is left.
func TestHorizon_savepoints(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	for _, isolation := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable} {
		before := l.add()
		l.free()
		tx := l.begin(isolation)
		held := func(step string) {
			t.Helper()
			l.add()
			if h := l.horizon(); h.Position != before {
				t.Errorf("%s, %s: the horizon is %+v, want %d", isolation, step, h, before)
			}
		}
		within := func(end string) {
			t.Helper()
			l.execute(tx, "SAVEPOINT s")
			l.insert(tx, "z")
			l.execute(tx, end)
		}
		within("ROLLBACK TO SAVEPOINT s")
		l.versions["z"]--
		l.add()
		l.free()
		before = l.add()
		l.free()
		within("RELEASE SAVEPOINT s")
		held("a savepoint that was kept")
		within("ROLLBACK TO SAVEPOINT s")
		l.versions["z"]--
		held("a later one that was rolled back")
		l.insert(tx, "z")
		held("an insert after it")
		must(t, tx.Commit())
		l.free()
	}
}

// TestHorizon_firstLookWhileAnAppendIsOpen begins at the furthest checkpoint, which a host has read up to.
func TestHorizon_firstLookWhileAnAppendIsOpen(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	checkpoint := l.add()
	l.add()
	l.insert(l.begin(sql.LevelReadCommitted), "b")
	head := l.add()
	if h := l.horizon(); h.Position != 0 || h.Head != head {
		t.Errorf("without a checkpoint the horizon is %+v", h)
	}
	l.execute(l.sql, `INSERT INTO pupwasm__projections (name, version, segments, next_segment, declaration, shapes, installed_at, live)
		VALUES ('p', 1, 1, 1, '', '', 0, 1)`)
	segment := `REPLACE INTO pupwasm__segments (projection, version, segment, first_hash, last_hash, position, updated_at, log_id)
		VALUES ('p', 1, 0, 0, 1, %d, 0, %s)`
	for _, test := range []struct {
		position int64
		log      string
		want     int64
	}{
		{checkpoint, "(SELECT id FROM pupwasm__log)", checkpoint},
		{checkpoint, "UUID()", 0},
		{head + 1, "(SELECT id FROM pupwasm__log)", 0}, // the log has become shorter
	} {
		l.execute(l.sql, fmt.Sprintf(segment, test.position, strings.ReplaceAll(test.log, "UUID()", "REPEAT('x', 16)")))
		h, err := open(t, l.at.URL, mysql.Options{}).Horizon(t.Context())
		if err != nil || h.Position != test.want {
			t.Errorf("with a checkpoint at %d of %s the horizon is %+v, %v", test.position, test.log, h, err)
		}
	}
}

func TestHorizon_goesBackWithTheServer(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	kept := l.add()
	for range 5 {
		l.add()
	}
	l.free()
	// As after a failover: the end is gone, positions are given again, and an append is under way.
	l.execute(l.sql, fmt.Sprintf("DELETE FROM pupwasm__events WHERE global_position > %d; ALTER TABLE pupwasm__events AUTO_INCREMENT = %d",
		kept, kept+1))
	tx := l.begin(sql.LevelReadCommitted)
	if again := l.insert(tx, "b"); again != kept+1 {
		t.Fatalf("the position after %d is %d", kept, again)
	}
	head := l.add()
	if h := l.horizon(); h.Position > kept || h.Head != head {
		t.Errorf("with an append open behind %d the horizon is %+v", kept, h)
	}
	must(t, tx.Commit())
	if h := l.free(); h.Position != head {
		t.Errorf("the horizon is %+v, want %d", h, head)
	}
}

// TestHorizon_afterALostConnection another server may answer, of which nothing is known.
func TestHorizon_afterALostConnection(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	l.add()
	l.free()
	l.insert(l.begin(sql.LevelReadCommitted), "b")
	head := l.add()
	if h := l.horizon(); h.Position != 1 {
		t.Errorf("the horizon is %+v", h)
	}
	process, err := l.store.LookingProcess(t.Context())
	must(t, err)
	l.execute(l.sql, fmt.Sprint("KILL ", process))
	var h store.Horizon
	testwait.Until(t, "the horizon is told again", func() bool {
		var err error
		h, err = l.store.Horizon(t.Context())
		return err == nil && h.Position != 1
	})
	if h.Position != 0 || h.Head != head {
		t.Errorf("on another connection the horizon is %+v", h)
	}
}

func TestHorizon_namesWhoHoldsItBack(t *testing.T) {
	t.Parallel()
	server, err := mariadbserver.Start()
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	l := newLog(t, at)
	l.add()
	l.free()
	conn := l.conn()
	var process int
	must(t, conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&process))
	l.execute(conn, "START TRANSACTION")
	l.insert(conn, "b")
	l.add()
	if h := l.horizon(); h.Holder != process {
		t.Errorf("the horizon is %+v, want %d to hold it", h, process)
	}
	who, age, err := l.store.DescribeHolder(t.Context(), process)
	if err != nil || !strings.HasPrefix(who, "probably user root from 127.0.0.1") || age < 0 || age > time.Minute {
		t.Errorf("it is described as %q, open for %s, %v", who, age, err)
	}
	l.execute(l.sql, "CREATE USER reader IDENTIFIED BY 'secret'; GRANT SELECT, EXECUTE ON `"+l.at.Name+"`.* TO reader")
	s := open(t, server.URLAs("reader", "secret", l.at.Name), mysql.Options{})
	for range 2 {
		if h, err := s.Horizon(t.Context()); err != nil || h.Holder != 0 || h.Position >= h.Head {
			t.Errorf("a user who may only read finds %+v, %v", h, err)
		}
	}
	if who, _, err := s.DescribeHolder(t.Context(), process); err != nil || who != "" {
		t.Errorf("a user who may only read finds %q, %v", who, err)
	}
}

// TestHorizon_errorOfALaterStatement has the text of a look fail in the middle, before and among the rows of a result.
func TestHorizon_errorOfALaterStatement(t *testing.T) {
	t.Parallel()
	l := newLog(t, mariadbtest.New(t))
	l.add()
	l.free()
	for name, text := range map[string]string{
		"no table": "RENAME TABLE pupwasm__fence TO kept",
		"an error among rows": "RENAME TABLE pupwasm__fence TO kept; CREATE VIEW pupwasm__fence AS " +
			"SELECT IF(slot = 7, (SELECT 1 UNION SELECT 2), slot) AS slot FROM kept",
	} {
		l.execute(l.sql, text)
		ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
		if _, err := l.store.Horizon(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		} else if name == "no table" && !errors.Is(err, store.ErrNotMigrated) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := l.store.Horizon(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("%s, again: %v", name, err)
		}
		cancel()
		l.execute(l.sql, "DROP VIEW IF EXISTS pupwasm__fence")
		l.execute(l.sql, "RENAME TABLE kept TO pupwasm__fence")
		last := l.add()
		if h := l.free(); h.Position != last {
			t.Errorf("%s: after it the horizon is %+v", name, h)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.store.Horizon(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled look: %v", err)
	}
}
