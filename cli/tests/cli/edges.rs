//! Values at and beyond every limit, names that nobody expects, pipes that close early: each job either works or
//! is refused in one line that names the option or file, and leaves nothing under the output's name.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use crate::common::{Run, Scratch, clip, command, run, run_with_stdin, y4m};

/// How a row of a table ends.
enum Ends {
    /// Refused with this code and a line that holds these words.
    Refused(i32, &'static [&'static str]),
    /// Done, with this many frames.
    Frames(u64),
}
use Ends::{Frames, Refused};

/// 50 frames of 25 per second, 2 s.
const CLIP: &str = "small.h264";

#[track_caller]
fn check(job: &str, input: &str, extension: &str, options: &[&str], ends: &Ends) {
    let scratch = Scratch::new();
    let output = scratch.path(&format!("out.{extension}"));
    let args: Vec<&str> = [job, input, &output, "--json", "-q"].iter().chain(options).copied().collect();
    let result = run(&args);
    match ends {
        Refused(code, words) => {
            result.refused(*code, words);
            assert!(scratch.names().is_empty(), "{options:?}: {:?}", scratch.names());
        }
        Frames(frames) => {
            let json = result.ok().json();
            assert_eq!(json["frames_out"], *frames, "{options:?}");
            assert_eq!(json["ledger"]["balances"], true, "{options:?}");
            assert_eq!(scratch.names(), [format!("out.{extension}")], "{options:?}");
        }
    }
}

/// Wrong for everybody: exit code 2, and the option with its value in the line.
#[test]
fn values_that_are_none() {
    let wrong = [
        ("--bitrate", &["0", "-1", "10G", "fast", "", "1e6", "4294967296"][..]),
        ("--max-bitrate", &["0", "-5M"]),
        ("--size", &["0x0", "0x16", "-2x16", "16", "x", "4294967296x16", "99999x2"]),
        ("--gop", &["0", "-1", "4294967296", "ten"]),
        ("--fps", &["0", "-25", "1000000", "1/0", "0/1", "0/0", "nan", "inf", "1e400"]),
        ("--input-fps", &["0", "1/0"]),
        ("--start", &["-1", "1:60", "now", "99999999999", "nan"]),
        ("--duration", &["0", "-1", "0:00", "-0.5"]),
        ("--frames", &["0", "-1", "18446744073709551616"]),
        ("--threads", &["0", "-1", "many", "99999999999999999999"]),
        ("--qp", &["-1", "256", "1.5"]),
        ("--speed", &["-1", "3"]),
        ("--bframes", &["-1", "4294967296"]),
        ("--pix-fmt", &["", "yuv", "pal8"]),
        ("--codec", &["", "\u{fffd}"]),
        ("--backend", &["", "gpu"]),
    ];
    for (option, values) in wrong {
        for value in values {
            let result = run(&["transcode", "in.mp4", "out.mp4", option, value]);
            // Formats and codecs that exist but are not known here are a matter of support.
            let code = if result.code == Some(3) { 3 } else { 2 };
            result.refused(code, &[option]);
            assert!(!result.stderr.contains("unexpected argument"), "{option} {value}: {}", result.stderr);
        }
    }
}

