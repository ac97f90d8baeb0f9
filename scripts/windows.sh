#!/usr/bin/env bash
# The program for Windows (x86_64-pc-windows-gnu), built by Debian's mingw and run under wine (docs/windows.md):
#   scripts/windows.sh               the command on every clip, the README's first command beside the native build's, failures, Ctrl-C
#                                    and kills, doctor, the simulated NVIDIA driver, and the library's unit and session tests
#   scripts/windows.sh --long        also every other test, and 200 kills
#   scripts/windows.sh run ARGS...   the built program with these arguments
# It installs what it needs on Debian and Ubuntu. Optimised little: what is judged here are results, and never speed.
set -euo pipefail
cd "$(dirname "$0")/.."

target=x86_64-pc-windows-gnu
built=${CARGO_TARGET_DIR:-target}/$target/debug
program=$built/video-hw.exe
wine=$(command -v wine64 /usr/lib/wine/wine64 | head -n 1) || true

missing=()
for pair in x86_64-w64-mingw32-gcc-posix:gcc-mingw-w64-x86-64-posix x86_64-w64-mingw32-g++-posix:g++-mingw-w64-x86-64-posix; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}")
done
[ -n "$wine" ] || missing+=(wine64)
[ -e /usr/include/ffnvcodec/nvEncodeAPI.h ] || missing+=(libffmpeg-nvenc-dev)
if [ ${#missing[@]} != 0 ]; then
  command -v apt-get >/dev/null 2>&1 || { echo "please install ${missing[*]}" >&2; exit 1; }
  sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
  wine=$(command -v wine64 /usr/lib/wine/wine64 | head -n 1)
fi
cc=x86_64-w64-mingw32-gcc-posix

# A Windows of our own, with no window, no sound and no questions; what it says of itself is of no interest.
machine=$PWD/$built/wine
export WINEPREFIX=$machine WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml,winemenubuilder.exe=' WINEARCH=win64
libraries=$PWD/$built/libraries
mkdir -p "$machine" "$libraries"
[ -e "$libraries/bcryptprimitives.dll" ] ||
  "$cc" -O1 -shared -o "$libraries/bcryptprimitives.dll" scripts/windows/bcryptprimitives.c -ladvapi32
# The C++ library beside it: openh264 is linked with it.
export WINEPATH="Z:${libraries//\//\\};Z:$(dirname "$("$cc" -print-file-name=libstdc++-6.dll)" | tr / '\\');Z:$(dirname "$("$cc" -print-file-name=libwinpthread-1.dll)" | tr / '\\')"
windows() { # windows PROGRAM ARGS...
  DISPLAY='' WAYLAND_DISPLAY='' "$wine" "$@"
}

export CARGO_INCREMENTAL=0 CARGO_BUILD_TARGET=$target
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=$cc CC_x86_64_pc_windows_gnu=$cc CXX_x86_64_pc_windows_gnu=x86_64-w64-mingw32-g++-posix
# The codecs alone are optimised: they are what takes time, and the rest is compiled sooner.
cargo=(cargo --config 'profile.dev.opt-level=0' --config 'profile.dev.debug=false' --config 'profile.dev.package."*".opt-level=0')
for codec in openh264-sys2 oxideav-h264 oxideav-vp8 re_rav1d rusty_h264-{accel,common,decoder} rusty_h265 rusty_h265-accel rusty_vp9 miniz_oxide; do
  cargo+=(--config "profile.dev.package.$codec.opt-level=1")
done
prepare() {
  local sysroot
  sysroot=$(scripts/sysroot.sh "$target")
  export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS="--sysroot $sysroot"
}

long=no
case "${1:-}" in
  run)
    shift
    [ -x "$program" ] || { prepare; "${cargo[@]}" build --quiet --locked --package video-hw-cli; }
    windows "$program" "$@"
    exit ;;
  --long) long=yes ;;
  "") ;;
  *) sed -n '2,7p' "$0"; exit 2 ;;
esac

prepare
echo "building for $target"
# Together, so that what they share is compiled once.
packages=(--locked --package video-hw --package video-hw-cli --package nvsim)
"${cargo[@]}" build --quiet "${packages[@]}"
tests=(--lib --test sessions)
[ $long = no ] || tests=(--lib --tests)
executables=$("${cargo[@]}" test --quiet --no-run --message-format json "${packages[@]:0:5}" "${tests[@]}" | grep -o '"executable":"[^"]*"' | cut -d'"' -f4)

