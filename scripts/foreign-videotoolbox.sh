#!/usr/bin/env bash
# FFmpeg's VideoToolbox decoders and encoders on the simulation: a client that others wrote. Fetches Debian's source package of ffmpeg,
# compiles its VideoToolbox code for Linux with the headers in sims/apple/include and the simulated frameworks, and runs it:
#   - decoded pictures have the md5 of those of its software decoders, and were decoded by the simulation,
#   - encoded files have as many frames as went in, of good quality by the installed ffmpeg's judgement,
#   - the simulation's report has no violation, no leak and no error of its own.
# Everything is in target/foreign-videotoolbox (120 MB; the first run compiles for some minutes). Options:
#   --suite SUITE   the ffmpeg of another release of Debian (trixie) than that of the machine
#   --rebuild       fetches and compiles again
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/apt-lists.sh
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}") rebuild=no
while [ $# -gt 0 ]; do
  case "$1" in
    --suite) suite=${2:?}; shift ;;
    --rebuild) rebuild=yes ;;
    *) sed -n '2,10p' "$0" >&2; exit 2 ;;
  esac
  shift
done
work=$target/foreign-videotoolbox/$suite
[ "$rebuild" = no ] || rm -rf "$work"
mkdir -p "$work"

# VTSIM_LIB names one that is built already.
[ -n "${VTSIM_LIB:-}" ] || cargo build --quiet --locked -p vtsim
export VTSIM_LIB=${VTSIM_LIB:-$target/debug/libvtsim.so}
# What is linked with is what `run` shows to programs.
sims/apple/run true
names=$(dirname "$(realpath "$VTSIM_LIB")")/vtsim-frameworks

if ! [ -x "$work/ffmpeg" ]; then
  if ! compgen -G "$work/ffmpeg-*/configure" >/dev/null; then
    (
      apt_lists "$work/apt" deb-src "$suite"
      cd "$work"
      apt-get source -qq --download-only ffmpeg
      tar -xf ffmpeg_*.orig.tar.xz
    )
  fi
  # No frameworks to link with one by one, and no compiler for Objective-C, of which there is nothing here but a file name.
  cat >"$work/cc" <<'CC'
#!/usr/bin/env bash
arguments=()
while [ $# -gt 0 ]; do
  case "$1" in
    -framework) shift ;;
    *.m) arguments+=(-x c "$1" -x none) ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
exec cc "${arguments[@]}"
CC
  chmod +x "$work/cc"
  cd "$work"/ffmpeg-*/
  # The codecs behind the simulation are the installed libavcodec, which must not find this one's functions in the program (exclude-libs).
  # It runs what it links.
  nice "$OLDPWD/sims/apple/run" ./configure --quiet --cc="$work/cc" --objcc="$work/cc" --ld="$work/cc" \
    --extra-cflags="-isystem $OLDPWD/sims/apple/include -Wno-multichar" --optflags=-O1 \
    --extra-ldflags="-L$names -Wl,--exclude-libs,ALL -Wl,--no-as-needed" --extra-libs=-lVideoToolbox \
    --disable-everything --disable-autodetect --disable-x86asm --disable-debug --disable-doc --disable-network \
    --disable-ffprobe --disable-ffplay --disable-avdevice --disable-postproc --enable-pthreads --enable-videotoolbox \
    --enable-hwaccel=h264_videotoolbox,hevc_videotoolbox --enable-encoder=h264_videotoolbox,hevc_videotoolbox,rawvideo \
    --enable-decoder=h264,hevc,rawvideo --enable-parser=h264,hevc --enable-demuxer=mov,h264,hevc,rawvideo \
    --enable-muxer=mp4,h264,hevc,framemd5,null --enable-bsf=h264_mp4toannexb,hevc_mp4toannexb --enable-protocol=file,pipe \
    --enable-filter=scale,format,null
  for wanted in H264_VIDEOTOOLBOX_HWACCEL HEVC_VIDEOTOOLBOX_HWACCEL H264_VIDEOTOOLBOX_ENCODER HEVC_VIDEOTOOLBOX_ENCODER; do
    grep -q "CONFIG_$wanted 1" config_components.h || { echo "ffmpeg's configure leaves $wanted out: see $PWD/ffbuild/config.log" >&2; exit 1; }
  done
  MAKEFLAGS=${MAKEFLAGS:--j$(nproc)} nice make --quiet ffmpeg
  mv ffmpeg "$work/ffmpeg"
  cd "$OLDPWD"
fi

exec python3 scripts/foreign_videotoolbox.py "$work"
