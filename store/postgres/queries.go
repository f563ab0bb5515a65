package postgres

import "strings"

// now is the database's time, which goes on within a transaction.
const now = "clock_timestamp()"

// queries are the fixed statements, with the schema and the time filled in.
type queries struct {
	ready        string
	append       string
	appendEvent  string
	beginLoad    string
	load         string
	loaded       string
	horizon      string
	inOrder      string
	logID        string
	locate       string
	appliedAt    string
	events       string // the table's name, for reads, whose text depends on the request
	streams      streamQueries
	sequence     string // the name of the one that hands out positions
	logObjects   string
	logPositions string
	logEnd       string
	advance      string
	advanceApart string
	pin          string

	mayNotify    string
	notify       string
	arm          string
	armElsewhere string
	disarm       string
	disarmGone   string

	join       string
	heartbeat  string
	workers    string
	claim      string
	adopt      string
	adoptApart string
	release    string
	fail       string
	leave      string

	park            string
	retry           string
	parked          string
	dueParked       string
	parkedPositions string
	skipped         string
	order           string
	claimAlert      string
	settleAlert     string

	outbox outboxQueries

	lockProjection   string
	versions         string
	insertProjection string
	alterProjection  string
	positions        string
	demote           string
	promote          string
	forgetReplaced   string
	deleteVersion    string
	askRebuild       string
	runBy            string
	digest           string
	code             string
	setCode          string
	countParked      string
	declare          string
	recover          string
	applied          string
	fenceAll         string
	liveOwner        string
	deleteProjection string
	keepGrants       string
	takeGrants       string
	setPaused        string
	status           string
	facts            string

	lockTimeout   string
	layout        string
	segments      string
	asked         string
	insertSegment string
	alterSegment  string
	deleteSegment string
}

