#!/usr/bin/env bash
# Makes sure that promtool is at hand, which checks rules and configuration, and prints where it is. It neither installs
# nor starts a server: where there is no promtool, it takes the one out of Debian's package, into a cache folder outside
# the tree ($PUPWASM_CACHE, or pupwasm in the user's cache folder).
set -euo pipefail

if command -v promtool; then
    exit 0
fi
cache=${PUPWASM_CACHE:-${XDG_CACHE_HOME:-${HOME:?must be set, or else PUPWASM_CACHE}/.cache}/pupwasm}/prometheus
promtool=$cache/usr/bin/promtool
if [ -x "$promtool" ]; then
    echo "$promtool"
    exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "prometheus: install promtool, which comes with Prometheus (https://prometheus.io/download/), on PATH" >&2
    exit 1
fi
echo "prometheus: taking promtool out of Debian's package" >&2
mkdir -p "$cache"
part=$(mktemp -d "$cache.XXXXXX")
trap 'rm -rf "$part"' EXIT
chmod 755 "$part" # apt-get downloads as a user without rights, when root runs it
cd "$part"
# The lists of packages may be missing or too old. They are only fetched when it turns out that way.
if ! apt-get -q download prometheus >log 2>&1; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get -q update >log 2>&1 && apt-get -q download prometheus >log 2>&1 || {
        echo "prometheus: apt-get cannot download the package prometheus ($(sed -n 's/^E: //p' log | head -n 1)): install" \
            "promtool on PATH" >&2
        exit 1
    }
fi
dpkg-deb -x prometheus_*.deb root
"root/usr/bin/promtool" --version >/dev/null
rm -rf "$cache"
mv root "$cache"
echo "$promtool"
