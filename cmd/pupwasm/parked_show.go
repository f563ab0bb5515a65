package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

func newParkedShowCommand(globals *globalOptions) *cobra.Command {
	var events logOptions
	cmd := &cobra.Command{
		Use:   "show PROJECTION KEY",
		Short: "Show why a key is parked",
		Long:  `Show why a key is parked, the event that failed, and where the events are that wait with it.`,
		Example: `  pupwasm parked show fines A100
  pupwasm parked show fines@2 hex:00ff --json`,
		Args: wantArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runParkedShow(cmd.Context(), globals, &events, args)
		},
		ValidArgsFunction: completeVersioned(globals, keyOf),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	events.addFlags(cmd.Flags())
	return cmd
}

// shownPositions is how many positions of waiting events are shown.
const shownPositions = 20

func runParkedShow(ctx context.Context, globals *globalOptions, events *logOptions, args []string) error {
	projection, keyArgument := args[0], args[1]
	key, err := parseKey(keyArgument)
	if err != nil {
		return err
	}
	from, err := events.open(ctx, globals)
	if err != nil {
		return err
	}
	defer from.Close()
	of, err := known(ctx, from.tables, projection)
	if err != nil {
		return err
	}
	found, err := from.tables.Parked(ctx, parkedRequest(of.ProjectionID, key))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return notParked(projection, keyArgument)
	}
	report := reportParked(&found[0])
	if globals.json {
		return writeJSON(globals.out, report)
	}
	waiting, err := from.tables.ParkedPositions(ctx, found[0].ParkedID, 0, shownPositions)
	if err != nil {
		return err
	}
	var page store.Page
	request := store.ReadRequest{
		After: report.Position - 1, Through: report.Position, Limit: 1, Range: store.FullRange(), Columns: store.AllColumns,
	}
	if err := from.log.Read(ctx, request, &page); err != nil {
		return err
	}
	fmt.Fprintf(globals.out, "projection  %s\nkey         %s\nerror       %s\nattempts    %d\nparked      %s\n"+
		"next        %s\nevents      %d, at %s\n\n",
		printable(report.Projection), report.Key, printable(report.Error), report.Attempts,
		report.ParkedAt.Format(time.RFC3339), report.Next(), report.Events, positionsText(waiting, report.Events))
	if len(page.Events) == 0 || page.Events[0].ID != found[0].Event {
		_, err := fmt.Fprintf(globals.out, "event %s is not in the log of this database: --events names the one that has it\n",
			report.EventID)
		return err
	}
	return newEventPrinter(globals.out, false).print(page.Events)
}

// positionsText lists positions, the first of so many.
func positionsText(positions []int64, all int64) string {
	texts := make([]string, len(positions))
	for i, position := range positions {
		texts[i] = strconv.FormatInt(position, 10)
	}
	text := strings.Join(texts, ", ")
	if int64(len(positions)) < all {
		text += ", …"
	}
	return text
}

func newParkedSkippedCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "skipped PROJECTION",
		Short: "List events that were left out",
		Example: `  pupwasm parked skipped fines
  pupwasm parked skipped fines --json`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runParkedSkipped(cmd.Context(), globals, args[0])
		},
		ValidArgsFunction: completeVersioned(globals),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

// skippedReport is the JSON form of an event that was left out.
type skippedReport struct {
	Key       string    `json:"key"`
	Position  int64     `json:"position"`
	EventID   string    `json:"event_id"`
	Error     string    `json:"error"`
	SkippedAt time.Time `json:"skipped_at"`
}

func runParkedSkipped(ctx context.Context, globals *globalOptions, projection string) error {
	from, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer from.Close()
	of, err := known(ctx, from, projection)
	if err != nil {
		return err
	}
	reports := []skippedReport{}
	for after := int64(0); ; {
		page, err := from.Skipped(ctx, of.ProjectionID, after, parkedPage)
		if err != nil {
			return err
		}
		for _, s := range page {
			after = s.Position
			reports = append(reports, skippedReport{
				Key: status.KeyText(s.Key), Position: s.Position, EventID: s.Event.String(), Error: inFlags(s.Error),
				SkippedAt: s.SkippedAt.UTC(),
			})
		}
		if len(page) < parkedPage {
			break
		}
	}
	switch {
	case globals.json:
		return writeJSON(globals.out, reports)
	case len(reports) == 0:
		_, err := fmt.Fprintln(globals.out, "no event was skipped")
		return err
	}
	table := tabwriter.NewWriter(globals.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POSITION\tKEY\tSKIPPED\tERROR")
	for i := range reports {
		r := &reports[i]
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", r.Position, r.Key, r.SkippedAt.Format(time.RFC3339), printable(r.Error))
	}
	return table.Flush()
}
