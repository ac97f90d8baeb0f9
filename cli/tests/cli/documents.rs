//! Statements of the documents that the program itself can confirm: command lines, options, exit codes, orders, limits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use video_hw::backend::{Candidate, Job};
use video_hw::dataset::EncoderType;
use video_hw::limits::{Limit, LimitUnit, Limits};

use crate::common::command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// Returns the name and the text of each page that people write, and of the examples in the help of each command.
fn pages() -> Vec<(String, String)> {
    let mut names: Vec<String> = [
        "README.md",
        "CONTRIBUTING.md",
        "sims/apple/README.md",
        "sims/nvidia/README.md",
        "sims/vpl/README.md",
    ]
    .map(str::to_owned)
    .into();
    for folder in ["docs", "docs/bench"] {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let files = entries.map(|name| format!("{folder}/{}", name.to_str().unwrap()));
        names.extend(files.filter(|name| Path::new(name).extension().is_some_and(|end| end == "md")));
    }
    let files = names.into_iter().map(|name| (name.clone(), page(&name)));
    let helps = subcommands().into_iter().map(|name| {
        let help = help(&name);
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{name} has no examples"));
        let examples = examples.split("\n\n").next().unwrap_or_default();
        // The help is wrapped: what names no program goes on with the line before.
        let joined = examples.lines().fold(String::new(), |all, line| {
            all + if line.contains("video-hw ") { "\n" } else { " " } + line.trim_start()
        });
        (format!("{name} --help"), format!("```{joined}\n```\n"))
    });
    files.chain(helps).collect()
}

/// Returns the rows of the table below a heading, without the names of its columns.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let section =
        text.split(&format!("{heading}\n")).nth(1).unwrap_or_else(|| panic!("no heading {heading:?}"));
    let lines =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    lines.skip(2).map(cells).collect()
}

/// Returns the texts of a cell that stand between backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Splits a command line into words as a shell does, up to the first `|`, `>`, `<`, `;`, `&` or comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '<' | ';' | '&' | '`' | ')') => break,
            (None, '#') if word.is_none() => break,
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Returns the arguments of each command line of the program in a page, from blocks and from its sentences.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<_> = text
        .split("\\\n")
        .enumerate()
        .map(|(at, part)| if at == 0 { part } else { part.trim_start() })
        .collect();
    let text = lines.join(" ").replace("cargo run --release -p video-hw-cli --", "video-hw");
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        let is_code = in_block || line.starts_with("    ");
        let parts: Vec<&str> = if is_code { vec![line] } else { names(line) };
        for part in parts {
            let program = part.match_indices("video-hw ").filter(|(at, _)| {
                let before = part[..*at].chars().next_back();
                before.is_none_or(|letter| letter.is_whitespace() || letter == '/')
            });
            // What follows three spaces explains the line.
            let arguments = |at: usize| part[at..].split("   ").next().unwrap_or_default();
            found.extend(program.map(|(at, name)| words(arguments(at + name.len()))));
        }
    }
    found.retain(|line| !line.is_empty());
    found
}

fn help(subcommand: &str) -> String {
    String::from_utf8(command(&[subcommand, "--help"]).output().unwrap().stdout).unwrap()
}

/// Returns the options that the help of a command lists.
fn options(subcommand: &str) -> BTreeSet<String> {
    let help = help(subcommand);
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let letters = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    let found = lines.flat_map(|line| line.split("  ").next().unwrap_or_default().split(letters));
    found.filter(|word| word.starts_with('-') && word.len() > 1).map(str::to_owned).collect()
}

fn subcommands() -> BTreeSet<String> {
    let help = String::from_utf8(command(&["--help"]).output().unwrap().stdout).unwrap();
    let list = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| line.starts_with("  "));
    list.filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Options of an earlier version, which `bench` accepts and the help leaves out.
const ALIASES: [&str; 3] = ["--nv-gop-length", "--nv-frame-interval-p", "--nv-max-in-flight"];

