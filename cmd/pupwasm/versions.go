package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/pace"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

const versionsHelp = `Show the installed versions of a projection. Readers see the live one. Candidates are built beside it, and
'pupwasm promote' makes one of them live. A version that the live one has replaced goes on too, so that
'pupwasm rollback' can go back to it. 'pupwasm retire' deletes a version.

DONE is the part of the log that a version has passed, the mean of its segments. Where a version is behind, the command
looks twice, a second apart: POS/S is how many positions of the log it has passed a second, and LEFT is how long the rest
takes at that speed. CODE is the beginning of the digest of the module that ran it last.`

type versionsOptions struct {
	*globalOptions

	json   bool
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
	cmd.Flags().BoolVar(&opts.json, "json", false, "print JSON")
	opts.events.addFlags(cmd.Flags())
	return cmd
}

// versionReport is the JSON form of a version.
type versionReport struct {
	Version     int          `json:"version"`
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
	report, first, err := lookAt(ctx, from, projection)
	if err != nil {
		return err
	}
	since := first
	if behind(first) {
		select {
		case <-time.After(versionsSpan):
		case <-ctx.Done():
			return ctx.Err()
		}
		if report, first, err = lookAt(ctx, from, projection); err != nil {
			return err
		}
	}
	reports := make([]versionReport, len(report.Projections))
	for i := range report.Projections {
		p := &report.Projections[i]
		reports[i] = reportVersion(p, first[p.Version], report.Head)
		if before, seen := since[p.Version]; seen && before.Behind > 0 {
			reports[i].measure(before, first[p.Version])
		}
	}
	if opts.json {
		return writeJSON(opts.out, reports)
	}
	return printReports(opts.globalOptions, projection, report.Head, reports)
}

// lookAt reads the status of a projection, and how far each version is.
func lookAt(ctx context.Context, from databases, projection string) (*status.Report, map[int]pace.Mark, error) {
	report, err := status.Read(ctx, from.log, from.tables, projection)
	if err != nil {
		return nil, nil, err
	}
	marks := map[int]pace.Mark{}
	for i := range report.Projections {
		p := &report.Projections[i]
		marks[p.Version] = markOf(p, report.Head)
	}
	return report, marks, nil
}

func behind(marks map[int]pace.Mark) bool {
	for _, mark := range marks {
		if mark.Behind > 0 {
			return true
		}
	}
	return false
}

// markOf is how far a version is: the mean of its segments, in positions of the log.
func markOf(p *status.Projection, head int64) pace.Mark {
	var passed, behind int64
	for i := range p.Segments {
		passed += p.Segments[i].Position
		behind += max(head-p.Segments[i].Position, 0)
	}
	n := int64(max(len(p.Segments), 1))
	return pace.Mark{At: clock.Now(), Behind: (behind + n - 1) / n, Events: passed / n}
}

func reportVersion(p *status.Projection, at pace.Mark, head int64) versionReport {
	return versionReport{
		Version: p.Version, Stage: p.Stage, Segments: len(p.Segments), Position: p.Position, Parked: p.Parked, Code: p.Code,
		Done: 1 - float64(at.Behind)/float64(max(head, 1)), State: stateOf(p),
		InstalledAt: p.InstalledAt, PromotedAt: p.PromotedAt,
	}
}

// measure adds how fast the version went between two marks.
func (r *versionReport) measure(since, now pace.Mark) {
	rate := now.Rate(since)
	r.Rate = &rate
	if left, known := now.Left(since); known {
		seconds := left.Seconds()
		r.Left = &seconds
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
		fmt.Fprintf(table, "%d\t%s\t%d\t%d%%\t%s\t%s\t%d\t%s\t%s\n", r.Version, r.Stage, r.Position, int(100*r.Done), rate,
			left, r.Parked, cmp.Or(r.Code[:min(len(r.Code), codeShown)], "-"), r.State)
	}
	return table.Flush()
}

// codeShown is how much of a digest is shown.
const codeShown = 8
