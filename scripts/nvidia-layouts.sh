#!/usr/bin/env bash
# The library's declarations of NVIDIA's structures, held against NVIDIA's headers of versions that are not installed:
#   scripts/nvidia-layouts.sh FOLDER COMPILER
# FOLDER has the assertions that a test of the library writes there (`layouts.rs`): right.c has to compile, wrong.c must not.
# Versions 11.1 and 12.1 are packages of Debian, 13.0 is in a crate, and 12.0 and 12.2 are nowhere.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/apt-lists.sh
[ $# = 2 ] || { sed -n '2,5p' "$0"; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for suite in bookworm trixie; do
  mkdir -p "$work/$suite"
  (apt_lists "$work/apt-$suite" deb "$suite" && cd "$work/$suite" && apt-get download -qq libffmpeg-nvenc-dev 2>/dev/null && dpkg-deb -x ./*.deb .) ||
    { echo "SKIPPED: Debian's headers cannot be fetched"; exit; }
  mkdir "$work/$suite/include"
  mv "$work/$suite/usr/include/ffnvcodec" "$work/$suite/include"
done

# The crate has the files of the SDK itself, which are called otherwise and ask for CUDA's own header.
mkdir -p "$work/crate/src" "$work/sdk/include/ffnvcodec"
printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n[dependencies]\nshiguredo_nvcodec = "=2026.2.0"\n' >"$work/crate/Cargo.toml"
: >"$work/crate/src/lib.rs"
manifest=$(cd "$work/crate" && cargo metadata --quiet --format-version 1 | grep -o '"manifest_path":"[^"]*shiguredo_nvcodec-[^"]*"' | cut -d'"' -f4) ||
  { echo "SKIPPED: the crate with headers cannot be fetched"; exit; }
sdk=$(dirname "$manifest")/third_party/nvcodec/include
for name in cuviddec nvcuvid; do cp "$sdk/$name.h" "$work/sdk/include/ffnvcodec/dynlink_$name.h"; done
cp "$sdk"/*.h "$work/sdk/include"
cp "$sdk/nvEncodeAPI.h" "$work/trixie/include/ffnvcodec/dynlink_cuda.h" "$work/sdk/include/ffnvcodec"
echo '#include <ffnvcodec/dynlink_cuda.h>' >"$work/sdk/include/cuda.h"

compiles() { "$2" -w -fsyntax-only -I "$work/$1/include" "$3"; }
for version in bookworm trixie sdk; do
  numbers=$(sed -n 's/^#define NVENCAPI_M[AI][JN]OR_VERSION *//p' "$work/$version/include/ffnvcodec/nvEncodeAPI.h" | tr -d '\r' | paste -sd.)
  compiles $version "$2" "$1/right.c"
  if compiles $version "$2" "$1/wrong.c" 2>/dev/null; then
    echo "a planted mistake is not found" >&2
    exit 1
  fi
  echo "NVENC $numbers: sizes and places of fields are those of the headers ($2)"
done
