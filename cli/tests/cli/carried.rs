//! What a transcode keeps of a file beside its pictures, by the judgement of ffprobe, and what it says of what it cannot keep.

use crate::common::{Scratch, clip, have, plays, run, tool};
use serde_json::Value;

fn tools() -> bool {
    have("ffmpeg") && have("ffprobe")
}

#[track_caller]
fn probe(file: &str) -> Value {
    let args = ["-v", "error", "-show_format", "-show_streams", "-show_chapters", "-of", "json", file];
    serde_json::from_str(&tool("ffprobe", &args)).unwrap()
}

fn notes(json: &Value) -> String {
    json["notes"].to_string()
}

/// Two seconds with tags, a location, two chapters and a timecode.
fn described(scratch: &Scratch, name: &str) -> String {
    let chapters = ";FFMETADATA1\ntitle=A title\nartist=Somebody\n\
        [CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n\
        [CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Two\n";
    let (list, output) = (scratch.file("chapters.txt", chapters.as_bytes()), scratch.path(name));
    let source = "testsrc2=s=64x48:r=25:d=2";
    let args = ["-v", "error", "-f", "lavfi", "-i", source, "-f", "lavfi", "-i", "sine=d=2", "-i", &list];
    let more = ["-map", "0", "-map", "1", "-map_metadata", "2", "-map_chapters", "2", "-c:v", "libx264"];
    let tags = ["-metadata", "location=+48.1-011.6/", "-metadata", "creation_time=2020-01-02T03:04:05Z"];
    let rest = ["-timecode", "01:02:03:04", "-c:a", "aac", "-threads", "1", "-y", &output];
    tool("ffmpeg", &[&args[..], &more, &tags, &rest].concat());
    output
}

#[test]
fn tags_location_chapters_and_timecode_survive() {
    if !tools() {
        return;
    }
    for name in ["in.mp4", "in.mov"] {
        for option in [&[][..], &["--faststart"], &["--fragmented"]] {
            let scratch = Scratch::new();
            let (input, output) = (described(&scratch, name), scratch.path(&format!("out-{name}")));
            let args = ["transcode", &input, &output, "-q", "--json"];
            let json = run(&[&args[..], option].concat()).ok().json();
            plays(&output);
            let (before, after) = (probe(&input), probe(&output));
            for tag in ["title", "artist", "location", "creation_time"] {
                let tags = |file: &Value| file["format"]["tags"][tag].clone();
                assert!(tags(&before).is_string(), "{name}: {tag} is in {before}");
                assert_eq!(tags(&after), tags(&before), "{name} {option:?}: {tag}");
            }
            let chapters = |file: &Value| -> Vec<_> {
                let list = file["chapters"].as_array().unwrap().iter();
                list.map(|c| (c["start_time"].clone(), c["end_time"].clone(), c["tags"]["title"].clone()))
                    .collect()
            };
            assert_eq!(chapters(&after), chapters(&before), "{name} {option:?}");
            assert_eq!(chapters(&after).len(), 2, "{name} {option:?}");
            let timecode = |file: &Value| file["streams"][0]["tags"]["timecode"].clone();
            assert_eq!(timecode(&before), "01:02:03:04", "{name}: {before}");
            assert_eq!(timecode(&after), timecode(&before), "{name} {option:?}");
            let lost = notes(&json);
            assert!(!lost.contains("lost") && !lost.contains("left out"), "{lost}");
        }
    }
}

