package mysql

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// messageQueries are those of what people and their tools ask and want of messages.
type messageQueries struct {
	list       string
	failed     string
	retry      string
	resend     string
	senders    string
	skip       string
	skipFailed string
	deleteSent string
	useless    string
	status     string
}

func messageQueriesFor(in func(string) string) messageQueries {
	const toSend = `IN ({free}, {aside})`
	return messageQueries{
		list: in(`SELECT ` + messageColumns + ` FROM {schema}__outbox AS o LEFT JOIN ` + failureOf +
			` AND o.state ` + toSend + ` WHERE `),
		failed: in(`SELECT ` + messageColumns + ` FROM {schema}__outbox AS o JOIN ` + failureOf +
			` AND o.state ` + toSend + ` WHERE `),
		retry: in(`UPDATE {schema}__outbox_failures AS o SET o.next_attempt_at = {now} WHERE o.attempts > 0 AND `),
		resend: in(`UPDATE {schema}__outbox AS o {by_state} SET o.sent_at = NULL
			WHERE o.state = {sent} AND `),
		senders: in(`SELECT DISTINCT projection FROM {schema}__outbox`),
		skip: in(`DELETE FROM {schema}__outbox WHERE projection = $1 AND position = $2 AND n = $3
			AND version % {builds} = $4 AND NOT held AND sent_at IS NULL`),
		skipFailed: in(`UPDATE {schema}__outbox_failures SET attempts = 0, error = '', next_attempt_at = {now}
			WHERE projection = $1 AND position = $2 AND n = $3 AND version % {builds} = $4`),
		deleteSent: in(`SET @now = {now};
			DELETE FROM {schema}__outbox WHERE projection = $1 AND sent_at <= @now - $2 ORDER BY sent_at LIMIT $3`),
		// What the live version has applied it has sent.
		useless: in(`SELECT o.position, o.n, o.version FROM {schema}__outbox AS o {by_state}
			WHERE o.projection = $1 AND o.state = {held}
			AND o.position <= (SELECT MIN(s.position) FROM {schema}__projections AS l
				JOIN {schema}__segments AS s ON s.projection = l.name AND s.version = l.version WHERE l.live_name = $1)
			AND NOT EXISTS (SELECT 1 FROM {schema}__projections AS l JOIN {schema}__parked_events AS e
				ON e.projection = l.name AND e.version = l.version WHERE l.live_name = $1 AND e.position = o.position)
			ORDER BY o.position, o.n, o.version LIMIT $2`),
		status: in(`SELECT n.projection, COALESCE(m.pending, 0), COALESCE(m.held, 0), COALESCE(m.kept, 0),
				COALESCE(m.oldest, 0), COALESCE(f.failed, 0), COALESCE(f.exhausted, 0),
				COALESCE(r.owner, ''), COALESCE(r.target, ''),
				EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = r.owner AND w.incarnation = r.incarnation
					AND {alive})
			FROM (SELECT projection, MAX(begun) AS begun FROM {schema}__outbox_sent WHERE $1 OR projection IN $2
				GROUP BY projection) AS n
			LEFT JOIN (SELECT o.projection, SUM(o.state ` + toSend + `) AS pending, SUM(o.state = {held}) AS held,
				SUM(o.state = {sent}) AS kept, MIN(IF(o.state ` + toSend + `, o.put_at, NULL)) AS oldest
				FROM {schema}__outbox AS o {by_state} WHERE $1 OR o.projection IN $2
				GROUP BY o.projection) AS m ON m.projection = n.projection
			LEFT JOIN {schema}__outbox_relays AS r ON r.projection = n.projection
			LEFT JOIN (SELECT projection, COUNT(*) AS failed, SUM(next_attempt_at IS NULL) AS exhausted
				FROM {schema}__outbox_failures WHERE attempts > 0 GROUP BY projection) AS f ON f.projection = n.projection
			WHERE n.begun OR m.projection IS NOT NULL ORDER BY n.projection`),
	}
}

// conditions are those of a request on rows o, of messages or of their failures.
func conditions(request *store.MessagesRequest) (string, error) {
	var parts []string
	var err error
	add := func(text string, arguments ...any) {
		expanded, failed := expand(text, arguments)
		parts, err = append(parts, expanded), cmp.Or(err, failed)
	}
	if request.Projection != "" {
		add("o.projection = $1", request.Projection)
	}
	if id := request.ID; id != nil {
		add("o.projection = $1 AND o.position = $2 AND o.n = $3 AND o.version % $4 = $5", id.Projection, id.Position,
			id.Index, buildStep, id.Version)
	}
	if request.Key != nil {
		add(`o."key" = $1`, request.Key)
	}
	if after := request.After; after != (store.OutboxID{}) {
		// The first condition says the same in words that MariaDB finds rows by.
		add(`(o.projection > $1 OR o.projection = $1 AND o.position >= $2)
			AND (o.projection, o.position, o.n, o.version) > ($1, $2, $3, $4)`, after.Projection, after.Position, after.Index,
			numberOf(after))
	}
	return strings.Join(append(parts, "TRUE"), " AND "), err
}

