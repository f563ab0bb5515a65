package storetest

import (
	"errors"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

var resetCases = []testCase{
	{"starts_anew", resetAnew},
	{"another_version_may_follow", resetVersion},
	{"a_live_owner_refuses", resetOwned},
	{"an_owner_without_a_lease_does_not", resetExpired},
	{"an_unknown_projection", resetUnknown},
	{"a_claim_from_before_is_fenced", resetFences},
}

func resetAnew(f *fixture) {
	other := f.runningOn(f.store, totals("other"), "worker-2")
	other.apply(mutate(totalsPut, store.Text("kept"), store.I64(1)))
	r := f.running(totals("sums"))
	r.fill()
	f.must(f.store.Release(f.ctx, r.claim))
	f.must(f.store.Reset(f.ctx, "sums"))
	all, err := f.store.Status(f.ctx)
	f.must(err)
	if len(all) != 1 || all[0].Name != "other" {
		f.Errorf("status is %+v", all)
	}
	r = f.running(totals("sums"))
	if r.claim.Position != f.origin || r.table() != "" {
		f.Errorf("it starts at %d with %q", r.claim.Position, r.table())
	}
	if got := other.table(); got != "kept 1" {
		f.Errorf("the other projection has %q", got)
	}
	other.apply(mutate(totalsPut, store.Text("kept"), store.I64(1)))
}

func resetVersion(f *fixture) {
	_, err := f.store.Install(f.ctx, totals("sums"), 2)
	f.must(err)
	f.must(f.store.Reset(f.ctx, "sums"))
	next := totals("sums")
	next.Version = 2
	next.Tables[0].Columns[1].Type = typed("numeric")
	next.Writes, next.Queries = nil, nil
	_, err = f.store.Install(f.ctx, next, 3)
	f.must(err)
	if got := f.status("sums"); got.Version != 2 || len(got.Segments) != 3 {
		f.Errorf("status is %+v", got)
	}
}

func resetOwned(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	err := f.store.Reset(f.ctx, "sums")
	var input *store.InputError
	if !errors.As(err, &input) || !strings.Contains(err.Error(), worker) || !strings.Contains(err.Error(), "sums") {
		f.Errorf("got %v", err)
	}
	if got := r.table(); got != "a 1; b 2; c 3" {
		f.Errorf("the table is %q", got)
	}
	r.apply(mutate(totalsPut, store.Text("a"), store.I64(1)))
}

func resetExpired(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	f.expire(worker)
	f.must(f.store.Reset(f.ctx, "sums"))
}

func resetUnknown(f *fixture) {
	var input *store.InputError
	if err := f.store.Reset(f.ctx, "nothing"); !errors.As(err, &input) || !strings.Contains(err.Error(), "nothing") {
		f.Errorf("got %v", err)
	}
}

func resetFences(f *fixture) {
	r := f.running(totals("sums"))
	r.fill()
	f.expire(worker)
	f.must(f.store.Reset(f.ctx, "sums"))
	if err := r.commit(mutate(totalsPut, store.Text("a"), store.I64(1))); !errors.Is(err, store.ErrFenced) {
		f.Errorf("after the reset: %v", err)
	}
	_, err := f.store.Install(f.ctx, totals("sums"), 1)
	f.must(err)
	r.wantFenced("after the next install", r.claim)
}
