"""Tests of the figures and of what is read from programs: python3 -m unittest discover -s scripts."""

import pathlib
import sys
import tempfile
import unittest

from bench_nvdec import checks, child, parse, report, stats
from bench_nvdec.cases import stage_figures
from bench_nvdec.clips import Clips
from bench_nvdec.harness import Bench, Case, Row
from bench_nvdec.memory import Clock, Device
from bench_nvdec.programs import command_line, ffmpeg_figures, latency, throughput


class Figures(unittest.TestCase):
    def test_summary(self):
        found = stats.summary([3, 1, None, 2, float("nan"), 100])
        self.assertEqual((found.count, found.median, found.least, found.most), (4, 2.5, 1, 100))
        self.assertIsNone(stats.summary([None]))
        self.assertEqual(stats.summary([7]).cv, 0)
        # Standard deviation of 9, 10, 11 is 1.
        self.assertAlmostEqual(stats.summary([9, 10, 11]).cv, 10)

    def test_percentile(self):
        values = list(range(100, 0, -1))
        self.assertEqual([stats.percentile(values, p) for p in (50, 95, 99, 100)], [50, 95, 99, 100])
        self.assertEqual(stats.percentile([4], 50), 4)
        self.assertIsNone(stats.percentile([], 50))

    def test_ratio(self):
        self.assertEqual(stats.ratio(stats.summary([30]), stats.summary([20])), 1.5)
        self.assertIsNone(stats.ratio(stats.summary([30]), None))


class Reading(unittest.TestCase):
    def test_json_among_other_lines(self):
        text = 'noise {not json}\n{"a": 1}\n{"b": {"c": 2}} tail'
        self.assertEqual(parse.json_documents(text), [{"a": 1}, {"b": {"c": 2}}])
        self.assertEqual(parse.last_json("nothing {"), {})

    def test_steady_rate_leaves_out_the_start_and_the_idle_end(self):
        samples = [(0.1, 0), (0.5, 10), (1.0, 510), (1.5, 1010), (2.5, 1010)]
        self.assertAlmostEqual(parse.progress_steady(samples), 1000)
        self.assertIsNone(parse.progress_steady([(0.1, 0), (0.5, 10)]))
        self.assertIsNone(parse.progress_steady([(0.5, 10), (0.9, 10)]))
        self.assertEqual(parse.progress_frames("frame=  42"), 42)
        self.assertIsNone(parse.progress_frames("fps=30"))

    def test_md5_lists(self):
        a, b = "0" * 32, "f" * 32
        self.assertEqual(parse.frame_sums(f"{a}\n\n{b}\n# note\n"), [a, b])
        self.assertEqual(parse.stream_sums(f"{a} 30 0 A B.264\nnot a line\n"), {"A B.264": (a, 30)})
        self.assertEqual(checks.verdict_of_frames([a, b], [a, b]), "equal")
        self.assertIn("frame 1", checks.verdict_of_frames([a, a], [a, b]))
        self.assertIn("1 frames, 2 expected", checks.verdict_of_frames([a], [a, b]))
        self.assertIn("1 of 2 frames", checks.verdict_of_frames([a, b], [a]))
        self.assertIn("2 frames, 1 expected", checks.verdict_of_frames([b, a], [a]))

    def test_failed_checks(self):
        self.assertIsNone(parse.failed_checks({"passed": True, "lost": 1}))
        said = parse.failed_checks({"passed": False, "misplaced": 3, "lost": 0, "frames_each": [3], "surface": "host"})
        self.assertEqual(said, "its checks failed: 3 misplaced, 3 frames in host memory")

    def test_last_words(self):
        self.assertEqual(parse.last_words("hello\nerror: no card\nUsage"), "error: no card")
        self.assertEqual(parse.last_words(""), "no words")

    def test_reports_that_say_no_are_no_figures(self):
        def finished(out, err="", lines=()):
            return child.Done([], status=0, out=out, err=err, lines=list(lines), ended_ns=3_000_000)

        good = '{"passed":true,"fps":10.5,"frames":3,"peak_resident_kib":2048}'
        self.assertEqual((throughput(finished(good))["fps"], throughput(finished(good))["rss_mib"]), (10.5, 2))
        with self.assertRaises(ValueError):
            throughput(finished('{"passed":false,"fps":10.5}'))
        with self.assertRaises(ValueError):
            latency(finished('{"passed":false,"missed":3,"packets":4}'))
        with self.assertRaises(ValueError):
            command_line(finished('{"ledger":{"balances":false},"fps":1,"frames_out":1}'))
        lines = [(0.5, "frame=1"), (1.5, "frame=11"), (1.6, "progress=end")]
        self.assertAlmostEqual(ffmpeg_figures(finished("", lines=lines))["fps"], 10)
        with self.assertRaises(ValueError):
            ffmpeg_figures(finished("", lines=[(0.1, "frame=0")]))
        with self.assertRaises(ValueError):
            ffmpeg_figures(finished("", err="Failed setup for format cuda", lines=lines))
        said = '{"passed":true,"process_start_ms":2,"steps":[{"step":"x","at_ms":5}],"main_ends_ns":1000000}'
        self.assertEqual(stage_figures(finished(said))["steps"][-1], ("the process is gone", 9))


