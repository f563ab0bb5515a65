package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// follower reads the log and keeps what it saw.
type follower struct {
	log      *race
	store    mysql.Backend // nil: it takes whatever is above the last position that it saw
	position int64
	seen     map[int64]int
	last     map[string]int64
	inverted int
}

func (f *follower) horizon(ctx context.Context) (int64, error) {
	if f.store.Store == nil {
		return math.MaxInt64, nil
	}
	h, err := f.store.Horizon(ctx)
	return h.Position, err
}

// read reads up to the horizon, by a statement of its own.
func (f *follower) read(ctx context.Context) (found int, err error) {
	through, err := f.horizon(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := f.log.sql.QueryContext(ctx, "SELECT global_position, aggregate_id, aggregate_version FROM pupwasm__events "+
		"WHERE global_position > ? AND global_position <= ? ORDER BY global_position LIMIT 500", f.position, through)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var version int64
		if err := rows.Scan(&f.position, &id, &version); err != nil {
			return found, err
		}
		found++
		f.seen[f.position]++
		if version <= f.last[id] {
			f.inverted++
		}
		f.last[id] = version
	}
	return found, rows.Err()
}

// follow reads until the writers have finished and there is nothing left. A server that is away comes back.
func (f *follower) follow(ctx context.Context, finished <-chan struct{}) {
	for ctx.Err() == nil {
		over := false
		select {
		case <-finished:
			over = true
		default:
		}
		found, err := f.read(ctx)
		if err != nil {
			f.log.endured(err)
			continue
		}
		if found == 0 && over {
			through, err := f.horizon(ctx)
			if err == nil && (through == math.MaxInt64 || through >= f.log.end(ctx)) {
				return
			}
		}
	}
}

// lost compares with what was committed in the end.
func (f *follower) lost(committed []int64) (lost, twice int) {
	for _, position := range committed {
		switch f.seen[position] {
		case 0:
			lost++
		case 1:
		default:
			twice++
		}
	}
	return lost, twice
}

// race is a log that many write and some follow.
type race struct {
	*testing.T
	server *mariadbserver.Server
	at     mariadbtest.Database
	sql    *sql.DB // READ COMMITTED
	kills  int
	began  time.Time
	down   atomic.Bool // the server was killed and is not back
	errors sync.Map    // what writers and readers met → how often
	over   atomic.Bool // writers stop
}

// endured counts an error that a writer or reader may meet.
func (r *race) endured(err error) {
	if r.down.Load() {
		pauseFor(20 * time.Millisecond)
	}
	text := err.Error()
	if strings.Contains(text, "bad connection") || strings.Contains(text, "invalid connection") ||
		strings.Contains(text, "refused") || strings.Contains(text, "reset by peer") || strings.Contains(text, "EOF") ||
		strings.Contains(text, "broken pipe") || strings.Contains(text, "shutdown") || strings.Contains(text, "1927") ||
		strings.Contains(text, "was lost") {
		text = "the server is away"
	}
	counter, _ := r.errors.LoadOrStore(text, new(atomic.Int64))
	counter.(*atomic.Int64).Add(1)
}

// end is the last position that is committed.
func (r *race) end(ctx context.Context) int64 {
	var last sql.NullInt64
	if err := r.sql.QueryRowContext(ctx, "SELECT MAX(global_position) FROM pupwasm__events").Scan(&last); err != nil {
		return math.MaxInt64
	}
	return last.Int64
}

// raceOutcome is what a race came to.
type raceOutcome struct{ events, lost, lostNaive, twice, inverted, unfinished int }

