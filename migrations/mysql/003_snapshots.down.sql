DROP TRIGGER IF EXISTS {schema}__events_forget_snapshot_updated;
DROP TRIGGER IF EXISTS {schema}__events_forget_snapshot_deleted;
DROP TABLE IF EXISTS {schema}__snapshots;
