#!/bin/sh
# Makes every stream in this folder: one key picture of each codec, from a generated source. Needs ffmpeg with libx264,
# libx265, libaom, libvpx. The results are committed and built into the library; run this only to change them.
#
# 192x160 is a legal size for every decoder that is known (NVDEC asks for 144 lines of HEVC), and the picture is easy to
# recognise: the left half has a luma of 60, the right half one of 180 (limited range; a JPEG has 51 and 191).
set -eu
cd "$(dirname "$0")"
picture="color=black:size=192x160:rate=25,format=yuv420p,geq=lum='if(lt(X,96),60,180)':cb=128:cr=128"
ff() {
  codec=$1; shift
  ffmpeg -hide_banner -loglevel error -y -f lavfi -i "$picture" -frames:v 1 "$@" "$codec.bin"
}
# The encoders' own remarks (which settings, which version) are left out: they are longer than the picture.
ff h264 -c:v libx264 -profile:v main -qp 30 -bsf:v filter_units=remove_types=6 -f h264
ff hevc -c:v libx265 -qp 30 -x265-params log-level=error:info=0 -bsf:v filter_units=remove_types=39 -f hevc
ff av1 -c:v libaom-av1 -cpu-used 8 -crf 40 -b:v 0 -bitexact -f obu
ff vp9 -c:v libvpx-vp9 -crf 40 -b:v 0 -bitexact -f rawvideo
ff vp8 -c:v libvpx -crf 40 -b:v 100k -bitexact -f rawvideo
ff mpeg2video -c:v mpeg2video -qscale:v 8 -bitexact -f mpeg2video
ff mpeg4 -c:v mpeg4 -qscale:v 8 -bitexact -f m4v
ff mjpeg -vf scale=out_range=pc,format=yuvj420p -c:v mjpeg -qscale:v 8 -bitexact -f mjpeg
ls -l *.bin