#[test]
fn command_lines_of_the_documents_have_options_that_exist() {
    let known = subcommands();
    let mut helps = BTreeMap::new();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (name, text) in pages() {
        for line in command_lines(&text) {
            let Some(subcommand) =
                line.first().filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
            else {
                continue;
            };
            seen += 1;
            if !known.contains(subcommand) {
                wrong.push(format!("{name}: no command {subcommand:?} in {line:?}"));
                continue;
            }
            let found = helps.entry(subcommand.clone()).or_insert_with(|| options(subcommand));
            for word in line.iter().filter(|word| word.starts_with('-') && word.len() > 1) {
                let option = word.split('=').next().unwrap();
                let is_known = found.contains(option) || ALIASES.contains(&option) || option == "--help";
                if !is_known && !option.ends_with(']') {
                    wrong.push(format!("{name}: {subcommand} has no {option}"));
                }
            }
        }
    }
    assert!(seen > 100, "only {seen} command lines");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The inputs do not exist, and folders are empty, so each command ends after its arguments are read.
#[test]
fn command_lines_of_the_documents_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let reads_a_file = ["transcode", "trim", "decode", "encode", "probe", "thumbnails", "compare"];
    let (mut wrong, mut ran) = (Vec::new(), 0);
    for (name, text) in pages() {
        for line in command_lines(&text) {
            let is_example =
                line.len() > 1 && line.iter().all(|word| !word.contains(['[', '$', '…']) && word != "...");
            let is_placeholder = |word: &&String| word.chars().all(|c| c.is_ascii_uppercase());
            let from_file = line.iter().skip(1).all(|word| word != "-" && !word.starts_with('/'));
            let runs = reads_a_file.contains(&line[0].as_str()) && is_example && from_file;
            if !runs || line.iter().skip(1).any(|word| is_placeholder(&word)) || line[1].starts_with('-') {
                continue;
            }
            ran += 1;
            for word in line.iter().filter(|word| word.ends_with('/')) {
                fs::create_dir_all(folder.path().join(word)).unwrap();
            }
            let output = command(&line).current_dir(&folder).stdout(Stdio::null()).output().unwrap();
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.code() == Some(2) {
                wrong.push(format!("{name}: video-hw {}: {words}", line.join(" ")));
            }
        }
    }
    assert!(ran > 50, "only {ran} command lines");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_on_the_command_line_has_every_command_and_every_exit_code() {
    let page = page("docs/command-line.md");
    let listed = table(&page, "# The command line").into_iter().map(|row| names(&row[0])[0].to_owned());
    assert_eq!(listed.collect::<BTreeSet<_>>(), subcommands());

    let help = String::from_utf8(command(&["--help"]).output().unwrap().stdout).unwrap();
    let codes =
        help.split("Exit codes:\n").nth(1).unwrap().lines().filter_map(|line| line.split_whitespace().next());
    let codes: Vec<u8> = codes.filter_map(|word| word.parse().ok()).collect();
    let told: Vec<u8> = table(&page, "## Exit codes").iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(told, codes);
}

#[test]
fn the_pages_have_the_order_of_encoders() {
    let rows = table(&page("docs/dataset.md"), "## Which encoder");
    let listed: Vec<_> = rows.iter().flat_map(|row| names(&row[0])).collect();
    assert_eq!(listed, EncoderType::ORDER.map(EncoderType::name), "docs/dataset.md");

    let doctor = page("docs/doctor.md");
    let rows = table(&doctor, "## What is tried");
    let listed: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(listed, Candidate::ORDER.map(Candidate::name), "docs/doctor.md");
    let decoders =
        Candidate::in_order(Job::Decode).into_iter().map(Candidate::name).collect::<Vec<_>>().join(", ");
    assert!(
        doctor.replace('\n', " ").contains(&decoders),
        "docs/doctor.md: decoders are asked in the order {decoders}"
    );
}

#[test]
fn the_page_on_limits_has_every_limit_with_its_default() {
    let rows = table(&page("docs/limits.md"), "# Limits");
    let listed: Vec<_> = rows.iter().map(|row| names(&row[0])[0]).collect();
    assert_eq!(listed, Limit::ALL.map(Limit::name));
    for (row, limit) in rows.iter().zip(Limit::ALL) {
        let value = Limits::default().get(limit);
        let expected = if limit.unit() == LimitUnit::Count { value.to_string() } else { limit.amount(value) };
        let told = row[2].replace(',', "");
        assert!(
            told == expected || told.starts_with(&format!("{expected} ")),
            "{}: {told}, not {expected}",
            limit.name()
        );
    }
}

#[test]
fn command_lines_are_found_in_blocks_and_among_words() {
    let text = "Take `video-hw decode a.mp4 --null`, not `nvideo-hw x`.\n\n```console\n$ A=1 target/release/video-hw encode 'a b' \\\n    \
                c --qp 3 | cat   # video-hw\n```\n";
    let found = command_lines(text);
    assert_eq!(found, [vec!["decode", "a.mp4", "--null"], vec!["encode", "a b", "c", "--qp", "3"]]);
}
