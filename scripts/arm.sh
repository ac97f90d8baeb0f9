#!/usr/bin/env bash
# The program for ARM (aarch64-unknown-linux-gnu), built by Debian's cross compiler and run under qemu-user (docs/arm.md):
#   scripts/arm.sh               the command on every clip, the README's first command beside the native build's, doctor
#   scripts/arm.sh --long        also every test that needs no simulated driver, and 64 KiB pages
#   scripts/arm.sh test [NAME...]   the tests alone, counted: all, or those of tests/NAME, lib, bins, cli
#   scripts/arm.sh run ARGS...   the built program with these arguments, in the current directory
# It installs what it needs on Debian and Ubuntu. Optimised little: what is judged here are results, and never speed.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
libraries=/usr/aarch64-linux-gnu
# Everything that an ARM program starts, itself included, is run by qemu too: registered with the kernel in a user namespace
# of our own, so that nothing of the machine changes. Linux 6.7 and later.
# shellcheck disable=SC2016
inside=(unshare --user --map-root-user --mount bash -c '
  set -e
  mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
  mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
  printf %s ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64):F" >/proc/sys/fs/binfmt_misc/register
  exec "$@"' arm)
enter=() runner=() limit=(timeout -k 5 300)
there() { # there PROGRAM ARGS...: on this processor as if it were an ARM; what hangs fails
  "${enter[@]}" "${limit[@]}" env "PATH=${path:-$PATH}" "${runner[@]}" "$@"
}
without_ffmpeg() { path=/nonexistent there "$@"; }
source scripts/cross.sh

long=no
case "${1:-}" in
  run | test | "") ;;
  --long) long=yes ;;
  *) sed -n '2,7p' "$0"; exit 2 ;;
esac
quietly need aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu aarch64-linux-gnu-g++:g++-aarch64-linux-gnu qemu-aarch64:qemu-user
export QEMU_LD_PREFIX=${QEMU_LD_PREFIX:-$libraries}
export "${variable}_LINKER=aarch64-linux-gnu-gcc"
case "${1:-}" in
  run | test) [ -x "$program" ] || quietly build video-hw-cli ;;
  *) quietly build video-hw-cli ;;
esac

# In a namespace of our own; else as the machine has registered qemu; else what is started starts nothing itself.
starts=yes
if (enter=("${inside[@]}"); there "$program" --version) >/dev/null 2>&1 </dev/null; then
  enter=("${inside[@]}")
elif ! there "$program" --version >/dev/null 2>&1 </dev/null; then
  runner=("$(command -v qemu-aarch64)")
  starts=no
fi
if [ $asked = yes ]; then
  cd "$here"
  limit=() enter=(exec "${enter[@]}")
  there "$program" "${@:2}"
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export XDG_CACHE_HOME=$dir/cache
run_suite() { # run_suite [NAME...]
  local folder kind name program slow=(--skip bench --skip bombs --skip fuzz_seeds --skip garbage_and_floods --skip a_program_that_does_not_answer)
  limit=(timeout -k 5 "${TEST_SECONDS:-3600}")
  export PROPTEST_CASES=${PROPTEST_CASES:-8}
  echo "SKIPPED: tests of bench, which judge times that qemu stretches; inputs that are made to take long (bombs, seeds of fuzzers, floods);" \
    "a program that cannot be started, of which qemu does not tell"
  if [ $starts = no ]; then
    echo "SKIPPED: all tests but those of the library's parts, since the others start programs, which this kernel cannot run"
    set -- lib
    slow+=(bitstream:: container:: transform:: quality:: util:: --skip backend::)
  fi
  whole_suite "$@" >"$dir/suite"
  while IFS=$'\t' read -r folder kind name program; do
    [ "$name" = video-hw-bench ] || [ "$name" = video_hw_bench ] || CXX=aarch64-linux-gnu-g++ counted "$folder" "$kind" "$name" "$program" "${slow[@]}"
  done <"$dir/suite"
}
if [ "${1:-}" = test ]; then
  run_suite "${@:2}"
  exit "$((failed != 0))"
fi
jetson() { # a machine with the release file of one, and no library of NVIDIA's
  mkdir -p "$dir/jetson/etc"
  ln -sfn "$libraries/lib" "$dir/jetson/lib"
  echo '# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic' >"$dir/jetson/etc/nv_tegra_release"
  ! QEMU_LD_PREFIX=$dir/jetson there "$program" "$@" >"$dir/said" 2>&1 && grep -q 'Jetson (release 36.4.3)' "$dir/said"
}

decodes_clips
first_command
ran "names in the caller's folder" by_script scripts/arm.sh
ran "a reader that goes away" reader_goes_away
ran "a Jetson is told of in the receipt" jetson decode clips/small.h264 --null --backend nvidia
if [ $starts = yes ]; then
  ran "doctor: all is well" there "$program" doctor --fresh
  ran "doctor tells of a Jetson" jetson doctor --fresh --backend nvidia
else
  echo "SKIPPED: doctor starts the program anew, and this kernel runs no ARM program in a namespace (Linux 6.7 or later, unshare)"
fi
if [ $long = yes ]; then
  QEMU_PAGESIZE=65536 ran "pages of 64 KiB: the same" same_as_native
fi
echo "command: $((count - failed)) passed, $failed failed"

[ $long = no ] || run_suite
[ "$failed" = 0 ]
