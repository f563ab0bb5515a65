package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

var commitsCases = []testCase{
	{"each_goes_on_where_the_one_before_ends", commitsInARow},
	{"behind_a_refused_one_none_passes", commitsBehindARefusal},
	{"behind_a_lost_claim_none_passes", commitsBehindALostClaim},
	{"behind_one_that_was_not_sent_none_passes", commitsBehindAGap},
	{"what_nobody_waits_for_does_no_harm", commitsDropped},
	{"a_wait_that_is_ended_leaves_the_store_usable", commitsCancelled},
}

// makeCommit makes one commit by itself.
type makeCommit func(ctx context.Context, catalogue store.Catalogue, claim store.Claim, through int64, steps []store.Step) error

// inAUnit commits by a unit of work.
func inAUnit(ctx context.Context, catalogue store.Catalogue, claim store.Claim, through int64, steps []store.Step) error {
	tx := catalogue.Begin(claim)
	defer tx.Rollback()
	return tx.Commit(ctx, through, steps)
}

// inARow commits as the first of several in a row.
func inARow(ctx context.Context, catalogue store.Catalogue, claim store.Claim, through int64, steps []store.Step) error {
	commits := catalogue.Commits(claim)
	defer commits.Close()
	if err := commits.Send(ctx, claim.Position, through, steps); err != nil {
		return err
	}
	return commits.Wait(ctx)
}

// committedInARow runs cases with commits in a row.
func committedInARow(cases []testCase) []testCase {
	changed := make([]testCase, len(cases))
	for i, c := range cases {
		changed[i] = testCase{c.name, func(f *fixture) {
			f.commit = inARow
			c.run(f)
		}}
	}
	return changed
}

// plan makes the steps of mutations, which stay as they are.
func (r *runner) plan(mutations ...store.Mutation) []store.Step {
	return store.NewFolder(r.projection).Fold(mutations)
}

func put(name string, n int64) store.Mutation {
	return mutate(totalsPut, store.Text(name), store.I64(n))
}

// commitsInARow sends from one goroutine and waits in another, with pauses in which nothing is under way.
func commitsInARow(f *fixture) {
	r := f.running(totals("sums"))
	commits := r.catalogue.Commits(r.claim)
	defer commits.Close()
	const rounds, inARound = 5, 20
	for range rounds {
		sent := make(chan error, 1)
		var group sync.WaitGroup
		group.Go(func() {
			defer close(sent)
			for range inARound {
				r.claim.Position++
				sent <- commits.Send(f.ctx, r.claim.Position-1, r.claim.Position, r.plan(put("a", 1), put("b", 2)))
			}
		})
		for err := range sent {
			if err == nil {
				err = commits.Wait(f.ctx)
			}
			if err != nil {
				f.Error(err)
			}
		}
		group.Wait()
	}
	if want := fmt.Sprintf("a %d; b %d", rounds*inARound, 2*rounds*inARound); r.table() != want || r.position() != rounds*inARound {
		f.Errorf("the table is %q at %d, want %q at %d", r.table(), r.position(), want, rounds*inARound)
	}
}

// sendThree sends three commits, the second of which is refused, and returns what comes of the second.
func (r *runner) sendThree(commits store.Commits, second ...store.Mutation) error {
	r.Helper()
	from := r.claim.Position
	r.must(commits.Send(r.ctx, from, from+1, r.plan(put("a", 1))))
	r.must(commits.Send(r.ctx, from+1, from+2, r.plan(second...)))
	r.must(commits.Send(r.ctx, from+2, from+3, r.plan(put("c", 1))))
	r.must(commits.Wait(r.ctx))
	r.claim.Position = from + 1
	return commits.Wait(r.ctx)
}

