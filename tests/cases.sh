#!/usr/bin/env bash
# `make cases`: builds the end-to-end binary, runs the known answers under $STELLWERK_CASES, one line a suite.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -d "$STELLWERK_CASES" ] || { echo "make cases: $STELLWERK_CASES is no folder (make cases DATA=DIR)" >&2; exit 2; }
STELLWERK_CASES="$(cd "$STELLWERK_CASES" && pwd)"
export STELLWERK_CASES
cargo test -q --test stellwerk --no-run
set +e
said="$(RUST_BACKTRACE=0 cargo test -q --test stellwerk -- --ignored --nocapture --exact cases::known_answers 2>&1)"
code=$?
set -e
grep -oE '([a-z0-9_-]+/)?[a-z0-9_-]+ [0-9]+/[0-9]+.*' <<<"$said" || true
[ "$code" = 0 ] || { sed -n '/cases failed:/,$p' <<<"$said" | grep . >&2 || printf '%s\n' "$said" >&2; exit 1; }
