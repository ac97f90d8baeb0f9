#!/usr/bin/env python3
"""Compiles the CUDA kernels to the PTX that is committed beside them.

  scripts/build-kernels.py           writes kernels.ptx
  scripts/build-kernels.py --check   compares with kernels.ptx and fails on a difference; also lets NVIDIA's assembler
                                     translate it for old and new chips

The compilers come from PyPI (x86-64 Linux), in versions that are named here, into target/kernels: no toolkit is needed.
Exit status 3: they could not be installed, so nothing was compiled.

Which drivers load the result is decided by two lines of the PTX. `.target`: the oldest chip, here the first Maxwell.
`.version`: the PTX language; a driver refuses (222) text that is newer than itself. The compiler always writes the
newest it knows, 7.8, which needs driver 520. The kernels use nothing newer than version 6.0 of the language, so that
this is what they say; the assembler refuses text that says less than it uses, and --check asks it. So every driver that the
library takes (470 and newer) is served.
"""

import ctypes
import difflib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "src/backend/nvidia/transform"
SOURCE, RESULT = FOLDER / "kernels.cu", FOLDER / "kernels.ptx"
PLACE = ROOT / "target/kernels/venv"
COMPILER = "nvidia-cuda-nvrtc-cu11==11.8.89"
# The last assembler that knows Maxwell, and the chips that stand for the old and the new end.
ASSEMBLER = "nvidia-cuda-nvcc-cu12==12.9.86"
CHIPS = ["sm_50", "sm_61", "sm_75", "sm_86", "sm_90", "sm_100"]
LANGUAGE = "6.0"
OPTIONS = ["--gpu-architecture=compute_50", "--std=c++14", "--fmad=true", "--disable-warnings"]


def skip(why):
    print(f"SKIPPED: {why}; the kernels are not compiled", file=sys.stderr)
    sys.exit(3)


def installed(pattern):
    return sorted(PLACE.glob(f"lib/python*/site-packages/nvidia/{pattern}"))


def install():
    mark = PLACE / "packages.txt"
    wanted = f"{COMPILER}\n{ASSEMBLER}\n"
    if mark.exists() and mark.read_text() == wanted:
        return
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", PLACE], check=True, timeout=300)
        pip = [PLACE / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--only-binary", ":all:", COMPILER, ASSEMBLER], check=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        skip(f"{COMPILER} and {ASSEMBLER} cannot be installed here ({error})")
    mark.write_text(wanted)


def compile_source():
    libraries = installed("cuda_nvrtc/lib/libnvrtc.so.*")
    if not libraries:
        skip(f"{COMPILER} brings no library for this machine")
    # The compiler opens this one by name.
    for helper in installed("cuda_nvrtc/lib/libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(helper), mode=ctypes.RTLD_GLOBAL)
    nvrtc = ctypes.CDLL(str(libraries[0]))
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(name, *arguments):
        code = getattr(nvrtc, name)(*arguments)
        if code:
            print(f"{name}: {nvrtc.nvrtcGetErrorString(code).decode()}", file=sys.stderr)
        return code

    def text(size_of, get, program):
        size = ctypes.c_size_t()
        call(size_of, program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        call(get, program, buffer)
        return buffer.value.decode()

    program = ctypes.c_void_p()
    # No path in the name: it would end up in the result.
    if call("nvrtcCreateProgram", ctypes.byref(program), SOURCE.read_bytes(), b"kernels.cu", 0, None, None):
        sys.exit(1)
    options = (ctypes.c_char_p * len(OPTIONS))(*[option.encode() for option in OPTIONS])
    if call("nvrtcCompileProgram", program, len(OPTIONS), options):
        print(text("nvrtcGetProgramLogSize", "nvrtcGetProgramLog", program), file=sys.stderr)
        sys.exit(1)
    return text("nvrtcGetPTXSize", "nvrtcGetPTX", program)


def tidy(ptx):
    """Without the compiler's remarks, and in the language version that the text needs."""
    ptx = re.sub(r"//.*", "", ptx)
    ptx, count = re.subn(r"\.version \d+\.\d+", f".version {LANGUAGE}", ptx)
    if count != 1:
        sys.exit("the compiler's text has no .version line of the known form")
    lines = (line.strip() for line in ptx.splitlines())
    head = "// Made by scripts/build-kernels.py from kernels.cu; do not edit.\n"
    return head + "\n".join(line for line in lines if line) + "\n"


def assemble():
    """Whether the committed text is what it says it is, for NVIDIA's own assembler."""
    tools = installed("cuda_nvcc/bin/ptxas")
    if not tools:
        skip(f"{ASSEMBLER} brings no assembler for this machine")
    with tempfile.TemporaryDirectory() as folder:
        for chip in CHIPS:
            command = [tools[0], f"-arch={chip}", "-v", RESULT, "-o", os.path.join(folder, "out")]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"ptxas for {chip} refuses kernels.ptx:\n{done.stdout}{done.stderr}")
            most = max(int(n) for n in re.findall(r"Used (\d+) registers", done.stderr))
            spills = sum(int(n) for n in re.findall(r"(\d+) bytes spill", done.stderr))
            print(f"{chip}: {most} registers at most, {spills} bytes spilled")


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    install()
    made = tidy(compile_source())
    if not check:
        RESULT.write_text(made)
        return
    committed = RESULT.read_text()
    if made != committed:
        names = ("kernels.ptx", "kernels.cu compiled now")
        lines = difflib.unified_diff(committed.splitlines(), made.splitlines(), *names, lineterm="", n=1)
        print("\n".join(list(lines)[:40]), file=sys.stderr)
        sys.exit("kernels.ptx is not what kernels.cu compiles to: run scripts/build-kernels.py")
    assemble()
    print("kernels.ptx is what kernels.cu compiles to")


if __name__ == "__main__":
    main()
