#!/usr/bin/env bash
# The program for Windows (x86_64-pc-windows-gnu), built by Debian's mingw and run under wine (docs/windows.md):
#   scripts/windows.sh               the command on every clip, the README's first command beside the native build's, failures, Ctrl-C
#                                    and kills, doctor, the simulated NVIDIA driver, and the library's unit and session tests
#   scripts/windows.sh --command     that without the library's tests
#   scripts/windows.sh --long        also every other test, and 200 kills
#   scripts/windows.sh test [NAME...]   the tests alone, counted: all, or those of tests/NAME, lib, bins, cli
#   scripts/windows.sh run ARGS...   the built program with these arguments, in the current directory
# It installs what it needs on Debian and Ubuntu. Optimised little: what is judged here are results, and never speed.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

target=x86_64-pc-windows-gnu
limit=(timeout -k 5 120)
there() { # there PROGRAM ARGS...: what hangs fails
  DISPLAY='' WAYLAND_DISPLAY='' LC_ALL=C.UTF-8 "${limit[@]}" "$wine" "$@"
}
without_ffmpeg() { there "$@"; } # nothing of PATH is a program of Windows
source scripts/cross.sh
program=$built/video-hw.exe

long=no
tests=(--lib --test sessions)
case "${1:-}" in
  run | test | "") ;;
  --command) tests=() ;;
  --long) long=yes ;;
  *) sed -n '2,9p' "$0"; exit 2 ;;
esac
[ "$(uname -m)" = x86_64 ] || skip "wine runs programs of this machine's own processor"
cc=x86_64-w64-mingw32-gcc-posix
wine=$(command -v wine64 /usr/lib/wine/wine64 | head -n 1) || true
quietly need $cc:gcc-mingw-w64-x86-64-posix x86_64-w64-mingw32-g++-posix:g++-mingw-w64-x86-64-posix \
  /usr/include/ffnvcodec/nvEncodeAPI.h:libffmpeg-nvenc-dev "${wine:-wine64}:wine64"
wine=$(command -v wine64 /usr/lib/wine/wine64 | head -n 1)

# A Windows of our own, with no window, no sound, no questions and no debugger for what ends by itself; what it says of itself is
# of no interest.
machine=$built/wine
export WINEPREFIX=$machine WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml,winemenubuilder.exe,winedbg.exe=' WINEARCH=win64
libraries=$built/libraries
mkdir -p "$machine" "$libraries"
[ -e "$libraries/bcryptprimitives.dll" ] ||
  "$cc" -O1 -shared -o "$libraries/bcryptprimitives.dll" scripts/windows/bcryptprimitives.c -ladvapi32
# The C++ library beside it: openh264 is linked with it. Beside the program too, where they are found without PATH.
for name in libstdc++-6.dll libgcc_s_seh-1.dll libwinpthread-1.dll bcryptprimitives.dll; do
  [ -e "$libraries/$name" ] || ln -sf "$(realpath "$("$cc" -print-file-name="$name")")" "$libraries/"
  [ -e "$built/$name" ] || ln -sf "$libraries/$name" "$built/"
done
export WINEPATH="Z:${libraries//\//\\}"
export "${variable}_LINKER=$cc" "CC_${target//-/_}=$cc" "CXX_${target//-/_}=x86_64-w64-mingw32-g++-posix"

if [ $asked = yes ]; then
  [ -x "$program" ] || quietly build video-hw-cli
  # What makes its folders the first time would take the program's input.
  [ -e "$machine/system.reg" ] || there wineboot --init </dev/null >/dev/null 2>&1 || true
  cd "$here"
  limit=(exec)
  there "$program" "${@:2}"
