package segments_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// The tests of this file are named after faults that event-processing libraries are known for.

func TestFault_anAppendThatCommitsLateIsDelivered(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	worker := startWorker(t, s, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	tx, err := db.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AppendTx(t.Context(), tx, store.AppendOptions{}, payments("late", 100)); err != nil {
		t.Fatal(err)
	}
	early := appendTo(t, s, payments("early", 1)) // a higher position, committed first
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	applied(t, s, "fine_balance", early)
	if cents := paid(t, db); cents != 101 {
		t.Errorf("%d cents are in, must be 101", cents)
	}
	worker.runs(t)
}

// TestFault_anotherNumberOfSegmentsNeitherRepeatsNorLosesEvents changes the number while writers append and
// workers run.
func TestFault_anotherNumberOfSegmentsNeitherRepeatsNorLosesEvents(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	runtime := newRuntime(t, zerolog.Nop())
	stopWriting := make(chan struct{})
	var written atomic.Int64
	writing := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stopWriting:
				writing <- nil
				return
			default:
			}
			if _, err := s.Append(context.WithoutCancel(t.Context()), store.AppendOptions{}, finesOf(1+n%40)...); err != nil {
				writing <- err
				return
			}
			written.Add(int64(1 + n%40))
		}
	}()
	for _, n := range []int{4, 8, 3, 6, 1, 4} {
		options := quick()
		options.Segments, options.BatchEvents = n, 50
		workers := []*working{
			startWorker(t, s, options, loadExample(t, runtime, "fine_balance"), loadTest(t, runtime, "order_check")),
			startWorker(t, s, options, loadExample(t, runtime, "fine_balance"), loadTest(t, runtime, "order_check")),
		}
		for _, projection := range []string{"fine_balance", "order_check"} {
			testwait.Until(t, fmt.Sprintf("%s has %d segments", projection, n), func() bool {
				all, err := s.Status(t.Context(), projection)
				return err == nil && len(all) == 1 && len(all[0].Segments) == n && all[0].Desired == n
			})
		}
		for _, w := range workers {
			w.stop()
		}
	}
	close(stopWriting)
	if err := <-writing; err != nil {
		t.Fatal(err)
	}
	startWorker(t, s, quick(), loadExample(t, runtime, "fine_balance"), loadTest(t, runtime, "order_check"))
	head := appendTo(t, s, payments("last", 1))
	applied(t, s, "fine_balance", head)
	applied(t, s, "order_check", head)
	if cents := paid(t, db); cents != written.Load()+1 {
		t.Errorf("%d cents are in, appended were %d", cents, written.Load()+1)
	}
	if n := count(t, db, "order_check.breaks"); n != 0 {
		t.Errorf("%d events came out of order", n)
	}
}

func TestFault_onceFailsWhenAHandlerFailed(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	appendTo(t, s, noted("Fine", "Error"))
	worker, err := segments.New(s, s, segments.Options{OnError: store.ErrorStop, Once: true})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadTest(t, newRuntime(t, zerolog.Nop()), "misbehave"))
	if err := worker.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "not acceptable") {
		t.Errorf("Run returns %v", err)
	}
}