// run lets writers work while readers follow: two by the design, and a naive one. It kills the server as often as it is
// told, with transactions prepared. Writers stop after some rounds, and when the time is over.
func (r *race) run(rounds int, length time.Duration, kills int) (result raceOutcome) {
	ctx, cancel := context.WithTimeout(r.Context(), testwait.Patience)
	defer cancel()
	followers := []*follower{{store: open(r, r.at.URL, mysql.Options{})}, {store: open(r, r.at.URL, mysql.Options{})}, {}}
	finished := make(chan struct{})
	var readers, writers sync.WaitGroup
	for _, f := range followers {
		f.log, f.seen, f.last = r, map[int64]int{}, map[string]int64{}
		readers.Go(func() { f.follow(ctx, finished) })
	}
	appender := open(r, r.at.URL, mysql.Options{})
	r.began = clock.Now()
	for number := range writersCount {
		w := &writer{race: r, number: number, random: rand.New(rand.NewPCG(rand.Uint64(), 1)), store: appender}
		writers.Go(func() {
			defer w.leave()
			for left := rounds; left > 0 && !r.over.Load() && ctx.Err() == nil && (length == 0 || clock.Since(r.began) < length); {
				if w.round(ctx) {
					left--
				}
			}
		})
	}
	stop := r.standAround(ctx)
	for range kills {
		r.crash(ctx, length/3)
	}
	writers.Wait()
	stop()
	result.unfinished = r.endPrepared(ctx)
	close(finished)
	readers.Wait()
	committed := r.committed(ctx)
	result.events = len(committed)
	for _, f := range followers {
		lost, twice := f.lost(committed)
		if f.store.Store == nil {
			result.lostNaive += lost
			continue
		}
		result.lost, result.twice, result.inverted = result.lost+lost, result.twice+twice, result.inverted+f.inverted
		if f.position < committed[len(committed)-1] {
			r.Errorf("a reader has come to %d, the log ends at %d", f.position, committed[len(committed)-1])
		}
	}
	return result
}

// standAround has a transaction that has written elsewhere, an old snapshot, and somebody who locks the log's end.
func (r *race) standAround(ctx context.Context) (stop func()) {
	within, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		random := rand.New(rand.NewPCG(rand.Uint64(), 2))
		for within.Err() == nil {
			if err := r.lockEnd(within, random); err != nil && within.Err() == nil {
				r.endured(err)
			}
		}
	})
	group.Go(func() {
		for within.Err() == nil {
			if err := r.idle(within); err != nil && within.Err() == nil {
				r.endured(err)
			}
		}
	})
	return func() { cancel(); group.Wait() }
}

func (r *race) lockEnd(ctx context.Context, random *rand.Rand) error {
	tx, err := r.sql.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "SET innodb_lock_wait_timeout = 1"); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "SELECT MAX(global_position) FROM pupwasm__events FOR UPDATE"); err != nil {
		return err
	}
	pauseFor(time.Duration(random.IntN(3000)) * time.Microsecond)
	if err := tx.Commit(); err != nil {
		return err
	}
	pauseFor(time.Duration(random.IntN(60)) * time.Millisecond)
	return nil
}

// idle has a transaction open, with a row that it has written and a snapshot, until the context or the server ends.
func (r *race) idle(ctx context.Context) error {
	tx, err := r.sql.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, text := range []string{"SELECT COUNT(*) FROM pupwasm__log", "INSERT INTO unrelated VALUES (1)"} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	for range time.Tick(50 * time.Millisecond) {
		if _, err := tx.ExecContext(ctx, "DO 1"); err != nil {
			return err
		}
	}
	return nil
}

// eventsBeforeCrash is how many positions were given before the server is killed.
const eventsBeforeCrash = 1000

// crash kills the server when a transaction is prepared, and starts it again.
func (r *race) crash(ctx context.Context, after time.Duration) {
	pauseFor(after)
	testwait.Until(r, "a transaction is prepared among others", func() bool {
		return r.end(ctx) > eventsBeforeCrash && len(r.prepared(ctx)) > 0
	})
	r.down.Store(true)
	r.server.Kill()
	if err := r.server.Run(); err != nil {
		r.Error(err)
		r.over.Store(true)
	}
	r.down.Store(false)
	r.kills++
	// What was prepared stays for a moment, in which the others append.
	pauseFor(100 * time.Millisecond)
	r.endPrepared(ctx)
}

// prepared lists the transactions of the race that are prepared.
func (r *race) prepared(ctx context.Context) (names []string) {
	rows, err := r.sql.QueryContext(ctx, "XA RECOVER FORMAT='SQL'")
	if err != nil {
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var format, transaction, branch int
		var name string
		if rows.Scan(&format, &transaction, &branch, &name) == nil && strings.HasPrefix(name, "'"+r.at.Name+"-") {
			names = append(names, name)
		}
	}
	if rows.Err() != nil {
		return nil
	}
	return names
}

