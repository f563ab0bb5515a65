package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// completionWait bounds the wait for a database after a press of the tab key.
const completionWait = 2 * time.Second

// completeProjections offers the names of projections to the shell, or nothing when the database is slow.
func completeProjections(globals *globalOptions) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 || globals.settle(cmd) != nil {
			return nil, directive
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionWait)
		defer cancel()
		from, err := openStore(ctx, globals)
		if err != nil {
			return nil, directive
		}
		defer from.Close()
		projections, err := from.Status(ctx)
		if err != nil {
			return nil, directive
		}
		names := make([]cobra.Completion, len(projections))
		for i := range projections {
			names[i] = projections[i].Name
		}
		return names, directive
	}
}

// completeFlag offers fixed values of a flag to the shell.
func completeFlag(cmd *cobra.Command, flag string, values ...cobra.Completion) {
	// It fails only for a flag that the command does not have.
	if err := cmd.RegisterFlagCompletionFunc(flag,
		cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
