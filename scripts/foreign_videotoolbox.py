#!/usr/bin/env python3
"""Runs FFmpeg's VideoToolbox code on the simulation and judges what comes out (scripts/foreign-videotoolbox.sh builds it)."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FRAMES = 60
SIZE = "352x288"
JUDGE = ["ffmpeg", "-v", "error", "-nostdin", "-y"]


def run(command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def sums(text):
    """The md5 of each frame in the output of ffmpeg's framemd5."""
    return [line.rsplit(",", 1)[1].strip() for line in text.splitlines() if line and not line.startswith("#")]


class Client:
    """The built ffmpeg, on the simulation."""

    def __init__(self, work):
        self.program = work / "ffmpeg"
        self.report = work / "report.json"

    def run(self, *arguments, profile="m1", settings=()):
        """Its standard output and the simulation's report; an error where a rule was broken or a reference lost."""
        self.report.unlink(missing_ok=True)
        choices = [part for setting in settings for part in ("--set", setting)]
        command = [ROOT / "sims/apple/run", "--profile", profile, *choices, "--report", self.report, self.program]
        done = subprocess.run(
            [*command, "-v", "warning", "-nostdin", "-y", *arguments], capture_output=True, text=True, timeout=300
        )
        if done.returncode != 0:
            raise AssertionError(f"it failed:\n{done.stderr}")
        report = json.loads(self.report.read_text())
        for key in ("violations", "leaks", "internal_errors"):
            if report[key]:
                raise AssertionError(f"{key}: {json.dumps(report[key][:5], indent=1)}")
        return done.stdout, report


def expect(what, found, wanted):
    if found != wanted:
        raise AssertionError(f"{what}: {found} instead of {wanted}")


def clip(work, name, *coding):
    path = work / name
    if not path.exists():
        source = f"testsrc2=size={SIZE}:rate=25"
        run([*JUDGE, "-f", "lavfi", "-i", source, "-frames:v", str(FRAMES), *coding, path])
    return path


def decode(client, path, pixels, profile="m1", by_videotoolbox=FRAMES):
    """Every picture by the simulation, and equal to the installed software decoder's."""
    wanted = sums(run([*JUDGE, "-i", path, "-pix_fmt", pixels, "-f", "framemd5", "-"]))
    asked = ("-hwaccel", "videotoolbox", "-i", path, "-pix_fmt", pixels, "-f", "framemd5", "-")
    out, report = client.run(*asked, profile=profile)
    expect("frames", len(wanted), FRAMES)
    expect("md5 sums", sums(out), wanted)
    calls = report["calls"].get("VTDecompressionSessionDecodeFrame", 0)
    expect("frames decoded by VideoToolbox", calls, by_videotoolbox)


