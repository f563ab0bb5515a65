-- Messages that projections send: they are put in by the transaction that applies their event, and stay until a relay
-- has sent them.

-- No message refers to its projection: what waits to be sent outlives its version, also when that is reset. A message
-- that is held is of a version that is not live, and goes nowhere before that is promoted.
--
-- It is a queue: rows come at one end and go at the other, so that the space of those that are gone has to be found
-- soon.
CREATE TABLE {schema}.outbox (
    projection   text NOT NULL,
    position     bigint NOT NULL, -- of the event
    n            bigint NOT NULL, -- among the messages of the event
    version      bigint NOT NULL, -- the version's number, as in projections
    type         text NOT NULL,
    subject      text NOT NULL,
    key          bytea NOT NULL,
    spread       bigint NOT NULL, -- the hash of the event's partition key, spread
    content_type text NOT NULL,
    data         bytea NOT NULL,
    trace_parent text NOT NULL,
    event_at     timestamptz NOT NULL,
    put_at       timestamptz NOT NULL DEFAULT now(),
    held         boolean NOT NULL,
    sent_at      timestamptz,     -- of one that is kept
    -- It is to be sent, and waits with others of its key for one that failed: it is found by its key, out of the way of
    -- those that may be sent.
    behind       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (projection, position, n, version)
) WITH (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.1,
    toast.autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_cost_delay = 0
);

-- What may be sent, in order. The status asks when it was put in.
CREATE INDEX outbox_pending ON {schema}.outbox (projection, position, n, version) INCLUDE (put_at)
    WHERE NOT held AND sent_at IS NULL AND NOT behind;
