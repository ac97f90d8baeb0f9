//! `decode`: goldens, files, pipes.

use crate::common::{Scratch, clip, goldens, have, run, run_with_stdin, tool, y4m};
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

/// What every way of asking for the same pictures gives.
fn sum(args: &[&str]) -> String {
    let bars = clip("bars.mp4");
    let all = [&["decode", &bars, "--md5", "-q"], args].concat();
    run(&all).ok().out().split(' ').next().unwrap().to_owned()
}

#[test]
fn output_names_a_format_and_a_place_and_the_pictures_are_the_same() {
    let native = sum(&[]);
    for place in ["host", "device"] {
        assert_eq!(sum(&["--output", place]), native, "{place}");
    }
    let rgb = sum(&["--pix-fmt", "rgb24"]);
    assert_ne!(rgb, native);
    assert_eq!(sum(&["--output", "rgb"]), rgb);
    assert_eq!(sum(&["--output", "rgb", "--pix-fmt", "rgb24"]), rgb);
    assert_eq!(sum(&["--output", "device", "--pix-fmt", "rgb24"]), rgb);
    assert_eq!(sum(&["--output", "nv12"]), sum(&["--pix-fmt", "nv12"]));
    // With a change of rate the filter does it, on one thread; the pictures must not tell.
    let small = ["--size", "320x180", "--pix-fmt", "rgb24"];
    assert_eq!(sum(&small), sum(&[&small[..], &["--fps", "30000/1001"]].concat()));
}

#[test]
fn a_crop_is_the_part_of_the_whole_whatever_the_input() {
    let scratch = Scratch::new();
    let whole = scratch.path("whole.yuv");
    run(&["decode", &clip("bars.mp4"), &whole, "-q", "--frames", "3"]).ok();
    let part = scratch.path("part.yuv");
    let crop = ["--crop", "100:50:201:99", "-q", "--frames", "3"];
    run(&[&["decode", &clip("bars.mp4"), &part], &crop[..]].concat()).ok();
    let (whole, part) = (std::fs::read(&whole).unwrap(), std::fs::read(&part).unwrap());
    let mut expected = Vec::new();
    for frame in whole.chunks(640 * 360 * 3 / 2) {
        let (luma, chroma) = frame.split_at(640 * 360);
        for row in luma.chunks(640).skip(50).take(99) {
            expected.extend_from_slice(&row[100..301]);
        }
        for plane in chroma.chunks(320 * 180) {
            for row in plane.chunks(320).skip(25).take(50) {
                expected.extend_from_slice(&row[50..151]);
            }
        }
    }
    assert!(part == expected, "{} bytes, expected {}", part.len(), expected.len());
    // The same from uncompressed input, which no decoder cuts.
    let y4m = scratch.path("whole.y4m");
    run(&["decode", &clip("bars.mp4"), &y4m, "-q", "--frames", "3"]).ok();
    let again = run(&[&["decode", &y4m, "-", "-f", "yuv"], &crop[..]].concat()).ok();
    assert!(again.stdout == expected, "cut from Y4M");

    let bars = clip("bars.mp4");
    run(&["decode", &bars, "--null", "--crop", "600:0:100:100"])
        .refused(2, &["100x100", "column 600", "does not lie within a 640x360 picture"]);
    run(&["decode", &bars, "--null", "--crop", "1:0:100:100"]).refused(2, &["must be even"]);
    run(&["decode", &bars, "--null", "--crop", "1:0:100"]).refused(2, &["X:Y:W:H"]);
}

#[test]
fn the_report_tells_what_was_converted_where_and_how_long_it_took() {
    let args = ["decode", &clip("bars.mp4"), "--null", "--output", "rgb", "--size", "320x180"];
    let result = run(&[&args[..], &["--json"]].concat()).ok();
    let json = result.json();
    assert_eq!(json["conversion"]["wanted"], "320x180, rgb24");
    assert_eq!(json["conversion"]["by_cpu_workers"], 120);
    assert_eq!(json["conversion"]["by_decoder"], 0);
    let threads = json["conversion"]["threads"].as_u64().unwrap();
    assert!(threads >= 1);
    let plural = if threads == 1 { "" } else { "s" };
    let words = format!(" -> 320x180, rgb24 on {threads} CPU thread{plural}");
    assert!(result.stderr.contains(&words), "{}", result.stderr);
    assert_eq!((&json["size"], &json["pix_fmt"]), (&"320x180".into(), &"rgb24".into()));
    assert_eq!(json["decode"]["concealed"], 0);
    let timing = &json["timing"];
    let seconds = |name: &str| timing[name].as_f64().unwrap_or_else(|| panic!("{name} in {timing}"));
    let (first, last) = (seconds("first_submit_to_first_frame_s"), seconds("first_submit_to_last_frame_s"));
    assert!(0.0 < first && first < last && last < seconds("wall_s"), "{timing}");
    let rate = 120.0 / last;
    assert!((seconds("first_submit_to_last_frame_fps") / rate - 1.0).abs() < 1e-6, "{timing}");
    assert!(seconds("wall_fps") < rate);

    // Nothing asked for, nothing said, no thread.
    let result = run(&["decode", &clip("bars.mp4"), "--null", "--json"]).ok();
    assert!(!result.stderr.contains("->"), "{}", result.stderr);
    let plain = &result.json()["conversion"];
    assert_eq!((&plain["wanted"], &plain["threads"]), (&serde_json::Value::Null, &0.into()));
    assert_eq!(plain["unchanged"], 120);
}

