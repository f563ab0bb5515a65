-- Wake-up: an append notifies, but only while a host sleeps.

-- Hosts that wait for a notification, and until when. Rows are for the hosts among themselves and are lost in a crash, as
-- their connections are.
CREATE UNLOGGED TABLE {schema}.sleepers (
    worker  text PRIMARY KEY,
    "until" timestamptz NOT NULL
);

-- What appends look at is a sequence, whose value is until when somebody sleeps, in microseconds since 1970, 0 for nobody.
-- It is visible at once and to every snapshot, where a row would be hidden from a transaction that reads repeatably and
-- began before the host fell asleep; and it is read without a query.
CREATE SEQUENCE {schema}.sleep MINVALUE 0 START 0;
SELECT pg_catalog.setval('{schema}.sleep', 0);

-- The fence reads it with the rights of whoever inserts.
GRANT SELECT ON SEQUENCE {schema}.sleep TO PUBLIC;

-- doze announces that a worker waits for a notification, and tells whether all is quiet: that no append is under way which
-- may have looked before. The order is the proof: the announcement is visible, then the locks are looked at. A transaction
-- that is not seen here and commits events later takes its lock later, finds the announcement and notifies; one that is not
-- seen because it has ended is within the horizon of the next look. {schema}.horizon() does not do for this: a lock whose
-- transaction has no position yet holds nothing back.
CREATE FUNCTION {schema}.doze(of_worker text, for_time interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    wakes timestamptz;
BEGIN
    -- Nobody waits for the disk: a server that has crashed has no listeners.
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    LOCK TABLE {schema}.sleepers IN SHARE ROW EXCLUSIVE MODE;
    -- A call that its host has given up may arrive after the host has left.
    IF NOT EXISTS (SELECT FROM {schema}.workers w WHERE w.worker = of_worker) THEN
        RETURN false;
    END IF;
    wakes := pg_catalog.clock_timestamp() + for_time;
    INSERT INTO {schema}.sleepers AS s (worker, "until") VALUES (of_worker, wakes)
        ON CONFLICT (worker) DO UPDATE SET "until" = excluded."until";
    PERFORM pg_catalog.setval('{schema}.sleep', greatest((extract(epoch FROM wakes) * 1000000)::bigint,
        pg_catalog.pg_sequence_last_value('{schema}.sleep')));
    RETURN NOT EXISTS (
        SELECT FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = '{schema}.events'::pg_catalog.regclass
        AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()));
END $$;

-- awake takes the announcement back, and those that have run out. The value goes to 0 with the last sleeper. The lock keeps
-- another one's announcement from being overlooked; under a snapshot from before the lock the value is left to run out.
CREATE FUNCTION {schema}.awake(of_worker text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    LOCK TABLE {schema}.sleepers IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM {schema}.sleepers AS s WHERE s.worker = of_worker OR s."until" < pg_catalog.clock_timestamp();
    IF pg_catalog.current_setting('transaction_isolation') = 'read committed' AND NOT EXISTS (SELECT FROM {schema}.sleepers) THEN
        PERFORM pg_catalog.setval('{schema}.sleep', 0);
    END IF;
END $$;

-- may_notify tells whether appends notify at all. A transaction that has notified cannot be prepared, and a hint must not
-- make an append fail: where the server allows two-phase commit, notifications are off unless the setting pupwasm.notify
-- is on. Writers that prepare their transactions set it to off for themselves then.
CREATE FUNCTION {schema}.may_notify() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE pg_catalog.lower(coalesce(pg_catalog.current_setting('pupwasm.notify', true), ''))
        WHEN '' THEN pg_catalog.current_setting('max_prepared_transactions') = '0' WHEN 'on' THEN true ELSE false END
$$;

-- The fence as before, and once it holds the lock, the look whether somebody sleeps. One look a transaction is enough: who
-- falls asleep later sees the lock.
CREATE OR REPLACE FUNCTION {schema}.fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    namespace bigint := TG_RELID::bigint;
    fence text := 'pupwasm.fence_' || TG_RELID;
    this text := pg_catalog.pg_current_xact_id()::text;
    sleep bigint;
BEGIN
    IF pg_catalog.current_setting(fence, true) IS DISTINCT FROM this THEN
        PERFORM pg_catalog.pg_advisory_xact_lock_shared(
            (CASE WHEN namespace > 2147483647 THEN namespace - 4294967296 ELSE namespace END)::integer,
            (coalesce(pg_catalog.pg_sequence_last_value('{schema}.events_global_position_seq'), 0) % 2147483648)::integer);
        PERFORM pg_catalog.set_config(fence, this, true);
        sleep := pg_catalog.pg_sequence_last_value('{schema}.sleep');
        IF sleep > 0 AND sleep > extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000 AND {schema}.may_notify() THEN
            PERFORM pg_catalog.pg_notify(TG_TABLE_SCHEMA || '.wake', '');
        END IF;
    END IF;
    RETURN NULL;
END $$;
