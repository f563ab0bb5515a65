#!/usr/bin/env bash
# Builds one projection module.
#
#   scripts/build-module.sh go|tinygo|auto FOLDER OUT.wasm
#
# FOLDER is the folder of a main package within a Go module; auto takes TinyGo where it is installed, else Go.
# The output appears under its name only when it is complete, so that a host that watches the folder never
# sees a half.
set -euo pipefail

compiler=$1 folder=$2 out=$(realpath -m "$3")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

tinygo=
if [ "$compiler" != go ]; then
    tinygo=$("$root/scripts/tinygo.sh" --print-path) || tinygo=
    if [ -z "$tinygo" ] && [ "$compiler" = tinygo ]; then
        echo "build-module: TinyGo is not installed: run 'make tinygo'" >&2
        exit 1
    fi
fi

mkdir -p "$(dirname "$out")"
part=$(mktemp "$(dirname "$out")/.$(basename "$out").XXXXXX")
trap 'rm -f "$part"' EXIT
cd "$folder"
if [ -n "$tinygo" ]; then
    "$tinygo" build -target="$root/guest-sdk/targets/pupwasm.json" -opt=2 -no-debug -o "$part" .
else
    GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w" -o "$part" .
fi
chmod 644 "$part"
mv "$part" "$out"
