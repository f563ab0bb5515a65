#!/usr/bin/env bash
# Builds a module, and runs the program of this folder with it.
. "$(dirname "$0")/../lib.sh" "$@"

build user_counter
program embed ./examples/embed
show embed --modules modules --database "$PUPWASM_DATABASE_URL" 2>&1 | sed "s|$PUPWASM_DATABASE_URL|URL|"
