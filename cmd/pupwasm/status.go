package main

import (
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

type statusOptions struct {
	*globalOptions

	json bool
}

func (o *statusOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.json, "json", false, "print JSON")
}

func newStatusCommand(globals *globalOptions) *cobra.Command {
	opts := &statusOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "status [PROJECTION]",
		Short: "Show how far each projection is",
		Long: `Show how far each projection and segment is.

  POSITION   everything up to there is applied
  BEHIND     positions from there to the end of the log; the projection need not want them all, and positions have gaps
  AGE        how long ago the first event that is not applied was created
  STATE      running; waiting (no worker has it); abandoned (its worker is gone, another takes over); merging (it waits for
             the segments that it will be one with); failed (with the reason; it goes on when the projection is
             started again); other log (the log is not the one that the rows were built from: a line below the table says what
             differs; BEHIND and AGE are not known then)

Projections are applied up to the horizon. It stays behind the head while an append has not ended; the process that holds
it back is named.`,
		Args: wantArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return runStatus(cmd.Context(), opts, args) },

		ValidArgsFunction: completeProjections(globals),
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

// statusReport is what status prints, and its JSON form.
type statusReport struct {
	Head          int64              `json:"head"`
	Horizon       int64              `json:"horizon"`
	HorizonHolder int                `json:"horizon_holder,omitempty"` // the process that holds the horizon back
	Projections   []projectionReport `json:"projections"`
}

type projectionReport struct {
	Name     string          `json:"name"`
	Version  int             `json:"version"`
	Position int64           `json:"position"` // of the segment that is furthest behind
	Segments []segmentReport `json:"segments"`
}

type segmentReport struct {
	Segment    int        `json:"segment"`
	FirstHash  uint32     `json:"first_hash"`
	LastHash   uint32     `json:"last_hash"`
	Position   int64      `json:"position"`
	Behind     *int64     `json:"behind"`      // null when the log is another one
	AgeSeconds *float64   `json:"age_seconds"` // null when it is not known
	State      string     `json:"state"`
	LogFault   string     `json:"log_fault,omitempty"` // why the checkpoint does not belong to the log
	Owner      string     `json:"owner,omitempty"`
	Failure    string     `json:"failure,omitempty"`
	Epoch      int64      `json:"epoch"`
	UpdatedAt  *time.Time `json:"updated_at,omitempty"`
}

func runStatus(ctx context.Context, opts *statusOptions, args []string) error {
	from, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()
	report, err := readStatus(ctx, from, args)
	if err != nil {
		return err
	}
	if opts.json {
		return writeJSON(opts.out, report)
	}
	return opts.print(report)
}

func readStatus(ctx context.Context, from store.Store, only []string) (*statusReport, error) {
	// Checkpoints first: none of them can then be above the head.
	projections, err := from.Status(ctx, only...)
	if err != nil {
		return nil, err
	}
	horizon, err := from.Horizon(ctx)
	if err != nil {
		return nil, err
	}
	report := &statusReport{
		Head: horizon.Head, Horizon: horizon.Position, HorizonHolder: horizon.Holder, Projections: []projectionReport{},
	}
	ages := ages{from: from, known: map[int64]*float64{}}
	for _, projection := range projections {
		_, faults, err := store.CheckLog(ctx, from, projection.Checkpoints()...)
		if err != nil {
			return nil, err
		}
		p := projectionReport{Name: projection.Name, Version: projection.Version, Position: horizon.Head, Segments: []segmentReport{}}
		for i := range projection.Segments {
			segment := reportSegment(&projection.Segments[i], horizon.Head, faults[i])
			if segment.Behind != nil {
				if segment.AgeSeconds, err = ages.after(ctx, segment.Position, *segment.Behind); err != nil {
					return nil, err
				}
			}
			p.Position = min(p.Position, segment.Position)
			p.Segments = append(p.Segments, segment)
		}
		report.Projections = append(report.Projections, p)
	}
	if len(only) > 0 && len(report.Projections) == 0 {
		return nil, usagef("projection %s is not known: 'pupwasm status' lists those that are", only[0])
	}
	return report, nil
}

