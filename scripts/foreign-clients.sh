#!/usr/bin/env bash
# Runs the whole matrix of foreign clients on the simulated NVIDIA driver and writes docs/nvsim-clients.md.
set -euo pipefail
cd "$(dirname "$0")/.."
tables=$(mktemp -d)
trap 'rm -rf "$tables"' EXIT
export NVSIM_MATRIX=full NVSIM_TABLE="$tables"
status=0
cargo test -p nvsim --locked --test foreign_ffmpeg -- --nocapture --test-threads=1 || status=$?
{
  echo "# Foreign clients on the simulated driver"
  echo
  echo "Made by \`scripts/foreign-clients.sh\`. Every figure is *simulated*: pictures are coded by software encoders, and"
  echo "nothing here says anything about the speed or quality of NVIDIA's hardware. What it shows is that an"
  echo "unmodified client accepts the driver, breaks none of its rules and gets correct streams."
  echo
  echo "Client: $(ffmpeg -hide_banner -version | head -1 | cut -d' ' -f1-3)."
  for name in encode decode rate; do
    [ -e "$tables/$name.md" ] || continue
    echo
    cat "$tables/$name.md"
  done
} > docs/nvsim-clients.md
exit "$status"
