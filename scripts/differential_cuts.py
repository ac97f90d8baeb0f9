#!/usr/bin/env python3
"""Random copies and cuts of random files: each result is compared, frame by frame, with what ffmpeg decodes of the source.

Job N of a seed is always the same job. PER_FILE jobs share one file: a random stream (x264, x265, SVT-AV1, VP9, MPEG-2,
field pictures; with open groups, gradual refresh, slices, interlacing, parameter sets that are stated once or change) in a
random container. A job is one command: a copy into any container, `trim --copy`, `trim --copy --exact`, `decode` with
`--start`, `--frames-at` or `--every`, from a file or a pipe. Each failure is printed with its seed and number. The exit code
is 1 when a result is wrong.
"""

import argparse
import array
import collections
import concurrent.futures
import dataclasses
import json
import math
import os
import pathlib
import random
import re
import shlex
import sys
import tempfile
import time

from differential_files import QUIET, Wrong, run, same

PER_FILE = 6
# A tick of the coarsest clock that times go through is one of Matroska's milliseconds; it is rounded on either side.
TICK = 0.0021
# What is encoded anew has a constant quantiser of 18.
LEAST_PSNR = 27
# What each container takes of the codecs that are drawn here. `raw` is Annex B, IVF or a stream of MPEG-2.
CONTAINERS = {
    "mp4": ("h264", "hevc", "vp9", "av1"),
    "frag.mp4": ("h264", "hevc", "vp9", "av1"),
    "mkv": ("h264", "hevc", "vp9", "av1", "mpeg2"),
    "webm": ("vp9", "av1"),
    "ts": ("h264", "hevc", "mpeg2"),
    "raw": ("h264", "hevc", "vp9", "av1", "mpeg2"),
}
RAW = {"h264": "h264", "hevc": "hevc", "vp9": "ivf", "av1": "ivf", "mpeg2": "m2v"}
SOUND = {"mp4": "aac", "frag.mp4": "aac", "mkv": "aac", "webm": "libopus", "ts": "aac"}
# Of these the program shows what an edit list hides of the others.
HIDES = ("mp4",)


@dataclasses.dataclass(frozen=True)
class Frame:
    """Seconds, and the MD5 of the samples."""

    at: float
    md5: str