func TestFault_onceTakesTheSegmentsOfADeadWorker(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	head := appendTo(t, s, finesOf(20)...)
	module := loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance")
	if _, err := s.Install(t.Context(), &module.Description.Projection, 4); err != nil {
		t.Fatal(err)
	}
	dead := store.Worker{Name: "dead", Projections: []store.Membership{{ProjectionID: module.Description.ID()}}}
	if err := s.Heartbeat(t.Context(), dead, 500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if claims, err := s.Claim(t.Context(),
		store.ClaimRequest{
			Projection: store.ProjectionID{Name: "fine_balance", Version: 1}, Worker: "dead",
			Limit: 3,
		}); err != nil || len(claims) != 3 {
		t.Fatalf("claims %v, error %v", claims, err)
	}
	options := quick()
	options.Once = true
	worker, err := segments.New(s, s, options)
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(module)
	if err := worker.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, segment := range statusOf(t, s, "fine_balance").Segments {
		if segment.Position < head {
			t.Errorf("segment %d was left at %d of %d", segment.Segment, segment.Position, head)
		}
	}
	if cents := paid(t, db); cents != 20 {
		t.Errorf("%d cents are in, must be 20", cents)
	}
}

// TestFault_aReclaimFencesTheBatchInFlight has a worker claim a segment again while a batch of its own older
// claim is not committed yet.
func TestFault_aReclaimFencesTheBatchInFlight(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	head := appendTo(t, s, payments("A", 1))
	module := loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance")
	catalogue, err := s.Install(t.Context(), &module.Description.Projection, 1)
	if err != nil {
		t.Fatal(err)
	}
	claim := func() store.Claim {
		if err := s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour); err != nil {
			t.Fatal(err)
		}
		claims, err := s.Claim(t.Context(),
			store.ClaimRequest{Projection: store.ProjectionID{Name: "fine_balance", Version: 1}, Worker: "w", Limit: 1})
		if err != nil || len(claims) != 1 {
			t.Fatalf("claims %v, error %v", claims, err)
		}
		return claims[0]
	}
	first, second := claim(), claim()
	older, newer := catalogue.Begin(first), catalogue.Begin(second)
	if err := newer.Commit(t.Context(), store.Commit{Through: head, Log: second.Applied.Log}); err != nil {
		t.Fatal(err)
	}
	if err := older.Commit(t.Context(), store.Commit{Through: head - 1, Log: first.Applied.Log}); err == nil {
		t.Error("the older claim commits, and moves the checkpoint back")
	}
	if got := statusOf(t, s, "fine_balance").Segments[0].Position; got != head {
		t.Errorf("the checkpoint is %d, must be %d", got, head)
	}
}

func TestFault_losingASegmentDoesNotStopTheProcess(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	worker := startWorker(t, s, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(20)...))
	// Somebody takes two of four, and is gone again.
	if _, err := db.Connect(t).Exec(t.Context(),
		"UPDATE pupwasm.segments SET owner = 'thief', epoch = epoch + 1 WHERE segment IN (1, 2)"); err != nil {
		t.Fatal(err)
	}
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(20)...))
	if cents := paid(t, db); cents != 40 {
		t.Errorf("%d cents are in, must be 40", cents)
	}
	worker.runs(t)
}

