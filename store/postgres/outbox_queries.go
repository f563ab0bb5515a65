package postgres

// outboxQueries are the statements of the outbox.
type outboxQueries struct {
	put      string
	pending  string
	sent     string
	failed   string
	skip     string
	lock     string
	resend   string
	messages string
	status   string
	old      string
	holders  string
	useless  string

	relays       string
	addRelays    string
	lockRelays   string
	takeRelays   string
	releaseRelay string

	ranges       string
	setRanges    string
	forgetSpread string
	learnUnsent  string
	keepUnsent   string
	addUnsent    string
	dropUnsent   string
	dropKept     string
	unsent       string
	hasApplied   string
	dropHeld     string
	dropDone     string
	letGo        string
}

// outboxQueriesFor fills in the statements.
func outboxQueriesFor(in func(string) string) outboxQueries {
	q := outboxQueries{
		put: in(`SELECT {schema}.put_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`),
		pending: in(`SELECT ` + messageColumns + ` FROM {schema}.pending_messages($1, {now}, $2, $3) AS o
			LEFT JOIN {schema}.outbox_failures f ON ` + failureOf + ` ORDER BY o.position, o.n, o.version`),
		sent:   in(`SELECT {schema}.messages_sent($1, $2, $3, $4, {now}, $5)`),
		failed: in(`SELECT {schema}.messages_failed($1, $2, $3, $4, $5, $6, {now})`),
		skip:   in(`SELECT {schema}.skip_message($1, $2, $3, $4)`),
		lock: in(`SELECT {schema}.lock_outbox(ARRAY(SELECT s.projection FROM {schema}.outbox_sent s
			WHERE s.first_hash = 0 AND ($1 = '' OR s.projection = $1)))`),
		// What is sent again waits with the others of its key, where one of them has failed.
		resend: in(`WITH wanted AS MATERIALIZED (
				SELECT o.projection, o.position, o.n, o.version, o.key, o.sent_at IS NULL AS failed, f.key AS failure
				FROM {schema}.outbox o LEFT JOIN {schema}.outbox_failures f ON f.projection = o.projection AND f.key = o.key
				WHERE (o.sent_at IS NOT NULL OR o.behind AND f.attempts > 0 AND ` + failureOf + `) AND ` + requested + `
			), again AS (
				UPDATE {schema}.outbox o SET sent_at = NULL, behind = w.failure IS NOT NULL FROM wanted w
				WHERE NOT w.failed AND (o.projection, o.position, o.n, o.version) = (w.projection, w.position, w.n, w.version)
			), due AS (
				UPDATE {schema}.outbox_failures f SET next_attempt_at = {now} FROM wanted w
				WHERE w.failed AND f.projection = w.projection AND f.key = w.key
			)
			SELECT count(*) FROM wanted`),
		messages: in(`SELECT ` + messageColumns + ` FROM {schema}.outbox o
			LEFT JOIN {schema}.outbox_failures f ON o.behind AND f.attempts > 0 AND ` + failureOf + `
			WHERE ` + requested + ` AND (o.projection, o.position, o.n, o.version) > ($6, $7, $8, $9)
			ORDER BY o.projection, o.position, o.n, o.version LIMIT nullif($10::bigint, 0)`),
		status: in(`SELECT s.projection, p.messages + b.messages, h.messages, k.messages, least(p.oldest, b.oldest),
				f.keys, f.exhausted, coalesce(r.owner, ''), coalesce(r.target, ''),
				EXISTS (SELECT FROM {schema}.workers w WHERE w.worker = r.owner AND w.incarnation = r.incarnation AND {alive})
			FROM {schema}.outbox_sent s
			CROSS JOIN LATERAL (SELECT count(*) AS messages, min(o.put_at) AS oldest FROM {schema}.outbox o
				WHERE o.projection = s.projection AND NOT o.held AND o.sent_at IS NULL AND NOT o.behind) p
			CROSS JOIN LATERAL (SELECT count(*) AS messages, min(o.put_at) AS oldest FROM {schema}.outbox o
				WHERE o.projection = s.projection AND o.behind) b
			CROSS JOIN LATERAL (SELECT count(*) AS messages FROM {schema}.outbox o
				WHERE o.projection = s.projection AND o.held) h
			CROSS JOIN LATERAL (SELECT count(*) AS messages FROM {schema}.outbox o
				WHERE o.projection = s.projection AND o.sent_at IS NOT NULL) k
			CROSS JOIN LATERAL (SELECT count(*) AS keys, count(*) FILTER (WHERE f.next_attempt_at IS NULL) AS exhausted
				FROM {schema}.outbox_failures f WHERE f.projection = s.projection AND f.attempts > 0) f
			LEFT JOIN {schema}.outbox_relays r ON r.projection = s.projection
			WHERE s.first_hash = 0 AND s.begun AND (cardinality($1::text[]) = 0 OR s.projection = ANY ($1::text[]))
			ORDER BY s.projection`),

		// A promotion does not wait for them.
		old: in(`WITH old AS MATERIALIZED (SELECT o.position, o.n, o.version FROM {schema}.outbox o
				WHERE o.projection = $1 AND o.sent_at IS NOT NULL AND o.sent_at < (SELECT {now} - $2::interval)
				ORDER BY o.sent_at LIMIT $3 FOR UPDATE SKIP LOCKED)
			DELETE FROM {schema}.outbox o USING old
			WHERE o.projection = $1 AND (o.position, o.n, o.version) = (old.position, old.n, old.version)`),
		holders: in(`SELECT p.version FROM {schema}.projections p WHERE p.name = $1 AND EXISTS (SELECT
			FROM {schema}.outbox o WHERE o.projection = p.name AND o.version = p.version AND o.held)`),
		useless: in(uselessQuery),
	}
	q.relayQueries(in)
	q.handoverQueries(in)
	return q
}

