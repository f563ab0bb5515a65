package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/migrations"
)

func newMigrateCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create, update or remove pupwasm's own tables",
		Long: `Create, update or remove pupwasm's own tables: events, checkpoints and leases.

Commands that write run 'migrate up' first unless --migrate=false is given. On PostgreSQL and SQLite one call runs in one
transaction: all of its steps are done, or none. MariaDB has no transactions for such steps: the next call goes on where
one was interrupted.`,
		Example: `  pupwasm migrate up --database postgres://localhost/shop
  pupwasm migrate status`,
	}
	asGroup(cmd)
	cmd.AddCommand(newMigrateUpCommand(globals), newMigrateDownCommand(globals), newMigrateStatusCommand(globals),
		newMigrateSQLCommand(globals))
	return cmd
}

func newMigrateUpCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Create the tables, or update them to this version",
		Example: `  pupwasm migrate up
  pupwasm migrate up --database postgres://localhost/shop --schema events`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := runMigrate(cmd.Context(), globals, true, applied, (*migrations.Migrator).Up); err != nil {
				return err
			}
			return checkLog(cmd.Context(), globals)
		},
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

// checkLog returns an error when somebody changed the log's objects so that events may be lost.
func checkLog(ctx context.Context, globals *globalOptions) error {
	of, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer of.Close()
	return of.CheckLog(ctx)
}

func newMigrateDownCommand(globals *globalOptions) *cobra.Command {
	var steps int
	var yes bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Undo migrations and delete their tables",
		Long: "Undo the last migrations. This deletes their tables with all data and needs --yes. It is refused while " +
			"projections are\ninstalled: reset them first.",
		Example: `  pupwasm migrate down --yes
  pupwasm migrate down --steps 2 --yes`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if steps < 1 {
				return usagef("--steps %d: must be 1 or more", steps)
			}
			if !yes {
				return refuseDown(cmd.Context(), globals, steps)
			}
			down := func(m *migrations.Migrator, ctx context.Context) ([]migrations.Migration, error) {
				return m.Down(ctx, steps)
			}
			return runMigrate(cmd.Context(), globals, false, "undone", down)
		},
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().IntVar(&steps, "steps", 1, "`number` of migrations to undo")
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the data is deleted")
	return cmd
}

// applied is what happens to a migration, or has happened.
const applied = "applied"

// migrationReport is the JSON form of the state of a migration.
type migrationReport struct {
	Migration string `json:"migration"`
	Applied   bool   `json:"applied"`
}

// runMigrate moves the database and prints what was done.
func runMigrate(ctx context.Context, globals *globalOptions, mayCreate bool, done string,
	move func(*migrations.Migrator, context.Context) ([]migrations.Migration, error),
) error {
	return withMigrator(ctx, globals, mayCreate, func(migrator *migrations.Migrator, at target) error {
		moved, err := move(migrator, ctx)
		if err != nil {
			return err
		}
		rows := []migrationReport{}
		for _, step := range moved {
			rows = append(rows, migrationReport{Migration: migrationName(step), Applied: done == applied})
			if err := globals.say("%s %s", migrationName(step), done); err != nil {
				return err
			}
		}
		if len(moved) == 0 {
			if err := globals.say("nothing to do"); err != nil {
				return err
			}
		}
		return globals.result(rows)
	})
}

// refuseDown says what --yes would delete.
func refuseDown(ctx context.Context, globals *globalOptions, steps int) error {
	return withMigrator(ctx, globals, false, func(migrator *migrations.Migrator, at target) error {
		states, err := migrator.Status(ctx)
		if err != nil {
			return err
		}
		var names []string
		for i := len(states) - 1; i >= 0 && len(names) < steps; i-- {
			if states[i].Applied {
				names = append(names, migrationName(states[i].Migration))
			}
		}
		if len(names) == 0 {
			return errors.New("no migration is applied")
		}
		return usagef("schema %s: undoing %s deletes its tables and their data: say so with --yes",
			globals.schema, strings.Join(names, " and "))
	})
}

func newMigrateStatusCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show which migrations the database has",
		Example: `  pupwasm migrate status
  pupwasm migrate status --json`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withMigrator(cmd.Context(), globals, false, func(migrator *migrations.Migrator, _ target) error {
				states, err := migrator.Status(cmd.Context())
				if err != nil {
					return err
				}
				return printMigrations(globals, states)
			})
		},
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

func printMigrations(globals *globalOptions, states []migrations.State) error {
	if globals.json {
		rows := []migrationReport{}
		for _, state := range states {
			rows = append(rows, migrationReport{Migration: migrationName(state.Migration), Applied: state.Applied})
		}
		return writeJSON(globals.out, rows)
	}
	table := tabwriter.NewWriter(globals.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MIGRATION\tSTATE")
	for _, state := range states {
		word := "missing"
		if state.Applied {
			word = applied
		}
		fmt.Fprintf(table, "%s\t%s\n", migrationName(state.Migration), word)
	}
	return table.Flush()
}

func newMigrateSQLCommand(globals *globalOptions) *cobra.Command {
	var dialect string
	cmd := &cobra.Command{
		Use:   "sql [up|down]",
		Short: "Print the migrations as a SQL script",
		Long: "Print what 'migrate up' does to an empty database, or 'migrate down' to one that is up to date, as one SQL " +
			"script to read\nor to run by hand. It needs no database.",
		Example: `  pupwasm migrate sql --dialect postgres --schema events
  pupwasm migrate sql down`,
		Args:      wantArgs(cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: []string{"up", "down"},
		RunE: func(_ *cobra.Command, args []string) error {
			return runMigrateSQL(globals, dialect, len(args) > 0 && args[0] == "down")
		},
	}
	cmd.Flags().StringVar(&dialect, "dialect", "", "SQL `dialect`: "+alternatives(dialectNames())+" (default: that of --database)")
	completeFlag(cmd, "dialect", dialectNames()...)
	return cmd
}

func runMigrateSQL(globals *globalOptions, dialect string, down bool) error {
	switch {
	case dialect == "":
		at, err := globals.target()
		if err != nil {
			return err
		}
		dialect = string(at.name)
	case !slices.Contains(dialectNames(), dialect):
		return usagef("--dialect %q: use %s", dialect, alternatives(dialectNames()))
	}
	script, err := migrations.Script(migrations.Dialect(dialect), globals.schema, down)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(globals.out, script)
	return err
}

func migrationName(step migrations.Migration) string {
	return fmt.Sprintf("%03d_%s", step.Number, step.Name)
}
