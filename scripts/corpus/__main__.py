"""The command behind scripts/corpus.sh."""

import argparse
import concurrent.futures
import json
import pathlib
import shutil
import sys
import tempfile

from . import cases_containers, cases_h264, cases_hevc, cases_mp4, cases_other, judge
from .maker import Cases, write

TOOLS = ("ffmpeg", "ffprobe", "vpxenc", "aomenc", "mkvmerge")


def all_cases():
    """Every case, in order."""
    cases = Cases()
    for part in (cases_h264, cases_hevc, cases_mp4, cases_other, cases_containers):
        part.add(cases)
    return cases.all


def options(words):
    parser = argparse.ArgumentParser(prog="scripts/corpus.sh", description="Makes hard files and judges video-hw by them.")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="keep the files and what is expected of them here")
    parser.add_argument("--judge", type=pathlib.Path, metavar="DIR", help="judge by a folder made with --out; needs no ffmpeg")
    parser.add_argument("--binary", default="target/debug/video-hw", metavar="PATH", help="the program [default: %(default)s]")
    parser.add_argument("--backend", default="software", metavar="NAME", help="its decoder [default: %(default)s]")
    parser.add_argument("--engines", default="1", metavar="N", help="decoders for each file: a number, or auto [default: 1]")
    parser.add_argument("--only", default="", metavar="WORD", help="only cases whose names hold this")
    parser.add_argument("--short", action="store_true", help="a part of it that takes less than a minute")
    parser.add_argument("--make", action="store_true", help="make the files of --out and judge nothing")
    parser.add_argument("--keep", action="store_true", help="keep the files that are in --out, and make those that are missing")
    parser.add_argument("--list", action="store_true", help="list the cases and what is expected of each")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="files that are made at once [default: 1]")
    return parser.parse_args(words)


def make(cases, folder, jobs, keep):
    """Makes the files of the cases; what cannot be made here ends the run, so that nothing is left out in silence."""
    folder.mkdir(parents=True, exist_ok=True)
    failed, known, old = [], [], []
    if (folder / "corpus.json").exists():
        old = judge.load(folder)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for case, making in [(case, pool.submit(write, case, folder, keep)) for case in cases]:
            try:
                known.append(making.result())
            except Exception as why:  # noqa: BLE001 - whatever it is, the case is named and the run fails
                failed.append(f"{case.name}: {type(why).__name__} {why}")
    names = {case.name for case in cases}
    old = [case for case in old if case["name"] not in names]
    (folder / "corpus.json").write_text(json.dumps({"cases": old + known}))
    for words in failed:
        print(f"CANNOT BE MADE {words}", file=sys.stderr)
    return not failed


def main(words):
    args = options(words)
    if args.judge:
        return judged(args, args.judge, judge.load(args.judge, args.only))
    cases = [case for case in all_cases() if args.only in case.name and (case.short or not args.short)]
    if args.list:
        for case in cases:
            print(f"{case.name:44} " + ", ".join(f"{who}: {what}" for who, what in case.expect.items()))
        print(f"{len(cases)} cases")
        return 0
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        print(f"the files are made with {', '.join(missing)}, which is not installed", file=sys.stderr)
        return 2
    for tool in sorted({case.tool for case in cases if case.tool and shutil.which(case.tool) is None}):
        left = [case.name for case in cases if case.tool == tool]
        print(f"LEFT OUT: {len(left)} files, because {tool} is not installed: {' '.join(left)}", file=sys.stderr)
        cases = [case for case in cases if case.tool != tool]
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.out or pathlib.Path(scratch)
        made = make(cases, folder, args.jobs, args.keep)
        if args.make:
            return 0 if made else 1
        names = {case.name for case in cases}
        code = judged(args, folder, [case for case in judge.load(folder) if case["name"] in names])
        return code if made else 1


def judged(args, folder, cases):
    """Prints the table and the counts; 1 when a verdict is bad, 2 where there is nothing to judge."""
    if not cases:
        print("no such case", file=sys.stderr)
        return 2
    counts, bad = judge.run(folder, cases, args.binary, args.backend, args.engines, lambda line: print(line, flush=True))
    words = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    print(f"{len(cases)} files on {args.backend}, engines {args.engines}: {words}; {len(bad)} not as expected")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
