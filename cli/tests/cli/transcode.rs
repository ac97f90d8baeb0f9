//! `transcode` and `encode`, judged by ffmpeg.

use crate::common::{Scratch, clip, frame_times, have, plays, run, run_with_stdin, tool, y4m, yuv_frame};

fn tools() -> bool {
    have("ffmpeg") && have("ffprobe")
}

#[track_caller]
fn same_times(a: &str, b: &str) {
    let (a, b) = (frame_times(a), frame_times(b));
    assert!(!a.is_empty());
    assert_eq!(a.len(), b.len(), "frame count");
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        // ffprobe prints microseconds.
        assert!((a - b).abs() < 2e-6, "frame {i}: {a} became {b}");
    }
}

#[test]
fn webm_without_an_encoder_of_its_codecs_says_what_can_be_written() {
    let scratch = Scratch::new();
    let (input, output) = (clip("bars.mp4"), scratch.path("out.webm"));
    run(&["transcode", &input, &output, "--backend", "software"])
        .refused(3, &["does not encode av1", ".mp4 and .mkv hold H.264"]);
    assert!(scratch.names().is_empty());
}

#[test]
fn times_and_sound_survive() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let (input, output) = (clip("bars.mp4"), scratch.path("out.mp4"));
    let json = run(&["transcode", &input, &output, "--codec", "h264", "--bitrate", "1M", "-q", "--json"])
        .ok()
        .json();
    assert_eq!(scratch.names(), ["out.mp4"]);
    plays(&output);
    same_times(&input, &output);
    let sound = |file: &str| {
        tool("ffmpeg", &["-v", "error", "-i", file, "-map", "0:a", "-c", "copy", "-f", "md5", "-"])
    };
    assert_eq!(sound(&input), sound(&output), "sound packets");
    assert_eq!((&json["frames_in"], &json["frames_out"]), (&120.into(), &120.into()));
    assert_eq!(json["ledger"]["balances"], true);
    assert_eq!(json["bytes"].as_u64(), Some(std::fs::metadata(&output).unwrap().len()));
    assert!(json["copied_samples"].as_u64().unwrap() > 100, "{}", json["copied_samples"]);
    assert_eq!(json["encode"]["implementation"], "ffmpeg, libx264", "it is here, since it judges");
    assert_eq!(json["cancelled"], false);
    assert_eq!(json["exit_code"], 0);
}

#[test]
fn uneven_times_and_rotation_survive() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let (input, output) = (clip("vfr-rotated.mp4"), scratch.path("out.mp4"));
    run(&["transcode", &input, &output, "-q"]).ok();
    plays(&output);
    same_times(&input, &output);
    let rotation = |file: &str| {
        let args = ["-v", "error", "-select_streams", "v:0", "-show_entries", "stream_side_data=rotation"];
        tool("ffprobe", &[&args[..], &["-of", "csv=p=0", file]].concat())
    };
    assert!(!rotation(&input).trim().is_empty());
    assert_eq!(rotation(&input), rotation(&output));
    let probe = |file: &str| run(&["probe", file, "--json"]).ok().json();
    assert_ne!(probe(&input)["tracks"][0]["rotation"], 0);
    assert_eq!(probe(&input)["tracks"][0]["rotation"], probe(&output)["tracks"][0]["rotation"]);
}

#[test]
fn fragmented_input_keeps_its_times() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    run(&["transcode", &clip("vfr-fragmented.mp4"), &output, "-q"]).ok();
    plays(&output);
    same_times(&clip("vfr-fragmented.mp4"), &output);
}

#[test]
fn size_rate_and_part_are_as_asked() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let args = [
        "--size",
        "320x180",
        "--fps",
        "29.97",
        "--start",
        "0:01",
        "--duration",
        "2",
        "--no-copy",
        "-q",
        "--json",
    ];
    let json = run(&[&["transcode", &clip("bars.mp4"), &output][..], &args].concat()).ok().json();
    plays(&output);
    let args =
        ["-v", "error", "-show_entries", "stream=codec_type,width,height,r_frame_rate", "-of", "csv=p=0"];
    let streams = tool("ffprobe", &[&args[..], &[&output]].concat());
    assert_eq!(streams.trim(), "video,320,180,30000/1001", "one stream: sound is left out");
    let times = frame_times(&output);
    assert!((59..=61).contains(&times.len()), "{} frames", times.len());
    assert!(times[0].abs() < 0.04, "starts at {}", times[0]);
    assert_eq!(json["copied_samples"], 0);
}

