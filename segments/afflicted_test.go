package segments_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// scribe is a program that writes a row of some size for each event. It asks nothing.
type scribe struct{ onError store.ErrorPolicy }

func (scribe) Source() string                      { return "scribe" }
func (scribe) Columns() store.Columns              { return store.ColumnAggregateID }
func (scribe) BatchEvents() int                    { return 0 }
func (scribe) Transactional() bool                 { return false }
func (scribe) Code() string                        { return "one" }
func (s scribe) OnError() store.ErrorPolicy        { return s.onError }
func (scribe) Close(context.Context)               {}
func (scribe) NewProcessor(int) segments.Processor { return scribeProcessor{} }
func (scribe) Projection() *store.Projection {
	text := store.Type{Kind: store.KindText}
	return &store.Projection{
		Name: "scribe", Version: 1, Order: store.OrderStream,
		Tables: []store.Table{{Name: "rows", Key: []string{"stream", "id"}, Columns: []store.Column{
			{Name: "stream", Type: text, Partition: true, NotNull: true},
			{Name: "id", Type: store.Type{Kind: store.KindI64}},
			{Name: "note", Type: text},
		}}},
		Writes: []store.Write{{Name: "row", Action: store.Upsert, Table: "rows", Columns: []store.WriteColumn{{Name: "note", Action: store.ActionSet}}}},
	}
}

type scribeProcessor struct{}

func (scribeProcessor) Close(context.Context) {}

func (scribeProcessor) Process(_ context.Context, events []store.RecordedEvent, _ store.Tx) (output store.Output, err error) {
	for i := range events {
		e := &events[i]
		output.Mutations = append(output.Mutations, store.Mutation{Write: 0, Event: i, Values: []store.Value{
			store.Text(e.Stream.AggregateID), store.I64(e.AggregateVersion), store.Text(strings.Repeat("x", 1500)),
		}})
	}
	return output, nil
}

// lines are events for so many streams, so many each.
func lines(streams, events int) []store.StreamAppend {
	all := make([]store.StreamAppend, streams)
	for i := range all {
		all[i] = store.StreamAppend{Stream: store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: fmt.Sprint("n", i)}}
		for range events {
			all[i].Events = append(all[i].Events, store.Event{Type: "Line", Payload: []byte("{}")})
		}
	}
	return all
}

// afflicted is a database that a worker writes, with a fault that comes and goes.
type afflicted struct {
	s     store.Store
	count func() int
	begin func()
	end   func()
}

// scribed returns a store of a database, in which the program is installed, and what counts its rows.
func scribed(t *testing.T, db pgtest.Database, options postgres.Options) (s store.Store, counted func() int) {
	t.Helper()
	options.Schema = db.Schema
	opened, err := postgres.Open(db.DSN, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	s = opened.Backend()
	if _, err := s.Install(t.Context(), scribe{}.Projection(), segments.DefaultSegments); err != nil {
		t.Fatal(err)
	}
	return s, func() int { return count(t, db, "scribe.rows") }
}

// fullTablespace has the rows on a small file system that is full, or, where none may be mounted, a server that says
// so of every row.
func fullTablespace(t *testing.T) afflicted {
	t.Helper()
	folder, err := os.MkdirTemp("", "pupwasm-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=8m"); err != nil {
		t.Logf("no file system can be mounted (%v): a trigger says that the disk is full", err)
		return raisingText(t, pgtest.Table("scribe", 1, "rows"), "53100", "", "No space left on device")
	}
	t.Cleanup(func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) })
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	db := server.New(t)
	var data string
	query(t, db, "SELECT current_setting('data_directory')", &data)
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if err := os.Chown(folder, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
	s, counted := scribed(t, db, postgres.Options{})
	execute(t, db, "CREATE TABLESPACE small LOCATION '"+folder+"'")
	execute(t, db, "ALTER TABLE "+pgtest.Table("scribe", 1, "rows")+" SET TABLESPACE small")
	filler := filepath.Join(folder, "filler")
	return afflicted{
		s: s, count: counted, end: func() { os.Remove(filler) },
		begin: func() {
			file, err := os.Create(filler)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			for block := make([]byte, 4096); err == nil; {
				_, err = file.Write(block)
			}
		},
	}
}

