package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/cases"
	"github.com/pupwasm/pupwasm/internal/dev"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

type devOptions struct {
	*globalOptions

	folder   string // of the projection
	onChange string
	fresh    bool
	events   logOptions
	compiler compilerFlag
	runtime  runtimeOptions
}

const devHelp = `Build a projection, run it, and show what becomes of its rows and which messages it sends, again at each change of its
source. DIR is the folder of one projection, by default the current one. Messages go nowhere else.

The events are in a SQLite database of the project, DIR/.pupwasm/events.db. When it is empty, those of DIR/fixtures/*.jsonl
are appended. Append others from another terminal:

  pupwasm append --database sqlite:.pupwasm/events.db more.jsonl

With --events the events are those of a log elsewhere, which is only read.

The rows are in DIR/.pupwasm/rows.db. A change of the module empties the tables and applies all events again. With
--on-change continue the rows stay, and the new module goes on behind them; a change of its tables is refused then.
With --database postgres://… or mysql://… the rows are in a database of their own on that server, which is removed at
the end.

Keys on a terminal, or lines of standard input:

  f  append the fixtures once more, as new events
  r  build again, also for changes outside of DIR, and rebuild the tables
  q  quit

A terminal shows one screen that changes in place. Otherwise each thing that happens is a line.`

func newDevCommand(globals *globalOptions) *cobra.Command {
	opts := &devOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "dev [DIR]",
		Short: "Run a projection while you write it, and show its rows and messages",
		Long:  devHelp,
		Example: `  pupwasm dev
  pupwasm dev orders --on-change continue
  pupwasm dev orders --events postgres://localhost/shop`,
		Args:              wantArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.folder = "."
			if len(args) > 0 {
				opts.folder = args[0]
			}
			return runDev(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.onChange, "on-change", string(dev.Rebuild), "what a change does to the rows: rebuild or continue")
	flags.BoolVar(&opts.fresh, "fresh", false, "begin with an empty log and the fixtures")
	opts.compiler.addTo(cmd)
	opts.addJSON(flags, "print JSON lines, each what there is to show")
	opts.events.addFlags(flags)
	opts.runtime.addFlags(flags)
	completeFlag(cmd, "on-change", string(dev.Rebuild), string(dev.Continue))
	return cmd
}

func runDev(ctx context.Context, opts *devOptions) error {
	if !slices.Contains([]string{string(dev.Rebuild), string(dev.Continue)}, opts.onChange) {
		return usagef("--on-change %s: use rebuild or continue", printable(opts.onChange))
	}
	if err := opts.compiler.check(); err != nil {
		return err
	}
	if info, err := os.Stat(opts.folder); err != nil || !info.IsDir() {
		return usagef("%s is no folder: name that of a projection, or make one with 'pupwasm new'", printable(opts.folder))
	}
	d := &development{devOptions: opts, own: filepath.Join(opts.folder, ".pupwasm")}
	if err := os.MkdirAll(d.own, 0o777); err != nil {
		return &inputError{where: d.own, err: unwrapPath(err)}
	}
	defer d.close()
	if err := d.alone(); err != nil {
		return err
	}
	view := newDevView(opts)
	if err := d.openLog(ctx); err != nil {
		return err
	}
	if err := d.openServer(ctx); err != nil {
		return err
	}
	quiet := *opts.globalOptions
	quiet.log = zerolog.New(view.guestLog()).Level(max(opts.log.GetLevel(), zerolog.InfoLevel))
	runtime, err := opts.runtime.start(ctx, &quiet)
	if err != nil {
		return err
	}
	defer runtime.Close(context.WithoutCancel(ctx))
	session := dev.New(dev.Options{
		Folder: opts.folder, OnChange: dev.OnChange(opts.onChange), Build: d.build, Runtime: runtime, Log: d.log,
		Appender: d.appender, Fixtures: d.fixtures, Tables: d.tables, Say: view.say, Show: view.show,
	})
	view.session = session
	if err := d.appendFixtures(ctx); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	commands, restore := readCommands(opts.in, end)
	defer restore()
	defer view.begin()()
	return session.Run(ctx, commands)
}

// development has what a session works with.
type development struct {
	*devOptions

	own      string // folder of its databases
	lock     *flock.Flock
	log      store.Log
	appender store.Appender // nil where the log is only read
	opened   store.Store    // its own log, or that of --events
	server   cases.Server   // of the tables, or nil
}

