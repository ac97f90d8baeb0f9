#!/usr/bin/env python3
"""Random H.264 streams that no encoder at hand makes: field pictures, fields and frames mixed, CAVLC, written bit by bit.

    scripts/differential_syntax.py SEED [NAME=VALUE...] > stream.h264

Blocks have one coefficient at most, so that no code depends on the blocks around it (nC is 0 or 1).
"""

import random
import sys

# total_zeros where there is one coefficient (tables 9-7 and 9-9 a).
TOTAL_ZEROS = "1 011 010 0011 0010 00011 00010 000011 000010 0000011 0000010 00000011 00000010 000000011 000000010 000000001".split()
TOTAL_ZEROS_CHROMA_DC = "1 01 001 000".split()
# coded_block_pattern: me(v) of inter macroblocks (table 9-4).
INTER_CBP = [0, 16, 1, 2, 4, 8, 32, 3, 5, 10, 12, 15, 47, 7, 11, 13, 14, 6, 9, 31, 35, 37, 42, 44, 33, 34, 36, 40, 39, 43, 45, 46, 17, 18, 20, 24]
INTER_CBP += [19, 21, 26, 28, 23, 27, 29, 30, 22, 25, 38, 41]
INTRA_CBP = [47, 31, 15, 0, 23, 27, 29, 30, 7, 11, 13, 14, 39, 43, 45, 46, 16, 3, 5, 10, 12, 19, 21, 26, 28, 35, 37, 42, 44, 1, 2, 4, 8, 17, 18, 20]
INTRA_CBP += [24, 6, 9, 22, 25, 32, 33, 34, 36, 40, 38, 41]


