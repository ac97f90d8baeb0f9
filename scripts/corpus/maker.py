"""What cases are made of: a case, a list of them, and the encoders."""

import itertools
import pathlib
import tempfile
from dataclasses import dataclass, field

from . import truth
from .truth import call

# Cards decode nothing smaller than these.
CARD_LEAST = {"h264": (48, 16), "hevc": (144, 144), "vp8": (48, 16), "vp9": (128, 128), "av1": (128, 128)}


@dataclass
class Case:
    """A file, how it is made, and what is expected of each backend (`all` for those that are not named)."""

    name: str
    make: object
    expect: dict = field(default_factory=dict)
    # False where the file says no times, and each program makes its own.
    times: bool = True
    # The track that is shown, of the video tracks.
    track: int = 0
    # Other than what ffmpeg decodes of the file itself: a function of the path.
    truth: object = None
    # For a file that is only a part: the maker of the whole one, which is what ffmpeg decodes, and its first frame that
    # the part shows.
    whole: object = None
    first: int = 0
    # Part of the short form.
    short: bool = False
    # No --pix-fmt: the program does not get that far.
    unread: bool = False
    # What else it is made with, which is not asked of everybody: where that is not installed the case is left out, aloud.
    tool: str = ""


class Cases:
    """The list, in the order of the files that add to it."""

    def __init__(self):
        self.all = []

    def add(self, name, make, expect="equal", nvidia=None, **more):
        """Adds a case. `nvidia` is what a card is expected to do, if not the same."""
        if any(case.name == name for case in self.all):
            raise ValueError(f"two cases are called {name}")
        expects = {"all": expect}
        if nvidia:
            expects["nvidia"] = nvidia
        self.all.append(Case(name, make, expects, **more))

    def expect(self, name, **backends):
        """What certain backends are expected to do with a case."""
        next(case for case in self.all if case.name == name).expect.update(backends)


def source(size="176x144", rate="25", seed=1):
    """A moving picture with noise, in which every block differs from its neighbours in time and place."""
    width, height = map(int, size.split("x"))
    # The generator makes nothing smaller, and pictures with chroma for every sample can be cut anywhere.
    least, cut = size, ""
    if min(width, height) < 16:
        least, cut = f"{max(width, 16)}x{max(height, 16)}", f",format=yuv444p,crop={width}:{height}:3:5:exact=1"
    noise = f"noise=alls=14:allf=t:all_seed={seed}"
    return ["-f", "lavfi", "-i", f"testsrc2=size={least}:rate={rate},{noise}{cut}"]


def encode(path, codec, *options, size="176x144", frames=25, rate="25", pix_fmt="yuv420p", seed=1, inputs=()):
    """Encodes the source with one of ffmpeg's encoders."""
    call(
        "ffmpeg", "-v", "error", "-y", "-nostdin", *source(size, rate, seed), *inputs,
        "-frames:v", frames, "-pix_fmt", pix_fmt, "-c:v", codec, *options, "-threads", 1, "-fflags", "+bitexact",
        "-flags:v", "+bitexact", path,
    )  # fmt: skip


def x264(params="", *options, **source_options):
    """A maker with libx264 and some of its own parameters."""
    own = ("-x264-params", params) if params else ()
    return lambda path: encode(path, "libx264", "-crf", 27, *own, *options, **source_options)


def x265(params="", *options, **source_options):
    """A maker with libx265 and some of its own parameters."""
    own = ":".join(part for part in ("log-level=none:pools=none:frame-threads=1", params) if part)
    return lambda path: encode(path, "libx265", "-crf", 30, "-x265-params", own, *options, **source_options)


def remux(make, extension, *options, before=()):
    """A maker that has another make a file with an extension, and copies its streams."""

    def run(path):
        with tempfile.TemporaryDirectory() as folder:
            first = pathlib.Path(folder, f"first.{extension}")
            make(first)
            call(
                "ffmpeg", "-v", "error", "-y", "-nostdin", *before, "-i", first, "-map", 0, "-c", "copy",
                *options, "-fflags", "+bitexact", path,
            )  # fmt: skip

    return run


def edited(make, edit, extension=None):
    """A maker that has another make a file, and changes its bytes."""

    def run(path):
        with tempfile.TemporaryDirectory() as folder:
            first = pathlib.Path(folder, f"first.{extension or path.suffix[1:]}")
            make(first)
            path.write_bytes(edit(first.read_bytes()))

    return run


def joined(*makes):
    """A maker of several streams one behind the other."""

    def run(path):
        pieces = []
        with tempfile.TemporaryDirectory() as folder:
            for number, make in enumerate(makes):
                piece = pathlib.Path(folder, f"piece-{number}{path.suffix}")
                make(piece)
                pieces.append(piece.read_bytes())
        path.write_bytes(b"".join(pieces))

    return run


def write(case, folder, keep=False):
    """Makes the file of a case, unless one is to be kept; gives what the judge has to know of it."""
    path = folder / case.name
    if not (keep and path.exists()):
        case.make(path)
    known = {"name": case.name, "expect": case.expect, "times": case.times, "pix_fmt": None, "frames": []}
    if case.unread:
        return known
    with tempfile.TemporaryDirectory() as scratch:
        judged = path
        if case.whole:
            judged = pathlib.Path(scratch, path.name)
            case.whole(judged)
        known["pix_fmt"] = truth.pixel_format(judged, case.track)
        frames = case.truth(judged) if case.truth else truth.frames(judged, case.track)
    frames = frames[case.first :]
    if not frames:
        raise truth.Broken(f"ffmpeg shows no frame of {case.name}")
    if case.expect["all"] == "damaged":
        # As many as ffmpeg makes right of what is left.
        left = truth.frames(path, case.track)
        whole = sum(1 for _ in itertools.takewhile(lambda pair: pair[0][1] == pair[1][1], zip(left, frames)))
        known["expect"] = {**case.expect, "all": f"damaged {whole}"}
    known["frames"] = [(round(float(time), 7), md5) for time, md5 in frames]
    return known
