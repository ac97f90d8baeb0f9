"""The differential test of copies and cuts finds a planted wrong frame."""

import json
import pathlib
import tempfile
import types
import unittest

from differential_cuts import Frame, Judge, Source, Wrong, holds, jobs_of, psnr, reason, same_times


def film(md5s, step=0.04):
    return [Frame(number * step, md5) for number, md5 in enumerate(md5s)]


FILM = film("abcdefgh")


class Planted(Judge):
    """A judge whose program gives what the test plants."""

    def __init__(self, given, codec="h264", target="mkv"):
        source = types.SimpleNamespace(codec=codec, container="mp4", path="in.mp4", size="8x8", folder=pathlib.Path("."))
        super().__init__("program", source)
        self.given, self.chosen = given, target
        self.asked = []

    def target(self):
        return self.chosen

    def decoded(self, *arguments, **how):
        self.asked.append(arguments)
        return self.given(arguments) if callable(self.given) else self.given

    def written(self, *arguments, **how):
        return pathlib.Path("out"), {"exact": {"encoded_at_start": 0, "encoded_at_end": 0}}

    def theirs(self, path):
        return self.given, ""

    def part(self, frames):
        return ["0.06", "0.16"], frames[2:6]


class DifferentialCuts(unittest.TestCase):
    def test_a_wrong_frame_is_found_in_each_command(self):
        inside = FILM[2:6]
        planted = [*inside[:2], Frame(inside[2].at, "X"), inside[3]]
        for command in ("trim", "exact", "start"):
            Planted(inside).judge(command, FILM)
            for wrong in (planted, inside[:-1], inside[1:], inside[::-1], []):
                with self.assertRaises(Wrong, msg=f"{command} {wrong}"):
                    Planted(wrong).judge(command, FILM)
        Planted(FILM).judge("copy", FILM)
        for at in range(len(FILM)):
            with self.assertRaises(Wrong):
                Planted([*FILM[:at], Frame(FILM[at].at, "X"), *FILM[at + 1 :]]).judge("copy", FILM)

    def test_a_wrong_frame_is_found_among_chosen_ones(self):
        def chosen(arguments):
            return [FILM[int(number)] for number in arguments[-1].split(",")]

        Planted(chosen).judge("frames_at", FILM)
        with self.assertRaises(Wrong):
            Planted(lambda arguments: [*chosen(arguments)[:-1], Frame(0, "X")]).judge("frames_at", FILM)

    def test_every_begins_at_the_first_frame(self):
        late = [Frame(frame.at + 10, frame.md5) for frame in film("abcdefghijklmnopqrstuvwxyz")]

        def sampled(start):
            def answer(arguments):
                step, found, at = int(arguments[-1][:-2]) / 1000, [], start
                while at < late[-1].at + 0.04:
                    found += [f for f in late if f.at <= at + 1e-9][-1:]
                    at += step
                return found

            return answer

        Planted(sampled(10.0)).judge("every", late)
        with self.assertRaises(Wrong):
            Planted(sampled(10.06)).judge("every", late)

    def test_frames_around_a_part_are_those_of_the_source(self):
        self.assertEqual(holds("x", FILM[1:7], FILM[2:5], FILM), FILM[2:5])
        # What is shown behind the end may have gaps.
        holds("x", [*FILM[1:5], FILM[6]], FILM[2:5], FILM)
        for found in ([FILM[3], *FILM[2:5]], [*FILM[2:5], FILM[0]], [*FILM[2:5], Frame(1, "X")]):
            with self.assertRaises(Wrong):
                holds("x", found, FILM[2:5], FILM)

    def test_times_count_from_the_first_frame(self):
        same_times("x", [Frame(f.at + 5, f.md5) for f in FILM], FILM)
        with self.assertRaises(Wrong):
            same_times("x", film("abcdefgh", 0.0334), FILM)

    def test_what_is_encoded_anew_has_to_look_like_the_source(self):
        grey = bytes([120]) * 64
        self.assertGreater(psnr(grey, bytes([121]) * 64), 40)
        self.assertLess(psnr(grey, bytes([180]) * 64), 20)

    def test_a_job_is_always_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            one, other = (Source(3, 7, pathlib.Path(folder)) for _ in range(2))
            self.assertEqual((one.kind, one.container, one.frames), (other.kind, other.container, other.frames))

    def test_equal_refusals_are_counted_together(self):
        one = reason("video-hw: error: unsupported: /tmp/cuts-a/source.mp4: a part from 1.200 s on")
        self.assertEqual(one, reason("video-hw: error: unsupported: /tmp/cuts-b/source.mp4: a part from 3.500 s on"))

    def test_a_program_that_gives_a_wrong_frame_fails_with_its_seed(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program")
            program.write_text("#!/bin/sh\necho 0 0.0 16x16 yuv420p aa\n")
            program.chmod(0o755)
            arguments = types.SimpleNamespace(seed=1, first=0, jobs=6, folder=folder, keep=None, program=str(program))
            results = jobs_of(arguments, 0)
        self.assertIn("wrong", [state for _, state, _ in results], json.dumps(results))
        self.assertTrue(any("seed 1 job 0" in line for _, _, lines in results for line in lines))


if __name__ == "__main__":
    unittest.main()
