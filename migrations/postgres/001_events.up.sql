-- The event log, its append fence, and the appends. They are one script, since the log is not safe without all of it.

-- Elsewhere text is stored as other bytes than were given, or without being looked at.
DO $$ BEGIN
    IF pg_catalog.current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the database has the encoding %, pupwasm needs UTF8',
            pg_catalog.current_setting('server_encoding');
    END IF;
END $$;

-- What an event may be is checked for every writer, so that what comes in by any door can come out and go in by
-- every other. A payload is any bytes; its limit is a setting of the appender.
CREATE TABLE {schema}.events (
    global_position   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bounded_context   text NOT NULL CHECK (octet_length(bounded_context) BETWEEN 1 AND 800),
    aggregate_type    text NOT NULL CHECK (octet_length(aggregate_type) BETWEEN 1 AND 800),
    aggregate_id      text NOT NULL CHECK (octet_length(aggregate_id) BETWEEN 1 AND 800),
    aggregate_version bigint NOT NULL CHECK (aggregate_version > 0),
    event_id          uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT events_event_id_key UNIQUE
                      CHECK (event_id <> '00000000-0000-0000-0000-000000000000'), -- which means none
    event_type        text NOT NULL CHECK (octet_length(event_type) BETWEEN 1 AND 800),
    event_version     integer NOT NULL DEFAULT 1 CHECK (event_version >= 1),
    payload           bytea NOT NULL,
    -- The size is that of the text that readers get: a few bytes of jsonb may be a number of 100,000 digits.
    metadata          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'
        AND octet_length(metadata::text) <= 1048576),
    trace_id          text CHECK (octet_length(trace_id) <= 800),
    correlation_id    text CHECK (octet_length(correlation_id) <= 800),
    causation_id      text CHECK (octet_length(causation_id) <= 800),
    -- The years that RFC 3339 can write. The beginning of the first one means no time.
    created_at        timestamptz NOT NULL DEFAULT now()
                      CHECK (created_at > '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00'),
    -- FNV-1a 32 of aggregate_id, unsigned: a segment is a range test. bigint, because integer ends at 2^31. A hash
    -- out of range would belong to no segment, and its event would never be read.
    partition_hash    bigint NOT NULL CHECK (partition_hash BETWEEN 0 AND 4294967295),
    CONSTRAINT events_stream_version_key UNIQUE (bounded_context, aggregate_type, aggregate_id, aggregate_version)
);

-- The identity of the log: a checkpoint must not go on with another one. A copy of the database has the same id;
-- what tells copies apart are the server's timeline and the events themselves.
CREATE TABLE {schema}.log (
    id  uuid NOT NULL DEFAULT gen_random_uuid(),
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO {schema}.log DEFAULT VALUES;

-- With the timeline of this server at this moment, which is another one as soon as a standby has taken a server's
-- place. The control file is no source of it: it follows with a checkpoint. A standby has none, and what is read
-- there counts for nothing.
CREATE VIEW {schema}.log_id AS
    SELECT l.id, CASE WHEN pg_catalog.pg_is_in_recovery() THEN 0
        ELSE ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()),
            8))::bit(32)::bigint END AS timeline
    FROM {schema}.log l WHERE l.one;
GRANT SELECT ON {schema}.log_id TO PUBLIC;

-- event_at returns the id of the event at a position, or zeros where there is none. Its plan is kept for a
-- session: see append_events.
CREATE FUNCTION {schema}.event_at(of_position bigint) RETURNS uuid
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN coalesce((SELECT e.event_id FROM {schema}.events e WHERE e.global_position = of_position),
        '00000000-0000-0000-0000-000000000000');
END $$;

-- next_event_time returns when the first event behind a position was created, and null where there is none.
CREATE FUNCTION {schema}.next_event_time(after bigint) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_sort = off AS $$
BEGIN
    RETURN (SELECT e.created_at FROM {schema}.events e WHERE e.global_position > after
        ORDER BY e.global_position LIMIT 1);
END $$;

-- last_event returns the last event up to a position, and zeros where there is none.
CREATE FUNCTION {schema}.last_event(up_to bigint, OUT last_position bigint, OUT last_event uuid)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_sort = off AS $$
BEGIN
    SELECT e.global_position, e.event_id INTO last_position, last_event FROM {schema}.events e
        WHERE e.global_position <= up_to ORDER BY e.global_position DESC LIMIT 1;
    IF NOT FOUND THEN
        last_position := 0;
        last_event := '00000000-0000-0000-0000-000000000000';
    END IF;
