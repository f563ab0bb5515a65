DROP TRIGGER {schema}__events_forget_snapshot_updated;
DROP TRIGGER {schema}__events_forget_snapshot_deleted;
DROP TABLE {schema}__snapshots;
