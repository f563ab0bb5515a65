#!/usr/bin/env bash
# Makes sure that PostgreSQL's server programs are installed, which the tests start privately, and pgbouncer
# beside them. It never starts a server.
set -euo pipefail

packages=()
if [ -z "${PUPWASM_TEST_PG_BIN:-}" ] && ! command -v initdb >/dev/null &&
    ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    packages+=(postgresql)
fi
# Debian has it where only root looks for programs.
if ! PATH="$PATH:/usr/sbin" command -v pgbouncer >/dev/null; then
    packages+=(pgbouncer)
fi
[ ${#packages[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null; then
    case " ${packages[*]} " in
    *" postgresql "*)
        echo "postgres: install PostgreSQL 14 or later, or set PUPWASM_TEST_PG_BIN to the folder with initdb" >&2
        exit 1
        ;;
    esac
    echo "postgres: pgbouncer is not installed, the tests that need it will say so" >&2
    exit 0
fi
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
echo "installing ${packages[*]} (programs only)"
$sudo apt-get update -qq
# The packages would otherwise start servers of their own.
$sudo mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
    trap '$sudo rm -f "$policy"' EXIT
fi
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
case " ${packages[*]} " in
*" pgbouncer "*)
    # Nor at the next start of the machine.
    if command -v systemctl >/dev/null; then
        $sudo systemctl disable pgbouncer >/dev/null 2>&1 || true
    fi
    ;;
esac
