//! Images and timed pictures as input, judged by ffmpeg.

use std::fs;

use crate::common::{Scratch, clip, have, plays, run, tool};

/// First time of a robot's log.
const START: i64 = 1_403_636_579_763_555_584;
/// Uneven, and not whole in anything coarser than nanoseconds.
const TIMES: [i64; 6] = [0, 33_333_333, 66_666_671, 100_000_007, 233_333_339, 266_666_673];

/// A folder with six images of a clip, by our own writer: `f1.png` to `f6.png`.
fn folder(scratch: &Scratch, name: &str) -> String {
    let folder = scratch.path(name);
    fs::create_dir(&folder).unwrap();
    run(&["decode", &clip("bars.mp4"), &format!("{folder}/f%d.png"), "--frames", "6", "-q"]).ok();
    folder
}

/// Presentation times of the video packets in ticks, in order, with the time base.
fn ticks(file: &str) -> (String, Vec<i64>) {
    let show = |what: &str, entries: &str| {
        tool(
            "ffprobe",
            &["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", what, file],
        )
    };
    let base = show("csv=p=0", "stream=time_base").trim().to_owned();
    let mut times: Vec<_> = show("csv=p=0", "frame=pts")
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok())
        .collect();
    times.sort_unstable();
    (base, times)
}

#[test]
fn times_of_a_list_are_in_the_file_to_the_nanosecond() {
    if !have("ffprobe") || !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let folder = folder(&scratch, "frames");
    let list: String = TIMES.map(|t| format!("{}\n", START + t)).concat();
    let list = scratch.file("times.txt", list.as_bytes());
    let output = scratch.path("out.mp4");
    let json = run(&["encode", &folder, &output, "--timestamps", &list, "--time-unit", "ns", "-q", "--json"])
        .ok()
        .json();
    assert_eq!(ticks(&output), ("1/1000000000".to_owned(), TIMES.to_vec()));
    plays(&output);
    assert_eq!((&json["frames_in"], &json["frames_out"]), (&6.into(), &6.into()));
    assert_eq!(json["ledger"]["balances"], true);
    assert!(json["source"]["format"].as_str().unwrap().starts_with("6 images (PNG)"), "{}", json["source"]);
    assert!(json["notes"].to_string().contains("1403636579.763555584 s"), "{}", json["notes"]);
    // The last one is shown as long as the one before.
    assert!((json["duration_s"].as_f64().unwrap() - 0.300_000_007).abs() < 1e-9, "{}", json["duration_s"]);

    // Milliseconds stay milliseconds; names say the order.
    let list = scratch.file(
        "named.csv",
        b"name,time\nf6.png,0\nf2.png,40ms\nf4.png,0.09\nf1.png,1\nf3.png,2\nf5.png,9.5\n",
    );
    run(&["encode", &folder, &output, "--timestamps", &list, "-q", "-y"]).ok();
    assert_eq!(ticks(&output), ("1/1000".to_owned(), vec![0, 40, 90, 1000, 2000, 9500]));

    // Names that are times, by folder and by pattern.
    for (n, time) in TIMES.iter().enumerate() {
        fs::rename(format!("{folder}/f{}.png", n + 1), format!("{folder}/{}.png", START + time)).unwrap();
    }
    for input in [folder.clone(), format!("{folder}/%d.png"), format!("{folder}/*.png")] {
        run(&["encode", &input, &output, "--times-from-names", "ns", "-q", "-y"]).ok();
        assert_eq!(ticks(&output).1, TIMES, "{input}");
    }
}

#[test]
fn long_gaps_are_rounded_and_the_report_says_so() {
    if !have("ffprobe") {
        return;
    }
    let scratch = Scratch::new();
    let folder = folder(&scratch, "frames");
    let list = scratch.file("times.txt", b"0\n1.000000001\n20\n40\n60\n80.5\n");
    let output = scratch.path("out.mp4");
    let json = run(&["encode", &folder, &output, "--timestamps", &list, "-q", "--json"]).ok().json();
    assert!(json["notes"].to_string().contains("rounded to 1/"), "{}", json["notes"]);
    let (base, times) = ticks(&output);
    let per_second: f64 = base.strip_prefix("1/").unwrap().parse().unwrap();
    for (ticks, wanted) in times.iter().zip([0.0, 1.000_000_001, 20.0, 40.0, 60.0, 80.5]) {
        assert!((*ticks as f64 / per_second - wanted).abs() <= 0.5 / per_second + 1e-12, "{ticks} in {base}");
    }
}

