-- Marten's tables with conjoined tenants, streams of text keys, and all optional metadata. The first two events of order-2 are
-- gone, a stream is archived, and one tombstone marks an append that failed.
SET client_encoding = 'UTF8';
CREATE TABLE mt_streams (
    id               varchar NOT NULL,
    tenant_id        varchar NOT NULL DEFAULT '*DEFAULT*',
    type             varchar,
    version          bigint,
    timestamp        timestamptz NOT NULL DEFAULT now(),
    snapshot         jsonb,
    snapshot_version integer,
    created          timestamptz NOT NULL DEFAULT now(),
    is_archived      boolean DEFAULT false,
    PRIMARY KEY (tenant_id, id)
);
CREATE TABLE mt_events (
    seq_id         bigint PRIMARY KEY,
    id             uuid NOT NULL,
    stream_id      varchar,
    version        bigint NOT NULL,
    data           jsonb NOT NULL,
    type           varchar(500) NOT NULL,
    timestamp      timestamptz NOT NULL DEFAULT now(),
    tenant_id      varchar DEFAULT '*DEFAULT*',
    mt_dotnet_type varchar,
    correlation_id varchar,
    causation_id   varchar,
    headers        jsonb,
    is_archived    boolean DEFAULT false,
    FOREIGN KEY (tenant_id, stream_id) REFERENCES mt_streams (tenant_id, id)
);
CREATE UNIQUE INDEX pk_mt_events_stream_and_version ON mt_events (tenant_id, stream_id, version);

INSERT INTO mt_streams (tenant_id, id, type, version, is_archived) VALUES
    ('*DEFAULT*', 'order-1', 'order', 2, false), ('*DEFAULT*', 'order-2', 'order', 4, false),
    ('acme', 'order-1', 'order', 1, true), ('*DEFAULT*', 'mt_tombstone', NULL, 1, false);
INSERT INTO mt_events (seq_id, tenant_id, stream_id, version, id, type, data, timestamp, mt_dotnet_type, correlation_id,
    causation_id, headers) VALUES
    (1, '*DEFAULT*', 'order-1', 1, '018e8f2a-0000-7000-8000-000000000001', 'order_placed',
        '{"total": 12.50, "number": 9007199254740993, "note": "a \"quoted\" \\ name,\nÜ"}',
        '2024-03-31 01:59:59.999999+01', 'Shop.OrderPlaced, Shop', 'c-1', NULL,
        '{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "user": "ann"}'),
    (2, '*DEFAULT*', 'order-2', 3, '018e8f2a-0000-7000-8000-000000000002', 'order_paid_v2', '{"amount": 0.10}',
        '2024-03-31 03:00:00+02', 'Shop.Events.OrderPaid, Shop', 'c-2', '018e8f2a-0000-7000-8000-000000000001', NULL),
    (5, '*DEFAULT*', 'mt_tombstone', 1, '018e8f2a-0000-7000-8000-000000000005', 'tombstone', '{}',
        '2024-03-31 03:00:00+02', NULL, NULL, NULL, NULL),
    (6, 'acme', 'order-1', 1, '018e8f2a-0000-7000-8000-000000000006', 'order_placed', '{"total": 1.00, "number": 7}',
        '2024-03-31 03:00:01+02', 'Shop.OrderPlaced, Shop', NULL, NULL, NULL),
    (7, '*DEFAULT*', 'order-1', 2, '018e8f2a-0000-7000-8000-000000000007', 'order_paid_v2', '{"amount": 12.50}',
        '2024-03-31 03:00:02+02', 'Shop.Events.OrderPaid, Shop', NULL, NULL, NULL),
    (8, '*DEFAULT*', 'order-2', 4, '018e8f2a-0000-7000-8000-000000000008', 'order_closed', '{}',
        '2024-03-31 03:00:03+02', 'Shop.OrderClosed, Shop', NULL, NULL, NULL);
