package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// fold is the state of one batch of a native projection. It is used again when the batch is written.
type fold interface {
	// add takes an event off the wire and keeps nothing of it.
	add(values [][]byte) error
	// arguments are the arrays of the write in PostgreSQL's binary format, valid until reset.
	arguments() [][]byte
	reset()
}

// nativeBatch is a fold on its way from the reader to the writer of its segment.
type nativeBatch struct {
	fold
	events  int
	through int64
}

// nativeSegment writes the batches of a share of the streams.
type nativeSegment struct {
	number   int64
	position int64 // of its checkpoint
	conn     *pgconn.PgConn
	filled   chan *nativeBatch
	free     chan *nativeBatch
	batch    *nativeBatch // being filled
}

// readAhead is how many batches of a segment may be on their way.
const readAhead = 3

// nativeRun is Go as fast as we can write it. A reader scans events as they stand in the driver's buffer and folds them;
// behind it, each segment writes its batches: one statement, which is a transaction by itself, moves the checkpoint and merges
// the rows. Reading goes on meanwhile. Nothing is allocated by the event.
func nativeRun(batch, segments int) func(context.Context, *environment, *workload, int64) (measured, error) {
	return func(ctx context.Context, _ *environment, w *workload, events int64) (measured, error) {
		hash := "NULL"
		if segments > 1 {
			hash = "partition_hash"
		}
		reader, err := openReader(ctx, w.log.dsn, w.createdColumn(), hash)
		if err != nil {
			return measured{}, err
		}
		defer reader.close()
		all := make([]*nativeSegment, segments)
		for i := range all {
			if all[i], err = openSegment(ctx, w, int64(i), batch); err != nil {
				return measured{}, err
			}
			defer all[i].close()
		}
		watch := startStopwatch()
		err = together(ctx, all, func(ctx context.Context) error { return distribute(ctx, reader, all, events, batch) })
		return measured{table: "bench.rows", events: events, elapsed: watch.elapsed()}, err
	}
}

// together runs the reader and the writers until all are done or one fails.
func together(ctx context.Context, segments []*nativeSegment, read func(context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	start := func(part func(context.Context) error) {
		group.Go(func() {
			if err := part(ctx); err != nil {
				stop(err)
			}
		})
	}
	start(read)
	for _, s := range segments {
		start(s.write)
	}
	group.Wait()
	return context.Cause(ctx)
}

func openSegment(ctx context.Context, w *workload, number int64, batch int) (*nativeSegment, error) {
	s := &nativeSegment{number: number, filled: make(chan *nativeBatch, readAhead), free: make(chan *nativeBatch, readAhead)}
	for range readAhead - 1 {
		s.free <- &nativeBatch{fold: w.newFold(batch)}
	}
	s.batch = &nativeBatch{fold: w.newFold(batch)}
	var err error
	if s.conn, err = pgconn.Connect(ctx, w.log.dsn+"&synchronous_commit=off"); err != nil {
		return nil, err
	}
	// Without the checkpoint nothing is written, and the count of rows says so.
	sql := "WITH moved AS (UPDATE bench.checkpoints SET position = $1 WHERE segment = $2 AND position = $3 RETURNING 1) INSERT INTO bench.rows AS t " +
		strings.Replace(w.upsert, "%s", "WHERE EXISTS (SELECT FROM moved)", 1)
	_, err = s.conn.Prepare(ctx, "write", sql, nil)
	return s, err
}

func (s *nativeSegment) close() { _ = s.conn.Close(context.Background()) }

// distribute gives every event to the segment of its stream.
func distribute(ctx context.Context, reader *eventReader, segments []*nativeSegment, through int64, batch int) error {
	hand := func(s *nativeSegment, through int64) error {
		s.batch.through = through
		s.filled <- s.batch // has room for all there are
		select {
		case s.batch = <-s.free:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := reader.read(ctx, 0, through, 4*batch, func(values [][]byte) error {
		s := segments[0]
		if len(segments) > 1 {
			hash := uint32(binary.BigEndian.Uint64(values[columnHash]))
			s = segments[uint64(hash*store.SpreadFactor)*uint64(len(segments))>>32]
		}
		if err := s.batch.add(values); err != nil {
			return err
		}
		if s.batch.events++; s.batch.events < batch {
			return nil
		}
		return hand(s, positionOf(values))
	})
	for _, s := range segments {
		if err == nil && s.batch.events > 0 {
			err = hand(s, through)
		}
		close(s.filled)
	}
	return err
}

// write commits batches in order.
func (s *nativeSegment) write(ctx context.Context) error {
	for b := range s.filled {
		if err := s.commit(ctx, b); err != nil {
			return err
		}
		s.free <- b
	}
	return nil
}

// commit writes a batch in one round trip, and makes it empty.
func (s *nativeSegment) commit(ctx context.Context, b *nativeBatch) error {
	params := append([][]byte{wireInt8(b.through), wireInt8(s.number), wireInt8(s.position)}, b.arguments()...)
	tag, err := s.conn.ExecPrepared(ctx, "write", params, binaryFormat, binaryFormat).Close()
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("the checkpoint of segment %d is not at %d", s.number, s.position)
	}
	s.position, b.events = b.through, 0
	b.reset()
	return nil
}
