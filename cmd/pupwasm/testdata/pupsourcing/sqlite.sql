-- The table of events of getpup/pupsourcing on SQLite.
CREATE TABLE events (
    global_position   INTEGER PRIMARY KEY AUTOINCREMENT,
    bounded_context   TEXT NOT NULL,
    aggregate_type    TEXT NOT NULL,
    aggregate_id      TEXT NOT NULL,
    aggregate_version INTEGER NOT NULL,
    event_id          TEXT NOT NULL UNIQUE,
    event_type        TEXT NOT NULL,
    event_version     INTEGER NOT NULL DEFAULT 1,
    payload           BLOB NOT NULL,
    trace_id          TEXT,
    correlation_id    TEXT,
    causation_id      TEXT,
    metadata          TEXT,
    created_at        TEXT NOT NULL DEFAULT (datetime('now')),
    UNIQUE (bounded_context, aggregate_type, aggregate_id, aggregate_version)
);
