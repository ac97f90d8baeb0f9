"""What the documents point at is there, and every page is found from the index."""

import os
import pathlib
import re
import unittest

from known_names import ROOT, flags, library

INDEX = ROOT / "docs/README.md"
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs/bench").glob("*.md")])
# Pages that people write. The folders below docs/bench hold records as programs wrote them, whose commands are of their time.
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "sims/apple/README.md", ROOT / "sims/nvidia/README.md", ROOT / "sims/vpl/README.md", *PAGES]

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
FILE = re.compile(r"`((?:(?:cli(?:/(?:bench|terminal))?|sims/(?:apple|nvidia|vpl))/)?(?:src|tests|scripts|examples|benches|clips|models|fuzz|docs)/[\w./-]+)`")
TEST = re.compile(r"--test[ =](\w+)(?: --)?((?: \w+::)*)")


def text(page):
    """The page; of the table of old names, whose first column tells what is gone, only what took its place."""
    words = page.read_text()
    if page.name == "decisions.md":
        words = re.sub(r"(?m)^\| [^|]* \|", "|", words)
    return words


def links(page):
    for match in LINK.finditer(re.sub(r"(?ms)^```.*?^```", "", page.read_text())):
        target = next(group for group in match.groups() if group)
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page):
    """The names that headings get, as GitHub makes them."""
    found = {}
    for heading in re.findall(r"(?m)^#+ (.*)$", re.sub(r"(?ms)^```.*?^```", "", page.read_text())):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = found.get(name, 0)
        found[name] = count + 1
        yield name if count == 0 else f"{name}-{count}"


def target_of(page, link):
    path, _, anchor = link.partition("#")
    return ((page.parent / path).resolve() if path else page), anchor


def test_sources(name):
    """Where the source of a test binary of the workspace may be."""
    for folder in ("tests", "cli/tests", "sims/apple/tests", "sims/nvidia/tests", "sims/vpl/tests"):
        for file in (f"{folder}/{name}.rs", f"{folder}/{name}/main.rs"):
            if (ROOT / file).is_file():
                yield ROOT / file


# Of programs that the pages speak of: test binaries of Rust, Docker, ffmpeg's configure; an option of an earlier version.
FOREIGN_OPTIONS = {"ignored", "nocapture", "gpus", "group-add", "enable-nvenc", "frame-count"}
# Of a crate that was weighed, and of the inside of this one.
FOREIGN_ITEMS = {"dav1d::Decoder", "Download::Later"}
STATUS = re.compile(r"\*\*([^*]+)\*\*")


def section(page, heading):
    """What is below a heading of the second level."""
    return page.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def rows(text, first):
    """The rows of the table whose first column has this name, as lists of cells."""
    table = re.search(rf"(?m)^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n?)*)", text).group(1)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def versions():
    """The version of each crate in Cargo.lock that is there once."""
    found = re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', (ROOT / "Cargo.lock").read_text())
    names = [name for name, _ in found]
    return {name: version for name, version in found if names.count(name) == 1}