class Bits:
    def __init__(self):
        self.text = []

    def u(self, count, value):
        if count:
            self.text.append(format(value, f"0{count}b"))

    def ue(self, value):
        code = format(value + 1, "b")
        self.text.append("0" * (len(code) - 1) + code)

    def se(self, value):
        self.ue(2 * value - 1 if value > 0 else -2 * value)

    def te(self, value, most):
        if most > 1:
            self.ue(value)
        elif most == 1:
            self.u(1, 1 - value)

    def nal(self, header):
        text = "".join(self.text) + "1"
        text += "0" * (-len(text) % 8)
        payload, zeros = bytearray(), 0
        for byte in int(text, 2).to_bytes(len(text) // 8, "big"):
            if zeros == 2 and byte <= 3:
                payload.append(3)
                zeros = 0
            zeros = zeros + 1 if byte == 0 else 0
            payload.append(byte)
        return bytes([0, 0, 0, 1, header]) + bytes(payload)


class Stream:
    def __init__(self, seed, **fixed):
        self.random = random.Random(seed)
        r = self.random
        drawn = {
            "width": r.randint(1, 6),
            "height": 2 * r.randint(1, 3),
            "frames": r.randint(2, 8),
            # What each picture is: fields, frames, or either.
            "structure": r.choice(["fields", "fields", "mixed", "frames"]),
            "idr_second": r.choice("PPPI"),
            "transform8": r.choice([0, 1]),
            "references": r.randint(1, 4),
            "poc_type": r.choice([0, 0, 1, 2]),
            "slice": r.choice([0, 0, 0, 3, 7]),
            "b": r.random() < 0.3,
            "unreferenced": r.random() < 0.3,
            "weights": r.choice([0, 0, 1]),
            "implicit": r.choice([0, 0, 2]),
            "modify": r.random() < 0.3,
            "spatial": r.choice([0, 1]),
            "bottom_first": r.random() < 0.2,
            "idr_period": r.choice([0, 0, 3, 4]),
            "deblock": r.choice([0, 0, 1, 2]),
            "chroma_offset": r.choice([0, 0, 3, -5]),
            "constrained": r.choice([0, 0, 0, 1]),
            "quantiser": r.randint(20, 44),
        }
        unknown = set(fixed) - set(drawn)
        if unknown:
            raise SystemExit(f"there is no {unknown.pop()}; there are {', '.join(drawn)}")
        drawn.update(fixed)
        self.__dict__.update(drawn)
        self.drawn = drawn
        if self.poc_type == 2:
            self.b = False
        if self.b:
            self.references = max(self.references, 2)

    def parameter_sets(self):
        sps = Bits()
        for value in (100, 0, 40):
            sps.u(8, value)
        for value in (0, 1, 0, 0):
            sps.ue(value)
        sps.u(2, 0)
        sps.ue(4)
        sps.ue(self.poc_type)
        if self.poc_type == 0:
            sps.ue(4)
        elif self.poc_type == 1:
            sps.u(1, 0)
            sps.se(-2)
            sps.se(1)
            sps.ue(1)
            sps.se(4)
        sps.ue(self.references)
        sps.u(1, 0)
        sps.ue(self.width - 1)
        interlaced = self.structure != "frames"
        sps.ue((self.height // 2 if interlaced else self.height) - 1)
        sps.u(1, int(not interlaced))
        if interlaced:
            sps.u(1, 0)
        sps.u(1, 1)
        sps.u(2, 0)
        pps = Bits()
        pps.ue(0)
        pps.ue(0)
        pps.u(2, 0)
        for value in (0, 0, 0):
            pps.ue(value)
        pps.u(1, self.weights)
        pps.u(2, self.implicit)
        for value in (0, 0, self.chroma_offset):
            pps.se(value)
        pps.u(1, 1)
        pps.u(1, self.constrained)
        pps.u(1, 0)
        pps.u(1, self.transform8)
        pps.u(1, 0)
        pps.se(self.chroma_offset)
        return sps.nal(0x67) + pps.nal(0x68)

    def write(self):
        out = [self.parameter_sets()]
        r = self.random
        frame_num, stored, idr, order, before = 0, 0, 0, 0, False
        kinds = []
        for i in range(self.frames):
            if i == 0 or self.idr_period and i % self.idr_period == 0:
                kinds.append("I")
            elif self.b and kinds[-1] != "I" and r.random() < 0.4:
                kinds.append("B")
            else:
                kinds.append("P")
        for kind in kinds:
            if kind == "I":
                frame_num, order, stored, idr, before = 0, 0, 0, idr + 1, False
            reference = kind != "B" and (kind == "I" or not (self.unreferenced and r.random() < 0.3))
            frame_num += before
            order += 4 if kind != "B" else 0
            # A B picture is shown before the last one that was stored.
            shown = order - 2 if kind == "B" else order
            fields = self.structure == "fields" or self.structure == "mixed" and r.random() < 0.6
            header = {"frame_num": frame_num & 255, "idr": idr, "order": shown if kind != "I" else 0, "reference": reference}
            if fields:
                for second in (0, 1):
                    this = self.idr_second if kind == "I" and second else kind
                    # The first field of a frame that is referred to has taken the place of the oldest frame.
                    kept = min(stored, self.references - 1) if second and reference else stored
                    available = 2 * kept + (second if reference else 0)
                    parity = second ^ int(self.bottom_first)
                    out.append(self.picture(this, header, parity, available, kind == "I" and not second, second))
            else:
                out.append(self.picture(kind, header, None, stored, kind == "I", 0))
            if reference:
                stored = min(stored + 1, self.references)
            before = reference
        return b"".join(out)

    def picture(self, kind, header, parity, available, is_idr, second):
        rows = self.height if parity is None else self.height // 2
        total = self.width * rows
        active = min(available, self.random.randint(1, 4)) if kind != "I" else 0
        step = self.slice or total
        return b"".join(
            self.one_slice(kind, header, parity, active, is_idr, second, first, min(first + step, total)) for first in range(0, total, step)
        )

    def one_slice(self, kind, header, parity, active, is_idr, second, first, end):
        bits, r = Bits(), self.random
        bits.ue(first)
        bits.ue({"P": 0, "B": 1, "I": 2}[kind])
        bits.ue(0)
        bits.u(8, header["frame_num"])
        if self.structure != "frames":
            bits.u(1, int(parity is not None))
            if parity is not None:
                bits.u(1, parity)
        if is_idr:
            bits.ue(header["idr"])
        if self.poc_type == 0:
            bits.u(8, (header["order"] + second) & 255)
        elif self.poc_type == 1:
            # B pictures lie before what is expected of them, or where a picture that nobody refers to is expected.
            bits.se(-1 if kind == "B" else 0)
        if kind == "B":
            bits.u(1, self.spatial)
        if kind != "I":
            bits.u(1, 1)
            bits.ue(active - 1)
            if kind == "B":
                bits.ue(active - 1)
            for _ in range(1 + (kind == "B")):
                modify = self.modify and header["frame_num"] > 0 and kind == "P"
                bits.u(1, int(modify))
                if modify:
                    bits.ue(0)
                    # The field of the same parity in the frame before, or the frame before.
                    bits.ue(1 if parity is not None else 0)
                    bits.ue(3)
        if self.weights and kind == "P":
            bits.ue(5)
            bits.ue(5)
            for _ in range(active):
                for count in (1, 2):
                    coded = r.random() < 0.4
                    bits.u(1, int(coded))
                    for _ in range(count if coded else 0):
                        bits.se(r.randint(20, 44))
                        bits.se(r.randint(-20, 20))
        if is_idr:
            bits.u(2, 0)
        elif header["reference"]:
            bits.u(1, 0)
        bits.se(self.quantiser - 26)
        bits.ue(self.deblock)
        if self.deblock != 1:
            bits.se(0)
            bits.se(0)
        skipped = 0
        for _ in range(first, end):
            if kind != "I":
                if r.random() < 0.25:
                    skipped += 1
                    continue
                bits.ue(skipped)
                skipped = 0
            self.macroblock(bits, kind, active, parity is None)
        if skipped:
            bits.ue(skipped)
        return bits.nal((0x60 if header["reference"] else 0) | (5 if is_idr else 1))

    def macroblock(self, bits, kind, active, frame):
        r = self.random
        if kind == "I" or r.random() < 0.2:
            return self.intra(bits, {"I": 0, "P": 5, "B": 23}[kind])
        transform8_allowed = True
        if kind == "B":
            mb_type = r.randint(0, 3)
            bits.ue(mb_type)
            for use in ((1,), (2,), (1, 2))[mb_type - 1] if mb_type else ():
                bits.te(r.randrange(active), active - 1)
            for use in ((1,), (2,), (1, 2))[mb_type - 1] if mb_type else ():
                self.vector(bits, frame)
        else:
            mb_type = r.choice([0, 0, 1, 2, 3])
            bits.ue(mb_type)
            if mb_type == 3:
                types = [r.choice([0, 0, 1, 2, 3]) for _ in range(4)]
                for sub in types:
                    bits.ue(sub)
                for _ in types:
                    bits.te(r.randrange(active), active - 1)
                for sub in types:
                    for _ in range((1, 2, 2, 4)[sub]):
                        self.vector(bits, frame)
                transform8_allowed = not any(types)
            else:
                parts = 1 if mb_type == 0 else 2
                for _ in range(parts):
                    bits.te(r.randrange(active), active - 1)
                for _ in range(parts):
                    self.vector(bits, frame)
        luma = r.choice([0, 0, 15, r.randrange(16)])
        chroma = r.choice([0, 0, 1, 2])
        bits.ue(INTER_CBP.index(luma | chroma << 4))
        if luma and self.transform8 and transform8_allowed:
            bits.u(1, r.randrange(2))
        if luma or chroma:
            bits.se(0)
            self.residual(bits, luma, chroma)

    def vector(self, bits, frame):
        for reach in (9, 9):
            bits.se(self.random.randint(-reach, reach))

    def intra(self, bits, base):
        r = self.random
        if r.random() < 0.5:
            # Intra_16x16, DC prediction.
            luma, chroma = r.choice([0, 15]), r.randrange(3)
            bits.ue(base + 1 + 2 + 4 * chroma + (12 if luma else 0))
            bits.ue(0)
            bits.se(0)
            self.block(bits, 16)
            self.residual(bits, luma, chroma, 15)
            return
        bits.ue(base)
        eight = 0
        if self.transform8:
            eight = r.randrange(2)
            bits.u(1, eight)
        # The predicted mode, which is DC everywhere.
        bits.u(4 if eight else 16, (1 << (4 if eight else 16)) - 1)
        bits.ue(0)
        luma, chroma = r.choice([0, 15, r.randrange(16)]), r.randrange(3)
        bits.ue(INTRA_CBP.index(luma | chroma << 4))
        if luma or chroma:
            bits.se(0)
            self.residual(bits, luma, chroma)

    def residual(self, bits, luma, chroma, most=16):
        for eight in range(4):
            if luma >> eight & 1:
                for _ in range(4):
                    self.block(bits, most)
        for _ in range(2 if chroma else 0):
            self.block(bits, 4)
        for _ in range(8 if chroma == 2 else 0):
            self.block(bits, 15)

    def block(self, bits, most):
        r = self.random
        some = r.random() < 0.4
        if most == 4:
            bits.text.append("1" if some else "01")
        else:
            bits.text.append("01" if some else "1")
        if some:
            bits.u(1, r.randrange(2))
            zeros = min(r.choice([0, 0, 1, 2, r.randrange(most)]), most - 1)
            bits.text.append((TOTAL_ZEROS_CHROMA_DC if most == 4 else TOTAL_ZEROS)[zeros])


def main():
    fixed = dict(word.split("=", 1) for word in sys.argv[2:])
    fixed = {name: int(value) if value.lstrip("-").isdigit() else value for name, value in fixed.items()}
    stream = Stream(sys.argv[1], **fixed)
    sys.stdout.buffer.write(stream.write())


if __name__ == "__main__":
    main()
