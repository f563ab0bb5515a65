package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// The exit codes. They never change: scripts know them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInput       = 3
	exitUnavailable = 4
	exitNotSetUp    = 5
	exitAttention   = 6
	exitFault       = 7
	exitChanges     = 8
	exitSignal      = 128 // plus the signal's number
)

// exitCodeRow says what a code means, in the help of the root command and in docs/exit-codes.md.
type exitCodeRow struct {
	code   int
	means  string
	remedy string // what a script or a person does then, for the page
}

var exitCodes = []exitCodeRow{
	{exitOK, "done", "Go on."},
	{
		exitFailure, "failed",
		"Read the line on stderr. `pupwasm diff` also ends so when versions differ, `pupwasm check` when rows do, " +
			"`pupwasm plan` when a module is refused, and `pupwasm run --once` when messages are left.",
	},
	{
		exitUsage, "wrong usage: a flag, an argument or a setting",
		"Mend the command line, the variable or the file that the line names. The same call fails again.",
	},
	{
		exitInput, "bad input: an unreadable file, a bad line, a version conflict",
		"Mend the place that the line names. `pupwasm append --check` finds all bad lines.",
	},
	{exitUnavailable, "the database is not available", "Try again later: nothing is wrong with the call."},
	{exitNotSetUp, "the database is not set up: see 'pupwasm migrate'", "Run `pupwasm migrate up`, or mend `--database`."},
	{
		exitAttention, "something needs attention ('pupwasm status --check', 'pupwasm doctor')",
		"Look: [oncall.md](oncall.md) has a section for each alert.",
	},
	{
		exitFault, "an event of a bundle fails ('pupwasm replay')",
		"Mend the module, and replay with `--module`: see [failures.md](failures.md).",
	},
	{
		exitChanges, "a module may change rows ('pupwasm plan')",
		"Let somebody agree before you deploy: see [running.md](running.md#before-you-deploy).",
	},
	{
		exitSignal + 2, "interrupted (128 + the number of the signal)",
		"143 is SIGTERM. A command that runs until it is stopped, such as `pupwasm run`, ends with 0 instead.",
	},
}

// exitCodesHelp is the table as the help has it.
func exitCodesHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:")
	for _, row := range exitCodes {
		fmt.Fprintf(&b, "\n  %-3d  %s", row.code, row.means)
	}
	return b.String()
}

// exitCode is the one place that maps errors to exit codes.
func exitCode(ctx context.Context, err error) int {
	var usage *usageError
	var input *inputError
	var attention *attentionError
	var fault *replayFault
	var changes *changesError
	var stopped *signalError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &input):
		return exitInput
	case errors.As(err, &attention):
		return exitAttention
	case errors.As(err, &fault):
		return exitFault
	case errors.As(err, &changes):
		return exitChanges
	case errors.As(context.Cause(ctx), &stopped):
		// After a signal most failures are its consequence.
		return exitSignal + int(stopped.signal)
	case errors.Is(err, store.ErrTransient):
		return exitUnavailable
	case errors.Is(err, store.ErrNotMigrated), errors.Is(err, errNoDatabase):
		return exitNotSetUp
	}
	return exitFailure
}
