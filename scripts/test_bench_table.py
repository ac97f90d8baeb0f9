"""Marks of figures whose code has changed, and the page that they are in."""

import importlib.util
import pathlib
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SPEC = importlib.util.spec_from_file_location("bench_table", HERE / "bench-table.py")
bench_table = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench_table)

# Records as programs wrote them; a page beside one shows the same.
RECORDS = [path for path in sorted(bench_table.BENCH.glob("*/**/*")) if path.is_file()]


class Clone(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = pathlib.Path(scratch.name) / "clone"
        self.root.mkdir()

    def git(self, *words):
        of = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", "-C", str(self.root), *of, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, file, text):
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.git("add", file)
        self.git("commit", "--quiet", "--message", f"{file}: {text}")
        return self.git("rev-parse", "--short", "HEAD")

    def test_a_change_of_the_code_marks_and_another_does_not(self):
        self.git("init", "--quiet")
        first = self.commit("src/decode/a.rs", "one")
        self.commit("docs/page.md", "words")
        self.assertEqual(bench_table.mark(first, ["src/decode"], self.root), bench_table.SAME)
        self.commit("src/decode/a.rs", "two")
        self.assertEqual(bench_table.mark(first, ["src/decode"], self.root), bench_table.CHANGED)
        self.assertEqual(bench_table.mark(first, ["src/encode"], self.root), bench_table.SAME)
        last = self.git("rev-parse", "--short", "HEAD")
        self.assertEqual(bench_table.mark(last, ["src/decode"], self.root), bench_table.SAME)
        self.assertEqual([line.split(" ", 2)[2] for line in bench_table.changes(first, ["src"], self.root)], ["src/decode/a.rs: two"])

    def test_vendors_are_not_in_the_files_beside_them(self):
        self.git("init", "--quiet")
        first = self.commit("src/backend/seam.rs", "one")
        self.commit("src/backend/vpl/mod.rs", "one")
        glob = next(path for path in bench_table.CORRIDOR if path.endswith("*.rs"))
        self.assertEqual(bench_table.mark(first, [glob], self.root), bench_table.SAME)
        self.commit("src/backend/seam.rs", "two")
        self.assertEqual(bench_table.mark(first, [glob], self.root), bench_table.CHANGED)

    def test_what_cannot_be_known_is_said(self):
        # No repository; the folder is not inside of one.
        self.assertEqual(bench_table.mark("0d5b5d3", ["src"], self.root), bench_table.UNKNOWN)
        self.git("init", "--quiet")
        first = self.commit("src/a.rs", "one")
        self.commit("src/a.rs", "two")
        shallow = self.root.parent / "shallow"
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{self.root}", str(shallow)], check=True)
        self.assertEqual(bench_table.mark(first, ["src"], shallow), bench_table.UNKNOWN)
        self.assertEqual(bench_table.mark(first, ["src"], self.root), bench_table.CHANGED)

    def test_without_git(self):
        run, bench_table.subprocess.run = bench_table.subprocess.run, self.no_program
        try:
            self.assertEqual(bench_table.mark("0d5b5d3", ["src"]), bench_table.UNKNOWN)
        finally:
            bench_table.subprocess.run = run

    @staticmethod
    def no_program(*_, **__):
        raise FileNotFoundError("git")


class Table(unittest.TestCase):
    def test_every_record_has_its_commit(self):
        known = bench_table.records()
        for path in RECORDS:
            with self.subTest(record=path):
                entry = bench_table.measured_at(str(path.relative_to(bench_table.BENCH)), known)
                self.assertIn(entry["measures"], bench_table.PATHS)
        for name, entry in known.items():
            with self.subTest(record=name):
                self.assertTrue((bench_table.BENCH / entry.get("page", name)).exists())
                self.assertRegex(entry["commit"], "^[0-9a-f]{7,}$")
                kind = bench_table.git("cat-file", "-t", entry["commit"])
                self.assertIn(kind, {"commit\n", None}, "no commit")

    def test_the_code_that_figures_depend_on_is_there(self):
        for measures, paths in bench_table.PATHS.items():
            for path in paths:
                with self.subTest(measures=measures, path=path):
                    self.assertTrue(list(bench_table.ROOT.glob(path.removeprefix(":(glob)"))))

    def test_the_page_lists_every_record(self):
        page = bench_table.TABLE.read_text()
        for name, entry in bench_table.records().items():
            self.assertIn(f"]({entry.get('page', name)}) | {entry['measures']} | `{entry['commit']}` |", page)

    def test_a_part_of_the_page_is_replaced(self):
        text = "a\n<!-- figures: scripts/bench-table.py -->\nold\n<!-- end of figures -->\nb\n"
        made = bench_table.page(text, {"figures": "new\n"})
        self.assertEqual(made, text.replace("old", "\nnew\n"))
        self.assertEqual(bench_table.page(made, {"figures": "new\n"}), made)

    def test_marks_that_cannot_be_made_are_not_compared(self):
        row = "| a | 0.58 | {} |\n"
        same = {bench_table.without_marks(row.format(mark)) for mark in (bench_table.CHANGED, bench_table.SAME, bench_table.UNKNOWN)}
        self.assertEqual(len(same), 1)
        self.assertNotEqual(bench_table.without_marks("| a | 0.62 | unknown |\n"), same.pop())

    def test_aims_are_the_programs(self):
        row = {"aim": 0.58, "aim_found": "MISSED, within the spread; best runs 0.60x of 0.49x"}
        self.assertEqual(bench_table.aim(row), "0.58: **missed**, within the spread; best runs 0.60 of 0.49")


if __name__ == "__main__":
    unittest.main()
