"""H.265: coding tools, formats, sizes and byte streams."""

from . import nal
from .maker import edited, joined, remux, x265

TOOLS = {
    "plain": "",
    "ctu-16": "ctu=16:max-tu-size=16",
    "ctu-32": "ctu=32",
    "min-cu-32": "min-cu-size=32",
    "rect-amp": "rect=1:amp=1",
    "tu-depth": "tu-intra-depth=4:tu-inter-depth=4",
    "transform-skip": "tskip=1:tskip-fast=0",
    "no-sao": "sao=0",
    "sao-non-deblock": "sao-non-deblock=1",
    "no-deblock": "deblock=0:no-deblock=1",
    "deblock-6": "deblock=6,6",
    "no-sign-hide": "signhide=0",
    "no-strong-intra": "strong-intra-smoothing=0",
    "constrained-intra": "constrained-intra=1",
    "weightp": "weightp=1:weightb=1",
    "b0": "bframes=0",
    "b8-pyramid": "bframes=8:b-adapt=0:b-pyramid=1",
    "no-pyramid": "bframes=3:b-adapt=0:b-pyramid=0",
    "refs-5": "ref=5:max-merge=5",
    "open-gop": "open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0:scenecut=0",
    "closed-gop": "open-gop=0:keyint=8:min-keyint=8",
    "intra-refresh": "intra-refresh=1:keyint=10",
    "slices-3": "slices=3:wpp=1:pools=2",
    "wpp": "wpp=1:pools=2",
    "no-wpp": "wpp=0",
    "scaling-lists": "scaling-list=default",
    "lossless": "lossless=1",
    "cu-lossless": "cu-lossless=1:qp=20",
    "qp-low": "qp=3",
    "qp-high": "qp=50",
    "chroma-offsets": "cbqpoffs=-6:crqpoffs=6",
    "temporal-layers": "temporal-layers=1:bframes=3:b-adapt=0",
    "aud": "aud=1",
    "eos": "eob=1:eos=1",
    "hrd": "hrd=1:vbv-maxrate=800:vbv-bufsize=400",
    "hashes": "hash=1",
    "repeat-headers": "repeat-headers=1:keyint=6",
    "aq-delta-qp": "aq-mode=3:qg-size=16",
    "full-range": "range=full",
    "field-coding": "interlace=tff",
    "slices-2-ctu-32": "slices=2:ctu=32:wpp=1:pools=2",
    "high-tier": "high-tier=1:level-idc=6.2",
}

FORMATS = {
    "10-bit": ("yuv420p10le", "equal", None),
    "12-bit": ("yuv420p12le", "refused Main 12", "any"),
    "422": ("yuv422p", "refused 4:2:2", "any"),
    "422-10-bit": ("yuv422p10le", "refused 4:2:2", "any"),
    "444": ("yuv444p", "refused 4:4:4", "any"),
    "444-10-bit": ("yuv444p10le", "refused 4:4:4", "any"),
    "444-12-bit": ("yuv444p12le", "refused 4:4:4", "any"),
    "gray": ("gray", "refused Mono", "any"),
    "gray-10-bit": ("gray10le", "refused Mono", "any"),
    "rgb": ("gbrp", "refused 4:4:4", "any"),
}

SIZES = ["16x16", "34x50", "66x66", "130x98", "144x144", "174x150", "320x180", "1920x32"]

HDR10 = "hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=1000,400:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


def metadata(make, options):
    """A maker whose stream has fields of its headers rewritten by ffmpeg."""
    return remux(make, "h265", "-bsf:v", f"hevc_metadata={options}", before=["-f", "hevc"])


def open_gop_from_second(data):
    """The stream from its second random access point on: the leading pictures there refer to what is missing."""
    units = nal.split(data)
    firsts = [i for i, u in enumerate(units) if 16 <= nal.hevc_type(u) <= 21 and nal.begins_picture(u, "hevc")]
    return nal.join([u for u in units[: firsts[1]] if nal.hevc_type(u) in (32, 33, 34)] + units[firsts[1] :])


def add(cases):
    """Adds the cases of this file."""
    raw = {"times": False}
    for name, params in TOOLS.items():
        cases.add(f"hevc-{name}.h265", x265(params, frames=14), short=name in ("plain", "rect-amp"), **raw)
    cases.expect("hevc-constrained-intra.h265", software="refused constrained intra prediction")
    cases.add("hevc-intra-only.h265", x265("keyint=1", frames=6), "equal", "any", **raw)
    for name, (pix_fmt, expect, card) in FORMATS.items():
        cases.add(f"hevc-{name}.h265", x265(pix_fmt=pix_fmt, frames=6), expect, card, **raw)
    cases.add("hevc-hdr10.h265", x265(HDR10, pix_fmt="yuv420p10le", frames=6), short=True, **raw)
    cases.add("hevc-hlg.h265", x265("colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc", pix_fmt="yuv420p10le", frames=6), **raw)  # fmt: skip
    for size in SIZES:
        width, height = map(int, size.split("x"))
        card = None if min(width, height) >= 144 else "any"
        cases.add(f"hevc-size-{size}.h265", x265(size=size, frames=5), nvidia=card, **raw)

    plain = x265("bframes=2:b-adapt=0", size="208x176", frames=10)
    for name, crop in {
        "left": "crop_left=26", "top": "crop_top=10", "right": "crop_right=6", "bottom": "crop_bottom=2",
        "four-sides": "crop_left=16:crop_top=8:crop_right=26:crop_bottom=10",
        "to-2x2": "crop_left=100:crop_top=80:crop_right=106:crop_bottom=94",
    }.items():  # fmt: skip
        card = "any" if name == "to-2x2" else None
        cases.add(f"hevc-crop-{name}.h265", metadata(plain, crop), nvidia=card, short=name == "four-sides", **raw)
    cases.add("hevc-tick-rate.h265", metadata(plain, "tick_rate=60000/1001:num_ticks_poc_diff_one=1"), **raw)
    cases.add("hevc-3-byte-start-codes.h265", edited(plain, lambda d: nal.join(nal.split(d), b"\0\0\1")), **raw)
    cases.add("hevc-trailing-zeros.h265", edited(plain, lambda d: nal.join(nal.split(d), behind=b"\0" * 9)), **raw)
    cases.add("hevc-leading-garbage.h265", edited(plain, lambda d: b"\xff\x37\x80\x11" * 20 + d), **raw)
    short = x265(size="208x176", frames=5)
    cases.add("hevc-size-change.h265", joined(short, x265(size="320x180", frames=5), short), **raw)
    cases.add("hevc-crop-change.h265", joined(short, metadata(short, "crop_left=16:crop_top=16")), **raw)
    open_gop = x265("open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0:scenecut=0", size="208x176", frames=24)
    cases.add("hevc-cra-first.h265", edited(open_gop, open_gop_from_second), whole=open_gop, first=8, **raw)
    cut = edited(plain, lambda data: data[: len(data) * 3 // 4])
    cases.add("hevc-cut-tail.h265", cut, "damaged", whole=plain, **raw)
