#!/usr/bin/env python3
"""Times random frames of a file: `video-hw decode --frames-at` beside torchcodec's `get_frames_at`, in turns.

  scripts/bench-seek.py FILE [--frames 100] [--rounds 5] [--threads 1] [--engines N] [--binary PATH] [--python PATH]

Both open the file in each round (torchcodec with seek_mode="exact"), decode the same frames on the CPU and convert them to
8-bit RGB in host memory. Ours is timed as a whole process, torchcodec without the start of Python and its imports. The
frames are asked for in rising order and in random order; printed are medians, the least and their ratios, of the time
on the wall and of that of the processors.
`--python` is an interpreter that has torchcodec.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time

PEER = """
import json, sys, time
from torchcodec.decoders import VideoDecoder
path, threads = sys.argv[1], int(sys.argv[2])
for line in sys.stdin:
    frames = json.loads(line)
    start, cpu = time.perf_counter(), time.process_time()
    batch = VideoDecoder(path, seek_mode="exact", num_ffmpeg_threads=threads).get_frames_at(frames)
    took = [time.perf_counter() - start, time.process_time() - cpu]
    print(json.dumps([took, [float(t) for t in batch.pts_seconds]]), flush=True)
    del batch
"""


def ours(args, frames):
    """How long it took, how long processors worked, and when each frame is presented."""
    words = [args.binary, "decode", args.file, "--backend", "software", "--threads", str(args.threads), "--pix-fmt", "rgb24", "--null"]
    words += ["--engines", str(args.engines), "--json", "--frames-at", ",".join(map(str, frames))]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, capture_output=True, check=True)
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [took, cpu], [float(frame["pts_s"]) for frame in json.loads(done.stdout)["picked"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engines", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--binary", default="target/release/video-hw")
    parser.add_argument("--python", default=sys.executable)
    args = parser.parse_args()

    count = json.loads(subprocess.run([args.binary, "probe", args.file, "--json"], capture_output=True, check=True).stdout)
    count = next(track["samples"] for track in count["tracks"] if track["kind"] == "video")
    peer = subprocess.Popen(
        [args.python, "-c", PEER, args.file, str(args.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    dice = random.Random(args.seed)
    mixed = dice.sample(range(count), args.frames)
    print(f"{args.frames} of {count} frames of {args.file}, {args.threads} thread(s), {args.engines} engine(s)")
    for order, frames in [("rising", sorted(mixed)), ("random", mixed)]:
        times = {"ours": [], "torchcodec": []}
        for _ in range(args.rounds):
            took, pts = ours(args, frames)
            times["ours"].append(took)
            print(json.dumps(frames), file=peer.stdin, flush=True)
            took, theirs = json.loads(peer.stdout.readline())
            times["torchcodec"].append(took)
            if any(abs(a - b) > 0.002 for a, b in zip(pts, theirs, strict=True)):
                sys.exit(f"the frames differ: {pts} and {theirs}")
        for what, at in [("wall", 0), ("CPU", 1)]:
            a, b = ([round_[at] for round_ in times[who]] for who in ("ours", "torchcodec"))
            middle = statistics.median(a), statistics.median(b)
            print(
                f"{order}, {what}: ours {middle[0]:.2f} s, torchcodec {middle[1]:.2f} s, ratio {middle[0] / middle[1]:.2f};"
                f" least {min(a):.2f} s and {min(b):.2f} s, ratio {min(a) / min(b):.2f}"
            )


if __name__ == "__main__":
    main()
