#!/usr/bin/env bash
# Tests the packages whose arithmetic must be the same on 32 bits, on machines that run such programs. A
# kernel may be built without them: then it compiles the tests, says so, and passes.
#
#   scripts/test-32bit.sh PACKAGE…
set -euo pipefail

export GOARCH=386 CGO_ENABLED=0
go=${GO:-go}
probe=$(mktemp)
trap 'rm -f "$probe"' EXIT
"$go" test -c -o "$probe" "$1"
code=0
"$probe" -test.run '^$' >/dev/null 2>&1 || code=$?
if [ "$code" = 126 ]; then # what a shell says of a file that the kernel does not run
    "$go" vet "$@"
    echo "SKIPPED: this kernel runs no programs of 32 bits; the tests of $* were compiled for them and not run"
    exit 0
fi
"$go" test "$@"