#[test]
fn contradictions_are_refused_by_name() {
    let bars = clip("bars.mp4");
    run(&["decode", &bars, "--md5", "--output", "metadata"]).refused(2, &["--output metadata", "--null"]);
    run(&["decode", &bars, "--md5", "--output", "rgb", "--pix-fmt", "nv12"])
        .refused(2, &["--output", "rgb24", "--pix-fmt", "nv12"]);
    run(&["decode", &bars, "--null", "--metadata-only", "--output", "host"])
        .refused(2, &["--metadata-only", "--output"]);
    let json = run(&["decode", &bars, "--null", "--output", "metadata", "--json", "-q"]).ok().json();
    assert_eq!(json["frames_out"], 120);
    // Metadata tells what the pictures would be.
    let shaped = ["decode", &bars, "--null", "--output", "metadata", "--json", "-q", "--size", "320x180"];
    assert_eq!(run(&shaped).ok().json()["size"], "320x180");
    // Undamaged pictures are none of its business.
    assert_eq!(sum(&["--strict"]), sum(&[]));
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
    let mut child = crate::common::command(&["decode", &clip("bars.mp4"), "-", "--format", "y4m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let result = crate::common::Run::of(child.wait_with_output().unwrap());
    assert_eq!(result.code, Some(141), "{}", result.stderr);
    assert_eq!(result.stderr, "");
}

/// A file is shared out without a word; a pipe, whose frames are wanted as they come, is not.
#[test]
fn a_file_has_as_many_decoders_as_pay_and_a_pipe_one() {
    let file = clip("bars.mp4");
    let decode = |more: &[&str]| {
        run(&[&["decode", &file, "--md5", "--json", "-q", "--backend", "software"], more].concat())
            .ok()
            .json()
    };
    let usual = decode(&[]);
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(usual["decode"]["engines"]["wanted"], cores, "{usual:#}");
    assert!(usual["decode"]["engines"]["host_window_bytes"].as_u64().unwrap() <= 1 << 30);
    for one in [decode(&["--engines", "1"]), decode(&["--low-latency"])] {
        assert!(one["decode"]["engines"].is_null());
        assert_eq!(one["md5"], usual["md5"]);
    }
    let bytes = std::fs::read(clip("small.h264")).unwrap();
    let piped = run_with_stdin(&["decode", "-", "--md5", "--json", "-q", "--backend", "software"], &bytes);
    let piped = piped.ok().json();
    assert!(piped["decode"]["engines"].is_null(), "{piped:#}");
    assert_eq!(piped["md5"], "f13438dce51cba83740e9cf4cc9d2fb3");
    // A decoder that has threads of its own needs no second one.
    let av1 = run(&["decode", &clip("small-av1.ivf"), "--null", "--json", "-q", "--backend", "software"]);
    assert_eq!(av1.ok().json()["decode"]["engines"]["wanted"], 1);
    run(&["decode", &file, "--null", "--low-latency", "--engines", "2"]).refused(3, &["engines 2"]);
}

#[test]
fn of_several_video_tracks_the_first_that_players_show_is_decoded() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let film = scratch.path("two.mp4");
    let (small, large) = ("testsrc=s=64x48:d=0.2", "testsrc=s=96x80:d=0.2");
    let inputs = ["-f", "lavfi", "-i", small, "-f", "lavfi", "-i", large, "-map", "0", "-map", "1"];
    let flags = ["-disposition:v:0", "0", "-disposition:v:1", "default", "-pix_fmt", "yuv420p", "-y"];
    let made = [&["-v", "error"][..], &inputs, &["-c:v", "libx264"], &flags, &[film.as_str()]].concat();
    tool("ffmpeg", &made);
    let lines = run(&["decode", &film, "--frame-md5"]).ok().out();
    assert!(lines.lines().count() == 5 && lines.lines().all(|line| line.contains("96x80")), "{lines}");
    // Where none is shown it is the first.
    let hidden = ["-v", "error", "-i", &film, "-map", "0:0", "-c", "copy", "-disposition:v:0", "0", "-y"];
    let one = scratch.path("one.mp4");
    tool("ffmpeg", &[&hidden[..], &[one.as_str()]].concat());
    assert_eq!(run(&["decode", &one, "--frame-md5"]).ok().out().lines().count(), 5);
}

/// The options that say how pictures are shown: turned, by one side, with their own times.
#[test]
fn pictures_as_they_are_shown() {
    let film = clip("vfr-rotated.mp4");
    let lines = |more: &[&str]| {
        let out = run(&[&["decode", &film, "--frame-md5", "--frames", "3", "-q"], more].concat()).ok().out();
        out.lines().map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    // Stored as 178x146, on its side.
    for (options, size) in [
        (&[][..], "178x146"),
        (&["--upright"], "146x178"),
        (&["--upright", "--width", "72"], "72x88"),
        (&["--height", "72"], "88x72"),
        (&["--upright", "--crop", "0:0:178:100"], "100x178"),
    ] {
        assert!(lines(options).iter().all(|line| line[2] == size), "{options:?}: {:?}", lines(options));
    }
    let (from_zero, original) = (lines(&["--start", "0.2"]), lines(&["--start", "0.2", "--original-times"]));
    let time = |line: &Vec<String>| line[1].parse::<f64>().unwrap();
    assert!(time(&from_zero[0]) < 0.2 && time(&original[0]) >= 0.2, "{from_zero:?} {original:?}");
    assert_eq!(from_zero[0][4], original[0][4], "the same picture");
    for wrong in
        [&["--upright", "--size", "64x48"][..], &["--width", "64", "--height", "48"], &["--width", "0"]]
    {
        run(&[&["decode", &film, "--null"], wrong].concat()).refused(2, &[wrong[0]]);
    }
}
