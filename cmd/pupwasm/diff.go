package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/parting"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

const diffHelp = `Compare the rows of two versions of a projection while both stand at one position: by default the live version and
the latest candidate, or the version that the live one has replaced. The exit code is 1 when they differ, in a row or in a
table that only one has.

Rows are compared by the key of their table, and by all columns that both versions have with the same type. A table without
a key is compared as a whole: how often each row is there. Events may come meanwhile: versions that follow meet within
moments. Where events come too fast for that, both are held at one position for a second or two, four at most, and go on then;
what they apply is late by that.

Where rows differ, the command runs the modules of both versions again, as the database keeps them, in the sandbox: over
the events of the keys whose rows differ, in temporary SQLite databases. By bisection it finds the first event after which
their rows differ. It tries at most 10,000 keys of a table, and 100,000 events.

Give --events when hosts run with it.`

type diffOptions struct {
	*globalOptions

	examples int
	timeout  time.Duration
	events   logOptions
	limits   limitOptions
	runtime  runtimeOptions
}

func newDiffCommand(globals *globalOptions) *cobra.Command {
	opts := &diffOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "diff PROJECTION [VERSION VERSION]",
		Short: "Compare the rows of two versions of a projection",
		Long:  diffHelp,
		Example: `  pupwasm diff fines
  pupwasm diff fines 1 2 --examples 100`,
		Args: wantArgs(func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return errors.New("name two versions, or none")
			}
			return cobra.RangeArgs(1, 3)(cmd, args)
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDiff(cmd.Context(), opts, args)
		},
		ValidArgsFunction: completeProjections(globals, versionIn, versionIn),
	}
	cmd.Flags().IntVar(&opts.examples, "examples", 5, "how many rows that differ to show of each table, and of each kind")
	cmd.Flags().DurationVar(&opts.timeout, "timeout", 0, "how long the comparison may take; 0 for no limit")
	opts.addJSON(cmd.Flags(), printsJSON)
	opts.events.addFlags(cmd.Flags())
	opts.limits.addFlags(cmd.Flags())
	opts.runtime.addFlags(cmd.Flags())
	return cmd
}

const (
	// examplesMax bounds what is shown of a table.
	examplesMax = 10_000
	// keysTried is how many rows of a table that differ are looked at for the first event.
	keysTried = 10_000
)

