"""Matroska, WebM and MPEG transport streams, by the writers of ffmpeg, mkvmerge, GStreamer and a browser, whole and damaged."""

import pathlib
import tempfile

from .cases_other import AV1, VP8, VP9
from .maker import edited, encode, joined, remux, source, x264, x265
from .recorder import recorded
from .truth import call, from_zero

MPEG2 = ("-g", 12, "-bf", 2, "-qscale:v", 4)
PACKET = 188


def x264_with_sound(*options, sound="aac", frames=50, params="bframes=3:b-pyramid=normal:keyint=12"):
    """A maker of pictures with B frames and a tone."""

    def run(path):
        seconds = frames / 25
        call(
            "ffmpeg", "-v", "error", "-y", "-nostdin", *source(), "-f", "lavfi", "-t", seconds, "-i", "sine=r=48000",
            "-frames:v", frames, "-c:v", "libx264", "-crf", 27, "-x264-params", params, "-pix_fmt", "yuv420p", "-threads", 1,
            "-c:a", sound, "-strict", -2, *options, "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", path,
        )  # fmt: skip

    return run


def piped(make, extension, form, *options):
    """A maker by a writer that cannot go back: sizes, durations and indexes are not known."""

    def run(path):
        with tempfile.TemporaryDirectory() as folder:
            first = pathlib.Path(folder, f"first.{extension}")
            make(first)
            path.write_bytes(call("ffmpeg", "-v", "error", "-i", first, "-map", 0, "-c", "copy", *options, "-f", form, "-"))

    return run


def mkvmerge(make, extension, *options):
    """A maker with mkvmerge, which laces sound and strips headers where it is asked to."""

    def run(path):
        with tempfile.TemporaryDirectory() as folder:
            first = pathlib.Path(folder, f"first.{extension}")
            make(first)
            call("mkvmerge", "--quiet", "--deterministic", "1", "-o", path, *options, first)

    return run


def gstreamer(*elements, sound=()):
    """A maker with GStreamer: an encoder and what is behind it, its muxer by the name `m`, and sound that goes there too."""

    def run(path):
        picture = ("videotestsrc", "num-buffers=60", "pattern=ball", "!", "video/x-raw,format=I420,width=320,height=240,framerate=25/1")
        tone = ("audiotestsrc", "num-buffers=110", "!", "audio/x-raw,rate=48000,channels=2", "!", *sound, "!", "m.") if sound else ()
        words = [word for element in elements for word in ("!", *element.split())]
        call("gst-launch-1.0", "-q", *picture, *words, "!", "filesink", f"location={path}", *tone)

    return run


def variable_rate(path):
    """Pictures at uneven times."""
    encode(path, "libx264", "-crf", 27, "-vf", "select='not(mod(n,3))+eq(mod(n,7),1)'", "-vsync", "vfr", frames=24)


def periods(data, before, after):
    """Packets of another size: bytes in front of and behind each."""
    packets = [data[at : at + PACKET] for at in range(0, len(data), PACKET)]
    return b"".join(bytes(before) + packet + bytes(after) for packet in packets)


def add_matroska(cases):
    h264 = x264("bframes=3:b-pyramid=normal:keyint=12")
    hevc = x265("bframes=3:keyint=12")
    for name, make, extension in [
        ("h264", h264, "mp4"), ("h264-open-gop", x264("open-gop=1:keyint=8:bframes=3:b-adapt=0"), "mp4"),
        ("h264-annexb", x264("bframes=0", "-bsf:v", "dump_extra"), "h264"), ("h264-interlaced", x264("tff=1:bframes=2"), "mp4"),
        ("hevc", hevc, "mp4"), ("hevc-open-gop", x265("open-gop=1:keyint=8:min-keyint=8:bframes=3:scenecut=0"), "mp4"),
        ("hevc-10-bit", x265("bframes=3", pix_fmt="yuv420p10le"), "mp4"), ("variable-rate", variable_rate, "mp4"),
        ("with-sound", x264_with_sound(), "mp4"),
    ]:  # fmt: skip
        cases.add(f"mkv-ffmpeg-{name}.mkv", remux(make, extension), short=name == "with-sound")
        cases.add(f"mkv-merge-{name}.mkv", mkvmerge(make, extension))
    for name, codec, options in [("vp8", "libvpx", VP8), ("vp9", "libvpx-vp9", VP9), ("av1", "libaom-av1", AV1)]:
        card = {"size": "176x144"}
        make = lambda path, codec=codec, options=options: encode(path, codec, *options, **card)  # noqa: E731
        cases.add(f"webm-ffmpeg-{name}.webm", make, short=name == "vp9")
        cases.add(f"webm-pipe-{name}.webm", piped(make, "webm", "webm", "-live", 1))
        cases.add(f"mkv-merge-{name}.mkv", mkvmerge(make, "webm"))
    cases.add("mkv-mpeg2.mkv", lambda path: encode(path, "mpeg2video", *MPEG2), "refused mpeg2video", "near")
    cases.add("mkv-pipe-h264.mkv", piped(h264, "mp4", "matroska"), short=True)
    cases.add("mkv-no-cues.mkv", mkvmerge(h264, "mp4", "--no-cues"))
    cases.add("mkv-cues-in-front.mkv", remux(h264, "mp4", "-reserve_index_space", 4096))
    cases.add("mkv-short-clusters.mkv", remux(h264, "mp4", "-cluster_time_limit", 60))
    cases.add("mkv-zlib.mkv", mkvmerge(h264, "mp4", "--compression", "0:zlib"))
    for sound in ("aac", "ac3", "libopus", "flac", "libmp3lame", "libvorbis"):
        cases.add(f"mkv-merge-sound-{sound}.mkv", mkvmerge(x264_with_sound(sound=sound), "mkv"))
    cases.add("mkv-fine-time-scale.mkv", mkvmerge(h264, "mp4", "--timestamp-scale", 10_000))
    cases.add("mkv-coarse-time-scale.mkv", mkvmerge(h264, "mp4", "--timestamp-scale", 10_000_000))
    cases.add("mkv-late-start.mkv", remux(h264, "mp4", before=("-itsoffset", "5")))


