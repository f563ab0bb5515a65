-- Messages that are not sent are lost, and so is which were.
DROP INDEX {schema}__parked_positions;
DROP TABLE {schema}__outbox_relays;
DROP TABLE {schema}__outbox_unsent;
DROP TABLE {schema}__outbox_sent;
DROP TABLE {schema}__outbox_failures;
DROP TABLE {schema}__outbox;
