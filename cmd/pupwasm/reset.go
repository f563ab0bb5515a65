package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newResetCommand(globals *globalOptions) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset PROJECTION",
		Short: "Delete a projection's tables and checkpoints, to build it again",
		Long: `Delete a projection's tables, with their rows, and its checkpoints. Events stay: the next 'pupwasm run' builds
the projection again from the first event.

The command refuses a projection that a host runs. Stop that host, or remove the module from the folder of its
'run --watch', or pause the projection ('pupwasm pause'): the reset ends the pause, and hosts that run build it again at
once. A host that was killed counts as running until its lease ends.

Messages that wait to be sent stay, and are sent. The build that follows sends nothing again: it goes on behind what was
sent.

The views by which the tables are read are dropped too. What was granted on them on PostgreSQL is granted again when the
projection is installed again. Nothing of others is dropped: the command is refused, and says why, while views of others
depend on the projection's tables or views, or something of others is in the schema of its version. On SQLite such views
stay and fail until the projection is installed again. Schemas that an administrator created stay.`,
		Example: `  pupwasm reset fines --yes`,
		Args:    wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReset(cmd.Context(), globals, args[0], yes)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the rows are deleted")
	return cmd
}

// resetReport is the JSON form of a reset.
type resetReport struct {
	Projection string `json:"projection"`
	Reset      bool   `json:"reset"`
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
	if _, err := knownName(ctx, to, projection); err != nil {
		return err
	}
	if err := to.Reset(ctx, projection); err != nil {
		return err
	}
	if err := globals.say("%s is reset", printable(projection)); err != nil {
		return err
	}
	return globals.result(resetReport{Projection: projection, Reset: true})
}
