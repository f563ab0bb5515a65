package main

import (
	"context"

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
	globals.addJSON(cmd.Flags(), printsJSON)
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
	if err := opts.exchange(ctx, to, live.ProjectionID, func(ctx context.Context) (store.Promotion, error) {
		return segments.Rollback(ctx, to, projection)
	}); err != nil {
		return err
	}
	return opts.result(&opts.report)
}

func newRetireCommand(globals *globalOptions) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "retire PROJECTION VERSION",
		Short: "Delete a version of a projection that readers do not see",
		Long: `Delete the tables, with their rows, and the checkpoints of a version that is not live. Take its module out of
the folders of hosts then: those that have it still say that they refuse it. A candidate that a host runs is not retired,
since the host would begin it again. A build of 'pupwasm rebuild' is retired at any time while it is not live: that ends
the rebuild.

Its messages that wait to be sent stay, and are sent. Those that are held for it, since it was never live, go.`,
		Example: `  pupwasm retire fines 1 --yes
  pupwasm retire fines 1b2 --yes`,
		Args:              wantArgs(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: completeVersioned(globals, retirableIn),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRetire(cmd.Context(), globals, args, yes)
		},
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the rows are deleted")
	return cmd
}

func runRetire(ctx context.Context, globals *globalOptions, args []string, yes bool) error {
	id, err := retiredID(args)
	if err != nil {
		return err
	}
	if !yes {
		return usagef("retiring version %s of %s deletes its tables and checkpoints: say so with --yes", id.VersionText(),
			printable(id.Name))
	}
	to, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer to.Close()
	if id, err = toRetire(ctx, to, id); err != nil {
		return err
	}
	if err := to.Retire(ctx, id); err != nil {
		return err
	}
	if err := globals.say("version %s of %s is retired", id.VersionText(), printable(id.Name)); err != nil {
		return err
	}
	return globals.result(retireReport{Projection: id.Name, Retired: []versionName{versionNameOf(id)}})
}

// retireReport is the JSON form of what was retired.
type retireReport struct {
	Projection string        `json:"projection"`
	Retired    []versionName `json:"retired"`
}

// toRetire returns the version that is named: one that is installed, or a build that is asked for and not begun.
func toRetire(ctx context.Context, from store.Tables, id store.ProjectionID) (store.ProjectionID, error) {
	all, err := allVersions(ctx, from, id.Name)
	if err != nil {
		return id, err
	}
	if found := store.FindVersion(all, id); found != nil {
		return found.ProjectionID, nil
	}
	if live := store.LiveOf(all); live != nil && id.Build != 0 && live.Asked() == id {
		return id, nil
	}
	return id, unknownVersion(id)
}

// retiredID reads which version is to be retired: NAME VERSION, or NAME@VERSION.
func retiredID(args []string) (store.ProjectionID, error) {
	id, err := parseProjection(args[0])
	switch {
	case err != nil:
		return id, err
	case len(args) == 1 && id.Version == 0:
		return id, usagef("name the version to retire: 'pupwasm versions %s' lists those that it has", printable(id.Name))
	case len(args) == 1:
		return id, nil
	case id.Version != 0:
		return id, usagef("name one version, it is %s and %s", id.VersionText(), printable(args[1]))
	}
	return versionOf(id.Name, args[1])
}
