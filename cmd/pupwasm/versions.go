package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

const versionsHelp = `Show the installed versions of a projection. Readers see the live one. Candidates are built beside it, and
'pupwasm promote' makes one of them live. A version that the live one has replaced goes on too, so that
'pupwasm rollback' can go back to it. 'pupwasm retire' deletes a version. 1b2 is build 2 of version 1, which 'pupwasm
rebuild' has asked for.

DONE is the part of the log that a version has passed, the mean of its segments. Where a version is behind, the command
looks twice, a second apart: POS/S is how many positions of the log it has passed a second, and LEFT is how long the rest
takes at that speed. CODE is the beginning of the digest of the module that ran it last.`

type versionsOptions struct {
	*globalOptions

	events logOptions
}

func newVersionsCommand(globals *globalOptions) *cobra.Command {
	opts := &versionsOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "versions PROJECTION",
		Short: "Show the versions of a projection, and how far each is",
		Long:  versionsHelp,
		Example: `  pupwasm versions fines
  pupwasm promote fines`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runVersions(cmd.Context(), opts, args[0])
		},
		ValidArgsFunction: completeProjections(globals),
	}
	opts.addJSON(cmd.Flags(), printsJSON)
	opts.events.addFlags(cmd.Flags())
	return cmd
}

// versionReport is the JSON form of a version.
type versionReport struct {
	Version     int          `json:"version"`
	Build       int          `json:"build,omitempty"`
	Stage       store.Stage  `json:"stage"`
	Segments    int          `json:"segments"`
	Position    int64        `json:"position"` // of the segment that is furthest behind
	Done        float64      `json:"done"`     // the part of the log that it has passed
	Rate        *float64     `json:"positions_per_second,omitempty"`
	Left        *float64     `json:"left_seconds,omitempty"`
	State       status.State `json:"state"` // the worst of its segments
	Parked      int          `json:"parked"`
	Code        string       `json:"code,omitempty"`
	InstalledAt *time.Time   `json:"installed_at,omitempty"`
	PromotedAt  *time.Time   `json:"promoted_at,omitempty"`
}

// text is the version as people read it.
func (r *versionReport) text() string {
	return store.ProjectionID{Version: r.Version, Build: r.Build}.VersionText()
}

// versionsSpan is between the two looks by which the speed is measured.
const versionsSpan = time.Second

func runVersions(ctx context.Context, opts *versionsOptions, projection string) error {
	from, err := opts.events.open(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := knownName(ctx, from.tables, projection); err != nil {
		return err
	}
	var speeds status.Speeds
	report, err := status.Read(ctx, from.log, from.tables, projection)
	if err != nil {
		return err
	}
	speeds.Note(report, clock.Now())
	if someBehind(report) {
		if !sleep(ctx, versionsSpan) {
			return ctx.Err()
		}
		if report, err = status.Read(ctx, from.log, from.tables, projection); err != nil {
			return err
		}
		speeds.Note(report, clock.Now())
	}
	reports := make([]versionReport, 0, len(report.Projections))
	for i := range report.Projections {
		if p := &report.Projections[i]; p.Installed {
			reports = append(reports, reportVersion(p, report.Head))
		}
	}
	if opts.json {
		return writeJSON(opts.out, reports)
	}
	return printReports(opts.globalOptions, projection, report.Head, reports)
}

func someBehind(report *status.Report) bool {
	return slices.ContainsFunc(report.Projections, func(p status.Projection) bool { return p.Done(report.Head) < 1 })
}

func reportVersion(p *status.Projection, head int64) versionReport {
	return versionReport{
		Version: p.Version, Build: p.Build, Stage: p.Stage, Segments: len(p.Segments), Position: p.Position, Parked: p.Parked, Code: p.Code,
		Done: p.Done(head), Rate: p.Rate, Left: p.LeftSeconds, State: stateOf(p),
		InstalledAt: p.InstalledAt, PromotedAt: p.PromotedAt,
	}
}

func printReports(globals *globalOptions, projection string, head int64, reports []versionReport) error {
	fmt.Fprintf(globals.out, "%s, head %d\n\n", printable(projection), head)
	table := tabwriter.NewWriter(globals.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tSTAGE\tPOSITION\tDONE\tPOS/S\tLEFT\tPARKED\tCODE\tSTATE")
	for i := range reports {
		r := &reports[i]
		rate, left := "-", "-"
		if r.Rate != nil {
			rate = strconv.FormatInt(int64(*r.Rate), 10)
		}
		if r.Left != nil {
			left = ageText(r.Left)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d%%\t%s\t%s\t%d\t%s\t%s\n", r.text(), r.Stage, r.Position, int(100*r.Done), rate,
			left, r.Parked, cmp.Or(r.Code[:min(len(r.Code), codeShown)], "-"), r.State)
	}
	return table.Flush()
}

// codeShown is how much of a digest is shown.
const codeShown = 8
