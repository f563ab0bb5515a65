-- Appends that cost less: a function for one event, plans that are kept, and what a load by COPY asks for first.

-- The fence as before in as few expressions as it can be, since each one costs a microsecond in a transaction with one row.
-- CASE, and not AND, has an order of evaluation.
--
-- A transaction without an id has inserted nothing yet. It takes its lock and does not remember that it has, which spares single
-- rows a setting; a second statement takes one lock more, which holds back less than the first, and remembers it.
--
-- Beside the lock it notes the position that the lock is at, for check_position.
CREATE OR REPLACE FUNCTION {schema}.fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (CASE
        WHEN (CASE
            WHEN pg_catalog.pg_current_xact_id_if_assigned() IS NULL
                THEN pg_catalog.pg_current_xact_id() IS NOT NULL
            WHEN pg_catalog.current_setting('pupwasm.fence_' || TG_RELID, true) IS DISTINCT FROM pg_catalog.pg_current_xact_id()::text
                THEN pg_catalog.set_config('pupwasm.fence_' || TG_RELID, pg_catalog.pg_current_xact_id()::text, true) IS NOT NULL
            END)
        THEN (CASE
            -- The lock, and only behind it the look for sleepers. An oid beyond 2^31 becomes negative.
            WHEN pg_catalog.pg_advisory_xact_lock_shared(TG_RELID::integer,
                    (pg_catalog.set_config('pupwasm.fence_above_' || TG_TABLE_SCHEMA,
                        coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0)::text, true)::bigint % 2147483648)::integer) IS NOT NULL
                THEN pg_catalog.pg_sequence_last_value('{schema}.sleep') > 0
            END)
        END)
    THEN
        IF pg_catalog.pg_sequence_last_value('{schema}.sleep') > extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000
            AND {schema}.may_notify()
        THEN
            PERFORM pg_catalog.pg_notify(TG_TABLE_SCHEMA || '.wake', '');
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- A position that this transaction did not draw behind its fence may be one that readers have passed, and its event would never
-- be read; one above the sequence would not be read until the sequence comes there. COPY and OVERRIDING SYSTEM VALUE can
-- write any position, logical replication brings those of another log, and a sequence with a CACHE hands out old ones. The
-- trigger's condition costs a statement a few microseconds and a row nothing that can be measured; a function would.
--
-- When a trigger of somebody else appends within a statement, that append notes a position above those that the statement has
-- drawn already. The locks know better, and are looked at before anything is refused.
CREATE FUNCTION {schema}.check_position() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head bigint := coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0);
    cache bigint := (SELECT s.seqcache FROM pg_catalog.pg_sequence s WHERE s.seqrelid = '{schema}.events_global_position_seq'::pg_catalog.regclass);
