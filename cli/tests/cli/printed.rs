//! What is printed does not drive a terminal, whatever files are called and whatever text they hold.

#![cfg(unix)]

use std::fs;

use crate::common::{Run, Scratch, clip, run};

/// Clears the screen, sets the title, rings, turns the direction of text, begins lines and goes back to their start.
const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{7f}\u{202e}\u{61c}a\nvideo-hw: error: forged\rb\tc";

fn acts(c: char) -> bool {
    c.is_control() || c == '\u{61c}' || ('\u{202a}'..='\u{202e}').contains(&c)
}

/// Nothing on either output acts on a terminal; gives all of it.
#[track_caller]
fn harmless(run: &Run) -> String {
    let said = run.out() + &run.stderr;
    let words = said.replace(['\n', '\t'], "");
    assert!(!words.contains(acts), "{said:?}");
    assert!(!said.lines().any(|line| line.starts_with("video-hw: error: forged")), "{said}");
    said
}

#[test]
fn names_of_files_are_written_out() {
    let scratch = Scratch::new();
    let (good, none) = (scratch.path(&format!("{HOSTILE}.h264")), scratch.path(&format!("{HOSTILE}.none")));
    let (broken, text) = (scratch.path(&format!("{HOSTILE}.mp4")), scratch.path(&format!("{HOSTILE}.txt")));
    let out = scratch.path(&format!("{HOSTILE}-out.mp4"));
    fs::copy(clip("small.h264"), &good).unwrap();
    fs::write(&broken, b"\0\0\0\x08ftyp\0\0\0\x08mdat").unwrap();
    fs::write(&text, format!("{HOSTILE} is what this says")).unwrap();
    for (words, code) in [
        (&["probe", good.as_str()][..], 0),
        (&["decode", &good, "--md5"], 0),
        (&["decode", &good, "--frame-md5"], 0),
        (&["decode", &good, "--null", "--verbose"], 0),
        (&["transcode", &good, &out, "--backend", "software"], 0),
        (&["transcode", &good, &out, "--backend", "software"], 2),
        (&["compare", &good, &good], 0),
        (&["probe", &none], 1),
        (&["transcode", &none, &out, "-y"], 1),
        (&["probe", &broken], 1),
        (&["probe", &text], 1),
        (&["decode", &good, &good, "-y"], 2),
        (&["decode", &good, "--null", "--size", HOSTILE], 2),
        (&["decode", &good, "--null", "--device", HOSTILE], 0),
        (&[HOSTILE], 2),
    ] {
        let run = run(words);
        let said = harmless(&run);
        if words.contains(&"--device") {
            continue;
        }
        assert_eq!(run.code, Some(code), "{words:?}: {said}");
        if !words.contains(&"--frame-md5") && !words.contains(&"--verbose") {
            assert!(said.contains(r"\u009b"), "{words:?}: the name is told: {said}");
        }
    }
}

#[test]
fn json_holds_the_name_itself() {
    let scratch = Scratch::new();
    let good = scratch.path(&format!("{HOSTILE}.h264"));
    fs::copy(clip("small.h264"), &good).unwrap();
    for words in [&["probe", good.as_str(), "--json"][..], &["decode", &good, "--null", "--json"]] {
        let run = run(words).ok();
        harmless(&run);
        assert_eq!(run.json()["input"], good.as_str());
    }
    let refused = run(&["probe", &format!("{good}x"), "--json"]);
    harmless(&refused);
    assert!(refused.json()["error"].to_string().contains("\\u001b"), "{}", refused.out());
}

/// The four characters of a codec that nobody knows, which are shown as they are.
#[test]
fn text_that_files_hold_is_written_out() {
    let scratch = Scratch::new();
    let path = scratch.path("track.mp4");
    run(&["transcode", &clip("small.h264"), &path, "--backend", "software"]).ok();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).rposition(|four| four == b"avc1").unwrap();
    bytes[at..at + 4].copy_from_slice(b"\x1b[2J");
    fs::write(&path, &bytes).unwrap();
    for words in [&["probe", path.as_str()][..], &["probe", &path, "--json"], &["decode", &path, "--null"]] {
        harmless(&run(words));
    }
}
