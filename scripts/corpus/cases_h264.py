"""H.264: coding tools, formats, sizes, and byte streams as they come out of networks and old recorders."""

from . import nal
from .maker import edited, joined, x264

# Tools of 8-bit 4:2:0, which both the CPU and a card take.
TOOLS = {
    "baseline": ("profile=baseline", ["-profile:v", "baseline"]),
    "main": ("", ["-profile:v", "main"]),
    "cavlc": ("cabac=0", []),
    "cavlc-8x8": ("cabac=0:8x8dct=1:partitions=all", []),
    "partitions-all": ("partitions=all:8x8dct=1:me=umh:subme=9", []),
    "no-8x8": ("8x8dct=0", []),
    "b0": ("bframes=0", []),
    "b1": ("bframes=1:b-pyramid=none", []),
    "b3-pyramid": ("bframes=3:b-pyramid=normal:b-adapt=0", []),
    "b5-strict": ("bframes=5:b-pyramid=strict:b-adapt=0", []),
    "b16": ("bframes=16:b-adapt=0:b-pyramid=normal", []),
    "direct-spatial": ("bframes=3:b-adapt=0:direct=spatial", []),
    "direct-temporal": ("bframes=3:b-adapt=0:direct=temporal", []),
    "open-gop": ("open-gop=1:bframes=3:keyint=8:min-keyint=8:scenecut=0", []),
    "refs-1": ("ref=1", []),
    "refs-8": ("ref=8:bframes=2", []),
    "refs-16": ("ref=16:mixed-refs=1", []),
    "weightp-1": ("weightp=1", []),
    "weightp-2": ("weightp=2:ref=4", []),
    "weightb": ("weightb=1:bframes=3:b-adapt=0", []),
    "no-weight": ("weightp=0:weightb=0", []),
    "slices-4": ("slices=4", []),
    "slices-4-no-8x8": ("slices=4:8x8dct=0", []),
    "slice-size-300": ("slice-max-size=300", []),
    "slice-size-300-main": ("slice-max-size=300:8x8dct=0", []),
    "slice-mbs-7": ("slice-max-mbs=7", []),
    "slice-mbs-7-cavlc": ("slice-max-mbs=7:cabac=0", []),
    "slice-mbs-7-baseline": ("slice-max-mbs=7:bframes=0", ["-profile:v", "baseline"]),
    "sliced-threads-like": ("slices=9:bframes=0:ref=1", []),
    "constrained-intra": ("constrained-intra=1", []),
    "constrained-intra-slices": ("constrained-intra=1:slices=3", []),
    "intra-refresh": ("intra-refresh=1:keyint=10:bframes=0", []),
    "intra-only": ("keyint=1", []),
    "long-gop": ("keyint=infinite:scenecut=0", []),
    "scene-cuts": ("keyint=250:scenecut=80:min-keyint=1", []),
    "aud": ("aud=1", []),
    "hrd": ("nal-hrd=vbr:vbv-maxrate=800:vbv-bufsize=400", []),
    "filler": ("nal-hrd=cbr:filler=1:bitrate=900:vbv-maxrate=900:vbv-bufsize=450", ["-b:v", "900k"]),
    "matrices-jvt": ("cqm=jvt", []),
    "chroma-offset": ("chroma-qp-offset=-5", []),
    "chroma-offset-up": ("chroma-qp-offset=7", []),
    "no-deblock": ("no-deblock=1", []),
    "deblock-high": ("deblock=6,6", []),
    "deblock-low": ("deblock=-6,-6", []),
    "qp-low": ("qp=4", []),
    "qp-high": ("qp=50", []),
    "pulldown": ("pulldown=32:pic-struct=1", []),
    "fake-interlaced": ("fake-interlaced=1", []),
    "full-range": ("range=pc", ["-color_range", "pc"]),
    "stitchable": ("stitchable=1:sps-id=3", []),
    "level-62": ("level=6.2", []),
    "no-psy-trellis": ("no-psy=1:trellis=2", []),
    "colours": ("colorprim=bt470bg:transfer=smpte170m:colormatrix=smpte170m", []),
}

# What a card need not take, with what the CPU is expected to do.
FORMATS = {
    "i420-lossless": ("qp=0", "yuv420p", "equal"),
    "gray": ("", "gray", "equal"),
    "422": ("", "yuv422p", "equal"),
    "422-cavlc-slices": ("cabac=0:slices=4", "yuv422p", "equal"),
    "444": ("", "yuv444p", "equal"),
    "444-lossless": ("qp=0", "yuv444p", "equal"),
    "10-bit": ("", "yuv420p10le", "equal"),
    "10-bit-slices": ("slice-max-mbs=7", "yuv420p10le", "equal"),
    "10-bit-intra": ("keyint=1:avcintra-class=0", "yuv420p10le", "equal"),
    "422-10-bit": ("", "yuv422p10le", "equal"),
    "444-10-bit": ("", "yuv444p10le", "equal"),
    "gray-10-bit": ("", "gray10le", "equal"),
}