fi
dir=$(mktemp -d)
# It would end with each program, and be started again by the next. One that is there already, for what was run a moment ago, does too.
server=${wine%/*}/wineserver64
[ -x "$server" ] || server=true
"$server" -p </dev/null >/dev/null 2>&1 || true
trap '"$server" -k || true; rm -rf "$dir"' EXIT
layouts=$dir/layouts
mkdir -p "$layouts/include" && ln -s /usr/include/ffnvcodec "$layouts/include/ffnvcodec"
export VIDEO_HW_LAYOUTS="Z:${layouts//\//\\}" LOCALAPPDATA="Z:${dir//\//\\}\\local"
exec 3>&1
run_suite() { # run_suite [NAME...]
  local folder kind name program
  limit=(timeout -k 5 "${TEST_SECONDS:-3600}")
  whole_suite "$@" >"$dir/suite"
  while IFS=$'\t' read -r folder kind name program; do
    counted "$folder" "$kind" "$name" "$program"
  done <"$dir/suite"
}
if [ "${1:-}" = test ]; then
  run_suite "${@:2}"
  exit "$((failed != 0))"
fi
# With a test at once: it has others among its dependencies ask for more of what they share, and all would be compiled twice.
build video-hw video-hw-cli nvsim vplsim -- --lib --bins --test sessions --example encode_session --example transcode_gpu
suite=""
[ $long = yes ] || [ ${#tests[@]} = 0 ] || suite=$(tests_of --package video-hw --package video-hw-cli "${tests[@]}")

refuses() { # refuses CODE WORDS ARGS...: with that exit code, and one line that has the words
  local code=0
  there "$program" "${@:3}" >"$dir/said" 2>&1 || code=$?
  [ $code = "$1" ] && grep -q "$2" "$dir/said" && [ "$(wc -l <"$dir/said")" = 1 ] || { cat "$dir/said"; echo "exit code $code"; return 1; }
}
through_pipes() { # bytes stay what they are: no line ends are added, and a pipe is not taken for a file
  # shellcheck disable=SC2002
  cat clips/small.h264 | there "$program" decode - - --format y4m --quiet >"$dir/piped.y4m" &&
    there "$program" decode clips/small.h264 "$dir/written.y4m" --quiet && cmp "$dir/piped.y4m" "$dir/written.y4m" &&
    decodes "$(grep small.h264 clips/md5s.txt | md5_of)" - <clips/small.h264 &&
    decodes "$(there "$program" decode clips/bars.mp4 --md5 --quiet | md5_of)" - <clips/bars.mp4
}
odd_names() { # longer than the 260 characters that were once the most, and of several scripts
  local folder file
  folder=$dir/$(printf 'long%.0s' {1..40})/$(printf 'name%.0s' {1..40})
  mkdir -p "$folder"
  file="$folder/видео 動画 é.y4m"
  there "$program" decode clips/small.h264 "$file" --quiet && decodes "$(grep small.h264 clips/md5s.txt | md5_of)" "$file" &&
    [ "$(ls -A "$folder")" = "видео 動画 é.y4m" ]
}

# What is left where a job has written to: a whole film, or (`nothing`) none.
plays() { ffmpeg -v error -i "$1" -f null - 2>"$dir/said" && [ ! -s "$dir/said" ]; }
left() { # left FOLDER film|nothing|either
  local n
  # The server closes what a killed process had open a moment later.
  for n in {1..100}; do compgen -G "$1/.*partial*" >/dev/null || break; sleep 0.05; done
  case "$(ls -A "$1"):$2" in
    :nothing | :either) ;;
    out.mp4:film | out.mp4:either) plays "$1/out.mp4" ;;
    *) ls -A "$1"; return 1 ;;
  esac
}
ended() { # ended SIGNAL MILLISECONDS: somewhere on its way
  local out=$dir/ended pid
  rm -rf "$out" && mkdir "$out"
  (exec "$wine" "$program" "${first[@]}" "$out/out.mp4") &
  pid=$!
  sleep "$(printf '%d.%03d' $(($2 / 1000)) $(($2 % 1000)))"
  kill "-$1" $pid 2>/dev/null || true
  wait $pid || true
  left "$out" either
}
# The same at a moment that is certain: the unfinished file is there, and the job waits for input.
ended_while_waiting() { # ended_while_waiting SIGNAL film|nothing EXITCODE
  local out=$dir/waiting pid n code=0
  rm -rf "$out" "$dir/input" && mkdir "$out" && mkfifo "$dir/input"
  (exec "$wine" "$program" encode - "$out/out.mp4" --quiet <"$dir/input") &
  pid=$!
  exec 7>"$dir/input"
  # shellcheck disable=SC2094
  timeout 60 head -c 3000000 "$dir/written.y4m" >&7
  for n in {1..200}; do compgen -G "$out/.*partial*" >/dev/null && break; sleep 0.05; done
  compgen -G "$out/.*partial*" || { echo "there is no unfinished file"; return 1; }
  kill "-$1" $pid
  sleep 0.2
  exec 7>&-
  wait $pid || code=$?
  [ $code = "$3" ] || { echo "exit code $code"; return 1; }
  left "$out" "$2"
}
# A folder with a decoy of every library that the program, or a library that it loads, looks for, and of the programs that it starts.
decoys() {
  local folder=$dir/decoys name job here
  local jobs=(devices "doctor --fresh" "probe small.h264" "decode small.h264 --null" "transcode small.h264 out.mp4 -y")
  for name in nvidia qsv ffmpeg; do jobs+=("decode small.h264 --null --backend $name" "transcode small.h264 out.mp4 -y --backend $name"); done
  mkdir "$folder"
  cp clips/small.h264 "$folder"
  "$cc" -O1 -shared -o "$dir/decoy.dll" scripts/windows/decoy.c
  # In a folder of their own: with the decoys of the system's libraries beside them they would not start.
  mkdir "$dir/programs"
  cp clips/small.h264 "$dir/programs"
  "$cc" -O1 -DPROGRAM -o "$dir/programs/ffmpeg.exe" scripts/windows/decoy.c
  cp "$dir/programs/ffmpeg.exe" "$dir/programs/ffprobe.exe"
  export DECOY_MARK="Z:${dir//\//\\}\\mark"
  printf '%s\n' nvcuda nvcuvid nvEncodeAPI64 nvml libmfx64-gen libmfxhw64 libvpl libvplevil libmfx64 >"$dir/names"
  (
    cd "$folder"
    for job in "${jobs[@]}"; do
      # shellcheck disable=SC2086
      WINEDEBUG=trace+module there "$program" $job 2>&1 </dev/null || true
    done
  ) >"$dir/trace"
  sed -n 's/.*trace:module:load_dll looking for L"\([^"]*\)".*/\1/p' "$dir/trace" | sed 's/.*\\\\//; s/\.dll$//I' | sort -u >>"$dir/names"
  grep -qix nvcuda.dll <(sed 's/$/.dll/' "$dir/names") && grep -qi kernel32 "$dir/names" || { echo "wine does not name the libraries"; return 1; }
  sort -fu "$dir/names" | while read -r name; do ln -f "$dir/decoy.dll" "$folder/$name.dll"; done
  # The decoys run where something does load or start them.
  (cd "$dir/programs" && there ./ffmpeg.exe || true; there rundll32 "Z:${folder//\//\\}\\nvcuda.dll,x" || true) >/dev/null 2>&1
  [ "$(sort -u "$dir/mark" | wc -l)" = 2 ] || { cat "$dir/mark"; echo "the decoys do not run"; return 1; }
  rm "$dir/mark"
  for here in "$folder" "$dir/programs"; do
    for job in "${jobs[@]}"; do
      # shellcheck disable=SC2086
      (cd "$here" && there "$program" $job >/dev/null 2>&1 </dev/null) || true
      [ ! -e "$dir/mark" ] || { echo "$job:"; cat "$dir/mark"; return 1; }
    done
  done
  echo "$(ls "$folder" | grep -c '\.dll$') names of libraries, none loaded from the current directory" >&3
}
planted_beside_the_program() {
  local name
  mkdir "$dir/planted"
  cp "$program" "$dir/planted/app.exe"
  for name in nvcuda nvcuvid nvEncodeAPI64 nvml libmfx64-gen libvpl; do cp "$dir/decoy.dll" "$dir/planted/$name.dll"; done
  cp clips/small.h264 "$dir/planted"
  (cd "$dir/planted" && program=app.exe refuses 3 'nvcuda.dll cannot be loaded' decode small.h264 --null --backend nvidia) && [ ! -e "$dir/mark" ]
}

