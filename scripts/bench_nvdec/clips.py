"""The clips: how long they are, and how they get longer."""

import shutil
import subprocess

FRAMES = 303  # of h264.mp4, h264.h264 and hevc.h265


class Clips:
    """Clips of a folder; longer ones are made in `work`, by putting the same stream behind itself."""

    def __init__(self, folder, work, ffmpeg=None):
        self.folder, self.work, self.ffmpeg = folder, work, ffmpeg
        self.elementary = {"h264": folder / "h264.h264", "hevc": folder / "hevc.h265"}

    def missing(self, codec):
        path = self.elementary[codec]
        return None if path.is_file() else f"{path} is not there"

    def stream(self, codec, loops=1):
        """The elementary stream, `loops` times."""
        source = self.elementary[codec]
        if loops == 1:
            return source
        target = self.work / f"{source.stem}-{loops}x{source.suffix}"
        if not target.exists():
            with open(target, "wb") as out:
                for _ in range(loops):
                    with open(source, "rb") as data:
                        shutil.copyfileobj(data, out)
        return target

    def container(self, codec, loops=1):
        """The MP4, `loops` times, put together by ffmpeg without coding anything again; None where it cannot be."""
        source = self.folder / f"{codec}.mp4"
        if not source.is_file():
            return None
        if loops == 1:
            return source
        target = self.work / f"{codec}-{loops}x.mp4"
        if not target.exists():
            if not self.ffmpeg:
                return None
            command = [self.ffmpeg, "-v", "error", "-nostdin", "-y", "-stream_loop", str(loops - 1)]
            command += ["-i", source, "-map", "0:v:0", "-c", "copy", target]
            try:
                subprocess.run(command, check=True, timeout=120, capture_output=True)
            except (OSError, subprocess.SubprocessError):
                target.unlink(missing_ok=True)
                return None
        return target