class Source:
    """One random file and the commands that make it."""

    def __init__(self, seed, number, folder):
        self.random = random.Random(f"cuts/{seed}/{number}")
        self.folder, self.commands = folder, []
        r = self.random
        self.kind = r.choice(sorted(self.STREAMS))
        self.frames, self.rate = r.randint(40, 80), r.choice(["25", "30000/1001", "50"])
        self.size = r.choice(["64x64", "96x80", "128x96", "176x144"])
        self.codec = self.kind.split("-")[0]
        self.container = r.choice([name for name, codecs in CONTAINERS.items() if self.codec in codecs])
        if self.kind == "h264-fields":
            # ffmpeg puts each field into a sample of its own, in every container.
            self.container = "raw"
        self.path = folder / f"source.{self.extension(self.container)}"

    def extension(self, container):
        return RAW[self.codec] if container == "raw" else container

    def shell(self, command):
        self.commands.append(shlex.join(map(str, command)))
        return run([str(part) for part in command]).returncode == 0

    def encode(self, out, *options, start=0):
        source = f"testsrc2=s={self.size}:r={self.rate},trim=start_frame={start}:end_frame={start + self.frames},setpts=PTS-STARTPTS"
        return self.shell(["ffmpeg", *QUIET, "-y", "-f", "lavfi", "-i", source, "-threads", "1", *options, out])

    def x264(self, **more):
        r = self.random
        params = {"keyint": r.choice([8, 12, 20, 30]), "bframes": r.randint(0, 4), "scenecut": 0, "ref": r.randint(1, 4),
                  "b-pyramid": r.choice(["none", "strict", "normal"]), "b-adapt": r.randint(0, 2), "slices": r.choice([1, 1, 2, 4]),
                  "cabac": r.randint(0, 1), "weightp": r.randint(0, 2), "aud": r.randint(0, 1), "threads": 1, **more}
        return ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-x264-params",
                ":".join(f"{name}={value}" for name, value in params.items())]

    def unordered(self):
        # ffmpeg gives the pictures of a raw stream with B frames no times in a container.
        return {} if self.container == "raw" else {"bframes": 0}

    def h264(self, out):
        return self.encode(out, *self.x264())

    def h264_open(self, out):
        return self.encode(out, *self.x264(**{"open-gop": 1, "bframes": self.random.randint(1, 4)}))

    def h264_refresh(self, out):
        return self.encode(out, *self.x264(**{"intra-refresh": 1, "slices": 1, "bframes": self.random.randint(0, 2)}))

    def h264_interlaced(self, out):
        return self.encode(out, *self.x264(tff=1, interlaced=1))

    def h264_fields(self, out):
        # One group of pictures, several times over.
        script = pathlib.Path(__file__).with_name("differential_syntax.py")
        command = [sys.executable, str(script), str(self.random.randrange(1 << 30))]
        self.commands.append(f"{shlex.join(command)} > one; cat one one one > {out}")
        made = run(command)
        out.write_bytes(made.stdout * 3)
        return made.returncode == 0

    def h264_sets(self, out):
        # Parameter sets of the same numbers and other content from the middle on.
        more = self.unordered()
        parts = [out.with_suffix(f".{part}.h264") for part in (1, 2)]
        self.frames //= 2
        for number, part in enumerate(parts):
            if not self.encode(part, *self.x264(**more), start=number * self.frames):
                return False
        self.commands.append(f"cat {parts[0]} {parts[1]} > {out}")
        out.write_bytes(b"".join(part.read_bytes() for part in parts))
        return True

    def h264_once(self, out):
        # Parameter sets with the first picture alone.
        if not self.encode(out, *self.x264(**self.unordered())):
            return False
        self.commands.append(f"# {out} without its parameter sets behind the first picture")
        data, seen, kept = out.read_bytes(), set(), []
        for unit in re.split(rb"(?=\x00\x00\x00\x01)", data.replace(b"\0\0\0\1", b"\0\0\1").replace(b"\0\0\1", b"\0\0\0\1")):
            kind = unit[4] & 31 if len(unit) > 4 else 0
            if kind not in (7, 8) or kind not in seen:
                kept.append(unit)
            seen.add(kind)
        out.write_bytes(b"".join(kept))
        return True

    def hevc(self, out):
        r = self.random
        params = {"keyint": r.choice([8, 12, 20]), "min-keyint": 8, "bframes": r.randint(0, 4), "scenecut": 0, "open-gop": r.randint(0, 1),
                  "repeat-headers": r.randint(0, 1), "aud": r.randint(0, 1), "ref": r.randint(1, 4), "log-level": "error", "pools": 1,
                  "frame-threads": 1}
        return self.encode(out, "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", r.choice(["yuv420p", "yuv420p10le"]), "-x265-params",
                           ":".join(f"{name}={value}" for name, value in params.items()))

    def vp9(self, out):
        r = self.random
        return self.encode(out, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k", "-g", r.choice([8, 20]),
                           "-auto-alt-ref", r.randint(0, 1), "-lag-in-frames", r.choice([0, 8]), "-pix_fmt", "yuv420p")

    def av1(self, out):
        return self.encode(out, "-c:v", "libsvtav1", "-preset", "12", "-g", self.random.choice([8, 16, 24]), "-svtav1-params", "lp=1",
                           "-pix_fmt", "yuv420p")

    def mpeg2(self, out, *more):
        r = self.random
        return self.encode(out, "-c:v", "mpeg2video", "-q:v", "4", "-bf", r.randint(0, 2), "-g", r.choice([6, 12, 15]),
                           "-sc_threshold", "1000000000", *more)

    def mpeg2_closed(self, out):
        return self.mpeg2(out, "-flags", "+cgop")

    def mpeg2_interlaced(self, out):
        return self.mpeg2(out, "-flags", "+ildct+ilme", "-top", "1")

    STREAMS = {"h264": h264, "h264-open": h264_open, "h264-refresh": h264_refresh, "h264-interlaced": h264_interlaced,
               "h264-fields": h264_fields, "h264-sets": h264_sets, "h264-once": h264_once, "hevc": hevc, "vp9": vp9, "av1": av1,
               "mpeg2": mpeg2, "mpeg2-closed": mpeg2_closed, "mpeg2-interlaced": mpeg2_interlaced}

    def make(self):
        """Whether the tools at hand can make it."""
        r = self.random
        from_raw = self.kind in ("h264-fields", "h264-sets", "h264-once")
        stream = self.folder / f"stream.{RAW[self.codec] if from_raw or self.container == 'raw' else 'mkv'}"
        if not self.STREAMS[self.kind](self, stream):
            return False
        if self.container == "raw":
            stream.rename(self.path)
            return True
        inputs, maps, after = ["-i", stream], ["-map", "0:v"], []
        if from_raw:
            inputs = ["-fflags", "+genpts", "-r", self.rate, *inputs]
        if r.random() < 0.4:
            inputs += ["-f", "lavfi", "-i", "sine=d=2"]
            maps += ["-map", "1:a", "-c:a", SOUND[self.container], "-ac", "1", "-ar", "48000"]
        if self.container == "frag.mp4":
            after += ["-movflags", r.choice(["frag_keyframe+empty_moov", "frag_every_frame+empty_moov", "frag_keyframe+default_base_moof"])]
        return self.shell(["ffmpeg", *QUIET, "-y", *inputs, *maps, "-c:v", "copy", *after, self.path])


