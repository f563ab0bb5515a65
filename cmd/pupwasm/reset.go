package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newResetCommand(globals *globalOptions) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset PROJECTION",
		Short: "Delete a projection's tables and checkpoints, so that it is built again",
		Long: `Delete a projection's tables, with the rows in them, and its checkpoints. No event is touched: the next 'pupwasm run'
builds the projection again from the first event. A projection that a host runs is refused: stop that host, or take the module out of
the folder of its 'run --watch'. A host that was killed counts until its lease is over.

On PostgreSQL a schema that a host has made goes with them, and all that was built in it. Of another one, its tables and views do.`,
		Example: `  pupwasm reset fines --yes`,
		Args:    wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReset(cmd.Context(), globals, args[0], yes)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "delete the rows")
	return cmd
}

func runReset(ctx context.Context, globals *globalOptions, projection string, yes bool) error {
	if !yes {
		return usagef("resetting %s deletes its tables and checkpoints: say so with --yes", projection)
	}
	to, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := to.Reset(ctx, projection); err != nil {
		return err
	}
	_, err = fmt.Fprintf(globals.out, "%s is reset\n", projection)
	return err
}
