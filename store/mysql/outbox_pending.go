package mysql

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// pendingQueries are those of messages that are to be sent.
//
// While a key waits, its messages are put aside as they are seen, so that they are passed once, however many they
// become. What was put aside of a key is before all others of it, and its failure stays until all of that is sent: so
// nobody sees a later message of the key before. The failure decides, and is locked where a message is put aside.
type pendingQueries struct {
	waiting   string
	drained   string
	first     string
	putAside  string
	free      string
	aside     string
	retry     string
	pending   string
	sent      string
	keep      string
	passed    string
	fail      string
	noteFault string
}

func pendingQueriesFor(in func(string) string) pendingQueries {
	ofKey := func(failure string) string {
		return `SELECT 1 FROM {schema}__outbox AS o FORCE INDEX ({schema}__outbox_keys)
			WHERE o.projection = ` + failure + `.projection AND o.state = {aside} AND o."key" = ` + failure + `."key"`
	}
	const order = ` ORDER BY o.position, o.n, o.version LIMIT $2`
	return pendingQueries{
		// Keys whose time has come, and, without a key, whether there is any.
		waiting: in(`SET @now = {now};
			(SELECT "key", attempts, position, n, version FROM {schema}__outbox_failures
				WHERE projection = $1 AND next_attempt_at <= @now ORDER BY attempts > 0, next_attempt_at LIMIT $2)
			UNION ALL (SELECT NULL, 0, 0, 0, 0 FROM {schema}__outbox_failures WHERE projection = $1 LIMIT 1)`),
		drained: in(`DELETE f FROM {schema}__outbox_failures AS f FORCE INDEX (PRIMARY)
			WHERE f.projection = $1 AND f."key" IN $2 AND f.attempts = 0 AND NOT EXISTS (` + ofKey("f") + `)`),
		first: in(`SELECT o.position, o.n, o.version, f."key" FROM {schema}__outbox AS o {by_state}
			LEFT JOIN {schema}__outbox_failures AS f FORCE INDEX (PRIMARY) ON f.projection = o.projection AND f."key" = o."key"
			WHERE o.projection = $1 AND o.state = {free} AND o.position >= $3
			AND (o.position, o.n, o.version) > ($3, $4, $5)` + order),
		// No failure goes before the messages are seen to be put aside.
		putAside: in(`SELECT COUNT(*) INTO @pupwasm_failing FROM {schema}__outbox_failures
				WHERE projection = $2 AND "key" IN $3 LOCK IN SHARE MODE;
			UPDATE {these} STRAIGHT_JOIN {schema}__outbox AS t ON {of_these}
			STRAIGHT_JOIN {schema}__outbox_failures AS f FORCE INDEX (PRIMARY)
				ON f.projection = t.projection AND f."key" = t."key"
			SET t.aside = TRUE WHERE t.state = {free}`),
		free: in(`(SELECT o.position, o.n, o.version, o.size, FALSE AS failed FROM {schema}__outbox AS o {by_state}
			LEFT JOIN {schema}__outbox_failures AS f FORCE INDEX (PRIMARY) ON f.projection = o.projection AND f."key" = o."key"
			WHERE o.projection = $1 AND o.state = {free} AND f."key" IS NULL` + order + `)`),
		aside: in(`(SELECT o.position, o.n, o.version, o.size, FALSE FROM {schema}__outbox AS o
			FORCE INDEX ({schema}__outbox_keys)
			WHERE o.projection = $1 AND o.state = {aside} AND o."key" = {key}` + order + `)`),
		// Of a key that has failed there is nothing behind what did.
		retry: in(`(SELECT o.position, o.n, o.version, o.size, (o.position, o.n, o.version) = {failed} FROM {schema}__outbox AS o
			FORCE INDEX ({schema}__outbox_keys)
			WHERE o.projection = $1 AND o.state = {aside} AND o."key" = {key}
			AND o.position <= {position} AND (o.position, o.n, o.version) <= {failed}` + order + `)`),
		// What has failed is half of all at most.
		pending: in(`WITH c AS ({candidates}), h AS (SELECT c.*,
				ROW_NUMBER() OVER (PARTITION BY c.failed ORDER BY c.position, c.n, c.version) AS place,
				SUM(c.size) OVER (PARTITION BY c.failed ORDER BY c.position, c.n, c.version ROWS UNBOUNDED PRECEDING) AS bytes
				FROM c), s AS (SELECT h.position, h.n, h.version,
				ROW_NUMBER() OVER (ORDER BY h.position, h.n, h.version) AS place,
				SUM(h.size) OVER (ORDER BY h.position, h.n, h.version ROWS UNBOUNDED PRECEDING) AS bytes FROM h
				WHERE NOT h.failed OR h.place = 1 OR h.place <= $2 DIV 2 AND h.bytes <= $3 DIV 2)
			SELECT STRAIGHT_JOIN ` + messageColumns + ` FROM s JOIN {schema}__outbox AS o ON o.projection = $1
				AND o.position = s.position AND o.n = s.n AND o.version = s.version
			LEFT JOIN ` + failureOf + `
			WHERE s.place <= $2 AND (s.bytes <= $3 OR s.place = 1) ORDER BY o.position, o.n, o.version`),
		sent: in(`DELETE t FROM {these} STRAIGHT_JOIN {schema}__outbox AS t ON {of_these}
			AND NOT t.held AND t.sent_at IS NULL`),
		keep: in(`UPDATE {these} STRAIGHT_JOIN {schema}__outbox AS t ON {of_these}
			SET t.sent_at = {now}, t.aside = FALSE WHERE NOT t.held AND t.sent_at IS NULL`),
		// What was put aside behind one that was sent is due, if there is any.
		passed: in(`DELETE t FROM {these} STRAIGHT_JOIN {schema}__outbox_failures AS t
				FORCE INDEX ({schema}__outbox_failures_of) ON {of_these} WHERE NOT EXISTS (` + ofKey("t") + `);
			UPDATE {these} STRAIGHT_JOIN {schema}__outbox_failures AS t
				FORCE INDEX ({schema}__outbox_failures_of) ON {of_these}
			SET t.attempts = 0, t.error = '', t.next_attempt_at = {now}`),
		fail: in(`UPDATE {schema}__outbox SET aside = TRUE WHERE projection = $1 AND position = $2 AND n = $3
			AND version = $4 AND NOT held AND sent_at IS NULL`),
		noteFault: in(`INSERT INTO {schema}__outbox_failures (projection, "key", position, n, version, attempts, error,
				failed_at, next_attempt_at)
			SELECT o.projection, o."key", o.position, o.n, o.version, 1, $5, {now}, IF($6 < 0, NULL, {now} + $6)
			FROM {schema}__outbox AS o WHERE o.projection = $1 AND o.position = $2 AND o.n = $3 AND o.version = $4
			AND o.state = {aside}
			ON DUPLICATE KEY UPDATE attempts = IF({schema}__outbox_failures.position = VALUES(position)
					AND {schema}__outbox_failures.n = VALUES(n) AND {schema}__outbox_failures.version = VALUES(version),
					attempts + 1, 1),
				position = VALUES(position), n = VALUES(n), version = VALUES(version), error = VALUES(error),
				failed_at = VALUES(failed_at), next_attempt_at = VALUES(next_attempt_at)`),
	}
}

