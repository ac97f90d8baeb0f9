"""What streams `differential.py` makes: sources, sizes, encoders and their options, drawn at random."""

import dataclasses
import pathlib
import random
import shlex

# Sources of pictures, by how much work they are for the coding tools: still, flat, moving, fading, cut, incompressible.
CONTENT = {
    "pattern": "testsrc2=s=352x288:r=25",
    "noisy": "testsrc2=s=352x288:r=25,noise=alls={n}:allf=t:all_seed={s}",
    "noise": "color=gray:s=352x288:r=25,noise=alls=100:allf=t:all_seed={s}",
    # By way of 8 bits: straight to 4:2:2 of 10 bits, ffmpeg makes samples beyond 1023.
    "fractal": "mandelbrot=s=352x288:r=25,format=yuv444p",
    "cells": "life=s=176x144:r=25:seed={s}:mold=10:life_color=#C83232:death_color=#00FF80:mold_color=#1020A0,scale=352:288",
    "gradients": "gradients=s=352x288:r=25:seed={s}:speed=0.05",
    "still": "testsrc=s=352x288:r=25,select=eq(n\\,0),loop=-1:1,setpts=N/25/TB",
    "flat": "color=c=0x{s:06x}:s=352x288:r=25",
    "fade": "testsrc2=s=352x288:r=25,fade=in:0:9,fade=out:12:8",
    "crossing": "testsrc2=s=352x288:r=25,scroll=h=0.03:v=0.011,eq=brightness=0.3*sin(n/3):eval=frame",
    "cuts": "testsrc2=s=352x288:r=25,negate=enable=lt(mod(n\\,7)\\,3),hflip=enable=lt(mod(n\\,11)\\,5)",
    "spinning": "testsrc2=s=352x288:r=25,rotate=n/20,noise=alls=6:allf=t:all_seed={s}",
}

# Encoders that have tools which ffmpeg does not reach, and so are run by themselves.
PROGRAMS = {
    "aomenc": ["aomenc", "--quiet", "--ivf", "--threads=1", "--passes=1"],
    "vpxenc": ["vpxenc", "--quiet", "--ivf", "--threads=1", "--passes=1"],
}


