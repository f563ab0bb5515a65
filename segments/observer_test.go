package segments_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// observed notes what an observer is told.
type observed struct {
	mu        sync.Mutex
	installed []segments.ObservedProgram
	refused   []segments.ObservedProgram
	claims    map[segments.SegmentID]int64 // the checkpoints of those at work
	failed    []segments.ObservedSegment
	released  []segments.ObservedSegment
	reads     []segments.ObservedRead
	batches   []segments.ObservedBatch
	commits   []segments.ObservedCommit
	deadlocks []segments.ObservedSegment
	faults    []segments.ObservedEvent
	parked    []segments.ObservedEvent
	retries   []segments.ObservedRetry
	unparked  []segments.ObservedEvent
	polls     []segments.ObservedPoll
	away      []segments.ObservedOutage
	back      []segments.ObservedOutage
	disorder  int // calls about a segment that is not at work, or whose checkpoint goes back
}

// note returns a function of an observer that appends to a list.
func note[T any](o *observed, list *[]T) func(T) {
	return func(what T) {
		o.mu.Lock()
		defer o.mu.Unlock()
		*list = append(*list, what)
	}
}

func (o *observed) observer() *segments.Observer {
	o.claims = map[segments.SegmentID]int64{}
	return &segments.Observer{
		Installed: note(o, &o.installed), Refused: note(o, &o.refused), Failed: note(o, &o.failed),
		Read: note(o, &o.reads), Applied: note(o, &o.batches), Deadlocked: note(o, &o.deadlocks),
		Faulted: note(o, &o.faults), Parked: note(o, &o.parked), Retried: note(o, &o.retries),
		Unparked: note(o, &o.unparked), Polled: note(o, &o.polls), Away: note(o, &o.away), Back: note(o, &o.back),
		Claimed: func(s segments.ObservedSegment) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if _, atWork := o.claims[s.SegmentID]; atWork {
				o.disorder++
			}
			o.claims[s.SegmentID] = s.Position
		},
		Committed: func(c segments.ObservedCommit) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if before, atWork := o.claims[c.SegmentID]; !atWork || c.Position <= before {
				o.disorder++
			}
			o.claims[c.SegmentID] = c.Position
			o.commits = append(o.commits, c)
		},
		Released: func(s segments.ObservedSegment) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if _, atWork := o.claims[s.SegmentID]; !atWork {
				o.disorder++
			}
			delete(o.claims, s.SegmentID)
			o.released = append(o.released, s)
		},
	}
}

// has waits until a list has so many entries.
func has[T any](t *testing.T, o *observed, what string, list *[]T, count int) []T {
	t.Helper()
	var all []T
	testwait.Until(t, what, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		all = append(all[:0], *list...)
		return len(all) >= count
	})
	return all
}

// sum adds a number of each.
func sum[T any](all []T, number func(T) int) (total int) {
	for _, one := range all {
		total += number(one)
	}
	return total
}

// TestObserver_isToldOfEveryEvent has an event that fails, whose key is parked and applied by other code.
func TestObserver_isToldOfEveryEvent(t *testing.T) {
	t.Parallel()
	s, seen, breaks := logtest.New(t), &observed{}, &atomic.Int64{}
	head := poisoned(t, s, 20, 10, 4, 7)
	options := parking()
	options.Observer = seen.observer()
	worker := startPrograms(t, s, options, &ledger{code: "one", breaks: breaks, bad: badType("Bad")})
	applied(t, s, "ledger", head)
	if parked := has(t, seen, "the key is parked", &seen.parked, 1)[0]; string(parked.Key) != "n7" ||
		parked.Reason == "" || parked.SegmentID.Projection != ledgerID {
		t.Errorf("parked is %+v", parked)
	}
	if fault := seen.faults[0]; string(fault.Key) != "n7" || fault.Policy != store.ErrorPark ||
		fault.Position != seen.parked[0].Position {
		t.Errorf("the fault is %+v", fault)
	}
	worker.SetProgram(&ledger{code: "two", breaks: breaks})
	if unparked := has(t, seen, "the key is unparked", &seen.unparked, 1)[0]; string(unparked.Key) != "n7" {
		t.Errorf("unparked is %+v", unparked)
	}
	worker.stop()

	retried := sum(seen.retries, func(r segments.ObservedRetry) int { return r.Events })
	committed := sum(seen.commits, func(c segments.ObservedCommit) int { return c.Events })
	if withheld := sum(seen.commits, func(c segments.ObservedCommit) int { return c.Withheld }); retried != 7 ||
		withheld != 7 || committed != 193 {
		t.Errorf("%d events are committed, %d withheld, %d retried, want 193, 7 and 7", committed, withheld, retried)
	}
	processed := sum(seen.batches, func(b segments.ObservedBatch) int { return b.Events })
	asked := sum(seen.batches, func(b segments.ObservedBatch) int { return b.Mutations })
	rows := sum(seen.commits, func(c segments.ObservedCommit) int { return c.Rows })
	if processed < 193 || asked != processed || rows < 20 || rows > asked {
		t.Errorf("%d events gave %d mutations, which became %d rows", processed, asked, rows)
	}
	if read := sum(seen.reads, func(r segments.ObservedRead) int { return r.Events }); read < 200 {
		t.Errorf("%d events were read, the log has 200", read)
	}
	if last := seen.polls[len(seen.polls)-1]; last.Horizon != head || last.Head != head || last.Err != nil {
		t.Errorf("the last poll is %+v, the log ends at %d", last, head)
	}
	if len(seen.installed) != 2 || seen.installed[1].Source != "ledger two" || len(seen.refused) > 0 {
		t.Errorf("installed are %+v, refused %+v", seen.installed, seen.refused)
	}
	if len(seen.claims) > 0 || seen.disorder > 0 || len(seen.failed) > 0 {
		t.Errorf("%v are still at work, %d calls are out of order, %+v failed", seen.claims, seen.disorder, seen.failed)
	}
}

