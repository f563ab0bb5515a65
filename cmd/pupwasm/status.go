package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
		Short: "Show the progress and state of projections",
		Long: `Show the position, owner and state of each projection and segment.

  POSITION   the checkpoint: everything up to there is applied
  BEHIND     positions between the checkpoint and the end of the log; not all of them are events of the projection, and
             positions have gaps
  AGE        how long it has been behind: since the first event that is not applied was created, but not since before
             the segment was last at the end of the log
  STATE      running    a worker has it
             waiting    no worker has it
             refused    no worker can run the projection
             abandoned  its worker is gone, another takes over
             merging    it waits for the segments that it is merged with
             failed     it continues when the projection is started again
             other log  its rows were built from another log; BEHIND and AGE are unknown, and the command fails

Below the table are the reasons: why segments failed, why a log is another, and why running hosts refuse modules.

Projections apply events up to the horizon, the high-water mark below which no event can still appear. While an append
has not ended, the horizon stays behind the head, and the output names the process or the prepared transaction that
holds it back. "log is not safe" says what somebody changed in the database so that events may be lost. The command
fails then.`,
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
	HorizonHolder int                `json:"horizon_holder,omitempty"`   // the process that holds the horizon back
	Prepared      string             `json:"horizon_prepared,omitempty"` // the prepared transaction that does, which has no process
	LogFaults     []string           `json:"log_faults,omitempty"`       // what may make the log lose events, with what mends it
	Projections   []projectionReport `json:"projections"`
}

type projectionReport struct {
	Name      string          `json:"name"`
	Version   int             `json:"version"`   // the one installed, or that of a module that was refused
	Installed bool            `json:"installed"` // at some time
	Position  int64           `json:"position"`  // of the segment that is furthest behind
	Segments  []segmentReport `json:"segments"`
	Refused   []refusalReport `json:"refused,omitempty"`
}

// refusalReport is a module that a running worker was refused.
type refusalReport struct {
	Worker  string `json:"worker"`
	Version int    `json:"version"`
	Reason  string `json:"reason"`
}

type segmentReport struct {
	Segment    int        `json:"segment"`
	FirstHash  uint32     `json:"first_hash"`
	LastHash   uint32     `json:"last_hash"`
	Position   int64      `json:"position"`
	Behind     *int64     `json:"behind"`      // null when the log is another one
	AgeSeconds *float64   `json:"age_seconds"` // null when it is not known
	State      string     `json:"state"`
	Owner      string     `json:"owner,omitempty"`
	Failure    string     `json:"failure,omitempty"`
	LogFault   string     `json:"log_fault,omitempty"` // why the checkpoint does not belong to the log
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
		err = writeJSON(opts.out, report)
	} else {
		err = opts.print(report)
	}
	if err != nil {
		return err
	}
	return report.fault()
}

// fault is the error of a status with a projection whose rows were not built from the log, or of a log that may lose events.
func (r *statusReport) fault() error {
	for i := range r.Projections {
		p := &r.Projections[i]
		for j := range p.Segments {
			if p.Segments[j].LogFault != "" {
				return fmt.Errorf("the log is not the one that the rows of projection %s were built from", p.Name)
			}
		}
	}
	if len(r.LogFaults) > 0 {
		return errors.New("the log is not safe, events may be lost: see above")
	}
	return nil
}

func readStatus(ctx context.Context, from store.Store, only []string) (*statusReport, error) {
	// Checkpoints first: none of them can then be above the head.
	projections, err := from.Status(ctx, only...)
	if err != nil {
		return nil, err
	}
	workers, err := from.Workers(ctx)
	if err != nil {
		return nil, err
	}
	horizon, err := from.Horizon(ctx)
	if err != nil {
		return nil, err
	}
	report := &statusReport{
		Head: horizon.Head, Horizon: horizon.Position, HorizonHolder: horizon.Holder, Prepared: horizon.Prepared,
		Projections: []projectionReport{},
	}
	if report.LogFaults, err = logFaults(ctx, from); err != nil {
		return nil, err
	}
	ages := ages{from: from, created: map[int64]time.Time{}}
	for _, projection := range projections {
		_, faults, err := store.CheckCheckpoints(ctx, from, projection.Checkpoints()...)
		if err != nil {
			return nil, err
		}
		p := projectionReport{
			Name: projection.Name, Version: projection.Version, Installed: true, Position: horizon.Head, Segments: []segmentReport{},
		}
		for i := range projection.Segments {
			segment := reportSegment(&projection.Segments[i], horizon.Head, faults[i])
			if segment.Behind != nil {
				if segment.AgeSeconds, err = ages.of(ctx, &projection.Segments[i], *segment.Behind); err != nil {
					return nil, err
				}
			}
			p.Position = min(p.Position, segment.Position)
			p.Segments = append(p.Segments, segment)
		}
		report.Projections = append(report.Projections, p)
	}
	report.addRefusals(workers, only)
	if len(only) > 0 && len(report.Projections) == 0 {
		return nil, usagef("projection %s is not known: 'pupwasm status' lists those that are", only[0])
	}
	return report, nil
}

