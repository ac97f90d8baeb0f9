#!/usr/bin/env python3
"""Random streams of every encoder at hand, decoded by `video-hw` and by ffmpeg: each frame's MD5 must be the same.

Stream N of a seed is always the same stream. A stream comes out equal, or is refused by name (exit code 3, and what came before
the refusal is equal), or is wrong. A wrong one is reduced: options, frames and content are taken away for as long as it stays
wrong, and the command that makes what is left is printed. Exit code 1 when one was wrong.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

from differential_cases import Case, draw

# Nothing here takes longer on a busy machine; what does is a hang.
PATIENCE = 120
# What cards put frames in, and how ffmpeg's software decoders lay out the same samples.
PLANAR = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
QUIET = ["-nostdin", "-hide_banner", "-v", "error"]


class Judge:
    """Makes streams, decodes them twice, compares."""

    def __init__(self, program, folder, backend="software", engines="1"):
        self.program, self.folder = program, pathlib.Path(folder)
        self.decoder = ["--backend", backend, "--engines", engines]

    def encode(self, case, path):
        """What the encoder said where it made nothing."""
        done = run(["bash", "-c", f"set -o pipefail; {case.shell(path)}"])
        if done.returncode != 0 or not path.exists() or path.stat().st_size == 0:
            return done.stderr.strip().splitlines()[-1:] or ["the encoder made nothing"]
        return None

    def expected(self, path, luma_only, decoder=()):
        """Size in bytes and MD5 of each frame; no conversion, no scaling, no frame left out or repeated."""
        # ffmpeg's vector code is not exact where values overflow (8x8 transform of H.264) and at the edges of deep VP9, its C
        # code is. Without `unaligned` it moves the left edge of a crop to where its own routines like it.
        command = ["ffmpeg", *QUIET, "-cpuflags", "0", "-threads", "1", *decoder, "-flags", "unaligned"]
        command += ["-err_detect", "crccheck", "-i", str(path), "-map", "0:v:0"]
        command += ["-fps_mode", "passthrough", "-autoscale", "0"]
        if luma_only:
            command += ["-vf", "extractplanes=y"]
        done = run([*command, "-f", "framemd5", "-"])
        lines = [line.split(",") for line in done.stdout.splitlines() if line and line[0] != "#"]
        return [line[5].strip() for line in lines], done.stderr.strip()

    def judge(self, case, name):
        """("equal" | "refused" | "wrong" | "no stream", words)"""
        path = self.folder / f"{name}.{case.extension}"
        try:
            if (why := self.encode(case, path)) is not None:
                return "no stream", " ".join(why)
            return self.compare(path)
        finally:
            path.unlink(missing_ok=True)

    def compare(self, path):
        decode = [self.program, "decode", str(path), "--frame-md5", *self.decoder]
        done = run(decode)
        ours = [line.split() for line in done.stdout.splitlines()]
        planar = PLANAR.get(ours[0][3]) if ours else None
        if planar:
            done = run([*decode, "--pix-fmt", planar])
            ours = [line.split() for line in done.stdout.splitlines()]
        luma_only = bool(ours) and ours[0][3].startswith("gray")
        ours = [line[4] for line in ours]
        expected, complaint = self.expected(path, luma_only)
        words = done.stderr.strip().splitlines()
        words = words[-1] if words else ""
        # Encoders make broken streams, too: x265 does of pictures with almost as many slices as rows.
        if not expected or complaint:
            return "no stream", f"ffmpeg finds it damaged: {complaint.splitlines()[0] if complaint else 'no frame'}"
        # For AV1 there are two judges; either may be wrong.
        if path.suffix in (".ivf", ".mp4") and ours != expected:
            second, complaint = self.expected(path, luma_only, ["-c:v", "libaom-av1"])
            expected = second if not complaint and second == ours else expected
        if done.returncode == 3 and is_part(ours, expected):
            return "refused", refusal(done.stderr)
        for index, (our, their) in enumerate(zip(ours, expected)):
            if our != their:
                return "wrong", f"frame {index} of {len(expected)} differs{note(ours, expected)}"
        if done.returncode != 0:
            return "wrong", f"exit code {done.returncode} after {len(ours)} of {len(expected)} frames: {words}"
        if len(ours) != len(expected):
            return "wrong", f"{len(ours)} frames instead of {len(expected)}: {words}"
        return "equal", ""

    def reduced(self, case, name):
        """The case with everything taken away that is not needed to make it wrong."""
        smaller = True
        while smaller:
            smaller = False
            for candidate in case.simpler():
                if self.judge(candidate, name)[0] == "wrong":
                    case, smaller = candidate, True
                    break
        return case


def is_part(ours, expected):
    """Whether frames are some of the expected ones, in order: what is refused is decoded before others that are shown later."""
    rest = iter(expected)
    return all(frame in rest for frame in ours)


def note(ours, expected):
    """Whether it is the order alone that differs."""
    different = sum(a != b for a, b in zip(ours, expected))
    order = ", the same frames in another order" if sorted(ours) == sorted(expected) else ""
    return f", {different} in all{order}; {len(ours)} frames came"


def refusal(text):
    """The name of what was refused."""
    errors = [line for line in text.splitlines() if "error:" in line]
    return errors[0].split("error:", 1)[1].strip() if errors else text.strip()


def run(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no end after {PATIENCE} s")


class Totals:
    def __init__(self):
        self.lock = threading.Lock()
        self.outcomes, self.refused, self.no_stream, self.wrong = {}, {}, {}, []

    def add(self, case, outcome, words):
        with self.lock:
            count = self.outcomes.setdefault(case.encoder, {})
            count[outcome] = count.get(outcome, 0) + 1
            names = {"refused": self.refused, "no stream": self.no_stream}.get(outcome)
            if names is not None:
                # Numbers and file names differ from stream to stream.
                name = re.sub(r"0x[0-9a-f]+|\d+", "N", re.sub(r"\S*/\S+", "FILE", words))[:140]
                names[name] = names.get(name, 0) + 1

    def print(self, seconds, quiet):
        print(f"\n{'encoder':14}{'equal':>8}{'refused':>9}{'wrong':>7}{'no stream':>11}")
        columns = (("equal", 8), ("refused", 9), ("wrong", 7), ("no stream", 11))
        total = {}
        for encoder, count in sorted(self.outcomes.items()):
            print(f"{encoder:14}" + "".join(f"{count.get(c, 0):>{w}}" for c, w in columns))
            total = {c: total.get(c, 0) + count.get(c, 0) for c, _ in columns}
        print(f"{'all':14}" + "".join(f"{total.get(c, 0):>{w}}" for c, w in columns) + f"   in {seconds:.0f} s")
        print("".join(f"  refused {n:>4}: {name}\n" for name, n in sorted(self.refused.items())), end="")
        if not quiet:
            print("".join(f"  no stream {n:>4}: {name}\n" for name, n in sorted(self.no_stream.items())), end="")
        return total.get("equal", 0)


def numbers(args):
    """Numbers of the streams to make, until enough were made or the time is over."""
    end = time.monotonic() + args.minutes * 60 if args.minutes else None
    number = args.first
    while (args.streams is None or number < args.first + args.streams) and (end is None or time.monotonic() < end):
        yield number
        number += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="stop after this time")
    parser.add_argument("--streams", type=int, help="stop after this many streams [default: 120, with --minutes no limit]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first stream")
    parser.add_argument("--only", metavar="NAME", help="streams of this encoder alone, such as libx264")
    parser.add_argument("--jobs", type=int, default=2, help="streams at a time [default: 2]")
    parser.add_argument("--program", required=True, help="the video-hw to judge")
    parser.add_argument("--backend", default="software", metavar="NAME", help="its decoder [default: %(default)s]")
    parser.add_argument("--engines", default="1", metavar="N|auto", help="engines of a card [default: %(default)s]")
    parser.add_argument("--least", type=int, default=1, metavar="N", help="sides of the pictures at least, such as 144 for what cards decode")
    parser.add_argument("--no-reduce", action="store_true", help="tell what is wrong as it was found")
    parser.add_argument("--quiet", action="store_true", help="leave out what no encoder could make")
    args = parser.parse_args()
    if args.streams is None and args.minutes is None:
        args.streams = 120
    totals, began = Totals(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="differential-") as folder:
        judge = Judge(os.path.abspath(args.program), folder, args.backend, args.engines)

        def one(number):
            case = draw(args.seed, number, args.only, args.least)
            outcome, words = judge.judge(case, f"s{number}")
            totals.add(case, outcome, words)
            if number % 200 == 199:
                print(f"{number - args.first + 1} streams, {len(totals.wrong)} wrong", flush=True)
            if outcome != "wrong":
                return
            with totals.lock:
                print(f"WRONG seed {args.seed} stream {number}: {words}", flush=True)
            if not args.no_reduce:
                case = judge.reduced(case, f"s{number}")
                words = judge.judge(case, f"s{number}")[1]
            with totals.lock:
                totals.wrong.append(number)
                print(f"  {number} is made by: {case.shell()}\n  {words}", flush=True)

        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            waiting = set()
            for number in numbers(args):
                waiting.add(pool.submit(one, number))
                if len(waiting) >= 2 * args.jobs:
                    done, waiting = concurrent.futures.wait(waiting, return_when="FIRST_COMPLETED")
                    [future.result() for future in done]
            [future.result() for future in waiting]
    equal = totals.print(time.monotonic() - began, args.quiet)
    if equal == 0:
        sys.exit("not one stream was compared")
    sys.exit(1 if totals.wrong else 0)


if __name__ == "__main__":
    main()
