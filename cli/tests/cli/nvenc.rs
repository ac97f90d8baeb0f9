//! Encoding by NVENC from the command line, on the simulated driver (`sims/nvidia/`).

#![cfg(target_os = "linux")]

use crate::common::{Scratch, clip, have, on_chip, on_chip_alone, plays, tool, y4m};

#[test]
fn devices_tell_what_a_card_encodes_and_that_another_does_not() {
    let Some(run) = on_chip("ada", "", &["devices"]) else { return };
    let out = run.ok().out();
    let lines: Vec<_> = out.lines().filter(|line| line.contains("encode  NVENC")).collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert!(lines[0].contains("146x50 to 4096x4096") && lines[0].contains("up to 4 B frames"), "{out}");
    assert!(lines[1].contains("p010le") && lines[1].contains("yuv444p10le"), "{out}");
    assert!(lines[2].contains("p010le") && !lines[2].contains("yuv444p"), "{out}");
    let Some(run) = on_chip("h200", "", &["devices"]) else { return };
    let out = run.ok().out();
    assert!(out.contains("NVDEC") && !out.contains("encode  NVENC"), "{out}");
    let lines: Vec<_> =
        out.lines().filter(|line| line.contains("no encoding: this GPU has no encoder")).collect();
    assert_eq!(lines.len(), 1, "{out}");
    let Some(run) = on_chip("h200", "", &["devices", "--json"]) else { return };
    let out = run.ok().out();
    assert!(out.contains("\"no_encoder\": \"this GPU has no encoder"), "{out}");
}

#[test]
fn encode_and_transcode_go_through_nvenc() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(320, 240, 40));
    let coded = scratch.path("coded.mp4");
    let options =
        ["--backend", "nvidia", "--preset", "p3", "--tune", "hq", "--max-in-flight", "4", "--json", "-q"];
    let Some(run) = on_chip(
        "ada",
        "",
        &[&["encode", &input, &coded, "-c", "hevc", "--bframes", "2"][..], &options].concat(),
    ) else {
        return;
    };
    let json = run.ok().out();
    assert!(json.contains("NVENC"), "{json}");
    if have("ffprobe") && have("ffmpeg") {
        plays(&coded);
        let times =
            tool("ffprobe", &["-v", "error", "-show_entries", "packet=pts", "-of", "csv=p=0", &coded]);
        let times: Vec<i64> = times.lines().filter_map(|l| l.trim_end_matches(',').parse().ok()).collect();
        assert_eq!(times.len(), 40, "{times:?}");
        // The simulation codes B pictures as P slices, but in their order.
        assert!(!times.is_sorted(), "{times:?}");
    }
    let again = scratch.path("again.mp4");
    let Some(run) =
        on_chip("ada", "", &["transcode", &clip("bars.mp4"), &again, "--bitrate", "1M", "-q", "--json"])
    else {
        return;
    };
    let json = run.ok().out();
    assert!(json.contains("NVDEC") && json.contains("NVENC"), "{json}");
    if have("ffprobe") && have("ffmpeg") {
        plays(&again);
    }
}

#[test]
fn without_an_encoder_the_cpu_encodes_and_the_report_says_why() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(320, 240, 5));
    let Some(run) = on_chip_alone("h200", "", &["encode", &input, &scratch.path("a.mp4"), "-v"]) else {
        return;
    };
    let said = run.ok().stderr;
    assert!(said.contains("openh264") && said.contains("this GPU has no encoder"), "{said}");
    let Some(run) = on_chip("h200", "", &["encode", &input, &scratch.path("b.mp4"), "--backend", "nvidia"])
    else {
        return;
    };
    assert_ne!(run.code, Some(0));
    assert!(
        run.stderr.contains("this GPU has no encoder") && run.stderr.contains("--backend auto"),
        "{}",
        run.stderr
    );
    // Too small for NVENC: the format is still one that the CPU takes.
    let small = scratch.file("small.y4m", &y4m(64, 48, 5));
    let Some(run) = on_chip_alone("ada", "", &["encode", &small, &scratch.path("c.mp4"), "-v"]) else {
        return;
    };
    let said = run.ok().stderr;
    assert!(said.contains("openh264") && said.contains("WIDTH_MIN"), "{said}");
}
