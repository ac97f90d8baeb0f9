"""The tables of latency, memory and exactness."""

from . import child, parse
from .cases import DEVICE, HOST
from .harness import Case, Row
from .programs import latency
from .report import plain

LATENCY = [
    ("p50_ms", "p50 ms", 3),
    ("p95_ms", "p95 ms", 3),
    ("p99_ms", "p99 ms", 3),
    ("max_ms", "max ms", 2),
    ("first_ms", "first frame ms", 1),
    ("missed", "missed", 0),
    ("packets", "packets", 0),
]
ROUNDS, SESSIONS = 20, 100


def low_latency(programs, clips, codec):
    clip = clips.folder / f"lowdelay.{'h264' if codec == 'h264' else 'h265'}"
    rows = []
    gone = None if clip.is_file() else f"{clip} is not there"
    for name, options in [("device frames", DEVICE), ("NV12 on the host", HOST)]:
        command = [programs.many, clip, *programs.backend, *options, "--low-latency"]
        missing = gone or (None if programs.many else "--many was not given")
        rows.append(Row(f"ours, {name}", command, latency, missing=missing))
    row = programs.pynv_row("PyNvVideoCodec lowlevel LOW, device frames", clip, "--low-latency")
    row.figures, row.missing = latency, gone or row.missing
    rows.insert(1, row)
    notes = [
        "each packet goes in when the frame of the last one is out; missed: packets whose frame did not come before the "
        "next packet (a run of ours with one of them is a failed run)",
        "the ratio is of times: below 1 ours is faster; the first frame, which pays for the decoder, is in no percentile",
    ]
    return Case(f"f-{codec}", f"low latency, {codec} 1080p without B frames", rows, "p50_ms", LATENCY,
                higher_is_better=False, notes=notes)


def open_close(programs, clips, bench, seconds, sessions=SESSIONS, rounds=ROUNDS):
    """Memory after each round of opening and closing; a table of its own."""
    title = f"g: {sessions} sessions opened, 2 frames each, closed; {rounds} rounds, one process"
    if not programs.many:
        return plain(title, ["round"], [], ["**MISSING** --many was not given"])
    command = [programs.many, clips.stream("h264"), *programs.backend, *DEVICE]
    command += ["--sessions", sessions, "--open-close", rounds, "--settle", 300]
    before, after = bench.device.used(), []

    def round_over(line):
        # The process pauses after this line, so this is the memory of a process with no session.
        if '"round"' in line:
            after.append(bench.device.used())

    done = child.run(command, seconds, on_line=round_over)
    found = [said for said in parse.json_documents(done.out) if "round" in said]
    rows = []
    for said, used in zip(found, after):
        device = "?" if used is None or before is None else f"{(used - before) / (1 << 20):.1f}"
        rss, peak = said["resident_kib"], said["resident_open_kib"]
        rows.append([
            said["round"], said["frames"], device, f"{rss / 1024:.1f}" if rss else "?",
            f"{peak / 1024:.1f}" if peak else "?", said["threads"], said["open_files"],
            f"{said['open_s']:.2f}", f"{said['decode_s']:.2f}", f"{said['close_s']:.2f}",
        ])
    bench.record(case="g", command=done.command, status=done.status, wall_s=done.wall_s, rounds=found,
                 device_used=after, device_before=before, err=done.err[-2000:])
    notes = ["device MiB: in use after the round, less what was in use before the process; no peer belongs to this table"]
    if before is None:
        notes.append("**MISSING** device memory: neither NVML nor nvidia-smi answers")
    if not done.good or not parse.last_json(done.out).get("passed"):
        notes.append(f"**FAILED** after {len(found)} of {rounds} rounds: {done.trouble()}")
    notes += growth(found, after)
    head = ["round", "frames", "device MiB", "RSS MiB", "RSS MiB, open", "threads", "files", "open s", "decode s", "close s"]
    return plain(title, head, rows, notes)


def growth(found, after):
    """What the last round holds more than the second, which is the first with everything warm."""
    if len(found) < 3:
        return ["**NOT KNOWN** whether memory grows: fewer than 3 rounds"]
    words = []
    if found[-1]["resident_kib"] and found[1]["resident_kib"]:
        words.append(f"RSS, last round less second: {(found[-1]['resident_kib'] - found[1]['resident_kib']) / 1024:+.1f} MiB")
    if None not in (after[1], after[-1]):
        words.append(f"device memory, last round less second: {(after[-1] - after[1]) / (1 << 20):+.1f} MiB")
    return words


