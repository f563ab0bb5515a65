package segments_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"
	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// place is a database of either kind.
type place struct {
	store.Store
	rows func() string // of fine_balance
}

const allFines = "SELECT fine_id, amount_cents, expense_cents, paid_cents, events FROM fine_balance%sfines ORDER BY fine_id"

func onPostgres(t *testing.T) place {
	t.Helper()
	db := pgtest.New(t)
	return place{openPostgres(t, db), func() string {
		handle, err := sql.Open("pgx", db.DSN)
		return readFines(t, handle, err, ".")
	}}
}

func onSQLite(t *testing.T) place {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tables.db")
	logtest.At(t, path)
	s, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return place{s.Backend(), func() string {
		handle, err := sqlite.OpenSQL(path)
		return readFines(t, handle, err, "__")
	}}
}

func readFines(t *testing.T, from *sql.DB, err error, separator string) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	rows, err := from.QueryContext(context.Background(), fmt.Sprintf(allFines, separator))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var id string
		var amount, expense, paid sql.NullInt64
		var events int64
		if err := rows.Scan(&id, &amount, &expense, &paid, &events); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, id, amount.Int64, expense.Int64, paid.Int64, events)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestApart_rowsAreThoseOfOneDatabase runs the same events over one database and over pairs.
func TestApart_rowsAreThoseOfOneDatabase(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(*testing.T) place{"postgres": onPostgres, "sqlite": onSQLite}
	for logKind, newLog := range kinds {
		for tablesKind, newTables := range kinds {
			t.Run(logKind+" to "+tablesKind, func(t *testing.T) {
				t.Parallel()
				log, tables := newLog(t), newTables(t)
				for range 20 {
					appendTo(t, log, finesOf(50)...)
				}
				if err := runOnce(t, log.Store, segments.Options{}, loadExample(t, newRuntime(t, zerolog.Nop()),
					"fine_balance")); err != nil {
					t.Fatal(err)
				}
				options := quick()
				options.Segments, options.BatchEvents = 3, 7
				for range 2 {
					startWorkerOn(t, log.Store, tables.Store, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
				}
				head := appendTo(t, log, finesOf(1)...)
				if err := runOnce(t, log.Store, segments.Options{}, loadExample(t, newRuntime(t, zerolog.Nop()),
					"fine_balance")); err != nil {
					t.Fatal(err)
				}
				appliedOn(t, log.Store, tables.Store, "fine_balance", head)
				if got, want := tables.rows(), log.rows(); got != want {
					t.Errorf("the rows are\n%s\nof one database they are\n%s", got, want)
				}
				for _, s := range statusOf(t, tables, "fine_balance").Segments {
					want, err := log.AppliedAt(t.Context(), head)
					if err != nil || s.Applied != want {
						t.Errorf("segment %d has %+v, want %+v; %v", s.Segment, s.Applied, want, err)
					}
				}
			})
		}
	}
}

// TestApart_theLogOfTheSameDatabaseIsRefused opens one database twice.
func TestApart_theLogOfTheSameDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, once := range []bool{false, true} {
		worker, err := segments.New(openPostgres(t, db), openPostgres(t, db), segments.Options{Once: once})
		if err != nil {
			t.Fatal(err)
		}
		worker.Set(loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
		if err := worker.Run(t.Context()); !errors.Is(err, store.ErrSameDatabase) {
			t.Errorf("once %t: Run returns %v", once, err)
		}
	}
}

// TestApart_aNotificationOfTheLogWakes leaves the worker alone until its next poll is far away.
func TestApart_aNotificationOfTheLogWakes(t *testing.T) {
	t.Parallel()
	db, tables := pgtest.New(t), onSQLite(t)
	counted := &polls{server: openPostgres(t, db), made: make(chan struct{}, 1)}
	lines := &logBuffer{}
	startWorkerOn(t, counted, tables.Store, segments.Options{Name: "w", PollMax: time.Hour, Logger: zerolog.New(lines)},
		loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	armed := func() (names int) {
		return count(t, db, `pupwasm.listeners WHERE worker LIKE 'w/%' AND "until" > clock_timestamp()`)
	}
	for n := range 3 {
		testwait.Until(t, "the worker is armed", func() bool { return armed() == 1 })
		counted.awaitQuiet(t)
		appliedOn(t, counted, tables.Store, "fine_balance", appendTo(t, counted, payments("A1", n)))
	}
	if text := lines.String(); strings.Contains(text, "notifications are not available") {
		t.Errorf("the log is %s", text)
	}
	if n := count(t, db, "pupwasm.workers"); n != 0 {
		t.Errorf("the log's database knows %d workers", n)
	}
}

// TestApart_eachServerMayGoAway has writers and two hosts go on while each of the servers crashes, alone.
func TestApart_eachServerMayGoAway(t *testing.T) {
	t.Parallel()
	servers, dbs := [2]*pgtest.Server{}, [2]pgtest.Database{}
	for i := range servers {
		var err error
		if servers[i], err = pgtest.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(servers[i].Stop)
		dbs[i] = servers[i].New(t)
	}
	log, tables := openPostgres(t, dbs[0]), openPostgres(t, dbs[1])
	lines := &logBuffer{}
	options := quick()
	options.BatchEvents, options.Logger = 5, zerolog.New(lines)
	for range 2 {
		startWorkerOn(t, log, tables, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	}
	var head, events int64
	for round := range 6 {
		for range 10 {
			head = appendTo(t, log, finesOf(20)...)
			events += 20
		}
		appliedOn(t, log, tables, "fine_balance", head-int64(150-10*round))
		server := servers[round%2]
		server.Kill()
		if err := server.Run(); err != nil {
			t.Fatal(err)
		}
		testwait.Until(t, "the log answers", func() bool { return log.Ping(t.Context()) == nil })
	}
	appliedOn(t, log, tables, "fine_balance", head)
	if got := paid(t, dbs[1]); got != events {
		t.Errorf("%d cents are in, must be %d", got, events)
	}
	if strings.Contains(lines.String(), `"level":"error"`) {
		t.Errorf("the log is %s", lines)
	}
}

// TestApart_anOutageNamesTheDatabase takes the log's server away for a while, in which heartbeats go on.
func TestApart_anOutageNamesTheDatabase(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	log, tables := openPostgres(t, server.New(t)), onSQLite(t)
	lines := &logBuffer{}
	options := quick()
	options.Logger = zerolog.New(lines)
	startWorkerOn(t, log, tables.Store, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	appliedOn(t, log, tables.Store, "fine_balance", appendTo(t, log, finesOf(1)...))
	server.Kill()
	testwait.Until(t, "the outage is told", func() bool {
		return strings.Contains(lines.String(), "database of the log not available, trying again")
	})
	beats := func() (n int64) {
		workers, err := tables.Workers(t.Context())
		if err != nil || len(workers) != 1 {
			t.Fatalf("workers are %v; %v", workers, err)
		}
		return int64(len(workers))
	}
	for range 3 {
		beats()
	}
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "the end of the outage is told", func() bool {
		return strings.Contains(lines.String(), "database of the log answers again")
	})
	if text := lines.String(); strings.Count(text, "not available, trying again") != 1 ||
		strings.Contains(text, "of the tables") {
		t.Errorf("the log is %s", text)
	}
}

// logApart starts a server with a log and one that follows it, beside tables on a third.
func logApart(t *testing.T) (primary, standby *pgtest.Server, log pgtest.Database, from server, tables pgtest.Database,
	to server,
) {
	t.Helper()
	primary, standby, log, from = twoServers(t)
	tables = pgtest.New(t)
	return primary, standby, log, from, tables, openPostgres(t, tables)
}

// TestApart_aSwitchoverOfTheLogGoesOnByItself moves the log to a standby that has everything.
func TestApart_aSwitchoverOfTheLogGoesOnByItself(t *testing.T) {
	t.Parallel()
	primary, standby, db, log, tables, to := logApart(t)
	worker := startWorkerOn(t, log, to, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	appliedOn(t, log, to, "fine_balance", appendTo(t, log, finesOf(50)...))
	wantOnServer(t, tables, 50, 1)
	standby.CaughtUp(t, primary)
	primary.Lose()
	standby.Promote(t)
	second := openPostgres(t, db.On(standby))
	appliedOn(t, second, to, "fine_balance", appendTo(t, second, finesOf(30)...))
	wantOnServer(t, tables, 80, 2)
	worker.runs(t)
}

// TestApart_aLogThatLostItsEndIsTold has rows of events that the standby of the log does not have. The log grows
// past them.
func TestApart_aLogThatLostItsEndIsTold(t *testing.T) {
	t.Parallel()
	for _, sparse := range []bool{false, true} { // whether the lost events are of another type of streams
		t.Run(fmt.Sprint(sparse), func(t *testing.T) {
			t.Parallel()
			primary, standby, db, log, tables, to := logApart(t)
			worker := startWorkerOn(t, log, to, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
			appliedOn(t, log, to, "fine_balance", appendTo(t, log, finesOf(50)...))
			standby.CaughtUp(t, primary)
			standby.CutOff(t)
			lost := finesOf(10)
			if sparse {
				for i := range lost {
					lost[i].Stream.AggregateType = "Other"
				}
			}
			appliedOn(t, log, to, "fine_balance", appendTo(t, log, lost...))
			cents := paid(t, tables)
			primary.Lose()
			standby.Promote(t)
			second := openPostgres(t, db.On(standby))
			appendTo(t, second, finesOf(100)...)
			testwait.Until(t, "all segments have failed", func() bool {
				for _, segment := range statusOf(t, to, "fine_balance").Segments {
					if !strings.Contains(segment.Failure, "the log had event") &&
						!strings.Contains(segment.Failure, "no longer in the log") {
						return false
					}
				}
				return true
			})
			worker.runs(t)
			worker.stop()
			wantOtherLogOn(t, second, to, "event")
			if got := paid(t, tables); got != cents {
				t.Errorf("%d cents are in, must be %d", got, cents)
			}
		})
	}
}

// wantOtherLogOn checks what run with Once and wait say.
func wantOtherLogOn(t *testing.T, log store.Log, tables store.Tables, want string) {
	t.Helper()
	worker, err := segments.New(log, tables, segments.Options{Once: true})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	var failed *segments.FailedError
	if err := worker.Run(t.Context()); !errors.As(err, &failed) || !strings.Contains(failed.Reason, want) {
		t.Errorf("Run returns %v, must say %q", err, want)
	}
	if err := segments.WaitForPosition(t.Context(), log, tables, "fine_balance", 1); !errors.As(err, &failed) ||
		!strings.Contains(failed.Reason, want) {
		t.Errorf("the wait for a position that is passed returns %v, must say %q", err, want)
	}
}

// TestApart_anotherLogIsTold has another log behind rows, or the log changed. The tables' database is left alone.
func TestApart_anotherLogIsTold(t *testing.T) {
	t.Parallel()
	for _, test := range otherLogs {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db, tables := pgtest.New(t), onSQLite(t)
			log := openPostgres(t, db)
			head := appendTo(t, log, finesOf(100)...)
			worker := startWorkerOn(t, log, tables.Store, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
			appliedOn(t, log, tables.Store, "fine_balance", head)
			worker.stop()
			before := tables.rows()
			execute(t, db, strings.ReplaceAll(test.sql, "{begin}", fmt.Sprint(pgtest.At(1))))
			if test.events > 0 {
				appendTo(t, log, payments("later", make([]int, test.events)...))
			}
			wantOtherLogOn(t, log, tables.Store, test.want)
			if got := tables.rows(); got != before {
				t.Errorf("the rows are\n%s\nwant\n%s", got, before)
			}
		})
	}
}

// TestApart_tablesThatWentBackGoOn has the tables' server lose its last commits, checkpoints with rows.
func TestApart_tablesThatWentBackGoOn(t *testing.T) {
	t.Parallel()
	log := openPostgres(t, pgtest.New(t))
	primary, standby, tables, to := twoServers(t)
	worker := startWorkerOn(t, log, to, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	appliedOn(t, log, to, "fine_balance", appendTo(t, log, finesOf(50)...))
	standby.CaughtUp(t, primary)
	standby.CutOff(t)
	appliedOn(t, log, to, "fine_balance", appendTo(t, log, finesOf(40)...))
	wantOnServer(t, tables, 90, 1)
	primary.Lose()
	standby.Promote(t)
	after := tables.On(standby)
	second := openPostgres(t, after)
	appliedOn(t, log, second, "fine_balance", appendTo(t, log, finesOf(30)...))
	wantOnServer(t, after, 120, 1)
	worker.runs(t)
}
