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

target=${1:?usage: scripts/sysroot.sh TARGET [--from-source]}
from_source=${2:-}
say() { printf '%s\n' "$*" >&2; }

own=$(rustc --print sysroot)
has_std() { compgen -G "$1/lib/rustlib/$target/lib/libstd-*" >/dev/null; }

if [ -z "$from_source" ]; then
  if ! has_std "$own" && command -v rustup >/dev/null 2>&1; then
    say "rustup target add $target"
    RUSTUP_MAX_RETRIES=1 timeout -k 5 120 rustup target add "$target" >&2 || say "rustup cannot fetch it: built from source instead"
  fi
  if has_std "$own"; then
    printf '%s\n' "$own"
    exit
  fi
fi

release=$(rustc --version | cut -d ' ' -f 2)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/video-hw-sysroot/$release
sysroot=$cache/$target
mkdir -p "$cache"
# Two at once (two checkouts, two targets) would unpack and build the same things.
exec 9>"$cache/lock"
flock 9
if has_std "$sysroot"; then
  printf '%s\n' "$sysroot"
  exit
fi
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The sources of the Debian package rust-src of this release, into $cache/library. Lists, cache and index are of our own,
# so that nothing of the machine's package system changes. Mirror: the one that the machine is set to.
debian_sources() {
  command -v apt-get >/dev/null 2>&1 || { say "no rustup and no apt-get: please install the standard library for $target"; return 1; }
  local mirror suite keys=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | grep '/debian/*$' | head -n 1)
  [ -n "$mirror" ] && [ -e "$keys" ] || { say "no mirror of Debian among the sources of apt"; return 1; }
  # The release itself may be a stable one's, a backport, or the newest.
  for suite in stable-backports trixie-backports testing unstable; do
    say "looking for rust-src $release in $suite"
    mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
    printf 'deb [signed-by=%s] %s %s main\n' "$keys" "$mirror" "$suite" >"$work/apt/sources.list"
    cat >"$work/apt/apt.conf" <<CONF
Dir::Etc::SourceList "$work/apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State "$work/apt";
Dir::State::Lists "$work/apt/lists";
Dir::State::Status "$work/apt/status";
Dir::Cache "$work/apt/cache";
APT::Sandbox::User "$(id -un)";
CONF
    : >"$work/apt/status"
    export APT_CONFIG=$work/apt/apt.conf
    apt-get update -qq >&2 || continue
    local version
    version=$(apt-cache madison rust-src | cut -d '|' -f 2 | tr -d ' ' | grep -F "$release" | head -n 1) || true
    [ -n "$version" ] || continue
    (cd "$work" && apt-get download -qq "rust-src=$version" >&2) || continue
    dpkg-deb --fsys-tarfile "$work"/rust-src_*.deb | tar -x -C "$work" ./usr/src
    mv "$work/usr/src/rustc-$release" "$cache/sources"
    unset APT_CONFIG
    return 0
  done
  say "no rust-src $release on $mirror"
  return 1
}

library=$own/lib/rustlib/src/rust/library
[ -d "$library" ] || library=/usr/src/rustc-$release/library
if ! [ -d "$library" ]; then
  library=$cache/sources/library
  [ -d "$library" ] || debian_sources
fi

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
