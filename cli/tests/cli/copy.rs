//! `transcode --copy` and `trim --copy`: coded samples stay as they are, by the judgement of ffmpeg and ffprobe.

use crate::common::{Scratch, clip, have, plays, run, run_with_stdin, tool};
use serde_json::Value;

fn tools() -> bool {
    have("ffmpeg") && have("ffprobe")
}

/// Two sound tracks, B frames, groups of 20 pictures.
fn film(scratch: &Scratch, name: &str, video: &str) -> String {
    let output = scratch.path(name);
    let sources =
        "-f lavfi -i testsrc2=s=160x96:r=25:d=6 -f lavfi -i sine=d=6:f=440 -f lavfi -i sine=d=6:f=880";
    let maps = "-map 0 -map 1 -map 2 -c:a aac -metadata:s:a:0 language=eng -metadata:s:a:1 language=fra";
    let args: Vec<&str> = ["-v", "error"]
        .into_iter()
        .chain(sources.split_whitespace())
        .chain(maps.split_whitespace())
        .chain(video.split_whitespace())
        .chain(["-threads", "1", "-y", &output])
        .collect();
    // Some encoders talk.
    let made = std::process::Command::new("ffmpeg").args(&args).output().unwrap();
    assert!(made.status.success(), "{args:?}: {}", String::from_utf8_lossy(&made.stderr));
    output
}

const H264: &str = "-c:v libx264 -preset veryfast -bf 3 -g 20";

/// MD5 of the coded samples of each stream, as ffmpeg copies them.
fn streams(file: &str) -> String {
    tool(
        "ffmpeg",
        &["-v", "error", "-i", file, "-map", "0", "-c", "copy", "-f", "streamhash", "-hash", "md5", "-"],
    )
}

/// Presentation time, decoding time and size of all packets of a stream.
fn packets(file: &str, stream: &str) -> Vec<[String; 3]> {
    let entries = "packet=pts_time,dts_time,size";
    let args = ["-v", "error", "-select_streams", stream, "-show_entries", entries, "-of", "csv=p=0", file];
    // Side data makes lines of its own.
    let text = tool("ffprobe", &args);
    let fields = text.lines().map(|line| line.split(',').take(3).map(str::to_owned).collect::<Vec<_>>());
    fields.filter_map(|fields| fields.try_into().ok()).collect()
}

/// MD5s of the pictures that ffmpeg shows. Where leading pictures are left out, marking orders for them find nothing to unmark.
fn pictures(file: &str) -> Vec<String> {
    let args = ["-v", "error", "-i", file, "-map", "0:v", "-vsync", "passthrough", "-f", "framemd5", "-"];
    let output = std::process::Command::new("ffmpeg").args(args).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        complaints.lines().all(|line| line.contains("mmco: unref short failure")),
        "{file}: {complaints}"
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next()).map(|md5| md5.trim().to_owned()).collect()
}

fn notes(json: &Value) -> String {
    json["notes"].to_string()
}

#[test]
fn copies_are_byte_for_byte() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let (input, output) = (film(&scratch, "in.mp4", H264), scratch.path("out.mp4"));
    for option in [&[][..], &["--faststart"], &["--fragmented"]] {
        let json = run(&[&["transcode", &input, &output, "--copy", "-y", "-q", "--json"], option].concat());
        let json = json.ok().json();
        assert_eq!(
            (&json["frames_out"], json["tracks"].as_array().map(Vec::len)),
            (&Value::from(150), Some(3))
        );
        assert_eq!(streams(&output), streams(&input), "{option:?}");
        for stream in ["v:0", "a:0", "a:1"] {
            assert_eq!(packets(&output, stream), packets(&input, stream), "{option:?} {stream}");
        }
        assert_eq!(notes(&json), "[]", "{option:?}");
        plays(&output);
    }
    // Through pipes on both sides.
    let fast = scratch.path("fast.mp4");
    run(&["transcode", &input, &fast, "--copy", "--faststart", "-q"]).ok();
    let bytes = std::fs::read(&fast).unwrap();
    let piped = run_with_stdin(&["transcode", "-", "-", "--copy", "-q", "--format", "mp4"], &bytes).ok();
    let through = scratch.file("through.mp4", &piped.stdout);
    assert_eq!(streams(&through), streams(&input));
}