#[test]
fn frames_ends_after_that_many() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let json = run(&["transcode", &clip("bars.mp4"), &output, "--frames", "7", "-q", "--json"]).ok().json();
    assert_eq!(json["frames_out"], 7);
    let json = run(&["decode", &output, "--null", "-q", "--json"]).ok().json();
    assert_eq!(json["frames_out"], 7);
}

#[test]
fn streams_go_through_pipes() {
    if !tools() {
        return;
    }
    let h264 = std::fs::read(clip("small.h264")).unwrap();
    let result = run_with_stdin(&["transcode", "-", "-", "--format", "h264", "-q", "--json"], &h264).ok();
    let json: serde_json::Value = serde_json::from_str(&result.stderr).expect("JSON goes to standard error");
    assert_eq!(json["frames_out"], 50);
    assert_eq!(json["bytes"].as_u64(), Some(result.stdout.len() as u64));
    let scratch = Scratch::new();
    let file = scratch.file("out.h264", &result.stdout);
    let args =
        ["-v", "error", "-count_frames", "-show_entries", "stream=codec_name,width,height,nb_read_frames"];
    assert_eq!(tool("ffprobe", &[&args[..], &["-of", "csv=p=0", &file]].concat()).trim(), "h264,178,146,50");
}

#[test]
fn every_clip_can_be_transcoded() {
    if !tools() {
        return;
    }
    for (_, frames, _, file) in crate::common::goldens() {
        let scratch = Scratch::new();
        let output = scratch.path("out.mp4");
        let result = run(&["transcode", &clip(&file), &output, "--no-copy", "-q", "--json"]);
        if file == "interlaced.h264" && result.code == Some(3) {
            continue;
        }
        let json = result.ok().json();
        assert_eq!(json["frames_out"], frames, "{file}");
        if file == "small-10bit.h265" {
            assert!(json["notes"].to_string().contains("2 bit"), "lost precision is told: {}", json["notes"]);
        }
        plays(&output);
        assert_eq!(frame_times(&output).len() as u64, frames, "{file}");
    }
}

#[test]
fn uncompressed_pictures_are_encoded() {
    let scratch = Scratch::new();
    let input = scratch.file("in.y4m", &y4m(64, 48, 12));
    let output = scratch.path("out.mp4");
    let json = run(&["encode", &input, &output, "--qp", "24", "--gop", "6", "-q", "--json"]).ok().json();
    assert_eq!(json["command"], "encode");
    assert_eq!(json["frames_out"], 12);
    assert_eq!(json["encode"]["keyframes"], 2);
    assert!(json["decode"].is_null());

    let raw: Vec<u8> = (0..12).flat_map(|n| yuv_frame(64, 48, n)).collect();
    let input = scratch.file("in.yuv", &raw);
    let layout = ["--size", "64x48", "--pix-fmt", "yuv420p", "--fps", "25"];
    let again = scratch.path("again.mp4");
    let json = run(&[&["encode", &input, &again, "-q", "--json", "--scale", "32x32"][..], &layout].concat())
        .ok()
        .json();
    assert_eq!(json["frames_out"], 12);
    let probe = run(&["probe", &again, "--json"]).ok().json();
    assert_eq!(probe["tracks"][0]["size"], "32x32");
    assert_eq!(probe["duration_s"], 0.48);

    let piped = scratch.path("piped.mp4");
    let json =
        run_with_stdin(&[&["encode", "-", &piped, "-q", "--json"][..], &layout].concat(), &raw).ok().json();
    assert_eq!(json["frames_out"], 12);
    let json = run_with_stdin(&["encode", "-", &piped, "-q", "--json", "-y"], &y4m(64, 48, 5)).ok().json();
    assert_eq!(json["frames_out"], 5);
}

