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
	located      string
	events       string // the table's name, for reads, whose text depends on the request
	readStream   string
	streamExists string
	positionTime string
	logTriggers  string
	logPositions string
	held         string
	advance      string

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

	projection       string
	insertProjection string
	alterProjection  string
	declare          string
	clearFailures    string
	fenceAll         string
	liveOwner        string
	deleteProjection string
	tables           string
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
		ready: in(`SELECT count(*) = 2 FROM sqlite_master WHERE type = 'table' AND name IN ('{schema}__events',
			'{schema}__segments')`),
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
		located: in(`SELECT event_id FROM {schema}__events WHERE global_position = $1`),
		events:  in(`{schema}__events`),
		readStream: in(`WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3
			AND aggregate_version >= $4 AND aggregate_version <= $5 ORDER BY aggregate_version`),
		streamExists: in(`SELECT 1 FROM {schema}__events
			WHERE bounded_context = $1 AND aggregate_type = $2 AND aggregate_id = $3 LIMIT 1`),
		positionTime: in(`SELECT created_at FROM {schema}__events WHERE global_position > $1
			ORDER BY global_position LIMIT 1`),
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

		join: in(`INSERT INTO {schema}__workers (worker, expires_at, ttl, projections, segments, refused, incarnation)
			VALUES ($1, {now} + $2, $2, $3, $4, $5, $6)
			ON CONFLICT (worker) DO UPDATE SET (expires_at, ttl, projections, segments, refused, incarnation) =
				(excluded.expires_at, excluded.ttl, excluded.projections, excluded.segments, excluded.refused,
				excluded.incarnation)`),
		heartbeat: in(`INSERT INTO {schema}__workers AS w (worker, expires_at, ttl, projections, segments,
			refused, incarnation)
			VALUES ($1, {now} + $2, $2, $3, $4, $5, $6)
			ON CONFLICT (worker) DO UPDATE SET (expires_at, ttl, projections, segments, refused, incarnation) =
				(excluded.expires_at, excluded.ttl, excluded.projections, excluded.segments, excluded.refused,
				excluded.incarnation)
			WHERE w.incarnation = excluded.incarnation OR NOT ({alive})
			RETURNING 1`),
		workers: in(`SELECT w.worker, w.projections, w.segments, w.refused, w.incarnation
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

		projection: in(`SELECT version, declaration, shapes FROM {schema}__projections WHERE name = $1`),
		insertProjection: in(`INSERT INTO {schema}__projections (name, version, whole, segments, next_segment,
			declaration, shapes, installed_at)
			VALUES ($1, $2, $3, 0, 0, $4, $5, {now})`),
		declare: in(`UPDATE {schema}__projections SET declaration = $3 WHERE name = $1 AND version = $2
			AND declaration <> $3`),
		alterProjection: in(`UPDATE {schema}__projections SET version = $3, whole = $4, declaration = $5,
			shapes = $6, installed_at = {now}
			WHERE name = $1 AND version = $2`),
		clearFailures: in(`UPDATE {schema}__segments SET failure = NULL WHERE projection = $1 AND version = $2
			AND failure IS NOT NULL`),
		fenceAll: in(`UPDATE {schema}__segments SET owner = NULL, epoch = epoch + 1, failure = NULL,
			updated_at = {now} WHERE projection = $1 AND version = $2`),
		liveOwner: in(`SELECT s.owner FROM {schema}__segments AS s JOIN {schema}__workers AS w ON w.worker = s.owner
			WHERE s.projection = $1 AND {alive} LIMIT 1`),
		deleteProjection: in(`DELETE FROM {schema}__projections WHERE name = $1 RETURNING version, declaration`),
		tables: in(`SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')
			AND lower(name) GLOB $1 || '__*' ORDER BY type DESC, name`),
		status: in(`SELECT p.name, p.version, p.segments, s.segment, s.first_hash, s.last_hash, s.position,
			s.epoch, coalesce(s.owner, ''),
			EXISTS (SELECT 1 FROM {schema}__workers AS w WHERE w.worker = s.owner AND {alive}),
			coalesce(s.failure, ''), s.merge_into, s.merge_at, s.updated_at, coalesce(s.behind_since, 0),
			s.log_id, s.timeline, s.last_position, s.last_event
			FROM {schema}__projections AS p JOIN {schema}__segments AS s ON s.projection = p.name AND s.version = p.version
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
