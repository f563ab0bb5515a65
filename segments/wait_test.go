package segments_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// waiting is a store with a projection to wait for, and what the one who waits has seen of it.
type waiting struct {
	*testing.T
	store.Store
	polls chan struct{} // one for each poll
	fails atomic.Int64  // so many polls fail for a transient reason
	fault error         // every poll fails, for good
	ctx   context.Context
	stop  context.CancelFunc
}

func newWaiting(t *testing.T) *waiting {
	t.Helper()
	w := &waiting{T: t, Store: logtest.New(t), polls: make(chan struct{})}
	w.ctx, w.stop = context.WithTimeout(t.Context(), testwait.Patience)
	t.Cleanup(w.stop)
	return w
}

// Status is that of the store, except for the errors that the test wants.
func (w *waiting) Status(ctx context.Context, only ...string) ([]store.ProjectionStatus, error) {
	select {
	case w.polls <- struct{}{}:
	case <-ctx.Done():
	}
	if w.fault != nil {
		return nil, w.fault
	}
	if w.fails.Add(-1) >= 0 {
		return nil, fmt.Errorf("the server is away: %w", store.ErrTransient)
	}
	return w.Store.Status(ctx, only...)
}

// wait waits for a position of the projection.
func (w *waiting) wait(position int64) <-chan error {
	result := make(chan error, 1)
	go func() { result <- segments.WaitForPosition(w.ctx, w, w, "sums", position) }()
	return result
}

// stillWaits lets the waiter poll once, and see the end of it in the next poll.
func (w *waiting) stillWaits(result <-chan error) {
	w.Helper()
	for range 2 {
		select {
		case <-w.polls:
		case err := <-result:
			w.Fatalf("the wait is over too early, with %v", err)
		}
	}
}

// result lets it poll until it is content.
func (w *waiting) result(result <-chan error) error {
	for {
		select {
		case <-w.polls:
		case err := <-result:
			return err
		}
	}
}

// install installs the projection in two segments and claims them.
func (w *waiting) install() (store.Catalogue, []store.Claim) {
	w.Helper()
	p := &store.Projection{Name: "sums", Version: 1, Tables: []store.Table{{
		Name: "total", Key: []string{"n"}, Columns: []store.Column{{Name: "n", Type: store.Type{Kind: store.KindI64}}},
	}}}
	catalogue, err := w.Install(w.ctx, p, 2)
	if err == nil {
		err = w.Heartbeat(w.ctx, store.Worker{Name: "w"}, time.Hour)
	}
	if err == nil {
		_, err = w.Append(w.ctx, store.AppendOptions{}, noted("a", "b", "c", "d", "e"))
	}
	if err != nil {
		w.Fatal(err)
	}
	return catalogue, w.claim()
}

func (w *waiting) claim() []store.Claim {
	w.Helper()
	claims, err := w.Claim(w.ctx, store.ClaimRequest{
		Projection: store.ProjectionID{Name: "sums", Version: 1}, Worker: "w",
		Limit: 9,
	})
	if err != nil {
		w.Fatal(err)
	}
	return claims
}

func (w *waiting) reshard(change func(*store.Layout) error) {
	w.Helper()
	if err := w.Reshard(w.ctx, store.ProjectionID{Name: "sums", Version: 1}, change); err != nil {
		w.Fatal(err)
	}
}

func (w *waiting) move(catalogue store.Catalogue, claim *store.Claim, through int64) {
	w.Helper()
	tx := catalogue.Begin(*claim)
	defer tx.Rollback()
	if err := tx.Commit(w.ctx, store.Commit{Through: through, Log: claim.Applied.Log}); err != nil {
		w.Fatal(err)
	}
	claim.Position = through
}

func TestWaitForPosition_waitsForEverySegment(t *testing.T) {
	t.Parallel()
	w := newWaiting(t)
	result := w.wait(3)
	w.stillWaits(result) // there is no such projection
	catalogue, claims := w.install()
	w.stillWaits(result)
	w.move(catalogue, &claims[0], 5)
	w.move(catalogue, &claims[1], 2)
	w.stillWaits(result)
	w.move(catalogue, &claims[1], 3)
	if err := w.result(result); err != nil {
		t.Error(err)
	}
	if err := w.result(w.wait(3)); err != nil {
		t.Errorf("what is there already: %v", err)
	}
}

func TestWaitForPosition_aFailureBehindEndsIt(t *testing.T) {
	t.Parallel()
	w := newWaiting(t)
	catalogue, claims := w.install()
	w.move(catalogue, &claims[0], 3)
	w.move(catalogue, &claims[1], 4)
	result := w.wait(4)
	w.stillWaits(result)
	if err := w.Fail(w.ctx, claims[1], "event 5 is bad"); err != nil {
		t.Fatal(err)
	}
	w.stillWaits(result) // that one is there
	if err := w.Fail(w.ctx, claims[0], "event 4 is bad"); err != nil {
		t.Fatal(err)
	}
	var failed *segments.FailedError
	want := segments.FailedError{Projection: "sums", Segment: 0, Position: 3, Reason: "event 4 is bad"}
	if err := w.result(result); !errors.As(err, &failed) || *failed != want {
		t.Errorf("got %v", err)
	}
	if err := w.result(w.wait(3)); err != nil {
		t.Errorf("a position that it came to: %v", err)
	}
}

