package sqlite

import (
	"context"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// conditions are those of a statement, with their parameters: only what is asked for, so that indexes are used.
type conditions struct {
	text      []string
	arguments []any
}

// add adds a condition, in which ? is the next parameter.
func (c *conditions) add(condition string, values ...any) {
	for _, value := range values {
		condition = strings.Replace(condition, "?", c.parameter(value), 1)
	}
	c.text = append(c.text, condition)
}

func (c *conditions) parameter(value any) string {
	c.arguments = append(c.arguments, value)
	return "$" + strconv.Itoa(len(c.arguments))
}

// of adds the conditions of a request on the columns of a table, but that of the state.
func (c *conditions) of(request *store.MessagesRequest, table string) {
	column := func(text string) string { return strings.ReplaceAll(text, "t.", table+".") }
	if request.Projection != "" {
		c.add(column("t.projection = ?"), request.Projection)
	}
	if id := request.ID; id != nil {
		c.add(column("t.projection = ? AND t.position = ? AND t.n = ? AND t.version % 100000000 = ?"), id.Projection,
			id.Position, id.Index, id.Version)
	}
	if request.Key != nil {
		c.add(column("t.key = ?"), request.Key)
	}
}

func (c *conditions) where() string { return " WHERE " + strings.Join(c.text, " AND ") }

// Messages returns messages in pages. See [store.Outbox].
func (s backend) Messages(
	ctx context.Context, request store.MessagesRequest,
) (all []store.OutboxMessage, err error) {
	sql, arguments := s.messagesStatement(&request)
	err = s.read(ctx, func(c *conn) error {
		return c.query(sql, func(row *prepared) error {
			all = append(all, row.outboxMessage())
			return nil
		}, arguments...)
	})
	return all, err
}

func (s backend) messagesStatement(request *store.MessagesRequest) (sql string, arguments []any) {
	q, c, after := &s.queries.outbox, conditions{}, numbered(request.After)
	if request.After.Projection == request.Projection {
		c.add("(o.position, o.n, o.version) > (?, ?, ?)", after[1:]...)
	} else {
		c.add("(o.projection, o.position, o.n, o.version) > (?, ?, ?, ?)", after...)
	}
	c.of(request, "o")
	sql = q.messages
	switch request.State {
	case "":
	case store.MessagePending:
		sql = q.pendingMessages
		c.add("o.held = 0 AND o.sent_at IS NULL AND f.key IS NULL")
	case store.MessageSent:
		c.add("o.sent_at IS NOT NULL")
	case store.MessageHeld:
		c.add("o.held = 1")
	case store.MessageFailed:
		sql = q.failedMessages
	default:
		c.add("false")
	}
	sql += c.where() + " ORDER BY o.projection, o.position, o.n, o.version"
	if request.Limit > 0 {
		sql += " LIMIT " + c.parameter(request.Limit)
	}
	return sql, c.arguments
}

// Resend has messages sent again. See [store.Outbox].
func (s backend) Resend(ctx context.Context, request store.MessagesRequest) (resent int, err error) {
	failed, sent := conditions{text: []string{"true"}}, conditions{text: []string{"o.sent_at IS NOT NULL"}}
	failed.of(&request, "f")
	sent.of(&request, "o")
	err = s.write(ctx, func(c *conn) error {
		for state, statement := range map[store.MessageState]struct {
			sql string
			of  conditions
		}{
			store.MessageFailed: {s.queries.outbox.retryFailures, failed},
			store.MessageSent:   {s.queries.outbox.sendAgain, sent},
		} {
			if request.State != "" && request.State != state {
				continue
			}
			changed, err := c.exec(statement.sql+statement.of.where(), statement.of.arguments...)
			if err != nil {
				return err
			}
			resent += int(changed)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return resent, nil
}

// SkipMessage deletes a message that is to be sent. See [store.Outbox].
func (s backend) SkipMessage(ctx context.Context, id store.MessageID) error {
	return s.write(ctx, func(c *conn) error {
		var found []store.OutboxID
		err := c.query(s.queries.outbox.unsentOf, func(row *prepared) error {
			found = append(found, store.OutboxID{
				MessageID: id, Build: store.NumberedID(id.Projection, row.ColumnInt64(0)).Build,
			})
			return nil
		}, id.Projection, id.Position, id.Index, id.Version)
		if err == nil && len(found) == 0 {
			err = store.NotToBeSent(id)
		}
		for _, m := range found {
			for _, statement := range []string{s.queries.outbox.forgetFailure, s.queries.outbox.deleteMessage} {
				if err == nil {
					_, err = c.exec(statement, numbered(m)...)
				}
			}
		}
		return err
	})
}
