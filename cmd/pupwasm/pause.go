package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

const pauseHelp = `Pause a projection on all hosts. Each ends its batch and gives up its segments. The command returns when no host has
one any more: from then on the rows stay as they are until 'pupwasm resume'. Hosts need no restart for either, and a
pause outlives theirs. A projection that no host runs can be paused too.

Meanwhile nothing is applied and no parked key is retried, modules are still replaced by 'run --watch', segments can be
split and merged, and 'pupwasm reset' is not refused: it ends the pause, and hosts that run build the projection again
at once. 'run --once' and 'wait' fail with one line. 'pupwasm status' shows the state "paused".`

func newPauseCommand(globals *globalOptions) *cobra.Command {
	timeout := time.Minute
	cmd := &cobra.Command{
		Use:   "pause PROJECTION",
		Short: "Stop a projection on all hosts until it is resumed",
		Long:  pauseHelp,
		Example: `  pupwasm pause fines
  pupwasm pause fines && pg_dump --schema fines__v1 shop > fines.sql; pupwasm resume fines`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPause(cmd.Context(), globals, args[0], timeout)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().DurationVar(&timeout, "timeout", timeout,
		"how long to wait until no host has a segment; 0 for no limit")
	return cmd
}

func runPause(ctx context.Context, globals *globalOptions, projection string, timeout time.Duration) error {
	if timeout < 0 {
		return usagef("--timeout must not be negative, it is %s", timeout)
	}
	to, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := knownName(ctx, to, projection); err != nil {
		return err
	}
	waiting, cancel := withTimeout(ctx, timeout)
	defer cancel()
	changed, err := segments.Pause(waiting, to, projection)
	var still *segments.StillRunningError
	switch {
	case errors.As(err, &still) && ctx.Err() == nil:
		return fmt.Errorf("%w (waited %s for that): 'pupwasm status %s' shows it", still, timeout, printable(projection))
	case err != nil:
		return err
	}
	said := "is paused"
	if !changed {
		said = "was paused already"
	}
	_, err = fmt.Fprintf(globals.out, "%[1]s %[2]s, and no host has a segment of it: 'pupwasm resume %[1]s' lets it go on\n",
		printable(projection), said)
	return err
}

func newResumeCommand(globals *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "resume PROJECTION",
		Short: "Let a projection go on that was paused",
		Long: `End a pause. The command returns at once; hosts that run the projection go on with it within --rebalance (1s),
without a restart.`,
		Example: `  pupwasm resume fines && pupwasm wait fines`,
		Args:    wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runResume(cmd.Context(), globals, args[0])
		},
		ValidArgsFunction: completeProjections(globals),
	}
}

func runResume(ctx context.Context, globals *globalOptions, projection string) error {
	to, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer to.Close()
	of, err := knownName(ctx, to, projection)
	if err != nil {
		return err
	}
	changed, err := segments.Resume(ctx, to, projection)
	if err != nil {
		return err
	}
	said := "was not paused"
	if changed {
		said = "goes on"
	}
	if _, err := fmt.Fprintf(globals.out, "%s %s\n", printable(projection), said); err != nil || !changed {
		return err
	}
	return globals.tellIdle(ctx, to, of)
}

// tellIdle says so when no host runs a projection that is to go on.
func (o *globalOptions) tellIdle(ctx context.Context, from store.Tables, of *store.ProjectionStatus) error {
	workers, err := from.Workers(ctx)
	if err != nil {
		return err
	}
	for i := range workers {
		if workers[i].Runs(of.ProjectionID) {
			return nil
		}
	}
	_, err = fmt.Fprintln(o.out, "no host runs it: start one with 'pupwasm run'")
	return err
}
