package segments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments/internal/readcache"
	"github.com/pupwasm/pupwasm/store"
)

// refusal is a program that the database did not accept. It is tried again now and then: the reason may have
// gone away.
type refusal struct {
	reason string
	until  time.Time
}

// currentRefusal is what a runner cannot run at present.
type currentRefusal struct {
	store.Refusal
	err error
}

// retryInterval is the interval at which a module that was refused, and a layout that was not possible, are
// tried again.
const retryInterval = 10 * time.Second

// install replaces the module and its options by the desired ones. The new module is installed first and the old one
// stopped then, at a batch boundary, so that a module that cannot be installed changes nothing.
func (r *runner) install(ctx context.Context) error {
	r.mu.Lock()
	program, own := r.desired, r.wanted
	r.mu.Unlock()
	if program == nil {
		return nil
	}
	if clock.Now().Before(r.refused[program].until) {
		return nil
	}
	earlier, settled := r.worker.earlier(r.id)
	if !settled {
		return nil // it comes first, and wakes this one
	}
	options := r.worker.options.of(own)
	catalogue, err := r.installProgram(ctx, program, earlier, options.Segments)
	if err == nil && catalogue != nil {
		err = r.beginSending(ctx, program, own)
	}
	switch {
	case r.over:
		return nil
	case errors.Is(err, store.ErrTransient), ctx.Err() != nil:
		return err
	case err != nil:
		r.refuse(program, err)
		return nil
	case !r.taken(program):
		return nil // a newer one came meanwhile, and this one is closed
	}
	failed := r.stopSegments()
	if r.program != nil {
		r.program.Close(context.WithoutCancel(ctx))
	}
	r.program, r.divider = program, readcache.NewDivider(program.Projection())
	r.own, r.options = own, options
	r.installed(catalogue)
	r.logger.Info().Str("module", program.Source()).Msg("projection installed")
	if failed { // by the module before, after this one had cleared the failures
		_, err = r.worker.tables.Recover(ctx, r.id)
	}
	return err
}

// installProgram installs a program beside an earlier version of this worker, where there is one. Without an error it
// returns nil when the runner is over, see settle.
func (r *runner) installProgram(
	ctx context.Context, program Program, beside bool, segments int,
) (store.Catalogue, error) {
	goesOn, segments, err := r.settle(ctx, segments)
	if err != nil || !goesOn {
		return nil, err
	}
	catalogue, err := r.installIn(ctx, program, beside, segments)
	var refused *store.CatalogueError
	if !errors.As(err, &refused) {
		return catalogue, err
	}
	// Somebody may have retired the build meanwhile, or asked for it.
	goesOn, segments, unknown := r.settle(ctx, segments)
	switch {
	case unknown != nil || goesOn && r.id.Build == 0:
		return nil, err
	case !goesOn:
		return nil, nil
	}
	return r.installIn(ctx, program, beside, segments)
}

func (r *runner) installIn(
	ctx context.Context, program Program, beside bool, segments int,
) (store.Catalogue, error) {
	if beside || r.id.Build != 0 {
		return r.worker.tables.InstallBeside(ctx, program.Projection(), segments)
	}
	return r.worker.tables.Install(ctx, program.Projection(), segments)
}

// installed notes that the module fits what is in the database.
func (r *runner) installed(catalogue store.Catalogue) {
	r.catalogue, r.failure, r.noted = catalogue, nil, nil
	r.bounded.Store(r.outboxMax() > 0)
	r.membership.Store(&store.Membership{ProjectionID: r.id, Segments: r.options.Segments})
	clear(r.refused)
	r.retired = false
	r.endTroubles()
	r.faults.forget() // they were those of other code
	r.refusal.Store(nil)
	r.proven.Store(true)
	r.ready.Store(true)
	r.worker.outboxes.refresh()
	r.enrolled.Store(true)
	r.worker.wakeLater(r.id)
	tell(r.options.Observer.Installed, ObservedProgram{Projection: r.id, Source: r.program.Source()})
	r.outdate()
}

// withdraw ends all segments: behind the worker's back the projection was reset, or the version retired, where others
// are there. A module that was refused may fit then.
func (r *runner) withdraw(others bool) {
	r.retired = others
	r.mu.Lock()
	delete(r.refused, r.desired)
	r.mu.Unlock()
	for _, s := range r.staying() {
		s.leave()
	}
	r.stopBuilding()
	r.ready.Store(false)
	r.enrolled.Store(false)
	r.worker.membership.refresh()
}

// reinstall follows a reset of the projection behind the worker's back, once its segments have ended. A module
// that waits to be installed comes first: the reset may have been made for it.
func (r *runner) reinstall(ctx context.Context) error {
	if r.worker.options.Once {
		if goesOn, _, err := r.settle(ctx, 0); err != nil || !goesOn {
			return err
		}
		r.failure, r.completed = r.goneWhileItRan(), true
		return nil
	}
	r.mu.Lock()
	desired := r.desired
	r.mu.Unlock()
	if desired != nil {
		if err := r.install(ctx); err != nil || r.ready.Load() {
			return err
		}
	}
	if len(r.segments) > 0 || clock.Now().Before(r.refused[r.program].until) {
		return nil
	}
	earlier, settled := r.worker.earlier(r.id)
	if !settled {
		return nil
	}
	catalogue, err := r.installProgram(ctx, r.program, earlier, r.options.Segments)
	if err == nil && catalogue != nil {
		err = r.beginSending(ctx, r.program, r.own)
	}
	switch {
	case r.over:
		return nil
	case errors.Is(err, store.ErrTransient), ctx.Err() != nil:
		return err
	case err != nil:
		r.refuse(r.program, err)
		return nil
	}
	if r.retired {
		r.logger.Info().Msg("version was retired, building it again from the first event")
	} else {
		r.logger.Info().Msg("projection was reset, installing it again")
	}
	r.mu.Lock()
	clear(r.positions)
	r.mu.Unlock()
	r.installed(catalogue)
	return nil
}

// goneWhileItRan is the failure of a worker that runs once.
func (r *runner) goneWhileItRan() error {
	if r.retired {
		return fmt.Errorf("version %s of projection %s was retired while it ran", r.id.VersionText(), r.id.Name)
	}
	return fmt.Errorf("projection %s was reset while it ran", r.id.Name)
}

// taken takes the desired program out, and reports false when it is another by now.
func (r *runner) taken(program Program) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desired != program {
		return false
	}
	r.desired = nil
	return true
}

// refuse keeps the module for another try, and says why once.
func (r *runner) refuse(program Program, err error) {
	err = &RefusedError{Source: program.Source(), Err: err}
	retired := r.retired && r.program == program
	if told := r.refused[program].reason; told != err.Error() && (told == "" || !retired) {
		switch {
		case retired:
			r.logger.Warn().Err(err).Msg("the version is no longer in the database, its rows are deleted: it runs here no longer")
		case r.program != nil && r.program != program:
			r.logger.Error().Err(err).Msg("module refused, the one before goes on")
		default:
			r.logger.Error().Err(err).Msg("module refused")
		}
		tell(r.options.Observer.Refused, ObservedProgram{Projection: r.id, Source: program.Source(), Err: err})
	}
	r.refused[program] = refusal{reason: err.Error(), until: clock.Now().Add(retryInterval)}
	r.failure = err
	told := store.Refusal{Projection: r.id, Reason: storable(err.Error())}
	r.refusal.Store(&currentRefusal{Refusal: told, err: err})
	r.worker.wakeLater(r.id)
	r.worker.membership.refresh()
	r.worker.noticeAllRefused()
}