CREATE INDEX outbox_behind ON {schema}.outbox (projection, key, position, n, version) INCLUDE (put_at) WHERE behind;
CREATE INDEX outbox_kept ON {schema}.outbox (projection, sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX outbox_held ON {schema}.outbox (projection, version, position) WHERE held;

-- Keys of which a message failed, by that message, which is the first of its key. The key waits until it is due. A row
-- without attempts is of a key whose failed message is no longer there, with others that are behind: it is due.
CREATE TABLE {schema}.outbox_failures (
    projection      text NOT NULL,
    key             bytea NOT NULL,
    position        bigint NOT NULL,
    n               bigint NOT NULL,
    version         bigint NOT NULL,
    attempts        bigint NOT NULL,
    error           text NOT NULL,
    failed_at       timestamptz NOT NULL,
    next_attempt_at timestamptz, -- null: not by itself
    PRIMARY KEY (projection, key)
);
CREATE INDEX outbox_failures_due ON {schema}.outbox_failures (projection, next_attempt_at);

-- What is not the live version's to send: events up to a position, by the hash of their key. The ranges of a
-- projection hold every hash once. Where there is none, nothing is sent. The other columns are the same in all of
-- them, but the last event.
CREATE TABLE {schema}.outbox_sent (
    projection text NOT NULL,
    first_hash bigint NOT NULL,
    last_hash  bigint NOT NULL,
    position   bigint NOT NULL,
    log_id     uuid NOT NULL,    -- the log that the positions are of; zeros where that is not known
    partition  text NOT NULL,    -- by what the hashes are, as JSON
    begun      boolean NOT NULL, -- a host has begun to send: they are not only passed on from version to version
    -- The last event of the log up to the position, by which the log is known again. Zeros where that is not known.
    last_position bigint NOT NULL DEFAULT 0,
    last_event    uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    PRIMARY KEY (projection, first_hash)
);

-- Events up to these positions that are the live version's to send all the same.
CREATE TABLE {schema}.outbox_unsent (
    projection text NOT NULL,
    position   bigint NOT NULL,
    spread     bigint, -- the hash of the event's key; null where it is not known by the partition of outbox_sent
    PRIMARY KEY (projection, position)
);

-- Who sends the messages of a projection, and where to: a worker, while its lease holds.
CREATE TABLE {schema}.outbox_relays (
    projection  text PRIMARY KEY,
    owner       text NOT NULL,
    incarnation text NOT NULL,
    target      text NOT NULL
);

-- Whether the live version has parked an event is asked for each message of another one.
CREATE INDEX parked_events_position ON {schema}.parked_events (projection, version, position);

-- put_messages follows the fence of a transaction: it puts the messages of the events that are applied in, as far as
-- they are to be sent by this version, or held for it. What the versions are to each other it reads in one statement,
-- behind the fence's lock on the segment: who changes it has all locks of the version that becomes live, and of the
-- one that was.
CREATE FUNCTION {schema}.put_messages(
    of_projection text, of_version bigint, positions bigint[], ns bigint[], types text[], subjects text[], keys bytea[],
    spreads bigint[], content_types text[], all_data bytea[], trace_parents text[], times timestamptz[]
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH live AS MATERIALIZED (
        SELECT p.version = of_version AS sends, p.version,
            (SELECT max(s.position) FROM {schema}.outbox_sent AS s WHERE s.projection = of_projection) AS highest,
            (SELECT min(s.position) FROM {schema}.segments AS s
                WHERE s.projection = of_projection AND s.version = p.version) AS applied
        FROM {schema}.projections AS p WHERE p.name = of_projection AND p.live
    )
    INSERT INTO {schema}.outbox (projection, position, n, version, type, subject, key, spread, content_type, data,
        trace_parent, event_at, held)
    SELECT of_projection, m.position, m.n, of_version, m.type, m.subject, m.key, m.spread, m.content_type, m.data,
        m.trace_parent, m.event_at, NOT l.sends
    FROM live AS l CROSS JOIN unnest(positions, ns, types, subjects, keys, spreads, content_types, all_data,
        trace_parents, times) AS m (position, n, type, subject, key, spread, content_type, data, trace_parent, event_at)
    WHERE CASE WHEN l.sends THEN
        m.position > l.highest
        OR m.position > (SELECT s.position FROM {schema}.outbox_sent AS s WHERE s.projection = of_projection
            AND s.first_hash <= m.spread ORDER BY s.first_hash DESC LIMIT 1)
        OR EXISTS (SELECT FROM {schema}.outbox_unsent AS u WHERE u.projection = of_projection
            AND u.position = m.position)
    ELSE
        m.position > l.applied
        OR EXISTS (SELECT FROM {schema}.parked_events AS e WHERE e.projection = of_projection AND e.version = l.version
            AND e.position = m.position)
    END
    ON CONFLICT DO NOTHING;
END $$;

-- lock_outbox keeps others from changing which messages of projections are behind which failures. It comes first in a
-- transaction, and the statements behind it see what those before have done.
CREATE FUNCTION {schema}.lock_outbox(projections text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('{schema}.outbox.' || p.name, 0))
        FROM (SELECT DISTINCT u.name FROM unnest(projections) AS u (name) ORDER BY 1) AS p;
END $$;

-- set_aside puts messages that wait for a failed one of their key behind it, when there are many of them in front of
-- those that may be sent. It does so in order, some at a time: of a key, those that are behind come before all others.
CREATE FUNCTION {schema}.set_aside(of_projection text, at timestamptz, messages bigint) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    many CONSTANT bigint := 1000;
    at_once CONSTANT bigint := 100000;
BEGIN
    IF many > (SELECT count(*) FROM (
            SELECT o.key FROM {schema}.outbox AS o
            WHERE o.projection = of_projection AND NOT o.held AND o.sent_at IS NULL AND NOT o.behind
            ORDER BY o.position, o.n, o.version LIMIT many + messages) AS o
        WHERE (SELECT true FROM {schema}.outbox_failures AS f WHERE f.projection = of_projection AND f.key = o.key
            AND (f.next_attempt_at IS NULL OR f.next_attempt_at > at OR f.attempts > 0))) THEN
        RETURN;
    END IF;
    PERFORM {schema}.lock_outbox(ARRAY[of_projection]);
    UPDATE {schema}.outbox AS o SET behind = true FROM (
            SELECT q.position, q.n, q.version FROM {schema}.outbox AS q
            WHERE q.projection = of_projection AND NOT q.held AND q.sent_at IS NULL AND NOT q.behind
            ORDER BY q.position, q.n, q.version LIMIT at_once) AS q
        WHERE o.projection = of_projection AND (o.position, o.n, o.version) = (q.position, q.n, q.version)
        AND (SELECT true FROM {schema}.outbox_failures AS f WHERE f.projection = of_projection AND f.key = o.key
            AND (f.next_attempt_at IS NULL OR f.next_attempt_at > at OR f.attempts > 0));
END $$;

-- pending_messages returns what may be sent, in no order: messages of keys that do not wait, from the front, and those
-- that are behind failures that are due. Of as many keys as there may be messages, each has one at least that is not
-- later than those of all other keys. Behind one that failed there are none, and those that failed are half of all at
-- most. It follows the indexes, whatever the planner believes of a queue.
CREATE FUNCTION {schema}.pending_messages(of_projection text, at timestamptz, messages bigint, bytes bigint)
RETURNS SETOF {schema}.outbox LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    messages := greatest(messages, 1);
    IF EXISTS (SELECT FROM {schema}.outbox_failures AS f WHERE f.projection = of_projection) THEN
        PERFORM {schema}.set_aside(of_projection, at, messages);
    END IF;
    RETURN QUERY WITH free AS MATERIALIZED (
        SELECT o.position, o.n, o.version,
            256 + octet_length(o.subject) + octet_length(o.key) + octet_length(o.data) AS size
        FROM {schema}.outbox AS o
        WHERE o.projection = of_projection AND NOT o.held AND o.sent_at IS NULL AND NOT o.behind
        AND (SELECT true FROM {schema}.outbox_failures AS f WHERE f.projection = of_projection AND f.key = o.key
            AND (f.next_attempt_at IS NULL OR f.next_attempt_at > at OR f.attempts > 0)) IS NULL
        ORDER BY o.position, o.n, o.version LIMIT messages
    ), due AS MATERIALIZED (
        SELECT d.* FROM (
            SELECT f.key, f.attempts > 0 AS failed, f.position, f.n, f.version,
                row_number() OVER (PARTITION BY f.attempts > 0 ORDER BY b.position, b.n, b.version) AS number
            FROM {schema}.outbox_failures AS f CROSS JOIN LATERAL (
                SELECT o.position, o.n, o.version FROM {schema}.outbox AS o
                WHERE o.projection = of_projection AND o.behind AND o.key = f.key
                ORDER BY o.position, o.n, o.version LIMIT 1) AS b
            WHERE f.projection = of_projection AND f.next_attempt_at <= at) AS d
        WHERE d.number <= messages
    ), candidates AS MATERIALIZED (
        SELECT c.*, false AS failed FROM free AS c
        UNION ALL
        SELECT b.*, d.failed AND (b.position, b.n, b.version) = (d.position, d.n, d.version)
        FROM due AS d CROSS JOIN LATERAL (
            SELECT o.position, o.n, o.version,
                256 + octet_length(o.subject) + octet_length(o.key) + octet_length(o.data) AS size
            FROM {schema}.outbox AS o WHERE o.projection = of_projection AND o.behind AND o.key = d.key
            AND (NOT d.failed OR (o.position, o.n, o.version) <= (d.position, d.n, d.version))
            ORDER BY o.position, o.n, o.version LIMIT messages) AS b
    ), chosen AS MATERIALIZED (
        SELECT c.*, sum(c.size) OVER w AS total, row_number() OVER w AS number FROM (
            SELECT a.*, sum(a.size) OVER w AS share, row_number() OVER w AS place FROM candidates AS a
            WINDOW w AS (PARTITION BY a.failed ORDER BY a.position, a.n, a.version)
        ) AS c
        WHERE NOT c.failed OR c.place = 1 OR c.place <= messages / 2 AND c.share <= bytes / 2
        WINDOW w AS (ORDER BY c.position, c.n, c.version)
    )
    SELECT o.* FROM chosen AS c JOIN {schema}.outbox AS o ON o.projection = of_projection
        AND (o.position, o.n, o.version) = (c.position, c.n, c.version)
    WHERE c.number <= messages AND (c.total <= bytes OR c.number = 1);
END $$;

-- settle_failures looks after keys of which messages are gone: where the one that failed is among them, those behind
-- it may be sent, and where none is left behind, the key is as any other.
CREATE FUNCTION {schema}.settle_failures(of_projections text[], of_keys bytea[]) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    WITH gone AS MATERIALIZED (
        SELECT f.projection, f.key, b.position, b.n, b.version
        FROM (SELECT DISTINCT u.projection, u.key FROM unnest(of_projections, of_keys) AS u (projection, key)) AS k
        JOIN {schema}.outbox_failures AS f ON f.projection = k.projection AND f.key = k.key
        LEFT JOIN LATERAL (
            SELECT o.position, o.n, o.version FROM {schema}.outbox AS o
            WHERE o.projection = f.projection AND o.behind AND o.key = f.key
            ORDER BY o.position, o.n, o.version LIMIT 1) AS b ON true
        WHERE NOT EXISTS (SELECT FROM {schema}.outbox AS o WHERE o.projection = f.projection AND o.key = f.key
            AND o.position = f.position AND o.n = f.n AND o.version = f.version AND o.behind)
    ), freed AS (
        DELETE FROM {schema}.outbox_failures AS f USING gone AS g
        WHERE f.projection = g.projection AND f.key = g.key AND g.position IS NULL
    )
    UPDATE {schema}.outbox_failures AS f SET position = g.position, n = g.n, version = g.version, attempts = 0,
        error = '', next_attempt_at = 'epoch'
        FROM gone AS g WHERE f.projection = g.projection AND f.key = g.key AND g.position IS NOT NULL;
END $$;

-- messages_sent deletes messages that were sent, or notes when they were.
CREATE FUNCTION {schema}.messages_sent(
    projections text[], positions bigint[], ns bigint[], versions bigint[], at timestamptz, keep boolean
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    of_projections text[];
    of_keys bytea[];
BEGIN
    PERFORM {schema}.lock_outbox(projections);
    IF keep THEN
        WITH sent AS (
            UPDATE {schema}.outbox AS o SET sent_at = at, behind = false
            FROM unnest(projections, positions, ns, versions) AS s (projection, position, n, version)
            WHERE o.projection = s.projection AND o.position = s.position AND o.n = s.n AND o.version = s.version
            AND NOT o.held AND o.sent_at IS NULL RETURNING o.projection, o.key
        )
        SELECT array_agg(s.projection), array_agg(s.key) INTO of_projections, of_keys FROM sent AS s;
    ELSE
        WITH sent AS (
            DELETE FROM {schema}.outbox AS o
            USING unnest(projections, positions, ns, versions) AS s (projection, position, n, version)
            WHERE o.projection = s.projection AND o.position = s.position AND o.n = s.n AND o.version = s.version
            AND NOT o.held RETURNING o.projection, o.key
        )
        SELECT array_agg(s.projection), array_agg(s.key) INTO of_projections, of_keys FROM sent AS s;
    END IF;
    PERFORM {schema}.settle_failures(of_projections, of_keys);
END $$;

-- messages_failed notes that messages could not be sent, as far as they are still there. Delays are milliseconds;
-- below 0 a message is not tried again by itself.
CREATE FUNCTION {schema}.messages_failed(
    projections text[], positions bigint[], ns bigint[], versions bigint[], errors text[], delays bigint[],
    at timestamptz
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM {schema}.lock_outbox(projections);
    WITH failed AS (
        UPDATE {schema}.outbox AS o SET behind = true
        FROM unnest(projections, positions, ns, versions, errors, delays) AS u (projection, position, n, version, error,
            delay)
        WHERE o.projection = u.projection AND o.position = u.position AND o.n = u.n AND o.version = u.version
        AND NOT o.held AND o.sent_at IS NULL
        RETURNING o.projection, o.key, o.position, o.n, o.version, u.error, u.delay
    )
    INSERT INTO {schema}.outbox_failures AS f (projection, key, position, n, version, attempts, error, failed_at,
        next_attempt_at)
    SELECT DISTINCT ON (u.projection, u.key) u.projection, u.key, u.position, u.n, u.version, 1, u.error, at,
        CASE WHEN u.delay >= 0 THEN at + u.delay * interval '1 millisecond' END
    FROM failed AS u ORDER BY u.projection, u.key, u.position, u.n, u.version
    ON CONFLICT (projection, key) DO UPDATE SET position = excluded.position, n = excluded.n,
        version = excluded.version,
        attempts = CASE WHEN (f.position, f.n, f.version) = (excluded.position, excluded.n, excluded.version)
            THEN f.attempts + 1 ELSE 1 END,
        error = excluded.error, failed_at = excluded.failed_at, next_attempt_at = excluded.next_attempt_at;
END $$;

-- skip_message deletes what is to be sent of a message, in whatever build of its version, and reports whether there
-- was any.
CREATE FUNCTION {schema}.skip_message(of_projection text, of_version bigint, of_position bigint, of_n bigint)
RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    of_projections text[];
    of_keys bytea[];
BEGIN
    PERFORM {schema}.lock_outbox(ARRAY[of_projection]);
    WITH skipped AS (
        DELETE FROM {schema}.outbox AS o WHERE o.projection = of_projection AND o.position = of_position AND o.n = of_n
        AND o.version % 100000000 = of_version AND NOT o.held AND o.sent_at IS NULL RETURNING o.projection, o.key
    )
    SELECT array_agg(s.projection), array_agg(s.key) INTO of_projections, of_keys FROM skipped AS s;
    PERFORM {schema}.settle_failures(of_projections, of_keys);
    RETURN of_keys IS NOT NULL;
END $$;
