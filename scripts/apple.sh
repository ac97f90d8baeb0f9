#!/usr/bin/env bash
# macOS without a Mac: lints of the whole workspace for both of Apple's processors (library, command line, tests, benches, examples),
# and the VideoToolbox backend's declarations against those that objc2 generates from Apple's headers (sims/apple/declarations).
# Nothing is linked and nothing runs. Options:
#   --short     lints for one processor only
#   --planted   also sees that mistakes are found: one of each kind is made in a copy of the declarations
set -euo pipefail
cd "$(dirname "$0")/.."
short=no planted=no
for arg in "$@"; do
  case "$arg" in
    --short) short=yes ;;
    --planted) planted=yes ;;
    *) sed -n '2,6p' "$0" >&2; exit 2 ;;
  esac
done
target_folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")

# openh264's C++ is not what is checked here, and nobody has Apple's compiler: empty objects stand for it.
mkdir -p "$target_folder/apple"
cat >"$target_folder/apple/compiler" <<'CC'
#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in
    -o) : >"$2"; shift ;;
    -o*) : >"${1#-o}" ;;
  esac
  shift
done
CC
chmod +x "$target_folder/apple/compiler"

check() { # check TARGET COMMAND ARGUMENTS...: cargo's command for one of Apple's systems
  local target=$1 command=$2 sysroot name
  shift 2
  sysroot=$(scripts/sysroot.sh "$target")
  name=${target//-/_}
  env "CARGO_TARGET_$(echo "$name" | tr a-z A-Z)_RUSTFLAGS=--sysroot $sysroot" \
    "CC_$name=$target_folder/apple/compiler" "CXX_$name=$target_folder/apple/compiler" "AR_$name=/bin/true" \
    SDKROOT=/ CARGO_INCREMENTAL=0 "${CARGO:-cargo}" "$command" ${TIMINGS:-} --quiet --target "$target" --target-dir "$target_folder" --locked "$@"
}
declarations() { check aarch64-apple-darwin check --manifest-path sims/apple/declarations/Cargo.toml; }

declarations
echo "the declarations agree with those of objc2"
targets=${TARGETS:-"aarch64-apple-darwin x86_64-apple-darwin"}
[ "$short" = no ] || targets=aarch64-apple-darwin
for target in $targets; do
  # The simulations are for Linux.
  check "$target" clippy --workspace --exclude vtsim --exclude nvsim --all-targets --all-features -- -D warnings
  echo "no warning for $target"
done
