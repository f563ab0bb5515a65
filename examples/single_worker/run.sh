#!/usr/bin/env bash
# One host runs one projection, and follows events that are appended while it runs.
. "$(dirname "$0")/../lib.sh" "$@"

build user_counter

show pupwasm append events.jsonl
start host
show pupwasm wait user_counter
show pupwasm rows user_counter

echo
show pupwasm append later.jsonl
show pupwasm wait user_counter
show pupwasm rows user_counter
stop host
