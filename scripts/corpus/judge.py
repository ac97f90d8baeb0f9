"""Judges video-hw by a folder of files and what is expected of each. It needs no ffmpeg, so that a folder made on one
machine is judged on another.

A file is expected to come out `equal` (frames, times and MD5s), to be `refused WORD` (by name, with nothing wrong before
the refusal), or, where it is `damaged N`, to give its first N frames and an error, and nothing wrong that is not marked.
`any` is equal or refused by name: what a card takes differs from card to card. `near` is the same, but for samples, where the
standard leaves rounding to the decoder: frames and times alone are compared.
"""

import json
import subprocess
from dataclasses import dataclass

# Times are printed in microseconds; tracks of a million ticks and more round once more.
TOLERANCE = 2e-6
# For one file: a hang is a finding.
PATIENCE = 120
# Exit codes of video-hw by which a file is refused: the input is at fault, or nothing here can do it.
REFUSALS = (1, 3)
# What a refusal must not say: it blames the arguments, or nothing.
NAMELESS = ("frame times must increase", "holds no frame in the wanted part", "panicked", "defect in this program")


@dataclass
class Answer:
    """What video-hw made of a file."""

    code: int | None
    frames: list
    words: str


@dataclass
class Verdict:
    """`word` is equal, refused, damaged, DIFFERENT, or REFUSED (where equality was due)."""

    good: bool
    word: str
    detail: str = ""


def ask(binary, path, pix_fmt, backend, engines, strict=False):
    """The frames that video-hw makes of a file: (time, MD5), the exit code and the words. With `strict` a picture that is
    marked as damaged is an error."""
    words = [str(binary), "decode", str(path), "--frame-md5", "--quiet", "--backend", backend, "--engines", str(engines)]
    if strict:
        words.append("--strict")
    if pix_fmt:
        words += ["--pix-fmt", pix_fmt]
    try:
        done = subprocess.run(words, capture_output=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired as late:
        return Answer(None, parse(late.stdout or b""), f"no end after {PATIENCE} s")
    words = done.stderr.decode(errors="replace").strip()
    return Answer(done.returncode, parse(done.stdout), words.removeprefix("video-hw: error: "))


def parse(out):
    """Lines of `--frame-md5`: number, time, size, format, MD5."""
    lines = [line.split() for line in out.decode(errors="replace").splitlines()]
    return [(float(line[1]), line[4]) for line in lines if len(line) == 5]


def first_difference(frames, truth, times, samples=True):
    """What is the first thing that is not as it should be, of as many frames as came; None without one."""
    for number, ((time, md5), (due, right)) in enumerate(zip(frames, truth)):
        if samples and md5 != right:
            where = next((i for i, (_, other) in enumerate(truth) if other == md5), None)
            return f"frame {number} differs" + (f" (it is frame {where})" if where is not None else "")
        if times and abs(time - due) > TOLERANCE:
            return f"frame {number} comes at {time:.6f} s instead of {due:.6f} s"
    if len(frames) > len(truth):
        return f"{len(frames)} frames instead of {len(truth)}"
    return None


def judge(case, expect, answer):
    """Whether an answer is what is expected."""
    kind, _, word = expect.partition(" ")
    if answer.code is None or answer.code not in (0, *REFUSALS):
        return Verdict(False, "DIFFERENT", f"exit code {answer.code}: {answer.words}")
    wrong = first_difference(answer.frames, case["frames"], case["times"], kind != "near")
    if answer.code == 0:
        if kind in ("refused", "damaged"):
            return Verdict(False, "DIFFERENT", f"taken, though {expect} is expected; {wrong or 'frames are right'}")
        if wrong is None and len(answer.frames) < len(case["frames"]):
            wrong = f"{len(answer.frames)} frames instead of {len(case['frames'])}"
        return Verdict(wrong is None, "equal" if wrong is None else "DIFFERENT", wrong or "")
    if wrong is not None:
        return Verdict(False, "DIFFERENT", f"{wrong}; then: {answer.words}")
    nameless = not answer.words or any(words in answer.words for words in NAMELESS)
    if kind == "damaged":
        short = len(answer.frames) < int(word)
        detail = f"{len(answer.frames)} of {word} whole frames; {answer.words}" if short else answer.words
        return Verdict(not short, "DIFFERENT" if short else "damaged", detail)
    if kind == "equal":
        return Verdict(False, "REFUSED", answer.words)
    named = not nameless and word.lower() in answer.words.lower()
    return Verdict(named, "refused" if named else "REFUSED", answer.words)


def expectation(case, backend):
    """What is expected of a backend: what is said of it, or else of all."""
    return case["expect"].get(backend, case["expect"]["all"])


def load(folder, pattern=""):
    """The cases of a folder whose names hold a pattern."""
    cases = json.loads((folder / "corpus.json").read_text())["cases"]
    return [case for case in cases if pattern in case["name"]]


def run(folder, cases, binary, backend, engines, say):
    """Judges cases; gives the counts by verdict and whether all are good."""
    counts, bad = {}, []
    for case in cases:
        expect = expectation(case, backend)
        answer = ask(binary, folder / case["name"], case["pix_fmt"], backend, engines, expect.startswith("damaged"))
        verdict = judge(case, expect, answer)
        counts[verdict.word] = counts.get(verdict.word, 0) + 1
        say(f"{'ok  ' if verdict.good else 'FAIL'} {verdict.word:9} {case['name']:40} {verdict.detail}"[:400])
        if not verdict.good:
            bad.append(case["name"])
    return counts, bad
