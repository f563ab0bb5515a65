package pupwasm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/moduleset"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/internal/tracing"
	"github.com/pupwasm/pupwasm/internal/web"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// Options configure a [Host]. Name at least one of Modules, Folder and Consumers.
type Options struct {
	// Events is the database of the log that the projections read, where it is not the one of the tables. The host
	// does not own it. Defaults to the database that NewHost is given.
	Events Database
	// Modules has modules at its top, as files that end in .wasm: an embed.FS, or os.DirFS. They are loaded
	// once, and Run fails if one does not load. NAME.yaml beside NAME.wasm has settings of that module.
	Modules fs.FS
	// Folder is a folder of modules on disk. A module that does not load is told in the log, and the others run.
	// New, changed and removed files are taken up while the host runs, unless NoWatch is set. NAME.yaml beside
	// NAME.wasm has settings of that module, for its operator: they come before those in Worker and Runtime.
	Folder  string
	NoWatch bool
	// Consumers are projections of the application's own. Several versions of one may run beside each other.
	Consumers []Consumer
	// Worker are the settings of the work: batches, segments, polling, retries, for all projections and for single
	// ones, and whether one that fails ends the host (FailFast). Its Logger, Observer and Once are the host's. Its Relay
	// sends the messages of the projections, those that other hosts have committed too: a *relay.Relay of package relay, on
	// the Backend of the host's database. Without one, they wait for a host that has one.
	Worker segments.Options
	// Runtime are the settings of the sandbox: limits, the cache of compiled modules, which files are trusted.
	// Its Logger is the host's.
	Runtime host.Options
	// Logger receives what happens, and what modules log. Defaults to slog.Default.
	Logger *slog.Logger
	// Observer is told what happens, for metrics and alerts. Defaults to none.
	Observer *segments.Observer
	// Traces makes spans of commits and of failures, linked to the spans that caused the events. docs/tracing.md says what
	// they have. Defaults to none.
	Traces trace.TracerProvider
}

// Database is a database that an application has opened: a *[postgres.Store], a *[mysql.Store] or a
// *[sqlite.Store].
//
// [postgres.Store]: https://pkg.go.dev/github.com/pupwasm/pupwasm/store/postgres#Store
// [mysql.Store]: https://pkg.go.dev/github.com/pupwasm/pupwasm/store/mysql#Store
// [sqlite.Store]: https://pkg.go.dev/github.com/pupwasm/pupwasm/store/sqlite#Store
type Database interface {
	// Backend is for hosts. What it returns changes without notice.
	Backend() store.Store
}

// Host runs projections in this process. It is safe for concurrent use.
type Host struct {
	log       store.Log
	tables    store.Tables
	options   Options
	consumers []segments.Program

	mu     sync.Mutex
	worker *segments.Worker // of Run or RunOnce; nil before
	served *web.Host        // of Handler; nil before
}

// NewHost prepares a host on a database, which it does not own. Rows and checkpoints are there, and events too unless
// Options.Events names another database.
//
// # Errors
//
// [*segments.OptionError], or that there is nothing to run.
func NewHost(db Database, options Options) (*Host, error) {
	if db == nil {
		return nil, errors.New("a host needs a database")
	}
	if options.Modules == nil && options.Folder == "" && len(options.Consumers) == 0 {
		return nil, errors.New("a host needs Options.Modules, Options.Folder or Options.Consumers")
	}
	backend := db.Backend()
	h := &Host{log: backend, tables: backend}
	if options.Events != nil {
		h.log = options.Events.Backend()
	}
	for i := range options.Consumers {
		program, err := options.Consumers[i].program()
		if err != nil {
			return nil, err
		}
		id := program.Projection().ID()
		if slices.ContainsFunc(h.consumers, func(other segments.Program) bool { return other.Projection().ID() == id }) {
			return nil, fmt.Errorf("two consumers have the name %s and version %d: give one another name or version", id.Name,
				id.Version)
		}
		h.consumers = append(h.consumers, program)
	}
	if err := options.Worker.Validate(); err != nil {
		return nil, err
	}
	logger := newLogger(options.Logger)
	options.Worker.Logger, options.Runtime.Logger = logger, logger
	options.Worker.Observer = segments.JoinObservers(options.Observer, tracing.Observer(options.Traces))
	h.options = options
	return h, nil
}

// Run runs the projections until ctx ends; then it finishes the batches under way, releases the segments and
// returns nil. It waits for a database that is down. An event that fails parks its key, or stops its segment,
// and everything else goes on: see [Host.Status].
//
// # Errors
//
// [*host.LoadError] of one of Options.Modules, a folder that cannot be read, [*store.UnsafeLogError],
// [store.ErrNameTaken]; [store.ErrSameDatabase] when Options.Events is the log of the host's database after all.
func (h *Host) Run(ctx context.Context) error { return h.run(ctx, false) }

// RunOnce applies what was appended before it, and returns when that is done: for a test or a job. A key that is parked
// is no error, unless Worker.FailFast is set: Status tells of it. Messages are sent before it returns, if there is a
// Worker.Relay.
//
// # Errors
//
// Those of Run, ctx's, modules of the folder that do not load, and what kept a projection from getting there:
// [*segments.FailedError], [*segments.PausedError] and others, joined; a *relay.UnsentError when messages are left.
func (h *Host) RunOnce(ctx context.Context) error { return h.run(ctx, true) }

