package segments

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// earlier reports whether the worker runs an earlier version of a projection, and whether each of them is installed or
// refused by now: a later one comes after them, beside what they have installed.
func (w *Worker) earlier(of store.ProjectionID) (runs, settled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	settled = true
	for id, r := range w.runners {
		if id.Name != of.Name || id.Version >= of.Version {
			continue
		}
		runs = true
		settled = settled && (r.ready.Load() || r.refusal.Load() != nil)
	}
	return runs, settled
}

// wakeLater wakes the later versions of a projection, which may have waited for this one.
func (w *Worker) wakeLater(of store.ProjectionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, r := range w.runners {
		if id.Name == of.Name && id.Version > of.Version {
			r.signal()
		}
	}
}

// largeCommits reports that commits of the version may be large: readers see another one, which goes on meanwhile.
func (r *runner) largeCommits() bool { return r.unseen.Load() && r.worker.tables.WritesAtOnce() }

// noteCode has the database keep what runs the version from now on, and says when its rows were built by other code.
// What does not get through is tried again.
func (r *runner) noteCode(ctx context.Context) {
	if r.noted == r.program {
		return
	}
	code := store.Code{Digest: r.program.Code()}
	module, isModule := moduleOf(r.program)
	if isModule {
		var err error
		if code.Module, err = module.Module(); err != nil { // the file is another by now, which is installed next, or gone
			r.logger.Debug().Err(err).Msg("the module is not kept, so that no other can be compared with it")
			r.noted = r.program
			return
		}
	}
	before, err := r.worker.tables.SetCode(ctx, r.id, code)
	if err != nil { // also of a projection that was reset meanwhile
		r.logger.Debug().Err(err).Msg("what runs the version is not noted yet")
		return
	}
	if r.noted = r.program; isModule && before != "" && before != code.Digest {
		r.logger.Info().Str("code", code.Digest[:min(len(code.Digest), codeShown)]).
			Str("before", before[:min(len(before), codeShown)]).
			Msgf("same version, other code: rows of before were built by other code; Host.Rebuild(%q) has all built by this one",
				r.id.Name)
	}
}

// codeShown is how much of a digest is told.
const codeShown = 12
