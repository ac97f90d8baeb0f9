//! Options of the encoders from the command line, on the simulated driver (`sims/nvidia/`).

#![cfg(target_os = "linux")]

use crate::common::{Machine, Run, Scratch, command, have, plays, run, tool, y4m};

const DISPLAY: &str = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";

/// The program on a simulated card that tells, if asked, what it does.
fn on(chip: &str, settings: &str, trace: bool, arguments: &[&str]) -> Option<Run> {
    let machine = Machine::new()?;
    let mut command = command(arguments);
    machine.runs(&mut command, chip, settings);
    command.env("NVSIM_TRACE", if trace { "1" } else { "0" });
    Some(Run::of(command.output().unwrap()))
}

/// Encodes with these options and gives what the driver was initialised with.
fn told(codec: &str, options: &[&str]) -> Option<serde_json::Value> {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(320, 240, 12));
    let output = scratch.path("out.mp4");
    let fixed = ["encode", &input, &output, "-c", codec, "--backend", "nvidia", "-q"];
    let run = on("ada", "", true, &[&fixed[..], options].concat())?.ok();
    if have("ffmpeg") {
        plays(&output);
    }
    let told = run.stderr.lines().find_map(|line| line.strip_prefix("nvsim: initialised with "));
    Some(serde_json::from_str(told.unwrap_or_else(|| panic!("{}", run.stderr))).unwrap())
}

#[test]
fn options_arrive_at_the_driver() {
    for (codec, options, wanted) in [
        (
            "h264",
            "--rc cbr --bitrate 4M --vbv 2M:1M",
            &[("rate_mode", 2), ("average", 4_000_000), ("vbv", 2_000_000), ("vbv_initial", 1_000_000)][..],
        ),
        (
            "h264",
            "--rc vbr --bitrate 4M --max-bitrate 6M",
            &[("rate_mode", 1), ("average", 4_000_000), ("max", 6_000_000)],
        ),
        ("hevc", "--quality 24 --max-bitrate 6M", &[("rate_mode", 1), ("quality", 24), ("max", 6_000_000)]),
        ("hevc", "--rc quality --quality 24", &[("quality", 24), ("max", 0)]),
        ("h264", "--rc constqp --qp 30", &[("rate_mode", 0)]),
        (
            "h264",
            "--multipass full --lookahead 12 --bframes 2",
            &[("multi_pass", 2), ("lookahead", 12), ("interval", 3)],
        ),
        ("hevc", "--lookahead 12 --lookahead-level 1 --preset p2", &[("lookahead_level", 1), ("preset", 2)]),
        ("hevc", "--aq spatial=9,temporal", &[("spatial_aq", 1), ("aq_strength", 9), ("temporal_aq", 1)]),
        ("hevc", "--aq off --preset p7", &[("spatial_aq", 0), ("temporal_aq", 0), ("preset", 7)]),
        ("hevc", "--tune uhq", &[("tuning", 5)]),
        ("h264", "--b-ref middle --bframes 3", &[("b_reference", 2), ("interval", 4)]),
        (
            "h264",
            "--intra-refresh 60:20",
            &[("intra_refresh", 1), ("intra_refresh_period", 60), ("intra_refresh_count", 20)],
        ),
        ("h264", "--intra-refresh 60", &[("intra_refresh_count", 59)]),
    ] {
        let words: Vec<_> = options.split(' ').collect();
        let Some(settings) = told(codec, &words) else { return };
        for (key, value) in wanted {
            assert_eq!(settings[key].as_u64(), Some(*value), "{key} with {options}: {settings}");
        }
    }
    let Some(settings) = told("h264", &["--profile", "high"]) else { return };
    assert_eq!(settings["profile"], "h264 high");
}

#[test]
fn hdr10_is_in_the_file() {
    let scratch = Scratch::new();
    // Two frames of p010le, grey.
    let input = scratch.file("in.yuv", &[0x00, 0x80].repeat(320 * 240 * 3 / 2 * 2));
    let output = scratch.path("out.mp4");
    let options =
        ["-c", "hevc", "--profile", "main10", "--hdr-mastering", DISPLAY, "--hdr-light", "1000,400", "-q"];
    let layout = ["--size", "320x240", "--pix-fmt", "p010le", "--fps", "25", "--backend", "nvidia"];
    let Some(run) = on("ada", "", false, &[&["encode", &input, &output][..], &layout, &options].concat())
    else {
        return;
    };
    run.ok();
    if have("ffprobe") {
        let said = tool("ffprobe", &["-v", "error", "-show_frames", "-select_streams", "v:0", &output]);
        for word in [
            "Mastering display metadata",
            "red_x=34000/50000",
            "min_luminance=50/10000",
            "Content light level metadata",
            "max_content=1000",
            "max_average=400",
            "pix_fmt=yuv420p10le",
        ] {
            assert!(said.contains(word), "no {word:?} in {said}");
        }
    }
}