// endPrepared commits and rolls back what is prepared and has nobody.
func (r *race) endPrepared(ctx context.Context) (count int) {
	for i, name := range r.prepared(ctx) {
		end := "XA COMMIT "
		if i%3 == 2 {
			end = "XA ROLLBACK "
		}
		if _, err := r.sql.ExecContext(ctx, end+name); err == nil {
			count++
		}
	}
	return count
}

func (r *race) committed(ctx context.Context) (positions []int64) {
	rows, err := r.sql.QueryContext(ctx, "SELECT global_position FROM pupwasm__events ORDER BY global_position")
	must(r, err)
	defer rows.Close()
	for rows.Next() {
		var position int64
		must(r, rows.Scan(&position))
		positions = append(positions, position)
	}
	must(r, rows.Err())
	if !slices.IsSorted(positions) || len(positions) == 0 {
		r.Fatalf("the log has %d events", len(positions))
	}
	return positions
}

// pauseFor models a slow program. Nothing waits for it to pass.
func pauseFor(length time.Duration) {
	if length > 0 {
		<-time.After(length)
	}
}

func newRace(t *testing.T, server *mariadbserver.Server) *race {
	t.Helper()
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	db, err := mysql.OpenSQL(at.URL)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	execute(t, db, "CREATE TABLE unrelated (x INT)")
	execute(t, db, "CREATE TABLE numbers (n INT PRIMARY KEY)")
	execute(t, db, "INSERT INTO numbers WITH RECURSIVE r (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n < 999) SELECT n FROM r")
	return &race{T: t, server: server, at: at, sql: db}
}

// TestInvariant2_noEventIsSkipped lets many writers work while readers follow. In its long form, which 'make chaos-mariadb'
// runs for the time that PUPWASM_CHAOS has, one that takes whatever is above the last position that it saw has to lose
// events, or the test would prove nothing.
func TestInvariant2_noEventIsSkipped(t *testing.T) {
	t.Parallel()
	// A commit survives that the server is killed.
	server, err := mariadbserver.Start("innodb-flush-log-at-trx-commit=2", "innodb-lock-wait-timeout=5")
	must(t, err)
	t.Cleanup(server.Stop)
	text := os.Getenv("PUPWASM_CHAOS")
	if text == "" {
		r := newRace(t, server)
		r.check(r.run(12, 0, 1))
		return
	}
	long, err := time.ParseDuration(text)
	must(t, err)
	began := clock.Now()
	var total raceOutcome
	kills, runs := 0, 0
	for clock.Since(began) < long {
		t.Run(fmt.Sprint(runs), func(t *testing.T) {
			r := newRace(t, server)
			got := r.run(math.MaxInt, min(30*time.Second, long-clock.Since(began)), 1)
			r.check(got)
			total.events, total.lost, total.lostNaive = total.events+got.events, total.lost+got.lost, total.lostNaive+got.lostNaive
			total.twice, total.inverted = total.twice+got.twice, total.inverted+got.inverted
			total.unfinished, kills = total.unfinished+got.unfinished, kills+r.kills
		})
		runs++
	}
	fmt.Printf("\n%-12s %-22s %-22s %s\n", "events", "lost by the design", "lost by a naive reader", "server killed")
	fmt.Printf("%-12d %-22s %-22d %d times\n\n", total.events, fmt.Sprintf("%d (two readers)", total.lost), total.lostNaive, kills)
	if total.lostNaive == 0 {
		t.Errorf("a reader without a horizon lost nothing of %d events: the writers do not race", total.events)
	}
}

// check judges an outcome.
func (r *race) check(got raceOutcome) {
	if got.lost+got.twice+got.inverted != 0 {
		r.Errorf("of %d events %d were lost, %d came twice, %d were out of order", got.events, got.lost, got.twice, got.inverted)
	}
	r.Logf("%d events, %d lost by a naive reader, the server was killed %d times", got.events, got.lostNaive, r.kills)
	r.errors.Range(func(text, count any) bool {
		r.Logf("%d times: %.200s", count.(*atomic.Int64).Load(), text)
		return true
	})
}
