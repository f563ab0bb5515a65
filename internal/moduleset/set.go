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
)

// Set is the modules of a worker. One goroutine uses it at a time.
type Set struct {
	worker   *segments.Worker
	logger   zerolog.Logger
	sources  map[string]string // what runs a projection, by its name
	refused  map[string]string // projections that the worker tells of as refused, by the file of their module
	failures []error
}

// New makes an empty set for a worker.
func New(worker *segments.Worker, logger zerolog.Logger) *Set {
	return &Set{worker: worker, logger: logger, sources: map[string]string{}, refused: map[string]string{}}
}

// AddProgram adds a program that is in no folder and stays.
func (s *Set) AddProgram(program segments.Program) {
	s.sources[program.Projection().Name] = program.Source()
	s.worker.SetProgram(program)
}

// Add adds a module, or replaces the one before of the same file. It closes the module when something else runs its
// projection.
//
// # Errors
//
// That something else runs its projection.
func (s *Set) Add(module *host.Module) error {
	name := module.Description.Name
	if other, taken := s.sources[name]; taken && other != module.File {
		module.Close(context.Background())
		return fmt.Errorf("%s and module %s are both projection %s", other, module.File, name)
	}
	if err := s.worker.SetWith(module, settings.WorkerOptions(module)); err != nil {
		module.Close(context.Background())
		return fmt.Errorf("module %s: %w", module.File, err)
	}
	s.sources[name] = module.File
	s.tellRefused(module.File, "")
	return nil
}

// remove stops the projection of a module, unless something else runs it.
func (s *Set) remove(module *host.Module) {
	if name := module.Description.Name; s.sources[name] == module.File {
		delete(s.sources, name)
		s.worker.Remove(name)
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
			s.tellRefused(change.File, "")
		case change.Module == nil:
			s.logger.Info().Str("module", change.File).Str("projection", change.Previous.Description.Name).
				Msg("module removed")
			s.remove(change.Previous)
		default:
			if previous := change.Previous; previous != nil && previous.Description.Name != change.Module.Description.Name {
				s.remove(previous)
			}
			if err := s.Add(change.Module); err != nil {
				s.fail(change, err, "module does not run")
			}
		}
	}
}

// refuse says that the settings of a module are refused. Without any before, the module does not run, which the status
// shows.
func (s *Set) refuse(change host.Change, refused *host.SettingsError) {
	if change.Previous != nil {
		s.fail(change, refused, "settings refused, those before stay")
		return
	}
	s.fail(change, refused, "settings refused, the module does not run")
	name := refused.Projection.Name
	if _, taken := s.sources[name]; taken {
		name = ""
	}
	s.tellRefused(change.File, name)
	if name != "" {
		s.worker.Refuse(refused.Projection, change.File, refused)
	}
}

// tellRefused notes which projection of a file the worker tells of as refused, "" for none. It tells no longer of the
// one before, unless something else runs it.
func (s *Set) tellRefused(file, name string) {
	before := s.refused[file]
	if delete(s.refused, file); name != "" {
		s.refused[file] = name
	}
	if _, runs := s.sources[before]; before != "" && before != name && !runs {
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
