"""What the machine is, and how busy its GPU was before."""

import os
import platform
import subprocess

QUERY = (
    "name,driver_version,pstate,clocks.sm,clocks.mem,clocks.video,clocks.max.sm,clocks.max.video,"
    "memory.total,memory.used,temperature.gpu,power.draw,utilization.decoder"
)


def _say(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
        return done.stdout.strip() if done.returncode == 0 else f"MISSING: {command[0]} failed: {done.stderr.strip()[:200]}"
    except (OSError, subprocess.SubprocessError) as error:
        return f"MISSING: {error}"


def gpu_now():
    """Clocks, memory and power, as {name: value}; one "gpu" entry that says so where nothing answers."""
    text = _say(["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader", "--id=0"])
    values = [value.strip() for value in text.splitlines()[0].split(",")] if text else []
    names = QUERY.split(",")
    return dict(zip(names, values)) if len(values) == len(names) else {"gpu": text or "MISSING"}


def _cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as info:
            for line in info:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def facts(programs):
    """Everything worth knowing of the machine; `programs` are (name, command that tells its version)."""
    found = {
        "system": platform.platform(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "gpu": gpu_now(),
    }
    for name, command in programs:
        found[name] = _say(command).splitlines()[0] if command else "MISSING: not given"
    return found


def full_report():
    """All that nvidia-smi has to say, for the folder of results."""
    return _say(["nvidia-smi", "-q"])