class Running(unittest.TestCase):
    def test_a_program_that_hangs_is_stopped_and_says_so(self):
        done = child.run([sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"], 0.5)
        self.assertTrue(done.timed_out and not done.good and done.wall_s < 30)
        self.assertIn("its limit", done.trouble())
        self.assertFalse(child.run(["/no/such/program"], 1).good)

    def test_what_is_missing_fails_or_finds_no_time_is_told(self):
        def count(done):
            return {"fps": float(parse.last_json(done.out)["fps"])}

        say = [sys.executable, "-c", "print('{\"fps\": 7}')"]
        rows = [
            Row("works", say, count),
            Row("gone", say, count, ours=False, missing="it was not given"),
            Row("breaks", [sys.executable, "-c", "raise SystemExit('error: no card')"], count),
            Row("short", say, count, frames=9),
            Row("too slow", say, count, longest=1e6),
        ]
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(pathlib.Path(folder), Clock(60), Device(), 2)
            case = Case("x", "a test", rows, "fps", [("fps", "fps", 0)])
            bench.run(case, 50)
            bench.close()
            raw = (pathlib.Path(folder) / "runs.jsonl").read_text()
        text = report.table(case, 2)
        self.assertIn("| works | 2 | 7 | 7 | 7 | 0.0 |", text)
        self.assertIn("**MISSING** gone: it was not given", text)
        self.assertIn("**FAILED** breaks (2x): status 1: error: no card", text)
        self.assertIn("**NOT RUN** too slow: 2 of 2 runs", text)
        self.assertIn("**FRAMES** short: None came, 9 were expected", text)
        self.assertIn("**NO PEER**", text)
        self.assertEqual(len([d for d in parse.json_documents(raw) if "wall_s" in d]), 6)

    def test_records_name_programs_and_folders_only(self):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(pathlib.Path(folder), Clock(60), Device(), 2, ["/one/machine/bin/many", "/one/machine", None])
            bench.record(command=["/one/machine/bin/many", "/one/machine/a.h264"])
            bench.close()
            raw = (pathlib.Path(folder) / "runs.jsonl").read_text()
        self.assertEqual(raw, '{"command": ["many", "machine/a.h264"]}\n')

    def test_clips_are_put_behind_themselves(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "h264.h264").write_bytes(b"abc")
            clips = Clips(folder, folder)
            self.assertEqual(clips.stream("h264", 3).read_bytes(), b"abcabcabc")
            self.assertIsNone(clips.missing("h264"))
            self.assertIn("not there", clips.missing("hevc"))
            self.assertIsNone(clips.container("h264", 2))


if __name__ == "__main__":
    unittest.main()
