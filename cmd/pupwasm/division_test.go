package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// byCustomer are projections whose rows come from the streams of many orders: a Fold, and an upsert that sets.
var byCustomer = []string{"customer_fold", "latest_order"}

// ordersOf writes files of orders, each a stream of its own, of ten customers in turn.
func ordersOf(t *testing.T, orders, files int) (paths []string) {
	t.Helper()
	folder := t.TempDir()
	for n := range files {
		var b strings.Builder
		for i := n * orders / files; i < (n+1)*orders/files; i++ {
			fmt.Fprintf(&b, `{"bounded_context":"Shop","aggregate_type":"Order","aggregate_id":"o%d","event_type":"OrderPaid","payload":{"customer":"c%d"}}`+"\n",
				i, i%10)
		}
		path := filepath.Join(folder, fmt.Sprint(n, ".jsonl"))
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// compareOrders demands that every order counts for its customer, and that the last one of each is known.
func compareOrders(t *testing.T, db database, orders int) {
	t.Helper()
	var counted, wrong int
	db.one(t, `SELECT coalesce((SELECT sum(orders) FROM {customer_fold}customers), 0),
		(SELECT count(*) FROM {latest_order}latest l JOIN {customer_fold}customers c ON c.customer_id = l.customer_id
			WHERE l.position <> c.last_position) + 10 - (SELECT count(*) FROM {latest_order}latest)`, &counted, &wrong)
	if counted != orders || wrong != 0 {
		t.Errorf("%d of %d orders are counted, %d of 10 customers have a wrong last order", counted, orders, wrong)
	}
}

// TestRun_rowsOfManyStreamsAreRight divides by customer what many streams of orders change, into any number of
// segments.
func TestRun_rowsOfManyStreamsAreRight(t *testing.T) {
	t.Parallel()
	const orders = 20_000
	for _, kind := range []string{onPostgres, onSQLite, onMariaDB} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, kind)
			runCommand(t, db.DSN, "append", ordersOf(t, orders, 1)[0])
			modules := testModules(t, byCustomer...)
			for _, segments := range []int{1, 2, 4, 8} {
				runCommand(t, db.DSN, "run", "--once", modules, "--segments", fmt.Sprint(segments))
				compareOrders(t, db, orders)
				for _, name := range byCustomer {
					runCommand(t, db.DSN, "reset", name, "--yes")
				}
			}
		})
	}
}

// testModules is a folder with modules of modules/examples/testdata.
func testModules(t *testing.T, names ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range names {
		writeModule(t, folder, name+".wasm", guestbuild.Example(t, guestbuild.Go, filepath.Join("testdata", name)))
	}
	return folder
}

// TestRun_rowsOfManyStreamsAreRightOnSQLiteWhileTheyAreRedivided divides customers into 4, 8 and 2 segments in
// turn while orders come.
func TestRun_rowsOfManyStreamsAreRightOnSQLiteWhileTheyAreRedivided(t *testing.T) {
	t.Parallel()
	const orders = 20_000
	db := newDatabase(t, onSQLite)
	modules := testModules(t, byCustomer...)
	division := []string{"4", "8", "2", "8", "4"}
	for i, path := range ordersOf(t, orders, len(division)) {
		runCommand(t, db.DSN, "append", path)
		run := start(t, db.DSN, "run", modules, "--segments", division[i], "--rebalance", "20ms", "--batch", "50")
		run.awaitCount(t, "projection installed", len(byCustomer)) // 'wait' gives a host ten seconds to start
		for _, name := range byCustomer {
			runCommand(t, db.DSN, "wait", name, "--timeout", testwait.Patience.String())
		}
		run.signal(syscall.SIGTERM)
		if code := run.wait(t); code != 0 {
			t.Errorf("run --segments %s exits with %d: %s", division[i], code, run.output.String())
		}
	}
	compareOrders(t, db, orders)
}

// TestRun_rowsOfManyStreamsAreRightWhileTheyAreRedivided has three hosts divide customers into 4, 8 and 2
// segments while orders come.
func TestRun_rowsOfManyStreamsAreRightWhileTheyAreRedivided(t *testing.T) {
	t.Parallel()
	const orders, files = 20_000, 20
	f := newFleet(t, postgresDatabase(pgtest.New(t)), byCustomer...)
	paths := ordersOf(t, orders, files)
	for i, path := range paths {
		switch i {
		case 0:
			for range 3 {
				f.add(4)
			}
		case files / 3:
			f.redeploy(8)
		case 2 * files / 3:
			f.redeploy(2)
		}
		runCommand(t, f.db.DSN, "append", path)
	}
	f.hosts[0].awaitCount(t, "projection installed", len(byCustomer))
	for _, name := range byCustomer {
		f.note("wait", strings.TrimSpace(runCommand(t, f.db.DSN, "wait", name, "--timeout", testwait.Patience.String())))
	}
	testwait.Until(t, "the hosts have two segments of each projection", func() bool {
		for _, p := range readStatus(t, f.db).Projections {
			if len(p.Segments) != 2 {
				return false
			}
		}
		return true
	})
	for len(f.hosts) > 0 {
		f.note("remove", f.terminate(f.hosts[0]))
	}
	f.checkLogs()
	compareOrders(t, f.db, orders)
}

// redeploy replaces the hosts, one after the other, by some that want another number of segments.
func (f *fleet) redeploy(segments int) {
	f.t.Helper()
	for range len(f.hosts) {
		f.add(segments).awaitCount(f.t, "projection installed", len(f.projections))
		f.hosts[0].awaitCount(f.t, "projection installed", len(f.projections))
		f.note("remove", f.terminate(f.hosts[0]))
	}
}

// TestRun_rowsOfManyStreamsThatAreNotDividedByKeyAreRefused has the same projections without a partition key.
func TestRun_rowsOfManyStreamsThatAreNotDividedByKeyAreRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{onPostgres, onSQLite, onMariaDB} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, kind)
			for name, column := range map[string]string{"unmarked_fold": "customer_id", "unmarked_set": "customer_id"} {
				run := start(t, db.DSN, "run", "--once", testModules(t, name))
				code := run.wait(t)
				said := run.output.String()
				if code == 0 || !strings.Contains(said, fmt.Sprintf(`pup.Text("%s").Key().Partition()`, column)) {
					t.Errorf("%s: exit code %d: %s", name, code, said)
				}
			}
		})
	}
}

// TestRun_repliesOfManyStatementsAreRead has commits of as many declared statements as events, over a Unix
// socket, whose replies fill it long before the last statement is written.
func TestRun_repliesOfManyStatementsAreRead(t *testing.T) {
	t.Parallel()
	const events = 100_000
	db := pgtest.Empty(t)
	runCommand(t, db.DSN, "append", madeLog(t, events))
	runCommand(t, db.Socket(), "run", "--once", testModules(t, "two_statements"))
	var counted int
	query(t, db, "SELECT sum(events)::bigint FROM two_statements.counts", &counted)
	if counted != events {
		t.Errorf("%d of %d events are counted", counted, events)
	}
}
