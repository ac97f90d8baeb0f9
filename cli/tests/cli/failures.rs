//! Everything that goes wrong does so in one clear line, with its exit code, and leaves nothing behind.

use std::fs;

use crate::common::{Run, Scratch, clip, run, run_with_stdin};

/// Refuses `input` for decode, probe and transcode, and leaves no file.
#[track_caller]
fn bad_input(name: &str, content: &[u8], code: i32, words: &[&str]) {
    let scratch = Scratch::new();
    let input = scratch.file(name, content);
    let output = scratch.path("out.mp4");
    let words: Vec<_> = words.iter().copied().chain([name]).collect();
    run(&["transcode", &input, &output]).refused(code, &words);
    run(&["decode", &input, "--null"]).refused(code, &words);
    assert_eq!(scratch.names(), [name]);
    let json = run(&["transcode", &input, &output, "--json"]).json();
    assert_eq!(json["exit_code"], code);
    assert!(json["error"]["kind"].is_string(), "{json}");
    assert!(json["error"]["message"].as_str().unwrap().contains(name), "{json}");
    // Probing never fails otherwise than with words; it may succeed where the damage is further in.
    let probe = run(&["probe", &input]);
    if probe.code != Some(0) {
        probe.refused(code, &[name]);
    }
}

/// Position of the box's size field, anywhere in the file.
fn find_box(data: &[u8], kind: &[u8; 4]) -> usize {
    data.windows(4).position(|w| w == kind).expect("the box is there") - 4
}

fn bars() -> Vec<u8> {
    fs::read(clip("bars.mp4")).unwrap()
}

#[test]
fn an_empty_file() {
    bad_input("empty.mp4", b"", 1, &["empty"]);
}

#[test]
fn text_that_calls_itself_mp4() {
    bad_input("notes.mp4", b"Dear diary, today I saw a film.\nIt was long.\n", 1, &["text"]);
}

#[test]
fn noise() {
    let noise: Vec<u8> = (0u32..5000).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    bad_input("noise.mp4", &noise, 1, &["no known format"]);
}

#[test]
fn a_film_without_its_index() {
    let mut data = bars();
    let at = find_box(&data, b"moov");
    data[at + 4..at + 8].copy_from_slice(b"free");
    bad_input("lost.mp4", &data, 1, &["moov"]);
}

#[test]
fn a_film_that_is_cut_short() {
    let data = bars();
    let (moov, mdat) = (find_box(&data, b"moov"), find_box(&data, b"mdat"));
    assert!(mdat < moov, "the clip has its index at the end");
    bad_input("cut.mp4", &data[..data.len() / 2], 1, &[]);
    // With the index in front, the samples are what is missing.
    let len = u32::from_be_bytes(data[moov..moov + 4].try_into().unwrap()) as usize;
    let ftyp_len = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize;
    let mut front = data[..ftyp_len].to_vec();
    let mut index = data[moov..moov + len].to_vec();
    shift_offsets(&mut index, len as u32);
    front.extend(&index);
    front.extend(&data[ftyp_len..moov]);
    let scratch = Scratch::new();
    let whole = scratch.file("whole.mp4", &front);
    let out = run(&["decode", &whole, "--md5", "-q"]).ok().out();
    assert!(
        out.starts_with("4c44b66919f1e08e0ceadc8a16ced774 120 "),
        "moving the index changed nothing: {out}"
    );
    bad_input("front.mp4", &front[..front.len() * 2 / 3], 1, &[]);
}

/// Adds `by` to every chunk offset.
fn shift_offsets(index: &mut [u8], by: u32) {
    let mut from = 0;
    while let Some(at) = index[from..].windows(4).position(|w| w == b"stco").map(|p| p + from) {
        let count = u32::from_be_bytes(index[at + 8..at + 12].try_into().unwrap()) as usize;
        for i in 0..count {
            let entry = at + 12 + 4 * i;
            let old = u32::from_be_bytes(index[entry..entry + 4].try_into().unwrap());
            index[entry..entry + 4].copy_from_slice(&old.wrapping_add(by).to_be_bytes());
        }
        from = at + 4;
    }
}

#[test]
fn samples_beyond_the_end_of_the_file() {
    let mut data = bars();
    let moov = find_box(&data, b"moov");
    shift_offsets(&mut data[moov..], 0x7000_0000);
    bad_input("beyond.mp4", &data, 1, &[]);
}

