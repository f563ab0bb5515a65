package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// plainSelect reads the columns of a plainEvent.
const plainSelect = `SELECT global_position, aggregate_id, event_type, payload, created_at FROM pupwasm.events
	WHERE global_position > $1 AND global_position <= $2`

// runRead is the bound for everybody who reads: the events, page by page, without any work.
func runRead(ctx context.Context, _ *environment, w *workload, events int64) (measured, error) {
	conn, err := pgx.Connect(ctx, w.log.dsn)
	if err != nil {
		return measured{}, err
	}
	defer conn.Close(ctx)
	const page, payload = 4000, 3
	size := 0
	watch := startStopwatch()
	for after := int64(0); after < events; after += page {
		rows, err := conn.Query(ctx, plainSelect+" ORDER BY global_position", after, min(after+page, events))
		if err != nil {
			return measured{}, err
		}
		for rows.Next() {
			size += len(rows.RawValues()[payload])
		}
		if err := rows.Err(); err != nil {
			return measured{}, err
		}
	}
	elapsed := watch.elapsed()
	if size == 0 {
		return measured{}, fmt.Errorf("%d events have no payload", events)
	}
	return measured{events: events, elapsed: elapsed}, nil
}

// nativeSegment projects a share of the streams.
type nativeSegment struct {
	w            *workload
	conn         *pgx.Conn
	number       int
	position     int64 // of its checkpoint
	batch        int
	read, insert string // statements
}

// nativeRun is the projection in Go as a person writes it: each segment reads a page of its streams, folds it
// in a map, and writes it by one statement, which is a transaction by itself, moves the checkpoint and merges
// the rows.
func nativeRun(batch, segments int) run {
	return func(ctx context.Context, _ *environment, w *workload, events int64) (measured, error) {
		all := make([]*nativeSegment, segments)
		for i := range all {
			s, err := openSegment(ctx, w, i, segments, batch)
			if err != nil {
				return measured{}, err
			}
			defer s.close(ctx)
			all[i] = s
		}
		working, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		var group sync.WaitGroup
		watch := startStopwatch()
		for _, s := range all {
			group.Go(func() {
				if err := s.project(working, events); err != nil {
					stop(err)
				}
			})
		}
		group.Wait()
		return measured{table: "bench.rows", events: events, elapsed: watch.elapsed()}, context.Cause(working)
	}
}

func openSegment(ctx context.Context, w *workload, number, segments, batch int) (*nativeSegment, error) {
	conn, err := pgx.Connect(ctx, w.log.dsn+"&synchronous_commit=off")
	if err != nil {
		return nil, err
	}
	s := &nativeSegment{w: w, conn: conn, number: number, batch: batch, read: plainSelect}
	if segments > 1 {
		s.read += fmt.Sprintf(" AND partition_hash %% %d = %d", segments, number)
	}
	s.read += fmt.Sprintf(" ORDER BY global_position LIMIT %d", batch)
	// Without the checkpoint nothing is written, and the count of rows says so.
	s.insert = `WITH moved AS
		(UPDATE bench.checkpoints SET position = $1 WHERE segment = $2 AND position = $3 RETURNING 1)
		INSERT INTO bench.rows AS t ` + strings.Replace(w.upsert, "%s", "WHERE EXISTS (SELECT FROM moved)", 1)
	return s, nil
}

func (s *nativeSegment) close(ctx context.Context) { _ = s.conn.Close(context.WithoutCancel(ctx)) }

// project applies what there is up to a position.
func (s *nativeSegment) project(ctx context.Context, through int64) error {
	for {
		page, err := s.page(ctx, through)
		if err != nil {
			return err
		}
		if len(page) > 0 {
			if err := s.write(ctx, page); err != nil {
				return err
			}
		}
		if len(page) < s.batch {
			return nil
		}
	}
}

// page reads the next events up to a position.
func (s *nativeSegment) page(ctx context.Context, through int64) ([]plainEvent, error) {
	rows, err := s.conn.Query(ctx, s.read, s.position, through)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e plainEvent, err error) {
		err = row.Scan(&e.position, &e.stream, &e.kind, &e.payload, &e.at)
		return e, err
	})
}

// write commits a batch in one round trip.
func (s *nativeSegment) write(ctx context.Context, page []plainEvent) error {
	arrays, err := s.w.fold(page)
	if err != nil {
		return err
	}
	last := page[len(page)-1].position
	tag, err := s.conn.Exec(ctx, s.insert, append([]any{last, s.number, s.position}, arrays...)...)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("the checkpoint of segment %d is not at %d", s.number, s.position)
	}
	s.position = last
	return nil
}
