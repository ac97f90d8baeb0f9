#!/usr/bin/env python3
"""Translates the kernel of the VideoToolbox backend to the Metal text that is committed beside it.

  scripts/build-metal.py              writes kernel.metal (wants naga 30.0.1: cargo install --locked naga-cli@30.0.1)
  scripts/build-metal.py --check      compares with kernel.metal and fails on a difference
  scripts/build-metal.py --run FILE   runs kernel.wgsl on the Vulkan driver for CPUs (Debian: mesa-vulkan-drivers libvulkan1)
                                      with the cases of FILE, which a test of the library writes, and compares each result
                                      with the one that the file has for it

Exit status 3: a tool is missing, so nothing was done. What runs shaders comes from PyPI, into target/kernels.
"""

import difflib
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "src/backend/videotoolbox/transform"
SOURCE, RESULT = FOLDER / "kernel.wgsl", FOLDER / "kernel.metal"
TRANSLATOR = "30.0.1"
RUNNER = "wgpu==0.32.0"
PLACE = ROOT / "target/kernels/wgpu"
DRIVERS = Path("/usr/share/vulkan/icd.d")
# In the order of the kernel's parameters.
BINDINGS = ["texture(0)", "texture(1)", "buffer(0)", "buffer(1)"]
ARGUMENTS = 20
BLOCK = (32, 8)


def skip(why):
    print(f"SKIPPED: {why}", file=sys.stderr)
    sys.exit(3)


def translate():
    naga = shutil.which("naga") or skip(f"the translation is of the long form, which installs naga {TRANSLATOR}")
    found = subprocess.run([naga, "--version"], capture_output=True, text=True).stdout.strip()
    if found != TRANSLATOR:
        skip(f"naga is {found}, not {TRANSLATOR}, which may write it otherwise; the kernel is not translated")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kernel.metal"
        subprocess.run([naga, "--metal-version", "2.0", SOURCE, out], check=True)
        return bind(out.read_text())


def bind(text):
    """Puts places where the translator leaves them open, and takes out what it offers for array lengths, which nothing asks."""
    text, count = re.subn(r", constant _mslBufferSizes& _buffer_sizes \[\[user\(fake0\)\]\]\n", "", text)
    text, structs = re.subn(r"struct _mslBufferSizes \{[^}]*\};\n\n", "", text)
    if (count, structs) != (1, 1) or "_buffer_sizes" in text:
        sys.exit("the translator's text is not of the known form: lengths of arrays")
    places = iter(BINDINGS)
    text, count = re.subn(r"user\(fake0\)", lambda _: next(places, "?"), text)
    if count != len(BINDINGS):
        sys.exit("the translator's text is not of the known form: parameters")
    if re.search(r"\b(float|half)", text):
        sys.exit("the kernel has floats, of which Metal's compilers do not promise the last bit")
    return f"// Made by scripts/build-metal.py from kernel.wgsl with naga {TRANSLATOR}; do not edit.\n{text}"


def check():
    made, committed = translate(), RESULT.read_text()
    if made != committed:
        names = ("kernel.metal", "kernel.wgsl translated now")
        lines = difflib.unified_diff(committed.splitlines(), made.splitlines(), *names, lineterm="", n=1)
        print("\n".join(list(lines)[:40]), file=sys.stderr)
        sys.exit("kernel.metal is not what kernel.wgsl translates to: run scripts/build-metal.py")
    print("kernel.metal is what kernel.wgsl translates to")


