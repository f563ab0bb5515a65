-- The event log, its append fence, and the appends.

CREATE TABLE {schema}.events (
    global_position   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bounded_context   text NOT NULL,
    aggregate_type    text NOT NULL,
    aggregate_id      text NOT NULL,
    aggregate_version bigint NOT NULL CHECK (aggregate_version > 0),
    event_id          uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT events_event_id_key UNIQUE,
    event_type        text NOT NULL,
    event_version     integer NOT NULL DEFAULT 1,
    payload           bytea NOT NULL,
    metadata          jsonb NOT NULL DEFAULT '{}',
    trace_id          text,
    correlation_id    text,
    causation_id      text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    -- FNV-1a 32 of aggregate_id, unsigned: a segment is a range test. bigint, because integer ends at 2^31. A hash out of
    -- range would belong to no segment, and its event would never be read.
    partition_hash    bigint NOT NULL CHECK (partition_hash BETWEEN 0 AND 4294967295),
    CONSTRAINT events_stream_version_key UNIQUE (bounded_context, aggregate_type, aggregate_id, aggregate_version)
);

-- The identity of the log: a checkpoint must not go on with another one. A copy of the database has the same id; what tells copies
-- apart are the server's timeline and the events themselves.
CREATE TABLE {schema}.log (
    id  uuid NOT NULL DEFAULT gen_random_uuid(),
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO {schema}.log DEFAULT VALUES;

-- With the timeline of this server at this moment, which is another one as soon as a standby has taken a server's place. The control
-- file is no source of it: it follows with a checkpoint. A standby has none, and what is read there counts for nothing.
CREATE VIEW {schema}.log_id AS
    SELECT l.id, CASE WHEN pg_catalog.pg_is_in_recovery() THEN 0
        ELSE ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::bit(32)::bigint END AS timeline
    FROM {schema}.log l;
GRANT SELECT ON {schema}.log_id TO PUBLIC;

-- event_at returns the id of the event at a position, or zeros where there is none. Its plan is kept for a session: see append_events.
CREATE FUNCTION {schema}.event_at(of_position bigint) RETURNS uuid LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN coalesce((SELECT e.event_id FROM {schema}.events e WHERE e.global_position = of_position),
        '00000000-0000-0000-0000-000000000000');
END $$;

-- One row a stream, which an append locks before it takes its first position, so that positions grow with versions.
CREATE TABLE {schema}.streams (
    bounded_context text NOT NULL,
    aggregate_type  text NOT NULL,
    aggregate_id    text NOT NULL,
    PRIMARY KEY (bounded_context, aggregate_type, aggregate_id)
);

-- The append fence. A sequence hands out positions before their transactions commit, so a reader must know which
-- positions may still appear. Every transaction that inserts holds a shared advisory lock whose key is the last position
-- handed out before its own first one; {schema}.horizon() is the lowest key held. The transaction's setting remembers
-- that the lock is held, so that ten thousand single inserts take one lock and not ten thousand. A savepoint that is
-- rolled back takes back the setting and the lock together. The setting holds the transaction's id, so that a value left
-- by somebody else's SET cannot stand for the lock.
CREATE FUNCTION {schema}.fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    namespace bigint := TG_RELID::bigint;
    fence text := 'pupwasm.fence_' || TG_RELID;
    this text := pg_catalog.pg_current_xact_id()::text;
BEGIN
    IF pg_catalog.current_setting(fence, true) IS DISTINCT FROM this THEN
        PERFORM pg_catalog.pg_advisory_xact_lock_shared(
            (CASE WHEN namespace > 2147483647 THEN namespace - 4294967296 ELSE namespace END)::integer,
            (coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0) % 2147483648)::integer);
        PERFORM pg_catalog.set_config(fence, this, true);
    END IF;
    RETURN NULL;
END $$;

-- The fence reads the sequence with the rights of whoever inserts, and an identity column asks for none.
GRANT SELECT ON SEQUENCE {schema}.events_global_position_seq TO PUBLIC;

CREATE TRIGGER fence BEFORE INSERT ON {schema}.events FOR EACH STATEMENT EXECUTE FUNCTION {schema}.fence();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER fence;

