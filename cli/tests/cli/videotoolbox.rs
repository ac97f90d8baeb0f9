//! The program on simulated Macs (`sims/apple/`).

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

use crate::common::{Machine, Run, Scratch, clip, command, frame_times, have, plays, tool, y4m};
use serde_json::Value;

const KINDS: [&str; 4] = ["m1", "m3", "intel-mac", "vm"];

/// The program on a Mac without any ffmpeg; `None` when the simulation is not built.
fn on(kind: &str, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Option<Run> {
    let machine = Machine::mac()?;
    let home = machine.dir().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let mut command = command(arguments);
    machine.runs_as_mac(&mut command, kind, "");
    command.env("PATH", &home).env("HOME", &home).env_remove("XDG_CACHE_HOME");
    change(&mut command);
    Some(Run::of(command.output().unwrap()))
}

/// By the script that programs of others are run with, too.
#[test]
fn a_file_is_transcoded_whole_and_no_picture_is_copied() {
    if Machine::mac().is_none() {
        return;
    }
    let scratch = Scratch::new();
    let library = std::env::current_exe().unwrap().parent().unwrap().join("libvtsim.so");
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sims/apple/run");
    for (name, input, options) in [
        ("plain.mp4", "bars.mp4", &["-c", "hevc"][..]),
        ("reordered.mp4", "bars.mp4", &["-c", "h264", "--bframes", "2"]),
        ("uneven.mp4", "vfr-rotated.mp4", &["-c", "h264"]),
        ("rate.mp4", "bars.mp4", &["--fps", "60"]),
        ("deep.mp4", "small-10bit.h265", &["-c", "hevc"]),
        ("smaller.mp4", "bars.mp4", &["-c", "h264", "--size", "320x180"]),
    ] {
        let (input, output) = (clip(input), scratch.path(name));
        let ran = Command::new(&run)
            .args(["--profile", "m1", "--strict", "--trace", env!("CARGO_BIN_EXE_video-hw")])
            .args(["transcode", &input, &output, "--backend", "videotoolbox", "--json", "-q"])
            .args(options)
            .env("VTSIM_LIB", &library)
            .output()
            .unwrap();
        let ran = Run::of(ran).ok();
        let said = ran.json();
        assert_eq!(said["memory"], "device", "{name}: {said}");
        assert_eq!(said["encode"]["input_copy_bytes"], 0, "{name}");
        assert_eq!(said["decode"]["output_copy_bytes"], 0, "{name}");
        assert_eq!(said["stages"]["filter"]["on_device"], said["frames_out"], "{name}");
        assert_eq!(said["stages"]["filter"]["download_bytes"], 0, "{name}");
        assert_eq!(said["notes"], Value::Array(Vec::new()), "{name}");
        // No buffer but the decoder's and those that are scaled to, and nobody looks into them.
        let calls = |function: &str| ran.stderr.lines().filter(|line| line.ends_with(function)).count();
        assert!(calls("VTCompressionSessionEncodeFrame") > 0, "{name}: {}", ran.stderr);
        let scaled = if name == "smaller.mp4" { 120 } else { 0 };
        for (function, times) in [
            ("CVPixelBufferPoolCreatePixelBuffer", scaled),
            ("VTPixelTransferSessionTransferImage", scaled),
            ("CVPixelBufferLockBaseAddress", 0),
        ] {
            assert_eq!(calls(function), times, "{name}: {function}");
        }
        if !(have("ffprobe") && have("ffmpeg")) {
            continue;
        }
        plays(&output);
        // Raw streams have no times.
        if name != "deep.mp4" && !options.contains(&"--fps") {
            assert_eq!(frame_times(&output), frame_times(&input), "{name}");
        }
        let sound = |file: &str| {
            let select = ["-select_streams", "a", "-show_data_hash", "md5"];
            let show = ["-show_entries", "packet=pts_time,data_hash", "-of", "csv=p=0", file];
            tool("ffprobe", &[&["-v", "error"][..], &select, &show].concat())
        };
        assert_eq!(sound(&output), sound(&input), "{name}");
        assert_eq!(sound(&output).is_empty(), !input.ends_with("bars.mp4"), "{name}");
    }
}

/// R, G, B has the same bytes wherever it is made, and the summary says where that was and why.
#[test]
fn rgb_is_made_on_the_gpu_or_told() {
    let input = clip("small.h265");
    let options = ["decode", &input, "--pix-fmt", "rgb24", "--md5", "-v", "--backend"];
    let expected = Run::of(command(&[&options[..], &["software"]].concat()).output().unwrap()).ok().stdout;
    for (settings, words) in [
        ("", "-> rgb24 on the GPU\n"),
        ("metal=none", "note: rgb24 is made on the CPU: "),
        ("fail.metal.at=9:1", "on the GPU and on "),
    ] {
        let arguments = [&options[..], &["videotoolbox"]].concat();
        // The simulation runs kernels by the compiler that is found there.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let change = |command: &mut Command| {
            command.env("VTSIM_SET", settings).env("PATH", path);
        };
        let Some(run) = on("m1", &arguments, change) else { return };
        let run = run.ok();
        assert_eq!(run.stdout, expected, "{settings}");
        assert!(run.stderr.contains(words), "{settings}: {}", run.stderr);
    }
}