# What is started first makes the system's folders; nothing of a run that was ended is in them.
system=$machine/drive_c/windows/system32
rm -f "$system"/{nvcuda,nvcuvid,nvEncodeAPI64,nvml}.dll
ran "the program starts" there "$program" --version
decodes_clips
first_command
ran "pipes carry bytes" through_pipes
ran "long names and other scripts" odd_names
ran "names in the caller's folder" by_script scripts/windows.sh
ran "a reader that goes away" reader_goes_away
ran "a name of a device" refuses 2 'aux is a device' decode clips/small.h264 "$dir/aux.y4m"
ran "a colon in a name" refuses 2 "has ':'" decode clips/small.h264 "$dir/12:30.y4m"
ran "a file that is not there" refuses 1 'nothing.mp4' decode nothing.mp4 --null
ran "an output that exists" refuses 2 'exists already' transcode clips/bars.mp4 "$dir/written.y4m"
ran "an output that is the input" refuses 2 'is the input' transcode "$dir/written.y4m" "$dir/./WRITTEN.y4m" --overwrite
ran "no NVIDIA driver" refuses 3 'nvcuda.dll cannot be loaded.*Install the NVIDIA driver' decode clips/small.h264 --null --backend nvidia
ran "decoys in the current directory" decoys
ran "decoys of vendors' libraries beside the program" planted_beside_the_program
ran "doctor: all is well" there "$program" doctor --fresh
ran "killed while it waits for input" ended_while_waiting KILL nothing 137
ran "Ctrl-C while it waits for input" ended_while_waiting INT film 130
began=${EPOCHREALTIME/[.,]/}
ran "a job that nobody ends" there "$program" "${first[@]}" "$dir/whole.mp4"
took=$(((${EPOCHREALTIME/[.,]/} - began) / 1000))
kills=6
[ $long = no ] || kills=200
for ((n = 0; n < kills; n++)); do
  signal=INT
  [ $((n % 2)) = 0 ] || signal=KILL
  ran "ended by SIG$signal" ended $signal $((RANDOM % took))
