package segments_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// commitWatch is a store that tells of its commits, and may make them fail.
type commitWatch struct {
	store.Store
	// instead is called for every commit and may call commit.
	instead func(from, through int64, commit func() error) error
	// query is called before every query, which it may make fail.
	query func() error

	mu    sync.Mutex
	moves [][2]int64 // from where to where commits have moved a checkpoint
	reads []int64    // from where the log was read
}

func (w *commitWatch) Install(ctx context.Context, p *store.Projection, segments int) (store.Catalogue, error) {
	catalogue, err := w.Store.Install(ctx, p, segments)
	return &watchedCatalogue{catalogue, w}, err
}

func (w *commitWatch) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	w.mu.Lock()
	w.reads = append(w.reads, request.After)
	w.mu.Unlock()
	return w.Store.Read(ctx, request, page)
}

func (w *commitWatch) seen() (moves [][2]int64, reads []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([][2]int64(nil), w.moves...), append([]int64(nil), w.reads...)
}

type watchedCatalogue struct {
	store.Catalogue
	watch *commitWatch
}

func (c *watchedCatalogue) Begin(claim store.Claim) store.Tx {
	return &watchedTx{c.Catalogue.Begin(claim), c.watch, claim.Position}
}

type watchedTx struct {
	store.Tx
	watch *commitWatch
	from  int64
}

func (t *watchedTx) Commit(ctx context.Context, batch store.Commit) error {
	commit := func() error {
		err := t.Tx.Commit(ctx, batch)
		if err == nil {
			t.watch.mu.Lock()
			t.watch.moves = append(t.watch.moves, [2]int64{t.from, batch.Through})
			t.watch.mu.Unlock()
		}
		return err
	}
	if t.watch.instead == nil {
		return commit()
	}
	return t.watch.instead(t.from, batch.Through, commit)
}

func (t *watchedTx) Query(ctx context.Context, query int, arguments []store.Value, rows *store.Rows) error {
	if t.watch.query != nil {
		if err := t.watch.query(); err != nil {
			return err
		}
	}
	return t.Tx.Query(ctx, query, arguments, rows)
}

func (t *watchedTx) Retry(ctx context.Context, retry store.Retry) (unparked bool, err error) {
	if t.watch.instead == nil {
		return t.Tx.Retry(ctx, retry)
	}
	err = t.watch.instead(t.from, t.from, func() (err error) {
		unparked, err = t.Tx.Retry(ctx, retry)
		return err
	})
	return unparked && err == nil, err
}

// manyPayments are payments of one cent to a few fines, in turn.
func manyPayments(events, fines int) []store.StreamAppend {
	all := make([]store.StreamAppend, events)
	for i := range all {
		all[i] = payments(fmt.Sprintf("F%d", i%fines), 1)
	}
	return all
}

// runOnce applies what there is.
func runOnce(t *testing.T, s store.Store, options segments.Options, module *host.Module) error {
	t.Helper()
	options.Once, options.Segments, options.OnError = true, 1, store.ErrorStop
	worker, err := segments.New(s, s, options)
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(module)
	return worker.Run(t.Context())
}

func TestPipeline_farBehindManyBatchesAreOneCommit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options segments.Options
		least   int // commits
		most    int // a machine that is busy needs more, as no commit group waits longer than its time
	}{
		{"by default", segments.Options{BatchEvents: 10}, 1, 100},
		{"bounded by events", segments.Options{BatchEvents: 10, CommitEvents: 1000}, 3, 100},
		{"every batch by itself", segments.Options{BatchEvents: 100, CommitEvents: 100}, 30, 30},
		{"with a rest after each batch", segments.Options{BatchEvents: 100, BatchPause: time.Microsecond}, 30, 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			watch := &commitWatch{Store: logtest.New(t)}
			appendTo(t, watch, manyPayments(3000, 7)...)
			if err := runOnce(t, watch, test.options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance")); err != nil {
				t.Fatal(err)
			}
			moves, _ := watch.seen()
			if len(moves) < test.least || len(moves) > test.most {
				t.Errorf("%d commits, must be %d to %d: %v", len(moves), test.least, test.most, moves)
			}
			for i := 1; i < len(moves); i++ {
				if moves[i][0] != moves[i-1][1] {
					t.Errorf("commits move %v", moves)
				}
			}
		})
	}
}

