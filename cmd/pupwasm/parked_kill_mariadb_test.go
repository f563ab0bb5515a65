package main_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestParking_killedAtEveryMomentOnMariaDB is TestParking_killedAtEveryMomentOnPostgreSQL there: a host sends a
// transaction as one text, so that the server goes on with it although the host is gone.
func TestParking_killedAtEveryMomentOnMariaDB(t *testing.T) {
	t.Parallel()
	for _, through := range []bool{false, true} {
		t.Run(fmt.Sprintf("the server goes on %t", through), func(t *testing.T) {
			t.Parallel()
			k := &mariaKiller{t: t, db: newDatabase(t, onMariaDB), through: through}
			runCommand(t, k.db.DSN, "append", poisonLog(t))
			k.lock = k.connection()
			for _, m := range []mariaMoment{
				{"the key is parked", "BEFORE INSERT ON {own}parked", "TRUE"},
				{"an event behind it is noted", "BEFORE UPDATE ON {own}parked", "OLD.events > 0"},
				{"many are noted", "BEFORE UPDATE ON {own}parked", "OLD.events > 20"},
			} {
				k.at(m, "order_poisoned")
			}
			finishHost(t, k.db.DSN, "order_poisoned")
			k.want(1, killParked)
			var moments []mariaMoment
			for _, position := range k.noted(10) { // the first one of each batch
				moments = append(moments, mariaMoment{
					fmt.Sprint("a batch from event ", position, " is committed"), "BEFORE DELETE ON {own}parked_events",
					fmt.Sprint("OLD.position = ", position),
				})
			}
			moments = append(moments, mariaMoment{"the key is unparked", "BEFORE DELETE ON {own}parked", "TRUE"})
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

// mariaMoment is a moment at which a host is killed: a trigger waits there, for rows of which a condition holds.
type mariaMoment struct{ name, trigger, when string }

// mariaKiller kills hosts on a database.
type mariaKiller struct {
	t       *testing.T
	db      database
	lock    *sql.Conn
	through bool // a transaction of a host that is killed goes on
}

func (k *mariaKiller) connection() *sql.Conn {
	k.t.Helper()
	conn, err := k.db.handle(k.t).Conn(context.Background())
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { conn.Close() })
	return conn
}

// hold takes the lock at which triggers wait, or gives it back.
func (k *mariaKiller) hold(function string) {
	k.t.Helper()
	if _, err := k.lock.ExecContext(context.Background(), "DO "+function); err != nil {
		k.t.Fatal(err)
	}
}

// at starts a host, and kills it when a statement of its waits at the moment.
func (k *mariaKiller) at(m mariaMoment, module string) {
	k.t.Helper()
	lock := "'hold " + k.db.maria.Name + "'"
	k.db.exec(k.t, fmt.Sprintf(`CREATE TRIGGER hold %s FOR EACH ROW
		BEGIN IF %s THEN DO get_lock(%[3]s, 600); DO release_lock(%[3]s); END IF; END`, m.trigger, m.when, lock))
	defer k.db.exec(k.t, "DROP TRIGGER hold")
	k.hold("get_lock(" + lock + ", 0)")
	h := killHost(k.t, k.db.DSN, module)
	const others = `FROM information_schema.processlist WHERE db = database() AND id <> connection_id()`
	var waiting int64
	testwait.Until(k.t, m.name, func() bool {
		select {
		case <-h.exited:
			k.t.Fatalf("%s: the host ended by itself: %s", m.name, h.output)
		default:
		}
		k.db.one(k.t, "SELECT coalesce(max(id), 0) "+others+" AND state = 'User lock'", &waiting)
		return waiting != 0
	})
	h.signal(syscall.SIGKILL)
	<-h.exited
	if !k.through {
		k.db.exec(k.t, fmt.Sprint("KILL ", waiting))
	}
	k.hold("release_lock(" + lock + ")")
	testwait.Until(k.t, "its sessions have ended", func() bool {
		var left int
		k.db.one(k.t, "SELECT count(*) "+others+" AND command <> 'Sleep'", &left)
		return left == 0
	})
	keys, events := k.parked()
	k.t.Logf("killed when %s: %d keys are parked, with %d events", m.name, keys, events)
}

func (k *mariaKiller) parked() (keys, events int) {
	k.t.Helper()
	k.db.one(k.t, "SELECT (SELECT count(*) FROM {own}parked), (SELECT count(*) FROM {own}parked_events)", &keys, &events)
	return keys, events
}

// noted returns every n-th position that is noted, from the first one on.
func (k *mariaKiller) noted(n int) (positions []string) {
	k.t.Helper()
	var all string
	k.db.one(k.t, fmt.Sprintf(`SELECT group_concat(position ORDER BY position) FROM (SELECT position,
		row_number() OVER (ORDER BY position) AS n FROM {own}parked_events) AS noted WHERE n %% %d = 1`, n), &all)
	return strings.Split(all, ",")
}

// want demands that so much is parked, and that all else is applied.
func (k *mariaKiller) want(keys, events int) {
	k.t.Helper()
	if gotKeys, gotEvents := k.parked(); gotKeys != keys || gotEvents != events {
		k.t.Errorf("%d keys are parked with %d events, want %d with %d", gotKeys, gotEvents, keys, events)
	}
	var rows killRows
	k.db.one(k.t, killRowsSQL, &rows.versions, &rows.odd, &rows.breaks)
	wantKillRows(k.t, rows, events)
}
