#!/usr/bin/env bash
# Prints a folder for `--sysroot` that has the standard library for another system, and makes it where it is not there.
#
#   scripts/sysroot.sh TARGET [--from-source]
#
#   target=aarch64-apple-darwin
#   export CARGO_TARGET_AARCH64_APPLE_DARWIN_RUSTFLAGS="--sysroot $(scripts/sysroot.sh $target)"
#   cargo check --target $target
#
# What is installed is taken first, then `rustup target add TARGET`. Where rustup reaches nothing, the library is built
# from its sources: rustup's component rust-src, or Debian's package of exactly this compiler's version, fetched beside
# what the machine has installed (about 45 MB, a minute on one processor). What is built stays in
# ${XDG_CACHE_HOME:-~/.cache}/video-hw-sysroot, which may be deleted at any time. `--from-source` builds even where a
# library is installed: a test of this script.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/apt-lists.sh"

target=${1:?usage: scripts/sysroot.sh TARGET [--from-source]}
from_source=${2:-}
say() { printf '%s\n' "$*" >&2; }

own=$(rustc --print sysroot)
release=$(rustc --version | cut -d ' ' -f 2)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/video-hw-sysroot/$release
sysroot=$cache/$target
take() { # take SYSROOT: it, where it has the library
  ! compgen -G "$1/lib/rustlib/$target/lib/libstd-*" >/dev/null || { printf '%s\n' "$1"; exit; }
}
[ -n "$from_source" ] || take "$own"
mkdir -p "$cache"
# Two at once (two checkouts, two targets) would unpack and build the same things.
exec 9>"$cache/lock"
flock 9
take "$sysroot"
# Who reaches nothing for one target is not asked again for the next.
if [ -z "$from_source" ] && command -v rustup >/dev/null 2>&1 && [ -z "$(find "$cache" -name no-rustup -mmin -60)" ]; then
  say "rustup target add $target"
  RUSTUP_MAX_RETRIES=1 timeout -k 5 120 rustup target add "$target" >&2 || { : >"$cache/no-rustup"; say "rustup cannot fetch it: built from source instead"; }
  take "$own"
fi
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The sources of the Debian package rust-src of this release, into $cache/sources.
debian_sources() {
  local suite version
  # The release itself may be a stable one's, a backport, or the newest.
  for suite in stable-backports trixie-backports testing unstable; do
    say "looking for rust-src $release in $suite"
    apt_lists "$work/apt" deb "$suite" || continue
    version=$(apt-cache madison rust-src | cut -d '|' -f 2 | tr -d ' ' | grep -F "$release" | head -n 1) || true
    [ -n "$version" ] || continue
    (cd "$work" && apt-get download -qq "rust-src=$version" >&2) || continue
    dpkg-deb --fsys-tarfile "$work"/rust-src_*.deb | tar -x -C "$work" ./usr/src
    mv "$work/usr/src/rustc-$release" "$cache/sources"
    return 0
  done
  say "no standard library for $target: rustup reaches nothing, and Debian has no rust-src $release"
  return 1
}

library=$own/lib/rustlib/src/rust/library
[ -d "$library" ] || library=/usr/src/rustc-$release/library
if ! [ -d "$library" ]; then
  library=$cache/sources/library
  [ -d "$library" ] || debian_sources
fi

case $target in
  *-windows-gnu)
    command -v "${target%%-*}-w64-mingw32-dlltool" >/dev/null 2>&1 || { say "please install mingw-w64 (Debian: gcc-mingw-w64)"; exit 1; } ;;
esac

# An empty crate, and with it everything that programs and their tests are linked with.
say "building the standard library for $target"
mkdir -p "$work/empty/src"
printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$work/empty/Cargo.toml"
: >"$work/empty/src/lib.rs"
export RUSTC_BOOTSTRAP=1
(cd "$work/empty" && env -u RUSTFLAGS __CARGO_TESTS_ONLY_SRC_ROOT="$library" CARGO_TARGET_DIR="$work/empty/target" nice cargo build --quiet --release \
  -Zbuild-std=core,alloc,std,panic_abort,panic_unwind,proc_macro,test --target "$target" >&2)
made=$work/sysroot/lib/rustlib/$target/lib
mkdir -p "$made"
cp "$work/empty/target/$target/release/deps/"*.rlib "$made"
rm -f "$made"/libempty-*
case $target in
  *-windows-gnu) # what such programs begin and end with
    for object in rsbegin rsend; do
      rustc --target "$target" --emit=obj -o "$made/$object.o" "$library/rtstartup/$object.rs"
    done ;;
esac
mv "$work/sysroot" "$sysroot"
printf '%s\n' "$sysroot"
