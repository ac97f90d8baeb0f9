//! The rules of docs/architecture.md, held against the source.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

/// Each vendor's folder, and what the vendor, its engines and its libraries are called. A word of code that contains one of
/// these names knows that vendor.
const VENDORS: [(&str, &[&str]); 5] = [
    ("backend/nvidia/", &["nvidia", "nvenc", "nvdec", "nvcuvid", "cuda", "nvml", "0x10de"]),
    (
        "backend/ffmpeg/",
        &[
            "ffmpeg",
            "x264",
            "x265",
            "svtav1",
            "qsv",
            "vaapi",
            "libva.",
            "videotoolbox",
            // The program has encoders for these cards as well.
            "nvidia",
            "nvenc",
            "cuda",
        ],
    ),
    // Software is a kind of implementation there.
    (
        "backend/vpl/",
        &["qsv", "onevpl", "libvpl", "backend-vpl", "libmfx", "vaapi", "libva.", "0x8086", "software"],
    ),
    ("backend/videotoolbox/", &["videotoolbox", "corefoundation", "coremedia", "corevideo"]),
    ("backend/software/", &["software", "openh264", "rav1d"]),
];

/// Where all of them are known: the table, and in the public interface the names and the settings of what stands in it.
const TABLE: [&str; 3] = ["backend/vendors/", "backend_kind.rs", "config/special"];

/// Other files that name vendors: how many lines do, and why. The numbers may fall and not rise, and a new entry needs a
/// reason as good as these.
const KNOWN: [(&str, usize, &str); 9] = [
    ("lib.rs", 1, FEATURE),
    ("backend/mod.rs", 5, FEATURE),
    ("dataset/mod.rs", 21, ENGINE),
    (
        "probing/environment.rs",
        35,
        "what a machine shows of one vendor's driver; its public fields are named after that",
    ),
    ("media/codec.rs", 2, "people call a codec by the name of its encoder"),
    ("probing/mod.rs", 1, PROGRAM),
    ("rawvideo/y4m_header.rs", 1, PROGRAM),
    ("container/open.rs", 1, PROGRAM),
    ("container/mp4/movie.rs", 1, PROGRAM),
];
const FEATURE: &str = "the features of Cargo that take a vendor's folder out of the binary";
const PROGRAM: &str = "the words of a remedy name a program that the user can start";
const ENGINE: &str = "the names that dataset programs know engines by";

/// Strings of the library that name an option of some command line: where, which, and why. This project's own options are
/// the command's to name: errors carry a `Remedy`, which the command words.
const OPTIONS: [(&str, &str, &str); 12] = [
    ("backend/ffmpeg/encode.rs", "--device", CONTAINER),
    ("backend/nvidia/driver/library.rs", "--gpus", CONTAINER),
    ("backend/vpl/driver/nodes.rs", "--device", CONTAINER),
    ("backend/vpl/driver/nodes.rs", "--group-add", CONTAINER),
    ("probing/attempt.rs", "--device", CONTAINER),
    ("probing/environment.rs", "--gpus", CONTAINER),
    ("probing/environment.rs", "--device", CONTAINER),
    ("probing/environment.rs", "--group-add", CONTAINER),
    ("backend/nvidia/simulated.rs", "--workspace", SIMULATED),
    ("backend/nvidia/simulated.rs", "--exact", SIMULATED),
    ("backend/nvidia/simulated.rs", "--nocapture", SIMULATED),
    ("backend/nvidia/simulated.rs", "--test-threads", SIMULATED),
];
const CONTAINER: &str = "an option of the program that starts the container";
const SIMULATED: &str = "compiled for tests alone: what starts them on the simulated driver";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    /// What a string says.
    Text(String),
    Mark(char),
}

/// A line that names a vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Naming {
    line: usize,
    word: String,
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.word)
    }
}