func TestFault_aTerminatedConnectionDoesNotStopTheProcess(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	worker := startWorker(t, s, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	for round := range 5 {
		_, err := db.Connect(t).Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name = 'pupwasm' AND datname = current_database() AND pid <> pg_backend_pid()`)
		if err != nil {
			t.Fatal(err)
		}
		appender := openPostgres(t, db)
		applied(t, appender, "fine_balance", appendTo(t, appender, finesOf(10)...))
		appender.Close()
		if cents := paid(t, db); cents != int64(10*(round+1)) {
			t.Errorf("round %d: %d cents are in, must be %d", round, cents, 10*(round+1))
		}
	}
	worker.runs(t)
}

// TestFault_aPoisonEventStopsItsSegmentAndNothingElse also shows that the segment goes on when a module is set
// that gets on with the event.
func TestFault_aPoisonEventStopsItsSegmentAndNothingElse(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	runtime := newRuntime(t, zerolog.Nop())
	worker := startWorker(t, s, quick(), loadTest(t, runtime, "misbehave"), loadExample(t, runtime, "activity_log"))
	appendTo(t, s, noted("Fine", "Error"))
	var failed store.SegmentStatus
	testwait.Until(t, "a segment fails", func() bool {
		all, err := s.Status(t.Context(), "misbehave")
		if err != nil || len(all) == 0 {
			return false
		}
		for _, segment := range all[0].Segments {
			if segment.Failure != "" {
				failed = segment
				return true
			}
		}
		return false
	})
	var others []store.StreamAppend
	inOthers := 0
	for i := range 40 {
		e := noted("Fine")
		e.Stream.AggregateID = fmt.Sprint("other", i)
		others = append(others, e)
		if !failed.Range.Contains(store.PartitionHash(e.Stream.AggregateID)) {
			inOthers++
		}
	}
	head := appendTo(t, s, others...)
	applied(t, s, "activity_log", head)
	testwait.Until(t, "the other segments go on", func() bool { return count(t, db, "misbehave.rows") == inOthers })
	if got := statusOf(t, s, "misbehave"); len(got.Segments) != 4 {
		t.Fatalf("status is %+v", got)
	}
	worker.runs(t)
}

func TestFault_afterAGracefulStopNothingIsOwned(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	worker := startWorker(t, s, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(5)...))
	worker.stop()
	for _, segment := range statusOf(t, s, "fine_balance").Segments {
		if segment.Owner != "" {
			t.Errorf("segment %d still belongs to %s", segment.Segment, segment.Owner)
		}
	}
	if workers, err := s.Workers(t.Context()); err != nil || len(workers) != 0 {
		t.Errorf("workers are %v, error %v", workers, err)
	}
}

func TestFault_aHungHandlerIsNoticed(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	appendTo(t, s, noted("Loop"))
	runtime, err := host.NewRuntime(t.Context(), host.Options{Limits: host.Limits{Fuel: 50_000_000}, CacheDir: compiled, Compiler: compiler})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.Close(context.Background()) })
	worker := startWorker(t, s, quick(), loadTest(t, runtime, "misbehave"))
	testwait.Until(t, "the failure is recorded", func() bool {
		all, err := s.Status(t.Context(), "misbehave")
		return err == nil && len(all) == 1 &&
			strings.Contains(fmt.Sprint(all[0].Segments), "used more than 50000000 units of fuel")
	})
	worker.runs(t)
}

// reads counts what a store's reads bring.
type reads struct {
	server
	calls, events atomic.Int64
}

func (r *reads) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	err := r.server.Read(ctx, request, page)
	r.calls.Add(1)
	r.events.Add(int64(len(page.Events)))
	return err
}

func TestFault_theCheckpointMovesOverEventsOutOfScope(t *testing.T) {
	t.Parallel()
	s := &reads{server: openPostgres(t, pgtest.New(t))}
	startWorker(t, s, quick(), loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	var foreign []store.StreamAppend
	for i := range 3000 {
		e := noted("Noted")
		e.Stream.AggregateID = fmt.Sprint("note", i)
		foreign = append(foreign, e)
	}
	applied(t, s, "fine_balance", appendTo(t, s, foreign...))
	if n := s.events.Load(); n != 0 {
		t.Errorf("%d events outside of the subscription were read", n)
	}
	// And they are not looked through again for the next event.
	before := s.calls.Load()
	applied(t, s, "fine_balance", appendTo(t, s, payments("A", 1)))
	if n := s.calls.Load() - before; n > 8 {
		t.Errorf("%d reads for one event in four segments", n)
	}
}

// TestFault_segmentsDoNotEachReadEveryEvent replays a log with eight segments in one host.
func TestFault_segmentsDoNotEachReadEveryEvent(t *testing.T) {
	t.Parallel()
	s := &reads{server: openPostgres(t, pgtest.New(t))}
	head := appendTo(t, s, finesOf(10_000)...)
	options := quick()
	options.Segments = 8
	startWorker(t, s, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	applied(t, s, "fine_balance", head)
	if n := s.events.Load(); n > 2*10_000 {
		t.Errorf("%d events were read, the log has 10000", n)
	}
}

// paid is the sum over all fines.
func paid(t *testing.T, db pgtest.Database) (cents int64) {
	t.Helper()
	query(t, db, "SELECT coalesce(sum(paid_cents), 0)::bigint FROM fine_balance.fines", &cents)
	return cents
}
