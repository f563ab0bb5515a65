package segments_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// idler runs a worker with notifications that never polls again by itself once it idles.
type idler struct {
	conn     *pgx.Conn
	store    server
	lines    *logBuffer
	appended int64
}

func newIdler(t *testing.T, db pgtest.Database, s store.Store) *idler {
	t.Helper()
	return runIdler(t, db, s, time.Hour)
}

func runIdler(t *testing.T, db pgtest.Database, s store.Store, pollMax time.Duration) *idler {
	t.Helper()
	i := &idler{conn: db.Connect(t), store: openPostgres(t, db), lines: &logBuffer{}}
	logger := zerolog.New(i.lines)
	worker, err := segments.New(s, s, segments.Options{PollMax: pollMax, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadExample(t, newRuntime(t, logger), "fine_balance"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- worker.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returns %v", err)
		}
	})
	return i
}

// count runs a query for one number.
func (i *idler) count(t *testing.T, query string) (n int64) {
	t.Helper()
	if err := i.conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// awaitSleep waits until the worker has announced that it waits.
func (i *idler) awaitSleep(t *testing.T) {
	t.Helper()
	testwait.Until(t, "the worker announces that it sleeps", func() bool {
		return i.count(t, `SELECT count(*) FROM pupwasm.listeners WHERE "until" > clock_timestamp()`) == 1
	})
}

// append appends an event and waits until it is applied.
func (i *idler) append(t *testing.T) {
	t.Helper()
	if _, err := i.store.Append(t.Context(), store.AppendOptions{}, payments("A1", 100)); err != nil {
		t.Fatal(err)
	}
	i.appended++
	testwait.Until(t, fmt.Sprintf("event %d is applied", i.appended), func() bool {
		return i.count(t, "SELECT coalesce(max(position), 0) FROM pupwasm.segments") == pgtest.At(i.appended)
	})
}

// polls counts the polls of the horizon.
type polls struct {
	server
	made chan struct{}
}

func (l *polls) Horizon(ctx context.Context) (store.Horizon, error) {
	select {
	case l.made <- struct{}{}:
	default:
	}
	return l.server.Horizon(ctx)
}

// awaitQuiet waits until no poll is made for longer than the pauses that lead to the announcement: the next is
// far away.
func (l *polls) awaitQuiet(t *testing.T) {
	t.Helper()
	deadline := time.After(testwait.Patience)
	for {
		select {
		case <-l.made:
		case <-time.After(time.Second):
			return
		case <-deadline:
			t.Fatal("the worker does not stop looking")
		}
	}
}

// TestNotify_wakesAWorkerThatIdles leaves the worker alone until its next poll is far away.
func TestNotify_wakesAWorkerThatIdles(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	counted := &polls{server: openPostgres(t, db), made: make(chan struct{}, 1)}
	i := newIdler(t, db, counted)
	for range 3 {
		i.awaitSleep(t)
		counted.awaitQuiet(t)
		i.append(t)
	}
	if text := i.lines.String(); strings.Contains(text, "notifications are not available") {
		t.Errorf("the log is %s", text)
	}
}

// TestNotify_listensAgainAfterItsConnectionWasLost also shows that the loss is told once.
func TestNotify_listensAgainAfterItsConnectionWasLost(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	i := newIdler(t, db, openPostgres(t, db))
	for n := range 3 {
		i.awaitSleep(t)
		i.append(t)
		testwait.Until(t, "a listener is there and is ended", func() bool {
			return i.count(t, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`) > 0
		})
		i.append(t) // meanwhile it polls
		testwait.Until(t, "notifications arrive again", func() bool {
			return strings.Count(i.lines.String(), "notifications arrive again") == n+1
		})
		if told := strings.Count(i.lines.String(), "notifications are not available, polling"); told != n+1 {
			t.Errorf("%d losses are told %d times: %s", n+1, told, i.lines)
		}
	}
}

// deaf is a store whose notifications are proven and then never come, which no pooler does, nor a server that works.
type deaf struct{ server }

func (d deaf) Listen(ctx context.Context, wake func()) error {
	proven := false
	return d.server.Listen(ctx, func() {
		if !proven {
			proven = true
			wake()
		}
	})
}

// TestNotify_isAHint swallows every notification: the polls deliver, at the longest interval.
func TestNotify_isAHint(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	i := runIdler(t, db, deaf{openPostgres(t, db)}, time.Second)
	for range 2 {
		i.awaitSleep(t)
		i.append(t)
	}
}

// TestNotify_pollsWhereNothingArrives has a server that says that appends do not notify: with the longest
// interval at an hour, events are applied all the same.
func TestNotify_pollsWhereNothingArrives(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Connect(t).Exec(t.Context(),
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET pupwasm.notify = off', current_database()); END $$`); err != nil {
		t.Fatal(err)
	}
	i := newIdler(t, db, openPostgres(t, db))
	testwait.Until(t, "it is told", func() bool {
		return strings.Contains(i.lines.String(),
			"notifications are not available, polling")
	})
	for range 3 {
		i.append(t)
	}
	if n := strings.Count(i.lines.String(), "notifications are not available"); n != 1 {
		t.Errorf("it is told %d times: %s", n, i.lines)
	}
}

// TestNotify_leavesNoAnnouncementBehind shows that appends do not go on notifying a worker that has stopped, or works.
func TestNotify_leavesNoAnnouncementBehind(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var i *idler
	t.Run("while it runs", func(t *testing.T) {
		i = newIdler(t, db, openPostgres(t, db))
		i.awaitSleep(t)
	})
	i.conn = db.Connect(t)
	if n := i.count(t, "SELECT (SELECT count(*) FROM pupwasm.listeners) + last_value FROM pupwasm.armed_until"); n != 0 {
		t.Errorf("%d announcements are left", n)
	}
}
