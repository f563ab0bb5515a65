#!/usr/bin/env bash
# Three processes share the segments of one projection. One is killed, and the others take over what it had.
. "$(dirname "$0")/../lib.sh" "$@"

# logins FIRST LAST writes events of 7 users.
logins() {
    for i in $(seq "$1" "$2"); do
        printf '{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"user-%d","event_type":"UserLoggedIn",' $((i % 7))
        printf '"created_at":"2026-01-01T09:00:00Z","payload":{"n":%d}}\n' "$i"
    done
}

build user_counter
logins 1 700 >first.jsonl
logins 701 1400 >second.jsonl

start worker-1 --segments 6 --lease 2s
start worker-2 --segments 6 --lease 2s
start worker-3 --segments 6 --lease 2s
until_shares user_counter 2 2 2
show pupwasm append first.jsonl
show pupwasm wait user_counter

echo
crash worker-2
show pupwasm append second.jsonl
show pupwasm wait user_counter
until_shares user_counter 3 3
show pupwasm rows user_counter
