-- The roles of pupwasm on PostgreSQL, each with no more rights than it needs. This file is the one place of them.
--
--   pupwasm_migrator   sets up and updates pupwasm's tables, which it owns ('pupwasm migrate up')
--   pupwasm_writer     appends events, and reads none
--   pupwasm_host       runs projections ('pupwasm run'), and appends nothing
--   pupwasm_reader     reads the log and the state of projections ('pupwasm events', 'status', 'wait')
--   pupwasm_follower   reads the log for hosts whose rows are in another database ('pupwasm run --events')
--
-- An administrator runs it in the database of pupwasm, before the first 'pupwasm migrate up' and after every one:
--
--   psql shop -f roles.sql
--
-- It may be run at any time, again and again, while everything runs. Rights that it does not list are taken from these
-- roles. The roles log in; give each a password (\password pupwasm_host) or a certificate. For each projection there is
-- 'pupwasm grant fines --to pupwasm_host' besides. For another --schema, put its name for every "pupwasm" in this file:
--
--   sed s/pupwasm/store2/g roles.sql | psql shop

DO $$
DECLARE
    wanted name;
BEGIN -- other databases of this server may have the roles already
    FOREACH wanted IN ARRAY ARRAY['pupwasm_migrator', 'pupwasm_writer', 'pupwasm_host', 'pupwasm_reader',
        'pupwasm_follower']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', pg_catalog.current_database(), wanted);
    END LOOP;
    IF pg_catalog.to_regnamespace('pupwasm') IS NULL THEN
        CREATE SCHEMA pupwasm AUTHORIZATION pupwasm_migrator;
    END IF;
END $$;

GRANT USAGE ON SCHEMA pupwasm TO pupwasm_writer, pupwasm_host, pupwasm_reader, pupwasm_follower;

DO $$
BEGIN
    IF pg_catalog.to_regclass('pupwasm.events') IS NULL THEN
        RAISE NOTICE 'there are no tables yet: have pupwasm_migrator run ''pupwasm migrate up'', and run this file again';
        RETURN;
    END IF;
    REVOKE ALL ON ALL TABLES IN SCHEMA pupwasm FROM pupwasm_writer, pupwasm_host, pupwasm_reader, pupwasm_follower;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA pupwasm FROM pupwasm_writer, pupwasm_host, pupwasm_reader, pupwasm_follower;

    -- Whether the tables are those of this program.
    GRANT SELECT ON pupwasm.migration, pupwasm.log TO pupwasm_writer, pupwasm_host, pupwasm_reader, pupwasm_follower;

    -- A writer finds out which version a stream has and which ids are stored. What events say is not its business.
    GRANT INSERT ON pupwasm.events TO pupwasm_writer;
    GRANT SELECT (global_position, bounded_context, aggregate_type, aggregate_id, aggregate_version, event_id, xmin)
        ON pupwasm.events TO pupwasm_writer;
    GRANT SELECT, INSERT, UPDATE ON pupwasm.streams TO pupwasm_writer;
    -- It keeps snapshots of aggregates, whose states it does not read either.
    GRANT INSERT, UPDATE ON pupwasm.snapshots TO pupwasm_writer;
    GRANT SELECT (bounded_context, aggregate_type, aggregate_id, aggregate_version, event_id, schema_version)
        ON pupwasm.snapshots TO pupwasm_writer;

    GRANT SELECT ON pupwasm.events, pupwasm.streams TO pupwasm_host;
    GRANT SELECT, INSERT, UPDATE, DELETE ON pupwasm.projections, pupwasm.segments, pupwasm.workers, pupwasm.reader_grants,
        pupwasm.parked, pupwasm.parked_events, pupwasm.skipped_events, pupwasm.outbox, pupwasm.outbox_failures,
        pupwasm.outbox_sent, pupwasm.outbox_unsent, pupwasm.outbox_relays, pupwasm.listeners TO pupwasm_host;
    GRANT UPDATE ON SEQUENCE pupwasm.armed_until TO pupwasm_host;

    GRANT SELECT ON pupwasm.events, pupwasm.streams, pupwasm.snapshots, pupwasm.projections, pupwasm.segments,
        pupwasm.workers, pupwasm.parked, pupwasm.parked_events, pupwasm.skipped_events, pupwasm.outbox,
        pupwasm.outbox_failures, pupwasm.outbox_sent, pupwasm.outbox_relays TO pupwasm_reader;

    -- A follower notes that it waits, so that appends wake it. The checkpoints tell whether the log is safe to read.
    GRANT SELECT ON pupwasm.events, pupwasm.segments TO pupwasm_follower;
    GRANT SELECT, INSERT, UPDATE, DELETE ON pupwasm.listeners TO pupwasm_follower;
    GRANT UPDATE ON SEQUENCE pupwasm.armed_until TO pupwasm_follower;
END $$;
