"""Reading what programs print."""

import json
import re

MD5 = re.compile(r"^[0-9a-f]{32}$")


def json_documents(text):
    """Every JSON object in `text`, which may hold other lines too, one behind the other."""
    decoder = json.JSONDecoder()
    found, at = [], 0
    while True:
        at = text.find("{", at)
        if at < 0:
            return found
        try:
            value, at = decoder.raw_decode(text, at)
            found.append(value)
        except ValueError:
            at += 1


def last_json(text):
    """The last JSON object in `text`; an empty one where there is none."""
    documents = json_documents(text)
    return documents[-1] if documents else {}


def failed_checks(report):
    """What a report that says it did not pass found wrong, in words; None where it passed or does not say."""
    if report.get("passed") is not False:
        return None
    names = ("misplaced", "different", "disordered", "lost", "missed", "strangers")
    found = [f"{report[name]} {name}" for name in names if report.get(name)]
    found += ["its ledger does not balance"] if report.get("balances") is False else []
    counts = sorted(set(report.get("frames_each") or [report.get("frames")]), key=str)
    place = f" in {report['surface']} memory" if report.get("surface") else ""
    found.append(f"{', '.join(map(str, counts))} frames{place}")
    return "its checks failed: " + ", ".join(found)


def progress_steady(samples):
    """Frames a second from the first to the last report of ffmpeg's progress.

    `samples` are (seconds, frames) as they arrived. The first report with frames in it is where counting starts, so the
    start of the process is left out. None where there are not two such reports.
    """
    running = [(at, frames) for at, frames in samples if frames > 0]
    if len(running) < 2 or running[-1][1] <= running[0][1]:
        return None
    # Reports that came while the last frame was out already would make it look slower than it was.
    last = next(sample for sample in running if sample[1] == running[-1][1])
    first = running[0]
    return (last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else None


def progress_frames(line):
    """The number in ffmpeg's `frame=123`; None for other lines."""
    match = re.fullmatch(r"frame=\s*(\d+)\s*", line)
    return int(match.group(1)) if match else None


def frame_sums(text):
    """One md5 a line, as the cros-codecs lists have them."""
    return [line.split()[0] for line in text.splitlines() if line.split() and MD5.match(line.split()[0])]


def stream_sums(text):
    """`MD5 FRAMES ERRORS FILE` a line: {file: (md5, frames)}."""
    found = {}
    for line in text.splitlines():
        parts = line.split(None, 3)
        if len(parts) == 4 and MD5.match(parts[0]) and parts[1].isdigit():
            found[parts[3].strip()] = (parts[0], int(parts[1]))
    return found


def last_words(text, limit=200):
    """The end of what a program said, as one line: why it failed, most likely."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error|fail|cannot|unexpected argument|not ", line, re.I)]
    words = (errors or lines or ["no words"])[-1]
    return words if len(words) <= limit else words[: limit - 3] + "..."
