//! Jobs whose encoder or decoder dies, on the simulated NVIDIA driver: what the user is told, and what the exit code is.

#![cfg(target_os = "linux")]

use crate::common::{Scratch, clip, have, on_chip, on_chip_alone, plays, run};

fn lost(function: &str, call: u32) -> String {
    format!("fault=[{{function='{function}',call={call},device_lost=true}}]")
}

#[test]
fn one_line_at_once_and_the_events_in_the_report() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &crate::common::y4m(320, 240, 40));
    let output = scratch.path("out.mp4");
    let arguments = ["encode", &input, &output, "--json", "--bframes", "2"];
    let Some(run) = on_chip_alone("ada", &lost("nvEncEncodePicture", 20), &arguments) else { return };
    let run = run.ok();
    let warnings: Vec<_> = run.stderr.lines().filter(|line| line.contains("warning")).collect();
    let [line] = &warnings[..] else { panic!("one line: {}", run.stderr) };
    for word in
        ["video-hw: warning: encoder nvidia failed at frame ", "device lost", "takes over", "2 B frames"]
    {
        assert!(line.contains(word), "no {word:?} in: {line}");
    }
    assert!(
        run.stderr.contains("nvidia, then software: uncompressed yuv420p -> h264 (openh264"),
        "{}",
        run.stderr
    );
    let said = run.json();
    let event = &said["encode"]["events"][0];
    assert_eq!((&event["event"], &event["from"]), (&"takeover".into(), &"nvidia".into()), "{event}");
    assert_eq!(
        (&event["to"], &event["implementation"]),
        (&"software".into(), &said["encode"]["implementation"]),
        "{event}"
    );
    assert!(event["frames_again"].as_u64().unwrap() > 0 && event["frame"].as_u64().unwrap() < 20, "{event}");
    let pts = event["frame"].as_f64().unwrap() / 30.0;
    assert!((event["pts_s"].as_f64().unwrap() - pts).abs() < 1e-6, "{event}");
    assert_eq!(event["given_up"][0], "2 B frames");
    let ledger = &said["ledger"];
    assert_eq!((&ledger["balances"], &ledger["delivered"]), (&true.into(), &40.into()), "{ledger}");
    assert_eq!((&ledger["failed"], &ledger["losses"]), (&0.into(), &serde_json::json!([])), "{ledger}");
    if have("ffmpeg") {
        plays(&output);
    }
}

#[test]
fn who_is_strict_gets_the_reason_alone() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &crate::common::y4m(320, 240, 40));
    let output = scratch.path("out.mp4");
    for strict in [&["--strict"][..], &["--on-failure", "stop"], &["--on-encoder-failure", "stop"]] {
        let arguments = [&["encode", &input, &output, "-q"][..], strict].concat();
        let Some(run) = on_chip("ada", &lost("nvEncEncodePicture", 20), &arguments) else { return };
        run.refused(5, &["nvidia device lost"]);
        assert_eq!(scratch.names(), ["in.y4m"]);
    }
}

#[test]
fn a_named_backend_is_opened_again_or_nothing_is() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &crate::common::y4m(320, 240, 40));
    let output = scratch.path("out.mp4");
    let arguments = ["encode", &input, &output, "--backend", "nvidia", "--json"];
    // An error of the encoder, not of the device: it works again.
    let fault = "fault=[{function='nvEncEncodePicture',call=20,code=20}]";
    let Some(run) = on_chip("ada", fault, &arguments) else { return };
    let said = run.ok().json();
    assert_eq!(said["encode"]["events"][0]["to"], "nvidia", "{said}");
    assert_eq!(said["frames_out"], 40);
    std::fs::remove_file(&output).unwrap();
    let Some(run) = on_chip("ada", &lost("nvEncEncodePicture", 20), &arguments) else { return };
    assert_eq!(run.code, Some(5), "{}", run.stderr);
    assert!(run.stderr.contains("nothing could take over"), "{}", run.stderr);
    assert_eq!(scratch.names(), ["in.y4m"], "nothing half done is left");
    // By the user's word another may.
    let arguments = [&arguments[..], &["--on-failure", "next"]].concat();
    let Some(run) = on_chip_alone("ada", &lost("nvEncEncodePicture", 20), &arguments) else { return };
    assert_eq!(run.ok().json()["encode"]["events"][0]["to"], "software");
}

#[test]
fn a_decoder_that_dies_is_told_of_too() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let input = clip("bars.mp4");
    let settings = lost("cuvidMapVideoFrame64", 30);
    let Some(run) = on_chip("h200", &settings, &["transcode", &input, &output, "--json"]) else { return };
    let run = run.ok();
    assert!(run.stderr.contains("warning: decoder nvidia failed at frame "), "{}", run.stderr);
    let said = run.json();
    let event = &said["decode"]["events"][0];
    assert_eq!((&event["job"], &event["to"]), (&"decode".into(), &"software".into()), "{event}");
    assert!(said["decode"]["frames_again"].as_u64().unwrap() > 0, "{said}");
    assert_eq!(said["frames_in"], said["frames_out"]);
    if have("ffmpeg") && have("ffprobe") {
        plays(&output);
        assert_eq!(crate::common::frame_times(&output), crate::common::frame_times(&input));
    }
}

#[test]
fn frames_that_are_left_out_are_named_by_reason() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &crate::common::y4m(64, 64, 30));
    let output = scratch.path("out.mp4");
    let arguments = ["transcode", &input, &output, "--fps", "10", "--backend", "software", "--json"];
    let said = run(&arguments).ok().json();
    let ledger = &said["ledger"];
    let sum = ledger["delivered"].as_u64().unwrap() + ledger["dropped"].as_u64().unwrap();
    assert_eq!((sum, &ledger["balances"]), (30, &true.into()), "{ledger}");
    let loss = &ledger["losses"][0];
    assert_eq!((&loss["outcome"], &loss["reason"]), (&"dropped".into(), &"frame rate".into()), "{loss}");
    assert_eq!(loss["count"], ledger["dropped"]);
    let first = loss["first"].as_array().unwrap();
    assert_eq!(first.len(), 5);
    for named in first {
        let (frame, pts) = (named["frame"].as_f64().unwrap(), named["pts_s"].as_f64().unwrap());
        assert!((frame / 30.0 - pts).abs() < 1e-6, "{named}");
    }
}

/// `decode` ends with a decoder that dies, unless another is asked for.
#[test]
fn a_decode_goes_on_where_that_is_asked_for() {
    let input = clip("bars.mp4");
    let settings = lost("cuvidMapVideoFrame64", 30);
    let decode = ["decode", &input, "--md5", "--json", "-q", "--pix-fmt", "yuv420p"];
    let Some(stopped) = on_chip("h200", &settings, &decode) else { return };
    assert_eq!(stopped.code, Some(5), "{}", stopped.stderr);
    let next = [&decode[..], &["--on-failure", "next"]].concat();
    let Some(run) = on_chip("h200", &settings, &next) else { return };
    let said = run.ok().json();
    assert_eq!(said["decode"]["events"][0]["to"], "software", "{said}");
    assert_eq!(said["md5"], "4c44b66919f1e08e0ceadc8a16ced774", "every frame once");
}