def runner():
    """This script again, in the environment that has what runs shaders."""
    drivers = sorted(DRIVERS.glob("lvp_icd*.json"))
    if not drivers:
        skip("no Vulkan driver for CPUs (Debian: mesa-vulkan-drivers libvulkan1); the kernel is not run")
    mark = PLACE / "packages.txt"
    if not mark.exists() or mark.read_text() != RUNNER:
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", PLACE], check=True, timeout=300)
            pip = [PLACE / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--only-binary", ":all:", RUNNER], check=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            skip(f"{RUNNER} cannot be installed here ({error}); the kernel is not run")
        mark.write_text(RUNNER)
    names = {"VK_DRIVER_FILES": str(drivers[0]), "VK_ICD_FILENAMES": str(drivers[0]), "BUILD_METAL_INSIDE": "1"}
    python = PLACE / "bin/python"
    os.execve(python, [str(python), __file__, *sys.argv[1:]], {**os.environ, **names})


def cases(path):
    """The numbers of the file are words, lowest byte first: bytes of a sample, width and height of the luma plane, the kernel's arguments, words of
    the result; behind them the samples of both planes without gaps, and the result."""
    with open(path, "rb") as file:
        while head := file.read(4 * (4 + ARGUMENTS)):
            size, width, height, *rest = struct.unpack(f"<{4 + ARGUMENTS}I", head)
            arguments, words = struct.pack(f"<{ARGUMENTS}I", *rest[:-1]), rest[-1]
            luma = file.read(width * height * size)
            columns, rows = (width + 1) // 2, (height + 1) // 2
            chroma = file.read(columns * rows * 2 * size)
            yield size, (width, height), luma, (columns, rows), chroma, arguments, file.read(4 * words)


def run(path):
    if not os.environ.get("BUILD_METAL_INSIDE"):
        runner()
    import wgpu

    adapters = [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["adapter_type"] == "CPU"]
    if not adapters:
        skip("no Vulkan driver for CPUs answers; the kernel is not run")
    device = adapters[0].request_device_sync(required_limits={"max-texture-dimension-2d": 8192})
    module = device.create_shader_module(code=SOURCE.read_text())
    compute = {"module": module, "entry_point": "vhw_convert"}
    pipeline = device.create_compute_pipeline(layout="auto", compute=compute)

    def texture(kind, size, samples, pitch):
        use = wgpu.TextureUsage.TEXTURE_BINDING | wgpu.TextureUsage.COPY_DST
        made = device.create_texture(size=(*size, 1), format=kind, usage=use)
        layout = {"offset": 0, "bytes_per_row": pitch, "rows_per_image": size[1]}
        device.queue.write_texture({"texture": made}, samples, layout, (*size, 1))
        return made.create_view()

    count = differing = 0
    for size, luma_size, luma, chroma_size, chroma, arguments, expected in cases(path):
        bits = 8 * size
        given = wgpu.BufferUsage.UNIFORM
        kept = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC
        # Marked, so that a word that is not written shows.
        result = device.create_buffer_with_data(data=b"\xa5" * len(expected), usage=kept)
        resources = [
            texture(f"r{bits}uint", luma_size, luma, luma_size[0] * size),
            texture(f"rg{bits}uint", chroma_size, chroma, chroma_size[0] * 2 * size),
            {"buffer": device.create_buffer_with_data(data=arguments, usage=given)},
            {"buffer": result},
        ]
        entries = [{"binding": at, "resource": one} for at, one in enumerate(resources)]
        group = device.create_bind_group(layout=pipeline.get_bind_group_layout(0), entries=entries)
        encoder = device.create_command_encoder()
        work = encoder.begin_compute_pass()
        work.set_pipeline(pipeline)
        work.set_bind_group(0, group)
        threads = ((luma_size[0] + 3) // 4, (luma_size[1] + 1) // 2)
        work.dispatch_workgroups(*((n + block - 1) // block for n, block in zip(threads, BLOCK)))
        work.end()
        device.queue.submit([encoder.finish()])
        got = bytes(device.queue.read_buffer(result))
        if got != expected:
            at = next(i for i, pair in enumerate(zip(got, expected)) if pair[0] != pair[1])
            words = struct.unpack(f"<{ARGUMENTS}I", arguments)
            differing += 1
            if differing < 10:
                print(f"case {count}, {luma_size}, {words}: byte {at} is {got[at]}, not {expected[at]}", file=sys.stderr)
        count += 1
    if differing or not count:
        sys.exit(f"{differing} of {count} results differ")
    print(f"{count} results are the same to the bit on {adapters[0].info['device']}")


def main():
    match sys.argv[1:]:
        case []:
            RESULT.write_text(translate())
        case ["--check"]:
            check()
        case ["--run", path]:
            run(path)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
