#!/bin/sh
# Makes every file in this folder: the headers of a sequence of each kind that a machine may lack, and no picture. Needs ffmpeg with
# libx265. The results are committed and built into the library; run this only to change them.
set -eu
cd "$(dirname "$0")"
make() { # make NAME ENCODER'S OPTIONS
  name=$1; shift
  ffmpeg -hide_banner -loglevel error -y -f lavfi -i color=black:size=192x160:rate=25 -frames:v 1 "$@" "$name.bin"
}
for format in yuv420p10le yuv422p yuv422p10le yuv444p yuv444p10le; do
  make "hevc-$format" -pix_fmt "$format" -c:v libx265 -x265-params log-level=error:info=0 \
    -bsf:v filter_units=pass_types=32-34 -f hevc
done
make mpeg2 -c:v mpeg2video -bitexact -f mpeg2video
make mpeg4 -c:v mpeg4 -bitexact -f m4v
# Up to the first group of pictures, and the first picture.
python3 - <<'PY'
for name, end in (("mpeg2.bin", b"\0\0\1\xb8"), ("mpeg4.bin", b"\0\0\1\xb6")):
    data = open(name, "rb").read()
    data = data[:data.index(end)]
    group = data.find(b"\0\0\1\xb3", 4) if name == "mpeg4.bin" else -1
    open(name, "wb").write(data[:group] if group > 0 else data)
PY
ls -l ./*.bin
