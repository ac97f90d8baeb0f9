#!/usr/bin/env bash
# `video-hw bench encode --verify` beside ffmpeg on the simulated NVENC, with one engine that takes a millisecond for a frame,
# with one that takes no time, and with BGRA (what NVENC calls ARGB) and a millisecond:
#   scripts/bench-encode-simulated.sh [--out DIR] [--realtime] [--quick] [--debug]
# What is measured are the two clients: the simulation codes each input once, in a run that is discarded, and replays that from
# then on (canned.replay, see sims/nvidia/README.md), so that the outputs are the inputs still and --verify can ask them for their PSNR.
# Of each picture every 64th row is compared with the recorded run's, other ones in each picture. So the PSNR of a measured run is
# that of the recorded one, and what the run proves is that these rows were the same.
# --out DIR   where the records and reports go (default: output/bench-encode-simulated); older ones there are replaced
# --realtime  measures in front of everything else (chrt -r 10; needs the right to): for machines that others work on, too
# --quick     640x360, 60 frames, 1 warm-up and 1 run instead of 1920x1080, 300, 2 and 9: whether it works at all
# --debug     debug builds instead of release builds
# Exit code 7 when an output is wrong, or when something would have had to be coded while it was measured. Needs an ffmpeg with
# h264_nvenc and hevc_nvenc, and room for the raw pictures in TMPDIR (about 4 GB).
set -euo pipefail
cd "$(dirname "$0")/.."

out=output/bench-encode-simulated
front=()
profile=(--release)
built=release
size=1920x1080 frames=300
times=()
while [ $# -gt 0 ]; do
  case "$1" in
    --out) [ $# -ge 2 ] || { echo "--out needs a folder" >&2; exit 2; }; out=$2; shift ;;
    --realtime) front=(chrt -r 10) ;;
    --quick) size=640x360 frames=60 times=(--warmup 1 --repeat 1) ;;
    --debug) profile=() built=debug ;;
    *) sed -n '2,14p' "$0"; exit 2 ;;
  esac
  shift
done

# The list is read to its end: a reader that leaves early would stop ffmpeg by a signal.
encoders=$(ffmpeg -v error -encoders 2>&1) || { echo "please install ffmpeg" >&2; exit 2; }
for encoder in h264_nvenc hevc_nvenc; do
  [[ $encoders == *" $encoder "* ]] || { echo "this ffmpeg has no $encoder" >&2; exit 2; }
done
target=${CARGO_TARGET_DIR:-target}
cargo build --quiet --locked -p video-hw-cli -p nvsim "${profile[@]}"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/lib" "$dir/canned" "$out"
# Copies: a build beside the measurement must not change what is measured.
cp "$target/$built/video-hw" "$dir/video-hw"
cp "$target/$built/libnvsim.so" "$dir/libnvsim.so"
for name in libcuda.so.1 libnvcuvid.so.1 libnvidia-encode.so.1; do
  ln -s "$dir/libnvsim.so" "$dir/lib/$name"
done
recorded="canned.encode=true;canned.replay=true;canned.folder=$dir/canned;device.0.nvenc_engines=1"
# While it is measured nothing is coded: a session that nobody recorded fails, and its row with it.
only="$recorded;canned.replay_only=true"
# An engine that takes no time: time is not modelled at all.
instant=$only
millisecond="$only;time.enabled=true;time.encode_ns_per_frame=1000000"

bench() { # bench SETTINGS OPTION...
  local settings=$1
  shift
  LD_LIBRARY_PATH="$dir/lib" TMPDIR="$dir" NVSIM_PROFILE=ada NVSIM_QUIET=1 NVSIM_SET="$settings" \
    "${front[@]}" "$dir/video-hw" bench encode --size "$size" --frames "$frames" --codec h264,hevc \
    --backend nvidia --peer ffmpeg --protocol main "$@"
}

record() { # record OPTION...: codes what is measured later, with both programs' settings; its figures are a software encoder's
  # Minutes of a software encoder in front of everything else would stop everything else.
  local code=0 front=()
  bench "$recorded" --warmup 0 --repeat 1 --quiet "$@" >"$dir/log" 2>&1 || code=$?
  if [ "$code" != 0 ]; then
    cat "$dir/log" >&2
    exit "$code"
  fi
}

worst=0
measure() { # measure NAME TITLE SETTINGS OPTION...
  local name=$1 title=$2 settings=$3 code=0
  shift 3
  echo "$title (load $(cut -d' ' -f1 /proc/loadavg)):"
  bench "$settings" "${times[@]}" --verify --overwrite --json "$out/$name.json" --markdown "$out/$name.md" "$@" || code=$?
  if [ "$code" != 0 ]; then
    echo "$name: exit code $code" >&2
    worst=$code
  fi
}

echo "coding the inputs once, which is not measured"
record
record --pix-fmt bgra
measure millisecond "one engine, a millisecond a frame" "$millisecond"
measure instant "one engine that takes no time" "$instant"
measure bgra-millisecond "BGRA, one engine, a millisecond a frame" "$millisecond" --pix-fmt bgra
echo "records and reports are in $out"
exit "$worst"
