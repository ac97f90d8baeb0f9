#!/usr/bin/env python3
"""Random files of every container, and what users do with files: each answer is held against the frames of the whole file.

File N of a seed is always the same file: a random stream (see `differential_cases.py`) of several GOPs, with or without sound, in
a container that ffmpeg or mkvmerge writes with random options. Its frames are those that ffmpeg decodes; then come chosen
frames, chosen times, parts with and without encoding, copies into other containers, pipes, files that end early and files with
bytes changed. What is wrong is printed with the commands that make it. Exit code 1 when something was.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import shlex
import subprocess
import sys
import tempfile
import time

import differential_cases

PATIENCE = 120
QUIET = ["-nostdin", "-hide_banner", "-v", "error"]
# What each container takes, of the codecs that are drawn here.
CONTAINERS = {
    "mp4": ("h264", "hevc", "vp9", "av1"),
    "mov": ("h264", "hevc"),
    "mkv": ("h264", "hevc", "vp8", "vp9", "av1"),
    "webm": ("vp8", "vp9", "av1"),
    "ts": ("h264", "hevc"),
    "m2ts": ("h264", "hevc"),
    "h264": ("h264",),
    "hevc": ("hevc",),
    "ivf": ("vp8", "vp9", "av1"),
}
SOUND = {"mp4": ("aac", "libopus", "flac", "libmp3lame", "ac3"), "mov": ("aac", "pcm_s16le"), "webm": ("libopus", "libvorbis")}
SOUND["mkv"] = (*SOUND["mp4"], "libvorbis", "pcm_s16le")
SOUND["ts"] = SOUND["m2ts"] = ("aac", "ac3", "libmp3lame")
# A tick of the coarsest clock that times go through: Matroska's milliseconds, with rounding on either side.
TICK = 0.0021


class Wrong(Exception):
    """What differs, in words."""


def run(command, **options):
    try:
        return subprocess.run(command, capture_output=True, timeout=PATIENCE, **options)
    except subprocess.TimeoutExpired:
        raise Wrong(f"nothing after {PATIENCE} s: {shlex.join(map(str, command))}")


class File:
    """One random file and how it was made."""

    def __init__(self, seed, number, folder):
        self.random = random.Random(f"files/{seed}/{number}")
        self.folder, self.commands = folder, []
        self.case = self.stream(seed, number)
        self.codec = {"libx264": "h264", "libx265": "hevc", "libvpx": "vp8", "libvpx-vp9": "vp9"}.get(self.case.encoder, "av1")
        self.container = self.random.choice([c for c, codecs in CONTAINERS.items() if self.codec in codecs])
        self.path = folder / f"file.{self.container}"

    def stream(self, seed, number):
        makers = ["libx264"] * 5 + ["libx265"] * 3 + ["libvpx", "libvpx-vp9", "libsvtav1"]
        case = differential_cases.draw(f"files/{seed}", number, only=self.random.choice(makers))
        # Enough frames for several GOPs, of pictures that are decoded in no time.
        case.width, case.height = (min(side, 128 - 128 % 8) for side in (case.width, case.height))
        case.width, case.height = (max(64, side // 16 * 16) for side in (case.width, case.height))
        case.params.pop("crop-rect", None)
        case.params.pop("ctu", None)
        for tied in ("min-cu-size", "max-tu-size", "tu-intra-depth", "tu-inter-depth", "qg-size", "slices"):
            case.params.pop(tied, None)
        case.frames = self.random.randint(20, 70)
        keyint = self.random.choice([1, 5, 8, 12, 25])
        if case.params_name in ("-x264-params", "-x265-params"):
            case.params["keyint"] = keyint
            case.params.setdefault("bframes", self.random.choice([0, 2, 3]))
        else:
            case.options["g"] = keyint
        return case

    def shell(self, command):
        self.commands.append(shlex.join(map(str, command)))
        done = run(command)
        return done.returncode == 0 and not done.stderr.strip()

    def make(self):
        """Whether the tools at hand can make it."""
        one, r = self.random.choice, self.random
        stream = self.folder / ("stream.mkv" if self.container not in ("h264", "hevc", "ivf") else f"stream.{self.container}")
        encode = shlex.split(self.case.shell(stream))
        if r.random() < 0.3:
            # Times at uneven distances: frames left out of the source, and nothing put in their places.
            at = encode.index("-c:v")
            encode[at:at] = ["-vf", f"select=not(eq(mod(n\\,{one([3, 5, 7])})\\,1))", "-fps_mode", "passthrough"]
        if not self.shell(encode):
            return False
        if stream.suffix == self.path.suffix and stream.suffix != ".mkv":
            stream.rename(self.path)
            return True
        inputs, maps = ["-i", stream], ["-map", "0:v"]
        sound = SOUND.get(self.container)
        if sound and r.random() < 0.5:
            inputs += ["-f", "lavfi", "-i", f"sine=f=440:d={self.case.frames / 25:.2f}"]
            maps += ["-map", "1:a", "-c:a", one(sound), "-ac", "2", "-ar", "48000", "-strict", "-2"]
        before, after = [], []
        if r.random() < 0.25:
            before += ["-itsoffset", one(["0.5", "1.234", "3600"])]
        if r.random() < 0.2:
            # Cut by ffmpeg in front of a frame that is no key frame: an edit list, or times below zero.
            after += ["-ss", f"{r.uniform(0, self.case.frames / 50):.3f}"]
        after += self.options(before)
        mux = ["ffmpeg", *QUIET, "-y", *before, *inputs, *maps, "-c:v", "copy", *after, self.path]
        if not self.shell(mux):
            return False
        if self.container == "mkv" and r.random() < 0.4:
            merged = self.folder / "merged.mkv"
            flags = r.sample(["--no-cues", "--clusters-in-meta-seek", "--disable-lacing", "--enable-durations", "--no-date"], 2)
            flags += one([[], ["--cluster-length", "200ms"], ["--cluster-length", "3"], ["--timestamp-scale", "100000"]])
            self.commands.append(shlex.join(map(str, ["mkvmerge", "-q", *flags, "-o", merged, self.path])))
            if run(["mkvmerge", "-q", *flags, "-o", merged, self.path]).returncode > 1:
                return False
            merged.replace(self.path)
        return True

    def options(self, before):
        """Options of the muxer, at random."""
        one, r = self.random.choice, self.random
        if self.container in ("mp4", "mov"):
            flags = one(["", "faststart", "frag_keyframe+empty_moov", "frag_every_frame+empty_moov", "frag_keyframe+default_base_moof",
                         "frag_keyframe+delay_moov", "negative_cts_offsets", "cmaf+frag_keyframe", "empty_moov+frag_keyframe+skip_sidx"])
            found = ["-movflags", flags] if flags else []
            if r.random() < 0.2:
                found += ["-video_track_timescale", one(["1000", "12800", "90000", "10000000"])]
            if self.codec == "hevc" and r.random() < 0.5:
                found += ["-tag:v", "hvc1"]
            return found
        if self.container in ("mkv", "webm"):
            found = one([[], ["-live", "1"], ["-cluster_size_limit", "2000"], ["-cluster_time_limit", "200"], ["-reserve_index_space", "2000"],
                         ["-cues_to_front", "1"]])
            return found
        if self.container in ("ts", "m2ts"):
            found = one([[], ["-mpegts_flags", "+resend_headers"], ["-mpegts_flags", "+pat_pmt_at_frames"], ["-pes_payload_size", "170"],
                         ["-muxrate", "4M"], ["-mpegts_flags", "+initial_discontinuity"], ["-muxdelay", "0", "-muxpreload", "0"]])
            # Null packets for an hour in which there is sound alone.
            found = [] if "-muxrate" in found and "3600" in before else found
            if r.random() < 0.3:
                # The 33 bits of a clock wrap in the middle.
                found += ["-output_ts_offset", str(95443.7176 - self.random.uniform(0.3, 2.5))]
            return found
        return []


class Judge:
    """What users do with one file, and what must come of it."""

    def __init__(self, program, file):
        self.program, self.file, self.random = program, file, file.random
        self.commands, self.complete = [], True

    def ours(self, *arguments, codes=(0,), stdin=None):
        command = [self.program, *map(str, arguments)]
        self.commands.append(shlex.join(command))
        done = run(command, stdin=stdin)
        if done.returncode not in codes:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise Wrong(f"exit code {done.returncode}: {' '.join(last)}")
        return done

    def frames(self, *arguments, **how):
        """(number, seconds, MD5) of frames."""
        done = self.ours("decode", *arguments, "--backend", "software", "--frame-md5", "-q", **how)
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        return [(int(l[0]), float(l[1]), l[-1]) for l in lines], done

    def theirs(self, path):
        """Seconds and MD5 of each frame that ffmpeg shows."""
        command = ["ffmpeg", *QUIET, "-cpuflags", "0", "-threads", "1", "-flags", "unaligned", "-err_detect", "crccheck",
                   "-copyts", "-i", path, "-map", "0:v:0"]
        done = run([*command, "-fps_mode", "passthrough", "-autoscale", "0", "-enc_time_base", "1:1000000", "-f", "framemd5", "-"])
        lines = [line.split(",") for line in done.stdout.decode().splitlines() if line and line[0] != "#"]
        return [(int(l[2]) / 1e6, l[5].strip()) for l in lines], done.stderr.decode(errors="replace").strip()

    def whole(self):
        """The frames of the file, by this program; None where it refuses the file by name."""
        path = self.file.path
        expected, complaint = self.theirs(path)
        # Encoders and muxers make broken files, too.
        if complaint or not expected:
            return None
        found, done = self.frames(path, codes=(0, 3))
        # Of two frames at one time ffmpeg's own muxer takes one.
        if done.returncode == 3 or len({at for _, at, _ in found}) < len(found):
            return None
        # What cannot be decoded at the start is a frame of the file too, and counted.
        packets = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts", "-of", "csv", path]
        self.complete = len(run(packets).stdout.splitlines()) == len(found)
        if self.file.case.pix_fmt.startswith("gray"):
            return found
        same("frames of the whole file", [f[2] for f in found], [f[1] for f in expected])
        if found and self.file.container not in ("h264", "hevc", "ivf"):
            offset = found[0][1] - expected[0][0]
            for (number, at, _), (their, _) in zip(found, expected):
                if abs(at - their - offset) > TICK:
                    raise Wrong(f"frame {number} is shown at {at - offset:.4f}, by ffmpeg at {their:.4f}")
        return found

    def chosen(self, all_frames):
        if not self.complete:
            return
        numbers = [self.random.randrange(len(all_frames)) for _ in range(8)]
        found, _ = self.frames(self.file.path, "--frames-at", ",".join(map(str, numbers)))
        same("--frames-at", found, [all_frames[n] for n in numbers])

    def at_times(self, all_frames):
        first, last = all_frames[0][1], all_frames[-1][1]
        times = [round(self.random.uniform(max(first, 0), last), 3) for _ in range(5)]
        # Not so near to a frame's time that rounding decides.
        times = [t for t in times if all(abs(t - f[1]) > TICK for f in all_frames) and t >= first]
        if not times:
            return
        found, _ = self.frames(self.file.path, "--times-at", ",".join(map(str, times)))
        shown = [max((f for f in all_frames if f[1] <= t), key=lambda f: f[1]) for t in times]
        same("--times-at", [f[2] for f in found], [f[2] for f in shown])

    def part(self, all_frames):
        """A start and a duration that fall between frames, and the frames that are shown between them."""
        base = min(all_frames[0][1], 0)
        a, b = sorted(self.random.sample(range(len(all_frames) + 1), 2))
        edges = [f[1] for f in all_frames] + [all_frames[-1][1] + 1]
        middle = lambda n: edges[0] - 0.01 if n == 0 else (edges[n - 1] + edges[n]) / 2
        start, end = max(middle(a), 0), middle(b)
        inside = [f for f in all_frames if start <= f[1] < end]
        return f"{start:.4f}", f"{end - start:.4f}", inside

    def decoded_part(self, all_frames):
        start, duration, inside = self.part(all_frames)
        if not inside:
            return
        found, _ = self.frames(self.file.path, "--start", start, "--duration", duration)
        same("decode --start --duration", [f[2] for f in found], [f[2] for f in inside])

    def exact(self, all_frames):
        """What is copied is as it was; what is encoded anew is there, at its time."""
        if self.file.codec not in ("h264", "hevc"):
            return
        start, duration, inside = self.part(all_frames)
        if not inside:
            return
        out = self.file.folder / f"exact.{self.random.choice(['mp4', 'mkv', 'ts'])}"
        done = self.ours("trim", self.file.path, out, "--copy", "--exact", "--start", start, "--duration", duration, "--json", "-y",
                         codes=(0, 3))
        if done.returncode == 3:
            return
        self.times_of(out, inside, "trim --copy --exact")

    def times_of(self, out, expected, what):
        found, _ = self.frames(out)
        theirs, complaint = self.theirs(out)
        if complaint:
            raise Wrong(f"{what}: ffmpeg says of the output: {complaint.splitlines()[0]}")
        for who, count in (("here", len(found)), ("by ffmpeg", len(theirs))):
            if count != len(expected):
                raise Wrong(f"{what}: {count} frames {who}, {len(expected)} expected")
        offset = found[0][1] - expected[0][1] if found else 0
        for ours, want in zip(found, expected):
            if abs(ours[1] - want[1] - offset) > 2 * TICK:
                raise Wrong(f"{what}: a frame at {ours[1] - offset:.4f} instead of {want[1]:.4f}")
        return found

    def copy(self, all_frames):
        targets = [c for c, codecs in CONTAINERS.items() if self.file.codec in codecs]
        target = self.random.choice(targets)
        out = self.file.folder / f"copy.{target}"
        done = self.ours("transcode", self.file.path, out, "--copy", "-y", codes=(0, 3))
        if done.returncode == 3:
            return
        found, _ = self.frames(out)
        if target in ("h264", "hevc", "ivf", "ts", "m2ts"):
            # These cannot hide what an edit list hides.
            have = [f[2] for f in found]
            rest = iter(have)
            if not all(f[2] in rest for f in all_frames):
                raise Wrong(f"copy into {target}: {len(have)} frames, and not all {len(all_frames)} of the source")
        else:
            same(f"copy into {target}", [f[2] for f in found], [f[2] for f in all_frames])
            self.times_of(out, all_frames, f"copy into {target}")

    def encoded(self, all_frames):
        if self.random.random() > 0.25:
            return
        out = self.file.folder / f"encoded.{self.random.choice(['mp4', 'mkv', 'ts'])}"
        done = self.ours("transcode", self.file.path, out, "--backend", "software", "--encoder-backend", "software", "--codec", "h264", "-y",
                         codes=(0, 2, 3))
        if done.returncode == 0:
            self.times_of(out, all_frames, "transcode")

    def pipe(self, all_frames):
        with open(self.file.path, "rb") as stdin:
            found, done = self.frames("-", stdin=stdin, codes=(0, 1, 2, 3))
        if done.returncode == 0:
            same("through a pipe", [f[2] for f in found], [f[2] for f in all_frames])
        elif done.returncode != 3:
            raise Wrong(f"through a pipe: {done.stderr.decode(errors='replace').strip()[:200]}")

    def damaged(self, all_frames):
        """A file that ends early, and one with bytes changed: an end with words, never a fault of this program."""
        data = bytearray(self.file.path.read_bytes())
        ends = self.file.folder / f"ends.{self.file.container}"
        ends.write_bytes(data[: self.random.randrange(len(data))])
        for path in (ends, self.file.folder / f"changed.{self.file.container}"):
            if path != ends:
                for _ in range(self.random.choice([1, 4, 40])):
                    data[self.random.randrange(len(data))] = self.random.randrange(256)
                path.write_bytes(data)
            for more in ([], ["--keep-going"]):
                found, _ = self.frames(path, *more, codes=(0, 1, 3))
                if path == ends and self.file.container not in ("h264", "hevc") and not self.file.case.pix_fmt.startswith("gray"):
                    known = {f[2] for f in all_frames}
                    if not more and any(f[2] not in known for f in found[:-3]):
                        raise Wrong("a file that ends early has frames that the whole one has not")
            out = self.file.folder / "damaged.mkv"
            self.ours("transcode", path, out, "--copy", "--keep-going", "-y", codes=(0, 1, 3))
            self.ours("probe", path, "--json", codes=(0, 1, 3))

    STEPS = ("chosen", "at_times", "decoded_part", "exact", "copy", "encoded", "pipe", "damaged")


def same(what, ours, theirs):
    for index, (our, their) in enumerate(zip(ours, theirs)):
        if our != their:
            raise Wrong(f"{what}: number {index} is {our} instead of {their} ({len(ours)} and {len(theirs)} in all)")
    if len(ours) != len(theirs):
        raise Wrong(f"{what}: {len(ours)} instead of {len(theirs)}")


def judge(arguments, number):
    """Lines about file `number`, and how many of its answers are wrong."""
    lines, kept = [], arguments.keep and pathlib.Path(arguments.keep)
    with tempfile.TemporaryDirectory(prefix="files-", dir=arguments.folder) as folder:
        folder = pathlib.Path(folder)
        try:
            file = File(arguments.seed, number, folder)
            if not file.make():
                return "none", lines
        except Wrong:
            return "none", lines
        judge = Judge(arguments.program, file)
        steps = ["whole", *Judge.STEPS]
        all_frames, state = None, "equal"
        for step in steps:
            judge.commands.clear()
            try:
                if step == "whole":
                    all_frames = judge.whole()
                    if not all_frames:
                        return "refused", lines
                else:
                    getattr(judge, step)(all_frames)
            except Wrong as wrong:
                state = "wrong"
                lines += [f"file {number} ({file.codec} in {file.container}): {wrong}", *(f"    {c}" for c in file.commands),
                          *(f"  > {c}" for c in judge.commands)]
                if kept:
                    kept.mkdir(exist_ok=True)
                    (kept / f"{number}.{file.container}").write_bytes(file.path.read_bytes())
                if step == "whole":
                    break
    return state, lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the video-hw to judge")
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--minutes", type=float, help="stop after this time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first file")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", metavar="DIR", help="keep files that something is wrong with")
    parser.add_argument("--folder", metavar="DIR", help="where files are made [default: the system's temporary folder]")
    arguments = parser.parse_args()
    arguments.program = os.path.abspath(arguments.program)
    end = time.monotonic() + arguments.minutes * 60 if arguments.minutes else None
    counts = {"equal": 0, "refused": 0, "none": 0, "wrong": 0}
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        numbers = range(arguments.first, arguments.first + arguments.files)
        work = lambda n: ("left", []) if end and time.monotonic() > end else judge(arguments, n)
        for state, lines in pool.map(work, numbers):
            counts[state] = counts.get(state, 0) + 1
            for line in lines:
                print(line, flush=True)
    print(json.dumps({"seed": arguments.seed, **counts}))
    sys.exit(1 if counts["wrong"] else 0)


if __name__ == "__main__":
    main()
