#!/usr/bin/env bash
# Which lines of a backend its tests run, on Linux and on its simulation:
#   scripts/coverage.sh videotoolbox [--lines]
#   scripts/coverage.sh vpl [--lines]
# prints a row for each file, and with --lines those that nothing has run. Needs LLVM's tools of rustc's version: `rustup component
# add llvm-tools`, or a package like llvm-22.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] && [ -d "src/backend/$1" ] && [ -d "tests/$1" ] || { sed -n '2,6p' "$0" >&2; exit 2; }
backend=$1

major=$(rustc --version --verbose | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
bin=$(rustc --print target-libdir)/../bin
tool() { command -v "$bin/$1" "$1-$major" | head -n 1; }
cov=$(tool llvm-cov) && data=$(tool llvm-profdata) || { echo "please install LLVM $major's tools" >&2; exit 1; }

folder=$(realpath -m "${CARGO_TARGET_DIR:-target}/coverage")
rm -rf "$folder/raw"
mkdir -p "$folder/raw"
# The library alone counts what it runs: its simulations are other projects' code as far as it goes.
cat >"$folder/rustc" <<'RUSTC'
#!/bin/bash
rustc=$1
shift
case " $* " in
  *"--crate-name video_hw "* | *"--crate-name videotoolbox "* | *"--crate-name vpl "*) exec "$rustc" "$@" -C instrument-coverage ;;
  *) exec "$rustc" "$@" ;;
esac
RUSTC
chmod +x "$folder/rustc"
export CARGO_TARGET_DIR=$folder RUSTC_WORKSPACE_WRAPPER=$folder/rustc CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_OPT_LEVEL=0
cargo build --quiet --locked --package vtsim --package vplsim
mapfile -t programs < <(cargo test --locked --no-run --package video-hw --all-features --lib --test "$backend" \
  --message-format json-render-diagnostics | grep -o '"executable":"[^"]*"' | cut -d'"' -f4)
export LLVM_PROFILE_FILE=$folder/raw/%p-%m.profraw
for program in "${programs[@]}"; do
  # Of the library's own tests those of the backend.
  case $program in */video_hw-*) "$program" --quiet "backend::$backend" ;; *) "$program" --quiet ;; esac
done
"$data" merge -sparse "$folder"/raw/*.profraw -o "$folder/all.profdata"
of=("${programs[0]}" -object "${programs[1]}" -instr-profile "$folder/all.profdata" -ignore-filename-regex 'tests\.rs$' "src/backend/$backend")
if [ "${2:-}" = --lines ]; then
  "$cov" show "${of[@]}" -show-instantiations=false | grep -E '^/|\| +0\|'
else
  "$cov" report "${of[@]}" | awk 'NR == 1 { print "file lines missed run" } NR > 2 && NF > 9 { print $1, $8, $9, $10 }' | column -t
fi
