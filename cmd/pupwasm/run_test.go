package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// writer appends payments to a few fines until it is stopped, and counts what it appended.
type writer struct {
	stop   context.CancelFunc
	done   sync.WaitGroup
	events int64
	cents  int64
}

func startWriter(t *testing.T, to store.Appender) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{stop: cancel}
	w.done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			stream := store.Stream{BoundedContext: "Traffic", AggregateType: "Fine", AggregateID: fmt.Sprintf("F%d", i%50)}
			events := []store.Event{{
				ID: store.UUID(uuid.New()), Type: "Payment",
				Payload: fmt.Appendf(nil, `{"paymentAmount":%d.01}`, i%10),
			}}
			// A lost connection does not tell whether the event is in: the id does.
			err := store.ErrTransient
			for errors.Is(err, store.ErrTransient) {
				_, err = to.Append(context.WithoutCancel(ctx), store.AppendOptions{SkipDuplicates: true},
					store.StreamAppend{Stream: stream, Events: events})
			}
			if err != nil {
				t.Errorf("append: %v", err)
				return
			}
			w.events++
			w.cents += int64(i%10*100 + 1)
		}
	})
	return w
}

// finish stops the writer; its counts are final then.
func (w *writer) finish() {
	w.stop()
	w.done.Wait()
}

func openPostgres(t *testing.T, db pgtest.Database) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(db.DSN, postgres.Options{Schema: db.Schema, Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// totals are the sums over all fines.
func totals(t *testing.T, db database) (events, cents int64) {
	t.Helper()
	db.one(t, "SELECT CAST(coalesce(sum(events), 0) AS DECIMAL(18)), CAST(coalesce(sum(paid_cents), 0) AS DECIMAL(18)) FROM {fine_balance}fines",
		&events, &cents)
	return events, cents
}

// query reads one row, over a connection of its own.
func query(t *testing.T, db pgtest.Database, sql string, into ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql).Scan(into...); err != nil {
		t.Fatal(err)
	}
}

func (w *writer) compare(t *testing.T, db pgtest.Database) {
	t.Helper()
	events, cents := totals(t, postgresDatabase(db))
	if events != w.events || cents != w.cents {
		t.Errorf("the table has %d events and %d cents, appended were %d and %d", events, cents, w.events, w.cents)
	}
}

// TestRun_swappingAModuleFiftyTimesLosesAndRepeatsNothing replaces the module while events arrive, and kills the host in
// between.
func TestRun_swappingAModuleFiftyTimesLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	wasm := guestbuild.Example(t, guestbuild.Auto, "fine_balance")
	folder := t.TempDir()
	writeModule(t, folder, "fine_balance.wasm", wasm)
	host := start(t, db.DSN, "run", "--watch", folder)
	host.awaitLog(t, "projection installed")
	appending := startWriter(t, openPostgres(t, db))
	installed := 1 // times by this host
	for swap := 1; swap <= 50; swap++ {
		if swap%10 == 5 {
			host.signal(syscall.SIGKILL)
			<-host.exited
			host, installed = start(t, db.DSN, "run", "--watch", folder), 1
			host.awaitCount(t, "projection installed", installed)
		}
		variant := guestbuild.Variant(wasm, fmt.Sprint(swap))
		path := filepath.Join(folder, "fine_balance.wasm")
		switch swap % 4 {
		case 0: // removed, and new under another name
			remove(t, path)
			writeModule(t, folder, "fine_balance.wasm", variant)
		case 1: // half a file first, in place, as a compiler writes
			write(t, path, variant[:len(variant)/2])
			write(t, path, variant)
		default:
			writeModule(t, folder, "fine_balance.wasm", variant)
		}
		installed++
		host.awaitCount(t, "projection installed", installed)
		if swap == 10 {
			// One that does not load leaves the one before at work.
			write(t, path, []byte("not wasm"))
			host.awaitLog(t, "the previous one keeps running")
		}
	}
	appending.finish()
	runCommand(t, db.DSN, "run", "--once", folder) // waits for the other host, which owns the segment
	appending.compare(t, db)
	host.signal(syscall.SIGTERM)
	if code := host.wait(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM: %s", code, host.output)
	}
}

func TestRun_aRemovedModuleStopsAndANewOneStarts(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	folder := modulesFolder(t, "fine_balance")
	host := start(t, db.DSN, "run", "--watch", folder)
	host.awaitLog(t, "projection installed")
	remove(t, filepath.Join(folder, "fine_balance.wasm"))
	host.awaitLog(t, "module removed")
	writeModule(t, folder, "activity_log.wasm", guestbuild.Example(t, guestbuild.Go, "activity_log"))
	host.awaitLog(t, `"projection":"activity_log"`)
}

func TestRun_twoHostsStartAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t) // both migrate, install and claim
	folder := modulesFolder(t, "fine_balance", "activity_log")
	hosts := []*process{
		start(t, db.DSN, "run", folder, "--segments", "4"),
		start(t, db.DSN, "run", folder, "--segments", "4"),
	}
	for _, host := range hosts {
		host.awaitCount(t, "projection installed", 2)
	}
	appending := startWriter(t, openPostgres(t, db))
	testwait.Until(t, "some thousand events are appended", func() bool {
		var count int64
		query(t, db, `SELECT count(*) FROM pupwasm.events`, &count)
		return count > 2000
	})
	appending.finish()
	hosts[0].signal(syscall.SIGTERM)
	if code := hosts[0].wait(t); code != 0 {
		t.Errorf("exit code %d: %s", code, hosts[0].output)
	}
	// The one that is left takes over at once, without waiting for a lease.
	runCommand(t, db.DSN, "run", "--once", folder)
	appending.compare(t, db)
	for _, host := range hosts {
		if strings.Contains(host.output.String(), `"level":"error"`) {
			t.Errorf("a host reports an error: %s", host.output)
		}
	}
}