/// Right in themselves, and at or beyond what the software encoder takes.
#[test]
fn values_at_the_limits_of_the_encoder() {
    let table: [(&[&str], Ends); 15] = [
        (&["--bitrate", "1"], Refused(3, &["avg_bps 1", "10000"])),
        (&["--bitrate", "10k", "--frames", "3"], Frames(3)),
        (&["--bitrate", "4G"], Refused(3, &["avg_bps", "240000000"])),
        (&["--size", "1x1"], Refused(3, &["1x1", "16x16"])),
        (&["--size", "2x2"], Refused(3, &["2x2", "16x16"])),
        (&["--size", "16385x16"], Refused(3, &["16385x16", "3840"])),
        (&["--size", "101x51"], Refused(3, &["101x51", "even"])),
        (&["--size", "16x16", "--frames", "3"], Frames(3)),
        (&["--gop", "1", "--frames", "3"], Frames(3)),
        (&["--gop", "4294967294", "--frames", "3"], Frames(3)),
        (&["--gop", "4294967295"], Refused(3, &["gop_length", "4294967294"])),
        (&["--qp", "51", "--frames", "3"], Frames(3)),
        (&["--qp", "52"], Refused(3, &["52", "51"])),
        (&["--threads", "10000"], Refused(3, &["threads 10000", "1 to "])),
        (&["--bframes", "4294967295"], Refused(3, &["B frames"])),
    ];
    for (options, ends) in table {
        let options: Vec<_> = ["--backend", "software"].iter().chain(options).copied().collect();
        check("transcode", &clip(CLIP), "mp4", &options, &ends);
    }
}

/// Decoding scales to whatever size an uncompressed file can have.
#[test]
fn values_at_the_limits_of_a_decode() {
    let table: [(&[&str], Ends); 6] = [
        (&["--size", "1x1"], Frames(50)),
        (&["--size", "2x2"], Frames(50)),
        (&["--size", "16385x16", "--frames", "2"], Frames(2)),
        (&["--size", "33x17"], Frames(50)),
        (&["--threads", "10000"], Frames(50)),
        (&["--frames", "18446744073709551615"], Frames(50)),
    ];
    for (options, ends) in table {
        check("decode", &clip(CLIP), "y4m", options, &ends);
    }
}

/// Raising the rate fills the file to the end of its last frame, lowering it keeps that frame's time.
#[test]
fn every_rate_keeps_the_length() {
    let table = [
        (CLIP, "1", 2),
        (CLIP, "12", 24),
        (CLIP, "30000/1001", 60),
        (CLIP, "50", 100),
        (CLIP, "1000", 2000),
        ("bars.mp4", "60", 240),
        ("bars.mp4", "7", 28),
        // IVF states no durations: the last frame lasts as long as the one before it.
        ("small-vp9.ivf", "100", 4 * 50),
    ];
    for (file, rate, frames) in table {
        let json = run(&["decode", &clip(file), "--null", "-q", "--json", "--fps", rate]).ok().json();
        assert_eq!(json["frames_out"], frames, "{file} at {rate}");
        assert_eq!(json["ledger"]["balances"], true, "{file} at {rate}");
    }
    check("transcode", &clip(CLIP), "mp4", &["--fps", "100"], &Frames(200));
    check("transcode", &clip(CLIP), "mp4", &["--fps", "100", "--duration", "1"], &Frames(100));
}

#[test]
fn parts_beyond_the_end() {
    let table: [(&str, &[&str], Ends); 7] = [
        ("bars.mp4", &["--start", "1000"], Refused(2, &["start 1000 s", "bars.mp4", "last frame"])),
        ("bars.mp4", &["--start", "876000:00:00"], Refused(2, &["start", "bars.mp4", "last frame"])),
        (CLIP, &["--start", "1000"], Refused(2, &["start 1000 s", CLIP, "1.960 s"])),
        (CLIP, &["--start", "1.96"], Frames(1)),
        (CLIP, &["--start", "1", "--duration", "1000"], Frames(25)),
        (CLIP, &["--duration", "0.000000001"], Frames(1)),
        (CLIP, &["--frames", "1"], Frames(1)),
    ];
    for (file, options, ends) in table {
        check("transcode", &clip(file), "mp4", options, &ends);
        check("decode", &clip(file), "y4m", options, &ends);
    }
}

