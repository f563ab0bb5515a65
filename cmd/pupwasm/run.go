package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/moduleset"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// runOptions are the settings of run.
type runOptions struct {
	*globalOptions

	once    bool
	watch   bool
	retry   time.Duration
	digests string
	signed  string
	onPark  string
	otlp    string
	events  logOptions
	runtime runtimeOptions
	worker  segments.Options
	listen  listenOptions
	publish publishOptions
	sending *publisher     // of what projections send; nil for nothing
	untaken *untaken       // of that, what it does not take
	flags   *pflag.FlagSet // that set the others
}

func (o *runOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.once, "once", false, "apply the events that exist now, then exit; the exit code says whether all "+
		"of them were applied")
	o.addJSON(flags, "with --once, print JSON")
	o.events.addFlags(flags)
	flags.BoolVar(&o.watch, "watch", false, "load new and changed modules while running, and stop removed ones")
	flags.DurationVar(&o.retry, "retry", time.Minute,
		"with --once, how long to retry when the database is not available at the start")
	flags.BoolVar(&o.durable, "durable", false,
		"wait for the disk at every commit of a projection; without it, projections may repeat their last commits after a "+
			"crash of the database server")
	flags.StringVar(&o.isolation, "isolation", string(postgres.IsolationAuto),
		"on PostgreSQL, whether each projection writes with its own database role: role, none, or auto (where the host may "+
			"create roles)")
	flags.BoolVar(&o.runtime.strict, "strict", false,
		"fail a module that asks for the time or for random bytes; without it, the module gets fixed values and the log "+
			"warns")
	flags.StringVar(&o.digests, "require-digests", "",
		"load only modules whose SHA-256 is in this `file`, in the format of sha256sum")
	flags.StringVar(&o.signed, "require-signed", "",
		"load only modules with a valid FILE.wasm.sig for this Ed25519 public `key`, a PEM file (see 'pupwasm sign')")
	flags.StringVar(&o.onPark, "on-park", "",
		"tell a `URL`, by POST, or a program once of each key that is parked (see docs/failures.md)")
	flagFiles(flags, "require-signed", pemFiles)
	addTracingFlags(flags, &o.otlp)
	asSecret(flags, "on-park", secretHook)
	o.limits.addFlags(flags)
	addWorkerFlags(flags, &o.worker)
	o.runtime.addFlags(flags)
	o.listen.addFlags(flags)
	o.publish.addFlags(flags)
}

const runHelp = `Run the projections of every .wasm file in DIR. Each projection creates its tables, continues from its
checkpoint and follows new events. SIGINT or SIGTERM stops it at the end of a batch. Rows and checkpoint commit
together.

Read a projection in the schema of its name on PostgreSQL (fine_balance.fines), and on MariaDB in the database of its
name, behind that of --database (NAME__fine_balance.fines). On SQLite the name is a prefix (fine_balance__fines). These
are views of the tables of the installed version, which are in fine_balance__v1. Another --schema than the default comes
first: with --schema shop they are shop__fine_balance.fines and shop__fine_balance__fines.

A module must declare its tables as they were created. The host refuses a change and says what to do. It creates new
indexes. See docs/running.md.

The host refuses a file that is not a valid module, or does not fit the database, with one line, and runs the others.
When none is left the command fails; with --watch it waits. 'pupwasm status' shows what running hosts refuse.

With --events the events are in another database than the tables and checkpoints, which are in --database. The host
only reads the log. See "The log and the rows in two databases" in docs/running.md.

NAME.yaml beside NAME.wasm has settings of that module, which come before flags: see docs/settings.md.

While projections catch up, a terminal shows a line for each, with its rate and the time left. Without a terminal the log
has such a line every 10 seconds. Either way the log says once that a projection has caught up.

Many hosts may run the same projections against one PostgreSQL or MariaDB. The partition keys of a projection, by default
its streams, are divided into segments. The hosts share the segments evenly, and segments of a host that dies are taken
over by the others. 'pupwasm segments' shows and changes the segments.`

