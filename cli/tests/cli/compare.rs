//! `compare`: ffmpeg's filters as the judge of every number, and what goes wrong.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::common::{Scratch, clip, command, goldens, have, run, run_with_stdin, tool, y4m};
use serde_json::Value;

/// Values by name, as a filter's log has them: `psnr_avg:31.80`, `Y:0.604503`.
type Values = BTreeMap<String, f64>;

fn values(line: &str) -> Values {
    line.split_whitespace()
        .filter_map(|word| {
            let (name, value) = word.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.parse().ok()?))
        })
        .collect()
}

/// What ffmpeg's filters say about two inputs, each given with its input options. Frames are paired by number. By their
/// C code: the SSE4 code of ffmpeg 5.1 sums SSIM wrongly where the windows of a row are one more than a multiple of four
/// (the chroma of 178x146: U 0.699 for 0.673).
struct Judged {
    psnr: Values,
    ssim: Values,
    psnr_frames: Vec<Values>,
    ssim_frames: Vec<Values>,
}

#[track_caller]
fn judge(scratch: &Scratch, reference: &[&str], distorted: &[&str]) -> Judged {
    let (psnr_log, ssim_log) = (scratch.path("psnr.log"), scratch.path("ssim.log"));
    let times = "settb=1/90000,setpts=N*3600,split";
    let graph = format!(
        "[0:v]{times}[a][b];[1:v]{times}[c][d];[a][c]psnr=stats_file={psnr_log}[p];[b][d]ssim=stats_file={ssim_log}[s]"
    );
    let mut all = vec!["-hide_banner", "-nostats", "-cpuflags", "0", "-v", "info", "-noautorotate"];
    all.extend_from_slice(distorted);
    all.push("-noautorotate");
    all.extend_from_slice(reference);
    all.extend(["-lavfi", &graph, "-map", "[p]", "-f", "null", "-", "-map", "[s]", "-f", "null", "-"]);
    let output = Command::new("ffmpeg").args(&all).stdin(Stdio::null()).output().expect("ffmpeg starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let total = |word: &str| {
        let line = text.lines().filter_map(|line| line.split_once(word)).next_back();
        values(line.unwrap_or_else(|| panic!("no {word}: {text}")).1)
    };
    let frames = |path: &str| std::fs::read_to_string(path).unwrap().lines().map(values).collect();
    Judged {
        psnr: total("] PSNR "),
        ssim: total("] SSIM "),
        psnr_frames: frames(&psnr_log),
        ssim_frames: frames(&ssim_log),
    }
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("inf") => f64::INFINITY,
        _ => value.as_f64().unwrap_or(f64::NAN),
    }
}

#[track_caller]
fn near(what: &str, ours: f64, theirs: f64, limit: f64) {
    let same = ours.is_infinite() && theirs.is_infinite();
    assert!(same || (ours - theirs).abs() <= limit, "{what}: ours {ours}, ffmpeg's {theirs}");
}

/// Runs `compare` with these arguments and holds everything against ffmpeg.
#[track_caller]
fn agrees(scratch: &Scratch, arguments: &[&str], judged: &Judged) -> Value {
    let log = scratch.path("frames.jsonl");
    let mut all = vec!["compare"];
    all.extend_from_slice(arguments);
    all.extend(["--json", "--quiet", "-y", "--jsonl", &log]);
    let json = run(&all).ok().json();
    let file = &json["files"][0];
    let what = |name: &str| format!("{arguments:?} {name}");
    for (name, theirs) in &judged.psnr {
        if name == "min" || name == "max" {
            continue; // Of the frames; those are looked at below.
        }
        near(&what(name), number(&file["psnr"][name]), *theirs, 0.001);
    }
    near(&what("worst"), number(&file["psnr"]["worst"]["average"]), judged.psnr["min"], 0.001);
    for (name, theirs) in &judged.ssim {
        near(&what(name), number(&file["ssim"][name]), *theirs, 0.0001);
    }
    let lines: Vec<Value> = std::fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is one document"))
        .collect();
    assert_eq!(lines.len(), judged.psnr_frames.len(), "{arguments:?}");
    assert_eq!(file["pairs"], lines.len());
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(line["frame"], n);
        for (name, theirs) in &judged.psnr_frames[n] {
            // Two places are logged.
            if let Some(plane) = name.strip_prefix("psnr_") {
                let plane = if plane == "avg" { "average" } else { plane };
                near(&what(name), number(&line["psnr"][plane]), *theirs, 0.0051);
            }
        }
        for (name, theirs) in judged.ssim_frames[n].iter().filter(|(name, _)| *name != "n") {
            near(&what(name), number(&line["ssim"][name]), *theirs, 0.0001);
        }
    }
    json
}

