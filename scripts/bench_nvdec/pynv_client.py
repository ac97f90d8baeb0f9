#!/usr/bin/env python3
"""Decodes with PyNvVideoCodec and tells how long it took, in the words of examples/decode_many.

Run by scripts/bench-nvdec.py with the Python that has PyNvVideoCodec. Prints one JSON object.

  lowlevel  CreateDemuxer + CreateDecoder, a packet at a time: its own sample for speed
  threaded  ThreadedDecoder: decodes ahead on a thread of its own, frames are taken in batches
  simple    SimpleDecoder: frames by number, taken in batches
"""

import argparse
import json
import multiprocessing
import sys
import threading
import time

BATCH = 32
NEVER = 600.0  # a barrier that nobody reaches must not hang


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip")
    parser.add_argument("--mode", choices=["lowlevel", "threaded", "simple"], default="lowlevel")
    parser.add_argument("--instances", type=int, default=1)
    parser.add_argument("--apart", choices=["threads", "processes"], default="threads")
    parser.add_argument("--output", choices=["device", "host"], default="device")
    parser.add_argument("--color", choices=["NATIVE", "RGB", "RGBP"], default="NATIVE")
    parser.add_argument("--expect", type=int, help="frames of each instance")
    parser.add_argument("--low-latency", action="store_true", help="a packet in, its frame out; lowlevel only")
    return parser.parse_args()


class Tally:
    """Times and frames of one instance, on the system-wide monotonic clock."""

    def __init__(self):
        self.first_submit = self.first_frame = self.last_frame = None
        self.frames = 0

    def begin(self):
        self.first_submit = time.monotonic()

    def take(self, count):
        if count:
            now = time.monotonic()
            self.first_frame = self.first_frame or now
            self.last_frame = now
            self.frames += count


def lowlevel(args, ready):
    import PyNvVideoCodec as nvc

    tally = Tally()
    demuxer = nvc.CreateDemuxer(args.clip)
    decoder = nvc.CreateDecoder(
        gpuid=0,
        codec=demuxer.GetNvCodecId(),
        usedevicememory=args.output == "device",
        outputColorType=getattr(nvc.OutputColorType, args.color),
    )
    ready()
    tally.begin()
    # The demuxer ends with an empty packet, which makes the decoder give what it holds.
    for packet in demuxer:
        tally.take(len(decoder.Decode(packet)))
    return tally


def batches(decoder, tally):
    while True:
        frames = decoder.get_batch_frames(BATCH)
        if not frames:
            return tally
        tally.take(len(frames))


def threaded(args, ready):
    import PyNvVideoCodec as nvc

    tally = Tally()
    ready()
    # It begins to decode inside its constructor, so the clock starts before.
    tally.begin()
    decoder = nvc.ThreadedDecoder(
        args.clip,
        2 * BATCH,
        gpu_id=0,
        use_device_memory=args.output == "device",
        output_color_type=getattr(nvc.OutputColorType, args.color),
    )
    batches(decoder, tally)
    decoder.end()
    return tally


def simple(args, ready):
    import PyNvVideoCodec as nvc

    tally = Tally()
    decoder = nvc.SimpleDecoder(
        args.clip,
        gpu_id=0,
        use_device_memory=args.output == "device",
        output_color_type=getattr(nvc.OutputColorType, args.color),
    )
    total = len(decoder)
    ready()
    tally.begin()
    # Past the end it raises instead of giving less.
    while tally.frames < total:
        frames = decoder.get_batch_frames(min(BATCH, total - tally.frames))
        if not frames:
            break
        tally.take(len(frames))
    return tally


MODES = {"lowlevel": lowlevel, "threaded": threaded, "simple": simple}


def instance(args, barrier, results):
    """One decoder; puts (first submit, first frame, last frame, frames) or the words of an error."""
    try:
        tally = MODES[args.mode](args, lambda: barrier.wait(NEVER))
        results.put((tally.first_submit, tally.first_frame, tally.last_frame, tally.frames))
    except Exception as error:  # noqa: BLE001 - whatever it is belongs into the report
        barrier.abort()
        results.put(f"{type(error).__name__}: {error}")


def throughput(args):
    if args.apart == "processes":
        context = multiprocessing.get_context("spawn")
        kind, barrier, results = context.Process, context.Barrier(args.instances), context.Queue()
    else:
        import queue

        kind, barrier, results = threading.Thread, threading.Barrier(args.instances), queue.Queue()
    workers = [kind(target=instance, args=(args, barrier, results)) for _ in range(args.instances)]
    for worker in workers:
        worker.start()
    told = [results.get(timeout=NEVER) for _ in workers]
    for worker in workers:
        worker.join()
    errors = [words for words in told if isinstance(words, str)]
    errors.sort(key=lambda words: words.startswith("BrokenBarrierError"))
    runs = [run for run in told if not isinstance(run, str) and run[3]]
    frames = sum(run[3] for run in runs)
    report = {"mode": args.mode, "instances": args.instances, "apart": args.apart, "frames": frames}
    report["frames_each"] = [run[3] for run in runs]
    if runs:
        end = max(run[2] for run in runs)
        wall = end - min(run[0] for run in runs)
        first = min(run[1] for run in runs)
        # The first call that gives frames may give many.
        report["wall_s"] = wall
        report["fps"] = frames / wall if wall > 0 else None
        step = BATCH if args.mode != "lowlevel" else 1
        behind = max(frames - step * len(runs), 0)
        report["fps_running"] = behind / (end - first) if end > first else None
    if errors:
        report["error"] = errors[0]
    wrong = [run[3] for run in runs if args.expect is not None and run[3] != args.expect]
    if wrong and not errors:
        report["error"] = f"{wrong[0]} frames came, {args.expect} were expected"
    report["passed"] = not errors and not wrong and len(runs) == args.instances
    return report


def low_latency(args):
    import PyNvVideoCodec as nvc

    demuxer = nvc.CreateDemuxer(args.clip)
    decoder = nvc.CreateDecoder(
        gpuid=0,
        codec=demuxer.GetNvCodecId(),
        usedevicememory=args.output == "device",
        latency=nvc.DisplayDecodeLatencyType.LOW,
    )
    times, frames, missed, packets = [], 0, 0, 0
    for packet in demuxer:
        last = not packet.bsl  # the empty packet at the end
        packet.decode_flag = nvc.VideoPacketFlag.ENDOFPICTURE
        begun = time.monotonic()
        got = len(decoder.Decode(packet))
        elapsed = time.monotonic() - begun
        frames += got
        if last:
            continue
        packets += 1
        if got:
            times.append(elapsed * 1e3)
        else:
            missed += 1
    first, rest = times[:1], sorted(times[1:])
    report = {"packets": packets, "frames": frames, "missed": missed, "passed": frames > 0}
    report["first_ms"] = first[0] if first else None
    for name, share in [("p50_ms", 50), ("p95_ms", 95), ("p99_ms", 99), ("max_ms", 100)]:
        rank = -(-len(rest) * share // 100)
        report[name] = rest[rank - 1] if rank else None
    return report


def main():
    args = options()
    try:
        report = low_latency(args) if args.low_latency else throughput(args)
    except Exception as error:  # noqa: BLE001 - as above
        report = {"passed": False, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(report), flush=True)
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
