package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

func newRollbackCommand(globals *globalOptions) *cobra.Command {
	opts := &promoteOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "rollback PROJECTION",
		Short: "Make readers see the version again that the live one has replaced",
		Long: `Make readers see the version again that the live one has replaced. It has gone on following, so that this takes
moments, and is done as 'pupwasm promote' does it. The version that was live is a candidate again.

A host must have the module of the version still: without one it does not follow, and the command fails until it does.`,
		Example: `  pupwasm rollback fines`,
		Args:    wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRollback(cmd.Context(), opts, args[0])
		},
		ValidArgsFunction: completeProjections(globals),
	}
	opts.addTimeout(cmd)
	return cmd
}

func runRollback(ctx context.Context, opts *promoteOptions, projection string) error {
	to, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer to.Close()
	live, err := knownName(ctx, to, projection)
	if err != nil {
		return err
	}
	return opts.exchange(ctx, to, live.ProjectionID, func(ctx context.Context) (store.Promotion, error) {
		return segments.Rollback(ctx, to, projection)
	})
}

func newRetireCommand(globals *globalOptions) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "retire PROJECTION VERSION",
		Short: "Delete a version of a projection that readers do not see",
		Long: `Delete the tables, with their rows, and the checkpoints of a version that is not live. Take its module out of
the folders of hosts then: those that have it still say that they refuse it. A candidate that a host runs is not retired,
since the host would begin it again.`,
		Example: `  pupwasm retire fines 1 --yes`,
		Args:    wantArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRetire(cmd.Context(), globals, args[0], args[1], yes)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the rows are deleted")
	return cmd
}

func runRetire(ctx context.Context, globals *globalOptions, projection, number string, yes bool) error {
	version, err := versionNumber(number)
	if err != nil {
		return err
	}
	if !yes {
		return usagef("retiring version %d of %s deletes its tables and checkpoints: say so with --yes", version,
			printable(projection))
	}
	to, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := knownName(ctx, to, projection); err != nil {
		return err
	}
	of, err := known(ctx, to, projection+"@"+strconv.Itoa(version))
	if err != nil {
		return err
	}
	if err := to.Retire(ctx, of.ProjectionID); err != nil {
		return err
	}
	_, err = fmt.Fprintf(globals.out, "version %d of %s is retired\n", version, printable(projection))
	return err
}
