-- Messages of projections, until they are sent, and what is kept to send each once. Times are microseconds since
-- 1970-01-01 UTC. Nothing here refers to a projection that is installed: what waits to be sent outlives its version.

CREATE TABLE {schema}__outbox (
    projection   TEXT NOT NULL,
    position     INTEGER NOT NULL, -- of the event
    n            INTEGER NOT NULL, -- among the messages of the event, from 0
    version      INTEGER NOT NULL, -- and build, as one number: see projections
    held         INTEGER NOT NULL, -- the version is not live: it is not to be sent
    sent_at      INTEGER,          -- when it was sent; null: it is to be sent, or held
    put_at       INTEGER NOT NULL,
    event_at     INTEGER NOT NULL, -- the time of the event
    spread       INTEGER NOT NULL, -- the hash of the event's partition key, spread
    key          BLOB NOT NULL,    -- messages of one key are sent one after the other
    type         TEXT NOT NULL,
    subject      TEXT NOT NULL,
    content_type TEXT NOT NULL,
    trace_parent TEXT NOT NULL,
    data         BLOB NOT NULL,
    PRIMARY KEY (projection, position, n, version)
) STRICT;

-- What may be sent is asked every second. Messages of keys that wait are passed over within the index, and the status
-- needs nothing else either: the last two columns are there for SQLite to see that.
CREATE INDEX {schema}__outbox_pending ON {schema}__outbox (projection, position, n, version, key, put_at, held, sent_at)
    WHERE held = 0 AND sent_at IS NULL;
CREATE INDEX {schema}__outbox_kept ON {schema}__outbox (projection, sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX {schema}__outbox_held ON {schema}__outbox (projection, version, position) WHERE held = 1;

-- Keys of which a message could not be sent: the first one that is to be sent, mostly. The later ones wait for it.
CREATE TABLE {schema}__outbox_failures (
    projection      TEXT NOT NULL,
    key             BLOB NOT NULL,
    position        INTEGER NOT NULL, -- of the message, with n and version
    n               INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    error           TEXT NOT NULL,
    failed_at       INTEGER NOT NULL,
    next_attempt_at INTEGER,          -- null: not by itself
    PRIMARY KEY (projection, key)
) STRICT, WITHOUT ROWID;

-- Which events are not the live version's to send: those of the hashes from first_hash to last_hash up to a position. The
-- ranges of a projection cover all hashes. Without any it sends nothing.
CREATE TABLE {schema}__outbox_sent (
    projection TEXT NOT NULL,
    first_hash INTEGER NOT NULL,
    last_hash  INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    log_id     BLOB NOT NULL,    -- the log that the position is of; zeros where that is not known
    partition  TEXT NOT NULL,    -- what the hashes are of, as JSON
    begun      INTEGER NOT NULL, -- a host has begun to send: it is not only passed on from version to version
    -- The last event of the log up to the position, by which the log is known again. Zeros where that is not known.
    last_position INTEGER NOT NULL,
    last_event    BLOB NOT NULL,
    PRIMARY KEY (projection, first_hash)
) STRICT, WITHOUT ROWID;

-- And which of these are its own to send all the same: an earlier version had not applied them.
CREATE TABLE {schema}__outbox_unsent (
    projection TEXT NOT NULL,
    position   INTEGER NOT NULL,
    spread     INTEGER, -- the hash of the event's partition key, spread; null: it was of another partition
    PRIMARY KEY (projection, position)
) STRICT, WITHOUT ROWID;

-- Who sends the messages of a projection, while the lease of the worker lasts and it is the same process.
CREATE TABLE {schema}__outbox_relays (
    projection  TEXT PRIMARY KEY,
    owner       TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    target      TEXT NOT NULL -- where to, for people
) STRICT;

-- Whether an event is parked, whatever its key is.
CREATE INDEX {schema}__parked_positions ON {schema}__parked_events (projection, version, position);
