-- Checkpoints go with the tables of their projections, which 'reset' drops: it knows what else lies in their schema.
DO $$
DECLARE
    installed text := (SELECT string_agg(p.name, ', ' ORDER BY p.name) FROM {schema}.projections AS p);
BEGIN
    IF installed IS NOT NULL THEN
        RAISE EXCEPTION 'projections are installed, whose rows nobody could continue: run ''pupwasm reset NAME'' for each of them first: %', installed;
    END IF;
END $$;
DROP FUNCTION {schema}.make_schema;
DROP FUNCTION {schema}.disarm;
DROP FUNCTION {schema}.arm;
DROP TABLE {schema}.listeners;
DROP FUNCTION {schema}.advance;
DROP FUNCTION {schema}.pin;
DROP TABLE {schema}.reader_grants;
DROP TABLE {schema}.segments;
DROP TABLE {schema}.workers;
DROP TABLE {schema}.projections;
