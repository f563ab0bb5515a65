package segments

import (
	"errors"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// RefusedError says why the database does not accept a program. The worker has logged it.
type RefusedError struct {
	Source string // of the program: the file of a module
	Err    error  // of the store's Install
}

// Error names the program and the reason in one line.
func (e *RefusedError) Error() string { return "module " + e.Source + ": " + e.Err.Error() }

// Unwrap returns Err, such as a [*store.CatalogueError].
func (e *RefusedError) Unwrap() error { return e.Err }

// Refuse makes the worker tell that it does not run a version of a projection, and why, until a program of it is set or
// it is removed. It changes nothing for one that runs.
func (w *Worker) Refuse(projection store.ProjectionID, source string, err error) {
	w.mu.Lock()
	if w.runs(projection) {
		w.mu.Unlock()
		return
	}
	err = &RefusedError{Source: source, Err: err}
	told := store.Refusal{Projection: projection, Reason: storable(err.Error())}
	w.refused[projection] = currentRefusal{Refusal: told, err: err}
	w.mu.Unlock()
	tell(w.options.Observer.Refused, ObservedProgram{Projection: projection, Source: source, Err: err})
	w.membership.refresh()
}

// refusals are the projections that this worker cannot run, by name and version. The worker's row in the database has
// them, so that others can tell why nobody runs a projection: one that was never installed has no row of its own.
func (w *Worker) refusals() []store.Refusal {
	w.mu.Lock()
	defer w.mu.Unlock()
	var refused []store.Refusal
	for _, refusal := range w.refused {
		refused = append(refused, refusal.Refusal)
	}
	for _, r := range w.runners {
		if refusal := r.refusal.Load(); refusal != nil {
			refused = append(refused, refusal.Refusal)
		}
	}
	slices.SortFunc(refused, func(a, b store.Refusal) int {
		return store.CompareProjectionIDs(a.Projection, b.Projection)
	})
	return refused
}

// runsBeside reports that the worker runs, or tries to run, another version of a projection too.
func (w *Worker) runsBeside(projection store.ProjectionID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.runners {
		if id.Name == projection.Name && id != projection {
			return true
		}
	}
	return false
}

// noticeAllRefused ends the worker, or says that it waits, when every module is refused and none has ever run:
// it would idle without saying so.
func (w *Worker) noticeAllRefused() {
	w.mu.Lock()
	var reasons []error
	for _, r := range w.runners {
		refusal := r.refusal.Load()
		if refusal == nil || r.proven.Load() {
			w.mu.Unlock()
			return
		}
		reasons = append(reasons, refusal.err)
	}
	told := w.idle
	w.idle = true
	w.mu.Unlock()
	switch {
	case w.options.Once: // ends by itself
	case w.options.FailRefused:
		w.end(errors.Join(reasons...))
	case !told:
		w.logger.Warn().Int("modules", len(reasons)).
			Msg("no module can run, waiting for other modules or until the reasons have passed")
	}
}