#[test]
fn colours_survive_the_way_through_a_file() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let scratch = Scratch::new();
    let folder = scratch.path("flat");
    fs::create_dir(&folder).unwrap();
    // Flat colours: what is left is the conversion, and what the file says of it.
    for (n, color) in ["0xC04020", "0x2060C0"].iter().enumerate() {
        let graph = format!("color={color}:size=128x96,format=rgb24");
        tool(
            "ffmpeg",
            &["-v", "error", "-f", "lavfi", "-i", &graph, "-frames:v", "1", &format!("{folder}/{n}.png")],
        );
    }
    let output = scratch.path("out.mp4");
    run(&["encode", &folder, &output, "--fps", "10", "--qp", "10", "-q"]).ok();
    let entries = "stream=color_range,color_space,color_transfer,color_primaries";
    let said = tool("ffprobe", &["-v", "error", "-show_entries", entries, "-of", "csv=p=0", &output]);
    assert_eq!(said.trim(), "tv,bt709,iec61966-2-1,bt709");
    let rgb = scratch.path("out.rgb");
    let convert = "scale=in_color_matrix=bt709:in_range=tv:flags=accurate_rnd,format=rgb24";
    tool("ffmpeg", &["-v", "error", "-i", &output, "-vf", convert, "-f", "rawvideo", &rgb]);
    let rgb = fs::read(rgb).unwrap();
    let frame = 128 * 96 * 3;
    assert_eq!(rgb.len(), 2 * frame);
    for (at, wanted) in [(0, [0xc0_u8, 0x40, 0x20]), (frame, [0x20, 0x60, 0xc0])] {
        let middle = at + frame / 2 + 64 * 3;
        for (got, wanted) in rgb[middle..middle + 3].iter().zip(wanted) {
            assert!(got.abs_diff(wanted) <= 4, "{:?} at {at}", &rgb[middle..middle + 3]);
        }
    }
}

#[test]
fn headerless_rgb_takes_times_from_a_list() {
    if !have("ffprobe") {
        return;
    }
    let scratch = Scratch::new();
    let raw: Vec<u8> = (0..3 * 64 * 48 * 3_u32).map(|i| (i % 251) as u8).collect();
    let (raw, output) = (scratch.file("camera.rgb", &raw), scratch.path("out.mp4"));
    let list = scratch.file("times.txt", b"100us\n40100us\n100123us\n");
    let args =
        ["encode", &raw, &output, "--size", "64x48", "--pix-fmt", "rgb24", "--timestamps", &list, "-q"];
    run(&args).ok();
    assert_eq!(ticks(&output), ("1/1000000".to_owned(), vec![0, 40_000, 100_023]));
    let list = scratch.file("times.txt", b"0\n1\n");
    run(&[&args[..], &["-y"]].concat()).refused(1, &["times.txt", "fewer times"]);
    run(&["encode", &clip("bars.mp4"), &output, "--timestamps", &list, "-y"])
        .refused(1, &["times of its own"]);
}

#[test]
fn three_cameras_at_once() {
    if !have("ffprobe") {
        return;
    }
    let scratch = Scratch::new();
    let folders: Vec<_> = (0..3).map(|n| folder(&scratch, &format!("cam{n}"))).collect();
    let outputs: Vec<_> = (0..3).map(|n| scratch.path(&format!("cam{n}.mp4"))).collect();
    let lists: Vec<_> = (0..3)
        .map(|n| {
            let text = TIMES.map(|t| format!("{}ns\n", START + t - t / 7 * n)).concat();
            scratch.file(&format!("cam{n}.txt"), text.as_bytes())
        })
        .collect();
    std::thread::scope(|scope| {
        for ((folder, output), list) in folders.iter().zip(&outputs).zip(&lists) {
            scope.spawn(move || run(&["encode", folder, output, "--timestamps", list, "-q"]).ok());
        }
    });
    for (n, output) in (0..).zip(&outputs) {
        assert_eq!(ticks(output).1, TIMES.map(|t| t - t / 7 * n), "camera {n}");
    }
}

/// On the simulated driver (`sims/nvidia/`): pictures out of order, with times whose differences are near the limits of MP4.
#[cfg(target_os = "linux")]
#[test]
fn times_are_exact_through_b_frames_of_nvenc() {
    if !have("ffprobe") {
        return;
    }
    let Some(machine) = crate::common::Machine::new() else {
        return;
    };
    let scratch = Scratch::new();
    let folder = folder(&scratch, "frames");
    let output = scratch.path("out.mp4");
    // Six a second: with B frames ffmpeg would not take nanoseconds.
    let slow = [0, 268_000_001, 536_000_003, 800_000_007, 1_070_000_009, 1_300_000_011];
    for (times, b_frames, base, rounding) in
        [(TIMES, "3", "1/1000000000", 1), (slow, "0", "1/1000000000", 1), (slow, "3", "1/100000000", 10)]
    {
        let list = scratch.file("times.txt", times.map(|t| format!("{}\n", START + t)).concat().as_bytes());
        let list =
            ["--timestamps", &list, "--time-unit", "ns", "--quality", "23", "--bframes", b_frames, "-y"];
        let mut command =
            crate::common::command(&[&["encode", &folder, &output][..], &list, &["-q", "--json"]].concat());
        machine.runs(&mut command, "ada", "");
        let json = crate::common::Run::of(command.output().unwrap());
        let json = json.ok().json();
        assert_eq!(json["encode"]["backend"], "nvidia");
        assert_eq!(json["notes"].to_string().contains("rounded to 1/100000000 s"), rounding > 1);
        assert_eq!(ticks(&output), (base.to_owned(), times.map(|t| (t + rounding / 2) / rounding).to_vec()));
    }
}

