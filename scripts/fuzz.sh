#!/usr/bin/env bash
# Fuzzes for SECONDS each (default 60) the TARGETs (default: all), on the toolchain at hand. Installs cargo-fuzz.
#   scripts/fuzz.sh [SECONDS [TARGET...]]
# Starts from fuzz/seeds/TARGET, which is committed. What is found new goes to fuzz/corpus/TARGET/generated and
# inputs that fail to fuzz/artifacts/TARGET; git ignores both.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: $0 [SECONDS [TARGET...]]; \"$seconds\" is no number of seconds" >&2
  exit 2
fi
shift $(($# > 0))
known=$(basename -s .rs fuzz/fuzz_targets/*.rs)
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets <<<"$known"
for target in "${targets[@]}"; do
  if ! grep -qxF -- "$target" <<<"$known"; then
    echo "there is no fuzz target \"$target\"; there are:" $known >&2
    exit 2
  fi
done
command -v cargo-fuzz >/dev/null 2>&1 || cargo install --locked --quiet cargo-fuzz
# libFuzzer's instrumentation flags are nightly-only; this lets the stable compiler take them.
export RUSTC_BOOTSTRAP=1
for target in "${targets[@]}"; do
  echo "== fuzz $target for ${seconds}s"
  # New inputs go to the first folder, the others are only read.
  folders=("fuzz/corpus/$target/generated")
  mkdir -p "${folders[0]}"
  [ ! -d "fuzz/seeds/$target" ] || folders+=("fuzz/seeds/$target")
  cargo fuzz run "$target" "${folders[@]}" -- \
    -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -print_final_stats=1
done
