//! The table of rooms in docs/architecture.md, held against what the files of `src/` name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::architecture::{Token, all_sources, code, is_test};

/// A row of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Room {
    name: String,
    /// Its modules, as paths in `src/`.
    modules: Vec<String>,
    uses: Vec<String>,
}

/// What a cell of the table has between backticks; a folder's last slash is left out.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(|name| name.trim_end_matches('/').to_owned()).collect()
}

/// The table below the heading "Rooms": modules (behind the room's name in bold letters, where there are several), what the
/// room holds, which rooms it uses.
fn rooms(document: &str) -> Vec<Room> {
    let section = document.split("\n## Rooms\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = section.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    rows.filter_map(|cells| {
        let (modules, uses) = (names(cells.first()?), names(cells.get(2)?));
        let bold = cells.first()?.split("**").nth(1).map(str::to_owned);
        let name = bold.or_else(|| modules.first().cloned())?;
        Some(Room { name, modules, uses })
    })
    .collect()
}

/// A module and what its file names.
struct Module {
    path: Vec<String>,
    /// Paths from the root, each with its line.
    named: Vec<(usize, Vec<String>)>,
    /// What names stand for that its `use` lines bring in.
    brought: BTreeMap<String, Vec<String>>,
}

type Modules = BTreeMap<Vec<String>, Module>;

/// The module that a file is.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// Reads what files name of the crate.
fn modules(files: &[(String, String)]) -> Modules {
    let paths: BTreeSet<_> = files.iter().map(|(file, _)| module_of(file)).collect();
    let read = |(file, source): &(String, String)| {
        let path = module_of(file);
        let tokens = code(source);
        let mut module = Module { path: path.clone(), named: Vec::new(), brought: BTreeMap::new() };
        let mut at = 0;
        while at < tokens.len() {
            let begun = at;
            if let Some(from) = start(&tokens, &mut at, &path, &paths) {
                let line = tokens[begun].0;
                tree(&tokens, &mut at, from, &mut |path, alias| {
                    if let Some(name) = alias.or_else(|| path.last().cloned()) {
                        module.brought.entry(name).or_insert_with(|| path.clone());
                    }
                    module.named.push((line, path));
                });
            }
            at = at.max(begun + 1);
        }
        (path, module)
    };
    files.iter().filter(|(file, _)| !is_test(file)).map(read).collect()
}

fn word(tokens: &[(usize, Token)], at: usize) -> Option<&str> {
    match tokens.get(at) {
        Some((_, Token::Word(word))) => Some(word),
        _ => None,
    }
}

fn mark(tokens: &[(usize, Token)], at: usize, wanted: char) -> bool {
    matches!(tokens.get(at), Some((_, Token::Mark(mark))) if *mark == wanted)
}

fn separator(tokens: &[(usize, Token)], at: usize) -> bool {
    mark(tokens, at, ':') && mark(tokens, at + 1, ':')
}

/// Where a path that starts here starts in the crate, if one does; `at` is behind its first `::` then.
fn start(
    tokens: &[(usize, Token)],
    at: &mut usize,
    here: &[String],
    modules: &BTreeSet<Vec<String>>,
) -> Option<Vec<String>> {
    let first = word(tokens, *at)?;
    let is_inner = *at >= 2 && separator(tokens, *at - 2);
    // `pub(in path)` says who may use a thing, and uses nothing.
    let is_visibility = *at >= 2 && word(tokens, *at - 1) == Some("in") && mark(tokens, *at - 2, '(');
    if !separator(tokens, *at + 1) || is_inner || is_visibility {
        return None;
    }
    let mut from = here.to_vec();
    match first {
        "crate" => from.clear(),
        "self" => {}
        "super" => {
            from.pop();
            while word(tokens, *at + 3) == Some("super") && separator(tokens, *at + 4) {
                from.pop();
                *at += 3;
            }
        }
        child => {
            from.push(child.to_owned());
            if !modules.contains(&from) {
                return None;
            }
        }
    }
    *at += 3;
    Some(from)
}

/// The paths of a tree (`a::{b, c::d as e}`), or the one of a plain path.
fn tree(
    tokens: &[(usize, Token)],
    at: &mut usize,
    from: Vec<String>,
    found: &mut impl FnMut(Vec<String>, Option<String>),
) {
    let mut path = from;
    loop {
        if mark(tokens, *at, '{') {
            *at += 1;
            while *at < tokens.len() && !mark(tokens, *at, '}') {
                if word(tokens, *at).is_some() || mark(tokens, *at, '*') {
                    tree(tokens, at, path.clone(), found);
                } else {
                    *at += 1;
                }
            }
            *at += 1;
            return;
        }
        let Some(next) = word(tokens, *at) else {
            *at += 1;
            return found(path, None);
        };
        if next != "self" {
            path.push(next.to_owned());
        }
        *at += 1;
        if !separator(tokens, *at) || mark(tokens, *at + 2, '<') {
            break;
        }
        *at += 2;
    }
    let alias = (word(tokens, *at) == Some("as")).then(|| word(tokens, *at + 1)).flatten().map(str::to_owned);
    found(path, alias);
}

/// The module that a path names, up to the first name that is none.
fn door(path: &[String], modules: &Modules) -> Vec<String> {
    let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]));
    path[..length.unwrap_or(0)].to_vec()
}

