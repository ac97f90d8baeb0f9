#!/usr/bin/env python3
"""Measures encoding by NVENC on the simulated driver, beside ffmpeg. docs/bench/nvenc-simulated.md explains the tables.

    scripts/bench-nvenc.py --video-hw BIN --session BIN --ffmpeg BIN --driver libnvsim.so --out DIR

Every figure is that of a simulated engine with pictures made in advance: it says what the program around an encoder costs,
and nothing of NVIDIA's hardware. What is compared runs in turn, A B B A, --repeat times; tables show medians.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from bench_nvdec import child  # noqa: E402 - found by the line above
from bench_nvenc import tables  # noqa: E402
from bench_nvenc.cases import Cases  # noqa: E402
from bench_nvenc.simulation import Simulation  # noqa: E402

LIMIT = 120.0
TITLES = {
    "a": ("a: one session against its engine", tables.throughput),
    "b": ("b: whole processes, from raw pictures in a file", tables.processes),
    "c": ("c: pictures on their way at once", tables.sweep),
    "d": ("d: latency, one picture at a time", tables.latency),
    "e": ("e: what measuring costs", tables.overhead),
}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video-hw", metavar="BIN", required=True, help="the command-line program")
    parser.add_argument("--session", metavar="BIN", required=True, help="examples/encode_session")
    parser.add_argument("--ffmpeg", metavar="BIN", default="ffmpeg", help="an ffmpeg with NVENC")
    parser.add_argument("--driver", metavar="FILE", required=True, help="libnvsim.so, built for release")
    parser.add_argument("--out", metavar="DIR", type=pathlib.Path, required=True)
    parser.add_argument("--work", metavar="DIR", type=pathlib.Path, help="where raw pictures are made and kept (12 GB)")
    parser.add_argument("--cases", default="a,b,c,d,e", help="of a to e, with commas")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--realtime", action="store_true", help="run everything measured before all else (chrt -r)")
    args = parser.parse_args()
    args.cases = args.cases.split(",")
    if set(args.cases) - set(TITLES):
        parser.error("cases are a to e")
    for name in ("video_hw", "session", "ffmpeg"):
        found = shutil.which(getattr(args, name))
        if not found:
            parser.error(f"{getattr(args, name)} cannot be run")
        setattr(args, name, found)
    return args


def shown(command):
    """A command line that means the same on another machine: files by their names alone."""
    return [os.path.basename(part) if os.path.isabs(part) else part for part in map(str, command)]


def measure(row, raw, **facts):
    """One run; its figures or its fault go to the row, everything to the raw lines."""
    load = os.getloadavg()[0]
    done = child.run(row.command, LIMIT, environment=row.environment)
    figures, fault = None, None
    if done.good:
        try:
            figures = row.figures(done)
        except (KeyError, TypeError, ValueError) as error:
            fault = f"its report was not understood: {error!r}"
    else:
        fault = done.trouble()
    line = {"row": row.name, **facts, "command": shown(done.command), "at": time.time(), "load": load,
            "status": done.status, "wall_s": done.wall_s, "cpu_s": done.cpu_s, "peak_rss_kib": done.peak_rss_kib,
            "figures": figures, "fault": fault}
    raw.write(json.dumps(line) + "\n")
    raw.flush()
    return figures, fault


def packets(path):
    """Packets of a file, as ffprobe counts them; None where there is no ffprobe."""
    ffprobe = shutil.which("ffprobe")
    if not ffprobe:
        return None
    command = [ffprobe, "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", path]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().strip(","))


def run(group, repeat, raw):
    """All rows in turn, each time from the other end. The first turn fills caches and is not counted."""
    facts = {"case": group.case, **group.facts}
    for turn in range(repeat + 1):
        for row in group.rows if turn % 2 == 0 else reversed(group.rows):
            if len(row.faults) >= 2:
                continue
            figures, fault = measure(row, raw, turn=turn, counted=turn > 0, **facts)
            output = row.facts.get("output")
            if turn == 0 and not fault and output:
                found = packets(output)
                if found not in (None, row.facts["frames"]):
                    fault = f"{found} packets of {row.facts['frames']} frames"
            if fault:
                row.faults.append(fault)
            elif turn > 0:
                row.results.append(figures)


def machine(args):
    version = subprocess.run([args.ffmpeg, "-version"], capture_output=True, text=True).stdout.splitlines()[:1]
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    facts = {
        "processor": f"{names[0] if names else 'unknown'}, {len(os.sched_getaffinity(0))} cores",
        "system": platform.platform(),
        "load when it began": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "peer": version[0] if version else "unknown",
        "scheduling": "in front of everything else (chrt -r 10)" if args.realtime else "as any process",
        "runs of each row": args.repeat,
    }
    return facts


def main():
    args = options()
    args.out.mkdir(parents=True, exist_ok=True)
    work = args.work or pathlib.Path(tempfile.mkdtemp(prefix="bench-nvenc-"))
    work.mkdir(parents=True, exist_ok=True)
    programs = {"video_hw": args.video_hw, "session": args.session, "ffmpeg": args.ffmpeg}
    cases = Cases(programs, Simulation(args.driver, work), work, args.realtime)
    build = {"a": cases.throughput, "b": cases.processes, "c": cases.sweep, "d": cases.latency, "e": cases.overhead}
    facts = machine(args)
    parts = ["**Simulated**: an engine of the model's time and pictures made in advance.\n",
             "\n".join(f"- {name}: {value}" for name, value in facts.items()) + "\n"]
    with open(args.out / "runs.jsonl", "w", encoding="utf-8") as raw:
        raw.write(json.dumps({"machine": facts, "simulated": True}) + "\n")
        for case in args.cases:
            title, table = TITLES[case]
            groups = []
            for group in build[case]():
                run(group, args.repeat, raw)
                groups.append(group)
            parts.append(f"## {title}\n\n{table(groups)}\n{tables.faults(groups)}")
            print(parts[-1], flush=True)
            # Written each time: whatever ends this process, what was measured stays.
            (args.out / "tables.md").write_text("\n".join(parts), encoding="utf-8")
        parts.append(f"Load when it ended: {' '.join(f'{load:.2f}' for load in os.getloadavg())}\n")
    (args.out / "tables.md").write_text("\n".join(parts), encoding="utf-8")
    if not args.work:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
