#!/usr/bin/env python3
"""Turns runs that bench-nvdec.py and bench-nvenc.py kept (runs.jsonl) into records that `video-hw bench report` shows.

    scripts/bench-record.py docs/bench/h200/dfb/runs.jsonl docs/bench/h200/whole-process.json --device "NVIDIA H200, 143,155 MiB"
    scripts/bench-record.py docs/bench/nvenc-simulated/processes/runs.jsonl docs/bench/nvenc-simulated/processes.json

Of the first kind whole processes are taken (case d), of the second kind too (case b): what ran beside ffmpeg. Nothing is computed:
each run keeps its time and its place. Machine and input are those that the file tells; the card is named by --device where the file does not.
"""

import argparse
import datetime
import json
import re
import sys

# What decodes, and what of it is compared: frames stay in device memory on both sides.
CARD = {"video-hw decode, auto, device frames": "video-hw", "ffmpeg -hwaccel cuda, device frames": "ffmpeg"}


def known(value, what):
    """What the file must tell: a record with a guess in it would be a false one."""
    if not value:
        sys.exit(f"the runs do not tell {what}")
    return value


def read(pattern, text, what):
    return known(re.search(pattern, text or ""), what)


def lines(path):
    head, runs = {}, []
    for line in open(path, encoding="utf-8"):
        entry = json.loads(line)
        if "machine" in entry:
            head = entry
        elif "row" in entry and entry.get("counted", True) and entry.get("status") == 0 and entry.get("figures"):
            runs.append(entry)
    return head, sorted(runs, key=lambda run: run["at"])


def clip(run):
    """Size and frames, as a run of this program told them; ffmpeg decodes the same and says nothing."""
    width, height = read(r'"size": "(\d+)x(\d+)"', run.get("out"), "the size of the pictures").groups()
    frames = known(run["figures"].get("frames"), "the number of frames")
    return int(width), int(height), int(frames)


def clip_name(run):
    return next(word for word in run["command"] if word.endswith(".mp4")).rsplit("/", 1)[-1]


def card(run, clips):
    """Row, settings and input of a run on the card; None for what is something else."""
    program, codec = CARD.get(run["row"]), run["case"].removeprefix("d-")
    if program is None or not run["case"].startswith("d-"):
        return None
    name = clip_name(run)
    ours = f"decode/{codec}/nvidia"
    width, height, frames = known(clips.get(name), f"what {name} is")
    return {
        "id": f"{ours}/{program}", "case": "decode", "codec": codec, "program": program,
        "backend": "nvidia" if program == "video-hw" else "cuda",
        "peer": f"{ours}/ffmpeg" if program == "video-hw" else None,
        "settings": {"output": "device memory"},
        "input": {"name": name, "width": width, "height": height, "frames": frames, "bytes": 0},
    }


def simulated(run):
    if run["case"] != "b":
        return None
    width, height, pixels, frames, codec = re.match(r"(\d+)x(\d+) (\w+), (\d+) frames, (\w+)", run["what"]).groups()
    engine = f"{run['engine_ms']:g} ms" if run["engine_ms"] else "no time"
    more = f"{width}x{height}/{pixels}/engine={engine}"
    program = run["row"]
    return {
        "id": f"encode/{codec}/nvidia/{program}/{more}", "case": "encode", "codec": codec, "program": program,
        "backend": "nvidia" if program == "video-hw" else f"{codec}_nvenc",
        "peer": f"encode/{codec}/nvidia/ffmpeg/{more}" if program == "video-hw" else None,
        "settings": {"engine": engine},
        "input": {
            "name": f"{width}x{height}-{frames}.{pixels}.raw", "width": int(width), "height": int(height),
            "frames": int(frames), "pixel_format": pixels,
            "bytes": int(width) * int(height) * int(frames) * (3 if pixels == "nv12" else 8) // 2,
        },
    }


def shown(command):
    """Files by their names, and of clips nothing else."""
    return [word.rsplit("/", 1)[-1] if "/" in word else word for word in command]


def described(head, device):
    """The machine of a record, from the first line of the runs."""
    machine, is_simulated = known(head.get("machine"), "the machine"), bool(head.get("simulated"))
    processor = machine.get("cpu") or machine.get("processor")
    cores = machine.get("cores") or int(read(r"(\d+) cores", processor, "the number of cores").group(1))
    name = known(processor, "the processor").split(",")[0].replace("(R)", "").replace(" Processor", "")
    system, version = read(r"^(\w+)-(\d+\.\d+)", machine.get("system"), "the system").groups()
    peer = read(r"version n?([^\s-]+)", machine.get("peer") or machine.get("ffmpeg"), "the version of ffmpeg").group(1)
    gpu = machine.get("gpu", {}).get("gpu", "")
    device = "simulated NVIDIA card" if is_simulated else device or ("" if gpu.startswith("MISSING") else gpu)
    return {
        "cpu": name, "cores": cores, "system": f"{system} {version}", "simulated": is_simulated,
        "devices": [known(device, "the card; name it with --device")], "versions": {"ffmpeg": peer},
    }


def record(path, device):
    head, runs = lines(path)
    machine = described(head, device)
    if not runs:
        sys.exit("there are no runs that count")
    is_simulated = bool(head.get("simulated"))
    ours = [] if is_simulated else [run for run in runs if run["case"].startswith("d-") and CARD.get(run["row"]) == "video-hw"]
    clips = {clip_name(run): clip(run) for run in ours}
    rows = {}
    for run in runs:
        row = simulated(run) if is_simulated else card(run, clips)
        if row:
            row = rows.setdefault(row["id"], {**row, "command": shown(run["command"]), "runs": []})
            row["runs"].append({
                "order": 0, "round": run.get("turn", 0), "wall_s": run["wall_s"], "cpu_s": run["cpu_s"],
                "frames": row["input"]["frames"], "peak_rss_bytes": run["peak_rss_kib"] * 1024,
                "load": run.get("load"), "at": run["at"],
            })
    everything = sorted((run for row in rows.values() for run in row["runs"]), key=lambda run: run["at"])
    began, ended = everything[0]["at"], everything[-1]["at"] + everything[-1]["wall_s"]
    for order, run in enumerate(everything):
        run["order"] = order
        del run["at"]
    if not is_simulated:
        # Rounds were not written down: rows took turns from the first run on, until there was no time left.
        for row in rows.values():
            for number, run in enumerate(row["runs"]):
                run["round"] = number
    loads = [run["load"] for run in everything if run["load"] is not None]
    return {
        "format": 1, "version": "0.1.0",
        "started": datetime.datetime.fromtimestamp(began, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "took_s": round(ended - began, 3),
        "machine": {**machine, "load": [loads[0], loads[-1]] if loads else head["machine"].get("load", [])[:1]},
        "command": ["bench-nvenc.py", "--cases", "b"] if is_simulated else ["bench-nvdec.py", "--cases", "d,f,b"],
        "warmup": 1 if is_simulated else 0, "repeat": max(len(row["runs"]) for row in rows.values()),
        "rows": list(rows.values()),
        "notes": [],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs")
    parser.add_argument("record")
    parser.add_argument("--device", help="the card, where the runs do not tell it")
    given = parser.parse_args()
    made = record(given.runs, given.device)
    with open(given.record, "w", encoding="utf-8") as out:
        json.dump(made, out, indent=1)
        out.write("\n")


main()