# What is started first makes the system's folders; its services then stay as long as anything runs.
windows "$program" --version >/dev/null
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export LOCALAPPDATA="Z:${dir//\//\\}\\local"
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
  [ "$(windows "$program" decode "$2" --md5 --quiet --backend software | md5_of)" = "$1" ]
}
first=(transcode clips/bars.mp4 --bitrate 2M --overwrite --quiet)
same_as_native() {
  # Where ffmpeg is found its encoders are taken, and those differ with the machine.
  PATH=/nonexistent "$native" "${first[@]}" "$dir/native.mp4" && windows "$program" "${first[@]}" "$dir/windows.mp4" &&
    cmp "$dir/native.mp4" "$dir/windows.mp4" && decodes "$("$native" decode "$dir/native.mp4" --md5 --quiet | md5_of)" "$dir/windows.mp4"
}
refuses() { # refuses CODE WORDS ARGS...: with that exit code, and one line that has the words
  local code=0
  windows "$program" "${@:3}" >"$dir/said" 2>&1 || code=$?
  [ $code = "$1" ] && grep -q "$2" "$dir/said" && [ "$(wc -l <"$dir/said")" = 1 ] || { cat "$dir/said"; echo "exit code $code"; return 1; }
}
through_pipes() { # bytes stay what they are: no line ends are added, and a pipe is not taken for a file
  # shellcheck disable=SC2002
  cat clips/small.h264 | windows "$program" decode - - --format y4m --quiet >"$dir/piped.y4m" &&
    windows "$program" decode clips/small.h264 "$dir/written.y4m" --quiet && cmp "$dir/piped.y4m" "$dir/written.y4m" &&
    decodes "$(grep small.h264 clips/md5s.txt | md5_of)" - <clips/small.h264
}
odd_names() { # longer than the 260 characters that were once the most, and of several scripts
  local folder="$dir/$(printf 'long%.0s' {1..40})/$(printf 'name%.0s' {1..40})" file
  mkdir -p "$folder"
  file="$folder/видео 動画 é.y4m"
  windows "$program" decode clips/small.h264 "$file" --quiet && decodes "$(grep small.h264 clips/md5s.txt | md5_of)" "$file" &&
    [ "$(ls -A "$folder")" = "видео 動画 é.y4m" ]
}

# A job that is ended somewhere on its way leaves a whole file or nothing.
ended() { # ended SIGNAL MILLISECONDS
  local out=$dir/ended pid n
  rm -rf "$out" && mkdir "$out"
  (exec "$wine" "$program" "${first[@]}" "$out/out.mp4") 2>"$dir/said" &
  pid=$!
  sleep "$(printf '%d.%03d' $(($2 / 1000)) $(($2 % 1000)))"
  kill "-$1" $pid 2>/dev/null || true
  wait $pid 2>/dev/null || true
  # The server closes what a killed process had open a moment later.
  for n in {1..100}; do compgen -G "$out/.*partial*" >/dev/null || break; sleep 0.05; done
  case "$(ls -A "$out")" in
    "") ;;
    out.mp4) ffmpeg -v error -i "$out/out.mp4" -f null - 2>&1 | { ! grep .; } ;;
    *) ls -A "$out"; cat "$dir/said"; return 1 ;;
  esac
}