func runDiff(ctx context.Context, opts *diffOptions, args []string) error {
	switch {
	case opts.examples < 0 || opts.examples > examplesMax:
		return usagef("--examples must be between 0 and %d, it is %d", examplesMax, opts.examples)
	case opts.timeout < 0:
		return usagef("--timeout must not be negative, it is %s", opts.timeout)
	}
	if err := opts.limits.check(); err != nil {
		return err
	}
	from, err := opts.events.open(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()
	a, b, err := versionsToCompare(ctx, from.tables, args)
	if err != nil {
		return err
	}
	comparing, cancel := withTimeout(ctx, opts.timeout)
	defer cancel()
	comparison, err := opts.compare(comparing, from.tables, a, b)
	var apart *store.ApartError
	switch {
	case errors.As(err, &apart):
		return fmt.Errorf("%w: wait until both have caught up, 'pupwasm versions %s' shows where they are", err,
			printable(args[0]))
	case err != nil:
		return err
	}
	report := status.ReportDifference(comparison, opts.examples)
	if comparison.Differ() {
		if report.First, err = opts.first(ctx, from, comparison); err != nil {
			return err
		}
	}
	if opts.json {
		err = writeJSON(opts.out, report)
	} else {
		err = printDifference(opts.out, report)
	}
	if err == nil && comparison.Differ() {
		err = fmt.Errorf("versions %s and %s of %s differ", a.VersionText(), b.VersionText(), printable(args[0]))
	}
	return err
}

// compare compares two versions, with as many examples as there is room for.
func (o *diffOptions) compare(
	ctx context.Context, tables store.Tables, a, b store.ProjectionID,
) (comparison *store.Comparison, err error) {
	var tooLarge *store.RejectedError
	for _, examples := range []int{keysTried, keysTried / 100, o.examples} {
		comparison, err = segments.Compare(ctx, tables, a, b, max(examples, o.examples))
		if !errors.As(err, &tooLarge) {
			break
		}
	}
	if tooLarge != nil && comparison == nil {
		return nil, fmt.Errorf("%w: ask for fewer with --examples", err)
	}
	return comparison, err
}

// first finds the first event after which rows differ, or why it is not known. There is none where only tables differ.
func (o *diffOptions) first(ctx context.Context, from databases, of *store.Comparison) (*status.FirstEvent, error) {
	if !slices.ContainsFunc(of.Tables, func(t store.TableComparison) bool { return len(t.Examples) > 0 }) {
		return nil, nil
	}
	quiet := *o.globalOptions
	quiet.log = o.log.Level(max(o.log.GetLevel(), zerolog.WarnLevel))
	runtime, err := o.runtime.start(ctx, &quiet)
	if err != nil {
		return nil, err
	}
	defer runtime.Close(context.WithoutCancel(ctx))
	first, err := parting.Find(ctx, parting.Options{
		Runtime: runtime, Log: from.log, Tables: from.tables,
		Limits: sqlite.Options{StatementTimeout: o.limits.statement, TransactionTimeout: o.limits.transaction},
	}, of)
	if err != nil {
		return nil, err
	}
	return reportFirst(first), nil
}

// versionsToCompare returns the versions that are named. Without any they are the live one and the latest candidate, or
// the one that the live one has replaced.
func versionsToCompare(ctx context.Context, from store.Tables, args []string) (a, b store.ProjectionID, err error) {
	live, err := knownName(ctx, from, args[0])
	if err != nil {
		return a, b, err
	}
	all, err := allVersions(ctx, from, args[0])
	if err != nil {
		return a, b, err
	}
	if len(args) > 1 {
		if a, err = versionAmong(all, args[0], args[1]); err == nil {
			b, err = versionAmong(all, args[0], args[2])
		}
		if err == nil && a == b {
			err = usagef("name two versions: %s is the same as %s", printable(args[1]), printable(args[2]))
		}
		return a, b, err
	}
	stages := store.Stages(all)
	for i := len(all) - 1; i >= 0; i-- { // in order of version
		if stages[all[i].ProjectionID] == store.StageCandidate {
			return live.ProjectionID, all[i].ProjectionID, nil
		}
	}
	if live.Replaced.Version > 0 {
		return live.Replaced, live.ProjectionID, nil
	}
	return a, b, usagef("projection %s has one version, %s: there is nothing to compare it with", printable(args[0]),
		live.VersionText())
}

// versionAmong reads an argument that is a version, which need not be there.
func versionAmong(all []store.ProjectionStatus, projection, text string) (store.ProjectionID, error) {
	id, err := versionOf(projection, text)
	if err != nil {
		return id, err
	}
	if found := store.FindVersion(all, id); found != nil {
		id = found.ProjectionID
	}
	return id, nil
}

func reportFirst(of *parting.First) *status.FirstEvent {
	report := &status.FirstEvent{Unknown: inFlags(of.Unknown), Keys: of.Keys, All: of.All}
	if e := of.Event; e != nil {
		report.Position, report.EventID, report.Stream, report.Type = e.Position, e.ID.String(), e.Stream.String(), e.Type
	}
	return report
}

// printFirst says which event it is.
func printFirst(b *strings.Builder, r *status.FirstEvent) {
	if r.Unknown != "" {
		fmt.Fprintf(b, "the first event after which they differ is not known: %s\n", printable(r.Unknown))
		return
	}
	among := ""
	if !r.All {
		among = fmt.Sprintf(", of the first %s that differ", count(int64(r.Keys), "key"))
	}
	fmt.Fprintf(b, "the first event after which they differ%s: position %d, %s of stream %s\n", among, r.Position,
		printable(r.Type), printable(r.Stream))
}

// printDifference writes what differs, or that nothing does.
func printDifference(to io.Writer, r *status.Difference) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: versions %s and %s, both at position %d\n", printable(r.Projection), r.Text(0), r.Text(1), r.Position)
	for side, parked := range r.Parked {
		if parked > 0 {
			fmt.Fprintf(&b, "version %s has %s: their rows lack the events that wait\n", r.Text(side),
				count(int64(parked), "parked key"))
		}
	}
	for i := range r.Tables {
		printTableDifference(&b, &r.Tables[i])
	}
	if r.First != nil {
		printFirst(&b, r.First)
	}
	_, err := io.WriteString(to, b.String())
	return err
}

func printTableDifference(b *strings.Builder, t *status.TableDifference) {
	name := "table " + printable(t.Table)
	switch {
	case len(t.In) == 1:
		fmt.Fprintf(b, "%s is in version %d alone\n", name, t.In[0])
		return
	case t.Uncompared != "":
		fmt.Fprintf(b, "%s is not compared: %s\n", name, printable(t.Uncompared))
	case t.Only == [2]int64{} && t.Changed == 0:
		fmt.Fprintf(b, "%s: all %s are equal\n", name, count(t.Rows[0], "row"))
	default:
		fmt.Fprintf(b, "%s: of %d and %d rows %d only in version %s, %d only in version %s, %d with other values\n", name,
			t.Rows[0], t.Rows[1], t.Only[0], t.Texts[0], t.Only[1], t.Texts[1], t.Changed)
	}
	for side, others := range t.Others {
		if len(others) > 0 {
			fmt.Fprintf(b, "  not compared: of version %s %s\n", t.Texts[side], printable(strings.Join(others, ", ")))
		}
	}
	for _, column := range t.Names {
		fmt.Fprintf(b, "  column %s differs in %s\n", printable(column), count(t.Columns[column], "row"))
	}
	for i := range t.Examples {
		row := &t.Examples[i]
		fmt.Fprintf(b, "  %s\n", printable(strings.TrimPrefix(row.KeyText+": "+row.Changes, ": ")))
	}
}
