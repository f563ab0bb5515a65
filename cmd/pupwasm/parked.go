package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

const parkedHelp = `Show and change what is parked.

When a projection fails at an event, the event's partition key (by default its stream) is parked: its later events wait,
in order, and those of other keys go on. The host that has the key's segment tries it again by itself, a few times, and
at once when it runs a module that the key was not tried with. See 'pupwasm run --help' for --on-error.

A key that is no printable text, or begins as an option does, is shown and given in hex: hex:00ff.`

func newParkedCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "parked",
		Short: "Show, retry, skip and export events that a projection fails at",
		Long:  parkedHelp,
		Example: `  pupwasm parked list
  pupwasm parked show fines A100
  pupwasm parked retry fines A100
  pupwasm parked skip fines A100 --yes
  pupwasm parked export fines A100 --modules bin/modules`,
	}
	asGroup(cmd)
	cmd.AddCommand(newParkedListCommand(globals), newParkedShowCommand(globals), newParkedRetryCommand(globals),
		newParkedSkipCommand(globals), newParkedSkippedCommand(globals), newParkedExportCommand(globals))
	return cmd
}

// parseKey reads a partition key as [status.KeyText] writes it.
func parseKey(text string) ([]byte, error) {
	key, err := status.ParseKey(text)
	if err != nil {
		return nil, usagef("key %s: %v", printable(text), err)
	}
	return key, nil
}

// reportParked is the report with the error in the words of the command.
func reportParked(k *store.ParkedKey) status.ParkedKey {
	report := status.ReportParked(k)
	report.Error = inFlags(report.Error)
	return report
}

func newParkedListCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [PROJECTION]",
		Short: "List parked keys",
		Long: `List the parked keys of all projections or of one. POSITION is that of the event that failed, EVENTS is how many
events wait with it, NEXT is when the key is tried again by itself.`,
		Example: `  pupwasm parked list
  pupwasm parked list fines --json`,
		Args: wantArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runParkedList(cmd.Context(), globals, strings.Join(args, ""))
		},
		ValidArgsFunction: completeVersioned(globals),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

// parkedPage is how many keys are asked for at once.
const parkedPage = 1000

// eachParked gives the parked keys of a projection, or of all for "", to handle.
func eachParked(
	ctx context.Context, from store.Store, of store.ProjectionID, handle func(k *store.ParkedKey) error,
) error {
	request := parkedRequest(of, nil)
	request.Limit = parkedPage
	for {
		page, err := from.Parked(ctx, request)
		if err != nil {
			return err
		}
		for i := range page {
			if err := handle(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < parkedPage {
			return nil
		}
		request.After = page[len(page)-1].ParkedID
	}
}

func runParkedList(ctx context.Context, globals *globalOptions, projection string) error {
	from, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer from.Close()
	of, err := parseProjection(projection)
	if err != nil {
		return err
	}
	if of.Name != "" {
		found, err := known(ctx, from, projection)
		if err != nil {
			return err
		}
		if of.Version != 0 {
			of = found.ProjectionID
		}
	}
	reports := []status.ParkedKey{}
	err = eachParked(ctx, from, of, func(k *store.ParkedKey) error {
		reports = append(reports, reportParked(k))
		return nil
	})
	switch {
	case err != nil:
		return err
	case globals.json:
		return writeJSON(globals.out, reports)
	case len(reports) == 0:
		_, err := fmt.Fprintln(globals.out, "nothing is parked")
		return err
	}
	table := tabwriter.NewWriter(globals.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROJECTION\tKEY\tPOSITION\tEVENTS\tATTEMPTS\tPARKED\tNEXT\tERROR")
	for i := range reports {
		r := &reports[i]
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", printable(r.Projection), r.Key, r.Position, r.Events,
			r.Attempts, r.ParkedAt.Format(time.RFC3339), r.Next(), printable(r.Error))
	}
	return table.Flush()
}
