# What the scripts of the examples share: the program, a folder and a database of their own, hosts in the background.
#
#     . "$(dirname "$0")/../lib.sh" "$@"
#
# The database is a SQLite file in a temporary folder, or the one that the first argument names: an empty one, so that
# the rows are those of the page. What a script starts ends with it.
set -euo pipefail

examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
example=$(cd "$(dirname "$0")" && pwd)
modules=$examples/../modules/examples
bin=${EXAMPLES_BIN:-$examples/../bin} # the tests build once for all examples

# program NAME PACKAGE builds a program of the checkout.
program() {
    [ -n "${EXAMPLES_BIN:-}" ] || (cd "$examples/.." && go build -o "bin/$1" "$2")
}

program pupwasm ./cmd/pupwasm
PATH=$(cd "$bin" && pwd):$PATH

case ${1:-} in
"") PUPWASM_DATABASE_URL=sqlite:shop.db ;; # in the temporary folder
sqlite:/* | postgres:* | postgresql:* | mysql:* | mariadb:*) PUPWASM_DATABASE_URL=$1 ;;
sqlite:*) PUPWASM_DATABASE_URL=sqlite:$PWD/${1#sqlite:} ;;
*)
    echo "usage: $0 [postgres://… | mysql://… | sqlite:PATH], an empty database" >&2
    exit 3
    ;;
esac
export PUPWASM_DATABASE_URL PUPWASM_LOG_LEVEL=error # the hosts' logs have more, see start

folder=$(mktemp -d)
clean_up() {
    local status=$? file
    exec 3>&2 2>/dev/null # bash tells of each process that is killed
    for file in "$folder"/*.pid; do
        [ -e "$file" ] && kill -9 "$(cat "$file")"
    done
    wait
    [ "$status" = 0 ] || cat "$folder"/*.log >&3
    rm -rf "$folder"
    exit "$status"
}
trap clean_up EXIT
cd "$folder"
cp "$example"/*.jsonl . 2>/dev/null || true

if [ -n "${1:-}" ]; then
    pupwasm migrate up >migrate.log 2>&1
    if [ -n "$(pupwasm events --limit 1 --json 2>/dev/null)" ]; then
        echo "$0: the database has events already: give an empty one, so that the rows are those of the page" >&2
        exit 3
    fi
fi

# build NAME… compiles modules of modules/examples into the folder modules.
build() {
    pupwasm build "${@/#/$modules/}" --out modules >>build.log
}

# show COMMAND… prints a command and runs it.
show() {
    echo "\$ $*"
    "$@"
}

# start NAME FLAGS… starts a host with a name in the background; its log is NAME.log.
start() {
    local name=$1
    shift
    echo "\$ pupwasm run modules --worker-name $name${*:+ $*} &"
    pupwasm run modules --worker-name "$name" --log-level info "$@" 2>>"$name.log" &
    echo $! >"$name.pid"
}

# stop NAME stops a host, which finishes the batch under way.
stop() {
    echo "\$ kill $1"
    kill "$(cat "$1.pid")"
    wait "$(cat "$1.pid")"
    rm "$1.pid"
}

# crash NAME kills a host in the middle of whatever it does.
crash() {
    echo "\$ kill -9 $1"
    {
        kill -9 "$(cat "$1.pid")"
        wait "$(cat "$1.pid")" || true
    } 2>/dev/null
    rm "$1.pid"
}

# shares PROJECTION prints how many segments each worker has.
shares() {
    pupwasm segments list "$1" --json 2>/dev/null | grep -o '"owner": *"[^"]*"' | cut -d'"' -f4 | sort | uniq -c |
        while read -r count owner; do echo "$owner has $count segments"; done
}

# until_shares PROJECTION SHARE… waits until so many workers have so many segments each, in order of their names, and
# prints them. Workers agree about once a second.
until_shares() {
    local projection=$1 want
    shift
    want=$(printf '%s\n' "$@")
    until shares "$projection" >shares && [ "$(cut -d' ' -f3 shares)" = "$want" ]; do :; done
    cat shares
}
