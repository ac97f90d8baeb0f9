"""VP8, VP9 and AV1, MPEG-2, pictures that are not compressed, and what is refused by name."""

import pathlib
import struct
import tempfile

from .maker import encode, joined, remux, source, x264
from .truth import call

VP8 = ("-deadline", "good", "-cpu-used", 4, "-b:v", "300k")
VP9 = ("-deadline", "good", "-cpu-used", 5, "-crf", 36, "-b:v", 0)
AV1 = ("-cpu-used", 8, "-crf", 42, "-b:v", 0, "-usage", "realtime")
AV1_GOOD = ("-cpu-used", 8, "-crf", 42, "-b:v", 0)


def ivf(codec, *options, **more):
    """A maker with one of ffmpeg's encoders."""
    return lambda path: encode(path, codec, *options, **more)


def raw_frames(data):
    """Header and frames (header, bytes) of an IVF file."""
    size = struct.unpack_from("<H", data, 6)[0]
    frames, at = [], size
    while at + 12 <= len(data):
        length = struct.unpack_from("<I", data, at)[0]
        frames.append(data[at + 12 : at + 12 + length])
        at += 12 + length
    return data[:size], frames


def in_a_row(*makes):
    """A maker of one IVF file of several: sizes and settings change at a key frame."""

    def run(path):
        head, frames = b"", []
        with tempfile.TemporaryDirectory() as folder:
            for number, make in enumerate(makes):
                piece = pathlib.Path(folder, f"piece-{number}.ivf")
                make(piece)
                own, more = raw_frames(piece.read_bytes())
                head, frames = head or own, frames + more
        head = head[:24] + struct.pack("<I", len(frames)) + head[28:]
        body = b"".join(struct.pack("<IQ", len(f), i) + f for i, f in enumerate(frames))
        path.write_bytes(head + body)

    return run


def program(name, *options, size="176x144", frames=12, pix_fmt="yuv420p"):
    """A maker with vpxenc or aomenc, which have settings that ffmpeg does not."""

    def run(path):
        with tempfile.TemporaryDirectory() as folder:
            # A file: most settings are for two passes.
            pictures = pathlib.Path(folder, "pictures.y4m")
            y4m(size, pix_fmt, frames=frames)(pictures)
            call(name, *options, "--quiet", "--ivf", "-t", 1, "-y", "-o", path, pictures)

    return run


def vpxenc(*options, **more):
    return program("vpxenc", "--codec=vp9", "--cpu-used=5", *options, **more)


def aomenc(*options, **more):
    return program("aomenc", "--cpu-used=8", "--end-usage=q", "--cq-level=45", *options, **more)


VP8_CASES = {
    "plain": (VP8, {}), "altref": ((*VP8, "-auto-alt-ref", 1, "-lag-in-frames", 10, "-arnr-maxframes", 5), {}),
    "partitions-4": ((*VP8, "-slices", 4), {}), "error-resilient": ((*VP8, "-error-resilient", "default"), {}),
    "profile-1": ((*VP8, "-profile:v", 1), {}), "profile-2": ((*VP8, "-profile:v", 2), {}), "profile-3": ((*VP8, "-profile:v", 3), {}),
    "low-q": ((*VP8, "-qmin", 0, "-qmax", 3, "-b:v", "4M"), {}), "realtime": ((*VP8[2:], "-deadline", "realtime"), {}),
    "noise-sharp": ((*VP8, "-sharpness", 7, "-noise-sensitivity", 2), {}), "key-frames": ((*VP8, "-g", 4), {}),
}  # fmt: skip
VP9_CASES = {
    "plain": (VP9, {}), "altref": ((*VP9, "-auto-alt-ref", 1, "-lag-in-frames", 12), {}), "no-altref": ((*VP9, "-auto-alt-ref", 0), {}),
    "lossless": ((*VP9[:4], "-lossless", 1), {"frames": 8}), "error-resilient": ((*VP9, "-error-resilient", "default"), {}),
    "frame-parallel": ((*VP9, "-frame-parallel", 1), {}), "tiles": ((*VP9, "-tile-columns", 2, "-tile-rows", 1), {"size": "1024x96", "frames": 5}),
    "intra": ((*VP9, "-g", 1), {"frames": 6}), "aq": ((*VP9, "-aq-mode", 2), {}), "screen": ((*VP9, "-tune-content", "screen"), {}),
    "low-q": ((*VP9[:4], "-crf", 4, "-b:v", 0), {"frames": 6}), "realtime-svc": (("-deadline", "realtime", "-cpu-used", 7, "-ts-parameters", "ts_number_layers=3:ts_target_bitrate=50,100,200:ts_rate_decimator=4,2,1:ts_periodicity=4:ts_layer_id=0,2,1,2:ts_layering_mode=3", "-b:v", "200k"), {}),
}  # fmt: skip
VP9_FORMATS = ["yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv422p12le", "yuv444p12le"]


