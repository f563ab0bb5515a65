-- The event log. SQLite has one writer at a time, so that positions appear in order and need no fence.

CREATE TABLE {schema}__events (
    -- AUTOINCREMENT: a position is not given out again after the last events were deleted.
    global_position   INTEGER PRIMARY KEY AUTOINCREMENT CHECK (global_position > 0),
    bounded_context   TEXT NOT NULL,
    aggregate_type    TEXT NOT NULL,
    aggregate_id      TEXT NOT NULL,
    aggregate_version INTEGER NOT NULL CHECK (aggregate_version > 0),
    event_id          BLOB NOT NULL UNIQUE,
    event_type        TEXT NOT NULL,
    event_version     INTEGER NOT NULL DEFAULT 1,
    trace_id          TEXT,
    correlation_id    TEXT,
    causation_id      TEXT,
    created_at        INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC
    partition_hash    INTEGER NOT NULL, -- FNV-1a 32 of aggregate_id, unsigned
    metadata          TEXT NOT NULL DEFAULT '{}',
    payload           BLOB NOT NULL, -- last, so that a scan that does not want it leaves its pages unread
    UNIQUE (bounded_context, aggregate_type, aggregate_id, aggregate_version)
) STRICT;

-- Readers have passed every position up to the last one. An event that is given one of those would never be read, so none may be
-- given. Before an insert SQLite shows a position that it is about to assign as -1.
CREATE TRIGGER {schema}__events_check_position BEFORE INSERT ON {schema}__events WHEN NEW.global_position <> -1
BEGIN
    SELECT RAISE(ABORT, 'an event cannot be given a position, which hosts may have passed: leave global_position out of the INSERT, it is assigned');
END;

CREATE TRIGGER {schema}__events_keep_position BEFORE UPDATE ON {schema}__events WHEN NEW.global_position <> OLD.global_position
BEGIN
    SELECT RAISE(ABORT, 'an event cannot be moved to another position: append another event');
END;