#[test]
fn names_that_nobody_expects() {
    let scratch = Scratch::new();
    for name in ["a b", "-r", "--", "ünïcödé 映画", "a\nb", "a'b\"c", "%05d", "#$(x);&|*?", "a:b"] {
        let input = scratch.path(&format!("{name}.in.h264"));
        let output = scratch.path(&format!("{name}.mp4"));
        if cfg!(windows) && name.contains(['\n', '"', '|', '*', '?', ':']) {
            // One letter before a colon is a drive.
            run(&["transcode", &clip(CLIP), &output]).refused(2, &["output "]);
            continue;
        }
        fs::copy(clip(CLIP), &input).unwrap();
        run(&["transcode", &input, &output, "-q", "--frames", "2"]).ok();
        run(&["probe", &output]).ok();
        // A word that looks like an option goes behind `--`.
        let bare = [format!("{name}.in.h264"), format!("{name}.mkv.mp4")];
        let args = ["transcode", "-q", "--frames", "2", "--", &bare[0], &bare[1]];
        let result = Run::of(command(&args).current_dir(scratch.dir()).output().unwrap());
        assert_eq!(result.code, Some(0), "{name:?}: {}", result.stderr);
        fs::remove_file(&input).unwrap();
        let missing = run(&["decode", &input, "--null"]);
        missing.refused(1, &["os error 2"]);
    }
    let long = format!("{}.mp4", "x".repeat(300));
    let (code, words, systems) =
        if cfg!(windows) { (2, "longer than", "os error") } else { (4, "too long", "too long") };
    run(&["transcode", &clip(CLIP), &scratch.path(&long)]).refused(code, &[words]);
    run(&["decode", &scratch.path(&long), "--null"]).refused(1, &[systems]);
    run(&["transcode", &clip(CLIP), ""]).refused(2, &["OUT"]);
    run(&["transcode", "", &scratch.path("out.mp4")]).refused(2, &["IN"]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let scratch = Scratch::new();
    let input = scratch.dir().join(OsStr::from_bytes(b"in\xff\xfe.h264"));
    let output = scratch.dir().join(OsStr::from_bytes(b"out\xff.mp4"));
    fs::copy(clip(CLIP), &input).unwrap();
    let job = |words: &[&OsStr]| Run::of(command::<&str>(&[]).args(words).output().unwrap());
    let word = |text: &'static str| OsStr::new(text);
    job(&[word("transcode"), input.as_ref(), output.as_ref(), word("-q"), word("--json")]).ok().json();
    job(&[word("probe"), output.as_ref(), word("--json")]).ok().json();
    job(&[word("transcode"), input.as_ref(), output.as_ref()]).refused(2, &["exists already"]);
    assert_eq!(fs::read_dir(scratch.dir()).unwrap().count(), 2);
    job(&[word("transcode"), word("in.mp4"), word("o.mp4"), word("--bitrate"), OsStr::from_bytes(b"\xff")])
        .refused(2, &[]);
}

#[test]
fn folders_and_devices() {
    let scratch = Scratch::new();
    let folder = scratch.path("folder.mp4");
    fs::create_dir(&folder).unwrap();
    let dir = scratch.dir().to_str().unwrap();
    for out in [dir, &folder, ".", "/"] {
        run(&["transcode", &clip(CLIP), out, "-y"]).refused(2, &["is a directory", "file name"]);
        run(&["decode", &clip(CLIP), out, "-y"]).refused(2, &["is a directory", "file name"]);
    }
    for input in [dir, &folder] {
        run(&["transcode", input, &scratch.path("out.mp4")]).refused(1, &["is a directory"]);
        run(&["probe", input]).refused(1, &["is a directory"]);
    }
    assert_eq!(scratch.names(), ["folder.mp4"]);
    #[cfg(target_os = "linux")]
    {
        run(&["transcode", &clip(CLIP), "/dev/null"]).refused(2, &["/dev/null", "--format"]);
        run(&["transcode", &clip(CLIP), "/dev/null", "--format", "mp4", "-q"]).ok();
        run(&["decode", &clip(CLIP), "/dev/null", "--format", "yuv", "-q"]).ok();
        for format in ["mp4", "h264"] {
            run(&["transcode", &clip(CLIP), "/dev/full", "--format", format])
                .refused(4, &["/dev/full", "No space left"]);
        }
        run(&["decode", "/dev/null", "--null"]).refused(1, &["/dev/null", "empty"]);
        run(&["decode", "/dev/zero", "--null"]).refused(1, &["/dev/zero", "no known format"]);
        run(&["probe", "/dev/zero"]).refused(1, &["/dev/zero", "no known format"]);
    }
}

/// `video-hw ... - | head -c 1000`.
#[test]
fn a_pipe_that_closes_early() {
    let film = clip("bars.mp4");
    // Quiet: on a slow machine progress would be told before the output begins. Errors are told all the same.
    let jobs: [&[&str]; 4] = [
        &["decode", &film, "-", "--format", "yuv", "-q"],
        &["decode", &film, "-", "--format", "y4m", "-q"],
        &["transcode", &film, "-", "--format", "mp4", "--fps", "200", "--bitrate", "40M", "-q"],
        &["decode", &film, "--frame-md5", "--fps", "1000", "-q"],
    ];
    for job in jobs {
        let mut child =
            command(job).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut some = [0; 1000];
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut some).expect("the output begins");
        drop(stdout);
        let result = Run::of(child.wait_with_output().expect("the program ends"));
        assert_eq!(result.code, Some(141), "{job:?}: {}", result.stderr);
        assert!(result.stderr.is_empty(), "{job:?}: {}", result.stderr);
    }
}