INTERLACED = {
    "mbaff-tff": "tff=1",
    "mbaff-bff": "bff=1",
    "mbaff-cavlc": "tff=1:cabac=0",
    "mbaff-b-pyramid": "tff=1:bframes=3:b-adapt=0:b-pyramid=normal",
    "mbaff-open-gop": "tff=1:open-gop=1:bframes=2:keyint=8:scenecut=0",
    "mbaff-slices": "tff=1:slices=3",
    "mbaff-temporal": "tff=1:direct=temporal:bframes=3:b-adapt=0",
    "mbaff-weightp": "tff=1:weightp=2:ref=4",
    "mbaff-intra": "tff=1:keyint=1",
}

# The smaller ones are below what a card takes.
SIZES = ["2x2", "16x16", "18x18", "34x50", "48x16", "64x64", "98x66", "130x130", "174x142", "320x180", "1920x16", "16x1080"]


def metadata(make, options):
    """A maker whose stream has fields of its headers rewritten by ffmpeg."""
    from .maker import remux

    return remux(make, "h264", "-bsf:v", f"h264_metadata={options}", before=["-f", "h264"])


def without(make, unwanted):
    """A maker of a stream without certain NAL units."""
    return edited(make, lambda data: nal.join([u for u in nal.split(data) if not unwanted(u)]))


def with_behind(make, wanted, extra):
    """A maker of a stream with an extra unit behind certain ones."""

    def edit(data):
        units = []
        for unit in nal.split(data):
            units.append(unit)
            if wanted(unit):
                units.append(extra)
        return nal.join(units)

    return edited(make, edit)


def with_before_pictures(make, extra):
    """A maker of a stream with an extra unit before each picture."""

    def edit(data):
        units = []
        for unit in nal.split(data):
            if nal.begins_picture(unit, "h264"):
                units.append(extra)
            units.append(unit)
        return nal.join(units)

    return edited(make, edit)


def repeated_sets(data):
    """The parameter sets once more before every picture."""
    units = nal.split(data)
    sets = [unit for unit in units if nal.h264_type(unit) in (7, 8)]
    out = []
    for unit in units:
        if nal.begins_picture(unit, "h264"):
            out += sets
        out.append(unit)
    return nal.join(out)


def from_second_intra(data):
    """The stream from its second I picture on, behind its parameter sets."""
    units = nal.split(data)
    firsts = [i for i, unit in enumerate(units) if nal.begins_picture(unit, "h264") and nal.h264_is_intra(unit)]
    return nal.join([u for u in units[: firsts[1]] if nal.h264_type(u) in (7, 8)] + units[firsts[1] - 1 :])


