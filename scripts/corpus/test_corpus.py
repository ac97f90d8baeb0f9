"""Tests of the judge and of the edits: python3 -m unittest discover -s scripts."""

import pathlib
import struct
import tempfile
import unittest
from fractions import Fraction

from corpus import isobmff, judge, nal, truth
from corpus.__main__ import all_cases
from corpus.judge import Answer

A, B, C = "a" * 32, "b" * 32, "c" * 32
CASE = {"name": "x", "times": True, "frames": [[0.0, A], [0.04, B], [0.08, C]]}
RIGHT = [(0.0, A), (0.04, B), (0.08, C)]


def verdict(expect, code, frames, words="", times=True):
    return judge.judge({**CASE, "times": times}, expect, Answer(code, frames, words))


class Judging(unittest.TestCase):
    def test_equal_is_every_frame_at_its_time(self):
        self.assertTrue(verdict("equal", 0, RIGHT).good)
        for frames in [RIGHT[:2], RIGHT + [(0.12, A)], [RIGHT[1], RIGHT[0], RIGHT[2]], [(0.0, A), (0.05, B), (0.08, C)]]:
            found = verdict("equal", 0, frames)
            self.assertEqual((found.good, found.word), (False, "DIFFERENT"), frames)
        self.assertTrue(verdict("equal", 0, [(0.0, A), (0.5, B), (1.0, C)], times=False).good)

    def test_refused_is_by_the_word_and_after_nothing_wrong(self):
        self.assertTrue(verdict("refused 4:2:2", 3, [], "not supported: HEVC Main 4:2:2 10").good)
        self.assertTrue(verdict("refused 4:2:2", 3, RIGHT[:1], "HEVC 4:2:2").good)
        self.assertFalse(verdict("refused 4:2:2", 3, [], "something else").good)
        self.assertFalse(verdict("refused 4:2:2", 3, [(0.0, B)], "HEVC 4:2:2").good)
        self.assertFalse(verdict("refused 4:2:2", 0, RIGHT).good)
        self.assertFalse(verdict("equal", 3, [], "HEVC 4:2:2").good)

    def test_any_is_equal_or_refused_by_name(self):
        self.assertTrue(verdict("any", 0, RIGHT).good)
        self.assertTrue(verdict("any", 3, [], "4:2:2 is not decoded by this card").good)
        self.assertFalse(verdict("any", 3, [], "the input holds no frame in the wanted part").good)
        self.assertFalse(verdict("any", 3, [], "").good)
        self.assertFalse(verdict("any", 0, RIGHT[:2]).good)

    def test_damage_is_told_and_costs_no_whole_frame(self):
        self.assertTrue(verdict("damaged 2", 1, RIGHT[:2], "corrupt stream").good)
        self.assertFalse(verdict("damaged 2", 1, RIGHT[:1], "corrupt stream").good)
        self.assertFalse(verdict("damaged 2", 1, [(0.0, A), (0.04, C)], "corrupt stream").good)
        self.assertFalse(verdict("damaged 2", 0, RIGHT[:2]).good, "without a word")

    def test_crashes_and_hangs_are_never_good(self):
        for code in (None, 2, 5, 70, -11, 134):
            for expect in ("equal", "refused x", "any", "damaged 1"):
                self.assertFalse(verdict(expect, code, RIGHT, "x").good, (code, expect))

    def test_lines_of_the_program(self):
        lines = f"0 0.000000 176x144 yuv420p {A}\n1 0.040000 176x144 yuv420p {B}\nnoise\n"
        self.assertEqual(judge.parse(lines.encode()), RIGHT[:2])


class Edits(unittest.TestCase):
    MEDIA = [(Fraction(i, 25), Fraction(1, 25), str(i)) for i in range(10)]

    def shown(self, *edits):
        return [(float(time), md5) for time, md5 in truth.presented(self.MEDIA, edits, 1000, 100)]

    def test_presentation_by_the_standard(self):
        self.assertEqual(self.shown((80, 4, 1)), [(0.0, "1"), (0.04, "2")])
        self.assertEqual(self.shown((500, -1, 1), (40, 0, 1)), [(0.5, "0")])
        self.assertEqual(self.shown((40, 0, 1), (40, 0, 1)), [(0.0, "0"), (0.04, "0")])
        self.assertEqual(self.shown((160, 0, Fraction(1, 2))), [(0.0, "0"), (0.08, "1")])
        self.assertEqual(self.shown((500, 9, 0)), [(0.0, "2")])
        # The frame on screen when the edit begins is shown from there on.
        self.assertEqual(self.shown((80, 6, 1)), [(0.0, "1"), (0.02, "2"), (0.06, "3")])
        self.assertEqual(len(self.shown((0, 0, 1))), 10)
        self.assertEqual(self.shown((0, 4, 1), (40, 0, 1)), [(0.0, "0")])

    def test_boxes_survive_reading_and_writing(self):
        stts = isobmff.Box(b"stts")
        isobmff.set_table(stts, ">II", isobmff.runs([5, 5, 7]))
        stbl = isobmff.Box(b"stbl", children=[stts])
        wide = isobmff.Box(b"mdat", b"abc")
        wide.wide = True
        data = bytes(isobmff.Box(b"moov", children=[stbl])) + bytes(wide)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "x.mp4")
            path.write_bytes(data)
            file = isobmff.read(path)
            self.assertEqual(isobmff.expand(isobmff.table(file.find("moov/stbl/stts"), ">II")), [5, 5, 7])
            isobmff.write(file, path)
            self.assertEqual(path.read_bytes(), data)
        self.assertEqual(struct.unpack(">I4sQ", bytes(wide)[:16]), (1, b"mdat", 19))

    def test_nal_units(self):
        data = b"\0\0\0\1\x67ab\0\0\1\x68c\0\0\0"
        self.assertEqual(nal.split(data), [b"\x67ab", b"\x68c"])
        self.assertEqual(nal.split(nal.join(nal.split(data), b"\0\0\1", b"\0\0")), nal.split(data))
        self.assertTrue(nal.h264_is_intra(b"\x65\x88\x80"))
        self.assertFalse(nal.h264_is_intra(b"\x41\x9a\x80"))


class List(unittest.TestCase):
    def test_every_case_says_what_it_expects(self):
        cases = all_cases()
        self.assertGreaterEqual(len(cases), 150)
        for case in cases:
            for expect in case.expect.values():
                self.assertRegex(expect, r"^(equal|near|any( .+)?|refused .+|refused|damaged)$", case.name)
        self.assertGreaterEqual(sum(case.short for case in cases), 20)


if __name__ == "__main__":
    unittest.main()
