package storetest

import (
	"bytes"
	"errors"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

func versionRetired(f *fixture) {
	runners := f.beside(1, 2, 3)
	f.must(f.store.Release(f.ctx, runners[2].claim))
	f.must(f.store.Retire(f.ctx, sumsOf(3)))
	f.wantStages("1 live, 2 candidate")
	if f.exists(f.storedAs("sums", 3, "total")) || !f.exists(f.storedAs("sums", 2, "total")) {
		f.Error("the tables of another version went, or its own did not")
	}
	if err := runners[2].commit(put("of", 1)); !errors.Is(err, store.ErrFenced) {
		f.Errorf("a commit of a version that is gone: %v", err)
	}
	f.promote(2)
	f.must(f.store.Retire(f.ctx, sumsOf(1))) // a worker has it still, which cannot begin it again
	f.wantStages("2 live")
	if err := runners[0].commit(put("of", 1)); !errors.Is(err, store.ErrFenced) {
		f.Errorf("a commit of a version that is gone: %v", err)
	}
	_, err := f.store.Rollback(f.ctx, "sums")
	f.wantInput("the version before is gone", err, "nothing to go back to")
	f.wantCatalogueError("it does not come back", sums(1), "version 2 live")
	runners[1].apply(put("of", 1))
	if got := f.view("sums", "total"); got != "of 3" {
		f.Errorf("readers see %q", got)
	}
	again := f.runningOn(f.store, sums(3), "worker-3") // a candidate may come again
	if again.table() != "" || again.claim.Position != f.origin {
		f.Errorf("the candidate begins at %d with %q", again.claim.Position, again.table())
	}
}

func versionNotRetired(f *fixture) {
	f.wantInput("nothing is installed", f.store.Retire(f.ctx, sumsOf(1)), "is not known")
	runners := f.beside(1, 2)
	f.wantInput("the live one", f.store.Retire(f.ctx, sumsOf(1)), "version 1 of projection sums", "is live")
	f.wantInput("one that is not there", f.store.Retire(f.ctx, sumsOf(9)), "has no version 9: it has 1, 2")
	f.wantInput("a candidate that runs", f.store.Retire(f.ctx, sumsOf(2)), "worker-2", "out of the folder")
	f.wantStages("1 live, 2 candidate")
	runners[1].apply(put("of", 1))
	f.must(f.store.Release(f.ctx, runners[1].claim))
	f.must(f.store.Heartbeat(f.ctx, store.Worker{
		Name: "worker-2", Projections: []store.Membership{{ProjectionID: sumsOf(2)}},
	}, time.Hour))
	f.wantInput("a candidate of which its host has no segment", f.store.Retire(f.ctx, sumsOf(2)), "worker-2")
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: "worker-2"}, time.Hour))
	f.must(f.store.Retire(f.ctx, sumsOf(2)))
}

func versionRetiredBetween(f *fixture) {
	f.beside(1, 2, 3)
	f.promote(2)
	f.promote(3)
	f.must(f.store.Retire(f.ctx, sumsOf(2)))
	f.wantStages("1 replaced, 3 live")
	f.rollback(3, 1)
}

func versionReset(f *fixture) {
	runners := f.beside(1, 2)
	f.wantInput("while a candidate runs", f.store.Reset(f.ctx, "sums"), "is run by worker worker-")
	f.must(f.store.Release(f.ctx, runners[0].claim))
	f.wantInput("while a candidate runs", f.store.Reset(f.ctx, "sums"), "is run by worker worker-2")
	f.must(f.store.Release(f.ctx, runners[1].claim))
	f.must(f.store.Reset(f.ctx, "sums"))
	all, err := f.store.Status(f.ctx)
	f.must(err)
	if len(all) > 0 || f.exists(f.storedAs("sums", 1, "total")) || f.exists(f.storedAs("sums", 2, "total")) ||
		f.exists(f.Table("sums", "total")) {
		f.Errorf("after the reset there is %+v, or a table", all)
	}
	f.used(sums(1)) // also an older version than before
}

func versionCode(f *fixture) {
	_, err := f.store.SetCode(f.ctx, sumsOf(1), store.Code{Digest: "a"})
	f.wantInput("nothing is installed", err, "has no version 1")
	_, err = f.store.Code(f.ctx, sumsOf(1))
	f.wantInput("nothing is installed", err, "has no version 1")
	f.beside(1, 2)
	for _, step := range []struct {
		version int
		before  string
		code    store.Code
	}{
		{1, "", store.Code{Digest: "a", Module: bytes.Repeat([]byte{0, 1, 0xff}, 1<<20)}},
		{1, "a", store.Code{Digest: "a"}}, // is known already, with its module
		{2, "", store.Code{Digest: "b"}},
		{1, "a", store.Code{Digest: "c", Module: []byte{}}},
		{1, "c", store.Code{Digest: "a", Module: []byte{1}}},
	} {
		before, err := f.store.SetCode(f.ctx, sumsOf(step.version), step.code)
		f.must(err)
		got, err := f.store.Code(f.ctx, sumsOf(step.version))
		f.must(err)
		same := step.before == step.code.Digest
		if before != step.before || got.Digest != step.code.Digest || !same && !bytes.Equal(got.Module, step.code.Module) ||
			same && len(got.Module) == 0 {
			f.Errorf("version %d: before %q, now %q with %d bytes", step.version, before, got.Digest, len(got.Module))
		}
	}
	if a, b := f.version(1).Code, f.version(2).Code; a != "a" || b != "b" {
		f.Errorf("the status has %q and %q", a, b)
	}
}
