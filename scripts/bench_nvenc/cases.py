"""What is measured: each case gives rows of (name, command, environment, what to read from a finished run)."""

from dataclasses import dataclass, field

from bench_nvdec import parse

from .simulation import raw_file

# How both programs are told the same thing.
PRESET, TUNING, BIT_RATE, GOP, B_FRAMES, RATE = "p4", "hq", 5_000_000, 60, 2, 30


@dataclass
class Row:
    """One program with one set of options."""

    name: str
    command: list
    environment: dict
    figures: object  # a finished run -> {name: number}
    facts: dict = field(default_factory=dict)
    results: list = field(default_factory=list)
    faults: list = field(default_factory=list)


@dataclass
class Group:
    """Rows that take turns."""

    case: str
    rows: list
    facts: dict = field(default_factory=dict)


def wall(done):
    return {"process_s": done.wall_s, "cpu_s": done.cpu_s}


def report(done):
    """The program's own line of JSON."""
    found = parse.last_json(done.out)
    if "frames" not in found:
        raise ValueError("no report")
    return found


class Cases:
    """Builds groups for one set of programs."""

    def __init__(self, programs, simulation, work, realtime):
        self.programs, self.simulation, self.work = programs, simulation, work
        # Everything that is measured runs before what else the machine does; both sides alike.
        self.front = ["chrt", "-r", "10"] if realtime else []

    def session(self, name, engine_ms, *options, jitter=0.0, **facts):
        command = [*self.front, self.programs["session"], "--backend", "nvidia", *map(str, options)]
        return Row(name, command, self.simulation.environment(engine_ms, jitter), report,
                   {"engine_ms": engine_ms, **facts})

    def throughput(self, frames=3000, engine_ms=2.0):
        """a: how far behind its engine one session is."""
        rows = []
        for codec, in_flight in [("h264", 4), ("h264", 6), ("hevc", 4), ("hevc", 6)]:
            rows.append(self.session(
                f"{codec}, in-flight {in_flight}", engine_ms, "--codec", codec, "--frames", frames, "--in-flight",
                in_flight, frames=frames, ideal_s=frames * engine_ms / 1e3))
        return [Group("a", rows)]

    def processes(self, sizes=((640, 360, 300), (1920, 1080, 1000))):
        """b: whole processes beside ffmpeg's, from the same file of raw pictures."""
        for width, height, frames in sizes:
            for pixels in ("nv12", "bgra"):
                file = raw_file(self.work, width, height, pixels, frames)
                for codec in ("h264", "hevc"):
                    for engine_ms in (0.0, 1.0):
                        yield self._pair(file, width, height, pixels, frames, codec, engine_ms)

    def _pair(self, file, width, height, pixels, frames, codec, engine_ms):
        environment = self.simulation.environment(engine_ms)
        out = {side: self.work / f"{side}.mp4" for side in ("ours", "ffmpeg")}
        ours = [
            *self.front, self.programs["video_hw"], "encode", file, out["ours"], "--overwrite", "-q",
            "--size", f"{width}x{height}", "--pix-fmt", pixels, "--fps", RATE, "-c", codec, "--backend", "nvidia",
            "--preset", PRESET, "--tune", TUNING, "--bitrate", BIT_RATE, "--cbr", "--gop", GOP, "--bframes", B_FRAMES,
        ]
        # NVENC of this ffmpeg takes the same bytes by the name of bgr0; as bgra it would convert them first.
        name = {"bgra": "bgr0"}.get(pixels, pixels)
        theirs = [
            *self.front, self.programs["ffmpeg"], "-v", "error", "-nostdin", "-y", "-f", "rawvideo",
            "-video_size", f"{width}x{height}", "-pixel_format", name, "-framerate", RATE, "-i", file,
            "-c:v", f"{codec}_nvenc", "-preset", PRESET, "-tune", TUNING, "-rc", "cbr", "-b:v", BIT_RATE, "-g", GOP,
            "-bf", B_FRAMES, out["ffmpeg"],
        ]
        rows = [
            Row("video-hw", ours, environment, wall, {"output": out["ours"], "frames": frames}),
            Row("ffmpeg", theirs, environment, wall, {"output": out["ffmpeg"], "frames": frames}),
        ]
        what = f"{width}x{height} {pixels}, {frames} frames, {codec}"
        return Group("b", rows, {"what": what, "engine_ms": engine_ms})

    def sweep(self, frames=1000, engine_ms=1.0, jitter=0.5):
        """c: pictures on their way at once."""
        groups = []
        for b_frames in (0, 3):
            rows = [
                self.session(f"{in_flight}", engine_ms, "--frames", frames, "--in-flight", in_flight, "--b-frames",
                             b_frames, jitter=jitter, b_frames=b_frames, frames=frames)
                for in_flight in (1, 2, 4, 6, 8, 16)
            ]
            groups.append(Group("c", rows, {"b_frames": b_frames, "jitter": jitter, "engine_ms": engine_ms}))
        return groups

    def latency(self, frames=500, engine_ms=2.0):
        """d: one picture at a time."""
        rows = []
        for codec in ("h264", "hevc"):
            for size in ("640x360", "1280x720", "1920x1080"):
                rows.append(self.session(
                    f"{codec} {size}", engine_ms, "--latency", "--tuning", "ull", "--b-frames", 0, "--codec", codec,
                    "--size", size, "--frames", frames))
        return [Group("d", rows)]

    def overhead(self):
        """e: what looking at the clock costs."""
        command = [*self.front, self.programs["session"], "--overhead"]
        figures = lambda done: {"ns": parse.last_json(done.out)["ns_per_stage"]}  # noqa: E731 - said once
        return [Group("e", [Row("one stage", command, self.simulation.environment(), figures)])]
