//! `trim --copy --exact`: a part begins and ends with the frames that are asked for, and nothing else is encoded anew.

use std::ops::Range;
use std::process::Command;

use crate::common::{Scratch, clip, have, run, run_with_stdin, tool};
use serde_json::Value;

const WIDTH: usize = 160;
const HEIGHT: usize = 96;
const FRAME: usize = WIDTH * HEIGHT * 3 / 2;

/// 100 frames at 25 a second, with sound; `None` without the encoder.
fn film(scratch: &Scratch, name: &str, video: &str) -> Option<String> {
    let encoder = video.split(' ').nth(1).unwrap();
    if !have("ffmpeg") || !have("ffprobe") {
        return None;
    }
    if !tool("ffmpeg", &["-v", "error", "-hide_banner", "-encoders"]).contains(encoder) {
        let skipped = format!("SKIPPED: this ffmpeg has no {encoder}\n");
        std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes()).unwrap();
        return None;
    }
    let output = scratch.path(name);
    let source = format!("testsrc2=s={WIDTH}x{HEIGHT}:r=25:d=4");
    let args = ["-v", "error", "-f", "lavfi", "-i", &source, "-f", "lavfi", "-i", "sine=d=4", "-c:a", "aac"];
    let rest = ["-pix_fmt", "yuv420p", "-threads", "1", "-y", &output];
    let args: Vec<&str> = args.into_iter().chain(video.split(' ')).chain(rest).collect();
    // Some encoders talk.
    let made = Command::new("ffmpeg").args(&args).output().unwrap();
    assert!(made.status.success(), "{args:?}: {}", String::from_utf8_lossy(&made.stderr));
    Some(output)
}

const CLOSED: &str = "-c:v libx264 -preset veryfast -bf 3 -g 20 -sc_threshold 0";
const OPEN_264: &str =
    "-c:v libx264 -preset veryfast -x264-params open-gop=1:bframes=3:keyint=20:min-keyint=20:scenecut=0";
const OPEN_265: &str = "-c:v libx265 -preset ultrafast -x265-params \
                        log-level=error:open-gop=1:bframes=3:keyint=20:min-keyint=20:scenecut=0";
const PLAIN: &str = "-c:v libx264 -preset veryfast -bf 0 -g 10";

/// The pictures that ffmpeg shows, without a word of complaint; so many times over, with the same decoder.
fn shown(file: &str, times: usize) -> Vec<Vec<u8>> {
    let again = (times - 1).to_string();
    let args = ["-v", "error", "-stream_loop", &again, "-i", file, "-map", "0:v", "-vsync", "passthrough"];
    let raw = ["-pix_fmt", "yuv420p", "-f", "rawvideo", "-"];
    let output = Command::new("ffmpeg").args(args).args(raw).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{file}: {complaints}");
    output.stdout.chunks(FRAME).map(<[u8]>::to_vec).collect()
}

fn pictures(file: &str) -> Vec<Vec<u8>> {
    shown(file, 1)
}

/// The same by this program.
fn own_pictures(file: &str) -> Vec<Vec<u8>> {
    let raw = run(&["decode", file, "-", "--format", "yuv", "--pix-fmt", "yuv420p", "-q"]).ok().stdout;
    raw.chunks(FRAME).map(<[u8]>::to_vec).collect()
}

/// PSNR of the luma samples in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let luma = WIDTH * HEIGHT;
    let squares = a[..luma].iter().zip(&b[..luma]).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    10.0 * (255.0 * 255.0 * luma as f64 / squares.sum::<f64>().max(1e-9)).log10()
}

/// Presentation and decoding times of the video packets, in seconds.
fn times(file: &str) -> Vec<(f64, f64)> {
    let entries = ["-select_streams", "v:0", "-show_entries", "packet=pts_time,dts_time", "-of", "csv=p=0"];
    let text = tool("ffprobe", &[&["-v", "error"], &entries[..], &[file]].concat());
    // Side data makes lines of its own.
    let lines = text.lines().filter(|line| !line.is_empty());
    let times = lines.map(|line| line.split(',').take(2).map(|time| time.parse().unwrap_or(-1.0)));
    times.map(|mut times| (times.next().unwrap(), times.next().unwrap_or(-1.0))).collect()
}

/// Holds a part against the frames `range` of the film. `encoded`: those that may differ from it.
fn judge(output: &str, all: &[Vec<u8>], range: &Range<usize>, json: &Value, said: &str) {
    let said = format!("{said}: {json}");
    let shown = pictures(output);
    assert_eq!(shown.len(), range.len(), "{said}");
    let exact = &json["exact"];
    let [start, end, copied] =
        ["encoded_at_start", "encoded_at_end", "copied"].map(|key| exact[key].as_u64().unwrap() as usize);
    assert!(start + copied + end >= range.len(), "{said}");
    for (at, (one, of)) in shown.iter().zip(&all[range.clone()]).enumerate() {
        if at < start || at >= range.len() - end {
            let psnr = psnr(one, of);
            assert!(psnr > 35.0, "frame {at}: {psnr} dB, {said}");
        } else {
            assert!(one == of, "frame {at} is copied, {said}");
        }
    }
    assert!(own_pictures(output) == shown, "the program shows the same, {said}");
    let times = times(output);
    // Matroska states no decoding times.
    let rising = times.windows(2).all(|two| two[0].1 < two[1].1);
    assert!(rising || output.ends_with("mkv"), "{times:?}, {said}");
    assert!(times.iter().all(|(pts, dts)| dts <= pts), "{times:?}, {said}");
    let mut pts: Vec<f64> = times.iter().map(|time| time.0).collect();
    pts.sort_by(f64::total_cmp);
    let first = if output.ends_with("ts") { pts[0] } else { 0.0 };
    for (at, pts) in pts.iter().take(range.len()).enumerate() {
        assert!((pts - first - at as f64 / 25.0).abs() < 0.0006, "frame {at} at {pts}, {said}");
    }
}

