#!/usr/bin/env bash
# Makes sure that a TinyGo which can compile guests is at hand.
#
#   scripts/tinygo.sh            install it, unless a good one is there
#   pupwasm toolchain install    the same without a checkout: the program has this script in it
#
# Package internal/build finds it.
#
# Where releases of TinyGo cannot be downloaded, a Debian system can still build
# the compiler: its sources come through the Go module proxy, and LLVM and the
# linker from Debian's own packages. The result is kept in a cache folder outside
# the tree: $PUPWASM_CACHE, or pupwasm in the user's cache folder.
set -euo pipefail

version=0.41.1
sum='h1:Hp1Frc4zQALL88t49XraSZEwkIYEjMOmmurlmsTigzE='
min_minor=40                    # the oldest release that is good enough is 0.40
go_min=23 go_max=26             # the Go 1.x releases this TinyGo works with
llvm=19
packages=("llvm-$llvm-dev" "libclang-$llvm-dev" "clang-$llvm" "lld-$llvm" binaryen)
elsewhere='install TinyGo its official way (https://tinygo.org/getting-started/install/) or build modules with Go alone'

say() { printf 'tinygo: %s\n' "$*"; }
die() { printf 'tinygo: %s\n' "$*" >&2; exit 1; }

# The folder whose go.mod selects the Go release: that of the checkout, or the current one where the program runs this.
script=${BASH_SOURCE[0]:-}
project=$PWD
[[ -z $script ]] || project=$(cd "$(dirname "$script")/.." && pwd -P)