const (
	messageColumns = `o.projection, o.position, o.n, o.version, o.type, o.subject, o.key, o.spread, o.content_type, o.data,
		o.trace_parent, o.event_at, o.put_at, o.held, o.sent_at, coalesce(f.attempts, 0), coalesce(f.error, ''),
		f.next_attempt_at`
	// failureOf has a failure be that of a message itself.
	failureOf = `f.projection = o.projection AND f.key = o.key
		AND (f.position, f.n, f.version) = (o.position, o.n, o.version)`
	// requested are the messages of a [store.MessagesRequest].
	requested = `($1 = '' OR o.projection = $1) AND ($2::bigint IS NULL OR o.version % 100000000 = $2
			AND o.position = ($3::bigint[])[1] AND o.n = ($3::bigint[])[2]) AND ($4::bytea IS NULL OR o.key = $4)
		AND ($5 = '' OR $5 = CASE WHEN o.held THEN 'held' WHEN o.sent_at IS NOT NULL THEN 'sent'
			WHEN o.behind AND f.attempts > 0 AND ` + failureOf + ` THEN 'failed' ELSE 'pending' END)`
)

// uselessQuery deletes what is held for a version and no promotion would send, as long as the live version is the one
// given, which divides events by $6: that has applied the event, or it is not the version's to send, nor its
// successor's. $4 tells that both divide events by the same. It follows the order of positions up to where there may
// be any.
const uselessQuery = `WITH live AS MATERIALIZED (
		SELECT p.version, EXISTS (SELECT FROM {schema}.outbox_sent s WHERE s.projection = $1) AS sends,
			(SELECT min(s.position) FROM {schema}.segments s WHERE s.projection = $1 AND s.version = $2) AS lowest,
			(SELECT max(s.position) FROM {schema}.segments s WHERE s.projection = $1 AND s.version = $2) AS highest,
			(SELECT min(s.position) FROM {schema}.outbox_sent s WHERE s.projection = $1) AS lowest_sent,
			coalesce((SELECT max(s.position) FROM {schema}.outbox_sent s WHERE s.projection = $1), 0) AS highest_sent
		FROM {schema}.projections p WHERE p.name = $1 AND p.version = $2 AND p.live
		AND NOT EXISTS (SELECT FROM {schema}.outbox_sent s WHERE s.projection = $1 AND s.partition <> $6)
	), useless AS MATERIALIZED (
		SELECT o.position, o.n FROM {schema}.outbox o CROSS JOIN live l
		WHERE o.projection = $1 AND o.version = $3 AND o.held
		AND o.position <= (SELECT greatest(highest, highest_sent) FROM live)
		AND (
			o.position <= CASE WHEN $4 THEN (SELECT s.position FROM {schema}.segments s WHERE s.projection = $1
				AND s.version = $2 AND o.spread BETWEEN s.first_hash AND s.last_hash) ELSE l.lowest END
			AND (NOT l.sends OR NOT EXISTS (SELECT FROM {schema}.parked_events e WHERE e.projection = $1 AND e.version = $2
				AND e.position = o.position))
			OR o.position <= CASE WHEN $4 THEN (SELECT s.position FROM {schema}.outbox_sent s WHERE s.projection = $1
				AND s.first_hash <= o.spread ORDER BY s.first_hash DESC LIMIT 1) ELSE l.lowest_sent END
			AND NOT EXISTS (SELECT FROM {schema}.outbox_unsent u WHERE u.projection = $1 AND u.position = o.position)
		)
		ORDER BY o.position LIMIT $5 FOR UPDATE OF o SKIP LOCKED
	)
	DELETE FROM {schema}.outbox o USING useless u
	WHERE o.projection = $1 AND o.version = $3 AND o.held AND (o.position, o.n) = (u.position, u.n)`

