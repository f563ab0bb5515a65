DROP FUNCTION {schema}.make_schema;
