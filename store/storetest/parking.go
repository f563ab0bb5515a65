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
	{"what_is_due_by_time_or_order", parkingDueByTime},
	{"orders_and_skips", parkingSkips},
	{"an_order_that_a_retry_has_not_seen_stays", parkingOrders},
	{"keys_are_found_by_segment_and_in_pages", parkingPages},
	{"a_reset_forgets_them", parkingReset},
	{"a_note_and_the_last_retry_see_each_other", parkingRace},
	{"somebody_is_told_once", parkingAlerts},
	{"each_alert_is_claimed_once", parkingAlertRace},
}

func parkedID(key string) store.ParkedID { return store.ParkedID{Projection: sumsID, Key: []byte(key)} }

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
				Position: r.claim.Position + 1, Event: store.UUID{1}, Error: "wrong: " + strings.ReplaceAll(strings.ToValidUTF8(key, ""), "\x00", ""), Attempts: 1,
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
	positions, err := f.store.ParkedPositions(f.ctx, id, 0, 1000)
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
	if got := f.noted(parkedID("k")); !slices.Equal(got, []int64{1, 2, 4}) {
		f.Errorf("noted are %v", got)
	}
	some, err := f.store.ParkedPositions(f.ctx, parkedID("k"), f.at(1), 1)
	f.must(err)
	if !slices.Equal(some, []int64{f.at(2)}) {
		f.Errorf("the first one behind position 1 is %v", some)
	}
	keys, err := f.store.Parked(f.ctx, store.ParkedRequest{Range: store.FullRange(), Key: []byte("k")})
	f.must(err)
	k := keys[0]
	if !slices.Equal(k.Tried, []string{"code1"}) {
		f.Errorf("it was tried with %v", k.Tried)
	}
	if k.Projection != sumsID || k.Event != (store.UUID{1}) || k.Order != "" || k.Due || len(keys) != 1 ||
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

func parkingPages(f *fixture) {
	r, other := f.running(totals("sums")), f.running(totals("other"))
	keys := []string{"", "a", "b", "\xff\x00binary", "c", "d", strings.Repeat("long", 256)}
	for _, key := range keys {
		r.parkAt(key)
	}
	other.parkAt("a")
	found := map[string]int{}
	for _, share := range store.SplitRange(4) {
		all, err := f.store.Parked(f.ctx, store.ParkedRequest{Projection: sumsID, Range: share})
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
	if skipped, err := f.store.Skipped(f.ctx, sumsID, 0, 10); err != nil || len(skipped) != 0 {
		f.Errorf("skipped are %+v, %v", skipped, err)
	}
}