# The same at a moment that is certain: the unfinished file is there, and the job waits for input.
killed_while_waiting() {
  local out=$dir/waiting pid n
  mkdir "$out"
  mkfifo "$dir/input"
  (exec "$wine" "$program" encode - "$out/out.mp4" --quiet <"$dir/input") &
  pid=$!
  exec 7>"$dir/input"
  # shellcheck disable=SC2094
  head -c 3000000 "$dir/written.y4m" >&7
  for n in {1..200}; do compgen -G "$out/.*partial*" >/dev/null && break; sleep 0.05; done
  compgen -G "$out/.*partial*" || { echo "there is no unfinished file"; return 1; }
  kill -KILL $pid
  wait $pid 2>/dev/null || true
  exec 7>&-
  for n in {1..100}; do [ -z "$(ls -A "$out")" ] && return; sleep 0.05; done
  ls -A "$out"
  return 1
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
ran "pipes carry bytes" through_pipes
ran "long names and other scripts" odd_names
ran "a file that is not there" refuses 1 'nothing.mp4' decode nothing.mp4 --null
ran "an output that exists" refuses 2 'exists already' transcode clips/bars.mp4 "$dir/written.y4m"
ran "an output that is the input" refuses 2 'is the input' transcode "$dir/written.y4m" "$dir/./WRITTEN.y4m" --overwrite
ran "no NVIDIA driver" refuses 3 'nvcuda.dll cannot be loaded.*Install the NVIDIA driver' decode clips/small.h264 --null --backend nvidia
ran "doctor: all is well" windows "$program" doctor --fresh
ran "killed while it waits for input" killed_while_waiting
kills=6
[ $long = no ] || kills=200
for ((n = 0; n < kills; n++)); do
  signal=INT
  [ $((n % 2)) = 0 ] || signal=KILL
  ran "ended by SIG$signal" ended $signal $((RANDOM % 1500))
done

# NVIDIA: the simulated driver as the system's libraries. One of them holds it all, and the others hand calls on to it, since
# copies would be drivers of their own. What its codecs do was recorded by the simulation of this machine, on the same clips.
system=$machine/drive_c/windows/system32
sim=${CARGO_TARGET_DIR:-target}/debug/libnvsim.so
simulated() { # simulated NATIVE|WINDOWS CHIP SETTINGS ARGS...
  local where=$1 canned="canned.replay=true;canned.folder='$dir/recorded'"
  export NVSIM_PROFILE=$2 NVSIM_SET="$canned;$3" NVSIM_REPORT=$dir/$1.json NVSIM_QUIET=1
  shift 3
  rm -f "$NVSIM_REPORT"
  if [ "$where" = native ]; then LD_LIBRARY_PATH=$dir/driver "$native" "$@"; else windows "$program" "$@"; fi
}
clean() { # no rule of the driver was broken, and nothing was left behind
  local list
  for list in violations leaks internal_errors; do
    grep -q "\"$list\": \[\]" "$1" || { cat "$1"; return 1; }
  done
}
decodes_on_nvdec() { # decodes_on_nvdec MD5 FILE
  simulated native h200 "" decode "$2" --md5 --quiet --backend nvidia >/dev/null &&
    [ "$(simulated windows h200 "" decode "$2" --md5 --quiet --backend nvidia | md5_of)" = "$1" ] && clean "$dir/windows.json"
}
encodes_on_nvenc() { # encodes_on_nvenc CODEC
  local job=(encode "$dir/300.y4m" --codec "$1" --bitrate 1M --bframes 2 --backend nvidia --quiet --overwrite)
  simulated native ada "" "${job[@]}" "$dir/native.mp4" && simulated windows ada "" "${job[@]}" "$dir/windows.mp4" &&
    cmp "$dir/native.mp4" "$dir/windows.mp4" && clean "$dir/windows.json" &&
    [ "$(ffprobe -v error -count_packets -select_streams v -show_entries stream=nb_read_packets -of csv=p=0 "$dir/windows.mp4")" = 300 ]
}
same_refusal() { # same_refusal CHIP SETTINGS WORDS ARGS...
  local where
  for where in native windows; do
    ! simulated "$where" "$1" "$2" "${@:4}" 2>"$dir/$where.said" || return 1
  done
  grep -q "$3" "$dir/windows.said" &&
    diff "$dir/windows.said" <(sed 's/libnvidia-encode.so.1/nvEncodeAPI64.dll/; s/libnvcuvid.so.1/nvcuvid.dll/; s/libcuda.so.1/nvcuda.dll/' "$dir/native.said")
}
if [ -x "$native" ] && [ -e "$sim" ]; then
  mkdir -p "$dir/driver"
  for name in libcuda.so.1 libnvcuvid.so.1 libnvidia-encode.so.1 libnvidia-ml.so.1; do ln -s "$(realpath "$sim")" "$dir/driver/$name"; done
  cp "$built/nvsim.dll" "$system/nvcuda.dll"
  { echo EXPORTS; nm -D --defined-only "$sim" | awk '$3 ~ /^(cu|nv|Nv)/ { print $3 "=nvcuda." $3 }'; } >"$libraries/forward.def"
  for name in nvcuvid nvEncodeAPI64 nvml; do "$cc" -shared -o "$system/$name.dll" "$libraries/forward.def"; done
  ffmpeg -v error -y -f lavfi -i testsrc2=size=160x96:rate=30:duration=10 -pix_fmt yuv420p "$dir/300.y4m"
  while read -r md5 _ _ name; do
    case $name in small.h26?|small-10bit.h265|small-vp9.ivf) ran "decode $name on NVDEC (simulated)" decodes_on_nvdec "$md5" "clips/$name" ;; esac
  done <clips/md5s.txt
  for codec in h264 hevc; do ran "encode 300 frames with B frames on NVENC (simulated), $codec" encodes_on_nvenc $codec; done
  ran "a driver that is too old" same_refusal ada 'driver.nvenc="8.0"' 'too old' encode "$dir/300.y4m" "$dir/old.mp4" --backend nvidia
  ran "a driver that does not start" same_refusal ada driver.init_code=803 'nvidia' decode clips/small.h264 --null --backend nvidia
  rm -f "$system"/{nvcuda,nvcuvid,nvEncodeAPI64,nvml}.dll
else
  echo "SKIPPED: $native or $sim is not built, which records what the simulated NVIDIA driver for Windows answers"
fi
echo "command: $((count - failed)) passed, $failed failed"

layouts=$dir/layouts
mkdir -p "$layouts/include" && ln -s /usr/include/ffnvcodec "$layouts/include/ffnvcodec"
export VIDEO_HW_LAYOUTS="Z:${layouts//\//\\}"
for test in $executables; do
  echo "$(basename "$test")"
  (cd "$(case $test in *cli*) echo cli ;; *) echo . ;; esac)" && windows "$test" --quiet) || failed=$((failed + 1))
done
# The declarations for NVIDIA's libraries, held against NVIDIA's headers by the compiler for Windows.
right() { "$cc" -w -fsyntax-only -I "$layouts/include" "$layouts/$1.c"; }
right right || { failed=$((failed + 1)); echo "FAILED: NVIDIA's structures"; }
! right wrong 2>/dev/null || { failed=$((failed + 1)); echo "FAILED: a planted mistake in NVIDIA's structures is not found"; }
[ "$failed" = 0 ]