done
[ $long = no ] || echo "ended at random in the $took ms that a job takes: $kills times"

# NVIDIA: the simulated driver as the system's libraries. One of them holds it all, and the others hand calls on to it, since
# copies would be drivers of their own. What its codecs do was recorded by the simulation of this machine, on the same clips.
sim=${CARGO_TARGET_DIR:-target}/debug/libnvsim.so
simulated() { # simulated NATIVE|WINDOWS CHIP SETTINGS ARGS...
  local where=$1 canned="canned.replay=true;canned.folder='$dir/recorded'"
  export NVSIM_PROFILE=$2 NVSIM_SET="$canned;$3" NVSIM_REPORT=$dir/$1.json NVSIM_QUIET=1
  shift 3
  rm -f "$NVSIM_REPORT"
  if [ "$where" = native ]; then LD_LIBRARY_PATH=$dir/driver "$native" "$@"; else there "$program" "$@"; fi
}
clean() { # clean LIST...: no rule of the driver was broken, and whatever else is asked
  local list
  for list in violations internal_errors "$@"; do
    grep -q "\"$list\": \[\]" "$dir/windows.json" || { cat "$dir/windows.json"; return 1; }
  done
}
decodes_on_nvdec() { # decodes_on_nvdec MD5 FORMAT FILE
  local job=(decode "$3" --md5 --quiet --backend nvidia --pix-fmt "$2")
  simulated native h200 "" "${job[@]}" >/dev/null && [ "$(simulated windows h200 "" "${job[@]}" | md5_of)" = "$1" ] && clean
}
encodes_on_nvenc() { # encodes_on_nvenc CODEC
  local job=(encode "$dir/300.y4m" --codec "$1" --bitrate 1M --bframes 2 --backend nvidia --quiet --overwrite)
  simulated native ada "" "${job[@]}" "$dir/native.mp4" && simulated windows ada "" "${job[@]}" "$dir/windows.mp4" &&
    cmp "$dir/native.mp4" "$dir/windows.mp4" && clean &&
    [ "$(ffprobe -v error -count_packets -select_streams v -show_entries stream=nb_read_packets -of csv=p=0 "$dir/windows.mp4")" = 300 ]
}
# The command leaves its sessions to the system when it ends; an example of the library closes them.
leaves_nothing() { # leaves_nothing EXAMPLE ARGS...
  local native=${CARGO_TARGET_DIR:-target}/debug/examples/$1 program=$built/examples/$1.exe
  [ -x "$native" ] || { echo "SKIPPED: $native is not built" >&3; return 0; }
  simulated native ada "" "${@:2}" && simulated windows ada "" "${@:2}" && clean leaks
}
same_refusal() { # same_refusal CHIP SETTINGS WORDS ARGS...
  local where
  for where in native windows; do
    ! simulated "$where" "$1" "$2" "${@:4}" 2>"$dir/$where.said" || return 1
  done
  grep -q "$3" "$dir/windows.said" || { cat "$dir/windows.said"; return 1; }
  diff "$dir/windows.said" <(sed 's/libnvidia-encode.so.1/nvEncodeAPI64.dll/; s/libnvcuvid.so.1/nvcuvid.dll/; s/libcuda.so.1/nvcuda.dll/' "$dir/native.said")
}
if [ -x "$native" ] && [ -e "$sim" ]; then
  mkdir -p "$dir/driver"
  for name in libcuda.so.1 libnvcuvid.so.1 libnvidia-encode.so.1 libnvidia-ml.so.1; do ln -s "$(realpath "$sim")" "$dir/driver/$name"; done
  cp "$built/nvsim.dll" "$system/nvcuda.dll"
  { echo EXPORTS; nm -D --defined-only "$sim" | awk '$3 ~ /^(cu|nv|Nv)/ { print $3 "=nvcuda." $3 }'; } >"$libraries/forward.def"
  for name in nvcuvid nvEncodeAPI64 nvml; do "$cc" -shared -o "$system/$name.dll" "$libraries/forward.def"; done
  ffmpeg -v error -y -f lavfi -i testsrc2=size=160x96:rate=30:duration=10 -pix_fmt yuv420p "$dir/300.y4m"
  while read -r md5 _ format name; do
    case $name in small.h26?|small-10bit.h265|small-vp9.ivf) ran "decode $name on NVDEC (simulated)" decodes_on_nvdec "$md5" "$format" "clips/$name" ;; esac
  done <clips/md5s.txt
  for codec in h264 hevc; do ran "encode 300 frames with B frames on NVENC (simulated), $codec" encodes_on_nvenc $codec; done
  ran "300 frames with B frames on NVENC (simulated): nothing is left behind" leaves_nothing encode_session --backend nvidia --size 160x96 --b-frames 2
  ran "from NVDEC to NVENC (simulated): nothing is left behind" leaves_nothing transcode_gpu clips/bars.mp4 "$dir/gpu.mp4" --only-gpu
  ran "a driver that is too old" same_refusal ada 'driver.nvenc="8.0"' 'Update the NVIDIA driver' encode "$dir/300.y4m" "$dir/old.mp4" --backend nvidia
  ran "a driver that does not start" same_refusal ada driver.init_code=803 'nvidia' decode clips/small.h264 --null --backend nvidia
  rm -f "$system"/{nvcuda,nvcuvid,nvEncodeAPI64,nvml}.dll
