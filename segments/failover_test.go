package segments_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// twoServers starts a server and one that follows it, and opens a store that goes to whichever writes. Each use
// of a connection is a new one, so that the first use after a failover is of the new server.
func twoServers(t *testing.T) (primary, standby *pgtest.Server, db pgtest.Database, s server) {
	t.Helper()
	primary, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(primary.Stop)
	db = primary.New(t)
	if standby, err = primary.Standby(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	opened, err := postgres.Open(db.Either(standby)+"&pool_max_conn_lifetime=2s", postgres.Options{Schema: db.Schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return primary, standby, db, opened.Backend().(server)
}

// wantOnServer checks what is paid in all on a server, and that every checkpoint is on its timeline.
func wantOnServer(t *testing.T, db pgtest.Database, cents int64, timeline uint32) {
	t.Helper()
	if got := paid(t, db); got != cents {
		t.Errorf("%d cents are in, must be %d", got, cents)
	}
	for _, s := range statusOf(t, openPostgres(t, db), "fine_balance").Segments {
		if s.Applied.Log.Timeline != timeline {
			t.Errorf("segment %d is on timeline %d, must be on %d", s.Segment, s.Applied.Log.Timeline, timeline)
		}
	}
}

// TestFailover_aSwitchoverGoesOnByItself moves to a standby that has everything, twice.
func TestFailover_aSwitchoverGoesOnByItself(t *testing.T) {
	t.Parallel()
	primary, standby, db, s := twoServers(t)
	worker := startWorker(t, s, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(50)...))
	wantOnServer(t, db, 50, 1)
	standby.CaughtUp(t, primary)
	primary.Lose()
	standby.Promote(t)
	after := db.On(standby)
	second := openPostgres(t, after)
	applied(t, second, "fine_balance", appendTo(t, second, finesOf(30)...))
	wantOnServer(t, after, 80, 2)
	worker.runs(t)
}

// TestFailover_whatWasReadOfTheOldServerIsNotCommittedToTheNewOne has batches in flight of events that the
// standby does not get, and that server's log grow past them before they are committed.
func TestFailover_whatWasReadOfTheOldServerIsNotCommittedToTheNewOne(t *testing.T) {
	t.Parallel()
	primary, standby, db, s := twoServers(t)
	underWay, goOn := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var once sync.Once
	armed, refused := false, 0
	watched := &commitWatch{Store: s, instead: func(_, _ int64, commit func() error) error {
		mu.Lock()
		holds := armed
		mu.Unlock()
		if holds {
			once.Do(func() { close(underWay) })
			<-goOn
		}
		err := commit()
		if holds && errors.Is(err, store.ErrOtherLog) {
			mu.Lock()
			refused++
			mu.Unlock()
		}
		return err
	}}
	options := quick()
	options.PollMax, options.Lease = 20*time.Second, time.Minute
	worker := startWorker(t, watched, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(10)...))
	standby.CaughtUp(t, primary)
	standby.CutOff(t)
	mu.Lock()
	armed = true
	mu.Unlock()
	lost := appendTo(t, s, payments("lost", 1000, 1000, 1000))
	<-underWay
	primary.Lose()
	standby.Promote(t)
	after := db.On(standby)
	second := openPostgres(t, after)
	head := appendTo(t, second, finesOf(100)...)
	if head <= lost {
		t.Fatalf("the new log ends at %d, the old one at %d", head, lost)
	}
	// A connection that has been idle for a second is asked before its next use, and replaced by one to the new server.
	idle := time.Now()
	testwait.Until(t, "connections to the old server are old", func() bool { return time.Since(idle) > 2*time.Second })
	mu.Lock()
	armed = false
	mu.Unlock()
	close(goOn)
	applied(t, second, "fine_balance", head)
	wantOnServer(t, after, 110, 2)
	mu.Lock()
	defer mu.Unlock()
	if refused == 0 {
		t.Error("no commit was refused")
	}
	worker.runs(t)
}

// otherLogs are ways in which a log is not the one any more that the rows were built from, and what is said of it.
var otherLogs = []struct {
	name, sql string
	events    int // appended then
	want      string
}{
	{"truncated", "TRUNCATE pupwasm.events RESTART IDENTITY", 0, "the log ends at 0"},
	{"truncated without its positions", "TRUNCATE pupwasm.events", 0, "is no longer in the log at position"},
	{
		"restored and grown past the checkpoint",
		"TRUNCATE pupwasm.events; ALTER SEQUENCE pupwasm.events_global_position_seq RESTART WITH {begin}", 300, "has event",
	},
	{"another", "UPDATE pupwasm.log SET id = gen_random_uuid()", 300, "the rows were built from log"},
}

// wantOtherLog checks what run with Once, wait and the status say, and that nothing is written.
func wantOtherLog(t *testing.T, s store.Store, db pgtest.Database, want string) {
	t.Helper()
	worker, err := segments.New(s, s, segments.Options{OnError: store.ErrorStop, Once: true})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	var failed *segments.FailedError
	if err := worker.Run(t.Context()); !errors.As(err, &failed) || !strings.Contains(failed.Reason, want) {
		t.Errorf("Run returns %v, must say %q", err, want)
	}
	if err := segments.WaitForPosition(t.Context(), s, s, "fine_balance", 1); !errors.As(err, &failed) ||
		!strings.Contains(failed.Reason, want) {
		t.Errorf("the wait for a position that is passed returns %v, must say %q", err, want)
	}
	if cents := paid(t, db); cents != 100 {
		t.Errorf("%d cents are in, must be 100", cents)
	}
}

func TestLog_anotherOneBehindTheCheckpointIsToldWhenItStarts(t *testing.T) {
	t.Parallel()
	for _, test := range otherLogs {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			s := openPostgres(t, db)
			appendTo(t, s, finesOf(100)...)
			if err := runOnce(t, s, segments.Options{}, loadExample(t, newRuntime(t, zerolog.Nop()),
				"fine_balance")); err != nil {
				t.Fatal(err)
			}
			execute(t, db, strings.ReplaceAll(test.sql, "{begin}", fmt.Sprint(pgtest.At(1))))
			if test.events > 0 {
				appendTo(t, s, payments("later", make([]int, test.events)...))
			}
			wantOtherLog(t, s, db, test.want)
		})
	}
}

func TestLog_anotherOneBehindTheCheckpointIsToldWhileItRuns(t *testing.T) {
	t.Parallel()
	for _, test := range otherLogs {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			s := openPostgres(t, db)
			worker := startWorker(t, s, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
			applied(t, s, "fine_balance", appendTo(t, s, finesOf(100)...))
			execute(t, db, strings.ReplaceAll(test.sql, "{begin}", fmt.Sprint(pgtest.At(1))))
			// Without an event nothing is written that would find out that one is missing, but positions go on.
			appendTo(t, s, payments("later", make([]int, max(test.events, 1))...))
			testwait.Until(t, "a segment has failed", func() bool {
				for _, segment := range statusOf(t, s, "fine_balance").Segments {
					if segment.Failure != "" {
						return true
					}
				}
				return false
			})
			if cents := paid(t, db); cents != 100 {
				t.Errorf("%d cents are in, must be 100", cents)
			}
			worker.runs(t)
		})
	}
}

func execute(t *testing.T, db pgtest.Database, sql string) {
	t.Helper()
	if _, err := db.Connect(t).Exec(t.Context(), sql); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
}
