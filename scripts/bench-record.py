#!/usr/bin/env python3
"""Turns runs that bench-nvdec.py and bench-nvenc.py kept (runs.jsonl) into records that `video-hw bench report` shows.

    scripts/bench-record.py docs/bench/h200/dfb/runs.jsonl docs/bench/h200/whole-process.json
    scripts/bench-record.py docs/bench/nvenc-simulated/processes/runs.jsonl docs/bench/nvenc-simulated/processes.json

Of the first kind whole processes are taken (case d), of the second kind too (case b): what ran beside ffmpeg. Nothing is computed:
each run keeps its time and its place.
"""

import datetime
import json
import re
import sys

# What decodes, and what of it is compared: frames stay in device memory on both sides. The aim is that of docs/bench/h200.md.
CARD = {"video-hw decode, auto, device frames": "video-hw", "ffmpeg -hwaccel cuda, device frames": "ffmpeg"}
CARD_AIM = 0.5


def lines(path):
    head, runs = {}, []
    for line in open(path, encoding="utf-8"):
        entry = json.loads(line)
        if "machine" in entry:
            head = entry
        elif "row" in entry and entry.get("counted", True) and entry.get("status") == 0 and entry.get("figures"):
            runs.append(entry)
    return head, sorted(runs, key=lambda run: run["at"])


def card(run):
    """Row, settings and input of a run on the card; None for what is something else."""
    program, codec = CARD.get(run["row"]), run["case"].removeprefix("d-")
    if program is None or not run["case"].startswith("d-"):
        return None
    name = next(word for word in run["command"] if word.endswith(".mp4")).rsplit("/", 1)[-1]
    ours = f"decode/{codec}/nvidia"
    return {
        "id": f"{ours}/{program}", "case": "decode", "codec": codec, "program": program,
        "backend": "nvidia" if program == "video-hw" else "cuda",
        "peer": f"{ours}/ffmpeg" if program == "video-hw" else None, "aim": CARD_AIM if program == "video-hw" else None,
        "settings": {"output": "device memory"},
        "input": {"name": name, "width": 1920, "height": 1080, "frames": 303, "bytes": 0},
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


def record(path):
    head, runs = lines(path)
    is_simulated = bool(head.get("simulated"))
    rows = {}
    for run in runs:
        row = (simulated if is_simulated else card)(run)
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
    machine = head["machine"]
    loads = [run["load"] for run in everything if run["load"] is not None]
    return {
        "format": 1, "version": "0.1.0",
        "started": datetime.datetime.fromtimestamp(began, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "took_s": round(ended - began, 3),
        "machine": {
            "cpu": "Intel Xeon", "cores": 2 if is_simulated else machine["cores"],
            "system": "Linux 6.18", "simulated": is_simulated,
            "devices": ["simulated NVIDIA card"] if is_simulated else ["NVIDIA H200, 143,155 MiB"],
            "versions": {"ffmpeg": machine.get("peer", machine.get("ffmpeg", "")).split()[2].split("-")[0].lstrip("n")},
            "load": [loads[0], loads[-1]] if loads else machine["load"][:1],
        },
        "command": ["bench-nvenc.py", "--cases", "b"] if is_simulated else ["bench-nvdec.py", "--cases", "d,f,b"],
        "warmup": 1 if is_simulated else 0, "repeat": max(len(row["runs"]) for row in rows.values()),
        "rows": list(rows.values()),
        "notes": [],
    }


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        json.dump(record(sys.argv[1]), out, indent=1)
        out.write("\n")


main()
