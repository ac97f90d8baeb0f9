# Sourced by scripts/windows.sh and scripts/arm.sh: builds for another system with Debian's compilers, and judges what was built.
# The sourcing script sets `target`, and has the function `there PROGRAM ARGS...`, by which something built for it runs here.

native=${VIDEO_HW:-${CARGO_TARGET_DIR:-target}/debug/video-hw}
built=$(realpath -m "${CARGO_TARGET_DIR:-target}/$target/debug")
program=$built/video-hw
[ "${1:-}" = run ] && asked=yes || asked=no
# Standard input and output are those of the program that is asked for, and of nothing that has to be done before.
quietly() { "$@" </dev/null >&2; }

# What a machine does not have cannot be judged on it; who asked for the program itself is told that it failed.
skip() { # skip REASON...
  echo "SKIPPED: nothing is built for $target: $*" >&2
  [ $asked = no ] || exit 1
  exit 0
}

need() { # need COMMAND-OR-FILE:PACKAGE...: installed where they are missing
  local pair missing=() sudo=""
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || [ -e "${pair%%:*}" ] || missing+=("${pair##*:}")
  done
  [ ${#missing[@]} != 0 ] || return 0
  command -v apt-get >/dev/null 2>&1 || skip "please install ${missing[*]}"
  [ "$(id -u)" = 0 ] || sudo=sudo
  echo "installing ${missing[*]}" >&2
  # One after the other where several of these scripts run at once: apt-get does not wait for another.
  exec 9<scripts/cross.sh
  flock 9
  $sudo apt-get update -qq &&
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    skip "${missing[*]} cannot be installed"
  exec 9<&-
}

# Of what is built the results are judged, and never the speed. Optimised are the codecs alone that work most when it runs: what that
# takes is less than it saves, and with others it would be more.
export CARGO_INCREMENTAL=0 CARGO_BUILD_TARGET=$target
cargo=(cargo)
settings=(opt-level=0 debug=false 'package."*".opt-level=0' 'package."*".overflow-checks=false' 'package."*".debug-assertions=false')
for codec in openh264-sys2 rusty_h264-{accel,common,decoder} rusty_h265 rusty_h265-accel rusty_vp9; do settings+=("package.$codec.opt-level=1"); done
for setting in "${settings[@]}"; do cargo+=(--config "profile.dev.$setting"); done
variable=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$target")

with_standard_library() {
  local sysroot
  sysroot=$(scripts/sysroot.sh "$target") || skip "there is no standard library of Rust for it"
  export "${variable}_RUSTFLAGS=--sysroot $sysroot"
}
build() { # build PACKAGE... [-- TARGETS...]
  local packages=()
  with_standard_library
  echo "building for $target"
  while [ $# != 0 ] && [ "$1" != -- ]; do packages+=(--package "$1"); shift; done
  "${cargo[@]}" build --quiet --locked "${packages[@]}" "${@:2}"
}
tests_of() { # tests_of ARGS...: builds tests, and prints of each its folder, its kind, its name and its program
  "${cargo[@]}" test --quiet --locked --no-run --message-format json-render-diagnostics "$@" | sed -n \
    's|.*"manifest_path":"\([^"]*\)/Cargo.toml","target":{"kind":\["\([^"]*\).*"name":"\([^"]*\)".*"profile":{[^}]*"test":true.*"executable":"\([^"]*\)".*|\1\t\2\t\3\t\4|p'
}
whole_suite() { # whole_suite [NAME...]: its programs, or those of these names; the simulated drivers are of this machine
  local name chosen=()
  with_standard_library
  for name in "$@"; do
    case $name in lib) chosen+=(--lib) ;; bins) chosen+=(--bins) ;; *) chosen+=(--test "$name") ;; esac
  done
  [ $# != 0 ] || chosen=(--lib --bins --tests)
  # The examples are programs that `tests/programs` starts.
  [ $# != 0 ] && [[ " $* " != *" programs "* ]] || "${cargo[@]}" build --quiet --locked --all-features --package video-hw --examples
  tests_of --all-features --package video-hw --package video-hw-cli --package video-hw-bench --package video-hw-terminal "${chosen[@]}"
}

failed=0
count=0
ran() { # ran NAME COMMAND...
  local name=$1
  shift
  count=$((count + 1))
  "$@" >"$dir/log" 2>&1 || { failed=$((failed + 1)); echo "FAILED: $name"; cat "$dir/log"; }
}
# One line of a test program: what passed, what failed, what is left out by itself; then what was said to be skipped, and how often.
counted() { # counted FOLDER KIND NAME PROGRAM ARGS...
  local name=$3 code=0 result
  [ "$2" = test ] || name="$3 ($2)"
  (cd "$1" && there "${@:4}") >"$dir/log" 2>&1 </dev/null || code=$?
  tally() { grep -acE "^test .*\.\.\. $1" "$dir/log" || true; }
  result=$(sed -n 's/^test result: [a-zA-Z]*\. \(.* ignored\);.*/\1/p' "$dir/log" | tail -n 1)
  # One that did not come to its end has said it of each that did.
  [ -n "$result" ] || result="$(tally ok) passed; $(tally FAILED) failed, $(sed -n 's/^running \([0-9]*\) test.*/\1/p;T;q' "$dir/log") in all: exit code $code, limit ${limit[*]: -1} s"
  echo "$name: $result"
  { grep -ao 'SKIPPED: .*' "$dir/log" || true; } | sed 's/\r$//; s/SKIPPED: .*ff\(mpeg\|probe\).*/SKIPPED: no ffmpeg or ffprobe/' | sort | uniq -c
  [ $code = 0 ] && return
  failed=$((failed + 1))
  grep -aE '^test .* FAILED$' "$dir/log" || true
  sed -n '/^failures:/,$p' "$dir/log"
}
md5_of() { grep -o '^[0-9a-f]\{32\}'; }
decodes() { # decodes MD5 FILE
  [ "$(there "$program" decode "$2" --md5 --quiet --backend software | md5_of)" = "$1" ]
}
decodes_clips() {
  local md5 name
  while read -r md5 _ _ name; do
    ran "decode $name" decodes "$md5" "clips/$name"
  done <clips/md5s.txt
}
first=(transcode clips/bars.mp4 --bitrate 2M --overwrite --quiet)
same_as_native() { # the same file is the same frames
  # Where ffmpeg is found its encoders are taken, and those differ with the machine.
  PATH=/nonexistent "$native" "${first[@]}" "$dir/native.mp4" && without_ffmpeg "$program" "${first[@]}" "$dir/theirs.mp4" &&
    cmp "$dir/native.mp4" "$dir/theirs.mp4"
}
first_command() {
  if [ -x "$native" ]; then
    ran "the README's first command: the same file as by the native build" same_as_native
  else
    echo "SKIPPED: $native is not built, so that there is nothing to compare the README's first command with"
  fi
}
by_script() { # by_script SCRIPT: in the caller's folder with names of it, and through pipes
  local folder="$dir/another folder é" script=$PWD/$1
  mkdir -p "$folder" && cp clips/small.h264 "$folder/a b.h264" &&
    (cd "$folder" && bash "$script" run decode 'a b.h264' '../another folder é/o ü.y4m' --quiet &&
      bash "$script" run decode - - --format y4m --quiet <'a b.h264' | cmp - 'o ü.y4m')
}
reader_goes_away() {
  { there "$program" decode clips/bars.mp4 - --format y4m --quiet; echo $? >"$dir/code"; } | head -c 100 >"$dir/first"
  [ "$(cat "$dir/code")" = 141 ]
}