// alone refuses a folder in which another session works: each removes the databases when it likes. The lock goes with the
// process.
func (d *development) alone() error {
	d.lock = flock.New(filepath.Join(d.own, "lock"))
	alone, err := d.lock.TryLock()
	if err != nil {
		return &inputError{where: d.lock.Path(), err: unwrapPath(err)}
	}
	if !alone {
		return usagef("%s: another 'pupwasm dev' runs there: end it, or work in a copy of the folder", printable(d.folder))
	}
	return nil
}

func (d *development) close() {
	if d.lock != nil {
		_ = d.lock.Unlock() // the process ends
	}
	if d.opened != nil {
		d.opened.Close()
	}
	if d.server != nil {
		d.server.Close()
	}
}

// openLog opens the log: that of --events, or its own.
func (d *development) openLog(ctx context.Context) error {
	if d.events.url != "" {
		at, err := parseTarget("events", d.events.url)
		if err != nil {
			return err
		}
		d.opened, err = openAt(ctx, at, d.globalOptions)
		d.log = d.opened
		return err
	}
	path := filepath.Join(d.own, "events.db")
	if d.fresh {
		if err := removeDatabase(path); err != nil {
			return err
		}
	}
	opened, err := d.sqlite(ctx, path)
	d.log, d.appender, d.opened = opened, opened, opened
	return err
}

// openServer connects to the server of --database.
func (d *development) openServer(ctx context.Context) error {
	if !d.databaseGiven {
		return nil
	}
	at, err := d.target()
	if err != nil {
		return err
	}
	if at.server == nil {
		return usagef("--database %s: the rows are in %s without it; name a server of PostgreSQL or MariaDB", at,
			filepath.Join(d.own, "rows.db"))
	}
	d.server, err = at.server(ctx, at.address)
	return err
}

// tables opens the database of the tables.
func (d *development) tables(ctx context.Context, empty bool) (store.Store, error) {
	if d.server != nil {
		opened, discard, err := d.server.Database(ctx)
		return &discarded{opened, discard}, err
	}
	path := filepath.Join(d.own, "rows.db")
	if empty {
		if err := removeDatabase(path); err != nil {
			return nil, err
		}
	}
	return d.sqlite(ctx, path)
}

// discarded is a database that is removed when it is closed.
type discarded struct {
	store.Store
	discard func()
}

// Close closes it and removes it.
func (d *discarded) Close() { d.discard() }

// sqlite opens a SQLite file, which it makes where there is none.
func (d *development) sqlite(ctx context.Context, path string) (store.Store, error) {
	opened, err := trial.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return opened, nil
}

// removeDatabase removes a SQLite file with those beside it.
func removeDatabase(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return &inputError{where: path + suffix, err: unwrapPath(err)}
		}
	}
	return nil
}

// fixtures reads the events of the project's fixtures, with new ids.
func (d *development) fixtures() (all []store.StreamAppend, err error) {
	folder := filepath.Join(d.folder, "fixtures")
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".jsonl" {
			continue
		}
		lines, err := cases.ReadEvents(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, err
			}
			line.Event.ID = store.UUID(id)
			all = append(all, store.StreamAppend{Stream: line.Stream, Events: []store.Event{line.Event}})
		}
	}
	return all, nil
}

// appendFixtures appends them to a log of its own that is empty.
func (d *development) appendFixtures(ctx context.Context) error {
	if d.appender == nil {
		return nil
	}
	horizon, err := d.log.Horizon(ctx)
	if err != nil || horizon.Head > 0 {
		return err
	}
	events, err := d.fixtures()
	if err != nil {
		return &inputError{where: "fixtures", err: err}
	}
	if len(events) == 0 {
		return nil
	}
	_, err = d.appender.Append(ctx, store.AppendOptions{}, events...)
	return err
}

// build builds the module.
func (d *development) build(ctx context.Context) (*dev.Built, error) {
	folder, err := filepath.Abs(d.folder)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(folder)
	file := filepath.Join(d.own, name+".wasm")
	// A build may overlap the one before that was given up, so each has a workshop of its own.
	w := &workshop{compiler: d.compiler, cache: build.UserCache()}
	defer w.close(context.WithoutCancel(ctx))
	made, err := w.build(ctx, build.Project{Name: name, Folder: folder, Under: folder}, file)
	if err != nil {
		lines := append(mistakeLines(err), errorText(buildError(d.folder, err)))
		return nil, errors.New(strings.Join(lines, "\n"))
	}
	built := &dev.Built{File: name + ".wasm", Wasm: made.wasm, Lines: []string{"built " + made.String()}}
	for _, warning := range made.Warnings {
		built.Lines = append(built.Lines, warning.String())
	}
	for _, fixture := range made.Fixtures {
		built.Lines = append(built.Lines, fixture.String())
	}
	return built, nil
}