/// The clips of the repository against noisy copies of themselves: 8 and 10 bit, B frames, interlaced, VFR, and every
/// codec.
#[test]
fn every_clip_scores_as_in_ffmpeg() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    for (_, frames, format, file) in goldens() {
        let (input, noisy) = (clip(&file), scratch.path(&format!("{file}.y4m")));
        let filter = format!("settb=1/25,setpts=N,setfield=prog,noise=alls=25:allf=t,format={format}");
        let words =
            ["-v", "error", "-y", "-noautorotate", "-i", &input, "-fps_mode", "passthrough", "-vf", &filter];
        tool("ffmpeg", &[&words[..], &["-strict", "-1", "-f", "yuv4mpegpipe", &noisy]].concat());
        let judged = judge(&scratch, &["-i", &input], &["-i", &noisy]);
        let json = agrees(&scratch, &[&input, &noisy, "--by-index"], &judged);
        assert_eq!(json["files"][0]["pairs"], frames, "{file}");
        assert_eq!(json["files"][0]["pix_fmt"], format.as_str());
        assert_eq!(json["files"][0]["matched_by"], "index");
    }
}

/// Formats and sizes that no clip has: 4:2:2, 4:4:4, grey, RGB, odd sizes.
#[test]
fn every_format_and_odd_sizes_score_as_in_ffmpeg() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let formats = [
        "yuv420p",
        "yuv422p",
        "yuv444p",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p10le",
        "yuv420p12le",
        "nv12",
        "gray",
        "gray10le",
        "rgb24",
        "bgr24",
    ];
    for (format, size) in formats.into_iter().flat_map(|f| [(f, "97x75"), (f, "64x48")]) {
        let (a, b) = (scratch.path("a.yuv"), scratch.path("b.yuv"));
        for (path, filter) in [(&a, "null"), (&b, "noise=alls=40:allf=t,boxblur=1")] {
            // The source makes even sizes only.
            let (width, height) = size.split_once('x').unwrap();
            let source = "testsrc2=size=128x96:rate=25:duration=0.2";
            let filter = format!("format=gbrp,crop={width}:{height}:0:0,{filter},format={format}");
            let words = ["-v", "error", "-y", "-f", "lavfi", "-i", source, "-vf", &filter];
            tool("ffmpeg", &[&words[..], &["-f", "rawvideo", path]].concat());
        }
        let raw = |path| ["-f", "rawvideo", "-pix_fmt", format, "-s", size, "-r", "25", "-i", path];
        let judged = judge(&scratch, &raw(&a), &raw(&b));
        let layout = ["--size", size, "--pix-fmt", format, "--fps", "25"];
        let json = agrees(&scratch, &[&[&a[..], &b][..], &layout].concat(), &judged);
        assert_eq!(json["files"][0]["pairs"], 5, "{format}");
        assert_eq!(json["files"][0]["bitrate_bps"], Value::Null);
        assert_eq!(json["files"][0]["matched_by"], "time");
    }
}

