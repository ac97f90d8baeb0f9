//! `decode`: goldens, files, pipes.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed run")]

mod common;

use common::{Scratch, clip, goldens, have, run, run_with_stdin, tool, y4m};
use std::process::Stdio;

#[test]
fn every_clip_decodes_to_its_golden() {
    for (md5, frames, format, file) in goldens() {
        if file == "interlaced.h264" {
            continue; // See `interlaced_h264_is_exact_or_refused_by_name`.
        }
        let out = run(&["decode", &clip(&file), "--md5", "--quiet"]).ok().out();
        let words: Vec<_> = out.trim_end().split(' ').take(3).collect();
        assert_eq!(words, [md5.as_str(), &frames.to_string(), &format], "{file}");
    }
}

#[test]
fn interlaced_h264_is_exact_or_refused_by_name() {
    let (md5, ..) = goldens().into_iter().find(|g| g.3 == "interlaced.h264").unwrap();
    let result = run(&["decode", &clip("interlaced.h264"), "--md5", "--quiet"]);
    if result.code == Some(0) {
        assert!(result.out().starts_with(&md5), "{}", result.out());
    } else {
        result.refused(3, &["interlaced"]);
    }
}

#[test]
fn frame_checksums_come_one_a_line_with_their_times() {
    let out =
        run(&["decode", &clip("small.h264"), "--frame-md5", "--md5", "-q", "--input-fps", "25"]).ok().out();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 51);
    assert!(lines[0].starts_with("0 0.000000 178x146 yuv420p "), "{}", lines[0]);
    assert!(lines[49].starts_with("49 1.960000 178x146 yuv420p "), "{}", lines[49]);
    assert!(lines[50].starts_with("f13438dce51cba83740e9cf4cc9d2fb3 50 yuv420p "), "{}", lines[50]);
    let unique: std::collections::HashSet<_> = lines[..50].iter().map(|l| l.rsplit(' ').next()).collect();
    assert!(unique.len() > 40, "the frames differ");

    let json = run(&["decode", &clip("small.h264"), "--frame-md5", "--md5", "-q", "--json"]).ok().json();
    assert_eq!(json["md5"], "f13438dce51cba83740e9cf4cc9d2fb3");
    assert_eq!(json["frame_md5"].as_array().unwrap().len(), 50);
    assert!(lines[0].ends_with(json["frame_md5"][0]["md5"].as_str().unwrap()));
}

#[test]
fn files_hold_the_same_bytes_as_the_checksum() {
    let scratch = Scratch::new();
    let yuv = scratch.path("out.yuv");
    run(&["decode", &clip("bars.mp4"), &yuv, "-q"]).ok();
    let bytes = std::fs::read(&yuv).unwrap();
    assert_eq!(bytes.len(), 640 * 360 * 3 / 2 * 120);
    let y4m = scratch.path("out.y4m");
    run(&["decode", &clip("bars.mp4"), &y4m, "-q"]).ok();
    assert_eq!(scratch.names(), ["out.y4m", "out.yuv"]);
    // A Y4M file states its own format; a raw one is the same frames without headers.
    let from_y4m = run(&["decode", &y4m, "--md5", "-q"]).ok().out();
    assert!(from_y4m.starts_with("4c44b66919f1e08e0ceadc8a16ced774 120 yuv420p "), "{from_y4m}");
    let piped = run(&["decode", &clip("bars.mp4"), "-", "--format", "yuv", "-q"]).ok();
    assert!(piped.stdout == bytes, "standard output is the file");
}

#[test]
fn png_sequences_are_numbered_and_readable() {
    let scratch = Scratch::new();
    let json =
        run(&["decode", &clip("small.h264"), &scratch.path("f-%03d.png"), "--frames", "3", "-q", "--json"])
            .ok()
            .json();
    assert_eq!(json["frames_out"], 3);
    let names = scratch.names();
    assert_eq!(names.len(), 3, "{names:?}");
    if have("ffprobe") {
        let args = ["-v", "error", "-show_entries", "stream=width,height,codec_name", "-of", "csv=p=0"];
        let text = tool("ffprobe", &[&args[..], &[&scratch.path(&names[2])]].concat());
        assert_eq!(text.trim(), "png,178,146");
    }
}

