DROP TABLE {schema}__segments;
DROP TABLE {schema}__workers;
DROP TABLE {schema}__projections;
