#!/usr/bin/env bash
# Starts MinIO on a free loopback port over the folder $1, prints `endpoint URL` and `version …`, then stays in the
# foreground: ending this process ends the server. Exit 77: there is no MinIO here.
set -euo pipefail
dir="${1:?usage: minio.sh DIR}"
cache="${STELLWERK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stellwerk}"
minio="$(ls -1 "$cache"/bin/minio-v* 2>/dev/null | tail -n 1 || true)"
[ -n "$minio" ] || minio="$(command -v minio || true)"
[ -n "$minio" ] || { echo "no MinIO: make test builds it where go is installed" >&2; exit 77; }

port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
# Built by `go install`, MinIO calls itself DEVELOPMENT; the module version stands in the file name.
echo "version MinIO $(basename "$minio" | sed 's/^minio-//')"
echo "endpoint http://127.0.0.1:$port"
export MINIO_ROOT_USER="${MINIO_ROOT_USER:-stellwerk}" MINIO_ROOT_PASSWORD="${MINIO_ROOT_PASSWORD:-stellwerk-tests}"
export MINIO_BROWSER=off MINIO_UPDATE=off
mkdir -p "$dir/tests"
exec "$minio" server --quiet --address "127.0.0.1:$port" "$dir" >"$dir.log" 2>&1
