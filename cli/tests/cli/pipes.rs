//! MP4 on standard input.

use crate::common::{Scratch, have, plays, run, run_with_stdin, tool};

fn film(scratch: &Scratch, flags: &str) -> Vec<u8> {
    let output = scratch.path("in.mp4");
    let args = "-v error -f lavfi -i testsrc2=s=160x96:r=25:d=3 -f lavfi -i sine=d=3 -c:v libx264 -bf 2 -g 25 -c:a aac -threads 1 -y";
    let mut args: Vec<_> = args.split(' ').collect();
    if !flags.is_empty() {
        args.extend(["-movflags", flags]);
    }
    args.push(&output);
    tool("ffmpeg", &args);
    std::fs::read(&output).unwrap()
}

fn md5(input: &[u8], more: &[&str]) -> String {
    let args = [&["decode", "-", "--md5", "-q", "--backend", "software"], more].concat();
    run_with_stdin(&args, input).ok().out().split(' ').next().unwrap().to_owned()
}

#[test]
fn pictures_and_sound_come_through() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    for flags in ["faststart", "frag_keyframe", "frag_keyframe+empty_moov", "cmaf"] {
        let scratch = Scratch::new();
        let bytes = film(&scratch, flags);
        let (input, output) = (scratch.path("in.mp4"), scratch.path("out.mp4"));
        let of_file = run(&["decode", &input, "--md5", "-q", "--backend", "software"]).ok().out();
        assert_eq!(md5(&bytes, &[]), of_file.split(' ').next().unwrap(), "{flags}");
        // Sound is read through the demuxer of the pictures.
        let args = ["transcode", "-", &output, "-q", "-y", "--json", "--backend", "software"];
        let json = run_with_stdin(&args, &bytes).ok().json();
        let whole =
            run(&["transcode", &input, &output, "-q", "-y", "--json", "--backend", "software"]).ok().json();
        assert_eq!(json["copied_samples"], whole["copied_samples"], "{flags}");
        assert_eq!(json["frames_out"], 75, "{flags}");
        run_with_stdin(&args, &bytes).ok();
        plays(&output);
        let part = [&args[..], &["--start", "1", "--duration", "1"]].concat();
        let json = run_with_stdin(&part, &bytes).ok().json();
        assert_eq!(json["frames_out"], 25, "{flags}");
        let sound = json["copied_samples"].as_u64().unwrap();
        assert!((42..=45).contains(&sound), "{flags}: a second of sound at 44.1 kHz, {sound} frames");
        // One that ends before the input does.
        let json = run_with_stdin(&[&args[..], &["--frames", "10"]].concat(), &bytes).ok().json();
        assert_eq!(json["frames_out"], 10, "{flags}");
        plays(&output);
    }
}

#[test]
fn an_index_at_the_end_is_refused_or_spooled() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let bytes = film(&scratch, "");
    let output = scratch.path("out.mp4");
    for command in [&["decode", "-", "--md5", "-q"][..], &["transcode", "-", &output, "-q"], &["probe", "-"]]
    {
        run_with_stdin(command, &bytes).refused(3, &["moov", "save it to a file first", "--spool"]);
    }
    let of_file =
        run(&["decode", &scratch.path("in.mp4"), "--md5", "-q", "--backend", "software"]).ok().out();
    assert_eq!(md5(&bytes, &["--spool"]), of_file.split(' ').next().unwrap());
    assert_eq!(md5(&bytes, &["--spool=1M"]), of_file.split(' ').next().unwrap());
    run_with_stdin(&["decode", "-", "--md5", "-q", "--spool=10K"], &bytes).refused(3, &["10240 bytes"]);
    let json = run_with_stdin(&["transcode", "-", &output, "-q", "--json", "--spool"], &bytes).ok().json();
    assert_eq!((&json["frames_out"], &json["copied_samples"]), (&75.into(), &131.into()), "{json}");
    let json = run_with_stdin(&["probe", "-", "--json", "--spool"], &bytes).ok().json();
    assert_eq!(json["tracks"].as_array().map(Vec::len), Some(2), "{json}");
    // Nothing of it is left.
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().filter_map(Result::ok);
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    assert!(!left.map(name).any(|name| name.starts_with(".video-hw-spool")));
}

/// What can be read as it comes is not copied first, however much `--spool` would allow.
#[test]
fn nothing_is_spooled_without_need() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    for flags in ["faststart", "frag_keyframe+empty_moov", "frag_keyframe"] {
        let bytes = film(&scratch, flags);
        // A file of 100 bytes could hold none of them.
        assert_eq!(md5(&bytes, &["--spool=100"]), md5(&bytes, &[]), "{flags}");
    }
}
