package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// The log of these tests: rounds of one event for each stream, one of which is poison in one round.
const (
	killStreams, killRounds   = 20, 40
	poisonStream, poisonRound = 7, 3
	killEvents                = killStreams * killRounds
	killParked                = killRounds - poisonRound // the poison and what comes after it in its stream
)

// poisonLog writes the log to a file. Events of type Odd have a row each, poison has none.
func poisonLog(t *testing.T) (path string) {
	t.Helper()
	var lines strings.Builder
	for round := range killRounds {
		for n := range killStreams {
			eventType := "Odd"
			if n == poisonStream && round == poisonRound {
				eventType = "Poison"
			}
			fmt.Fprintf(&lines, `{"bounded_context":"Test","aggregate_type":"Note","aggregate_id":"n%d","event_type":%q,"payload":{"i":%d}}`+"\n",
				n, eventType, round)
		}
	}
	path = filepath.Join(t.TempDir(), "poison.jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// killFlags make batches small, so that parking and a retry take several commits, and a host that is gone soon
// forgotten.
var killFlags = []string{
	"--segments", "1", "--batch", "10", "--commit-events", "10", "--park-retries", "-1", "--lease", "200ms", "--rebalance", "20ms",
}

// killHost starts a host with the module of order_check that is named.
func killHost(t *testing.T, dsn, module string, args ...string) *process {
	t.Helper()
	folder := t.TempDir()
	writeModule(t, folder, "order_check.wasm", guestbuild.Example(t, guestbuild.Go, filepath.Join("testdata", module)))
	return start(t, dsn, append(append([]string{"run", folder}, killFlags...), args...)...)
}

// finishHost has a host apply what is left.
func finishHost(t *testing.T, dsn, module string) {
	t.Helper()
	h := killHost(t, dsn, module, "--once")
	if code := h.wait(t); code != 0 {
		t.Fatalf("the host exits with %d: %s", code, h.output)
	}
}

// killState is what the database has of the projection.
type killState struct {
	position      int64
	owner         string
	parked, noted int // keys and events
}

// killRows demands that every event that is not parked is applied once and in order.
type killRows struct{ versions, odd, breaks int }

func wantKillRows(t *testing.T, got killRows, parked int) {
	t.Helper()
	want := killRows{versions: killEvents - parked, odd: killEvents - 1 - max(parked-1, 0)}
	if got != want {
		t.Errorf("the streams are at %d in all, %d events have a row, %d did not follow the one before; want %+v",
			got.versions, got.odd, got.breaks, want)
	}
}

const killRowsSQL = `SELECT coalesce((SELECT sum(version) FROM {order_check}streams), 0),
	(SELECT count(*) FROM {order_check}odd), (SELECT count(*) FROM {order_check}breaks)`

// killMoment is a moment at which a host is killed on PostgreSQL: a statement waits there.
type killMoment struct {
	name    string
	trigger string // what it waits at, by a trigger that takes a lock
	lock    string // or the lock of a table, at which a query waits
}

const (
	heldLock      = 4711
	lockTrigger   = `SELECT pg_advisory_xact_lock(4711)`
	triggerOfHold = `CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_advisory_xact_lock_shared(4711);
			RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
		END $$`
)

// TestParking_killedAtEveryMomentOnPostgreSQL kills a host while each statement of parking and of a retry waits, once
// so that the server rolls its transaction back and once so that it goes on, and starts it again.
func TestParking_killedAtEveryMomentOnPostgreSQL(t *testing.T) {
	t.Parallel()
	for _, through := range []bool{false, true} {
		t.Run(fmt.Sprintf("the server goes on %t", through), func(t *testing.T) {
			t.Parallel()
			k := &killer{t: t, db: pgtest.New(t), through: through}
			k.admin, k.lock = k.db.Connect(t), k.db.Connect(t)
			k.exec(k.admin, triggerOfHold)
			runCommand(t, k.db.DSN, "append", poisonLog(t))
			for _, m := range []killMoment{
				{name: "the key is parked", trigger: "BEFORE INSERT ON pupwasm.parked FOR EACH ROW"},
				{name: "an event behind it is noted", trigger: "BEFORE UPDATE ON pupwasm.parked FOR EACH ROW WHEN (OLD.events > 0)"},
				{name: "many are noted", trigger: "BEFORE UPDATE ON pupwasm.parked FOR EACH ROW WHEN (OLD.events > 20)"},
			} {
				k.at(m, "order_poisoned")
			}
			finishHost(t, k.db.DSN, "order_poisoned")
			k.want(1, killParked)

			moments := []killMoment{{name: "a retry reads what is noted", lock: "LOCK TABLE pupwasm.parked_events IN ACCESS EXCLUSIVE MODE"}}
			for _, position := range k.noted(10) { // the first one of each batch
				moments = append(moments, killMoment{
					name:    fmt.Sprint("a batch from event ", position, " is committed"),
					trigger: fmt.Sprintf("BEFORE DELETE ON pupwasm.parked_events FOR EACH ROW WHEN (OLD.position = %d)", position),
				})
			}
			moments = append(moments, killMoment{name: "the key is unparked", trigger: "BEFORE DELETE ON pupwasm.parked FOR EACH ROW"})
			for _, m := range moments {
				if parked, _ := k.parked(); parked > 0 { // the last transaction may have gone through
					k.at(m, "order_check")
				}
			}
			finishHost(t, k.db.DSN, "order_check")
			k.want(0, 0)
		})
	}
}

// killer kills hosts on a database.
type killer struct {
	t           *testing.T
	db          pgtest.Database
	admin, lock *pgx.Conn
	through     bool // a transaction of a host that is killed goes on, as far as the host has sent it
}

func (k *killer) exec(conn *pgx.Conn, sql string) {
	k.t.Helper()
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		k.t.Fatalf("%s: %v", sql, err)
	}
}

func (k *killer) scan(sql string, into ...any) {
	k.t.Helper()
	if err := k.admin.QueryRow(context.Background(), sql).Scan(into...); err != nil {
		k.t.Fatalf("%s: %v", sql, err)
	}
}

// at starts a host, and kills it when a statement of its waits at the moment.
func (k *killer) at(m killMoment, module string) {
	k.t.Helper()
	hold := m.lock
	if m.trigger != "" {
		hold = lockTrigger
		on := strings.Fields(m.trigger)[3]
		k.exec(k.admin, "CREATE TRIGGER hold "+m.trigger+" EXECUTE FUNCTION public.hold()")
		defer k.exec(k.admin, "DROP TRIGGER hold ON "+on)
	}
	k.exec(k.lock, "BEGIN")
	k.exec(k.lock, hold)
	h := killHost(k.t, k.db.DSN, module)
	testwait.Until(k.t, m.name, func() (waits bool) {
		select {
		case <-h.exited:
			k.t.Fatalf("%s: the host ended by itself: %s", m.name, h.output)
		default:
		}
		k.scan(fmt.Sprintf(`SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE NOT l.granted AND a.datname = current_database()
			AND (l.locktype = 'advisory' AND l.objid = %d OR l.relation = 'pupwasm.parked_events'::regclass))`, heldLock), &waits)
		return waits
	})
	h.signal(syscall.SIGKILL)
	<-h.exited
	others := fmt.Sprintf(`FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
		AND pid NOT IN (pg_backend_pid(), %d)`, k.lock.PgConn().PID())
	if !k.through {
		k.scan("SELECT count(pg_terminate_backend(pid)) "+others, new(int))
	}
	k.exec(k.lock, "ROLLBACK")
	testwait.Until(k.t, "its sessions have ended", func() bool {
		var left int
		k.scan("SELECT count(*) "+others, &left)
		return left == 0
	})
	keys, events := k.parked()
	k.t.Logf("killed when %s: %d keys are parked, with %d events", m.name, keys, events)
}

func (k *killer) parked() (keys, events int) {
	k.t.Helper()
	k.scan(`SELECT (SELECT count(*) FROM pupwasm.parked), (SELECT count(*) FROM pupwasm.parked_events)`, &keys, &events)
	return keys, events
}

// noted returns every n-th position that is noted, from the first one on.
func (k *killer) noted(n int) (positions []int64) {
	k.t.Helper()
	k.scan(fmt.Sprintf(`SELECT array_agg(position ORDER BY position) FROM (SELECT position, row_number() OVER (ORDER BY position) AS row
		FROM pupwasm.parked_events) AS noted WHERE row %% %d = 1`, n), &positions)
	return positions
}

// want demands that so much is parked, and that all else is applied.
func (k *killer) want(keys, events int) {
	k.t.Helper()
	if gotKeys, gotEvents := k.parked(); gotKeys != keys || gotEvents != events {
		k.t.Errorf("%d keys are parked with %d events, want %d with %d", gotKeys, gotEvents, keys, events)
	}
	var rows killRows
	k.scan(postgresDatabase(k.db).names(killRowsSQL), &rows.versions, &rows.odd, &rows.breaks)
	wantKillRows(k.t, rows, events)
}
