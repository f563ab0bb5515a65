package segments_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// retryWatch is a store whose commits and retries pass through functions, where they are set.
type retryWatch struct {
	store.Store
	commit    func(commit func() error) error
	retry     func(key string, retry func() error) error
	installed func()
}

func (w *retryWatch) Install(ctx context.Context, p *store.Projection, segments int) (store.Catalogue, error) {
	catalogue, err := w.Store.Install(ctx, p, segments)
	if err == nil && w.installed != nil {
		w.installed()
	}
	return retryWatchCatalogue{catalogue, w}, err
}

type retryWatchCatalogue struct {
	store.Catalogue
	watch *retryWatch
}

func (c retryWatchCatalogue) Begin(claim store.Claim) store.Tx {
	return retryWatchTx{c.Catalogue.Begin(claim), c.watch}
}

type retryWatchTx struct {
	store.Tx
	watch *retryWatch
}

func (x retryWatchTx) Commit(ctx context.Context, commit store.Commit) error {
	run := func() error { return x.Tx.Commit(ctx, commit) }
	if x.watch.commit == nil {
		return run()
	}
	return x.watch.commit(run)
}

func (x retryWatchTx) Retry(ctx context.Context, retry store.Retry) (unparked bool, err error) {
	run := func() (err error) {
		unparked, err = x.Tx.Retry(ctx, retry)
		return err
	}
	if x.watch.retry == nil {
		return unparked, run()
	}
	err = x.watch.retry(string(retry.Key), run)
	return unparked && err == nil, err
}

// plain is a ledger that asks the database nothing, so that it has no transaction.
type plain struct{ *ledger }

func (p plain) Transactional() bool                 { return false }
func (p plain) NewProcessor(int) segments.Processor { return plainProcessor(p) }
func (p plain) Projection() (projection *store.Projection) {
	projection = p.ledger.Projection()
	projection.Queries = nil
	return projection
}

type plainProcessor plain

func (p plainProcessor) Close(context.Context) {}

func (p plainProcessor) Process(
	_ context.Context, events []store.RecordedEvent, _ store.Tx,
) (output store.Output, err error) {
	for i := range events {
		e := &events[i]
		if err := p.bad(e); err != nil {
			return output, err
		}
		output.Mutations = append(output.Mutations, store.Mutation{Write: 0, Values: []store.Value{
			store.Text(e.AggregateID), store.I64(e.AggregateVersion),
		}})
	}
	return output, nil
}

func orderOf(t *testing.T, s store.Store, key string, order store.ParkedAction) {
	t.Helper()
	if err := s.Order(t.Context(), store.ParkedID{Projection: ledgerID, Key: []byte(key)}, order); err != nil {
		t.Fatal(err)
	}
}

// TestRetrier_actsOnAnOrderThatComesWhileItTries orders a skip while the event is tried, which fails once more.
func TestRetrier_actsOnAnOrderThatComesWhileItTries(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		tried, ordered := make(chan struct{}), make(chan struct{})
		var tries atomic.Int64
		program := &ledger{code: "one", breaks: &atomic.Int64{}, bad: func(e *store.RecordedEvent) error {
			if e.Type == "Bad" && tries.Add(1) == 2 {
				close(tried)
				<-ordered
			}
			return badType("Bad")(e)
		}}
		head := poisoned(t, s, 3, 4, 2, 1)
		worker := startPrograms(t, s, parking(), program)
		applied(t, s, "ledger", head)
		orderOf(t, s, "n1", store.ActionRetry)
		<-tried
		orderOf(t, s, "n1", store.ActionSkip)
		close(ordered)
		testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
		if skipped, err := s.Skipped(t.Context(), ledgerID, 0, 10); err != nil || len(skipped) != 1 {
			t.Errorf("skipped are %+v, %v", skipped, err)
		}
		worker.runs(t)
	})
}

