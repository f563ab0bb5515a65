package main

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// workload is one projection over one log, as each of the contenders needs it.
type workload struct {
	name, title string
	log         *eventLog

	columns string // of the table that contenders without pupwasm write: bench.rows
	storage string // of it, where that makes the native contender faster
	compare string // the expressions of key and value that make a row comparable
	want    func(events int64) map[string]string

	// statement projects the events of (position $1, position $2] in SQL.
	statement string
	// fold makes of a batch the arrays that the native contender's upsert takes after the parameters of the checkpoint.
	fold   func(events []plainEvent) ([]any, error)
	upsert string
	// handle is the write of one event, by SQL with arguments.
	handle func(e *plainEvent) (query string, args []any, err error)

	module     string // folder of its source
	projection string
	table      string // of the projection
}

// stored is the projection's table itself, which tells when a row was committed. Readers use the view.
func (w *workload) stored() string {
	_, table, _ := strings.Cut(w.table, ".")
	place := store.PlaceOf(store.DefaultSchema, store.ProjectionID{Name: w.projection, Version: 1})
	return place.Tables + "." + table
}

// ownTables are those of contenders without pupwasm: the rows, and how far they are.
func (w *workload) ownTables() []string {
	return []string{
		"DROP SCHEMA IF EXISTS bench CASCADE", "CREATE SCHEMA bench",
		"CREATE TABLE bench.rows (" + w.columns + ") " + w.storage,
		"CREATE TABLE bench.checkpoints (segment bigint PRIMARY KEY, position bigint NOT NULL) WITH (fillfactor = 50)",
		"INSERT INTO bench.checkpoints SELECT g, 0 FROM generate_series(0, 15) AS g",
	}
}

// check compares a table with what the first events amount to.
func (w *workload) check(ctx context.Context, table string, events int64) error {
	conn, err := pgx.Connect(ctx, w.log.dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT "+w.compare+" FROM "+table)
	if err != nil {
		return err
	}
	want := maps.Clone(w.want(events))
	var key, value string
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error { return strike(want, key, value) })
	if err == nil {
		err = missing(want)
	}
	return err
}

// strike removes a row from those that are wanted.
func strike(want map[string]string, key, value string) error {
	wanted, known := want[key]
	if !known {
		return fmt.Errorf("row %s is not expected, or is there twice", key)
	}
	if wanted != value {
		return fmt.Errorf("row %s is %s, must be %s", key, value, wanted)
	}
	delete(want, key)
	return nil
}

// missing reports rows that were wanted and not struck.
func missing(want map[string]string) error {
	if len(want) > 0 {
		return fmt.Errorf("%d rows are missing", len(want))
	}
	return nil
}

// joined makes one text of columns, for comparisons.
func joined(columns ...string) string {
	return "concat_ws('|', " + strings.Join(columns, ", ") + ")"
}

// remembered keeps the last result of a function of one argument.
func remembered(f func(int64) map[string]string) func(int64) map[string]string {
	var of int64 = -1
	var result map[string]string
	return func(n int64) map[string]string {
		if n != of {
			of, result = n, f(n)
		}
		return result
	}
}