// describing is a guest with a description, otherwise well-behaved.
func describing(description string) []byte { return (&hosttest.Guest{Describe: description}).Wasm() }

// without is a guest that lacks an export.
func without(export string) []byte {
	return (&hosttest.Guest{Export: func(e hosttest.Export) hosttest.Export {
		if e.Name == export {
			e.Name = ""
		}
		return e
	}}).Wasm()
}

func TestRun_aWrongModuleIsRefusedWithOneLineWhileOthersRun(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database string) {
		good := guestbuild.Example(t, guestbuild.Auto, "revenue")
		const table = `"tables":[{"name":"t","key":["k"],"columns":[{"name":"k","type":"text"}]}]`
		wrong := map[string]struct {
			wasm []byte
			want string
		}{
			"text":   {[]byte("hello"), "is not a WebAssembly module"},
			"empty":  {nil, "is not a WebAssembly module"},
			"half":   {good[:len(good)/2], "is cut off"},
			"abi":    {(&hosttest.Guest{Version: hosttest.I32Const(2)}).Wasm(), "pup_abi_1 returned 2, must be 1"},
			"export": {without("pup_apply"), "exports no pup_apply"},
			"type": {
				describing(`{"name":"w1","version":1,"tables":[{"name":"t","columns":[{"name":"k","type":"money"}]}]}`),
				`unknown type "money"`,
			},
			"member": {describing(`{"name":"w2","version":1,"tabels":[]}`), `unknown field "tabels"`},
			"sql": {describing(`{"name":"w3","version":1,` + table +
				`,"writes":[{"name":"w","sql":"INSERT INTO {t} (nope) VALUES ($1)","params":["text"],"unordered":true}]}`), `write "w": `},
			"foreign": {describing(`{"name":"w4","version":1,` + table +
				`,"writes":[{"name":"w","sql":"DELETE FROM pupwasm__events","unordered":true},{"name":"x","sql":"DELETE FROM pupwasm.events","unordered":true}]}`), `write "w": `},
			"action": {describing(`{"name":"w5","version":1,` + table +
				`,"writes":[{"name":"w","action":"replace","table":"t"}]}`), `write "w": has action "replace"`},
		}
		folder := modulesFolder(t, "user_counter")
		for name, module := range wrong {
			write(t, filepath.Join(folder, name+".wasm"), module.wasm)
		}
		event := filepath.Join(t.TempDir(), "event.jsonl")
		write(t, event, []byte(`{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"u1","event_type":"UserRegistered","payload":{}}`+"\n"))
		runCommand(t, database, "append", event)

		host := start(t, database, "run", "--once", folder)
		if code := host.wait(t); code != 1 {
			t.Errorf("exit code %d, must be 1: %s", code, host.output)
		}
		said := strings.Split(host.output.String(), "\n")
		if !slices.Contains(said, fmt.Sprintf("pupwasm: refused %d modules: the log says why", len(wrong))) {
			t.Errorf("the command ends without a word: %s", host.output)
		}
		for name, module := range wrong {
			lines := slices.DeleteFunc(slices.Clone(said), func(line string) bool {
				return !strings.Contains(line, "module "+name+".wasm: ")
			})
			if quoted := strings.ReplaceAll(module.want, `"`, `\"`); len(lines) != 1 || !strings.Contains(lines[0], quoted) {
				t.Errorf("%s.wasm: the log must say %s once, it says %q", name, module.want, lines)
			}
		}
		if !strings.Contains(host.output.String(), "user_counter: 1 event in") {
			t.Errorf("the good module did not run: %s", host.output)
		}
	})
}

func TestRun_waitsForADatabaseThatIsDownAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	db := server.Database(t)
	folder := modulesFolder(t, "fine_balance")

	server.Kill() // down at the start
	host := start(t, db.DSN, "run", folder, "--lease", "1s", "--rebalance", "50ms")
	host.awaitLog(t, "database not available, trying again")
	restart(t, server)
	host.awaitLog(t, "projection installed")
	to := openPostgres(t, db)
	appending := startWriter(t, to)
	testwait.Until(t, "events are applied", func() bool { events, _ := totals(t, postgresDatabase(db)); return events > 100 })
	appending.finish()

	server.Kill() // and in between
	host.awaitCount(t, "database not available, trying again", 2)
	restart(t, server)
	host.awaitCount(t, "database answers again", 2)
	more := startWriter(t, to)
	testwait.Until(t, "new events are applied",
		func() bool { events, _ := totals(t, postgresDatabase(db)); return events > appending.events+100 })
	more.finish()
	runCommand(t, db.DSN, "run", "--once", folder)
	more.events += appending.events
	more.cents += appending.cents
	more.compare(t, db)
	if n := strings.Count(host.output.String(), "database not available"); n != 2 {
		t.Errorf("the outages are told %d times, must be 2: %s", n, host.output)
	}
}

func restart(t *testing.T, server *pgtest.Server) {
	t.Helper()
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
}

func TestRun_aFolderWithoutModulesIsAnErrorOfUsage(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]string{
		"empty": t.TempDir(), "missing": filepath.Join(t.TempDir(), "none"),
		"file": binary(t),
	} {
		host := start(t, "sqlite:"+filepath.Join(t.TempDir(), "events.db"), "run", folder)
		if code := host.wait(t); code != 2 || strings.Count(host.output.String(), "\n") != 1 {
			t.Errorf("%s: exit code %d, must be 2 with one line: %s", name, code, host.output)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