BEGIN
    IF NEW.global_position <= head AND NEW.global_position > (
        SELECT min(head + 16777216 - (head + 16777216 - l.objid::bigint) % 2147483648)
        FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = TG_RELID AND l.pid = pg_catalog.pg_backend_pid()
        AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
    THEN
        RETURN NEW;
    END IF;
    IF cache > 1 THEN
        RAISE EXCEPTION 'position % was drawn before this transaction began to append, because the sequence of % has CACHE %, and hosts may have passed it: run ALTER SEQUENCE {schema}.events_global_position_seq CACHE 1, and append again from a new connection',
            NEW.global_position, TG_RELID::pg_catalog.regclass, cache USING ERRCODE = 'generated_always';
    END IF;
    RAISE EXCEPTION 'an event cannot be given position %, which hosts may have passed: leave global_position out of the INSERT or COPY into %, it is assigned (to restore a backup, see "Backup and restore" in docs/running.md)',
        NEW.global_position, TG_RELID::pg_catalog.regclass USING ERRCODE = 'generated_always';
END $$;

-- IS NOT TRUE: where the fence did not run, as in logical replication, nothing is noted.
CREATE TRIGGER check_position BEFORE INSERT ON {schema}.events FOR EACH ROW
    WHEN ((NEW.global_position > pg_catalog.current_setting('pupwasm.fence_above_' || btrim('{schema}', '"'), true)::bigint
        AND NEW.global_position <= pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq')) IS NOT TRUE)
    EXECUTE FUNCTION {schema}.check_position();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER check_position;

CREATE FUNCTION {schema}.keep_position() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'event % cannot be moved to position %: append another event', OLD.global_position, NEW.global_position
        USING ERRCODE = 'generated_always';
END $$;

CREATE TRIGGER keep_position BEFORE UPDATE ON {schema}.events FOR EACH ROW
    WHEN (NEW.global_position <> OLD.global_position) EXECUTE FUNCTION {schema}.keep_position();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER keep_position;

-- append_event is append_events for one event, the most frequent append. It returns the event's position and version.
--
-- ON CONFLICT DO UPDATE with a condition that is false locks the stream's row, or makes it, and writes no new one.
CREATE FUNCTION {schema}.append_event(
    bounded_context text, aggregate_type text, aggregate_id text, partition_hash bigint, expected_version bigint,
    event_id uuid, event_type text, event_version integer, payload bytea, metadata jsonb,
    trace_id text, correlation_id text, causation_id text, created_at timestamptz
) RETURNS bigint[] LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_variable
DECLARE
    head bigint;
    "position" bigint;
BEGIN
    INSERT INTO {schema}.streams AS s VALUES (bounded_context, aggregate_type, aggregate_id)
        ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE SET aggregate_id = s.aggregate_id WHERE false;
    head := coalesce((
        SELECT e.aggregate_version FROM {schema}.events AS e
        WHERE e.bounded_context = append_event.bounded_context AND e.aggregate_type = append_event.aggregate_type
        AND e.aggregate_id = append_event.aggregate_id
        ORDER BY e.aggregate_version DESC LIMIT 1), 0);
    IF expected_version >= 0 AND expected_version <> head THEN
        RAISE EXCEPTION 'version conflict' USING ERRCODE = 'PW001', DETAIL = format('event 1: the stream is at version %s', head);
    END IF;
    INSERT INTO {schema}.events AS e (bounded_context, aggregate_type, aggregate_id, partition_hash, aggregate_version,
            event_id, event_type, event_version, payload, metadata, trace_id, correlation_id, causation_id, created_at)
        VALUES (bounded_context, aggregate_type, aggregate_id, partition_hash, head + 1,
            event_id, event_type, event_version, payload, coalesce(metadata, '{}'),
            trace_id, correlation_id, causation_id, coalesce(created_at, now()))
        RETURNING e.global_position INTO "position";
    RETURN ARRAY["position", head + 1];
END $$;

-- lock_streams makes or locks the rows of streams, which must be different, and returns their last versions in the order given.
-- The rows are met in the order of their bytes, so that two appends cannot wait for each other.
--
-- The log is the truth about versions: somebody may have inserted into it directly. It is read by a statement that begins
-- when the locks are held.
CREATE FUNCTION {schema}.lock_streams(bounded_context text[], aggregate_type text[], aggregate_id text[]) RETURNS bigint[]
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO {schema}.streams AS s
        SELECT n.c, n.t, n.i FROM unnest(bounded_context, aggregate_type, aggregate_id) AS n (c, t, i)
        ORDER BY n.c COLLATE "C", n.t COLLATE "C", n.i COLLATE "C"
        ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE SET aggregate_id = s.aggregate_id WHERE false;
    RETURN (
        SELECT array_agg(coalesce((
            SELECT e.aggregate_version FROM {schema}.events AS e
            WHERE e.bounded_context = n.c AND e.aggregate_type = n.t AND e.aggregate_id = n.i
            ORDER BY e.aggregate_version DESC LIMIT 1), 0) ORDER BY n.o)
        FROM unnest(bounded_context, aggregate_type, aggregate_id) WITH ORDINALITY AS n (c, t, i, o));
END $$;

-- stored_ids tells of each event id whether it is stored.
CREATE FUNCTION {schema}.stored_ids(event_id uuid[]) RETURNS boolean[]
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT array_agg((SELECT true FROM {schema}.events AS e WHERE e.event_id = d.id) IS TRUE ORDER BY d.o)
        FROM unnest(event_id) WITH ORDINALITY AS d (id, o));
END $$;

-- append_events as before, with plans that are made once a session: the arrays are different every time, and a plan for
-- them alone took longer than to append a few events. Streams and events are joined, because an element of an array of text is
-- found by going through those before it. Without nested loops, since nobody knows how long an array will be.
--
-- An element whose e_stream is below 0 adds no event to the stream of that number: only its expected version is checked, in its place
-- among the others.
--
-- All conflicts are told, in DETAIL, parted by semicolons.
CREATE OR REPLACE FUNCTION {schema}.append_events(
    s_bounded_context text[], s_aggregate_type text[], s_aggregate_id text[], s_partition_hash bigint[],
    e_stream integer[], e_expected bigint[], e_event_id uuid[], e_event_type text[], e_event_version integer[], e_payload bytea[], e_metadata jsonb[],
    e_trace_id text[], e_correlation_id text[], e_causation_id text[], e_created_at timestamptz[],
    skip_duplicates boolean DEFAULT false
) RETURNS TABLE (ordinal bigint, event_id uuid, global_position bigint, aggregate_version bigint)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_nestloop = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    heads bigint[] := {schema}.lock_streams(s_bounded_context, s_aggregate_type, s_aggregate_id);
    known boolean[]; -- for each element, whether it adds nothing; null when all add
    added bigint[]; -- the index of each element that adds an event, likewise
    conflicts text;
BEGIN
    IF skip_duplicates THEN
        known := {schema}.stored_ids(e_event_id);
    END IF;
    IF 0 > ANY (e_stream) THEN
        known := (
            SELECT array_agg(g.s < 0 OR coalesce(known[g.o], false) ORDER BY g.o) FROM unnest(e_stream) WITH ORDINALITY AS g (s, o));
    END IF;
    IF true = ANY (known) THEN
        added := (SELECT array_agg(k.o ORDER BY k.o) FROM unnest(known) WITH ORDINALITY AS k (k, o) WHERE NOT k.k);
    ELSE
        known := NULL;
    END IF;

    IF 0 <= ANY (e_expected) THEN
        conflicts := (
            SELECT string_agg(format('event %s: the stream is at version %s', g.o, g.actual), '; ' ORDER BY g.o)
            FROM (
                SELECT d.o, d.x, heads[abs(d.s)] + count(*) FILTER (WHERE d.s > 0) OVER (
                    PARTITION BY abs(d.s) ORDER BY d.o ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                FROM unnest(e_stream, e_expected) WITH ORDINALITY AS d (s, x, o) WHERE known IS NULL OR NOT known[d.o] OR d.s < 0
            ) AS g (o, expected, actual)
            WHERE g.expected >= 0 AND g.expected <> g.actual);
        IF conflicts IS NOT NULL THEN
            RAISE EXCEPTION 'version conflict' USING ERRCODE = 'PW001', DETAIL = conflicts;
        END IF;
    END IF;

    RETURN QUERY
        WITH inserted AS (
            INSERT INTO {schema}.events AS e (bounded_context, aggregate_type, aggregate_id, partition_hash, aggregate_version,
                event_id, event_type, event_version, payload, metadata, trace_id, correlation_id, causation_id, created_at)
            SELECT n.c, n.t, n.i, n.h, n.head + row_number() OVER (PARTITION BY g.s ORDER BY g.o),
                g.id, g.type, g.version, g.payload, coalesce(g.metadata, '{}'),
                g.trace, g.correlation, g.causation, coalesce(g.created, now())
            FROM unnest(e_stream, e_event_id, e_event_type, e_event_version, e_payload, e_metadata,
                    e_trace_id, e_correlation_id, e_causation_id, e_created_at)
                    WITH ORDINALITY AS g (s, id, type, version, payload, metadata, trace, correlation, causation, created, o)
                JOIN unnest(s_bounded_context, s_aggregate_type, s_aggregate_id, s_partition_hash, heads)
                    WITH ORDINALITY AS n (c, t, i, h, head, o) ON n.o = g.s
            WHERE known IS NULL OR NOT known[g.o]
            ORDER BY g.o
            RETURNING e.event_id, e.global_position, e.aggregate_version
        ), ordered AS (
            SELECT row_number() OVER (ORDER BY i.global_position) AS n, i.* FROM inserted AS i
        )
        SELECT coalesce(added[o.n], o.n), o.event_id, o.global_position, o.aggregate_version FROM ordered AS o ORDER BY o.n;
END $$;

-- begin_load is the first half of a load by COPY: it locks the streams, and tells their last versions, which of the events are
-- stored already, the last position handed out, and the time of the append. event_id is empty when nobody asks.
CREATE FUNCTION {schema}.begin_load(
    bounded_context text[], aggregate_type text[], aggregate_id text[], event_id uuid[],
    OUT heads bigint[], OUT stored boolean[], OUT head bigint, OUT at timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    heads := {schema}.lock_streams(bounded_context, aggregate_type, aggregate_id);
    stored := {schema}.stored_ids(event_id);
    head := coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0);
    at := now();
END $$;

-- loaded returns the positions above one that this transaction has filled, in their order. It does not see what a savepoint has
-- written. Another number of events than expected comes from a trigger that is not ours, and nothing could be told of positions.
CREATE FUNCTION {schema}.loaded(above bigint, expected bigint) RETURNS bigint[] LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    positions bigint[] := (
        SELECT array_agg(e.global_position ORDER BY e.global_position) FROM {schema}.events AS e
        WHERE e.global_position > above AND e.xmin = pg_catalog.pg_current_xact_id()::xid);
BEGIN
    IF coalesce(cardinality(positions), 0) <> expected THEN
        RAISE EXCEPTION '% of % events were stored', coalesce(cardinality(positions), 0), expected;
    END IF;
    RETURN positions;
END $$;
