DROP TRIGGER forget_snapshots ON {schema}.events;
DROP TRIGGER forget_snapshot ON {schema}.events;
DROP FUNCTION {schema}.forget_snapshots;
DROP FUNCTION {schema}.snapshot_counts;
DROP TABLE {schema}.snapshots;
