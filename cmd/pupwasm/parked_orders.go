package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/store"
)

// parkedRequest asks for one key, or for all where key is nil.
func parkedRequest(projection string, key []byte) store.ParkedRequest {
	return store.ParkedRequest{Projection: store.ProjectionID{Name: projection}, Key: key, Range: store.FullRange()}
}

func notParked(projection, key string) error {
	return usagef("key %s of projection %s is not parked: 'pupwasm parked list' lists those that are", printable(key),
		printable(projection))
}

func newParkedRetryCommand(globals *globalOptions) *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:   "retry PROJECTION [KEY…]",
		Short: "Try the events of parked keys again",
		Long: `Have the host that runs the projection try the events of parked keys again, from the one that failed. It does so
within moments, or when it starts. 'pupwasm parked list' shows what came of it.`,
		Args: wantArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 1) {
				return usagef("name the keys to try again, or all with --all")
			}
			return orderParked(cmd.Context(), globals, args[0], args[1:], store.OrderRetry)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().BoolVar(&all, "all", false, "all keys of the projection")
	return cmd
}

func newParkedSkipCommand(globals *globalOptions) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "skip PROJECTION KEY",
		Short: "Leave out the event that failed, for good",
		Long: `Have the host that runs the projection leave out the event at which a key failed, and apply those that wait behind
it. The rows are then as if the event had never been: only a reset applies it again. 'pupwasm parked skipped' lists
what was left out.`,
		Args: wantArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return usagef("the projection %s is then without an event of key %s: say so with --yes", printable(args[0]),
					printable(args[1]))
			}
			return orderParked(cmd.Context(), globals, args[0], args[1:], store.OrderSkip)
		},
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the event is left out")
	return cmd
}

// orderParked gives an order for keys of a projection, or for all of them where none is named. A key that is not
// parked is found before any order is given.
func orderParked(
	ctx context.Context, globals *globalOptions, projection string, named []string, order store.ParkedOrder,
) error {
	keys := make([][]byte, len(named))
	for i, text := range named {
		var err error
		if keys[i], err = parseKey(text); err != nil {
			return err
		}
	}
	var ids []store.ParkedID
	to, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := known(ctx, to, projection); err != nil {
		return err
	}
	for i, key := range keys {
		found, err := to.Parked(ctx, parkedRequest(projection, key))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return notParked(projection, named[i])
		}
		ids = append(ids, found[0].ParkedID)
	}
	if len(named) == 0 {
		err := eachParked(ctx, to, projection, func(k *store.ParkedKey) error {
			ids = append(ids, k.ParkedID)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := to.Order(ctx, id, order); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(globals.out, "%s ordered for %d of the parked keys of %s\n", order, len(ids), projection)
	return err
}
