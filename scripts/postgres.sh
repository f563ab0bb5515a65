#!/usr/bin/env bash
# Makes sure that PostgreSQL's server programs are installed, which the tests start privately. It never starts a server.
set -euo pipefail

if [ -n "${PUPWASM_TEST_PG_BIN:-}" ] || command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "postgres: install PostgreSQL 14 or later, or set PUPWASM_TEST_PG_BIN to the folder with initdb" >&2
    exit 1
fi
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
echo "installing PostgreSQL (server programs only)"
$sudo apt-get update -qq
# The package would otherwise start a server of its own.
$sudo mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends postgresql >/dev/null
