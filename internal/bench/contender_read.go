package main

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// eventReader reads the log in binary, in the columns of the native contender.
type eventReader struct{ conn *pgconn.PgConn }

// Positions of the columns that it reads.
const (
	columnPosition = iota
	columnStream
	columnKind
	columnPayload
	columnCreated
	columnHash
)

// openReader prepares to read. Columns that a projection has no use for come as nulls.
func openReader(ctx context.Context, dsn, created, hash string) (*eventReader, error) {
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	_, err = conn.Prepare(ctx, "read", `SELECT global_position, aggregate_id, event_type, payload, `+created+", "+hash+` FROM pupwasm.events
		WHERE global_position > $1 AND global_position <= $2 ORDER BY global_position LIMIT $3`, nil)
	return &eventReader{conn}, err
}

// createdColumn is the column of the time for workloads that use it.
func (w *workload) createdColumn() string {
	if w.readsTime {
		return "created_at"
	}
	return "NULL"
}

func (r *eventReader) close() { _ = r.conn.Close(context.Background()) }

var binaryFormat = []int16{1}

// read gives the events of (after, through] to use, page by page. What it gets is valid during the call.
func (r *eventReader) read(ctx context.Context, after, through int64, page int, use func(values [][]byte) error) error {
	for after < through {
		count := 0
		rows := r.conn.ExecPrepared(ctx, "read", [][]byte{wireInt8(after), wireInt8(through), wireInt8(int64(page))}, binaryFormat, binaryFormat)
		for rows.NextRow() {
			values := rows.Values()
			after = positionOf(values)
			count++
			if err := use(values); err != nil {
				return err
			}
		}
		if _, err := rows.Close(); err != nil {
			return err
		}
		if count < page {
			break
		}
	}
	return nil
}

func positionOf(values [][]byte) int64 { return int64(binary.BigEndian.Uint64(values[columnPosition])) }

func wireInt8(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// runRead is the bound for everybody who reads: the events in binary, without any work.
func runRead(ctx context.Context, _ *environment, w *workload, events int64) (measured, error) {
	reader, err := openReader(ctx, w.log.dsn, w.createdColumn(), "NULL")
	if err != nil {
		return measured{}, err
	}
	defer reader.close()
	var seen, size int64
	watch := startStopwatch()
	err = reader.read(ctx, 0, events, 4000, func(values [][]byte) error {
		seen++
		size += int64(len(values[columnPayload]))
		return nil
	})
	if err == nil && (seen != events || size == 0) {
		err = fmt.Errorf("read %d events, must be %d", seen, events)
	}
	return measured{events: events, elapsed: watch.elapsed()}, err
}