// fullFile has a SQLite file that may not grow.
func fullFile(t *testing.T) afflicted {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log.db")
	logtest.At(t, path)
	s, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	catalogue, err := s.Backend().Install(t.Context(), scribe{}.Projection(), segments.DefaultSegments)
	if err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) { // of the only connection that writes
		tx := catalogue.Begin(store.Claim{})
		defer tx.Rollback()
		handle, err := tx.(store.NativeTx).Native(t.Context())
		if err == nil {
			err = handle.(*sqlite3.Conn).Exec(fmt.Sprint("PRAGMA max_page_count = ", pages))
		}
		if err != nil {
			t.Error(err)
		}
	}
	// Room for the events that come while it is full, and for some of their rows.
	return afflicted{
		s: s.Backend(), count: func() int { return countFile(t, path) }, end: func() { limit(1 << 30) },
		begin: func() { limit(pagesOf(t, path) + 250) },
	}
}

func countFile(t *testing.T, path string) int {
	t.Helper()
	return askFile(t, path, "SELECT count(*) FROM scribe__rows")
}

func pagesOf(t *testing.T, path string) int {
	t.Helper()
	return askFile(t, path, "PRAGMA page_count")
}

func askFile(t *testing.T, path, text string) (n int) {
	t.Helper()
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(text).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// busyFile has another process in the middle of a write.
func busyFile(t *testing.T) afflicted {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log.db")
	logtest.At(t, path)
	s, err := sqlite.Open(path, sqlite.Options{BusyTimeout: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	other, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	run := func(text string) {
		testwait.Until(t, text, func() bool { return other.Exec(text) == nil })
	}
	return afflicted{
		s: s.Backend(), count: func() int { return countFile(t, path) },
		begin: func() { run("BEGIN IMMEDIATE") }, end: func() { run("ROLLBACK") },
	}
}

// readOnlyServer has a server that takes no writes for a while.
func readOnlyServer(t *testing.T) afflicted {
	t.Helper()
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	s, counted := scribed(t, server.New(t), postgres.Options{})
	return afflicted{s: s, count: counted, begin: func() { server.ReadOnly(t, true) }, end: func() { server.ReadOnly(t, false) }}
}

// lockedTable has a session that locks the table of the rows.
func lockedTable(t *testing.T) afflicted {
	t.Helper()
	db := pgtest.New(t)
	s, counted := scribed(t, db, postgres.Options{StatementTimeout: 2 * time.Second})
	conn := db.Connect(t)
	run := func(text string) {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Error(err)
		}
	}
	return afflicted{
		s: s, count: counted, end: func() { run("ROLLBACK") },
		begin: func() { run("BEGIN; LOCK TABLE " + pgtest.Table("scribe", 1, "rows")) },
	}
}

// raising has a trigger by hand that raises a SQLSTATE for each row that is written to a table.
func raising(t *testing.T, table, state, when string) afflicted {
	t.Helper()
	return raisingText(t, table, state, when, "it is refused")
}

func raisingText(t *testing.T, table, state, when, text string) afflicted {
	t.Helper()
	db := pgtest.New(t)
	s, counted := scribed(t, db, postgres.Options{})
	execute(t, db, fmt.Sprintf(`CREATE FUNCTION by_hand() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN RAISE EXCEPTION '%s' USING ERRCODE = '%s'; END$$`, text, state))
	events := "INSERT OR UPDATE"
	if when != "" {
		events = "UPDATE"
	}
	return afflicted{
		s: s, count: counted, end: func() { execute(t, db, "DROP TRIGGER by_hand ON "+table) },
		begin: func() {
			execute(t, db, "CREATE TRIGGER by_hand BEFORE "+events+" ON "+table+" FOR EACH ROW "+when+" EXECUTE FUNCTION by_hand()")
		},
	}
}

// crowdedServer has others take every connection that the server has.
func crowdedServer(t *testing.T) afflicted {
	t.Helper()
	server, err := pgtest.StartDurable("max_connections=25", "superuser_reserved_connections=0", "fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	db := server.New(t)
	s, counted := scribed(t, db, postgres.Options{ConnectionsMax: 4})
	var others []*pgx.Conn
	return afflicted{
		s: s, count: counted,
		begin: func() {
			admin := db.Connect(t)
			others = append(others, admin)
			const hosts = "FROM pg_stat_activity WHERE application_name = 'pupwasm'"
			testwait.Until(t, "others have all connections", func() bool {
				if _, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) "+hosts); err != nil {
					t.Fatal(err)
				}
				for {
					conn, err := pgx.Connect(t.Context(), db.DSN)
					if err != nil {
						break
					}
					others = append(others, conn)
				}
				left := 0
				if err := admin.QueryRow(t.Context(), "SELECT count(*) "+hosts).Scan(&left); err != nil {
					t.Fatal(err)
				}
				return left == 0
			})
		},
		end: func() {
			for _, conn := range others {
				_ = conn.Close(t.Context())
			}
		},
	}
}
