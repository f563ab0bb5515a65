-- Snapshots of aggregates: the state of a stream up to one of its events, so that a load need not begin at the first.

-- They are a cache. One counts only while the log has its event, with its version, in its stream: whatever becomes of
-- the log, one that is of other events is passed over. A backup need not have them.
CREATE TABLE {schema}__snapshots (
    bounded_context   TEXT NOT NULL,
    aggregate_type    TEXT NOT NULL,
    aggregate_id      TEXT NOT NULL,
    aggregate_version INTEGER NOT NULL CHECK (aggregate_version > 0),
    event_id          BLOB NOT NULL,    -- of the event with that version
    schema_version    INTEGER NOT NULL, -- of the state, by the application
    created_at        INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC
    state             BLOB NOT NULL CHECK (length(state) <= 16777216),
    PRIMARY KEY (bounded_context, aggregate_type, aggregate_id)
) STRICT;

-- Events are not changed. Where somebody does it all the same, or deletes some, the last event does not tell.
CREATE TRIGGER {schema}__events_forget_snapshot_deleted AFTER DELETE ON {schema}__events
BEGIN
    DELETE FROM {schema}__snapshots WHERE bounded_context = OLD.bounded_context
        AND aggregate_type = OLD.aggregate_type AND aggregate_id = OLD.aggregate_id;
END;

CREATE TRIGGER {schema}__events_forget_snapshot_updated AFTER UPDATE ON {schema}__events
BEGIN
    DELETE FROM {schema}__snapshots WHERE bounded_context = OLD.bounded_context
        AND aggregate_type = OLD.aggregate_type AND aggregate_id = OLD.aggregate_id;
    DELETE FROM {schema}__snapshots WHERE bounded_context = NEW.bounded_context
        AND aggregate_type = NEW.aggregate_type AND aggregate_id = NEW.aggregate_id;
END;
