package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	globals.addJSON(cmd.Flags(), printsJSON)
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
	if err := globals.say("%[1]s %[2]s, and no host has a segment of it: 'pupwasm resume %[1]s' lets it go on",
		printable(projection), said); err != nil {
		return err
	}
	return globals.result(pauseReport{Projection: projection, Paused: true, Changed: changed})
}

// pauseReport is the JSON form of a pause and of its end.
type pauseReport struct {
	Projection string `json:"projection"`
	Paused     bool   `json:"paused"`
	Changed    bool   `json:"changed"`             // it was otherwise before
	HostRuns   *bool  `json:"host_runs,omitempty"` // of the end of a pause: some host has the projection
}

func newResumeCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
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
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
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
	if err := globals.say("%s %s", printable(projection), said); err != nil {
		return err
	}
	report := pauseReport{Projection: projection, Changed: changed}
	if report.HostRuns, err = hostRuns(ctx, to, of); err != nil {
		return err
	}
	if changed {
		if err := globals.tellIdle(report.HostRuns); err != nil {
			return err
		}
	}
	return globals.result(report)
}

// hostRuns reports whether a host runs a projection.
func hostRuns(ctx context.Context, from store.Tables, of *store.ProjectionStatus) (*bool, error) {
	workers, err := from.Workers(ctx)
	if err != nil {
		return nil, err
	}
	runs := slices.ContainsFunc(workers, func(w store.Worker) bool { return w.Runs(of.ProjectionID) })
	return &runs, nil
}

// tellIdle says so when no host runs a projection that is to go on.
func (o *globalOptions) tellIdle(runs *bool) error {
	if *runs {
		return nil
	}
	return o.say("no host runs it: start one with 'pupwasm run'")
}
