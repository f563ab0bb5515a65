package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/parting"
	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

const diffHelp = `Compare the rows of two versions of a projection while both stand at one position: by default the live version and
the latest candidate, or the version that the live one has replaced. The exit code is 1 when they differ, in a row or in a
table that only one has.

Rows are compared by the key of their table, and by all columns that both versions have with the same type. A table without
a key is compared as a whole: how often each row is there. Events may come meanwhile: versions that follow meet within
moments. Where events come too fast for that, both are held at one position for a second or two, and go on then; what they
apply is late by that.

Where rows differ, the command runs the modules of both versions again, as the database keeps them, in the sandbox: over
the events of the keys whose rows differ, in temporary SQLite databases. By bisection it finds the first event after which
their rows differ. It tries at most 10,000 keys of a table, and 100,000 events.

Give --events when hosts run with it.`

type diffOptions struct {
	*globalOptions

	examples int
	timeout  time.Duration
	json     bool
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
		ValidArgsFunction: completeProjections(globals),
	}
	cmd.Flags().IntVar(&opts.examples, "examples", 5, "how many rows that differ to show of each table, and of each kind")
	cmd.Flags().DurationVar(&opts.timeout, "timeout", time.Minute, "how long to wait until both stand at one position; 0 for no limit")
	cmd.Flags().BoolVar(&opts.json, "json", false, "print JSON")
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
	comparing := ctx
	if opts.timeout > 0 {
		var cancel context.CancelFunc
		comparing, cancel = context.WithTimeout(ctx, opts.timeout)
		defer cancel()
	}
	comparison, err := opts.compare(comparing, from.tables, args[0], a, b)
	var apart *store.ApartError
	switch {
	case errors.As(err, &apart):
		return fmt.Errorf("%w: wait until both have caught up, 'pupwasm versions %s' shows where they are", err,
			printable(args[0]))
	case err != nil:
		return err
	}
	report := reportDiff(comparison, opts.examples)
	if comparison.Differ() {
		if report.First, err = opts.first(ctx, from, comparison); err != nil {
			return err
		}
	}
	if opts.json {
		err = writeJSON(opts.out, report)
	} else {
		err = report.print(opts.out)
	}
	if err == nil && comparison.Differ() {
		err = fmt.Errorf("versions %d and %d of %s differ", a, b, printable(args[0]))
	}
	return err
}