// troubled is a store with whatever trouble the test wants.
type troubled struct {
	store.Store
	away, refuses atomic.Bool
}

func (s *troubled) Heartbeat(ctx context.Context, worker store.Worker, ttl time.Duration) error {
	if s.away.Load() {
		return store.ErrTransient
	}
	return s.Store.Heartbeat(ctx, worker, ttl)
}

func (s *troubled) Install(ctx context.Context, p *store.Projection, segments int) (store.Catalogue, error) {
	if s.refuses.Load() {
		return nil, &store.CatalogueError{Reason: "as the test has it"}
	}
	return s.Store.Install(ctx, p, segments)
}

func TestObserver_isToldOfTrouble(t *testing.T) {
	t.Parallel()
	seen, deadlocks := &observed{}, atomic.Int32{}
	watch := &commitWatch{Store: logtest.New(t), instead: func(_, _ int64, commit func() error) error {
		if deadlocks.Add(1) == 1 {
			return store.ErrDeadlock
		}
		return commit()
	}}
	s := &troubled{Store: watch}
	poisoned(t, s, 1, 20, 18, 0) // in the second batch
	options := quick()           // a fault stops the segment
	options.Observer, options.Segments = seen.observer(), 1
	program := &ledger{code: "one", breaks: &atomic.Int64{}, bad: badType("Bad")}
	worker := startPrograms(t, s, options, program)

	failed := has(t, seen, "the segment fails", &seen.failed, 1)[0]
	released := has(t, seen, "the segment is released", &seen.released, 1)[0]
	var fault *segments.Fault
	if !errors.As(failed.Err, &fault) || released.Err == nil || failed.Position >= fault.Position ||
		released.Position != failed.Position {
		t.Errorf("failed is %+v, released %+v", failed, released)
	}
	if told := has(t, seen, "the deadlock is told", &seen.deadlocks, 1); !errors.Is(told[0].Err, store.ErrDeadlock) {
		t.Errorf("the deadlock is %+v", told)
	}
	s.away.Store(true)
	if away := has(t, seen, "the database is away", &seen.away, 1); away[0].Database != "database" ||
		!errors.Is(away[0].Err, store.ErrTransient) {
		t.Errorf("away is %+v", away)
	}
	s.away.Store(false)
	if back := has(t, seen, "the database is back", &seen.back, 1); back[0].After <= 0 {
		t.Errorf("back is %+v", back)
	}
	s.refuses.Store(true)
	worker.SetProgram(&ledger{code: "two", breaks: &atomic.Int64{}})
	if refused := has(t, seen, "the program is refused", &seen.refused, 1)[0]; refused.Source != "ledger two" ||
		refused.Err == nil || refused.Projection != ledgerID {
		t.Errorf("refused is %+v", refused)
	}
	worker.stop()
	if len(seen.away) != 1 || len(seen.back) != 1 || len(seen.refused) != 1 || seen.disorder > 0 {
		t.Errorf("told %d, %d and %d times, %d calls are out of order", len(seen.away), len(seen.back), len(seen.refused),
			seen.disorder)
	}
}
