#!/usr/bin/env bash
# From one process to three, and back to two, with other numbers of segments, while events come.
. "$(dirname "$0")/../lib.sh" "$@"

# logins FIRST LAST appends events of 3 users.
logins() {
    for i in $(seq "$1" "$2"); do
        printf '{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"user-%d","event_type":"UserLoggedIn",' $((i % 3))
        printf '"created_at":"2026-01-01T09:00:00Z","payload":{"n":%d}}\n' "$i"
    done | pupwasm append -
}

build user_counter

echo "# one process, two segments"
start a --segments 2
logins 1 300
until_shares user_counter 2

echo "# three processes, nine segments: the old one makes room, as in a rolling deploy"
start b --segments 9
start c --segments 9
logins 301 600
stop a
start a --segments 9
until_shares user_counter 3 3 3
logins 601 900

echo "# two processes, four segments"
stop a
stop b
stop c
start a --segments 4
start b --segments 4
logins 901 1200
until_shares user_counter 2 2

show pupwasm wait user_counter
show pupwasm rows user_counter
