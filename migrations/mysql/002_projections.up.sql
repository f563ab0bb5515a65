-- Projections, their segments and who may advance them. Times are microseconds since 1970-01-01 UTC.

CREATE TABLE IF NOT EXISTS {schema}__projections (
    name         VARCHAR(63) NOT NULL,
    -- Which version, and which build of it, as one number: version + build * 100000000, so that it is the version itself
    -- for the first build. Other tables refer to this number.
    version      BIGINT NOT NULL,
    whole        BOOL NOT NULL DEFAULT 0, -- it takes all events in one order, and so has one segment
    segments     INT NOT NULL, -- how many were last asked for; 'segments split' and 'merge' leave it alone
    next_segment INT NOT NULL, -- numbers are not used again: a claim on a segment that is gone must not fit another
    -- What was installed, for the next install to compare with: the declaration of the tables, and what they are
    -- in the database.
    declaration  LONGTEXT NOT NULL,
    shapes       LONGTEXT NOT NULL,
    installed_at BIGINT NOT NULL,
    paused_at    BIGINT, -- while it is set, no segment is given to a worker
    live         BOOL NOT NULL,              -- the version that readers see
    promoted_at  BIGINT,                     -- since when they see it, or when they saw it first the last time
    replaced     BIGINT NOT NULL DEFAULT 0,  -- the number of the version that they saw before, to go back to; 0: none
    rebuild      INT NOT NULL DEFAULT 0,     -- the build of the version that is asked for and not begun; 0: none
    -- What ran the version last: a digest, and of a module its bytes, so that another can be compared with it.
    code         VARCHAR(200) NOT NULL DEFAULT '',
    module       LONGBLOB,
    -- A unique key has one row for each name that is not NULL: at most one version of a projection is live.
    live_name    VARCHAR(63) AS (IF(live, name, NULL)) PERSISTENT,
    PRIMARY KEY (name, version),
    UNIQUE KEY {schema}__projections_live (live_name)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Databases that a host is making, changing or dropping for a projection, since MariaDB commits each statement that does
-- so by itself. A host writes a row before the first of them. The transaction that registers the result deletes it. A
-- host that has the lock of the projection later, and finds a row, knows that the other one has ended in between: it
-- drops a database that belongs to no version, and takes back what was added to one that does.
CREATE TABLE IF NOT EXISTS {schema}__unfinished (
    place      VARCHAR(64) NOT NULL PRIMARY KEY, -- the database
    projection VARCHAR(63) NOT NULL,
    -- What is added, as JSON; empty where all in the database is new, or is to go.
    additions  LONGTEXT NOT NULL DEFAULT '',
    KEY {schema}__unfinished_of (projection)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- A worker's lease is one row, apart from the checkpoints. It holds until expires_at. A lease that would hold for
-- longer than twice its length was given before the clock was set back: it is over.
CREATE TABLE IF NOT EXISTS {schema}__workers (
    worker      VARCHAR(700) NOT NULL PRIMARY KEY,
    incarnation VARCHAR(200) NOT NULL DEFAULT '', -- of the process that has the name
    projections LONGTEXT NOT NULL DEFAULT '[]',   -- those that it runs, as JSON: name, version and build
    refused     LONGTEXT NOT NULL DEFAULT '[]',   -- those that it cannot run, and why, as JSON
    troubles    LONGTEXT NOT NULL DEFAULT '[]',   -- segments that make no progress in its hands, and why, as JSON
    segments    INT NOT NULL DEFAULT 0,           -- into how many it would have a projection divided
    expires_at  BIGINT NOT NULL,
    ttl         BIGINT NOT NULL                   -- the length of the lease
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- The checkpoint of a segment, and who may move it. The streams of a segment are those whose partition hash,
-- spread, is from first_hash to last_hash. Segments that are being merged have the number of the one that they
-- become in merge_into; none of them passes the position merge_at, and when all have reached it the merge is
-- completed.
CREATE TABLE IF NOT EXISTS {schema}__segments (
    projection VARCHAR(63) NOT NULL,
    version    BIGINT NOT NULL,
    segment    INT NOT NULL,
    first_hash BIGINT NOT NULL,
    last_hash  BIGINT NOT NULL,
    position   BIGINT NOT NULL DEFAULT 0,
    owner      VARCHAR(700),
    epoch      BIGINT NOT NULL DEFAULT 0,
    failure    LONGTEXT,
    merge_into INT NOT NULL DEFAULT 0,
    merge_at   BIGINT NOT NULL DEFAULT 0, -- 0: no merge
    -- The log that the checkpoint is of, and the last event of it up to the checkpoint, of whatever segment; zeros
    -- where there is none.
    log_id        BINARY(16) NOT NULL DEFAULT x'00000000000000000000000000000000',
    timeline      BIGINT NOT NULL DEFAULT 0, -- of the server that has the log, which may be another database
    last_position BIGINT NOT NULL DEFAULT 0,
    last_event    BINARY(16) NOT NULL DEFAULT x'00000000000000000000000000000000',
    updated_at BIGINT NOT NULL,
    -- The time of the first of the latest commits that did not reach the end of the log; null when the last one did.
    behind_since BIGINT,
    PRIMARY KEY (projection, version, segment),
    CONSTRAINT {schema}__segments_of FOREIGN KEY (projection, version) REFERENCES {schema}__projections (name, version)
        ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Keys whose events are kept back, because one of them has failed. first_position is where it did: all events of
-- the key before it are applied. events counts those in parked_events.
CREATE TABLE IF NOT EXISTS {schema}__parked (
    projection      VARCHAR(63) NOT NULL,
    version         BIGINT NOT NULL,
    `key`           VARBINARY(1024) NOT NULL,
    spread          BIGINT NOT NULL, -- the key's hash, spread: the segment with it in its range has the key
    first_position  BIGINT NOT NULL,
    last_position   BIGINT NOT NULL DEFAULT 0,
    events          BIGINT NOT NULL DEFAULT 0,
    event_id        BINARY(16) NOT NULL,
    error           LONGTEXT NOT NULL,
    attempts        INT NOT NULL,
    parked_at       BIGINT NOT NULL,
    next_attempt_at BIGINT,                          -- null: not by itself
    wanted          VARCHAR(20) NOT NULL DEFAULT '', -- what somebody has ordered: retry or skip
    orders          BIGINT NOT NULL DEFAULT 0,       -- how many orders were given
    tried           LONGTEXT NOT NULL,               -- identities of the code that it was tried with, as JSON
    tell_at         BIGINT DEFAULT 0,                -- when somebody is to be told of it; null: somebody was
    -- When it is due: at once where somebody has ordered something.
    due_at          BIGINT AS (IF(wanted <> '', 0, next_attempt_at)) PERSISTENT,
    PRIMARY KEY (projection, version, `key`),
    -- Which keys are due is asked every second, of however many there are; so is which of them somebody is to be told of.
    KEY {schema}__parked_due (projection, version, due_at),
    KEY {schema}__parked_untold (tell_at),
    CONSTRAINT {schema}__parked_of FOREIGN KEY (projection, version) REFERENCES {schema}__projections (name, version)
        ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS {schema}__parked_events (
    projection VARCHAR(63) NOT NULL,
    version    BIGINT NOT NULL,
    `key`      VARBINARY(1024) NOT NULL,
    position   BIGINT NOT NULL,
    PRIMARY KEY (projection, version, `key`, position),
    CONSTRAINT {schema}__parked_events_of FOREIGN KEY (projection, version, `key`)
        REFERENCES {schema}__parked (projection, version, `key`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Events that were left out for good.
CREATE TABLE IF NOT EXISTS {schema}__skipped_events (
    projection VARCHAR(63) NOT NULL,
    version    BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    `key`      VARBINARY(1024) NOT NULL,
    event_id   BINARY(16) NOT NULL,
    error      LONGTEXT NOT NULL,
    skipped_at BIGINT NOT NULL,
    PRIMARY KEY (projection, version, position),
    CONSTRAINT {schema}__skipped_events_of FOREIGN KEY (projection, version)
        REFERENCES {schema}__projections (name, version) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- park_room precedes the parking of keys in a transaction, behind its fence: it raises 45006 when too many would be.
-- Segments may park at the same time, and so wait for each other here, at the row of the projection.
CREATE OR REPLACE PROCEDURE {schema}__park_room(
    of_projection VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, of_version BIGINT, new_keys BIGINT,
    parked_max BIGINT)
BEGIN
    DECLARE parked BIGINT;
    SELECT p.version INTO parked FROM {schema}__projections p WHERE p.name = of_projection AND p.version = of_version
        FOR UPDATE;
    SELECT COUNT(*) INTO parked FROM {schema}__parked p WHERE p.projection = of_projection AND p.version = of_version;
    IF parked + new_keys > parked_max THEN
        SIGNAL SQLSTATE '45006' SET MESSAGE_TEXT = 'too many keys are parked';
    END IF;
END;

-- retry_parked is the fence of a transaction that applies events of a parked key: the claim must hold, wherever its
-- checkpoint is, since commits of the segment go on meanwhile. Its row lock keeps them waiting, and a commit that
-- notes one more event of the key comes before it, and is seen, or finds that the key is not parked. It gives one row:
-- whether the key is parked no longer. Orders that were given since it began, beyond those that it has seen, stay.
--
-- It raises 45002 when the claim does not hold, 45003 when what was read is of another log, 45004 when the tables are
-- taken to be apart from their log, and are not, and 45005 when the key is not parked.
CREATE OR REPLACE PROCEDURE {schema}__retry_parked(
    of_projection VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, of_version BIGINT, of_segment INT,
    by_owner VARCHAR(700) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, at_epoch BIGINT,
    read_log BINARY(16), read_timeline BIGINT, apart BOOL,
    of_key VARBINARY(1024), through_position BIGINT, seen_orders BIGINT,
    fault_position BIGINT, fault_event BINARY(16),
    fault_error LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, fault_attempts BIGINT, fault_delay BIGINT,
    fault_code LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin)
BEGIN
    DECLARE found, own, applied BIGINT;
    DECLARE next_position BIGINT;
    DECLARE at BIGINT DEFAULT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);
    SET own = (SELECT COUNT(*) FROM {schema}__log l WHERE l.id = read_log);
    IF apart AND own > 0 THEN
        SIGNAL SQLSTATE '45004' SET MESSAGE_TEXT = 'the log is the one of this database';
    END IF;
    SELECT COUNT(*), COALESCE(SUM(s.log_id = read_log AND s.timeline = read_timeline), 0) INTO found, applied
        FROM {schema}__segments s WHERE s.projection = of_projection AND s.version = of_version
        AND s.segment = of_segment AND s.owner = by_owner AND s.epoch = at_epoch FOR UPDATE;
    IF found = 0 THEN
        SIGNAL SQLSTATE '45002' SET MESSAGE_TEXT = 'the segment is not held';
    END IF;
    IF applied = 0 OR NOT apart AND (own = 0 OR read_timeline <> 0) THEN
        SIGNAL SQLSTATE '45003' SET MESSAGE_TEXT = 'the events are of another log';
    END IF;
    -- The row of the key is locked before those of its events, as where they are noted.
    SELECT COUNT(*) INTO found FROM {schema}__parked p WHERE p.projection = of_projection AND p.version = of_version
        AND p.`key` = of_key FOR UPDATE;
    IF found = 0 THEN
        SIGNAL SQLSTATE '45005' SET MESSAGE_TEXT = 'the key is not parked';
    END IF;
    DELETE FROM {schema}__parked_events WHERE projection = of_projection AND version = of_version AND `key` = of_key
        AND position <= through_position;
    SET applied = ROW_COUNT();
    SET next_position = (SELECT MIN(e.position) FROM {schema}__parked_events e WHERE e.projection = of_projection
        AND e.version = of_version AND e.`key` = of_key);
    -- Assignments are in an order in which each sees the columns as they were.
    IF next_position IS NULL THEN
        DELETE FROM {schema}__parked WHERE projection = of_projection AND version = of_version AND `key` = of_key;
    ELSEIF fault_position > 0 THEN
        UPDATE {schema}__parked SET events = events - applied,
            wanted = IF(orders = seen_orders OR wanted = 'skip' AND first_position <> fault_position, '', wanted),
            first_position = fault_position, event_id = fault_event, error = fault_error, attempts = fault_attempts,
            next_attempt_at = IF(fault_delay < 0, NULL, at + fault_delay),
            tried = IF(JSON_CONTAINS(tried, JSON_QUOTE(fault_code)), tried,
                JSON_ARRAY_APPEND(IF(JSON_LENGTH(tried) > 15, JSON_REMOVE(tried, '$[0]'), tried), '$', fault_code))
            WHERE projection = of_projection AND version = of_version AND `key` = of_key;
    ELSE -- what is left is due, also for another worker
        UPDATE {schema}__parked SET events = events - applied,
            wanted = IF(orders = seen_orders OR wanted = 'skip' AND first_position <> next_position, '', wanted),
            first_position = next_position, attempts = 0, next_attempt_at = at
            WHERE projection = of_projection AND version = of_version AND `key` = of_key;
    END IF;
    SELECT next_position IS NULL;
END;

-- advance is the fence of a projection's transaction: it moves the checkpoint, or raises 45002 when the claim no longer
-- holds, so that everything behind it in the same text is left out. It comes first in the transaction and its row lock
-- keeps every other commit of the segment waiting.
--
-- It raises 45003 when what was read is not of this log: after a restore the positions have, or will have, other events.
-- A log that was replaced by a dump or by hand, or that lost its end in a crash, lacks the event that ties the checkpoint
-- to it, or the last one that was read.
--
-- Events are read by statements of their own: a subquery of an UPDATE would lock them. Each is as simple as can be: a
-- statement of a procedure is planned each time.
CREATE OR REPLACE PROCEDURE {schema}__advance(
    of_projection VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, of_version BIGINT, of_segment INT,
    by_owner VARCHAR(700) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, at_epoch BIGINT,
    from_position BIGINT, to_position BIGINT,
    read_log BINARY(16), read_timeline BIGINT, read_position BIGINT, read_event BINARY(16), at_time BIGINT)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE of_log BOOL;
    DECLARE noted_position, head BIGINT;
    DECLARE last_at BIGINT DEFAULT to_position;
    DECLARE own_log, noted_event, noted_found, read_found, last_id BINARY(16);
    SELECT s.last_position, s.last_event, s.log_id = read_log AND s.timeline = read_timeline AND read_timeline = 0
        INTO noted_position, noted_event, of_log
        FROM {schema}__segments s WHERE s.projection = of_projection AND s.version = of_version AND s.segment = of_segment
        AND s.owner = by_owner AND s.epoch = at_epoch AND s.position = from_position FOR UPDATE;
    IF of_log IS NULL THEN
        SIGNAL SQLSTATE '45002' SET MESSAGE_TEXT = 'the segment is not held at this position';
    END IF;
    SELECT l.id INTO own_log FROM {schema}__log l WHERE l.one = 1;
    SELECT e.event_id INTO last_id FROM {schema}__events e WHERE e.global_position = to_position;
    IF last_id IS NULL THEN
        SELECT e.global_position, e.event_id INTO last_at, last_id FROM {schema}__events e
            WHERE e.global_position < to_position ORDER BY e.global_position DESC LIMIT 1;
    END IF;
    IF last_id IS NULL THEN
        SET last_at = 0, last_id = x'00000000000000000000000000000000';
    END IF;
    SELECT e.global_position INTO head FROM {schema}__events e WHERE e.global_position = to_position + 1;
    IF head IS NULL THEN -- this is slow while one transaction appends very many events
        SELECT COALESCE(MAX(e.global_position), 0) INTO head FROM {schema}__events e;
    END IF;
    IF noted_position > 0 THEN
        SELECT e.event_id INTO noted_found FROM {schema}__events e WHERE e.global_position = noted_position;
    END IF;
    IF read_position = last_at THEN
        SET read_found = last_id;
    ELSE
        SELECT e.event_id INTO read_found FROM {schema}__events e WHERE e.global_position = read_position;
    END IF;
    IF NOT (of_log AND own_log <=> read_log AND to_position <= head AND (noted_position = 0 OR noted_found <=> noted_event)
        AND (read_position = 0 OR read_found <=> read_event)) THEN
        SIGNAL SQLSTATE '45003' SET MESSAGE_TEXT = 'the events or the checkpoint are of another log';
    END IF;
    UPDATE {schema}__segments SET position = to_position, updated_at = at_time, last_position = last_at,
        last_event = last_id, behind_since = IF(to_position < head, COALESCE(behind_since, at_time), NULL)
        WHERE projection = of_projection AND version = of_version AND segment = of_segment;
END;

-- advance_apart is advance for tables whose log is in another database: what was read must be of the log that the
-- checkpoint is of, by id and timeline. What the checkpoint notes of the log, the reader has brought along, and where the
-- log ended. It raises 45004 when the log is the one of this database after all, or this database is a copy of that one.
CREATE OR REPLACE PROCEDURE {schema}__advance_apart(
    of_projection VARCHAR(63) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, of_version BIGINT, of_segment INT,
    by_owner VARCHAR(700) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, at_epoch BIGINT,
    from_position BIGINT, to_position BIGINT,
    read_log BINARY(16), read_timeline BIGINT, read_position BIGINT, read_event BINARY(16), read_head BIGINT,
    at_time BIGINT)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE of_log BOOL;
    IF EXISTS (SELECT 1 FROM {schema}__log l WHERE l.id = read_log) THEN
        SIGNAL SQLSTATE '45004' SET MESSAGE_TEXT = 'the log is the one of this database';
    END IF;
    SELECT s.log_id = read_log AND s.timeline = read_timeline INTO of_log
        FROM {schema}__segments s WHERE s.projection = of_projection AND s.version = of_version AND s.segment = of_segment
        AND s.owner = by_owner AND s.epoch = at_epoch AND s.position = from_position FOR UPDATE;
    IF of_log IS NULL THEN
        SIGNAL SQLSTATE '45002' SET MESSAGE_TEXT = 'the segment is not held at this position';
    ELSEIF NOT of_log THEN
        SIGNAL SQLSTATE '45003' SET MESSAGE_TEXT = 'the events are of another log';
    END IF;
    UPDATE {schema}__segments SET position = to_position, updated_at = at_time,
        last_position = IF(read_position > 0, read_position, last_position),
        last_event = IF(read_position > 0, read_event, last_event),
        behind_since = IF(to_position < read_head, COALESCE(behind_since, at_time), NULL)
        WHERE projection = of_projection AND version = of_version AND segment = of_segment;
END;
