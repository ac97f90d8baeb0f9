#!/bin/sh
# Makes every clip in this folder, and their expected checksums, from generated sources. Needs ffmpeg with
# libx264, libx265, libvpx-vp9 and libaom-av1. The results are committed; run this only to change them.
set -eu
cd "$(dirname "$0")"
ff() { ffmpeg -hide_banner -loglevel error -y "$@"; }
video="testsrc2=size=640x360:rate=30000/1001:duration=4"
audio="sine=frequency=440:beep_factor=4:sample_rate=48000:duration=4"
small="testsrc2=size=178x146:rate=25:duration=2"
bt709="-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv"

# The main job: H.264 High with B pyramid, and AAC.
ff -f lavfi -i "$video" -f lavfi -i "$audio" -pix_fmt yuv420p $bt709 \
   -c:v libx264 -preset medium -crf 26 -bf 3 -g 48 -c:a aac -b:a 64k -map_metadata -1 -fflags +bitexact bars.mp4
# The same pictures at uneven times, a quarter turn, fragmented.
ff -f lavfi -i "$small" -vf "settb=1/90000,setpts='(N+0.37*mod(N,3))/25/TB'" -fps_mode passthrough -enc_time_base 1/90000 -video_track_timescale 90000 \
   -pix_fmt yuv420p -c:v libx264 -preset medium -crf 30 -bf 2 -g 25 -map_metadata -1 -fflags +bitexact vfr.tmp.mp4
ff -display_rotation 90 -i vfr.tmp.mp4 -c copy -map_metadata -1 -fflags +bitexact vfr-rotated.mp4 2>/dev/null ||
  ff -i vfr.tmp.mp4 -c copy -metadata:s:v:0 rotate=90 -fflags +bitexact vfr-rotated.mp4
ff -i vfr.tmp.mp4 -c copy -movflags +frag_keyframe+empty_moov+default_base_moof -map_metadata -1 -fflags +bitexact vfr-fragmented.mp4
rm vfr.tmp.mp4
# Elementary streams and IVF, odd sizes included.
ff -f lavfi -i "$small" -pix_fmt yuv420p -c:v libx264 -preset medium -crf 30 -bf 3 -g 25 -bitexact small.h264
ff -f lavfi -i "testsrc2=size=176x144:rate=25:duration=2" -pix_fmt yuv420p -c:v libx264 -preset medium -crf 30 -x264-params interlaced=1:tff=1 -bitexact interlaced.h264
ff -f lavfi -i "$small" -pix_fmt yuv420p -c:v libx265 -preset fast -crf 32 -x265-params log-level=error:info=0 -bitexact small.h265
ff -f lavfi -i "$small" -pix_fmt yuv420p10le -c:v libx265 -preset fast -crf 32 -x265-params log-level=error:info=0 -bitexact small-10bit.h265
ff -f lavfi -i "$small" -pix_fmt yuv420p -c:v libvpx-vp9 -b:v 0 -crf 45 -bitexact small-vp9.ivf
ff -f lavfi -i "$small" -pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -b:v 0 -crf 50 -bitexact small-av1.ivf

# md5 of all decoded frames as one byte stream in the native pixel format, frame count, pixel format, file.
: > md5s.txt
for f in *.mp4 *.h264 *.h265 *.ivf; do
  fmt=$(ffprobe -v error -select_streams v:0 -show_entries stream=pix_fmt -of csv=p=0 "$f" | cut -d, -f1)
  n=$(ffprobe -v error -select_streams v:0 -count_frames -show_entries stream=nb_read_frames -of csv=p=0 "$f" | cut -d, -f1)
  md5=$(ffmpeg -v error -noautorotate -i "$f" -map 0:v:0 -fps_mode passthrough -enc_time_base 1/90000 -pix_fmt "$fmt" -f rawvideo - | md5sum | cut -d' ' -f1)
  echo "$md5 $n $fmt $f" >> md5s.txt
done
