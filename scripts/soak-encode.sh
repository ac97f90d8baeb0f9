#!/usr/bin/env bash
# Encodes live streams by NVENC for a while, each frame handed over when it is due, and judges lost frames, waiting,
# evenness and memory (examples/soak_encode):
#   scripts/soak-encode.sh [--simulated] [--release] [OPTION of the example]...
# --simulated runs on nvsim (2 ms a picture, pictures made beforehand): that judges this library and the machine it runs
# on, and no encoder. Its report must be without broken rules and leaks. Without --simulated a card is needed.
# Exit code 1 when a limit is broken.
set -euo pipefail
cd "$(dirname "$0")/.."

simulated=no
profile=()
options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --simulated) simulated=yes; shift ;;
    --release) profile=(--release); shift ;;
    -h) sed -n '2,8p' "$0"; exit 2 ;;
    *) options+=("$1"); shift ;;
  esac
done

target=${CARGO_TARGET_DIR:-target}
if [ "$simulated" = yes ]; then
  # As the tests are built, with the simulated driver.
  cargo build --quiet --locked --workspace --all-features --lib --example soak_encode "${profile[@]}"
else
  cargo build --quiet --locked --example soak_encode "${profile[@]}"
fi
program=$target/debug/examples/soak_encode
[ ${#profile[@]} = 0 ] || program=$target/release/examples/soak_encode

if [ "$simulated" = no ]; then
  exec "$program" "${options[@]}"
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
code=0
NVSIM_LIB=$(dirname "$program")/../libnvsim.so TMPDIR=$dir sims/nvidia/run --profile ada --report "$dir/report.json" \
  --set time.enabled=true --set time.encode_ns_per_frame=2000000 --set canned.encode=true \
  "$program" "${options[@]}" || code=$?
for list in violations leaks internal_errors; do
  if ! grep -q "\"$list\": \[\]" "$dir/report.json"; then
    echo "the simulated driver found $list:" >&2
    cat "$dir/report.json" >&2
    code=1
  fi
done
exit "$code"
