#!/usr/bin/env bash
# Builds the program for every platform into a folder, with SHA256SUMS. Programs are static, and the same sources give
# the same bytes in any folder on any machine.
#
#   scripts/release.sh VERSION FOLDER [OS/ARCHITECTURE…]
set -euo pipefail

platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64)
[ $# -ge 2 ] || { echo 'usage: scripts/release.sh VERSION FOLDER [OS/ARCHITECTURE…]' >&2; exit 2; }
version=$1 folder=$2
shift 2
[ $# -eq 0 ] || platforms=("$@")
if ! [[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]]; then
    echo "release: the version $version must be like v1.2.3 or v1.2.3-rc.1" >&2
    exit 2
fi
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The commit, where this is a checkout of one and nothing is changed.
revision=
if [ -z "$(git status --porcelain 2>/dev/null)" ]; then
    revision=$(git rev-parse --short=12 HEAD 2>/dev/null || true)
fi
# What else decides which bytes come out: the release of Go is that of go.mod.
export CGO_ENABLED=0 GOWORK=off GOFLAGS= GOEXPERIMENT= GOAMD64=v1 GOARM64=v8.0
GOTOOLCHAIN=go$(GOTOOLCHAIN=local go list -m -f '{{.GoVersion}}')
export GOTOOLCHAIN
names=()
for platform in "${platforms[@]}"; do
    os=${platform%/*} architecture=${platform#*/}
    name=pupwasm-$version-$os-$architecture
    [ "$os" != windows ] || name+=.exe
    echo "building $name"
    GOOS=$os GOARCH=$architecture go build -trimpath -buildvcs=false \
        -ldflags "-s -w -buildid= -X main.version=$version -X main.revision=$revision" -o "$folder/$name" ./cmd/pupwasm
    names+=("$name")
done
(cd "$folder" && sha256sum "${names[@]}" > SHA256SUMS)
