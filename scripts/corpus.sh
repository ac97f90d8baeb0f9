#!/usr/bin/env bash
# Makes some 520 hard files with ffmpeg, x264, x265, libvpx, aom, mkvtoolnix, GStreamer, a browser and edits of single bytes, and compares what
# video-hw shows of each (frames, times, MD5s) with what ffmpeg shows. Each case says what is expected: equal, or refused
# by a word. Prints a table; the exit code is 0 when every file does what is expected of it.
#   scripts/corpus.sh [--out DIR] [--binary PATH] [--backend NAME] [--engines N|auto] [--only WORD] [--short] [--list]
#   scripts/corpus.sh --judge DIR ...     on another machine, by a folder that --out made; needs python3 alone
# Times are compared where the file states them. How ffmpeg is asked, and where the standard overrules it, is told in
# scripts/corpus/truth.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH="$here" exec python3 -m corpus "$@"
