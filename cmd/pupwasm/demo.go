package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

type demoOptions struct {
	*globalOptions

	events  int
	seed    uint64
	runtime runtimeOptions

	report demoReport
}

// demoReport is the JSON form of a demo.
type demoReport struct {
	Database    string      `json:"database"`
	Appended    int         `json:"appended"` // events
	Projections int         `json:"projections"`
	Applied     int64       `json:"applied"` // events, by all projections
	Tables      []demoTable `json:"tables"`
}

type demoTable struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

const demoDatabase = "pupwasm-demo.db"

const demoHelp = `Make up some events, run the example modules in DIR over them, and show the resulting tables.

Without --database on the command line (the environment variable does not count) it uses a SQLite file of its own,
` + demoDatabase + `, and creates that file again every time.`

func newDemoCommand(globals *globalOptions) *cobra.Command {
	opts := &demoOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:               "demo DIR",
		Short:             "Run the example modules over made-up events",
		Long:              demoHelp,
		Example:           `  pupwasm demo bin/modules`,
		Args:              wantArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeFolder,
		RunE:              func(cmd *cobra.Command, args []string) error { return runDemo(cmd.Context(), opts, args[0]) },
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().IntVar(&opts.events, "events", 40_000, "number of events to make up")
	cmd.Flags().Uint64Var(&opts.seed, "seed", 1, "seed of the made-up events")
	opts.runtime.addFlags(cmd.Flags())
	return cmd
}

func runDemo(ctx context.Context, opts *demoOptions, folder string) error {
	if opts.events < 1 {
		return usagef("--events %d: must be 1 or more", opts.events)
	}
	// The variable may name a real database, where made-up events must not go.
	if !opts.databaseGiven {
		opts.database = "sqlite:" + demoDatabase
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(demoDatabase + suffix); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("making the demo's database: %w", err)
			}
		}
	}
	opts.log = opts.log.Level(max(opts.log.GetLevel(), 2)) // warnings; the demo prints the rest itself
	runtime, err := opts.runtime.start(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer runtime.Close(context.WithoutCancel(ctx))
	modules, err := loadAll(ctx, runtime, folder)
	if err != nil {
		return err
	}
	if err := migrateUp(ctx, opts.globalOptions); err != nil {
		return err
	}
	to, err := openStore(ctx, opts.globalOptions)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := opts.appendEvents(ctx, to); err != nil {
		return err
	}
	if err := opts.runModules(ctx, to, modules); err != nil {
		return err
	}
	if err := opts.showTables(ctx, modules); err != nil {
		return err
	}
	if err := opts.say("\nTry next:\n  bin/pupwasm status --database %[1]s\n  bin/pupwasm stream user-0001 "+
		"--database %[1]s\n"+
		"  bin/pupwasm inspect %[2]s\n  bin/pupwasm run --watch %[3]s --database %[1]s",
		opts.shownDatabase(), filepath.Join(folder, modules[0].File), folder); err != nil {
		return err
	}
	opts.report.Database, opts.report.Projections = opts.shownDatabase(), len(modules)
	return opts.result(&opts.report)
}

// shownDatabase is the database as a command line may show it, without a password.
func (o *demoOptions) shownDatabase() string {
	at, err := o.target()
	if err != nil {
		return "…"
	}
	return at.String()
}

// loadAll loads every module of a folder, or returns the first error.
func loadAll(ctx context.Context, runtime *host.Runtime, folder string) ([]*host.Module, error) {
	registry, err := host.NewRegistry(runtime, folder)
	if err != nil {
		return nil, usagef("%v", err)
	}
	defer registry.Close()
	changes, err := registry.Sync(ctx)
	if err != nil {
		return nil, err
	}
	err = registry.Await(ctx, func(more []host.Change) bool {
		changes = append(changes, more...)
		return false
	})
	if err != nil {
		return nil, err
	}
	var modules []*host.Module
	for _, change := range changes {
		if change.Err != nil {
			return nil, change.Err
		}
		modules = append(modules, change.Module)
	}
	if len(modules) == 0 {
		return nil, usagef("the folder %s has no .wasm file: 'make modules' builds the examples", folder)
	}
	return modules, nil
}

// demoBatch is how many events the demo appends in a transaction.
const demoBatch = 4000