func reportSegment(s *store.SegmentStatus, head int64, fault error) segmentReport {
	report := segmentReport{
		Segment: s.Segment, FirstHash: s.Range.First, LastHash: s.Range.Last, Position: s.Position,
		State: stateOf(s), Owner: s.Owner, Failure: s.Failure, Epoch: s.Epoch,
	}
	if !s.UpdatedAt.IsZero() {
		report.UpdatedAt = &s.UpdatedAt
	}
	if fault != nil {
		report.State, report.LogFault = "other log", fault.Error()
		return report
	}
	behind := max(head-s.Position, 0)
	report.Behind = &behind
	return report
}

func stateOf(s *store.SegmentStatus) string {
	switch {
	case s.Failure != "":
		return "failed"
	case s.Waits():
		return "merging"
	case s.Owner == "":
		return "waiting"
	case s.Live:
		return "running"
	}
	return "abandoned"
}

// ages asks for the age of the first event after a position, once for each position.
type ages struct {
	from  store.Store
	known map[int64]*float64
}

func (a *ages) after(ctx context.Context, position, behind int64) (*float64, error) {
	if behind == 0 {
		return new(float64), nil
	}
	if age, known := a.known[position]; known {
		return age, nil
	}
	created, err := a.from.PositionTime(ctx, position)
	if err != nil {
		return nil, err
	}
	var age *float64
	if !created.IsZero() {
		seconds := max(clock.Now().Sub(created).Seconds(), 0)
		age = &seconds
	}
	a.known[position] = age
	return age, nil
}

func (o *statusOptions) print(report *statusReport) error {
	switch {
	case report.Head == report.Horizon:
		fmt.Fprintf(o.out, "head %d\n", report.Head)
	case report.HorizonHolder != 0:
		fmt.Fprintf(o.out, "head %d, horizon %d: process %d of the database holds it back by an append that has not ended\n",
			report.Head, report.Horizon, report.HorizonHolder)
	default:
		fmt.Fprintf(o.out, "head %d, horizon %d: an append has not ended\n", report.Head, report.Horizon)
	}
	if len(report.Projections) == 0 {
		_, err := fmt.Fprintln(o.out, "no projection is known: 'pupwasm run' installs them")
		return err
	}
	fmt.Fprintln(o.out)
	table := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROJECTION\tVERSION\tSEGMENT\tPOSITION\tBEHIND\tAGE\tSTATE\tOWNER")
	for _, p := range report.Projections {
		for i := range p.Segments {
			s := &p.Segments[i]
			state := s.State
			if s.Failure != "" && s.LogFault == "" {
				state += ": " + printable(s.Failure)
			}
			owner := printable(s.Owner)
			if owner == "" {
				owner = "-"
			}
			fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n",
				printable(p.Name), p.Version, s.Segment, s.Position, behindText(s.Behind), ageText(s.AgeSeconds), state, owner)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return o.printLogFaults(report)
}

// printLogFaults says for each projection, once, why it does not belong to the log.
func (o *statusOptions) printLogFaults(report *statusReport) error {
	for _, p := range report.Projections {
		for i := range p.Segments {
			if s := &p.Segments[i]; s.LogFault != "" {
				if _, err := fmt.Fprintf(o.out, "\n%s, segment %d: %s\n", printable(p.Name), s.Segment, s.LogFault); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

func behindText(behind *int64) string {
	if behind == nil {
		return "-"
	}
	return strconv.FormatInt(*behind, 10)
}

// ageText shows a span in its two largest units.
func ageText(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	const day = 24 * time.Hour
	age := time.Duration(min(*seconds, 1e9)) * time.Second
	switch {
	case age >= 100*day:
		return strconv.Itoa(int(age/day)) + "d"
	case age >= day:
		return fmt.Sprintf("%dd%dh", age/day, age%day/time.Hour)
	case age >= time.Hour:
		return fmt.Sprintf("%dh%dm", age/time.Hour, age%time.Hour/time.Minute)
	}
	return age.String()
}
