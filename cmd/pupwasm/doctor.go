package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/doctor"
	"github.com/pupwasm/pupwasm/store"
)

type doctorOptions struct {
	*globalOptions

	events logOptions
}

func newDoctorCommand(globals *globalOptions) *cobra.Command {
	opts := &doctorOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine the databases, the projections and their hosts",
		Long: `Examine the databases, the projections and their hosts, and say of each thing that is wrong what to do about it:
rights, clocks, poolers, notifications, connections, long transactions, what somebody changed in the log, what holds the
horizon back, segments that failed or have no host, parked keys, hosts that disagree or share unevenly.

A problem is something that does not work: the exit code is 6 then. A warning is something that costs or may fail one
day. It changes nothing.

Give --events when hosts run with it.`,
		Example: `  pupwasm doctor --database postgres://localhost/shop
  pupwasm doctor --json`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), opts) },
	}
	opts.addJSON(cmd.Flags(), printsJSON)
	opts.events.addFlags(cmd.Flags())
	return cmd
}

func runDoctor(ctx context.Context, opts *doctorOptions) error {
	of, err := opts.events.open(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer of.Close()
	examination, err := doctor.Examine(ctx, of.log, of.tables)
	if err != nil {
		return err
	}
	for i := range examination.Findings {
		f := &examination.Findings[i]
		f.Finding, f.Remedy = inFlags(f.Finding), inFlags(f.Remedy)
	}
	if opts.json {
		err = writeJSON(opts.out, examination)
	} else {
		err = opts.print(examination)
	}
	if err != nil {
		return err
	}
	if examination.Worst == store.SeverityProblem {
		problems := 0
		for _, f := range examination.Findings {
			if f.Severity == store.SeverityProblem {
				problems++
			}
		}
		return &attentionError{count(int64(problems), "problem")}
	}
	return nil
}

func (o *doctorOptions) print(examination *doctor.Examination) error {
	for _, f := range examination.Findings {
		if _, err := fmt.Fprintf(o.out, "%-7s  %s: %s\n", f.Severity, f.Check, printable(f.Finding)); err != nil {
			return err
		}
		if f.Remedy == "" {
			continue
		}
		if _, err := fmt.Fprintf(o.out, "         → %s\n", printable(f.Remedy)); err != nil {
			return err
		}
	}
	return nil
}
