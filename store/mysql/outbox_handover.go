package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// senderQueries are those of what the live version is to send: see [store.SentBefore].
type senderQueries struct {
	live         string
	sent         string
	forgetSent   string
	noteSent     string
	forgetUnsent string
	spreadless   string
	applied      string
	parked       string
	dropHeld     string
	sentByOther  string
	dropThese    string
	release      string
	deleteHeld   string
	hasApplied   string
	unsent       string
	deleteKept   string
}

func senderQueriesFor(in func(string) string) senderQueries {
	return senderQueries{
		live: in(`SELECT live FROM {schema}__projections WHERE name = $1 AND version = $2`),
		sent: in(`SELECT first_hash, last_hash, position, log_id, "partition", begun, last_position, last_event
			FROM {schema}__outbox_sent
			WHERE projection = $1 ORDER BY first_hash`),
		forgetSent: in(`DELETE FROM {schema}__outbox_sent WHERE projection = $1`),
		noteSent: in(`INSERT INTO {schema}__outbox_sent (projection, first_hash, last_hash, position, log_id, "partition",
			begun, last_position, last_event) VALUES $2`),
		forgetUnsent: in(`DELETE FROM {schema}__outbox_unsent WHERE projection = $1`),
		spreadless:   in(`UPDATE {schema}__outbox_unsent SET spread = NULL WHERE projection = $1`),
		// Commits of the version wait, whose parked events these are.
		applied: in(`DELETE u FROM {schema}__outbox_unsent AS u WHERE u.projection = $1
			AND u.position <= (SELECT MIN(s.position) FROM {schema}__segments AS s
				WHERE s.projection = $1 AND s.version = $2 AND (u.spread IS NULL OR u.spread BETWEEN s.first_hash AND s.last_hash))
			AND NOT EXISTS (SELECT 1 FROM {schema}__parked_events AS e WHERE e.projection = $1 AND e.version = $2
				AND e.position = u.position)`),
		parked: in(`INSERT INTO {schema}__outbox_unsent (projection, position, spread)
			SELECT $1, e.position, k.spread FROM {schema}__parked_events AS e
			JOIN {schema}__parked AS k ON k.projection = e.projection AND k.version = e.version AND k."key" = e."key"
			JOIN {schema}__outbox_sent AS t ON t.projection = e.projection
				AND k.spread BETWEEN t.first_hash AND t.last_hash
			WHERE e.projection = $1 AND e.version = $2 AND e.position > t.position
			ON DUPLICATE KEY UPDATE spread = VALUES(spread)`),
		dropHeld: in(`DELETE o FROM {schema}__outbox AS o {by_state}
			WHERE o.projection = $1 AND o.state = {held} AND o.version = $2
			AND NOT EXISTS (SELECT 1 FROM {schema}__outbox_sent AS t WHERE t.projection = $1
				AND o.spread BETWEEN t.first_hash AND t.last_hash AND o.position > t.position)
			AND NOT EXISTS (SELECT 1 FROM {schema}__outbox_unsent AS u
				WHERE u.projection = $1 AND u.position = o.position)`),
		sentByOther: in(`SELECT o.position, o.n, o.version FROM {schema}__outbox AS o {by_state}
			WHERE o.projection = $1 AND o.state = {held} AND o.version = $2
			AND EXISTS (SELECT 1 FROM {schema}__outbox AS other WHERE other.projection = $1
				AND other.position = o.position AND other.version <> $2 AND NOT other.held)`),
		dropThese: in(`DELETE t FROM {these} STRAIGHT_JOIN {schema}__outbox AS t ON {of_these} AND t.held`),
		release: in(`UPDATE {schema}__outbox {by_state} SET held = FALSE
			WHERE projection = $1 AND state = {held} AND version = $2`),
		deleteHeld: in(`DELETE o FROM {schema}__outbox AS o {by_state}
			WHERE o.projection = $1 AND o.state = {held} AND ($2 = 0 OR o.version = $2)`),
		hasApplied: in(`SELECT 1 FROM {schema}__segments WHERE projection = $1 AND version = $2 AND position > 0 LIMIT 1`),
		unsent:     in(`SELECT 1 FROM {schema}__outbox WHERE projection = $1 AND NOT held AND sent_at IS NULL LIMIT 1`),
		deleteKept: in(`DELETE FROM {schema}__outbox WHERE projection = $1 AND sent_at IS NOT NULL`),
	}
}