// queriesFor fills in the statements.
func queriesFor(schema, now string) queries { //nolint:funlen // a list
	alive := "w.expires_at > " + now + " AND w.expires_at <= " + now + " + 2 * w.ttl"
	in := strings.NewReplacer("{schema}", quote(schema), "{now}", now, "{alive}", alive).Replace
	return queries{
		ready: in(`SELECT to_regclass('{schema}.events') IS NOT NULL AND to_regclass('{schema}.segments') IS NOT NULL
			AND to_regclass('{schema}.snapshots') IS NOT NULL AND to_regclass('{schema}.outbox') IS NOT NULL`),
		append: in(`SELECT ordinal, global_position, aggregate_version FROM {schema}.append_events(
			$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text[]::jsonb[], $12, $13, $14, $15, $16)`),
		appendEvent: in(`SELECT {schema}.append_event($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11,
			$12, $13, $14)`),
		beginLoad: in(`SELECT heads, stored, head, at FROM {schema}.begin_load($1, $2, $3, $4)`),
		load: in(`COPY {schema}.events (bounded_context, aggregate_type, aggregate_id, partition_hash, aggregate_version,
			event_id, event_type, event_version, payload, metadata, trace_id, correlation_id, causation_id, created_at)
			FROM STDIN BINARY`),
		loaded: in(`SELECT {schema}.loaded($1, $2)`),
		horizon: in(`SELECT h.head, h.horizon, h.holder, h.prepared, l.id, l.timeline FROM {schema}.horizon() h,
			{schema}.log_id l`),
		// Before a read, it makes the planner, for one transaction, prefer an index that has the order of the
		// result over sorting. The planner knows nothing of a log that has just grown, believes that an interval
		// has a few events, and would read all of them for every page, which makes a rebuild quadratic. So the
		// read has one plan, whatever the log holds, and may be kept.
		//
		// And it tells which log is read next on the connection. A standby that becomes the server in between was
		// seen as one.
		inOrder: in(`SELECT pg_catalog.set_config('enable_sort', 'off', true), l.id, l.timeline
			FROM {schema}.log_id l`),
		logID: in(`SELECT id, timeline FROM {schema}.log_id`),
		locate: in(`SELECT h.head, h.horizon, h.holder, coalesce(h.prepared, ''), l.id, l.timeline,
			ARRAY (SELECT {schema}.event_at(p.position) FROM unnest($1::bigint[]) WITH ORDINALITY AS p (position, n)
				ORDER BY p.n),
			ARRAY (SELECT {schema}.next_event_time(p.position) FROM unnest($1::bigint[]) WITH ORDINALITY AS p (position, n)
				ORDER BY p.n)
			FROM {schema}.horizon() h, {schema}.log_id l`),
		appliedAt: in(`SELECT l.id, l.timeline, e.last_position, e.last_event FROM {schema}.log_id l,
			{schema}.last_event($1) e`),
		events:   in(`{schema}.events`),
		streams:  streamQueriesFor(in),
		sequence: in(`{schema}.events_global_position_seq`),
		logObjects: in(`SELECT e.relpersistence = 'p',
				EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = e.oid AND a.attname = 'global_position'
				AND a.attidentity = 'a'),
				coalesce(pg_get_serial_sequence('{schema}.events', 'global_position'), ''),
				s.seqcache, s.seqincrement, s.seqcycle,
				ARRAY(SELECT t.tgname::text FROM pg_trigger t WHERE t.tgrelid = e.oid AND t.tgenabled = 'A'),
				ARRAY(SELECT t.tgname::text FROM pg_trigger t WHERE t.tgrelid = e.oid),
				ARRAY(SELECT quote_ident(u.subname) FROM pg_subscription_rel r JOIN pg_subscription u
				ON u.oid = r.srsubid WHERE r.srrelid = e.oid ORDER BY 1),
				ARRAY(SELECT i.inhrelid::regclass::text FROM pg_inherits i WHERE i.inhparent = e.oid ORDER BY 1)
			FROM pg_class e LEFT JOIN pg_sequence s ON s.seqrelid = to_regclass('{schema}.events_global_position_seq')
			WHERE e.oid = to_regclass('{schema}.events')`),
		logPositions: in(`SELECT s.last_value + s.is_called::integer,
				coalesce((SELECT max(e.global_position) FROM {schema}.events e), 0),
				coalesce((SELECT max(p.position) FROM {schema}.segments p), 0)
			FROM {schema}.events_global_position_seq s`),
		logEnd: in(`SELECT 0::bigint, coalesce((SELECT max(e.global_position) FROM {schema}.events e), 0),
			coalesce((SELECT max(p.position) FROM {schema}.segments p), 0)`),
		advance: in(`SELECT {schema}.advance($1, $2, $3::integer, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`),
		advanceApart: in(`SELECT {schema}.advance_apart($1, $2, $3::integer, $4, $5, $6, $7, $8, $9, $10, $11,
			$12, $13, $14)`),
		pin: in(`SELECT {schema}.pin($1)`),

		mayNotify:    in(`SELECT {schema}.may_notify()`),
		notify:       `SELECT pg_notify($1, '')`,
		arm:          in(`SELECT {schema}.arm($1, $2)`),
		armElsewhere: in(`SELECT {schema}.arm($1, $2, false)`),
		disarm:       in(`SELECT {schema}.disarm($1)`),
		// One that has taken over the name may have announced itself.
		disarmGone: in(`SELECT {schema}.disarm($1) WHERE NOT EXISTS (SELECT FROM {schema}.workers w
			WHERE w.worker = $1)`),

		// Segments are locked in the order in which a change of the layout locks them.
		join: in(`WITH owned AS MATERIALIZED (
				SELECT projection, version, segment FROM {schema}.segments WHERE owner = $1
				ORDER BY projection, version, segment
				FOR NO KEY UPDATE
			), freed AS (
				UPDATE {schema}.segments s SET owner = NULL FROM owned
				WHERE (s.projection, s.version, s.segment) = (owned.projection, owned.version, owned.segment)
			)
			INSERT INTO {schema}.workers (worker, expires_at, ttl, projections, segments, refused, incarnation,
				troubles)
			VALUES ($1, {now} + $2, $2, $3::text::jsonb, $4, $5::text::jsonb, $6, $7::text::jsonb)
			ON CONFLICT (worker) DO UPDATE SET (expires_at, ttl, projections, segments, refused, incarnation,
				troubles) =
				(excluded.expires_at, excluded.ttl, excluded.projections, excluded.segments, excluded.refused,
				excluded.incarnation, excluded.troubles)`),
		// A worker that was killed does not leave: its row is deleted by the others.
		heartbeat: in(`WITH gone AS (
				DELETE FROM {schema}.workers w WHERE w.worker <> $1
				AND (w.expires_at < {now} - interval '1 hour' OR w.expires_at > {now} + 2 * w.ttl)
			)
			INSERT INTO {schema}.workers AS w (worker, expires_at, ttl, projections, segments, refused, incarnation,
				troubles)
			VALUES ($1, {now} + $2, $2, $3::text::jsonb, $4, $5::text::jsonb, $6, $7::text::jsonb)
			ON CONFLICT (worker) DO UPDATE SET (expires_at, ttl, projections, segments, refused, incarnation,
				troubles) =
				(excluded.expires_at, excluded.ttl, excluded.projections, excluded.segments, excluded.refused,
				excluded.incarnation, excluded.troubles)
			WHERE w.incarnation = excluded.incarnation OR NOT ({alive})`),
		workers: in(`SELECT w.worker, w.projections, w.segments, w.refused, w.incarnation, w.troubles
			FROM {schema}.workers w WHERE {alive} ORDER BY w.worker`),
		// MATERIALIZED: as a part of the join it may be run once for every segment, each time without those just
		// taken, and give more than the limit. SKIP LOCKED: a segment in the middle of a commit has a live owner
		// anyway, or is not worth waiting for.
		//
		// FOR SHARE: a claim waits for a pause under way, and a pause for claims under way. Without it, a claim that has
		// begun before a pause may give a segment after it. This lock comes first: who has it waits for no segment.
		claim: in(`WITH running AS MATERIALIZED (
				SELECT FROM {schema}.projections p WHERE p.name = $1 AND p.version = $5 AND p.paused_at IS NULL FOR SHARE
			), free AS MATERIALIZED (
				SELECT f.projection, f.version, f.segment FROM {schema}.segments f
				WHERE EXISTS (SELECT FROM running) AND f.projection = $1 AND f.version = $5 AND f.failure IS NULL AND f.segment <> ALL ($3::integer[])
				AND (f.merge_at = 0 OR f.position < f.merge_at) AND ($6 = 0::bigint OR f.position < $6)
				AND EXISTS (SELECT FROM {schema}.workers w WHERE w.worker = $2 AND w.incarnation = $7 AND {alive})
				AND (f.owner IS NULL OR f.owner = $2 OR NOT EXISTS (
					SELECT FROM {schema}.workers w WHERE w.worker = f.owner AND {alive}))
				ORDER BY f.segment LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
			)
			UPDATE {schema}.segments s SET owner = $2, epoch = s.epoch + 1 FROM free
			WHERE (s.projection, s.version, s.segment) = (free.projection, free.version, free.segment)
			RETURNING s.segment, s.first_hash, s.last_hash, s.position, s.merge_at, s.epoch,
				s.log_id, s.timeline, s.last_position, s.last_event`),
		adopt: in(`UPDATE {schema}.segments SET log_id = $7, timeline = $8
			WHERE projection = $1 AND version = $2 AND segment = $3 AND owner = $4 AND epoch = $5 AND position = $6`),
		adoptApart: in(`WITH refused AS MATERIALIZED (SELECT {schema}.refuse_own_log($7))
			UPDATE {schema}.segments SET log_id = $7, timeline = $8 FROM refused
			WHERE projection = $1 AND version = $2 AND segment = $3 AND owner = $4 AND epoch = $5 AND position = $6`),
		release: in(`UPDATE {schema}.segments SET owner = NULL WHERE projection = $1 AND version = $2
			AND segment = $3 AND owner = $4 AND epoch = $5`),
		fail: in(`UPDATE {schema}.segments SET owner = NULL, failure = $6, updated_at = now()
			WHERE projection = $1 AND version = $2 AND segment = $3 AND owner = $4 AND epoch = $5`),
		leave: in(`WITH gone AS (DELETE FROM {schema}.workers WHERE worker = $1 AND incarnation = $2),
			relays AS (DELETE FROM {schema}.outbox_relays WHERE owner = $1 AND incarnation = $2),
			owned AS MATERIALIZED (
				SELECT projection, version, segment FROM {schema}.segments
				WHERE owner = $1 AND NOT EXISTS (SELECT FROM {schema}.workers w WHERE w.worker = $1
				AND w.incarnation <> $2)
				ORDER BY projection, version, segment FOR NO KEY UPDATE
			)
			UPDATE {schema}.segments s SET owner = NULL FROM owned
			WHERE (s.projection, s.version, s.segment) = (owned.projection, owned.version, owned.segment)`),

		park: in(`SELECT {schema}.park_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
			$16, $17)`),
		retry: in(`SELECT {schema}.retry_parked($1, $2, $3::integer, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
			$14, $15, $16, $17, $18, $19, $20, $21, $22)`),
		parked: in(`SELECT * FROM (
				SELECT p.projection, p.version, p.key, p.first_position, p.last_position, p.events, p.event_id, p.error,
					p.attempts, p.parked_at, p.next_attempt_at, p.wanted, p.tried, p.orders,
					p.wanted <> '' OR coalesce(p.next_attempt_at <= {now}, false) OR $10 <> '' AND $10 <> ALL (p.tried) AS due
				FROM {schema}.parked p
				WHERE ($1 = '' OR p.projection = $1) AND ($2::bigint = 0 OR p.version = $2) AND ($9::bytea IS NULL OR p.key = $9)
				AND p.spread BETWEEN $3 AND $4 AND (p.projection, p.version, p.key) > ($5, $6::bigint, $7)) AS k
			WHERE k.due OR NOT $11 ORDER BY projection, version, key LIMIT nullif($8, 0)`),
		// By the index, whatever the planner believes of the order; a volatile clock would keep it from that.
		dueParked: in(`WITH due AS MATERIALIZED (SELECT p.* FROM {schema}.parked p
				WHERE p.projection = $1 AND p.version = $2
				AND (CASE WHEN p.wanted <> '' THEN '-infinity'::timestamptz ELSE p.next_attempt_at END) <= (SELECT {now})
				AND p.spread BETWEEN $3 AND $4 AND (p.projection, p.version, p.key) > ($5, $6::bigint, $7))
			SELECT projection, version, key, first_position, last_position, events, event_id, error,
				attempts, parked_at, next_attempt_at, wanted, tried, orders, true
			FROM due ORDER BY key LIMIT nullif($8, 0)`),
		parkedPositions: in(`SELECT position FROM {schema}.parked_events WHERE projection = $1 AND version = $2
			AND key = $3 AND position > $4 ORDER BY position LIMIT $5`),
		skipped: in(`SELECT key, position, event_id, error, skipped_at FROM {schema}.skipped_events
			WHERE projection = $1 AND version = $2 AND position > $3 ORDER BY position LIMIT $4`),
		order: in(`UPDATE {schema}.parked SET wanted = $4, orders = orders + 1
			WHERE projection = $1 AND version = $2 AND key = $3`),
		claimAlert: in(`UPDATE {schema}.parked p SET tell_at = {now} + $2 * interval '1 millisecond'
			WHERE (p.projection, p.version, p.key) = (SELECT q.projection, q.version, q.key FROM {schema}.parked q
				WHERE q.projection = ANY ($1) AND q.tell_at <= {now}
				ORDER BY q.tell_at, q.projection, q.version, q.key LIMIT 1 FOR UPDATE SKIP LOCKED)
			RETURNING p.projection, p.version, p.key, p.first_position, p.last_position, p.events, p.event_id, p.error,
				p.attempts, p.parked_at, p.next_attempt_at, p.wanted, p.tried, p.orders, false`),
		settleAlert: in(`UPDATE {schema}.parked
			SET tell_at = CASE WHEN NOT $5 THEN {now} + $6 * interval '1 millisecond' END
			WHERE projection = $1 AND version = $2 AND key = $3 AND parked_at = $4`),

		outbox: outboxQueriesFor(in),

		// A host that is stopped, or cut off, in the middle must not keep all others from the projection until it
		// comes back.
		lockProjection: in(`SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', '5s', true),
			pg_advisory_xact_lock(hashtextextended('{schema}.projection.' || $1, 0))`),
		versions: in(`SELECT version, declaration, shapes, live, replaced, rebuild FROM {schema}.projections
			WHERE name = $1`),
		// What is paused is paused in all versions.
		insertProjection: in(`INSERT INTO {schema}.projections (name, version, whole, segments, next_segment,
			declaration, shapes, live, promoted_at, paused_at)
			SELECT $1, $2, $3, 0, 0, $4, $5, $6, CASE WHEN $6 THEN now() END,
				(SELECT max(p.paused_at) FROM {schema}.projections p WHERE p.name = $1)`),
		alterProjection: in(`UPDATE {schema}.projections SET version = $3, whole = $4, declaration = $5, shapes = $6,
			rebuild = 0, installed_at = now() WHERE name = $1 AND version = $2`),
		recover: in(`UPDATE {schema}.segments SET failure = NULL WHERE projection = $1 AND version = $2
			AND failure IS NOT NULL AND (cardinality($3::integer[]) = 0 OR segment = ANY ($3::integer[]))`),
		applied: in(`SELECT EXISTS (SELECT FROM {schema}.segments WHERE projection = $1 AND version = $2
			AND position > 0)`),
		fenceAll: in(`UPDATE {schema}.segments SET owner = NULL, epoch = epoch + 1, failure = NULL,
			updated_at = now() WHERE projection = $1 AND version = $2`),
		liveOwner: in(`SELECT s.owner FROM {schema}.segments s JOIN {schema}.workers w ON w.worker = s.owner
			WHERE s.projection = $1 AND ($2::bigint = 0 OR s.version = $2) AND {alive} LIMIT 1`),
		// One after the other, since only one version may be live at a time.
		demote: in(`UPDATE {schema}.projections SET live = false, rebuild = 0 WHERE name = $1 AND live`),
		promote: in(`UPDATE {schema}.projections SET live = true, replaced = $3, promoted_at = {now}
			WHERE name = $1 AND version = $2`),
		declare: in(`UPDATE {schema}.projections SET declaration = $3, shapes = $4 WHERE name = $1 AND version = $2
			AND (declaration <> $3 OR shapes <> $4)`),
		deleteProjection: in(`DELETE FROM {schema}.projections WHERE name = $1`),
		digest:           in(`SELECT code FROM {schema}.projections WHERE name = $1 AND version = $2`),
		code:             in(`SELECT code, module FROM {schema}.projections WHERE name = $1 AND version = $2`),
		setCode:          in(`UPDATE {schema}.projections SET code = $3, module = $4 WHERE name = $1 AND version = $2`),
		countParked: in(`SELECT (SELECT count(*) FROM {schema}.parked WHERE projection = $1 AND version = $2),
			(SELECT count(*) FROM {schema}.parked WHERE projection = $1 AND version = $3)`),
		deleteVersion: in(`DELETE FROM {schema}.projections WHERE name = $1 AND version = $2`),
		askRebuild:    in(`UPDATE {schema}.projections SET rebuild = $2 WHERE name = $1 AND live`),
		// What the version had replaced is what a rollback goes back to then.
		runBy: in(`SELECT w.worker FROM {schema}.workers w WHERE {alive}
			AND EXISTS (SELECT FROM jsonb_to_recordset(w.projections) AS p (name text, version integer, build integer)
			WHERE p.name = $1 AND p.version = $2 AND coalesce(p.build, 0) = $3) LIMIT 1`),
		forgetReplaced: in(`UPDATE {schema}.projections p SET replaced = g.replaced FROM {schema}.projections g
			WHERE p.name = $1 AND p.replaced = $2 AND g.name = $1 AND g.version = $2`),
		// What others than the owner may do with the view itself, or with columns of it.
		keepGrants: in(`INSERT INTO {schema}.reader_grants (projection, relation, attribute, grantee, role,
				privilege, grantable)
			SELECT $1, v.relname, v.attribute, g.grantee, coalesce(r.rolname, ''), g.privilege_type,
				bool_or(g.is_grantable)
			FROM (
				SELECT c.relname, c.relowner, '' AS attribute, c.relacl AS acl FROM pg_class c
				WHERE c.relnamespace = to_regnamespace($2) AND c.relname = ANY ($3) AND c.relkind = 'v'
				UNION ALL
				SELECT c.relname, c.relowner, a.attname, a.attacl FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
				WHERE c.relnamespace = to_regnamespace($2) AND c.relname = ANY ($3) AND c.relkind = 'v' AND a.attnum > 0
			) AS v CROSS JOIN LATERAL aclexplode(v.acl) AS g LEFT JOIN pg_roles r ON r.oid = g.grantee
			WHERE g.grantee <> v.relowner GROUP BY v.relname, v.attribute, g.grantee, r.rolname, g.privilege_type
			ON CONFLICT (projection, relation, attribute, grantee, privilege) DO UPDATE SET
				(role, grantable) = (excluded.role, excluded.grantable)`),
		takeGrants: in(`WITH taken AS (
				DELETE FROM {schema}.reader_grants WHERE projection = $1 AND relation = $2 RETURNING *
			)
			SELECT t.role, t.privilege, t.attribute, t.grantable FROM taken t
			WHERE (t.grantee = 0 OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = t.grantee AND r.rolname = t.role))
			AND (t.attribute = '' OR EXISTS (SELECT FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
				WHERE c.relnamespace = to_regnamespace($3) AND c.relname = $2 AND a.attname = t.attribute))
			ORDER BY t.role, t.privilege, t.attribute`),
		// A worker whose lease has ended could still commit: while nobody claims its segments, nothing else fences it.
		setPaused: in(`WITH changed AS (
				UPDATE {schema}.projections SET paused_at = CASE WHEN $2 THEN {now} END
				WHERE name = $1 AND (paused_at IS NULL) = $2 RETURNING 1
			), fenced AS (
				UPDATE {schema}.segments s SET owner = NULL, epoch = s.epoch + 1
				WHERE $2 AND s.projection = $1 AND s.owner IS NOT NULL
				AND NOT EXISTS (SELECT FROM {schema}.workers w WHERE w.worker = s.owner AND {alive})
			)
			SELECT EXISTS (SELECT FROM changed), EXISTS (SELECT FROM {schema}.projections WHERE name = $1)`),
		status: in(`SELECT p.name, p.version, p.segments, coalesce(k.keys, 0), coalesce(k.events, 0),
			coalesce(k.exhausted, 0), s.segment, s.first_hash, s.last_hash, s.position, s.epoch, coalesce(s.owner, ''),
			EXISTS (SELECT FROM {schema}.workers w WHERE w.worker = s.owner AND {alive}),
			coalesce(s.failure, ''), s.merge_into, s.merge_at, s.updated_at, s.behind_since,
			s.log_id, s.timeline, s.last_position, s.last_event, p.paused_at, p.live, p.replaced, p.installed_at,
			p.promoted_at, p.code, p.rebuild
			FROM {schema}.projections p JOIN {schema}.segments s ON s.projection = p.name AND s.version = p.version
			LEFT JOIN (SELECT projection, version, count(*) AS keys, sum(events)::bigint AS events,
				count(*) FILTER (WHERE next_attempt_at IS NULL AND wanted = '') AS exhausted
				FROM {schema}.parked GROUP BY projection, version) k ON k.projection = p.name AND k.version = p.version
			WHERE cardinality($1::text[]) = 0 OR p.name = ANY ($1::text[]) ORDER BY p.name, p.version, s.segment`),

		facts:  in(factsQuery),
		layout: in(`SELECT whole, segments, next_segment FROM {schema}.projections WHERE name = $1 AND version = $2`),
		// Commits under way are waited for, and what they have written is what is read. One that hangs must not
		// keep the others behind it waiting: the change is tried again.
		lockTimeout: `SELECT pg_catalog.set_config('lock_timeout', '5s', true)`,
		segments: in(`SELECT segment, first_hash, last_hash, position, coalesce(failure, ''), merge_into, merge_at,
			log_id, timeline, last_position, last_event FROM {schema}.segments WHERE projection = $1
			AND version = $2 ORDER BY segment FOR UPDATE`),
		positions: in(`SELECT segment, first_hash, last_hash, position, coalesce(failure, ''), merge_into, merge_at,
			log_id, timeline, last_position, last_event FROM {schema}.segments WHERE projection = $1
			AND version = $2 ORDER BY segment`),
		asked: in(`UPDATE {schema}.projections SET segments = $3, next_segment = $4 WHERE name = $1 AND version = $2`),
		insertSegment: in(`INSERT INTO {schema}.segments (projection, version, segment, first_hash, last_hash, position,
			failure, merge_into, merge_at, log_id, timeline, last_position, last_event) VALUES ($1, $2, $3, $4, $5, $6, nullif($7, ''), $8, $9,
			$10, $11, $12, $13)`),
		alterSegment: in(`UPDATE {schema}.segments SET first_hash = $4, last_hash = $5, failure = nullif($6, ''),
			merge_into = $7, merge_at = $8, log_id = $9, timeline = $10, last_position = $11, last_event = $12, owner = NULL,
			epoch = epoch + 1, updated_at = now() WHERE projection = $1 AND version = $2 AND segment = $3`),
		deleteSegment: in(`DELETE FROM {schema}.segments WHERE projection = $1 AND version = $2
			AND segment = $3`),
	}
}