#[test]
fn what_passes_through_host_memory_is_told() {
    let scratch = Scratch::new();
    let output = scratch.path("eight.mp4");
    let input = clip("small-10bit.h265");
    let options = ["-c", "h264", "--backend", "videotoolbox", "--json", "-q"];
    let arguments = [&["transcode", &input, &output][..], &options].concat();
    let Some(run) = on("m1", &arguments, |_| ()) else { return };
    let said = run.ok().json();
    assert_eq!(said["memory"], "host", "{said}");
    assert!(said["encode"]["input_copy_bytes"].as_u64().unwrap() > 0, "{said}");
    let told: Vec<_> = said["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(told.iter().any(|note| note.contains("pass through host memory")), "{told:?}");
}

/// What `doctor` finds, what `devices` lists and what then runs agree, on each Mac.
#[test]
fn doctor_devices_and_receipt_agree_on_every_mac() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(320, 240, 5));
    for kind in KINDS {
        let doctor = ["doctor", "--json", "--codec", "h264,hevc,vp9,av1", "--timeout", "300"];
        let Some(run) = on(kind, &doctor, |_| ()) else { return };
        let doctor = run.ok().json();
        let of = |codec: &str, job: &str| {
            let codecs = doctor["codecs"].as_array().unwrap();
            let found = codecs.iter().find(|known| known["codec"] == codec).unwrap();
            found[job]["backend"].as_str().unwrap_or("nothing").to_owned()
        };
        // Hardware encodes, and decodes what it has; on a virtual machine VideoToolbox decodes on the CPU.
        let encodes = if kind == "vm" { "software" } else { "videotoolbox" };
        assert_eq!(
            (of("h264", "decode"), of("h264", "encode")),
            ("videotoolbox".into(), encodes.into()),
            "{kind}"
        );
        assert_eq!(of("hevc", "decode"), "videotoolbox", "{kind}");
        assert_eq!(of("hevc", "encode"), if kind == "vm" { "nothing" } else { "videotoolbox" }, "{kind}");
        let arm = matches!(kind, "m1" | "m3");
        assert_eq!(of("vp9", "decode"), if arm { "videotoolbox" } else { "software" }, "{kind}");
        assert_eq!(of("av1", "decode"), if kind == "m3" { "videotoolbox" } else { "software" }, "{kind}");

        let devices = on(kind, &["devices"], |_| ()).unwrap().ok().out();
        assert!(devices.contains("Apple VideoToolbox"), "{kind}: {devices}");
        assert!(devices.contains("frames in device or host memory"), "{kind}: {devices}");
        assert_eq!(devices.contains("encode  VideoToolbox"), kind != "vm", "{kind}: {devices}");

        let output = scratch.path("out.mp4");
        let encode = ["encode", &input, &output, "-y", "--json", "-q"];
        let ran = on(kind, &encode, |_| ()).unwrap().ok().json();
        assert_eq!(ran["encode"]["backend"], encodes, "{kind}");
        let receipt = ran["encode"]["receipt"].as_array().unwrap();
        let own = receipt.iter().find(|entry| entry["candidate"] == "videotoolbox").unwrap();
        assert_eq!(own["verdict"], if kind == "vm" { "refused" } else { "chosen" }, "{kind}: {own}");

        let again = scratch.path("again.mp4");
        let arguments = ["transcode", &output, &again, "-y", "--json", "-q"];
        let ran = on(kind, &arguments, |_| ()).unwrap().ok().json();
        assert_eq!(ran["decode"]["backend"], "videotoolbox", "{kind}");
        assert_eq!(ran["encode"]["backend"], encodes, "{kind}");
        let notes = ran["decode"]["notes"].to_string();
        assert_eq!(notes.contains("decodes this h264 stream on the CPU"), kind == "vm", "{kind}: {notes}");
    }
}

#[test]
fn the_variable_asks_for_a_line_of_each_session() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let input = clip("bars.mp4");
    let arguments = ["transcode", &input, &output, "--backend", "videotoolbox", "-q", "-y"];
    let set = |value: &'static str| {
        move |command: &mut Command| {
            command.env("VIDEO_HW_VT_METRICS", value);
        }
    };
    let Some(run) = on("m1", &arguments, set("1")) else { return };
    let said = run.ok().stderr;
    let lines: Vec<_> = said.lines().collect();
    let [decode, encode] = &lines[..] else { panic!("{said}") };
    let names = |line: &str| -> Vec<String> {
        line.split(' ').filter_map(|word| Some(word.split_once('=')?.0.to_owned())).collect()
    };
    assert!(decode.starts_with("[vt.decode] frames=120 packets=120 queue_peak="), "{said}");
    assert!(encode.starts_with("[vt.encode] frames=120 packets=120 queue_peak="), "{said}");
    for name in ["input_queue_peak", "output_queue_peak", "decode_ms", "output_ms", "latency_ms", "jitter_ms"]
    {
        assert!(names(decode).iter().any(|known| known == name), "{name}: {decode}");
    }
    for name in ["wait_ms", "upload_ms", "encode_ms", "copy_ms", "calls_ms", "latency_ms", "jitter_ms"] {
        assert!(names(encode).iter().any(|known| known == name), "{name}: {encode}");
    }
    assert!(encode.contains(" input_copy_bytes=0 ") && decode.contains(" output_copy_bytes=0 "), "{said}");
    assert_eq!(on("m1", &arguments, set("0")).unwrap().ok().stderr, "");
}
