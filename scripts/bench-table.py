#!/usr/bin/env python3
"""Makes docs/bench/table.md from the records: figures and verdicts by the program's own aims, and figures whose code has changed since.

    scripts/bench-table.py PROGRAM           writes the tables
    scripts/bench-table.py PROGRAM --check   fails where they are not what would be written
    scripts/bench-table.py --changed         lists each record with the commits since it that touch its code

PROGRAM is a video-hw: `bench report --json` says what a record comes to. docs/bench/records.json says at which commit each was measured and
what it measures; PATHS says which code that is. Without git, or where a shallow clone lacks the commit, the mark is "unknown", and --check
passes over marks that it cannot make. Python 3 and nothing else.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "docs/bench"
TABLE = BENCH / "table.md"

# What every job goes through.
CORRIDOR = [":(glob)src/backend/*.rs", "src/bitstream", "src/container", "src/failover", "src/pipeline", "src/session", "src/util"]
PATHS = {
    "NVDEC": [*CORRIDOR, "src/backend/nvidia/decode", "src/backend/nvidia/driver", "src/backend/nvidia/transform", "src/backend/split", "cli/src/decode.rs"],
    "NVENC": [*CORRIDOR, "src/backend/nvidia/encode", "src/backend/nvidia/driver", "src/rawvideo", "src/transform", "cli/src/encode.rs", "sims/nvidia"],
    "CPU": [*CORRIDOR, "src/backend/software", "src/backend/split", "src/transform", "cli/src/decode.rs", "cli/src/transcode.rs", "Cargo.lock"],
    "random frames": [*CORRIDOR, "src/backend/nvidia/decode", "src/backend/nvidia/driver", "src/backend/software", "src/backend/split", "src/reader"],
    "baselines": ["cli/bench/src/report/baseline.rs", "cli/bench/src/report/pairs.rs", "cli/bench/src/stats.rs"],
}

# The rows of the table: record, row, and what the record does not say of itself.
ROWS = [
    *((f"h200/bench/{codec}-{frames}", f"decode/{codec}/nvidia/video-hw/output=host/engines={engines}", "")
      for frames in (303, 2424) for codec in ("h264", "hevc") for engines in ("auto", "1")),
    *((f"nvenc-simulated/bench/{record}", f"encode/{codec}/nvidia/video-hw", engine)
      for record, engine in (("millisecond", "engine of 1 ms"), ("instant", "engine that takes no time"), ("bgra-millisecond", "engine of 1 ms"))
      for codec in ("h264", "hevc")),
]
CODECS = {"h264": "H.264", "hevc": "HEVC", "av1": "AV1"}
ENGINES = {"auto": "all engines", "1": "one engine"}
FORMATS = {"bgra": "BGRA (NVENC's ARGB)"}

CHANGED, SAME, UNKNOWN = "code changed since", "the same code", "unknown"


def git(*words, root=ROOT):
    """What git says, or None: it may not be there, this may be no clone of it, and a shallow one lacks commits."""
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def changes(commit, paths, root=ROOT):
    """The commits since this one that touch the paths, newest first; None where that cannot be known."""
    if git("merge-base", "--is-ancestor", commit, "HEAD", root=root) is None:
        return None
    listed = git("log", "--format=%h %cs %s", f"{commit}..HEAD", "--", *paths, root=root)
    return None if listed is None else listed.splitlines()


def mark(commit, paths, root=ROOT):
    found = changes(commit, paths, root)
    return UNKNOWN if found is None else CHANGED if found else SAME


def records():
    return json.loads((BENCH / "records.json").read_text())


def measured_at(name, known):
    """The entry of a record: its own, or that of the folder that it is in."""
    while name not in known:
        name, parted, _ = name.rpartition("/")
        if not parted:
            raise KeyError(name)
    return known[name]


def report(program, record):
    done = subprocess.run([program, "bench", "report", str(BENCH / f"{record}.json"), "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["records"][0]


def title(row, note, simulated):
    """`decode H.264, 303 frames of 1080p to host memory, all engines`."""
    settings, of = row["settings"], row["input"]
    words = [f"{row['case']} {CODECS[row['codec']]}", f"{of['frames']:,} frames of {of['height']}p"]
    if "output" in settings:
        words[-1] += f" to {settings['output']} memory"
    if row["case"] == "encode":
        words.append(FORMATS.get(of["pixel_format"], of["pixel_format"]))
    words += [ENGINES[settings["engines"]]] if "engines" in settings else []
    words += [note] if note else []
    words += ["**simulated**"] if simulated else []
    return ", ".join(words)


def verified(row):
    return {True: "every check passed", False: "**FAILED**", None: ""}[row["verified"]]


def aim(row):
    words = row["aim_found"].replace("MISSED", "**missed**").replace("x", "")
    return f"{row['aim']:.2f}: {words}"


def cells(row, theirs, written, note, simulated, record, at):
    time = lambda of: f"{of['mean_s']:.3f} s ({100 * of['cv']:.1f} %)"
    ratio = f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
    name = record.rpartition("/")[2]
    return [title(written, note, simulated), time(row), time(theirs), ratio, aim(row), verified(row), f"[{name}]({record}.md)", *at]


def table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def figures(program):
    rows, known, read = [], records(), {}
    for record, wanted, note in ROWS:
        if record not in read:
            read[record] = report(program, record), json.loads((BENCH / f"{record}.json").read_text())
        made, written = read[record]
        by_id = {row["id"]: row for row in made["rows"]}
        own = next(row for row in written["rows"] if row["id"] == wanted)
        entry = measured_at(record, known)
        at = [f"`{entry['commit']}`", mark(entry["commit"], PATHS[entry["measures"]])]
        rows.append(cells(by_id[wanted], by_id[own["peer"]], own, note, made["simulated"], record, at))
    heads = ["what", "video-hw, mean (CV)", "ffmpeg, mean (CV)", "ratio (95 %)", "aim", "verify", "record", "measured at", "since"]
    return table(heads, rows)


def ages():
    rows = []
    for name, entry in records().items():
        link = f"{name} ({entry['part']})" if "part" in entry else name
        page = entry.get("page", name)
        rows.append([f"[{link}]({page})", entry["measures"], f"`{entry['commit']}`", mark(entry["commit"], PATHS[entry["measures"]])])
    return table(["record", "measures", "measured at", "since"], rows)


def page(text, parts):
    """The page with each part between its marks."""
    for name, made in parts.items():
        begin, end = f"<!-- {name}: scripts/bench-table.py -->\n", f"<!-- end of {name} -->\n"
        pattern = re.compile(f"(?s){re.escape(begin)}.*?{re.escape(end)}")
        if not pattern.search(text):
            sys.exit(f"{TABLE.name} has no place for {name}")
        text = pattern.sub(lambda _: f"{begin}\n{made}\n{end}", text)
    return text


def without_marks(text):
    """Where marks cannot be made they are not compared."""
    return re.sub(rf"\| (?:{CHANGED}|{SAME}|{UNKNOWN}) \|$", "|", text, flags=re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--changed", action="store_true")
    given = parser.parse_args()
    if given.changed:
        for name, entry in records().items():
            found = changes(entry["commit"], PATHS[entry["measures"]])
            print(f"{name} at {entry['commit']}: {UNKNOWN if found is None else len(found)}")
            print("".join(f"  {line}\n" for line in found or []), end="")
        return
    if not given.program:
        parser.error("name a video-hw")
    there = TABLE.read_text()
    made = page(there, {"figures": figures(given.program), "records": ages()})
    if not given.check:
        TABLE.write_text(made)
    elif made != there and (UNKNOWN not in made or without_marks(made) != without_marks(there)):
        sys.exit("docs/bench/table.md is not what the records come to; run scripts/bench-table.py PROGRAM")


if __name__ == "__main__":
    main()
