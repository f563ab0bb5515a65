-- The event log. SQLite has one writer at a time, so that positions appear in order and need no fence.

-- What an event may be is checked for every writer, so that what comes in by any door can come out and go in by
-- every other. A payload is any bytes; its limit is a setting of the appender. The functions are those that SQLite
-- has had since 3.38, because other programs write by their own. length of text ends at a NUL.
CREATE TABLE {schema}__events (
    -- AUTOINCREMENT: a position is not given out again after the last events were deleted.
    global_position   INTEGER PRIMARY KEY AUTOINCREMENT CHECK (global_position > 0),
    bounded_context   TEXT NOT NULL
                      CHECK (length(CAST(bounded_context AS BLOB)) BETWEEN 1 AND 800 AND instr(bounded_context,
                          char(0)) = 0),
    aggregate_type    TEXT NOT NULL
                      CHECK (length(CAST(aggregate_type AS BLOB)) BETWEEN 1 AND 800 AND instr(aggregate_type,
                          char(0)) = 0),
    aggregate_id      TEXT NOT NULL
                      CHECK (length(CAST(aggregate_id AS BLOB)) BETWEEN 1 AND 800 AND instr(aggregate_id, char(0)) = 0),
    aggregate_version INTEGER NOT NULL CHECK (aggregate_version > 0),
    event_id          BLOB NOT NULL UNIQUE
                      CHECK (length(event_id) = 16
                      AND event_id <> x'00000000000000000000000000000000'), -- which means none
    event_type        TEXT NOT NULL
                      CHECK (length(CAST(event_type AS BLOB)) BETWEEN 1 AND 800 AND instr(event_type, char(0)) = 0),
    event_version     INTEGER NOT NULL DEFAULT 1 CHECK (event_version BETWEEN 1 AND 2147483647),
    trace_id          TEXT CHECK (length(CAST(trace_id AS BLOB)) <= 800 AND instr(trace_id, char(0)) = 0),
    correlation_id    TEXT CHECK (length(CAST(correlation_id AS BLOB)) <= 800 AND instr(correlation_id, char(0)) = 0),
    causation_id      TEXT CHECK (length(CAST(causation_id AS BLOB)) <= 800 AND instr(causation_id, char(0)) = 0),
    -- Microseconds since 1970-01-01 UTC, in the years that RFC 3339 can write. The beginning of the first one
    -- means no time.
    created_at        INTEGER NOT NULL CHECK (created_at > -62135596800000000 AND created_at < 253402300800000000),
    -- FNV-1a 32 of aggregate_id, unsigned. A hash out of range would belong to no segment.
    partition_hash    INTEGER NOT NULL CHECK (partition_hash BETWEEN 0 AND 4294967295),
    -- PostgreSQL's jsonb refuses \u0000. Behind a pair of backslashes it is no escape.
    metadata          TEXT NOT NULL DEFAULT '{}' CONSTRAINT metadata_is_an_object_up_to_1_mib
                      CHECK (length(CAST(metadata AS BLOB)) <= 1048576 AND json_valid(metadata)
                          AND json_type(metadata) = 'object'
                      AND instr(metadata, char(0)) = 0 AND instr(replace(metadata, '\\', ''), '\u0000') = 0),
    payload           BLOB NOT NULL, -- last, so that a scan that does not want it leaves its pages unread
    UNIQUE (bounded_context, aggregate_type, aggregate_id, aggregate_version)
) STRICT;

-- Readers have passed every position up to the last one. An event that is given one of those would never be read,
-- so none may be given. Before an insert SQLite shows a position that it is about to assign as -1.
CREATE TRIGGER {schema}__events_check_position BEFORE INSERT ON {schema}__events WHEN NEW.global_position <> -1
BEGIN
    SELECT RAISE(ABORT, 'an event cannot be given a position, which hosts may have passed: leave global_position out of the INSERT, it is assigned');
END;

CREATE TRIGGER {schema}__events_keep_position BEFORE UPDATE ON {schema}__events
    WHEN NEW.global_position <> OLD.global_position
BEGIN
    SELECT RAISE(ABORT, 'an event cannot be moved to another position: append another event');
END;

-- The identity of the log: a checkpoint must not go on with another one.
CREATE TABLE {schema}__log (
    id  BLOB NOT NULL,
    one INTEGER PRIMARY KEY CHECK (one = 1)
) STRICT;
INSERT INTO {schema}__log (id, one) VALUES (randomblob(16), 1);
