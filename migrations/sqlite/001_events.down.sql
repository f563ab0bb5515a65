DROP TABLE {schema}__events;
DROP TABLE {schema}__log;
