-- Projections, their segments and who may advance them. Times are microseconds since 1970-01-01 UTC.

CREATE TABLE {schema}__projections (
    name         TEXT PRIMARY KEY,
    version      INTEGER NOT NULL,
    installed_at INTEGER NOT NULL
) STRICT;

-- A worker's lease is one row, apart from the checkpoints.
CREATE TABLE {schema}__workers (
    worker     TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;

-- The checkpoint of a segment, and who may move it.
CREATE TABLE {schema}__segments (
    projection TEXT NOT NULL REFERENCES {schema}__projections ON DELETE CASCADE,
    segment    INTEGER NOT NULL,
    first_hash INTEGER NOT NULL,
    last_hash  INTEGER NOT NULL,
    position   INTEGER NOT NULL DEFAULT 0,
    owner      TEXT,
    epoch      INTEGER NOT NULL DEFAULT 0,
    failure    TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (projection, segment)
) STRICT;