def add_vpx(cases):
    """VP8 and VP9."""
    for name, (options, more) in VP8_CASES.items():
        cases.add(f"vp8-{name}.ivf", ivf("libvpx", *options, **more), short=name in ("plain", "altref"))
    for size in ["1x1", "2x2", "16x16", "17x33", "175x143", "33x200", "640x16"]:
        card = None if size == "175x143" else "any"
        cases.add(f"vp8-size-{size}.ivf", ivf("libvpx", *VP8, size=size, frames=8), nvidia=card, short=size == "175x143")
    cases.add("vp8-size-change.ivf", in_a_row(ivf("libvpx", *VP8, frames=5), ivf("libvpx", *VP8, size="320x180", frames=5), ivf("libvpx", *VP8, size="95x81", frames=5)))  # fmt: skip
    for name, (options, more) in VP9_CASES.items():
        card = "any" if "96" in more.get("size", "") else None
        cases.add(f"vp9-{name}.ivf", ivf("libvpx-vp9", *options, **more), nvidia=card, short=name == "plain")
    for size in ["1x1", "2x2", "8x8", "35x35", "66x66", "175x143", "130x200", "853x128"]:
        width, height = map(int, size.split("x"))
        card = None if min(width, height) >= 128 else "any"
        cases.add(f"vp9-size-{size}.ivf", ivf("libvpx-vp9", *VP9, size=size, frames=8), nvidia=card, short=size == "35x35")
    for pix_fmt in VP9_FORMATS:
        cases.add(f"vp9-{pix_fmt}.ivf", ivf("libvpx-vp9", *VP9, pix_fmt=pix_fmt, frames=6), nvidia="any")
    cases.add("vp9-yuv440p.ivf", ivf("libvpx-vp9", *VP9, pix_fmt="yuv440p", frames=6), "refused 4:4:0")
    cases.add("vp9-size-change.ivf", in_a_row(ivf("libvpx-vp9", *VP9, frames=5), ivf("libvpx-vp9", *VP9, size="320x180", frames=5), ivf("libvpx-vp9", *VP9, size="175x143", frames=5)))  # fmt: skip
    cases.add("vp9-resized-within.ivf", vpxenc("--rt", "--resize-allowed=1", "--end-usage=cbr", "--target-bitrate=30", "--buf-sz=400", "--buf-initial-sz=200", "--buf-optimal-sz=300", size="320x240", frames=90), short=True)  # fmt: skip
    cases.add("vp9-two-pass-altref.ivf", vpxenc("--good", "--end-usage=q", "--cq-level=40", "--auto-alt-ref=6", "--lag-in-frames=16", "--kf-max-dist=12", frames=24))
    cases.add("vp9-row-mt-tiles.ivf", vpxenc("--good", "--end-usage=q", "--cq-level=40", "--tile-columns=1", "--row-mt=1", size="512x128", frames=6))
    cases.add("vp9-in-mp4.mp4", ivf("libvpx-vp9", *VP9), short=True)
    cases.add("vp9-in-mp4-altref.mp4", ivf("libvpx-vp9", *VP9, "-auto-alt-ref", 1, "-lag-in-frames", 12, frames=30))
    cases.add("vp9-in-mp4-10-bit.mp4", ivf("libvpx-vp9", *VP9, pix_fmt="yuv420p10le", frames=8))
    cases.add("vp9-in-fragments.mp4", ivf("libvpx-vp9", *VP9, "-g", 5, "-movflags", "empty_moov+frag_keyframe+default_base_moof", frames=15))  # fmt: skip
    cases.add("vp9-superframes-split.ivf", remux(ivf("libvpx-vp9", *VP9, "-auto-alt-ref", 1, "-lag-in-frames", 12), "ivf", "-bsf:v", "vp9_superframe_split"), times=False)  # fmt: skip


AV1_CASES = {
    "plain": (AV1, {}), "good": (AV1_GOOD, {"frames": 12}), "no-cdef": ((*AV1, "-enable-cdef", 0), {}), "no-restoration": ((*AV1_GOOD, "-enable-restoration", 0), {"frames": 8}),
    "tiles": ((*AV1, "-tile-columns", 1, "-tile-rows", 1), {"size": "256x256", "frames": 6}), "grain": ((*AV1_GOOD, "-denoise-noise-level", 25), {"frames": 8}),
    "error-resilient": ((*AV1, "-aom-params", "error-resilient=1"), {}), "10-bit": ((*AV1_GOOD,), {"pix_fmt": "yuv420p10le", "frames": 6}),
    "intra": ((*AV1, "-g", 1), {"frames": 5}), "lossless": ((*AV1_GOOD, "-aom-params", "lossless=1"), {"frames": 4}), "gop-8": ((*AV1, "-g", 8), {}),
}  # fmt: skip
AV1_PROGRAM = {
    "superres": ["--superres-mode=1", "--superres-denominator=12"], "resized": ["--resize-mode=1", "--resize-denominator=12"],
    "palette": ["--tune-content=screen", "--enable-palette=1"], "intrabc": ["--tune-content=screen", "--enable-intrabc=1", "--kf-max-dist=0"],
    "s-frames": ["--sframe-dist=4", "--sframe-mode=1"], "altrefs": ["--lag-in-frames=19", "--auto-alt-ref=1", "--kf-max-dist=12"],
    "small-superblocks": ["--sb-size=64"], "full-header": ["--full-still-picture-hdr", "--limit=1"], "grain-test": ["--film-grain-test=3"],
    "no-order-hint": ["--enable-order-hint=0"], "mono": ["--monochrome"],
}  # fmt: skip