#[test]
fn refusals_name_setting_capability_and_range_in_one_line() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(320, 240, 2));
    let output = scratch.path("out.mp4");
    for (settings, options, words) in [
        (
            "device.0.nvenc.h264.caps.support_lookahead=0",
            "--lookahead 9",
            &["lookahead 9", "SUPPORT_LOOKAHEAD"][..],
        ),
        ("", "--lookahead 30 --bframes 3", &["lookahead 30", "0 to 28"]),
        ("", "--tune uhq", &["tuning uhq", "hevc"]),
        ("", "--tune ll --lookahead 4", &["lookahead 4", "low latency"]),
        ("", "--profile main10", &["profile main10", "baseline, main, high, high444"]),
        ("", "--quality 52", &["rate_control quality 52", "1 (best) to 51"]),
        ("", "--vbv 1M", &["vbv_bits 1000000", "cbr, vbr"]),
        ("", "--intra-refresh 60 --bframes 1", &["b_frames 1", "0"]),
        ("driver.nvenc=12.1", "--lookahead 4 --lookahead-level 1", &["lookahead_level 1", "12.2"]),
    ] {
        let arguments = [
            &["encode", &input, &output, "--backend", "nvidia"][..],
            &options.split(' ').collect::<Vec<_>>(),
        ]
        .concat();
        let Some(run) = on("ada", settings, false, &arguments) else { return };
        assert!(run.code.is_some_and(|code| code != 0), "{options}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        for word in words {
            assert!(run.stderr.contains(word), "no {word:?} in: {}", run.stderr);
        }
        assert!(!scratch.names().iter().any(|name| name == "out.mp4"));
    }
}

/// Mistakes that are seen before any file is opened.
#[test]
fn options_that_contradict_each_other_say_so() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(64, 48, 2));
    let output = scratch.path("out.mp4");
    for (options, words) in [
        ("--rc cbr", &["--rc cbr needs --bitrate"][..]),
        ("--rc vbr --qp 20", &["--rc vbr needs --bitrate"]),
        ("--rc constqp --bitrate 1M", &["--rc constqp needs --qp"]),
        ("--rc quality --qp 20", &["--rc quality needs --quality"]),
        ("--rc cbr --bitrate 1M --max-bitrate 2M", &["--max-bitrate goes with"]),
        ("--max-bitrate 2M", &["--max-bitrate goes with --bitrate (vbr) or --quality"]),
        ("--rc vbr --bitrate 1M --cbr", &["--cbr is --rc cbr"]),
        ("--quality 20 --bitrate 1M", &["cannot be used with"]),
        ("--rc best", &["cbr", "vbr", "constqp", "quality"]),
        ("--vbv 2M:3M", &["8M:6M"]),
        ("--multipass twice", &["off", "quarter", "full"]),
        ("--lookahead 33", &["0..=31"]),
        ("--lookahead-level 1", &["--lookahead"]),
        ("--aq spatial=16", &["spatial=15"]),
        ("--profile best", &["high444"]),
        ("--intra-refresh 60:60", &["60:30"]),
        ("--intra-refresh 60 --gop 30", &["cannot be used with"]),
        ("--hdr-mastering G(1,2)", &["G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)"]),
        ("--hdr-light 1000", &["maxcll,maxfall"]),
        ("--speed 1 --lookahead 4", &["cannot be used with"]),
    ] {
        let words_of: Vec<_> = options.split(' ').collect();
        let run = run(&[&["encode", input.as_str(), output.as_str()][..], &words_of].concat());
        assert!(run.code.is_some_and(|code| code != 0), "{options}");
        for word in words {
            assert!(run.stderr.contains(word), "no {word:?} for {options}: {}", run.stderr);
        }
    }
}

#[test]
fn the_software_encoder_refuses_by_name() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(64, 48, 2));
    let output = scratch.path("out.mp4");
    for (options, words) in [
        (&["--quality", "20"][..], &["rate_control quality 20", "constqp"][..]),
        (&["--bitrate", "1M", "--vbv", "1M"], &["vbv_bits 1000000", "buffer model"]),
        (&["--profile", "high"], &["profile high", "main"]),
        (&["--hdr-mastering", DISPLAY], &["mastering_display G(13250", "SEI"]),
        (&["--hdr-light", "1,2"], &["content_light 1,2", "SEI"]),
        (&["--lookahead", "4"], &["backend settings nvidia", "software"]),
    ] {
        let run =
            run(&[&["encode", input.as_str(), output.as_str(), "--backend", "software"][..], options]
                .concat());
        assert!(run.code.is_some_and(|code| code != 0), "{options:?}");
        for word in words {
            assert!(run.stderr.contains(word), "no {word:?} for {options:?}: {}", run.stderr);
        }
    }
    run(&["encode", &input, &output, "--backend", "software", "--profile", "main"]).ok();
}

#[test]
fn help_has_the_options_and_examples() {
    let said = run(&["transcode", "--help"]).ok().out();
    for word in [
        "--rc",
        "--quality",
        "--vbv",
        "--multipass",
        "--lookahead",
        "--aq",
        "--profile",
        "uhq",
        "--intra-refresh",
        "--hdr-mastering",
        "--hdr-light",
        "--aq spatial=8,temporal",
    ] {
        assert!(said.contains(word), "no {word:?}");
    }
    assert!(run(&["encode", "--help"]).ok().out().contains("--hdr-light 1000,400"));
}
