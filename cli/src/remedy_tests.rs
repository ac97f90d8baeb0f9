use std::collections::BTreeSet;

use clap::CommandFactory;
use video_hw::codec::Codec;

use super::*;
use crate::args::Cli;

/// One of each kind.
fn all() -> Vec<Remedy> {
    let words = "do something";
    let mut all = Remedy::PLAIN.to_vec();
    all.extend([
        Remedy::None,
        Remedy::OtherDevice(words.into()),
        Remedy::RaiseLimit { limit: Limit::Tracks, to: 5000 },
        Remedy::RaiseLimit { limit: Limit::PictureMemory, to: 3 << 30 },
        Remedy::Install { what: words.into(), how: words.into() },
        Remedy::CheckDevice(words.into()),
        Remedy::TryAgain(words.into()),
        Remedy::Allowed(words.to_owned()),
        Remedy::OutputFormat("mp4, ivf".to_owned()),
        Remedy::OtherCodec { works: Some(Codec::H264), or: vec![Remedy::Spool, words.into()] },
        Remedy::Other(words.into()),
    ]);
    all
}

/// The kinds that the library's source has.
#[test]
fn every_kind_is_in_the_list() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/error/remedy.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let (_, kinds) = source.split_once("pub enum Remedy {\n").unwrap();
    let (kinds, _) = kinds.split_once("\n}").unwrap();
    let kinds = kinds.lines().filter(|line| {
        line.strip_prefix("    ").is_some_and(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
    });
    let names: BTreeSet<_> = all().iter().map(Remedy::name).collect();
    assert_eq!(names.len(), kinds.count(), "{names:?}");
}

/// Options as people give them, and those that a remedy may be about with several values.
const OPTIONS: [&str; 32] = [
    "--backend auto",
    "--backend AUTO",
    "--backend software",
    "--backend nvidia",
    "--decoder-backend auto",
    "--decoder-backend nvidia",
    "--encoder-backend software",
    "--engines 1",
    "--engines auto",
    "--size 64x48",
    "--scale 64x48",
    "--width 64",
    "--bitrate 1M",
    "--qp 20",
    "--format mp4",
    "--low-latency",
    "--keep-going",
    "--on-failure next",
    "--strict",
    "--overwrite",
    "--spool",
    "--spool=2G",
    "--fps 25",
    "--pix-fmt nv12",
    "--deinterlace",
    "--session-wait 5",
    "--device 0",
    "--limits tracks=100,edits=7",
    "--max-in-flight 4",
    "--lookahead 8",
    "--copy",
    "--exact",
];

const COMMANDS: [&str; 14] = [
    "transcode a b",
    "trim a b --start 1",
    "decode a b",
    "decode a --null",
    "decode a b --frames-at 1",
    "thumbnails a b.png",
    "encode a b",
    "probe a",
    "compare a b",
    "devices",
    "doctor",
    "bench decode a",
    "completions bash",
    "man folder",
];

/// Command lines of each command with two of the options at most, as far as they parse.
fn lines() -> Vec<String> {
    let mut root = Cli::command();
    let mut parses = |line: &String| {
        root.try_get_matches_from_mut(std::iter::once("video-hw").chain(line.split(' '))).is_ok()
    };
    let mut lines = Vec::new();
    for command in COMMANDS {
        let one = OPTIONS.map(|option| format!("{command} {option}"));
        let one: Vec<_> = one.into_iter().filter(&mut parses).collect();
        lines.extend(
            one.iter().flat_map(|line| OPTIONS.map(|option| format!("{line} {option}"))).filter(&mut parses),
        );
        lines.extend(one);
        lines.push(command.to_owned());
    }
    lines
}

/// `--size` of a message, and the value that it has there.
fn named(message: &str) -> Vec<(String, Option<String>)> {
    let words: Vec<_> = message.split([' ', '(', ')', ';']).filter(|word| !word.is_empty()).collect();
    let value = |word: &&&str| {
        let known = ["auto", "software", "h264", "WIDTHxHEIGHT", "NAME", "RATE", "SECONDS"];
        known.contains(*word) || word.contains('=')
    };
    let pairs = words.iter().enumerate().filter_map(|(at, word)| {
        let option = word.strip_prefix("--")?.trim_end_matches(',');
        let value = words.get(at + 1).filter(value).map(|value| value.trim_end_matches(',').to_owned());
        Some((option.to_owned(), value.filter(|_| !word.ends_with(','))))
    });
    pairs.collect()
}