@dataclasses.dataclass
class Case:
    """One stream: all that its command line says."""

    encoder: str
    extension: str
    pix_fmt: str
    width: int
    height: int
    frames: int
    content: str
    noise: int
    seed: int
    # Options of ffmpeg for the encoder, and the encoder's own in one of them.
    options: dict
    params: dict
    params_name: str

    def source(self):
        source = CONTENT[self.content].format(n=self.noise, s=self.seed)
        return f"{source},format={self.pix_fmt},crop=w={self.width}:h={self.height}:exact=1"

    def shell(self, path=None):
        """The command that makes the stream, for a shell."""
        path = str(path or f"wrong.{self.extension}")
        if self.encoder == "syntax":
            program = str(pathlib.Path(__file__).with_name("differential_syntax.py"))
            return f"{shlex.join(['python3', program, str(self.seed)])} > {shlex.quote(path)}"
        command = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", "-f", "lavfi", "-i", self.source()]
        command += ["-frames:v", str(self.frames)]
        if self.encoder in PROGRAMS:
            encode = [*PROGRAMS[self.encoder], *(f"--{k}" if v is None else f"--{k}={v}" for k, v in self.params.items())]
            return f"{shlex.join([*command, '-strict', '-1', '-f', 'yuv4mpegpipe', '-'])} | {shlex.join([*encode, '-o', path, '-'])}"
        command += ["-c:v", self.encoder, "-threads", "1"]
        for name, value in self.options.items():
            command += [f"-{name}", str(value)]
        if self.params:
            command += [self.params_name, ":".join(f"{k}={v}" for k, v in self.params.items())]
        return shlex.join([*command, path])

    def simpler(self):
        """Cases with one thing less, the most telling first."""
        if self.encoder == "syntax":
            return
        for frames in sorted({1, 2, 3, self.frames // 2, self.frames - 1}):
            if 0 < frames < self.frames:
                yield dataclasses.replace(self, frames=frames)
        for key in self.params.keys() - {"hash"}:
            yield dataclasses.replace(self, params={k: v for k, v in self.params.items() if k != key})
        for key in list(self.options):
            yield dataclasses.replace(self, options={k: v for k, v in self.options.items() if k != key})
        for width, height in ((32, 32), (64, 64), (self.width // 2, self.height // 2), (96, 96)):
            width, height = max(width & ~1, 16), max(height & ~1, 16)
            if width * height < self.width * self.height:
                yield dataclasses.replace(self, width=width, height=height)
        if self.content != "pattern":
            yield dataclasses.replace(self, content="pattern")


class Draw:
    """Values drawn for one stream."""

    def __init__(self, seed, number, least):
        self.random, self.least = random.Random(f"{seed}/{number}"), least
        self.params, self.options = {}, {}

    def one(self, *values):
        return self.random.choice(values)

    def number(self, low, high):
        return self.random.randint(low, high)

    def chance(self, probability):
        return self.random.random() < probability

    def maybe(self, probability, name, *values, into=None):
        """With a probability, sets an option to one of the values; a pair of integers in a list is a range."""
        if self.chance(probability):
            value = self.one(*values)
            if isinstance(value, list):
                value = self.number(*value)
            (self.params if into is None else into)[name] = value

    def option(self, probability, name, *values):
        self.maybe(probability, name, *values, into=self.options)

    def size(self, step_x=1, step_y=1, least=1, most=(352, 288)):
        """Mostly small, often not whole blocks, at times extreme."""
        kind = self.random.random()
        if kind < 0.1:
            width, height = self.number(1, 40), self.number(1, 40)
        elif kind < 0.2:
            width, height = self.one((most[0], self.number(1, 48)), (self.number(1, 48), most[1]))
        elif kind < 0.5:
            width, height = self.number(16, most[0]), self.number(16, most[1])
        elif kind < 0.9:
            width, height = self.number(32, 180), self.number(32, 150)
        else:
            width, height = most
        least = max(least, self.least)
        up = lambda value, step: (max(least, value) + step - 1) // step * step
        return up(width, step_x), up(height, step_y)


def draw(seed, number, only=None, least=1):
    """Stream `number` of a seed, of pictures whose sides are `least` samples at least."""
    d = Draw(seed, number, least)
    weights = {x264: 46, syntax: 8, x265: 17, vp9: 10, vp8: 6, vpx_resized: 2, svt_av1: 4, aom_av1: 7}
    make = d.random.choices(list(weights), list(weights.values()))[0]
    if only is not None:
        make = {f.encoder: f for f in weights}[only]
    case = make(d)
    case.frames = d.one(d.number(2, 6), d.number(5, 14), d.number(12, 36))
    if case.width * case.height > 60_000 or case.encoder in ("aomenc", "libsvtav1"):
        case.frames = min(case.frames, 16)
    return case


def case(d, encoder, extension, pix_fmt, size, params_name=""):
    return Case(
        encoder, extension, pix_fmt, *size, 0, d.one(*CONTENT), d.number(3, 60), d.number(1, 0xFFFFFF), d.options, d.params, params_name
    )


def steps(pix_fmt, rows=1):
    """Sizes that chroma of this format divides into; H.264 and HEVC can cut off no less."""
    x = 1 if "444" in pix_fmt or "gray" in pix_fmt else 2
    return x, (2 if "420" in pix_fmt else 1) * rows


def x264(d):
    pix_fmt = d.one(*["yuv420p"] * 7, "yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuv444p10le", "gray", "gray10le")
    interlaced = d.chance(0.2)
    d.options["preset"] = d.one("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow")
    d.option(0.06, "profile:v", "baseline", "main", "high")
    d.option(0.06, "tune", "zerolatency", "film", "animation", "grain", "stillimage", "fastdecode", "psnr")
    quantiser(d, "qp", 51, pix_fmt, lossless=0.05)
    # How pictures are cut into slices.
    cut = d.random.random()
    if cut < 0.2:
        d.params["slices"] = d.number(2, 12)
    elif cut < 0.35:
        d.params["slice-max-size"] = d.one(150, 300, 600, 1200)
    elif cut < 0.5:
        d.params["slice-max-mbs"] = d.number(2, 80)
        d.maybe(0.3, "slice-min-mbs", [1, 12])
    elif cut < 0.55:
        d.params.update({"sliced-threads": 1, "threads": d.number(2, 4)})
    d.maybe(0.4, "8x8dct", 0, 1)
    d.maybe(0.35, "cabac", 0, 1)
    d.maybe(0.3, "weightp", 0, 1, 2)
    d.maybe(0.2, "weightb", 0, 1)
    d.maybe(0.4, "ref", [1, 16])
    d.maybe(0.5, "bframes", 0, 1, 2, 3, 5, 8, 16)
    d.maybe(0.3, "b-adapt", 0, 1, 2)
    d.maybe(0.1, "b-bias", [-90, 90])
    d.maybe(0.3, "b-pyramid", "none", "strict", "normal")
    d.maybe(0.3, "direct", "none", "spatial", "temporal", "auto")
    d.maybe(0.3, "partitions", "none", "all", "i4x4", "i8x8", "p8x8,b8x8", "i4x4,i8x8,p8x8,p4x4,b8x8")
    d.maybe(0.2, "me", "dia", "hex", "umh")
    d.maybe(0.3, "subme", [0, 10])
    d.maybe(0.2, "trellis", 0, 1, 2)
    d.maybe(0.15, "no-mixed-refs", 1)
    d.maybe(0.1, "no-chroma-me", 1)
    d.maybe(0.5, "keyint", 1, 2, [3, 12], [10, 40])
    d.maybe(0.3, "min-keyint", 1, 2, 5)
    d.maybe(0.2, "scenecut", 0, 40, 90)
    d.maybe(0.15, "open-gop", 1)
    d.maybe(0.1, "intra-refresh", 1)
    d.maybe(0.12, "constrained-intra", 1)
    d.maybe(0.2, "chroma-qp-offset", [-12, 12])
    d.maybe(0.1, "cqm", "jvt", "flat")
    d.maybe(0.06, "cqm4", ",".join(str(d.number(4, 60)) for _ in range(16)))
    d.maybe(0.06, "cqm8", ",".join(str(d.number(4, 60)) for _ in range(64)))
    d.maybe(0.25, "deblock", f"{d.number(-6, 6)},{d.number(-6, 6)}")
    d.maybe(0.1, "no-deblock", 1)
    d.maybe(0.1, "aud", 1)
    if d.chance(0.08):
        d.params.update({"nal-hrd": "vbr", "vbv-maxrate": 400, "vbv-bufsize": 300, "pic-struct": 1})
    d.maybe(0.1, "level", 4.1, 5.1, 6.2)
    d.maybe(0.15, "aq-mode", 0, 1, 2, 3)
    d.maybe(0.1, "nr", 100, 1000)
    d.maybe(0.1, "stitchable", 1)
    d.maybe(0.05, "bluray-compat", 1)
    d.maybe(0.1, "rc-lookahead", 0, 5, 20)
    d.maybe(0.1, "no-psy", 1)
    d.maybe(0.05, "no-dct-decimate", 1)
    d.maybe(0.05, "no-fast-pskip", 1)
    d.maybe(0.06, "crop-rect", ",".join(str(2 * d.number(0, 6)) for _ in range(4)))
    if interlaced:
        d.params[d.one("tff", "bff", "fake-interlaced")] = 1
    size = d.size(*steps(pix_fmt, 2 if interlaced and "420" in pix_fmt else 1))
    return case(d, "libx264", d.one("h264", "h264", "h264", "mp4"), pix_fmt, size, "-x264-params")


def quantiser(d, name, most, pix_fmt, lossless):
    kind = d.random.random()
    if kind < lossless:
        # Not of more than 8 bits: at some sizes ffmpeg's scaler makes samples beyond what the depth holds, and these would be kept.
        d.params[name] = 0 if "le" not in pix_fmt else 1
    elif kind < 0.15:
        d.params[name] = d.one(1, 2, 5, most - 4, most)
    elif kind < 0.5:
        d.params[name] = d.number(8, most - 6)
    elif kind < 0.9:
        d.params["crf"] = d.number(8, 45)


def x265(d):
    pix_fmt = d.one(*["yuv420p"] * 9, *["yuv420p10le"] * 5, "yuv422p", "yuv422p10le", "yuv444p", "yuv420p12le")
    d.options["preset"] = d.one("ultrafast", "superfast", "veryfast", "fast", "medium")
    d.params.update({"log-level": "error", "pools": 1, "frame-threads": 1})
    size = d.size(*steps(pix_fmt), least=16)
    # A picture holds a whole coding tree unit at least.
    ctu = d.one(*[c for c in (16, 32, 64) if c <= min(size)])
    d.params["ctu"] = ctu
    d.maybe(0.3, "min-cu-size", 8, 16)
    d.maybe(0.3, "max-tu-size", *[t for t in (4, 8, 16, 32) if t <= ctu])
    d.maybe(0.3, "rect", 0, 1)
    if d.chance(0.25):
        d.params.update({"rect": 1, "amp": 1})
    # Where it gives wavefronts up, for pictures of few units, x265 does not end its slices as it should.
    if d.chance(0.25) and min(size) >= 4 * ctu:
        d.params.update({"slices": d.number(2, 4), "wpp": 1})
    else:
        d.maybe(0.3, "wpp", 0, 1)
    d.maybe(0.2, "tskip", 1)
    d.maybe(0.08, "lossless", 1)
    d.maybe(0.12, "cu-lossless", 1)
    d.maybe(0.2, "sao", 0, 1)
    d.maybe(0.1, "sao-non-deblock", 1)
    d.maybe(0.2, "open-gop", 0, 1)
    d.maybe(0.5, "bframes", 0, 1, 2, 4, 8, 16)
    if d.params.get("bframes", 4) > 3:
        d.params["rc-lookahead"] = 20
    d.maybe(0.2, "b-adapt", 0, 1, 2)
    d.maybe(0.2, "b-pyramid", 0, 1)
    d.maybe(0.3, "weightp", 0, 1)
    d.maybe(0.25, "weightb", 1)
    d.maybe(0.4, "ref", [1, 16])
    d.maybe(0.3, "max-merge", [1, 5])
    d.maybe(0.2, "strong-intra-smoothing", 0, 1)
    d.maybe(0.15, "constrained-intra", 1)
    d.maybe(0.2, "tu-intra-depth", [1, 2 + (ctu > 16)])
    d.maybe(0.2, "tu-inter-depth", [1, 2 + (ctu > 16)])
    d.maybe(0.15, "scaling-list", "default")
    d.maybe(0.2, "signhide", 0, 1)
    d.maybe(0.5, "keyint", 1, 2, [3, 12], [10, 40])
    d.maybe(0.2, "min-keyint", 1, 3)
    d.maybe(0.2, "scenecut", 0, 40)
    d.maybe(0.1, "aud", 1)
    if d.chance(0.08):
        d.params.update({"hrd": 1, "vbv-maxrate": 400, "vbv-bufsize": 300})
    d.maybe(0.12, "temporal-layers", [2, 5])
    d.maybe(0.2, "temporal-mvp", 0, 1)
    d.maybe(0.25, "deblock", f"{d.number(-6, 6)},{d.number(-6, 6)}")
    d.maybe(0.1, "no-deblock", 1)
    d.maybe(0.2, "cbqpoffs", [-12, 12])
    d.maybe(0.2, "crqpoffs", [-12, 12])
    d.maybe(0.2, "aq-mode", [0, 4])
    d.maybe(0.15, "qg-size", 8, 16, 32, 64)
    d.maybe(0.2, "rd", [1, 6])
    d.maybe(0.2, "subme", [0, 5])
    d.maybe(0.1, "rdoq-level", [0, 2])
    d.maybe(0.08, "intra-refresh", 1)
    d.maybe(0.08, "interlace", "tff", "bff")
    d.maybe(0.1, "repeat-headers", 1)
    d.maybe(0.1, "opt-qp-pps", 1)
    d.maybe(0.1, "opt-ref-list-length-pps", 1)
    d.maybe(0.1, "idr-recovery-sei", 1)
    d.maybe(0.1, "log2-max-poc-lsb", [4, 12])
    d.maybe(0.15, "b-intra", 1)
    d.maybe(0.1, "nr-inter", 500)
    d.maybe(0.1, "early-skip", 1)
    d.maybe(0.1, "hash", [1, 3])
    # ffmpeg 5.1 is not exact for every stream of small coding tree units either: it compares what it decodes with this.
    d.params.setdefault("hash", 1)
    quantiser(d, "qp", 51, pix_fmt, lossless=0.02)
    return case(d, "libx265", d.one("hevc", "hevc", "hevc", "mp4"), pix_fmt, size, "-x265-params")


def vp8(d):
    d.options["deadline"] = d.one("realtime", "good")
    d.options["cpu-used"] = d.number(0, 8)
    d.option(0.5, "profile:v", 0, 1, 2, 3)
    d.option(0.5, "slices", 1, 2, 4, 8)
    libvpx(d)
    d.option(0.2, "noise-sensitivity", [0, 4])
    return case(d, "libvpx", "ivf", "yuv420p", d.size())


def libvpx(d):
    d.option(0.3, "error-resilient", 1, "default+partitions")
    d.option(0.4, "auto-alt-ref", 0, 1)
    d.option(0.4, "lag-in-frames", 0, 5, 16, 25)
    d.option(0.3, "arnr-maxframes", [0, 15])
    d.option(0.4, "g", 1, [2, 12], 9999)
    d.option(0.2, "static-thresh", 1, 1000)
    d.option(0.2, "sharpness", [0, 7])
    d.option(0.2, "undershoot-pct", 20)
    kind = d.random.random()
    if kind < 0.4:
        d.options["b:v"] = d.one("20k", "100k", "800k", "4M")
        d.option(0.4, "minrate", d.options["b:v"])
    elif kind < 0.8:
        d.options.update({"crf": d.number(4, 63), "b:v": "1M"})
    else:
        quantiser = d.one(0, 1, 20, 40, 63)
        d.options.update({"qmin": quantiser, "qmax": quantiser, "b:v": "1M"})


def vp9(d):
    eight, deep = ["yuv420p"] * 8, ["yuv420p10le", "yuv420p12le"]
    other = ["yuv422p", "yuv444p", "yuv440p", "yuv422p10le", "yuv444p10le", "yuv444p12le", "gbrp"]
    pix_fmt = d.one(*eight, *deep, d.one(*other), d.one(*other))
    d.options["deadline"] = d.one("realtime", "good")
    d.options["cpu-used"] = d.number(1, 8)
    libvpx(d)
    if d.chance(0.12):
        d.options["lossless"] = 1
    d.option(0.4, "tile-columns", [0, 2])
    d.option(0.3, "tile-rows", [0, 2])
    d.option(0.3, "frame-parallel", 0, 1)
    d.option(0.2, "row-mt", 1)
    d.option(0.3, "aq-mode", [0, 3])
    d.option(0.2, "tune-content", "screen", "film")
    d.option(0.2, "noise-sensitivity", [0, 4])
    d.option(0.15, "enable-tpl", 0, 1)
    if d.chance(0.12) and d.options["deadline"] == "realtime":
        layers = "ts_number_layers=2:ts_target_bitrate=50,100:ts_rate_decimator=2,1:ts_periodicity=2:ts_layer_id=0,1:ts_layering_mode=2"
        d.options.update({"ts-parameters": layers, "b:v": "100k", "error-resilient": 1, "lag-in-frames": 0})
    return case(d, "libvpx-vp9", d.one("ivf", "ivf", "ivf", "mp4"), pix_fmt, d.size())


def svt_av1(d):
    pix_fmt = d.one("yuv420p", "yuv420p", "yuv420p10le")
    d.options["preset"] = d.number(7, 12)
    d.params["lp"] = 1
    d.option(0.7, "crf", [5, 63])
    d.option(0.4, "g", 1, [4, 16], 99)
    d.maybe(0.25, "film-grain", [1, 50])
    d.maybe(0.25, "tile-columns", [0, 2])
    d.maybe(0.25, "tile-rows", [0, 2])
    d.maybe(0.3, "scm", [0, 2])
    if d.chance(0.15):
        d.params.update({"superres-mode": d.number(1, 2), "superres-denom": d.number(8, 16), "superres-kf-denom": d.number(8, 16)})
    if d.chance(0.1):
        d.params.update({"resize-mode": d.number(1, 2), "resize-denom": d.number(8, 16), "resize-kf-denom": d.number(8, 16)})
    d.maybe(0.2, "enable-overlays", 1)
    d.maybe(0.3, "hierarchical-levels", [2, 5])
    d.maybe(0.2, "pred-struct", 1, 2)
    d.maybe(0.2, "irefresh-type", 1, 2)
    d.maybe(0.1, "enable-cdef", 0)
    d.maybe(0.1, "enable-restoration", 0)
    d.maybe(0.2, "fast-decode", 1)
    return case(d, "libsvtav1", d.one("ivf", "ivf", "mp4"), pix_fmt, d.size(2, 2, least=64), "-svtav1-params")


def aom_av1(d):
    usual = ["yuv420p"] * 6 + ["yuv420p10le"] * 2
    pix_fmt = d.one(*usual, "yuv422p", "yuv444p", "yuv420p12le", "yuv422p10le", "yuv444p10le", "yuv444p12le")
    kind = d.one("good", "good", "rt", "allintra")
    depth = 12 if "12" in pix_fmt else 10 if "10" in pix_fmt else 8
    profile = 2 if depth == 12 or "422" in pix_fmt else 1 if "444" in pix_fmt else 0
    d.params.update({kind: None, "cpu-used": d.number(6, 9 if kind != "good" else 6), "profile": profile, "bit-depth": depth})
    d.params["input-bit-depth"] = depth
    if d.chance(0.7):
        d.params.update({"end-usage": "q", "cq-level": d.number(2, 63)})
    else:
        d.params.update({"end-usage": "cbr" if kind == "rt" else "vbr", "target-bitrate": d.one(20, 100, 1000)})
    d.maybe(0.4, "kf-max-dist", 0, [2, 12], 99)
    d.params["lag-in-frames"] = d.one(0, 3, 12, 19) if kind == "good" else 0
    d.maybe(0.25, "tile-columns", [0, 2])
    d.maybe(0.25, "tile-rows", [0, 2])
    d.maybe(0.25, "error-resilient", 1)
    d.maybe(0.3, "tune-content", "screen")
    d.maybe(0.2, "enable-palette", 0, 1)
    d.maybe(0.2, "enable-intrabc", 0, 1)
    d.maybe(0.2, "film-grain-test", [1, 16])
    d.maybe(0.08, "denoise-noise-level", [5, 40])
    if profile == 0:
        d.maybe(0.15, "monochrome", None)
    d.maybe(0.1, "lossless", 1)
    if d.chance(0.15):
        d.params.update({"superres-mode": d.number(1, 2), "superres-denominator": d.number(8, 16)})
        d.params["superres-kf-denominator"] = d.number(8, 16)
    if d.chance(0.12):
        d.params.update({"resize-mode": d.number(1, 3), "resize-denominator": d.number(8, 16)})
        d.params["resize-kf-denominator"] = d.number(8, 16)
    d.maybe(0.2, "sb-size", 64, 128)
    d.maybe(0.15, "enable-cdef", 0, 1)
    d.maybe(0.15, "enable-restoration", 0, 1)
    d.maybe(0.2, "enable-qm", 1)
    d.maybe(0.15, "deltaq-mode", [0, 3])
    d.maybe(0.1, "delta-lf-mode", 1)
    d.maybe(0.15, "aq-mode", [0, 3])
    d.maybe(0.1, "frame-parallel", 1)
    d.maybe(0.1, "reduced-tx-type-set", 1)
    d.maybe(0.1, "enable-fwd-kf", 1)
    d.maybe(0.12, "sframe-dist", [2, 6])
    d.maybe(0.1, "full-still-picture-hdr", None)
    d.maybe(0.15, "cdf-update-mode", [0, 2])
    d.maybe(0.1, "num-tile-groups", [1, 3])
    d.maybe(0.1, "enable-tx64", 0)
    d.maybe(0.1, "enable-order-hint", 0)
    d.maybe(0.1, "max-reference-frames", [3, 7])
    d.maybe(0.1, "enable-cfl-intra", 0)
    return case(d, "aomenc", "ivf", pix_fmt, d.size())


def vpx_resized(d):
    """Pictures that change their size in the middle."""
    d.params.update({d.one("vp8", "vp9"): None, "rt": None, "cpu-used": d.number(4, 8), "end-usage": "cbr"})
    nine = "vp9" in d.params
    d.params = {"codec": "vp9" if nine else "vp8", **{k: v for k, v in d.params.items() if k not in ("vp8", "vp9")}}
    d.params.update({"target-bitrate": d.one(10, 30, 60), "buf-sz": 500, "buf-optimal-sz": 300, "buf-initial-sz": 300, "lag-in-frames": 0})
    if d.chance(0.5):
        d.params.update({"resize-allowed": 1, "resize-up": 60, "resize-down": d.number(30, 90)})
    else:
        d.params.update({"resize-width": d.number(16, 200), "resize-height": d.number(16, 200)})
    d.maybe(0.3, "error-resilient", 1)
    d.maybe(0.3, "kf-max-dist", [4, 12])
    d.maybe(0.3, "drop-frame", 30)
    return case(d, "vpxenc", "ivf", "yuv420p", d.size())


def syntax(d):
    """Field pictures and other H.264 that no encoder here makes."""
    return case(d, "syntax", "h264", "yuv420p", (16, 16))


syntax.encoder = "syntax"
x264.encoder, x265.encoder, vp8.encoder, vp9.encoder = "libx264", "libx265", "libvpx", "libvpx-vp9"
svt_av1.encoder, aom_av1.encoder, vpx_resized.encoder = "libsvtav1", "aomenc", "vpxenc"