/// MP4 to a raw stream or IVF, and back: the pictures keep their order, which a raw stream states in its headers alone.
#[test]
fn raw_streams_and_back() {
    if !tools() {
        return;
    }
    for (video, raw) in [
        (H264, "h264"),
        (
            "-c:v libx265 -preset ultrafast -x265-params log-level=error:info=0:bframes=4:b-pyramid=1:keyint=30",
            "hevc",
        ),
        ("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 20", "ivf"),
        ("-c:v libsvtav1 -preset 12 -g 20", "ivf"),
    ] {
        let scratch = Scratch::new();
        let encoder = video.split(' ').nth(1).unwrap();
        if !tool("ffmpeg", &["-v", "error", "-hide_banner", "-encoders"]).contains(encoder) {
            std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("SKIPPED: this ffmpeg has no {encoder}\n").as_bytes(),
            )
            .unwrap();
            continue;
        }
        let input = film(&scratch, "in.mp4", video);
        let (out, back) = (scratch.path(&format!("out.{raw}")), scratch.path("back.mp4"));
        let json = run(&["transcode", &input, &out, "--copy", "-q", "--json"]).ok().json();
        assert_eq!(notes(&json).matches("is left out").count(), 2, "{encoder}: {json}");
        run(&["transcode", &out, &back, "--copy", "-q", "--input-fps", "25"]).ok();
        let video_of = |text: String| text.lines().next().unwrap().to_owned();
        assert_eq!(video_of(streams(&back)), video_of(streams(&input)), "{encoder}");
        let times =
            |file: &str| -> Vec<String> { packets(file, "v:0").into_iter().map(|[pts, _, _]| pts).collect() };
        assert_eq!(times(&back), times(&input), "{encoder}: presentation times in decoding order");
        assert_eq!(pictures(&back), pictures(&input), "{encoder}");
        plays(&back);
    }
}

#[test]
fn tracks_are_chosen_and_told() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let (input, output) = (film(&scratch, "in.mp4", H264), scratch.path("out.mp4"));
    let languages = |json: &Value| -> Vec<String> {
        let tracks = json["tracks"].as_array().unwrap().iter();
        tracks.filter_map(|track| Some(track["language"].as_str()?.to_owned())).collect()
    };
    for (choice, wanted) in [
        ("all", &["eng", "fra"][..]),
        ("lang:FRA", &["fra"]),
        ("2", &["eng"]),
        ("none", &[]),
        ("lang:deu", &[]),
    ] {
        let args = ["transcode", &input, &output, "--copy", "-y", "-q", "--json", "--audio", choice];
        let json = run(&args).ok().json();
        assert_eq!(languages(&json), wanted, "{choice}");
        let left = notes(&json).matches("is left out: it is not asked for").count();
        assert_eq!(left, 2 - wanted.len(), "{choice}: {json}");
        let told =
            notes(&json).contains("no sound is in language deu; languages of the sound tracks: eng, fra");
        assert_eq!(told, choice == "lang:deu", "{choice}: {json}");
        let shown = tool(
            "ffprobe",
            &["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", &output],
        );
        assert_eq!(shown.matches("audio").count(), wanted.len(), "{choice}");
        // What is encoded anew chooses likewise.
        let args = ["transcode", &input, &output, "-y", "-q", "--json", "--frames", "3", "--audio", choice];
        let json = run(&args).ok().json();
        assert_eq!(notes(&json).matches("is not asked for").count(), 2 - wanted.len(), "{choice}: {json}");
        assert_eq!(
            notes(&json).contains("no sound is in language deu"),
            choice == "lang:deu",
            "{choice}: {json}"
        );
    }
    run(&["transcode", &input, &output, "--copy", "-y", "--audio", "1"])
        .refused(2, &["no sound track 1", "2, 3"]);
    run(&["transcode", &input, &output, "--copy", "-y", "--track", "2"])
        .refused(2, &["no video track 2", ": 1"]);
}

