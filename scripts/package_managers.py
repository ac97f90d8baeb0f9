"""Fills in the templates of packaging/ from the archives of a release, and joins their checksums.

    scripts/package_managers.py --archives DIR --url URL --publisher NAME --out DIR

URL is that of the repository whose releases the archives are downloaded from; NAME stands before the package's name in winget.
Written to --out: SHA256SUMS, video-hw.rb, and the three files of a winget manifest.
"""

import argparse
import hashlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARK = re.compile(r"@([A-Z0-9]+)(?::([\w-]+))?@")
ARCHIVE = re.compile(r"^video-hw-(\d[\w.]*(?:-[a-z]+[\d.]*)?)-((?:x86_64|aarch64)-[\w-]+)\.(?:tar\.gz|zip)$")


def filled(template, values, sums):
    """A template with its marks filled in; KeyError for one that nothing is known of."""
    return MARK.sub(lambda mark: sums[mark[2]] if mark[1] == "SHA256" else values[mark[1]], template)


def archives(folder):
    """Version, and file by target."""
    found = {match[2]: (match[1], path) for path in sorted(folder.iterdir()) if (match := ARCHIVE.match(path.name))}
    versions = {version for version, _ in found.values()}
    if len(versions) != 1:
        raise SystemExit(f"{folder} holds archives of {len(versions)} versions")
    return versions.pop(), {target: path for target, (_, path) in found.items()}


def outputs(values):
    """Each template, and the name of what it becomes."""
    yield ROOT / "packaging/homebrew/video-hw.rb", "video-hw.rb"
    name = f"{values['PUBLISHER']}.video-hw"
    for kind, end in (("version", ".yaml"), ("installer", ".installer.yaml"), ("locale.en-US", ".locale.en-US.yaml")):
        yield ROOT / f"packaging/winget/{kind}.yaml", name + end


def write(folder, url, publisher, out):
    version, files = archives(folder)
    sums = {target: hashlib.sha256(path.read_bytes()).hexdigest() for target, path in files.items()}
    values = {"URL": url, "PUBLISHER": publisher, "VERSION": version}
    made = {name: filled(template.read_text(), values, sums) for template, name in outputs(values)}
    made["SHA256SUMS"] = "".join(f"{sums[target]}  {files[target].name}\n" for target in sorted(files))
    out.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (out / name).write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ("archives", "url", "publisher", "out"):
        parser.add_argument(f"--{option}", required=True)
    arguments = parser.parse_args()
    write(pathlib.Path(arguments.archives), arguments.url, arguments.publisher, pathlib.Path(arguments.out))


if __name__ == "__main__":
    sys.exit(main())
