#!/usr/bin/env python3
"""Measures decoding on an NVIDIA GPU, beside ffmpeg and PyNvVideoCodec. docs/bench/README.md explains the tables.

    scripts/bench-nvdec.py --video-hw BIN --many BIN --ffmpeg BIN --pynv PYTHON --clips DIR --out DIR

What each program did is run in turn, A B C A B C, --repeat times; tables show medians. Nothing is left out silently: a
program that is missing, a run that failed and a run for which there was no time each have a line of their own.
"""

import argparse
import pathlib
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from bench_nvdec import checks, machine, report  # noqa: E402 - found by the line above
from bench_nvdec.cases import Cases  # noqa: E402
from bench_nvdec.clips import Clips  # noqa: E402
from bench_nvdec.harness import Bench  # noqa: E402
from bench_nvdec.memory import Clock, Device  # noqa: E402
from bench_nvdec.programs import Programs  # noqa: E402

# Each case gets its share of the time, of what is left when its turn comes.
SHARES = {"a": 30, "b": 30, "c": 14, "d": 6, "e": 10, "f": 4, "g": 5, "h": 3}
CODECS = ("h264", "hevc")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video-hw", metavar="BIN", help="the command-line program")
    parser.add_argument("--many", metavar="BIN", help="examples/decode_many")
    parser.add_argument("--ffmpeg", metavar="BIN", help="an ffmpeg with NVDEC")
    parser.add_argument("--pynv", metavar="PYTHON", help="a Python that imports PyNvVideoCodec")
    parser.add_argument("--clips", metavar="DIR", type=pathlib.Path, required=True)
    parser.add_argument("--assets", metavar="DIR", type=pathlib.Path, help="clips with md5 lists, for case h")
    parser.add_argument("--out", metavar="DIR", type=pathlib.Path, required=True)
    parser.add_argument("--work", metavar="DIR", type=pathlib.Path, help="where long clips are made and kept")
    parser.add_argument("--cases", default="a,b,c,d,e,f,g,h", help="of a to h, with commas")
    parser.add_argument("--codecs", default="h264,hevc")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--budget", metavar="SECONDS", type=float, default=540, help="for everything")
    parser.add_argument("--backend", default="nvidia", help="of ours")
    parser.add_argument("--device", help="of ours; other programs take the first one")
    parser.add_argument("--sessions", type=int, default=checks.SESSIONS, help="of case g")
    parser.add_argument("--rounds", type=int, default=checks.ROUNDS, help="of case g")
    args = parser.parse_args()
    args.cases, args.codecs = args.cases.split(","), args.codecs.split(",")
    unknown = set(args.cases) - set(SHARES) or set(args.codecs) - set(CODECS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    for name in ("video_hw", "many", "ffmpeg"):
        given = getattr(args, name)
        found = shutil.which(given) if given else None
        if given and not found:
            print(f"MISSING: --{name.replace('_', '-')} {given} cannot be run", file=sys.stderr)
        setattr(args, name, found)
    return args


def jobs(args):
    """(share, case, codec or None), in the order in which they run."""
    for case in args.cases:
        codecs = [None] if case in "gh" else args.codecs
        for codec in codecs:
            yield SHARES[case] / len(codecs), case, codec


def run_job(case, codec, seconds, args, cases, programs, clips, bench):
    """Runs one job; its part of the report."""
    if codec and clips.missing(codec):
        return f"## {case}-{codec}\n\n- {report.MISSING} {clips.missing(codec)}\n"
    if case == "g":
        if clips.missing("h264"):
            return f"## g\n\n- {report.MISSING} {clips.missing('h264')}\n"
        return checks.open_close(programs, clips, bench, seconds, args.sessions, args.rounds)
    if case == "h":
        return checks.exactness(programs, args.assets or args.clips, bench, seconds)
    if case == "f":
        built = checks.low_latency(programs, clips, codec)
    else:
        build = {"a": cases.one_session, "b": cases.one_file, "c": cases.many_sessions, "d": cases.whole_process}
        build["e"] = cases.conversion
        begun = bench.clock.left()
        built = build[case](codec, seconds)
        seconds -= begun - bench.clock.left()
    part = 0.6 if case == "d" else 1
    bench.run(built, seconds * part)
    text = report.table(built, bench.repeat)
    if case == "d":
        text += "\n" + cases.stages(codec, seconds * (1 - part))
    return text


def main():
    args = options()
    clock = Clock(args.budget)
    args.out.mkdir(parents=True, exist_ok=True)
    work = args.work or pathlib.Path(tempfile.mkdtemp(prefix="bench-nvdec-"))
    work.mkdir(parents=True, exist_ok=True)
    programs = Programs(args.video_hw, args.many, args.ffmpeg, args.pynv, args.backend, args.device)
    clips = Clips(args.clips, work, args.ffmpeg)
    here = pathlib.Path(__file__).resolve().parent
    known = [args.video_hw, args.many, args.ffmpeg, args.pynv, args.clips, args.assets, args.out, work, here]
    bench = Bench(args.out, clock, Device(), args.repeat, known)
    found = machine.facts(programs.versions())
    found["device memory is asked of"] = bench.device.how
    found["runs of each row"] = args.repeat
    bench.record(machine=found, arguments=vars(args))
    (args.out / "nvidia-smi.txt").write_text(machine.full_report(), encoding="utf-8")
    cases = Cases(programs, clips, bench)
    parts = ["# Decoding on a GPU\n", report.facts(found)]
    todo = list(jobs(args))
    for index, (share, case, codec) in enumerate(todo):
        left = clock.left() - 5
        seconds = left * share / sum(other[0] for other in todo[index:])
        name = f"{case}-{codec}" if codec else case
        print(f"{time.strftime('%H:%M:%S')} {name}: {seconds:.0f} s of {left:.0f} s", flush=True)
        if seconds < 3:
            parts.append(f"## {name}\n\n- **NOT RUN**: no time left\n")
        else:
            parts.append(run_job(case, codec, seconds, args, cases, programs, clips, bench))
        # Written each time: whatever ends this process, what was measured stays.
        (args.out / "tables.md").write_text("\n".join(parts), encoding="utf-8")
        print(parts[-1], flush=True)
    parts.append(f"\nGPU after all that: {machine.gpu_now()}\n")
    (args.out / "tables.md").write_text("\n".join(parts), encoding="utf-8")
    bench.close()
    if not args.work:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
