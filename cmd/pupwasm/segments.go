package main

import (
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

const segmentsHelp = `Show and change how the partition keys of a projection, by default its streams, are divided into
segments. The projection may run meanwhile.

A segment has its own checkpoint and belongs to one worker at a time, so as many workers can run a projection as it has
segments. No change loses or repeats an event, or reorders the events of a key.`

func newSegmentsCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "segments",
		Short: "Show and change the segments of projections",
		Long:  segmentsHelp,
		Example: `  pupwasm segments list fines
  pupwasm segments split fines 2
  pupwasm segments merge fines 2 4`,
	}
	asGroup(cmd)
	cmd.AddCommand(newSegmentsListCommand(globals), newSegmentsSplitCommand(globals), newSegmentsMergeCommand(globals))
	return cmd
}

func newSegmentsListCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [PROJECTION]",
		Short: "List segments in order of their partition keys",
		Long: `List segments in order of their partition keys. KEYS is the range of key hashes of a segment, SHARE is its
part of all hashes. Neighbours in the list can be merged. 'pupwasm status' shows how far behind they are.`,
		Example: `  pupwasm segments list
  pupwasm segments list fines --json`,
		Args: wantArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSegmentsList(cmd.Context(), globals, args)
		},
		ValidArgsFunction: completeVersioned(globals),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

// layoutReport is the JSON form of a projection's layout.
type layoutReport struct {
	Name     string             `json:"name"`
	Version  int                `json:"version"`
	Build    int                `json:"build,omitempty"`
	Asked    int                `json:"asked"` // the number of segments that was last asked for
	Segments []layoutPartReport `json:"segments"`

	label string
}

type layoutPartReport struct {
	Segment   int          `json:"segment"`
	First     uint32       `json:"first"` // of the spread partition hashes
	Last      uint32       `json:"last"`
	Share     float64      `json:"share"`
	Position  int64        `json:"position"`
	State     status.State `json:"state"`
	Owner     string       `json:"owner,omitempty"`
	MergeInto *int         `json:"merge_into,omitempty"`
	MergeAt   int64        `json:"merge_at,omitempty"`
}

func runSegmentsList(ctx context.Context, globals *globalOptions, only []string) error {
	from, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer from.Close()
	projections, err := from.Status(ctx)
	if err != nil {
		return err
	}
	if len(only) > 0 {
		of, err := known(ctx, from, only[0])
		if err != nil {
			return err
		}
		projections = []store.ProjectionStatus{*of}
	}
	reports := make([]layoutReport, len(projections))
	for i := range projections {
		reports[i] = reportLayout(&projections[i])
	}
	if globals.json {
		return writeJSON(globals.out, reports)
	}
	return printLayouts(globals, reports)
}

func reportLayout(p *store.ProjectionStatus) layoutReport {
	stored := map[int]*store.SegmentStatus{}
	for i := range p.Segments {
		stored[p.Segments[i].Segment] = &p.Segments[i]
	}
	report := layoutReport{Name: p.Name, Version: p.Version, Build: p.Build, label: argumentOf(p), Asked: p.Desired}
	for _, part := range p.Layout().Segments {
		s := stored[part.Segment]
		r := layoutPartReport{
			Segment: part.Segment, First: part.Range.First, Last: part.Range.Last, Share: part.Range.Share(),
			Position: part.Position, State: status.StateOf(p, s), Owner: s.Owner, MergeAt: part.Merge.At,
		}
		if part.Merge.At > 0 && !part.Merge.Held() {
			r.MergeInto = &part.Merge.Into
		}
		report.Segments = append(report.Segments, r)
	}
	return report
}

func printLayouts(globals *globalOptions, reports []layoutReport) error {
	if len(reports) == 0 {
		_, err := fmt.Fprintln(globals.out, "no projection is known: 'pupwasm run' installs them")
		return err
	}
	table := tabwriter.NewWriter(globals.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROJECTION\tSEGMENT\tKEYS\tSHARE\tPOSITION\tSTATE\tOWNER")
	for _, report := range reports {
		for i := range report.Segments {
			s := &report.Segments[i]
			state := string(s.State)
			if s.MergeInto != nil {
				state += fmt.Sprintf(", merging into %d at %d", *s.MergeInto, s.MergeAt)
			}
			owner := printable(s.Owner)
			if owner == "" {
				owner = "-"
			}
			fmt.Fprintf(table, "%s\t%d\t%08x-%08x\t%.1f%%\t%d\t%s\t%s\n",
				printable(report.label), s.Segment, s.First, s.Last, 100*s.Share, s.Position, state, owner)
		}
	}
	return table.Flush()
}

func newSegmentsSplitCommand(globals *globalOptions) *cobra.Command {
	parts := 2
	cmd := &cobra.Command{
		Use:   "split PROJECTION SEGMENT",
		Short: "Split a segment into several",
		Long: `Divide the partition keys of a segment evenly among itself and new segments, which continue from its
checkpoint. Workers claim the new segments within moments.`,
		Example: `  pupwasm segments split fines 2
  pupwasm segments split fines 0 --parts 8`,
		Args: wantArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := segmentNumbers(args[1:])
			if err != nil {
				return err
			}
			return reshard(cmd.Context(), globals, args[0], func(l *store.Layout) error { return l.Split(numbers[0], parts) })
		},
		ValidArgsFunction: completeVersioned(globals, segmentOf),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().IntVar(&parts, "parts", 2, "number of segments after the split")
	return cmd
}

func newSegmentsMergeCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "merge PROJECTION SEGMENT SEGMENT",
		Short: "Merge two neighbouring segments",
		Long: `Merge two neighbours in 'pupwasm segments list' into one segment, which keeps the lower number. If one is
behind, the other waits until it has caught up, so a worker must run the projection. Neither can be split meanwhile. A
merge is cancelled when one of them fails.`,
		Example: `  pupwasm segments list fines && pupwasm segments merge fines 2 4`,
		Args:    wantArgs(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := segmentNumbers(args[1:])
			if err != nil {
				return err
			}
			return reshard(cmd.Context(), globals, args[0],
				func(l *store.Layout) error { return l.Merge(numbers[0], numbers[1]) })
		},
		ValidArgsFunction: completeVersioned(globals, segmentOf, segmentOf),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

func segmentNumbers(args []string) ([]int, error) {
	numbers := make([]int, len(args))
	for i, arg := range args {
		number, err := strconv.Atoi(arg)
		if err != nil || number < 0 {
			return nil, usagef("%q is not the number of a segment: 'pupwasm segments list' shows them", arg)
		}
		numbers[i] = number
	}
	return numbers, nil
}

// reshard changes a projection's layout and prints the result.
func reshard(ctx context.Context, globals *globalOptions, projection string, change func(*store.Layout) error) error {
	to, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer to.Close()
	of, err := known(ctx, to, projection)
	if err != nil {
		return err
	}
	if err := to.Reshard(ctx, of.ProjectionID, change); err != nil {
		return err
	}
	return runSegmentsList(ctx, globals, []string{projection})
}
