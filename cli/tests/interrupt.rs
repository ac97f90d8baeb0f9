//! Ctrl-C: the first leaves a complete file, the second leaves none.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed run")]
#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use common::{Run, Scratch, have, plays, y4m, yuv_frame};

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
}

/// An encode that is fed frame by frame for as long as it reads.
fn start(output: &str) -> Child {
    common::command(&["encode", "-", output, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

#[test]
fn the_first_leaves_a_complete_file() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let mut child = start(&output);
    let mut stdin = child.stdin.take().expect("piped");
    // All of this is taken before the signal; then frames go on coming until nobody reads them.
    stdin.write_all(&y4m(320, 240, 60)).expect("60 frames are read");
    interrupt(&child);
    let mut fed = 60;
    for n in 60.. {
        if stdin.write_all(b"FRAME\n").and_then(|()| stdin.write_all(&yuv_frame(320, 240, n))).is_err() {
            break;
        }
        fed += 1;
    }
    drop(stdin);
    let result = Run::of(child.wait_with_output().expect("the program ends"));
    assert_eq!(result.code, Some(130), "{}", result.stderr);
    assert_eq!(scratch.names(), ["out.mp4"]);
    let json = result.json();
    assert_eq!(json["cancelled"], true);
    assert_eq!(json["exit_code"], 130);
    assert_eq!(json["ledger"]["balances"], true);
    let frames = json["frames_out"].as_u64().unwrap();
    assert!((1..=fed).contains(&frames), "{frames} of {fed} frames");
    let again = common::run(&["decode", &output, "--null", "-q", "--json"]).ok().json();
    assert_eq!(again["frames_out"], frames, "the file holds what the report says");
    if have("ffmpeg") {
        plays(&output);
    }
}

#[test]
fn the_second_leaves_none() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let mut child = start(&output);
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&y4m(320, 240, 30)).expect("30 frames are read");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    interrupt(&child);
    // The pipe stays open and silent: the job cannot finish by itself.
    let mut told = String::new();
    while !told.contains("once more") {
        assert!(stderr.read_line(&mut told).expect("standard error is read") > 0, "{told}");
    }
    interrupt(&child);
    stderr.read_to_string(&mut told).expect("standard error is read");
    assert_eq!(child.wait().expect("the program ends").code(), Some(130), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    assert!(scratch.names().is_empty(), "{:?}", scratch.names());
    drop(stdin);
}
