-- message-db's table. The stream account-2 lacks its first message, which was deleted; commands, positions of consumers and
-- snapshots are no events; one metadata is no object, and one message has neither data nor metadata.
SET client_encoding = 'UTF8';
CREATE SCHEMA message_store;
CREATE TABLE message_store.messages (
    global_position bigserial NOT NULL PRIMARY KEY,
    position        bigint NOT NULL,
    time            timestamp without time zone NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    stream_name     text NOT NULL,
    type            text NOT NULL,
    data            jsonb,
    metadata        jsonb,
    id              uuid NOT NULL DEFAULT gen_random_uuid()
);
CREATE UNIQUE INDEX messages_id ON message_store.messages (id);
CREATE UNIQUE INDEX messages_stream ON message_store.messages (stream_name, position);

INSERT INTO message_store.messages (global_position, stream_name, position, id, type, data, metadata, time) VALUES
    (1, 'account:command-1', 0, '018e8f2a-0000-7000-8000-000000000101', 'Open', '{}', NULL, '2024-03-31 00:59:59'),
    (2, 'account-1', 0, '018e8f2a-0000-7000-8000-000000000102', 'Opened', '{"owner": "Zoë \\ \"Z\"", "number": 9007199254740993}',
        '{"correlationStreamName": "transfer-9", "causationMessageStreamName": "account:command-1",
          "causationMessagePosition": 0, "schemaVersion": "2"}', '2024-03-31 00:59:59.999999'),
    (3, 'account-1', 1, '018e8f2a-0000-7000-8000-000000000103', 'Deposited', '{"amount": 12.50}', '"imported"',
        '2024-03-31 01:00:00'),
    (5, 'account-2', 1, '018e8f2a-0000-7000-8000-000000000105', 'Deposited', '{"amount": 0.10}', '{"schemaVersion": "1.1"}',
        '2024-03-31 01:00:01'),
    (6, 'account:position-account-3', 0, '018e8f2a-0000-7000-8000-000000000106', 'Recorded', '{"position": 3}', NULL,
        '2024-03-31 01:00:02'),
    (7, 'account-1', 2, '018e8f2a-0000-7000-8000-000000000107', 'Closed', NULL, NULL, '2024-03-31 01:00:03'),
    (8, 'account:snapshot-1', 0, '018e8f2a-0000-7000-8000-000000000108', 'Recorded', '{}', NULL, '2024-03-31 01:00:04'),
    (9, 'transfer-8+9-a', 0, '018e8f2a-0000-7000-8000-000000000109', 'Started', '{}', NULL, '2024-03-31 01:00:05'),
    (10, 'calendar', 0, '018e8f2a-0000-7000-8000-00000000010a', 'DayEnded', '{}', NULL, '2024-03-31 01:00:06');