def add_av1(cases):
    """AV1."""
    for name, (options, more) in AV1_CASES.items():
        cases.add(f"av1-{name}.ivf", ivf("libaom-av1", *options, **more), short=name in ("plain", "10-bit"))
    for name, options in AV1_PROGRAM.items():
        cases.add(f"av1-{name}.ivf", aomenc(*options, frames=14))
    for pix_fmt in ["yuv444p", "yuv422p", "yuv444p10le", "yuv422p10le", "yuv420p12le", "gray"]:
        cases.add(f"av1-{pix_fmt}.ivf", ivf("libaom-av1", *AV1, pix_fmt=pix_fmt, frames=4))
    for size in ["16x16", "35x35", "175x143", "130x200"]:
        cases.add(f"av1-size-{size}.ivf", ivf("libaom-av1", *AV1, size=size, frames=5))
    svt = ("-preset", 10, "-crf", 45)
    cases.add("av1-svt.ivf", ivf("libsvtav1", *svt, frames=16))
    cases.add("av1-svt-10-bit.ivf", ivf("libsvtav1", *svt, pix_fmt="yuv420p10le", frames=10))
    cases.add("av1-svt-grain.mp4", ivf("libsvtav1", *svt, "-svtav1-params", "film-grain=20", frames=10))
    cases.add("av1-size-change.ivf", in_a_row(ivf("libaom-av1", *AV1, frames=4), ivf("libaom-av1", *AV1, size="320x180", frames=4)))  # fmt: skip
    cases.add("av1-in-mp4.mp4", ivf("libaom-av1", *AV1_GOOD, frames=16), short=True)
    cases.add("av1-in-mp4-altrefs.mp4", remux(aomenc(*AV1_PROGRAM["altrefs"], frames=24), "ivf"))
    cases.add("av1-in-fragments.mp4", ivf("libaom-av1", *AV1, "-g", 5, "-movflags", "empty_moov+frag_keyframe+default_base_moof", frames=15))  # fmt: skip
    cases.add("av1-section-5.obu", remux(ivf("libaom-av1", *AV1, frames=6), "ivf", "-f", "obu"), "any AV1", times=False)
    for case in cases.all:
        if case.name.startswith("av1-"):
            case.expect["nvidia"] = "any"  # Not every card decodes AV1.


MPEG2 = {
    "plain": ("-q:v", 5), "b-frames": ("-q:v", 5, "-bf", 2), "interlaced": ("-q:v", 5, "-flags", "+ildct+ilme", "-top", 1, "-bf", 2),
    "bottom-first": ("-q:v", 5, "-flags", "+ildct+ilme", "-top", 0), "intra": ("-q:v", 5, "-g", 1), "closed-gop": ("-q:v", 5, "-bf", 2, "-flags", "+cgop"),
    "intra-vlc": ("-q:v", 3, "-intra_vlc", 1), "alternate-scan": ("-q:v", 4, "-alternate_scan", 1, "-flags", "+ildct"),
}  # fmt: skip


def add_mpeg2(cases):
    """MPEG-2: the CPU's own decoders do not know it, ffmpeg and a card do."""
    known = {"times": False}
    for name, options in MPEG2.items():
        cases.add(f"mpeg2-{name}.m2v", ivf("mpeg2video", *options, frames=14), "refused mpeg2", "near", **known)
        cases.expect(f"mpeg2-{name}.m2v", auto="equal", ffmpeg="equal")
    cases.add("mpeg2-422.m2v", ivf("mpeg2video", "-q:v", 4, "-profile:v", 0, pix_fmt="yuv422p", frames=8), "refused mpeg2", "near", **known)  # fmt: skip
    cases.expect("mpeg2-422.m2v", auto="equal", ffmpeg="equal")


Y4M_FORMATS = ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv422p12le", "yuv444p12le", "gray10le", "gray12le"]  # fmt: skip


