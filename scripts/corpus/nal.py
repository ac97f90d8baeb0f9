"""H.264 and H.265 byte streams as lists of NAL units."""

import re


def split(data):
    """The NAL units of a byte stream, without start codes and the zeros behind them."""
    starts = [match.end() for match in re.finditer(rb"\x00\x00\x01", data)]
    ends = [start - 3 for start in starts[1:]] + [len(data)]
    return [data[start:end].rstrip(b"\0") for start, end in zip(starts, ends)]


def join(units, code=b"\0\0\0\1", behind=b""):
    """A byte stream of NAL units, each after a start code and before some bytes (zeros)."""
    return b"".join(code + unit + behind for unit in units)


def h264_type(unit):
    """nal_unit_type of H.264."""
    return unit[0] & 31


def h264_is_reference(unit):
    """Whether others may refer to an H.264 unit's picture."""
    return unit[0] >> 5 & 3 != 0


def hevc_type(unit):
    """nal_unit_type of H.265."""
    return unit[0] >> 1 & 63


def begins_picture(unit, codec):
    """Whether a slice is the first of its picture: first_mb_in_slice is 0, first_slice_segment_in_pic_flag is 1."""
    if codec == "h264":
        return h264_type(unit) in (1, 5) and unit[1] & 0x80 != 0
    return hevc_type(unit) < 32 and unit[2] & 0x80 != 0


def ue(bits, at):
    """An Exp-Golomb number of a string of 0 and 1, and where the next one begins."""
    zeros = bits.index("1", at) - at
    end = at + 2 * zeros + 1
    return int(bits[at + zeros : end], 2) - 1, end


def h264_is_intra(unit):
    """Whether an H.264 slice is an I slice."""
    bits = "".join(f"{byte:08b}" for byte in unit[1:9])
    _, at = ue(bits, 0)
    return ue(bits, at)[0] in (2, 7)
