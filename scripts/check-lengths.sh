#!/usr/bin/env bash
# Fails when a Go file has more than 400 lines and no line "// Long file: REASON", unless it is generated. golangci-lint
# checks functions.
#
#   scripts/check-lengths.sh FILE…
set -euo pipefail

mapfile -t long < <(awk 'FNR == 401 { print FILENAME }' "$@")
failed=0
for file in "${long[@]}"; do
    if grep -q -e '^// Long file: ' -e '^// Code generated .* DO NOT EDIT\.$' "$file"; then
        continue
    fi
    echo "$file has more than 400 lines: split it, or say '// Long file: REASON' in it" >&2
    failed=1
done
exit "$failed"