const (
	// windowMin is how many messages, at least, are looked at for those of keys that wait, and windowsMax how often.
	windowMin  = 1000
	windowsMax = 10
	// dueMax bounds how many of the keys whose time has come are read at once.
	dueMax = 128
	// settledMax bounds how many messages a statement deletes or marks.
	settledMax = 1000
)

// Pending returns the first messages that may be sent. See [store.Outbox].
func (s backend) Pending(
	ctx context.Context, projection string, messages, size int,
) (all []store.OutboxMessage, err error) {
	messages = max(messages, 1)
	err = s.change(ctx, func(c *conn) error {
		all = nil
		q := &s.queries.outbox.pending
		due, err := c.makeWay(q, projection, messages)
		if err != nil {
			return err
		}
		return c.query(q.of(due), func(r *row) error {
			all = append(all, r.outboxMessage())
			return nil
		}, projection, messages, size)
	})
	return all, err
}

// dueKey is a key whose messages wait no longer: behind failed, unless that is gone.
type dueKey struct {
	key    []byte
	gone   bool
	failed store.OutboxID
}

// of is the query of what may be sent, with what was put aside of the keys that are due.
func (q *pendingQueries) of(due []dueKey) string {
	parts := []string{q.free}
	for i := range due {
		d, part := &due[i], q.aside
		if !d.gone {
			failed := fmt.Sprintf("(%d, %d, %d)", d.failed.Position, d.failed.Index, numberOf(d.failed))
			part = strings.NewReplacer("{failed}", failed, "{position}", fmt.Sprint(d.failed.Position)).Replace(q.retry)
		}
		parts = append(parts, strings.Replace(part, "{key}", string(appendBytes(nil, d.key)), 1))
	}
	return strings.Replace(q.pending, "{candidates}", strings.Join(parts, " UNION ALL "), 1)
}