#[test]
fn identical_pictures_and_opposites() {
    let scratch = Scratch::new();
    let flat = |name: &str, value: u8| scratch.file(name, &[value; 2 * 32 * 32 * 3 / 2]);
    let (black, white) = (flat("black.yuv", 0), flat("white.yuv", 255));
    let layout = ["--size", "32x32", "--pix-fmt", "yuv420p", "--fps", "25"];
    let compare =
        |a: &str, b: &str, more: &[&str]| run(&[&["compare", a, b, "-q"][..], &layout, more].concat());
    let json = compare(&black, &black, &["--json"]).ok().json();
    assert_eq!(json["files"][0]["psnr"]["average"], "inf");
    assert_eq!(json["files"][0]["ssim"]["all"], 1.0);
    assert_eq!(json["files"][0]["ssim"]["db"], "inf");
    assert_eq!(json["files"][0]["identical_pairs"], 2);
    assert!(compare(&black, &black, &[]).ok().out().contains("inf"));
    let json = compare(&black, &white, &["--json"]).ok().json();
    assert!(number(&json["files"][0]["psnr"]["average"]).abs() < 1e-9);
    assert_eq!(json["files"][0]["identical_pairs"], 0);
    if have("ffmpeg") {
        let raw = |path| ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "32x32", "-r", "25", "-i", path];
        for other in [&black, &white] {
            let judged = judge(&scratch, &raw(&black), &raw(other));
            agrees(&scratch, &[&[&black[..], other][..], &layout].concat(), &judged);
        }
    }
}

/// B frames, uneven times, and the bit rate, in one real encode.
#[test]
fn an_uneven_clip_with_b_frames_is_matched_by_time_and_its_bit_rate_is_that_of_the_track() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    for file in ["bars.mp4", "vfr-rotated.mp4", "vfr-fragmented.mp4"] {
        let (input, out) = (clip(file), scratch.path("out.mp4"));
        let words = ["-v", "error", "-y", "-noautorotate", "-i", &input, "-an", "-fps_mode", "passthrough"];
        let codec = ["-enc_time_base", "1/90000", "-c:v", "libx264", "-crf", "38", "-bf", "3", &out];
        tool("ffmpeg", &[&words[..], &codec].concat());
        let judged = judge(&scratch, &["-i", &input], &["-i", &out]);
        // The fragmented clip has no edit list, so that it begins with the delay of its B frames; its copy does not.
        if file == "vfr-fragmented.mp4" {
            let result = run(&["compare", &input, &out]).ok();
            assert!(result.stderr.contains("begins at 0.110 s") && result.stderr.contains("--by-index"));
            agrees(&scratch, &[&input, &out, "--by-index"], &judged);
            continue;
        }
        let json = agrees(&scratch, &[&input, &out], &judged);
        let file = &json["files"][0];
        assert_eq!(file["matched_by"], "time");
        assert_eq!(
            (&file["only_in_reference"]["count"], &file["only_in_file"]["count"]),
            (&0.into(), &0.into())
        );
        let args =
            ["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=size", "-of", "csv=p=0", &out];
        let sizes = tool("ffprobe", &args);
        let bytes: u64 = sizes.lines().filter_map(|l| l.trim_end_matches(',').parse::<u64>().ok()).sum();
        assert_eq!(file["video_bytes"], bytes);
        let args = [
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-show_entries",
            "stream=duration",
            "-of",
            "csv=p=0",
            &out,
        ];
        let duration: f64 = tool("ffprobe", &args).trim().trim_end_matches(',').parse().unwrap();
        near("duration", file["duration_s"].as_f64().unwrap(), duration, 0.05);
        near(
            "bit rate",
            file["bitrate_bps"].as_f64().unwrap(),
            bytes as f64 * 8.0 / duration,
            0.03 * 8.0 * bytes as f64,
        );
    }
}

