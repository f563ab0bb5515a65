#!/usr/bin/env bash
# One source, two compilers: both modules make the same rows.
. "$(dirname "$0")/../lib.sh" "$@"

cp "$modules/user_counter/testdata/shop.jsonl" events.jsonl
echo "\$ pupwasm build user_counter --compiler go"
pupwasm build "$modules/user_counter" --compiler go --out go
echo "\$ pupwasm build user_counter --compiler tinygo"
pupwasm build "$modules/user_counter" --compiler tinygo --out tinygo

show pupwasm append events.jsonl
show pupwasm run --once go
pupwasm rows user_counter >rows.go

show pupwasm reset user_counter --yes # deletes its rows and its checkpoint
show pupwasm run --once tinygo
pupwasm rows user_counter >rows.tinygo
show diff rows.go rows.tinygo && echo "the same rows:"
cat rows.tinygo
