package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var parkingCases = []testCase{
	{"a_commit_parks_and_notes", parkingCommit},
	{"a_refused_commit_parks_nothing", parkingRefused},
	{"notes_of_a_key_that_is_not_parked_are_refused", parkingNotParked},
	{"keys_are_limited", parkingMax},
	{"a_retry_applies_and_unparks", parkingRetry},
	{"a_retry_that_fails_keeps_what_it_has_done", parkingFails},
	{"a_retry_needs_the_claim_and_the_log", parkingFenced},
	{"what_is_due", parkingDue},
	{"orders_and_skips", parkingSkips},
	{"keys_are_found_by_segment_and_in_pages", parkingPages},
	{"a_reset_forgets_them", parkingReset},
	{"a_note_and_the_last_retry_see_each_other", parkingRace},
}

// park commits one position with parked keys and notes, and rows.
func (r *runner) park(commit store.Commit, mutations ...store.Mutation) error {
	r.Helper()
	r.handOut(r.claim.Position + 1)
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	commit.Through, commit.Log, commit.Steps = r.claim.Position+1, r.claim.Applied.Log, r.plan(mutations...)
	err := tx.Commit(r.ctx, commit)
	if err == nil {
		r.claim.Position++
	}
	return err
}

// parkAt parks a key at the next position.
func (r *runner) parkAt(key string) {
	r.Helper()
	r.must(r.park(r.parked(key)))
}

// parked is the commit that parks keys at the next position.
func (r *runner) parked(keys ...string) (commit store.Commit) {
	for _, key := range keys {
		commit.Parked = append(commit.Parked, store.NewParked{
			Key: []byte(key), Fault: store.ParkedFault{
				Position: r.claim.Position + 1, Event: store.UUID{1}, Error: "wrong: " + strings.Trim(key, "\xff\x00"), Attempts: 1,
				RetryAfter: time.Hour, Code: "code1",
			},
		})
		commit.Noted = append(commit.Noted, store.ParkedEvent{Key: []byte(key), Position: r.claim.Position + 1})
	}
	return commit
}

// note is the commit that notes the next position for a key.
func (r *runner) note(key string) store.Commit {
	return store.Commit{Noted: []store.ParkedEvent{{Key: []byte(key), Position: r.claim.Position + 1}}}
}

// retry applies events of a key up to the n-th position after the origin.
func (r *runner) retry(retry store.Retry, mutations ...store.Mutation) (unparked bool, err error) {
	r.Helper()
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	if retry.Log == (store.LogID{}) {
		retry.Log = r.claim.Applied.Log
	}
	retry.Steps = r.plan(mutations...)
	return tx.Retry(r.ctx, retry)
}

// keys returns what is parked, one key a line: key first-last events attempts error, positions relative to origin.
func (f *fixture) keys(request store.ParkedRequest) string {
	f.Helper()
	if request.Range == (store.HashRange{}) {
		request.Range = store.FullRange()
	}
	all, err := f.store.Parked(f.ctx, request)
	f.must(err)
	lines := make([]string, len(all))
	for i, k := range all {
		lines[i] = fmt.Sprintf("%s %d-%d %d %d %s", k.Key, k.First-f.origin, k.Last-f.origin, k.Events, k.Attempts, k.Error)
		if n := len(f.noted(k.ParkedID)); int64(n) != k.Events {
			f.Errorf("key %s has %d events and notes %d", k.Key, k.Events, n)
		}
	}
	return strings.Join(lines, "; ")
}

func (f *fixture) noted(id store.ParkedID) []int64 {
	f.Helper()
	positions, err := f.store.ParkedPositions(f.ctx, id.Projection, id.Key, 0, 1000)
	f.must(err)
	for i := range positions {
		positions[i] -= f.origin
	}
	return positions
}

func (f *fixture) wantKeys(want string) {
	f.Helper()
	if got := f.keys(store.ParkedRequest{}); got != want {
		f.Errorf("parked is %q, want %q", got, want)
	}
}

func parkingCommit(f *fixture) {
	r := f.running(totals("sums"))
	r.parkAt("k")
	f.must(r.park(r.note("k"), put("a", 1)))
	f.must(r.park(store.Commit{}, put("a", 1)))
	two := r.note("k")
	two.Parked = r.parked("l").Parked
	two.Noted = append(two.Noted, r.parked("l").Noted...)
	f.must(r.park(two))
	f.wantKeys("k 1-4 3 1 wrong: k; l 4-4 1 1 wrong: l")
	if got := f.noted(store.ParkedID{Projection: "sums", Key: []byte("k")}); !slices.Equal(got, []int64{1, 2, 4}) {
		f.Errorf("noted are %v", got)
	}
	some, err := f.store.ParkedPositions(f.ctx, "sums", []byte("k"), f.at(1), 1)
	f.must(err)
	if !slices.Equal(some, []int64{f.at(2)}) {
		f.Errorf("the first one behind position 1 is %v", some)
	}
	keys, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange(), Key: []byte("k")})
	f.must(err)
	k := keys[0]
	if k.Projection != "sums" || k.Event != (store.UUID{1}) || k.Order != "" || k.Due || len(keys) != 1 ||
		!k.NextAttempt.After(k.ParkedAt.Add(50*time.Minute)) {
		f.Errorf("the key is %+v of %d", k, len(keys))
	}
	if status := f.status("sums"); status.Parked != 2 || r.table() != "a 2" || r.position() != f.at(4) {
		f.Errorf("the status is %+v, the table %q", status, r.table())
	}
}

