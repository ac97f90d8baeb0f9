#!/usr/bin/env python3
"""Times random frames of a file: `video_hw::reader::Reader` beside torchcodec or PyNvVideoCodec, in turns.

  scripts/bench-seek.py FILE [--peer torchcodec|pynvvideocodec] [--frames 100] [--rounds 5] [--threads 1] [--engines N|auto]
                             [--binary target/release/examples/seek_times] [--python PATH]

Both open the file anew in each round, in a process that has been there before, and give the same frames: beside torchcodec
(get_frames_at, seek_mode="exact") both decode on the CPU, to 8-bit RGB in host memory; beside PyNvVideoCodec
(SimpleDecoder.get_batch_frames_by_index) both decode on the GPU, and leave the decoder's format in its memory.
The frames are asked for in rising order and in random order; printed are medians, the least and their ratios, of the time
on the wall and of that of the processors. A first round that is not counted starts what starts once.
`--python` is an interpreter that has the peer.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys

TORCHCODEC = """
from torchcodec.decoders import VideoDecoder
def take(frames):
    batch = VideoDecoder(path, seek_mode="exact", num_ffmpeg_threads=threads).get_frames_at(frames)
    return batch, [float(t) for t in batch.pts_seconds]
"""
PYNVVIDEOCODEC = """
import PyNvVideoCodec as nvc
first = nvc.SimpleDecoder(path, gpu_id=0)
def take(frames):
    decoder = nvc.SimpleDecoder(path, gpu_id=0)
    batch = decoder.get_batch_frames_by_index(frames)
    return (decoder, batch), [len(batch)]
"""
PEER = """
import json, sys, time
path, threads = sys.argv[1], int(sys.argv[2])
{}
for line in sys.stdin:
    frames = json.loads(line)
    start = time.perf_counter()
    batch, told = take(frames)
    took = time.perf_counter() - start
    print(json.dumps([took, told]), flush=True)
    del batch
"""
PEERS = {"torchcodec": TORCHCODEC, "pynvvideocodec": PYNVVIDEOCODEC}


class Program:
    """A process that takes lists of frames, a line each, and answers each with a line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, line):
        before = self.cpu()
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args[0]} ended with {self.process.wait()}")
        return answer, self.cpu() - before


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--peer", choices=PEERS, default="torchcodec")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engines", help="1 beside torchcodec, auto beside PyNvVideoCodec")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, help="frames of the file, where there is no command to ask")
    parser.add_argument("--binary", default="target/release/examples/seek_times")
    parser.add_argument("--command", default="target/release/video-hw", help="is asked how many frames there are")
    parser.add_argument("--python", default=sys.executable)
    args = parser.parse_args()
    gpu = args.peer == "pynvvideocodec"
    args.engines = args.engines or ("auto" if gpu else "1")

    if not args.count:
        told = json.loads(subprocess.run([args.command, "probe", args.file, "--json"], capture_output=True, check=True).stdout)
        args.count = next(track["samples"] for track in told["tracks"] if track["kind"] == "video")
    words = ["--backend", "nvidia" if gpu else "software", "--engines", args.engines, "--output", "device" if gpu else "rgb"]
    ours = Program([args.binary, args.file, *words, "--threads", str(args.threads)])
    peer = Program([args.python, "-c", PEER.format(PEERS[args.peer]), args.file, str(args.threads)])
    dice = random.Random(args.seed)
    mixed = dice.sample(range(args.count), args.frames)
    print(f"{args.frames} of {args.count} frames of {args.file}, {args.threads} thread(s), {args.engines} engine(s)")
    for order, frames in [("rising", sorted(mixed)), ("random", mixed)]:
        times = {"ours": [], args.peer: []}
        for turn in range(args.rounds + 1):
            answer, cpu = ours.ask(",".join(map(str, frames)))
            took, pts = answer.split()
            pts = [float(t) for t in pts.split(",")]
            answer, their_cpu = peer.ask(json.dumps(frames))
            their_took, theirs = json.loads(answer)
            if theirs != [len(frames)] and any(abs(a - b) > 0.002 for a, b in zip(pts, theirs, strict=True)):
                sys.exit(f"the frames differ: {pts} and {theirs}")
            if turn:
                times["ours"].append([float(took), cpu])
                times[args.peer].append([their_took, their_cpu])
        for what, at in [("wall", 0), ("CPU", 1)]:
            a, b = ([round_[at] for round_ in times[who]] for who in ("ours", args.peer))
            middle = statistics.median(a), statistics.median(b)
            print(
                f"{order}, {what}: ours {middle[0]:.3f} s, {args.peer} {middle[1]:.3f} s, ratio {middle[0] / middle[1]:.2f};"
                f" least {min(a):.3f} s and {min(b):.3f} s, ratio {min(a) / max(min(b), 1e-9):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
