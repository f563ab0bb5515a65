-- Checkpoints go with the tables of their projections, which 'reset' drops.
CREATE TABLE {schema}__installed (
    number INTEGER NOT NULL CONSTRAINT "projections are installed,
        whose rows nobody could continue: use Store.Reset(NAME) for each of them first" CHECK (number = 0)
);
INSERT INTO {schema}__installed SELECT count(*) FROM {schema}__projections;
DROP TABLE {schema}__installed;
DROP TABLE {schema}__skipped_events;
DROP TABLE {schema}__parked_events;
DROP TABLE {schema}__parked;
DROP TABLE {schema}__segments;
DROP TABLE {schema}__workers;
DROP TABLE {schema}__projections;