// compare compares two versions, with as many examples as there is room for.
func (o *diffOptions) compare(
	ctx context.Context, tables store.Tables, projection string, a, b int,
) (comparison *store.Comparison, err error) {
	var tooLarge *store.RejectedError
	for _, examples := range []int{keysTried, keysTried / 100, o.examples} {
		comparison, err = segments.Compare(ctx, tables, projection, a, b, max(examples, o.examples))
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
func (o *diffOptions) first(ctx context.Context, from databases, of *store.Comparison) (*firstReport, error) {
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
func versionsToCompare(ctx context.Context, from store.Tables, args []string) (a, b int, err error) {
	live, err := knownName(ctx, from, args[0])
	if err != nil {
		return 0, 0, err
	}
	if len(args) > 1 {
		if a, err = versionNumber(args[1]); err == nil {
			b, err = versionNumber(args[2])
		}
		return a, b, err
	}
	all, err := allVersions(ctx, from, args[0])
	if err != nil {
		return 0, 0, err
	}
	stages := store.Stages(all)
	for i := len(all) - 1; i >= 0; i-- { // in order of version
		if stages[all[i].ProjectionID] == store.StageCandidate {
			return live.Version, all[i].Version, nil
		}
	}
	if live.Replaced > 0 {
		return live.Replaced, live.Version, nil
	}
	return 0, 0, usagef("projection %s has one version, %d: there is nothing to compare it with", printable(args[0]),
		live.Version)
}

// diffReport is the JSON form of a comparison.
type diffReport struct {
	Projection string       `json:"projection"`
	Versions   [2]int       `json:"versions"`
	Position   int64        `json:"position"`
	Parked     [2]int       `json:"parked"` // keys, whose rows lack what waits
	Differ     bool         `json:"differ"`
	Tables     []diffTable  `json:"tables"`
	First      *firstReport `json:"first_event,omitempty"` // after which rows differ
}

// firstReport is the JSON form of the first event after which rows differ.
type firstReport struct {
	Position int64  `json:"position,omitempty"`
	EventID  string `json:"event_id,omitempty"`
	Stream   string `json:"stream,omitempty"`
	Type     string `json:"event_type,omitempty"`
	Unknown  string `json:"unknown,omitempty"` // why it is not known
	Keys     int    `json:"keys,omitempty"`    // whose events were tried; all keys where it is left out
	All      bool   `json:"all"`               // no row of another key differs
}

func reportFirst(of *parting.First) *firstReport {
	report := &firstReport{Unknown: inFlags(of.Unknown), Keys: of.Keys, All: of.All}
	if e := of.Event; e != nil {
		report.Position, report.EventID, report.Stream, report.Type = e.Position, e.ID.String(), e.Stream.String(), e.Type
	}
	return report
}

// print says which event it is.
func (r *firstReport) print(b *strings.Builder) {
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

type diffTable struct {
	Table      string           `json:"table"`
	In         []int            `json:"in"` // the versions that have it
	Uncompared string           `json:"uncompared,omitempty"`
	Rows       [2]int64         `json:"rows"`
	Only       [2]int64         `json:"only"` // rows that are in one version alone
	Changed    int64            `json:"changed"`
	Columns    map[string]int64 `json:"columns,omitempty"`       // in how many of the changed rows they differ
	Others     [2][]string      `json:"other_columns,omitempty"` // that only one version has, or with another type
	Examples   []diffRow        `json:"examples,omitempty"`

	versions [2]int
	names    []string // of the columns in Columns, in order
}

type diffRow struct {
	Key    json.RawMessage    `json:"key,omitempty"`
	Values [2]json.RawMessage `json:"values"` // null where the version does not have the row

	key     string
	changes string
}

func reportDiff(c *store.Comparison, examples int) *diffReport {
	report := &diffReport{
		Projection: c.Projection, Versions: c.Versions, Position: c.Position, Parked: c.Parked, Differ: c.Differ(),
		Tables: make([]diffTable, len(c.Tables)),
	}
	for i := range c.Tables {
		report.Tables[i] = reportDiffTable(&c.Tables[i], c.Versions, examples)
	}
	return report
}

func reportDiffTable(t *store.TableComparison, versions [2]int, examples int) diffTable {
	report := diffTable{
		Table: t.Table, Uncompared: t.Uncompared, Rows: t.Rows, Only: t.Only, Changed: t.Changed, Others: t.Others,
		Columns: map[string]int64{}, versions: versions,
	}
	for side, has := range t.In {
		if has {
			report.In = append(report.In, versions[side])
		}
	}
	for i, n := range t.ChangedIn {
		if n > 0 {
			report.Columns[t.Columns[i].Name] = n
			report.names = append(report.names, t.Columns[i].Name)
		}
	}
	kinds := map[[2]bool]int{}
	for i := range t.Examples {
		if kind := t.Examples[i].In; kinds[kind] >= examples {
			continue
		}
		kinds[t.Examples[i].In]++
		report.Examples = append(report.Examples, reportDiffRow(t, &t.Examples[i], versions))
	}
	return report
}

func reportDiffRow(t *store.TableComparison, row *store.RowComparison, versions [2]int) diffRow {
	report := diffRow{key: valuesText(t.Key, row.Key)}
	if len(t.Key) > 0 {
		report.Key = rowtext.AppendJSON(nil, t.Key, row.Key)
	}
	var only [2]string
	for side, has := range row.In {
		report.Values[side] = json.RawMessage("null")
		if has {
			report.Values[side] = rowtext.AppendJSON(nil, t.Columns, row.Values[side])
			only[side] = fmt.Sprintf("only in version %d: %s", versions[side], valuesText(t.Columns, row.Values[side]))
		}
	}
	if !row.In[0] || !row.In[1] {
		report.changes = only[0] + only[1]
		return report
	}
	var changes []string
	for i, c := range t.Columns {
		before, after := rowtext.Of(row.Values[0][i]), rowtext.Of(row.Values[1][i])
		if before != after {
			changes = append(changes, fmt.Sprintf("%s %s → %s", c.Name, before, after))
		}
	}
	report.changes = strings.Join(changes, ", ")
	return report
}

func valuesText(columns []store.Column, values []store.Value) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = c.Name + "=" + rowtext.Of(values[i])
	}
	return strings.Join(parts, " ")
}

// print writes what differs, and that nothing does.
func (r *diffReport) print(to io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: versions %d and %d, both at position %d\n", printable(r.Projection), r.Versions[0], r.Versions[1],
		r.Position)
	for side, parked := range r.Parked {
		if parked > 0 {
			fmt.Fprintf(&b, "version %d has %s: their rows lack the events that wait\n", r.Versions[side],
				count(int64(parked), "parked key"))
		}
	}
	for i := range r.Tables {
		r.Tables[i].print(&b)
	}
	if r.First != nil {
		r.First.print(&b)
	}
	_, err := io.WriteString(to, b.String())
	return err
}

func (t *diffTable) print(b *strings.Builder) {
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
		fmt.Fprintf(b, "%s: of %d and %d rows %d only in version %d, %d only in version %d, %d with other values\n", name,
			t.Rows[0], t.Rows[1], t.Only[0], t.versions[0], t.Only[1], t.versions[1], t.Changed)
	}
	for side, others := range t.Others {
		if len(others) > 0 {
			fmt.Fprintf(b, "  not compared: of version %d %s\n", t.versions[side], printable(strings.Join(others, ", ")))
		}
	}
	for _, column := range t.names {
		fmt.Fprintf(b, "  column %s differs in %s\n", printable(column), count(t.Columns[column], "row"))
	}
	for i := range t.Examples {
		row := &t.Examples[i]
		fmt.Fprintf(b, "  %s\n", printable(strings.TrimPrefix(row.key+": "+row.changes, ": ")))
	}
}
