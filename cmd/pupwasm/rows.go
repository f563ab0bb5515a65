package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/store"
)

type rowsOptions struct {
	*globalOptions

	keys  []string
	limit int
}

const rowsHelp = `Show rows of a projection as readers see them, in order of the table's key. Rows of views come in the view's own order.

Without TABLE, the command shows the rows of the only table, or lists the tables and views with their columns. ROWS is
counted up to 1000 there, and not for views.

--key compares a column, whether it is part of the table's key or not, with a value of its type: a number, true or
false, a text, a UUID, a time such as 2026-01-02T03:04:05Z, or bytes in hex. Columns of views on SQLite have no type and
are compared as text.`

func newRowsCommand(globals *globalOptions) *cobra.Command {
	opts := &rowsOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "rows PROJECTION [TABLE]",
		Short: "Show rows of a projection",
		Long:  rowsHelp,
		Example: `  pupwasm rows fine_balance
  pupwasm rows fine_balance fines --key fine_id=S38735
  pupwasm rows fine_balance fines --limit 10 --json`,
		Args: wantArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRows(cmd.Context(), opts, args[0], strings.Join(args[1:], ""))
		},
		ValidArgsFunction: completeProjections(globals, tableOf),
	}
	cmd.Flags().StringArrayVar(&opts.keys, "key", nil, "show only rows with this `COLUMN=VALUE`; may be repeated")
	cmd.Flags().IntVar(&opts.limit, "limit", 100, fmt.Sprintf("maximum number of rows; 0 for no limit, up to %d MiB", store.ResultBytesMax>>20))
	opts.addJSON(cmd.Flags(), "print JSON lines, one for each row")
	return cmd
}

func runRows(ctx context.Context, opts *rowsOptions, name, table string) error {
	if opts.limit < 0 {
		return usagef("--limit must be 0 or more, it is %d", opts.limit)
	}
	from, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := knownName(ctx, from, name); err != nil {
		return err
	}
	projection, err := from.Published(ctx, name)
	if err != nil {
		return err
	}
	switch {
	case len(projection.Tables) == 0:
		return usagef("projection %s has no tables", printable(name))
	case table == "" && len(projection.Tables) == 1:
		table = projection.Tables[0].Name
	case table == "" && len(opts.keys) > 0:
		return usagef("name the table of --key: %s has %s", printable(name), tableNames(projection))
	case table == "":
		return opts.listTables(ctx, from, projection)
	}
	return opts.show(ctx, from, projection, table)
}

// show prints rows of a table or a view.
func (o *rowsOptions) show(ctx context.Context, from store.Store, projection *store.Projection, name string) error {
	table, known := projection.Table(name)
	if !known {
		return usagef("projection %s has no table %s: it has %s", printable(projection.Name), printable(name),
			tableNames(projection))
	}
	request := store.RowsRequest{Projection: projection, Table: name, Ordered: true}
	var err error
	if request.Where, err = o.where(table); err != nil {
		return err
	}
	if o.limit > 0 {
		request.Limit = o.limit + 1 // to know whether there are more
	}
	var rows store.Rows
	err = from.ReadRows(ctx, request, &rows)
	var tooMuch *store.RejectedError
	switch {
	case errors.As(err, &tooMuch):
		return fmt.Errorf("%w: show fewer rows with --limit or --key", err)
	case err != nil:
		return err
	}
	shown := slices.Collect(slices.Chunk(rows.Values, len(table.Columns)))
	more := o.limit > 0 && len(shown) > o.limit
	if more {
		shown = shown[:o.limit]
	}
	if err := o.print(table, shown); err != nil {
		return err
	}
	switch {
	case more && !o.json:
		_, err = fmt.Fprintf(o.errs, "there are more rows: see all with --limit 0, or some with --key\n")
	case len(shown) == 0 && len(o.keys) > 0:
		_, err = fmt.Fprintf(o.errs, "no row of %s has %s\n", name, printable(strings.Join(o.keys, " and ")))
	case len(shown) == 0:
		_, err = fmt.Fprintf(o.errs, "%s has no rows\n", name)
	}
	return err
}

