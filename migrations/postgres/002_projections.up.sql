-- Projections, their segments and who may advance them.

CREATE TABLE {schema}.projections (
    name         text,
    -- Which version, and which build of it, as one number: version + build * 100000000, so that it is the version itself
    -- for the first build. Other tables refer to this number.
    version      bigint,
    whole        boolean NOT NULL DEFAULT false, -- it takes all events in one order, and so has one segment
    segments     integer NOT NULL, -- how many were last asked for; 'segments split' and 'merge' leave it alone
    next_segment integer NOT NULL, -- numbers are not used again: a claim on a segment that is gone must not fit another
    -- What was installed, for the next install to compare with: the declaration of the tables, and what they are
    -- in the database.
    declaration  text NOT NULL,
    shapes       text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now(),
    paused_at    timestamptz, -- while it is set, no segment is given to a worker
    live         boolean NOT NULL,           -- the version that readers see
    promoted_at  timestamptz,                -- since when they see it, or when they saw it first the last time
    replaced     bigint NOT NULL DEFAULT 0,  -- the number of the version that they saw before, to go back to; 0: none
    rebuild      integer NOT NULL DEFAULT 0, -- the build of the version that is asked for and not begun; 0: none
    -- What ran the version last: a digest, and of a module its bytes, so that another can be compared with it.
    code         text NOT NULL DEFAULT '',
    module       bytea,
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX projections_live ON {schema}.projections (name) WHERE live;

-- A worker's lease is one row, apart from the checkpoints, so that its renewal never waits for a long batch. It
-- holds until expires_at. A lease that would hold for longer than twice its length was given before the server's
-- clock was set back: it is over.
CREATE TABLE {schema}.workers (
    worker      text PRIMARY KEY,
    incarnation text NOT NULL DEFAULT '',      -- of the process that has the name
    projections jsonb NOT NULL DEFAULT '[]',   -- those that it runs, as name, version and build
    refused     jsonb NOT NULL DEFAULT '[]',   -- those that it cannot run, and why
    troubles    jsonb NOT NULL DEFAULT '[]',   -- segments that make no progress in its hands, and why
    segments    integer NOT NULL DEFAULT 0,    -- into how many it would have a projection divided
    expires_at  timestamptz NOT NULL,
    ttl         interval NOT NULL              -- the length of the lease
);

-- The checkpoint of a segment, and who may move it. The streams of a segment are those whose partition hash,
-- spread, is from first_hash to last_hash. Segments that are being merged have the number of the one that they
-- become in merge_into; none of them passes the position merge_at, and when all have reached it the merge is
-- completed.
CREATE TABLE {schema}.segments (
    projection text NOT NULL,
    version    bigint NOT NULL,
    segment    integer NOT NULL,
    first_hash bigint NOT NULL,
    last_hash  bigint NOT NULL,
    position   bigint NOT NULL DEFAULT 0,
    owner      text,
    epoch      bigint NOT NULL DEFAULT 0,
    failure    text,
    merge_into integer NOT NULL DEFAULT 0,
    merge_at   bigint NOT NULL DEFAULT 0, -- 0: no merge
    -- The log that the checkpoint is of, and the last event of it up to the checkpoint, of whatever segment; zeros
    -- where there is none.
    log_id        uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    timeline      bigint NOT NULL DEFAULT 0,
    last_position bigint NOT NULL DEFAULT 0,
    last_event    uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- The time of the first of the latest commits that did not reach the end of the log; null when the last one did.
    behind_since timestamptz,
    PRIMARY KEY (projection, version, segment),
    FOREIGN KEY (projection, version) REFERENCES {schema}.projections ON DELETE CASCADE ON UPDATE CASCADE
) WITH (fillfactor = 50); -- updated with every batch: room for heap-only updates

-- What was granted on views of readers that were dropped, for the next that are made under their names. A role is
-- the same when its number and its name are; 0 is PUBLIC.
CREATE TABLE {schema}.reader_grants (
    projection text,
    relation   text,
    attribute  text, -- the column that it was granted on; '' for the whole view
    grantee    oid,
    privilege  text,
    role       text NOT NULL,
    grantable  boolean NOT NULL,
    PRIMARY KEY (projection, relation, attribute, grantee, privilege)
);

-- pin fixes, for this transaction, every setting that the meaning of a projection's statement depends on, so that
-- a rebuild on another day, machine or role gives the same rows. It is done by transaction and not by connection,
-- because a pooler hands connections on, and refuses most settings at their start.
--
-- It also bounds what the transaction takes, since a module's SQL may loop, by limits: how long a statement may
-- run, and the whole transaction, in milliseconds, and how much it may have in temporary files, in kB. 0 leaves
-- the session's own limit. A lock is waited for during half of a statement's time, so that one that waits is told
-- from one that runs. Memory is work_mem for each node of a plan, times hash_mem_multiplier where it hashes, times
-- the workers that run it: the one is lowered, there is no more than one of the others.
CREATE FUNCTION {schema}.pin(limits bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    temp_limit bigint;
    may_set boolean;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true),
        pg_catalog.set_config('timezone', 'UTC', true),
        pg_catalog.set_config('datestyle', 'ISO, MDY', true),
        pg_catalog.set_config('intervalstyle', 'postgres', true),
        pg_catalog.set_config('extra_float_digits', '1', true),
        pg_catalog.set_config('bytea_output', 'hex', true),
        pg_catalog.set_config('standard_conforming_strings', 'on', true),
        pg_catalog.set_config('quote_all_identifiers', 'off', true),
        pg_catalog.set_config('xmloption', 'content', true),
        pg_catalog.set_config('array_nulls', 'on', true),
        pg_catalog.set_config('transform_null_equals', 'off', true),
        pg_catalog.set_config('lc_time', 'C', true),
        pg_catalog.set_config('lc_numeric', 'C', true),
        pg_catalog.set_config('lc_monetary', 'C', true),
        pg_catalog.set_config('hash_mem_multiplier', '1', true),
        pg_catalog.set_config('max_parallel_workers_per_gather', '0', true);
    IF pg_catalog.current_setting('work_mem') <> '4MB'
        AND pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) > 16777216 THEN
        PERFORM pg_catalog.set_config('work_mem', '16MB', true);
    END IF;
    -- What IST and its like mean. To set it reads a file, even to what it is.
    IF pg_catalog.current_setting('timezone_abbreviations') <> 'Default' THEN
        PERFORM pg_catalog.set_config('timezone_abbreviations', 'Default', true);
    END IF;
    IF limits[1] > 0 THEN
        PERFORM pg_catalog.set_config('statement_timeout', limits[1]::text, true),
            pg_catalog.set_config('lock_timeout', greatest(limits[1] / 2, 1)::text, true);
    END IF;
    IF limits[2] > 0 AND pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL THEN -- PostgreSQL 17
        PERFORM pg_catalog.set_config('transaction_timeout', limits[2]::text, true);
    END IF;
    IF limits[3] > 0 THEN
        temp_limit := pg_catalog.pg_size_bytes(pg_catalog.current_setting('temp_file_limit'));
        IF temp_limit < 0 OR temp_limit > limits[3] * 1024 THEN
            -- A superuser may set it, and from PostgreSQL 15 on whom the parameter is granted to.
            IF pg_catalog.current_setting('server_version_num')::integer >= 150000 THEN
                may_set := pg_catalog.has_parameter_privilege('temp_file_limit', 'SET');
            ELSE
                may_set := pg_catalog.current_setting('is_superuser') = 'on';
            END IF;
            IF may_set THEN
                PERFORM pg_catalog.set_config('temp_file_limit', limits[3]::text, true);
            END IF;
        END IF;
    END IF;