func parkingRefused(f *fixture) {
	r := f.running(actions())
	r.apply(mutate(actionsNew, store.I64(1), store.Null()))
	var rejection *store.RejectedError
	if err := r.park(r.parked("k"), mutate(actionsNew, store.I64(1), store.Null())); !errors.As(err, &rejection) {
		f.Errorf("a row that is there: %v", err)
	}
	stale := *r
	stale.claim.Epoch--
	if err := stale.park(r.parked("k")); !errors.Is(err, store.ErrFenced) {
		f.Errorf("a claim that is lost: %v", err)
	}
	f.wantKeys("")
	r.parkAt("k")
	f.wantKeys("k 2-2 1 1 wrong: k")
}

func parkingNotParked(f *fixture) {
	r := f.running(totals("sums"))
	r.parkAt("k")
	both := r.note("k")
	both.Noted = append(both.Noted, r.note("other").Noted...)
	before := r.position()
	if err := r.park(both, put("a", 1)); !errors.Is(err, store.ErrNotParked) {
		f.Errorf("got %v, want ErrNotParked", err)
	}
	if r.position() != before || r.table() != "" {
		f.Errorf("the table is %q at %d", r.table(), r.position())
	}
	f.wantKeys("k 1-1 1 1 wrong: k")
}

func parkingMax(f *fixture) {
	r := f.running(totals("sums"))
	full := r.parked("a", "b")
	full.ParkedMax = 2
	f.must(r.park(full))
	more := r.parked("c")
	more.ParkedMax = 2
	var limit *store.ParkedMaxError
	if err := r.park(more); !errors.As(err, &limit) || limit.Max != 2 || limit.Projection != "sums" {
		f.Errorf("got %v", err)
	}
	noted := r.note("a") // no new key
	noted.ParkedMax = 2
	f.must(r.park(noted))
	if got := f.status("sums").Parked; got != 2 {
		f.Errorf("%d keys are parked", got)
	}
}

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

func parkingSkips(f *fixture) {
	r := f.running(totals("sums"))
	r.parkAt("k")
	f.must(r.park(r.note("k")))
	for _, order := range []store.ParkedOrder{store.OrderRetry, store.OrderSkip} {
		f.must(f.store.Order(f.ctx, "sums", []byte("k"), order))
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
	skipped, err := f.store.Skipped(f.ctx, "sums", 0, 10)
	f.must(err)
	if len(skipped) != 2 || string(skipped[0].Key) != "k" || skipped[1].Position != f.at(3) ||
		skipped[0].Error != "wrong" || skipped[0].Event != (store.UUID{1}) || time.Since(skipped[0].SkippedAt).Abs() > time.Hour {
		f.Errorf("skipped are %+v", skipped)
	}
	if rest, err := f.store.Skipped(f.ctx, "sums", f.at(1), 1); err != nil || len(rest) != 1 || string(rest[0].Key) != "x" {
		f.Errorf("behind position 1: %+v, %v", rest, err)
	}
	var input *store.InputError
	for _, of := range []store.ParkedID{{Projection: "sums", Key: []byte("other")}, {Projection: "nothing", Key: []byte("k")}} {
		if err := f.store.Order(f.ctx, of.Projection, of.Key, store.OrderRetry); !errors.As(err, &input) {
			f.Errorf("an order for %v: %v", of, err)
		}
	}
}

func parkingPages(f *fixture) {
	r, other := f.running(totals("sums")), f.running(totals("other"))
	keys := []string{"", "a", "b", "\xff\x00binary", "c", "d", strings.Repeat("long", 256)}
	for _, key := range keys {
		r.parkAt(key)
	}
	other.parkAt("a")
	found := map[string]int{}
	for _, share := range store.SplitRange(4) {
		all, err := f.store.Parked(f.ctx, store.ParkedRequest{Projection: "sums", Range: share})
		f.must(err)
		for _, k := range all {
			if found[string(k.Key)]++; !share.Contains(store.PartitionHashOf(k.Key)) {
				f.Errorf("key %q is not in %v", k.Key, share)
			}
		}
	}
	if len(found) != len(keys) {
		f.Errorf("the ranges have %d keys, want %d", len(found), len(keys))
	}
	var after store.ParkedID
	for n := range len(keys) + 1 {
		page, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange(), After: after, Limit: 1})
		f.must(err)
		if len(page) != 1 || n > 0 && page[0].Projection == after.Projection && string(page[0].Key) <= string(after.Key) {
			f.Fatalf("page %d behind %v is %+v", n, after, page)
		}
		after = page[0].ParkedID
	}
	if rest, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange(), After: after}); err != nil || len(rest) != 0 {
		f.Errorf("behind the last one: %+v, %v", rest, err)
	}
}

func parkingReset(f *fixture) {
	r := f.running(totals("sums"))
	commit := r.parked("k")
	commit.Skipped = []store.SkippedEvent{{Key: []byte("x"), Position: f.at(1), Error: "wrong"}}
	f.must(r.park(commit))
	f.must(f.store.Leave(f.ctx, store.Worker{Name: worker}))
	f.must(f.store.Reset(f.ctx, "sums"))
	f.wantKeys("")
	if skipped, err := f.store.Skipped(f.ctx, "sums", 0, 10); err != nil || len(skipped) != 0 {
		f.Errorf("skipped are %+v, %v", skipped, err)
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
