package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

var _ store.Peeker = (*Store)(nil)

// Peek looks at the horizon and reads in one round trip. See [store.Peeker].
//
// Two transactions go out together: what is read has to be seen by a snapshot that is taken after the look, whatever the isolation
// level is that the database's owner has made the default. The read goes to the end of the log, and what is beyond the horizon
// is dropped here.
func (s *Store) Peek(ctx context.Context, request store.ReadRequest, page *store.Page) (h store.Horizon, err error) {
	request.Through = math.MaxInt64
	if _, err := request.Start(page); err != nil {
		return h, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	conn, err := s.control.Acquire(ctx)
	if err != nil {
		return h, translate(err)
	}
	defer conn.Release()

	s.warm()
	look := &statement{sql: s.queries.horizon}
	read, params := s.readStatement(request)
	p := startPipeline(ctx, conn)
	p.send(look, nil)
	p.inner.SendPipelineSync()
	p.send(&inOrder, nil)
	p.send(read, params.values())
	var builder store.PageBuilder
	builder.Begin(page, request.Bytes)
	err = p.each(2, func(of *statementResult) error {
		switch of.statement {
		case look:
			return readHorizon(of.reader, &h)
		case read:
			return collect(of.reader, request.Columns, &builder)
		}
		return of.drain()
	})
	builder.End(page)
	cutAt(page, h.Position, request, builder.Full)
	return h, err
}

// warm has the pool try the connection that a batch will take, if it has idled for so long that it has to be tried, while the look
// is under way.
func (s *Store) warm() {
	if s.pool.Stat().IdleConns() == 0 {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), warmPatience)
		defer cancel()
		if conn, err := s.pool.Acquire(ctx); err == nil {
			conn.Release()
		}
	}()
}

// warmPatience bounds the try.
const warmPatience = 5 * time.Second

// cutAt drops what is beyond the horizon, which may be incomplete.
func cutAt(page *store.Page, horizon int64, request store.ReadRequest, full bool) {
	page.Through = max(horizon, request.After)
	if count := len(page.Events); full || count == request.Limit {
		page.Through = min(page.Through, page.Events[count-1].Position)
	}
	for len(page.Events) > 0 && page.Events[len(page.Events)-1].Position > horizon {
		page.Events = page.Events[:len(page.Events)-1]
	}
}

// readHorizon reads the one row of a look, in binary.
func readHorizon(rows *pgconn.ResultReader, h *store.Horizon) error {
	for rows.NextRow() {
		values := rows.Values()
		if len(values) != 3 || len(values[0]) != 8 || len(values[1]) != 8 || len(values[2]) != 4 {
			return fmt.Errorf("the horizon is no row of bigint, bigint, integer")
		}
		h.Head, h.Position = int64(binary.BigEndian.Uint64(values[0])), int64(binary.BigEndian.Uint64(values[1]))
		h.Holder = int(int32(binary.BigEndian.Uint32(values[2])))
	}
	_, err := rows.Close()
	return err
}

// each is finish for several transactions: it gives each result to handle until the last one ends.
func (p *pipeline) each(transactions int, handle func(*statementResult) error) (err error) {
	defer func() {
		if closing := p.inner.Close(); err == nil && closing != nil {
			err = translate(closing)
		}
	}()
	if err := p.inner.Sync(); err != nil {
		return translate(err)
	}
	for next := 0; transactions > 0; {
		result, err := p.inner.GetResults()
		if err != nil {
			return translate(err)
		}
		switch result := result.(type) {
		case nil:
			return nil
		case *pgconn.PipelineSync:
			transactions--
		case *pgconn.ResultReader:
			if err := handle(&statementResult{statement: p.sent[next], reader: result}); err != nil {
				return translate(err)
			}
			next++
		}
	}
	return nil
}