func (h *Host) run(ctx context.Context, once bool) (err error) {
	options := h.options.Worker
	options.Once = once
	defer h.watch(ctx, &options)()
	worker, err := segments.New(h.log, h.tables, options)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.worker = worker
	h.mu.Unlock()
	set := moduleset.New(worker, options.Logger)
	for _, program := range h.consumers {
		set.AddProgram(program)
	}
	if h.options.Modules == nil && h.options.Folder == "" {
		return worker.Run(ctx)
	}
	runtime, err := host.NewRuntime(ctx, h.options.Runtime)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, runtime.Close(context.WithoutCancel(ctx))) }()
	if h.options.Modules != nil {
		if err := loadModules(ctx, set, runtime, h.options.Modules); err != nil {
			return err
		}
	}
	if h.options.Folder == "" {
		return worker.Run(ctx)
	}
	return h.runFolder(ctx, worker, set, runtime, once)
}

// loadModules loads every module at the top of a file system.
func loadModules(ctx context.Context, set *moduleset.Set, runtime *host.Runtime, from fs.FS) error {
	files, err := fs.Glob(from, "*.wasm")
	if err != nil {
		return err
	}
	for _, file := range files {
		wasm, err := fs.ReadFile(from, file)
		if err != nil {
			return fmt.Errorf("reading module %s: %w", file, err)
		}
		own, err := settings.OfModule(from, file)
		if err != nil {
			return err
		}
		module, err := runtime.LoadWith(ctx, file, wasm, own.Host())
		if err != nil {
			return err
		}
		if err := set.Add(module); err != nil {
			return err
		}
	}
	return nil
}

// runFolder runs the worker while it follows the folder. A worker that runs once waits for all modules first.
func (h *Host) runFolder(
	ctx context.Context, worker *segments.Worker, set *moduleset.Set, runtime *host.Runtime, once bool,
) error {
	registry, err := host.NewRegistry(runtime, h.options.Folder)
	if err != nil {
		return err
	}
	defer registry.Close()
	registry.UseSettings(settings.Beside(h.options.Folder).ForRegistry())
	changes, err := registry.Sync(ctx)
	if err != nil {
		return err
	}
	set.Apply(changes)
	if once {
		set.Collect(ctx, registry)
		return errors.Join(append(set.Failures(), worker.Run(ctx))...)
	}
	follow := set.Watch
	if h.options.NoWatch {
		follow = set.Collect
	}
	following, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { follow(following, registry) })
	err = worker.Run(ctx)
	stop()
	background.Wait()
	return err
}

// Handler serves the host over HTTP: /metrics for Prometheus, the probes /healthz and /readyz, and the API of docs/api.md.
// With a token, every request to the API needs it. Without one ("") the API has no actions and answers this machine only.
// Call Handler before Run: what happens before it is not counted. The caller serves it, with timeouts of its own.
func (h *Host) Handler(token string) http.Handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.served == nil {
		build := web.Build{}
		if info, ok := debug.ReadBuildInfo(); ok {
			build.Version = info.Main.Version
		}
		h.served = web.NewHost(h.log, h.tables, h.options.Worker, build)
	}
	return h.served.Handler(token, h.Progress)
}

// watch has what Handler serves be told what the worker does, and watches the host until the result is called.
func (h *Host) watch(ctx context.Context, options *segments.Options) (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.served == nil {
		return func() {}
	}
	served := h.served
	options.Observer = segments.JoinObservers(options.Observer, served.Observer())
	watching, end := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { served.Run(watching) })
	return func() {
		end()
		background.Wait()
	}
}

// Wait waits until everything up to a position, such as that of an event just appended, is applied to the tables
// of a projection, whichever host does it.
//
// # Errors
//
// [*segments.FailedError], [*segments.PausedError], [*segments.NotRunError], ctx's.
func (h *Host) Wait(ctx context.Context, projection string, position int64) error {
	return segments.WaitForPosition(ctx, h.log, h.tables, projection, position)
}

// Pause pauses a projection on all hosts, and returns when none has a segment of it any more: from then on its rows stay
// as they are, also when hosts are started again, until [Host.Resume]. Give ctx a deadline: a host ends its batch first.
// It does nothing when the projection is paused already.
//
// # Errors
//
// [*store.InputError] when the projection is not known; [*segments.StillRunningError] when ctx ends first, although the
// projection is paused; [store.ErrTransient].
func (h *Host) Pause(ctx context.Context, projection string) error {
	_, err := segments.Pause(ctx, h.tables, projection)
	return err
}

// Resume ends a pause. The hosts that run the projection go on with it within moments, without a restart. It does
// nothing when the projection is not paused.
//
// # Errors
//
// [*store.InputError] when the projection is not known; [store.ErrTransient].
func (h *Host) Resume(ctx context.Context, projection string) error {
	_, err := segments.Resume(ctx, h.tables, projection)
	return err
}

// Status returns the known projections by name, or those of them that are named, with the checkpoint, the owner
// and the failure of each segment, whichever host runs them. The caller owns the result.
//
// # Errors
//
// [store.ErrTransient], [store.ErrNotMigrated].
func (h *Host) Status(ctx context.Context, only ...string) ([]store.ProjectionStatus, error) {
	return h.tables.Status(ctx, only...)
}

// Progress returns how far each projection is on this host, by name and version, from memory. The caller owns the
// result.
func (h *Host) Progress() []segments.Progress {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.worker == nil {
		return nil
	}
	return h.worker.Progress()
}