END $$;

-- One row a stream, which an append locks before it takes its first position, so that positions grow with versions.
CREATE TABLE {schema}.streams (
    bounded_context text NOT NULL,
    aggregate_type  text NOT NULL,
    aggregate_id    text NOT NULL,
    PRIMARY KEY (bounded_context, aggregate_type, aggregate_id)
);

-- Until when a listener is armed, in microseconds since 1970; 0 when none is. Appends check it. A sequence is
-- visible at once and to every snapshot, and is read without a query; a row would be hidden from a repeatable-read
-- transaction that began before the listener was armed.
CREATE SEQUENCE {schema}.armed_until MINVALUE 0 START 0;
SELECT pg_catalog.setval('{schema}.armed_until', 0);

-- The fence reads it with the rights of the inserting role.
GRANT SELECT ON SEQUENCE {schema}.armed_until TO PUBLIC;

-- may_notify tells whether appends notify at all. A transaction that has notified cannot be prepared, and a hint
-- must not make an append fail: where the server allows two-phase commit, notifications are off unless the setting
-- pupwasm.notify is on. Writers that prepare their transactions set it to off for themselves then.
CREATE FUNCTION {schema}.may_notify() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE pg_catalog.lower(coalesce(pg_catalog.current_setting('pupwasm.notify', true), ''))
        WHEN '' THEN pg_catalog.current_setting('max_prepared_transactions') = '0' WHEN 'on' THEN true ELSE false END
$$;

-- The append fence. A sequence hands out positions before their transactions commit, so a reader must know which
-- positions may still appear. Every transaction that inserts holds a shared advisory lock whose key is the last
-- position handed out before its own first one; {schema}.horizon() is the lowest key held. The transaction's
-- setting remembers that the lock is held, so that ten thousand single inserts take one lock and not ten thousand.
-- A savepoint that is rolled back undoes the setting and the lock together. The setting holds the
-- transaction's id, so that a value left by somebody else's SET is not taken for the lock.
--
-- It is in as few expressions as it can be, since each one costs a microsecond in a transaction with one row.
-- CASE, and not AND, has an order of evaluation.
--
-- A transaction without an id has inserted nothing yet. It takes its lock and does not remember that it has, which
-- spares single rows a setting; a second statement takes one lock more, which holds back less than the first, and
-- remembers it.
--
-- Beside the lock it notes the position that the lock is at, for check_position.
CREATE FUNCTION {schema}.fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (CASE
        WHEN (CASE
            WHEN pg_catalog.pg_current_xact_id_if_assigned() IS NULL
                THEN pg_catalog.pg_current_xact_id() IS NOT NULL
            WHEN pg_catalog.current_setting('pupwasm.fence_' || TG_RELID, true) IS DISTINCT
                FROM pg_catalog.pg_current_xact_id()::text
                THEN pg_catalog.set_config('pupwasm.fence_' || TG_RELID, pg_catalog.pg_current_xact_id()::text,
                    true) IS NOT NULL
            END)
        THEN (CASE
            -- First the lock, then the check for listeners. An oid beyond 2^31 becomes negative.
            WHEN pg_catalog.pg_advisory_xact_lock_shared(TG_RELID::integer,
                    (pg_catalog.set_config('pupwasm.fence_above_' || TG_TABLE_SCHEMA,
                        coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0)::text,
                            true)::bigint % 2147483648)::integer) IS NOT NULL
                THEN pg_catalog.pg_sequence_last_value('{schema}.armed_until') > 0
            END)
        END)
    THEN
        IF pg_catalog.pg_sequence_last_value('{schema}.armed_until') > extract(epoch
            FROM pg_catalog.clock_timestamp()) * 1000000
            AND {schema}.may_notify()
        THEN
            PERFORM pg_catalog.pg_notify(TG_TABLE_SCHEMA || '.wake', '');
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- The fence reads the sequence with the rights of the inserting role, and an identity column asks for none.
GRANT SELECT ON SEQUENCE {schema}.events_global_position_seq TO PUBLIC;

