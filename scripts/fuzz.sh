#!/usr/bin/env bash
# Runs every fuzz target for N seconds each (default 60), on the toolchain at hand. Installs cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
command -v cargo-fuzz >/dev/null 2>&1 || cargo install --locked --quiet cargo-fuzz
# libFuzzer's instrumentation flags are nightly-only; this lets the stable compiler take them.
export RUSTC_BOOTSTRAP=1
for file in fuzz/fuzz_targets/*.rs; do
  target=$(basename "$file" .rs)
  echo "== fuzz $target for ${seconds}s"
  mkdir -p "fuzz/corpus/$target"
  cargo fuzz run "$target" "fuzz/corpus/$target" -- -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -print_final_stats=1
done
