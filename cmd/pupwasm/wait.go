package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

type waitOptions struct {
	*globalOptions

	position int64
	given    bool // a position is asked for, and not the end of the log
	timeout  time.Duration
	grace    time.Duration
	events   logOptions
}

func (o *waitOptions) addFlags(flags *pflag.FlagSet) {
	flags.Int64Var(&o.position, "position", 0, "global position to wait for (default: the end of the log now)")
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "how long to wait; 0 for no limit")
	flags.DurationVar(&o.grace, "grace", segments.WaitGrace, "how long to wait for a host that runs the projection")
	o.events.addFlags(flags)
	o.addJSON(flags, printsJSON)
}

func newWaitCommand(globals *globalOptions) *cobra.Command {
	opts := &waitOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "wait PROJECTION",
		Short: "Wait until a projection has applied everything up to a position",
		Long: `Wait until a projection has applied everything up to a position. Its tables then show what was appended before. NAME@VERSION
waits for one version of it, such as a candidate; a name alone is the version that readers see.

The command fails, and says why, when no host runs the projection for --grace, when a segment that is behind has failed,
or when the rows were built from another log. Give --events when hosts run with it.`,
		Example: `  pupwasm append events.jsonl && pupwasm wait fines
  pupwasm wait fines --position 4711 --timeout 5s`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.given = cmd.Flags().Changed("position")
			return runWait(cmd.Context(), opts, args[0])
		},

		ValidArgsFunction: completeVersioned(globals),
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

func runWait(ctx context.Context, opts *waitOptions, projection string) error {
	of, err := parseProjection(projection)
	if err != nil {
		return err
	}
	if opts.position < 0 || opts.timeout < 0 || opts.grace < 0 {
		return usagef("--position, --timeout and --grace must not be negative")
	}
	from, err := opts.events.open(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()
	position := opts.position
	if !opts.given {
		horizon, err := from.log.Horizon(ctx)
		if err != nil {
			return err
		}
		position = horizon.Head
	}
	waiting, cancel := withTimeout(ctx, opts.timeout)
	defer cancel()
	err = segments.Wait{
		Projection: of.Name, Version: of.Version, Build: of.Build, Position: position, Grace: max(opts.grace, 1), // 0 is the library's default
		NotRun: func(e *segments.NotRunError) {
			opts.log.Warn().Err(e).Stringer("for", opts.grace).Msg("waiting for a host that runs the projection")
		},
	}.For(waiting, from.log, from.tables)
	var notRun *segments.NotRunError
	switch {
	case errors.As(err, &notRun) && notRun.Refusal == nil:
		hint := "start it with 'pupwasm run', 'pupwasm status' lists what is known"
		if near := nearProjection(ctx, from.tables, of.Name); near != "" && near != of.Name {
			hint = fmt.Sprintf("did you mean %s?", printable(near))
		}
		return fmt.Errorf("%w (waited %s for one): %s", err, opts.grace, hint)
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return opts.timeoutError(ctx, from.tables, projection, position)
	case err != nil:
		return err
	}
	if err := opts.say("%s has applied everything up to position %d", projection, position); err != nil {
		return err
	}
	return opts.result(waitReport{Projection: projection, Position: position})
}

// waitReport is the JSON form of a wait that has ended.
type waitReport struct {
	Projection string `json:"projection"` // as it was named
	Position   int64  `json:"position"`
}

// timeoutError says what did not happen in time.
func (o *waitOptions) timeoutError(ctx context.Context, from store.Tables, projection string, position int64) error {
	of, err := known(ctx, from, projection)
	var unknown *usageError
	if errors.As(err, &unknown) {
		return fmt.Errorf("projection %s is still not known after %s: 'pupwasm status' lists those that are", projection,
			o.timeout)
	}
	return fmt.Errorf("%s has not reached position %d after %s: 'pupwasm status %s' shows where it is", projection,
		position, o.timeout, of.Name)
}
