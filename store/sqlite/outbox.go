package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// deletedMax bounds how many messages DeleteSent deletes at once, of each kind: nobody else writes meanwhile.
const deletedMax = 1000

// put puts messages in, or holds them. See [store.Outbox].
func (x *tx) put(c *conn, messages []store.Message) error {
	if len(messages) == 0 {
		return nil
	}
	q, id := &x.catalogue.store.queries.outbox, x.claim.Projection
	sql, more := q.put, []any(nil)
	err := c.query(q.standing, func(row *prepared) error {
		if live := row.ColumnBool(0); !live {
			sql, more = q.hold, []any{row.ColumnInt64(2), row.ColumnInt64(1)}
		}
		return nil
	}, id.Name, id.Number())
	if err != nil {
		return err
	}
	for i := range messages {
		m := &messages[i]
		arguments := append([]any{
			id.Name, m.Position, m.Index, id.Number(), m.Time.UnixMicro(), int64(m.Spread), bytesOf(m.Key), m.Type,
			m.Subject, m.ContentType, m.TraceParent, bytesOf(m.Data),
		}, more...)
		if _, err := c.exec(sql, arguments...); err != nil {
			return err
		}
	}
	return nil
}

// bytesOf makes no bytes an empty value: nil is NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// errEnough ends a query when its reader has what it wants.
var errEnough = errors.New("enough")

// Pending returns messages that may be sent. See [store.Outbox].
func (s backend) Pending(
	ctx context.Context, projection string, messages, bytes int,
) (all []store.OutboxMessage, err error) {
	messages = max(messages, 1)
	err = s.read(ctx, func(c *conn) error {
		failed, bytesOfFailed, left := 0, 0, bytes
		err := c.query(s.queries.outbox.pending, func(row *prepared) error {
			if row.ColumnBool(15) {
				if failed++; failed > 1 && failed > messages/2 {
					return nil
				}
			}
			m := row.outboxMessage()
			if m.Attempts > 0 {
				if bytesOfFailed += m.Size(); failed > 1 && bytesOfFailed > bytes/2 {
					return nil
				}
			}
			if left -= m.Size(); left < 0 && len(all) > 0 {
				return errEnough
			}
			if all = append(all, m); len(all) == messages {
				return errEnough
			}
			return nil
		}, projection)
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	})
	return all, err
}

// outboxMessage reads outboxColumns.
func (p *prepared) outboxMessage() store.OutboxMessage {
	id := store.NumberedID(p.ColumnText(0), p.ColumnInt64(3))
	m := store.OutboxMessage{
		Message: store.Message{
			MessageID: store.MessageID{
				Projection: id.Name, Version: id.Version, Position: p.ColumnInt64(1), Index: p.ColumnInt(2),
			},
			Type: p.ColumnText(4), Subject: p.ColumnText(5), Key: p.ColumnBlob(6, []byte{}), ContentType: p.ColumnText(7),
			Data: p.ColumnBlob(8, []byte{}), Spread: uint32(p.ColumnInt64(9)), TraceParent: p.ColumnText(10),
			Time: time.UnixMicro(p.ColumnInt64(11)).UTC(),
		},
		Build: id.Build, State: store.MessagePending,
		PutAt: microsecond(p.ColumnInt64(12)), SentAt: microsecond(p.ColumnInt64(14)),
		Attempts: p.ColumnInt(16), Error: p.ColumnText(17), NextAttempt: microsecond(p.ColumnInt64(18)),
	}
	switch {
	case p.ColumnBool(13):
		m.State = store.MessageHeld
	case !m.SentAt.IsZero():
		m.State = store.MessageSent
	case p.ColumnBool(15):
		m.State = store.MessageFailed
	}
	return m
}

// numbered are the columns that identify a message.
func numbered(id store.OutboxID) []any {
	of := store.ProjectionID{Name: id.Projection, Version: id.Version, Build: id.Build}
	return []any{id.Projection, id.Position, id.Index, of.Number()}
}

// Sent notes that messages were sent. See [store.Outbox].
func (s backend) Sent(ctx context.Context, messages []store.OutboxID, keep bool) error {
	if len(messages) == 0 {
		return nil
	}
	q := &s.queries.outbox
	end := q.deleteMessage
	if keep {
		end = q.markSent
	}
	return s.write(ctx, func(c *conn) error {
		for _, id := range messages {
			for _, statement := range []string{q.forgetFailure, end} {
				if _, err := c.exec(statement, numbered(id)...); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Undelivered notes that messages could not be sent. See [store.Outbox].
func (s backend) Undelivered(ctx context.Context, failures []store.Undelivered) error {
	if len(failures) == 0 {
		return nil
	}
	return s.write(ctx, func(c *conn) error {
		for i := range failures {
			f := &failures[i]
			arguments := append(numbered(f.OutboxID), f.Error, delay(f.RetryAfter))
			if _, err := c.exec(s.queries.outbox.undelivered, arguments...); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteSent deletes messages that nobody needs. See [store.Outbox].
func (s backend) DeleteSent(ctx context.Context, projection string, keep time.Duration) (more bool, err error) {
	err = s.write(ctx, func(c *conn) error {
		sent, err := c.exec(s.queries.outbox.deleteSent, projection, keep.Microseconds(), deletedMax)
		if err != nil {
			return err
		}
		live, through := int64(0), int64(0)
		err = c.query(s.queries.outbox.standing, func(row *prepared) error {
			live, through = row.ColumnInt64(1), row.ColumnInt64(2)
			return nil
		}, projection, 0)
		if err != nil {
			return err
		}
		held, err := c.exec(s.queries.outbox.deleteHeld, projection, through, live, deletedMax)
		more = sent == deletedMax || held == deletedMax
		return err
	})
	return more && err == nil, err
}

// OutboxStatus returns the state of the outbox. See [store.Outbox].
func (s backend) OutboxStatus(ctx context.Context, only ...string) (all []store.OutboxStatus, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(s.queries.outbox.status, func(row *prepared) error {
			all = append(all, store.OutboxStatus{
				Projection: row.ColumnText(0), Pending: row.ColumnInt64(1), Held: row.ColumnInt64(2),
				Kept: row.ColumnInt64(3), Oldest: microsecond(row.ColumnInt64(4)), FailedKeys: row.ColumnInt(5), Exhausted: row.ColumnInt(6),
				Relay: row.ColumnText(7), Target: row.ColumnText(8), Live: row.ColumnBool(9),
			})
			return nil
		}, jsonList(only))
	})
	return all, err
}
