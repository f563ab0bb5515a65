#!/usr/bin/env bash
# Makes sure that MariaDB's server programs are installed, which the tests start privately. It never starts a server.
set -euo pipefail

# Debian has the server where only root looks for programs.
if [ -n "${PUPWASM_TEST_MARIADB_BIN:-}" ] || PATH="$PATH:/usr/sbin" command -v mariadbd >/dev/null; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "mariadb: install MariaDB 10.6 or later, or set PUPWASM_TEST_MARIADB_BIN to the folder with mariadbd" >&2
    exit 1
fi
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
echo "installing mariadb-server (programs only)"
$sudo apt-get update -qq
# The package would otherwise start a server of its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
    trap '$sudo rm -f "$policy"' EXIT
fi
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server >/dev/null
# Nor at the next start of the machine.
if command -v systemctl >/dev/null; then
    $sudo systemctl disable mariadb >/dev/null 2>&1 || true
fi
