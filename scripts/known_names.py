"""The names that exist here: public items of the library, options of the command, variables, metrics, files."""

import functools
import pathlib
import re
from collections import defaultdict

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMAND = ("cli/src", "cli/bench/src", "cli/terminal/src")
ITEM = re.compile(r"\bpub (?:(?:const|unsafe|async|extern) )*(?:fn|struct|enum|union|trait|type|const|static|mod|macro) (\w+)")
HEAD = re.compile(r"\b(struct|enum|trait) (\w+)|\bimpl\b(?:<(?:[^<>]|<[^<>]*>)*>)? ?(?:[\w:]+(?:<[^{]*?>)? for )?(\w+)")
MEMBER = {
    "struct": re.compile(r"\bpub (\w+):"),
    "enum": re.compile(r"(?m)^\s*([A-Z]\w*)\s*(?=[,({=]|$)"),
    "trait": re.compile(r"\bfn (\w+)"),
    "impl": re.compile(r"\bpub (?:(?:const|unsafe|async) )*(?:fn|const) (\w+)"),
}


def plain(source):
    """Rust code without comments, strings and tests."""
    source = re.sub(r"(?s)\n#\[cfg\(test\)\]\nmod \w+ \{.*", "", source)
    return re.sub(r"""(?s)//[^\n]*|r#".*?"#|'(?:\\.|[^\\'\n])'|"(?:\\.|[^"\\])*"|#!?\[[^\]]*\]""", "", source)


def block(code, start):
    """What is between the brace at or behind `start` and the one that closes it; nothing for an item without braces."""
    at = re.compile(r"[{;]").search(code, start)
    if at is None or at.group() == ";":
        return ""
    depth = 0
    for end in range(at.start(), len(code)):
        depth += {"{": 1, "}": -1}.get(code[end], 0)
        if depth == 0:
            return code[at.end() : end]
    return ""


class Library:
    """The public items of `src/`, the members of its types, and the files of its modules."""

    def __init__(self):
        self.items, self.members, self.modules = set(), defaultdict(set), defaultdict(list)
        for file in sorted((ROOT / "src").rglob("*.rs")):
            if file.stem.endswith("tests") or "tests" in file.parts:
                continue
            code = plain(file.read_text())
            shown = set(ITEM.findall(code))
            for used in re.findall(r"\bpub use ([^;]+);", code):
                shown |= set(re.findall(r"(\w+)\s*(?:[,}]|$)", used))
            self.items |= shown
            for module in file.relative_to(ROOT / "src").with_suffix("").parts:
                self.modules[module].append(shown)
            for head in HEAD.finditer(code):
                kind = head.group(1) or "impl"
                self.members[head.group(2) or head.group(3)] |= set(MEMBER[kind].findall(block(code, head.end())))

    def has(self, path):
        *before, last = path.split("::")
        if not before:
            return last in self.items or last in self.modules or any(last in members for members in self.members.values())
        if before[-1][0].isupper():
            return self.has("::".join(before)) and last in self.members[before[-1]]
        known = all(module in self.modules and module in self.items for module in before)
        return known and (last in self.items and last in self.modules or any(last in shown for shown in self.modules[before[-1]]))


@functools.cache
def library():
    return Library()


@functools.cache
def sources(*folders):
    files = (file for folder in folders for file in sorted((ROOT / folder).rglob("*.rs")))
    return "\n".join(file.read_text() for file in files)


@functools.cache
def flags():
    """Long options of the command, and those that examples and scripts read."""
    found = set()
    settings = r"(?s)#\[arg\(((?:(?!#\[arg).)*?)\)\]\s*(?:pub(?:\(crate\))? )?(\w+):"
    for attribute, field in re.findall(settings, sources(*COMMAND)):
        if not re.search(r"\blong\b", attribute):
            continue
        named = re.search(r'\blong = "([\w-]+)"', attribute)
        found.add(named.group(1) if named else field.replace("_", "-"))
        found |= set(re.findall(r'\balias = "([\w-]+)"', attribute))
    examples = sources("examples")
    found |= set(re.findall(r'"--([a-z][\w-]*)', examples)) | set(re.findall(r'\boption\("([\w-]+)"\)', examples))
    found |= {prefix + name for name in re.findall(r'\beither\("([\w-]+)"\)', examples) for prefix in ("", "nv-")}
    for script in (ROOT / "scripts").glob("*.sh"):
        found |= set(re.findall(r"--([a-z][\w-]*)", script.read_text()))
    return found


def is_value(word):
    """Whether the program has it as text or as a value of an option; of figures in milliseconds the stage."""
    word = word.removesuffix("_ms")
    variant = "".join(part.title() for part in re.split("[-_]", word))
    return re.search(rf'"{re.escape(word)}[":]', sources("src", *COMMAND, "examples")) or re.search(rf"\b{variant}\b", sources(*COMMAND))


def problem(name):
    """Says that a name of the page does not exist, or nothing."""
    if name.startswith(("cargo ", "video-hw ")) or re.fullmatch(r"[A-Z]+( [A-Z]+)*", name):
        return None  # commands: test_documents.py and cli/tests/cli/documents.rs; words that stand for files and sizes
    if re.match(r"(FILE |IN OUT )?--", name):
        words = name.split()
        for word, value in zip(words, [*words[1:], ""]):
            if word.startswith("--") and word[2:] not in flags():
                return f"no option {word}"
            if word.startswith("--") and re.fullmatch(r"[a-z]\w+", value) and not is_value(value):
                return f"{word} has no value {value}"
        return None
    if " = " in name:
        return None if name in (ROOT / "Cargo.toml").read_text() else "not in Cargo.toml"
    if "/" in name:
        return None if (ROOT / name).exists() else "no such file"
    if re.fullmatch(r"VIDEO_HW_\w+", name):
        return None if f'"{name}"' in sources("src", *COMMAND) else "no such variable"
    if re.fullmatch(r"(?:encoder|decoder|gpu)_\w+", name) and not library().has(name):
        return None if f'"{name}"' in sources("src/metrics") else "no such metric"
    if re.fullmatch(r"[\w:]+", name) and library().has(name):
        return None
    return None if re.fullmatch(r"[\w-]+", name) and is_value(name) else "neither a public item nor a value of an option"
