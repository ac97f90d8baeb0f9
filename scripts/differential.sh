#!/usr/bin/env bash
# Decodes random streams of x264, x265, libvpx, libaom and SVT-AV1 with `video-hw` and with ffmpeg, and compares the MD5 of every
# frame. Without options it is a short form that always makes the same streams; failures are reduced to a command that makes one.
# VIDEO_HW names the program to test; otherwise it is built.
#   scripts/differential.sh [--minutes N] [--streams N] [--seed S] [--only ENCODER] [--jobs N] [--backend NAME] [--engines N|auto] [--least N]
set -euo pipefail
cd "$(dirname "$0")/.."
for program in ffmpeg python3; do
  command -v "$program" >/dev/null 2>&1 || { echo "SKIPPED: the differential test, which needs $program"; exit 0; }
done
if [ -z "${VIDEO_HW:-}" ]; then
  cargo build --quiet --locked --package video-hw-cli --all-features
  VIDEO_HW=${CARGO_TARGET_DIR:-target}/debug/video-hw
fi
exec python3 scripts/differential.py --program "$VIDEO_HW" "$@"
