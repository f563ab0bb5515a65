package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

// parkedRequest asks for one key, or for all where key is nil.
func parkedRequest(of store.ProjectionID, key []byte) store.ParkedRequest {
	return store.ParkedRequest{Projection: of, Key: key, Range: store.FullRange()}
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
		Example: `  pupwasm parked retry fines A100 A101
  pupwasm parked retry fines --all`,
		Args: wantArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 1) {
				return usagef("name the keys to try again, or all with --all")
			}
			return orderParked(cmd.Context(), globals, args[0], args[1:], parkedOrder{action: store.ActionRetry})
		},
		ValidArgsFunction: completeVersioned(globals, keysOf),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().BoolVar(&all, "all", false, "all keys of the projection")
	return cmd
}

func newParkedSkipCommand(globals *globalOptions) *cobra.Command {
	yes, order := false, parkedOrder{action: store.ActionSkip}
	cmd := &cobra.Command{
		Use:   "skip PROJECTION KEY",
		Short: "Leave out the event that failed, for good",
		Long: `Have the host that runs the projection leave out the event at which a key failed, and apply those that wait behind
it. The rows are then as if the event had never been: only a reset applies it again. --event names the event that
'pupwasm parked show' has shown: a retry may have passed it. 'pupwasm parked skipped' lists what was left out.`,
		Example: `  pupwasm parked skip fines A100 --event 561000 --yes`,
		Args:    wantArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return usagef("the projection %s is then without an event of key %s: say so with --yes", printable(args[0]),
					printable(args[1]))
			}
			if cmd.Flags().Changed("event") && order.event < 1 {
				return usagef("--event is the position of an event, from 1 on, not %d", order.event)
			}
			return orderParked(cmd.Context(), globals, args[0], args[1:], order)
		},
		ValidArgsFunction: completeVersioned(globals, keyOf),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the event is left out")
	cmd.Flags().Int64Var(&order.event, "event", 0,
		"`position` of the event; the order is refused when the key waits at another one by now")
	return cmd
}

// parkedOrder is what is ordered, and at which event the keys must have failed, or 0.
type parkedOrder struct {
	action store.ParkedAction
	event  int64
}

// orderParked gives an order for keys of a projection, or for all of them where none is named. A key that is not
// parked is found before any order is given.
func orderParked(
	ctx context.Context, globals *globalOptions, projection string, named []string, order parkedOrder,
) error {
	keys := make([][]byte, len(named))
	for i, text := range named {
		var err error
		if keys[i], err = parseKey(text); err != nil {
			return err
		}
	}
	to, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer to.Close()
	of, err := known(ctx, to, projection)
	if err != nil {
		return err
	}
	var parked []store.ParkedKey
	for i, key := range keys {
		found, err := to.Parked(ctx, parkedRequest(of.ProjectionID, key))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return notParked(projection, named[i])
		}
		if order.event != 0 && found[0].First != order.event {
			return usagef("key %s waits at event %d, not at %d: 'pupwasm parked show' shows it", printable(named[i]),
				found[0].First, order.event)
		}
		if !slices.ContainsFunc(parked, func(k store.ParkedKey) bool { return bytes.Equal(k.Key, key) }) {
			parked = append(parked, found[0])
		}
	}
	if len(named) == 0 {
		err := eachParked(ctx, to, of.ProjectionID, func(k *store.ParkedKey) error {
			parked = append(parked, *k)
			return nil
		})
		if err != nil {
			return err
		}
	}
	ordered := parked[:0]
	for i := range parked {
		err := to.Order(ctx, parked[i].ParkedID, order.action)
		var unparked *store.InputError // since it was found, by a host
		switch {
		case err == nil:
			ordered = append(ordered, parked[i])
		case !errors.As(err, &unparked):
			return err
		}
	}
	return printOrdered(globals, of, ordered, order.action)
}

// printOrdered says what was ordered, and what it takes until somebody acts on it.
func printOrdered(
	globals *globalOptions, of *store.ProjectionStatus, parked []store.ParkedKey, order store.ParkedAction,
) error {
	name := printable(of.Name)
	report := orderReport{
		Projection: of.Name, Version: of.Version, Build: of.Build, Order: order, Keys: make([]orderedReport, len(parked)),
	}
	for i := range parked {
		report.Keys[i] = orderedReport{Key: status.KeyText(parked[i].Key), Position: parked[i].First}
	}
	if len(parked) == 0 {
		if err := globals.say("nothing of %s is parked", name); err != nil {
			return err
		}
		return globals.result(report)
	}
	what := count(int64(len(parked)), "parked key")
	if order == store.ActionSkip {
		what = fmt.Sprintf("event %d of key %s", parked[0].First, status.KeyText(parked[0].Key))
	}
	if err := globals.say("%s ordered for %s of %s", order, what, name); err != nil {
		return err
	}
	failed, idle := false, false
	for i := range parked {
		for j := range of.Segments {
			s := &of.Segments[j]
			if s.Range.Contains(store.PartitionHashOf(parked[i].Key)) {
				failed, idle = failed || s.Failure != "", idle || !s.Live
			}
		}
	}
	var err error
	switch {
	case of.Paused():
		report.Waits = "paused"
		err = globals.say("nobody acts on that before 'pupwasm resume %s': it is paused", name)
	case failed:
		report.Waits = "failed"
		err = globals.say("nobody acts on that before 'pupwasm retry %s': a segment has failed", name)
	case idle:
		report.Waits = "no host"
		err = globals.say("nobody acts on that before a host runs the projection")
	}
	if err != nil {
		return err
	}
	return globals.result(report)
}

// orderReport is the JSON form of an order for parked keys.
type orderReport struct {
	Projection string             `json:"projection"`
	Version    int                `json:"version"`
	Build      int                `json:"build,omitempty"`
	Order      store.ParkedAction `json:"order"`
	Keys       []orderedReport    `json:"keys"`
	Waits      string             `json:"waits,omitempty"` // why nobody acts on it yet: paused, failed, no host
}

type orderedReport struct {
	Key      string `json:"key"`
	Position int64  `json:"position"` // of the event that failed
}