/// The words, strings and marks of a source file with their lines; comments are left out.
fn tokens(source: &str) -> Vec<(usize, Token)> {
    let text: Vec<char> = source.chars().collect();
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut found, mut i, mut line) = (Vec::new(), 0, 1);
    while i < text.len() {
        let begun = line;
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < text.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= text.len() {
                        break;
                    }
                }
            }
            '"' => {
                i += 1;
                while i < text.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
                found.push((begun, Token::Text(text[start..i.min(text.len())].iter().collect())));
            }
            // A raw string; `r#name` is a word.
            'r' if at(i + 1) == '"' || (at(i + 1) == '#' && matches!(at(i + 2), '"' | '#')) => {
                i += 1;
                let hashes = text[i..].iter().take_while(|c| **c == '#').count();
                let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let body: String = text[i + hashes + 1..].iter().collect();
                let body = body.split(&end).next().unwrap_or_default();
                i += hashes + 1 + body.chars().count() + end.len();
                found.push((begun, Token::Text(body.to_owned())));
            }
            // A character; a lifetime has no second quote.
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                i += 2;
                while i < text.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            c if is_word(c) => {
                while is_word(at(i)) {
                    i += 1;
                }
                let word: String = text[start..i].iter().collect();
                // `b"..."` and `br"..."` go on as strings.
                found.push((begun, Token::Word(word)));
            }
            c => {
                if !c.is_whitespace() {
                    found.push((begun, Token::Mark(c)));
                }
                i += 1;
            }
        }
        line += text[start..i.min(text.len())].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// Where an item that starts at `from` ends: behind its block, or its semicolon.
fn end_of_item(tokens: &[(usize, Token)], from: usize) -> usize {
    let (mut depth, mut i) = (0_i32, from);
    while let Some((_, token)) = tokens.get(i) {
        i += 1;
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(mark @ (')' | ']' | '}')) => {
                depth -= 1;
                if depth == 0 && *mark == '}' {
                    break;
                }
            }
            Token::Mark(';' | ',') if depth == 0 => break,
            _ => {}
        }
    }
    i
}

/// The tokens of a source file that are part of the library: without what is compiled for tests alone (a test says by name
/// what it expects), and without `mod` lines, which give a folder its place.
pub(crate) fn code(source: &str) -> Vec<(usize, Token)> {
    let tokens = tokens(source);
    let is = |i: usize, wanted: &str| matches!(tokens.get(i), Some((_, Token::Word(word))) if word == wanted);
    let mark = |i: usize, wanted: char| matches!(tokens.get(i), Some((_, Token::Mark(c))) if *c == wanted);
    let mut kept = Vec::new();
    let mut i = 0;
    while let Some(token) = tokens.get(i) {
        if mark(i, '#') && mark(i + 1, '[') && is(i + 2, "cfg") && is(i + 4, "test") {
            let attribute = (i..tokens.len()).find(|i| mark(*i, ']')).unwrap_or(i);
            i = end_of_item(&tokens, attribute + 1);
            continue;
        }
        if is(i, "mod") && mark(i + 2, ';') {
            i += 2;
            continue;
        }
        kept.push(token.clone());
        i += 1;
    }
    kept
}

/// The lines of a source file whose code names a vendor.
fn namings(source: &str, names: &[&str]) -> Vec<Naming> {
    let mut found: Vec<Naming> = Vec::new();
    for (line, token) in code(source) {
        if let Token::Word(text) | Token::Text(text) = token {
            let lower = text.to_lowercase();
            if names.iter().any(|name| lower.contains(name))
                && found.last().is_none_or(|last| last.line != line)
            {
                found.push(Naming { line, word: text });
            }
        }
    }
    found
}

/// The options of a command line (`--word`) that the strings of a source file name, with their lines.
fn options(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, token) in code(source) {
        let Token::Text(text) = token else { continue };
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let is_option = |word: &&str| {
            word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        };
        found.extend(words.filter(is_option).map(|word| (line, word.to_owned())));
    }
    found
}

/// Words of advice for which there is a `Remedy`: it is narrowed where all backends were tried, and words are not.
const ADVICE: [&str; 4] = ["another backend", "hardware decoder", "other backend", "software backend"];

/// Strings that speak of other backends and are no advice on an error: where, and why.
const NO_ADVICE: [(&str, &str); 6] = [
    ("error/remedy.rs", "where the words are"),
    ("backend/vendors/engines.rs", "nothing is to be done"),
    ("backend/ffmpeg/settings.rs", "the fault itself: settings of one backend with another"),
    ("backend/split/mod.rs", "a note on what was done"),
    ("failover/settings.rs", "a note on what was given up"),
    ("probing/mod.rs", "the report on a driver that crashed lists all backends"),
];

