"""What ffmpeg shows of a file: its frames, when each is presented, and the MD5 of its samples."""

import json
import subprocess
from fractions import Fraction

from . import isobmff

# ffmpeg's names of formats that hold full range; the samples are laid out alike. What has no name in video-hw is not
# asked for.
OTHER_NAMES = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p", "gbrp": None, "yuv440p": None}


class Broken(Exception):
    """A program of the script's own failed."""


def call(*words, data=None):
    """What a program prints; its complaint as an exception."""
    done = subprocess.run([str(word) for word in words], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise Broken(f"{words[0]} answered {done.returncode}: {done.stderr.decode(errors='replace')[-400:]}")
    return done.stdout


def pixel_format(path, index=0, options=()):
    """The pixel format of a video track, by the name that both programs know."""
    out = call(
        "ffprobe", "-v", "error", *options, "-select_streams", f"v:{index}",
        "-show_entries", "stream=pix_fmt", "-of", "json", path,
    )  # fmt: skip
    name = json.loads(out)["streams"][0].get("pix_fmt", "yuv420p")
    return OTHER_NAMES.get(name, name)


def frames(path, index=0, options=(), pix_fmt=None):
    """Every frame as ffmpeg presents it: (time as a fraction of a second, MD5). Edit lists are applied, nothing is
    rotated, scaled, repeated or left out. Without `unaligned` a picture that is cropped at the left is cut to the next
    multiple of ffmpeg's own alignment instead."""
    wanted = ("-pix_fmt", pix_fmt) if pix_fmt else ()
    out = call(
        "ffmpeg", "-v", "error", "-noautorotate", "-threads", 1, "-flags:v", "unaligned", *options, "-i", path, "-map", f"0:v:{index}",
        "-copyts", "-fps_mode", "passthrough", "-autoscale", 0, "-enc_time_base", -1, *wanted,
        "-f", "framemd5", "-",
    )  # fmt: skip
    tick, found = Fraction(0), []
    for line in out.decode().splitlines():
        if line.startswith("#tb"):
            tick = Fraction(line.split()[-1])
        elif line and not line.startswith("#"):
            fields = [field.strip() for field in line.split(",")]
            found.append((int(fields[2]) * tick, fields[5]))
    return found


def from_zero(path, index=0):
    """The frames of a file whose first one is presented at 0 by the standard. ffmpeg shows fragmented tracks with negative
    composition offsets later, by the largest of them."""
    found = frames(path, index)
    return [(time - found[0][0], md5) for time, md5 in found]


def durations(path, index=0):
    """How long each sample of an MP4 file lasts, by its composition time, without edits."""
    out = call(
        "ffprobe", "-v", "error", "-ignore_editlist", 1, "-select_streams", f"v:{index}", "-show_packets",
        "-show_entries", "packet=pts,duration:stream=time_base", "-of", "json", path,
    )  # fmt: skip
    found = json.loads(out)
    tick = Fraction(found["streams"][0]["time_base"])
    return {p["pts"] * tick: int(p.get("duration", 0)) * tick for p in found["packets"]}


def presented(media, edits, movie_scale, media_scale):
    """The frames that an edit list shows, by ISO/IEC 14496-12 clause 8.6.6. `media` is (composition time, duration, MD5)
    in order; of a gap nothing is told, since no frame begins in it. The frame on screen when an edit begins inside it is
    shown from there on."""
    shown, elapsed = [], Fraction(0)
    for number, (duration, time, rate) in enumerate(edits, 1):
        begin, length = elapsed, Fraction(duration, movie_scale)
        elapsed += length
        if time == -1:
            continue
        first, rate = Fraction(time, media_scale), Fraction(rate)
        # Of duration 0 the last one reaches to the end, and every other one shows nothing.
        endless = duration == 0 and number == len(edits)
        last = None if endless else first + length * rate
        for cts, lasts, md5 in media:
            if duration == 0 and not endless:
                continue
            if rate == 0:
                if cts <= first < cts + lasts:
                    shown.append((begin, md5))
            elif cts + lasts > first and (last is None or cts < last):
                shown.append((begin + max(cts - first, Fraction(0)) / rate, md5))
    return shown


def by_edits(path, index=0):
    """The frames that a file's edit list shows, from its media alone: ffmpeg reads the samples, not the list."""
    file = isobmff.read(path)
    track = isobmff.tracks(file)[index]
    movie_scale, media_scale = isobmff.timescales(file, track)
    elst = track.find("edts/elst")
    form = ">qqi" if elst.body[0] else ">iii"
    edits = [(d, t, Fraction(r, 65536)) for d, t, r in isobmff.table(elst, form)]
    lasts = durations(path, index)
    media = [(cts, lasts[cts], md5) for cts, md5 in frames(path, index, ("-ignore_editlist", 1))]
    return presented(media, edits, movie_scale, media_scale)
