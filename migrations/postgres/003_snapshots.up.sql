-- Snapshots of aggregates: the state of a stream up to one of its events, so that a load need not begin at the first.

-- They are a cache. One counts only while the log has its event, with its version, in its stream: whatever becomes of
-- the log, one that is of other events is passed over. A backup need not have them.
CREATE TABLE {schema}.snapshots (
    bounded_context   text NOT NULL,
    aggregate_type    text NOT NULL,
    aggregate_id      text NOT NULL,
    aggregate_version bigint NOT NULL CHECK (aggregate_version > 0),
    event_id          uuid NOT NULL,    -- of the event with that version
    schema_version    integer NOT NULL, -- of the state, by the application
    state             bytea NOT NULL CHECK (octet_length(state) <= 16777216),
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bounded_context, aggregate_type, aggregate_id)
);

-- snapshot_counts tells whether the log has the event of a snapshot. It looks at what is committed when it is called, and
-- not when the statement began that calls it: a snapshot that another session has just replaced may be of a later event.
CREATE FUNCTION {schema}.snapshot_counts(
    bounded_context text, aggregate_type text, aggregate_id text, aggregate_version bigint, event_id uuid
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_variable
BEGIN
    RETURN EXISTS (SELECT FROM {schema}.events AS e WHERE e.bounded_context = snapshot_counts.bounded_context
        AND e.aggregate_type = snapshot_counts.aggregate_type AND e.aggregate_id = snapshot_counts.aggregate_id
        AND e.aggregate_version = snapshot_counts.aggregate_version AND e.event_id = snapshot_counts.event_id);
END $$;

-- Events are not changed. Where somebody does it all the same, or deletes some, the last event does not tell. The
-- trigger has rights of its own, since roles that may change events need not know of snapshots. Nobody else may use it: a
-- trigger on a table of one's own would delete all snapshots.
CREATE FUNCTION {schema}.forget_snapshots() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM {schema}.snapshots;
        RETURN NULL;
    END IF;
    DELETE FROM {schema}.snapshots AS s WHERE s.bounded_context = OLD.bounded_context
        AND s.aggregate_type = OLD.aggregate_type AND s.aggregate_id = OLD.aggregate_id;
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM {schema}.snapshots AS s WHERE s.bounded_context = NEW.bounded_context
            AND s.aggregate_type = NEW.aggregate_type AND s.aggregate_id = NEW.aggregate_id;
    END IF;
    RETURN NULL;
END $$;

REVOKE ALL ON FUNCTION {schema}.forget_snapshots() FROM PUBLIC;

CREATE TRIGGER forget_snapshot AFTER UPDATE OR DELETE ON {schema}.events
    FOR EACH ROW EXECUTE FUNCTION {schema}.forget_snapshots();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER forget_snapshot;
CREATE TRIGGER forget_snapshots AFTER TRUNCATE ON {schema}.events
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.forget_snapshots();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER forget_snapshots;
