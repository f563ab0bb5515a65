-- Projections, their segments and who may advance them.

CREATE TABLE {schema}.projections (
    name         text,
    version      integer,
    whole        boolean NOT NULL DEFAULT false, -- it takes all events in one order, and so has one segment
    segments     integer NOT NULL, -- how many were last asked for; 'segments split' and 'merge' leave it alone
    next_segment integer NOT NULL, -- numbers are not used again: a claim on a segment that is gone must not fit another
    -- What was installed, for the next install to compare with: the declaration of the tables, and what they are
    -- in the database.
    declaration  text NOT NULL,
    shapes       text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);

-- A worker's lease is one row, apart from the checkpoints, so that its renewal never waits for a long batch. It
-- holds until expires_at. A lease that would hold for longer than twice its length was given before the server's
-- clock was set back: it is over.
CREATE TABLE {schema}.workers (
    worker      text PRIMARY KEY,
    incarnation text NOT NULL DEFAULT '',      -- of the process that has the name
    projections jsonb NOT NULL DEFAULT '[]',   -- those that it runs, as name and version
    refused     jsonb NOT NULL DEFAULT '[]',   -- those that it cannot run, and why
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
    version    integer NOT NULL,
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

-- advance is the fence of a projection's transaction: it moves the checkpoint, or raises PW002 when the claim no
-- longer holds, so that everything after it in the same pipeline is refused. It comes first in the transaction and
-- its row lock keeps every other commit of the segment waiting. It pins the settings on the way.
--
-- It raises PW003 when what was read is not of this log, on this server: after a failover or a restore the
-- positions have, or will have, other events. The id and the timeline tell servers apart. A log that was replaced
-- under both, by a dump or by hand, or that lost its end in a crash, lacks the event that ties the checkpoint to
-- it, or the last one that was read.
CREATE FUNCTION {schema}.advance(
    of_projection text, of_version integer, of_segment integer, by_owner text, at_epoch bigint, from_position bigint, to_position bigint,
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
        RAISE EXCEPTION 'segment % of % version % does not go from position % to %', of_segment, of_projection,
            of_version, from_position, to_position
            USING ERRCODE = CASE WHEN EXISTS (
                SELECT FROM {schema}.segments AS s WHERE s.projection = of_projection AND s.version = of_version AND s.segment = of_segment
                AND s.owner = by_owner AND s.epoch = at_epoch AND s.position = from_position)
            THEN 'PW003' ELSE 'PW002' END; -- held, but what was read or the checkpoint is of another log
    END IF;
    IF NOT durable THEN
        PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    END IF;
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
CREATE FUNCTION {schema}.arm(of_worker text, for_time interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    expires timestamptz;
BEGIN
    -- It need not wait for the disk: a server that has crashed has no listeners.
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    LOCK TABLE {schema}.listeners IN SHARE ROW EXCLUSIVE MODE;
    -- A call that its host has given up may arrive after the host has left.
    IF NOT EXISTS (SELECT FROM {schema}.workers w WHERE w.worker = of_worker) THEN
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