cache=${PUPWASM_CACHE:-${XDG_CACHE_HOME:-${HOME:?must be set, or else PUPWASM_CACHE}/.cache}/pupwasm}
# What runs in other folders uses it, so it has to be absolute.
[[ $cache == /* ]] || cache=$PWD/$cache
dest=$cache/tinygo-$version
tmp=

# The x.y.z of a tinygo executable, or nothing when it does not run.
version_of() {
  "$1" version 2>/dev/null | sed -nE '1s/^tinygo version ([0-9]+\.[0-9]+[^ ]*).*/\1/p' || true
}

# The first good TinyGo on PATH which did not come from this script. Ours does not
# count: it is to be looked after here, even when its folder was put on PATH.
on_path() {
  local exe real ours v major minor
  ours=$(cd "$cache" 2>/dev/null && pwd -P || printf '%s' "$cache")
  while IFS= read -r exe; do
    real=$(readlink -f "$exe" 2>/dev/null || printf '%s' "$exe")
    [[ $real == "$ours"/* ]] && continue
    v=$(version_of "$exe")
    IFS=.- read -r major minor _ <<<"$v"
    if [[ -n $v ]] && ((major > 0 || minor >= min_minor)); then
      printf '%s\n' "$exe"
      return 0
    fi
  done < <(type -ap tinygo)
  return 1
}

missing_packages() {
  local p
  for p in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || printf '%s\n' "$p"
  done
}

install_packages() {
  local missing apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  missing=$(missing_packages)
  [[ -n $missing ]] || return 0
  missing=${missing//$'\n'/ }
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "only root can install the missing packages $missing: have that done, or $elsewhere"
    apt=(sudo "${apt[@]}")
  fi
  say "installing Debian packages: $missing"
  # shellcheck disable=SC2086 # one word a package
  set -- install -y --no-install-recommends $missing
  # The lists of packages may be missing or too old. They are only fetched when it
  # turns out that way, because that takes a while.
  "${apt[@]}" "$@" >"$tmp/log" 2>&1 && return 0
  "${apt[@]}" update >"$tmp/log" 2>&1 && "${apt[@]}" "$@" >"$tmp/log" 2>&1 && return 0
  die "apt-get cannot install $missing ($(sed -n 's/^E: //p' "$tmp/log" | head -n 1)): $elsewhere"
}

# Builds the compiler into $tmp/root, which has the layout of $dest.
build() {
  local json dir root=$tmp/root
  say "downloading TinyGo $version"
  # Outside of any module, so that no go.mod or go.work has a say in it.
  json=$(cd "$tmp" &&
    GOWORK=off GOTOOLCHAIN=$toolchain go mod download -json "github.com/tinygo-org/tinygo@v$version") ||
    die "cannot download the module github.com/tinygo-org/tinygo@v$version: $(field Error <<<"$json")"
  # Checked here too, since GOSUMDB may be off where the module proxy is a private one.
  [[ $(field Sum <<<"$json") == "$sum" ]] ||
    die "the module github.com/tinygo-org/tinygo@v$version is not the expected one"
  dir=$(field Dir <<<"$json")

  # A copy, because the module cache is read-only and may be cleaned at any time. It
  # is the TINYGOROOT as well. src/net is a git submodule, so the module lacks it and
  # no program would compile; Go's own package fills the place.
  cp -R --no-preserve=mode "$dir" "$root"
  rm -rf "$root/src/net"
  cp -R --no-preserve=mode "$(GOTOOLCHAIN=$toolchain go env GOROOT)/src/net" "$root/src/net"

  say "building it, which takes a minute or so"
  # GOOS, GOARCH and flags which are set for building guests must not leak in here.
  # Clang is one of the packages, so no other C++ compiler has to be there.
  if ! env -u GOOS -u GOARCH -C "$root" GOFLAGS= GOWORK=off GOTOOLCHAIN="$toolchain" CGO_ENABLED=1 \
    CC="clang-$llvm" CXX="clang++-$llvm" \
    go build -mod=readonly -buildvcs=false -trimpath -tags "llvm$llvm" -ldflags='-s -w' -o libexec/tinygo . \
    >"$tmp/log" 2>&1; then
    tail -n 20 "$tmp/log" >&2
    die "building TinyGo failed: $elsewhere"
  fi

  mkdir -p "$root/bin"
  cat >"$root/bin/tinygo" <<EOF
#!/bin/sh
# Runs TinyGo with the tools it was built for. Written by scripts/tinygo.sh of pupwasm.
set -eu
self=\$(readlink -f "\$0")
export TINYGOROOT="\${self%/bin/tinygo}"
export WASMOPT="\${WASMOPT:-/usr/bin/wasm-opt}"
export PATH="\$PATH:/usr/lib/llvm-$llvm/bin"
exec "\$TINYGOROOT/libexec/tinygo" "\$@"
EOF
  chmod 755 "$root/bin/tinygo"
  printf '%s\n' "$go_minor" >"$root/go-minor"
  [[ $(version_of "$root/bin/tinygo") == "$version" ]] || die "the TinyGo just built does not run: $elsewhere"
}

# Whether the cached one is complete. One built by an older Go refuses a newer one's
# standard library, so it has to be built again when the Go release changes.
ready() {
  [[ -x $dest/bin/tinygo && $(cat "$dest/go-minor" 2>/dev/null) == "$go_minor" && -z $(missing_packages) ]]
}

install_tinygo() {
  rm -rf "$dest".tmp.*  # what killed runs have left
  tmp=$(mktemp -d "$dest.tmp.XXXXXX")
  install_packages
  if ! ready; then
    build
    # Moved out of the way as a whole, for a half removed one could pass for complete.
    [[ ! -e $dest ]] || mv -T "$dest" "$tmp/old"
    mv -T "$tmp/root" "$dest"
  fi
  say "ready: $dest/bin/tinygo"
}

# A string field of what go mod download -json prints, which has one field a line.
field() { sed -nE "s/^[[:space:]]*\"$1\": \"(.*)\",?\$/\1/p"; }

(($# == 0)) || die 'usage: scripts/tinygo.sh'

if exe=$(on_path); then
  say "using $exe, version $(version_of "$exe")"
  exit 0
fi

# ID=debian, or ID_LIKE="ubuntu debian" for what is made from it.
grep -Eqs '^ID(_LIKE)?=(.*[" ])?debian([" ]|$)' /etc/os-release || die "this is not Debian: $elsewhere"
{ command -v apt-get && command -v dpkg-query; } >/dev/null || die "apt-get is not available: $elsewhere"
command -v go >/dev/null || die "Go itself is needed: https://go.dev/doc/install"
# The release which its go.mod selects, because guests are compiled with that one's
# standard library.
toolchain=$(cd "$project" && go env GOVERSION)
toolchain=${toolchain%% *}  # the version may be followed by experiments
go_minor=0
if [[ $toolchain =~ ^go1\.([0-9]+) ]]; then go_minor=${BASH_REMATCH[1]}; fi
((go_minor >= go_min && go_minor <= go_max)) ||
  die "TinyGo $version needs Go 1.$go_min to 1.$go_max, and this is $toolchain: $elsewhere"

if ready; then exit 0; fi

mkdir -p "$cache"
exec 9>"$cache/tinygo.lock"
if ! flock -n 9; then
  say "waiting for another run to finish"
  flock 9
fi
trap '[[ -z $tmp ]] || rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP
# The children do not get the lock: the go command may leave a process behind which
# would hold it for longer than this run.
ready || install_tinygo 9>&-