else
  echo "SKIPPED: $native or $sim is not built, which records what the simulated NVIDIA driver for Windows answers"
fi

# Intel: the simulated runtime, in a driver's folder that the registry names. Its codecs, too, answer what was recorded here.
vpl=${CARGO_TARGET_DIR:-target}/debug/libsimulated_onevpl.so
adapter='HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}\0000'
on_vpl() { # on_vpl NATIVE|WINDOWS ARGS...
  local where=$1
  shift
  export VPLSIM_PROFILE=tigerlake VPLSIM_SET="recordings=$dir/recorded-vpl" VPLSIM_REPORT=$dir/$where.json VPLSIM_QUIET=1
  rm -f "$VPLSIM_REPORT"
  if [ "$where" = native ]; then VPLSIM_LIB=$vpl sims/vpl/run "$native" "$@"; else there "$program" "$@"; fi
}
decodes_by_vpl() { # decodes_by_vpl MD5 FORMAT FILE
  local job=(decode "$3" --md5 --quiet --backend qsv --pix-fmt "$2")
  on_vpl native "${job[@]}" >/dev/null && [ "$(on_vpl windows "${job[@]}" | md5_of)" = "$1" ] && clean
}
encodes_by_vpl() { # encodes_by_vpl CODEC B_FRAMES
  local job=(encode "$dir/300.y4m" --codec "$1" --bitrate 1M --bframes "$2" --backend qsv --quiet --overwrite)
  on_vpl native "${job[@]}" "$dir/native.mp4" && on_vpl windows "${job[@]}" "$dir/windows.mp4" &&
    cmp "$dir/native.mp4" "$dir/windows.mp4" && clean &&
    [ "$(ffprobe -v error -count_packets -select_streams v -show_entries stream=nb_read_packets -of csv=p=0 "$dir/windows.mp4")" = 300 ]
}
leaves_nothing_in_vpl() {
  local native=${CARGO_TARGET_DIR:-target}/debug/examples/encode_session program=$built/examples/encode_session.exe
  [ -x "$native" ] || { echo "SKIPPED: $native is not built" >&3; return 0; }
  on_vpl native --backend qsv --size 160x96 --b-frames 2 && on_vpl windows --backend qsv --size 160x96 --b-frames 2 && clean leaks
}
if [ -x "$native" ] && [ -e "$vpl" ]; then
  ran "no runtime of Intel's" refuses 3 'libmfx64-gen.dll.*Install the graphics driver' decode clips/small.h264 --null --backend qsv
  mkdir -p "$dir/intel"
  cp "$built/simulated_onevpl.dll" "$dir/intel/libmfx64-gen.dll"
  there reg add "$adapter" /v DriverStorePathForVPL /t REG_SZ /d "Z:${dir//\//\\}\\intel" /f >/dev/null
  [ -e "$dir/300.y4m" ] || ffmpeg -v error -y -f lavfi -i testsrc2=size=160x96:rate=30:duration=10 -pix_fmt yuv420p "$dir/300.y4m"
  while read -r md5 _ format name; do
    case $name in small.h26?|small-10bit.h265|small-vp9.ivf) ran "decode $name by oneVPL (simulated)" decodes_by_vpl "$md5" "$format" "clips/$name" ;; esac
  done <clips/md5s.txt
  ran "encode 300 frames with B frames by oneVPL (simulated), h264" encodes_by_vpl h264 2
  ran "encode 300 frames with B frames by oneVPL (simulated), hevc" encodes_by_vpl hevc 2
  ran "300 frames with B frames by oneVPL (simulated): nothing is left behind" leaves_nothing_in_vpl
  there reg delete "$adapter" /v DriverStorePathForVPL /f >/dev/null
