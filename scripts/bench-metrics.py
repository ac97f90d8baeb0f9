#!/usr/bin/env python3
"""What it costs to watch a job: runs with a page that is read every second, between runs without one.

    scripts/bench-metrics.py --binary target/release/video-hw --nvsim target/release/libnvsim.so [--pairs 20]

Two jobs: decoding on the CPU, and encoding by NVENC of the simulated driver (with canned pictures, so that the time is the
library's; simulated). Runs alternate, and which kind is first alternates as well. Told are the medians over pairs of the ratio
watched / unwatched, of CPU time and of frames a second, with the interval that holds the median in 95 of 100 resamplings.
CPU time is what counts on a machine that does other things too. Where even that is noisy, the last line helps: a job whose page
is read without pause, and what one reading costs. Nothing but Python's own library is needed."""

import argparse
import json
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from bench_nvenc.simulation import Simulation, raw_file  # noqa: E402


def scrape(url, stop, count, pause):
    """Reads the page at once and after each pause. Every second is what a scraper does that is far too eager."""
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                page.read()
                count.append(1)
        except OSError:
            return
        if stop.wait(pause):
            return


def run(command, environment, watched, pause=1.0):
    """Seconds of CPU time, frames a second and how often the page was read."""
    extra = ["--metrics-addr", "0"] if watched else []
    before = children()
    process = subprocess.Popen(
        command + ["--json", "--quiet", *extra],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    stop, count, reader = threading.Event(), [], None
    if watched:
        url = process.stderr.readline().removeprefix("metrics: ").strip()
        reader = threading.Thread(target=scrape, args=(url, stop, count, pause))
        reader.start()
    out, err = process.communicate()
    stop.set()
    if reader:
        reader.join()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: {process.returncode}\n{err}")
    return children() - before, json.loads(out)["fps"], len(count)


def children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def interval(ratios):
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[50], medians[1949]


def compare(name, command, environment, pairs):
    run(command, environment, False)
    cpu, fps, seen = [], [], 0
    for pair in range(pairs):
        found = {}
        for watched in (False, True) if pair % 2 else (True, False):
            found[watched] = run(command, environment, watched)
        cpu.append(found[True][0] / found[False][0])
        fps.append(found[True][1] / found[False][1])
        seen += found[True][2]
    for what, ratios in (("CPU time", cpu), ("frames a second", fps)):
        low, high = interval(ratios)
        print(
            f"{name}: {what}, watched / unwatched: {statistics.median(ratios):.4f} ({low:.4f} to {high:.4f}), "
            f"{pairs} pairs, page read {seen} times",
            flush=True,
        )


def one_reading(name, command, environment, pairs):
    """What a reading costs, from jobs whose page is read as often as it can be."""
    costs = []
    for _ in range(pairs):
        alone, (cpu, _, readings) = run(command, environment, False)[0], run(command, environment, True, 0.001)
        costs.append(1e3 * (cpu - alone) / max(readings, 1))
    low, high = interval(costs)
    print(f"{name}: CPU time of one reading: {statistics.median(costs):.3f} ms ({low:.3f} to {high:.3f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/video-hw")
    parser.add_argument("--nvsim", default="target/release/libnvsim.so")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--frames", type=int, default=4000, help="of each job")
    options = parser.parse_args()
    binary = str(pathlib.Path(options.binary).resolve())
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        simulation = Simulation(options.nvsim, work)
        raw = raw_file(work, 320, 240, "nv12", options.frames)
        layout = ["--size", "320x240", "--pix-fmt", "nv12", "--fps", "30"]
        clip = str(work / "clip.mp4")
        make = [binary, "encode", str(raw), clip, *layout, "--backend", "software", "--quiet"]
        subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
        decode = [binary, "decode", clip, "--null", "--backend", "software"]
        compare("decode on the CPU", decode, None, options.pairs)
        one_reading("decode on the CPU", decode, None, max(options.pairs // 4, 2))
        encode = [binary, "encode", str(raw), str(work / "out.mp4"), *layout, "--backend", "nvidia", "-y"]
        compare("encode by simulated NVENC", encode, simulation.environment(), options.pairs)


if __name__ == "__main__":
    main()