func (q *outboxQueries) relayQueries(in func(string) string) {
	// What a relay asks every second: of which of those that it wants it is the relay, and which it may take.
	q.relays = in(`WITH wanted AS MATERIALIZED (
			SELECT n.projection FROM unnest($3::text[]) AS n (projection)
			UNION
			SELECT s.projection FROM {schema}.outbox_sent s WHERE $3::text[] IS NULL AND s.first_hash = 0 AND s.begun
		)
		SELECT n.projection, coalesce((r.owner, r.incarnation, r.target) = ($1, $2, $4), false) FROM wanted n
		LEFT JOIN {schema}.outbox_relays r ON r.projection = n.projection
		WHERE EXISTS (SELECT FROM {schema}.workers w WHERE w.worker = $1 AND w.incarnation = $2 AND {alive})
		AND (r.owner IS NULL OR (r.owner, r.incarnation) = ($1, $2) OR NOT EXISTS (SELECT FROM {schema}.workers w
			WHERE w.worker = r.owner AND w.incarnation = r.incarnation AND {alive}))
		ORDER BY n.projection`)
	q.addRelays = in(`INSERT INTO {schema}.outbox_relays (projection, owner, incarnation, target)
		SELECT n.projection, '', '', '' FROM unnest($1::text[]) AS n (projection) ORDER BY 1 ON CONFLICT DO NOTHING`)
	q.lockRelays = in(`SELECT FROM {schema}.outbox_relays WHERE projection = ANY ($1) ORDER BY projection FOR UPDATE`)
	q.takeRelays = in(`UPDATE {schema}.outbox_relays r SET owner = $2, incarnation = $3, target = $4
		WHERE r.projection = ANY ($1)
		AND EXISTS (SELECT FROM {schema}.workers w WHERE w.worker = $2 AND w.incarnation = $3 AND {alive})
		AND ((r.owner, r.incarnation) = ($2, $3) OR NOT EXISTS (SELECT FROM {schema}.workers w
			WHERE w.worker = r.owner AND w.incarnation = r.incarnation AND {alive}))
		RETURNING r.projection`)
	q.releaseRelay = in(`WITH own AS MATERIALIZED (SELECT projection FROM {schema}.outbox_relays
			WHERE projection = ANY ($1) AND owner = $2 AND incarnation = $3 ORDER BY projection FOR UPDATE)
		DELETE FROM {schema}.outbox_relays r USING own WHERE r.projection = own.projection`)
}

