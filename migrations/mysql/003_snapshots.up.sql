-- Snapshots of aggregates: the state of a stream up to one of its events, so that a load need not begin at the first.

-- They are a cache. One counts only while the log has its event, with its version, in its stream: whatever becomes of
-- the log, one that is of other events is passed over. A backup need not have them.
CREATE TABLE IF NOT EXISTS {schema}__snapshots (
    bounded_context   VARBINARY(800) NOT NULL,
    aggregate_type    VARBINARY(800) NOT NULL,
    aggregate_id      VARBINARY(800) NOT NULL,
    aggregate_version BIGINT NOT NULL CHECK (aggregate_version > 0),
    event_id          BINARY(16) NOT NULL, -- of the event with that version
    schema_version    INT NOT NULL,        -- of the state, by the application
    created_at        BIGINT NOT NULL,     -- microseconds since 1970-01-01 UTC
    state             LONGBLOB NOT NULL CHECK (LENGTH(state) <= 16777216),
    PRIMARY KEY (bounded_context, aggregate_type, aggregate_id)
) ENGINE=InnoDB;

-- Events are not changed. Where somebody does it all the same, or deletes some, the last event does not tell.
CREATE OR REPLACE TRIGGER {schema}__events_forget_snapshot_deleted AFTER DELETE ON {schema}__events FOR EACH ROW
DELETE FROM {schema}__snapshots WHERE bounded_context = OLD.bounded_context
    AND aggregate_type = OLD.aggregate_type AND aggregate_id = OLD.aggregate_id;

CREATE OR REPLACE TRIGGER {schema}__events_forget_snapshot_updated AFTER UPDATE ON {schema}__events FOR EACH ROW
BEGIN
    DELETE FROM {schema}__snapshots WHERE bounded_context = OLD.bounded_context
        AND aggregate_type = OLD.aggregate_type AND aggregate_id = OLD.aggregate_id;
    DELETE FROM {schema}__snapshots WHERE bounded_context = NEW.bounded_context
        AND aggregate_type = NEW.aggregate_type AND aggregate_id = NEW.aggregate_id;
END;
