#!/usr/bin/env python3
"""What the library shows: every public type and item, by room, counted once by the path that is its own.

    RUSTC_BOOTSTRAP=1 cargo rustdoc -p video-hw --lib --all-features --locked -- -Z unstable-options --output-format json
    scripts/public-items.py target/doc/video_hw.json [--list]

A type is a struct, enum, union, trait or type alias that a user can name; `#[doc(hidden)]` is left out. An item is a type, a
function, a constant, a macro, or a method or constant of such a type. Variants and fields are not counted.
"""
import json
import sys
from collections import Counter

doc = json.load(open(sys.argv[1]))
index = doc["index"]
TYPES = ("struct", "enum", "union", "trait", "type_alias")
OTHERS = ("function", "constant", "static", "macro", "proc_macro")
seen, types, items, lines = set(), Counter(), Counter(), []


def kind(item):
    return next(iter(item["inner"]))


def methods(item, body):
    if kind(item) == "trait":
        return len(body["items"])
    found = 0
    for number in body.get("impls", []):
        block = index.get(str(number))
        if block and block["inner"]["impl"]["trait"] is None:
            found += sum(index[str(i)]["visibility"] == "public" for i in block["inner"]["impl"]["items"] if str(i) in index)
    return found


def walk(number, path):
    item = index.get(str(number))
    if item is None or (number, path) in seen:
        return
    name, what = item["name"], kind(item)
    body = item["inner"][what]
    if what == "use":
        if body["id"] is not None and str(body["id"]) in index:
            if body["is_glob"]:
                for child in index[str(body["id"])]["inner"].get("module", {}).get("items", []):
                    walk(child, path)
            else:
                walk(body["id"], path)
        return
    if what == "module":
        seen.add((number, path))
        for child in body["items"]:
            walk(child, path)
        return
    if item["crate_id"] != 0 or number in seen:
        return
    seen.add(number)
    room = item["span"]["filename"].removeprefix("src/").split("/")[0] if item["span"] else "?"
    if what in TYPES:
        types[room] += 1
        items[room] += 1 + (methods(item, body) if what != "type_alias" else 0)
    elif what in OTHERS:
        items[room] += 1
    else:
        return
    lines.append(f"{room:16} {what:10} {name}")


walk(doc["root"], "")
if "--list" in sys.argv:
    print("\n".join(sorted(lines)))
for room in sorted(items):
    print(f"{room:18} {types[room]:4} types {items[room]:5} items")
print(f"{'all':18} {sum(types.values()):4} types {sum(items.values()):5} items")