def y4m(size="34x18", pix_fmt="yuv420p", head=None, frame=None, frames=3):
    """A maker of a Y4M file; `head` and `frame` change its lines."""

    def run(path):
        form = ("-frames:v", frames, "-pix_fmt", pix_fmt, "-strict", -1, "-f", "yuv4mpegpipe", "-")
        data = call("ffmpeg", "-v", "error", *source(size), *form)
        line, _, rest = data.partition(b"\n")
        line = head(line) if head else line
        if frame:
            rest = rest.replace(b"FRAME\n", frame)
        path.write_bytes(line + b"\n" + rest)

    return run


def add_y4m(cases):
    """Pictures that are not compressed: no decoder, so that a card has nothing to say."""
    for pix_fmt in Y4M_FORMATS:
        cases.add(f"y4m-{pix_fmt}.y4m", y4m(pix_fmt=pix_fmt), short=pix_fmt == "yuv420p")
    for size in ["1x1", "2x2", "3x5", "33x17", "8192x16"]:
        cases.add(f"y4m-size-{size}.y4m", y4m(size=size, frames=2))
    heads = {
        "no-chroma-word": lambda line: b" ".join(w for w in line.split() if w[:1] != b"C"),
        "420mpeg2": lambda line: line.replace(b"C420jpeg", b"C420mpeg2"), "420paldv": lambda line: line.replace(b"C420jpeg", b"C420paldv"),
        "interlaced": lambda line: line.replace(b"Ip", b"It"), "comments": lambda line: line + b" XCOMMENT=hello XYSCSS=420JPEG",
        "ntsc": lambda line: line.replace(b"F25:1", b"F30000:1001"),
        "full-range": lambda line: line + b" XCOLORRANGE=FULL",
    }  # fmt: skip
    for name, head in heads.items():
        expect = "refused interlaced" if name == "interlaced" else "equal"
        cases.add(f"y4m-{name}.y4m", y4m(head=head), expect)
    cases.add("y4m-frame-words.y4m", y4m(frame=b"FRAME Ip Xhello\n"))
    cases.add("y4m-411.y4m", y4m(size="36x18", pix_fmt="yuv411p"), "refused 411", unread=True)


def foreign(codec, *options, extension, inputs=(), **more):
    """A maker of a file in a container that is not read."""
    return lambda path: encode(path, codec, *options, inputs=inputs, **{"frames": 5, **more})


def add_refused(cases):
    """What is refused by name."""
    for extension, word, codec in [
        ("avi", "AVI", "mpeg4"),
        ("mpg", "program stream", "mpeg2video"), ("flv", "Flash", "libx264"), ("ogv", "Ogg", "libtheora"), ("wmv", "ASF", "wmv2"),
        ("mxf", "MXF", "mpeg2video"), ("gif", "GIF", "gif"), ("nut", "NUT", "libx264"),
    ]:  # fmt: skip
        pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        cases.add(f"refused-{extension}.{extension}", foreign(codec, extension=extension, pix_fmt=pix_fmt), f"refused {word}", unread=True, short=extension == "flv")  # fmt: skip
    for name, codec, word, more in [
        ("prores", "prores_ks", "prores", {"pix_fmt": "yuv422p10le"}), ("mjpeg", "mjpeg", "jpeg", {"pix_fmt": "yuvj420p"}),
        ("mpeg4", "mpeg4", "mpeg4", {}), ("dnxhd", "dnxhd", "dnx", {"pix_fmt": "yuv422p", "size": "1920x1080", "frames": 1}),
        ("rawvideo", "rawvideo", "raw", {"pix_fmt": "uyvy422"}), ("png", "png", "png", {"pix_fmt": "rgb24"}),
    ]:  # fmt: skip
        options = ("-b:v", "36M", "-r", "25") if codec == "dnxhd" else ()
        # Cards decode two of them.
        card = {"nvidia": "near"} if name in ("mjpeg", "mpeg4") else {"unread": True}
        cases.add(f"refused-{name}.mov", foreign(codec, *options, extension="mov", **more), f"refused {word}", **card)
    cases.add("refused-mpeg4.m4v", foreign("mpeg4", extension="m4v"), "refused mpeg4", "near")
    cases.add("refused-h263.h263", foreign("h263", extension="h263"), "refused", unread=True)
    cases.add("refused-sound-only.mp4", sound_only, "refused video", unread=True)
    cases.add("refused-text.txt", lambda path: path.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n"), "refused text", unread=True)  # fmt: skip
    cases.add("refused-empty.mp4", lambda path: path.write_bytes(b""), "refused empty", unread=True)


def sound_only(path):
    call("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-t", 0.3, "-i", "sine", "-c:a", "aac", "-fflags", "+bitexact", path)


def add(cases):
    """Adds the cases of this file."""
    add_vpx(cases)
    add_av1(cases)
    add_mpeg2(cases)
    add_y4m(cases)
    add_refused(cases)