#[test]
fn jpegs_by_other_commands() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let scratch = Scratch::new();
    let pattern = scratch.path("j-%03d.jpg");
    let graph = ["-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1"];
    tool("ffmpeg", &[&graph[..], &["-pix_fmt", "yuvj420p", &pattern]].concat());
    let output = scratch.path("out.mp4");
    run(&["transcode", &pattern, &output, "--input-fps", "5", "-q"]).ok();
    assert_eq!(crate::common::frame_times(&output), [0.0, 0.2, 0.4, 0.6, 0.8]);
    let json = run(&["decode", &pattern, "--null", "--json", "-q"]).ok().json();
    assert_eq!((&json["frames_out"], &json["pix_fmt"]), (&5.into(), &"rgb24".into()));
    assert!(json["notes"].to_string().contains("25 a second"), "{}", json["notes"]);
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let scratch = Scratch::new();
    let (empty, output) = (scratch.path("empty"), scratch.path("out.mp4"));
    fs::create_dir(&empty).unwrap();
    run(&["encode", &empty, &output]).refused(1, &["empty is a directory without images"]);
    run(&["encode", &format!("{empty}/f%d.png"), &output]).refused(1, &["matches no file"]);
    let frames = folder(&scratch, "frames");
    let pattern = format!("{frames}/f%d.png");
    run(&["encode", &frames, &output, "--size", "64x48"]).refused(2, &["--scale"]);
    let list = scratch.file("t.txt", b"1\n2\n3\n4\n5\n");
    let timed = |input: &str| run(&["encode", input, &output, "--timestamps", &list]);
    timed(&frames).refused(1, &["t.txt", "fewer times than images"]);
    fs::write(&list, "1\n2\n3\n3\n5\n6\n").unwrap();
    timed(&frames).refused(1, &["t.txt, line 4", "must rise"]);
    run(&["encode", &frames, &output, "--timestamps", &scratch.path("nowhere.txt")])
        .refused(1, &["nowhere.txt", "os error 2"]);
    let y4m = scratch.file("a.y4m", &crate::common::y4m(64, 48, 2));
    run(&["encode", &y4m, &output, "--times-from-names", "ns"]).refused(2, &["images"]);
    let good = fs::read(format!("{frames}/f3.png")).unwrap();
    for (bad, words) in [
        (&b"only words"[..], &["f3.png", "neither PNG nor JPEG"][..]),
        (&good[..good.len() / 2], &["f3.png (PNG)", "cut short"]),
        (&[0xff, 0xd8, 0xff, 0xd9], &["f3.png (JPEG)"]),
    ] {
        fs::write(format!("{frames}/f3.png"), bad).unwrap();
        run(&["encode", &frames, &output, "--fps", "5"]).refused(1, words);
    }
    let json = run(&["encode", &frames, &output, "--fps", "5", "--keep-going", "-q", "--json"]).ok().json();
    assert_eq!((&json["frames_out"], &json["problem_count"]), (&5.into(), &1.into()));
    assert_eq!(json["ledger"]["balances"], true);
    fs::remove_file(format!("{frames}/f3.png")).unwrap();
    run(&["encode", &pattern, &output, "--fps", "5", "-y"])
        .refused(1, &["f3.png is missing", "--keep-going"]);
    let json =
        run(&["encode", &pattern, &output, "--fps", "5", "--keep-going", "-y", "-q", "--json"]).ok().json();
    assert!(json["notes"].to_string().contains("f3.png"), "{}", json["notes"]);
    assert_eq!(json["duration_s"].as_f64(), Some(1.2), "the place of the missing one stays");
    fs::copy(format!("{frames}/f1.png"), format!("{frames}/f3.png")).unwrap();
    run(&["decode", &format!("{frames}/f1.png"), &format!("{frames}/z%d.png"), "--size", "32x32", "-q"]).ok();
    run(&["encode", &frames, &output, "--fps", "5", "-y"]).refused(1, &["z1.png is 32x32", "one size"]);
}
