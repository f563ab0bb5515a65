-- Projections, their segments and who may advance them.

CREATE TABLE {schema}.projections (
    name         text PRIMARY KEY,
    version      integer NOT NULL,
    whole        boolean NOT NULL DEFAULT false, -- it takes all events in one order, and so has one segment
    segments     integer NOT NULL, -- how many were last asked for; 'segments split' and 'merge' leave it alone
    next_segment integer NOT NULL, -- numbers are not used again: a claim on a segment that is gone must not fit another
    -- What was installed, for the next install to compare with: where the tables are, their declaration, and what they are in the
    -- database.
    tables_schema text NOT NULL,
    declaration   text NOT NULL,
    shapes        text NOT NULL,
    installed_at  timestamptz NOT NULL DEFAULT now()
);

-- A worker's lease is one row, apart from the checkpoints, so that its renewal never waits for a long batch. It holds until
-- expires_at. A lease that would hold for longer than twice its length was given before the server's clock was set back: it is over.
CREATE TABLE {schema}.workers (
    worker      text PRIMARY KEY,
    incarnation text NOT NULL DEFAULT '',      -- of the process that has the name
    projections text[] NOT NULL DEFAULT '{}',  -- those that it runs
    refused     jsonb NOT NULL DEFAULT '[]',   -- those that it cannot run, and why
    segments    integer NOT NULL DEFAULT 0,    -- into how many it would have a projection divided
    expires_at  timestamptz NOT NULL,
    ttl         interval NOT NULL              -- the length of the lease
);

-- The checkpoint of a segment, and who may move it. The streams of a segment are those whose partition hash, spread, is from
-- first_hash to last_hash. Segments that are being merged have the number of the one that they become in merge_into;
-- none of them passes the position merge_at, and when all have reached it the merge is completed.
CREATE TABLE {schema}.segments (
    projection text NOT NULL REFERENCES {schema}.projections ON DELETE CASCADE,
    segment    integer NOT NULL,
    first_hash bigint NOT NULL,
    last_hash  bigint NOT NULL,
    position   bigint NOT NULL DEFAULT 0,
    owner      text,
    epoch      bigint NOT NULL DEFAULT 0,
    failure    text,
    merge_into integer NOT NULL DEFAULT 0,
    merge_at   bigint NOT NULL DEFAULT 0, -- 0: no merge
    -- The log that the checkpoint is of, and the last event that was applied; zeros where there is none.
    log_id        uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    timeline      bigint NOT NULL DEFAULT 0,
    last_position bigint NOT NULL DEFAULT 0,
    last_event    uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    updated_at timestamptz NOT NULL DEFAULT now(),
    behind_since timestamptz,             -- the first of the commits that did not reach the end of the log; null when the last one did
    PRIMARY KEY (projection, segment)
) WITH (fillfactor = 50); -- updated with every batch: room for heap-only updates

-- pin fixes, for this transaction, every setting that the meaning of a projection's statement depends on, so that a rebuild
-- on another day, machine or role gives the same rows. It is done by transaction and not by connection, because a pooler
-- hands connections on, and refuses most settings at their start. It also bounds the time of a statement, in milliseconds:
-- a module's SQL may loop. 0 leaves the session's own limit.
CREATE FUNCTION {schema}.pin(statement_timeout bigint) RETURNS void LANGUAGE plpgsql AS $$
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
        pg_catalog.set_config('lc_monetary', 'C', true);
    IF statement_timeout > 0 THEN
        PERFORM pg_catalog.set_config('statement_timeout', statement_timeout::text, true);
    END IF;
END $$;

-- advance is the fence of a projection's transaction: it moves the checkpoint, or raises PW002 when the claim no longer
-- holds, so that everything after it in the same pipeline is refused. It comes first in the transaction and its row lock
-- keeps every other commit of the segment waiting. It pins the settings on the way.
--
-- It raises PW003 when what was read is not of this log, on this server: after a failover or a restore the positions have, or will
-- have, other events. The id and the timeline tell servers apart. A log that was replaced under both, by a dump or by hand, lacks
-- the event that was applied last before, or the last one of now.
CREATE FUNCTION {schema}.advance(
    of_projection text, of_segment integer, by_owner text, at_epoch bigint, from_position bigint, to_position bigint,
    durable boolean, statement_timeout bigint,
    read_log uuid, read_timeline bigint, applied_position bigint, applied_event uuid, to_last bigint, to_event uuid
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {schema}.pin(statement_timeout);
    IF NOT EXISTS (SELECT FROM {schema}.log_id l WHERE l.id = read_log AND l.timeline = read_timeline)
        OR to_position > coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0)
        OR applied_position > 0 AND {schema}.event_at(applied_position) <> applied_event
        OR to_last > applied_position AND {schema}.event_at(to_last) <> to_event
    THEN
        RAISE EXCEPTION 'positions % to % were read of another log', from_position, to_position USING ERRCODE = 'PW003';
    END IF;
    UPDATE {schema}.segments SET position = to_position, last_position = to_last, last_event = to_event, updated_at = now(),
        behind_since = CASE WHEN to_position < pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq')
            THEN coalesce(behind_since, now()) END
        WHERE projection = of_projection AND segment = of_segment
        AND owner = by_owner AND epoch = at_epoch AND position = from_position
        AND log_id = read_log AND timeline = read_timeline;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'segment % of % is not held', of_segment, of_projection USING ERRCODE = CASE WHEN EXISTS (
                SELECT FROM {schema}.segments s WHERE s.projection = of_projection AND s.segment = of_segment
                AND s.owner = by_owner AND s.epoch = at_epoch AND s.position = from_position)
            THEN 'PW003' ELSE 'PW002' END; -- held, but its checkpoint is of another log
    END IF;
    IF NOT durable THEN
        PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    END IF;
END $$;
