package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
)

// copyRun is the bound for everybody who writes rows: those of all events by one COPY, and then the index of their key.
// Reading and computing them is not timed.
func copyRun(ctx context.Context, _ *environment, w *workload, events int64) (measured, error) {
	s, err := openSegment(ctx, w, 0, 1, math.MaxInt32)
	if err != nil {
		return measured{}, err
	}
	defer s.close(ctx)
	page, err := s.page(ctx, events)
	if err != nil {
		return measured{}, err
	}
	columns, err := w.fold(page)
	if err != nil {
		return measured{}, err
	}
	const key = " PRIMARY KEY"
	name, _, _ := strings.Cut(w.columns, " ")
	for _, statement := range []string{
		"DROP TABLE bench.rows", "CREATE TABLE bench.rows (" + strings.Replace(w.columns, key, "", 1) + ")",
	} {
		if _, err := s.conn.Exec(ctx, statement); err != nil {
			return measured{}, err
		}
	}
	names := strings.Split(w.columns, ",")
	for i := range names {
		names[i], _, _ = strings.Cut(strings.TrimSpace(names[i]), " ")
	}
	watch := startStopwatch()
	_, err = s.conn.CopyFrom(ctx, pgx.Identifier{"bench", "rows"}, names, pgx.CopyFromSlice(len(page), func(i int) ([]any, error) {
		row := make([]any, len(columns))
		for c, column := range columns {
			switch values := column.(type) {
			case []int64:
				row[c] = values[i]
			case []string:
				row[c] = values[i]
			default:
				return nil, fmt.Errorf("a column is %T", column)
			}
		}
		return row, nil
	}))
	if err != nil {
		return measured{}, err
	}
	if _, err := s.conn.Exec(ctx, "ALTER TABLE bench.rows ADD PRIMARY KEY ("+name+")"); err != nil {
		return measured{}, err
	}
	return measured{table: "bench.rows", events: events, elapsed: watch.elapsed()}, nil
}
