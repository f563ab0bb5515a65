package segments

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

// given is what a worker was given last for a version of a projection. Every build of the version runs it.
type given struct {
	program *sharedProgram
	options ProjectionOptions
}

// sharedProgram is a program that several builds run. It is closed when the last of its users has closed it.
type sharedProgram struct {
	Program
	mu    sync.Mutex
	users int
}

// shared makes a program that the caller uses and closes.
func shared(program Program) *sharedProgram { return &sharedProgram{Program: program, users: 1} }

// Close ends one use.
func (p *sharedProgram) Close(ctx context.Context) {
	p.mu.Lock()
	p.users--
	last := p.users == 0
	p.mu.Unlock()
	if last {
		p.Program.Close(ctx)
	}
}

// of is the program as a build runs it, which closes it too. The caller uses the program.
func (p *sharedProgram) of(build store.ProjectionID) Program {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users++
	projection := *p.Projection()
	projection.Build = build.Build
	return &buildProgram{sharedProgram: p, projection: projection}
}

// buildProgram is a program as a build runs it.
type buildProgram struct {
	*sharedProgram
	projection store.Projection
}

// Projection is what the program declares, in its build.
func (p *buildProgram) Projection() *store.Projection { return &p.projection }

// runs reports that the worker was given a program for the version. The lock is held.
func (w *Worker) runs(version store.ProjectionID) bool {
	_, runs := w.given[version.InVersion()]
	return runs
}

// runnersOf returns the runners of the builds of a version. The lock is held.
func (w *Worker) runnersOf(version store.ProjectionID) (all []*runner) {
	for id, r := range w.runners {
		if id.InVersion() == version.InVersion() {
			all = append(all, r)
		}
	}
	return all
}

// start starts a runner for a build, unless it is there. The lock is held.
func (w *Worker) start(build store.ProjectionID, given *given) {
	if _, known := w.runners[build]; known {
		return
	}
	r := newRunner(w, build)
	w.runners[build] = r
	w.shared.Connections.Divide(len(w.runners))
	r.set(given.program.of(build), given.options)
	w.launch(r)
}

// beginAsked starts runners for the builds that the database has, or that somebody has asked for, of every version that
// the worker was given. all has every version of each projection in it.
func (w *Worker) beginAsked(all []store.ProjectionStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running != nil && w.running.Err() != nil {
		return // nothing begins any more
	}
	for version, given := range w.given {
		if !slices.ContainsFunc(all, func(p store.ProjectionStatus) bool { return p.Name == version.Name }) {
			continue
		}
		for _, build := range store.Builds(all, version.Name, version.Version) {
			w.start(build, given)
		}
	}
}

// settle starts the runners of the other builds of the version, and ends this one where the database has others and
// not this one: a module knows its version alone, and which builds there are is up to the database. It reports whether
// the runner goes on, and as how many segments its build begins where it is new.
func (r *runner) settle(ctx context.Context, segments int) (goesOn bool, begins int, err error) {
	all, err := r.worker.tables.Status(ctx, r.id.Name)
	if err != nil {
		return false, 0, err
	}
	builds := store.Builds(all, r.id.Name, r.id.Version)
	if r.worker.keeps(r, builds) {
		if live := store.LiveOf(all); live != nil && r.id.Build != 0 {
			segments = cmp.Or(segments, live.Desired)
		}
		return true, cmp.Or(segments, DefaultSegments), nil
	}
	if r.catalogue != nil {
		r.logger.Info().Msg("this build is no longer in the database, and another of the version is: it runs here no longer")
	}
	r.over, r.failure = true, nil
	r.worker.wakeLater(r.id)
	return false, 0, nil
}

// keeps starts the builds that have no runner, and takes a runner out whose build is none of them. It reports whether
// the runner stays.
func (w *Worker) keeps(r *runner, builds []store.ProjectionID) (stays bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	given, known := w.given[r.id.InVersion()]
	if !known { // it is being removed
		return true
	}
	for _, build := range builds {
		w.start(build, given)
	}
	if stays = slices.Contains(builds, r.id); !stays && w.runners[r.id] == r {
		delete(w.runners, r.id)
		w.shared.Connections.Divide(len(w.runners))
	}
	return stays
}

// moduleOf returns the module that a build runs, where it is one.
func moduleOf(program Program) (*moduleProgram, bool) {
	build, is := program.(*buildProgram)
	if !is {
		return nil, false
	}
	module, is := build.Program.(*moduleProgram)
	return module, is
}
