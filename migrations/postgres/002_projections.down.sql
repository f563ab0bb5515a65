-- The tables of projections go with their checkpoints: nobody could continue them.
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT p.tables_schema FROM {schema}.projections AS p LOOP
        EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', name);
    END LOOP;
END $$;
DROP FUNCTION {schema}.advance;
DROP FUNCTION {schema}.pin;
DROP TABLE {schema}.segments;
DROP TABLE {schema}.workers;
DROP TABLE {schema}.projections;
