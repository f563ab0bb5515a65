package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

// Pending returns the first messages that may be sent. See [store.Outbox].
func (s backend) Pending(
	ctx context.Context, projection string, messages, bytes int,
) ([]store.OutboxMessage, error) {
	return s.messages(ctx, s.queries.outbox.pending, projection, messages, bytes)
}

// Messages returns messages. See [store.Outbox].
func (s backend) Messages(ctx context.Context, request store.MessagesRequest) ([]store.OutboxMessage, error) {
	after := request.After
	return s.messages(ctx, s.queries.outbox.messages, append(requestValues(&request), after.Projection, after.Position,
		after.Index, numberOf(&after), request.Limit)...)
}

// requestValues are what selects messages.
func requestValues(request *store.MessagesRequest) []any {
	var version *int64
	var at []int64
	if id := request.ID; id != nil {
		of := int64(id.Version)
		version, at = &of, []int64{id.Position, int64(id.Index)}
		if request.Projection != "" && request.Projection != id.Projection {
			at = []int64{-1, -1} // there is no such message
		}
		request.Projection = id.Projection
	}
	return []any{request.Projection, version, at, request.Key, string(request.State)}
}

// numberOf is the number of a message's version.
func numberOf(id *store.OutboxID) int64 {
	return store.ProjectionID{Name: id.Projection, Version: id.Version, Build: id.Build}.Number()
}

func (s backend) messages(ctx context.Context, query string, args ...any) ([]store.OutboxMessage, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, translate(err)
	}
	all, err := pgx.CollectRows(rows, scanMessage)
	return all, translate(err)
}

func scanMessage(row pgx.CollectableRow) (m store.OutboxMessage, err error) {
	var number, spread int64
	var held bool
	var sent *time.Time
	var next *time.Time
	err = row.Scan(&m.Projection, &m.Position, &m.Index, &number, &m.Type, &m.Subject, &m.Key, &spread, &m.ContentType,
		&m.Data, &m.TraceParent, &m.Time, &m.PutAt, &held, &sent, &m.Attempts, &m.Error, &next)
	id := store.NumberedID(m.Projection, number)
	m.Version, m.Build, m.Spread = id.Version, id.Build, uint32(spread)
	m.SentAt = timeOrZero(sent)
	switch {
	case held:
		m.State = store.MessageHeld
	case sent != nil:
		m.State = store.MessageSent
	case m.Attempts > 0:
		m.State, m.NextAttempt = store.MessageFailed, timeOrZero(next)
	default:
		m.State = store.MessagePending
	}
	return m, err
}
