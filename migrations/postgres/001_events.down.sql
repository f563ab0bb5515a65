DROP FUNCTION {schema}.append;
DROP FUNCTION {schema}.append_events;
DROP TABLE {schema}.streams;
DROP TABLE {schema}.events;
DROP FUNCTION {schema}.fill_partition_hash;
DROP FUNCTION {schema}.fnv1a32;
DROP FUNCTION {schema}.fence;
DROP FUNCTION {schema}.horizon;