def expectations(folder):
    """(clip, "frames" | "stream", expected md5s) of every clip with a list beside it."""
    found = []
    for listed in sorted(folder.rglob("*.md5")):
        clip = listed.with_suffix("")
        sums = parse.frame_sums(listed.read_text(encoding="utf-8", errors="replace"))
        if clip.is_file() and sums:
            found.append((clip, "frames", sums))
    for listed in sorted(folder.rglob("md5s.txt")):
        for name, (md5, frames) in parse.stream_sums(listed.read_text(encoding="utf-8", errors="replace")).items():
            if (listed.parent / name).is_file():
                found.append((listed.parent / name, "stream", [md5, frames]))
    return found


def exactness(programs, folder, bench, seconds):
    """Every clip's pictures against the expected ones, on one engine and on as many as there are."""
    title = "h: md5 of every frame against the expected ones"
    clips = expectations(folder)
    if not clips:
        return plain(title, ["clip"], [], [f"**MISSING** no clip with md5s under {folder}"])
    if not programs.video_hw:
        return plain(title, ["clip"], [], ["**MISSING** --video-hw was not given"])
    end = bench.clock.left() - seconds
    rows, equal, partly, wrong, left_out = [], 0, 0, 0, 0
    for clip, kind, expected in clips:
        cells = [clip.name]
        for engines in ("1", "auto"):
            until = bench.clock.left() - end
            if until < 3:
                left_out += 1
                cells.append("**NOT RUN**")
                continue
            verdict = compare(programs, clip, kind, expected, engines, min(60, until), bench)
            equal += verdict.startswith("equal")
            partly += verdict.startswith("**LIST ENDS")
            wrong += verdict.startswith(("**DIFFERENT", "**FAILED"))
            cells.append(verdict)
        rows.append(cells)
    notes = [f"{equal} equal, {partly} equal as far as the list goes, {wrong} not, {left_out} not run; no peer belongs to this table"]
    notes.append("clips that a card refuses are decoded by the CPU, which the name in brackets tells")
    return plain(title, ["clip", "1 engine", "auto"], rows, notes)


def compare(programs, clip, kind, expected, engines, limit, bench):
    """One clip once, in words."""
    # The lists of single frames are of NV12, those of whole streams of planar pictures.
    how = ["--frame-md5", "--pix-fmt", "nv12"] if kind == "frames" else ["--md5", "--pix-fmt", "yuv420p"]
    # Any other backend than auto would refuse what the card cannot do, which is no error of it.
    command = [programs.video_hw, "decode", clip, *how, "--json", "--quiet", "--keep-going"]
    command += ["--backend", "auto", "--engines", engines]
    done = child.run(command, limit)
    said = parse.last_json(done.out)
    got = [frame["md5"] for frame in said.get("frame_md5", [])] if kind == "frames" else None
    if not done.good:
        verdict = f"**FAILED** {done.trouble()}"
    elif kind == "frames":
        verdict = verdict_of_frames(got, expected)
    else:
        same = said.get("md5") == expected[0]
        verdict = "equal" if same else f"**DIFFERENT** ({said.get('frames_out')} frames, {expected[1]} expected)"
    by = (said.get("decode") or {}).get("backend")
    verdict += f" ({by})" if by else ""
    bench.record(case="h", command=done.command, status=done.status, wall_s=done.wall_s, verdict=verdict,
                 err=done.err[-500:])
    return verdict


def verdict_of_frames(got, expected):
    if got == expected:
        return "equal"
    if 0 < len(expected) < len(got) and got[: len(expected)] == expected:
        return f"**LIST ENDS**: equal as far as it goes, {len(expected)} of {len(got)} frames"
    if len(got) != len(expected):
        return f"**DIFFERENT** ({len(got)} frames, {len(expected)} expected)"
    first = next(i for i, (a, b) in enumerate(zip(got, expected)) if a != b)
    return f"**DIFFERENT** from frame {first} of {len(expected)}"