func TestFailedError_tellsVersionsApart(t *testing.T) {
	t.Parallel()
	err := &segments.FailedError{Projection: "sums", Segment: 1, Position: 3, Reason: "event 4 is bad"}
	if got := err.Error(); got != "projection sums, segment 1 stopped after position 3: event 4 is bad" {
		t.Errorf("alone it says %s", got)
	}
	err.Version = 2
	if got := err.Error(); got != "projection sums version 2, segment 1 stopped after position 3: event 4 is bad" {
		t.Errorf("beside another version it says %s", got)
	}
}

func TestWaitForPosition_passesOverWhatPasses(t *testing.T) {
	t.Parallel()
	w := newWaiting(t)
	w.install()
	w.fails.Store(3)
	if err := w.result(w.wait(0)); err != nil {
		t.Error(err)
	}
	if left := w.fails.Load(); left >= 0 {
		t.Errorf("%d failures are left", left)
	}
	w.fault = store.ErrNotMigrated
	if err := w.result(w.wait(0)); !errors.Is(err, store.ErrNotMigrated) {
		t.Errorf("got %v", err)
	}
}

// TestWaitForPosition_splitsAndMerges has the layout change during the wait: at the barrier of a merge it is not over.
func TestWaitForPosition_splitsAndMerges(t *testing.T) {
	t.Parallel()
	w := newWaiting(t)
	catalogue, claims := w.install()
	w.move(catalogue, &claims[0], 2)
	result := w.wait(4)
	w.stillWaits(result)
	w.reshard(func(l *store.Layout) error { return l.Resize(4) })
	w.stillWaits(result)
	w.reshard(func(l *store.Layout) error { return l.Resize(1) })
	for _, claim := range w.claim() {
		w.move(catalogue, &claim, claim.MergeAt)
	}
	w.stillWaits(result)
	w.reshard(func(l *store.Layout) error { l.CompleteMerges(); return nil })
	claims = w.claim()
	if len(claims) != 1 || claims[0].Position != 2 {
		t.Fatalf("claims are %+v", claims)
	}
	w.move(catalogue, &claims[0], 4)
	if err := w.result(result); err != nil {
		t.Error(err)
	}
}

func TestWaitForPosition_endsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWaiting(t)
	w.install()
	result := w.wait(9)
	w.stillWaits(result)
	w.stop()
	if err := w.result(result); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestWait_forWhatNobodyRuns has a wait begin for a projection that is not known, then refused, then known, and
// never run.
func TestWait_forWhatNobodyRuns(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	refused := store.Refusal{Projection: store.ProjectionID{Name: "sums", Version: 3}, Reason: "it does not fit"}
	wait := func(grace time.Duration) *segments.NotRunError {
		t.Helper()
		told := 0
		err := segments.Wait{
			Projection: "sums", Position: 1, Grace: grace, NotRun: func(*segments.NotRunError) { told++ },
		}.For(t.Context(), s, s)
		var notRun *segments.NotRunError
		if !errors.As(err, &notRun) {
			t.Fatalf("the wait ends with %v", err)
		}
		if want := min(max(grace, 0), 1); told != int(want) {
			t.Errorf("with a grace of %s it was told %d times", grace, told)
		}
		return notRun
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if e := wait(10 * time.Millisecond); e.Known || e.Refusal != nil {
		t.Errorf("before all it is %+v", e)
	}
	must(s.Heartbeat(t.Context(), store.Worker{Name: "w", Refused: []store.Refusal{refused}}, time.Hour))
	if e := wait(-1); e.Known || e.Worker != "w" || *e.Refusal != refused {
		t.Errorf("refused it is %+v", e)
	}
	must(s.Leave(t.Context(), store.Worker{Name: "w"}))
	_, err := s.Install(t.Context(), &store.Projection{Name: "sums", Version: 1}, 2)
	must(err)
	if e := wait(10 * time.Millisecond); !e.Known || e.Refusal != nil {
		t.Errorf("when nobody runs it, it is %+v", e)
	}
	// Who runs it is waited for, though the segments are not claimed yet.
	must(s.Heartbeat(t.Context(), store.Worker{Name: "w", Projections: []store.Membership{{ProjectionID: store.ProjectionID{Name: "sums", Version: 1}}}},
		time.Hour))
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	err = segments.Wait{Projection: "sums", Position: 1, Grace: -1}.For(ctx, s, s)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait for what is run ends with %v", err)
	}
}
