package pupwasm

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/segments"
)

// modules gives a worker the modules of a host.
type modules struct {
	worker  *segments.Worker
	runtime *host.Runtime
	logger  zerolog.Logger
	taken   map[string]string // the consumers and loaded modules by projection

	failures []error // of modules in the folder
}

// load loads every module of a file system.
func (m *modules) load(ctx context.Context, from fs.FS) error {
	files, err := fs.Glob(from, "*.wasm")
	if err != nil {
		return err
	}
	for _, file := range files {
		wasm, err := fs.ReadFile(from, file)
		if err != nil {
			return fmt.Errorf("reading module %s: %w", file, err)
		}
		module, err := m.runtime.Load(ctx, file, wasm)
		if err != nil {
			return err
		}
		if err := m.take(module); err != nil {
			return err
		}
		m.worker.Set(module)
	}
	return nil
}

// take keeps a name for a module, which is closed when another program has it.
func (m *modules) take(module *host.Module) error {
	name := module.Description.Name
	if other, taken := m.taken[name]; taken && other != module.File {
		module.Close(context.Background())
		return fmt.Errorf("%s and module %s are both projection %s", other, module.File, name)
	}
	m.taken[name] = module.File
	return nil
}

// drop stops the projection of a module.
func (m *modules) drop(module *host.Module) {
	name := module.Description.Name
	if m.taken[name] == module.File {
		delete(m.taken, name)
		m.worker.Remove(name)
	}
}

// open loads the modules of a folder, and returns what takes up the changes of it, until its context ends. With
// all it waits for those that take long to compile; otherwise they come later.
func (m *modules) open(ctx context.Context, folder string, still, all bool) (follow func(context.Context), err error) {
	registry, err := host.NewRegistry(m.runtime, folder)
	if err != nil {
		return nil, err
	}
	changes, err := registry.Sync(ctx)
	if err != nil {
		registry.Close()
		return nil, err
	}
	m.apply(changes)
	if all {
		m.collect(ctx, registry)
	}
	return func(ctx context.Context) {
		defer registry.Close()
		if still {
			m.collect(ctx, registry)
			return
		}
		err := registry.Watch(ctx, func() {
			changes, err := registry.Sync(ctx)
			if err != nil && ctx.Err() == nil {
				m.logger.Warn().Err(err).Msg("the modules folder cannot be read")
			}
			m.apply(changes)
		})
		if err != nil {
			m.logger.Error().Err(err).Msg("the modules folder is not watched")
		}
	}, nil
}

// collect takes up the modules that are still being compiled.
func (m *modules) collect(ctx context.Context, registry *host.Registry) {
	_ = registry.Await(ctx, func(changes []host.Change) bool {
		m.apply(changes)
		return false
	})
}

// apply hands changes of a folder to the worker.
func (m *modules) apply(changes []host.Change) {
	for _, change := range changes {
		switch {
		case change.Err != nil:
			m.failures = append(m.failures, change.Err)
			m.logger.Error().Str("module", change.File).Err(change.Err).Msg("module does not load")
		case change.Module == nil:
			m.drop(change.Previous)
		default:
			if previous := change.Previous; previous != nil && previous.Description.Name != change.Module.Description.Name {
				m.drop(previous)
			}
			if err := m.take(change.Module); err != nil {
				m.failures = append(m.failures, err)
				m.logger.Error().Str("module", change.File).Err(err).Msg("module does not run")
				continue
			}
			m.worker.Set(change.Module)
		}
	}
}
