#!/usr/bin/env bash
# Checks the files that `models/` takes from the library:
#   scripts/models.sh           loom: every order in which their threads can run; and once with the system's threads
#   scripts/models.sh --long    also miri and ThreadSanitizer, on the nightly toolchain
set -euo pipefail
cd "$(dirname "$0")/.."
long=no
case "${1:-}" in
  "") ;;
  --long) long=yes ;;
  *) sed -n '2,4p' "$0" >&2; exit 2 ;;
esac
manifest=(--manifest-path models/Cargo.toml --target-dir target/models)

echo "== loom"
# The queue's own tests, which come with its file, wait with a clock.
RUSTFLAGS="--cfg loom" cargo test --release --quiet --lib "${manifest[@]}" -- --skip queue::tests
echo "== the system's threads"
# What miri and ThreadSanitizer build, so that it does not go stale between the long runs.
cargo test --quiet --lib "${manifest[@]}"
[ "$long" = yes ] || exit 0

has() { # has COMPONENT
  rustup +nightly component list --installed 2>/dev/null | grep -q "^$1"
}
echo "== miri"
if has miri; then
  # Threads are started and joined by their owners; the clock is asked for durations.
  MIRIFLAGS="-Zmiri-disable-isolation" cargo +nightly miri test --quiet --lib "${manifest[@]}"
else
  echo "SKIPPED: miri is not installed (rustup +nightly component add miri)"
fi
echo "== ThreadSanitizer"
host=$(rustc -vV | sed -n 's/^host: //p')
if has rust-src; then
  RUSTFLAGS="-Zsanitizer=thread" cargo +nightly test --quiet -Zbuild-std --target "$host" --lib "${manifest[@]}"
else
  echo "SKIPPED: the source of the standard library is not installed (rustup +nightly component add rust-src)"
fi
