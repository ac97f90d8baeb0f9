"""Every name in the columns `today` of docs/decisions.md exists: items, settings, flags, variables, metrics, files."""

import re
import unittest

from known_names import ROOT, problem

PAGE = ROOT / "docs/decisions.md"


def tables(text):
    """The rows of the tables that have a column `today`, each as a list of cells with the number of that column."""
    column = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] if line.startswith("|") else []
        if not cells:
            column = None
        elif "today" in cells:
            column = cells.index("today")
        elif column is not None and not set(line) <= set("|-"):
            yield column, cells


def names(row):
    """The names of the cell; where it says "the same" or "with these fields", those of the cell before it too."""
    column, cells = row
    found = re.findall(r"`([^`]+)`", cells[column])
    if cells[column].startswith("the same"):
        found = re.findall(r"`([^`]+)`", cells[column - 1]) + found
    if "with these fields" in cells[column]:
        fields = cells[column - 1].split(": ", 1)[1].split(", ")
        found += [f"{found[0].rpartition('::')[2]}::{field}" for field in fields]
    for name in found:
        group = re.fullmatch(r"(\w+)::\{([^}]*)\}", name)
        yield from (f"{group.group(1)}::{one.strip()}" for one in group.group(2).split(",")) if group else [name]


class Decisions(unittest.TestCase):
    def test_names_of_today_exist(self):
        checked = 0
        for row in tables(PAGE.read_text()):
            for name in names(row):
                checked += 1
                with self.subTest(name=name, row=row[1][0]):
                    self.assertIsNone(problem(name))
        self.assertGreater(checked, 200)

    def test_every_row_says_what_is_there_today(self):
        for column, cells in tables(PAGE.read_text()):
            with self.subTest(row=cells[0]):
                self.assertTrue(len(cells) > column and cells[column], "an empty cell")

    def test_lengths_of_queues_are_those_of_the_sessions(self):
        lengths = []
        for file in ("decode", "encode"):
            code = (ROOT / f"src/session/{file}.rs").read_text()
            lengths += [re.search(rf"const {queue}_QUEUE: usize = (\d+);", code).group(1) for queue in ("INPUT", "OUTPUT")]
        self.assertIn(", ".join(lengths) + " (`src/session/decode.rs`", PAGE.read_text())

    def test_rows_are_not_named_by_numbers(self):
        self.assertIsNone(re.search(r"(?i)\brows? \d|\|\s*\d+\s*\|", PAGE.read_text()))

    def test_the_check_finds_names_that_are_not_there(self):
        missing = ["control::NoSuchThing", "queue::bounded", "Candidate::NOTHING", "StreamSpec::debits", "nothing_of_this_name"]
        missing += ["--no-such-option", "--protocol no_such_value", "VIDEO_HW_NOTHING", "encoder_nothing_total", "src/nothing.rs"]
        for name in missing:
            with self.subTest(name=name):
                self.assertIsNotNone(problem(name))
        for name in ["Error::DeviceLost", "frame::Frame", "Frame::pts", "--bframes", "src/control", "transcode"]:
            with self.subTest(name=name):
                self.assertIsNone(problem(name))
        [row] = tables("| expected | today |\n|---|---|\n| `A::{B, C}` | the same, and `d` |\n\n| x | y |\n|---|---|\n| `e` | `f` |\n")
        self.assertEqual(list(names(row)), ["A::B", "A::C", "d"])
