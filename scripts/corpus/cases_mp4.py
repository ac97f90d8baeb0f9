"""MP4 and QuickTime: edit lists, tables, headers, fragments and tracks. The pictures are plain H.264, mostly."""

import struct
from fractions import Fraction

from . import isobmff, truth
from .isobmff import Box
from .maker import encode, remux, x264, x265

# 12,800 ticks a second, 512 a frame; ffmpeg's movie has 1,000.
FRAME = 512
CODED = x264("bframes=2:b-adapt=0:keyint=10:min-keyint=10:scenecut=0", frames=30)
NO_B = x264("bframes=0:keyint=10:min-keyint=10:scenecut=0", frames=30)
FIXED = "fixed=1"


def changed(make, *changes):
    """A maker of a file whose boxes some functions then change."""

    def run(path):
        make(path)
        file = isobmff.read(path)
        for change in changes:
            change(file)
        isobmff.write(file, path)

    return run


def video(file):
    return isobmff.tracks(file)[0]


def stbl(file):
    return video(file).find("mdia/minf/stbl")


def edits(entries, version=0):
    """A change: these edits, times of the media in frames, behind the delay of reordered streams."""

    def change(file):
        track = video(file)
        old = track.find("edts/elst")
        first = isobmff.table(old, ">iii")[-1][1] if old else 0
        rows = [(d, -1 if t == -1 else first + round(t * FRAME), rate) for d, t, rate in entries]
        isobmff.set_edits(track, rows, version)

    return change


# Durations in milliseconds, media times in frames (40 ms).
EDITS = {
    "from-key-frame": [(800, 10, 1)],
    "inside-gop": [(600, 5, 1)],
    "inside-gop-tail": [(400, 17, 1)],
    "one-frame": [(40, 12, 1)],
    "between-frames": [(400, Fraction(11, 2), 1)],
    "end-inside-frame": [(430, 0, 1)],
    "delay": [(500, -1, 1), (1200, 0, 1)],
    "delay-odd": [(333, -1, 1), (1200, 0, 1)],
    "gap": [(400, 0, 1), (300, -1, 1), (800, 10, 1)],
    "skip": [(400, 0, 1), (400, 20, 1)],
    "skip-inside-gop": [(280, 0, 1), (320, 15, 1)],
    "repeat": [(400, 0, 1), (400, 0, 1)],
    "repeat-overlap": [(600, 0, 1), (600, 5, 1)],
    "reorder": [(400, 20, 1), (400, 0, 1)],
    "half-speed": [(800, 0, Fraction(1, 2))],
    "double-speed": [(600, 0, 2)],
    "freeze": [(400, 0, 1), (500, 9, 0), (400, 10, 1)],
    "several": [(100, -1, 1), (200, 0, 1), (200, -1, 1), (200, 12, 1), (80, 3, 1)],
    "whole": [(0, 0, 1)],
    "beyond-the-end": [(5000, 0, 1)],
    "zero-duration-first": [(0, 3, 1), (800, 10, 1)],
}
# ffmpeg takes these lists otherwise than the standard has them; ISO/IEC 14496-12 decides, over ffmpeg's pictures.
BY_STANDARD = {"between-frames", "gap", "skip-inside-gop", "repeat", "repeat-overlap", "reorder", "half-speed", "double-speed", "freeze", "several", "whole", "zero-duration-first", "beyond-the-end", "end-inside-frame", "one-frame"}  # fmt: skip


def matrix(*values):
    """A change: the track's matrix."""

    def change(file):
        tkhd = video(file).find("tkhd")
        fixed = [round(v * (65536 if i % 3 < 2 else 1 << 30)) for i, v in enumerate(values)]
        isobmff.patch(tkhd, isobmff.matrix_offset(tkhd), ">9i", *fixed)

    return change


