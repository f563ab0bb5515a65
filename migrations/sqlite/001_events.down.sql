DROP TABLE {schema}__events;
