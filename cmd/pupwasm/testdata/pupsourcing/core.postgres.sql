-- Tables of pupsourcing/core, and of getpup/pupsourcing since it has bounded contexts, with their default names.
CREATE TABLE events (
    global_position   bigserial PRIMARY KEY,
    bounded_context   text NOT NULL,
    aggregate_type    text NOT NULL,
    aggregate_id      text NOT NULL,
    aggregate_version bigint NOT NULL,
    event_id          uuid NOT NULL UNIQUE,
    event_type        text NOT NULL,
    event_version     int NOT NULL DEFAULT 1,
    payload           bytea NOT NULL,
    trace_id          text,
    correlation_id    text,
    causation_id      text,
    metadata          jsonb,
    created_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (bounded_context, aggregate_type, aggregate_id, aggregate_version)
);
CREATE TABLE aggregate_heads (
    bounded_context   text NOT NULL,
    aggregate_type    text NOT NULL,
    aggregate_id      text NOT NULL,
    aggregate_version bigint NOT NULL,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bounded_context, aggregate_type, aggregate_id)
);
CREATE TABLE consumer_segments (
    consumer_name  text NOT NULL,
    segment_id     int NOT NULL,
    total_segments int NOT NULL,
    owner_id       text,
    checkpoint     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer_name, segment_id)
);
CREATE TABLE consumer_workers (
    consumer_name  text NOT NULL,
    worker_id      text NOT NULL,
    last_heartbeat timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_name, worker_id)
);
CREATE TABLE projection_checkpoints (
    projection_name      text PRIMARY KEY,
    last_global_position bigint NOT NULL DEFAULT 0,
    updated_at           timestamptz NOT NULL DEFAULT now()
);
