#!/usr/bin/env bash
# Formatting, linters, lengths of files and tidiness of every Go module that is named. A tree that the check
# changes fails it.
set -euo pipefail

# The first use compiles it, which takes some minutes.
golangci=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.go')
unformatted=$(GOWORK=off go tool -modfile=tools/go.mod gofumpt -l "${files[@]}") # a workspace takes no other go.mod
if [ -n "$unformatted" ]; then
    printf 'not formatted, run "make fmt":\n%s\n' "$unformatted" >&2
    exit 1
fi
scripts/check-lengths.sh "${files[@]}"
for module in "$@"; do
    echo "== $module: golangci-lint, tidy"
    (
        cd "$root/$module"
        go run "$golangci" run --config "$root/.golangci.yml" ./...
        go mod tidy -diff
    )
done
(cd guest-sdk && go test -count=1 -run '^TestCopies_' ./internal/catalogue)
go test -count=1 ./internal/architecture
# What is built for guests is another program than what is tested natively.
(cd guest-sdk && GOOS=wasip1 GOARCH=wasm go vet .)
if command -v shellcheck >/dev/null; then
    shellcheck scripts/*.sh deploy/compose/*.sh
fi