/// A pipe is read once, from its first byte; a file on standard input may be read for two tracks at once.
#[test]
fn standard_input_loses_nothing() {
    let stream = fs::read(clip(CLIP)).unwrap();
    let from_file = run(&["decode", &clip(CLIP), "--md5", "-q"]).ok().out();
    let from_pipe = run_with_stdin(&["decode", "-", "--md5", "-q"], &stream).ok().out();
    let sum = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(sum(&from_pipe), sum(&from_file));
    let probe = run_with_stdin(&["probe", "-", "--json"], &stream).ok().json();
    assert_eq!(probe["tracks"][0]["codec"], "h264", "{probe}");
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let count = |args: &[&str], input: &[u8]| run_with_stdin(args, input).ok().json()["frames_out"].clone();
    assert_eq!(count(&["transcode", "-", &output, "-yq", "--json"], &stream), 50);
    assert_eq!(count(&["encode", "-", &output, "-yq", "--json"], &y4m(64, 64, 7)), 7);
    // Headerless: the recognition of formats must not eat a byte either.
    let frames = vec![7; 64 * 64 * 3 / 2 * 5];
    let raw =
        ["encode", "-", &output, "-yq", "--json", "--size", "64x64", "--pix-fmt", "yuv420p", "--fps", "25"];
    assert_eq!(count(&raw, &frames), 5);
    // A whole film with sound, as the shell redirects it.
    let film = clip("bars.mp4");
    let with_sound = run(&["transcode", &film, &output, "-yq", "--json"]).ok().json();
    let input = fs::File::open(&film).unwrap();
    let mut job = command(&["transcode", "-", &output, "-yq", "--json"]);
    let redirected = Run::of(job.stdin(input).output().unwrap()).ok().json();
    assert!(with_sound["copied_samples"].as_u64().unwrap() > 0, "{with_sound}");
    for key in ["frames_out", "copied_samples", "bytes"] {
        assert_eq!(redirected[key], with_sound[key], "{key}");
    }
    let md5 =
        |input: fs::File| Run::of(command(&["decode", "-", "--md5", "-q"]).stdin(input).output().unwrap());
    assert_eq!(
        sum(&md5(fs::File::open(&film).unwrap()).ok().out()),
        sum(&run(&["decode", &film, "--md5", "-q"]).ok().out())
    );
}
