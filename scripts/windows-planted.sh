#!/usr/bin/env bash
# Whether scripts/windows.sh finds mistakes that only Windows has: each is made in a copy of the working tree, and the script has to
# fail there with the words that belong to it. Takes some minutes, since the library is built anew for each.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
VIDEO_HW=$(realpath -m "${VIDEO_HW:-$CARGO_TARGET_DIR/debug/video-hw}")
export CARGO_TARGET_DIR VIDEO_HW
copy=$(mktemp -d)
# What is built here has the mistakes in it, and nobody may take it for the program.
trap 'rm -rf "$copy" "$CARGO_TARGET_DIR"/x86_64-pc-windows-gnu/debug/video-hw.exe' EXIT
git ls-files -z | xargs -0 cp --parents --target-directory "$copy"

plant() { # plant FILE SED-EXPRESSION MESSAGE
  local code=0
  sed -i "$2" "$copy/$1"
  if cmp -s "$1" "$copy/$1"; then
    echo "nothing in $1 to plant $2 in" >&2
    exit 1
  fi
  bash "$copy/scripts/windows.sh" --command >"$copy/log" 2>&1 || code=$?
  cp "$1" "$copy/$1"
  if [ $code = 0 ] || ! grep -q "$3" "$copy/log"; then
    cat "$copy/log"
    echo "planted $2 in $1, and nothing says: $3 (exit code $code)" >&2
    exit 1
  fi
  echo "found: $3"
}
plant src/util/windows.rs 's/DeleteFile: remove/DeleteFile: 1.5/' 'mismatched types'
plant src/backend/nvidia/driver/cuvid_abi.rs 's/SourcePacket: 32 24/SourcePacket: 32 32/' 'assertion failed.*SourcePacket'
plant src/util/windows.rs 's/DeleteFile: remove/DeleteFile: remove \&\& false/' 'FAILED: killed while it waits'
plant src/backend/nvidia/driver/library.rs 's/load_with_flags(file, LOAD_LIBRARY_SEARCH_SYSTEM32)/load_with_flags(file, 0)/' \
  'FAILED: a library that somebody has put'
