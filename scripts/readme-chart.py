#!/usr/bin/env python3
"""Draws the chart of the README from the tables of runs on an H200 that are kept in docs/bench/h200.

    scripts/readme-chart.py            writes docs/img/h200.svg
    scripts/readme-chart.py --check    fails where that file is not what would be written

Python 3 and nothing else. The picture follows the viewer's light or dark colours and has a background of its own, so that it can
be read on any page.
"""

import argparse
import pathlib
import sys
from html import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORDS = ROOT / "docs/bench/h200"
CHART = ROOT / "docs/img/h200.svg"

# Per codec: the group of bars, whose bar it is, what to call it, and where its row is: file, section (the codec follows), row.
ONE, ALL, MANY = "ahg/tables.md", "bc/tables-b.md", "bc/tables-c-{codec}.md"
BARS = [
    ("One file", "ours", "video-hw, all 7 engines", ALL, "b", "ours, auto, device frames"),
    ("One file", "ours", "video-hw, one engine", ONE, "a", "ours, device frames"),
    ("One file", "peer", "PyNvVideoCodec (one engine)", ONE, "a", "PyNvVideoCodec lowlevel, device frames"),
    ("One file", "peer", "ffmpeg -hwaccel cuda (one engine)", ONE, "a", "ffmpeg -hwaccel cuda, device frames"),
    ("14 streams at once", "ours", "video-hw, 14 sessions", MANY, "c", "ours, 14 sessions, device frames"),
    ("14 streams at once", "peer", "PyNvVideoCodec, 14 threads", MANY, "c", "PyNvVideoCodec, 14 threads, device frames"),
]
CODECS = {"h264": "H.264", "hevc": "HEVC"}

WIDTH, LEFT, RIGHT, BAR, STEP = 860, 260, 70, 16, 24

STYLE = """
  svg { --back: #ffffff; --text: #1f2328; --soft: #59636e; --ours: #1f7a4d; --peer: #afb8c1; --line: #d1d9e0 }
  @media (prefers-color-scheme: dark) {
    svg { --back: #0d1117; --text: #f0f6fc; --soft: #9198a1; --ours: #3fb978; --peer: #545d68; --line: #3d444d }
  }
  text { font: 13px system-ui, sans-serif; fill: var(--text) }
  .title { font-size: 16px; font-weight: 600 }
  .codec { font-size: 14px; font-weight: 600 }
  .soft { font-size: 12px; fill: var(--soft) }
  .end { text-anchor: end }
  .back { fill: var(--back) }
  .ours { fill: var(--ours) }
  .peer { fill: var(--peer) }
  .line { stroke: var(--line) }
"""


def figure(path, section, row):
    """Number of runs and median of a row: its second and third cells, below the heading of the section."""
    inside = False
    for line in path.read_text().splitlines():
        if line.startswith("## "):
            inside = line.startswith(f"## {section}:")
        elif inside and line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if cells[0] == row:
                return int(cells[1]), int(cells[2].replace(",", ""))
    raise ValueError(f"{path} has no row {row!r} below {section}")


def figures(codec, records=RECORDS):
    """Of each bar its group, whose it is, its name, the number of runs, and frames per second."""
    return [
        (group, whose, name, *figure(records / file.format(codec=codec), f"{case}-{codec}", row))
        for group, whose, name, file, case, row in BARS
    ]


def chart(records=RECORDS):
    """The SVG document."""
    data = {codec: figures(codec, records) for codec in CODECS}
    runs = [count for bars in data.values() for *_, count, _ in bars]
    scale = (WIDTH - LEFT - RIGHT) / max(fps for bars in data.values() for *_, fps in bars)
    parts, y = [], 30

    def text(x, y, kind, words):
        parts.append(f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>')

    text(20, y, "title", "Decoding 1080p video on one H200, frames per second")
    y += 20
    text(20, y, "soft", "Pictures stay in the card's memory. One file: 12,120 frames on all engines, 2,424 on one. Higher is better.")
    for codec, bars in data.items():
        y += 32
        text(20, y, "codec", CODECS[codec])
        before = None
        for group, whose, name, _, fps in bars:
            if group != before:
                y += 22 if before is None else 30
                text(LEFT, y, "soft", group)
                before, y = group, y + 8
            length = round(fps * scale, 1)
            text(LEFT - 10, y + 13, "end", name)
            parts.append(f'<rect class="{whose}" x="{LEFT}" y="{y}" width="{length}" height="{BAR}" rx="2"/>')
            text(round(LEFT + length + 8, 1), y + 13, "fps", f"{fps:,}")
            y += STEP
        y += 4
    y += 14
    parts.append(f'<line class="line" x1="20" y1="{y}" x2="{WIDTH - 20}" y2="{y}"/>')
    y += 20
    text(20, y, "soft", f"Medians of {min(runs)} to {max(runs)} interleaved runs by scripts/bench-nvdec.py; all of them: docs/bench/h200.md")
    height = y + 16
    told = "; ".join(
        f"{CODECS[codec]}: " + ", ".join(f"{name} {fps:,}" for _, _, name, _, fps in bars) for codec, bars in data.items()
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
            "<title>Decoding 1080p video on one H200, frames per second</title>",
            f"<desc>{escape(told)}</desc>",
            f"<style>{STYLE}</style>",
            f'<rect class="back" width="{WIDTH}" height="{height}" rx="6"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the file would change")
    if not parser.parse_args().check:
        CHART.write_text(chart())
    elif not CHART.is_file() or CHART.read_text() != chart():
        sys.exit(f"{CHART.relative_to(ROOT)} is not what {pathlib.Path(__file__).name} draws; run it")


if __name__ == "__main__":
    main()
