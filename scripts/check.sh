#!/usr/bin/env bash
# Formatting, vet, linters and tidiness of every Go module that is named. A tree that the check changes fails it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
tool() { GOWORK=off go tool -modfile="$root/tools/go.mod" "$@"; } # a workspace takes no other go.mod

mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.go')
unformatted=$(tool gofumpt -l "${files[@]}")
if [ -n "$unformatted" ]; then
    printf 'not formatted, run "make fmt":\n%s\n' "$unformatted" >&2
    exit 1
fi
for module in "$@"; do
    echo "== $module: vet, staticcheck, errcheck, tidy"
    (
        cd "$root/$module"
        go vet ./...
        tool staticcheck ./...
        tool errcheck -ignoretests -exclude "$root/tools/errcheck.txt" ./...
        go mod tidy -diff
    )
done
(cd guest-sdk && go test -count=1 -run '^TestCopies_' ./internal/catalogue)
# What is built for guests is another program than what is tested natively.
(cd guest-sdk && GOOS=wasip1 GOARCH=wasm go vet .)
if command -v shellcheck >/dev/null; then
    shellcheck scripts/*.sh
fi