func newRunCommand(globals *globalOptions) *cobra.Command {
	return runCommand(&runOptions{globalOptions: globals})
}

// runCommand returns the command that sets some options.
func runCommand(opts *runOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run DIR",
		Short: "Run the projections of a folder of modules",
		Long:  runHelp,
		Example: `  pupwasm run bin/modules
  pupwasm run --watch bin/modules
  pupwasm run --once bin/modules --database postgres://localhost/shop
  pupwasm run bin/modules --events postgres://events.example/shop --database sqlite:local.db`,
		Args:              wantArgs(cobra.ExactArgs(1)),
		PreRunE:           func(*cobra.Command, []string) error { return opts.check() },
		ValidArgsFunction: completeFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.flags = cmd.Flags()
			return runRun(cmd.Context(), opts, args[0])
		},
	}
	opts.addFlags(cmd.Flags())
	completeFlag(cmd, "isolation", isolations...)
	return cmd
}

var isolations = []string{
	string(postgres.IsolationAuto), string(postgres.IsolationRole),
	string(postgres.IsolationNone),
}

// check refuses invalid settings. It reads no file and no database.
func (o *runOptions) check() error {
	switch {
	case o.once && o.watch:
		return usagef("--once and --watch exclude each other")
	case o.once && o.listen.address != "":
		return usagef("--once and --listen exclude each other")
	case o.json && o.publish.toStdout():
		return usagef("--json and --publish stdout exclude each other")
	case o.retry < 0:
		return usagef("--retry must not be negative, it is %s", o.retry)
	case !slices.Contains(isolations, o.isolation):
		return usagef("--isolation %q: use auto, role or none", o.isolation)
	}
	if err := checkWorker(o.worker); err != nil {
		return err
	}
	if err := o.limits.check(); err != nil {
		return err
	}
	if err := o.publish.check(); err != nil {
		return err
	}
	return o.runtime.check()
}

// complete makes the settings of the worker of those of the command.
func (o *runOptions) complete() error {
	if o.watch {
		o.letLevelChange()
	}
	o.worker.Once, o.worker.Logger, o.worker.FailRefused = o.once, o.log, !o.watch
	o.connections, o.eager = o.worker.Concurrency, true
	if err := o.alert(); err != nil {
		return err
	}
	return o.readTrust()
}

