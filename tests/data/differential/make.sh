#!/usr/bin/env bash
# Makes the clips of this folder, and the MD5 of each of their frames as ffmpeg decodes them. Needs ffmpeg with libx264
# and libx265.
set -euo pipefail
cd "$(dirname "$0")"

pattern="testsrc2=s=352x288:r=25,noise=alls=30:allf=t:all_seed=7"
# x264 weighs the pictures of these with offsets.
cells="life=s=176x144:r=25:seed=1963834:mold=10:life_color=#C83232:death_color=#00FF80:mold_color=#1020A0,scale=352:288"

x264() { # x264 NAME CONTENT FORMAT SIZE FRAMES OPTIONS [PRESET]
  local name=$1 source="$2,format=$3,crop=w=${4%x*}:h=${4#*x}:exact=1"
  shift
  ffmpeg -nostdin -v error -y -f lavfi -i "$source" -frames:v "$4" -c:v libx264 -preset "${6:-medium}" -threads 1 -x264-params "$5" "$name.h264"
  judge "$name.h264"
}

syntax() { # syntax NAME SEED OPTIONS: streams that no encoder makes
  python3 ../../../scripts/differential_syntax.py "${@:2}" >"$1.h264"
  judge "$1.h264"
}

judge() { # judge FILE; the C code of ffmpeg is the exact one
  ffmpeg -nostdin -v error -cpuflags 0 -i "$1" -fps_mode passthrough -autoscale 0 -f framemd5 - |
    sed -n 's/^[0-9].* //p' >"${1%.*}.md5"
}

refused() { # refused NAME FRAMES FEATURE: after so many frames
  sed -i "$(($2 + 1)),\$d" "$1.md5"
  echo "refused $3" >>"$1.md5"
}

x264 corner-cabac "$pattern" yuv420p 80x64 4 crf=26:slice-max-mbs=7:8x8dct=1
x264 corner-cavlc "$pattern" yuv420p 80x64 4 crf=26:slice-max-mbs=7:8x8dct=1:cabac=0:bframes=2
x264 corner-size "$pattern" yuv420p 80x96 3 crf=24:slice-max-size=700:bframes=0
x264 deep-weights-cabac "$cells" yuv420p10le 38x60 4 crf=26:keyint=12:bframes=0
x264 deep-weights-cavlc "$cells" yuv422p10le 38x60 4 crf=26:cabac=0:bframes=2
x264 each-slice-filtered "$pattern" yuv420p 96x128 3 crf=34:slices=3:sliced-threads=1:threads=3:bframes=0
x264 each-slice-filtered-corner "$pattern" yuv420p 96x128 2 crf=26:slice-max-size=700:sliced-threads=1:threads=2:bframes=0:rc-lookahead=0
x264 each-slice-filtered-deep "$pattern" yuv420p10le 96x128 2 crf=36:slices=3:sliced-threads=1:threads=3
refused each-slice-filtered-deep 0 "H.264 slices that are filtered each by itself, with B slices or beyond 8-bit 4:2:0 frames"
x264 matrices-444 "$pattern" yuv444p 16x16 1 cqm8=11,50,55,12,30,40,42,27,31,5,35,54,50,27,9,20,26,17,55,4,60,54,9,22,24,14,6,16,9,32,32,27,37,40,19,52,44,40,25,54,46,56,43,7,14,40,11,16,52,54,25,33,14,34,12,32,19,28,19,31,10,21,49,10
refused matrices-444 0 "H.264 scaling matrices of 4:4:4 pictures in this form"
x264 interlaced-444 "testsrc2=s=352x288:r=25,noise=alls=6:allf=t:all_seed=11629527" yuv444p 15x24 1 cqm=jvt:crf=45:bff=1:deblock=6,1:8x8dct=0 ultrafast
refused interlaced-444 0 "H.264 interlaced 4:4:4 under an active loop filter"
syntax fields-idr-then-p 2 structure=fields idr_second=P transform8=1 idr_period=3 frames=6 references=2 slice=0 deblock=0
syntax frames-counted-by-cycle 16545102 references=2 idr_period=0 frames=6
syntax fields-slices 2 structure=fields idr_second=P transform8=1 idr_period=3 frames=6 references=3 slice=3 width=5 height=6 deblock=0 modify=1
syntax fields-and-frames 3 structure=mixed idr_second=P transform8=1 frames=8 references=3 b=1 deblock=0
syntax fields-each-slice-filtered 4 structure=fields width=5 height=6 slice=7 deblock=2
refused fields-each-slice-filtered 0 "H.264 slices that are filtered each by itself, with B slices or beyond 8-bit 4:2:0 frames"

ffmpeg -nostdin -v error -y -f lavfi -i "$pattern,format=yuv420p,crop=w=96:h=96:exact=1" -frames:v 3 -c:v libx265 -threads 1 \
  -x265-params log-level=none:crf=36:bframes=0:constrained-intra=1:pools=1:frame-threads=1 constrained.hevc
judge constrained.hevc
refused constrained 1 "HEVC constrained intra prediction in inter pictures"
