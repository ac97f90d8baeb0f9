"""Command lines of the programs, and what their reports mean."""

import pathlib
import re
import subprocess

from . import parse
from .harness import Row

CLIENT = pathlib.Path(__file__).with_name("pynv_client.py")


class Programs:
    """What was given on the command line; each program that is not there says so in its rows."""

    def __init__(self, video_hw, many, ffmpeg, pynv, backend, device):
        self.video_hw, self.many, self.ffmpeg, self.pynv = video_hw, many, ffmpeg, pynv
        self.backend = ["--backend", backend] + (["--device", device] if device else [])
        self._help = self._first_words([video_hw, "decode", "--help"]) if video_hw else ""
        self._ffmpeg_can = self._first_words([ffmpeg, "-hide_banner", "-hwaccels"]) if ffmpeg else ""
        self._ffmpeg_can += self._first_words([ffmpeg, "-hide_banner", "-decoders"]) if ffmpeg else ""
        self._pynv_fault = self._try_pynv() if pynv else "--pynv was not given"

    @staticmethod
    def _first_words(command):
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=60, errors="replace").stdout
        except (OSError, subprocess.SubprocessError):
            return ""

    def _try_pynv(self):
        command = [self.pynv, "-c", "import PyNvVideoCodec"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, errors="replace")
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        return None if done.returncode == 0 else f"import PyNvVideoCodec failed: {parse.last_words(done.stderr)}"

    def versions(self):
        return [
            ("video-hw", [self.video_hw, "--version"] if self.video_hw else None),
            ("ffmpeg", [self.ffmpeg, "-version"] if self.ffmpeg else None),
            ("PyNvVideoCodec", [
                self.pynv, "-c", "from importlib.metadata import version; print(version('PyNvVideoCodec'))",
            ] if self.pynv else None),
        ]

    def ours(self, name, clip, *options, frames=None, sessions=1, **more):
        """decode_many."""
        command = [self.many, clip, *self.backend, "--sessions", sessions, *options]
        command += ["--expect", frames] if frames else []
        missing = None if self.many else "--many was not given"
        return Row(name, command, throughput, missing=missing, **more)

    def cli(self, name, clip, *options, **more):
        """video-hw decode."""
        missing = None if self.video_hw else "--video-hw was not given"
        for option in options:
            if str(option).startswith("--") and not re.search(re.escape(option) + r"(?![\w-])", self._help):
                missing = missing or f"this video-hw has no {option}"
        command = [self.video_hw, "decode", clip, "--null", "--quiet", "--json", *self.backend, *options]
        return Row(name, command, command_line, missing=missing, **more)

    def ffmpeg_row(self, name, clip, decoder, device=True, frames=None, **more):
        """ffmpeg: `decoder` is "cuda" for the hwaccel, or the name of a cuvid decoder."""
        command = [self.ffmpeg, "-hide_banner", "-v", "error", "-nostdin", "-nostats"]
        command += ["-progress", "pipe:1", "-stats_period", "0.05"]
        command += ["-hwaccel", "cuda"] + (["-hwaccel_output_format", "cuda"] if device else [])
        command += [] if decoder == "cuda" else ["-c:v", decoder]
        command += ["-i", clip, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-"]
        missing = None
        if not self.ffmpeg:
            missing = "--ffmpeg was not given"
        elif not re.search(rf"^\s*(V\S*\s+)?{decoder}\b", self._ffmpeg_can, re.M):
            missing = f"this ffmpeg has no {decoder}"
        return Row(name, command, ffmpeg_figures, ours=False, missing=missing, frames=frames, **more)

    def pynv_row(self, name, clip, *options, frames=None, **more):
        """PyNvVideoCodec."""
        command = [self.pynv, CLIENT, clip, *options]
        return Row(name, command, throughput, ours=False, missing=self._pynv_fault, frames=frames, **more)


def throughput(done):
    """decode_many and pynv_client speak alike."""
    said = parse.last_json(done.out)
    if not said.get("passed"):
        raise ValueError(said.get("error") or parse.failed_checks(said) or "it made no report")
    rss = said.get("peak_resident_kib")
    keep = {key: said.get(key) for key in ("fps", "fps_running", "frames", "open_s", "concealed")}
    return {**keep, **({"rss_mib": rss / 1024} if rss else {})}


def latency(done):
    said = parse.last_json(done.out)
    if not said.get("passed"):
        raise ValueError(f"{said.get('missed')} frames missed of {said.get('packets')} packets: {said.get('error')}")
    keys = ("p50_ms", "p95_ms", "p99_ms", "max_ms", "first_ms", "missed", "packets", "frames")
    return {key: said[key] for key in keys}


def command_line(done):
    said = parse.last_json(done.out)
    if not said["ledger"]["balances"]:
        raise ValueError("its ledger does not balance")
    return {"fps": said["fps"], "frames": said["frames_out"], "concealed": said.get("concealed")}


def ffmpeg_figures(done):
    samples = [(at, parse.progress_frames(line)) for at, line in done.lines]
    samples = [(at, frames) for at, frames in samples if frames is not None]
    frames = samples[-1][1] if samples else 0
    if not frames:
        raise ValueError("no frame came")
    # It goes on in software when the hardware refuses, which would be measured as something else.
    if re.search(r"hwaccel|Failed setup|software", done.err, re.I):
        raise ValueError(f"it did not decode in hardware: {parse.last_words(done.err)}")
    steady = parse.progress_steady(samples)
    return {"fps": steady, "fps_running": steady, "frames": frames}