END $$;

-- not_advanced says why a checkpoint does not move: with PW002 the claim no longer holds, with PW003 it does, and what
-- was read or the checkpoint is of another log.
CREATE FUNCTION {schema}.not_advanced(
    of_projection text, of_version bigint, of_segment integer, by_owner text, at_epoch bigint,
    from_position bigint, to_position bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'segment % of % version % does not go from position % to %', of_segment, of_projection,
        of_version, from_position, to_position
        USING ERRCODE = CASE WHEN EXISTS (
            SELECT FROM {schema}.segments AS s WHERE s.projection = of_projection
            AND s.version = of_version AND s.segment = of_segment
            AND s.owner = by_owner AND s.epoch = at_epoch AND s.position = from_position)
        THEN 'PW003' ELSE 'PW002' END;
END $$;

-- advance is the fence of a projection's transaction: it moves the checkpoint, or raises PW002 when the claim no
-- longer holds, so that everything after it in the same pipeline is refused. It comes first in the transaction and
-- its row lock keeps every other commit of the segment waiting. It pins the settings on the way.
--
-- It raises PW003 when what was read is not of this log, on this server: after a failover or a restore the
-- positions have, or will have, other events. The id and the timeline tell servers apart. A log that was replaced
-- under both, by a dump or by hand, or that lost its end in a crash, lacks the event that ties the checkpoint to
-- it, or the last one that was read.
CREATE FUNCTION {schema}.advance(
    of_projection text, of_version bigint, of_segment integer, by_owner text, at_epoch bigint,
    from_position bigint, to_position bigint,
    durable boolean, limits bigint[],
    read_log uuid, read_timeline bigint, read_position bigint, read_event uuid
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS $$
BEGIN
    PERFORM {schema}.pin(limits);
    UPDATE {schema}.segments AS s SET position = to_position, updated_at = now(),
        (last_position, last_event) = (
            SELECT coalesce(e.global_position, 0), coalesce(e.event_id, '00000000-0000-0000-0000-000000000000')
            FROM (VALUES (1)) AS one LEFT JOIN (
                SELECT e.global_position, e.event_id FROM {schema}.events AS e WHERE e.global_position <= to_position
                ORDER BY e.global_position DESC LIMIT 1) AS e ON true),
        behind_since = CASE WHEN to_position < pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq')
            THEN coalesce(s.behind_since, now()) END
        WHERE s.projection = of_projection AND s.version = of_version AND s.segment = of_segment
        AND s.owner = by_owner AND s.epoch = at_epoch AND s.position = from_position
        AND s.log_id = read_log AND s.timeline = read_timeline
        AND EXISTS (SELECT FROM {schema}.log_id AS l WHERE l.id = read_log AND l.timeline = read_timeline)
        AND to_position <= coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0)
        AND (s.last_position = 0 OR s.last_event = (SELECT e.event_id FROM {schema}.events AS e
            WHERE e.global_position = s.last_position))
        AND (read_position = 0 OR read_event = (SELECT e.event_id FROM {schema}.events AS e
            WHERE e.global_position = read_position));
    IF NOT FOUND THEN
        PERFORM {schema}.not_advanced(of_projection, of_version, of_segment, by_owner, at_epoch, from_position,
            to_position);
    END IF;
    IF NOT durable THEN
        PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    END IF;
END $$;

-- refuse_own_log raises PW004 for tables that are taken to be apart from their log, when that is the one of this
-- database after all, or this database is a copy of that one.
CREATE FUNCTION {schema}.refuse_own_log(read_log uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM {schema}.log AS l WHERE l.id = read_log) THEN
        RAISE EXCEPTION 'log % is the one of this database', read_log USING ERRCODE = 'PW004';
    END IF;
END $$;

-- advance_apart is advance for tables whose log is in another database: what was read must be of the log that the
-- checkpoint is of, by id and timeline. What the checkpoint notes of the log, the reader has brought along, and
-- where the log ended.
CREATE FUNCTION {schema}.advance_apart(
    of_projection text, of_version bigint, of_segment integer, by_owner text, at_epoch bigint,
    from_position bigint, to_position bigint,
    durable boolean, limits bigint[],
    read_log uuid, read_timeline bigint, read_position bigint, read_event uuid, read_head bigint
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM {schema}.pin(limits), {schema}.refuse_own_log(read_log);
    UPDATE {schema}.segments AS s SET position = to_position, updated_at = now(),
        last_position = CASE WHEN read_position > 0 THEN read_position ELSE s.last_position END,
        last_event = CASE WHEN read_position > 0 THEN read_event ELSE s.last_event END,
        behind_since = CASE WHEN to_position < read_head THEN coalesce(s.behind_since, now()) END
        WHERE s.projection = of_projection AND s.version = of_version AND s.segment = of_segment
        AND s.owner = by_owner AND s.epoch = at_epoch AND s.position = from_position
        AND s.log_id = read_log AND s.timeline = read_timeline;
    IF NOT FOUND THEN
        PERFORM {schema}.not_advanced(of_projection, of_version, of_segment, by_owner, at_epoch, from_position,
            to_position);
    END IF;
    IF NOT durable THEN
        PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    END IF;
END $$;

-- Keys whose events are kept back, because one of them has failed. first_position is where it did: all events of
-- the key before it are applied. events counts those in parked_events.
CREATE TABLE {schema}.parked (
    projection      text NOT NULL,
    version         bigint NOT NULL,
    key             bytea NOT NULL,
    spread          bigint NOT NULL, -- the key's hash, spread: the segment with it in its range has the key
    first_position  bigint NOT NULL,
    last_position   bigint NOT NULL DEFAULT 0,
    events          bigint NOT NULL DEFAULT 0,
    event_id        uuid NOT NULL,
    error           text NOT NULL,
    attempts        bigint NOT NULL,
    parked_at       timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz,                -- null: not by itself
    wanted          text NOT NULL DEFAULT '',   -- what somebody has ordered: retry or skip
    orders          bigint NOT NULL DEFAULT 0,  -- how many orders were given
    tried           text[] NOT NULL,            -- identities of the code that it was tried with
    tell_at         timestamptz DEFAULT now(),  -- when somebody is to be told of it; null: somebody was
    PRIMARY KEY (projection, version, key),
    FOREIGN KEY (projection, version) REFERENCES {schema}.projections ON DELETE CASCADE ON UPDATE CASCADE
) WITH (fillfactor = 70);

-- Which keys are due is asked every second, of however many there are. Notes of further events do not change it.
CREATE INDEX parked_due ON {schema}.parked (projection, version,
    (CASE WHEN wanted <> '' THEN '-infinity'::timestamptz ELSE next_attempt_at END));
-- And so is which of them somebody is to be told of.
CREATE INDEX parked_untold ON {schema}.parked (tell_at) WHERE tell_at IS NOT NULL;

CREATE TABLE {schema}.parked_events (
    projection text NOT NULL,
    version    bigint NOT NULL,
    key        bytea NOT NULL,
    position   bigint NOT NULL,
    PRIMARY KEY (projection, version, key, position),
    FOREIGN KEY (projection, version, key) REFERENCES {schema}.parked ON DELETE CASCADE ON UPDATE CASCADE
);

-- Events that were left out for good.
CREATE TABLE {schema}.skipped_events (
    projection text NOT NULL,
    version    bigint NOT NULL,
    position   bigint NOT NULL,
    key        bytea NOT NULL,
    event_id   uuid NOT NULL,
    error      text NOT NULL,
    skipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, version, position),
    FOREIGN KEY (projection, version) REFERENCES {schema}.projections ON DELETE CASCADE ON UPDATE CASCADE
);

-- park_events follows advance in a transaction: it parks keys, notes events of parked keys, and records events that
-- are skipped. It raises PW005 when a key of a noted event is not parked, and PW006 when too many are.
CREATE FUNCTION {schema}.park_events(
    of_projection text, of_version bigint, parked_max bigint,
    new_keys bytea[], new_spreads bigint[], new_positions bigint[], new_events uuid[], new_errors text[],
    new_attempts bigint[], new_delays bigint[], new_codes text[],
    noted_keys bytea[], noted_positions bigint[],
    skipped_keys bytea[], skipped_positions bigint[], skipped_events uuid[], skipped_errors text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    updated bigint;
BEGIN
    IF cardinality(new_keys) > 0 THEN
        IF parked_max > 0 THEN -- segments may park at the same time
            PERFORM pg_catalog.pg_advisory_xact_lock(
                pg_catalog.hashtextextended('{schema}.parked.' || of_projection, 0));
            IF cardinality(new_keys) + (SELECT count(*) FROM {schema}.parked p WHERE p.projection = of_projection
                AND p.version = of_version) > parked_max THEN
                RAISE EXCEPTION 'too many keys of % are parked', of_projection USING ERRCODE = 'PW006';
            END IF;
        END IF;
        INSERT INTO {schema}.parked (projection, version, key, spread, first_position, event_id, error, attempts,
            next_attempt_at, tried)
            SELECT of_projection, of_version, n.key, n.spread, n.position, n.event, n.error, n.attempts,
                CASE WHEN n.delay >= 0 THEN pg_catalog.clock_timestamp() + n.delay * interval '1 millisecond' END,
                ARRAY[n.code]
            FROM unnest(new_keys, new_spreads, new_positions, new_events, new_errors, new_attempts, new_delays,
                new_codes) AS n (key, spread, position, event, error, attempts, delay, code);
    END IF;
    IF cardinality(noted_keys) > 0 THEN
        WITH noted AS (
            SELECT n.key, count(*) AS events, max(n.position) AS last_position
            FROM unnest(noted_keys, noted_positions) AS n (key, position) GROUP BY n.key
        )
        UPDATE {schema}.parked p SET events = p.events + n.events,
            last_position = greatest(p.last_position, n.last_position)
            FROM noted n WHERE p.projection = of_projection AND p.version = of_version AND p.key = n.key;
        GET DIAGNOSTICS updated = ROW_COUNT;
        IF updated < (SELECT count(DISTINCT n.key) FROM unnest(noted_keys) AS n (key)) THEN
            RAISE EXCEPTION 'a key of % is not parked', of_projection USING ERRCODE = 'PW005';
        END IF;
        INSERT INTO {schema}.parked_events (projection, version, key, position)
            SELECT of_projection, of_version, n.key, n.position
            FROM unnest(noted_keys, noted_positions) AS n (key, position);
    END IF;
    INSERT INTO {schema}.skipped_events (projection, version, key, position, event_id, error)
        SELECT of_projection, of_version, n.key, n.position, n.event, n.error
        FROM unnest(skipped_keys, skipped_positions, skipped_events, skipped_errors) AS n (key, position, event, error);
END $$;

-- retry_parked is the fence of a transaction that applies events of a parked key: the claim must hold, wherever its
-- checkpoint is, since commits of the segment go on meanwhile. Its row lock keeps them waiting, and a commit that
-- notes one more event of the key comes before it, and is seen, or finds that the key is not parked. It returns
-- whether the key is parked no longer. Orders that were given since it began, beyond those that it has seen, stay. It
-- raises what advance and park_events raise.
CREATE FUNCTION {schema}.retry_parked(
    of_projection text, of_version bigint, of_segment integer, by_owner text, at_epoch bigint,
    durable boolean, limits bigint[], read_log uuid, read_timeline bigint, apart boolean,
    of_key bytea, through_position bigint, seen_orders bigint,
    fault_position bigint, fault_event uuid, fault_error text, fault_attempts bigint, fault_delay bigint,
    fault_code text,
    skipped_positions bigint[], skipped_events uuid[], skipped_errors text[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    applied bigint;
    next_position bigint;
BEGIN
    PERFORM {schema}.pin(limits);
    IF apart THEN
        PERFORM {schema}.refuse_own_log(read_log);
    END IF;
    PERFORM FROM {schema}.segments s WHERE s.projection = of_projection AND s.version = of_version
        AND s.segment = of_segment AND s.owner = by_owner AND s.epoch = at_epoch FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'segment % of % is not held', of_segment, of_projection USING ERRCODE = 'PW002';
    END IF;
    IF NOT EXISTS (SELECT FROM {schema}.segments s WHERE s.projection = of_projection AND s.version = of_version
        AND s.segment = of_segment AND s.log_id = read_log AND s.timeline = read_timeline)
        OR NOT apart AND NOT EXISTS (SELECT FROM {schema}.log_id l WHERE l.id = read_log
            AND l.timeline = read_timeline) THEN
        RAISE EXCEPTION 'the events of % are of another log', of_projection USING ERRCODE = 'PW003';
    END IF;
    DELETE FROM {schema}.parked_events e WHERE e.projection = of_projection AND e.version = of_version
        AND e.key = of_key AND e.position <= through_position;
    GET DIAGNOSTICS applied = ROW_COUNT;
    next_position := (SELECT min(e.position) FROM {schema}.parked_events e WHERE e.projection = of_projection
        AND e.version = of_version AND e.key = of_key AND e.position > through_position);
    IF next_position IS NULL THEN
        DELETE FROM {schema}.parked p WHERE p.projection = of_projection AND p.version = of_version AND p.key = of_key;
    ELSIF fault_position > 0 THEN
        UPDATE {schema}.parked p SET events = p.events - applied, first_position = fault_position,
            event_id = fault_event, error = fault_error, attempts = fault_attempts,
            wanted = CASE WHEN p.orders = seen_orders OR p.wanted = 'skip' AND p.first_position <> fault_position
                THEN '' ELSE p.wanted END,
            next_attempt_at = CASE WHEN fault_delay >= 0
                THEN pg_catalog.clock_timestamp() + fault_delay * interval '1 millisecond' END,
            tried = CASE WHEN fault_code = ANY (p.tried) THEN p.tried
                ELSE p.tried[greatest(cardinality(p.tried) - 14, 1):] || fault_code END
            WHERE p.projection = of_projection AND p.version = of_version AND p.key = of_key;
    ELSE -- what is left is due, also for another worker
        UPDATE {schema}.parked p SET events = p.events - applied, first_position = next_position,
            wanted = CASE WHEN p.orders = seen_orders OR p.wanted = 'skip' AND p.first_position <> next_position
                THEN '' ELSE p.wanted END,
            attempts = 0, next_attempt_at = pg_catalog.clock_timestamp()
            WHERE p.projection = of_projection AND p.version = of_version AND p.key = of_key;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a key of % is not parked', of_projection USING ERRCODE = 'PW005';
    END IF;
    INSERT INTO {schema}.skipped_events (projection, version, key, position, event_id, error)
        SELECT of_projection, of_version, of_key, n.position, n.event, n.error
        FROM unnest(skipped_positions, skipped_events, skipped_errors) AS n (position, event, error);
    IF NOT durable THEN
        PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    END IF;
    RETURN next_position IS NULL;
END $$;

-- Hosts that wait for a notification, and until when. Hosts see each other's rows here. A crash loses them, and
-- the hosts' connections with them.
CREATE UNLOGGED TABLE {schema}.listeners (
    worker  text PRIMARY KEY,
    "until" timestamptz NOT NULL
);

-- arm makes appends notify for a time, and reports whether no append was in flight that may commit without
-- notifying. The order is the proof: armed_until is visible before the locks are read. A transaction that is not
-- seen here and commits events later takes its lock later, finds the listener and notifies; one that is not seen
-- because it has ended is within the horizon of the next poll. {schema}.horizon() is not enough: a lock whose
-- transaction has no position yet holds nothing back.
--
-- A host whose lease is in another database, beside its tables, has none here.
CREATE FUNCTION {schema}.arm(of_worker text, for_time interval, leased boolean DEFAULT true) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    expires timestamptz;
BEGIN
    -- It need not wait for the disk: a server that has crashed has no listeners.
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    LOCK TABLE {schema}.listeners IN SHARE ROW EXCLUSIVE MODE;
    -- A call that its host has given up may arrive after the host has left.
    IF leased AND NOT EXISTS (SELECT FROM {schema}.workers w WHERE w.worker = of_worker) THEN
        RETURN false;
    END IF;
    expires := pg_catalog.clock_timestamp() + for_time;
    INSERT INTO {schema}.listeners AS l (worker, "until") VALUES (of_worker, expires)
        ON CONFLICT (worker) DO UPDATE SET "until" = excluded."until";
    PERFORM pg_catalog.setval('{schema}.armed_until', greatest((extract(epoch FROM expires) * 1000000)::bigint,
        pg_catalog.pg_sequence_last_value('{schema}.armed_until')));
    RETURN NOT EXISTS (
        SELECT FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = '{schema}.events'::pg_catalog.regclass
        AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()));
END $$;

-- disarm takes arm back, and deletes listeners whose time is over. Without listeners armed_until becomes 0. The
-- lock makes sure that no listener is overlooked; under a snapshot from before the lock, armed_until is left to
-- run out.
CREATE FUNCTION {schema}.disarm(of_worker text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    LOCK TABLE {schema}.listeners IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM {schema}.listeners AS l WHERE l.worker = of_worker OR l."until" < pg_catalog.clock_timestamp();
    IF pg_catalog.current_setting('transaction_isolation') = 'read committed' AND NOT EXISTS (SELECT
        FROM {schema}.listeners) THEN
        PERFORM pg_catalog.setval('{schema}.armed_until', 0);
    END IF;
END $$;

-- make_schema makes a schema of a projection, and gives it to the projection's role, for hosts that may not create
-- schemas. It runs as the role that has made the migrations, which may. Who calls it must be a member of the
-- projection's role. The suffix is that of a version, so that a later version needs no new right. 'pupwasm grant'
-- prints what makes it usable.
CREATE FUNCTION {schema}.make_schema(projection text, suffix text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    home name := (SELECT nspname FROM pg_namespace WHERE oid = '{schema}'::regnamespace);
    owner name := home || '__' || projection;
    place name := CASE WHEN home = 'pupwasm' THEN projection ELSE owner END || suffix;
BEGIN
    IF projection !~ '^[a-z][a-z0-9_]{0,29}$' OR projection ~ '__|_$|^pg_|^v[0-9]+(b[0-9]+)?$'
        OR suffix !~ '^(__v[1-9][0-9]{0,7}(b[1-9][0-9]{0,2})?)?$'
        OR projection IN ('public', 'information_schema', 'pupwasm') THEN
        RAISE EXCEPTION 'no projection has a schema %', projection || suffix;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = owner AND pg_has_role(session_user, r.oid, 'MEMBER')) THEN
        RAISE EXCEPTION 'role % is not a member of %', session_user, owner;
    END IF;
    EXECUTE format('CREATE SCHEMA %I AUTHORIZATION %I', place, owner);
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', place, 'pupwasm: tables of a projection');
END $$;
REVOKE ALL ON FUNCTION {schema}.make_schema FROM PUBLIC;
