//! The simulation's answers against those of a real driver, fact by fact.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// `[section]` and `name = answer` lines, in order, as ("section/name", answer).
fn facts(text: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut facts = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((name, answer)) = line.split_once(" = ") {
            facts.push((format!("{section}/{name}"), answer.to_owned()));
        }
    }
    facts
}

fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    // Without a `*` at the end the text must end with the pattern's last part.
    rest.is_empty() || last == Some("")
}

#[test]
fn answers_are_those_of_a_real_driver() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let real = std::fs::read_to_string(here.join("facts/h200-580.159.txt")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_driver_facts"))
        .arg(here.join("../../clips"))
        .env("LD_LIBRARY_PATH", crate::common::driver_directory())
        .env("NVSIM_PROFILE", "h200")
        .env("NVSIM_SET", "driver.cuda=13000;driver.nvenc=13.0")
        .env("NVSIM_QUIET", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let simulated: BTreeMap<_, _> = facts(&String::from_utf8_lossy(&output.stdout)).into_iter().collect();
    let known = std::fs::read_to_string(here.join("facts/differences.txt")).unwrap();
    let known: Vec<_> =
        known.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
    let mut used = vec![false; known.len()];

    let real = facts(&real);
    assert!(real.len() > 2000, "the facts are there");
    let mut wrong = Vec::new();
    for (name, answer) in &real {
        let got = simulated.get(name).map_or("(nothing)", String::as_str);
        if got == answer {
            continue;
        }
        match known.iter().position(|pattern| matches(pattern, name)) {
            Some(at) => used[at] = true,
            None => wrong.push(format!("{name}: real {answer}, simulated {got}")),
        }
    }
    let count = wrong.len();
    wrong.truncate(40);
    assert!(wrong.is_empty(), "{count} of {} facts differ:\n{}", real.len(), wrong.join("\n"));
    let idle: Vec<_> =
        known.iter().zip(&used).filter(|(_, used)| !**used).map(|(pattern, _)| pattern).collect();
    assert!(idle.is_empty(), "listed as different, but equal: {idle:?}");
}
