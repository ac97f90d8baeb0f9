//! `probe` and `devices`.

use crate::common::{Scratch, clip, goldens, have, run, run_with_stdin, tool};

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
    let table = run_with_stdin(&["probe", "-"], &crate::common::y4m(64, 48, 2)).ok().out();
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

/// Replaces bytes behind the first occurrence of a box type.
fn patched(file: &str, kind: &[u8; 4], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut film = std::fs::read(file).unwrap();
    let place = film.windows(4).position(|window| window == kind).unwrap() + at;
    film[place..place + bytes.len()].copy_from_slice(bytes);
    film
}

#[test]
fn disabled_and_mirrored_tracks_are_told() {
    let scratch = Scratch::new();
    let film = scratch.path("film.mp4");
    // Behind the type of tkhd: version and flags; the first track of this file is the picture.
    std::fs::write(&film, patched(&clip("bars.mp4"), b"tkhd", 7, &[2])).unwrap();
    let json = run(&["probe", &film, "--json"]).ok().json();
    let tracks = json["tracks"].as_array().unwrap();
    assert_eq!((&tracks[0]["enabled"], &tracks[1]["enabled"]), (&false.into(), &true.into()));
    assert_eq!(tracks[0]["mirrored"], false);
    assert!(json["notes"].to_string().contains("track 1 is marked as disabled"), "{}", json["notes"]);
    let table = run(&["probe", &film]).ok().out();
    assert!(table.contains("players leave it out"), "{table}");
    // The matrix of version 0 begins 44 bytes behind the type: a, b, u, c, d ...
    for (matrix, words) in [
        ([-65_536_i32, 0, 0, 0, 65_536], "left to right"),
        ([65_536, 0, 0, 0, -65_536], "top to bottom"),
        ([0, 65_536, 0, 65_536, 0], "turned by 270 degrees"),
    ] {
        let bytes: Vec<u8> = matrix.iter().flat_map(|value| value.to_be_bytes()).collect();
        std::fs::write(&film, patched(&clip("bars.mp4"), b"tkhd", 44, &bytes)).unwrap();
        let json = run(&["probe", &film, "--json"]).ok().json();
        assert_eq!(
            (&json["tracks"][0]["mirrored"], &json["tracks"][0]["rotation"]),
            (&true.into(), &0.into())
        );
        let table = run(&["probe", &film]).ok().out();
        assert!(table.contains(words), "no {words:?} in {table}");
    }
}

#[test]
fn what_is_no_film_is_told_by_name() {
    let scratch = Scratch::new();
    let told = |name: &str, bytes: &[u8]| {
        let path = scratch.path(name);
        std::fs::write(&path, bytes).unwrap();
        let run = run(&["probe", &path]);
        assert_eq!(run.code, Some(3), "{}", run.stderr);
        run.stderr
    };
    for (name, bytes, what) in [
        ("a.mp3", &b"ID3\x04\0\0\0\0\0\0"[..], "MP3 sound"),
        ("a.wav", b"RIFF\x24\0\0\0WAVEfmt ", "WAV sound"),
        ("a.gif", b"GIF89a\x01\0\x01\0", "a GIF image"),
    ] {
        let message = told(name, bytes);
        assert!(message.contains("no video here") && message.contains(what), "{message}");
        assert!(!message.contains("into MP4"), "{message}");
    }
    // A segment of a stream, with and without the box that most of them begin with.
    let moof = b"\0\0\0\x18moof\0\0\0\x10mfhd\0\0\0\0\0\0\0\x01\0\0\0\x0cmdat\0\0\0\0";
    let styp = b"\0\0\0\x10stypmsdh\0\0\0\0";
    for bytes in [&moof[..], &[&styp[..], moof].concat(), &[&styp[..], &moof[..moof.len() - 2]].concat()] {
        let message = told("a.m4s", bytes);
        assert!(message.contains("media segment") && message.contains("initialisation segment"), "{message}");
        assert!(!message.contains("interrupted"), "{message}");
    }
}

#[test]
fn a_codec_that_is_not_read_is_named() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    for (codec, options, name) in [
        ("prores_ks", &["-profile:v", "3"][..], "Apple ProRes 422 HQ (apch)"),
        ("dnxhd", &["-profile:v", "dnxhr_lb", "-pix_fmt", "yuv422p"], "Avid DNxH"),
    ] {
        let film = scratch.path("a.mov");
        let source =
            ["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=256x128:r=25:d=0.1", "-c:v", codec];
        tool("ffmpeg", &[&source[..], options, &[&film]].concat());
        let json = run(&["probe", &film, "--json"]).ok().json();
        let codec = json["tracks"][0]["codec"].as_str().unwrap();
        assert!(codec.contains(name), "{codec}");
        assert!(json["decode"]["refused"]["message"].to_string().contains(name), "{}", json["decode"]);
    }
}