#[test]
fn no_remedy_advises_what_the_command_line_says_or_cannot_say() {
    let (mut seen, mut advised) = (0, BTreeSet::new());
    let switches = ["keep-going", "deinterlace", "overwrite", "spool"];
    for line in lines() {
        let given = Given::of_line(&line);
        for remedy in all() {
            let message = words(&remedy, &given);
            let context = format!("{line}: {}: {message}", remedy.name());
            assert!(!message.contains('`') && !message.contains("::"), "{context}");
            for (option, value) in named(&message) {
                seen += 1;
                advised.insert(option.clone());
                assert!(given.takes(&option), "{context}");
                let begins = message.find(&format!("--{option}")).unwrap();
                let before = &message[..begins];
                let differently =
                    ["leave out ", "no ", "smaller ", "lower ", "longer for one (", "another GPU ("];
                let differently = differently.iter().any(|word| before.ends_with(word))
                    || message[begins..].contains("another size")
                    || message[begins..].contains("a larger SIZE");
                match (&value, given.value(&option)) {
                    (Some(new), Some(old)) => {
                        assert!(!new.eq_ignore_ascii_case(old), "{context}");
                        assert!(
                            new.chars().any(|c| c.is_ascii_lowercase()),
                            "a value for one there is: {context}"
                        );
                    }
                    (Some(new), None) => assert_ne!(new, "auto", "the default: {context}"),
                    (None, Some(_)) => assert!(differently, "{context}"),
                    (None, None) => assert!(
                        differently || switches.contains(&option.as_str()) || option == "format",
                        "{context}"
                    ),
                }
                // An option without a placeholder value is added unchanged.
                let addition = match &value {
                    Some(value) if given.has(&option) || value.chars().any(|c| c.is_ascii_uppercase()) => {
                        continue;
                    }
                    Some(value) => format!("--{option} {value}"),
                    None if switches.contains(&option.as_str()) && !given.has(&option) => {
                        format!("--{option}")
                    }
                    None => continue,
                };
                Given::of_line(&format!("{line} {addition}"));
            }
        }
    }
    let expected = [
        "backend",
        "decoder-backend",
        "encoder-backend",
        "codec",
        "size",
        "scale",
        "fps",
        "pix-fmt",
        "keep-going",
        "deinterlace",
        "overwrite",
        "spool",
        "format",
        "session-wait",
        "device",
        "limits",
        "max-in-flight",
        "lookahead",
    ];
    let expected: BTreeSet<_> = expected.map(str::to_owned).into();
    assert_eq!(advised, expected, "of {seen}");
}

#[test]
fn words_by_what_is_given() {
    let words = |line: &str, remedy: Remedy| words(&remedy, &Given::of_line(line));
    let other = "let another backend do it";
    assert_eq!(words("decode a b", Remedy::OtherBackend), format!("{other} (--backend software)"));
    assert_eq!(
        words("decode a b --backend nvidia", Remedy::OtherBackend),
        format!("{other} (--backend auto)")
    );
    assert_eq!(
        words("decode a b --backend software", Remedy::OtherBackend),
        format!("{other} (--backend auto)")
    );
    let both = "transcode a b --backend auto --encoder-backend nvidia";
    assert_eq!(words(both, Remedy::OtherBackend), format!("{other} (--encoder-backend auto)"));
    assert_eq!(words("doctor", Remedy::OtherBackend), other);
    assert_eq!(words("probe a", Remedy::OtherBackend), "");
    assert_eq!(words("probe a", Remedy::OtherDevice("re-encode".into())), "re-encode");
    // With `encode`, --size describes the input.
    assert!(words("encode a b", Remedy::Size).contains("--scale "));
    assert!(words("encode a b --scale 8x8", Remedy::Size).contains("--scale another size"));
    assert_eq!(words("encode a b", Remedy::Deinterlace), "");
    let more = Remedy::RaiseLimit { limit: Limit::Tracks, to: 5000 };
    assert!(words("probe a --limits edits=7,tracks=9", more).ends_with("--limits edits=7,tracks=5000"));
    assert_eq!(words("decode a b -y", Remedy::Overwrite), "choose another name");
    assert_eq!(words("decode a b", Remedy::from("unpack it first")), "unpack it first");
    assert_eq!(words("decode a b", Remedy::None), "");
}

#[test]
fn a_reason_ends_with_what_to_do() {
    assert_eq!(after("no GPU.", &Remedy::from("buy one")), "no GPU. Buy one");
    assert_eq!(after("no GPU", &Remedy::None), "no GPU");
}