// TestRetrier_aKeyThatCannotBeTriedLeavesTheOthers has the database refuse, for one key, to answer.
func TestRetrier_aKeyThatCannotBeTriedLeavesTheOthers(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		broken := &atomic.Bool{}
		broken.Store(true)
		watch := &retryWatch{Store: s, retry: func(key string, retry func() error) error {
			if key == "n1" && broken.Load() {
				return fmt.Errorf("%w: a lock of somebody", store.ErrTransient)
			}
			return retry()
		}}
		options := parking()
		options.Segments = 1
		head := poisoned(t, s, 4, 3, 2, 0, 1, 2, 3)
		worker := startPrograms(t, watch, options, &ledger{code: "one", breaks: &atomic.Int64{}, bad: badType("Bad")})
		applied(t, s, "ledger", head)
		worker.SetProgram(&ledger{code: "two", breaks: &atomic.Int64{}})
		testwait.Until(t, "only n1 is parked", func() bool { return parkedIn(t, s) == "n1: 2 events" })
		broken.Store(false)
		testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
		worker.runs(t)
	})
}

// TestRetrier_leavesTheConnectionToOthersWhileTheProgramWorks has a program that takes its time for a retry, on a
// worker with one connection.
func TestRetrier_leavesTheConnectionToOthersWhileTheProgramWorks(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	tried, goOn := make(chan struct{}), make(chan struct{})
	var tries atomic.Int64
	program := plain{&ledger{code: "one", bad: func(e *store.RecordedEvent) error {
		if e.Type == "Bad" && tries.Add(1) == 2 {
			close(tried)
			<-goOn
			return nil
		}
		return badType("Bad")(e)
	}}}
	options := parking()
	options.Concurrency, options.Segments = 1, 1
	head := poisoned(t, s, 3, 4, 2, 1)
	worker := startPrograms(t, s, options, program)
	applied(t, s, "ledger", head)
	orderOf(t, s, "n1", store.ActionRetry)
	<-tried
	applied(t, s, "ledger", poisoned(t, s, 3, 1, 0))
	close(goOn)
	testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
	worker.runs(t)
}

// TestRetrier_makesRoomBeforeASegmentFails has one key too many while those that are parked can be applied.
func TestRetrier_makesRoomBeforeASegmentFails(t *testing.T) {
	makesRoom(t, func(*testing.T, store.Store) {})
}

// TestRetrier_makesRoomWhileTheCommitFails has the retries of keys succeed before the segment hears that there are too many.
func TestRetrier_makesRoomWhileTheCommitFails(t *testing.T) {
	makesRoom(t, func(t *testing.T, s store.Store) {
		testwait.Until(t, "the parked keys to be retried", func() bool { return parkedIn(t, s) == "" })
	})
}

func makesRoom(t *testing.T, meanwhile func(t *testing.T, s store.Store)) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		poisoned(t, s, 4, 4, 2, 1, 2)
		poisoned(t, s, 4, 4, 2, 3)
		run := func(s store.Store, program segments.Program) error {
			options := parking()
			options.Once, options.Segments, options.ParkedMax = true, 1, 2
			worker, err := segments.New(s, s, options)
			if err != nil {
				t.Fatal(err)
			}
			worker.SetProgram(program)
			return worker.Run(t.Context())
		}
		breaks := &atomic.Int64{}
		if err := run(s, &ledger{code: "one", breaks: breaks, bad: badType("Bad")}); err == nil {
			t.Fatal("a third key was parked")
		}
		if got := parkedIn(t, s); got != "n1: 7 events, n2: 7 events" && got != "n1: 3 events, n2: 3 events" {
			t.Fatalf("parked is %q", got)
		}
		var once sync.Once
		full := make(chan struct{})
		watch := &retryWatch{Store: s, commit: func(commit func() error) error {
			err := commit()
			var many *store.ParkedMaxError
			if errors.As(err, &many) {
				once.Do(func() {
					close(full)
					meanwhile(t, s)
				})
			}
			return err
		}}
		err := run(watch, &ledger{code: "two", breaks: breaks, bad: func(e *store.RecordedEvent) error {
			switch {
			case e.Type != "Bad":
				return nil
			case e.AggregateID == "n3":
				return badType("Bad")(e)
			}
			<-full
			return nil
		}})
		if err != nil {
			t.Error(err)
		}
		if got := parkedIn(t, s); got != "n3: 3 events" || breaks.Load() != 0 {
			t.Errorf("parked is %q, and %d events did not follow the one before", got, breaks.Load())
		}
	})
}

