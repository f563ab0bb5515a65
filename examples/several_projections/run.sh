#!/usr/bin/env bash
# Three projections in one host. Each has its own settings, checkpoint and failures.
. "$(dirname "$0")/../lib.sh" "$@"

build user_counter activity_log revenue
cp "$example"/*.yaml modules # NAME.yaml has the settings of NAME.wasm
show pupwasm config check modules

show pupwasm append events.jsonl
show pupwasm run --once modules
show pupwasm status

show pupwasm rows user_counter
show pupwasm rows revenue revenue
show pupwasm rows activity_log
