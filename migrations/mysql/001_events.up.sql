-- The event log, with its append fence: it is not safe without.

-- What an event may be is checked for every writer, so that what comes in by any door can come out and go in by every
-- other. A payload is any bytes; its limit is a setting of the appender. Types are one wider than their limits, because a
-- session that is not strict cuts values to the type before they are checked.
--
-- Names are compared and bounded by bytes, hence VARBINARY. They must be UTF-8: what is not, and half of a surrogate
-- pair, does not come back from utf16 as it was.
CREATE TABLE IF NOT EXISTS {schema}__events (
    global_position   BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    bounded_context   VARBINARY(801) NOT NULL
                      CHECK (LENGTH(bounded_context) BETWEEN 1 AND 800 AND INSTR(bounded_context, x'00') = 0
                      AND CONVERT(CONVERT(CONVERT(CONVERT(bounded_context USING utf8mb4) USING utf16) USING utf8mb4) USING binary)
                          = bounded_context),
    aggregate_type    VARBINARY(801) NOT NULL
                      CHECK (LENGTH(aggregate_type) BETWEEN 1 AND 800 AND INSTR(aggregate_type, x'00') = 0
                      AND CONVERT(CONVERT(CONVERT(CONVERT(aggregate_type USING utf8mb4) USING utf16) USING utf8mb4) USING binary)
                          = aggregate_type),
    aggregate_id      VARBINARY(801) NOT NULL
                      CHECK (LENGTH(aggregate_id) BETWEEN 1 AND 800 AND INSTR(aggregate_id, x'00') = 0
                      AND CONVERT(CONVERT(CONVERT(CONVERT(aggregate_id USING utf8mb4) USING utf16) USING utf8mb4) USING binary)
                          = aggregate_id),
    aggregate_version BIGINT NOT NULL CHECK (aggregate_version BETWEEN 1 AND 9223372036854775806),
    event_id          VARBINARY(17) NOT NULL DEFAULT (UNHEX(REPLACE(UUID(), '-', '')))
                      CHECK (LENGTH(event_id) = 16
                      AND event_id <> x'00000000000000000000000000000000'), -- which means none
    event_type        VARBINARY(801) NOT NULL
                      CHECK (LENGTH(event_type) BETWEEN 1 AND 800 AND INSTR(event_type, x'00') = 0
                      AND CONVERT(CONVERT(CONVERT(CONVERT(event_type USING utf8mb4) USING utf16) USING utf8mb4) USING binary)
                          = event_type),
    event_version     BIGINT NOT NULL DEFAULT 1 CHECK (event_version BETWEEN 1 AND 2147483647),
    trace_id          VARBINARY(801)
                      CHECK (LENGTH(trace_id) <= 800 AND INSTR(trace_id, x'00') = 0
                      AND CONVERT(CONVERT(CONVERT(CONVERT(trace_id USING utf8mb4) USING utf16) USING utf8mb4) USING binary)
                          = trace_id),
    correlation_id    VARBINARY(801)
                      CHECK (LENGTH(correlation_id) <= 800 AND INSTR(correlation_id, x'00') = 0
                      AND CONVERT(CONVERT(CONVERT(CONVERT(correlation_id USING utf8mb4) USING utf16) USING utf8mb4) USING binary)
                          = correlation_id),
    causation_id      VARBINARY(801)
                      CHECK (LENGTH(causation_id) <= 800 AND INSTR(causation_id, x'00') = 0
                      AND CONVERT(CONVERT(CONVERT(CONVERT(causation_id USING utf8mb4) USING utf16) USING utf8mb4) USING binary)
                          = causation_id),
    -- UTC, in the years that RFC 3339 can write. The beginning of the first one means no time. LAST_DAY refuses days that
    -- there are not, which a session may allow.
    created_at        DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6)
                      CHECK (created_at > '0001-01-01 00:00:00' AND DAYOFMONTH(created_at) > 0
                      AND (DATE(created_at) <= LAST_DAY(created_at)) IS TRUE),
    -- FNV-1a 32 of aggregate_id, unsigned: the trigger fills it in. A hash out of range would belong to no segment.
    partition_hash    BIGINT CHECK ((partition_hash BETWEEN 0 AND 4294967295) IS TRUE),
    -- JSON_VALID lets some by that is no JSON: numbers such as 1. and escapes such as \x. The pattern, in which ~ is a
    -- backslash, refuses these, \u0000 and halves of surrogate pairs. JSON of more than 31 levels is not valid here.
    metadata          MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL DEFAULT '{}'
                      CHECK ((LENGTH(metadata) <= 1048576 AND JSON_VALID(metadata) AND JSON_TYPE(metadata) = 'OBJECT'
                      AND metadata REGEXP REPLACE(
                          '~A(?:[^"0-9]++|[0-9]++(?:[.][0-9]++)?+(?![.])|"(?:[^"~~]++|~~(?:["~~/bfnrt]|u(?!0000)))*+")*+~z',
                          '~', CHAR(92 USING utf8mb4))) IS TRUE),
    payload           LONGBLOB NOT NULL,
    UNIQUE KEY {schema}__events_stream (bounded_context, aggregate_type, aggregate_id, aggregate_version),
    UNIQUE KEY {schema}__events_id (event_id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- The rows of the append fence, 0 to 63, which nobody changes.
CREATE TABLE IF NOT EXISTS {schema}__fence (slot INT NOT NULL PRIMARY KEY) ENGINE=InnoDB;
INSERT INTO {schema}__fence (slot) VALUES
    (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15),
    (16), (17), (18), (19), (20), (21), (22), (23), (24), (25), (26), (27), (28), (29), (30), (31),
    (32), (33), (34), (35), (36), (37), (38), (39), (40), (41), (42), (43), (44), (45), (46), (47),
    (48), (49), (50), (51), (52), (53), (54), (55), (56), (57), (58), (59), (60), (61), (62), (63)
    ON DUPLICATE KEY UPDATE slot = {schema}__fence.slot;

CREATE OR REPLACE FUNCTION {schema}__fnv1a32(value LONGBLOB) RETURNS BIGINT DETERMINISTIC NO SQL
BEGIN
    DECLARE hash BIGINT DEFAULT 2166136261;
    DECLARE at INT DEFAULT 1;
    WHILE at <= LENGTH(value) DO
        SET hash = ((hash ^ ORD(SUBSTRING(value, at, 1))) * 16777619) & 4294967295, at = at + 1;
    END WHILE;
    RETURN hash;
END;

-- The append fence. AUTO_INCREMENT hands out positions before their transactions commit, and it does so after this
-- trigger. So every transaction that inserts holds a shared lock on a row of the fence from before its first position
-- until its commit is visible, and readers look which rows nobody holds: see store/mysql/horizon.go.
--
-- Sixteen turns of 5 ms have four rows each: a row is free as soon as those transactions have ended that began within
-- its turn. Which row is taken is a matter of speed only. The lock is of an ordinary row: a transaction that takes it
-- again has it already, and a savepoint that is rolled back does not give it back.
--
-- Readers have passed positions up to the last one. An event that is given one of those would never be read, so none may
-- be given. 0 means that none is given. The trigger replaces it by NULL, which means that in sessions with
-- NO_AUTO_VALUE_ON_ZERO too.
CREATE OR REPLACE TRIGGER {schema}__events_fence BEFORE INSERT ON {schema}__events FOR EACH ROW
BEGIN
    DECLARE at INT DEFAULT MICROSECOND(SYSDATE(6)) DIV 5000 MOD 16 * 4 + CONNECTION_ID() MOD 4;
    IF NEW.global_position <> 0 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
            'an event cannot be given a position, which hosts may have passed: leave global_position out of the INSERT';
    END IF;
    IF @@insert_id <> 0 THEN -- the position that the session wants the next event to have
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
            'an event cannot be given a position, which hosts may have passed: leave SET insert_id out';
    END IF;
    IF (SELECT f.slot FROM {schema}__fence f WHERE f.slot = at LOCK IN SHARE MODE) IS NULL THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
            'nothing can be appended: table {schema}__fence lacks rows, run the migrations as text again';
    END IF;
    SET NEW.global_position = NULL;
    IF NEW.partition_hash IS NULL THEN
        SET NEW.partition_hash = {schema}__fnv1a32(NEW.aggregate_id);
    END IF;
END;

-- A change of the stream's id changes the hash. Set to NULL it is filled again.
CREATE OR REPLACE TRIGGER {schema}__events_keep_position BEFORE UPDATE ON {schema}__events FOR EACH ROW
BEGIN
    IF NOT NEW.global_position <=> OLD.global_position THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT =
            'an event cannot be moved to another position: append another event';
    END IF;
    IF NOT (NEW.aggregate_id <=> OLD.aggregate_id AND NEW.partition_hash <=> OLD.partition_hash) THEN
        SET NEW.partition_hash = {schema}__fnv1a32(NEW.aggregate_id);
    END IF;
END;

-- The triggers of the log, for hosts, whose users do not see them: that takes the right to make some.
CREATE OR REPLACE FUNCTION {schema}__log_triggers() RETURNS TEXT READS SQL DATA
RETURN (SELECT GROUP_CONCAT(t.trigger_name ORDER BY t.trigger_name) FROM information_schema.triggers t
    WHERE t.event_object_schema = DATABASE() AND t.event_object_table = '{schema}__events');

-- The identity of the log: a checkpoint must not go on with another one.
CREATE TABLE IF NOT EXISTS {schema}__log (
    id  BINARY(16) NOT NULL,
    one INT NOT NULL PRIMARY KEY CHECK (one = 1)
) ENGINE=InnoDB;
INSERT INTO {schema}__log (id, one) SELECT UNHEX(REPLACE(UUID(), '-', '')), 1 FROM DUAL
    WHERE NOT EXISTS (SELECT 1 FROM {schema}__log);

-- One row a stream, which an append locks before it takes its first position, so that positions grow with versions. The
-- row has the version that the last append left, so that an append need not search for it: only the first one of a stream
-- does. Events that another program has inserted by itself since are not counted: an append meets the first of them, and
-- then looks what the stream has.
CREATE TABLE IF NOT EXISTS {schema}__streams (
    bounded_context VARBINARY(800) NOT NULL,
    aggregate_type  VARBINARY(800) NOT NULL,
    aggregate_id    VARBINARY(800) NOT NULL,
    last_version    BIGINT NOT NULL,
    PRIMARY KEY (bounded_context, aggregate_type, aggregate_id)
) ENGINE=InnoDB;

-- Events are not changed. Where somebody does it all the same, or deletes some, the next append searches again.
CREATE OR REPLACE TRIGGER {schema}__events_forget_version_deleted AFTER DELETE ON {schema}__events FOR EACH ROW
DELETE FROM {schema}__streams WHERE bounded_context = OLD.bounded_context
    AND aggregate_type = OLD.aggregate_type AND aggregate_id = OLD.aggregate_id;

CREATE OR REPLACE TRIGGER {schema}__events_forget_version_updated AFTER UPDATE ON {schema}__events FOR EACH ROW
IF NOT (NEW.bounded_context = OLD.bounded_context AND NEW.aggregate_type = OLD.aggregate_type
        AND NEW.aggregate_id = OLD.aggregate_id AND NEW.aggregate_version = OLD.aggregate_version) THEN
    DELETE FROM {schema}__streams WHERE bounded_context = OLD.bounded_context
        AND aggregate_type = OLD.aggregate_type AND aggregate_id = OLD.aggregate_id;
    DELETE FROM {schema}__streams WHERE bounded_context = NEW.bounded_context
        AND aggregate_type = NEW.aggregate_type AND aggregate_id = NEW.aggregate_id;
END IF;

-- lock_stream locks a stream, counts events that are about to be inserted, and gives the version of the first of them.
-- expected is -1 where any version will do, and 0 for none. It raises 45001 where the stream seems to be at another
-- version: what another program has inserted since the last append is not looked for here.
CREATE OR REPLACE PROCEDURE {schema}__lock_stream(
    of_context VARBINARY(800), of_type VARBINARY(800), of_id VARBINARY(800), events BIGINT, expected BIGINT,
    OUT next BIGINT)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    INSERT INTO {schema}__streams (bounded_context, aggregate_type, aggregate_id, last_version)
        VALUES (of_context, of_type, of_id, events)
        ON DUPLICATE KEY UPDATE last_version = LAST_INSERT_ID(last_version + events);
    IF ROW_COUNT() = 1 THEN
        SELECT COALESCE(MAX(e.aggregate_version), 0) + 1 INTO next FROM {schema}__events e
            WHERE e.bounded_context = of_context AND e.aggregate_type = of_type AND e.aggregate_id = of_id;
        IF next > 1 THEN
            UPDATE {schema}__streams SET last_version = next - 1 + events WHERE bounded_context = of_context
                AND aggregate_type = of_type AND aggregate_id = of_id;
        END IF;
    ELSE
        SET next = LAST_INSERT_ID() - events + 1;
    END IF;
    IF expected >= 0 AND expected <> next - 1 THEN
        SIGNAL SQLSTATE '45001' SET MESSAGE_TEXT = 'the stream is at another version';
    END IF;
END;

-- next_version is lock_stream for one event, within the INSERT of it, which so is a transaction by itself: nothing else
-- is as fast. It looks for the last version by reads that lock, which above READ COMMITTED get in each other's way.
--
-- It says that it is deterministic, which it is not, in order that a server with a binary log takes it. A call in a row of an INSERT is
-- made once.
CREATE OR REPLACE FUNCTION {schema}__next_version(
    of_context VARBINARY(800), of_type VARBINARY(800), of_id VARBINARY(800), expected BIGINT) RETURNS BIGINT
    DETERMINISTIC MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE next BIGINT;
    INSERT INTO {schema}__streams (bounded_context, aggregate_type, aggregate_id, last_version)
        VALUES (of_context, of_type, of_id, 1)
        ON DUPLICATE KEY UPDATE last_version = LAST_INSERT_ID(last_version + 1);
    IF ROW_COUNT() = 1 THEN
        SELECT COALESCE(MAX(e.aggregate_version), 0) + 1 INTO next FROM {schema}__events e
            WHERE e.bounded_context = of_context AND e.aggregate_type = of_type AND e.aggregate_id = of_id;
        IF next > 1 THEN
            UPDATE {schema}__streams SET last_version = next WHERE bounded_context = of_context
                AND aggregate_type = of_type AND aggregate_id = of_id;
        END IF;
    ELSE
        SET next = LAST_INSERT_ID();
    END IF;
    IF expected >= 0 AND expected <> next - 1 THEN
        SIGNAL SQLSTATE '45001' SET MESSAGE_TEXT = 'the stream is at another version';
    END IF;
    RETURN next;
END;