// BeginSending decides from where on the live version sends. See [store.Outbox].
func (s backend) BeginSending(ctx context.Context, projection *store.Projection, log store.LogID, after int64) error {
	decided := false
	decide := func(c *conn, lock string) error {
		change, err := c.beginning(&s.queries, projection, log.ID, after, lock)
		if decided = change == nil; err != nil || decided || lock == "" {
			return err
		}
		return change()
	}
	err := s.change(ctx, func(c *conn) error { return decide(c, "") })
	if err != nil || decided {
		return err
	}
	return s.write(ctx, func(c *conn) error { return decide(c, " FOR UPDATE") })
}

// SentBefore returns what is not the live version's to send. See [store.Outbox].
func (s backend) SentBefore(ctx context.Context, projection string) (before store.SentBefore, err error) {
	err = s.change(ctx, func(c *conn) error {
		before, err = c.sentBefore(&s.queries, projection)
		return err
	})
	return before, err
}

// ForgetSent forgets it, where it is of another log. See [store.Outbox].
func (s backend) ForgetSent(ctx context.Context, projection *store.Projection) error {
	return s.write(ctx, func(c *conn) error {
		live, err := c.isLive(&s.queries, projection.ID(), " FOR UPDATE")
		if err != nil || !live {
			return err
		}
		forgotten, err := c.forgetSent(&s.queries, projection.ID())
		if err == nil && forgotten {
			_, err = c.exec(s.queries.outbox.senders.forgetSent, projection.Name)
		}
		return err
	})
}

// forgetSent deletes what there is of another log, unless the version has applied events of that. What was sent and kept
// has the ids of messages that are still to come, as what waits to be sent.
func (c *conn) forgetSent(q *queries, of store.ProjectionID) (forgotten bool, err error) {
	senders := &q.outbox.senders
	applied, err := c.some(senders.hasApplied, of.Name, of.Number())
	if err != nil || applied {
		return false, err
	}
	unsent, err := c.some(senders.unsent, of.Name)
	if err == nil && unsent {
		err = &store.StaleMessagesError{Projection: of.Name}
	}
	for _, statement := range []string{senders.deleteKept, senders.forgetUnsent} {
		if err == nil {
			_, err = c.exec(statement, of.Name)
		}
	}
	return err == nil, err
}

// some reports whether a query has rows.
func (c *conn) some(query string, args ...any) (found bool, err error) {
	err = c.query(query, func(*row) error {
		found = true
		return nil
	}, args...)
	return found, err
}

// isLive reports whether a version, which is known, is the live one.
func (c *conn) isLive(q *queries, of store.ProjectionID, lock string) (live bool, err error) {
	known := false
	err = c.query(q.outbox.senders.live+lock, func(r *row) error {
		known, live = true, r.bool(0)
		return nil
	}, of.Name, of.Number())
	if err == nil && !known {
		var versions store.Versioned
		if versions, err = c.versions(&q.versions, of.Name); err == nil {
			_, err = versions.Known(of)
		}
	}
	return live, err
}

// beginning returns what is to be changed before a version sends, or nil.
func (c *conn) beginning(
	q *queries, projection *store.Projection, log store.UUID, after int64, lock string,
) (change func() error, err error) {
	of := projection.ID()
	live, err := c.isLive(q, of, lock)
	if err != nil || !live {
		return nil, err
	}
	sent, err := c.sentBefore(q, of.Name)
	if err != nil {
		return nil, err
	}
	begin := func() error {
		return c.noteSent(q, of.Name, store.SentAfter(projection, log, after), q.outbox.senders.forgetUnsent)
	}
	if sent.OfAnotherLog(log) {
		return func() error {
			if forgotten, err := c.forgetSent(q, of); err != nil || !forgotten {
				return err
			}
			return begin()
		}, nil
	}
	if len(sent.Ranges) == 0 {
		return begin, nil
	}
	divided, changed := sent.DividedBy(projection)
	if !changed && sent.Begun && sent.Log != (store.UUID{}) {
		return nil, nil
	}
	divided.Begun = true
	if divided.Log == (store.UUID{}) {
		divided.Log = log
	}
	return func() error { return c.noteDivided(q, of.Name, divided, changed) }, nil
}

