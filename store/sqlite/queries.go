package sqlite

import "strings"

// now is the database's time in microseconds since 1970; SQLite's clock counts milliseconds.
const now = "(CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000)"

// queries are the fixed statements, with the prefix and the time filled in.
type queries struct {
	ready        string
	now          string
	head         string
	stored       string
	insert       string
	horizon      string
	logID        string
	locate       string
	lastEvent    string
	events       string // the table's name, for reads, whose text depends on the request
	streams      streamQueries
	outbox       outboxQueries
	logTriggers  string
	logPositions string
	held         string
	advance      string
	advanceApart string

	join       string
	heartbeat  string
	workers    string
	bury       string
	claim      string
	adopt      string
	release    string
	fail       string
	superseded string
	leaveAll   string
	forget     string

	parkedKeys      string
	park            string
	countNoted      string
	note            string
	skip            string
	holds           string
	applied         string
	nextParked      string
	unpark          string
	failParked      string
	advanceParked   string
	parked          string
	dueParked       string
	parkedPositions string
	skipped         string
	order           string
	untold          string
	claimAlert      string
	settleAlert     string

	versions         string
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
	insertProjection string
	alterProjection  string
	declare          string
	recover          string
	fenceAll         string
	liveOwner        string
	deleteProjection string
	tables           string
	setPaused        string
	fenceGone        string
	known            string
	status           string

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
	in := strings.NewReplacer("{schema}", schema, "{now}", now, "{alive}", alive).Replace
	return queries{
		ready: in(`SELECT count(*) = 4 FROM sqlite_master WHERE type = 'table' AND name IN ('{schema}__events',
			'{schema}__segments', '{schema}__snapshots', '{schema}__outbox')`),
		now: in(`SELECT {now}`),
		head: in(`SELECT max(aggregate_version) FROM {schema}__events
			WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3`),
		stored: in(`SELECT 1 FROM {schema}__events WHERE event_id = $1`),
		insert: in(`INSERT INTO {schema}__events (bounded_context, aggregate_type, aggregate_id,
			aggregate_version, event_id,
			event_type, event_version, metadata, trace_id, correlation_id, causation_id, created_at,
			partition_hash, payload)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`),
		horizon: in(`SELECT seq FROM sqlite_sequence WHERE name = '{schema}__events'`),
		logID:   in(`SELECT id FROM {schema}__log`),
		locate: in(`SELECT coalesce((SELECT id FROM {schema}__log), x''),
			coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{schema}__events'), 0), p.key,
			(SELECT event_id FROM {schema}__events WHERE global_position = p.value),
			coalesce((SELECT created_at FROM {schema}__events WHERE global_position > p.value
				ORDER BY global_position LIMIT 1), 0)
			FROM (SELECT 1) LEFT JOIN json_each($1) AS p`),
		lastEvent: in(`SELECT global_position, event_id FROM {schema}__events WHERE global_position <= $1
			ORDER BY global_position DESC LIMIT 1`),
		events:  in(`{schema}__events`),
		streams: streamQueriesFor(in),
		outbox:  outboxQueriesFor(in),
		logTriggers: in(`SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{schema}__events'
			UNION ALL SELECT 'AUTOINCREMENT' FROM sqlite_master WHERE type = 'table'
			AND name = '{schema}__events' AND sql LIKE '%AUTOINCREMENT%'`),
		logPositions: in(`SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{schema}__events'), 0),
			coalesce((SELECT max(global_position) FROM {schema}__events), 0),
			coalesce((SELECT max(position) FROM {schema}__segments), 0)`),
		held: in(`SELECT 1 FROM {schema}__segments
			WHERE projection = $1 AND version = $2 AND segment = $3 AND owner = $4 AND epoch = $5 AND position = $6`),
		advance: in(`UPDATE {schema}__segments SET position = $7, updated_at = {now},
				(last_position, last_event) = (SELECT global_position, event_id FROM {schema}__events
				WHERE global_position <= $7
					UNION ALL SELECT 0, zeroblob(16) ORDER BY 1 DESC LIMIT 1),
				behind_since = CASE WHEN $7 < (SELECT seq FROM sqlite_sequence WHERE name = '{schema}__events')
					THEN coalesce(behind_since, {now}) END
			WHERE projection = $1 AND version = $2 AND segment = $3 AND owner = $4 AND epoch = $5 AND position = $6
			AND log_id = $8 AND timeline = $9 AND $9 = 0 AND EXISTS (SELECT 1 FROM {schema}__log WHERE id = $8)
			AND $7 <= coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{schema}__events'), 0)
			AND (last_position = 0 OR last_event = (SELECT event_id FROM {schema}__events
			WHERE global_position = last_position))
			AND ($10 = 0 OR $11 = (SELECT event_id FROM {schema}__events WHERE global_position = $10))`),
		// The log is in another database: what the checkpoint notes of it, and where it ended, the reader brings along.
		advanceApart: in(`UPDATE {schema}__segments SET position = $7, updated_at = {now},
				last_position = CASE WHEN $10 > 0 THEN $10 ELSE last_position END,
				last_event = CASE WHEN $10 > 0 THEN $11 ELSE last_event END,
				behind_since = CASE WHEN $7 < $12 THEN coalesce(behind_since, {now}) END
			WHERE projection = $1 AND version = $2 AND segment = $3 AND owner = $4 AND epoch = $5 AND position = $6
			AND log_id = $8 AND timeline = $9`),

		join: in(`INSERT INTO {schema}__workers (worker, expires_at, ttl, projections, segments, refused, incarnation,
				troubles)
			VALUES ($1, {now} + $2, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (worker) DO UPDATE SET (expires_at, ttl, projections, segments, refused, incarnation,
				troubles) =
				(excluded.expires_at, excluded.ttl, excluded.projections, excluded.segments, excluded.refused,
				excluded.incarnation, excluded.troubles)`),
		heartbeat: in(`INSERT INTO {schema}__workers AS w (worker, expires_at, ttl, projections, segments,
			refused, incarnation, troubles)
			VALUES ($1, {now} + $2, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (worker) DO UPDATE SET (expires_at, ttl, projections, segments, refused, incarnation,
				troubles) =
				(excluded.expires_at, excluded.ttl, excluded.projections, excluded.segments, excluded.refused,
				excluded.incarnation, excluded.troubles)
			WHERE w.incarnation = excluded.incarnation OR NOT ({alive})
			RETURNING 1`),
		workers: in(`SELECT w.worker, w.projections, w.segments, w.refused, w.incarnation, w.troubles
			FROM {schema}__workers AS w WHERE {alive} ORDER BY w.worker`),
		// A worker that was killed does not leave: its row is deleted by the others.
		bury: in(`DELETE FROM {schema}__workers WHERE worker <> $1 AND (expires_at < {now} - 3600000000
			OR expires_at > {now} + 2 * ttl)`),
		claim: in(`UPDATE {schema}__segments AS s SET owner = $2, epoch = s.epoch + 1
			WHERE s.projection = $1 AND s.version = $5 AND s.segment IN (
				SELECT f.segment FROM {schema}__segments AS f
				WHERE f.projection = $1 AND f.version = $5 AND f.failure IS NULL AND (f.merge_at = 0 OR f.position < f.merge_at)
				AND ($6 = 0 OR f.position < $6)
				AND f.segment NOT IN (SELECT value FROM json_each($3))
				AND EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = $2 AND w.incarnation = $7 AND {alive})
				AND EXISTS (SELECT 1 FROM {schema}__projections AS p WHERE p.name = $1 AND p.version = $5 AND p.paused_at IS NULL)
				AND (f.owner IS NULL OR f.owner = $2 OR NOT EXISTS (
					SELECT 1 FROM {schema}__workers AS w WHERE w.worker = f.owner AND {alive}))
				ORDER BY f.segment LIMIT $4)
			RETURNING segment, first_hash, last_hash, position, merge_at, epoch, log_id, timeline,
			last_position, last_event`),
		adopt: in(`UPDATE {schema}__segments SET log_id = $7, timeline = $8
			WHERE projection = $1 AND version = $2 AND segment = $3 AND owner = $4 AND epoch = $5 AND position = $6`),
		release: in(`UPDATE {schema}__segments SET owner = NULL WHERE projection = $1 AND version = $2
			AND segment = $3 AND owner = $4 AND epoch = $5`),
		fail: in(`UPDATE {schema}__segments SET owner = NULL, failure = $6, updated_at = {now}
			WHERE projection = $1 AND version = $2 AND segment = $3 AND owner = $4 AND epoch = $5`),
		leaveAll:   in(`UPDATE {schema}__segments SET owner = NULL WHERE owner = $1`),
		superseded: in(`SELECT 1 FROM {schema}__workers WHERE worker = $1 AND incarnation <> $2`),
		forget:     in(`DELETE FROM {schema}__workers WHERE worker = $1 AND incarnation = $2`),

		parkedKeys: in(`SELECT count(*) FROM {schema}__parked WHERE projection = $1 AND version = $2`),
		park: in(`INSERT INTO {schema}__parked (projection, version, key, spread, first_position, event_id, error,
			attempts, next_attempt_at, tried, parked_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, iif($9 < 0, NULL, {now} + $9), json_array($10), {now})`),
		countNoted: in(`UPDATE {schema}__parked SET events = events + 1, last_position = max(last_position, $4)
			WHERE projection = $1 AND version = $2 AND key = $3`),
		note: in(`INSERT INTO {schema}__parked_events (projection, version, key, position) VALUES ($1, $2, $3, $4)`),
		skip: in(`INSERT INTO {schema}__skipped_events (projection, version, key, position, event_id, error, skipped_at)
			VALUES ($1, $2, $3, $4, $5, $6, {now})`),
		holds: in(`SELECT s.log_id = $6 AND s.timeline = $7 AND ($8 OR EXISTS (SELECT 1 FROM {schema}__log WHERE id = $6))
			FROM {schema}__segments AS s
			WHERE s.projection = $1 AND s.version = $2 AND s.segment = $3 AND s.owner = $4 AND s.epoch = $5`),
		applied: in(`DELETE FROM {schema}__parked_events
			WHERE projection = $1 AND version = $2 AND key = $3 AND position <= $4`),
		nextParked: in(`SELECT position FROM {schema}__parked_events WHERE projection = $1 AND version = $2 AND key = $3
			ORDER BY position LIMIT 1`),
		unpark: in(`DELETE FROM {schema}__parked WHERE projection = $1 AND version = $2 AND key = $3`),
		failParked: in(`UPDATE {schema}__parked SET events = events - $4, first_position = $5, event_id = $6,
			error = $7, attempts = $8, wanted = iif(orders = $11 OR wanted = 'skip' AND first_position <> $5, '', wanted),
			next_attempt_at = iif($9 < 0, NULL, {now} + $9),
			tried = (SELECT json_group_array(value ORDER BY n) FROM (
				SELECT value, n FROM (SELECT value, key AS n FROM json_each(tried) WHERE value <> $10
					UNION ALL SELECT $10, 1000) ORDER BY n DESC LIMIT 16))
			WHERE projection = $1 AND version = $2 AND key = $3`),
		// What is left is due, also for another worker.
		advanceParked: in(`UPDATE {schema}__parked SET events = events - $4, first_position = $5,
			wanted = iif(orders = $6 OR wanted = 'skip' AND first_position <> $5, '', wanted),
			attempts = 0, next_attempt_at = {now} WHERE projection = $1 AND version = $2 AND key = $3`),
		parked: in(`SELECT * FROM (
				SELECT projection, version, key, first_position, last_position, events, event_id, error, attempts,
					parked_at, coalesce(next_attempt_at, 0), wanted, tried, orders,
					wanted <> '' OR coalesce(next_attempt_at <= {now}, 0)
					OR $10 <> '' AND NOT EXISTS (SELECT 1 FROM json_each(tried) WHERE value = $10) AS due
				FROM {schema}__parked
				WHERE ($1 = '' OR projection = $1) AND ($2 = 0 OR version = $2) AND ($9 IS NULL OR key = $9)
				AND spread BETWEEN $3 AND $4 AND (projection, version, key) > ($5, $6, $7))
			WHERE due OR NOT $11 ORDER BY projection, version, key LIMIT iif($8 = 0, -1, $8)`),
		dueParked: in(`SELECT projection, version, key, first_position, last_position, events, event_id, error, attempts,
				parked_at, coalesce(next_attempt_at, 0), wanted, tried, orders, 1
			FROM {schema}__parked INDEXED BY {schema}__parked_due
			WHERE projection = $1 AND version = $2 AND iif(wanted <> '', 0, next_attempt_at) <= {now}
			AND spread BETWEEN $3 AND $4 AND (projection, version, key) > ($5, $6, $7)
			ORDER BY key LIMIT iif($8 = 0, -1, $8)`),
		parkedPositions: in(`SELECT position FROM {schema}__parked_events WHERE projection = $1 AND version = $2
			AND key = $3 AND position > $4 ORDER BY position LIMIT $5`),
		skipped: in(`SELECT key, position, event_id, error, skipped_at FROM {schema}__skipped_events
			WHERE projection = $1 AND version = $2 AND position > $3 ORDER BY position LIMIT $4`),
		order: in(`UPDATE {schema}__parked SET wanted = $4, orders = orders + 1
			WHERE projection = $1 AND version = $2 AND key = $3`),
		untold: in(`SELECT 1 FROM {schema}__parked
			WHERE projection IN (SELECT value FROM json_each($1)) AND tell_at <= {now} LIMIT 1`),
		claimAlert: in(`UPDATE {schema}__parked SET tell_at = {now} + $2
			WHERE (projection, version, key) = (SELECT projection, version, key FROM {schema}__parked
				WHERE projection IN (SELECT value FROM json_each($1)) AND tell_at <= {now}
				ORDER BY tell_at, projection, version, key LIMIT 1)
			RETURNING projection, version, key, first_position, last_position, events, event_id, error, attempts,
				parked_at, coalesce(next_attempt_at, 0), wanted, tried, orders, 0`),
		settleAlert: in(`UPDATE {schema}__parked SET tell_at = iif($5, NULL, {now} + $6)
			WHERE projection = $1 AND version = $2 AND key = $3 AND parked_at = $4`),

		versions: in(`SELECT version, declaration, shapes, live, replaced, rebuild FROM {schema}__projections
			WHERE name = $1`),
		// What is paused is paused in all versions.
		insertProjection: in(`INSERT INTO {schema}__projections (name, version, whole, segments, next_segment,
			declaration, shapes, installed_at, live, promoted_at, paused_at)
			VALUES ($1, $2, $3, 0, 0, $4, $5, {now}, $6, iif($6, {now}, NULL),
				(SELECT max(p.paused_at) FROM {schema}__projections AS p WHERE p.name = $1))`),
		// One after the other, since only one version may be live at a time.
		demote: in(`UPDATE {schema}__projections SET live = 0, rebuild = 0 WHERE name = $1 AND live`),
		promote: in(`UPDATE {schema}__projections SET live = 1, replaced = $3, promoted_at = {now}
			WHERE name = $1 AND version = $2`),
		// What the version had replaced is what a rollback goes back to then.
		runBy: in(`SELECT w.worker FROM {schema}__workers AS w WHERE {alive} AND EXISTS (
			SELECT 1 FROM json_each(w.projections) AS p WHERE p.value ->> 'name' = $1 AND p.value ->> 'version' = $2
			AND coalesce(p.value ->> 'build', 0) = $3) LIMIT 1`),
		forgetReplaced: in(`UPDATE {schema}__projections SET replaced = (SELECT g.replaced FROM {schema}__projections AS g
			WHERE g.name = $1 AND g.version = $2) WHERE name = $1 AND replaced = $2`),
		digest:  in(`SELECT code FROM {schema}__projections WHERE name = $1 AND version = $2`),
		code:    in(`SELECT code, module FROM {schema}__projections WHERE name = $1 AND version = $2`),
		setCode: in(`UPDATE {schema}__projections SET code = $3, module = nullif($4, x'') WHERE name = $1 AND version = $2`),
		countParked: in(`SELECT (SELECT count(*) FROM {schema}__parked WHERE projection = $1 AND version = $2),
			(SELECT count(*) FROM {schema}__parked WHERE projection = $1 AND version = $3)`),
		deleteVersion: in(`DELETE FROM {schema}__projections WHERE name = $1 AND version = $2`),
		askRebuild:    in(`UPDATE {schema}__projections SET rebuild = $2 WHERE name = $1 AND live`),
		declare: in(`UPDATE {schema}__projections SET declaration = $3, shapes = $4 WHERE name = $1 AND version = $2
			AND (declaration <> $3 OR shapes <> $4)`),
		alterProjection: in(`UPDATE {schema}__projections SET version = $3, whole = $4, declaration = $5,
			shapes = $6, rebuild = 0, installed_at = {now}
			WHERE name = $1 AND version = $2`),
		recover: in(`UPDATE {schema}__segments SET failure = NULL WHERE projection = $1 AND version = $2
			AND failure IS NOT NULL AND ($3 = '[]' OR segment IN (SELECT value FROM json_each($3)))`),
		fenceAll: in(`UPDATE {schema}__segments SET owner = NULL, epoch = epoch + 1, failure = NULL,
			updated_at = {now} WHERE projection = $1 AND version = $2`),
		liveOwner: in(`SELECT s.owner FROM {schema}__segments AS s JOIN {schema}__workers AS w ON w.worker = s.owner
			WHERE s.projection = $1 AND ($2 = 0 OR s.version = $2) AND {alive} LIMIT 1`),
		deleteProjection: in(`DELETE FROM {schema}__projections WHERE name = $1`),
		tables: in(`SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')
			AND lower(name) GLOB $1 || '__*' ORDER BY type DESC, name`),
		fenceGone: in(`UPDATE {schema}__segments AS s SET owner = NULL, epoch = s.epoch + 1
			WHERE s.projection = $1 AND s.owner IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = s.owner AND {alive})`),
		setPaused: in(`UPDATE {schema}__projections SET paused_at = iif($2, {now}, NULL)
			WHERE name = $1 AND (paused_at IS NULL) = $2`),
		known: in(`SELECT 1 FROM {schema}__projections WHERE name = $1`),
		status: in(`SELECT p.name, p.version, p.segments,
			coalesce(k.keys, 0), coalesce(k.events, 0), coalesce(k.exhausted, 0), s.segment, s.first_hash, s.last_hash, s.position,
			s.epoch, coalesce(s.owner, ''),
			EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = s.owner AND {alive}),
			coalesce(s.failure, ''), s.merge_into, s.merge_at, s.updated_at, coalesce(s.behind_since, 0),
			s.log_id, s.timeline, s.last_position, s.last_event, coalesce(p.paused_at, 0),
			p.live, p.replaced, p.installed_at, coalesce(p.promoted_at, 0), p.code, p.rebuild
			FROM {schema}__projections AS p JOIN {schema}__segments AS s ON s.projection = p.name AND s.version = p.version
			LEFT JOIN (SELECT projection, version, count(*) AS keys, sum(events) AS events,
				count(*) FILTER (WHERE next_attempt_at IS NULL AND wanted = '') AS exhausted
				FROM {schema}__parked GROUP BY projection, version) AS k ON k.projection = p.name AND k.version = p.version
			WHERE $1 = '[]' OR p.name IN (SELECT value FROM json_each($1)) ORDER BY p.name, p.version, s.segment`),

		layout: in(`SELECT whole, segments, next_segment FROM {schema}__projections WHERE name = $1 AND version = $2`),
		segments: in(`SELECT segment, first_hash, last_hash, position, coalesce(failure, ''), merge_into, merge_at,
			log_id, timeline, last_position, last_event FROM {schema}__segments
			WHERE projection = $1 AND version = $2 ORDER BY segment`),
		asked: in(`UPDATE {schema}__projections SET segments = $3, next_segment = $4 WHERE name = $1 AND version = $2`),
		insertSegment: in(`INSERT INTO {schema}__segments (projection, version, segment, first_hash, last_hash, position,
			failure, merge_into,
			merge_at, log_id, timeline, last_position, last_event, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, nullif($7, ''), $8, $9, $10, $11, $12, $13, {now})`),
		alterSegment: in(`UPDATE {schema}__segments SET first_hash = $4, last_hash = $5, failure = nullif($6,
			''), merge_into = $7,
			merge_at = $8, log_id = $9, timeline = $10, last_position = $11, last_event = $12, owner = NULL,
			epoch = epoch + 1, updated_at = {now} WHERE projection = $1 AND version = $2 AND segment = $3`),
		deleteSegment: in(`DELETE FROM {schema}__segments WHERE projection = $1 AND version = $2
			AND segment = $3`),
	}
}
