//! The backend of a child ffmpeg from the command line: with the program that is installed, without any, and when the
//! user ends the job. Skipped, loudly, where there is no ffmpeg.

#![cfg(unix)]

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Run, Scratch, clip, command, goldens, have, plays, run, tool, y4m, yuv_frame};

/// The program without any ffmpeg in reach.
fn without(arguments: &[&str]) -> Run {
    let empty = tempfile::tempdir().unwrap();
    Run::of(command(arguments).env("PATH", empty.path()).output().unwrap())
}

#[test]
fn devices_list_the_program_with_its_version_and_what_works() {
    if !have("ffmpeg") {
        return;
    }
    let out = run(&["devices"]).ok().out();
    let at = out.find("ffmpeg        yes").expect(&out);
    let part = &out[at..];
    assert!(part.contains("0  ffmpeg ") && part.contains("/ffmpeg\n") && !part.contains("MiB"), "{out}");
    let json = run(&["devices", "--json"]).ok().json();
    let backends = json["backends"].as_array().unwrap();
    assert_eq!(backends.last().unwrap()["name"], "ffmpeg", "the last resort");
    assert_eq!(backends.last().unwrap()["devices"].as_array().unwrap().len(), 1);
}

#[test]
fn without_the_program_nothing_else_changes() {
    let out = without(&["devices"]).ok().out();
    assert!(out.contains("ffmpeg        no   no ffmpeg on the PATH. Install ffmpeg 4.4 or later"), "{out}");
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(64, 64, 5));
    let output = scratch.path("out.mp4");
    without(&["encode", &input, &output, "-q"]).ok();
    without(&["decode", &output, "--md5", "-q"]).ok();
    let other = scratch.path("other.mp4");
    without(&["encode", &input, &other, "--backend", "ffmpeg"])
        .refused(3, &["no ffmpeg on the PATH", "Install ffmpeg"]);
    // What was asked for is not there; that a program is not installed is not the answer to it.
    let refused = without(&["encode", &input, &other, "--bframes", "2"]);
    assert!(!refused.stderr.contains("no ffmpeg on the PATH"), "{}", refused.stderr);
    refused.refused(3, &["B frames"]);
}

#[test]
fn encode_and_transcode_by_a_named_encoder() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(128, 96, 40));
    let coded = scratch.path("coded.mp4");
    let settings = ["--encoder-preset", "ultrafast", "--crf", "20", "--encoder-option", "aq-mode=0"];
    let named = ["encode", &input, &coded, "--codec", "hevc", "--backend", "ffmpeg", "--encoder", "libx265"];
    let json = run(&[&named[..], &settings, &["--json", "-q"]].concat()).ok().json();
    assert_eq!(json["encode"]["backend"], "ffmpeg", "{json:#}");
    assert_eq!(json["frames_out"], 40, "{json:#}");
    plays(&coded);
    // Named alone it is enough: nothing else has such settings. B frames in an MP4 keep their times.
    let again = scratch.path("again.mp4");
    run(&["transcode", &coded, &again, "--encoder", "libx264", "--bframes", "2", "-q"]).ok();
    plays(&again);
    let times = crate::common::frame_times(&again);
    assert_eq!(times, crate::common::frame_times(&coded));
    let probe =
        tool("ffprobe", &["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", &again]);
    assert_eq!(probe.trim(), "h264");
}

#[test]
fn settings_are_refused_by_name() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(64, 64, 2));
    let output = scratch.path("out.mp4");
    let refused = |options: &[&str], words: &[&str]| {
        run(&[&["encode", &input, &output][..], options].concat()).refused(3, words);
    };
    refused(&["--encoder", "libx265"], &["libx265", "hevc"]);
    refused(&["--encoder", "libnothing"], &["libnothing", "libx264"]);
    refused(&["--encoder", "libx264", "--encoder-preset", "p4"], &["preset", "ultrafast"]);
    refused(&["--encoder", "libx264", "--encoder-option", "stats=x"], &["stats"]);
    run(&["encode", &input, &output, "--encoder-option", "stats"]).refused(2, &["NAME=VALUE"]);
    assert!(!std::path::Path::new(&output).exists());
}

/// The clips have md5 sums made by ffmpeg; through its child they come out the same.
#[test]
fn clips_decode_to_their_sums() {
    if !have("ffmpeg") {
        return;
    }
    for (md5, _, _, name) in goldens() {
        let json = run(&["decode", &clip(&name), "--backend", "ffmpeg", "--md5", "-q"]).ok();
        assert!(json.out().starts_with(&md5), "{name}: {}", json.out());
    }
}

/// What nothing native decodes the child does, by itself, and the receipt tells it. B frames and no times, half pictures
/// and full range among them.
#[test]
fn decoding_of_last_resort_is_told() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    for (name, format, options) in [
        ("in.h265", "yuv422p10le", "-c:v libx265 -x265-params log-level=none"),
        ("in.m2v", "yuv420p", "-c:v mpeg2video -bf 2 -g 12 -f mpeg2video"),
        ("fields.m2v", "yuv422p", "-c:v mpeg2video -bf 2 -flags +ilme+ildct -f mpeg2video"),
        ("in.mp4", "yuv420p", "-c:v mpeg4 -bf 2"),
        ("in.mov", "yuvj420p", "-c:v mjpeg -q:v 3"),
    ] {
        let stream = scratch.path(name);
        let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=2", "-pix_fmt", format];
        let coded: Vec<_> = options.split(' ').chain(["-y", stream.as_str()]).collect();
        tool("ffmpeg", &[&source[..], &coded].concat());
        let wanted = tool("ffmpeg", &["-v", "error", "-i", &stream, "-f", "md5", "-"]);
        let wanted = wanted.trim().trim_start_matches("MD5=");
        let result = run(&["decode", &stream, "--md5", "-v"]).ok();
        assert!(result.out().starts_with(wanted), "{name}: {} {wanted}", result.out());
        let told = &result.stderr;
        assert!(told.contains("ffmpeg") && told.contains("software: no decode"), "{name}: {told}");
    }
}

/// Ctrl-C at a terminal reaches the whole group of processes; the child is not in it, and the file is completed.
#[test]
fn ctrl_c_leaves_a_complete_file() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let options = ["--size", "128x96", "--pix-fmt", "yuv420p", "--fps", "25", "--encoder", "libx264"];
    let mut job = command(&[&["encode", "-", &output][..], &options].concat());
    let mut job = job
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = job.stdin.take().unwrap();
    let group = format!("-{}", job.id());
    let feeder = std::thread::spawn(move || {
        for number in 0.. {
            // Ends when the program takes no more.
            if input.write_all(&yuv_frame(128, 96, number)).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
            if number == 100 {
                let sent = Command::new("kill").args(["-INT", "--", &group]).status();
                assert!(sent.unwrap().success());
            }
            assert!(number < 10_000, "it never ended");
        }
    });
    let ended = job.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
    plays(&output);
    assert!(crate::common::frame_times(&output).len() >= 50);
}