func commitsBehindARefusal(f *fixture) {
	r := f.running(totals("sums"))
	for range 3 { // what the first time has left on the connection must not matter
		commits := r.catalogue.Commits(r.claim)
		before := r.position()
		err := r.sendThree(commits, put("b", 1), mutate(totalsFail, store.Text("a"), store.I64(1)))
		var rejection *store.RejectedError
		if !errors.As(err, &rejection) || rejection.Statement != `write "fail"` {
			f.Fatalf("the second is %v, must be refused by name", err)
		}
		commits.Close()
		if r.position() != before+1 {
			f.Fatalf("the checkpoint is at %d, want %d", r.position(), before+1)
		}
	}
	if r.table() != "a 3" {
		f.Errorf("the table is %q", r.table())
	}
	r.apply(put("a", 1))
}

func commitsBehindALostClaim(f *fixture) {
	r := f.running(totals("sums"))
	commits := r.catalogue.Commits(r.claim)
	defer commits.Close()
	f.must(commits.Send(f.ctx, 0, 1, r.plan(put("a", 1))))
	f.must(commits.Wait(f.ctx))
	f.must(f.store.Release(f.ctx, r.claim))
	f.must(commits.Send(f.ctx, 1, 2, r.plan(put("a", 10))))
	f.must(commits.Send(f.ctx, 2, 3, r.plan(put("a", 100))))
	if err := commits.Wait(f.ctx); !errors.Is(err, store.ErrFenced) {
		f.Errorf("got %v, want ErrFenced", err)
	}
	if r.table() != "a 1" || r.position() != 1 {
		f.Errorf("the table is %q at %d", r.table(), r.position())
	}
}

func commitsBehindAGap(f *fixture) {
	r := f.running(totals("sums"))
	refused := func(commits store.Commits, after int64) {
		f.Helper()
		f.must(commits.Send(f.ctx, after, after+1, r.plan(put("a", 10))))
		f.must(commits.Send(f.ctx, after+1, after+2, r.plan(put("a", 100))))
		if err := commits.Wait(f.ctx); !errors.Is(err, store.ErrFenced) {
			f.Errorf("got %v, want ErrFenced", err)
		}
		commits.Close()
	}
	refused(r.catalogue.Commits(r.claim), 1) // the first of a row was not sent
	commits := r.catalogue.Commits(r.claim)
	f.must(commits.Send(f.ctx, 0, 1, r.plan(put("a", 1))))
	f.must(commits.Wait(f.ctx))
	refused(commits, 2)
	if r.table() != "a 1" || r.position() != 1 {
		f.Errorf("the table is %q at %d", r.table(), r.position())
	}
}

func commitsDropped(f *fixture) {
	r := f.running(totals("sums"))
	for round := range 3 {
		commits := r.catalogue.Commits(r.claim)
		f.must(commits.Send(f.ctx, r.claim.Position, r.claim.Position+1, r.plan(put("a", 1))))
		f.must(commits.Send(f.ctx, r.claim.Position+1, r.claim.Position+2, r.plan(put("a", 1))))
		commits.Close()
		// They may have arrived: the checkpoint tells.
		r.claim.Position = r.position()
		if want := fmt.Sprintf("a %d", r.claim.Position); r.claim.Position > 0 && r.table() != want {
			f.Fatalf("round %d: the table is %q at %d", round, r.table(), r.claim.Position)
		}
	}
}

func commitsCancelled(f *fixture) {
	r := f.running(totals("sums"))
	for range 3 {
		ctx, cancel := context.WithCancel(f.ctx)
		commits := r.catalogue.Commits(r.claim)
		f.must(commits.Send(f.ctx, r.claim.Position, r.claim.Position+1, r.plan(put("a", 1))))
		f.must(commits.Send(f.ctx, r.claim.Position+1, r.claim.Position+2, r.plan(put("a", 1))))
		cancel()
		if err := commits.Wait(ctx); err != nil && !errors.Is(err, context.Canceled) {
			f.Errorf("got %v, want the end of the context, or nothing", err)
		}
		commits.Close()
		f.await("until what was under way has ended", func() bool {
			r.claim.Position = r.position()
			return r.commit(put("a", 1)) == nil
		})
	}
	if want := fmt.Sprintf("a %d", r.position()); r.table() != want {
		f.Errorf("the table is %q at %d", r.table(), r.position())
	}
}