#[test]
fn rates_and_shapes_are_those_of_films() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let film = scratch.path("one.mp4");
    let source = ["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=0.04"];
    let options = ["-c:v", "libx264", "-video_track_timescale", "1000000", &film];
    tool("ffmpeg", &[&source[..], &options].concat());
    // One picture that lasts a millionth of a second; count and duration stand 12 bytes behind the type.
    std::fs::write(&film, patched(&film, b"stts", 16, &[0; 3])).unwrap();
    std::fs::write(&film, patched(&film, b"stts", 16, &[0, 0, 0, 1])).unwrap();
    let video = &run(&["probe", &film, "--json"]).ok().json()["tracks"][0];
    assert_ne!(video["frame_rate"], "1000000/1");
    let table = run(&["probe", &film]).ok().out();
    assert!(!table.contains("1000000 fps"), "{table}");
    std::fs::write(&film, patched(&film, b"pasp", 4, &[0, 1, 0, 0, 0, 1, 0, 0])).unwrap();
    let table = run(&["probe", &film]).ok().out();
    assert!(table.contains("1:1") && !table.contains("65536"), "{table}");
}

#[test]
fn raw_av1_is_described_and_decoded_in_both_framings() {
    if !have("ffmpeg") || !have("aomenc") {
        return;
    }
    let scratch = Scratch::new();
    let pictures = scratch.path("a.y4m");
    let source =
        ["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=30:d=0.3", "-pix_fmt", "yuv420p"];
    tool("ffmpeg", &[&source[..], &[&pictures]].concat());
    let mut sums = Vec::new();
    for (annexb, name) in [("--annexb=0", "a.obu"), ("--annexb=1", "b.obu")] {
        let film = scratch.path(name);
        let options =
            ["--quiet", "--obu", annexb, "--cpu-used=8", "--lag-in-frames=4", "-o", &film, &pictures];
        tool("aomenc", &options);
        let json = run(&["probe", &film, "--json"]).ok().json();
        let video = &json["tracks"][0];
        assert_eq!((&video["codec"], &video["size"]), (&"av1".into(), &"96x64".into()), "{json}");
        assert_eq!(json["decode"]["backend"], "software", "{}", json["decode"]);
        let out = scratch.path(&format!("{name}.yuv"));
        run(&["decode", &film, &out, "-q"]).ok();
        sums.push(std::fs::read(out).unwrap());
    }
    assert!(sums[0] == sums[1], "both framings hold the same pictures");
    let judge = scratch.path("judge.yuv");
    tool("ffmpeg", &["-v", "error", "-y", "-i", &scratch.path("a.obu"), &judge]);
    let judged = std::fs::read(judge).unwrap();
    assert_eq!(judged.len(), 9 * 96 * 64 * 3 / 2);
    assert!(sums[0] == judged, "pictures differ from ffmpeg's");
}

#[test]
fn damage_is_gone_over_and_told() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let whole = scratch.path("whole.ts");
    let args = "-v error -f lavfi -i testsrc2=s=176x144:r=25:d=1 -c:v libx264 -g 5 -bf 0 -threads 1 -y";
    tool("ffmpeg", &args.split(' ').chain([whole.as_str()]).collect::<Vec<_>>());
    let bytes = std::fs::read(&whole).unwrap();
    // A packet out of the first picture, behind what the encoder says of itself.
    let lost =
        bytes.chunks(188).enumerate().filter(|(_, packet)| packet[1..3] == [0x01, 0x00]).nth(10).unwrap().0;
    let film = scratch.file("film.ts", &[&bytes[..lost * 188], &bytes[(lost + 1) * 188..]].concat());
    let json = run(&["probe", &film, "--json"]).ok().json();
    assert_eq!(json["tracks"][0]["size"], "176x144");
    assert_eq!(json["decode"]["refused"]["kind"], "corrupt_stream", "{json}");

    let json = run(&["probe", &film, "--json", "--keep-going"]).ok().json();
    assert_eq!(json["picture"]["size"], "176x144", "{json}");
    assert!(json["problems"][0].as_str().unwrap().contains("packets are missing"), "{json}");
    let table = run(&["probe", &film, "--keep-going"]).ok().out();
    assert!(table.contains("skipped") && table.contains("packets are missing"), "{table}");

    let json = run(&["probe", &film, "--json", "--gops"]).ok().json();
    assert_eq!(json["gops"]["problem_count"], 1);
    assert!(json["problems"][0].as_str().unwrap().contains("packets are missing"), "{json}");
}