/// Lists `files` that suggest another backend in text, and entries of `known` that are unused.
fn backends_advised(files: &[(String, String)], known: &[(&str, &str)]) -> Vec<String> {
    let mut unused: Vec<_> = known.iter().map(|(file, _)| *file).collect();
    let mut wrong = Vec::new();
    for (path, source) in files.iter().filter(|(path, _)| !is_test(path)) {
        for (line, token) in code(source) {
            let Token::Text(text) = token else { continue };
            if ADVICE.iter().any(|advice| text.contains(advice)) {
                unused.retain(|file| file != path);
                if !known.iter().any(|(file, _)| file == path) {
                    wrong.push(format!("{path}, line {line}: {text}"));
                }
            }
        }
    }
    wrong.extend(unused.iter().map(|file| format!("{file} does not speak of other backends any more")));
    wrong
}

/// What of `files` names an option that is not among `known`, and what of `known` is not needed.
fn options_named(files: &[(String, String)], known: &[(&str, &str, &str)]) -> Vec<String> {
    let mut unused: Vec<_> = known.iter().map(|(file, option, _)| (*file, *option)).collect();
    let mut wrong = Vec::new();
    for (path, source) in files.iter().filter(|(path, _)| !is_test(path)) {
        for (line, option) in options(source) {
            unused.retain(|(file, known)| (*file, *known) != (path, &option));
            if !known.iter().any(|(file, known, _)| (*file, *known) == (path, &option)) {
                wrong.push(format!("{path}, line {line}: {option}"));
            }
        }
    }
    wrong.extend(unused.iter().map(|(file, option)| format!("{file} does not name {option} any more")));
    wrong
}

/// What is compiled for tests alone, by its name.
pub(crate) fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

/// What is wrong with these files, given by their paths in `src/` and what is in them.
fn wrong(files: &[(String, String)], known: &[(&str, usize, &str)]) -> Vec<String> {
    let mut known: BTreeMap<_, _> = known.iter().map(|(file, lines, _)| (*file, *lines)).collect();
    let mut wrong = Vec::new();
    for (path, source) in files {
        if TABLE.iter().any(|table| path.starts_with(table)) || is_test(path) {
            continue;
        }
        let own: Vec<_> = VENDORS.iter().filter(|(folder, _)| path.starts_with(folder)).collect();
        let is_own = |name: &&str| own.iter().any(|(_, names)| names.contains(name));
        let names: Vec<_> =
            VENDORS.iter().flat_map(|(_, names)| *names).copied().filter(|name| !is_own(name)).collect();
        let found = namings(source, &names);
        let allowed = known.remove(path.as_str()).unwrap_or(0);
        if found.len() > allowed {
            let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
            wrong.push(format!("{path}: {} lines, {allowed} allowed: {}", found.len(), lines.join("; ")));
        } else if found.len() < allowed {
            wrong.push(format!("{path}: {} lines now: write that into KNOWN", found.len()));
        }
    }
    wrong.extend(known.keys().map(|path| format!("{path} is gone: take it out of KNOWN")));
    wrong
}

fn sources(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, root, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

pub(crate) fn all_sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &root, &mut files);
    assert!(files.len() > 300, "{} files below {}", files.len(), root.display());
    files
}

#[test]
fn vendors_are_named_in_their_folders_and_in_the_table_alone() {
    let wrong = wrong(&all_sources(), &KNOWN);
    assert!(wrong.is_empty(), "vendors are named where they should not be known:\n{}", wrong.join("\n"));
}

/// What people call each vendor stands in the one function that says so.
#[test]
fn each_vendor_is_looked_for() {
    let files = all_sources();
    let (_, source) = files.iter().find(|(path, _)| path == "backend_kind.rs").unwrap();
    let body = source.split("fn name(").nth(1).and_then(|rest| rest.split("\n    }\n").next()).unwrap();
    let names: Vec<_> = body.split('"').skip(1).step_by(2).filter(|name| *name != "custom").collect();
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        let known = VENDORS.iter().any(|(_, words)| words.contains(&name));
        assert!(known, "{name} is in no row of VENDORS: no test would find it where it should not be named");
    }
}

#[test]
fn the_library_names_no_option_of_the_command() {
    let wrong = options_named(&all_sources(), &OPTIONS);
    assert!(wrong.is_empty(), "strings that name an option:\n{}", wrong.join("\n"));
}

