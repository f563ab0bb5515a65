package sqlite

import "strings"

// outboxQueries are the statements of the outbox.
type outboxQueries struct {
	standing string
	put      string
	hold     string
	pending  string

	// The beginnings of those that read messages of any state, to be sent, and that could not be sent.
	messages        string
	pendingMessages string
	failedMessages  string

	forgetFailure string
	deleteMessage string
	markSent      string
	undelivered   string
	deleteSent    string
	deleteHeld    string
	retryFailures string
	sendAgain     string
	unsentOf      string
	status        string

	sending      string
	alive        string
	relays       string
	claimRelays  string
	releaseRelay string
	leaveRelays  string

	sent         string
	deleteRanges string
	insertRange  string
	forgetUnsent string
	hasApplied   string
	unsent       string
	deleteKept   string
	unhashUnsent string
	keepUnsent   string
	addUnsent    string
	dropTwice    string
	dropSent     string
	letGo        string
	dropHeld     string
}

// outboxParts are what several statements have.
var outboxParts = strings.NewReplacer(
	// A message o, with its failure f.
	"{columns}", `o.projection, o.position, o.n, o.version, o.type, o.subject, o.key, o.content_type, o.data, o.spread,
		o.trace_parent, o.event_at, o.put_at, o.held, coalesce(o.sent_at, 0), f.key IS NOT NULL, coalesce(f.attempts, 0),
		coalesce(f.error, ''), coalesce(f.next_attempt_at, 0)`,
	"{failure}", `f.projection = o.projection AND f.key = o.key AND f.position = o.position AND f.n = o.n
		AND f.version = o.version`,
	"{content}", "event_at, spread, key, type, subject, content_type, trace_parent, data",
	// The event of message o is the live version's to send.
	"{own}", `(coalesce(o.position > (SELECT s.position FROM {schema}__outbox_sent AS s WHERE s.projection = o.projection
			AND s.first_hash <= o.spread ORDER BY s.first_hash DESC LIMIT 1), 0)
		OR EXISTS (SELECT 1 FROM {schema}__outbox_unsent AS u
			WHERE u.projection = o.projection AND u.position = o.position))`,
	// Relay r is alive.
	"{relay}", `EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = r.owner AND w.incarnation = r.incarnation
		AND {alive})`,
	// The projections that have begun to send, or have a message: each is looked up behind the one before.
	"{sending}", `SELECT projection AS name FROM {schema}__outbox_sent WHERE begun = 1 UNION SELECT name FROM (
		WITH RECURSIVE found (name) AS (SELECT min(projection) FROM {schema}__outbox UNION ALL
			SELECT (SELECT min(o.projection) FROM {schema}__outbox AS o WHERE o.projection > found.name) FROM found
			WHERE found.name IS NOT NULL)
		SELECT name FROM found WHERE name IS NOT NULL)`,
)