/// The module in which the thing of this path is written, through names that others hand on.
fn home(path: &[String], modules: &Modules, depth: usize) -> Vec<String> {
    let mut here: Vec<String> = Vec::new();
    for (index, name) in path.iter().enumerate() {
        let mut child = here.clone();
        child.push(name.clone());
        if modules.contains_key(&child) {
            here = child;
            continue;
        }
        let brought = modules.get(&here).and_then(|module| module.brought.get(name));
        return match brought {
            Some(to) if depth < 8 && to != path => {
                home(&[to.as_slice(), &path[index + 1..]].concat(), modules, depth + 1)
            }
            _ => here,
        };
    }
    here
}

/// The row that a module belongs to: the one that names it, or the nearest folder around it.
fn room_of<'a>(module: &[String], rooms: &'a [Room]) -> Option<&'a Room> {
    (1..=module.len()).rev().find_map(|length| {
        let path = module[..length].join("/");
        rooms.iter().find(|room| room.modules.contains(&path))
    })
}

/// What is wrong with the table, and with files that name what their row does not allow.
fn wrong(rooms: &[Room], files: &[(String, String)]) -> Vec<String> {
    let modules = modules(files);
    let mut wrong = Vec::new();
    let mut above: Vec<&str> = Vec::new();
    for room in rooms {
        for used in room.uses.iter().filter(|used| !above.contains(&used.as_str())) {
            wrong.push(format!("{} uses {used}, which is no room above it", room.name));
        }
        above.push(&room.name);
        for path in &room.modules {
            if !modules.contains_key(&module_of(path)) {
                wrong.push(format!("{}: there is no {path} in src/", room.name));
            }
        }
    }
    let mut used = BTreeSet::new();
    for module in modules.values().filter(|module| !module.path.is_empty()) {
        let Some(room) = room_of(&module.path, rooms) else {
            wrong.push(format!("{} is in no room", module.path.join("/")));
            continue;
        };
        for (line, path) in &module.named {
            // What a room hands on may be had from it, and from where it is written.
            let home = room_of(&home(path, &modules, 0), rooms);
            let door = room_of(&door(path, &modules), rooms);
            let Some(other) = home.or(door) else { continue };
            let allowed = |other: &Room| other.name == room.name || room.uses.contains(&other.name);
            if let Some(by) = [home, door].into_iter().flatten().find(|other| allowed(other)) {
                used.insert((&room.name, &by.name));
            } else {
                let (from, to) = (module.path.join("/"), path.join("::"));
                wrong.push(format!(
                    "{from}, line {line}: {to} is in {}, which {} does not use",
                    other.name, room.name
                ));
            }
        }
    }
    for room in rooms {
        for other in room.uses.iter().filter(|other| !used.contains(&(&room.name, *other))) {
            wrong.push(format!("{} does not use {other} any more: take it out of the table", room.name));
        }
    }
    wrong
}

#[test]
fn rooms_use_what_their_row_says() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let rooms = rooms(&fs::read_to_string(document).unwrap());
    assert!(rooms.len() > 15, "{} rooms", rooms.len());
    let wrong = wrong(&rooms, &all_sources());
    assert!(wrong.is_empty(), "{} against docs/architecture.md:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn planted_imports_are_found() {
    let table = "\n## Rooms\n\n| room | holds | uses |\n|---|---|---|\n| **nouns**: `error`, `media/` | plain data | nothing |\n\
                 | `low/` | something | `nouns` |\n| `high/` | more | `low`, `nouns` |\n\n## Rules\n";
    let rooms = rooms(table);
    assert_eq!(rooms.iter().map(|room| room.name.as_str()).collect::<Vec<_>>(), ["nouns", "low", "high"]);
    let found = |low: &str, more: &[(&str, &str)]| {
        let mut files = vec![
            ("lib.rs", "mod error; mod media; mod low; mod high; use media::frame;"),
            ("error.rs", ""),
            ("media/mod.rs", "pub mod frame;"),
            ("media/frame.rs", "use crate::error::Error;"),
            ("low/mod.rs", low),
            ("high/mod.rs", "pub use deep::Thing; use crate::low::Low; fn a(_: crate::error::Error) {}"),
            ("high/deep.rs", "use super::super::low; use crate::frame::Frame;"),
        ];
        files.extend(more);
        let files: Vec<_> =
            files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        wrong(&rooms, &files)
    };
    assert_eq!(found("use crate::error::Error;", &[]), [""; 0]);
    assert_eq!(found("use crate::{error::{Error, Result}, media::frame as f};", &[]), [""; 0]);
    for planted in [
        "use crate::error::Error; use crate::high::Thing;",
        "use crate::error::Error; fn a() { crate::high::deep::b(); }",
        "use crate::{error::Error, high::{deep::{self, Thing}}};",
        "use crate::error::Error; use super::high;",
    ] {
        let wrong = found(planted, &[]);
        assert!(
            wrong.iter().all(|one| one.contains("is in high, which low does not use")),
            "{planted}: {wrong:?}"
        );
        assert!(!wrong.is_empty(), "{planted}");
    }
    // What somebody else hands on, what only a test names, and what is said.
    let through = found(
        "use crate::error::Error; use crate::Thing;",
        &[("lib.rs", "pub use high::Thing; use media::frame;")],
    );
    assert_eq!(through.len(), 1, "{through:?}");
    let said =
        "use crate::error::Error; // crate::high::Thing\n#[cfg(test)]\nmod tests { use crate::high::Thing; }";
    assert_eq!(found(said, &[]), [""; 0]);
    assert_eq!(found("", &[]), ["low does not use nouns any more: take it out of the table"]);
    assert_eq!(found("use crate::error::Error;", &[("other.rs", "")]), ["other is in no room"]);
}
