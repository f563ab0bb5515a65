#!/usr/bin/env bash
# Three projections over one log: some types of events, one bounded context, everything.
. "$(dirname "$0")/../lib.sh" "$@"

build revenue user_counter activity_log
for module in revenue user_counter activity_log; do
    show pupwasm inspect "modules/$module.wasm" | grep -E '^(\$|contexts|aggregates|event types)'
done
show pupwasm append events.jsonl
show pupwasm run --once modules
show pupwasm rows revenue revenue
show pupwasm rows user_counter
show pupwasm rows activity_log
