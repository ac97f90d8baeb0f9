//! `probe` and `devices`.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed run")]

mod common;

use common::{Scratch, clip, goldens, have, run, run_with_stdin, tool};

#[test]
fn a_film_is_described() {
    let json = run(&["probe", &clip("bars.mp4"), "--json"]).ok().json();
    assert_eq!(json["container"], "mp4");
    assert!((json["duration_s"].as_f64().unwrap() - 4.004).abs() < 0.05, "{}", json["duration_s"]);
    let tracks = json["tracks"].as_array().unwrap();
    assert_eq!(tracks.len(), 2);
    let video = &tracks[0];
    for (key, value) in [
        ("kind", "video"),
        ("codec", "h264"),
        ("size", "640x360"),
        ("coded_size", "640x368"),
        ("profile", "High"),
        ("pix_fmt", "yuv420p"),
        ("chroma", "4:2:0"),
    ] {
        assert_eq!(video[key], value, "{key}");
    }
    assert_eq!(video["bit_depth"], 8);
    assert_eq!(video["samples"], 120);
    assert_eq!(video["color"]["matrix"], "bt709");
    assert_eq!(video["color"]["range"], "tv");
    assert_eq!(video["rotation"], 0);
    let rate = video["frame_rate"].as_str().unwrap().split_once('/').unwrap();
    let rate = rate.0.parse::<f64>().unwrap() / rate.1.parse::<f64>().unwrap();
    assert!((rate - 30_000.0 / 1001.0).abs() < 0.001, "{rate}");
    assert_eq!(tracks[1]["kind"], "audio");
    assert_eq!(json["decode"]["backend"], "software");

    let table = run(&["probe", &clip("bars.mp4")]).ok().out();
    for word in ["mp4", "640x360", "h264 High, level", "29.970 fps", "bt709", "audio", "software ("] {
        assert!(table.contains(word), "no {word:?} in\n{table}");
    }
}

#[test]
fn every_clip_is_described_with_its_decoder_or_the_reason() {
    for (_, _, format, file) in goldens() {
        let json = run(&["probe", &clip(&file), "--json"]).ok().json();
        let video = &json["tracks"][0];
        assert_eq!(video["pix_fmt"], format.as_str(), "{file}");
        assert!(video["profile"].as_str().is_some_and(|p| !p.is_empty()), "{file}: {video}");
        if file == "interlaced.h264" {
            assert_eq!(video["interlaced"], true);
        } else {
            assert_eq!(json["decode"]["backend"], "software", "{file}: {}", json["decode"]);
        }
    }
}

#[test]
fn pipes_and_pictures_are_described() {
    let bytes = std::fs::read(clip("small.h264")).unwrap();
    let json = run_with_stdin(&["probe", "-", "--json"], &bytes).ok().json();
    assert_eq!(json["tracks"][0]["codec"], "h264");
    assert_eq!(json["picture"]["size"], "178x146");
    let table = run_with_stdin(&["probe", "-"], &common::y4m(64, 48, 2)).ok().out();
    assert!(table.contains("64x48") && table.contains("yuv420p") && table.contains("30 fps"), "{table}");
}

#[test]
fn the_light_of_hdr_is_told() {
    const DISPLAY: &str = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let film = scratch.path("hdr.mp4");
    let parameters = format!("log-level=none:hdr10=1:master-display={DISPLAY}:max-cll=1000,400");
    let source =
        ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=0.2", "-pix_fmt", "yuv420p10le"];
    let coded = ["-c:v", "libx265", "-x265-params", &parameters, &film];
    tool("ffmpeg", &[&source[..], &coded].concat());
    let json = run(&["probe", &film, "--json"]).ok().json();
    let video = &json["tracks"][0];
    assert_eq!((&video["mastering_display"], &video["content_light"]), (&DISPLAY.into(), &"1000,400".into()));
    let table = run(&["probe", &film]).ok().out();
    assert!(table.contains(DISPLAY) && table.contains("1000 cd/m2, frames 400"), "{table}");
    // As hardware leaves it: messages in band, and the container knows nothing of them.
    let (raw, silent) = (scratch.path("raw.h265"), scratch.path("silent.mp4"));
    tool("ffmpeg", &[&source[..], &["-c:v", "libx265", "-x265-params", &parameters, &raw]].concat());
    tool("ffmpeg", &["-v", "error", "-f", "hevc", "-i", &raw, "-c", "copy", &silent]);
    let mut bytes = std::fs::read(&silent).unwrap();
    for at in 0..bytes.len() - 4 {
        if matches!(&bytes[at..at + 4], b"mdcv" | b"clli") {
            bytes[at..at + 4].copy_from_slice(b"free");
        }
    }
    std::fs::write(&silent, bytes).unwrap();
    let json = run(&["probe", &silent, "--json"]).ok().json();
    let video = &json["tracks"][0];
    assert_eq!((&video["mastering_display"], &video["content_light"]), (&DISPLAY.into(), &"1000,400".into()));
    let plain = run(&["probe", &clip("bars.mp4"), "--json"]).ok().json();
    assert!(plain["tracks"][0]["content_light"].is_null());
}

#[test]
fn devices_say_what_they_can_and_why_not() {
    let json = run(&["devices", "--json"]).ok().json();
    let backends = json["backends"].as_array().unwrap();
    let software = backends.iter().find(|b| b["name"] == "software").unwrap();
    assert_eq!(software["available"], true);
    let codecs = software["codecs"].as_array().unwrap();
    let h264 = codecs.iter().find(|c| c["codec"] == "h264").unwrap();
    assert!(h264["decode"]["implementation"].is_string() && h264["encode"]["implementation"].is_string());
    assert!(h264["encode"]["formats"].to_string().contains("yuv420p"));
    for backend in backends.iter().filter(|b| b["available"] == false) {
        assert!(backend["reason"].as_str().is_some_and(|r| !r.is_empty()), "{backend}");
        assert!(backend["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{backend}");
    }
    let table = run(&["devices"]).ok().out();
    assert!(table.contains("software      yes") && table.contains("decode  "), "{table}");
}
