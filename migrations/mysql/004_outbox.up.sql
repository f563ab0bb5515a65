-- The messages of projections, until a relay has sent them, and after that as long as they are kept. Times are
-- microseconds since 1970-01-01 UTC.

-- Nothing here refers to {schema}__projections: what waits to be sent stays when its version or the projection is gone.
CREATE TABLE IF NOT EXISTS {schema}__outbox (
    projection   VARCHAR(63) NOT NULL,
    position     BIGINT NOT NULL,         -- of the event
    n            INT NOT NULL,            -- the message's index among those of the event
    version      BIGINT NOT NULL,         -- the number of version and build
    type         VARCHAR(200) NOT NULL,
    subject      VARCHAR(1024) NOT NULL,
    `key`        VARBINARY(1024) NOT NULL,
    spread       BIGINT NOT NULL,         -- the hash of the event's partition key, spread
    content_type VARCHAR(200) NOT NULL,
    data         LONGBLOB NOT NULL,
    trace_parent VARCHAR(64) NOT NULL,
    event_at     BIGINT NOT NULL,
    put_at       BIGINT NOT NULL,
    size         INT NOT NULL,            -- what it counts where messages are read up to so many bytes
    held         BOOL NOT NULL,           -- its version is not live
    sent_at      BIGINT,                  -- when it was sent, of those that are kept
    -- It waits behind one of its key that failed: it was seen and put out of the way, so that who looks for what may be
    -- sent need not pass it again and again. {schema}__outbox_failures decides, and has a row of the key.
    aside        BOOL NOT NULL DEFAULT 0,
    state        TINYINT AS (IF(held, 1, IF(sent_at IS NOT NULL, 2, IF(aside, 3, 0)))) PERSISTENT,
    PRIMARY KEY (projection, position, n, version),
    -- By the first index is found what is to be sent, and what is held, in order: it has all that is needed to pass
    -- messages of keys that wait, and to count. By the second one what was put aside of a key, in order of the primary
    -- key, with which each index ends.
    KEY {schema}__outbox_states (projection, state, position, n, version, put_at, `key`),
    KEY {schema}__outbox_keys (projection, state, `key`),
    KEY {schema}__outbox_sent_at (projection, sent_at)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Keys whose messages wait, since the one here could not be sent. Where attempts is 0, that one was sent or skipped,
-- and those of its key that were put aside are sent before any others of it.
CREATE TABLE IF NOT EXISTS {schema}__outbox_failures (
    projection      VARCHAR(63) NOT NULL,
    `key`           VARBINARY(1024) NOT NULL,
    position        BIGINT NOT NULL,
    n               INT NOT NULL,
    version         BIGINT NOT NULL,
    attempts        INT NOT NULL,
    error           LONGTEXT NOT NULL,
    failed_at       BIGINT NOT NULL,
    next_attempt_at BIGINT, -- null: not by itself
    PRIMARY KEY (projection, `key`),
    KEY {schema}__outbox_failures_due (projection, next_attempt_at),
    KEY {schema}__outbox_failures_of (projection, position, n, version)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- What is not the live version's to send: events up to the position of the range that has their hash. The ranges of a
-- projection have every hash. Where there is none, nobody has begun to send.
CREATE TABLE IF NOT EXISTS {schema}__outbox_sent (
    projection  VARCHAR(63) NOT NULL,
    first_hash  BIGINT NOT NULL,
    last_hash   BIGINT NOT NULL,
    position    BIGINT NOT NULL,
    log_id      BINARY(16) NOT NULL,
    `partition` LONGTEXT NOT NULL, -- by what the events have their hashes, as JSON
    begun       BOOL NOT NULL,     -- sending was begun, and not only handed over from version to version
    -- The last event of the log up to the position, by which the log is known again. Zeros where that is not known.
    last_position BIGINT NOT NULL,
    last_event    BINARY(16) NOT NULL,
    PRIMARY KEY (projection, first_hash)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Exceptions to it: positions of events that are the live version's to send all the same.
CREATE TABLE IF NOT EXISTS {schema}__outbox_unsent (
    projection VARCHAR(63) NOT NULL,
    position   BIGINT NOT NULL,
    spread     BIGINT, -- the event's hash; null: that of another partition
    PRIMARY KEY (projection, position)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Who sends the messages of a projection: a process, as long as its lease in {schema}__workers holds.
CREATE TABLE IF NOT EXISTS {schema}__outbox_relays (
    projection  VARCHAR(63) NOT NULL PRIMARY KEY,
    owner       VARCHAR(700) NOT NULL,
    incarnation VARCHAR(200) NOT NULL,
    target      LONGTEXT NOT NULL -- where to, for people
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Whether the live version has an event parked is asked for each message of another version.
CREATE INDEX IF NOT EXISTS {schema}__parked_events_at ON {schema}__parked_events (projection, version, position);