class Judge:
    """Runs a job and compares what comes of it with the frames of the source."""

    def __init__(self, program, source, seed=0, number=0):
        self.program, self.source = program, source
        self.random = random.Random(f"cuts/{seed}/job/{number}")
        self.commands, self.refusal = [], None

    def ours(self, *arguments, pipe=False, codes=(0, 3)):
        command = [self.program, *map(str, arguments)]
        self.commands.append(shlex.join(command) + (f" < {self.source.path}" if pipe else ""))
        if pipe:
            with open(self.source.path, "rb") as stdin:
                done = run(command, stdin=stdin)
        else:
            done = run(command)
        last = " ".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:])
        if done.returncode not in codes:
            raise Wrong(f"exit code {done.returncode}: {last}")
        if done.returncode == 3:
            self.refusal = last
        return done

    def decoded(self, *arguments, **how):
        """The frames that the program gives; None where it refuses."""
        done = self.ours("decode", *arguments, "--frame-md5", "-q", **how)
        if done.returncode == 3:
            return None
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        return [Frame(float(line[1]), line[-1]) for line in lines]

    def theirs(self, path):
        """The frames that ffmpeg decodes, and its complaint."""
        command = ["ffmpeg", *QUIET, "-cpuflags", "0", "-threads", "1", "-flags", "unaligned", "-copyts", "-i", path, "-map", "0:v:0"]
        done = run([*command, "-fps_mode", "passthrough", "-autoscale", "0", "-enc_time_base", "1:1000000", "-f", "framemd5", "-"])
        lines = [line.split(",") for line in done.stdout.decode().splitlines() if line and line[0] != "#"]
        return [Frame(int(line[2]) / 1e6, line[5].strip()) for line in lines], done.stderr.decode(errors="replace").strip()

    def samples(self, path):
        """The luma and chroma bytes of each frame that ffmpeg decodes, as 8 bits."""
        command = ["ffmpeg", *QUIET, "-cpuflags", "0", "-threads", "1", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough"]
        data = run([*command, "-pix_fmt", "gray", "-f", "rawvideo", "-"]).stdout
        size = math.prod(map(int, self.source.size.split("x")))
        return [data[at : at + size] for at in range(0, len(data), size)]

    def whole(self):
        """The frames of the source on the program's time line. None: the source proves nothing, or is refused."""
        expected, complaint = self.theirs(self.source.path)
        if complaint or len(expected) < 4:
            return None
        found = self.decoded(self.source.path)
        if found is None:
            return None
        same("frames of the source", [f.md5 for f in found], [f.md5 for f in expected])
        if self.source.container != "raw":
            same_times("the source", found, expected)
        # Two frames at one time have no order that both programs agree on.
        if any(b.at - a.at < 2 * TICK for a, b in zip(found, found[1:])):
            return None
        return found

    def part(self, frames):
        """A start and a duration that fall between frames, and the frames between them. A few parts have no frame."""
        a, b = sorted(self.random.sample(range(len(frames) + 1), 2))
        edges = [frame.at for frame in frames] + [frames[-1].at + 0.4]
        between = lambda n: max(edges[0] - 0.01, 0) if n == 0 else (edges[n - 1] + edges[n]) / 2
        start, end = between(a), between(b)
        if self.random.random() < 0.06:
            start, end = edges[-1] + 30, edges[-1] + 31
        part = [f"{start:.5f}", f"{end - start:.5f}"]
        return part, [frame for frame in frames if start <= frame.at < end]

    def target(self):
        names = [name for name, codecs in CONTAINERS.items() if self.source.codec in codecs]
        # The program writes no raw MPEG-2.
        return self.random.choice([name for name in names if (name, self.source.codec) != ("raw", "mpeg2")])

    def input(self):
        """The source by its name or through a pipe."""
        pipe = self.source.container in ("frag.mp4", "mkv", "webm", "ts", "raw") and self.random.random() < 0.3
        return ("-", True) if pipe else (self.source.path, False)

    def written(self, command, target, *options, inside=True, pipe=None):
        """The path of the output that a command has written; None where it was refused, or rightly ended with an error."""
        out = self.source.folder / f"out.{self.source.extension(target)}"
        out.unlink(missing_ok=True)
        path, is_pipe = self.input() if pipe is None else (self.source.path, pipe)
        arguments = [command, path, out, "--copy", *options, "-y", "--json"]
        arguments += ["--fragmented"] if target == "frag.mp4" else []
        done = self.ours(*arguments, pipe=is_pipe, codes=(0, 3) if inside else (1, 2, 3))
        if done.returncode != 0:
            if out.exists():
                raise Wrong(f"exit code {done.returncode}, and {out.name} is left behind")
            return None, None
        return out, json.loads(done.stdout)

    def shown(self, out, what):
        found, complaint = self.theirs(out)
        if complaint:
            raise Wrong(f"{what}: ffmpeg complains about the output: {complaint.splitlines()[0]}")
        return found

    def copy(self, frames):
        target = self.target()
        out, _ = self.written("transcode", target)
        if out is None:
            return
        what = f"copy into {target}"
        found = self.shown(out, what)
        same(what, [f.md5 for f in found], [f.md5 for f in frames])
        if target != "raw":
            same_times(what, found, frames)

    def trim(self, frames):
        (start, duration), inside = self.part(frames)
        target = self.target()
        out, _ = self.written("trim", target, "--start", start, "--duration", duration, inside=bool(inside))
        if out is None:
            return
        what = f"trim --copy into {target}"
        found = self.shown(out, what)
        if target in HIDES and self.source.codec == "av1":
            # ffmpeg gives the frames of AV1 that an edit list hides.
            found = self.decoded(out)
        if target in HIDES:
            same(what, [f.md5 for f in found], [f.md5 for f in inside])
        else:
            found = holds(what, found, inside, frames)
        if target != "raw":
            same_times(what, found, inside)

    def exact(self, frames):
        (start, duration), inside = self.part(frames)
        target = self.target()
        out, report = self.written("trim", target, "--exact", "--start", start, "--duration", duration, inside=bool(inside))
        if out is None:
            return
        what = f"trim --copy --exact into {target}"
        found = self.shown(out, what)
        if len(found) != len(inside):
            raise Wrong(f"{what}: {len(found)} frames instead of {len(inside)}")
        exact = report["exact"]
        head, tail = exact["encoded_at_start"], exact["encoded_at_end"]
        copied = slice(head, len(inside) - tail)
        same(what, [f.md5 for f in found[copied]], [f.md5 for f in inside[copied]])
        if target != "raw":
            same_times(what, found, inside)
        if head + tail:
            first = frames.index(inside[0])
            ours, theirs = self.samples(out), self.samples(self.source.path)[first:]
            if len(ours) != len(inside) or len(theirs) < len(inside):
                raise Wrong(f"{what}: {len(ours)} and {len(theirs)} raw pictures for {len(inside)} frames")
            for at in [*range(head), *range(len(inside) - tail, len(inside))]:
                value = psnr(ours[at], theirs[at])
                if value < LEAST_PSNR:
                    raise Wrong(f"{what}: frame {at}, which is encoded anew, has {value:.1f} dB")

    def start(self, frames):
        (start, duration), inside = self.part(frames)
        path, pipe = self.input()
        found = self.decoded(path, "--start", start, "--duration", duration, pipe=pipe, codes=(0, 3) if inside else (1, 2, 3))
        if found is not None:
            same("decode --start", [f.md5 for f in found], [f.md5 for f in inside])

    def frames_at(self, frames):
        numbers = [self.random.randrange(len(frames)) for _ in range(6)]
        found = self.decoded(self.source.path, "--frames-at", ",".join(map(str, numbers)))
        if found is not None:
            same("--frames-at", [f.md5 for f in found], [frames[n].md5 for n in numbers])

    def every(self, frames):
        first, last = max(frames[0].at, 0), frames[-1].at
        for _ in range(20):
            step = self.random.randint(60, 700) / 1000
            times = [first + n * step for n in range(int((last - first) / step) + 1)]
            # Times that are nearer to a frame's time than rounding decides which is shown. The first is one of a frame.
            if all(abs(at - frame.at) > TICK for at in times[1:] for frame in frames):
                break
        else:
            return
        found = self.decoded(self.source.path, "--every", f"{step * 1000:.0f}ms")
        if found is None:
            return
        expected = [frames[0].md5, *([f for f in frames if f.at <= at][-1].md5 for at in times[1:])]
        # The last frame may be shown for longer than one interval.
        while len(found) > len(expected) and found[-1].md5 == frames[-1].md5:
            found.pop()
        same("--every", [f.md5 for f in found], expected)

    COMMANDS = ("copy", "trim", "exact", "start", "frames_at", "every")

    def judge(self, command, frames):
        if command == "exact" and self.source.codec not in ("h264", "hevc"):
            command = "trim"
        getattr(self, command)(frames)


def same_times(what, found, expected):
    """Times from the first frame on; of some containers all are moved."""
    for number, (one, other) in enumerate(zip(found, expected)):
        ours, theirs = one.at - found[0].at, other.at - expected[0].at
        if abs(ours - theirs) > 2 * TICK:
            raise Wrong(f"{what}: frame {number} is shown at {ours:.4f} s instead of {theirs:.4f} s")


def holds(what, found, inside, frames):
    """The frames of the part in what was found, which may have more of the source around them. Frames may look alike."""
    md5s, wanted = [f.md5 for f in found], [f.md5 for f in inside]
    places = [at for at in range(len(md5s) - len(wanted) + 1) if md5s[at : at + len(wanted)] == wanted]
    if not places:
        for index, md5 in enumerate(wanted):
            if md5 not in md5s:
                raise Wrong(f"{what}: frame {index} of {len(wanted)} is missing or wrong ({len(md5s)} frames)")
        raise Wrong(f"{what}: the {len(wanted)} frames are not in order ({len(md5s)} frames)")
    at = places[0]
    if len(places) == 1:
        rest = iter(f.md5 for f in frames)
        if not all(md5 in rest for md5 in md5s):
            raise Wrong(f"{what}: there are frames around the part that the source does not have in this order")
    return found[at : at + len(wanted)]


def psnr(one, other):
    squares = sum((a - b) ** 2 for a, b in zip(array.array("B", one), array.array("B", other)))
    return 10 * math.log10(255 * 255 * len(one) / max(squares, 1e-9))


def jobs_of(arguments, number):
    """What came of the jobs of one file: (job, state, lines) of each."""
    first = number * PER_FILE
    wanted = range(max(first, arguments.first), min(first + PER_FILE, arguments.first + arguments.jobs))
    results = []
    with tempfile.TemporaryDirectory(prefix="cuts-", dir=arguments.folder) as folder:
        source = Source(arguments.seed, number, pathlib.Path(folder))
        name = f"{source.kind} in {source.container}"
        judge = Judge(arguments.program, source)

        def failed(job, wrong):
            head = f"seed {arguments.seed} job {job} ({name}): {wrong}"
            return "wrong", [head, *(f"    {c}" for c in source.commands), *(f"  > {c}" for c in judge.commands)]

        try:
            if not source.make():
                return [(job, "none", [f"cannot make {name}"]) for job in wanted]
        except Wrong:
            return [(job, "none", [f"cannot make {name} in time"]) for job in wanted]
        try:
            frames = judge.whole()
        except Wrong as wrong:
            state, lines = failed(wanted[0], wrong)
            return [(wanted[0], state, lines), *((job, "none", ["source is wrong"]) for job in wanted[1:])]
        if frames is None:
            state = ("refused", [judge.refusal]) if judge.refusal else ("none", [f"ffmpeg rejects {name}"])
            return [(job, *state) for job in wanted]
        order = random.Random(f"cuts/{arguments.seed}/{number}/order").sample(Judge.COMMANDS, PER_FILE)
        for job in wanted:
            judge = Judge(arguments.program, source, arguments.seed, job)
            try:
                judge.judge(order[job - first], frames)
                state = ("refused", [judge.refusal]) if judge.refusal else ("right", [])
            except Wrong as wrong:
                state = failed(job, wrong)
                if arguments.keep:
                    kept = pathlib.Path(arguments.keep)
                    kept.mkdir(exist_ok=True)
                    (kept / f"{arguments.seed}-{job}-{source.path.name}").write_bytes(source.path.read_bytes())
            results.append((job, *state))
    return results


def reason(words):
    """A refusal without names and numbers, so that equal ones are counted together."""
    words = re.sub(r"^video-hw: error: ", "", words)
    words = re.sub(r"\S*(source|out)\.\S+", "FILE", words)
    return re.sub(r"\d+(\.\d+)?(x\d+)?", "N", words)[:160]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the video-hw to judge")
    parser.add_argument("--jobs", type=int, default=30, help="how many jobs [default: 30]")
    parser.add_argument("--minutes", type=float, help="start no further job after this time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first job")
    parser.add_argument("--workers", type=int, default=2, help="files at a time [default: 2]")
    parser.add_argument("--keep", metavar="DIR", help="keep the sources of wrong jobs")
    parser.add_argument("--folder", metavar="DIR", help="where files are made [default: the system's temporary folder]")
    arguments = parser.parse_args()
    arguments.program = os.path.abspath(arguments.program)
    end = time.monotonic() + arguments.minutes * 60 if arguments.minutes else None
    counts, reasons = collections.Counter(jobs=0, right=0, wrong=0, refused=0), collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(arguments.workers) as pool:
        numbers = range(arguments.first // PER_FILE, -(-(arguments.first + arguments.jobs) // PER_FILE))
        work = lambda number: [] if end and time.monotonic() > end else jobs_of(arguments, number)
        for results in pool.map(work, numbers):
            for _, state, lines in results:
                counts["jobs"] += 1
                counts[state] += 1
                if state in ("refused", "none"):
                    reasons[reason(lines[0])] += 1
                for line in lines if state == "wrong" else ():
                    print(line, flush=True)
    print(json.dumps({"seed": arguments.seed, **counts}))
    for words, count in reasons.most_common():
        print(f"{count:6} {words}")
    sys.exit(1 if counts["wrong"] else 0)


if __name__ == "__main__":
    main()