// outboxQueriesFor fills in the statements.
func outboxQueriesFor(schema func(string) string) outboxQueries { //nolint:funlen // a list
	in := func(text string) string { return schema(outboxParts.Replace(text)) }
	return outboxQueries{
		// Whether a version is live, which one is, and how far that has applied everything.
		standing: in(`SELECT l.version = $2, l.version, (SELECT min(position) FROM {schema}__segments AS s
				WHERE s.projection = l.name AND s.version = l.version)
			FROM {schema}__projections AS l WHERE l.name = $1 AND l.live`),
		put: in(`INSERT INTO {schema}__outbox (projection, position, n, version, held, put_at, {content})
			SELECT o.projection, o.position, $3, $4, 0, {now}, $5, o.spread, $7, $8, $9, $10, $11, $12
			FROM (SELECT $1 AS projection, $2 AS position, $6 AS spread) AS o WHERE {own} ON CONFLICT DO NOTHING`),
		hold: in(`INSERT INTO {schema}__outbox (projection, position, n, version, held, put_at, {content})
			SELECT $1, $2, $3, $4, 1, {now}, $5, $6, $7, $8, $9, $10, $11, $12
			WHERE $2 > $13 OR EXISTS (SELECT 1 FROM {schema}__parked_events
				WHERE projection = $1 AND version = $14 AND position = $2) ON CONFLICT DO NOTHING`),
		pending: in(`SELECT {columns} FROM {schema}__outbox AS o INDEXED BY {schema}__outbox_pending
			LEFT JOIN {schema}__outbox_failures AS f ON {failure}
			WHERE o.projection = $1 AND o.held = 0 AND o.sent_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM {schema}__outbox_failures AS w
				WHERE w.projection = o.projection AND w.key = o.key AND (coalesce(w.next_attempt_at > {now}, 1)
					OR (o.position, o.n, o.version) > (w.position, w.n, w.version)))
			ORDER BY o.position, o.n, o.version`),
		messages: in(`SELECT {columns} FROM {schema}__outbox AS o
			LEFT JOIN {schema}__outbox_failures AS f ON {failure}`),
		pendingMessages: in(`SELECT {columns} FROM {schema}__outbox AS o INDEXED BY {schema}__outbox_pending
			LEFT JOIN {schema}__outbox_failures AS f ON {failure}`),
		failedMessages: in(`SELECT {columns} FROM {schema}__outbox_failures AS f
			CROSS JOIN {schema}__outbox AS o ON {failure}`),

		forgetFailure: in(`DELETE FROM {schema}__outbox_failures WHERE (projection, key) = (SELECT projection, key
			FROM {schema}__outbox WHERE projection = $1 AND position = $2 AND n = $3 AND version = $4)
			AND position = $2 AND n = $3 AND version = $4`),
		deleteMessage: in(`DELETE FROM {schema}__outbox WHERE projection = $1 AND position = $2 AND n = $3 AND version = $4
			AND held = 0`),
		markSent: in(`UPDATE {schema}__outbox SET sent_at = {now} WHERE projection = $1 AND position = $2 AND n = $3
			AND version = $4 AND held = 0 AND sent_at IS NULL`),
		undelivered: in(`INSERT INTO {schema}__outbox_failures AS f (projection, key, position, n, version, attempts, error,
				failed_at, next_attempt_at)
			SELECT projection, key, position, n, version, 1, $5, {now}, iif($6 < 0, NULL, {now} + $6) FROM {schema}__outbox
			WHERE projection = $1 AND position = $2 AND n = $3 AND version = $4 AND held = 0 AND sent_at IS NULL
			ON CONFLICT (projection, key) DO UPDATE SET
				attempts = iif((f.position, f.n, f.version) = (excluded.position, excluded.n, excluded.version),
					f.attempts + 1, 1),
				(position, n, version, error, failed_at, next_attempt_at) = (excluded.position, excluded.n,
					excluded.version, excluded.error, excluded.failed_at, excluded.next_attempt_at)`),
		deleteSent: in(`DELETE FROM {schema}__outbox WHERE rowid IN (SELECT rowid FROM {schema}__outbox
			WHERE projection = $1 AND sent_at IS NOT NULL AND sent_at < {now} - $2 LIMIT $3)`),
		// Held ones whose events the live version has applied, or which were not its own to send, whatever the key is by
		// which another version divides events.
		deleteHeld: in(`DELETE FROM {schema}__outbox WHERE rowid IN (SELECT o.rowid FROM {schema}__outbox AS o
			WHERE o.projection = $1 AND o.held = 1 AND (o.position <= $2
				AND NOT EXISTS (SELECT 1 FROM {schema}__parked_events AS e
					WHERE e.projection = $1 AND e.version = $3 AND e.position = o.position)
			OR o.position <= (SELECT min(s.position) FROM {schema}__outbox_sent AS s WHERE s.projection = $1)
				AND NOT EXISTS (SELECT 1 FROM {schema}__outbox_unsent AS u
					WHERE u.projection = $1 AND u.position = o.position)) LIMIT $4)`),
		retryFailures: in(`UPDATE {schema}__outbox_failures AS f SET next_attempt_at = {now}`),
		sendAgain:     in(`UPDATE {schema}__outbox AS o SET sent_at = NULL`),
		unsentOf: in(`SELECT version FROM {schema}__outbox WHERE projection = $1 AND position = $2 AND n = $3
			AND version % 100000000 = $4 AND held = 0 AND sent_at IS NULL`),
		status: in(`SELECT p.name,
				(SELECT count(*) FROM {schema}__outbox AS o INDEXED BY {schema}__outbox_pending
					WHERE o.projection = p.name AND o.held = 0 AND o.sent_at IS NULL),
				(SELECT count(*) FROM {schema}__outbox AS o WHERE o.projection = p.name AND o.held = 1),
				(SELECT count(*) FROM {schema}__outbox AS o WHERE o.projection = p.name AND o.sent_at IS NOT NULL),
				coalesce((SELECT min(o.put_at) FROM {schema}__outbox AS o INDEXED BY {schema}__outbox_pending
					WHERE o.projection = p.name AND o.held = 0 AND o.sent_at IS NULL), 0),
				(SELECT count(*) FROM {schema}__outbox_failures AS f WHERE f.projection = p.name),
				(SELECT count(*) FROM {schema}__outbox_failures AS f
					WHERE f.projection = p.name AND f.next_attempt_at IS NULL),
				coalesce(r.owner, ''), coalesce(r.target, ''), coalesce({relay}, 0)
			FROM ({sending}) AS p LEFT JOIN {schema}__outbox_relays AS r ON r.projection = p.name
			WHERE $1 = '[]' OR p.name IN (SELECT value FROM json_each($1)) ORDER BY p.name`),

		sending: in(`SELECT name FROM ({sending}) ORDER BY name`),
		alive:   in(`SELECT 1 FROM {schema}__workers AS w WHERE w.worker = $1 AND w.incarnation = $2 AND {alive}`),
		relays: in(`SELECT p.value, r.owner IS $2 AND r.incarnation IS $3, r.target IS $4, coalesce({relay}, 0)
			FROM json_each($1) AS p LEFT JOIN {schema}__outbox_relays AS r ON r.projection = p.value`),
		claimRelays: in(`INSERT INTO {schema}__outbox_relays AS r (projection, owner, incarnation, target)
			SELECT value, $2, $3, $4 FROM json_each($1) WHERE true
			ON CONFLICT (projection) DO UPDATE SET (owner, incarnation, target) = ($2, $3, $4)
			WHERE r.owner = $2 AND r.incarnation = $3 OR NOT {relay}`),
		releaseRelay: in(`DELETE FROM {schema}__outbox_relays WHERE owner = $2 AND incarnation = $3
			AND projection IN (SELECT value FROM json_each($1))`),
		leaveRelays: in(`DELETE FROM {schema}__outbox_relays WHERE owner = $1`),

		sent: in(`SELECT log_id, partition, begun, first_hash, last_hash, position, last_position, last_event
			FROM {schema}__outbox_sent
			WHERE projection = $1 ORDER BY first_hash`),
		deleteRanges: in(`DELETE FROM {schema}__outbox_sent WHERE projection = $1`),
		insertRange: in(`INSERT INTO {schema}__outbox_sent (projection, log_id, partition, begun, first_hash, last_hash,
			position, last_position, last_event) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`),
		hasApplied:   in(`SELECT 1 FROM {schema}__segments WHERE projection = $1 AND version = $2 AND position > 0 LIMIT 1`),
		unsent:       in(`SELECT 1 FROM {schema}__outbox WHERE projection = $1 AND held = 0 AND sent_at IS NULL LIMIT 1`),
		deleteKept:   in(`DELETE FROM {schema}__outbox WHERE projection = $1 AND sent_at IS NOT NULL`),
		forgetUnsent: in(`DELETE FROM {schema}__outbox_unsent WHERE projection = $1`),
		unhashUnsent: in(`UPDATE {schema}__outbox_unsent SET spread = NULL WHERE projection = $1`),
		// Exceptions stay that the version $2 has not applied.
		keepUnsent: in(`DELETE FROM {schema}__outbox_unsent AS u WHERE u.projection = $1
			AND u.position <= coalesce((SELECT s.position FROM {schema}__segments AS s
					WHERE s.projection = $1 AND s.version = $2 AND u.spread BETWEEN s.first_hash AND s.last_hash),
				(SELECT min(s.position) FROM {schema}__segments AS s WHERE s.projection = $1 AND s.version = $2))
			AND NOT EXISTS (SELECT 1 FROM {schema}__parked_events AS e
				WHERE e.projection = $1 AND e.version = $2 AND e.position = u.position)`),
		// What it has parked and was to send becomes one.
		addUnsent: in(`INSERT INTO {schema}__outbox_unsent (projection, position, spread)
			SELECT e.projection, e.position, k.spread FROM {schema}__parked AS k
			JOIN {schema}__parked_events AS e ON e.projection = k.projection AND e.version = k.version AND e.key = k.key
			WHERE k.projection = $1 AND k.version = $2
			AND e.position > (SELECT s.position FROM {schema}__outbox_sent AS s WHERE s.projection = $1
				AND s.first_hash <= k.spread ORDER BY s.first_hash DESC LIMIT 1)
			ON CONFLICT DO NOTHING`),
		dropTwice: in(`DELETE FROM {schema}__outbox AS o WHERE o.projection = $1 AND o.version = $2 AND o.held = 1
			AND EXISTS (SELECT 1 FROM {schema}__outbox AS b WHERE b.projection = o.projection AND b.position = o.position
				AND b.held = 0)`),
		dropSent: in(`DELETE FROM {schema}__outbox AS o WHERE o.projection = $1 AND o.version = $2 AND o.held = 1
			AND NOT {own}`),
		letGo:    in(`UPDATE {schema}__outbox SET held = 0 WHERE projection = $1 AND version = $2 AND held = 1`),
		dropHeld: in(`DELETE FROM {schema}__outbox WHERE projection = $1 AND held = 1 AND ($2 = 0 OR version = $2)`),
	}
}