/// Frames left out: the others still find their partners, and the lonely ones are named.
#[test]
fn half_the_frames_are_matched_by_time_and_the_rest_is_named() {
    let scratch = Scratch::new();
    let whole = scratch.file("whole.y4m", &y4m(64, 48, 10));
    // Every other frame of the same stream, at half its rate.
    let header = b"YUV4MPEG2 W64 H48 F15:1 Ip A1:1 C420jpeg\n";
    let mut half = header.to_vec();
    for n in (0..10).step_by(2) {
        half.extend_from_slice(b"FRAME\n");
        half.extend(crate::common::yuv_frame(64, 48, n));
    }
    let half = scratch.file("half.y4m", &half);
    let result = run(&["compare", &whole, &half, "--json"]).ok();
    let file = &result.json()["files"][0];
    assert_eq!((&file["pairs"], &file["identical_pairs"]), (&5.into(), &5.into()));
    assert_eq!(file["only_in_reference"]["count"], 5);
    assert_eq!(file["only_in_file"]["count"], 0);
    let first: Vec<_> = file["only_in_reference"]["first_s"].as_array().unwrap().iter().map(number).collect();
    assert!((first[0] - 1.0 / 30.0).abs() < 1e-9 && first.len() == 5, "{first:?}");
    for word in ["warning: 5 frames", "whole.y4m", "0.033"] {
        assert!(result.stderr.contains(word), "no {word:?} in {}", result.stderr);
    }
    // The other way around, and by number, where different pictures meet.
    let json = run(&["compare", &half, &whole, "-q", "--json"]).ok().json();
    assert_eq!(json["files"][0]["only_in_file"]["count"], 5);
    assert_eq!(json["files"][0]["identical_pairs"], 5);
    let json = run(&["compare", &whole, &half, "--by-index", "-q", "--json"]).ok().json();
    assert_eq!(json["files"][0]["identical_pairs"], 1);
    assert_eq!(json["files"][0]["only_in_reference"]["count"], 5);
}

#[test]
fn parts_of_the_input_and_the_bit_rate_of_a_part() {
    let (input, scratch) = (clip("bars.mp4"), Scratch::new());
    let json =
        run(&["compare", &input, &input, "--start", "1", "--duration", "1.5", "-q", "--json"]).ok().json();
    let file = &json["files"][0];
    assert_eq!(file["pairs"], 45);
    let all = run(&["compare", &input, &input, "-q", "--json"]).ok().json();
    let (part, all) =
        (file["video_bytes"].as_u64().unwrap(), all["files"][0]["video_bytes"].as_u64().unwrap());
    assert!(part > 0 && part < all / 2, "{part} of {all}");
    near("duration", file["duration_s"].as_f64().unwrap(), 1.5, 0.05);
    let csv = scratch.path("frames.csv");
    let json = run(&["compare", &input, &input, "--frames", "7", "-q", "--json", "--csv", &csv]).ok().json();
    assert_eq!(json["files"][0]["pairs"], 7);
    assert_eq!(json["files"][0]["only_in_reference"]["count"], 0);
    assert!(json["files"][0]["video_bytes"].as_u64().unwrap() < all / 2);
    let text = std::fs::read_to_string(&csv).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 8);
    let columns = |line: &str| line.split(',').count();
    assert!(lines.iter().all(|line| columns(line) == columns(lines[0])), "{text}");
    assert!(lines[0].starts_with("file,frame,ref_s,dist_s,psnr_y,"), "{}", lines[0]);
    // One metric alone, on standard output; the table goes elsewhere.
    let out =
        run(&["compare", &input, &input, "--frames", "2", "-q", "--metrics", "ssim", "--csv", "-"]).ok();
    assert!(out.out().starts_with("file,frame,ref_s,dist_s,ssim_y,ssim_u,ssim_v,ssim_all,ssim_db\n"));
    assert!(out.stderr.contains("reference: ") && !out.stderr.contains("PSNR"), "{}", out.stderr);
}

#[test]
fn streams_without_times_are_matched_by_number_and_say_so() {
    let (timed, scratch) = (clip("small.h264"), Scratch::new());
    let json = run(&["compare", &timed, &clip("small.h265"), "-q", "--json"]).ok().json();
    assert_eq!(json["files"][0]["matched_by"], "time", "their headers state a rate");
    assert!(json["files"][0]["bitrate_bps"].as_f64().unwrap() > 1000.0);
    if !have("ffmpeg") {
        return;
    }
    let timeless = scratch.path("timeless.h265");
    let params = "log-level=error:vui-timing-info=0";
    tool("ffmpeg", &["-v", "error", "-i", &timed, "-c:v", "libx265", "-x265-params", params, &timeless]);
    let result = run(&["compare", &timed, &timeless, "--json"]).ok();
    assert_eq!(result.json()["files"][0]["matched_by"], "index");
    assert_eq!(result.json()["files"][0]["pairs"], 50);
    assert!(result.stderr.contains("timeless.h265 carries no times"), "{}", result.stderr);
    let json = run(&["compare", &timed, &timeless, "--input-fps", "25", "-q", "--json"]).ok().json();
    assert_eq!((&json["files"][0]["matched_by"], &json["files"][0]["pairs"]), (&"time".into(), &50.into()));
}

