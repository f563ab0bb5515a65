#!/usr/bin/env bash
# A host is killed in the middle of its work. The next one goes on where its last commit was: no event is skipped, none
# counts twice.
. "$(dirname "$0")/../lib.sh" "$@"

build user_counter
for i in $(seq 1000); do
    printf '{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"user-%d","event_type":"UserLoggedIn",' $((i % 4))
    printf '"created_at":"2026-01-01T09:00:00Z","payload":{"n":%d}}\n' "$i"
done >events.jsonl
show pupwasm append events.jsonl

echo "# in small steps, so that there is a middle"
start host --segments 1 --batch 10 --batch-pause 200ms
show pupwasm wait user_counter --position 50
crash host
show pupwasm segments list user_counter
show pupwasm rows user_counter

echo
echo "# the same name has its segments back at once; others would wait until the lease has run out"
start host
show pupwasm wait user_counter
stop host
show pupwasm rows user_counter
