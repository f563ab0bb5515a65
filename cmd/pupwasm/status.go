package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

type statusOptions struct {
	*globalOptions

	events logOptions
	check  bool
	maxAge time.Duration

	watching bool
	interval time.Duration
	one      bool // projection was asked for
}

func (o *statusOptions) addFlags(flags *pflag.FlagSet) {
	o.addJSON(flags, printsJSON)
	o.events.addFlags(flags)
	flags.BoolVar(&o.check, "check", false, "exit with code 6 when a projection needs attention, for monitoring")
	flags.BoolVar(&o.watching, "watch", false, "show the status in place until interrupted")
	flags.DurationVar(&o.interval, "interval", time.Second, "with --watch, how often the databases are asked")
	flags.DurationVar(&o.maxAge, "max-age", 5*time.Minute, "with --check, how long a segment may be behind, and a message wait")
}

func newStatusCommand(globals *globalOptions) *cobra.Command {
	opts := &statusOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "status [PROJECTION]",
		Short: "Show the progress and state of projections",
		Long: `Show how far projections are and what state they are in; of one projection, also its segments.

  POSITION   the checkpoint: everything up to there is applied
  BEHIND     positions between the checkpoint and the end of the log; not all of them are events of the projection, and
             positions have gaps
  AGE        how long it has been behind: since the first event that is not applied was created, but not since before
             the segment was last at the end of the log
  PARKED     keys that wait because an event of them failed
  STATE      of a projection, that of the segment in the worst state:
             running    a worker has it
             waiting    no worker has it
             refused    no worker can run the projection
             paused     no worker has it, since somebody has paused the projection ('pupwasm resume')
             stalled    a worker tries it again and again without progress, since the database gives an error
             abandoned  its worker is gone, another takes over
             merging    it waits for the segments that it is merged with
             failed     it continues when the projection is started again
             other log  its rows were built from another log; BEHIND and AGE are unknown, and the command fails

Of projections that send messages it shows how many wait, for how long the oldest has, of how many keys one could not be
sent, how many are held for a version that is not live, and where they are sent to ('pupwasm messages list').

Below the tables are the reasons: why segments failed or make no progress, why a log is another, why running hosts
refuse modules, what holds the horizon back, and how many keys are parked ('pupwasm parked list').

With --check the command exits with code 6 when a segment has failed, is stalled, has no worker or has been behind for
longer than --max-age, when a module is refused, when a key is parked, when a message could not be sent, or when one has
waited for longer than --max-age. A projection that is paused needs attention once it has been behind for longer than
--max-age: somebody may have forgotten it.

Projections apply events up to the horizon, the high-water mark below which no event can still appear. While an append
has not ended, the horizon stays behind the head, and the output names the process or the prepared transaction that
holds it back. "log is not safe" says what somebody changed in the database so that events may be lost. The command
fails then.

Give --events when hosts run with it: positions are compared with that log.`,
		Example: `  pupwasm status
  pupwasm status fines --json
  pupwasm status --watch --interval 5s
  pupwasm status --check --max-age 10m`,
		Args: wantArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return runStatus(cmd.Context(), opts, args) },

		ValidArgsFunction: completeProjections(globals),
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

// statusIntervalMin keeps a screen from costing the database much.
const statusIntervalMin = 100 * time.Millisecond

func runStatus(ctx context.Context, opts *statusOptions, args []string) error {
	switch {
	case opts.watching && (opts.json || opts.check):
		return usagef("--watch excludes --json and --check")
	case opts.interval < statusIntervalMin:
		return usagef("--interval must be at least %s, it is %s", statusIntervalMin, opts.interval)
	}
	opts.one = len(args) > 0
	from, err := opts.events.openWith(opts.globalOptions, func(at target) (store.Store, error) {
		return at.openUnchecked(opts.globalOptions)
	})
	if err != nil {
		return err
	}
	defer from.Close()
	var speeds status.Speeds // of a report that is watched
	read := func(ctx context.Context) (*status.Report, error) {
		report, err := status.Read(ctx, from.log, from.tables, args...)
		if at, _ := opts.target(); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		speeds.Note(report, clock.Now())
		return report, nil
	}
	if opts.watching {
		return opts.watch(ctx, read)
	}
	report, err := read(ctx)
	if err != nil {
		return err
	}
	statusInFlags(report)
	if len(args) > 0 && len(report.Projections) == 0 {
		return unknownProjection(ctx, from.tables, args[0])
	}
	if opts.json {
		err = writeJSON(opts.out, report)
	} else {
		err = printStatus(opts.out, report, opts.one)
	}
	if err != nil {
		return err
	}
	if err := statusFault(report); err != nil || !opts.check {
		return err
	}
	return opts.attention(report)
}

// attentionError says that a projection needs attention, for --check.
type attentionError struct{ what string }

// Error says what needs attention.
func (e *attentionError) Error() string { return e.what }

// attention is the error for what somebody has to look at first.
func (o *statusOptions) attention(report *status.Report) error {
	var failed, stalled, refused, parked, unowned, behind string
	for i := range report.Projections {
		p := &report.Projections[i]
		name := "projection " + printable(report.Label(p))
		for j := range p.Segments {
			s := &p.Segments[j]
			segment := fmt.Sprintf("%s, segment %d", name, s.Number)
			switch {
			case s.State == status.Failed:
				failed = cmp.Or(failed, segment+" has failed")
			case s.State == status.Stalled:
				stalled = cmp.Or(stalled, segment+" makes no progress")
			case s.State != status.Running && s.State != status.Merging && s.State != status.Held && s.State != status.Paused:
				unowned = cmp.Or(unowned, segment+" has no worker")
			case s.AgeSeconds != nil && *s.AgeSeconds > o.maxAge.Seconds():
				behind = cmp.Or(behind, segment+" has been behind for "+ageText(s.AgeSeconds))
			}
		}
		if len(p.Refused) > 0 {
			refused = cmp.Or(refused, name+" is refused by worker "+printable(p.Refused[0].Worker))
		}
		if p.Parked > 0 {
			parked = cmp.Or(parked, name+" has "+count(int64(p.Parked), "parked key"))
		}
	}
	undelivered, late := o.outboxAttention(report)
	if what := cmp.Or(failed, stalled, refused, parked, undelivered, unowned, behind, late); what != "" {
		return &attentionError{what}
	}
	return nil
}

// outboxAttention is which messages somebody has to look at first, of those that failed and of those that wait.
func (o *statusOptions) outboxAttention(report *status.Report) (failed, late string) {
	for i := range report.Outbox {
		of := &report.Outbox[i]
		name := "projection " + printable(of.Projection)
		if of.FailedKeys > 0 {
			failed = cmp.Or(failed, name+" has "+count(int64(of.FailedKeys), "key")+" whose messages could not be sent")
		}
		if of.OldestSeconds > o.maxAge.Seconds() {
			late = cmp.Or(late, name+" has a message that has waited for "+ageText(&of.OldestSeconds))
		}
	}
	return failed, late
}

// statusFault is the error of a status with a projection whose rows were built from another log, or of a log
// that may lose events.
func statusFault(report *status.Report) error {
	for i := range report.Projections {
		p := &report.Projections[i]
		for j := range p.Segments {
			if p.Segments[j].LogFault != "" {
				return fmt.Errorf("the log is not the one that the rows of projection %s were built from", report.Label(p))
			}
		}
	}
	if len(report.LogFaults) > 0 {
		return errors.New("the log is not safe, events may be lost: see above")
	}
	return nil
}
