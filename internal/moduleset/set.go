// Package moduleset gives a worker the modules of a folder with the settings of operators, and keeps it up to date with
// the folder.
package moduleset

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// Set is the modules of a worker. One goroutine uses it at a time.
type Set struct {
	// Added, if not nil, is told of each module of the folder that runs from then on.
	Added func(*host.Module)

	worker   *segments.Worker
	logger   zerolog.Logger
	sources  map[store.ProjectionID]string // what runs a version of a projection
	refused  map[string]store.ProjectionID // those that the worker tells of as refused, by the file of their module
	failures []error
}

// New makes an empty set for a worker.
func New(worker *segments.Worker, logger zerolog.Logger) *Set {
	return &Set{
		worker: worker, logger: logger, sources: map[store.ProjectionID]string{}, refused: map[string]store.ProjectionID{},
	}
}

// AddProgram adds a program that is in no folder and stays.
func (s *Set) AddProgram(program segments.Program) {
	s.sources[program.Projection().ID()] = program.Source()
	s.worker.SetProgram(program)
}

// Add adds a module, or replaces the one before of the same file and version. Other versions of its projection run
// beside it. It closes the module when something else runs its version of the projection.
//
// # Errors
//
// That something else runs it, and what to do.
func (s *Set) Add(module *host.Module) error {
	id := module.Description.ID()
	if other, taken := s.sources[id]; taken && other != module.File {
		module.Close(context.Background())
		return fmt.Errorf("%s and module %s are both version %d of projection %s: remove one of the two, "+
			"or give it another version", other, module.File, id.Version, id.Name)
	}
	if err := s.worker.SetWith(module, settings.WorkerOptions(module)); err != nil {
		module.Close(context.Background())
		return fmt.Errorf("module %s: %w", module.File, err)
	}
	s.sources[id] = module.File
	s.tellRefused(module.File, store.ProjectionID{})
	if s.Added != nil {
		s.Added(module)
	}
	return nil
}

// remove stops the projection of a module, unless something else runs it.
func (s *Set) remove(module *host.Module) {
	if id := module.Description.ID(); s.sources[id] == module.File {
		delete(s.sources, id)
		s.worker.Remove(id)
	}
}

// Apply hands changes of a folder to the worker. It logs modules that do not load.
func (s *Set) Apply(changes []host.Change) {
	for _, change := range changes {
		var refused *host.SettingsError
		switch {
		case errors.As(change.Err, &refused):
			s.refuse(change, refused)
		case change.Err != nil && change.Previous != nil:
			s.fail(change, change.Err, "module does not load, the previous one keeps running")
		case change.Err != nil:
			s.fail(change, change.Err, "module does not load")
		case change.Module == nil && change.Previous == nil:
			s.tellRefused(change.File, store.ProjectionID{})
		case change.Module == nil:
			s.logger.Info().Str("module", change.File).Str("projection", change.Previous.Description.Name).
				Int("version", change.Previous.Description.Version).Msg("module removed")
			s.remove(change.Previous)
		default:
			s.replace(change.Previous, change.Module)
			if err := s.Add(change.Module); err != nil {
				s.fail(change, err, "module does not run")
			}
		}
	}
}

// replace ends what a file ran before, when the file is another projection or another version by now. That must be over
// before the new one is set: while no event is applied, a later version replaces the earlier one in the database.
func (s *Set) replace(previous, by *host.Module) {
	if previous == nil {
		return
	}
	before, now := previous.Description.ID(), by.Description.ID()
	if before == now || s.sources[before] != previous.File {
		return
	}
	s.logger.Info().Str("module", by.File).Str("projection", before.Name).Int("version", before.Version).
		Str("now", fmt.Sprintf("version %d of projection %s", now.Version, now.Name)).
		Msg("the file is another version now, this host no longer runs the one before")
	s.remove(previous)
}

// refuse says that the settings of a module are refused. Without any before, the module does not run, which the status
// shows.
func (s *Set) refuse(change host.Change, refused *host.SettingsError) {
	if change.Previous != nil {
		s.fail(change, refused, "settings refused, those before stay")
		return
	}
	s.fail(change, refused, "settings refused, the module does not run")
	id := refused.Projection
	if _, taken := s.sources[id]; taken {
		id = store.ProjectionID{}
	}
	s.tellRefused(change.File, id)
	if id.Name != "" {
		s.worker.Refuse(id, change.File, refused)
	}
}

// tellRefused notes which projection of a file the worker tells of as refused, the zero one for none. It tells no
// longer of the one before, unless something else runs it.
func (s *Set) tellRefused(file string, id store.ProjectionID) {
	before := s.refused[file]
	if delete(s.refused, file); id.Name != "" {
		s.refused[file] = id
	}
	if _, runs := s.sources[before]; before.Name != "" && before != id && !runs {
		s.worker.Remove(before)
	}
}

func (s *Set) fail(change host.Change, err error, message string) {
	s.failures = append(s.failures, err)
	s.logger.Error().Str("module", change.File).Err(err).Msg(message)
}

// Failures are why modules of the folder do not load, so far. The set owns the result.
func (s *Set) Failures() []error { return s.failures }

// Watch applies changes of the folder until ctx ends.
func (s *Set) Watch(ctx context.Context, registry *host.Registry) {
	err := registry.Watch(ctx, func() {
		changes, err := registry.Sync(ctx)
		if err != nil && ctx.Err() == nil {
			s.logger.Warn().Err(err).Msg("modules folder cannot be read")
		}
		if ctx.Err() == nil {
			s.Apply(changes)
		}
	})
	if err != nil {
		s.logger.Error().Err(err).Msg("modules folder is not watched")
	}
}

// Collect applies the modules that are still loading, until none is left or ctx ends.
func (s *Set) Collect(ctx context.Context, registry *host.Registry) {
	_ = registry.Await(ctx, func(changes []host.Change) bool {
		s.Apply(changes)
		return false
	})
}
