#!/usr/bin/env bash
# Time of PSNR and SSIM of 1080p pictures: `video-hw compare` against ffmpeg's filters on the same pictures, which lie
# uncompressed in memory. What reading alone takes is measured in the same rounds and subtracted. Every round runs every
# command once; medians are printed. Options, with their defaults:
#   --rounds 7  --frames 200  --threads "1 2"  --program target/release/video-hw  --pix-fmt "yuv420p yuv420p10le"
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=7 frames=200 threads="1 2" program=target/release/video-hw formats="yuv420p yuv420p10le"
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) rounds=$2 ;;
    --frames) frames=$2 ;;
    --threads) threads=$2 ;;
    --program) program=$2 ;;
    --pix-fmt) formats=$2 ;;
    *) sed -n '2,6p' "$0"; exit 2 ;;
  esac
  shift 2
done
[ -x "$program" ] || { echo "build it first: cargo build --release -p video-hw-cli" >&2; exit 1; }

dir=$(mktemp -d /dev/shm/bench-compare.XXXXXX)
trap 'rm -rf "$dir"' EXIT
TIMEFORMAT='%R %U %S'

run() { # run NAME COMMAND...: appends "wall cpu" to the file NAME
  local name=$1
  shift
  { time "$@" >/dev/null 2>"$dir/errors"; } 2>"$dir/time" || { cat "$dir/errors" >&2; exit 1; }
  tail -n 1 "$dir/time" | awk '{ print $1, $2 + $3 }' >>"$dir/$name"
}

median() { # median NAME COLUMN
  cut -d' ' -f"$2" "$dir/$1" | sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

size=1920x1080
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //' || true
echo "$(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), $(ffmpeg -version | head -n 1 | cut -d' ' -f1-3), $frames frames of $size, $rounds rounds"
for format in $formats; do
  source="testsrc2=size=$size:rate=25,noise=alls=12:allf=t,format=$format"
  y4m=(-strict -1 -f yuv4mpegpipe)
  ffmpeg -v error -y -f lavfi -i "$source" -frames:v "$frames" "${y4m[@]}" "$dir/ref.y4m"
  ffmpeg -v error -y -i "$dir/ref.y4m" -vf "noise=alls=12:all_seed=7:allf=t,format=$format" "${y4m[@]}" "$dir/dist.y4m"
  for n in $threads; do
    rm -f "$dir"/{ff,ff_read,own,own_read}
    ff=(ffmpeg -v error -threads "$n" -filter_threads "$n" -filter_complex_threads "$n"
      -i "$dir/ref.y4m" -i "$dir/dist.y4m")
    graph='[0:v]split[a][b];[1:v]split[c][d];[a][c]psnr[p];[b][d]ssim[s]'
    for _ in $(seq "$rounds"); do
      run ff "${ff[@]}" -lavfi "$graph" -map '[p]' -f null - -map '[s]' -f null -
      run own "$program" compare "$dir/ref.y4m" "$dir/dist.y4m" --threads "$n" --quiet --json
      run ff_read "${ff[@]}" -map 0:v -f null - -map 1:v -f null -
      # Both files at once, as `compare` reads them.
      run own_read bash -c '"$0" decode "$1" --null -q & "$0" decode "$2" --null -q; wait' \
        "$program" "$dir/ref.y4m" "$dir/dist.y4m"
    done
    for column in 1 2; do
      word=$([ "$column" = 1 ] && echo wall || echo CPU)
      echo "$(median ff $column) $(median ff_read $column) $(median own $column) $(median own_read $column)" |
        awk -v n="$n" -v f="$format" -v w="$word" -v frames="$frames" '{
          theirs = $1 - $2; ours = $3 - $4
          printf "%s, %d threads, %-4s: ffmpeg %.3f s (reading %.3f), video-hw %.3f s (reading %.3f); without reading %.2f and %.2f ms a frame: %.2f x; with it %.2f x\n",
            f, n, w, $1, $2, $3, $4, theirs * 1000 / frames, ours * 1000 / frames, theirs / ours, $1 / $3 }'
    done
  done
done