MATRICES = {
    "rotated-90": (0, 1, 0, -1, 0, 0, 144, 0, 1),
    "rotated-180": (-1, 0, 0, 0, -1, 0, 176, 144, 1),
    "rotated-270": (0, -1, 0, 1, 0, 0, 0, 176, 1),
    "mirrored": (-1, 0, 0, 0, 1, 0, 176, 0, 1),
    "flipped": (1, 0, 0, 0, -1, 0, 0, 144, 1),
    "mirrored-90": (0, 1, 0, 1, 0, 0, 0, 0, 1),
    "rotated-30": (0.866, 0.5, 0, -0.5, 0.866, 0, 0, 0, 1),
    "zero-matrix": (0, 0, 0, 0, 0, 0, 0, 0, 0),
}


def no_stss(file):
    file.find("moov").remove("trak/mdia/minf/stbl/stss")


def empty_stss(file):
    isobmff.set_table(stbl(file).find("stss"), ">I", [])


def co64(file):
    isobmff.to_co64(video(file))


def wide_headers(file):
    isobmff.widen_header(file.find("moov/mvhd"), "mvhd")
    isobmff.widen_header(video(file).find("tkhd"), "tkhd")
    isobmff.widen_header(video(file).find("mdia/mdhd"), "mdhd")


def wide_mdat(file):
    file.find("mdat").wide = True
    isobmff.shift_chunks(file, 8)


def wide_moov(file):
    file.find("moov").wide = True


def endless_mdat(file):
    """`mdat` to the end of the file, behind the index."""
    mdat = file.find("mdat")
    moov = file.find("moov")
    file.children = [child for child in file.children if child is not mdat] + [mdat]
    at = sum(len(bytes(child)) for child in file.children[:-1]) + 8
    before = len(bytes(file.children[0])) + 8 + 8  # ftyp, free, and the header of mdat, as ffmpeg writes them
    isobmff.shift_chunks(file, at - before)
    mdat.endless = True
    assert moov in file.children


def boxes_between(file):
    """Boxes that nobody knows, at every level."""
    unknown = Box(b"xyzw", b"\1\2\3\4" * 9)
    file.add("", unknown)
    file.add("moov", unknown, at=0)
    file.add("moov/trak", unknown, at=1)
    file.add("moov/trak/mdia/minf/stbl", unknown, at=0)
    file.add("moov/trak", Box(b"uuid", bytes(range(16)) + b"hello"))
    file.add("moov/trak", Box(b"free", b""))


def trailing(data):
    return lambda file: file.add("", Box(b"free", data))


def compact_sizes(file):
    """`stz2` with 16 bits in place of `stsz`."""
    stsz = stbl(file).find("stsz")
    count = struct.unpack_from(">I", stsz.body, 8)[0]
    sizes = struct.unpack_from(f">{count}I", stsz.body, 12)
    stsz.kind = b"stz2"
    stsz.body = isobmff.full(0, 0, struct.pack(">II", 16, count) + struct.pack(f">{count}H", *sizes))


def negative_ctts(file):
    """Composition offsets that reach below 0 (version 1), and no edit list to hide a delay."""
    box = stbl(file).find("ctts")
    offsets = [offset - 2 * FRAME for offset in isobmff.expand(isobmff.table(box, ">II"))]
    isobmff.set_table(box, ">Ii", isobmff.runs(offsets), version=1)
    video(file).remove("edts")


def no_edits(file):
    video(file).remove("edts")


def durations(values):
    """A change: `stts` of these durations, by the number of the sample; the edit list goes."""

    def change(file):
        box = stbl(file).find("stts")
        count = sum(row[0] for row in isobmff.table(box, ">II"))
        isobmff.set_table(box, ">II", isobmff.runs([values(i) for i in range(count)]))
        video(file).remove("edts")

    return change


def last_of_no_duration(file):
    """The edit ends where the last sample begins and ends: its duration is 0."""
    box = stbl(file).find("stts")
    times = isobmff.expand(isobmff.table(box, ">II"))
    isobmff.set_table(box, ">II", isobmff.runs(times[:-1] + [0]))


