CREATE OR REPLACE FUNCTION {schema}.fence() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP FUNCTION {schema}.may_notify;
DROP FUNCTION {schema}.awake;
DROP FUNCTION {schema}.doze;
DROP SEQUENCE {schema}.sleep;
DROP TABLE {schema}.sleepers;