func (o *demoOptions) appendEvents(ctx context.Context, to store.Store) error {
	bar := newCountBar(o.globalOptions, "appending events", int64(o.events))
	defer bar.done()
	made := newDemoEvents(o.seed)
	start := clock.Now()
	for done := 0; done < o.events; {
		batch := make([]store.StreamAppend, min(demoBatch, o.events-done))
		for i := range batch {
			batch[i] = made.next()
		}
		if _, err := to.Append(ctx, store.AppendOptions{}, batch...); err != nil {
			return err
		}
		done += len(batch)
		bar.set(int64(done))
	}
	bar.done()
	o.report.Appended = o.events
	return o.say("appended %s %s", count(int64(o.events), "event"), rate(int64(o.events), clock.Now().Sub(start)))
}

func (o *demoOptions) runModules(ctx context.Context, to store.Store, modules []*host.Module) error {
	horizon, err := to.Horizon(ctx)
	if err != nil {
		return err
	}
	worker, err := segments.New(to, to, segments.Options{Once: true, Logger: o.log})
	if err != nil {
		return err
	}
	for _, module := range modules {
		worker.Set(module)
	}
	bar := newCountBar(o.globalOptions, "running projections", horizon.Position*int64(len(modules)))
	defer bar.done()
	finished := make(chan error, 1)
	start := clock.Now()
	go func() { finished <- worker.Run(ctx) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-finished:
			bar.done()
			total := int64(0)
			for _, p := range worker.Progress() {
				total += p.Events
			}
			if err != nil {
				return err
			}
			o.report.Applied = total
			return o.say("%s applied %s %s", count(int64(len(modules)), "projection"), count(total, "event"),
				rate(total, clock.Now().Sub(start)))
		case <-tick.C:
			sum := int64(0)
			for _, p := range worker.Progress() {
				sum += p.Position
			}
			bar.set(sum)
		}
	}
}

// demoTables are the columns and the row order that the demo shows of the tables it knows.
var demoTables = map[string]struct{ columns, order string }{
	"activity_log.activity":     {"position, subject, event_type", "position"},
	"customer_totals.customers": {"customer_id, name, orders, paid_cents, last_order", "paid_cents DESC"},
	"fine_balance.fines":        {"fine_id, amount_cents, expense_cents, paid_cents, events, last_event", "fine_id"},
	"revenue.revenue":           {"day, currency, payments, paid_cents, refunded_cents", "day"},
	"user_counter.users":        {"user_id, events", "events DESC, user_id"},
}

// showTables prints the first rows of the tables.
func (o *demoOptions) showTables(ctx context.Context, modules []*host.Module) error {
	at, err := o.target()
	if err != nil {
		return err
	}
	db, err := at.openSQL(at)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, module := range modules {
		for _, table := range module.Description.Tables {
			name := module.Description.Name + "." + table.Name
			shown, known := demoTables[name]
			if !known {
				continue
			}
			name = at.tableName(at, o.schema, module.Description.Name, table.Name)
			if err := o.showTable(ctx, db, name, shown.columns, shown.order); err != nil {
				return fmt.Errorf("showing table %s: %w", name, err)
			}
		}
	}
	return nil
}

// showTable prints the first rows of one table. Names and columns are the program's own.
func (o *demoOptions) showTable(ctx context.Context, db *sql.DB, table, columns, order string) error {
	var total int64
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&total); err != nil {
		return err
	}
	o.report.Tables = append(o.report.Tables, demoTable{Table: table, Rows: total})
	if o.json {
		return nil
	}
	fmt.Fprintf(o.out, "\n%s (%s)\n", table, count(total, "row"))
	rows, err := db.QueryContext(ctx, "SELECT "+columns+" FROM "+table+" ORDER BY "+order+" LIMIT 5")
	if err != nil {
		return err
	}
	defer rows.Close()
	writer := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(writer, "  "+strings.ReplaceAll(columns, ", ", "\t"))
	values := make([]any, strings.Count(columns, ",")+1)
	for i := range values {
		values[i] = new(sql.NullString)
	}
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return err
		}
		cells := make([]string, len(values))
		for i, value := range values {
			cells[i] = printable(value.(*sql.NullString).String)
		}
		fmt.Fprintln(writer, "  "+strings.Join(cells, "\t"))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return writer.Flush()
}
