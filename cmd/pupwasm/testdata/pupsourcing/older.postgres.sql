-- The table of events of getpup/pupsourcing before it had bounded contexts, when ids were UUIDs. That of
-- pupsourcing/store has no bounded context either, and text for ids.
CREATE TABLE events (
    global_position   bigserial PRIMARY KEY,
    aggregate_type    text NOT NULL,
    aggregate_id      uuid NOT NULL,
    aggregate_version bigint NOT NULL,
    event_id          uuid NOT NULL UNIQUE,
    event_type        text NOT NULL,
    event_version     int NOT NULL DEFAULT 1,
    payload           bytea NOT NULL,
    trace_id          uuid,
    correlation_id    uuid,
    causation_id      uuid,
    metadata          jsonb,
    created_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (aggregate_type, aggregate_id, aggregate_version)
);