/// Of several video tracks the largest that players show is decoded, or the one that is asked for; a copy has all.
#[test]
fn the_main_track_is_the_largest() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let (input, output) = (scratch.path("in.mp4"), scratch.path("out.mp4"));
    let sources =
        "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i testsrc2=s=160x96:r=25:d=1 -map 0 -map 1";
    let rest = "-c:v libx264 -bf 0 -disposition:v:0 default -disposition:v:1 default -threads 1 -y";
    let args: Vec<_> = ["-v", "error"].into_iter().chain(sources.split(' ')).chain(rest.split(' ')).collect();
    tool("ffmpeg", &[&args[..], &[&input]].concat());
    let size = |args: &[&str]| {
        let json = run(&[&["decode", &input, "--null", "-q", "--json"], args].concat()).ok().json();
        json["source"]["size"].as_str().unwrap().to_owned()
    };
    assert_eq!(size(&[]), "160x96");
    assert_eq!(size(&["--track", "1"]), "64x48");
    let json = run(&["transcode", &input, &output, "--copy", "-q", "--json"]).ok().json();
    assert_eq!((json["tracks"].as_array().unwrap().len(), notes(&json)), (2, "[]".to_owned()));
    let json =
        run(&["transcode", &input, &output, "--copy", "-q", "-y", "--json", "--track", "2"]).ok().json();
    assert_eq!(json["tracks"][0]["id"], 2);
    assert_eq!(notes(&json).matches("track 1 (h264) is left out").count(), 1, "{json}");
    let json = run(&["transcode", &input, &output, "-q", "-y", "--json", "--frames", "2"]).ok().json();
    assert_eq!(json["source"]["size"], "160x96");
    assert!(notes(&json).contains("track 1 (h264) is left out"), "{json}");
}

/// A text that lasts beyond a part ends with it.
#[test]
fn a_text_does_not_make_a_part_longer() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let (texts, input) = (scratch.path("long.srt"), scratch.path("in.mp4"));
    std::fs::write(&texts, "1\n00:00:00,500 --> 00:20:00,000\nlong\n\n").unwrap();
    let source = "testsrc2=s=160x96:r=25:d=3";
    let args = [
        "-v", "error", "-f", "lavfi", "-i", source, "-i", &texts, "-map", "0", "-map", "1", "-c:s",
        "mov_text",
    ];
    tool("ffmpeg", &[&args[..], &["-c:v", "libx264", "-g", "10", "-y", &input]].concat());
    for (name, copy) in [("a.mp4", true), ("a.mkv", true), ("b.mp4", false), ("b.mkv", false)] {
        let output = scratch.path(name);
        let part = ["trim", &input, &output, "--start", "1", "--duration", "1", "-q"];
        run(&[&part[..], if copy { &["--copy"][..] } else { &[][..] }].concat()).ok();
        let asked = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", &output];
        let duration: f64 = tool("ffprobe", &asked).trim().parse().unwrap();
        assert!(duration < 1.6, "{name}: {duration}");
        let texts = tool(
            "ffprobe",
            &[
                "-v",
                "error",
                "-select_streams",
                "s",
                "-show_entries",
                "packet=pts_time",
                "-of",
                "csv=p=0",
                &output,
            ],
        );
        assert!(!texts.trim().is_empty(), "{name}: the text is there");
    }
}