else
  echo "SKIPPED: $native or $vpl is not built, which records what the simulated runtime of Intel's for Windows answers"
fi
echo "command: $((count - failed)) passed, $failed failed"
[ ${#tests[@]} != 0 ] || exit "$((failed != 0))"

if [ $long = yes ]; then
  run_suite
else
  limit=(timeout -k 5 1800)
  export PROPTEST_CASES=${PROPTEST_CASES:-16}
  # What takes minutes where nothing is optimised, and is no other on Windows.
  skipped=(--skip av1_damage --skip split::the_streams_of_several_groups --skip split::the_clips_of_the_project --skip split::whatever_its_consumer)
  while IFS=$'\t' read -r folder kind name test; do
    counted "$folder" "$kind" "$name" "$test" "${skipped[@]}"
  done <<<"$suite"
fi
# The declarations for NVIDIA's libraries, held against NVIDIA's headers by the compiler for Windows.
right() { "$cc" -w -fsyntax-only -I "$layouts/include" "$layouts/$1.c"; }
right right || { failed=$((failed + 1)); echo "FAILED: NVIDIA's structures"; }
[ $long = no ] || scripts/nvidia-layouts.sh "$layouts" "$cc" || { failed=$((failed + 1)); echo "FAILED: NVIDIA's structures of other versions"; }
! right wrong 2>/dev/null || { failed=$((failed + 1)); echo "FAILED: a planted mistake in NVIDIA's structures is not found"; }
[ "$failed" = 0 ]