#[test]
fn headerless_input_must_be_described() {
    let scratch = Scratch::new();
    let input = scratch.file("in.yuv", &yuv_frame(64, 48, 0));
    let output = scratch.path("out.mp4");
    run(&["encode", &input, &output]).refused(2, &["in.yuv", "--size WxH and --pix-fmt NAME and --fps RATE"]);
    run(&["encode", &input, &output, "--size", "64x48", "--fps", "25"]).refused(2, &["--pix-fmt NAME"]);
    let y4m = scratch.file("in.y4m", &y4m(64, 48, 2));
    run(&["encode", &y4m, &output, "--size", "32x32"]).refused(2, &["states its own", "--scale"]);
    let short = scratch.file("short.yuv", &yuv_frame(64, 48, 0)[..4000]);
    let layout = ["--size", "64x48", "--pix-fmt", "yuv420p", "--fps", "25"];
    run(&[&["encode", &short, &output][..], &layout].concat()).refused(1, &["short.yuv"]);
    assert_eq!(scratch.names(), ["in.y4m", "in.yuv", "short.yuv"]);
}

#[test]
fn a_size_change_is_scaled_to_the_first_size_and_told() {
    let scratch = Scratch::new();
    let mut both = Vec::new();
    for (name, size) in [("a", (64, 48)), ("b", (96, 64))] {
        let input = scratch.file(&format!("{name}.y4m"), &y4m(size.0, size.1, 10));
        let output = scratch.path(&format!("{name}.h264"));
        run(&["encode", &input, &output, "-q"]).ok();
        both.extend(std::fs::read(output).unwrap());
    }
    let input = scratch.file("both.h264", &both);
    for (options, size, told) in [
        (&[][..], "64x48", true),
        (&["--size", "64x48"], "64x48", false),
        (&["--size", "32x32"], "32x32", false),
    ] {
        let output = scratch.path("out.mp4");
        let args = ["transcode", &input, &output, "-q", "-y", "--json"];
        let json = run(&[&args[..], options].concat()).ok().json();
        assert_eq!(json["frames_out"], 20);
        assert_eq!(json["stages"]["filter"]["size_changes"], 1);
        let notes = json["notes"].to_string();
        assert_eq!(notes.contains("size changes 1 times"), told, "{notes}");
        for word in ["0.333333s", "64x48", "96x64", "10 frames", "--size"] {
            assert_eq!(notes.contains(word), told, "{word}: {notes}");
        }
        let probe = run(&["probe", &output, "--json"]).ok().json();
        assert_eq!(probe["tracks"][0]["size"], size);
        if tools() {
            plays(&output);
            assert_eq!(frame_times(&output).len(), 20);
        }
    }
}

#[test]
fn a_size_change_ends_a_decode_to_one_file_with_the_remedy() {
    let scratch = Scratch::new();
    let mut both = Vec::new();
    for (name, size) in [("a", (64, 48)), ("b", (96, 64))] {
        let input = scratch.file(&format!("{name}.y4m"), &y4m(size.0, size.1, 3));
        let output = scratch.path(&format!("{name}.h264"));
        run(&["encode", &input, &output, "-q"]).ok();
        both.extend(std::fs::read(output).unwrap());
    }
    let input = scratch.file("both.h264", &both);
    for name in ["out.y4m", "out.yuv"] {
        let output = scratch.path(name);
        run(&["decode", &input, &output, "-q"]).refused(3, &["both.h264", "64x48", "96x64", "--size"]);
        let json = run(&["decode", &input, &output, "-q", "--json"]).json();
        assert_eq!(
            (&json["error"]["kind"], &json["error"]["remedy"]),
            (&"format_changed".into(), &"size".into())
        );
        let json = run(&["decode", &input, &output, "-q", "--json", "--size", "64x48"]).ok().json();
        assert_eq!(json["frames_out"], 6);
    }
}

