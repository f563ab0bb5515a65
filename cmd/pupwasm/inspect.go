package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store"
)

type inspectOptions struct {
	*globalOptions

	measure string // file
	limits  bool
	run     bool
	runtime runtimeOptions
}

func newInspectCommand(globals *globalOptions) *cobra.Command {
	opts := &inspectOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "inspect FILE.wasm | --limits",
		Short: "Show what a module declares, and what it costs",
		Long: `Show the description of a module: the events that it reads, its tables, writes and queries, and the messages that it
may send, with their subjects. A module can touch and send nothing else. No database is needed; 'pupwasm run' checks whether the module fits one.

The description is read from the file if 'pupwasm build' has written it there, and the module does not run. Hosts refuse
a module that says something else when it runs. A module without one is loaded as 'pupwasm run' does; with --run every
module is.

With --measure, run the module over the events of a file, in batches of 1,000, and show per event the fuel and the
time, and the memory and the mutations. The file has the format that 'pupwasm append' reads. Fuel is the same on every
machine and is what --fuel limits (about 35 units are a nanosecond); the time is that of this machine now. Queries
return no rows.

With --limits and no file, show all limits, with the values that the other flags set, and how to change them.`,
		Example: `  pupwasm inspect bin/modules/fine_balance.wasm
  pupwasm inspect bin/modules/fine_balance.wasm --run
  pupwasm inspect bin/modules/fine_balance.wasm --measure events.jsonl
  pupwasm inspect --limits`,
		Args: func(cmd *cobra.Command, args []string) error {
			if opts.limits {
				return wantArgs(cobra.NoArgs)(cmd, args)
			}
			return wantArgs(cobra.ExactArgs(1))(cmd, args)
		},
		ValidArgsFunction: completeFile(moduleFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.limits {
				return showLimits(opts)
			}
			return runInspect(cmd.Context(), opts, args[0])
		},
	}
	opts.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().StringVar(&opts.measure, "measure", "",
		"run the module over the events of this `file` and show what it costs")
	flagFiles(cmd.Flags(), "measure", eventFiles)
	cmd.Flags().BoolVar(&opts.run, "run", false, "load the module and ask it, also if its file has its description")
	cmd.Flags().BoolVar(&opts.limits, "limits", false, "show all limits")
	opts.runtime.addFlags(cmd.Flags())
	return cmd
}

func showLimits(opts *inspectOptions) error {
	if err := opts.runtime.check(); err != nil {
		return err
	}
	groups := allLimits(opts.runtime.limits)
	if opts.json {
		return writeJSON(opts.out, groups)
	}
	printLimits(opts.out, groups)
	return nil
}

