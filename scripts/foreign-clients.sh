#!/usr/bin/env bash
# Runs the whole matrix of foreign clients on the simulated NVIDIA driver and writes docs/nvsim-clients.md: ffmpeg as
# installed, and PyAV and PyNvVideoCodec from Python's package registry (in target/nvsim-python; NVSIM_PYTHON names an
# interpreter that has them already).
set -euo pipefail
cd "$(dirname "$0")/.."
tables=$(mktemp -d)
trap 'rm -rf "$tables"' EXIT
if [ -z "${NVSIM_PYTHON:-}" ]; then
  python=target/nvsim-python
  if [ ! -x "$python/bin/python" ] || ! "$python/bin/python" -c "import av, numpy, PyNvVideoCodec" 2>/dev/null; then
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet av==18.1.0 numpy PyNvVideoCodec==2.2.4
  fi
  NVSIM_PYTHON=$PWD/$python/bin/python
fi
export NVSIM_PYTHON NVSIM_MATRIX=full NVSIM_TABLE="$tables"
status=0
cargo test -p nvsim --locked --test simulation -- foreign_ffmpeg foreign_python --nocapture --test-threads=1 || status=$?
{
  echo "# Foreign clients on the simulated driver"
  echo
  echo "Made by \`scripts/foreign-clients.sh\`. Every figure is *simulated*: pictures are coded by software encoders, and"
  echo "nothing here says anything about the speed or quality of NVIDIA's hardware. What it shows is that"
  echo "unmodified clients accept the driver, break none of its rules and get correct streams."
  echo
  echo "ffmpeg is $(ffmpeg -hide_banner -version | head -1 | cut -d' ' -f3) (NVENC API 11.1); PyAV 18.1.0 brings FFmpeg 8.1 (API 13.0);"
  echo "PyNvVideoCodec 2.2.4 is NVIDIA's own client. It leaks one CUDA stream for each encoder, which the report shows and"
  echo "the test forgives."
  for name in encode decode rate pyav pynvvideocodec; do
    [ -e "$tables/$name.md" ] || continue
    echo
    cat "$tables/$name.md"
  done
} > docs/nvsim-clients.md
exit "$status"
