#!/usr/bin/env bash
# Fuzzes the TARGETs on the toolchain at hand, with the address sanitizer. Installs cargo-fuzz.
#   scripts/fuzz.sh [SECONDS [TARGET...]]            each for so long (default 60; default: all targets)
#   scripts/fuzz.sh --minutes N (--all | TARGET...)  the nightly form: N minutes in all, shared by the targets; one that
#                                                    fails stops no other, and what was found is kept without doubles
# Starts from fuzz/seeds/TARGET, which is committed. What is found new goes to fuzz/corpus/TARGET/generated, from which the
# next run goes on, and inputs that fail to fuzz/artifacts/TARGET; git ignores both.
set -euo pipefail
cd "$(dirname "$0")/.."

wrong() {
  echo "usage: $0 [SECONDS [TARGET...]] or $0 --minutes N (--all | TARGET...); $*" >&2
  exit 2
}

nightly=no
known=$(basename -s .rs fuzz/fuzz_targets/*.rs)
if [ "${1:-}" = --minutes ]; then
  nightly=yes
  [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || wrong "\"${2:-}\" is no number of minutes"
  minutes=$2
  shift 2
  [ $# -gt 0 ] || wrong "name targets, or all with --all"
  if [ "$1" = --all ]; then
    [ $# -eq 1 ] || wrong "--all are all"
    shift
  fi
else
  seconds=${1:-60}
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || wrong "\"$seconds\" is no number of seconds"
  shift $(($# > 0))
fi
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets <<<"$known"
for target in "${targets[@]}"; do
  grep -qxF -- "$target" <<<"$known" || wrong "there is no target \"$target\"; there are:" $known
done
if [ $nightly = yes ]; then
  seconds=$((minutes * 60 / ${#targets[@]}))
  [ "$seconds" -gt 0 ] || wrong "that is less than a second for each target"
fi

command -v cargo-fuzz >/dev/null 2>&1 || cargo install --locked --quiet cargo-fuzz
# libFuzzer's instrumentation flags are nightly-only; this lets the stable compiler take them.
export RUSTC_BOOTSTRAP=1

fuzz() { # fuzz TARGET
  # New inputs go to the first folder, the others are only read.
  local folders=("fuzz/corpus/$1/generated")
  mkdir -p "${folders[0]}"
  [ ! -d "fuzz/seeds/$1" ] || folders+=("fuzz/seeds/$1")
  cargo fuzz run "$1" "${folders[@]}" -- \
    -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -print_final_stats=1
}

keep() { # keep TARGET: of what was found, what reaches something that the rest does not
  local found="fuzz/corpus/$1/generated" least
  least=$(mktemp -d)
  cargo fuzz run "$1" "$least" "$found" -- -merge=1 -rss_limit_mb=1024 -timeout=10
  rm -rf "$found"
  mv "$least" "$found"
}

failed=()
for target in "${targets[@]}"; do
  echo "== fuzz $target for ${seconds}s"
  if [ $nightly = no ]; then
    fuzz "$target"
  else
    fuzz "$target" || failed+=("$target")
    keep "$target" || echo "what was found of $target is kept as it is" >&2
  fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}; the inputs are in fuzz/artifacts" >&2
  exit 1
fi
