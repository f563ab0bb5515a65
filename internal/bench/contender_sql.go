package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// sqlRun projects inside the server: one statement a batch, in which the checkpoint moves too.
func sqlRun(batch int64) run {
	return func(ctx context.Context, _ *environment, w *workload, events int64) (measured, error) {
		conn, err := pgx.Connect(ctx, w.log.dsn+"&synchronous_commit=off")
		if err != nil {
			return measured{}, err
		}
		defer conn.Close(ctx)
		// Nothing of the statement's rows comes to the client. The plan is made again for the bounds, as long
		// as that is cheaper.
		sql := "WITH moved AS (UPDATE bench.checkpoints SET position = $2 " +
			"WHERE segment = 0 AND position = $1 RETURNING 1), " +
			"written AS (" +
			w.statement + " RETURNING 1) SELECT count(*) FROM moved"
		if _, err := conn.Prepare(ctx, "project", sql); err != nil {
			return measured{}, err
		}
		watch := startStopwatch()
		for after := int64(0); after < events; after += batch {
			var moved int
			if err := conn.QueryRow(ctx, "project", after, min(after+batch, events)).Scan(&moved); err != nil {
				return measured{}, err
			}
			if moved != 1 {
				return measured{}, fmt.Errorf("the checkpoint is not at %d", after)
			}
		}
		return measured{table: "bench.rows", events: events, elapsed: watch.elapsed()}, nil
	}
}
