package main

import (
	"context"
	"database/sql"
	"time"
)

// plainEvent is an event as rows.Scan gives it.
type plainEvent struct {
	position     int64
	stream, kind string
	payload      []byte
	at           time.Time
}

const handlerPage = 1000

// handlerRun is a projection as it is written mostly: a handler that is called with an event, unmarshals it,
// and runs a statement.
//
// By defaults every event is a transaction with a checkpoint, and every statement is described before it is
// run, as lib/pq does. Tuned, a page is a transaction and statements are prepared.
func handlerRun(tuned bool) run {
	return func(ctx context.Context, _ *environment, w *workload, events int64) (measured, error) {
		dsn := w.log.dsn
		if !tuned {
			dsn += "&default_query_exec_mode=describe_exec"
		}
		db, err := sql.Open("pgx", dsn)
		if err != nil {
			return measured{}, err
		}
		defer db.Close()
		if err := db.PingContext(ctx); err != nil {
			return measured{}, err
		}
		watch := startStopwatch()
		for after := int64(0); after < events; {
			page, err := readPage(ctx, db, after, events)
			if err != nil {
				return measured{}, err
			}
			each := 1
			if tuned {
				each = len(page)
			}
			for start := 0; start < len(page); start += each {
				if err := handlePage(ctx, db, w, page[start:start+each]); err != nil {
					return measured{}, err
				}
			}
			after = page[len(page)-1].position
		}
		return measured{table: "bench.rows", events: events, elapsed: watch.elapsed()}, nil
	}
}

func readPage(ctx context.Context, db *sql.DB, after, through int64) ([]plainEvent, error) {
	rows, err := db.QueryContext(ctx, plainSelect+" ORDER BY global_position LIMIT $3", after, through, handlerPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []plainEvent
	for rows.Next() {
		var e plainEvent
		if err := rows.Scan(&e.position, &e.stream, &e.kind, &e.payload, &e.at); err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return page, rows.Err()
}

// handlePage is one transaction.
func handlePage(ctx context.Context, db *sql.DB, w *workload, events []plainEvent) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for i := range events {
		query, args, err := w.handle(&events[i])
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return err
		}
	}
	position := events[len(events)-1].position
	const move = "UPDATE bench.checkpoints SET position = $1 WHERE segment = 0"
	if _, err := tx.ExecContext(ctx, move, position); err != nil {
		return err
	}
	return tx.Commit()
}
