#!/usr/bin/env bash
# Events of two versions in one log: the application and the projection see the newest only.
. "$(dirname "$0")/../lib.sh" "$@"

(cd "$example" && CGO_ENABLED=0 go build -o "$folder/shop" ./shop)
pupwasm build "$example/sales" --out modules >>build.log

show ./shop "$PUPWASM_DATABASE_URL"
show pupwasm run --once modules
show pupwasm rows sales sales
show pupwasm rows sales channels