def add(cases):
    """Adds the cases of this file."""
    raw = {"times": False}
    for name, (params, options) in TOOLS.items():
        short = name in ("cavlc", "b3-pyramid", "slice-size-300")
        cases.add(f"h264-{name}.h264", x264(params, *options, "-f", "h264"), short=short, **raw)
    for name, (params, pix_fmt, expect) in FORMATS.items():
        cases.add(f"h264-{name}.h264", x264(params, pix_fmt=pix_fmt, frames=12), expect, "any", **raw)
    cases.add("h264-rgb.h264", lambda path: _rgb(path), "equal", "any", **raw)
    for name, params in INTERLACED.items():
        cases.add(f"h264-{name}.h264", x264(params, frames=16), short=name == "mbaff-tff", **raw)
    for size in SIZES:
        width, height = map(int, size.split("x"))
        card = None if width >= 48 and height >= 64 else "any"
        cases.add(f"h264-size-{size}.h264", x264(size=size, frames=8), nvidia=card, **raw)
    cases.add("h264-size-4096x64.h264", x264("keyint=1", size="4096x64", frames=2), **raw)
    cases.add("h264-size-8192x16.h264", x264("keyint=1", size="8192x16", frames=2), nvidia="any", **raw)

    plain = x264("bframes=2:b-adapt=0", frames=12)
    for name, crop in {
        "left": "crop_left=26", "top": "crop_top=60", "right": "crop_right=6", "bottom": "crop_bottom=2",
        "four-sides": "crop_left=26:crop_top=60:crop_right=26:crop_bottom=10", "to-2x2": "crop_left=100:crop_top=80:crop_right=74:crop_bottom=62",
        "odd-half": "crop_left=2:crop_right=2:crop_top=2:crop_bottom=2",
    }.items():  # fmt: skip
        card = "any" if name == "to-2x2" else None
        cases.add(f"h264-crop-{name}.h264", metadata(plain, crop), nvidia=card, short=name == "four-sides", **raw)
    cases.add("h264-crop-444.h264", metadata(x264(pix_fmt="yuv444p", frames=6), "crop_left=5:crop_top=7:crop_right=3:crop_bottom=1"), nvidia="any", **raw)  # fmt: skip
    cases.add("h264-crop-mbaff.h264", metadata(x264("tff=1", frames=8), "crop_top=4:crop_bottom=8:crop_left=8"), **raw)
    cases.add("h264-aspect.h264", metadata(plain, "sample_aspect_ratio=64/45"), **raw)
    cases.add("h264-tick-rate.h264", metadata(plain, "tick_rate=60000/1001:fixed_frame_rate_flag=0"), **raw)

    cases.add("h264-3-byte-start-codes.h264", edited(plain, lambda d: nal.join(nal.split(d), b"\0\0\1")), **raw)
    cases.add("h264-trailing-zeros.h264", edited(plain, lambda d: nal.join(nal.split(d), behind=b"\0" * 9)), **raw)
    cases.add("h264-leading-zeros.h264", edited(plain, lambda d: b"\0" * 500 + d), **raw)
    cases.add("h264-leading-garbage.h264", edited(plain, lambda d: b"\xff\x37\x80\x11" * 20 + d), **raw)
    cases.add("h264-zeros-at-the-end.h264", edited(plain, lambda d: d + b"\0" * 4000), **raw)
    cases.add("h264-no-sei.h264", without(plain, lambda u: nal.h264_type(u) == 6), **raw)
    cases.add("h264-no-disposable.h264", without(plain, lambda u: nal.h264_type(u) == 1 and not nal.h264_is_reference(u)), **raw)  # fmt: skip
    text = b"\x06\x05\x15" + bytes(range(0x41, 0x51)) + b"video\x80"
    cases.add("h264-user-data.h264", with_before_pictures(plain, text), **raw)
    cases.add("h264-unknown-nal-types.h264", with_before_pictures(plain, b"\x18\x55\x55\x80"), **raw)
    cases.add("h264-twice.h264", joined(plain, plain), **raw)
    short = x264("bframes=2:b-adapt=0", frames=6)
    cases.add("h264-end-of-sequence-units.h264", joined(with_end(short), with_end(short), short), **raw)
    cases.add("h264-repeated-sets.h264", edited(plain, repeated_sets), **raw)
    open_gop = x264("open-gop=1:bframes=3:b-adapt=0:keyint=8:min-keyint=8:scenecut=0", frames=24)
    cases.add("h264-recovery-point-first.h264", edited(open_gop, from_second_intra), whole=open_gop, first=8, **raw)
    cases.add("h264-size-change.h264", joined(short, x264(size="320x180", frames=6), short), short=True, **raw)
    cases.add("h264-size-change-smaller.h264", joined(x264(size="320x240", frames=5), x264(size="96x96", frames=5)), **raw)
    cases.add("h264-crop-change.h264", joined(short, metadata(short, "crop_left=16:crop_top=16")), **raw)
    cases.add("h264-profile-change.h264", joined(x264("", "-profile:v", "baseline", frames=6), x264("cabac=1:8x8dct=1", frames=6), x264("cabac=0", frames=6)), **raw)  # fmt: skip
    cases.add("h264-progressive-then-mbaff.h264", joined(short, x264("tff=1", frames=6), short), **raw)
    cases.add("h264-refs-change.h264", joined(x264("ref=1:bframes=0", frames=6), x264("ref=9:bframes=3", frames=9)), **raw)

    cut = edited(plain, lambda data: data[: len(data) * 3 // 4])
    cases.add("h264-cut-tail.h264", cut, "damaged", whole=plain, **raw)
    cases.add("h264-not-video.h264", lambda path: path.write_bytes(b"\0" * 3000), "refused no known format", unread=True)


def _rgb(path):
    from .maker import encode

    encode(path, "libx264rgb", "-crf", 27, pix_fmt="rgb24", frames=6)


def with_end(make):
    """A maker of a stream that ends with an end of sequence unit."""
    return edited(make, lambda data: data + b"\0\0\0\1\x0a")