// TestPipeline_atTheHeadNothingWaits has every event be a commit of its own when they come one by one, and
// those that come while a commit is in flight be one commit together.
func TestPipeline_atTheHeadNothingWaits(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	var hold sync.Mutex // held while commits are to be stopped
	stopping := false
	watch := &commitWatch{Store: logtest.New(t)}
	watch.instead = func(_, _ int64, commit func() error) error {
		hold.Lock()
		stops := stopping
		hold.Unlock()
		if stops {
			entered <- struct{}{}
			<-leave
		}
		return commit()
	}
	options := quick()
	options.Segments = 1
	startWorker(t, watch, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	for i := range 5 {
		applied(t, watch, "fine_balance", appendTo(t, watch, payments(fmt.Sprint("F", i), 1)))
	}
	var moves [][2]int64
	testwait.Until(t, "the commits are noted", func() bool {
		moves, _ = watch.seen()
		return len(moves) >= 5
	})
	if len(moves) != 5 {
		t.Errorf("5 events were committed by %v", moves)
	}

	hold.Lock()
	stopping = true
	hold.Unlock()
	held := appendTo(t, watch, payments("F0", 1))
	<-entered
	var last int64
	for range 4 {
		last = appendTo(t, watch, payments("F1", 1))
		testwait.Until(t, "the log is read while a commit is under way", func() bool {
			_, reads := watch.seen()
			return reads[len(reads)-1] == last-1
		})
	}
	hold.Lock()
	stopping = false
	hold.Unlock()
	leave <- struct{}{}
	applied(t, watch, "fine_balance", last)
	moves, _ = watch.seen()
	if at := moves[5]; at != [2]int64{held - 1, held} || len(moves) > 8 {
		t.Errorf("the commit that was held and those behind it are %v", moves[5:])
	}
}

// TestPipeline_whatWasComputedBehindAFailedCommitIsDropped has commits fail, before they are written and after,
// wherever they are, and wants exactly the rows of each event once, in commit groups and batches of any size, with a
// guest that asks for what it has written and one that does not.
func TestPipeline_whatWasComputedBehindAFailedCommitIsDropped(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, zerolog.Nop())
	const events, streams = 300, 5
	path := filepath.Join(t.TempDir(), "log.db")
	log := logtest.At(t, path)
	appendTo(t, log, manyPayments(events, streams)...)
	tables, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tables.Close() })
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 1))
		watch := &commitWatch{Store: log}
		faults := 1 + random.IntN(8) // then the commits succeed
		var mu sync.Mutex
		lost := fmt.Errorf("%w: as drawn", store.ErrTransient)
		draw := func(one int) bool {
			mu.Lock()
			defer mu.Unlock()
			drawn := random.IntN(one) == 0 && faults > 0
			if drawn {
				faults--
			}
			return drawn
		}
		watch.instead = func(_, _ int64, commit func() error) error {
			switch {
			case draw(4):
				return lost
			case draw(4):
				return errors.Join(commit(), lost)
			}
			return commit()
		}
		options := segments.Options{
			Once: true, Segments: 1 + random.IntN(3), BatchEvents: 1 + random.IntN(120), CommitEvents: 1 + random.IntN(400),
			RetryMin: time.Millisecond, RetryMax: 2 * time.Millisecond, Rebalance: 10 * time.Millisecond,
		}
		for _, name := range []string{"fine_balance", "order_check"} {
			var unknown *store.InputError
			if err := log.Reset(t.Context(), name); err != nil && !errors.As(err, &unknown) {
				t.Fatal(err)
			}
		}
		worker, err := segments.New(watch, watch, options)
		if err != nil {
			t.Fatal(err)
		}
		worker.Set(loadExample(t, runtime, "fine_balance"))
		worker.Set(loadTest(t, runtime, "order_check"))
		if err := worker.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		var fines, paid, versions, breaks int
		err = tables.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM fine_balance__fines), (SELECT sum(paid_cents) FROM fine_balance__fines),
			(SELECT sum(version) FROM order_check__streams), (SELECT count(*) FROM order_check__breaks)`).Scan(&fines, &paid, &versions, &breaks)
		if err != nil || fines != streams || paid != events || versions != events || breaks != 0 {
			t.Fatalf("seed %d, %d segments, batches of %d, commits of %d: %d fines have paid %d cents, streams are at %d versions, %d out of order: %v",
				seed, options.Segments, options.BatchEvents, options.CommitEvents, fines, paid, versions, breaks, err)
		}
	}
}

// TestPipeline_aRefusedCommitFailsTheSegment has the database refuse a commit for good, of a guest that asks
// for what it has written, of one that does not, and of one that rests after each batch.
func TestPipeline_aRefusedCommitFailsTheSegment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, module string
		options      segments.Options
	}{
		{"queries", "order_check", segments.Options{BatchEvents: 10}},
		{"rests", "fine_balance", segments.Options{BatchEvents: 10, BatchPause: time.Microsecond}},
		{"every batch", "fine_balance", segments.Options{BatchEvents: 10, CommitEvents: 10}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			watch := &commitWatch{Store: logtest.New(t)}
			watch.instead = func(from, _ int64, commit func() error) error {
				if from == 50 {
					return &store.RejectedError{Statement: `write "row"`, Reason: "as the test has it"}
				}
				return commit()
			}
			appendTo(t, watch, manyPayments(100, 3)...)
			runtime := newRuntime(t, zerolog.Nop())
			module := loadExample(t, runtime, "fine_balance")
			if test.module == "order_check" {
				module = loadTest(t, runtime, test.module)
			}
			err := runOnce(t, watch, test.options, module)
			var failed *segments.FailedError
			if !errors.As(err, &failed) || failed.Position != 50 {
				t.Errorf("Run returns %v, the segment must stand at 50", err)
			}
		})
	}
}

// TestPipeline_whatComesBeforeAFaultIsCommitted puts a fault behind several batches of one commit group. A batch that
// the database refuses is divided; one that the guest fails at is not.
func TestPipeline_whatComesBeforeAFaultIsCommitted(t *testing.T) {
	t.Parallel()
	for fault, position := range map[string]int64{"Panic": 50, "Null": 58} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			watch := &commitWatch{Store: logtest.New(t)}
			types := strings.Split(strings.Repeat("Fine ", 58)+fault+" Fine", " ")
			appendTo(t, watch, noted(types...))
			err := runOnce(t, watch, segments.Options{BatchEvents: 10}, loadTest(t, newRuntime(t, zerolog.Nop()), "misbehave"))
			var failed *segments.FailedError
			if !errors.As(err, &failed) || failed.Position != position {
				t.Errorf("Run returns %v, the segment must stand at %d", err, position)
			}
		})
	}
}

// TestPipeline_aDeadlockIsTriedAgainAtOnce has commits meet deadlocks, with a guest that asks for what it has
// written and one that does not.
func TestPipeline_aDeadlockIsTriedAgainAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fine_balance", "order_check"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watch := &commitWatch{Store: logtest.New(t)}
			failures := map[int64]int{}
			watch.instead = func(from, _ int64, commit func() error) error {
				if failures[from]++; failures[from] < 3 {
					return fmt.Errorf("%w: as the test has it", store.ErrDeadlock)
				}
				return commit()
			}
			appendTo(t, watch, manyPayments(100, 3)...)
			runtime := newRuntime(t, zerolog.Nop())
			module := loadExample(t, runtime, "fine_balance")
			if name == "order_check" {
				module = loadTest(t, runtime, name)
			}
			// A segment that ended would be claimed again after an hour only.
			options := segments.Options{
				Once: true, Segments: 1, BatchEvents: 50, CommitEvents: 50, RetryMin: time.Hour, RetryMax: time.Hour,
			}
			worker, err := segments.New(watch, watch, options)
			if err != nil {
				t.Fatal(err)
			}
			worker.Set(module)
			if err := worker.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := worker.Progress()[0]; got.Deadlocks != 4 || got.Events != 100 {
				t.Errorf("the worker has done %+v, want 100 events and 4 deadlocks", got)
			}
		})
	}
}
