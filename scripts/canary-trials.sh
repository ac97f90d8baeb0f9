#!/usr/bin/env bash
# Whether scripts/canary.sh lets an unchanged version through and finds a worse one, on this machine as it is:
#   scripts/canary-trials.sh [TRIALS] [--only NAME[,NAME...]] [--release]
# Each trial (20 by default) gives the program to the canary as its own candidate, with the installed ffmpeg (same) and with a PATH
# that lacks it (same-alone), and then faulty candidates without ffmpeg:
#   work, wait   a millisecond of CPU time, or of waiting, more for each frame that is encoded
#   quality      a lower bit rate than asked for, about 1 dB
#   lost         one frame is missing from each output
#   late         one frame of each live stream comes half a second late
# work-ffmpeg, wait-ffmpeg, ... are the same with ffmpeg, by name alone. The faulty program is this source with
# scripts/canary/faults.patch, built in a folder that goes away; the program itself has no such switches.
# Exit code 1 when a verdict is wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

trials=20
only=same,same-alone,work,wait,quality,lost,late
profile=()
while [ $# -gt 0 ]; do
  case "$1" in
    --only) only=$2; shift ;;
    --release) profile=(--release) ;;
    [1-9]*) trials=$1 ;;
    *) sed -n '2,13p' "$0"; exit 2 ;;
  esac
  shift
done

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
built=$target/debug
[ ${#profile[@]} = 0 ] || built=$target/release
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# As the tests are built, so that nothing is compiled for this alone but the program.
build() { CARGO_TARGET_DIR=$target cargo build --quiet --locked --workspace --all-features --bin "$1" "${profile[@]}"; }
build video-hw
# Copies: a build beside the trials must not change what is measured.
cp "$built/video-hw" "$dir/stable"
if [ "${only//same-alone/same}" != same ] && [ "$only" != same,same-alone ]; then
  mkdir "$dir/tree"
  tar --exclude=./target --exclude=./.git -cf - . | tar -xf - -C "$dir/tree"
  patch --quiet --directory "$dir/tree" --strip 1 <scripts/canary/faults.patch
  (cd "$dir/tree" && build video-hw-faulty)
  cp "$built/video-hw-faulty" "$dir/faulty"
fi

# The programs that the canary starts, and no ffmpeg.
mkdir "$dir/alone"
for name in bash cat dirname ln mktemp mkdir mv realpath sed; do
  ln -s "$(command -v "$name")" "$dir/alone/$name"
done
env PATH="$PATH" "$dir/stable" bench encode --codec h264 --backend software --size 160x96 --seconds 8 --peer none \
  --warmup 0 --repeat 1 --quiet --keep >"$dir/log" 2>&1
kept=$(sed -n 's/.*inputs and outputs are in //p' "$dir/log")
mv "$kept"/own-*.mp4 "$dir/film.mp4"
rm -r "$kept"

judge() { # judge NAME: runs the canary once; answers with its exit code
  local fault=${1%-ffmpeg} candidate=$dir/faulty path=$dir/alone code=0
  case "$1" in same | *-ffmpeg) path=$PATH ;; esac
  case "$1" in same*) candidate=$dir/stable fault='' ;; esac
  ln -sf "$dir/stable" "$dir/link"
  PATH=$path CANARY_FAULT=$fault TMPDIR=$dir bash scripts/canary.sh --link "$dir/link" --candidate "$candidate" --stable "$dir/stable" \
    --sample "$dir/film.mp4" --minutes 0.05 --streams 2 --out "$dir/out" -- --size 160x96 --repeat 9 --warmup 1 >"$dir/log" 2>&1 || code=$?
  return "$code"
}

declare -A wrong
total=0
for ((trial = 1; trial <= trials; trial++)); do
  for name in ${only//,/ }; do
    expected=1
    case "$name" in same*) expected=0 ;; esac
    code=0 begun=$SECONDS
    judge "$name" || code=$?
    # The reason is in the last line but one.
    echo "trial $trial, $name (load $(cut -d' ' -f1 /proc/loadavg), $((SECONDS - begun)) s): exit code $code"
    grep -hE 'SLOWER|BROKEN|WORSE|unclear|fails in both' "$dir/log" | sed 's/  */ /g; s/^/  /' || true
    if [ "$code" != "$expected" ]; then
      wrong[$name]=$((${wrong[$name]:-0} + 1)) total=$((total + 1))
      echo "WRONG: exit code $code, expected $expected; the canary said:"
      cat "$dir/log"
    elif [ "$trial" = 1 ]; then
      sed 's/^/  | /' "$dir/log" | grep -E 'baseline|row |video-hw/|/video-hw|slower|broken|is ' || true
    fi
  done
done
for name in ${only//,/ }; do
  echo "$name: $((trials - ${wrong[$name]:-0})) of $trials right"
done
[ "$total" = 0 ]
