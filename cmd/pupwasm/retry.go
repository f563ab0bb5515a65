package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/store"
)

func newRetryCommand(globals *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "retry PROJECTION [SEGMENT…]",
		Short: "Let segments that failed go on",
		Long: `Clear the failure of segments, all or those named, so that the hosts that run the projection go on with them at
once. A segment fails when the projection stops at an event ('--on-error stop'), when too much is parked, or when a
batch takes too long again and again: 'pupwasm status' says why. A segment whose cause is still there fails again.

For events that are parked, see 'pupwasm parked retry'.`,
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
		ValidArgsFunction: completeProjections(globals),
	}
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
	if cleared == 0 {
		_, err = fmt.Fprintf(globals.out, "no segment of %s has failed\n", projection)
		return err
	}
	verb := "go on"
	if cleared == 1 {
		verb = "goes on"
	}
	_, err = fmt.Fprintf(globals.out, "%s of %s %s\n", count(int64(cleared), "segment"), projection, verb)
	return err
}
