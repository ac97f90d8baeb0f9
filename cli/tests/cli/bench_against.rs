//! `bench --against`: two versions of the program, whose runs take turns.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::common::{Run, Scratch, clip, have, run};

fn program() -> String {
    env!("CARGO_BIN_EXE_video-hw").to_owned()
}

/// A version that does something first with its arguments; `"$0"` is not the program, `$real` is.
fn version(scratch: &Scratch, name: &str, does: &str) -> String {
    let path = scratch
        .file(name, format!("#!/bin/bash\nreal='{}'\n{does}\nexec \"$real\" \"$@\"\n", program()).as_bytes());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

fn against(other: &str, words: &[&str]) -> Run {
    let small = ["--size", "160x96", "--frames", "24", "--backend", "software", "--codec", "h264"];
    run(&[&["bench", "--quiet", "--against", other], words, &small[..]].concat())
}

/// The record of a run, and its only row of this version.
fn row(scratch: &Scratch, other: &str, words: &[&str]) -> (Run, Value, Value) {
    let json = scratch.path("record.json");
    let run = against(other, &[words, &["-y", "--json", &json]].concat());
    let record: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let rows = record["rows"].as_array().unwrap();
    let own = rows.iter().find(|row| row["program"] == "video-hw").unwrap().clone();
    (run, record.clone(), own)
}

const TWICE: [&str; 4] = ["--warmup", "0", "--repeat", "2"];

#[test]
fn a_version_beside_itself_is_right_and_its_encoder_is_named() {
    let scratch = Scratch::new();
    let words = [&["decode", "encode", "--verify"][..], &TWICE].concat();
    let (run, record, own) = row(&scratch, &program(), &words);
    assert_eq!(run.code, Some(0), "{}{}", run.out(), run.stderr);
    let rows = record["rows"].as_array().unwrap();
    let programs: Vec<_> = rows.iter().map(|row| row["program"].as_str().unwrap()).collect();
    assert_eq!(programs, ["video-hw", "other version", "video-hw", "other version"]);
    assert_eq!(own["peer"], rows[1]["id"], "{own:#}");
    for (place, side, name) in [(0, "decoder", "rusty_h264"), (2, "encoder", "openh264")] {
        for row in &rows[place..place + 2] {
            let found = row[side].as_str().unwrap();
            assert!(found.contains(name), "{found}");
            assert!(run.out().contains(found), "{}", run.out());
        }
    }
    // They take turns.
    let orders = |row: &Value| {
        row["runs"].as_array().unwrap().iter().map(|run| run["order"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    // Rows with an uncertain result are measured again, so more runs may follow.
    let (ours, others) = (orders(&rows[0]), orders(&rows[1]));
    assert_eq!((&ours[..2], &others[..2]), (&[0, 7][..], &[1, 6][..]));
}

#[test]
fn pictures_that_are_worse_are_found() {
    let scratch = Scratch::new();
    let better = version(
        &scratch,
        "better",
        "for word in \"$@\"; do [ \"$last\" = --bitrate ] && word=$((word * 2)); last=$word; words+=(\"$word\"); done; set -- \"${words[@]}\"",
    );
    let words = [&["encode", "--verify", "--bitrate", "200000"][..], &TWICE].concat();
    let (run, ..) = row(&scratch, &better, &words);
    assert_eq!(run.code, Some(7), "{}", run.out());
    assert!(run.out().contains("WORSE") && run.out().contains("PSNR"), "{}", run.out());
}

#[test]
fn what_both_versions_fail_at_is_not_held_against_one() {
    let scratch = Scratch::new();
    let words = [&["encode", "--verify", "--min-psnr", "99"][..], &TWICE].concat();
    let (run, _, own) = row(&scratch, &program(), &words);
    let checks = own["verify"]["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "psnr" && check["passed"] == false), "{own:#}");
    assert_eq!(run.code, Some(0), "{}", run.out());
    assert!(run.out().contains("fails in both versions: psnr"), "{}", run.out());
}

#[test]
fn a_version_that_takes_much_less_is_faster() {
    let scratch = Scratch::new();
    // It keeps what the program said and made, and has nothing to do from the second time on.
    let kept = scratch.path("kept");
    let cached = version(
        &scratch,
        "cached",
        &format!(
            "if [ \"$1\" = encode ]; then if [ -e {kept} ]; then cp {kept}.mp4 \"$3\"; cat {kept}; exit; fi; \
             \"$real\" \"$@\" > {kept}.new && cp \"$3\" {kept}.mp4 && mv {kept}.new {kept} && cat {kept}; exit; fi"
        ),
    );
    // Many pictures: what is left of it is far from what other work on the machine makes of a process.
    let words = ["encode", "--frames", "600", "--warmup", "1", "--repeat", "9"];
    let small = ["--size", "320x240", "--backend", "software", "--codec", "h264"];
    let run = run(&[&["bench", "--quiet", "--against", &cached], &words[..], &small[..]].concat());
    assert_eq!(run.code, Some(1), "{}{}", run.out(), run.stderr);
    assert!(run.out().contains("1 SLOWER"), "{}", run.out());
}

#[test]
fn a_row_that_fails_in_one_version_alone() {
    let scratch = Scratch::new();
    let broken = version(
        &scratch,
        "broken",
        "[ \"$1\" != decode ] || [ \"$3\" != --null ] || [ \"$4\" != --backend ] || exit 9",
    );
    let words = [&["decode"][..], &TWICE].concat();
    let (run, ..) = row(&scratch, &broken, &words);
    // Nothing is known to be right where nothing could be compared.
    assert_eq!(run.code, Some(7), "{}", run.out());
    assert!(run.out().contains("the other version fails"), "{}", run.out());
}

#[test]
fn live_streams_of_both_run_side_by_side() {
    if !have("pgrep") {
        return;
    }
    let scratch = Scratch::new();
    let (json, beside) = (scratch.path("record.json"), scratch.path("beside"));
    let counts = format!("[ \"$1\" != bench-work ] || {{ sleep 0.5; pgrep -c -P $PPID > {beside}; }}");
    let other = version(&scratch, "other", &counts);
    let words = [
        "soak",
        "--minutes",
        "0.05",
        "--streams",
        "1",
        "--size",
        "160x96",
        "--backend",
        "software",
        "--codec",
        "h264",
    ];
    let run = run(&[&["bench", "--quiet", "--against", &other, "--json", &json], &words[..]].concat());
    // Which limits hold is this machine's affair.
    assert!(matches!(run.code, Some(0 | 7)), "{}{}", run.out(), run.stderr);
    let record: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let rows = record["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{record:#}");
    for row in rows {
        assert!(row["failed"].is_null() && row["encoder"].as_str().unwrap().contains("openh264"), "{row:#}");
        assert!(row["judged"].as_array().unwrap().iter().any(|one| one["name"] == "latest frame"), "{row:#}");
    }
    assert_eq!(std::fs::read_to_string(&beside).unwrap().trim(), "2", "one after the other");
}

/// Older encoders take planar pictures alone; the stream has a format that its encoder takes.
#[test]
fn live_streams_of_libx265() {
    if !have("ffmpeg") {
        return;
    }
    let words = [
        "soak",
        "--minutes",
        "0.02",
        "--streams",
        "1",
        "--size",
        "160x96",
        "--backend",
        "ffmpeg",
        "--codec",
        "hevc",
    ];
    let run = run(&[&["bench", "--quiet", "--json", "-"], &words[..]].concat());
    let record = run.json();
    let row = &record["rows"][0];
    assert!(row["failed"].is_null(), "{row:#}");
    assert!(row["encoder"].as_str().unwrap().contains("libx265"), "{row:#}");
    assert!(row["input"]["pixel_format"].is_string(), "{row:#}");
}

#[test]
fn a_version_that_is_not_there() {
    let clip = clip("small.h264");
    run(&["bench", "decode", &clip, "--against", "/no/such/version"]).refused(2, &["/no/such/version"]);
    run(&["bench", "decode", &clip, "--against", "x", "--peer", "ffmpeg"])
        .refused(2, &["--against", "--peer"]);
}
