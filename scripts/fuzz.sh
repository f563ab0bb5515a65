#!/usr/bin/env bash
# Runs every fuzz test of the Go modules that are named, each for FUZZ_TIME, from the corpora that are
# committed. What it finds is left in the package's testdata/fuzz, where 'go test' takes it up.
set -euo pipefail

time=${FUZZ_TIME:-30s}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
failed=0
for module in "$@"; do
    cd "$root/$module"
    mapfile -t packages < <(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./...)
    for package in "${packages[@]}"; do
        cd "$package"
        mapfile -t tests < <(grep -hoE '^func Fuzz[A-Za-z0-9_]*' -- *_test.go | cut -c6- | sort -u)
        for test in "${tests[@]}"; do
            echo "== $test in ${package#"$root"/}, $time"
            go test -run '^$' -fuzz "^$test\$" -fuzztime "$time" -fuzzminimizetime 10s . || failed=1
        done
    done
done
exit "$failed"