// sentBefore reads what is not the live version's to send.
func (c *conn) sentBefore(q *queries, projection string) (sent store.SentBefore, err error) {
	err = c.query(q.outbox.senders.sent, func(r *row) error {
		sent.Ranges = append(sent.Ranges, store.SentRange{
			Range: store.HashRange{First: uint32(r.int64(0)), Last: uint32(r.int64(1))}, Position: r.int64(2),
			Last: store.Applied{Position: r.int64(6), Event: r.uuid(7)},
		})
		sent.Log, sent.Partition, sent.Begun = r.uuid(3), r.text(4), r.bool(5)
		return nil
	}, projection)
	if err != nil {
		return sent, fmt.Errorf("reading what was sent before: %w", err)
	}
	return sent, nil
}

// noteSent replaces what is not the live version's to send, and runs statements about a projection before.
func (c *conn) noteSent(q *queries, projection string, sent store.SentBefore, before ...string) error {
	rows := make(tuples, len(sent.Ranges))
	for i, r := range sent.Ranges {
		rows[i] = []any{
			projection, r.Range.First, r.Range.Last, r.Position, sent.Log, sent.Partition, sent.Begun,
			r.Last.Position, r.Last.Event,
		}
	}
	texts := append(before, q.outbox.senders.forgetSent, q.outbox.senders.noteSent)
	if _, err := c.exec(strings.Join(texts, "; "), projection, rows); err != nil {
		return fmt.Errorf("noting what was sent before: %w", err)
	}
	return nil
}

// noteDivided is noteSent, where hashes of exceptions may mean nothing any more.
func (c *conn) noteDivided(q *queries, projection string, sent store.SentBefore, changed bool) error {
	if changed {
		return c.noteSent(q, projection, sent, q.outbox.senders.spreadless)
	}
	return c.noteSent(q, projection, sent)
}

// passOn notes what is not to be sent by the version that comes after the live one, whose commits wait where before
// says: see [store.SentBefore]. next is nil after a reset, when nobody knows that one.
func (c *conn) passOn(q *queries, live *store.Installed, before *store.Layout, next *store.Installed) error {
	name := live.Name
	sent, err := c.sentBefore(q, name)
	if err != nil || len(sent.Ranges) == 0 && next == nil { // nobody has begun
		return err
	}
	if len(sent.Ranges) == 0 || sent.OfAnotherLog(before.Log()) {
		_, err = c.exec(q.outbox.senders.forgetUnsent, name)
	} else {
		divided, changed := sent.DividedBy(&live.Projection)
		if changed {
			err = c.noteDivided(q, name, divided, changed)
		}
		sent = divided
		for _, text := range []string{q.outbox.senders.applied, q.outbox.senders.parked} {
			if err == nil {
				_, err = c.exec(text, name, live.ID().Number())
			}
		}
	}
	if err != nil {
		return fmt.Errorf("noting what was not sent: %w", err)
	}
	sent, changed := sent.PassedOn(&live.Projection, before), false
	if next != nil {
		sent, changed = sent.DividedBy(&next.Projection)
	}
	return c.noteDivided(q, name, sent, changed)
}

// handOver has the next version send from where the live one gives way, whose commits wait. No commit of the next one
// that has messages is under way: each locks the version, which is noted as the live one already.
func (c *conn) handOver(q *queries, live *store.Installed, before *store.Layout, next *store.Installed) error {
	if err := c.passOn(q, live, before, next); err != nil {
		return err
	}
	name, number := next.Name, next.ID().Number()
	var twice []store.OutboxID
	_, err := c.exec(q.outbox.senders.dropHeld, name, number)
	if err == nil {
		err = c.query(q.outbox.senders.sentByOther, func(r *row) error {
			twice = append(twice, r.outboxID(name, 0))
			return nil
		}, name, number)
	}
	if err == nil && len(twice) > 0 {
		_, err = c.exec(q.outbox.senders.dropThese, tuplesOf(sortedIDs(twice)))
	}
	if err == nil {
		_, err = c.exec(q.outbox.senders.release, name, number)
	}
	if err != nil {
		return fmt.Errorf("handing messages over: %w", err)
	}
	return nil
}

// deleteHeld deletes the held messages of a version, or of all with number 0.
func (c *conn) deleteHeld(q *queries, projection string, number int64) error {
	if _, err := c.exec(q.outbox.senders.deleteHeld, projection, number); err != nil {
		return fmt.Errorf("deleting held messages: %w", err)
	}
	return nil
}