CREATE TRIGGER fence BEFORE INSERT ON {schema}.events FOR EACH STATEMENT EXECUTE FUNCTION {schema}.fence();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER fence;

-- A position that this transaction did not draw behind its fence may be one that readers have passed, and its
-- event would never be read; one above the sequence would not be read until the sequence comes there. COPY and
-- OVERRIDING SYSTEM VALUE can write any position, logical replication brings those of another log, and a sequence
-- with a CACHE hands out old ones. The trigger's condition costs a statement a few microseconds and a row nothing
-- that can be measured; a function would.
--
-- When a trigger of somebody else appends within a statement, that append notes a position above those that the
-- statement has drawn already. The locks know better, and are looked at before anything is refused.
CREATE FUNCTION {schema}.check_position() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head bigint := coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0);
    cache bigint := (SELECT s.seqcache FROM pg_catalog.pg_sequence s
        WHERE s.seqrelid = '{schema}.events_global_position_seq'::pg_catalog.regclass);
BEGIN
    IF NEW.global_position <= head AND NEW.global_position > (
        SELECT min(head + 16777216 - (head + 16777216 - l.objid::bigint) % 2147483648)
        FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = TG_RELID
            AND l.pid = pg_catalog.pg_backend_pid()
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
    WHEN ((NEW.global_position > pg_catalog.current_setting('pupwasm.fence_above_' || btrim('{schema}', '"'),
        true)::bigint
        AND NEW.global_position <= pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq')) IS NOT TRUE)
    EXECUTE FUNCTION {schema}.check_position();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER check_position;

CREATE FUNCTION {schema}.keep_position() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'event % cannot be moved to position %: append another event', OLD.global_position,
        NEW.global_position
        USING ERRCODE = 'generated_always';
END $$;

CREATE TRIGGER keep_position BEFORE UPDATE ON {schema}.events FOR EACH ROW
    WHEN (NEW.global_position <> OLD.global_position) EXECUTE FUNCTION {schema}.keep_position();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER keep_position;

-- horizon tells how far it is safe to read: the last position handed out, the position up to which none can still
-- appear, and what holds it back: a process, or a prepared transaction, which has none. The sequence is read first
-- and the locks second; a commit becomes visible before its locks are released; so whatever is not locked here is
-- visible to a statement that starts after this one. Never read events in the same statement, nor in the same
-- transaction above READ COMMITTED. A standby has none of the locks.
CREATE FUNCTION {schema}.horizon(OUT head bigint, OUT horizon bigint, OUT holder integer,
    OUT prepared text) LANGUAGE plpgsql AS $$
DECLARE
    holding text;
BEGIN
    IF pg_catalog.pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby does not know which appends are under way'
            USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    head := coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0);
    -- A lock's key is a position modulo 2^31. Unfolded, it lies up to 2^24 above the head, since a writer may have
    -- taken its lock after the head was read, and otherwise below. A key above the head holds nothing back.
    SELECT head + 16777216 - (head + 16777216 - l.objid::bigint) % 2147483648, coalesce(l.pid, 0), l.virtualtransaction
        INTO horizon, holder, holding
        FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = '{schema}.events'::pg_catalog.regclass
        AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
        ORDER BY 1 LIMIT 1;
    IF NOT FOUND OR horizon >= head THEN
        horizon := head;
        holder := 0;
    ELSIF holder = 0 THEN
        -- Its locks have no process, and among them is that of its transaction's id. It may have ended since the
        -- look above.
        prepared := (
            SELECT pg_catalog.format('prepared transaction %1$L of %2$s, prepared at %3$s: end it with COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L',
                p.gid, p.owner, pg_catalog.to_char(p.prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
            FROM pg_catalog.pg_prepared_xacts p JOIN pg_catalog.pg_locks l ON l.locktype = 'transactionid'
                AND l.transactionid = p.transaction
            WHERE l.pid IS NULL AND l.virtualtransaction = holding);
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

-- A change of the stream's id changes the hash. Set to NULL it is filled again.
CREATE TRIGGER refill_partition_hash BEFORE UPDATE OF aggregate_id, partition_hash ON {schema}.events
    FOR EACH ROW EXECUTE FUNCTION {schema}.fill_partition_hash();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER refill_partition_hash;

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
        RAISE EXCEPTION 'version conflict' USING ERRCODE = 'PW001',
            DETAIL = format('event 1: the stream is at version %s', head);
    END IF;
    INSERT INTO {schema}.events AS e (bounded_context, aggregate_type, aggregate_id, partition_hash, aggregate_version,
            event_id, event_type, event_version, payload, metadata, trace_id, correlation_id, causation_id, created_at)
        VALUES (bounded_context, aggregate_type, aggregate_id, partition_hash, head + 1,
            event_id, event_type, event_version, payload, coalesce(metadata, '{}'),
            trace_id, correlation_id, causation_id, coalesce(created_at, now()))
        RETURNING e.global_position INTO "position";
    RETURN ARRAY["position", head + 1];
END $$;

-- lock_streams makes or locks the rows of streams, which must be different, and returns their last versions in the
-- order given. The rows are met in the order of their bytes, so that two appends cannot wait for each other.
--
-- The log is the truth about versions: somebody may have inserted into it directly. It is read by a statement that
-- begins when the locks are held.
CREATE FUNCTION {schema}.lock_streams(bounded_context text[], aggregate_type text[],
    aggregate_id text[]) RETURNS bigint[]
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

-- append_events adds events of any number of streams, or none of them. The arrays of streams (s_…) have one
-- element a stream, those of events (e_…) one an event; e_stream is the event's index into the streams, from 1,
-- and e_expected the version that the stream must have before the event, or -1 for any. With skip_duplicates,
-- events whose id is stored are left out before versions are checked. The result has a row for every event that
-- was added, with its index.
--
-- An element whose e_stream is below 0 adds no event to the stream of that number: only its expected version is
-- checked, in its place among the others.
--
-- Errors: PW001 version conflict, with the indexes of all events that conflict and their streams' versions in
-- DETAIL, parted by semicolons; unique_violation on events_event_id_key for an event id that is stored.
--
-- Plans are made once a session: the arrays are different every time, and a plan for them alone took longer than
-- to append a few events. No table is read by sequential scan, since a plan that was made while the tables were
-- small must not become slow as they grow. Streams and events are joined, because an element of an array of text
-- is found by going through those before it. Without nested loops, since nobody knows how long an array will be.
CREATE FUNCTION {schema}.append_events(
    s_bounded_context text[], s_aggregate_type text[], s_aggregate_id text[], s_partition_hash bigint[],
    e_stream integer[], e_expected bigint[], e_event_id uuid[], e_event_type text[], e_event_version integer[],
        e_payload bytea[], e_metadata jsonb[],
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
            SELECT array_agg(g.s < 0 OR coalesce(known[g.o], false) ORDER BY g.o)
                FROM unnest(e_stream) WITH ORDINALITY AS g (s, o));
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
                FROM unnest(e_stream, e_expected) WITH ORDINALITY AS d (s, x, o) WHERE known IS NULL
                    OR NOT known[d.o] OR d.s < 0
            ) AS g (o, expected, actual)
            WHERE g.expected >= 0 AND g.expected <> g.actual);
        IF conflicts IS NOT NULL THEN
            RAISE EXCEPTION 'version conflict' USING ERRCODE = 'PW001', DETAIL = conflicts;
        END IF;
    END IF;

    RETURN QUERY
        WITH inserted AS (
            INSERT INTO {schema}.events AS e (bounded_context, aggregate_type, aggregate_id, partition_hash,
                aggregate_version,
                event_id, event_type, event_version, payload, metadata, trace_id, correlation_id, causation_id,
                    created_at)
            SELECT n.c, n.t, n.i, n.h, n.head + row_number() OVER (PARTITION BY g.s ORDER BY g.o),
                g.id, g.type, g.version, g.payload, coalesce(g.metadata, '{}'),
                g.trace, g.correlation, g.causation, coalesce(g.created, now())
            FROM unnest(e_stream, e_event_id, e_event_type, e_event_version, e_payload, e_metadata,
                    e_trace_id, e_correlation_id, e_causation_id, e_created_at)
                    WITH ORDINALITY AS g (s, id, type, version, payload, metadata, trace, correlation, causation,
                        created, o)
                JOIN unnest(s_bounded_context, s_aggregate_type, s_aggregate_id, s_partition_hash, heads)
                    WITH ORDINALITY AS n (c, t, i, h, head, o) ON n.o = g.s
            WHERE known IS NULL OR NOT known[g.o]
            ORDER BY g.o
            RETURNING e.event_id, e.global_position, e.aggregate_version
        ), ordered AS (
            SELECT row_number() OVER (ORDER BY i.global_position) AS n, i.* FROM inserted AS i
        )
        SELECT coalesce(added[o.n], o.n), o.event_id, o.global_position, o.aggregate_version FROM ordered AS o
            ORDER BY o.n;
END $$;

-- begin_load is the first half of a load by COPY: it locks the streams, and tells their last versions, which of
-- the events are stored already, the last position handed out, and the time of the append. event_id is empty when
-- nobody asks.
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

-- loaded returns the positions above one that this transaction has filled, in their order. It does not see what a
-- savepoint has written. Another number of events than expected comes from a trigger that is not ours, and nothing
-- could be told of positions.
CREATE FUNCTION {schema}.loaded(above bigint, expected bigint) RETURNS bigint[]
LANGUAGE plpgsql SET enable_seqscan = off AS $$
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

-- read_time reads RFC 3339, whatever the session's time zone is. What is below microseconds is cut off, and a leap
-- second is the beginning of the second after it.
CREATE FUNCTION {schema}.read_time(value text, OUT at timestamptz, OUT fault text) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    part text[];
    year integer; month integer; day integer; hour integer; minute integer; second integer;
    zone interval;
    utc timestamp;
BEGIN
    -- The usual form, in which PostgreSQL reads the same as what follows, and sooner.
    IF value ~ '^[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,6})?Z$' THEN
        at := value;
        RETURN;
    END IF;
    part := regexp_match(value, '^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.]([0-9]+))?'
        '(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))$');
    year := part[1]; month := part[2]; day := part[3]; hour := part[4]; minute := part[5]; second := part[6];
    IF part IS NULL OR month NOT BETWEEN 1 AND 12 OR day = 0 OR hour > 23 OR minute > 59 OR second > 60
        OR part[9]::integer > 23 OR part[10]::integer > 59
    THEN
        fault := 'must be a time such as 2006-01-02T15:04:05.999999Z (RFC 3339)';
        RETURN;
    END IF;
    IF year > 0 THEN
        IF day > extract(day FROM make_date(year, month, 1) + interval '1 month' - interval '1 day') THEN
            fault := format('has the day %s, which its month does not have', day);
            RETURN;
        END IF;
        zone := make_interval(hours => coalesce(part[9], '0')::integer, mins => coalesce(part[10], '0')::integer);
        utc := make_timestamp(year, month, day, hour, minute, 0) + make_interval(secs => second)
            + CASE part[8] WHEN '-' THEN zone ELSE -zone END;
        IF second < 60 THEN
            utc := utc + rpad(left(coalesce(part[7], ''), 6), 6, '0')::integer * interval '1 microsecond';
        ELSIF utc <> date_trunc('month', utc) THEN
            fault := 'has the second 60, which only the last minute of a month has, in UTC';
            RETURN;
        END IF;
    END IF;
    IF utc = '0001-01-01' THEN
        fault := 'means no time: leave it out to take the time of the append';
    ELSIF utc > '0001-01-01' AND utc < '10000-01-01' THEN
        at := utc AT TIME ZONE 'UTC';
    ELSE
        fault := 'is out of range: the years go from 1 to 9999';
    END IF;
END $$;

-- text_fault tells why a text cannot be stored in a field, or returns NULL.
CREATE FUNCTION {schema}.text_fault(field text, value text, required boolean) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN required AND coalesce(value, '') = '' THEN field || ' is required'
        WHEN octet_length(value) > 800 THEN format('%s has %s bytes, the limit is 800', field, octet_length(value))
    END
$$;

-- shown is a JSON value for a message.
CREATE FUNCTION {schema}.shown(value json) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN json_typeof(value) IN ('object', 'array') THEN 'an ' || json_typeof(value)
        ELSE left(value::text, 60) END
$$;

-- event_fault tells why append refuses an event, or returns NULL. It lets by what 'pupwasm append' lets by.
CREATE FUNCTION {schema}.event_fault(event json) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    member record;
    seen text[] := '{}';
    type text;
    fault text;
BEGIN
    IF event IS NULL OR json_typeof(event) <> 'object' THEN
        RETURN format('is %s, must be an object', coalesce(json_typeof(event), 'NULL'));
    END IF;
    FOR member IN
        SELECT m.key, m.value, json_typeof(m.value) AS kind, CASE WHEN m.key NOT LIKE 'payload%'
            THEN m.value #>> '{}' END AS text
            FROM json_each(event) AS m
    LOOP
        IF member.key = ANY (seen) THEN
            RETURN format('member %s is given twice', to_json(left(member.key, 60)));
        END IF;
        seen := seen || member.key;
        CASE member.key
        WHEN 'payload' THEN
            fault := CASE WHEN 'payload_base64' = ANY (seen)
                THEN 'payload and payload_base64 are both given, one event has one payload' END;
        WHEN 'event_type', 'trace_id', 'correlation_id', 'causation_id' THEN
            type := CASE member.key WHEN 'event_type' THEN member.text ELSE type END;
            fault := CASE WHEN member.kind NOT IN ('string', 'null') THEN format('%s is %s, must be a string',
                member.key, {schema}.shown(member.value))
                ELSE {schema}.text_fault(member.key, member.text, false) END;
        WHEN 'event_version' THEN
            fault := CASE
                WHEN member.kind = 'null' THEN NULL
                WHEN member.kind <> 'number' OR member.text !~ '^-?[0-9]+$'
                    THEN format('event_version is %s, must be a whole number', {schema}.shown(member.value))
                WHEN member.text::numeric NOT BETWEEN 1 AND 2147483647
                    THEN format('event_version is %s, must be from 1 to 2147483647', {schema}.shown(member.value))
            END;
        WHEN 'metadata' THEN
            fault := CASE
                WHEN member.kind NOT IN ('object', 'null') THEN 'metadata is not a JSON object'
                WHEN octet_length(member.value::jsonb::text) > 1048576
                    THEN format('metadata has %s bytes, the limit is 1048576', octet_length(member.value::jsonb::text))
            END;
        WHEN 'created_at' THEN
            fault := CASE
                WHEN member.kind = 'null' THEN NULL
                WHEN member.kind <> 'string' THEN format('created_at is %s, must be a string',
                    {schema}.shown(member.value))
                ELSE 'created_at is ' || left(member.value::text, 60) || ', ' || ({schema}.read_time(member.text)).fault
            END;
        WHEN 'event_id' THEN
            fault := CASE
                WHEN member.kind = 'null' THEN NULL
                WHEN member.text !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
                    THEN format('event_id is %s, must be a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx',
                        {schema}.shown(member.value))
                WHEN member.text = '00000000-0000-0000-0000-000000000000'
                    THEN 'event_id is the UUID of zeros, which means none: leave it out'
            END;
        WHEN 'payload_base64' THEN
            fault := CASE
                WHEN member.kind = 'null' THEN NULL
                WHEN member.kind <> 'string' THEN format('payload_base64 is %s, must be a string',
                    {schema}.shown(member.value))
                WHEN 'payload' = ANY (seen) THEN 'payload and payload_base64 are both given, one event has one payload'
            END;
        ELSE
            fault := format('member %s is not known: an event has event_type, event_version, created_at, payload, payload_base64, metadata, '
                'event_id, trace_id, correlation_id, causation_id', to_json(left(member.key, 60)));
        END CASE;
        IF fault IS NOT NULL THEN
            RETURN fault;
        END IF;
    END LOOP;
    PERFORM decode(event ->> 'payload_base64', 'base64');
    RETURN {schema}.text_fault('event_type', type, true);
EXCEPTION
    WHEN untranslatable_character OR invalid_text_representation THEN
        RETURN 'has a NUL character or half of a surrogate pair, which functions for JSON refuse here: give the payload as payload_base64';
    WHEN numeric_value_out_of_range THEN
        RETURN 'metadata has a number that is out of the range of PostgreSQL''s numbers';
    WHEN invalid_parameter_value THEN
        RETURN 'payload_base64 is not base64: ' || SQLERRM;
END $$;

-- append is append_events for one stream and for every language: events is a JSON array of objects with event_type
-- and payload, and optionally event_id, event_version, metadata, trace_id, correlation_id, causation_id,
-- created_at. payload is any JSON, stored as it is written; payload_base64 takes its place when it is not JSON, or
-- has \u0000 or half of a surrogate pair, which PostgreSQL's functions for JSON refuse and so does this one. A
-- member that is null counts as left out, a payload does not. expected_version: -1 any, 0 no stream; it is checked
-- also when there are no events.
--
-- Errors: invalid_parameter_value, with what is wrong and the event's index, besides those of append_events.
CREATE FUNCTION {schema}.append(
    bounded_context text, aggregate_type text, aggregate_id text, events json, expected_version bigint DEFAULT -1
) RETURNS TABLE (event_id uuid, global_position bigint, aggregate_version bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    wanted bigint := coalesce(expected_version, -1);
    head bigint;
    fault text := coalesce(
        {schema}.text_fault('bounded_context', bounded_context, true),
        {schema}.text_fault('aggregate_type', aggregate_type, true),
        {schema}.text_fault('aggregate_id', aggregate_id, true),
        CASE WHEN wanted < -1 THEN format('expected_version is %s, must be the version of the stream, 0 for a new one or -1 for any', wanted) END,
        CASE WHEN json_typeof(events) = 'array' THEN NULL
            ELSE format('events is %s, must be an array of events', coalesce(json_typeof(events), 'NULL')) END);
BEGIN
    IF fault IS NULL THEN
        fault := (
            SELECT format('event %s: %s', f.o, f.fault)
            FROM (SELECT g.o, {schema}.event_fault(g.e) FROM json_array_elements(events) WITH ORDINALITY AS g (e,
                o)) AS f (o, fault)
            WHERE f.fault IS NOT NULL ORDER BY f.o LIMIT 1);
    END IF;
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION '%', fault USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF wanted >= 0 AND json_array_length(events) = 0 THEN
        INSERT INTO {schema}.streams AS s VALUES (bounded_context, aggregate_type, aggregate_id)
            ON CONFLICT ON CONSTRAINT streams_pkey DO UPDATE SET aggregate_id = s.aggregate_id WHERE false;
        head := coalesce((
            SELECT e.aggregate_version FROM {schema}.events AS e
            WHERE e.bounded_context = append.bounded_context AND e.aggregate_type = append.aggregate_type
            AND e.aggregate_id = append.aggregate_id ORDER BY e.aggregate_version DESC LIMIT 1), 0);
        IF head <> wanted THEN
            RAISE EXCEPTION 'version conflict' USING ERRCODE = 'PW001',
                DETAIL = format('the stream is at version %s', head);
        END IF;
    END IF;
    RETURN QUERY
        WITH given AS (
            SELECT array_agg(1 ORDER BY o) AS stream,
                array_agg(coalesce((e ->> 'event_id')::uuid, gen_random_uuid()) ORDER BY o) AS id,
                array_agg(CASE WHEN o = 1 THEN wanted ELSE -1 END ORDER BY o) AS expected,
                array_agg(e ->> 'event_type' ORDER BY o) AS type,
                array_agg(coalesce((e ->> 'event_version')::integer, 1) ORDER BY o) AS version,
                array_agg(coalesce(decode(e ->> 'payload_base64', 'base64'), convert_to((e -> 'payload')::text,
                    'UTF8'), ''::bytea)
                    ORDER BY o) AS payload,
                array_agg(nullif((e -> 'metadata')::jsonb, 'null') ORDER BY o) AS metadata,
                array_agg(nullif(e ->> 'trace_id', '') ORDER BY o) AS trace,
                array_agg(nullif(e ->> 'correlation_id', '') ORDER BY o) AS correlation,
                array_agg(nullif(e ->> 'causation_id', '') ORDER BY o) AS causation,
                array_agg(({schema}.read_time(e ->> 'created_at')).at ORDER BY o) AS created
            FROM json_array_elements(events) WITH ORDINALITY AS given (e, o)
        )
        SELECT a.event_id, a.global_position, a.aggregate_version
        FROM given, {schema}.append_events(
            ARRAY[bounded_context], ARRAY[aggregate_type], ARRAY[aggregate_id], ARRAY[{schema}.fnv1a32(aggregate_id)],
            given.stream, given.expected, given.id, given.type, given.version, given.payload, given.metadata,
            given.trace, given.correlation, given.causation, given.created) AS a
        ORDER BY a.ordinal;
END $$;