func runInspect(ctx context.Context, opts *inspectOptions, file string) error {
	opts.log = opts.log.Level(zerolog.WarnLevel) // messages of the start are not wanted here
	runtime, err := opts.runtime.start(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer runtime.Close(context.WithoutCancel(ctx))
	if !opts.run && opts.measure == "" {
		if done, err := inspectFile(opts, runtime, file); done || err != nil {
			return err
		}
	}
	module, _, err := loadModule(ctx, runtime, file)
	if err != nil {
		return err
	}
	defer module.Close(context.WithoutCancel(ctx))
	if opts.measure != "" {
		measured, err := measure(ctx, module, opts.measure, store.PayloadBytesMax)
		if err != nil {
			return err
		}
		if opts.json {
			return writeJSON(opts.out, measured)
		}
		measured.print(opts.out)
		return nil
	}
	if opts.json {
		return writeJSON(opts.out, module.Description)
	}
	printModule(opts.out, &inspected{
		Embedded: host.Embedded{
			Description: module.Description, Imports: module.Imports, Hash: module.Hash, Bytes: module.Bytes,
		},
		file: module.File, startUp: module.StartUp,
	}, opts.schema)
	return nil
}

// inspectFile shows a module whose file has its description, without running it.
func inspectFile(opts *inspectOptions, runtime *host.Runtime, file string) (done bool, err error) {
	wasm, err := readModule(runtime, file)
	if err != nil {
		return false, err
	}
	embedded, err := host.ReadEmbedded(filepath.Base(file), wasm)
	if err != nil || embedded == nil {
		return false, err
	}
	if opts.json {
		return true, writeJSON(opts.out, embedded.Description)
	}
	printModule(opts.out, &inspected{Embedded: *embedded, file: filepath.Base(file), asBuilt: true}, opts.schema)
	return true, nil
}

// inspected is a module as inspect shows it.
type inspected struct {
	host.Embedded

	file    string
	asBuilt bool // it was not run
	startUp time.Duration
}

func printModule(out io.Writer, module *inspected, schema string) {
	d := module.Description
	field := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	field("projection", "%s, version %d", d.Name, d.Version)
	if d.Text != "" {
		field("description", "%s", printable(d.Text))
	}
	field("file", "%s, %d bytes, sha256 %s", module.file, module.Bytes, hex.EncodeToString(module.Hash[:])[:16])
	if module.asBuilt {
		field("read", "as built, from the file: hosts refuse a module that says something else (--run asks it)")
	} else {
		field("read", "by running it, start-up %s", module.startUp.Round(time.Microsecond))
	}
	field("imports", "%s", listOr(module.Imports, "nothing"))
	field("ordering", "%s", d.Order)
	if d.Order == store.OrderGlobal {
		field("divided by", "nothing: one segment applies all events")
	} else {
		field("divided by", "%s", printable(d.Division().String()))
	}
	field("contexts", "%s", listOr(d.Subscription.BoundedContexts, "all"))
	field("aggregates", "%s", listOr(d.Subscription.AggregateTypes, "all"))
	field("event types", "%s", listOr(d.Subscription.EventTypes, "all"))
	field("event columns", "%s", listOr(d.Columns, "none beyond global_position, aggregate_version"))
	field("sends", "%s", sends(d))
	for i := range d.Tables {
		printTable(out, d, &d.Tables[i], schema)
	}
	for _, v := range d.Views {
		fmt.Fprintf(out, "\nview %s\n", v.Name)
		printStatement(out, "sql", v.SQL)
	}
	for i := range d.Writes {
		printWrite(out, &d.Projection, &d.Writes[i])
	}
	for i := range d.Queries {
		printQuery(out, &d.Projection, &d.Queries[i])
	}
	for i := range d.Messages {
		printMessage(out, &d.Projection, &d.Messages[i])
	}
}

func printTable(out io.Writer, d *host.Description, t *store.Table, schema string) {
	names := make([]string, len(dialects))
	for i, in := range dialects {
		names[i] = in.title + ": " + in.tableName(target{}, schema, d.Name, t.Name)
	}
	fmt.Fprintf(out, "\ntable %s   (%s)\n", t.Name, strings.Join(names, ", "))
	for _, c := range t.Columns {
		line := fmt.Sprintf("  %-20s %s", c.Name, c.Type)
		if c.NotNull {
			line += " not null"
		}
		if len(c.Default) > 0 {
			line += " default " + printable(string(c.Default))
		}
		if c.Backfill != "" {
			line += " backfill " + string(c.Backfill)
		}
		fmt.Fprintln(out, line)
		printStatement(out, "  generated", c.Generated)
	}
	if len(t.Key) > 0 {
		fmt.Fprintf(out, "  key (%s)\n", strings.Join(t.Key, ", "))
	}
	for _, index := range t.Indexes {
		fmt.Fprintf(out, "  index (%s)\n", strings.Join(index, ", "))
	}
	if d.Order != store.OrderGlobal {
		fmt.Fprintf(out, "  rows are %s\n", ownership(t))
	}
	for _, check := range t.Checks {
		printStatement(out, "check "+check.Name, check.SQL)
	}
}

// ownership says who may change the rows of a table.
func ownership(t *store.Table) string {
	_, column, _ := t.Mark()
	switch {
	case column.Partition:
		return fmt.Sprintf("owned: %s holds the partition key", column.Name)
	case column.Position:
		return fmt.Sprintf("per event: %s holds its position", column.Name)
	case column.EventID:
		return fmt.Sprintf("per event: %s holds its id", column.Name)
	default:
		return "shared by all segments"
	}
}

// promise says why a statement may run in several segments at once.
func promise(p *store.Projection, parameter int, unordered bool) string {
	switch {
	case p.Order == store.OrderGlobal:
		return ""
	case unordered:
		return ", unordered: its author promises that the order of events does not matter to it"
	case parameter > 0:
		return fmt.Sprintf(", partition key in $%d", parameter)
	}
	return ""
}

func printWrite(out io.Writer, p *store.Projection, w *store.Write) {
	if w.SQL != nil {
		fmt.Fprintf(out, "\nwrite %s (%s)%s\n", w.Name, typeList(w.Params), promise(p, w.PartitionParam, w.Unordered))
		printStatement(out, "sql", w.SQL)
		return
	}
	table, _ := p.Table(w.Table)
	columns := append([]string(nil), table.Key...)
	for _, c := range w.Columns {
		column := c.Name
		if c.Action != "" {
			column += " " + string(c.Action)
		}
		columns = append(columns, column)
	}
	fmt.Fprintf(out, "\nwrite %s: %s %s (%s)\n", w.Name, w.Action, w.Table, strings.Join(columns, ", "))
}

func printQuery(out io.Writer, p *store.Projection, q *store.Query) {
	if q.SQL != nil {
		fmt.Fprintf(out, "\nquery %s (%s) returns (%s)%s\n", q.Name, typeList(q.Params), typeList(q.Results),
			promise(p, q.PartitionParam, q.Unordered))
		printStatement(out, "sql", q.SQL)
		return
	}
	table, _ := p.Table(q.Table)
	fmt.Fprintf(out, "\nquery %s: load %s from %s by (%s)%s\n", q.Name, strings.Join(q.Columns, ", "), q.Table,
		strings.Join(table.Key, ", "),
		promise(p, 0, q.Unordered))
}

func printStatement(out io.Writer, what string, statement store.Statement) {
	show := func(dialect store.Dialect) {
		if text, ok := statement[dialect]; ok {
			fmt.Fprintf(out, "  %s (%s): %s\n", what, dialect, printable(strings.Join(strings.Fields(text), " ")))
		}
	}
	show(store.DialectAny)
	for _, in := range dialects {
		show(in.statements)
	}
}

func typeList(types []store.Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

func listOr(values []string, none string) string {
	if len(values) == 0 {
		return none
	}
	return printable(strings.Join(values, ", "))
}
