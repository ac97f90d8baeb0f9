"""The licences of everything that is in a built program, as THIRD-PARTY.txt of the release archives.

    scripts/notices.py --target x86_64-unknown-linux-gnu
    scripts/notices.py --version

Crates that are linked in, with the licence files that they bring; equal texts are printed once. Where a crate brings none, its
declared licence, its authors and the place of its source are named, and the licence's words stand among the texts of others.
Exit code 1 when neither is the case. Which licences may be linked at all is held by deny.toml.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = "video-hw-cli"
# Folders of sources of others inside a crate, whose licence is the one that counts.
INSIDE = ["", "upstream", "licenses", "LICENSES", "docs"]
NAMES = re.compile(r"(?i)^(licen[cs]e|copying|notice|copyright|unlicense|patents)([._-].*)?$")
SOURCES = re.compile(r"(?i)\.(rs|py|sh|toml)$")


def metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def linked(data):
    """The packages of the registry that end up in the program: normal dependencies, and nothing of what runs in the compiler."""
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    is_macro = lambda package: any("proc-macro" in target["kind"] for target in package["targets"])
    waiting = [package["id"] for package in packages.values() if package["name"] == PROGRAM]
    reached = set()
    while waiting:
        one = waiting.pop()
        if one in reached or is_macro(packages[one]):
            continue
        reached.add(one)
        for dependency in nodes[one]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    own = set(data["workspace_members"])
    return sorted((packages[one] for one in reached - own), key=lambda package: (package["name"], package["version"]))


def texts(package):
    """The licence files of a package."""
    folder = pathlib.Path(package["manifest_path"]).parent
    for inside in INSIDE:
        place = folder / inside
        if not place.is_dir():
            continue
        for path in sorted(place.iterdir()):
            named = NAMES.match(path.name) or inside.lower() == "licenses"
            if path.is_file() and named and not SOURCES.search(path.name):
                yield path.relative_to(folder).as_posix(), path.read_text(errors="replace").strip()


def words(text):
    """What two prints of a licence have in common."""
    return " ".join(text.split())


def spoken(licence):
    """The licences of an expression, of which those of an OR are a choice."""
    return [[one.strip("() ") for one in choice.split(" AND ")] for choice in re.split(r" OR |/", licence)]


def notices(packages):
    found, without, by_licence = {}, [], set()
    for package in packages:
        mine = list(texts(package))
        for name, text in mine:
            users = found.setdefault(words(text), (text, []))[1]
            users.append(f"{package['name']} {package['version']} ({name})")
        licence = package["license"] or ""
        if mine:
            choices = spoken(licence)
            if len(choices) == 1:
                by_licence.update(choices[0])
            for name, _ in mine:
                by_licence.update(one for choice in choices for one in choice if one.split("-")[0].lower() in name.lower())
        else:
            without.append(package)
    unknown = [p for p in without if not any(all(one in by_licence for one in choice) for choice in spoken(p["license"] or ""))]
    return found, without, unknown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target")
    parser.add_argument("--version", action="store_true")
    arguments = parser.parse_args()
    if arguments.version:
        print(re.search(r'(?m)^version = "(.*)"', (ROOT / "Cargo.toml").read_text())[1])
        return 0
    if not arguments.target:
        parser.error("--target or --version")
    packages = linked(metadata(arguments.target))
    found, without, unknown = notices(packages)
    out = [
        "This program contains the following packages. Their licences follow.",
        "",
        "The standard library of Rust is in it too (MIT OR Apache-2.0, https://github.com/rust-lang/rust), and in the programs for",
        "Linux the C++ library of LLVM (Apache-2.0 WITH LLVM-exception), which asks for no notice in binaries.",
        "",
    ]
    out += [f"{p['name']} {p['version']}: {p['license'] or 'see below'}" for p in packages]
    if without:
        out += ["", "Of these the package brings no text of its licence; its words are among those below.", ""]
        for package in without:
            people = ", ".join(package["authors"]) or "its authors"
            out.append(f"{package['name']} {package['version']}: {package['license']}; {people}; {package['repository'] or ''}".rstrip("; "))
    for text, users in found.values():
        out += ["", "=" * 100, *users, "=" * 100, "", text]
    print("\n".join(out))
    for package in unknown:
        print(f"{package['name']} {package['version']} ({package['license']}): no text of its licence", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