#[test]
fn other_sizes_are_refused_or_scaled() {
    let scratch = Scratch::new();
    let (large, small) = (scratch.file("a.y4m", &y4m(64, 48, 3)), scratch.file("b.y4m", &y4m(32, 24, 3)));
    run(&["compare", &large, &small]).refused(2, &["b.y4m", "32x24", "64x48", "--scale-to-ref"]);
    let result = run(&["compare", &large, &small, "--scale-to-ref", "--json"]).ok();
    assert_eq!(result.json()["files"][0]["size"], "64x48");
    assert!(result.stderr.contains("b.y4m is scaled to 64x48 (bicubic)"), "{}", result.stderr);
    // The same picture at half the size is still like it.
    assert!(number(&result.json()["files"][0]["ssim"]["all"]) > 0.5);
}

#[test]
fn other_depths_are_converted_and_say_so() {
    let (eight, ten) = (clip("small.h265"), clip("small-10bit.h265"));
    let result = run(&["compare", &eight, &ten, "--json"]).ok();
    assert!(result.stderr.contains("converted from yuv420p10le to yuv420p"), "{}", result.stderr);
    assert_eq!(result.json()["files"][0]["pix_fmt"], "yuv420p");
    assert!(number(&result.json()["files"][0]["psnr"]["average"]) > 25.0);
    let json = run(&["compare", &ten, &eight, "--json", "-q"]).ok().json();
    assert_eq!(json["files"][0]["pix_fmt"], "yuv420p10le");
}

#[test]
fn threads_change_nothing() {
    let (a, b) = (clip("small.h264"), clip("small.h265"));
    let scores = |threads: &str| {
        let json = run(&["compare", &a, &b, "--threads", threads, "-q", "--json"]).ok().json();
        (
            json["files"][0]["psnr"].clone(),
            json["files"][0]["ssim"].clone(),
            json["files"][0]["threads"].clone(),
        )
    };
    let (one, five) = (scores("1"), scores("5"));
    assert_eq!((&one.0, &one.1), (&five.0, &five.1));
    assert_eq!((one.2, five.2), (1.into(), 5.into()));
}

#[test]
fn a_gate_for_quality_fails_with_its_own_code() {
    let (a, b) = (clip("small.h264"), clip("small.h265"));
    run(&["compare", &a, &b, "-q", "--min-psnr", "10", "--min-ssim", "0.1"]).ok();
    let result = run(&["compare", &a, &b, "-q", "--min-psnr", "90"]);
    assert_eq!(result.code, Some(6), "{}", result.stderr);
    assert!(result.stderr.contains("small.h265: PSNR") && result.stderr.contains("--min-psnr 90"));
    let result = run(&["compare", &a, &b, "-q", "--min-ssim", "0.9999", "--metrics", "psnr", "--json"]);
    assert_eq!(result.code, Some(6));
    assert_eq!(result.json()["exit_code"], 6);
    assert!(result.json()["below"][0].as_str().unwrap().contains("--min-ssim"));
}

