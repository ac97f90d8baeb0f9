//! Parts of streams in which few pictures can be decoded alone, and of streams that state little about themselves.

use std::process::Command;

use crate::common::{Scratch, have, run, run_with_stdin, tool};

/// 60 frames of 25 a second by ffmpeg, of this encoder.
fn film(scratch: &Scratch, name: &str, video: &str) -> Option<String> {
    if !have("ffmpeg") {
        return None;
    }
    let encoder = video.split(' ').nth(1).unwrap();
    if !tool("ffmpeg", &["-v", "error", "-hide_banner", "-encoders"]).contains(encoder) {
        let skipped = format!("SKIPPED: this ffmpeg has no {encoder}\n");
        std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes()).unwrap();
        return None;
    }
    let output = scratch.path(name);
    let args = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=96x80:r=25:d=2.4", "-threads", "1"];
    let made =
        Command::new("ffmpeg").args(args).args(video.split(' ')).args(["-y", &output]).output().unwrap();
    assert!(made.status.success(), "{video}: {}", String::from_utf8_lossy(&made.stderr));
    Some(output)
}

/// MD5 of each frame that ffmpeg decodes.
fn frames(file: &str) -> Vec<String> {
    let args = ["-v", "error", "-i", file, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-"];
    let text = tool("ffmpeg", &args);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// Number, time and MD5 of each frame that this program decodes.
fn decoded(args: &[&str]) -> Vec<(usize, f64, String)> {
    let run = run(&[&["decode"], args, &["--frame-md5", "-q"]].concat()).ok();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let frame = |words: Vec<String>| (words[0].parse().unwrap(), words[1].parse().unwrap(), words[4].clone());
    run.out().lines().map(|line| frame(words(line))).collect()
}

const REFRESH: &str =
    "-c:v libx264 -preset ultrafast -x264-params intra-refresh=1:keyint=20:bframes=0:scenecut=0";
const OPEN: &str = "-c:v mpeg2video -bf 2 -g 12 -sc_threshold 1000000000";

/// The first group without the pictures that the leading ones refer to.
fn joined_late(scratch: &Scratch, name: &str) -> Option<String> {
    let whole = film(scratch, "whole.ts", OPEN)?;
    let output = scratch.path(name);
    tool("ffmpeg", &["-v", "error", "-ss", "0.5", "-i", &whole, "-c", "copy", "-y", &output]);
    Some(output)
}

#[test]
fn a_copy_of_a_gradual_refresh_begins_at_an_idr_picture() {
    for name in ["a.mp4", "a.ts", "a.h264"] {
        let scratch = Scratch::new();
        let Some(input) = film(&scratch, name, REFRESH) else { return };
        let all = frames(&input);
        let output = scratch.path("out.mp4");
        let part = ["--start", "2", "--duration", "0.3", "-q"];
        run(&[&["trim", &input, &output, "--copy"], &part[..]].concat()).ok();
        assert_eq!(frames(&output), all[50..58], "{name}");
        let exact = scratch.path("exact.mkv");
        run(&[&["trim", &input, &exact, "--copy", "--exact"], &part[..]].concat()).ok();
        assert_eq!(frames(&exact).len(), 8, "{name}");
    }
}

#[test]
fn a_part_without_a_frame_is_an_error() {
    let scratch = Scratch::new();
    let Some(video) = film(&scratch, "v.mp4", "-c:v libx264 -preset ultrafast -g 10") else { return };
    let input = scratch.path("sound.mp4");
    tool(
        "ffmpeg",
        &[
            "-v", "error", "-i", &video, "-f", "lavfi", "-i", "sine=d=5", "-c:v", "copy", "-c:a", "aac",
            &input,
        ],
    );
    let before = scratch.names();
    for output in ["out.mp4", "out.ts"].map(|name| scratch.path(name)) {
        for exact in [&["--copy"][..], &["--copy", "--exact"]] {
            for part in [["--start", "4", "--duration", "0.5"], ["--start", "0.041", "--duration", "0.01"]] {
                let command = [&["trim", &input, &output, "-q"], exact, &part].concat();
                run(&command).refused(2, &["no frame of", "is shown between"]);
                assert_eq!(scratch.names(), before, "{command:?}");
            }
        }
    }
}

#[test]
fn a_part_keeps_parameter_sets_that_are_stated_once() {
    let scratch = Scratch::new();
    let Some(repeated) = film(&scratch, "in.h264", "-c:v libx264 -preset ultrafast -g 10 -bf 0 -f h264")
    else {
        return;
    };
    // Parameter sets behind the first access unit go.
    let data = std::fs::read(&repeated).unwrap();
    let mut once = Vec::new();
    let starts: Vec<usize> = (0..data.len() - 3).filter(|at| data[*at..].starts_with(&[0, 0, 1])).collect();
    for (number, at) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(data.len());
        if number < 4 || !matches!(data[at + 3] & 31, 7 | 8) {
            once.extend_from_slice(&data[*at..end]);
        }
    }
    let raw = scratch.file("once.h264", &once);
    let all = frames(&raw);
    let ts = scratch.path("once.ts");
    run(&["transcode", &raw, &ts, "--copy", "-q"]).ok();
    for (number, output) in ["o.h264", "o.ts", "o.mkv", "o.mp4"].iter().enumerate() {
        let output = scratch.path(output);
        let part = ["--copy", "--start", "1.2", "--duration", "0.4", "-q", "-y"];
        for input in [&raw, &ts, "-"] {
            let command = [&["trim", input, &output], &part[..]].concat();
            if input == "-" {
                run_with_stdin(&command, &once).ok()
            } else {
                run(&command).ok()
            };
            assert_eq!(frames(&output), all[30..40], "{number}: {input} to {output}");
        }
    }
    let exact = scratch.path("exact.ts");
    run(&["trim", &ts, &exact, "--copy", "--exact", "--start", "1.32", "--duration", "0.6", "-q"]).ok();
    assert_eq!(frames(&exact)[7..], all[40..48]);
    let started = decoded(&[&ts, "--start", "1.2", "--duration", "0.4"]);
    assert_eq!(started.len(), 10);
}

#[test]
fn an_exact_cut_takes_any_stated_rate() {
    let scratch = Scratch::new();
    let Some(video) = film(&scratch, "v.mp4", "-c:v libx264 -preset ultrafast -g 10 -bf 0") else { return };
    for rate in ["1/100000", "2000000000", "1/2000000000"] {
        let (input, output) = (scratch.path("rate.mp4"), scratch.path("out.mkv"));
        let filter = format!("h264_metadata=tick_rate={rate}");
        tool("ffmpeg", &["-v", "error", "-i", &video, "-c", "copy", "-bsf:v", &filter, "-y", &input]);
        for encoder in ["software", "ffmpeg"] {
            let part = ["--start", "0.2", "--duration", "1", "--encoder-backend", encoder, "-q", "-y"];
            run(&[&["trim", &input, &output, "--copy", "--exact"], &part[..]].concat()).ok();
            assert_eq!(frames(&output).len(), 25, "{rate} {encoder}");
        }
    }
}

#[test]
fn frames_of_an_open_group_at_the_start_are_not_counted() {
    let scratch = Scratch::new();
    for name in ["late.ts", "late.m2v", "late.mkv"] {
        let Some(input) = joined_late(&scratch, name) else { return };
        let all = decoded(&[&input]);
        assert_eq!(all.len(), frames(&input).len(), "{name}");
        let chosen = decoded(&[&input, "--frames-at", "0,1,5,30"]);
        assert_eq!(
            chosen.iter().map(|one| &one.2).collect::<Vec<_>>(),
            [0, 1, 5, 30].map(|at| &all[at].2),
            "{name}"
        );
        let every = decoded(&[&input, "--every", "500ms"]);
        let at =
            |number: usize| all.iter().rfind(|one| one.1 <= all[0].1 + number as f64 * 0.5 + 0.001).unwrap();
        assert_eq!(every[0].2, all[0].2, "{name}");
        assert!(every.iter().enumerate().all(|(number, one)| one.2 == at(number).2), "{name}: {every:?}");
        run(&[
            "thumbnails",
            &input,
            &scratch.path("sheet.png"),
            "--grid",
            "8x8",
            "--width",
            "32",
            "-q",
            "-y",
        ])
        .ok();
    }
}

#[test]
fn a_raw_mpeg_stream_has_the_rate_of_its_header() {
    let scratch = Scratch::new();
    for (name, encoder) in [("a.m2v", "mpeg2video"), ("a.m1v", "mpeg1video")] {
        let Some(input) = film(&scratch, name, &format!("-c:v {encoder} -r 50")) else { return };
        let times: Vec<f64> = decoded(&[&input]).iter().map(|one| one.1).collect();
        assert!((times[10] - 0.2).abs() < 0.001, "{name}: {times:?}");
        let part = decoded(&[&input, "--start", "0.2", "--duration", "0.1"]);
        assert_eq!(part.len(), 5, "{name}");
    }
}

#[test]
fn intervals_begin_with_the_first_frame() {
    let scratch = Scratch::new();
    let Some(input) = film(&scratch, "late.mkv", "-c:v libx264 -preset ultrafast -output_ts_offset 3.23")
    else {
        return;
    };
    let all = decoded(&[&input]);
    let every = decoded(&[&input, "--every", "1s"]);
    assert_eq!(every.iter().map(|one| one.0).collect::<Vec<_>>(), [0, 25, 50]);
    assert_eq!(every[0].2, all[0].2);
}
