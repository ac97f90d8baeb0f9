#!/bin/sh
# Makes the clips of this folder: pictures whose shown part is not all of the coded one, and kinds that not every decoder
# takes. A few small pictures each. The results are committed; run this only to change them.
set -eu
cd "$(dirname "$0")"
ff() { ffmpeg -hide_banner -loglevel error -y "$@"; }
noise="noise=alls=9:allf=t:all_seed=7"
odd="testsrc2=s=192x160:r=25:d=0.12,$noise,scale=175:143"
vpx="-auto-alt-ref 0 -bitexact"
x265="-c:v libx265 -x265-params log-level=none:info=0 -crf 32"

# Cut on all four sides, unevenly.
ff -f lavfi -i "testsrc2=s=96x80:r=25:d=0.2,$noise" -pix_fmt yuv420p -c:v libx264 -crf 30 -preset fast \
   -bsf:v h264_metadata=crop_left=10:crop_right=6:crop_top=14:crop_bottom=8 -bitexact crop.h264
square="testsrc2=s=160x160:r=25:d=0.2,$noise"
ff -f lavfi -i "$square" -pix_fmt yuv420p $x265 \
   -bsf:v hevc_metadata=crop_left=12:crop_right=4:crop_top=20:crop_bottom=8 -bitexact crop.h265
ff -f lavfi -i "$square" -pix_fmt yuv444p $x265 \
   -bsf:v hevc_metadata=crop_left=3:crop_right=2:crop_top=5:crop_bottom=2 -bitexact crop444.h265
# Odd sizes.
ff -f lavfi -i "$odd" -pix_fmt yuv420p -c:v libvpx -b:v 60k $vpx odd-vp8.ivf
ff -f lavfi -i "$odd" -pix_fmt yuv420p -c:v libvpx-vp9 -b:v 60k $vpx odd-vp9.ivf
ff -f lavfi -i "testsrc2=s=192x160:r=25:d=0.12,scale=337:209" -pix_fmt yuv420p -c:v libvpx -b:v 60k $vpx odd-large-vp8.ivf
ff -f lavfi -i "color=red:s=16x16:r=25:d=0.12" -vf scale=1:1 -pix_fmt yuv420p -c:v libvpx -b:v 60k $vpx one-vp8.ivf
# Chroma that no NVIDIA chip decodes of VP9.
for chroma in 422 444; do
  ff -f lavfi -i "testsrc2=s=144x144:r=25:d=0.12" -pix_fmt yuv${chroma}p -c:v libvpx-vp9 -b:v 60k $vpx "vp9-$chroma.ivf"
done

# md5 of all frames as planar bytes, their number and size. Without the flag ffmpeg moves what is cut at the left to where
# its memory is aligned.
: > md5s.txt
for f in crop.h264 crop.h265 crop444.h265 odd-vp8.ivf odd-large-vp8.ivf odd-vp9.ivf one-vp8.ivf vp9-422.ivf vp9-444.ivf; do
  say() { ffprobe -v error -select_streams v:0 -count_frames -show_entries "stream=$1" -of csv=p=0:s=x "$f"; }
  md5=$(ffmpeg -v error -flags unaligned -i "$f" -fps_mode passthrough -f rawvideo - | md5sum | cut -d' ' -f1)
  echo "$md5 $(say nb_read_frames) $(say width,height) $f" >> md5s.txt
done
