DROP INDEX IF EXISTS {schema}__parked_events_at ON {schema}__parked_events;
DROP TABLE IF EXISTS {schema}__outbox_relays;
DROP TABLE IF EXISTS {schema}__outbox_unsent;
DROP TABLE IF EXISTS {schema}__outbox_sent;
DROP TABLE IF EXISTS {schema}__outbox_failures;
DROP TABLE IF EXISTS {schema}__outbox;