/// Players show exactly the part that was asked for, for closed and open groups of pictures, from files and pipes.
#[test]
fn a_part_shows_its_own_pictures() {
    if !tools() {
        return;
    }
    let open = "-x264-params open-gop=1:bframes=3:keyint=20:min-keyint=20:scenecut=0";
    let open264 = format!("-c:v libx264 -preset veryfast {open}");
    let open265 = "-c:v libx265 -preset ultrafast -x265-params log-level=error:open-gop=1:bframes=3:keyint=20:min-keyint=20";
    for video in [H264, &open264, open265, "-c:v libx264 -bf 0 -g 10"] {
        let scratch = Scratch::new();
        let (input, output) = (film(&scratch, "in.mp4", video), scratch.path("out.mp4"));
        let fast = scratch.path("fast.mp4");
        run(&["transcode", &input, &fast, "--copy", "--faststart", "-q"]).ok();
        let (all, bytes) = (pictures(&input), std::fs::read(&fast).unwrap());
        for (start, duration, range) in [
            ("1.5", "2", 38..88),
            ("0.8", "1", 20..45),
            ("0", "1.02", 0..26),
            ("1.7", "0.04", 43..44),
            ("5", "9", 125..150),
        ] {
            let part = ["--start", start, "--duration", duration, "--copy", "-y", "-q", "--json"];
            let json = run(&[&["trim", &input, &output], &part[..]].concat()).ok().json();
            let said = format!("{video}: {start} + {duration}: {json}");
            assert_eq!(pictures(&output), all[range.clone()], "{said}");
            let included = json["cut"]["included_before"].as_u64().unwrap();
            assert_eq!(json["cut"]["hidden_before"], start != "0", "{said}");
            assert_eq!(included > 0, notes(&json).contains("before the start"), "{said}");
            let piped = [&["trim", "-", &output], &part[..]].concat();
            run_with_stdin(&piped, &bytes).ok();
            assert_eq!(pictures(&output), all[range], "piped, {said}");
            // Sound begins with the pictures, to the sample.
            let times = tool(
                "ffprobe",
                &["-v", "error", "-show_entries", "stream=start_time", "-of", "csv=p=0", &output],
            );
            for time in times.lines() {
                let time: f64 = time.parse().unwrap();
                assert!(time.abs() < 0.04, "{times} {said}");
            }
        }
        // A raw stream can hide nothing: it begins at the key frame and says so.
        let raw = scratch.path(if video.contains("265") { "out.hevc" } else { "out.h264" });
        let args = ["trim", &input, &raw, "--start", "1.5", "--duration", "2", "--copy", "-q", "--json"];
        let json = run(&args).ok().json();
        assert!(notes(&json).contains("the output begins"), "{json}");
        let shown = pictures(&raw);
        assert_eq!(shown[0], all[38 - json["cut"]["included_before"].as_u64().unwrap() as usize], "{json}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let scratch = Scratch::new();
    let (input, output) = (clip("bars.mp4"), scratch.path("out.mp4"));
    run(&["trim", &input, &output, "--copy"]).refused(2, &["--start"]);
    run(&["trim", &input, &output, "--copy", "--start", "100"]).refused(2, &["start 100"]);
    run(&["transcode", &input, &output, "--copy", "--size", "64x48"]).refused(2, &["--copy", "--size"]);
    run(&["transcode", &input, &scratch.path("out.ivf"), "--copy"]).refused(3, &["IVF"]);
    run(&["transcode", &input, &scratch.path("out.y4m"), "--copy"]).refused(3, &["y4m"]);
    let y4m = scratch.file("in.y4m", &crate::common::y4m(64, 48, 3));
    run(&["transcode", &y4m, &output, "--copy"]).refused(3, &["not compressed"]);
    assert_eq!(scratch.names(), ["in.y4m"], "no half-made output is left");
    run(&["trim", &input, &output, "--start", "0.2", "-q", "--copy"]).ok();
    run(&["trim", &input, &output, "--start", "0.2", "-q", "--copy"]).refused(2, &["exists"]);
    // Without --copy it is a transcode of the part.
    let json =
        run(&["trim", &input, &output, "-y", "--start", "0.2", "--frames", "3", "-q", "--json"]).ok().json();
    assert_eq!((&json["command"], &json["frames_out"]), (&Value::from("trim"), &Value::from(3)));
}

/// From container to container and back: what each of them holds is what went in.
#[test]
fn a_round_trip_through_every_container_changes_no_sample() {
    if !tools() {
        return;
    }
    for video in
        [H264, "-c:v libx265 -preset ultrafast -x265-params log-level=error:info=0:bframes=3:keyint=20"]
    {
        let scratch = Scratch::new();
        let mut before = film(&scratch, "in.mp4", video);
        let first = before.clone();
        for name in ["a.mkv", "b.ts", "c.mp4"] {
            let after = scratch.path(name);
            let json = run(&["transcode", &before, &after, "--copy", "-q", "--json"]).ok().json();
            assert_eq!(json["tracks"].as_array().map(Vec::len), Some(3), "{name}: {json}");
            assert_eq!(json["frames_out"], 150, "{name}");
            plays(&after);
            assert_eq!(pictures(&after), pictures(&first), "{name}");
            before = after;
        }
        assert_eq!(streams(&before), streams(&first), "{video}");
        // Matroska counts milliseconds here, and a transport stream begins where it likes.
        for stream in ["v:0", "a:0", "a:1"] {
            let times = |file: &str| -> Vec<f64> {
                let times = packets(file, stream).into_iter().map(|[pts, _, _]| pts.parse::<f64>().unwrap());
                let times: Vec<_> = times.collect();
                let first = packets(file, "v:0")
                    .iter()
                    .map(|p| p[0].parse::<f64>().unwrap())
                    .fold(f64::MAX, f64::min);
                times.into_iter().map(|time| time - first).collect()
            };
            let (a, b) = (times(&first), times(&before));
            assert_eq!(a.len(), b.len(), "{stream} of {video}");
            let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 0.001, "{stream} of {video}: {apart} s apart");
        }
    }
}
