#!/usr/bin/env bash
# Whether scripts/canary.sh lets an unchanged version through and finds a worse one, on this machine as it is:
#   scripts/canary-trials.sh [TRIALS] [--only NAME[,NAME...]] [--release | --programs DIR] [--keep DIR]
# Each trial (20 by default) gives the program to the canary as its own candidate, with the installed ffmpeg (same) and with a PATH
# that lacks it (same-alone), and then faulty candidates without ffmpeg:
#   work, wait   a millisecond of CPU time, or of waiting, more for each frame that is encoded
#   quality      a lower bit rate than asked for, about 1 dB
#   lost         one frame is missing from each output
#   late         one frame of each live stream comes half a second late
# work-ffmpeg, wait-ffmpeg, ... are the same with ffmpeg, by name alone. The faulty program is this source with
# scripts/canary/faults.patch, built in a folder that goes away; the program itself has no such switches. --programs names a
# folder with both, DIR/stable and DIR/faulty, so that nothing is built; --keep one for the records of all trials.
# Exit code 1 when a verdict is wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

trials=20
only=same,same-alone,work,wait,quality,lost,late
profile=()
programs='' keep=''
while [ $# -gt 0 ]; do
  case "$1" in
    --only) only=$2; shift ;;
    --release) profile=(--release) ;;
    --programs) programs=$2; shift ;;
    --keep) keep=$2; shift ;;
    [1-9]*) trials=$1 ;;
    *) sed -n '2,15p' "$0"; exit 2 ;;
  esac
  shift
done

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
built=$target/debug
[ ${#profile[@]} = 0 ] || built=$target/release
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# As the tests are built, so that nothing is compiled for this alone but the program.
build() { cargo build --quiet --locked --workspace --all-features --target-dir "$1" --bin "$2" "${profile[@]}"; }
# Copies: a build beside the trials must not change what is measured.
if [ -n "$programs" ]; then
  cp "$programs/stable" "$programs/faulty" "$dir"
else
  build "$target" video-hw
  cp "$built/video-hw" "$dir/stable"
  mkdir "$dir/tree"
  tar --exclude=./target --exclude=./.git -cf - . | tar -xf - -C "$dir/tree"
  patch --quiet --directory "$dir/tree" --strip 1 <scripts/canary/faults.patch
  # Cargo takes the same files for both sources, so the faulty one gets its own copy of what is built.
  mkdir "$dir/target"
  tar --exclude=incremental --exclude=./tmp -C "$target" -cf - . | tar -xf - -C "$dir/target"
  (cd "$dir/tree" && CARGO_INCREMENTAL=0 build "$dir/target" video-hw-faulty)
  cp "$dir/target/${built##*/}/video-hw-faulty" "$dir/faulty"
  rm -r "$dir/target"
fi

cp scripts/canary.sh "$dir"
# The programs that the canary starts, and no ffmpeg.
mkdir "$dir/alone"
for name in bash cat dirname ln mktemp mkdir mv realpath sed; do
  ln -s "$(command -v "$name")" "$dir/alone/$name"
done
env PATH="$PATH" "$dir/stable" bench encode --codec h264 --backend software --size 160x96 --seconds 4 --peer none \
  --warmup 0 --repeat 1 --quiet --keep >"$dir/log" 2>&1
kept=$(sed -n 's/.*inputs and outputs are in //p' "$dir/log")
mv "$kept"/own-*.mp4 "$dir/film.mp4"
rm -r "$kept"

judge() { # judge NAME: runs the canary once; answers with its exit code
  rm -rf "$dir/out"
  local fault=${1%-ffmpeg} candidate=$dir/faulty path=$dir/alone rounds=15 code=0
  # A process of ffmpeg's takes ten times as long as one of ours for these clips.
  case "$1" in same | *-ffmpeg) path=$PATH rounds=7 ;; esac
  case "$1" in same*) candidate=$dir/stable fault='' ;; esac
  ln -sf "$dir/stable" "$dir/link"
  PATH=$path CANARY_FAULT=$fault TMPDIR=$dir bash "$dir/canary.sh" --link "$dir/link" --candidate "$candidate" --stable "$dir/stable" \
    --sample "$dir/film.mp4" --minutes 0.05 --streams 2 --out "$dir/out" -- --size 160x96 --repeat "$rounds" --warmup 1 >"$dir/log" 2>&1 || code=$?
  [ -z "$keep" ] || { mkdir -p "$keep" && cp -r "$dir/out" "$keep/$1-$trial" && cp "$dir/log" "$keep/$1-$trial/log"; }
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
      sed 's/^/  | /' "$dir/log" | grep -E '^  . (baseline|  row |  [a-z]+/)|slower|broken' || true
    fi
  done
done
for name in ${only//,/ }; do
  echo "$name: $((trials - ${wrong[$name]:-0})) of $trials right"
done
[ "$total" = 0 ]
