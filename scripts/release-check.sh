#!/usr/bin/env bash
# Whether an archive of scripts/release.sh for this processor's Linux keeps its word:
#   scripts/release-check.sh ARCHIVE [SUITE]
# Checksum and contents; no symbol of a glibc newer than 2.28; no library but glibc's own; and in a root of Debian SUITE (bullseye
# by default) that holds libc6 and nothing else: doctor, and the README's first command with the frames of the native build.
# Needs root, mmdebstrap, binutils, and the native build: cargo build -p video-hw-cli.
set -euo pipefail
cd "$(dirname "$0")/.."

archive=$(realpath "${1:?usage: scripts/release-check.sh ARCHIVE [SUITE]}")
suite=${2:-bullseye}
floor=2.28
native=${VIDEO_HW:-${CARGO_TARGET_DIR:-target}/debug/video-hw}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

(cd "$(dirname "$archive")" && sha256sum --check --quiet "$(basename "$archive").sha256")
tar -xzf "$archive" -C "$dir"
folder=$(echo "$dir"/video-hw-*)
for file in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE THIRD-PARTY.txt man/video-hw.1 man/video-hw-transcode.1 \
  completions/video-hw completions/_video-hw completions/video-hw.fish completions/video-hw.ps1; do
  [ -s "$folder/$file" ] || { echo "$file is missing" >&2; exit 1; }
done
program=$folder/video-hw

newest=$(objdump -T "$program" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
echo "newest symbol: $newest (floor: GLIBC_$floor)"
[ "$(printf '%s\n' "$newest" "GLIBC_$floor" | sort -V | tail -n 1)" = "GLIBC_$floor" ]
needed=$(objdump -p "$program" | awk '$1 == "NEEDED" { print $2 }' | sort)
echo "libraries:" $needed
if grep -Ev '^(lib(c|m|dl|rt|pthread|util)\.so\.[0-9]+|ld-linux-.*)$' <<<"$needed"; then
  echo "these are not glibc's" >&2
  exit 1
fi
if [ "$(od -An -tx1 -j18 -N2 "$program")" != "$(od -An -tx1 -j18 -N2 /proc/self/exe)" ]; then
  echo "SKIPPED: the program is for another processor, so that it is not run"
  exit
fi

root=$dir/root
mmdebstrap --quiet --variant=extract --include=libc6 "$suite" "$root"
mkdir -p "$root/proc" "$root/trial"
cp "$program" clips/bars.mp4 "$root/trial"
inside() { # in the bare root, with /proc and no variable
  unshare --mount --pid --fork bash -c 'mount -t proc proc "$0/proc"; exec env -i HOME=/trial /usr/sbin/chroot "$0" "$@"' "$root" "$@"
}
inside /trial/video-hw doctor --fresh
inside /trial/video-hw transcode /trial/bars.mp4 /trial/out.mp4 --bitrate 2M --overwrite
PATH=/nonexistent "$native" transcode clips/bars.mp4 "$dir/native.mp4" --bitrate 2M --overwrite --quiet
md5_of() { "$native" decode "$1" --md5 --quiet | cut -d" " -f1; }
here=$(md5_of "$dir/native.mp4") there=$(md5_of "$root/trial/out.mp4")
echo "frames: $there"
[ "$here" = "$there" ]
