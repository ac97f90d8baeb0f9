"""Rows that are run in turn, again and again, until there are enough of each or the time is up."""

import json
import pathlib
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

from . import child, stats
from .machine import gpu_now

GRACE = 2.0  # seconds kept for writing the report


@dataclass
class Row:
    """One line of a table: one program with one set of options."""

    name: str
    command: list
    figures: Callable  # a finished run -> {name: number}
    ours: bool = True
    missing: Optional[str] = None  # why it cannot be run at all
    watch: bool = False  # look at device memory
    most: Optional[int] = None  # no more runs than this
    limit: float = 120.0
    stamp: Optional[str] = None
    reference: bool = True  # a peer that ours is compared with
    frames: Optional[int] = None  # how many a peer should give; ours checks that itself
    # What came of it:
    results: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    skipped: int = 0
    longest: float = 0.0

    def wrong_counts(self):
        """Numbers of frames that are not the one expected."""
        found = {result.get("frames") for result in self.results}
        return sorted(found - {self.frames}, key=str) if self.frames else []

    def summary(self, figure):
        return stats.summary([result.get(figure) for result in self.results])


@dataclass
class Case:
    """One table."""

    key: str
    title: str
    rows: list
    main: str  # the figure that rows are compared by
    columns: list  # (figure, heading, digits)
    higher_is_better: bool = True
    notes: list = field(default_factory=list)

    def best_peer(self):
        found = [(row.summary(self.main), row) for row in self.rows if not row.ours and row.reference]
        found = [(summary, row) for summary, row in found if summary]
        pick = max if self.higher_is_better else min
        return pick(found, key=lambda pair: pair[0].median, default=(None, None))


class Bench:
    """Runs cases within a time, and keeps every run."""

    def __init__(self, out, clock, device, repeat, known=()):
        self.clock, self.device, self.repeat = clock, device, repeat
        # Programs and folders, longest first: one may lie in another.
        self._known = sorted((pathlib.Path(path) for path in known if path), key=lambda path: -len(str(path)))
        self.raw = open(out / "runs.jsonl", "w", encoding="utf-8")
        self.cases = []

    def close(self):
        self.raw.close()

    def record(self, **what):
        text = json.dumps(what, default=str)
        # Where programs and folders lie on one machine is nobody's business: their names are enough.
        for path in self._known:
            text = text.replace(str(path), path.name)
        self.raw.write(text + "\n")
        self.raw.flush()

    def measure(self, case_key, row, until):
        """One run of one row; its figures, or None. What went wrong is noted in the row."""
        left = min(until, self.clock.left() - GRACE)
        begun = time.time()
        done = child.run(row.command, min(row.limit, left), self.device if row.watch else None, stamp=row.stamp)
        row.longest = max(row.longest, done.wall_s)
        figures, fault = {}, None
        if done.good:
            try:
                figures = {**resources(done), **row.figures(done)}
            except (KeyError, TypeError, ValueError) as error:
                fault = f"its report was not understood: {error!r}"
        else:
            fault = done.trouble()
        if fault:
            row.faults.append(fault)
        else:
            row.results.append(figures)
        self.record(
            case=case_key, row=row.name, ours=row.ours, at=begun, command=done.command, status=done.status,
            timed_out=done.timed_out, wall_s=done.wall_s, cpu_s=done.cpu_s, peak_rss_kib=done.peak_rss_kib,
            device_mib=done.device_mib, figures=figures, fault=fault,
            out=done.out[-4000:], err=done.err[-2000:],
        )
        return None if fault else figures

    def run(self, case, seconds):
        """All rows in turn: A B C A B C."""
        self.cases.append(case)
        end = self.clock.left() - seconds
        self.record(case=case.key, title=case.title, gpu_before=gpu_now(), seconds=seconds)
        for row in case.rows:
            if row.missing:
                self.record(case=case.key, row=row.name, missing=row.missing)
        for turn in range(self.repeat):
            for row in case.rows:
                enough = row.most is not None and turn >= row.most
                # What failed twice running will fail again.
                if row.missing or enough or len(row.faults) >= 2:
                    continue
                until = self.clock.left() - end
                if until < (row.longest * 1.25 if row.longest else 3.0) or self.clock.left() < GRACE + 3.0:
                    row.skipped += 1
                    continue
                self.measure(case.key, row, until)
        for row in case.rows:
            if row.skipped:
                self.record(case=case.key, row=row.name, not_run=row.skipped, why="no time left")


def resources(done):
    return {
        "process_s": done.wall_s,
        "cpu_s": done.cpu_s,
        "rss_mib": done.peak_rss_kib / 1024 if done.peak_rss_kib else None,
        "device_mib": done.device_mib,
    }
