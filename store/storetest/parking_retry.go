package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

func parkingRetry(f *fixture) {
	r := f.running(totals("sums"))
	r.parkAt("k")
	r.parkAt("other")
	f.must(r.park(r.note("k")))
	f.must(r.park(r.note("k")))
	before := r.position()
	unparked, err := r.retry(store.Retry{Key: []byte("k"), Through: f.at(3)}, put("k", 2))
	f.must(err)
	if unparked || r.table() != "k 2" {
		f.Errorf("unparked: %t, the table is %q", unparked, r.table())
	}
	f.wantKeys("k 4-4 1 0 wrong: k; other 2-2 1 1 wrong: other")
	if got := f.keys(store.ParkedRequest{Due: true}); !strings.HasPrefix(got, "k ") || strings.Contains(got, "other") {
		f.Errorf("due is %q, want what is left of k", got)
	}
	unparked, err = r.retry(store.Retry{Key: []byte("k"), Through: f.at(4)}, put("k", 1))
	f.must(err)
	if !unparked || r.table() != "k 3" || r.position() != before {
		f.Errorf("unparked: %t, the table is %q at %d", unparked, r.table(), r.position())
	}
	f.wantKeys("other 2-2 1 1 wrong: other")
	if _, err := r.retry(store.Retry{Key: []byte("k"), Through: f.at(4)}, put("k", 1)); !errors.Is(err, store.ErrNotParked) {
		f.Errorf("once more: %v, want ErrNotParked", err)
	}
	if r.table() != "k 3" {
		f.Errorf("the table is %q", r.table())
	}
	r.parkAt("k") // again, as if it had never been
	f.wantKeys("k 5-5 1 1 wrong: k; other 2-2 1 1 wrong: other")
}

func parkingFails(f *fixture) {
	r := f.running(totals("sums"))
	r.parkAt("k")
	for range 3 {
		f.must(r.park(r.note("k")))
	}
	unparked, err := r.retry(store.Retry{
		Key: []byte("k"), Through: f.at(2), Fault: &store.ParkedFault{
			Position: f.at(3), Event: store.UUID{3}, Error: "still wrong", Attempts: 7, RetryAfter: -1, Code: "code2",
		},
	}, put("k", 2))
	f.must(err)
	if unparked || r.table() != "k 2" {
		f.Errorf("unparked: %t, the table is %q", unparked, r.table())
	}
	f.wantKeys("k 3-4 2 7 still wrong")
	keys, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange(), Code: "code1"})
	f.must(err)
	if k := keys[0]; !k.NextAttempt.IsZero() || k.Due || k.Event != (store.UUID{3}) {
		f.Errorf("the key is %+v", k)
	}
	f.wantParked(1, 2, 1)
	r.parkAt("l")
	f.wantParked(2, 3, 1)
	f.must(f.store.Order(f.ctx, parkedID("k"), store.ActionRetry))
	f.wantParked(2, 3, 0)
}

// wantParked checks how many keys and events the status says are parked, and how many keys are not tried again.
func (f *fixture) wantParked(keys int, events int64, exhausted int) {
	f.Helper()
	status, err := f.store.Status(f.ctx)
	f.must(err)
	if s := status[0]; len(status) != 1 || s.Parked != keys || s.ParkedEvents != events || s.ParkedExhausted != exhausted {
		f.Errorf("%d keys and %d events are parked, %d exhausted", s.Parked, s.ParkedEvents, s.ParkedExhausted)
	}
}

func parkingFenced(f *fixture) {
	r := f.running(totals("sums"))
	r.parkAt("k")
	retry := store.Retry{Key: []byte("k"), Through: f.at(1)}
	for name, change := range map[string]func(c *store.Claim){
		"an older epoch":  func(c *store.Claim) { c.Epoch-- },
		"another worker":  func(c *store.Claim) { c.Worker = "worker-2" },
		"another segment": func(c *store.Claim) { c.Segment = 7 },
	} {
		stale := *r
		change(&stale.claim)
		if _, err := stale.retry(retry, put("k", 1)); !errors.Is(err, store.ErrFenced) {
			f.Errorf("%s: %v, want ErrFenced", name, err)
		}
	}
	retry.Log = store.LogID{ID: store.UUID{9}}
	if _, err := r.retry(retry, put("k", 1)); !errors.Is(err, store.ErrOtherLog) {
		f.Errorf("another log: %v, want ErrOtherLog", err)
	}
	f.wantKeys("k 1-1 1 1 wrong: k")
	retry.Log = store.LogID{}
	stale := *r // the checkpoint may move meanwhile
	r.apply(put("a", 1))
	if unparked, err := stale.retry(retry, put("k", 1)); err != nil || !unparked || r.table() != "a 1; k 1" {
		f.Errorf("from an earlier position: %t, %v; the table is %q", unparked, err, r.table())
	}
}

