#!/usr/bin/env bash
# Foreign clients on the simulated oneVPL runtime (sims/vpl), by way of the dispatchers of Debian:
#   - sample_decode, sample_encode and sample_multi_transcode of onevpl-tools, in system memory and in VA surfaces,
#   - the qsv decoders and encoders of the installed ffmpeg, and of that of another release of Debian, which is unpacked and not installed
#     (trixie's 7.1 goes through libvpl; 5.1 of bookworm goes through Media SDK's dispatcher).
# Decoded pictures have the md5 of those of ffmpeg's software decoders, encoded files as many frames as went in, without an error by
# the installed ffmpeg's judgement, and the simulation's report has no violation, no leak and no error of its own.
# What is fetched is in target/foreign-vpl (600 MB unpacked). Options:
#   --suite SUITE   the other release (default: trixie); none: only what is installed
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/apt-lists.sh
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
suite=trixie
while [ $# -gt 0 ]; do
  case "$1" in
    --suite) suite=${2:?}; shift ;;
    *) sed -n '2,10p' "$0" >&2; exit 2 ;;
  esac
  shift
done
for file in /usr/bin/sample_decode /usr/include/va/va.h /usr/include/libdrm/drm.h; do
  [ -e "$file" ] || { echo "please install libvpl2 onevpl-tools libva-dev libdrm-dev" >&2; exit 1; }
done
# VPLSIM_LIB names one that is built already.
[ -n "${VPLSIM_LIB:-}" ] || cargo build --quiet --locked -p vplsim
export VPLSIM_LIB=${VPLSIM_LIB:-$target/debug/libsimulated_onevpl.so} VPLSIM_QUIET=1

