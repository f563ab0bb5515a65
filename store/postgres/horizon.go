package postgres

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// Horizon returns how far it is safe to read. It is one statement in a transaction of its own: the read that
// follows must take its snapshot after it.
func (s *Store) Horizon(ctx context.Context) (store.Horizon, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	conn, err := s.polls.Acquire(ctx)
	if err != nil {
		return store.Horizon{}, translate(err)
	}
	defer conn.Release()
	var h store.Horizon
	err = retryUncached(func() error {
		p := s.startPipeline(ctx, conn)
		p.send(&s.poll, nil)
		return p.finish(func(of *statementResult) error { return readHorizon(of.reader, &h) })
	})
	return h, err
}

// readHorizon decodes the one row of a poll.
func readHorizon(rows *pgconn.ResultReader, h *store.Horizon) error {
	return readOfLog(rows, func(values [][]byte) error {
		if len(values) != 6 || len(values[0]) != 8 || len(values[1]) != 8 || len(values[2]) != 4 {
			return errors.New("the horizon is no row of bigint, bigint, integer, text, uuid, bigint")
		}
		h.Head, h.Position = int64(binary.BigEndian.Uint64(values[0])), int64(binary.BigEndian.Uint64(values[1]))
		h.Holder, h.Prepared = int(int32(binary.BigEndian.Uint32(values[2]))), string(values[3])
		return readLogID(values[4:], &h.Log)
	})
}