func runRun(ctx context.Context, opts *runOptions, folder string) error {
	var lines *statusLines
	if !opts.publish.toStdout() { // which may be the same terminal
		lines = opts.statusLines()
	}
	if err := opts.complete(); err != nil {
		return err
	}
	server, err := opts.listen.start(opts.log)
	if err != nil {
		return err
	}
	defer server.stop()
	stopTraces, err := opts.trace(ctx)
	if err != nil {
		return err
	}
	defer stopTraces()
	if opts.sending, err = opts.publish.open(ctx, opts.globalOptions); err != nil {
		return err
	}
	defer opts.sending.close()
	runtime, err := opts.runtime.start(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer runtime.Close(context.WithoutCancel(ctx))
	registry, err := host.NewRegistry(runtime, folder)
	if err != nil {
		return usagef("%v", err)
	}
	defer registry.Close()
	beside := settings.Beside(folder)
	beside.SetBase(opts.publish.base())
	registry.UseSettings(beside.ForRegistry())
	changes, err := opts.loadModules(ctx, registry, folder)
	if err != nil {
		return err
	}
	to, err := opts.openDatabases(ctx)
	if err != nil {
		return err
	}
	defer to.Close()
	opts.warnOfRights(ctx, to.tables)
	watch, observer := server.watch(to, &opts.worker)
	if err := opts.sending.serve(&opts.worker, to.tables, observer); err != nil {
		return err
	}
	worker, err := segments.New(to.log, to.tables, opts.worker)
	if err != nil {
		return err
	}
	set := opts.newSet(worker, to.tables, registry, changes)
	if len(changes) == 0 && registry.Loading() == 0 {
		opts.log.Info().Str("folder", folder).Msg("no modules yet")
	}
	follower := newConfigFollower(opts, func(base settings.Module) {
		beside.SetBase(base)
		registry.Recheck()
	})
	return opts.work(ctx, worker, set, registry, lines, follower, watch)
}

// alert reads whom to tell of parked keys.
func (o *runOptions) alert() (err error) {
	host := o.worker.Name
	if host == "" {
		host, _ = os.Hostname() // for the message alone
	}
	o.worker.OnPark, err = onPark(o.onPark, host)
	return err
}

// readTrust reads the digests and the key that modules must match.
func (o *runOptions) readTrust() (err error) {
	if o.digests != "" {
		if err := host.CheckDigests(o.digests); err != nil {
			return usagef("--require-digests: %s: %v", o.digests, unwrapPath(err))
		}
		o.runtime.trust.Digests = o.digests
	}
	if o.signed != "" {
		if o.runtime.trust.Key, err = host.ReadPublicKey(o.signed); err != nil {
			return usagef("--require-signed: %s: %v", o.signed, unwrapPath(err))
		}
	}
	return nil
}

// warnOfRights warns of a role that is a superuser.
func (o *runOptions) warnOfRights(ctx context.Context, to store.Store) {
	at, err := o.target()
	if err != nil || at.excessRights == nil {
		return
	}
	if role := at.excessRights(ctx, to); role != "" {
		o.log.Warn().Str("role", role).Msg("the host logs in as a superuser, which is more than it needs: a hole in the " +
			"checks of SQL would open the whole server. " +
			"Give it a role of its own, see 'Rights' in docs/running.md")
	}
}

// openDatabases waits for the databases, with --once no longer than --retry. It sets the tables' up. A log elsewhere
// is only read: who appends to it sets it up.
func (o *runOptions) openDatabases(ctx context.Context) (to databases, err error) {
	retry := &backoff{limit: -1, log: o.log}
	if o.once {
		retry.limit = o.retry
	}
	err = retry.do(ctx, func() error {
		if err := migrateUp(ctx, o.globalOptions); err != nil {
			return err
		}
		to, err = o.events.open(ctx, o.globalOptions)
		return err
	})
	return to, err
}

// work runs the worker and watches the folder.
func (o *runOptions) work(
	ctx context.Context, worker *segments.Worker, set *moduleset.Set, registry *host.Registry, lines *statusLines,
	follower *configFollower, watch watcher,
) error {
	start := clock.Now()
	var background sync.WaitGroup
	backgroundContext, stopBackground := context.WithCancel(ctx)
	follow := o.collect(set)
	if o.watch {
		follow = set.Watch
		background.Go(func() { follower.run(backgroundContext) })
	}
	background.Go(func() { follow(backgroundContext, registry) })
	catchUp := newCatchUp(o.log, lines)
	background.Go(func() { catchUp.run(backgroundContext, worker.Progress) })
	background.Go(func() { watch(backgroundContext, worker.Progress) })
	err := worker.Run(ctx)
	stopBackground()
	background.Wait()
	if errors.Is(err, store.ErrNameTaken) {
		err = fmt.Errorf("%w: give each its own --worker-name, or leave it out", err)
	}
	if errors.Is(err, store.ErrSameDatabase) {
		err = usagef("--events: %v: leave it out for the one, and give a copy --database an empty one of its own", err)
	}
	if !o.once {
		o.log.Info().Msg("stopped")
		if err != nil {
			err = withRefusals(err, len(set.Failures()))
		}
		return err
	}
	took := clock.Now().Sub(start)
	if err := o.printApplied(ctx, worker.Progress(), took); err != nil {
		return err
	}
	return withRefusals(err, len(set.Failures()))
}
