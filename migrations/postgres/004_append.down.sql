DROP TRIGGER keep_position ON {schema}.events;
DROP TRIGGER check_position ON {schema}.events;
DROP FUNCTION {schema}.keep_position;
DROP FUNCTION {schema}.check_position;

CREATE OR REPLACE FUNCTION {schema}.fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    namespace bigint := TG_RELID::bigint;
    fence text := 'pupwasm.fence_' || TG_RELID;
    this text := pg_catalog.pg_current_xact_id()::text;
    sleep bigint;
BEGIN
    IF pg_catalog.current_setting(fence, true) IS DISTINCT FROM this THEN
        PERFORM pg_catalog.pg_advisory_xact_lock_shared(
            (CASE WHEN namespace > 2147483647 THEN namespace - 4294967296 ELSE namespace END)::integer,
            (coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0) % 2147483648)::integer);
        PERFORM pg_catalog.set_config(fence, this, true);
        sleep := pg_catalog.pg_sequence_last_value('{schema}.sleep');
        IF sleep > 0 AND sleep > extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000 AND {schema}.may_notify() THEN
            PERFORM pg_catalog.pg_notify(TG_TABLE_SCHEMA || '.wake', '');
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION {schema}.append_events(
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

DROP FUNCTION {schema}.loaded;
DROP FUNCTION {schema}.begin_load;
DROP FUNCTION {schema}.stored_ids;
DROP FUNCTION {schema}.lock_streams;
DROP FUNCTION {schema}.append_event;
