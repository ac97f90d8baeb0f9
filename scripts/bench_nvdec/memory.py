"""Device memory in use, asked of NVML; of nvidia-smi where that cannot be opened."""

import ctypes
import subprocess
import threading
import time


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class Device:
    """Tells how much of the first GPU's memory is in use."""

    def __init__(self, index=0):
        self.index = index
        self.library, self.handle, self.how = None, ctypes.c_void_p(), "none"
        try:
            library = ctypes.CDLL("libnvidia-ml.so.1")
            if library.nvmlInit_v2() == 0:
                if library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(self.handle)) == 0:
                    self.library, self.how = library, "NVML"
        except (OSError, AttributeError):
            pass
        if self.library is None and self._ask_smi() is not None:
            self.how = "nvidia-smi"

    def used(self):
        """Bytes in use; None where nobody knows."""
        if self.library is not None:
            memory = _Memory()
            if self.library.nvmlDeviceGetMemoryInfo(self.handle, ctypes.byref(memory)) == 0:
                return memory.used
            return None
        return self._ask_smi() if self.how == "nvidia-smi" else None

    def _ask_smi(self):
        command = ["nvidia-smi", f"--id={self.index}", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            return int(done.stdout.split()[0]) << 20
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            return None


class Watch:
    """Notes the most device memory in use, every 50 ms, while a `with` block runs."""

    def __init__(self, device, interval=0.05):
        self.device, self.interval = device, interval
        self.before = self.most = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.wait(self.interval):
            self._look()

    def _look(self):
        used = self.device.used()
        if used is not None:
            self.most = used if self.most is None else max(self.most, used)

    def __enter__(self):
        self.before = self.most = self.device.used()
        if self.before is not None:
            self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=15)

    def added_mib(self):
        """The most that was in use over what was before, in MiB."""
        if self.most is None:
            return None
        return (self.most - self.before) / (1 << 20)


class Clock:
    """Time left of a budget."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        return self.end - time.monotonic()