// addRefusals adds what workers say that they cannot run, also of projections that were never installed.
func (r *statusReport) addRefusals(workers []store.Worker, only []string) {
	run := map[string]bool{}
	for i := range workers {
		for _, name := range workers[i].Projections {
			run[name] = true
		}
		for _, refusal := range workers[i].Refused {
			if len(only) > 0 && !slices.Contains(only, refusal.Projection) {
				continue
			}
			at := slices.IndexFunc(r.Projections, func(p projectionReport) bool { return p.Name == refusal.Projection })
			if at < 0 {
				at = len(r.Projections)
				r.Projections = append(r.Projections, projectionReport{
					Name: refusal.Projection, Version: refusal.Version, Segments: []segmentReport{},
				})
			}
			r.Projections[at].Refused = append(r.Projections[at].Refused, refusalReport{
				Worker: workers[i].Name, Version: refusal.Version, Reason: refusal.Reason,
			})
		}
	}
	for i := range r.Projections {
		p := &r.Projections[i]
		for i := range p.Segments {
			if s := &p.Segments[i]; s.State == stateWaiting && len(p.Refused) > 0 && !run[p.Name] {
				s.State = stateRefused
			}
		}
	}
	slices.SortFunc(r.Projections, func(a, b projectionReport) int { return strings.Compare(a.Name, b.Name) })
}

// logFaults are what a check of the log finds.
func logFaults(ctx context.Context, from store.Store) (faults []string, err error) {
	err = from.CheckLog(ctx)
	var unsafe *store.UnsafeLogError
	if !errors.As(err, &unsafe) {
		return nil, err
	}
	for _, fault := range unsafe.Faults {
		faults = append(faults, fault.String())
	}
	return faults, nil
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
		report.State, report.LogFault = stateOtherLog, fault.Error()
		return report
	}
	behind := max(head-s.Position, 0)
	report.Behind = &behind
	return report
}

// The states that are more than what a segment's row says.
const (
	stateWaiting = "waiting" // no worker has the segment
	stateRefused = "refused" // and none can run the projection

	stateOtherLog = "other log" // the log is not the one that the rows were built from
)

func stateOf(s *store.SegmentStatus) string {
	switch {
	case s.Failure != "":
		return "failed"
	case s.Waits():
		return "merging"
	case s.Owner == "":
		return stateWaiting
	case s.Live:
		return "running"
	}
	return "abandoned"
}

// ages tells for how long segments have been behind. It asks once for each position.
type ages struct {
	from    store.Store
	created map[int64]time.Time // of the first event after a position
}

// of is nil when it is not known. A segment has been behind for as long as there is an event to apply. When an event was appended
// is not stored: it was not before it was created, in most cases, and not before the segment was last at the end of the log.
func (a *ages) of(ctx context.Context, s *store.SegmentStatus, behind int64) (*float64, error) {
	if behind == 0 {
		return new(float64), nil
	}
	created, known := a.created[s.Position]
	if !known {
		var err error
		if created, err = a.from.PositionTime(ctx, s.Position); err != nil {
			return nil, err
		}
		a.created[s.Position] = created
	}
	if created.IsZero() {
		return nil, nil
	}
	since := s.BehindSince
	if since.IsZero() {
		since = s.UpdatedAt // it was at the end then, or made
	}
	if created.After(since) {
		since = created
	}
	seconds := max(clock.Now().Sub(since).Seconds(), 0)
	return &seconds, nil
}