/// Chapters as a track of text: the reference to it and that nobody is to see it.
#[test]
fn a_chapter_track_stays_one() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let (input, output) = (described(&scratch, "in.mov"), scratch.path("out.mp4"));
    run(&["transcode", &input, &output, "-q"]).ok();
    let file = |path: &str| std::fs::read(path).unwrap();
    let has = |bytes: &[u8], kind: &[u8]| bytes.windows(kind.len()).any(|window| window == kind);
    assert!(has(&file(&input), b"chap"), "the input refers to its chapters");
    assert!(has(&file(&output), b"tref") && has(&file(&output), b"chap"));
    let kinds = |path: &str| -> Vec<(Value, Value)> {
        let streams = probe(path)["streams"].as_array().unwrap().clone();
        streams.iter().map(|s| (s["codec_tag_string"].clone(), s["disposition"]["default"].clone())).collect()
    };
    let text = |path: &str| kinds(path).into_iter().find(|(tag, _)| tag == "text" || tag == "bin_data");
    assert_eq!(text(&output), text(&input));
}

#[test]
fn cover_art_survives() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let (cover, input, output) = (scratch.path("cover.png"), scratch.path("in.mp4"), scratch.path("out.mp4"));
    tool(
        "ffmpeg",
        &["-v", "error", "-f", "lavfi", "-i", "color=red:s=16x16", "-frames:v", "1", "-y", &cover],
    );
    let maps = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic", "-y", &input];
    tool("ffmpeg", &[&["-v", "error", "-i", &clip("bars.mp4"), "-i", &cover][..], &maps].concat());
    run(&["transcode", &input, &output, "-q", "--frames", "5"]).ok();
    let cover = |path: &str| {
        let streams = probe(path)["streams"].as_array().unwrap().clone();
        streams.iter().filter(|s| s["disposition"]["attached_pic"] == 1).count()
    };
    assert_eq!((cover(&input), cover(&output)), (1, 1));
}

#[test]
fn what_has_no_place_is_told_once_each() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let input = described(&scratch, "in.mp4");
    let output = scratch.path("out.h264");
    let json = run(&["transcode", &input, &output, "-q", "--json"]).ok().json();
    for lost in ["tags", "location", "tmcd", "mp4a"] {
        assert_eq!(notes(&json).matches(lost).count(), 1, "{lost} in {json}");
    }
    // A part of the file has other chapters, and another timecode at its start.
    let output = scratch.path("part.mp4");
    let json = run(&["transcode", &input, &output, "-q", "--json", "--start", "0.5"]).ok().json();
    assert!(notes(&json).contains("timecode"), "{json}");
    let after = probe(&output);
    assert_eq!(after["format"]["tags"]["title"], "A title");
    assert!(after["streams"][0]["tags"]["timecode"].is_null(), "{after}");
    for chapter in after["chapters"].as_array().unwrap() {
        let (start, title) = (chapter["start_time"].as_str().unwrap(), &chapter["tags"]["title"]);
        let start: f64 = start.parse().unwrap();
        let wanted = if *title == "One" { 0.0 } else { 0.5 };
        assert!((start - wanted).abs() < 0.05, "{chapter}");
    }
}

/// A copied track that is cut off ends the job, or only its own copy.
#[test]
fn a_sound_track_that_is_cut_off_is_gone_over() {
    if !tools() {
        return;
    }
    let scratch = Scratch::new();
    let (whole, input, output) = (scratch.path("whole.mp4"), scratch.path("in.mp4"), scratch.path("out.mp4"));
    // The index first, then the video, then the sound, so that a cut takes sound alone.
    let args =
        ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=d=4"];
    let rest = ["-c:v", "libx264", "-threads", "1", "-movflags", "+faststart", "-y", &whole];
    tool("ffmpeg", &[&args[..], &rest].concat());
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&input, &bytes[..bytes.len() - 4000]).unwrap();
    let strict = run(&["transcode", &input, &output, "-q"]);
    assert_eq!(strict.code, Some(1), "{}", strict.stderr);
    let on = run(&["transcode", &input, &output, "-q", "--json", "--keep-going"]).ok().json();
    assert_eq!(on["frames_out"], 25);
    assert!(on["problem_count"].as_u64() > Some(0) && on["copied_samples"].as_u64() > Some(0), "{on}");
    plays(&output);
}