func parkingDue(f *fixture) {
	r := f.running(totals("sums"))
	r.parkAt("k")
	for code, want := range map[string]bool{"": false, "code1": false, "code2": true} {
		if due := f.keys(store.ParkedRequest{Code: code, Due: true}) != ""; due != want {
			f.Errorf("with code %q it is due: %t", code, due)
		}
	}
	fault := store.ParkedFault{Position: f.at(1), Error: "wrong", Attempts: 2, RetryAfter: time.Hour}
	for i := range store.TriedMax + 3 {
		fault.Code = fmt.Sprint("next", i)
		_, err := r.retry(store.Retry{Key: []byte("k"), Fault: &fault})
		f.must(err)
	}
	for i := range store.TriedMax + 3 {
		forgotten := i < 3
		if due := f.keys(store.ParkedRequest{Code: fmt.Sprint("next", i), Due: true}) != ""; due != forgotten {
			f.Errorf("with the code of try %d it is due: %t", i, due)
		}
	}
	fault.RetryAfter = 0
	_, err := r.retry(store.Retry{Key: []byte("k"), Fault: &fault})
	f.must(err)
	f.await("its time comes", func() bool { return f.keys(store.ParkedRequest{Code: fault.Code, Due: true}) != "" })
}

// parkingDueByTime asks for keys that are due in the way that a host asks every second, and as it asks with code that
// all of them were tried with.
func parkingDueByTime(f *fixture) {
	r, other := f.running(totals("sums")), f.running(totals("other"))
	var due []string
	for i, key := range []string{"", "at once", "binary\xff\x00", "ordered", "never", "never, ordered", "later", "soon"} {
		commit := r.parked(key)
		commit.Parked[0].Fault.RetryAfter = []time.Duration{0, 0, 0, time.Hour, -1, -1, time.Hour, 0}[i]
		f.must(r.park(commit))
		if key == "ordered" || key == "never, ordered" {
			f.must(f.store.Order(f.ctx, parkedID(key), store.ActionRetry))
		}
		if key != "never" && key != "later" {
			due = append(due, key)
		}
	}
	commit := other.parked("of another projection")
	commit.Parked[0].Fault.RetryAfter = 0
	f.must(other.park(commit))
	slices.Sort(due)
	ask := func(request store.ParkedRequest) (keys []string) {
		request.Projection, request.Due = sumsID, true
		all, err := f.store.Parked(f.ctx, request)
		f.must(err)
		for _, k := range all {
			if keys = append(keys, string(k.Key)); !k.Due || k.Error == "" || len(k.Tried) != 1 {
				f.Errorf("the key is %+v", k)
			}
		}
		return keys
	}
	full := store.FullRange()
	f.await("their time comes", func() bool { return len(ask(store.ParkedRequest{Range: full})) == len(due) })
	requests := []store.ParkedRequest{{Range: full}, {Range: full, Limit: 3}, {Range: full, Limit: 100}}
	for _, share := range store.SplitRange(4) {
		requests = append(requests, store.ParkedRequest{Range: share})
	}
	for _, key := range append(due, "later") {
		requests = append(requests, store.ParkedRequest{Range: full, After: parkedID(key), Limit: 2})
	}
	for _, request := range requests {
		got := ask(request)
		request.Code = "code1"
		if want := ask(request); !slices.Equal(got, want) {
			f.Errorf("due are %q, must be %q by %+v", got, want, request)
		}
	}
	if got := ask(store.ParkedRequest{Range: full}); !slices.Equal(got, due) {
		f.Errorf("due are %q, must be %q", got, due)
	}
}