// makeWay puts aside what is among the first messages and waits, and returns keys whose messages wait no longer.
func (c *conn) makeWay(q *pendingQueries, projection string, messages int) (due []dueKey, err error) {
	failing := false
	var passed [][]byte
	err = c.query(q.waiting, func(r *row) error {
		failing = true
		if !r.null(0) {
			d := dueKey{key: blob(r.bytes(0)), gone: r.int(1) == 0, failed: r.outboxID(projection, 2)}
			due = append(due, d)
			if d.gone {
				passed = append(passed, d.key)
			}
		}
		return nil
	}, projection, dueMax)
	if err != nil || !failing {
		return nil, err
	}
	if len(passed) > 0 {
		if _, err := c.exec(q.drained, projection, passed); err != nil {
			return nil, err
		}
	}
	return due, c.putAside(q, projection, messages)
}

// putAside puts aside what waits among the first messages, until there are so many that do not wait, or it has done
// enough for once. It goes on from window to window, since the server passes what was put aside until it has purged it.
func (c *conn) putAside(q *pendingQueries, projection string, messages int) error {
	var last store.OutboxID
	for free, windows := 0, 0; free < messages && windows < windowsMax; windows++ {
		var waiting []store.OutboxID
		var keys [][]byte
		seen, window := 0, max(messages, windowMin)
		err := c.query(q.first, func(r *row) error {
			seen++
			if last = r.outboxID(projection, 0); r.null(3) {
				free++
				return nil
			}
			waiting = append(waiting, last)
			if key := blob(r.bytes(3)); len(keys) == 0 || !bytes.Equal(key, keys[len(keys)-1]) {
				keys = append(keys, key)
			}
			return nil
		}, projection, window, last.Position, last.Index, numberOf(last))
		if err == nil && len(waiting) > 0 {
			err = c.transact(func(c *conn) error { return c.last(q.putAside, tuplesOf(waiting), projection, keys) })
		}
		if err != nil || seen < window {
			return err
		}
	}
	return nil
}

// Sent notes that messages were sent. See [store.Outbox].
func (s backend) Sent(ctx context.Context, messages []store.OutboxID, keep bool) error {
	q := &s.queries.outbox.pending
	text := q.sent
	if keep {
		text = q.keep
	}
	for some := range slices.Chunk(sortedIDs(messages), settledMax) {
		if err := s.write(ctx, func(c *conn) error { return c.last(text+"; "+q.passed, tuplesOf(some)) }); err != nil {
			return err
		}
	}
	return nil
}

// Undelivered notes that messages could not be sent. See [store.Outbox].
func (s backend) Undelivered(ctx context.Context, failures []store.Undelivered) error {
	q := &s.queries.outbox.pending
	failures = slices.Clone(failures)
	slices.SortFunc(failures, func(a, b store.Undelivered) int { return compareOutboxIDs(a.OutboxID, b.OutboxID) })
	for some := range slices.Chunk(failures, settledMax) {
		var texts []string
		for i := range some {
			f := &some[i]
			text, err := expand(q.fail+"; "+q.noteFault, []any{
				f.Projection, f.Position, f.Index, numberOf(f.OutboxID), f.Error, delay(f.RetryAfter),
			})
			if err != nil {
				return fmt.Errorf("writing an error: %w", err)
			}
			texts = append(texts, text)
		}
		if err := s.write(ctx, func(c *conn) error { return c.last(strings.Join(texts, "; ")) }); err != nil {
			return err
		}
	}
	return nil
}
