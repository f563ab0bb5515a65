package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// errNoLogID is of a log whose identity somebody has deleted. Nothing may be read on: its checkpoints could be
// those of any log.
var errNoLogID = errors.New("the log has lost its id, the one row of table log: insert it again, with the log_id " +
	"that the rows of table segments have")

// Locate tells which log this is and what it has at some positions. See [store.Reader].
func (s backend) Locate(ctx context.Context, positions ...int64) (store.LogState, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var state store.LogState
	var events [][16]byte
	var next []*time.Time
	err := s.control.QueryRow(ctx, s.queries.locate, append([]int64{}, positions...)).
		Scan(&state.Head, &state.Position, &state.Holder, &state.Prepared, &state.Log.ID, &state.Log.Timeline, &events, &next)
	if errors.Is(err, pgx.ErrNoRows) {
		return store.LogState{}, errNoLogID
	}
	if err != nil {
		return store.LogState{}, translate(err)
	}
	state.Events, state.Next = make([]store.UUID, len(events)), make([]time.Time, len(events))
	for i := range events {
		state.Events[i] = events[i]
		if next[i] != nil {
			state.Next[i] = *next[i]
		}
	}
	return state, nil
}

// Adopt notes the log of a checkpoint. See [store.Leases].
func (s backend) Adopt(ctx context.Context, claim store.Claim, log store.LogID) error {
	return s.adopt(ctx, s.queries.adopt, claim, log)
}

func (s *Store) adopt(ctx context.Context, query string, claim store.Claim, log store.LogID) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.control.Exec(ctx, query, claim.Projection.Name, claim.Projection.Number(),
		claim.Segment, claim.Worker, claim.Epoch, claim.Position, log.ID, int64(log.Timeline))
	if err == nil && tag.RowsAffected() == 0 {
		return store.ErrFenced
	}
	return translate(err)
}

// AppliedAt returns what a checkpoint notes of the log. See [store.Reader].
func (s backend) AppliedAt(ctx context.Context, position int64) (applied store.Applied, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.control.QueryRow(ctx, s.queries.appliedAt, position).Scan(scanApplied(&applied)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Applied{}, errNoLogID
	}
	return applied, translate(err)
}

// OwnLog returns the identity of the log beside the tables. See [store.Tables].
func (s backend) OwnLog(ctx context.Context) (store.LogID, error) {
	state, err := s.Locate(ctx)
	return state.Log, err
}

// logID tells which log this is. Tables apart from their log begin with none.
func (i *installer) logID(ctx context.Context) (log store.LogID, err error) {
	if i.catalogue.apart {
		return log, nil
	}
	if err = i.tx.QueryRow(ctx, i.queries.logID).Scan(&log.ID, &log.Timeline); err != nil {
		return log, fmt.Errorf("reading the identity of the log: %w", err)
	}
	return log, nil
}

// scanApplied are the targets of the columns log_id, timeline, last_position, last_event.
func scanApplied(a *store.Applied) []any {
	return []any{&a.Log.ID, &a.Log.Timeline, &a.Position, &a.Event}
}

// readLogID reads an id and a timeline in binary.
func readLogID(values [][]byte, log *store.LogID) error {
	if len(values) != 2 || len(values[0]) != len(log.ID) || len(values[1]) != 8 {
		return errors.New("the identity of the log is no row of uuid, bigint")
	}
	log.ID, log.Timeline = store.UUID(values[0]), uint32(binary.BigEndian.Uint64(values[1]))
	return nil
}

// readStamp reads the one row of inOrder.
func readStamp(rows *pgconn.ResultReader, log *store.LogID) error {
	return readOfLog(rows, func(values [][]byte) error { return readLogID(values[min(1, len(values)):], log) })
}

// readOfLog reads the one row of a statement that asks for the log's id too: without an id there is none.
func readOfLog(rows *pgconn.ResultReader, read func(values [][]byte) error) error {
	known := false
	for rows.NextRow() {
		known = true
		if err := read(rows.Values()); err != nil {
			return err
		}
	}
	_, err := rows.Close()
	if err == nil && !known {
		return errNoLogID
	}
	return err
}
