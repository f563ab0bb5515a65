package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/plan"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

type planOptions struct {
	*globalOptions

	last    int
	events  logOptions
	runtime runtimeOptions
}

// planEventsMax bounds --last: the events are in memory.
const planEventsMax = 100_000

const planHelp = `Say what the modules of a folder, or one module, would do to the database if 'pupwasm run' ran them now. The
database is only read.

  new              its tables are made, and built from the first event
  unchanged        it is what ran last
  other code       the same version and tables, and another file than the one that ran last
  additive         the same, and indexes are made
  needs a rebuild  a later version, which is built beside the live one from the first event
  candidate        a later version that is being built already
  replaced         a version that was live before
  refused          it would not run, and why

Of a module with other code, both modules are run over the last events of the log that one of them asks for, and their
rows are compared. The database keeps the module that ran a version last, and this command runs it again in the sandbox,
with the limits of the new one. Both begin with empty tables, so this compares what the code does, not the rows that are
there. Such a dry run uses a temporary SQLite database; a module without a text for SQLite cannot be tried.

How long a rebuild takes is an estimate by a dry run on this machine.

What only the database can tell is left to the host: rights, names that others have taken, and on PostgreSQL and MariaDB
whether it accepts the statements of the module.

The exit code is 0 when no rows would change, 8 when they may: a version is rebuilt, or rows of other code differ or
cannot be compared. It is 1 when a module is refused.

Give --events when hosts run with it.`

func newPlanCommand(globals *globalOptions) *cobra.Command {
	opts := &planOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "plan DIR|FILE.wasm",
		Short: "Say what modules would do to the database, before they run",
		Long:  planHelp,
		Example: `  pupwasm plan modules
  pupwasm plan modules/fine_balance.wasm --last 50000
  pupwasm plan modules --json --database postgres://localhost/shop`,
		Args:              wantArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeFile(moduleFiles),
		RunE:              func(cmd *cobra.Command, args []string) error { return runPlan(cmd.Context(), opts, args[0]) },
	}
	opts.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().IntVar(&opts.last, "last", 1000, "run modules over the last `N` events that they ask for")
	opts.events.addFlags(cmd.Flags())
	opts.limits.addFlags(cmd.Flags())
	opts.runtime.addFlags(cmd.Flags())
	return cmd
}

// changesError says that modules may change rows.
type changesError struct{ what string }

// Error says how many.
func (e *changesError) Error() string { return e.what }

func runPlan(ctx context.Context, opts *planOptions, path string) error {
	if opts.last < 1 || opts.last > planEventsMax {
		return usagef("--last must be between 1 and %d, it is %d", planEventsMax, opts.last)
	}
	if err := opts.limits.check(); err != nil {
		return err
	}
	opts.log = opts.log.Level(max(opts.log.GetLevel(), zerolog.WarnLevel))
	runtime, err := opts.runtime.start(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer runtime.Close(context.WithoutCancel(ctx))
	at, err := opts.target()
	if err != nil {
		return err
	}
	of, err := opts.events.open(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer of.Close()
	modules, err := plan.Load(ctx, runtime, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usagef("%s does not exist: name a module, or a folder of modules", path)
	case err != nil:
		return err
	case len(modules) == 0:
		return usagef("the folder %s has no .wasm file", path)
	}
	report, err := plan.Make(ctx, modules, plan.Options{
		Runtime: runtime, Log: of.log, Tables: of.tables, Dialect: at.statements, Events: opts.last,
		Limits: sqlite.Options{StatementTimeout: opts.limits.statement, TransactionTimeout: opts.limits.transaction},
	})
	if err != nil {
		return err
	}
	planInFlags(report)
	if opts.json {
		err = writeJSON(opts.out, report)
	} else {
		printer := &planPrinter{out: opts.out, folder: path}
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			printer.folder = filepath.Dir(path)
		}
		for i := range report.Modules {
			printer.print(&report.Modules[i])
		}
		err = printer.err
	}
	if err != nil {
		return err
	}
	return planOutcome(report)
}

// planOutcome is the error that the exit code comes from.
func planOutcome(report *plan.Report) error {
	changes := report.Attention()
	what := fmt.Sprintf("%s may change rows", count(changes, "module"))
	switch refused := report.Count(plan.Refused); {
	case refused > 0 && changes > 0:
		return fmt.Errorf("%s would be refused, and %s", count(refused, "module"), what)
	case refused > 0:
		return fmt.Errorf("%s would be refused", count(refused, "module"))
	case changes > 0:
		return &changesError{what}
	}
	return nil
}

// planInFlags puts flags and commands into the texts of libraries.
func planInFlags(report *plan.Report) {
	for i := range report.Modules {
		m := &report.Modules[i]
		m.Reason = inFlags(m.Reason)
		if m.State != nil {
			m.State.Failure = inFlags(m.State.Failure)
		}
		if m.DryRun != nil {
			m.DryRun.Failure = inFlags(m.DryRun.Failure)
			if m.DryRun.First != nil {
				m.DryRun.First.Error = inFlags(m.DryRun.First.Error)
			}
		}
		if m.Comparison != nil {
			m.Comparison.Unknown = inFlags(m.Comparison.Unknown)
			if m.Comparison.First != nil {
				m.Comparison.First.Error = inFlags(m.Comparison.First.Error)
			}
		}
	}
}
