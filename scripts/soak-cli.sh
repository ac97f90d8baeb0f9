#!/usr/bin/env bash
# Runs many short jobs of the command line tool, most of them cut off in some rude way at a random moment, and looks
# for hangs, strange exit codes, panics, leftover temporary files and broken outputs.
#   scripts/soak-cli.sh [--jobs N] [--seed N] [--bin PATH]     200 jobs, a new seed, target/debug/video-hw
# A job that has not ended after 20 seconds counts as a hang and is killed. Exit code 1 when anything went wrong.
set -uo pipefail
cd "$(dirname "$0")/.."

jobs=200 seed=$RANDOM bin=target/debug/video-hw
while [ $# -gt 0 ]; do
  case "$1" in
    --jobs) jobs=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --bin) bin=$2; shift 2 ;;
    *) sed -n '2,5p' "$0"; exit 2 ;;
  esac
done
[ -x "$bin" ] || { echo "$bin is not there; cargo build -p video-hw-cli makes it" >&2; exit 2; }
RANDOM=$seed

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
limit=20
bad=0
declare -A codes=()

complain() { echo "job $n ($what): $*" >&2; sed 's/^/    /' "$dir/err" >&2; bad=$((bad + 1)); }
pause() { sleep "0.$(printf %03d $((RANDOM % $1)))"; }
# The tool under a time limit. `timeout` passes signals on, to the process and once more to its group.
tool() { timeout -s KILL "$limit" "$bin" "$@" 2>"$dir/err"; }

films=(clips/bars.mp4 clips/small.h264 clips/small.h265 clips/small-vp9.ivf clips/small-av1.ivf clips/vfr-rotated.mp4)
started=$SECONDS
for ((n = 1; n <= jobs; n++)); do
  film=${films[RANDOM % ${#films[@]}]}
  out=$dir/out.mp4
  rm -f "$out" "$dir/fifo"
  long=(--fps $((200 + RANDOM % 800)))
  code=0
  case $((RANDOM % 9)) in
    0) what="undisturbed"; tool transcode "$film" "$out" -q; code=$? ;;
    1 | 2)
      signal=$(printf 'INT\nTERM\nHUP\n' | sed -n "$((1 + RANDOM % 3))p")
      what="SIG$signal"
      tool transcode "$film" "$out" "${long[@]}" & pid=$!
      pause 400; kill "-$signal" "$(pgrep -P $pid timeout || echo $pid)" 2>/dev/null; wait $pid; code=$? ;;
    3)
      what="two SIGINT"
      tool transcode "$film" "$out" --fps 200 --size 1280x720 & pid=$!
      pause 300; child=$(pgrep -P $pid timeout || echo $pid)
      kill -INT "$child" 2>/dev/null; sleep 0.15; kill -INT "$child" 2>/dev/null; wait $pid; code=$? ;;
    4)
      what="reader gone"
      tool decode "$film" - --format yuv "${long[@]}" -q | head -c $((RANDOM * 8)) >/dev/null
      code=${PIPESTATUS[0]} ;;
    5)
      what="silent pipe, SIGTERM"
      mkfifo "$dir/fifo"; exec 9<>"$dir/fifo"
      head -c $((RANDOM % 20000)) clips/small.h264 >&9
      tool transcode - "$out" <"$dir/fifo" & pid=$!
      pause 400; kill -TERM "$(pgrep -P $pid timeout || echo $pid)" 2>/dev/null; wait $pid; code=$?
      exec 9>&- ;;
    6)
      what="reader that takes nothing, SIGINT"
      mkfifo "$dir/fifo"; exec 9<>"$dir/fifo"
      tool decode "$film" "$dir/fifo" --format yuv "${long[@]}" & pid=$!
      pause 400; kill -INT "$(pgrep -P $pid timeout || echo $pid)" 2>/dev/null; wait $pid; code=$?
      exec 9>&- ;;
    7)
      what="SIGKILL"
      timeout -s KILL "0.$(printf %03d $((RANDOM % 300)))" "$bin" transcode "$film" "$out" "${long[@]}" 2>"$dir/err"
      code=$?
      # Nobody can tidy up after this one; what matters is that nothing broken has the output's name.
      rm -f "$dir"/.*.partial-*
      [ $code = 137 ] && [ -e "$out" ] && complain "killed, but the output is there"
      [ $code = 137 ] && code=killed ;;
    8)
      what="cut input"
      head -c $((RANDOM % 20000)) clips/small.h264 | tool transcode - "$out" -q
      code=${PIPESTATUS[1]} ;;
  esac
  codes[$code]=$((${codes[$code]:-0} + 1))
  case "$code" in
    0 | 1 | 130 | 141 | killed) ;;
    137) complain "hangs" ;;
    # A signal may come before the handlers stand.
    129 | 143 | 124) [[ $what == *SIG* ]] || complain "exit code $code" ;;
    *) complain "exit code $code" ;;
  esac
  grep -q panicked "$dir/err" && complain "panics"
  left=$(find "$dir" -name '*.partial-*')
  [ -z "$left" ] || { complain "left $left"; rm -f "$dir"/.*.partial-*; }
  if [ -e "$out" ]; then
    "$bin" decode "$out" --null -q 2>"$dir/err" || complain "the output does not decode"
  fi
done

printf '%d jobs in %d s, seed %d, %d complaints; exit codes:' "$jobs" $((SECONDS - started)) "$seed" "$bad"
for code in $(printf '%s\n' "${!codes[@]}" | sort); do printf ' %s x%d' "$code" "${codes[$code]}"; done
echo
[ "$bad" = 0 ]
