//! `bench decode --verify` beside ffmpeg, with streams whose samples ffmpeg would convert if it were let.

#![cfg(unix)]

use crate::common::{Run, Scratch, clip, command, have, run, tool};

/// Whether both programs decode a stream that is made with these options to the same samples, and what is said of it.
fn verified(options: &[&str]) -> (bool, String) {
    let scratch = Scratch::new();
    let clip = scratch.path("in.mp4");
    let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:d=0.4", "-c:v", "libx264"];
    tool("ffmpeg", &[&source[..], options, &[&clip]].concat());
    let words = ["bench", "decode", &clip, "--backend", "software", "--peer", "ffmpeg", "--verify"];
    let often = ["--warmup", "0", "--repeat", "1", "--quiet", "--json", "-"];
    let run = run(&[&words[..], &often].concat());
    let record = run.json();
    let rows = record["rows"].as_array().unwrap();
    let ours = rows.iter().find(|row| row["program"] == "video-hw").unwrap();
    let checks = ours["verify"]["checks"].as_array().unwrap_or_else(|| panic!("not verified: {record:#}"));
    let sum = checks.iter().find(|check| check["name"] == "md5").unwrap();
    (run.code == Some(0) && sum["passed"] == true, format!("{record:#}\n{}", run.stderr))
}

#[test]
fn samples_of_full_range_are_compared_as_they_are() {
    if !have("ffmpeg") {
        return;
    }
    for format in ["yuvj420p", "yuv420p"] {
        let (right, said) = verified(&["-pix_fmt", format]);
        assert!(right, "{format}: {said}");
    }
    // Told as one and coded as the other: nothing but the flag differs.
    let (right, said) = verified(&["-pix_fmt", "yuv420p", "-x264-params", "fullrange=on"]);
    assert!(right, "{said}");
}

/// ffmpeg takes `concat:` for a protocol, and a name without a folder for nothing else.
#[test]
fn a_file_whose_name_looks_like_a_protocol_is_a_file() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    for name in ["concat:none.h264", "http:none.h264"] {
        std::fs::copy(clip("small.h264"), scratch.path(name)).unwrap();
        let words = ["bench", "decode", name, "--backend", "software", "--peer", "ffmpeg", "--verify"];
        let often = ["--warmup", "0", "--repeat", "1", "--quiet", "--json", "-"];
        let mut bench = command(&[&words[..], &often].concat());
        let run = Run::of(bench.current_dir(scratch.dir()).output().unwrap()).ok();
        let record = run.json();
        let rows = record["rows"].as_array().unwrap();
        let peer = rows.iter().find(|row| row["program"] == "ffmpeg").unwrap_or_else(|| panic!("{record:#}"));
        let said = peer.to_string();
        assert!(!said.contains(scratch.dir().to_str().unwrap()), "the record tells no folder: {said}");
        assert!(rows.iter().all(|row| row["failed"].is_null()), "{name}: {record:#}");
    }
}
