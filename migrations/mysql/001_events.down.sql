DROP PROCEDURE IF EXISTS {schema}__lock_stream;
DROP FUNCTION IF EXISTS {schema}__next_version;
DROP TABLE IF EXISTS {schema}__events;
DROP FUNCTION IF EXISTS {schema}__log_triggers;
DROP FUNCTION IF EXISTS {schema}__fnv1a32;
DROP TABLE IF EXISTS {schema}__fence;
DROP TABLE IF EXISTS {schema}__log;
DROP TABLE IF EXISTS {schema}__streams;