// where reads the values of --key.
func (o *rowsOptions) where(table *store.Table) (where []store.ColumnValue, err error) {
	for _, key := range o.keys {
		name, text, found := strings.Cut(key, "=")
		column, known := table.Column(name)
		switch {
		case !found:
			return nil, usagef("--key %s: must be COLUMN=VALUE", printable(key))
		case !known:
			columns := make([]string, len(table.Columns))
			for i := range table.Columns {
				columns[i] = table.Columns[i].Name
			}
			return nil, usagef("--key %s: %s has no column %s: it has %s", printable(key), table.Name, printable(name),
				printable(strings.Join(columns, ", ")))
		}
		value, err := rowtext.Parse(column.Type, text)
		if err != nil {
			return nil, usagef("--key %s: column %s: %v", printable(key), name, err)
		}
		where = append(where, store.ColumnValue{Column: name, Value: value})
	}
	return where, nil
}

// print writes rows as JSON lines or as a table.
func (o *rowsOptions) print(table *store.Table, rows [][]store.Value) error {
	if o.json {
		var lines []byte
		for _, row := range rows {
			lines = append(rowtext.AppendJSON(lines, table.Columns, row), '\n')
		}
		_, err := o.out.Write(lines)
		return err
	}
	if len(rows) == 0 {
		return nil
	}
	grid := newGrid(o.out)
	for i := range table.Columns {
		c := &table.Columns[i]
		grid.column(c.Name, !c.Type.Array && slices.Contains(numbers, c.Type.Kind))
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, value := range row {
			cells[i] = rowtext.Of(value)
		}
		grid.row(cells...)
	}
	return grid.flush()
}

// numbers are aligned by their last digits.
var numbers = []store.Kind{store.KindI64, store.KindF64, store.KindNumeric}

func tableNames(p *store.Projection) string {
	names := make([]string, len(p.Tables))
	for i := range p.Tables {
		names[i] = p.Tables[i].Name
	}
	return strings.Join(names, ", ")
}

// countMax is how far the rows of a table are counted.
const countMax = 1000

// tableReport is the JSON form of a table that can be shown.
type tableReport struct {
	Name    string         `json:"name"`
	View    bool           `json:"view"`
	Rows    *int           `json:"rows,omitempty"` // not for views
	More    bool           `json:"more,omitempty"` // there are more rows than that
	Columns []columnReport `json:"columns"`
}

type columnReport struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"` // none for a view on SQLite
	Key  bool   `json:"key,omitempty"`
}

// listTables prints what there is to show.
func (o *rowsOptions) listTables(ctx context.Context, from store.Store, projection *store.Projection) error {
	reports := make([]tableReport, len(projection.Tables))
	for i := range projection.Tables {
		var err error
		if reports[i], err = reportTable(ctx, from, projection, &projection.Tables[i]); err != nil {
			return err
		}
	}
	if o.json {
		return writeJSON(o.out, reports)
	}
	grid := newGrid(o.out)
	grid.column("TABLE", false)
	grid.column("ROWS", true)
	grid.column("COLUMNS", false)
	for i := range reports {
		r := &reports[i]
		rows := "view"
		if r.Rows != nil {
			rows = strconv.Itoa(*r.Rows)
		}
		if r.More {
			rows += "+"
		}
		columns := make([]string, len(r.Columns))
		for j, c := range r.Columns {
			columns[j] = strings.TrimSpace(c.Name + " " + c.Type)
			if c.Key {
				columns[j] += " key"
			}
		}
		grid.row(r.Name, rows, strings.Join(columns, ", "))
	}
	if err := grid.flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.errs, "show the rows of one with 'pupwasm rows %s TABLE'\n", projection.Name)
	return err
}

// reportTable counts the rows of a table by one column of it. A view may take long to count.
func reportTable(
	ctx context.Context, from store.Store, projection *store.Projection, table *store.Table,
) (tableReport, error) {
	report := tableReport{
		Name: table.Name, View: slices.ContainsFunc(projection.Views, func(v store.View) bool { return v.Name == table.Name }),
	}
	for i := range table.Columns {
		c := columnReport{Name: table.Columns[i].Name, Key: slices.Contains(table.Key, table.Columns[i].Name)}
		if of := table.Columns[i].Type; of.Kind != store.KindNull {
			c.Type = of.String()
		}
		report.Columns = append(report.Columns, c)
	}
	if report.View {
		return report, nil
	}
	narrow := *projection
	narrow.Tables = []store.Table{{Name: table.Name, Columns: table.Columns[:1]}}
	var rows store.Rows
	request := store.RowsRequest{Projection: &narrow, Table: table.Name, Limit: countMax + 1}
	if err := from.ReadRows(ctx, request, &rows); err != nil {
		return report, err
	}
	count := min(len(rows.Values), countMax)
	report.Rows, report.More = &count, len(rows.Values) > countMax
	return report, nil
}