#[test]
fn an_odd_size_grows_by_a_column_and_a_row_and_is_told() {
    let scratch = Scratch::new();
    let (input, output) = (scratch.file("odd.y4m", &y4m(177, 145, 5)), scratch.path("out.mp4"));
    for job in ["encode", "transcode"] {
        let json = run(&[job, &input, &output, "-q", "-y", "--json", "--qp", "10"]).ok().json();
        let notes = json["notes"].to_string();
        assert!(notes.contains("177x145 became 178x146") && notes.contains("repeated"), "{job}: {notes}");
        let probe = run(&["probe", &output, "--json"]).ok().json();
        assert_eq!(probe["tracks"][0]["size"], "178x146");
    }
    if tools() {
        // What was there is there still: nothing was scaled.
        let graph =
            "[1:v]crop=177:145:0:0:exact=1,format=yuv444p[a];[0:v]format=yuv444p[b];[a][b]psnr=stats_file=-";
        let args = ["-v", "error", "-i", &input, "-i", &output, "-lavfi", graph, "-f", "null", "-"];
        let out = crate::common::tool("ffmpeg", &args);
        let worst =
            out.lines().filter_map(|line| line.split("psnr_y:").nth(1)?.split(' ').next()?.parse().ok());
        let worst = worst.fold(f64::MAX, f64::min);
        assert!((35.0..f64::MAX).contains(&worst), "{out}");
    }
    // A size that was asked for is not bent.
    run(&["transcode", &input, &output, "-y", "-q", "--size", "177x145"]).refused(3, &["177x145"]);
    let json = run(&["transcode", &clip("small.h264"), &output, "-y", "-q", "--json"]).ok().json();
    assert_eq!(json["notes"].to_string(), "[]", "an even size is no news");
}

#[test]
fn a_picture_too_small_for_every_encoder_is_told_with_the_remedy() {
    let scratch = Scratch::new();
    let (input, output) = (scratch.file("tiny.y4m", &y4m(8, 8, 3)), scratch.path("out.mp4"));
    // With `encode`, --size describes the input.
    for (job, option) in [("encode", "--scale"), ("transcode", "--size")] {
        let mut command = crate::common::command(&[job, &input, &output, "-q"]);
        // Nothing of this machine may encode it.
        let result = crate::common::Run::of(command.env("PATH", "").output().unwrap());
        result.refused(3, &["8x8", "software", "16x16", option]);
        // Of several the one that takes the smallest is the one to know of.
        run(&[job, &input, &output, "-q"]).refused(3, &["8x8", "software", "16x16", option]);
        run(&[job, &input, &output, "-q", option, "16x16"]).ok();
        std::fs::remove_file(&output).unwrap();
    }
}

#[test]
fn text_and_json_count_the_same_dropped_frames() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    for options in
        [&[][..], &["--fps", "12"], &["--start", "1"], &["--fps", "12", "--start", "0.5", "-t", "1"]]
    {
        for job in ["transcode", "decode"] {
            let output = if job == "decode" { scratch.path("out.yuv") } else { output.clone() };
            let input = clip("bars.mp4");
            let args = [&[job, &input, &output, "-y", "--json"][..], options].concat();
            let result = run(&args).ok();
            let json = result.json();
            let sum: u64 = json["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
            let text = result.stderr.lines().last().unwrap().to_owned();
            assert!(text.contains(&format!("  {sum} dropped")), "{job} {options:?}: {sum}, {text}");
        }
    }
}

#[test]
fn standard_input_from_the_output_s_own_file_is_refused() {
    let scratch = Scratch::new();
    let file = scratch.file("x.h264", &std::fs::read(clip("small.h264")).unwrap());
    let stdin = || std::fs::File::open(&file).unwrap();
    for args in [["transcode", "-", &file, "-y", "-q"], ["decode", "-", &scratch.path("x.y4m"), "-y", "-q"]] {
        let own = args[2] == file;
        let output = crate::common::command(&args).stdin(stdin()).output().unwrap();
        let result = crate::common::Run::of(output);
        if own {
            result.refused(2, &["standard input", "x.h264"]);
        } else {
            result.ok();
        }
    }
    // The same the other way round: a file that grows while it is read.
    let out = std::fs::File::options().append(true).open(&file).unwrap();
    let mut command = crate::common::command(&["transcode", &file, "-", "--format", "h264", "-q"]);
    crate::common::Run::of(command.stdout(out).output().unwrap()).refused(2, &["standard output", "x.h264"]);
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(clip("small.h264")).unwrap());
}