func parkingSkips(f *fixture) {
	r := f.running(totals("sums"))
	r.parkAt("k")
	f.must(r.park(r.note("k")))
	for _, order := range []store.ParkedAction{store.ActionRetry, store.ActionSkip} {
		f.must(f.store.Order(f.ctx, parkedID("k"), order))
		keys, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange(), Code: "code1", Due: true})
		f.must(err)
		if len(keys) != 1 || keys[0].Order != order {
			f.Fatalf("after %s the key is %+v", order, keys)
		}
	}
	_, err := r.retry(store.Retry{
		Key: []byte("k"), Through: f.at(1),
		Skipped: []store.SkippedEvent{{Key: []byte("k"), Position: f.at(1), Event: store.UUID{1}, Error: "wrong"}},
	})
	f.must(err)
	passed := store.Commit{Skipped: []store.SkippedEvent{
		{Key: []byte("x"), Position: f.at(3), Event: store.UUID{3}, Error: "by the way"},
	}}
	f.must(r.park(passed))
	f.wantKeys("k 2-2 1 0 wrong: k")
	skipped, err := f.store.Skipped(f.ctx, sumsID, 0, 10)
	f.must(err)
	if len(skipped) != 2 || string(skipped[0].Key) != "k" || skipped[1].Position != f.at(3) ||
		skipped[0].Error != "wrong" || skipped[0].Event != (store.UUID{1}) || time.Since(skipped[0].SkippedAt).Abs() > time.Hour {
		f.Errorf("skipped are %+v", skipped)
	}
	if rest, err := f.store.Skipped(f.ctx, sumsID, f.at(1), 1); err != nil || len(rest) != 1 || string(rest[0].Key) != "x" {
		f.Errorf("behind position 1: %+v, %v", rest, err)
	}
	var input *store.InputError
	for _, of := range []store.ParkedID{
		parkedID("other"),
		{Projection: store.ProjectionID{Name: "nothing", Version: 1}, Key: []byte("k")},
		{Projection: store.ProjectionID{Name: "sums", Version: 2}, Key: []byte("k")},
	} {
		if err := f.store.Order(f.ctx, of, store.ActionRetry); !errors.As(err, &input) {
			f.Errorf("an order for %v: %v", of, err)
		}
	}
}

// parkingOrders gives orders while the key is tried.
func parkingOrders(f *fixture) {
	r := f.running(totals("sums"))
	r.parkAt("k")
	for range 3 {
		f.must(r.park(r.note("k")))
	}
	order := func(order store.ParkedAction) { f.must(f.store.Order(f.ctx, parkedID("k"), order)) }
	fails := func(at, seen int64) {
		_, err := r.retry(store.Retry{Key: []byte("k"), Through: f.at(at) - 1, Orders: seen, Fault: &store.ParkedFault{
			Position: f.at(at), Error: "wrong", Attempts: 2, RetryAfter: -1, Code: "code1",
		}})
		f.must(err)
	}
	want := func(when string, order store.ParkedAction, orders int64) {
		keys, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange(), Code: "code1"})
		f.must(err)
		if k := keys[0]; k.Order != order || k.Orders != orders || k.Due != (order != "") {
			f.Errorf("%s: the key is %+v, want order %q, of %d", when, k, order, orders)
		}
	}
	order(store.ActionRetry)
	order(store.ActionRetry)
	want("ordered twice", store.ActionRetry, 2)
	fails(1, 1)
	want("tried after the first one", store.ActionRetry, 2)
	fails(1, 2)
	want("tried after both", "", 2)
	order(store.ActionSkip)
	fails(1, 2)
	want("the event to skip has failed", store.ActionSkip, 3)
	fails(2, 2)
	want("the event to skip was applied", "", 3)
	order(store.ActionRetry)
	fails(3, 3)
	want("another event has failed", store.ActionRetry, 4)
	order(store.ActionSkip)
	_, err := r.retry(store.Retry{Key: []byte("k"), Through: f.at(3), Orders: 4})
	f.must(err)
	keys, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange()})
	f.must(err)
	if k := keys[0]; k.Order != "" || k.First != f.at(4) {
		f.Errorf("an event was applied that was to be skipped: the key is %+v", k)
	}
}

// parkingRace lets a commit note one more event of a key while a retry applies the last one that is noted: the
// event is either noted before, and the key stays parked, or the commit is refused.
func parkingRace(f *fixture) {
	r := f.running(totals("sums"))
	for round := range 20 {
		r.parkAt("k")
		noting := *r
		first := r.claim.Position
		r.handOut(first + 1)
		var unparked bool
		errs := concurrently([]store.Store{f.store, f.store}, func(i int, _ store.Store) (err error) {
			if i == 0 {
				unparked, err = r.retry(store.Retry{Key: []byte("k"), Through: first}, put("k", 1))
				return err
			}
			return noting.park(noting.note("k"))
		})
		f.must(errs[0])
		switch {
		case errors.Is(errs[1], store.ErrNotParked) && unparked:
		case errs[1] == nil && !unparked:
			r.claim = noting.claim
			_, err := r.retry(store.Retry{Key: []byte("k"), Through: r.claim.Position}, put("k", 0))
			f.must(err)
		default:
			f.Fatalf("round %d: the commit returns %v, unparked: %t", round, errs[1], unparked)
		}
		f.wantKeys("")
		if got := r.table(); got != fmt.Sprint("k ", round+1) {
			f.Fatalf("round %d: the table is %q", round, got)
		}
	}
}