#[test]
fn size_rate_and_format_are_changed_and_counted() {
    let args = ["decode", &clip("bars.mp4"), "--md5", "-q", "--json", "--size", "320x180", "--fps", "15"];
    let json =
        run(&[&args[..], &["--pix-fmt", "nv12", "--start", "1", "--duration", "2"]].concat()).ok().json();
    assert_eq!(json["size"], "320x180");
    assert_eq!(json["pix_fmt"], "nv12");
    assert_eq!(json["frames_out"], 30);
    assert_eq!(json["frames_in"], 60);
    assert_eq!(json["dropped"]["frame rate"], 30);
    assert_eq!(json["ledger"]["balances"], true);
    assert_eq!(json["stages"]["filter"]["scaled"], 30);
}

#[test]
fn reports_are_complete() {
    let json = run(&["decode", &clip("bars.mp4"), "--null", "--json"]).ok().json();
    assert_eq!(json["command"], "decode");
    assert_eq!((&json["frames_in"], &json["frames_out"]), (&120.into(), &120.into()));
    assert_eq!(json["decode"]["backend"], "software");
    assert!(json["decode"]["implementation"].as_str().is_some_and(|s| !s.is_empty()));
    let receipt = json["decode"]["receipt"].as_array().unwrap();
    assert!(receipt.iter().any(|e| e["verdict"] == "chosen" && e["candidate"] == "software"));
    assert!(receipt.iter().filter(|e| e["verdict"] == "refused").all(|e| e["reason"].is_string()));
    assert_eq!(json["decode"]["ledger"]["submitted"], 120);
    assert_eq!(json["decode"]["ledger"]["balances"], true);
    assert!(json["stages"]["decode"]["input_queue"]["peak"].as_u64().unwrap() > 0);
    for number in ["wall_s", "fps", "speed", "duration_s"] {
        assert!(json[number].as_f64().unwrap() > 0.0, "{number}");
    }
    assert!((json["duration_s"].as_f64().unwrap() - 4.004).abs() < 0.001, "{}", json["duration_s"]);
}

#[test]
fn metadata_only_decodes_as_many_frames() {
    let json = run(&["decode", &clip("small.h265"), "--null", "--metadata-only", "--json", "-q"]).ok().json();
    assert_eq!(json["frames_out"], 50);
}

#[test]
fn the_summary_says_what_ran_and_what_came_out() {
    let result = run(&["decode", &clip("small.h264"), "--null"]).ok();
    let lines: Vec<_> = result.stderr.lines().collect();
    assert!(lines[0].starts_with("software: h264 ("), "{}", result.stderr);
    assert!(lines[lines.len() - 1].starts_with("50 frames  "), "{}", result.stderr);
    assert!(result.stdout.is_empty());
    assert!(run(&["decode", &clip("small.h264"), "--null", "-q"]).ok().stderr.is_empty());
}

#[test]
fn standard_input_is_read() {
    for (file, frames) in [("small.h264", 50), ("small.h265", 50), ("small-vp9.ivf", 50)] {
        let bytes = std::fs::read(clip(file)).unwrap();
        let json = run_with_stdin(&["decode", "-", "--null", "-q", "--json"], &bytes).ok().json();
        assert_eq!(json["frames_out"], frames, "{file}");
    }
    let json = run_with_stdin(&["decode", "-", "--md5", "-q", "--json"], &y4m(64, 48, 7)).ok().json();
    assert_eq!(json["frames_out"], 7);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut child = common::command(&["decode", &clip("bars.mp4"), "-", "--format", "y4m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let result = common::Run::of(child.wait_with_output().unwrap());
    assert_eq!(result.code, Some(141), "{}", result.stderr);
    assert_eq!(result.stderr, "");
}