#[test]
fn the_summary_is_what_ran_and_what_came_out() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let result = run(&["transcode", &clip("bars.mp4"), &output, "--backend", "software"]).ok();
    let lines: Vec<_> = result.stderr.lines().collect();
    assert!(
        lines[0].starts_with("software: h264 (") && lines[0].contains(" -> h264 (openh264"),
        "{}",
        lines[0]
    );
    let last = lines[lines.len() - 1];
    assert!(
        last.starts_with("120 frames  ") && last.contains("0 dropped") && last.contains("out.mp4 "),
        "{last}"
    );
    assert!(result.stdout.is_empty());
}

/// `transcode --crop` selects the same pixels as `decode --crop`. Cropping precedes scaling, and the rotation is kept.
#[test]
fn a_crop_is_encoded_as_it_is_decoded() {
    let scratch = Scratch::new();
    let (film, output) = (clip("bars.mp4"), scratch.path("out.mp4"));
    let part = ["--crop", "64:32:320:180", "--frames", "5", "-q", "-y"];
    let of = |job: &[&str], more: &[&str]| run(&[job, &part, more].concat()).ok();
    // Exit code 6: too far from it.
    let judged = |reference: &str, least: &str| {
        let result = run(&["compare", reference, &output, "-q", "--metrics", "psnr", "--min-psnr", least]);
        (result.code, result.stderr)
    };
    let raw = scratch.path("raw.y4m");
    run(&["decode", &film, &raw, "--frames", "5", "-q"]).ok();
    for (more, size) in [(&[][..], "320x180"), (&["--size", "160x90"], "160x90")] {
        let reference = scratch.path("reference.y4m");
        of(&["decode", &film, &reference], more);
        let jobs: [(&[&str], &[&str]); 2] = [
            (&["transcode", &film, &output, "--qp", "8"], more),
            (
                &["encode", &raw, &output, "--qp", "8"],
                if more.is_empty() { more } else { &["--scale", "160x90"] },
            ),
        ];
        for (job, more) in jobs {
            of(job, more);
            let probe = run(&["probe", &output, "--json"]).ok().json();
            assert_eq!(probe["tracks"][0]["size"], size, "{job:?}");
            assert_eq!(judged(&reference, "35"), (Some(0), String::new()), "{job:?}");
        }
        // Another part is far from it.
        run(&["decode", &film, &reference, "--crop", "0:0:320:180", "--frames", "5", "-q", "-y"]
            .iter()
            .chain(more)
            .copied()
            .collect::<Vec<_>>())
        .ok();
        assert_eq!(judged(&reference, "25").0, Some(6));
    }
    let rotated = clip("vfr-rotated.mp4");
    let turn = |file: &str| run(&["probe", file, "--json"]).ok().json()["tracks"][0]["rotation"].clone();
    run(&["transcode", &rotated, &output, "--crop", "0:2:64:48", "-q", "-y"]).ok();
    assert_eq!(turn(&output), turn(&rotated));
    // A part that the pictures do not have is a wrong argument, for every command.
    for crop in ["1:0:100:100", "600:0:100:100"] {
        run(&["transcode", &film, &output, "-y", "-q", "--crop", crop]).refused(2, &["a crop"]);
        run(&["encode", &raw, &output, "-y", "-q", "--crop", crop]).refused(2, &["a crop"]);
        run(&["decode", &film, "--null", "-q", "--crop", crop]).refused(2, &["a crop"]);
        run(&["thumbnails", &film, &scratch.path("a.png"), "-y", "-q", "--crop", crop])
            .refused(2, &["a crop"]);
    }
    let fields = clip("interlaced.h264");
    let job = ["transcode", &fields, &output, "-y", "-q", "--deinterlace", "--crop"];
    run(&[&job[..], &["0:2:32:32"]].concat()).refused(2, &["row 2", "multiple of 4"]);
    run(&[&job[..], &["0:4:32:32"]].concat()).ok();
    run(&["transcode", &film, &output, "--copy", "--crop", "0:0:64:64"]).refused(2, &["--crop"]);
}