class Documents(unittest.TestCase):
    def test_the_readme_and_the_overview_say_the_same_of_what_works(self):
        works = section(ROOT / "docs/overview.md", "What works")
        long, short = rows(works, "what"), rows(section(ROOT / "README.md", "What works"), "what")
        self.assertEqual([row[0] for row in short], [row[0] for row in long])
        for one, other in zip(short, long):
            with self.subTest(row=one[0]):
                self.assertEqual(one[1], other[1])
                self.assertLess(len(one[2]), 110, "a cell of the README is short")
        words = {STATUS.fullmatch(row[0]).group(1) for row in rows(works, "status")}
        used = {word for row in long for word in STATUS.findall(row[1])}
        self.assertEqual(used, words, "words that are used, and words that are explained")

    def test_links_lead_somewhere(self):
        for page in WRITTEN:
            for link in links(page):
                with self.subTest(page=page.relative_to(ROOT), link=link):
                    target, anchor = target_of(page, link)
                    self.assertTrue(target.exists(), "no such file")
                    if anchor and target.suffix == ".md":
                        self.assertIn(anchor, set(anchors(target)), "no such heading")

    def test_the_index_names_every_page(self):
        named = {target_of(INDEX, link)[0] for link in links(INDEX)}
        for page in PAGES:
            if page != INDEX:
                with self.subTest(page=page.relative_to(ROOT)):
                    self.assertIn(page, named, "docs/README.md has no link to it")

    def test_every_record_is_found_from_a_page(self):
        reached, waiting = set(), [INDEX]
        while waiting:
            page = waiting.pop()
            if page in reached or not page.is_file():
                continue
            reached.add(page)
            for link in links(page):
                target, _ = target_of(page, link)
                waiting += [target] if target.suffix == ".md" else sorted(target.glob("**/*.md")) if target.is_dir() else []
        for record in sorted((ROOT / "docs").glob("**/*.md")):
            with self.subTest(record=record.relative_to(ROOT)):
                self.assertIn(record, reached, "no page leads to it")

    def test_files_that_are_named_are_there(self):
        for page in WRITTEN:
            base = page.parent if "sims" in page.parts else ROOT
            for name in FILE.findall(text(page)):
                with self.subTest(page=page.relative_to(ROOT), file=name):
                    there = [base / name, base / f"{name}.rs", ROOT / name]
                    self.assertTrue(any(path.exists() for path in there), "no such file")

    def test_tests_that_are_named_are_there(self):
        for page in WRITTEN:
            # A command may go over the end of a line.
            for command in re.findall(r"cargo\s+(?:test|bench)[^`]*?(?=`|\n\n|\n\$|\n```)", text(page)):
                for name, modules in TEST.findall(" ".join(command.split())):
                    with self.subTest(page=page.relative_to(ROOT), test=name, modules=modules):
                        sources = list(test_sources(name))
                        self.assertTrue(sources, "no such test binary")
                        for module in modules.replace("::", "").split():
                            files = (source.parent / f"{module}.rs" for source in sources)
                            self.assertTrue(any(path.is_file() for path in files), f"no such file of tests: {module}")

    def test_variables_that_decoder_crates_read_are_listed(self):
        """Needs their sources, which cargo has fetched where anything was built."""
        table = section(ROOT / "docs/dependencies.md", "What ends the process").split("### Environment variables", 1)[1]
        listed = set(re.findall(r"`((?:RH265|OXIDEAV_H264|VP9)_\w+)`", table))
        locked, home = versions(), pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
        read = set()
        for crate in ("rusty_h265", "rusty_h265-accel", "oxideav-h264", "rusty_vp9"):
            folders = list(home.glob(f"registry/src/*/{crate}-{locked[crate]}/src"))
            if not folders:
                self.skipTest(f"SKIPPED: no source of {crate} in {home}")
            for file in folders[0].rglob("*.rs"):
                if not {"bin", "encode", "encoder"} & set(file.relative_to(folders[0]).parts[:-1]):
                    code = re.sub(r"(?ms)^#\[cfg\(test\)\]\s*mod \w+ \{.*?^\}", "", file.read_text())
                    read |= set(re.findall(r'(?:\bvar|\bvar_os|env_flag)\((?:&CACHED, |\s)*"(\w+)"', code))
        self.assertEqual(listed, read)
        manifest = (ROOT / "Cargo.toml").read_text()
        self.assertIn('features = ["std", "asm"]', re.search(r"(?m)^rusty_h264-decoder = .*", manifest).group())

    def test_the_library_reads_two_variables(self):
        found = set()
        for file in (ROOT / "src").rglob("*.rs"):
            code = re.sub(r"(?s)#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*mod \w+ \{.*|//[^\n]*", "", file.read_text())
            if "env::var" in code and not {"tests", "layouts", "simulated"} & {file.stem, file.parent.name}:
                found.add(str(file.relative_to(ROOT)))
        self.assertEqual(found, {"src/backend/ffmpeg/program.rs", "src/backend/nvidia/driver/process.rs"})

    def test_versions_of_crates_are_those_of_the_lock(self):
        locked = versions()
        for page in PAGES:
            for crate, version in re.findall(r"`([\w-]+)` (\d+\.\d+\.\d+)", page.read_text()):
                if crate in locked:
                    with self.subTest(page=page.relative_to(ROOT), crate=crate):
                        self.assertEqual(version, locked[crate])

    def test_features_are_those_of_the_manifest(self):
        manifest = (ROOT / "Cargo.toml").read_text()
        features = re.search(r"(?ms)^\[features\]\n(.*?)^\[", manifest).group(1)
        default = re.search(r"(?m)^default = \[(.*)\]", features).group(1)
        told = {row[0].strip("`"): row[1] for row in rows((ROOT / "docs/library.md").read_text(), "feature")}
        self.assertEqual(set(told), set(re.findall(r"(?m)^([\w-]+) = ", features)) - {"default"})
        for feature, word in told.items():
            with self.subTest(feature=feature):
                self.assertEqual(word.split()[0], "on" if f'"{feature}"' in default else "off")

    def test_test_binaries_are_listed(self):
        page = (ROOT / "docs/testing.md").read_text()
        for file in sorted((ROOT / "tests").glob("*.rs")) + sorted(path.parent for path in (ROOT / "tests").glob("*/main.rs")):
            with self.subTest(binary=file.stem):
                self.assertIn(f"`tests/{file.name}`", page)

    def test_options_and_items_that_are_named_exist(self):
        known, others = flags(), set()
        for file in [*(ROOT / "scripts").rglob("*.*"), *(ROOT / "sims").glob("*/run")]:
            if file.suffix in (".py", ".sh", ""):
                others |= set(re.findall(r"--([a-z][\w-]*)", file.read_text()))
        for page in WRITTEN:
            for code in re.findall(r"`([^`\n]+)`", text(page)):
                item = code.split("(")[0].removeprefix("video_hw::")
                with self.subTest(page=page.relative_to(ROOT), code=code):
                    if not re.match(r"cargo |\$ cargo ", code):
                        for option in re.findall(r"(?<![\w-])--([a-z][\w-]*)", code):
                            self.assertTrue(option in known | others | FOREIGN_OPTIONS, f"no option --{option}")
                    if re.fullmatch(r"(?:\w+::)+\w+", item):
                        self.assertTrue(library().has(item) or item in FOREIGN_ITEMS, "no such public item")

    def test_kinds_and_reasons_are_the_words_of_the_program(self):
        for page, column, file in [("doctor", "kind", "src/probing/mod.rs"), ("scheduler", "reason", "src/pipeline/scheduler/policy.rs")]:
            code = (ROOT / file).read_text()
            words = {row[0].strip("`") for row in rows((ROOT / f"docs/{page}.md").read_text(), column)} - {"others"}
            for word in words:
                with self.subTest(page=page, word=word):
                    self.assertIn(f'"{word}"', code)

    def test_threads_and_variables_that_are_named_exist(self):
        code = "\n".join(path.read_text() for folder in ("src", "cli", "tests", "scripts", "sims") for path in (ROOT / folder).rglob("*.*") if path.suffix in (".rs", ".sh", ".py"))
        for page in WRITTEN:
            for name in set(re.findall(r"\bvhw-[a-z]+(?:-[a-z]+)*", page.read_text()) + re.findall(r"\bVIDEO_HW_[A-Z_]+\b", text(page))):
                with self.subTest(page=page.relative_to(ROOT), name=name):
                    self.assertIn(f'"{name}', code)

    def test_the_checks_see_what_they_are_for(self):
        self.assertEqual(FILE.findall("`tests/a.rs` and `cli/tests/cli/b.rs`, not `src`"), ["tests/a.rs", "cli/tests/cli/b.rs"])
        self.assertEqual(TEST.findall("--test nvidia -- a:: b:: --test mp4"), [("nvidia", " a:: b::"), ("mp4", "")])
        self.assertFalse(list(test_sources("no_such_test")))
        self.assertTrue(list(test_sources("nvidia")))
