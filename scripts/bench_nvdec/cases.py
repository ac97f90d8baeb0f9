"""The tables of throughput, start-up and conversion."""

from . import parse, stats
from .clips import FRAMES
from .harness import Case, Row
from .report import plain

MANY_LOOPS, LONG_LOOPS, SESSIONS = 8, 40, 14
STAMP = "@NOW@"
SPEED = [
    ("fps", "fps", 0),
    ("fps_running", "fps from the first frame", 0),
    ("process_s", "process s", 2),
    ("cpu_s", "CPU s", 2),
    ("rss_mib", "peak RSS MiB", 0),
]
DEVICE = ["--output", "device", "--surface", "device"]
HOST = ["--output", "host", "--surface", "host"]
METADATA = ["--output", "metadata", "--surface", "none"]
FPS_NOTE = (
    "fps: frames / (first packet submitted -> last frame out), the decoder's creation included, start of the process "
    "excluded; of ffmpeg: from its first progress report with frames to its last (reports come every 50 ms)"
)


class Cases:
    """Builds the cases for one set of programs and clips."""

    def __init__(self, programs, clips, bench):
        self.programs, self.clips, self.bench = programs, clips, bench
        self._fastest = {}

    def _peer(self, codec, loops, frames, seconds):
        """PyNvVideoCodec's fastest way to decode this, found by running each once; remembered for each codec."""
        if codec in self._fastest:
            mode, container = self._fastest[codec]
            clip = self.clips.container(codec, loops) if container == "mp4" else self.clips.stream(codec, loops)
            return mode, clip, []
        inputs = [("stream", self.clips.stream(codec, loops)), ("mp4", self.clips.container(codec, loops))]
        rows, notes = {}, []
        for mode in ("lowlevel", "threaded", "simple"):
            for container, clip in inputs:
                if clip is None:
                    notes.append(f"**MISSING** PyNvVideoCodec {mode} on {container}: the clip could not be made")
                    continue
                rows[mode, container] = self.programs.pynv_row(
                    f"PyNvVideoCodec {mode} {container}", clip, "--mode", mode, frames=frames, limit=seconds
                )
        end = self.bench.clock.left() - seconds
        found = {}
        for way, row in rows.items():
            until = self.bench.clock.left() - end
            if row.missing or until < 3:
                notes.append(f"PyNvVideoCodec {' '.join(way)} was not tried: {row.missing or 'no time left'}")
                continue
            figures = self.bench.measure("calibration", row, until)
            if figures:
                found[way] = figures["fps"]
                notes.append(f"PyNvVideoCodec {' '.join(way)}, once: {figures['fps']:,.0f} fps")
            else:
                notes.append(f"PyNvVideoCodec {' '.join(way)}, once: failed: {row.faults[-1]}")
        mode, container = max(found, key=found.get) if found else ("lowlevel", "stream")
        self._fastest[codec] = (mode, container)
        return mode, dict(inputs)[container], notes

    def one_session(self, codec, seconds):
        loops, frames = MANY_LOOPS, MANY_LOOPS * FRAMES
        clip = self.clips.stream(codec, loops)
        box = self.clips.container(codec, loops) or clip
        mode, peer_clip, notes = self._peer(codec, loops, frames, seconds / 4)
        p = self.programs
        one = ["--engines", "1"]
        rows = [
            p.ours("ours, device frames", clip, *DEVICE, *one, frames=frames),
            p.pynv_row(f"PyNvVideoCodec {mode}, device frames", peer_clip, "--mode", mode, frames=frames),
            p.ffmpeg_row("ffmpeg -hwaccel cuda, device frames", box, "cuda", frames=frames),
            p.ffmpeg_row(f"ffmpeg {codec}_cuvid, device frames", box, f"{codec}_cuvid", frames=frames),
            p.ours("ours, metadata only", clip, *METADATA, *one, frames=frames),
            p.ours("ours, NV12 on the host", clip, *HOST, *one, frames=frames),
            p.pynv_row("PyNvVideoCodec lowlevel, host frames", clip, "--output", "host", frames=frames, reference=False),
            p.ffmpeg_row("ffmpeg -hwaccel cuda, NV12 on the host", box, "cuda", device=False, frames=frames, reference=False),
            p.ours("ours, RGB on the device", clip, *DEVICE, "--convert", "rgb24", *one, frames=frames),
            p.cli("video-hw decode, device frames (its own fps, opening included)", clip, "--output", "device", *one),
        ]
        return Case(f"a-{codec}", f"one session, {codec} 1080p, {frames:,} frames", rows, "fps", SPEED,
                    notes=[FPS_NOTE, "ours is compared with the fastest peer that gives device frames", *notes])

    def one_file(self, codec, seconds):
        loops, frames = LONG_LOOPS, LONG_LOOPS * FRAMES
        clip = self.clips.stream(codec, loops)
        box = self.clips.container(codec, loops) or clip
        p = self.programs
        auto = ["--engines", "auto"]
        check = ["--verify", FRAMES]
        rows = [
            p.ours("ours, auto, metadata only", clip, *METADATA, *auto, frames=frames, watch=True),
            p.ours("ours, auto, device frames", clip, *DEVICE, *auto, frames=frames, watch=True),
            p.ours("ours, auto, NV12 on the host", clip, *HOST, *auto, frames=frames, watch=True),
            p.ours("ours, 7 engines, device frames", clip, *DEVICE, "--engines", "7", frames=frames, watch=True),
            p.ours("ours, 14 engines, device frames", clip, *DEVICE, "--engines", "14", frames=frames, watch=True),
            p.ours("ours, 1 engine, device frames", clip, *DEVICE, frames=frames, watch=True, most=1),
            p.pynv_row("PyNvVideoCodec lowlevel, device frames", clip, frames=frames, watch=True, most=1),
            p.ffmpeg_row("ffmpeg -hwaccel cuda, device frames", box, "cuda", frames=frames, watch=True, most=1),
            p.ours("check: host frames equal those of the loop before", clip, *HOST, *auto, *check,
                   frames=frames, watch=True, most=1),
            p.ours("check: the same, device frames downloaded", clip, *DEVICE, *auto, *check,
                   frames=frames, watch=True, most=1),
        ]
        columns = SPEED + [("device_mib", "peak device MiB", 0)]
        notes = [
            FPS_NOTE,
            "every run of ours checks the number of frames and that their times rise; the two checks also compare every "
            "frame with the one 303 before it, so a frame in a wrong place is found",
            "device memory: the most in use, asked every 50 ms, less what was in use before; the context included",
        ]
        return Case(f"b-{codec}", f"one file on several engines, {codec} 1080p, {frames:,} frames", rows, "fps", columns,
                    notes=notes)

    def many_sessions(self, codec, seconds):
        loops, frames = MANY_LOOPS, MANY_LOOPS * FRAMES
        clip = self.clips.stream(codec, loops)
        p, n = self.programs, SESSIONS
        many = ["--instances", n]
        together = n * frames
        rows = [
            p.ours(f"ours, {n} sessions, device frames", clip, *DEVICE, sessions=n, frames=frames, watch=True),
            p.pynv_row(f"PyNvVideoCodec, {n} threads, device frames", clip, *many, frames=together, watch=True),
            p.pynv_row(f"PyNvVideoCodec, {n} processes, device frames", clip, *many, "--apart", "processes",
                       frames=together, watch=True),
            p.ours(f"ours, {n} sessions, metadata only", clip, *METADATA, sessions=n, frames=frames, watch=True),
            p.ours(f"ours, {n} sessions, NV12 on the host", clip, *HOST, sessions=n, frames=frames, watch=True),
        ]
        columns = SPEED + [("device_mib", "peak device MiB", 0)]
        notes = [FPS_NOTE + "; of all sessions together: from the first submission of any to the last frame of any"]
        return Case(f"c-{codec}", f"{n} sessions at once, {codec} 1080p, {frames:,} frames each", rows, "fps", columns,
                    notes=notes)

    def whole_process(self, codec, seconds):
        clip = self.clips.container(codec) or self.clips.stream(codec)
        p = self.programs
        auto = ["--engines", "auto"]
        rows = [
            p.cli("video-hw decode, auto, device frames", clip, "--output", "device", *auto),
            p.cli("video-hw decode, auto, NV12 on the host", clip, "--output", "host", *auto),
            p.cli("video-hw decode, auto, metadata only", clip, "--metadata-only", *auto),
            p.ffmpeg_row("ffmpeg -hwaccel cuda, device frames", clip, "cuda", frames=FRAMES),
            p.ffmpeg_row(f"ffmpeg {codec}_cuvid, device frames", clip, f"{codec}_cuvid", frames=FRAMES),
            p.pynv_row("PyNvVideoCodec lowlevel, device frames (with Python's start)", clip, frames=FRAMES,
                       reference=False),
        ]
        columns = [("process_s", "wall s of the process", 3), ("cpu_s", "CPU s", 2), ("rss_mib", "peak RSS MiB", 0)]
        return Case(f"d-{codec}", f"whole process, {codec} 1080p, {FRAMES} frames", rows, "process_s", columns,
                    higher_is_better=False, notes=["the ratio is of times: below 1 ours is faster"])

    def stages(self, codec, seconds):
        """Start-up, step by step: a table of its own."""
        clip = self.clips.container(codec) or self.clips.stream(codec)
        steps, order, faults, missing = {}, [], [], None
        ways = {"device frames, auto": [*DEVICE, "--engines", "auto"], "device frames, 1 engine": DEVICE}
        end = self.bench.clock.left() - seconds
        for turn in range(self.bench.repeat):
            for way, options in ways.items():
                command = [self.programs.many, clip, *self.programs.backend, *options, "--stages", "--spawned-at", STAMP]
                row = Row(f"stages, {way}", command, stage_figures, stamp=STAMP)
                missing = None if self.programs.many else "--many was not given"
                until = self.bench.clock.left() - end
                if missing or until < 1.5:
                    missing = missing or "no time left"
                    continue
                figures = self.bench.measure(f"d-{codec}", row, until)
                faults += row.faults
                for step, at in (figures or {}).get("steps", []):
                    if step not in order:
                        order.append(step)
                    steps.setdefault((way, step), []).append(at)
        rows = []
        for step in order:
            cells = [step]
            for way in ways:
                found = stats.summary(steps.get((way, step), []))
                cells.append(f"{found.median:.1f} ({found.least:.1f} to {found.most:.1f}, n {found.count})" if found else "?")
            rows.append(cells)
        notes = ["ms from the moment the process was asked for; median (least to most)"]
        notes += [f"**FAILED** {fault}" for fault in sorted(set(faults))]
        notes += [f"**NOT RUN** some or all: {missing}"] if missing else []
        return plain(f"d-{codec}: steps of the whole process", ["end of the step", *ways], rows, notes)

    def conversion(self, codec, seconds):
        loops, frames = MANY_LOOPS, MANY_LOOPS * FRAMES
        clip = self.clips.stream(codec, loops)
        p = self.programs
        rgb = ["--convert", "rgb24"]
        rows = [
            p.ours("ours, device, NV12", clip, *DEVICE, frames=frames),
            p.ours("ours, device, RGB24", clip, *DEVICE, *rgb, frames=frames),
            p.pynv_row("PyNvVideoCodec lowlevel, device, RGB", clip, "--color", "RGB", frames=frames),
            p.pynv_row("PyNvVideoCodec lowlevel, device, NV12", clip, frames=frames, reference=False),
            p.ours("ours, host, NV12", clip, *HOST, frames=frames),
            p.ours("ours, host, RGB24 converted before the download", clip, *HOST, *rgb, frames=frames),
            p.ours("ours, host, RGB24 converted by the CPU", clip, "--output", "cpu-rgb", frames=frames, most=2),
        ]
        notes = [FPS_NOTE, "the peer compared with is the one that also makes RGB"]
        return Case(f"e-{codec}", f"what RGB costs, one session, {codec} 1080p, {frames:,} frames", rows, "fps", SPEED,
                    notes=notes)


def stage_figures(done):
    """Times of the steps in ms since the process was asked for, as a list; the end is what the parent saw."""
    said = parse.last_json(done.out)
    if not said.get("passed"):
        raise ValueError(said.get("error") or parse.failed_checks(said) or "it made no report")
    start = said["process_start_ms"]
    steps = [("main begins", start)]
    steps += [(step["step"], start + step["at_ms"]) for step in said["steps"]]
    steps.append(("main ends", steps[-1][1]))
    steps.append(("the process is gone", steps[-1][1] + max(0, done.ended_ns - said["main_ends_ns"]) / 1e6))
    return {"steps": steps}
