package postgres

import (
	"context"
	"math"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Peek polls the horizon and reads in one round trip. See [store.Peeker].
//
// It sends two transactions together: the read needs a snapshot that is taken after the poll, under any default
// isolation level. The read goes to the end of the log, and what is beyond the horizon is dropped here.
func (s backend) Peek(ctx context.Context, request store.ReadRequest, page *store.Page) (h store.Horizon, err error) {
	request.Through = math.MaxInt64
	if _, err := request.Start(page); err != nil {
		return h, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	conn, err := s.polls.Acquire(ctx)
	if err != nil {
		return h, translate(err)
	}
	defer conn.Release()

	s.pingIdle()
	read, params := s.readStatement(request)
	read.cache()
	err = retryUncached(func() error {
		var builder store.PageBuilder
		builder.Begin(page, request.Bytes)
		defer func() {
			builder.End(page)
			cutAt(page, h.Position, request, builder.Full)
		}()
		p := s.startPipeline(ctx, conn)
		p.send(&s.poll, nil)
		p.next()
		p.send(&s.ordering, nil)
		p.send(read, params.values())
		return p.finish(func(of *statementResult) error {
			switch of.statement {
			case &s.poll:
				return readHorizon(of.reader, &h)
			case read:
				return collect(of.reader, request.Columns, &builder)
			}
			return readStamp(of.reader, &page.Log)
		})
	})
	return h, err
}

// pingIdle has the pool ping the connection that a batch will take, if it was idle for long, while the poll is in
// flight.
func (s *Store) pingIdle() {
	if s.pool.Stat().IdleConns() == 0 {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), pingIdleTimeout)
		defer cancel()
		if conn, err := s.acquire(ctx); err == nil {
			conn.Release()
		}
	}()
}

// pingIdleTimeout bounds the ping.
const pingIdleTimeout = 5 * time.Second

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
