#!/usr/bin/env bash
# The projection fails at one event. Its order waits, all others go on, and a fixed module applies what waits.
. "$(dirname "$0")/../lib.sh" "$@"

pupwasm build "$example/projections/broken" "$example/projections/fixed" --out . >build.log
mkdir modules
cp broken.wasm modules/order_totals.wasm

show pupwasm append events.jsonl
start host --watch --park-retries -1
show pupwasm wait order_totals
show pupwasm rows order_totals
show pupwasm parked show order_totals o2

echo
show cp fixed.wasm modules/order_totals.wasm # the host takes it up
until [ "$(pupwasm parked list)" = "nothing is parked" ]; do :; done
show pupwasm parked list
show pupwasm rows order_totals
