//! Cuts out of the backend what is to be compared: the tables of functions, `abi.rs`, the names of constants and the status codes.
//! `DECLARATIONS_OF` names another folder than the backend's own (a copy with a mistake in it, to see that it is found).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=DECLARATIONS_OF");
    let backend = env::var_os("DECLARATIONS_OF").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../src/backend/videotoolbox"),
        PathBuf::from,
    );
    println!("cargo:rerun-if-changed={}", backend.display());
    let mut sources = Vec::new();
    read(&backend, &mut sources)?;

    let (mut tables, mut names, mut codes) = (String::new(), BTreeSet::new(), BTreeSet::new());
    for (path, text) in &sources {
        tables.push_str(&tables_of(text));
        // What tests call by a name need not be Apple's.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if !path.ends_with("_tests.rs") {
            names.extend(quoted_names(code));
            codes.extend(statuses(code));
        }
    }
    let simulation =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/foundation/constants.rs"))?;
    println!("cargo:rerun-if-changed=../src/foundation/constants.rs");
    names.extend(exported_names(&simulation));
    assert!(
        !tables.is_empty() && !names.is_empty() && !codes.is_empty(),
        "nothing to compare in {}",
        backend.display()
    );
    let abi = fs::read_to_string(backend.join("driver/abi.rs"))?;
    let abi: String =
        abi.lines().filter(|line| !line.starts_with("//!")).map(|line| format!("{line}\n")).collect();

    let (records, objects): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| name.ends_with("CallBacks"));
    let list = |kind: &str, names: &[&str]| format!("{kind}! {{ {} }}\n", names.join(", "));
    let codes: Vec<_> = codes.iter().map(|code| format!("-{code}")).collect();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?);
    fs::write(out.join("abi.rs"), abi)?;
    fs::write(out.join("tables.rs"), tables)?;
    fs::write(out.join("names.rs"), list("objects", &objects) + &list("records", &records))?;
    fs::write(out.join("codes.rs"), format!("const CODES: &[i32] = &[{}];\n", codes.join(", ")))
}

fn read(folder: &Path, sources: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push((path.display().to_string(), fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// `functions! { ... }`, from the line that begins with it to the brace that closes it.
fn tables_of(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let takes = inside || *line == "functions! {";
        inside = takes && *line != "}";
        takes
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// `"kVT..."` and the like.
fn quoted_names(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').filter(|part| {
        ["kCF", "kCM", "kCV", "kVT"].iter().any(|start| part.starts_with(start))
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// `kVT... = "..";`: the strings that the simulation exports.
fn exported_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        line.strip_prefix("    k").and(line.trim().split_once(" = \"")).map(|(name, _)| name)
    })
}

/// Numbers behind a minus of as many digits as status codes have, outside of comments.
fn statuses(text: &str) -> impl Iterator<Item = u32> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.flat_map(|line| line.split('-').skip(1)).filter_map(|part| {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        (2..=5).contains(&digits).then(|| part[..digits].parse().ok()).flatten()
    })
}
