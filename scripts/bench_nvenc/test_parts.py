"""Tests of what is made and read here: python3 -m unittest discover -s scripts."""

import pathlib
import tempfile
import unittest

from bench_nvenc import tables
from bench_nvenc.cases import Cases, Group, Row
from bench_nvenc.simulation import Simulation, frame_bytes, raw_file


def row(name, *results, **facts):
    return Row(name, [], {}, None, facts, list(results))


class Making(unittest.TestCase):
    def test_raw_pictures_have_their_size_and_differ(self):
        with tempfile.TemporaryDirectory() as folder:
            file = raw_file(pathlib.Path(folder), 64, 36, "bgra", 3)
            data = file.read_bytes()
            size = frame_bytes(64, 36, "bgra")
            self.assertEqual((size, len(data)), (64 * 36 * 4, 3 * size))
            self.assertNotEqual(data[:size], data[size:2 * size])
        self.assertEqual(frame_bytes(64, 36, "nv12"), 64 * 36 * 3 // 2)

    def test_both_sides_are_told_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            simulation = Simulation("/nowhere/libnvsim.so", folder)
            programs = {"video_hw": "v", "session": "s", "ffmpeg": "f"}
            groups = list(Cases(programs, simulation, folder, False).processes(((64, 36, 2),)))
            self.assertEqual(len(groups), 8)
            for group in groups:
                ours, theirs = group.rows
                self.assertEqual(ours.environment, theirs.environment)
                self.assertEqual(ours.command[2], theirs.command[theirs.command.index("-i") + 1])
                for a, b in [("--preset", "-preset"), ("--bitrate", "-b:v"), ("--gop", "-g"), ("--bframes", "-bf")]:
                    self.assertEqual(ours.command[ours.command.index(a) + 1], theirs.command[theirs.command.index(b) + 1])
            timed = simulation.environment(2.0)["NVSIM_SET"]
            self.assertIn("encode_ns_per_frame=2000000", timed)
            self.assertNotIn("time.", simulation.environment()["NVSIM_SET"])


class Telling(unittest.TestCase):
    def test_ratios(self):
        results = [{"process_s": s, "cpu_s": 0.1} for s in (1.0, 2.0, 3.0)]
        doubled = [{"process_s": 2 * r["process_s"], "cpu_s": 0.1} for r in results]
        group = Group("b", [row("video-hw", *results), row("ffmpeg", *doubled)], {"what": "it", "engine_ms": 0.0})
        self.assertIn("**0.50x** | 0.50 to 0.50", tables.processes([group]))
        text = tables.throughput([Group("a", [row("x", {"wall_s": 6.06, "queue_peak": 6}, ideal_s=6.0)])])
        self.assertIn("| 1.0100 | 6 |", text)

    def test_latency_is_counted_from_the_engine(self):
        runs = [{"p50_ms": 2.1, "p95_ms": p95, "p99_ms": 3, "max_ms": 4, "upload_ms": {"p50": 0.25}} for p95 in (2.2, 2.4)]
        text = tables.latency([Group("d", [row("x", *runs, engine_ms=2.0)])])
        self.assertIn("| 2.300 | 2.200 |", text)
        self.assertIn("| +0.300 | 0.250 | ? |", text)

    def test_what_failed_is_loud(self):
        broken = row("x")
        broken.faults = ["no", "no"]
        text = tables.faults([Group("c", [broken, row("y")])])
        self.assertIn("**FAILED** c, x (2x): no", text)
        self.assertIn("**NOT RUN** c y", text)


if __name__ == "__main__":
    unittest.main()