#[test]
fn another_backend_is_advised_by_a_remedy_alone() {
    let wrong = backends_advised(&all_sources(), &NO_ADVICE);
    assert!(wrong.is_empty(), "advice in words:\n{}", wrong.join("\n"));
    let planted = [("session/a.rs".to_owned(), "const A: &str = \"or use another backend\";".to_owned())];
    assert_eq!(backends_advised(&planted, &[]).len(), 1);
}

#[test]
fn planted_options_are_found() {
    let found = |source: &str, known: &[(&str, &str, &str)]| {
        options_named(&[("session/encode.rs".to_owned(), source.to_owned())], known)
    };
    for planted in [
        "const A: &str = \"give --size\";",
        "fn a() { b(format!(\"use `--backend` {c}\")); }",
        "fn a() { b(\"one line \\\n and (--pix-fmt NAME) on another\"); }",
        "#[cfg(test)]\nmod tests { fn a() {} }\nconst A: &str = r#\"--keep-going\"#;",
    ] {
        assert_eq!(found(planted, &[]).len(), 1, "not found: {planted}");
    }
    for harmless in [
        "/// Give `--size`.\nfn a() {} // or --fps",
        "fn a() { b(\"-c copy -- it is -x --\"); }",
        "#[cfg(test)]\nmod tests { fn a() { b(\"--size\"); } }",
    ] {
        assert_eq!(found(harmless, &[]), [""; 0]);
    }
    // An exception is for one file, and has to go when it is not needed any more.
    let gpus = "const A: &str = \"docker run --gpus all\";";
    assert!(found(gpus, &[("session/encode.rs", "--gpus", "")]).is_empty());
    assert_eq!(found(gpus, &[("session/decode.rs", "--gpus", "")]).len(), 2);
    assert_eq!(found("", &[("session/encode.rs", "--gpus", "")]).len(), 1);
}

#[test]
fn planted_names_of_vendors_are_found() {
    let found = |path: &str, source: &str| wrong(&[(path.to_owned(), source.to_owned())], &[]);
    for planted in [
        "fn gpu(kind: BackendKind) -> bool { matches!(kind, BackendKind::Nvidia) }",
        "use super::{select, ffmpeg};",
        "fn a() { let name = \"h264_qsv\"; }",
        "fn a() { let name = r#\"the \"software\" one\"#; }",
        "fn a() { let c = b'\"'; nvidia::open(); }",
        "fn a<'a>(b: &'a str) { /* not /* yet */ here */ CUDA; }",
        "#[cfg(test)]\nmod tests { fn a() {} }\nfn b() { open_nvenc(); }",
        "#[cfg(test)]\nuse a::{b, c};\nconst VENDOR: &str = \"VideoToolbox\";",
        "mod nvidia { fn a() {} }",
    ] {
        assert_eq!(found("session/encode.rs", planted).len(), 1, "not found: {planted}");
        assert_eq!(found("backend/select.rs", planted).len(), 1, "not found: {planted}");
        assert!(found("backend/vendors/mod.rs", planted).is_empty());
    }
    for harmless in [
        "/// NVIDIA does it.\nfn a() {} // as ffmpeg does",
        "/* software */ mod nvidia;\npub(crate) mod software;",
        "fn a() {}\n#[cfg(test)]\nmod tests { fn a() { let b = (\"nvidia\", '{'); } }",
        "#[cfg(test)]\nuse ffmpeg::{a, b};\nfn c() {}",
    ] {
        assert_eq!(found("session/encode.rs", harmless), [""; 0]);
    }
    assert_eq!(found("backend/nvidia/encode/mod.rs", "fn a() { nvenc(); openh264(); }").len(), 1);
    assert!(found("backend/nvidia/encode/mod.rs", "fn a() { nvenc(); }").is_empty());
    // An exception that is not needed any more has to go.
    let file = [("a.rs".to_owned(), "fn a() { nvidia(); }".to_owned())];
    assert!(wrong(&file, &[("a.rs", 1, "")]).is_empty());
    assert_eq!(wrong(&file, &[("a.rs", 2, "")]).len(), 1);
    assert_eq!(wrong(&file, &[("a.rs", 1, ""), ("b.rs", 1, "")]).len(), 1);
}
