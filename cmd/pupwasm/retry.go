package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/store"
)

func newRetryCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry PROJECTION [SEGMENT…]",
		Short: "Let segments that failed go on",
		Long: `Clear the failure of segments, all or those named, so that the hosts that run the projection go on with them at
once. A segment fails when the projection stops at an event ('--on-error stop'), when too much is parked, or when a
batch takes too long again and again. The command shows why each had failed. A segment whose cause is still there fails
again.

Parked keys are another matter, which the command only counts: 'pupwasm parked retry' tries them again.`,
		Example: `  pupwasm retry fines
  pupwasm retry fines 2`,
		Args: wantArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := segmentNumbers(args[1:])
			if err != nil {
				return err
			}
			return runRetry(cmd.Context(), globals, args[0], numbers)
		},
		ValidArgsFunction: completeVersioned(globals, segmentsOf),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

func runRetry(ctx context.Context, globals *globalOptions, projection string, numbers []int) error {
	to, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer to.Close()
	of, err := known(ctx, to, projection)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		if !slices.ContainsFunc(of.Segments, func(s store.SegmentStatus) bool { return s.Segment == number }) {
			return usagef("projection %s has no segment %d: 'pupwasm segments list' shows them", printable(projection), number)
		}
	}
	cleared, err := to.Recover(ctx, of.ProjectionID, numbers...)
	if err != nil {
		return err
	}
	return tellRetried(ctx, globals, to, of, numbers, cleared)
}

// retryReport is the JSON form of a retry of segments.
type retryReport struct {
	Projection string          `json:"projection"`
	Version    int             `json:"version"`
	Build      int             `json:"build,omitempty"`
	Retried    []retriedReport `json:"retried"`
	Parked     int             `json:"parked"` // keys, which are not retried
	Paused     bool            `json:"paused"`
	HostRuns   *bool           `json:"host_runs"`
}

// retriedReport is a segment that goes on.
type retriedReport struct {
	Segment  int    `json:"segment"`
	Position int64  `json:"position"`
	Failure  string `json:"failure"`
}

// tellRetried says what goes on, after which failures, and what does not.
func tellRetried(
	ctx context.Context, globals *globalOptions, from store.Tables, was *store.ProjectionStatus, numbers []int, cleared int,
) error {
	name := printable(was.Name)
	report := retryReport{
		Projection: was.Name, Version: was.Version, Build: was.Build, Retried: []retriedReport{}, Parked: was.Parked,
		Paused: was.Paused(),
	}
	for i := range was.Segments {
		s := &was.Segments[i]
		if s.Failure != "" && (len(numbers) == 0 || slices.Contains(numbers, s.Segment)) {
			report.Retried = append(report.Retried, retriedReport{s.Segment, s.Position, inFlags(s.Failure)})
			if err := globals.say("segment %d had failed after position %d: %s", s.Segment, s.Position,
				printable(inFlags(s.Failure))); err != nil {
				return err
			}
		}
	}
	said := fmt.Sprintf("no segment of %s has failed", name)
	switch {
	case cleared == 1:
		said = fmt.Sprintf("1 segment of %s goes on", name)
	case cleared > 1:
		said = fmt.Sprintf("%d segments of %s go on", cleared, name)
	}
	if err := globals.say("%s", said); err != nil {
		return err
	}
	if was.Parked > 0 {
		if err := globals.say("%[1]s has %[2]s, which this does not retry: 'pupwasm parked retry %[1]s --all' does", name,
			count(int64(was.Parked), "parked key")); err != nil {
			return err
		}
	}
	var err error
	if report.HostRuns, err = hostRuns(ctx, from, was); err != nil {
		return err
	}
	switch {
	case was.Paused():
		err = globals.say("nothing goes on before 'pupwasm resume %s': it is paused", name)
	case cleared > 0:
		err = globals.tellIdle(report.HostRuns)
	}
	if err != nil {
		return err
	}
	return globals.result(report)
}
