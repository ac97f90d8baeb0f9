#!/usr/bin/env bash
# Whether `video-hw bench --baseline` finds what is slower and nothing else, on this machine as it is:
#   scripts/bench-baseline-trial.sh [TRIALS] [--release] [--realtime]
# Each trial (10 by default) measures encoding on the simulated NVENC three times: a baseline, the same with one millisecond more
# for each frame, and the same again. The second must be called slower (exit code 1), the third must not. The millisecond is the
# simulated engine's, and only this program's: ffmpeg, the peer, is started by a wrapper that takes it back.
# --realtime measures in front of everything else (chrt -r 10; needs the right to): for machines that others work on, too.
# Exit code 1 when a verdict is wrong. Needs an ffmpeg with h264_nvenc.
set -euo pipefail
cd "$(dirname "$0")/.."

trials=10
profile=()
front=()
for arg in "$@"; do
  case "$arg" in
    --release) profile=(--release) ;;
    --realtime) front=(chrt -r 10) ;;
    [1-9]*) trials=$arg ;;
    *) sed -n '2,9p' "$0"; exit 2 ;;
  esac
done

ffmpeg=$(command -v ffmpeg) || { echo "please install ffmpeg" >&2; exit 2; }
target=${CARGO_TARGET_DIR:-target}
cargo build --quiet --locked -p video-hw-cli -p nvsim "${profile[@]}"
built=$target/debug
[ ${#profile[@]} = 0 ] || built=$target/release

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/bin" "$dir/lib" "$dir/canned"
# Copies: a build beside the trial must not change what is measured.
cp "$built/video-hw" "$dir/video-hw"
cp "$built/libnvsim.so" "$dir/libnvsim.so"
for name in libcuda.so.1 libnvcuvid.so.1 libnvidia-encode.so.1; do
  ln -s "$dir/libnvsim.so" "$dir/lib/$name"
done
settings="time.enabled=true;canned.encode=true;canned.folder=$dir/canned"
millisecond=1000000
cat > "$dir/bin/ffmpeg" <<WRAPPER
#!/bin/sh
NVSIM_SET="$settings;time.encode_ns_per_frame=$millisecond"
export NVSIM_SET
exec "$ffmpeg" "\$@"
WRAPPER
chmod +x "$dir/bin/ffmpeg"
"$ffmpeg" -v error -f lavfi -i testsrc2=size=640x360:rate=30 -frames:v 300 -pix_fmt yuv420p "$dir/in.y4m"

measure() { # measure NANOSECONDS RECORD
  PATH="$dir/bin:$PATH" LD_LIBRARY_PATH="$dir/lib" TMPDIR="$dir" NVSIM_PROFILE=ada \
    NVSIM_SET="$settings;time.encode_ns_per_frame=$1" \
    "${front[@]}" "$dir/video-hw" bench encode "$dir/in.y4m" --codec h264 --backend nvidia --peer ffmpeg --warmup 1 --repeat 9 \
    --json "$2" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
}

judge() { # judge RECORD: prints the verdicts, answers with their exit code
  local code=0
  "$dir/video-hw" bench report "$1" --baseline "$dir/old.json" >"$dir/verdict" || code=$?
  sed -n '/^baseline:/,$p' "$dir/verdict" | grep -v '  note:'
  return "$code"
}

wrong=0
for ((trial = 1; trial <= trials; trial++)); do
  rm -f "$dir"/*.json
  measure $millisecond "$dir/old.json"
  measure $((2 * millisecond)) "$dir/slow.json"
  measure $millisecond "$dir/same.json"
  echo "trial $trial, a millisecond more a frame (load $(cut -d' ' -f1 /proc/loadavg)):"
  code=0; judge "$dir/slow.json" || code=$?
  [ "$code" = 1 ] || { echo "WRONG: exit code $code, expected 1"; wrong=$((wrong + 1)); }
  echo "trial $trial, nothing changed:"
  code=0; judge "$dir/same.json" || code=$?
  [ "$code" = 0 ] || { echo "WRONG: exit code $code, expected 0"; wrong=$((wrong + 1)); }
done
echo "$trials trials, $wrong wrong verdicts of $((2 * trials))"
[ "$wrong" = 0 ]
