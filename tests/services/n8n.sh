#!/usr/bin/env bash
# A throw-away n8n for tests: loopback only, its own folder, telling nobody of itself.
#
#   n8n.sh import DIR WORKFLOW.json…   puts workflows with their ids into the n8n of DIR, each active
#   n8n.sh serve DIR PORT              serves them in the foreground: ending this process ends n8n
#
# Exits 77, with a line that says so, where n8n is not installed.
set -euo pipefail
usage() { echo "usage: n8n.sh import DIR WORKFLOW… | serve DIR PORT" >&2; exit 64; }
[ $# -ge 3 ] || usage
command=$1 dir=$2
shift 2
cache="${STELLWERK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stellwerk}"
home="$cache/n8n-$(sha256sum "$(dirname "${BASH_SOURCE[0]}")/../n8n/package.json" | cut -c1-12)"
if [ ! -e "$home/ready" ]; then
    echo "NOT RUN: n8n is not installed (deploy/setup faults installs it where there are node and npm)" >&2
    exit 77
fi
n8n="$home/node_modules/.bin/n8n"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
export N8N_USER_FOLDER="$dir" N8N_LISTEN_ADDRESS=127.0.0.1 N8N_HOST=127.0.0.1 DB_TYPE=sqlite
export N8N_DIAGNOSTICS_ENABLED=false N8N_VERSION_NOTIFICATIONS_ENABLED=false N8N_TEMPLATES_ENABLED=false
export N8N_PERSONALIZATION_ENABLED=false N8N_HIRING_BANNER_ENABLED=false N8N_COMMUNITY_PACKAGES_ENABLED=false
export N8N_DISABLE_UI=true N8N_SECURE_COOKIE=false
# Nothing here runs code nodes: runners of others are waited for, and none is started that would outlive this process.
export N8N_RUNNERS_MODE=external N8N_RUNNERS_AUTH_TOKEN=tests N8N_RUNNERS_BROKER_LISTEN_ADDRESS=127.0.0.1
N8N_RUNNERS_BROKER_PORT="$(free_port)"
export N8N_RUNNERS_BROKER_PORT
mkdir -p "$dir"

case $command in
import)
    for workflow in "$@"; do
        "$n8n" import:workflow --input="$workflow"
        id="$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["id"])' "$workflow")"
        "$n8n" publish:workflow --id="$id"
    done
    ;;
serve)
    export N8N_PORT="$1"
    exec "$n8n" start
    ;;
*) usage ;;
esac
