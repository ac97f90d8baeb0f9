"""Running one program: with a limit, its output kept, its resources counted, and no way to hang."""

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

from .memory import Watch
from .parse import failed_checks, last_json, last_words

KEPT = 1 << 20  # characters of output; programs here print far less


@dataclass
class Done:
    """A finished run."""

    command: list
    status: int = None  # None: it did not start
    wall_s: float = 0.0
    out: str = ""
    err: str = ""
    timed_out: bool = False
    ended_ns: int = 0  # clock time of its end
    peak_rss_kib: int = None
    cpu_s: float = None
    device_mib: float = None
    lines: list = field(default_factory=list)  # (seconds since the start, line of standard output)

    @property
    def good(self):
        return self.status == 0 and not self.timed_out

    def trouble(self):
        """Why it failed, in words."""
        if self.status is None:
            return f"did not start: {self.err}"
        if self.timed_out:
            return f"stopped after {self.wall_s:.0f} s, its limit"
        report = last_json(self.out) or last_json(self.err)
        said = report.get("error")
        said = said.get("message") if isinstance(said, dict) else said
        words = said or failed_checks(report) or last_words(self.err or self.out)
        return f"status {self.status}: {' '.join(str(words).split())}"


def run(command, limit, device=None, environment=None, on_line=None, stamp=None):
    """Runs `command` for at most `limit` seconds.

    The words STAMP in the command are replaced by the clock in nanoseconds, taken just before it starts. `on_line` is
    called with each line of standard output as it comes.
    """
    command = [str(part) for part in command]
    done = Done(command=command)
    watch = Watch(device) if device else None
    if watch:
        watch.__enter__()
    try:
        _run(done, limit, environment, on_line, stamp)
    finally:
        if watch:
            watch.__exit__()
            done.device_mib = watch.added_mib()
    return done


def _run(done, limit, environment, on_line, stamp):
    command = list(done.command)
    if stamp is not None:
        command = [part.replace(stamp, str(time.time_ns())) for part in command]
    begun = time.monotonic()
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # so that a limit also ends what it started
        )
    except OSError as error:
        done.err = str(error)
        return
    out, err = [], []

    def read_out():
        for line in child.stdout:
            at = time.monotonic() - begun
            done.lines.append((at, line.rstrip("\n")))
            out.append(line)
            if on_line:
                on_line(line)

    readers = [
        threading.Thread(target=read_out, daemon=True),
        threading.Thread(target=lambda: err.append(child.stderr.read()[-KEPT:]), daemon=True),
    ]
    for reader in readers:
        reader.start()

    def too_long():
        done.timed_out = True
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    timer = threading.Timer(max(limit, 0.1), too_long)
    timer.start()
    _, status, used = os.wait4(child.pid, 0)
    done.ended_ns = time.time_ns()
    done.wall_s = time.monotonic() - begun
    timer.cancel()
    child.returncode = done.status = os.waitstatus_to_exitcode(status)
    done.peak_rss_kib = used.ru_maxrss
    done.cpu_s = used.ru_utime + used.ru_stime
    for reader in readers:
        reader.join(timeout=5)
    child.stdout.close()
    child.stderr.close()
    done.out, done.err = "".join(out)[-KEPT:], "".join(err)
