-- A message that waits was promised by rows that are there.
DO $$
DECLARE
    waiting text := (SELECT string_agg(DISTINCT o.projection, ', ' ORDER BY o.projection) FROM {schema}.outbox AS o
        WHERE NOT o.held AND o.sent_at IS NULL);
BEGIN
    IF waiting IS NOT NULL THEN
        RAISE EXCEPTION 'messages wait to be sent, which would be lost: have a host send them, or skip them first: %', waiting;
    END IF;
END $$;
DROP FUNCTION {schema}.skip_message;
DROP FUNCTION {schema}.messages_failed;
DROP FUNCTION {schema}.messages_sent;
DROP FUNCTION {schema}.settle_failures;
DROP FUNCTION {schema}.pending_messages;
DROP FUNCTION {schema}.set_aside;
DROP FUNCTION {schema}.lock_outbox;
DROP FUNCTION {schema}.put_messages;
DROP INDEX {schema}.parked_events_position;
DROP TABLE {schema}.outbox_relays;
DROP TABLE {schema}.outbox_unsent;
DROP TABLE {schema}.outbox_sent;
DROP TABLE {schema}.outbox_failures;
DROP TABLE {schema}.outbox;
