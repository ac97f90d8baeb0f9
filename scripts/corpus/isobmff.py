"""MP4 and QuickTime files as trees of boxes that can be changed and written again.

Files are edited behind their samples: ffmpeg puts `moov` last, so that a change of its length moves no sample. Where
samples do move, `shift_chunks` says so to the tables.
"""

import struct

CONTAINERS = {
    b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"mvex", b"moof", b"traf", b"mfra",
}


class Box:
    """A box: its type, and either children or bytes. `wide` writes its size in 64 bits, `endless` as 0."""

    def __init__(self, kind, body=b"", children=None):
        self.kind, self.body, self.children = kind, body, children
        self.wide = self.endless = False

    def __bytes__(self):
        body = self.body if self.children is None else b"".join(map(bytes, self.children))
        if self.endless:
            return struct.pack(">I4s", 0, self.kind) + body
        if self.wide:
            return struct.pack(">I4sQ", 1, self.kind, len(body) + 16) + body
        return struct.pack(">I4s", len(body) + 8, self.kind) + body

    def find(self, path):
        """The first box at a path such as `mdia/minf/stbl/stts`; None without one."""
        return next(self.all(path), None)

    def all(self, path):
        """Every box at a path."""
        head, _, rest = path.partition("/")
        for child in self.children or []:
            if child.kind == head.encode():
                if rest:
                    yield from child.all(rest)
                else:
                    yield child

    def remove(self, path):
        """Takes away every box at a path."""
        parent, _, name = path.rpartition("/")
        for holder in self.all(parent) if parent else [self]:
            holder.children = [child for child in holder.children if child.kind != name.encode()]

    def add(self, path, box, at=None):
        """Puts a box into the first one at a path; an empty path is this box."""
        holder = self.find(path) if path else self
        holder.children.insert(len(holder.children) if at is None else at, box)


def parse(data):
    """The boxes of some bytes, as a list."""
    boxes, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1:
            size, begin = struct.unpack_from(">Q", data, at + 8)[0], at + 16
        elif size == 0:
            size = len(data) - at
        body = data[begin : at + size]
        box = Box(kind, children=parse(body)) if kind in CONTAINERS else Box(kind, body)
        box.wide = begin == at + 16
        boxes.append(box)
        at += size
    return boxes


def read(path):
    """A file as one box without a header."""
    return Box(b"file", children=parse(path.read_bytes()))


def write(file, path):
    """Writes what `read` has read."""
    path.write_bytes(b"".join(map(bytes, file.children)))


def full(version, flags, body):
    """The body of a box that begins with a version and flags."""
    return struct.pack(">I", version << 24 | flags) + body


def timescales(file, track):
    """Ticks in a second: of the movie, and of the track's media."""

    def one(box):
        return struct.unpack_from(">I", box.body, 20 if box.body[0] else 12)[0]

    return one(file.find("moov/mvhd")), one(track.find("mdia/mdhd"))


def tracks(file, handler=b"vide"):
    """The tracks of a kind."""
    return [t for t in file.all("moov/trak") if t.find("mdia/hdlr").body[8:12] == handler]


def set_edits(track, entries, version=0):
    """Gives a track the edits `(duration in movie ticks, media time or -1, rate)`, in place of those it has."""
    track.remove("edts")
    form = ">qqi" if version else ">iii"
    body = b"".join(
        struct.pack(form, duration, time, round(rate * 65536)) for duration, time, rate in entries
    )
    elst = Box(b"elst", full(version, 0, struct.pack(">I", len(entries)) + body))
    track.add("", Box(b"edts", children=[elst]), at=1)


def table(box, form):
    """The rows of a table that begins with their number."""
    count = struct.unpack_from(">I", box.body, 4)[0]
    size = struct.calcsize(form)
    return [struct.unpack_from(form, box.body, 8 + i * size) for i in range(count)]


def set_table(box, form, rows, version=0):
    """Writes the rows of a table."""
    body = struct.pack(">I", len(rows)) + b"".join(struct.pack(form, *row) for row in rows)
    box.body = full(version, 0, body)


def runs(values):
    """Equal neighbours counted: rows of `stts` and `ctts`."""
    rows = []
    for value in values:
        if rows and rows[-1][1] == value:
            rows[-1][0] += 1
        else:
            rows.append([1, value])
    return [tuple(row) for row in rows]


def expand(rows):
    """The opposite of `runs`."""
    return [value for count, value in rows for _ in range(count)]


def shift_chunks(file, by):
    """Says to the tables of all tracks that their samples lie `by` bytes further on."""
    for track in file.all("moov/trak"):
        stbl = track.find("mdia/minf/stbl")
        for kind, form in (("stco", ">I"), ("co64", ">Q")):
            if box := stbl.find(kind):
                set_table(box, form, [(row[0] + by,) for row in table(box, form)])


def to_co64(track):
    """Writes a track's chunk offsets in 64 bits."""
    box = track.find("mdia/minf/stbl/stco")
    rows = table(box, ">I")
    box.kind = b"co64"
    set_table(box, ">Q", rows)


def patch(box, at, form, *values):
    """Overwrites fields of a box."""
    body = bytearray(box.body)
    struct.pack_into(form, body, at, *values)
    box.body = bytes(body)


def widen_header(box, kind):
    """Turns version 0 of `mvhd`, `tkhd` or `mdhd` into version 1, with times of 64 bits."""
    body = box.body
    flags = struct.unpack_from(">I", body)[0] & 0xFFFFFF
    created, modified = struct.unpack_from(">II", body, 4)
    head = struct.pack(">QQ", created, modified)
    if kind == "tkhd":
        track, reserved, duration = struct.unpack_from(">III", body, 12)
        head += struct.pack(">IIQ", track, reserved, duration)
    else:
        scale, duration = struct.unpack_from(">II", body, 12)
        head += struct.pack(">IQ", scale, duration)
    box.body = full(1, flags, head + body[24 if kind == "tkhd" else 20 :])


def matrix_offset(tkhd):
    """Where the matrix of a track header begins."""
    return 52 if tkhd.body[0] else 40
