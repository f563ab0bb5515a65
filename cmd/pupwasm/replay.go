package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/bundle"
	"github.com/pupwasm/pupwasm/internal/bundle/replay"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

type replayOptions struct {
	*globalOptions

	module  string
	runtime runtimeOptions
}

const replayHelp = `Apply the events of a bundle, which 'pupwasm parked export' writes, as a host does: with the bundle's module, or with
another one that may be fixed. No database is needed: the rows of the bundle are put into a temporary one (SQLite).

The outcome is that the fault is reproduced, that an event fails otherwise, or that all pass. Then come the rows that the
replay has made (+) and removed (-); a row that was changed is both. The exit code is 7 while an event fails.

A bundle may come from anybody: its module runs in the sandbox, with the limits of a host.`

func newReplayCommand(globals *globalOptions) *cobra.Command {
	opts := &replayOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "replay BUNDLE",
		Short: "Try the events of a parked key again, without its database",
		Long:  replayHelp,
		Example: `  pupwasm replay fines-561000.bundle.tar.gz
  pupwasm replay fines-561000.bundle.tar.gz --module fixed.wasm`,
		Args:              wantArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeFile(bundleFiles),
		RunE:              func(cmd *cobra.Command, args []string) error { return runReplay(cmd.Context(), opts, args[0]) },
	}
	cmd.Flags().StringVar(&opts.module, "module", "", "`file` of a module to try instead of the bundle's")
	flagFiles(cmd.Flags(), "module", moduleFiles)
	opts.addJSON(cmd.Flags(), printsJSON)
	opts.limits.addFlags(cmd.Flags())
	opts.runtime.addFlags(cmd.Flags())
	return cmd
}

// replayFault says that an event of a bundle fails.
type replayFault struct{ what string }

// Error says which one.
func (e *replayFault) Error() string { return e.what }

func runReplay(ctx context.Context, opts *replayOptions, file string) error {
	if err := opts.limits.check(); err != nil {
		return err
	}
	runtime, err := opts.runtime.start(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer runtime.Close(context.WithoutCancel(ctx))
	b, err := readBundle(file, opts.runtime.limits.ModuleBytesMax)
	if err != nil {
		return err
	}
	options := replay.Options{Runtime: runtime, Tables: sqlite.Options{
		StatementTimeout: opts.limits.statement, TransactionTimeout: opts.limits.transaction,
	}}
	if opts.module != "" {
		options.File = filepath.Base(opts.module)
		if options.Module, err = readModule(runtime, opts.module); err != nil {
			return err
		}
	}
	report, err := replay.Run(ctx, b, options)
	if err != nil {
		return err
	}
	if report.Fault != nil {
		report.Fault.Error = inFlags(report.Fault.Error)
	}
	if opts.json {
		err = writeJSON(opts.out, replayReport{Bundle: b.Manifest, Report: report})
	} else {
		printReplay(opts.out, b, options.File, report)
	}
	if err == nil && report.Outcome != replay.Passes {
		err = &replayFault{outcomeText(b, report)}
	}
	return err
}

func readBundle(file string, moduleBytesMax int) (*bundle.Bundle, error) {
	from, err := os.Open(file)
	if err != nil {
		return nil, &inputError{where: file, err: unwrapPath(err)}
	}
	defer from.Close()
	b, err := bundle.Read(from, moduleBytesMax)
	if err != nil {
		return nil, &inputError{where: file, err: unwrapPath(err)}
	}
	return b, nil
}

// replayReport is the JSON form of a replay.
type replayReport struct {
	Bundle bundle.Manifest `json:"bundle"`
	*replay.Report
}

// outcomeText is the outcome in a sentence.
func outcomeText(b *bundle.Bundle, report *replay.Report) string {
	switch {
	case report.Outcome == replay.Passes:
		return fmt.Sprintf("no event of the bundle fails, of %d", report.Events)
	case report.Outcome == replay.Reproduced:
		return fmt.Sprintf("event %d fails as it did", b.Fault.Position)
	case report.Fault.Position == b.Fault.Position:
		return fmt.Sprintf("event %d fails, and otherwise than it did", b.Fault.Position)
	case report.Fault.Position > 0:
		return fmt.Sprintf("event %d fails, and it was event %d", report.Fault.Position, b.Fault.Position)
	}
	return "the events fail together, and it was one of them"
}

// shownChanges is how many rows are printed.
const shownChanges = 50

func printReplay(out io.Writer, b *bundle.Bundle, file string, report *replay.Report) {
	field := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-11s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	field("projection", "%s, key %s", b.Projection.Name, b.Key)
	field("was", "%s", inFlags(b.Fault.Error))
	if file == "" {
		file = b.Module.File + ", the bundle's"
	}
	field("module", "%s", file)
	field("outcome", "%s: %s", report.Outcome, outcomeText(b, report))
	if report.Outcome == replay.Differs {
		field("now", "%s", report.Fault.Error)
	}
	field("events", "%d of %d handled", report.Handled, report.Events)
	for _, note := range report.Notes {
		field("note", "%s", note)
	}
	for i, change := range report.Changes {
		if i == shownChanges {
			fmt.Fprintf(out, "… and %d more: --json has all\n", len(report.Changes)-i)
			break
		}
		sign := "+"
		if change.Removed {
			sign = "-"
		}
		fmt.Fprintf(out, "%s %s %s\n", sign, change.Table, printable(string(change.Row)))
	}
}