// Messages returns messages. See [store.Outbox].
func (s backend) Messages(ctx context.Context, request store.MessagesRequest) (all []store.OutboxMessage, err error) {
	where, err := conditions(&request)
	if err != nil {
		return nil, err
	}
	text := s.queries.outbox.messages.list
	switch request.State {
	case "":
	case store.MessageFailed:
		text = s.queries.outbox.messages.failed
	case store.MessagePending:
		where += fmt.Sprintf(" AND o.state IN (%d, %d) AND f.attempts IS NULL", stateFree, stateAside)
	case store.MessageSent:
		where += fmt.Sprintf(" AND o.state = %d", stateSent)
	case store.MessageHeld:
		where += fmt.Sprintf(" AND o.state = %d", stateHeld)
	default:
		return nil, nil
	}
	text += where + fmt.Sprintf(" ORDER BY o.projection, o.position, o.n, o.version LIMIT %d",
		cmp.Or(int64(request.Limit), math.MaxInt64))
	err = s.change(ctx, func(c *conn) error {
		all = nil
		return c.query(text, func(r *row) error {
			all = append(all, r.outboxMessage())
			return nil
		})
	})
	return all, err
}

// Resend has messages sent as soon as may be. See [store.Outbox].
func (s backend) Resend(ctx context.Context, request store.MessagesRequest) (n int, err error) {
	request.After = store.OutboxID{}
	where, err := conditions(&request)
	if err != nil {
		return 0, err
	}
	q := &s.queries.outbox.messages
	err = s.write(ctx, func(c *conn) error {
		n = 0
		add := func(text string) error {
			found, err := c.exec(text + where)
			n += int(found)
			return err
		}
		if request.State == "" || request.State == store.MessageSent {
			projections, err := c.sendersOf(q, &request)
			if err != nil {
				return err
			}
			for _, name := range projections {
				of, err := expand("o.projection = $1 AND ", []any{name})
				if err == nil {
					err = add(q.resend + of)
				}
				if err != nil {
					return err
				}
			}
		}
		if request.State == "" || request.State == store.MessageFailed {
			return add(q.retry)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// sendersOf returns the projections of a request, so that each of them is looked up by its index.
func (c *conn) sendersOf(q *messageQueries, request *store.MessagesRequest) (names []string, err error) {
	switch {
	case request.Projection != "":
		return []string{request.Projection}, nil
	case request.ID != nil:
		return []string{request.ID.Projection}, nil
	}
	err = c.query(q.senders, func(r *row) error {
		names = append(names, r.text(0))
		return nil
	})
	return names, err
}

// SkipMessage deletes a message that is to be sent. See [store.Outbox].
func (s backend) SkipMessage(ctx context.Context, id store.MessageID) error {
	q, found := &s.queries.outbox.messages, int64(0)
	err := s.write(ctx, func(c *conn) (err error) {
		arguments := []any{id.Projection, id.Position, id.Index, id.Version}
		if found, err = c.exec(q.skip, arguments...); err != nil || found == 0 {
			return err
		}
		return c.last(q.skipFailed, arguments...)
	})
	if err == nil && found == 0 {
		return store.NotToBeSent(id)
	}
	return err
}

// DeleteSent deletes what nobody needs any more. See [store.Outbox].
func (s backend) DeleteSent(ctx context.Context, projection string, keep time.Duration) (more bool, err error) {
	q := &s.queries.outbox
	err = s.change(ctx, func(c *conn) error {
		sent, err := c.exec(q.messages.deleteSent, projection, keep.Microseconds(), settledMax)
		if err != nil {
			return err
		}
		var useless []store.OutboxID
		err = c.query(q.messages.useless, func(r *row) error {
			useless = append(useless, r.outboxID(projection, 0))
			return nil
		}, projection, settledMax)
		if err == nil && len(useless) > 0 {
			_, err = c.exec(q.senders.dropThese, tuplesOf(sortedIDs(useless)))
		}
		more = sent == settledMax || len(useless) == settledMax
		return err
	})
	return more, err
}

// OutboxStatus returns the state of the outbox. See [store.Outbox].
func (s backend) OutboxStatus(ctx context.Context, only ...string) (all []store.OutboxStatus, err error) {
	err = s.change(ctx, func(c *conn) error {
		all = nil
		return c.query(s.queries.outbox.messages.status, func(r *row) error {
			all = append(all, store.OutboxStatus{
				Projection: r.text(0), Pending: r.int64(1), Held: r.int64(2), Kept: r.int64(3), Oldest: microsecond(r.int64(4)),
				FailedKeys: r.int(5), Exhausted: r.int(6), Relay: r.text(7), Target: r.text(8), Live: r.bool(9),
			})
			return nil
		}, len(only) == 0, only)
	})
	return all, err
}
