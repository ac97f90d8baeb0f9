"""The simulated driver around a program, and raw pictures for it to encode."""

import os
import pathlib

NAMES = ("libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1")
# Samples of a frame in bytes, as (numerator, denominator) of its pixels.
BYTES = {"nv12": (3, 2), "bgra": (4, 1)}


class Simulation:
    """Gives programs an environment with the simulation in it."""

    def __init__(self, library, work):
        self.library = pathlib.Path(library).resolve()
        self.names = work / "driver"
        self.names.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            link = self.names / name
            if link.is_symlink() or link.exists():
                link.unlink()
            link.symlink_to(self.library)
        self.canned = work / "canned"

    def environment(self, engine_ms=0.0, jitter=0.0):
        """A card with one engine that takes so long for a picture (0: no time at all), and ends the program by a signal
        when it breaks a rule of the driver."""
        settings = [
            "canned.encode=true",
            f"canned.folder='{self.canned}'",
            "device.0.nvenc_engines=1",
            "strict=true",
        ]
        if engine_ms:
            settings += [
                "time.enabled=true",
                f"time.encode_ns_per_frame={round(engine_ms * 1e6)}",
                f"time.jitter={jitter}",
            ]
        return {
            **os.environ,
            "LD_LIBRARY_PATH": str(self.names),
            "NVSIM_PROFILE": "ada",
            "NVSIM_SET": ";".join(settings),
            "NVSIM_QUIET": "1",
        }


def frame_bytes(width, height, pixels):
    over, under = BYTES[pixels]
    return width * height * over // under


def raw_file(work, width, height, pixels, frames):
    """A file of headerless pictures that differ from each other, made once; reading it brings it into memory."""
    size = frame_bytes(width, height, pixels)
    path = work / f"{width}x{height}-{frames}.{pixels}.raw"
    if not path.exists() or path.stat().st_size != size * frames:
        pattern = bytes((at // 7) & 255 for at in range(7 * 256 * 37)) * (size // (7 * 256 * 37) + 2)
        with open(path, "wb") as file:
            for number in range(frames):
                start = number * 13 % (7 * 256)
                file.write(pattern[start:start + size])
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass
    return path
