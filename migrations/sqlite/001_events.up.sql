-- The event log. SQLite has one writer at a time, so that positions appear in order and need no fence.

CREATE TABLE {schema}__events (
    -- AUTOINCREMENT: a position is not given out again after the last events were deleted.
    global_position   INTEGER PRIMARY KEY AUTOINCREMENT,
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

-- The identity of the log: a checkpoint must not go on with another one.
CREATE TABLE {schema}__log (
    id  BLOB NOT NULL,
    one INTEGER PRIMARY KEY CHECK (one = 1)
) STRICT;
INSERT INTO {schema}__log (id, one) VALUES (randomblob(16), 1);
