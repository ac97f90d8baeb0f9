//! `transcode` with decoder and encoder on one NVIDIA card, on the simulated driver (`sims/nvidia/`).

#![cfg(target_os = "linux")]

use crate::common::{Run, Scratch, clip, have, on_chip, plays};
use serde_json::Value;

fn on_card(arguments: &[&str]) -> Option<Run> {
    on_chip("ada", "", arguments)
}

fn report(run: Run) -> Value {
    serde_json::from_str(&run.ok().out()).unwrap()
}

#[test]
fn frames_stay_on_the_card_and_the_report_says_so() {
    let scratch = Scratch::new();
    for (name, input, options) in [
        ("plain.mp4", "bars.mp4", &["-c", "hevc"][..]),
        ("small.mp4", "bars.mp4", &["--size", "320x180", "--bframes", "2"]),
        ("rate.mp4", "bars.mp4", &["--fps", "60"]),
        ("deep.mp4", "small-10bit.h265", &["-c", "hevc"]),
    ] {
        let output = scratch.path(name);
        let arguments = ["transcode", &clip(input), &output, "--backend", "nvidia", "--json", "-q"];
        let Some(run) = on_card(&[&arguments[..], options].concat()) else { return };
        let said = report(run);
        assert_eq!(said["memory"], "device", "{name}: {said}");
        assert_eq!(said["encode"]["input_copy_bytes"], 0, "{name}");
        assert_eq!(said["encode"]["output_copy_bytes"], said["encode"]["bytes_out"], "{name}");
        assert_eq!(said["decode"]["output_copy_bytes"], 0, "{name}");
        assert_eq!(said["stages"]["filter"]["on_device"], said["frames_out"], "{name}");
        assert_eq!(said["stages"]["filter"]["download_bytes"], 0, "{name}");
        assert_eq!(said["notes"], Value::Array(Vec::new()), "{name}");
        if have("ffprobe") && have("ffmpeg") {
            plays(&output);
        }
    }
}

#[test]
fn what_passes_through_host_memory_is_told() {
    let scratch = Scratch::new();
    let output = scratch.path("eight.mp4");
    let input = clip("small-10bit.h265");
    let options = ["-c", "h264", "--backend", "nvidia", "--json", "-q"];
    let Some(run) = on_card(&[&["transcode", &input, &output][..], &options].concat()) else { return };
    let said = report(run);
    assert_eq!(said["memory"], "host", "{said}");
    assert!(said["encode"]["input_copy_bytes"].as_u64().unwrap() > 0, "{said}");
    let told = said["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect::<Vec<_>>();
    assert!(told.iter().any(|note| note.contains("pass through host memory")), "{told:?}");
    // Pictures that were never on a card.
    let encoded = scratch.path("encoded.mp4");
    let raw = scratch.file("in.y4m", &crate::common::y4m(320, 240, 5));
    let Some(run) = on_card(&["encode", &raw, &encoded, "--backend", "nvidia", "--json", "-q"]) else {
        return;
    };
    let said = report(run);
    assert_eq!(said["memory"], "host", "{said}");
    assert_eq!(said["encode"]["input_copy_bytes"], 5 * 320 * 240 * 3 / 2, "{said}");
}