/// Starts at a key frame, one behind it, in the middle of a group and with its last frame; ends inside of groups and behind the film.
#[test]
fn a_part_has_exactly_its_frames() {
    let parts =
        [(20..50, "a.mp4"), (21..62, "b.mkv"), (30..73, "c.ts"), (39..100, "d.mp4"), (17..66, "frag.mp4")];
    for (video, taken, most) in
        [(CLOSED, 0..5, 19), (OPEN_265, 1..4, 19), (PLAIN, 2..4, 9), (OPEN_264, 1..2, 100)]
    {
        let scratch = Scratch::new();
        let Some(input) = film(&scratch, "in.mp4", video) else { continue };
        let all = pictures(&input);
        for (range, name) in &parts[taken] {
            let output = scratch.path(name);
            let [from, length] = [range.start, range.len()].map(|frames| (frames as f64 / 25.0).to_string());
            let mut args =
                vec!["trim", &input, &output, "--copy", "--exact", "--start", &from, "--duration", &length];
            args.extend(["-q", "--json"]);
            // Each film by several encoders, where there are.
            let software = video != OPEN_265 && range.start % 2 == 1;
            args.extend(["--encoder-backend", if software { "software" } else { "ffmpeg" }]);
            if name.starts_with("frag") {
                args.push("--fragmented");
            }
            let json = run(&args).ok().json();
            let said = format!("{video}: {range:?} as {name}");
            judge(&output, &all, range, &json, &said);
            let exact = &json["exact"];
            let [at_start, at_end] =
                ["encoded_at_start", "encoded_at_end"].map(|key| exact[key].as_u64().unwrap());
            let on_key_frame = video != OPEN_264 && range.start.is_multiple_of(most + 1);
            assert_eq!(at_start == 0, on_key_frame, "{said}: {json}");
            assert!(at_start <= most as u64 && at_end < 16, "{said}: {json}");
            assert_eq!(exact["encoder"]["backend"].is_string(), at_start + at_end > 0, "{said}: {json}");
            let hides = name.ends_with("mp4") && !name.starts_with("frag");
            assert!(at_end == 0 || !hides && video != PLAIN, "{said}: {json}");
            assert_eq!(json["tracks"].as_array().map(Vec::len), Some(2), "with its sound, {said}");
            let told = json["notes"].to_string().contains("nothing of the part is copied");
            assert_eq!(told, exact["copied"] == 0, "{said}: {json}");
        }
    }
}

/// From other containers, from a pipe and into one, from a stream without times.
#[test]
fn parts_come_from_everywhere() {
    let scratch = Scratch::new();
    let Some(input) = film(&scratch, "in.mp4", CLOSED) else { return };
    let all = pictures(&input);
    let part = ["--copy", "--exact", "--start", "1.24", "--duration", "1.2", "-q", "--json"];
    let part = [&part[..], &["--encoder-backend", "software"]].concat();
    for (from, to) in [("in.mkv", "out.mp4"), ("in.ts", "out.mp4"), ("in.h264", "out.ts")] {
        let (from, to) = (scratch.path(from), scratch.path(to));
        run(&["transcode", &input, &from, "--copy", "-q", "-y"]).ok();
        let json = run(&[&["trim", &from, &to, "-y"], &part[..]].concat()).ok().json();
        judge(&to, &all, &(31..61), &json, &format!("{from} to {to}"));
        // A player that goes back from what is copied to what is encoded finds its parameter sets again.
        // ffmpeg does not find the first frame of a transport stream again.
        if !to.ends_with("ts") {
            let (once, twice) = (pictures(&to), shown(&to, 2));
            assert!(twice.len() == 60 && twice[..30] == once && twice[30..] == once, "{from} to {to}");
        }
    }
    let fast = scratch.path("fast.mp4");
    run(&["transcode", &input, &fast, "--copy", "--faststart", "-q"]).ok();
    let bytes = std::fs::read(&fast).unwrap();
    let args = [&["trim", "-", "-", "--format", "mp4"], &part[..]].concat();
    let piped = run_with_stdin(&args, &bytes).ok();
    let through = scratch.file("through.mp4", &piped.stdout);
    let json = serde_json::from_str(&piped.stderr).unwrap();
    judge(&through, &all, &(31..61), &json, "through pipes");
}

#[test]
fn what_cannot_be_exact_is_refused() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let part = ["--copy", "--exact", "--start", "0.2", "-q"];
    for (input, words) in [
        (clip("small-av1.ivf"), &["av1", "encode the whole part anew"][..]),
        (clip("interlaced.h264"), &["interlaced", "encode the whole part anew"]),
    ] {
        run(&[&["trim", &input, &output], &part[..]].concat()).refused(3, words);
    }
    let ten = clip("small-10bit.h265");
    let args = [&["trim", &ten, &output, "--encoder-backend", "software"], &part[..]].concat();
    run(&args).refused(3, &["no encoder here makes it", "encode the whole part anew"]);
    assert!(scratch.names().is_empty(), "no half-made output is left");
    let bars = clip("bars.mp4");
    run(&["trim", &bars, &output, "--start", "0.2", "--exact"]).refused(2, &["--copy"]);
    run(&["trim", &bars, &output, "--start", "0.2", "--copy", "--backend", "software"])
        .refused(2, &["--exact"]);
}