def add_ts(cases):
    h264 = x264("bframes=3:b-pyramid=normal:keyint=12")
    hevc = x265("bframes=3:keyint=12")
    for name, make, extension, options, card in [
        ("h264", h264, "mp4", (), None), ("h264-low-delay", x264("bframes=0:ref=1:slices=3"), "mp4", (), None),
        ("h264-paff", x264("tff=1:bframes=2"), "mp4", (), None),
        ("h264-open-gop", x264("open-gop=1:keyint=8:bframes=3:b-adapt=0"), "mp4", (), None),
        ("hevc", hevc, "mp4", (), None), ("hevc-10-bit", x265("bframes=3", pix_fmt="yuv420p10le"), "mp4", (), None),
        ("mpeg2", lambda path: encode(path, "mpeg2video", *MPEG2), "mpg", (), "near"),
        ("with-sound", x264_with_sound(), "mp4", (), None), ("with-ac3", x264_with_sound(sound="ac3"), "mp4", (), None),
        ("m2ts", h264, "mp4", ("-mpegts_m2ts_mode", 1), None), ("wrap", h264, "mp4", ("-output_ts_offset", "95443.2"), None),
        ("small-pes", h264, "mp4", ("-pes_payload_size", 1), None), ("no-pat-repeat", h264, "mp4", ("-pat_period", 30), None),
    ]:  # fmt: skip
        extension_out = "m2ts" if name == "m2ts" else "ts"
        short = name in ("h264-paff", "wrap")
        expect = "refused mpeg2video" if name == "mpeg2" else "equal"
        cases.add(f"ts-{name}.{extension_out}", remux(make, extension, *options), expect, card, truth=from_zero, short=short)
    whole = remux(h264, "mp4")
    cases.add("ts-204.ts", edited(whole, lambda data: periods(data, 0, 16)), truth=from_zero)
    cases.add("ts-from-the-middle-of-a-packet.ts", edited(whole, lambda data: bytes(100) + data), truth=from_zero)
    cases.add("ts-null-packets.ts", edited(whole, lambda data: data[:940] + b"\x47\x1f\xff\x10" + b"\xff" * 184 + data[940:]), truth=from_zero)  # fmt: skip
    cases.add("ts-two-in-a-row.ts", joined(whole, whole), times=False)


def add_gstreamer(cases):
    h264 = ("x264enc b-adapt=true bframes=3 key-int-max=12 threads=1", "h264parse")
    hevc = ("x265enc key-int-max=12", "h265parse")
    aac = ("avenc_aac", "!", "aacparse")
    for name, elements, sound in [
        ("h264.mkv", (*h264, "matroskamux name=m"), aac), ("hevc.mkv", (*hevc, "matroskamux"), ()),
        ("av1.mkv", ("av1enc cpu-used=8", "av1parse", "matroskamux"), ()),
        ("live-h264.mkv", (*h264, "matroskamux streamable=true"), ()),
        ("live-vp8.webm", ("vp8enc deadline=1", "webmmux name=m streamable=true"), ("vorbisenc",)),
        ("vp9.webm", ("vp9enc deadline=1", "webmmux name=m"), ("opusenc",)),
        ("h264.ts", (*h264, "mpegtsmux name=m"), aac), ("hevc.ts", (*hevc, "mpegtsmux"), ()),
        ("h264.m2ts", (*h264, "mpegtsmux m2ts-mode=true"), ()), ("opus.ts", (*h264, "mpegtsmux name=m"), ("opusenc",)),
        ("ac3.ts", (*h264, "mpegtsmux name=m alignment=7"), ("avenc_ac3", "!", "ac3parse")),
        ("fragments.mov", (*h264, "qtmux fragment-duration=500 streamable=true"), ()),
    ]:  # fmt: skip
        truth = from_zero if name.endswith("ts") else None
        cases.add(f"gstreamer-{name}", gstreamer(*elements, sound=sound), truth=truth, tool="gst-launch-1.0")


def add_recorded(cases):
    for codec in ("vp8", "vp9", "h264", "av01"):
        cases.add(f"browser-{codec}.webm", recorded(f"video/webm;codecs={codec}"), tool="chromium")


def add(cases):
    """Adds the cases of this file."""
    add_matroska(cases)
    add_ts(cases)
    add_gstreamer(cases)
    add_recorded(cases)
    for case in cases.all:
        if "av1" in case.name or "av01" in case.name:
            case.expect["nvidia"] = "any"  # Not every card decodes AV1.
