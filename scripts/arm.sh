#!/usr/bin/env bash
# The program for ARM (aarch64-unknown-linux-gnu), built by Debian's cross compiler and run under qemu-user (docs/arm.md):
#   scripts/arm.sh               the command on every clip, the README's first command beside the native build's, doctor, and the
#                                library's unit tests of what differs with the processor
#   scripts/arm.sh --long        also every other test that needs no simulated driver, and 64 KiB pages
#   scripts/arm.sh run ARGS...   the built program with these arguments
# It installs what it needs on Debian and Ubuntu. Optimised little: what is judged here are results, and never speed.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
libraries=/usr/aarch64-linux-gnu
program=${CARGO_TARGET_DIR:-target}/$target/debug/video-hw
# Everything that an ARM program starts, itself included, is run by qemu too: registered with the kernel in a user namespace
# of our own, so that nothing of the machine changes. Linux 6.7 and later.
inside() {
  # shellcheck disable=SC2016
  unshare --user --map-root-user --mount bash -c '
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    printf %s ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64):F" >/proc/sys/fs/binfmt_misc/register
    exec "$@"' arm "$@"
}
export QEMU_LD_PREFIX=${QEMU_LD_PREFIX:-$libraries}

missing=()
for pair in aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu aarch64-linux-gnu-g++:g++-aarch64-linux-gnu qemu-aarch64:qemu-user; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}")
done
if [ ${#missing[@]} != 0 ]; then
  command -v apt-get >/dev/null 2>&1 || { echo "please install ${missing[*]}" >&2; exit 1; }
  sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi

starts=yes
inside "$(command -v qemu-aarch64)" --version >/dev/null 2>&1 || starts=no
arm() { # arm PROGRAM ARGS...: on this processor as if it were an ARM
  if [ $starts = yes ]; then inside "$@"; else qemu-aarch64 "$@"; fi
}

alone() { # the same where no other program is found: ffmpeg would be taken before the embedded encoder
  if [ $starts = yes ]; then inside /usr/bin/env PATH=/nonexistent "$@"; else PATH=/nonexistent "$(command -v qemu-aarch64)" "$@"; fi
}

export CARGO_INCREMENTAL=0 CARGO_BUILD_TARGET=$target
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# The codecs alone are optimised: they are what takes time under qemu, and the rest is compiled sooner.
cargo=(cargo --config 'profile.dev.opt-level=0' --config 'profile.dev.debug=false' --config 'profile.dev.package."*".opt-level=0')
for codec in openh264-sys2 oxideav-h264 oxideav-vp8 re_rav1d rusty_h264-{accel,common,decoder} rusty_h265 rusty_h265-accel rusty_vp9 miniz_oxide; do
  cargo+=(--config "profile.dev.package.$codec.opt-level=1")
done
prepare() {
  local sysroot
  sysroot=$(scripts/sysroot.sh "$target")
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="--sysroot $sysroot"
}

long=no
case "${1:-}" in
  run)
    shift
    [ -x "$program" ] || { prepare; "${cargo[@]}" build --quiet --locked --package video-hw-cli; }
    arm "$program" "$@"
    exit ;;
  --long) long=yes ;;
  "") ;;
  *) sed -n '2,7p' "$0"; exit 2 ;;
esac

prepare
echo "building for $target"
"${cargo[@]}" build --quiet --locked --package video-hw-cli
tests=$("${cargo[@]}" test --quiet --locked --no-run --package video-hw --lib --message-format json | grep -o '"executable":"[^"]*"' | cut -d'"' -f4)

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export XDG_CACHE_HOME=$dir/cache
failed=0
count=0
ran() { # ran NAME COMMAND...
  local name=$1
  shift
  count=$((count + 1))
  "$@" >"$dir/log" 2>&1 || { failed=$((failed + 1)); echo "FAILED: $name"; cat "$dir/log"; }
}
md5_of() { grep -o '^[0-9a-f]\{32\}'; }
decodes() { # decodes MD5 FILE
  [ "$(arm "$program" decode "$2" --md5 --quiet --backend software | md5_of)" = "$1" ]
}
same_as_native() {
  local first=(transcode clips/bars.mp4 --bitrate 2M --overwrite --quiet)
  PATH=/nonexistent "$native" "${first[@]}" "$dir/native.mp4" && alone "$program" "${first[@]}" "$dir/arm.mp4" &&
    cmp "$dir/native.mp4" "$dir/arm.mp4" && decodes "$("$native" decode "$dir/native.mp4" --md5 --quiet | md5_of)" "$dir/arm.mp4"
}
jetson() { # a machine with the release file of one, and no library of NVIDIA's
  mkdir -p "$dir/jetson/etc"
  ln -sfn "$libraries/lib" "$dir/jetson/lib"
  echo '# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic' >"$dir/jetson/etc/nv_tegra_release"
  ! QEMU_LD_PREFIX=$dir/jetson arm "$program" "$@" >"$dir/said" 2>&1 && grep -q 'Jetson (release 36.4.3)' "$dir/said"
}

while read -r md5 _ _ name; do
  ran "decode $name" decodes "$md5" "clips/$name"
done <clips/md5s.txt
native=${VIDEO_HW:-${CARGO_TARGET_DIR:-target}/debug/video-hw}
if [ -x "$native" ]; then
  ran "the README's first command: the same file and frames as by the native build" same_as_native
else
  echo "SKIPPED: $native is not built, so that there is nothing to compare the README's first command with"
fi
ran "a Jetson is told of in the receipt" jetson decode clips/small.h264 --null --backend nvidia
if [ $starts = yes ]; then
  ran "doctor: all is well" arm "$program" doctor --fresh
  ran "doctor tells of a Jetson" jetson doctor --fresh --backend nvidia
else
  echo "SKIPPED: doctor starts the program anew, and this kernel runs no ARM program in a namespace (Linux 6.7 or later, unshare)"
fi
if [ $long = yes ]; then
  QEMU_PAGESIZE=65536 ran "pages of 64 KiB: the same" same_as_native
fi
echo "command: $((count - failed)) passed, $failed failed"

# What differs with the processor: SIMD, alignment, sizes. The codecs were judged above; fewer random cases than elsewhere, and no
# inputs that are made to take long.
PROPTEST_CASES=4 arm "$tests" --quiet bitstream:: container:: transform:: quality:: util:: --skip backend:: --skip bombs:: || failed=$((failed + 1))

if [ $long = yes ] && [ $starts = no ]; then
  echo "SKIPPED: the other tests start programs, which this kernel cannot run"
elif [ $long = yes ]; then
  # The simulated drivers need the encoders of this machine's processor, and are no part of it.
  echo "SKIPPED: tests of bench, which judge times that qemu stretches; inputs that are made to take long (bombs, seeds of fuzzers)"
  PROPTEST_CASES=8 CXX=aarch64-linux-gnu-g++ inside "${cargo[@]}" test --locked --no-fail-fast --all-features --tests \
    --package video-hw --package video-hw-terminal --package video-hw-cli -- --skip bench --skip bombs --skip fuzz_seeds || failed=$((failed + 1))
fi
[ "$failed" = 0 ]