def disabled(number):
    """A change: a track that is not enabled."""

    def change(file):
        tkhd = isobmff.tracks(file)[number].find("tkhd")
        isobmff.patch(tkhd, 0, ">I", tkhd.body[0] << 24 | 2)

    return change


def media_scale(scale, ticks):
    """A change: another time base of the media."""

    def change(file):
        track = video(file)
        mdhd = track.find("mdia/mdhd")
        isobmff.patch(mdhd, 12, ">I", scale)
        for kind, form in (("stts", ">II"), ("ctts", ">II")):
            if box := stbl(file).find(kind):
                rows = isobmff.expand(isobmff.table(box, form))
                isobmff.set_table(box, form, isobmff.runs([value // FRAME * ticks for value in rows]))
        track.remove("edts")

    return change


def chunks_of_one(file):
    """Every sample a chunk of its own."""
    table = stbl(file)
    stsz = table.find("stsz")
    count = struct.unpack_from(">I", stsz.body, 8)[0]
    sizes = struct.unpack_from(f">{count}I", stsz.body, 12)
    starts, at, number = [row[0] for row in isobmff.table(table.find("stco"), ">I")], [], 0
    rows = isobmff.table(table.find("stsc"), ">III")
    for chunk, start in enumerate(starts, 1):
        per_chunk = [row for row in rows if row[0] <= chunk][-1][1]
        for _ in range(per_chunk):
            at.append((start,))
            start += sizes[number]
            number += 1
    isobmff.set_table(table.find("stco"), ">I", at)
    isobmff.set_table(table.find("stsc"), ">III", [(1, 1, 1)])


def without_boxes(*paths):
    """A change of fragments: boxes of a kind become free space of the same size."""

    def change(file):
        for path in paths:
            for box in list(file.all(path)):
                box.kind = b"free"

    return change


def fragment_times(offset):
    """A change: every `tfdt` later by so many ticks, in 64 bits as ffmpeg writes it."""

    def change(file):
        for box in file.all("moof/traf/tfdt"):
            form, at = (">Q", 4) if box.body[0] else (">I", 4)
            isobmff.patch(box, at, form, struct.unpack_from(form, box.body, at)[0] + offset)

    return change


FRAGMENTS = {
    "empty-moov": "empty_moov+frag_keyframe+default_base_moof",
    "no-default-base": "empty_moov+frag_keyframe",
    "first-in-moov": "frag_keyframe",
    "every-frame": "empty_moov+frag_every_frame+default_base_moof",
    "separate-moof": "empty_moov+frag_keyframe+separate_moof",
    "omit-tfhd-offset": "empty_moov+frag_keyframe+omit_tfhd_offset",
    "delay-moov": "delay_moov+frag_keyframe+default_base_moof",
    "negative-offsets": "empty_moov+frag_keyframe+default_base_moof+negative_cts_offsets",
    "cmaf": "cmaf+frag_keyframe",
    "dash": "dash+frag_keyframe",
    "global-sidx": "dash+frag_keyframe+global_sidx",
    "skip-trailer": "empty_moov+frag_keyframe+skip_trailer",
    "prft": "empty_moov+frag_keyframe+default_base_moof",
}

TONE = ("-f", "lavfi", "-t", "1.2", "-i", "sine=frequency=440:sample_rate=48000")


def with_sound(codec, *options):
    """A maker of pictures and sound in one file."""

    def run(path):
        encode(path, "libx264", "-crf", 27, "-c:a", codec, *options, "-shortest", frames=30, inputs=TONE)

    return run


def several_tracks(path):
    """Two video tracks of different size, the smaller one first."""
    with_second = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25,noise=alls=9:allf=t:all_seed=4")
    encode(path, "libx264", "-crf", 30, "-map", "0:v", "-map", "1:v", "-frames:v", 12, frames=12, inputs=with_second)


def chapters(path):
    """Chapters as QuickTime has them: a text track that the video track refers to."""
    notes = b";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=one\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=400\nEND=1200\ntitle=two\n"
    list_of = path.with_suffix(".chapters")
    list_of.write_bytes(notes)
    try:
        encode(path, "libx264", "-crf", 27, "-map", "0:v", "-map_metadata", 1, frames=30, inputs=("-f", "ffmetadata", "-i", list_of))
    finally:
        list_of.unlink()


def two_descriptions(path):
    """A second sample description, in use from the key frame in the middle: parameter sets change there."""
    x264("bframes=0:keyint=10:min-keyint=10:scenecut=0", frames=20)(path)
    file = isobmff.read(path)
    stsd = stbl(file).find("stsd")
    stsd.body = stsd.body[:4] + struct.pack(">I", 2) + stsd.body[8:] * 2
    chunks_of_one(file)
    isobmff.set_table(stbl(file).find("stsc"), ">III", [(1, 1, 1), (11, 1, 2)])
    isobmff.write(file, path)


def vfr(path):
    """Frames at times that no rate has."""
    encode(path, "libx264", "-crf", 27, "-vf", r"setpts='(N*N*13+N*37)/(1000*TB)'", "-fps_mode", "passthrough", "-enc_time_base", "1/1000", frames=20)


def add(cases):
    """Adds the cases of this file."""
    for name, entries in EDITS.items():
        by = truth.by_edits if name in BY_STANDARD else None
        short = name in ("inside-gop", "delay", "skip")
        cases.add(f"edit-{name}.mp4", changed(CODED, edits(entries)), truth=by, short=short)
    cases.add("edit-gap-version-1.mp4", changed(CODED, edits(EDITS["gap"], version=1)), truth=truth.by_edits)
    cases.add("edit-inside-gop-no-b.mp4", changed(NO_B, edits([(600, 5, 1)])))
    cases.add("edit-inside-gop-hevc.mp4", changed(x265("keyint=10:min-keyint=10:bframes=3:b-adapt=0", frames=30), edits([(600, 5, 1)])))  # fmt: skip
    cases.add("edit-many.mp4", changed(CODED, edits([(40, i, 1) for i in range(30)])), truth=truth.by_edits)
    cases.add("edit-none.mp4", changed(CODED, no_edits))
    for name, values in MATRICES.items():
        cases.add(f"matrix-{name}.mp4", changed(CODED, matrix(*values)), short=name == "rotated-90")

    tables = {
        "no-stss": (CODED, no_stss), "empty-stss": (CODED, empty_stss), "co64": (CODED, co64), "wide-headers": (CODED, wide_headers),
        "wide-mdat": (CODED, wide_mdat), "wide-moov": (CODED, wide_moov), "endless-mdat": (CODED, endless_mdat),
        "boxes-between": (CODED, boxes_between), "trailing-free": (CODED, trailing(b"\0" * 999)), "stz2": (CODED, compact_sizes),
        "negative-ctts": (CODED, negative_ctts), "chunks-of-one": (CODED, chunks_of_one),
        "durations-vary": (NO_B, durations(lambda i: 300 + 97 * (i % 7))), "one-long-frame": (NO_B, durations(lambda i: 12800 * 100 if i == 12 else FRAME)),
        "zero-durations": (NO_B, durations(lambda i: 0 if i in (3, 4, 11) else FRAME)), "last-of-no-duration": (NO_B, last_of_no_duration),
        "huge-steps": (NO_B, durations(lambda i: 12800 * 86400 if i % 10 == 9 else FRAME)),
        "scale-1": (NO_B, media_scale(1, 1)), "scale-90000": (CODED, media_scale(90_000, 3600)), "scale-10-million": (CODED, media_scale(10_000_000, 400_000)),
        "scale-2-billion": (NO_B, media_scale(2_000_000_000, 80_000_000)),
    }  # fmt: skip
    for name, (make, change) in tables.items():
        cases.add(f"mp4-{name}.mp4", changed(make, change), short=name in ("co64", "negative-ctts", "stz2"))
    cases.add("mp4-index-first.mp4", x264("", "-movflags", "+faststart"), short=True)
    cases.add("mp4-avc3.mp4", x264("", "-tag:v", "avc3", "-bsf:v", "dump_extra"))
    cases.add("mp4-hvc1.mp4", x265("", "-tag:v", "hvc1", frames=12))
    cases.add("mp4-hev1.mov", x265("repeat-headers=1", "-tag:v", "hev1", frames=12))
    cases.add("mp4-two-descriptions.mp4", two_descriptions)
    cases.add("mp4-vfr.mp4", vfr, short=True)
    cases.add("mp4-ntsc.mp4", x264(rate="30000/1001"))
    cases.add("mp4-start-at-10000-s.mp4", remux(CODED, "mp4", "-output_ts_offset", 10_000))
    cases.add("mp4-start-below-0.mp4", remux(CODED, "mp4", "-output_ts_offset", -0.4, "-avoid_negative_ts", "disabled"))
    cases.add("mp4-aspect.mp4", x264("", "-aspect", "16:9"))
    cases.add("mp4-mbaff.mp4", x264("tff=1", "-field_order", "tt", frames=12))
    cases.add("mp4-mov.mov", CODED)
    cases.add("mp4-timecode.mov", x264("", "-timecode", "01:02:03:04"))
    cases.add("mp4-chapters.mov", chapters)
    cases.add("mp4-pcm.mov", with_sound("pcm_s16be"))
    cases.add("mp4-pcm-float.mov", with_sound("pcm_f32le"))
    cases.add("mp4-aac.mp4", with_sound("aac"), short=True)
    cases.add("mp4-several-tracks.mp4", several_tracks)
    # ffmpeg marks the second as disabled by itself: where players would show none, the first is shown.
    cases.add("mp4-first-disabled.mp4", changed(several_tracks, disabled(0)))
    cases.add("mp4-second-disabled.mp4", changed(several_tracks, disabled(1)))
    cases.add("mp4-all-disabled.mp4", changed(CODED, disabled(0)))

    for name, flags in FRAGMENTS.items():
        extra = ("-write_prft", "wallclock") if name == "prft" else ()
        zero = truth.from_zero if name in ("negative-offsets", "cmaf") else None
        short = name in ("empty-moov", "cmaf")
        cases.add(f"fragments-{name}.mp4", remux(CODED, "mp4", "-movflags", flags, *extra), truth=zero, short=short)
    base = remux(NO_B, "mp4", "-movflags", FRAGMENTS["empty-moov"])
    cases.add("fragments-no-tfdt.mp4", changed(base, without_boxes("moof/traf/tfdt")))
    cases.add("fragments-no-mfra.mp4", changed(base, lambda file: file.remove("mfra")))
    cases.add("fragments-late.mp4", changed(base, fragment_times(1 << 40)))
    cases.add("fragments-late-32-bits.mp4", changed(base, fragment_times(12800 * 3600 * 24)))
    cases.add("fragments-hevc.mp4", remux(x265("bframes=3:b-adapt=0:keyint=6", frames=18), "mp4", "-movflags", FRAGMENTS["empty-moov"], "-tag:v", "hvc1"))  # fmt: skip
    cases.add("fragments-sound.mp4", remux(with_sound("aac"), "mp4", "-movflags", FRAGMENTS["empty-moov"]))
    cut = lambda path: _cut(base, path)  # noqa: E731
    cases.add("fragments-cut-tail.mp4", cut, "damaged", whole=base)
    cases.add("mp4-cut-tail.mp4", lambda path: _cut(x264("bframes=0", "-movflags", "+faststart"), path), "damaged", whole=x264("bframes=0", "-movflags", "+faststart"))  # fmt: skip
    cases.add("mp4-no-index.mp4", lambda path: _cut(CODED, path), "refused moov", unread=True)


def _cut(make, path):
    make(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
