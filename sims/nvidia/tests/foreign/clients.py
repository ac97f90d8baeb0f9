"""Foreign clients in Python: PyAV (FFmpeg 8 with the current NVENC API) and PyNvVideoCodec (NVIDIA's own client).

Run by tests/simulation/foreign_python.rs: clients.py NAME FOLDER. Prints one line a run: `name | frames in | frames out | verdict`.
"""

import pathlib
import sys
from fractions import Fraction

import numpy as np

FRAMES, WIDTH, HEIGHT = 60, 640, 360


def picture(i):
    """A moving picture, RGB."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    r = ((x + 3 * i) % 256).astype(np.uint8)
    g = ((y + 2 * i) % 256).astype(np.uint8)
    return np.stack([r, g, np.full_like(r, 128)], -1)


def psnr(a, b):
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def say(name, wanted, got, fault=None):
    fault = fault or ("" if wanted == got else "frames are missing")
    print(f"{name} | {wanted} | {got} | {fault or 'ok'}", flush=True)


def pyav(folder):
    import av

    def frames(path, codec=None):
        container = av.open(str(path))
        stream = container.streams.video[0]
        if codec is None:
            return list(container.decode(stream))
        context = av.CodecContext.create(codec, "r")
        context.extradata = stream.codec_context.extradata
        context.width, context.height = stream.width, stream.height
        decoded = []
        for packet in container.demux(stream):
            decoded += context.decode(packet if packet.dts is not None else None)
        return decoded

    for codec, pixels, options in [
        ("h264_nvenc", "yuv420p", {"preset": "p4", "bf": "2"}),
        ("h264_nvenc", "nv12", {"preset": "p1", "tune": "ull", "bf": "0"}),
        ("hevc_nvenc", "yuv420p", {"preset": "p5", "bf": "3", "rc-lookahead": "16"}),
        ("hevc_nvenc", "p010le", {"preset": "p4", "bf": "2", "profile": "main10"}),
    ]:
        path = folder / f"{codec}-{pixels}.mp4"
        output = av.open(str(path), "w")
        stream = output.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, pixels, 2_000_000
        for i in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = i, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        output.close()
        software = frames(path)
        fault = ""
        if [frame.pts for frame in software] != sorted(frame.pts for frame in software):
            fault = "frames out of order"
        worst = min(psnr(frame.to_ndarray(format="rgb24"), picture(i)) for i, frame in enumerate(software))
        if worst < 25:
            fault = f"PSNR {worst:.1f} dB"
        say(f"PyAV {av.__version__} {codec} {pixels}", FRAMES, len(software), fault)

        plain = "yuv420p10le" if pixels == "p010le" else "yuv420p"
        hardware = frames(path, codec.replace("nvenc", "cuvid"))
        same = all(
            (a.reformat(format=plain).to_ndarray() == b.reformat(format=plain).to_ndarray()).all()
            for a, b in zip(software, hardware)
        )
        say(
            f"PyAV {av.__version__} {codec.replace('nvenc', 'cuvid')} {pixels}",
            FRAMES,
            len(hardware),
            "" if same else "pictures differ from the software decoder's",
        )


def pynvvideocodec(folder):
    import PyNvVideoCodec as nvc

    for codec, options in [("h264", {"bf": 2}), ("hevc", {"bf": 0})]:
        encoder = nvc.CreateEncoder(
            WIDTH, HEIGHT, "NV12", True, codec=codec, preset="P4", bitrate=2_000_000, fps=30, **options
        )
        data = bytearray()

        def keep(packets):
            for packet in packets:
                data.extend(packet["data"])

        for i in range(FRAMES):
            y, x = np.mgrid[0 : HEIGHT * 3 // 2, 0:WIDTH]
            keep(encoder.Encode(((x + y + 3 * i) % 256).astype(np.uint8)))
        keep(encoder.EndEncode())
        path = folder / f"pnvc.{'h264' if codec == 'h264' else 'h265'}"
        path.write_bytes(bytes(data))
        del encoder

        import av

        software = sum(1 for _ in av.open(str(path)).decode(video=0))
        say(f"PyNvVideoCodec {nvc.__version__} encode {codec}", FRAMES, software)

        demuxer = nvc.CreateDemuxer(str(path))
        decoder = nvc.CreateDecoder(gpuid=0, codec=demuxer.GetNvCodecId(), usedevicememory=False)
        decoded = sum(len(decoder.Decode(packet)) for packet in demuxer)
        say(f"PyNvVideoCodec {nvc.__version__} decode {codec}", FRAMES, decoded)
        del decoder


if __name__ == "__main__":
    {"pyav": pyav, "pynvvideocodec": pynvvideocodec}[sys.argv[1]](pathlib.Path(sys.argv[2]))
