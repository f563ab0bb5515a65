-- Projections, their segments and who may advance them. Times are microseconds since 1970-01-01 UTC.

CREATE TABLE {schema}__projections (
    name         TEXT NOT NULL,
    -- Which version, and which build of it, as one number: version + build * 100000000, so that it is the version itself
    -- for the first build. Other tables refer to this number.
    version      INTEGER NOT NULL,
    whole        INTEGER NOT NULL DEFAULT 0, -- it takes all events in one order, and so has one segment
    segments     INTEGER NOT NULL, -- how many were last asked for; 'segments split' and 'merge' leave it alone
    next_segment INTEGER NOT NULL, -- numbers are not used again: a claim on a segment that is gone must not fit another
    -- What was installed, for the next install to compare with: the declaration of the tables, and what they are
    -- in the database.
    declaration  TEXT NOT NULL,
    shapes       TEXT NOT NULL,
    installed_at INTEGER NOT NULL,
    paused_at    INTEGER, -- while it is set, no segment is given to a worker
    live         INTEGER NOT NULL,           -- the version that readers see
    promoted_at  INTEGER,                    -- since when they see it, or when they saw it first the last time
    replaced     INTEGER NOT NULL DEFAULT 0, -- the number of the version that they saw before, to go back to; 0: none
    rebuild      INTEGER NOT NULL DEFAULT 0, -- the build of the version that is asked for and not begun; 0: none
    -- What ran the version last: a digest, and of a module its bytes, so that another can be compared with it.
    code         TEXT NOT NULL DEFAULT '',
    module       BLOB,
    PRIMARY KEY (name, version)
) STRICT;
CREATE UNIQUE INDEX {schema}__projections_live ON {schema}__projections (name) WHERE live;

-- A worker's lease is one row, apart from the checkpoints. It holds until expires_at. A lease that would hold for
-- longer than twice its length was given before the clock was set back: it is over.
CREATE TABLE {schema}__workers (
    worker      TEXT PRIMARY KEY,
    incarnation TEXT NOT NULL DEFAULT '',   -- of the process that has the name
    projections TEXT NOT NULL DEFAULT '[]', -- those that it runs, as JSON: name, version and build
    refused     TEXT NOT NULL DEFAULT '[]', -- those that it cannot run, and why, as JSON
    troubles    TEXT NOT NULL DEFAULT '[]', -- segments that make no progress in its hands, and why, as JSON
    segments    INTEGER NOT NULL DEFAULT 0, -- into how many it would have a projection divided
    expires_at  INTEGER NOT NULL,
    ttl         INTEGER NOT NULL            -- the length of the lease
) STRICT;

-- The checkpoint of a segment, and who may move it. The streams of a segment are those whose partition hash,
-- spread, is from first_hash to last_hash. Segments that are being merged have the number of the one that they
-- become in merge_into; none of them passes the position merge_at, and when all have reached it the merge is
-- completed.
CREATE TABLE {schema}__segments (
    projection TEXT NOT NULL,
    version    INTEGER NOT NULL,
    segment    INTEGER NOT NULL,
    first_hash INTEGER NOT NULL,
    last_hash  INTEGER NOT NULL,
    position   INTEGER NOT NULL DEFAULT 0,
    owner      TEXT,
    epoch      INTEGER NOT NULL DEFAULT 0,
    failure    TEXT,
    merge_into INTEGER NOT NULL DEFAULT 0,
    merge_at   INTEGER NOT NULL DEFAULT 0, -- 0: no merge
    -- The log that the checkpoint is of, and the last event of it up to the checkpoint, of whatever segment; zeros
    -- where there is none.
    log_id        BLOB NOT NULL DEFAULT (zeroblob(16)),
    timeline      INTEGER NOT NULL DEFAULT 0, -- of the server that has the log, which may be another database
    last_position INTEGER NOT NULL DEFAULT 0,
    last_event    BLOB NOT NULL DEFAULT (zeroblob(16)),
    updated_at INTEGER NOT NULL,
    -- The time of the first of the latest commits that did not reach the end of the log; null when the last one did.
    behind_since INTEGER,
    PRIMARY KEY (projection, version, segment),
    FOREIGN KEY (projection, version) REFERENCES {schema}__projections (name, version)
        ON DELETE CASCADE ON UPDATE CASCADE
) STRICT;

-- Keys whose events are kept back, because one of them has failed. first_position is where it did: all events of
-- the key before it are applied. events counts those in parked_events.
CREATE TABLE {schema}__parked (
    projection      TEXT NOT NULL,
    version         INTEGER NOT NULL,
    key             BLOB NOT NULL,
    spread          INTEGER NOT NULL, -- the key's hash, spread: the segment with it in its range has the key
    first_position  INTEGER NOT NULL,
    last_position   INTEGER NOT NULL DEFAULT 0,
    events          INTEGER NOT NULL DEFAULT 0,
    event_id        BLOB NOT NULL,
    error           TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    parked_at       INTEGER NOT NULL,
    next_attempt_at INTEGER,                    -- null: not by itself
    wanted          TEXT NOT NULL DEFAULT '',   -- what somebody has ordered: retry or skip
    orders          INTEGER NOT NULL DEFAULT 0, -- how many orders were given
    tried           TEXT NOT NULL,              -- identities of the code that it was tried with, as JSON
    tell_at         INTEGER DEFAULT 0,          -- when somebody is to be told of it; null: somebody was
    PRIMARY KEY (projection, version, key),
    FOREIGN KEY (projection, version) REFERENCES {schema}__projections ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

-- Which keys are due is asked every second, of however many there are.
CREATE INDEX {schema}__parked_due ON {schema}__parked (projection, version,
    iif(wanted <> '', 0, next_attempt_at));
-- And so is which of them somebody is to be told of.
CREATE INDEX {schema}__parked_untold ON {schema}__parked (tell_at) WHERE tell_at IS NOT NULL;

CREATE TABLE {schema}__parked_events (
    projection TEXT NOT NULL,
    version    INTEGER NOT NULL,
    key        BLOB NOT NULL,
    position   INTEGER NOT NULL,
    PRIMARY KEY (projection, version, key, position),
    FOREIGN KEY (projection, version, key) REFERENCES {schema}__parked ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

-- Events that were left out for good.
CREATE TABLE {schema}__skipped_events (
    projection TEXT NOT NULL,
    version    INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    key        BLOB NOT NULL,
    event_id   BLOB NOT NULL,
    error      TEXT NOT NULL,
    skipped_at INTEGER NOT NULL,
    PRIMARY KEY (projection, version, position),
    FOREIGN KEY (projection, version) REFERENCES {schema}__projections ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