#[test]
fn two_curves_have_a_bd_rate_and_a_chart() {
    if !have("ffmpeg") {
        return;
    }
    let (scratch, input) = (Scratch::new(), clip("bars.mp4"));
    let encode = |codec: &str, q: u32| {
        let out = scratch.path(&format!("{codec}-{q}.mp4"));
        let (crf, log) = (q.to_string(), "log-level=error");
        let mut words = vec!["-v", "error", "-i", &input, "-an", "-t", "1", "-c:v", codec, "-crf", &crf];
        if codec == "libx265" {
            words.extend(["-x265-params", log]);
        }
        tool("ffmpeg", &[&words[..], &["-preset", "veryfast", &out]].concat());
        out
    };
    let group = |codec: &str| [22, 27, 32, 37].map(|q| encode(codec, q));
    let (anchor, test) = (group("libx264"), group("libx265"));
    let svg = scratch.path("rd.svg");
    let mut words = vec!["compare", &input, "--duration", "1", "--plot", &svg, "--anchor"];
    words.extend(anchor.iter().map(String::as_str));
    words.push("--test");
    words.extend(test.iter().map(String::as_str));
    let result = run(&words).ok();
    assert!(
        result.out().contains("libx265 against libx264") && result.out().contains("% (pchip)"),
        "{}",
        result.out()
    );
    words.extend(["--json", "-q", "-y"]);
    let json = run(&words).ok().json();
    assert_eq!(
        (&json["bd_rate"]["anchor"], &json["bd_rate"]["test"]),
        (&"libx264".into(), &"libx265".into())
    );
    assert_eq!(json["files"].as_array().unwrap().len(), 8);
    for quality in ["psnr_y", "psnr_average", "ssim_db"] {
        let over = &json["bd_rate"]["over"][quality];
        for method in ["pchip", "cubic"] {
            let rate = over["rate_percent"][method].as_f64().unwrap();
            assert!(rate.abs() < 95.0, "{over}");
            assert!(over["quality"][method].as_f64().unwrap().abs() < 20.0, "{over}");
        }
    }
    let text = std::fs::read_to_string(&svg).unwrap();
    assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
    assert_eq!(text.matches("<circle").count(), 16);
    // A curve against itself costs nothing more.
    let mut words = vec!["compare", &input, "--duration", "1", "-q", "--json", "--anchor"];
    words.extend(anchor.iter().map(String::as_str));
    words.push("--test");
    words.extend(anchor.iter().map(String::as_str));
    let json = run(&words).ok().json();
    assert!(json["bd_rate"]["over"]["psnr_y"]["rate_percent"]["pchip"].as_f64().unwrap().abs() < 1e-9);
}

#[test]
fn curves_without_a_distance_say_why() {
    let scratch = Scratch::new();
    let raw: Vec<_> = (0..4).map(|n| scratch.file(&format!("{n}.y4m"), &y4m(32, 32, 2))).collect();
    let mut words = vec!["compare", &raw[0], "-q", "--anchor"];
    words.extend(raw.iter().map(String::as_str));
    words.push("--test");
    words.extend(raw.iter().map(String::as_str));
    let result = run(&words);
    assert_eq!(result.code, Some(1), "{}", result.stderr);
    assert!(
        result.stderr.contains("no BD-rate") && result.stderr.contains("has no bit rate"),
        "{}",
        result.stderr
    );
}

#[test]
fn quality_over_time_is_drawn_for_one_file() {
    let scratch = Scratch::new();
    let svg = scratch.path("time.svg");
    run(&["compare", &clip("small.h264"), &clip("small.h265"), "--plot", &svg, "-q"]).ok();
    let text = std::fs::read_to_string(&svg).unwrap();
    assert!(text.contains("over time") && text.contains("small.h265"), "{text}");
    run(&["compare", &clip("small.h264"), &clip("small.h265"), "--plot", &svg, "-q"])
        .refused(2, &["time.svg exists already", "--overwrite"]);
}