// handoverQueries are about what is whose to send. They run in a transaction that keeps commits of the versions
// waiting.
func (q *outboxQueries) handoverQueries(in func(string) string) {
	q.ranges = in(`SELECT first_hash, last_hash, position, log_id, partition, begun, last_position,
			last_event FROM {schema}.outbox_sent WHERE projection = $1 ORDER BY first_hash`)
	q.setRanges = in(`WITH gone AS (DELETE FROM {schema}.outbox_sent WHERE projection = $1
			AND first_hash <> ALL ($2::bigint[]))
		INSERT INTO {schema}.outbox_sent (projection, first_hash, last_hash, position, last_position, last_event, log_id,
			partition, begun)
		SELECT $1, r.first_hash, r.last_hash, r.position, r.last_position, r.last_event, $7, $8, $9
		FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[])
			AS r (first_hash, last_hash, position, last_position, last_event)
		ON CONFLICT (projection, first_hash) DO UPDATE SET last_hash = excluded.last_hash, position = excluded.position,
			last_position = excluded.last_position, last_event = excluded.last_event, log_id = excluded.log_id,
			partition = excluded.partition, begun = excluded.begun`)
	q.forgetSpread = in(`UPDATE {schema}.outbox_unsent SET spread = NULL WHERE projection = $1 AND spread IS NOT NULL`)
	q.learnUnsent = in(`UPDATE {schema}.outbox_unsent u SET spread = p.spread
		FROM {schema}.parked_events e JOIN {schema}.parked p USING (projection, version, key)
		WHERE u.projection = $1 AND u.spread IS NULL AND e.projection = $1 AND e.version = $2 AND e.position = u.position`)
	// Of the exceptions, those stay that the version has not applied.
	q.keepUnsent = in(`DELETE FROM {schema}.outbox_unsent u WHERE u.projection = $1
		AND u.position <= coalesce(
			(SELECT s.position FROM {schema}.segments s WHERE s.projection = $1 AND s.version = $2
				AND u.spread BETWEEN s.first_hash AND s.last_hash),
			(SELECT min(s.position) FROM {schema}.segments s WHERE s.projection = $1 AND s.version = $2))
		AND NOT EXISTS (SELECT FROM {schema}.parked_events e WHERE e.projection = $1 AND e.version = $2
			AND e.position = u.position)`)
	// What the version has parked of what is its own to send becomes one.
	q.addUnsent = in(`INSERT INTO {schema}.outbox_unsent (projection, position, spread)
		SELECT $1, e.position, p.spread FROM {schema}.parked_events e JOIN {schema}.parked p USING (projection, version, key)
		WHERE e.projection = $1 AND e.version = $2 AND e.position > (SELECT s.position FROM {schema}.outbox_sent s
			WHERE s.projection = $1 AND s.first_hash <= p.spread ORDER BY s.first_hash DESC LIMIT 1)
		ON CONFLICT (projection, position) DO UPDATE SET spread = excluded.spread`)
	q.dropUnsent = in(`DELETE FROM {schema}.outbox_unsent WHERE projection = $1`)
	q.dropKept = in(`DELETE FROM {schema}.outbox WHERE projection = $1 AND sent_at IS NOT NULL`)
	q.unsent = in(`SELECT EXISTS (SELECT FROM {schema}.outbox WHERE projection = $1 AND NOT held AND sent_at IS NULL)`)
	q.hasApplied = in(`SELECT EXISTS (SELECT FROM {schema}.segments WHERE projection = $1 AND version = $2 AND position > 0)`)
	q.dropHeld = in(`DELETE FROM {schema}.outbox WHERE projection = $1 AND ($2::bigint = 0 OR version = $2) AND held`)
	// Never two versions' messages of one event: where the one before has put some in, they are the ones.
	q.dropDone = in(`DELETE FROM {schema}.outbox o WHERE o.projection = $1 AND o.version = $2 AND o.held AND (
			o.position <= (SELECT s.position FROM {schema}.outbox_sent s WHERE s.projection = $1
				AND s.first_hash <= o.spread ORDER BY s.first_hash DESC LIMIT 1)
			AND NOT EXISTS (SELECT FROM {schema}.outbox_unsent u WHERE u.projection = $1 AND u.position = o.position)
			OR EXISTS (SELECT FROM {schema}.outbox b WHERE b.projection = $1 AND b.position = o.position
				AND b.version = $3 AND NOT b.held))`)
	q.letGo = in(`UPDATE {schema}.outbox SET held = false WHERE projection = $1 AND version = $2 AND held`)
}
