"""The differential test notices what it is for."""

import pathlib
import tempfile
import unittest

from differential import Judge
from differential_cases import draw
from differential_syntax import Stream


class Differential(unittest.TestCase):
    def verdict(self, script, expected, complaint=""):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program")
            program.write_text("#!/bin/sh\n" + script)
            program.chmod(0o755)
            judge = Judge(str(program), folder)
            judge.expected = lambda *_: (expected, complaint)
            return judge.compare(pathlib.Path(folder, "stream.h264"))[0]

    def test_frames_are_compared_one_by_one_and_counted(self):
        two = "echo 0 0.0 16x16 yuv420p aa; echo 1 0.0 16x16 yuv420p bb\n"
        self.assertEqual(self.verdict(two, ["aa", "bb"]), "equal")
        for expected in (["aa", "cc"], ["bb", "aa"], ["aa"], ["aa", "bb", "cc"]):
            self.assertEqual(self.verdict(two, expected), "wrong", expected)

    def test_a_refusal_counts_where_what_came_before_it_is_right(self):
        refusal = "echo 0 0.0 16x16 yuv420p aa; echo 'video-hw: error: unsupported: tool' >&2; exit 3\n"
        self.assertEqual(self.verdict(refusal, ["aa", "bb"]), "refused")
        # The picture that was refused may be shown before others that are decoded before it.
        self.assertEqual(self.verdict(refusal, ["bb", "aa"]), "refused")
        self.assertEqual(self.verdict(refusal, ["bb", "cc"]), "wrong")
        self.assertEqual(self.verdict("echo 0 0.0 16x16 yuv420p bb; " + refusal, ["aa", "bb"]), "wrong")
        self.assertEqual(self.verdict("exit 1\n", ["aa"]), "wrong")

    def test_a_stream_that_the_judge_finds_damaged_proves_nothing(self):
        self.assertEqual(self.verdict("exit 1\n", ["aa"], "error while decoding"), "no stream")

    def test_a_number_is_always_the_same_stream(self):
        commands = [draw(3, number).shell() for number in range(40)]
        self.assertEqual(commands, [draw(3, number).shell() for number in range(40)])
        self.assertEqual(len(set(commands)), 40)
        self.assertEqual(Stream("1").write(), Stream("1").write())


if __name__ == "__main__":
    unittest.main()
