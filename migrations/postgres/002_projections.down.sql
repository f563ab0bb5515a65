-- Checkpoints go with the tables of their projections, which 'reset' drops: it knows what else lies in their schema.
DO $$
DECLARE
    installed text := (SELECT string_agg(p.name, ', ' ORDER BY p.name) FROM {schema}.projections AS p);
BEGIN
    IF installed IS NOT NULL THEN
        RAISE EXCEPTION 'projections are installed, whose rows nobody could continue: use Store.Reset(NAME) for each of them first: %', installed;
    END IF;
END $$;
DROP FUNCTION {schema}.make_schema;
DROP FUNCTION {schema}.disarm;
DROP FUNCTION {schema}.arm;
DROP TABLE {schema}.listeners;
DROP FUNCTION {schema}.retry_parked;
DROP FUNCTION {schema}.park_events;
DROP TABLE {schema}.skipped_events;
DROP TABLE {schema}.parked_events;
DROP TABLE {schema}.parked;
DROP FUNCTION {schema}.advance_apart;
DROP FUNCTION {schema}.refuse_own_log;
DROP FUNCTION {schema}.advance;
DROP FUNCTION {schema}.not_advanced;
DROP FUNCTION {schema}.pin;
DROP TABLE {schema}.reader_grants;
DROP TABLE {schema}.segments;
DROP TABLE {schema}.workers;
DROP TABLE {schema}.projections;
