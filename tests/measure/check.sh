#!/usr/bin/env bash
# The harness of docs/measuring.md on this machine: one case of a real nginx, measured and judged. Exit 3: it cannot run here.
set -euo pipefail
cd "$(dirname "$0")/../.."
program="$1"
unshare --net true 2>/dev/null || exit 3
if ! command -v nginx >/dev/null || ! command -v node >/dev/null || ! command -v ip >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light nodejs iproute2 >/dev/null
fi
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/measure"
cargo build --quiet --release --manifest-path measure/Cargo.toml
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
measure/measure.py tests/data/measured/E2-01.json --out "$folder" --repetitions 2 --program "$CARGO_TARGET_DIR/release/headroom-measure"
# 119 of 1,100 are served: (256 - 16 - 2) / 2 connections.
"$program" verify --measured "$folder" | tee "$folder/verdict"
grep -q '^ok   E2-01' "$folder/verdict"