def judge(path, raw, pixels, frames):
    """The installed ffmpeg decodes all frames of what was encoded, and they are like those that went in."""
    count = run(["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path])
    expect("decoded frames", int(count), frames)
    # Streams without a container may say nothing of their rate.
    command = ["ffmpeg", "-v", "info", "-nostdin", "-r", "25", "-i", path]
    command += ["-f", "rawvideo", "-pix_fmt", pixels, "-s", SIZE, "-r", "25", "-i", raw, "-lavfi", "[0][1]psnr", "-f", "null", "-"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    quality = re.search(r"PSNR .*average:(\S+)", told)
    if not quality or not (quality[1] == "inf" or float(quality[1]) > 30):
        raise AssertionError(f"a PSNR of {quality and quality[1]}")


def encode(client, raw, pixels, out, *options, profile="m1"):
    source = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", SIZE, "-r", "25", "-i", raw]
    _, report = client.run(*source, *options, "-b:v", "3M", out, profile=profile)
    calls = report["calls"].get("VTCompressionSessionEncodeFrame", 0)
    # In front of files with global headers, a frame is encoded for the parameter sets.
    expect("frames given to VideoToolbox", calls in (FRAMES, FRAMES + 1), True)
    judge(out, raw, pixels, FRAMES)


def key_frames(path):
    entries = ["-select_streams", "v", "-show_entries", "packet=flags", "-of", "csv=p=0"]
    flags = run(["ffprobe", "-v", "error", *entries, path]).split()
    return [index for index, flag in enumerate(flags) if flag.startswith("K")]


def main():
    work = Path(sys.argv[1])
    client = Client(work)
    clips = {
        "h264 with B pictures, MP4": (clip(work, "b.mp4", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-bf", "3"), "nv12"),
        "h264 of one slice type, Annex B": (clip(work, "a.h264", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-tune", "zerolatency"), "nv12"),
        "hevc 8 bit, MP4": (clip(work, "8.mp4", "-pix_fmt", "yuv420p", "-c:v", "libx265", "-x265-params", "log-level=error"), "nv12"),
        "hevc 10 bit, Annex B": (clip(work, "10.hevc", "-pix_fmt", "yuv420p10", "-c:v", "libx265", "-x265-params", "log-level=error"), "p010le"),
    }
    raw = clip(work, "raw.yuv", "-pix_fmt", "nv12", "-f", "rawvideo")
    raw10 = clip(work, "raw10.yuv", "-pix_fmt", "p010le", "-f", "rawvideo")

    def forced():
        out = work / "forced.h264"
        encode(client, raw, "nv12", out, "-c:v", "h264_videotoolbox", "-g", "250", "-force_key_frames", "expr:eq(mod(n,20),0)")
        expect("key frames", key_frames(out), [0, 20, 40])

    def across():
        """Decoder to encoder without a copy."""
        out = work / "across.mp4"
        source = ["-hwaccel", "videotoolbox", "-hwaccel_output_format", "videotoolbox_vld", "-i", clips["h264 with B pictures, MP4"][0]]
        _, report = client.run(*source, "-c:v", "hevc_videotoolbox", "-b:v", "3M", out)
        expect("pictures that were looked at", report["calls"].get("CVPixelBufferLockBaseAddress", 0), 0)
        judge(out, raw, "nv12", FRAMES)

    cases = {f"decode {name}": lambda path=path, pixels=pixels: decode(client, path, pixels) for name, (path, pixels) in clips.items()}
    for codec in ("h264", "hevc"):
        for reordering in (0, 2):
            for suffix in (codec, "mp4"):
                out = work / f"{codec}-{reordering}.{suffix}"
                options = ["-c:v", f"{codec}_videotoolbox", "-bf", str(reordering), "-g", "20"]
                cases[f"encode {codec}, -bf {reordering}, {suffix}"] = lambda out=out, options=options: encode(client, raw, "nv12", out, *options)
    cases["encode hevc 10 bit"] = lambda: encode(
        client, raw10, "p010le", work / "10bit.mp4", "-c:v", "hevc_videotoolbox", "-profile:v", "main10", "-bf", "0"
    )
    cases["encode h264 high, rate limited"] = lambda: encode(
        client, raw, "nv12", work / "high.h264", "-c:v", "h264_videotoolbox", "-profile:v", "high", "-coder", "cabac", "-maxrate", "4M"
    )
    for codec in ("h264", "hevc"):
        cases[f"encode {codec}, constant quality, in real time"] = lambda codec=codec: encode(
            client, raw, "nv12", work / f"quality.{codec}", "-c:v", f"{codec}_videotoolbox", "-q:v", "65", "-realtime", "1", "-prio_speed", "1"
        )
    # FFmpeg wants hardware for H.264, and goes on by itself where there is none.
    cases["decode h264 in a virtual machine"] = lambda: decode(client, *clips["h264 with B pictures, MP4"], profile="vm", by_videotoolbox=0)
    cases["encode h264 in a virtual machine"] = lambda: encode(
        client, raw, "nv12", work / "vm.h264", "-c:v", "h264_videotoolbox", "-allow_sw", "1", profile="vm"
    )
    cases["encode h264, forced key frames"] = forced
    cases["h264 to hevc on the device"] = across

    failed = 0
    for name, case in cases.items():
        try:
            case()
            print(f"ok      {name}")
        except (AssertionError, subprocess.CalledProcessError) as error:
            failed += 1
            print(f"FAILED  {name}: {error}{getattr(error, 'stderr', '') or ''}")
    print(f"{len(cases) - failed} of {len(cases)} passed (simulated)")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