other=()
if [ "$suite" != none ]; then
  root=$target/foreign-vpl/$suite
  if ! [ -x "$root/usr/bin/ffmpeg" ]; then
    mkdir -p "$root"
    (
      apt_lists "$root/apt" deb "$suite"
      apt-get install -qq -y --download-only --no-install-recommends ffmpeg libvpl2 >/dev/null
      for package in "$root"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
      rm -rf "$root/apt"
    )
  fi
  libraries=$root/usr/lib/$(uname -m)-linux-gnu
  # Its own loader and libraries; the codecs behind the simulation are the installed ones, behind it.
  other=("$(compgen -G "$root/usr/lib*/ld-linux-*.so.*" | head -n 1)" --library-path
    "$libraries:$libraries/blas:$libraries/lapack:$libraries/pulseaudio:/usr/lib/$(uname -m)-linux-gnu" "$root/usr/bin/ffmpeg")
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
run=(timeout -k 5 120 sims/vpl/run --report "$dir/report.json" --gpu)
passed=0 failed=0
case_() { # case_ NAME JUDGE ARGS... -- CLIENT...
  local name=$1 judge=() why=
  shift
  while [ "$1" != -- ]; do judge+=("$1"); shift; done
  shift
  rm -f "$dir"/out.* "$dir/report.json"
  if ! "$@" >"$dir/log" 2>&1; then why="the client fails"
  elif ! why=$("${judge[@]}") || [ -n "$why" ]; then why="${why:-${judge[0]} fails}"
  else why=$(clean)
  fi
  if [ -z "$why" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $name: $why"; tail -n 15 "$dir/log"; fi
}
clean() { # no rule was broken, and nothing was left behind; ffmpeg does not close the session of a device that -hwaccel made
  local list
  [ -s "$dir/report.json" ] || { echo "the simulation was not used"; return; }
  for list in violations internal_errors; do
    grep -q "\"$list\": \[\]" "$dir/report.json" || { echo "$list:"; cat "$dir/report.json"; }
  done
  [ "$(grep -c '"kind"' "$dir/report.json")" -le "${forgiven:-0}" ] || { echo "leaks:"; cat "$dir/report.json"; }
}
md5_is() { # md5_is CLIP: what sample_decode wrote
  local format=nv12
  [[ $1 != ten.* ]] || format=p010le
  local wanted
  wanted=$(ffmpeg -v error -i "$dir/$1" -fps_mode passthrough -pix_fmt $format -f rawvideo - | { if [ $format = nv12 ]; then cat; else low; fi; } | md5sum)
  [ "$(md5sum <"$dir/out.yuv")" = "$wanted" ] || echo "other pictures than ffmpeg's"
}
low() { # sample_decode writes samples of 10 bits at the bottom of their words
  python3 -c 'import array, sys
words = array.array("H", sys.stdin.buffer.read())
sys.stdout.buffer.write(array.array("H", (word >> 6 for word in words)).tobytes())'
}
frames_are() { # frames_are CLIP: of out.md5, what ffmpeg's own decoder makes of the clip
  local format=nv12
  [[ $1 != ten.* ]] || format=p010le
  diff <(grep -v '^#' "$dir/out.md5" | awk '{ print $NF }') \
    <(ffmpeg -v error -i "$dir/$1" -fps_mode passthrough -pix_fmt $format -f framemd5 - | grep -v '^#' | awk '{ print $NF }') >"$dir/diff" || echo "other pictures than ffmpeg's"
}
whole() { # whole FILE CODEC WIDTH COUNT: decodes without a word, with that many frames
  local said
  said=$(ffprobe -v error -count_frames -of csv=p=0 -show_entries stream=codec_name,width,nb_read_frames "$dir/$1" 2>&1)
  [ "$said" = "$2,$3,$4" ] || echo "$said, and not $2,$3,$4"
}

make() { ffmpeg -v error -y -f lavfi -i testsrc2=size=322x178:rate=25:duration=2 "${@:2}" "$dir/$1"; }
make a.h264 -pix_fmt yuv420p -c:v libx264 -bf 2
make a.h265 -pix_fmt yuv420p -c:v libx265 -x265-params log-level=none
make ten.h265 -pix_fmt yuv420p10le -c:v libx265 -x265-params log-level=none
make a.m2v -pix_fmt yuv420p -c:v mpeg2video -bf 2
make vp9.ivf -pix_fmt yuv420p -c:v libvpx-vp9 -cpu-used 8 -deadline realtime
make av1.ivf -pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -usage realtime
ffmpeg -v error -y -i "$dir/a.h264" -pix_fmt nv12 -f rawvideo "$dir/in.nv12"
clips=(h264:a.h264 h265:a.h265 h265:ten.h265 mpeg2:a.m2v vp9:vp9.ivf av1:av1.ivf)

for memory in "" -vaapi; do
  for clip in "${clips[@]}"; do
    case_ "sample_decode $memory ${clip#*:}" md5_is "${clip#*:}" -- \
      "${run[@]}" sample_decode "${clip%:*}" -i "$dir/${clip#*:}" -o "$dir/out.yuv" -hw ${memory:+$memory}
  done
  for job in "h264 -b 500" "h264 -cqp -qpi 20 -qpp 22 -qpb 25 -r 4 -bref" "h264 -la -lad 20 -b 600" "h265 -vbr -b 400" \
    "h265 -icq 28 -r 1 -g 8 -idr_interval 1" "h265 -cqp -qpi 24 -qpp 26 -qpb 30 -u 7"; do
    # shellcheck disable=SC2086
    set -- $job
    name=${1/h265/hevc}
    case_ "sample_encode $memory $job" whole "out.$1" "$name" 322 50 -- \
      "${run[@]}" sample_encode "$1" -i "$dir/in.nv12" -nv12 -w 322 -h 178 -f 25 -o "$dir/out.$1" "${@:2}" -hw ${memory:+$memory}
  done
done
for pair in h264:h265 h265:h264 mpeg2:h264; do
  case ${pair%:*} in h264) from=a.h264 ;; h265) from=a.h265 ;; *) from=a.m2v ;; esac
  to=${pair#*:}
  case_ "sample_multi_transcode $pair" whole "out.$to" "${to/h265/hevc}" 322 50 -- \
    "${run[@]}" sample_multi_transcode "-i::${pair%:*}" "$dir/$from" "-o::$to" "$dir/out.$to" -hw -b 600
  case_ "sample_multi_transcode $pair, scaled" whole "out.$to" "${to/h265/hevc}" 160 50 -- \
    "${run[@]}" sample_multi_transcode "-i::${pair%:*}" "$dir/$from" "-o::$to" "$dir/out.$to" -hw -b 600 -w 160 -h 96
done

# An Arc: Media SDK's dispatcher takes older GPUs to Media SDK's own runtime.
arc=("${run[@]}" --profile arc)
ffmpegs() { # ffmpegs NAME MORE_CLIPS ENCODERS CLIENT...
  local name=$1 encoders=$3 client=("${@:4}" -nostdin -v error -y) pair to
  for pair in h264:a.h264 hevc:a.h265 hevc:ten.h265 mpeg2:a.m2v vp9:vp9.ivf $2; do
    case_ "$name decodes ${pair#*:}" frames_are "${pair#*:}" -- \
      "${client[@]}" -c:v "${pair%:*}_qsv" -i "$dir/${pair#*:}" -fps_mode passthrough -f framemd5 "$dir/out.md5"
  done
  for pair in $encoders; do
    to=${pair#*:}
    case_ "$name encodes ${pair%:*}" whole "$to" "${pair%:*}" 322 50 -- \
      "${client[@]}" -i "$dir/a.h264" -vf format=nv12 -c:v "${pair%:*}_qsv" -b:v 500k "$dir/$to"
  done
}
version() { "$@" -hide_banner -version | head -n 1 | cut -d ' ' -f 3; }
# Its libavcodec is that of the simulation too, and opens no libx265 while it opens another encoder.
if [[ $(ffmpeg -hide_banner -encoders 2>/dev/null) == *h264_qsv* ]]; then
  ffmpegs "ffmpeg $(version ffmpeg)" "av1:av1.ivf" "h264:out.h264" "${arc[@]}" ffmpeg
else
  echo "SKIPPED: the installed ffmpeg has no qsv"
fi
if [ ${#other[@]} != 0 ]; then
  name="ffmpeg $(version "${other[@]}")"
  # No AV1: its libdav1d and that of the simulation's libavcodec have the same functions in other forms.
  ffmpegs "$name" "" "h264:out.h264 hevc:out.h265 vp9:out.ivf av1:out.ivf" "${arc[@]}" "${other[@]}"
  client=("${arc[@]}" "${other[@]}" -nostdin -v error -y)
  case_ "$name uploads pictures" whole out.h264 h264 322 50 -- \
    "${client[@]}" -init_hw_device qsv=hw -i "$dir/a.h264" -vf hwupload=extra_hw_frames=16,format=qsv -c:v h264_qsv -b:v 500k "$dir/out.h264"
  forgiven=1
  hardware=(-extra_hw_frames 40 -hwaccel qsv -hwaccel_output_format qsv -c:v h264_qsv -i "$dir/a.h264" -fps_mode passthrough)
  case_ "$name transcodes in video memory" whole out.h265 hevc 322 50 -- "${client[@]}" "${hardware[@]}" -c:v hevc_qsv -b:v 500k "$dir/out.h265"
  case_ "$name scales in video memory" whole out.h264 h264 160 50 -- \
    "${client[@]}" "${hardware[@]}" -vf vpp_qsv=w=160:h=96 -c:v h264_qsv -b:v 500k "$dir/out.h264"
fi
echo "foreign clients of oneVPL (simulated): $passed passed, $failed failed"
[ "$failed" = 0 ]