#[test]
fn what_cannot_be_read_is_told_by_its_name() {
    let scratch = Scratch::new();
    let good = scratch.file("good.y4m", &y4m(32, 32, 2));
    let text = scratch.file("text.mp4", b"Dear diary, today I saw a film.\nIt was long.\n");
    let empty = scratch.file("empty.mp4", b"");
    let hollow = scratch.file("hollow.y4m", b"YUV4MPEG2 W32 H32 F30:1 Ip A1:1 C420jpeg\n");
    let gone = scratch.path("gone.mp4");
    for (file, word) in [
        (&gone, "gone.mp4"),
        (&text, "text"),
        (&empty, "empty.mp4 is empty"),
        (&hollow, "hollow.y4m holds no frame"),
    ] {
        let csv = scratch.path("frames.csv");
        run(&["compare", &good, file, "--csv", &csv]).refused(1, &[word]);
        run(&["compare", file, &good, "--csv", &csv]).refused(1, &[word]);
        assert!(!std::path::Path::new(&csv).exists(), "a failed run leaves nothing");
    }
    let json = run(&["compare", &good, &gone, "--json"]).json();
    assert_eq!((&json["exit_code"], &json["error"]["kind"]), (&1.into(), &"io".into()));
    let raw = scratch.file("a.yuv", &[0; 1536]);
    run(&["compare", &good, &raw]).refused(2, &["a.yuv", "--size", "--pix-fmt", "--fps"]);
    let mut cut = y4m(32, 32, 3);
    cut.truncate(cut.len() - 100);
    let cut = scratch.file("cut.y4m", &cut);
    run(&["compare", &good, &cut]).refused(1, &["cut.y4m"]);
}

#[test]
fn wrong_arguments_are_refused() {
    let scratch = Scratch::new();
    let (a, b) = (scratch.file("a.y4m", &y4m(32, 32, 2)), scratch.file("b.y4m", &y4m(32, 32, 2)));
    run(&["compare", "-", "-"]).refused(2, &["standard input"]);
    run(&["compare", "-", &a, &b]).refused(2, &["standard input", "REF"]);
    run(&["compare", &a, &b, "--csv", "-", "--jsonl", "-"]).refused(2, &["standard output"]);
    let twice = scratch.path("x");
    run(&["compare", &a, &b, "--csv", &twice, "--plot", &twice]).refused(2, &["twice"]);
    run(&["compare", &a, &b, "--csv", &a, "-y"]).refused(2, &["a.y4m", "itself"]);
    run(&["compare", &a, &b, "--min-psnr", "much"]).refused(2, &["--min-psnr", "40"]);
    let tiny = scratch.file("tiny.y4m", &y4m(14, 14, 2));
    run(&["compare", &tiny, &tiny]).refused(2, &["8x8", "7x7"]);
    run(&["compare", &tiny, &tiny, "--metrics", "psnr", "-q"]).ok();
    assert_eq!(scratch.names(), ["a.y4m", "b.y4m", "tiny.y4m"]);
}

#[test]
fn times_that_never_meet_are_explained() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let reference = scratch.file("a.y4m", &y4m(64, 64, 5));
    let late = scratch.path("late.mp4");
    let words = ["-v", "error", "-i", &reference, "-c:v", "libx264", "-output_ts_offset", "10", &late];
    tool("ffmpeg", &words);
    run(&["compare", &reference, &late]).refused(1, &["late.mp4", "half a frame", "10.0", "--by-index"]);
    let json = run(&["compare", &reference, &late, "--by-index", "-q", "--json"]).ok().json();
    assert_eq!(json["files"][0]["pairs"], 5);
}

#[test]
fn standard_input_can_be_judged() {
    let scratch = Scratch::new();
    let film = y4m(32, 32, 4);
    let reference = scratch.file("a.y4m", &film);
    let result = run_with_stdin(&["compare", &reference, "-", "-q", "--json"], &film).ok();
    assert_eq!(result.json()["files"][0]["identical_pairs"], 4);
    assert_eq!(result.json()["files"][0]["bitrate_bps"], Value::Null);
    let raw: Vec<u8> = (0..4).flat_map(|n| crate::common::yuv_frame(32, 32, n)).collect();
    let layout = ["--size", "32x32", "--pix-fmt", "yuv420p", "--fps", "30"];
    let words = [&["compare", &reference[..], "-", "-q", "--json"][..], &layout].concat();
    assert_eq!(run_with_stdin(&words, &raw).ok().json()["files"][0]["identical_pairs"], 4);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let (a, b) = (clip("bars.mp4"), clip("bars.mp4"));
    let mut child = command(&["compare", &a, &b, "-q", "--csv", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141), "{}", String::from_utf8_lossy(&output.stderr));
}
