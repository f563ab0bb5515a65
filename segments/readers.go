package segments

import (
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// readers sees to it that somebody learns when what readers see is run by no worker: the one that ran it has ended, or
// its module is gone. The worker runs another version, which looks like work. Only the goroutine of the polls uses it.
type readers struct {
	since map[store.ProjectionID]time.Time // of live versions that no worker runs
	told  map[store.ProjectionID]bool
}

// look tells, once each time, of live versions that no worker has run for as long as a lease: the worker that ran one may
// start again, and this one may be about to run it.
func (r *readers) look(w *Worker, v *view) {
	if w.options.Once {
		return
	}
	if r.since == nil {
		r.since, r.told = map[store.ProjectionID]time.Time{}, map[store.ProjectionID]bool{}
	}
	now := clock.Now()
	for id := range r.since {
		if !w.unrun(v, id) {
			r.runAgain(w, v, id)
		}
	}
	for id := range v.projections {
		if !w.unrun(v, id) {
			continue
		}
		if r.since[id].IsZero() {
			r.since[id] = now
		}
		if r.told[id] || now.Sub(r.since[id]) < w.options.Lease {
			continue
		}
		r.told[id] = true
		w.logger.Warn().Str("projection", id.Name).Interface("version", logged(id)).Interface("runs", w.versions(id.Name)).
			Msg("no host runs the version that readers see, and its rows stay as they are: " +
				"put its module into the folder of a host, or promote a version that runs")
	}
}

// runAgain forgets a version that is run, or that readers do not see any more.
func (r *readers) runAgain(w *Worker, v *view, id store.ProjectionID) {
	if status := v.projections[id]; r.told[id] && status != nil && status.Live {
		w.logger.Info().Str("projection", id.Name).Interface("version", logged(id)).
			Msg("a host runs the version that readers see again")
	}
	delete(r.since, id)
	delete(r.told, id)
}

// unrun reports that readers see a version, and that no worker runs it, this one included.
func (w *Worker) unrun(v *view, id store.ProjectionID) bool {
	status := v.projections[id]
	return status != nil && status.Live && !slices.ContainsFunc(w.ready(), func(r *runner) bool { return r.id == id }) &&
		!slices.ContainsFunc(v.workers, func(other store.Worker) bool { return other.Runs(id) })
}

// live returns the version of a projection that readers see, or nil.
func (v *view) live(name string) *store.ProjectionStatus {
	for id, status := range v.projections {
		if id.Name == name && status.Live {
			return status
		}
	}
	return nil
}

// versions returns the versions of a projection that the worker runs, in order.
func (w *Worker) versions(name string) (versions []any) {
	for _, r := range w.ready() {
		if r.id.Name == name {
			versions = append(versions, logged(r.id))
		}
	}
	return versions
}

// logged is the version of a projection for a line of the log: a number, or a text for a build of it.
func logged(id store.ProjectionID) any {
	if id.Build == 0 {
		return id.Version
	}
	return id.VersionText()
}
