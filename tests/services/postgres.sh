#!/usr/bin/env bash
# A throw-away PostgreSQL for tests: loopback only, its own folder, gone after `stop`.
#
#   postgres.sh start DIR   creates a cluster in DIR (which must not hold one), prints its URL as the last line
#   postgres.sh stop DIR    stops the server of DIR and removes the cluster
#
# Exits 77, with a line that says so, where PostgreSQL is not installed. PostgreSQL refuses to run as root: as root this
# script runs it as the user `postgres`, which Debian's package creates; otherwise as the caller.
set -euo pipefail

usage() { echo "usage: postgres.sh start|stop DIR" >&2; exit 64; }
[ $# -eq 2 ] || usage
command=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)

bin=$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin 2>/dev/null | sort -V | tail -1 || true)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb || true)")
if [ ! -x "$bin/initdb" ] || [ ! -x "$bin/pg_ctl" ]; then
    echo "NOT RUN: PostgreSQL is not installed (Debian: apt-get install postgresql)" >&2
    exit 77
fi

as_owner=()
if [ "$(id -u)" = 0 ]; then
    if ! id postgres >/dev/null 2>&1; then
        echo "NOT RUN: PostgreSQL cannot run as root and there is no user postgres" >&2
        exit 77
    fi
    as_owner=(setpriv --reuid=postgres --regid=postgres --clear-groups env HOME="$dir")
    chown postgres "$dir"
    if ! "${as_owner[@]}" test -w "$dir"; then
        echo "postgres.sh: the user postgres cannot reach $dir; give a folder whose parents others may enter" >&2
        exit 1
    fi
fi

start() {
    "${as_owner[@]}" "$bin/initdb" -D "$dir/cluster" -U stellwerk --auth=trust -E UTF8 --locale=C >"$dir/initdb.log" 2>&1 \
        || { cat "$dir/initdb.log" >&2; exit 1; }
    # A port that is free now may be taken a moment later: try a few.
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        if "${as_owner[@]}" "$bin/pg_ctl" -D "$dir/cluster" -w -t 60 -l "$dir/server.log" \
            -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='$dir' -c max_connections=60 -c shared_buffers=16MB" \
            start >/dev/null 2>&1; then
            echo "postgres://stellwerk@127.0.0.1:$port/postgres"
            return
        fi
    done
    cat "$dir/server.log" >&2
    exit 1
}

stop() {
    if [ -f "$dir/cluster/postmaster.pid" ]; then
        "${as_owner[@]}" "$bin/pg_ctl" -D "$dir/cluster" -w -t 60 -m immediate stop >/dev/null
    fi
    rm -rf "$dir/cluster"
}

case $command in
    start) start ;;
    stop) stop ;;
    *) usage ;;
esac
