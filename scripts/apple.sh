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
  sysroot=$(scripts/sysroot.sh "$target") || { echo "SKIPPED: there is no standard library of Rust for $target" >&2; exit 0; }
  name=${target//-/_}
  env "CARGO_TARGET_$(echo "$name" | tr a-z A-Z)_RUSTFLAGS=--sysroot $sysroot" \
    "CC_$name=$target_folder/apple/compiler" "CXX_$name=$target_folder/apple/compiler" "AR_$name=/bin/true" \
    SDKROOT=/ CARGO_INCREMENTAL=0 cargo "$command" --quiet --target "$target" --target-dir "$target_folder" --locked "$@"
}
declarations() { check aarch64-apple-darwin clippy --manifest-path sims/apple/declarations/Cargo.toml -- -D warnings; }

declarations
echo "the declarations agree with those of objc2"
if [ "$planted" = yes ]; then
  copy=$(mktemp -d)
  trap 'rm -rf "$copy"' EXIT
  plant() { # plant FILE SED-EXPRESSION MESSAGE: the mistake is found, with this message
    rm -rf "$copy/backend"
    cp -r src/backend/videotoolbox "$copy/backend"
    sed -i "$2" "$copy/backend/driver/$1"
    if cmp -s "$copy/backend/driver/$1" "src/backend/videotoolbox/driver/$1"; then
      echo "nothing in $1 to plant $2 in" >&2
      exit 1
    elif DECLARATIONS_OF=$copy/backend declarations >"$copy/log" 2>&1 || ! grep -q "$3" "$copy/log"; then
      echo "planted $2, and nothing says: $3" >&2
      exit 1
    fi
    echo "found: $3"
  }
  plant library.rs 's/CopyDataBytes(Ref, usize, usize,/CopyDataBytes(Ref, usize, u32,/' "CMBlockBufferCopyDataBytes is declared otherwise"
  plant library.rs 's/CVPixelBufferGetWidth(Ref) -> usize/CVPixelBufferGetWidth(Ref) -> u32/' "CVPixelBufferGetWidth is declared otherwise"
  plant library.rs 's/CompleteFrames(Ref, Time)/CompleteFrames(Ref)/' "{objc2_video_toolbox::VTCompressionSessionCompleteFrames}"
  plant library.rs 's/VTSessionSetProperty(/VTSessionSetProprety(/' "cannot find value .VTSessionSetProprety"
  plant abi.rs 's/fn(\*mut c_void, \*mut c_void, i32, u32, Ref)/fn(*mut c_void, i32, u32, Ref)/' "VTCompressionSessionCreate is declared otherwise"
  plant abi.rs 's/scale: i32,/scale: i64,/' "abi::Time lies otherwise"
  plant abi.rs 's/b"xf20"/b"fx20"/' "abi::pixel_format::P010_FULL is not Apple's"
  plant compression.rs 's/"kVTPropertySupportedValueListKey"/"kVTPropertyValueListKey"/' "cannot find value .kVTPropertyValueListKey"
  plant metal_library.rs 's/CacheFlush(Ref, u64)/CacheFlush(Ref, u32)/' "CVMetalTextureCacheFlush is declared otherwise"
  plant abi.rs 's/RG8: usize = 33/RG8: usize = 34/' "abi::texture_format::RG8 is not Apple's"
  plant status.rs 's/-12913/-12914/' "a status code of the backend has no name"
fi

targets="aarch64-apple-darwin x86_64-apple-darwin"
[ "$short" = no ] || targets=aarch64-apple-darwin
for target in $targets; do
  # The simulations are for Linux.
  check "$target" clippy --workspace --exclude vtsim --exclude nvsim --exclude vplsim --all-targets --all-features -- -D warnings
  echo "no warning for $target"
done
