#!/usr/bin/env bash
# Makes the streams of this folder, one feature or more each, and NAME.md5 with the MD5 of each of their frames as ffmpeg
# decodes them (planar samples, in the order in which they are shown). Needs ffmpeg with libx264, libx265, libvpx, libaom and
# SVT-AV1, vpxenc and python3. The results are committed; run this only to change them.
set -euo pipefail
cd "$(dirname "$0")"
rm -f ./*.h264 ./*.h265 ./*.ivf ./*.md5

tiny="testsrc2=s=64x64:r=25"
film="testsrc2=s=192x144:r=25,noise=alls=4:allf=t:all_seed=7"
odd="testsrc2=s=178x146:r=25,fade=in:0:10"
noise="color=gray:s=48x48:r=25,geq=lum='random(1)*255':cb='random(2)*255':cr='random(3)*255'"

encode() { # encode FILE FRAMES SOURCE OPTIONS...
  ffmpeg -nostdin -v error -y -f lavfi -i "$3,format=yuv420p" -frames:v "$2" "${@:4}" -threads 1 -bitexact "$1"
}
x264() { # x264 NAME FRAMES SOURCE PARAMETERS [OPTIONS...]
  encode "$1.h264" "$2" "$3" -c:v libx264 -preset veryfast "${@:5}" -x264-params "threads=1:$4"
}
x265() { # x265 NAME FRAMES SOURCE PARAMETERS
  encode "$1-hevc.h265" "$2" "$3" -c:v libx265 -preset veryfast -x265-params "log-level=none:info=0:pools=1:frame-threads=1:$4"
}
# Field pictures, which x264 does not make, of seeds that the vector code of ffmpeg decodes as its C code does: the simulations use that.
syntax() { # syntax NAME SEED OPTIONS
  python3 ../../../scripts/differential_syntax.py "${@:2}" >"$1.h264"
}

# A few pictures: one of each kind.
x264 i 1 "$tiny" crf=30 -profile:v baseline
x264 ip 2 "$tiny" crf=30 -profile:v baseline
x264 ipbp 4 "$tiny" crf=30:bframes=1:b-adapt=0:8x8dct=0 -profile:v main
x264 ipbp-high 4 "$tiny" crf=30:bframes=1:b-adapt=0:8x8dct=1
x265 i 1 "$tiny" crf=30
x265 ip 2 "$tiny" crf=30:bframes=0
x265 ipbp 4 "$tiny" crf=30:bframes=1:b-adapt=0

# Several groups of pictures.
groups="keyint=25:min-keyint=25:scenecut=0"
x264 groups 100 "$film" "crf=40:bframes=3:b-pyramid=normal:ref=4:$groups" -profile:v main
x264 mbaff 60 "$film" "crf=40:bframes=2:tff=1:keyint=20:min-keyint=20:scenecut=0"
x265 groups 100 "$film" "crf=42:bframes=3:open-gop=0:$groups"
x265 open-groups 60 "$film" "crf=42:bframes=3:open-gop=1:keyint=15:min-keyint=15:scenecut=0"
encode groups-vp8.ivf 100 "$film" -c:v libvpx -g 25 -b:v 60k -auto-alt-ref 1 -lag-in-frames 12
encode groups-vp9.ivf 100 "$film" -c:v libvpx-vp9 -g 25 -b:v 0 -crf 55 -auto-alt-ref 1 -lag-in-frames 12 -cpu-used 4
encode groups-av1.ivf 60 "$film" -c:v libaom-av1 -g 20 -b:v 0 -crf 55 -cpu-used 8
encode svt-av1.ivf 40 "$film" -c:v libsvtav1 -preset 10 -crf 58 -g 20 -svtav1-params lp=1

# H.264, by feature.
x264 slices-cavlc 20 "$film" crf=32:slice-max-size=400 -profile:v baseline
x264 slices-cabac 20 "$film" crf=34:slices=4:ref=3:bframes=0 -profile:v main
x264 references 30 "$film" crf=36:ref=12:bframes=5:b-pyramid=normal:mixed-refs=1:weightp=2:weightb=1 -preset medium
x264 quantisers 12 "$film" crf=30:aq-mode=2:aq-strength=2:no-deblock=1:cabac=0 -profile:v baseline
x264 idr 20 "$tiny" crf=36:keyint=4:min-keyint=1:bframes=0:repeat-headers=1:aud=1 -profile:v baseline
x264 intra-refresh 30 "$film" crf=36:intra-refresh=1:keyint=10 -profile:v baseline
x264 temporal-direct 20 "$odd" crf=36:bframes=3:direct=temporal:cabac=0:b-adapt=0
x264 matrices 12 "$odd" crf=30:cqm=jvt:8x8dct=1:deblock=3,3
x264 weights 20 "$odd" crf=36:weightp=2:bframes=2:constrained-intra=1
x264 described 8 "$tiny" crf=36:sar=2/1:overscan=show:nal-hrd=vbr:vbv-maxrate=400:vbv-bufsize=400:pic-struct=1 -profile:v main
x264 raw-macroblocks-cavlc 2 "$noise" qp=8:bframes=0:cabac=0:deblock=6,6 -preset medium -tune psnr
x264 raw-macroblocks-cabac 2 "$noise" qp=8:bframes=0:deblock=6,6 -preset medium -tune psnr
x264 rows-1088 2 "color=navy:s=1920x1080:r=25,drawgrid=w=97:h=61:color=white" crf=45:slices=8:bframes=0 -profile:v baseline
syntax fields 3 structure=fields frames=12 idr_period=4 references=3 width=6 height=6 idr_second=P transform8=1 deblock=0
syntax fields-and-frames 4 structure=mixed frames=16 references=3 b=1 width=5 height=4 slice=0 deblock=0
syntax unreferenced 6 structure=frames frames=12 unreferenced=1 poc_type=0 b=0 modify=1 references=4 deblock=0

# HEVC, by feature. ffmpeg 5.1 is not exact for slices of coding tree units of 16 samples: the hashes in the stream say so.
x265 slices 12 "testsrc2=s=192x160:r=25" crf=38:slices=3:wpp=1:ctu=32:bframes=2
x265 lists 12 "$odd" crf=34:scaling-list=default:bframes=4:weightp=1:weightb=1:tskip=1:rect=1:amp=1
x265 layers 16 "$film" crf=40:temporal-layers=1:bframes=3:repeat-headers=1:aud=1:hrd=1:vbv-maxrate=400:vbv-bufsize=400
x265 rows-1088 2 "color=navy:s=1920x1080:r=25,drawgrid=w=97:h=61:color=white" crf=45:bframes=0

# VP9 whose pictures are shown again: in libvpx the alternative references of several layers are.
ffmpeg -nostdin -v error -f lavfi -i "$film,format=yuv420p" -frames:v 60 -f yuv4mpegpipe - |
  vpxenc --quiet --codec=vp9 --ivf --passes=2 --good --cpu-used=3 --threads=1 --auto-alt-ref=6 --lag-in-frames=25 --end-usage=q --cq-level=50 \
    --fpf=passes.tmp --pass=1 -o /dev/null -
ffmpeg -nostdin -v error -f lavfi -i "$film,format=yuv420p" -frames:v 60 -f yuv4mpegpipe - |
  vpxenc --quiet --codec=vp9 --ivf --passes=2 --good --cpu-used=3 --threads=1 --auto-alt-ref=6 --lag-in-frames=25 --end-usage=q --cq-level=50 \
    --fpf=passes.tmp --pass=2 -o shown-again-vp9.ivf -
rm passes.tmp
# VP9 that changes its size at key frames, five times.
n=0
for size in 176x144 128x128 198x162 144x136 176x144; do
  encode "part-$n.ivf" 12 "testsrc2=s=$size:r=25" -c:v libvpx-vp9 -b:v 0 -crf 55 -cpu-used 5
  n=$((n + 1))
done
python3 - part-{0..4}.ivf <<'PYTHON' >sizes-vp9.ivf
import sys

parts = [open(path, "rb").read() for path in sys.argv[1:]]
frames = []
for part in parts:
    at = 32
    while at < len(part):
        size = int.from_bytes(part[at : at + 4], "little")
        frames.append(part[at + 12 : at + 12 + size])
        at += 12 + size
out = parts[0][:24] + len(frames).to_bytes(4, "little") + bytes(4)
for time, frame in enumerate(frames):
    out += len(frame).to_bytes(4, "little") + time.to_bytes(8, "little") + frame
sys.stdout.buffer.write(out)
PYTHON
rm part-?.ivf

# The C code of ffmpeg is the exact one.
for file in *.h264 *.h265 *.ivf; do
  ffmpeg -nostdin -v error -cpuflags 0 -i "$file" -map 0:v:0 -fps_mode passthrough -autoscale 0 -f framemd5 - |
    sed -n 's/^[0-9].* //p' >"${file%.*}.md5"
done
