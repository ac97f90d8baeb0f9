#!/usr/bin/env bash
# Peak memory of a short and of a twenty times longer transcode. Memory must not grow with the input: the ratio
# may be at most 1.2. Needs ffmpeg (to make the inputs, without encoding) and the release build, or --bin PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=target/release/video-hw
case "${1:-}" in
  "") ;;
  --bin) bin=$2 ;;
  *) sed -n '2,3p' "$0"; exit 2 ;;
esac
[ -x "$bin" ] || { echo "$bin is not there; cargo build --release -p video-hw-cli makes it" >&2; exit 2; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The highest resident set of the command, in KiB: what the kernel noted of it, asked while it still runs.
peak() {
  "$@" &
  local pid=$! now highest=0
  while now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
    highest=$now
    sleep 0.02
  done
  wait "$pid" || { echo "the job failed" >&2; exit 1; }
  echo "$highest"
}

measure() { # measure FRAMES
  ffmpeg -v error -stream_loop -1 -i clips/bars.mp4 -c copy -frames:v "$1" -shortest -y "$dir/in.mp4"
  local frames
  frames=$("$bin" probe "$dir/in.mp4" --json | sed -n 's/.*"sample_count": *\([0-9]*\).*/\1/p; s/.*"frames": *\([0-9]*\).*/\1/p' | head -1)
  local kib
  if [ -x /usr/bin/time ]; then
    kib=$(/usr/bin/time -f %M "$bin" transcode "$dir/in.mp4" "$dir/out.mp4" -y -q 2>&1 | tail -1)
  else
    kib=$(peak "$bin" transcode "$dir/in.mp4" "$dir/out.mp4" -y -q)
  fi
  echo "$1 frames asked for, ${frames:-?} in the file: peak $kib KiB" >&2
  echo "$kib"
}

short=$(measure 500)
long=$(measure 10000)
awk -v s="$short" -v l="$long" 'BEGIN { r = l / s; printf "ratio %.3f (at most 1.2)\n", r; exit r > 1.2 }'
