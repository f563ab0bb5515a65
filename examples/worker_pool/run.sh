#!/usr/bin/env bash
# Eight segments of one projection in one process: it uses all cores, and events of one user stay in order.
. "$(dirname "$0")/../lib.sh" "$@"

build user_counter
for i in $(seq 2000); do
    printf '{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"user-%d","event_type":"UserLoggedIn",' $((i % 5))
    printf '"created_at":"2026-01-01T09:00:00Z","payload":{"n":%d}}\n' "$i"
done >events.jsonl
show pupwasm append events.jsonl

start pool --segments 8
show pupwasm wait user_counter
show pupwasm status user_counter
show pupwasm rows user_counter
stop pool