// TestParking_afterTooManyFaultsASegmentGoesOnAtAWord has somebody clear the failure of a segment that has stopped
// because more than 1% of the events failed.
func TestParking_afterTooManyFaultsASegmentGoesOnAtAWord(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	const faults = 1010
	bad := store.StreamAppend{Stream: store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: "n0"}}
	for range faults {
		bad.Events = append(bad.Events, store.Event{Type: "Bad", Payload: []byte("{}")})
	}
	head := appendTo(t, s, bad)
	options := parking()
	options.OnError, options.Segments, options.BatchEvents = store.ErrorSkip, 1, 1
	worker := startPrograms(t, s, options, &ledger{code: "one", breaks: &atomic.Int64{}, bad: badType("Bad")})
	testwait.Until(t, "the segment has failed", func() bool {
		status, err := s.Status(t.Context(), "ledger")
		return err == nil && len(status) > 0 && status[0].Segments[0].Failure != ""
	})
	if _, err := s.Recover(t.Context(), ledgerID); err != nil {
		t.Fatal(err)
	}
	applied(t, s, "ledger", head)
	worker.runs(t)
}

// TestParking_aSegmentThatIsAskedToEndDoesNotFail has a worker end while its program fails at an event.
func TestParking_aSegmentThatIsAskedToEndDoesNotFail(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		var once sync.Once
		reached, ending := make(chan struct{}), make(chan struct{})
		head := poisoned(t, s, 3, 4, 2, 1)
		worker := startPrograms(t, s, parking(), &ledger{code: "one", breaks: &atomic.Int64{}, bad: func(e *store.RecordedEvent) error {
			if e.Type == "Bad" {
				once.Do(func() { close(reached) })
				<-ending
			}
			return badType("Bad")(e)
		}})
		<-reached
		worker.stopping()
		testwait.Until(t, "the other segments have ended", func() bool {
			owned := 0
			for _, segment := range statusOf(t, s, "ledger").Segments {
				if segment.Owner != "" {
					owned++
				}
			}
			return owned == 1
		})
		close(ending)
		worker.stop()
		for _, segment := range statusOf(t, s, "ledger").Segments {
			if segment.Failure != "" {
				t.Errorf("segment %d has failed: %s", segment.Segment, segment.Failure)
			}
		}
		startPrograms(t, s, parking(), &ledger{code: "one", breaks: &atomic.Int64{}, bad: badType("Bad")})
		applied(t, s, "ledger", head)
		if got := parkedIn(t, s); got != "n1: 3 events" {
			t.Errorf("parked is %q", got)
		}
	})
}

// TestInstall_whatTheProgramBeforeFailsAtIsNoFailure has a program fail once the next one is installed.
func TestInstall_whatTheProgramBeforeFailsAtIsNoFailure(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		var installs atomic.Int64
		var once sync.Once
		reached, installed := make(chan struct{}), make(chan struct{})
		watch := &retryWatch{Store: s, installed: func() {
			if installs.Add(1) == 2 {
				close(installed)
			}
		}}
		head := poisoned(t, s, 3, 4, 2, 1)
		options := parking()
		options.OnError = store.ErrorStop
		worker := startPrograms(t, watch, options, &ledger{code: "one", breaks: &atomic.Int64{}, bad: func(e *store.RecordedEvent) error {
			if e.Type == "Bad" {
				once.Do(func() { close(reached) })
				<-installed
			}
			return badType("Bad")(e)
		}})
		<-reached
		worker.SetProgram(&ledger{code: "two", breaks: &atomic.Int64{}})
		testwait.Until(t, "everything is applied", func() bool { // the failure may show for a moment
			segments := statusOf(t, s, "ledger").Segments
			return !slices.ContainsFunc(segments, func(s store.SegmentStatus) bool { return s.Position < head })
		})
		worker.runs(t)
	})
}
