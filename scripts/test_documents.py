"""What the documents point at is there, and every page is found from the index."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
INDEX = ROOT / "docs/README.md"
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs/bench").glob("*.md")])
# Pages that people write. The folders below docs/bench hold records as programs wrote them, whose commands are of their time.
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "sims/apple/README.md", ROOT / "sims/nvidia/README.md", *PAGES]

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
FILE = re.compile(r"`((?:(?:cli(?:/(?:bench|terminal))?|sims/(?:apple|nvidia))/)?(?:src|tests|scripts|examples|benches|clips|models|fuzz|docs)/[\w./-]+)`")
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
    for folder in ("tests", "cli/tests", "sims/apple/tests", "sims/nvidia/tests"):
        for file in (f"{folder}/{name}.rs", f"{folder}/{name}/main.rs"):
            if (ROOT / file).is_file():
                yield ROOT / file


STATUS = re.compile(r"\*\*([^*]+)\*\*")


def section(page, heading):
    """What is below a heading of the second level."""
    return page.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def rows(text, first):
    """The rows of the table whose first column has this name, as lists of cells."""
    table = re.search(rf"(?m)^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n?)*)", text).group(1)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


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

    def test_the_checks_see_what_they_are_for(self):
        self.assertEqual(FILE.findall("`tests/a.rs` and `cli/tests/cli/b.rs`, not `src`"), ["tests/a.rs", "cli/tests/cli/b.rs"])
        self.assertEqual(TEST.findall("--test nvidia -- a:: b:: --test mp4"), [("nvidia", " a:: b::"), ("mp4", "")])
        self.assertFalse(list(test_sources("no_such_test")))
        self.assertTrue(list(test_sources("nvidia")))