-- horizon tells how far it is safe to read: the last position handed out, the position up to which none can still appear,
-- and the process that holds it back. The sequence is read first and the locks second; a commit becomes visible before its
-- locks are released; so whatever is not locked here is visible to a statement that starts after this one. Never read
-- events in the same statement, nor in the same transaction above READ COMMITTED. A standby has none of the locks.
CREATE FUNCTION {schema}.horizon(OUT head bigint, OUT horizon bigint, OUT holder integer) LANGUAGE plpgsql AS $$
BEGIN
    IF pg_catalog.pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby does not know which appends are under way' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    head := coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0);
    -- A lock's key is a position modulo 2^31. Unfolded, it lies up to 2^24 above the head, since a writer may have taken
    -- its lock after the head was read, and otherwise below. A key above the head holds nothing back.
    SELECT head + 16777216 - (head + 16777216 - l.objid::bigint) % 2147483648, coalesce(l.pid, 0)
        INTO horizon, holder
        FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = '{schema}.events'::pg_catalog.regclass
        AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
        ORDER BY 1 LIMIT 1;
    IF NOT FOUND OR horizon >= head THEN
        horizon := head;
        holder := 0;
    END IF;
END $$;

CREATE FUNCTION {schema}.fnv1a32(value text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    bytes bytea := convert_to(value, 'UTF8');
    hash bigint := 2166136261;
BEGIN
    FOR i IN 0 .. length(bytes) - 1 LOOP
        hash := ((hash # get_byte(bytes, i)) * 16777619) & 4294967295;
    END LOOP;
    RETURN hash;
END $$;

CREATE FUNCTION {schema}.fill_partition_hash() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.partition_hash := {schema}.fnv1a32(NEW.aggregate_id);
    RETURN NEW;
END $$;

-- Only writers that leave the hash out pay for it.
CREATE TRIGGER fill_partition_hash BEFORE INSERT ON {schema}.events
    FOR EACH ROW WHEN (NEW.partition_hash IS NULL) EXECUTE FUNCTION {schema}.fill_partition_hash();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER fill_partition_hash;

-- append_events adds events of any number of streams, or none of them. The arrays of streams (s_…) have one element a
-- stream, those of events (e_…) one an event; e_stream is the event's index into the streams, from 1, and e_expected the
-- version that the stream must have before the event, or -1 for any. With skip_duplicates, events whose id is stored are
-- left out before versions are checked. The result has a row for every event that was added, with its index.
--
-- Errors: PW001 version conflict, with the event's index and the stream's version in DETAIL; unique_violation on
-- events_event_id_key for an event id that is stored.
--
-- Tables are met in subselects that find one row each, and never by sequential scan: plans are kept for a session, and one
-- that was made while the tables were small must not become slow as they grow.
CREATE FUNCTION {schema}.append_events(
    s_bounded_context text[], s_aggregate_type text[], s_aggregate_id text[], s_partition_hash bigint[],
    e_stream integer[], e_expected bigint[], e_event_id uuid[], e_event_type text[], e_event_version integer[], e_payload bytea[], e_metadata jsonb[],
    e_trace_id text[], e_correlation_id text[], e_causation_id text[], e_created_at timestamptz[],
    skip_duplicates boolean DEFAULT false
) RETURNS TABLE (ordinal bigint, event_id uuid, global_position bigint, aggregate_version bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    heads bigint[]; -- the last version of each stream
    known boolean[]; -- for each event, whether it is left out
    added bigint[]; -- the index of each event that is not
    conflict record;
BEGIN
    -- In the order of the key, here and below, so that two appends cannot wait for each other.
    INSERT INTO {schema}.streams AS s
        SELECT n.c, n.t, n.i FROM unnest(s_bounded_context, s_aggregate_type, s_aggregate_id) AS n (c, t, i)
        ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
    PERFORM (
            SELECT true FROM {schema}.streams AS s
            WHERE s.bounded_context = n.c AND s.aggregate_type = n.t AND s.aggregate_id = n.i FOR NO KEY UPDATE)
        FROM (SELECT * FROM unnest(s_bounded_context, s_aggregate_type, s_aggregate_id) ORDER BY 1, 2, 3) AS n (c, t, i);

    IF skip_duplicates THEN
        SELECT array_agg(g.k ORDER BY g.o), array_agg(g.o ORDER BY g.o) FILTER (WHERE NOT g.k) INTO known, added FROM (
            SELECT d.o, (SELECT true FROM {schema}.events AS e WHERE e.event_id = d.id) IS TRUE
            FROM unnest(e_event_id) WITH ORDINALITY AS d (id, o)) AS g (o, k);
    END IF;

    -- The log is the truth about versions: somebody may have inserted into it directly.
    SELECT array_agg(coalesce((
            SELECT e.aggregate_version FROM {schema}.events AS e
            WHERE e.bounded_context = n.c AND e.aggregate_type = n.t AND e.aggregate_id = n.i
            ORDER BY e.aggregate_version DESC LIMIT 1), 0) ORDER BY n.o)
        INTO heads
        FROM unnest(s_bounded_context, s_aggregate_type, s_aggregate_id) WITH ORDINALITY AS n (c, t, i, o);

    SELECT g.o, g.actual INTO conflict
        FROM (
            SELECT d.o, d.x, heads[d.s] + row_number() OVER (PARTITION BY d.s ORDER BY d.o) - 1
            FROM unnest(e_stream, e_expected) WITH ORDINALITY AS d (s, x, o) WHERE known IS NULL OR NOT known[d.o]
        ) AS g (o, expected, actual)
        WHERE g.expected >= 0 AND g.expected <> g.actual
        ORDER BY g.o LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'version conflict' USING ERRCODE = 'PW001',
            DETAIL = format('event %s: the stream is at version %s', conflict.o, conflict.actual);
    END IF;

    RETURN QUERY
        WITH inserted AS (
            INSERT INTO {schema}.events AS e (bounded_context, aggregate_type, aggregate_id, partition_hash, aggregate_version,
                event_id, event_type, event_version, payload, metadata, trace_id, correlation_id, causation_id, created_at)
            SELECT s_bounded_context[g.s], s_aggregate_type[g.s], s_aggregate_id[g.s], s_partition_hash[g.s],
                heads[g.s] + row_number() OVER (PARTITION BY g.s ORDER BY g.o),
                g.id, g.type, g.version, g.payload, coalesce(g.metadata, '{}'),
                g.trace, g.correlation, g.causation, coalesce(g.created, now())
            FROM unnest(e_stream, e_event_id, e_event_type, e_event_version, e_payload, e_metadata,
                e_trace_id, e_correlation_id, e_causation_id, e_created_at)
                WITH ORDINALITY AS g (s, id, type, version, payload, metadata, trace, correlation, causation, created, o)
            WHERE known IS NULL OR NOT known[g.o]
            ORDER BY g.o
            RETURNING e.event_id, e.global_position, e.aggregate_version
        ), ordered AS (
            SELECT row_number() OVER (ORDER BY i.global_position) AS n, i.* FROM inserted AS i
        )
        SELECT coalesce(added[o.n], o.n), o.event_id, o.global_position, o.aggregate_version FROM ordered AS o ORDER BY o.n;
END $$;

-- append is append_events for one stream and for every language: events is a JSON array of objects with event_type and
-- payload, and optionally event_id, event_version, metadata, trace_id, correlation_id, causation_id, created_at. payload is
-- any JSON, stored as it is written; payload_base64 stands for it when it is not JSON. expected_version: -1 any, 0 no stream.
CREATE FUNCTION {schema}.append(
    bounded_context text, aggregate_type text, aggregate_id text, events json, expected_version bigint DEFAULT -1
) RETURNS TABLE (event_id uuid, global_position bigint, aggregate_version bigint)
LANGUAGE sql AS $$
    WITH given AS (
        SELECT array_agg(1 ORDER BY o) AS stream,
            array_agg(coalesce((e ->> 'event_id')::uuid, gen_random_uuid()) ORDER BY o) AS id,
            array_agg(CASE WHEN o = 1 THEN expected_version ELSE -1 END ORDER BY o) AS expected,
            array_agg(e ->> 'event_type' ORDER BY o) AS type,
            array_agg(coalesce((e ->> 'event_version')::integer, 1) ORDER BY o) AS version,
            array_agg(coalesce(decode(e ->> 'payload_base64', 'base64'), convert_to((e -> 'payload')::text, 'UTF8'), ''::bytea)
                ORDER BY o) AS payload,
            array_agg((e -> 'metadata')::jsonb ORDER BY o) AS metadata,
            array_agg(e ->> 'trace_id' ORDER BY o) AS trace,
            array_agg(e ->> 'correlation_id' ORDER BY o) AS correlation,
            array_agg(e ->> 'causation_id' ORDER BY o) AS causation,
            array_agg((e ->> 'created_at')::timestamptz ORDER BY o) AS created
        FROM json_array_elements(events) WITH ORDINALITY AS given (e, o)
    )
    SELECT a.event_id, a.global_position, a.aggregate_version
    FROM given, {schema}.append_events(
        ARRAY[bounded_context], ARRAY[aggregate_type], ARRAY[aggregate_id], ARRAY[{schema}.fnv1a32(aggregate_id)],
        given.stream, given.expected, given.id, given.type, given.version, given.payload, given.metadata,
        given.trace, given.correlation, given.causation, given.created) AS a
    ORDER BY a.ordinal
$$;