#[test]
fn four_thousand_million_samples_claimed() {
    let data = bars();
    for kind in [b"stsz", b"stts", b"stco", b"stsc"] {
        let mut data = data.clone();
        let at = find_box(&data, kind);
        // version and flags, then (stsz only) the size common to all samples.
        let count = at + 12 + if kind == b"stsz" { 4 } else { 0 };
        data[count..count + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        bad_input("claims.mp4", &data, 1, &[]);
    }
}

#[test]
fn damage_inside_a_stream_ends_it_or_is_gone_over() {
    let mut data = fs::read(clip("small.h264")).unwrap();
    let middle = data.len() / 2;
    for byte in &mut data[middle..middle + 600] {
        *byte = 0xaa;
    }
    let scratch = Scratch::new();
    let input = scratch.file("hit.h264", &data);
    let strict = run(&["decode", &input, "--null"]);
    if strict.code != Some(0) {
        strict.refused(1, &[]);
    }
    let json = run(&["decode", &input, "--null", "--keep-going", "--json", "-q"]).ok().json();
    assert!(json["frames_out"].as_u64().unwrap() >= 20, "{}", json["frames_out"]);
    assert_eq!(json["ledger"]["balances"], true);
}

#[test]
fn a_missing_input() {
    let scratch = Scratch::new();
    let (input, output) = (scratch.path("nowhere.mp4"), scratch.path("out.mp4"));
    run(&["transcode", &input, &output]).refused(1, &["nowhere.mp4", "os error 2"]);
    run(&["probe", &input]).refused(1, &["nowhere.mp4"]);
    run(&["decode", scratch.path("").as_str(), "--null"]).refused(1, &["directory"]);
    assert!(scratch.names().is_empty());
}

#[test]
fn standard_input_that_is_empty() {
    run_with_stdin(&["decode", "-", "--null"], b"").refused(1, &["standard input", "empty"]);
}

#[test]
fn an_output_that_exists_is_kept() {
    let scratch = Scratch::new();
    let output = scratch.file("out.mp4", b"precious");
    run(&["transcode", &clip("small.h264"), &output]).refused(2, &["out.mp4", "--overwrite"]);
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    // A job that fails later keeps it too, even when it was allowed to replace it.
    let damaged = scratch.file("empty.h264", b"");
    run(&["transcode", &damaged, &output, "-y"]).refused(1, &["empty.h264"]);
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    run(&["transcode", &clip("small.h264"), &output, "-y", "-q"]).ok();
    assert!(fs::read(&output).unwrap().len() > 1000);
    assert_eq!(scratch.names(), ["empty.h264", "out.mp4"]);
}

#[test]
fn the_input_is_never_the_output() {
    let scratch = Scratch::new();
    let content = fs::read(clip("small.h264")).unwrap();
    let input = scratch.file("in.h264", &content);
    run(&["transcode", &input, &input, "-y"]).refused(2, &["in.h264", "input"]);
    #[cfg(unix)]
    {
        let link = scratch.path("link.h264");
        std::os::unix::fs::symlink(&input, &link).unwrap();
        run(&["transcode", &input, &link, "-y"]).refused(2, &["link.h264", "input"]);
        run(&["decode", &link, &input, "-y", "--format", "yuv"]).refused(2, &["in.h264", "input"]);
    }
    assert_eq!(fs::read(&input).unwrap(), content);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let full = ["transcode", &clip("bars.mp4"), "/dev/full", "--format", "h264"];
    run(&full).refused(4, &["/dev/full", "No space left"]);
    run(&["decode", &clip("bars.mp4"), "/dev/full", "--format", "yuv"])
        .refused(4, &["/dev/full", "No space left"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let folder = scratch.path("sealed");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let (input, output) = (clip("small.h264"), format!("{folder}/out.mp4"));
    let job = ["transcode", &input, &output];
    let refused = if fs::write(format!("{folder}/try"), b"").is_ok() {
        // Root may write there all the same, without this capability it may not.
        let mut limited = std::process::Command::new("setpriv");
        limited.args(["--bounding-set", "-dac_override", env!("CARGO_BIN_EXE_video-hw")]).args(job);
        Run::of(limited.output().unwrap())
    } else {
        run(&job)
    };
    refused.refused(4, &["sealed", "denied"]);
}

#[test]
fn an_output_folder_that_does_not_exist() {
    let scratch = Scratch::new();
    run(&["transcode", &clip("small.h264"), &scratch.path("no/out.mp4")])
        .refused(2, &["no", "does not exist"]);
}

#[test]
fn features_that_nothing_here_has() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    run(&["transcode", &clip("small.h264"), &output, "--backend", "videotoolbox"])
        .refused(3, &["videotoolbox", "not available"]);
    run(&["transcode", &clip("small.h264"), &output, "--codec", "vp8"]).refused(3, &["vp8"]);
    run(&["transcode", &clip("small.h264"), &output, "--backend", "software", "--bframes", "2"])
        .refused(3, &["B frames"]);
    // An MP4 without pictures.
    let mut data = bars();
    // The first "avc1" is a brand of the file type box; the sample entry is the last.
    let at = data.windows(4).rposition(|w| w == b"avc1").unwrap();
    data[at..at + 4].copy_from_slice(b"xyz9");
    let unknown = scratch.file("unknown.mp4", &data);
    run(&["transcode", &unknown, &output]).refused(3, &["unknown.mp4", "xyz9"]);
    let probe = run(&["probe", &unknown, "--json"]).ok().json();
    assert_eq!(probe["tracks"].as_array().unwrap().len(), 2, "{probe}");
    assert_eq!(probe["decode"]["refused"]["kind"], "unsupported");
    assert_eq!(scratch.names(), ["unknown.mp4"]);
}

#[test]
fn wrong_arguments_are_told_in_one_line() {
    run(&["transcode", "a"]).refused(2, &["<OUT>"]);
    run(&["transcode", "a", "b", "--bitrate", "fast"]).refused(2, &["--bitrate", "6M"]);
    run(&["transcode", "a", "b", "--codec", "wmv"]).refused(2, &["wmv", "h264"]);
    run(&["transcode", "a", "b", "--no-such"]).refused(2, &["--no-such"]);
    run(&["transcode", &clip("bars.mp4"), "-"]).refused(2, &["--format"]);
    run(&["transcode", &clip("bars.mp4"), "out.xyz"]).refused(2, &["out.xyz", "mp4"]);
    run(&["frobnicate"]).refused(2, &["frobnicate"]);
    let json = run(&["transcode", "a", "--json"]).json();
    assert_eq!(json["error"]["kind"], "usage");
    let none: [&str; 0] = [];
    let bare = run(&none);
    assert_eq!(bare.code, Some(2));
    assert!(bare.stderr.contains("Usage:"), "{}", bare.stderr);
    let help = run(&["--help"]).ok().out();
    assert!(help.contains("130  cancelled"), "{help}");
    assert!(run(&["transcode", "--help"]).ok().out().contains("Examples:"));
    assert_eq!(run(&["--version"]).ok().out().trim(), concat!("video-hw ", env!("CARGO_PKG_VERSION")));
}
