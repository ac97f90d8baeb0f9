//! Ctrl-C, SIGTERM and SIGHUP: the first leaves a complete file, the second leaves none, and nothing that waits
//! for a silent pipe outlives them.

#![cfg(unix)]

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Run, Scratch, clip, have, plays, y4m, yuv_frame};

/// A process that has not ended by then hangs. Far from what any job takes, so that a slow machine passes.
const HANG: Duration = Duration::from_secs(60);

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
}

/// Whether this process was started by `nohup` or the like: its children ignore the signal, too.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}

/// Starts the program with all its streams in hand.
fn start<S: AsRef<str>>(args: &[S]) -> Child {
    spawn(crate::common::command(args))
}

/// Starts the program like [`start`], with the default action for SIGHUP. Under `nohup` children inherit an ignored SIGHUP.
fn start_heeding_hangup(args: &[&str]) -> Child {
    if !ignores_hangup() {
        return start(args);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_video-hw")]).args(args);
    spawn(command)
}

fn spawn(mut command: Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Waits until the signal handlers stand.
fn listens(child: &Child) {
    has_thread(child, "signals");
}

/// Waits until the program has come as far as to start the thread of this name.
fn has_thread(child: &Child, name: &str) {
    let since = Instant::now();
    while since.elapsed() < HANG {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id()));
        // Where threads cannot be listed, a start takes less than this.
        let Ok(tasks) = tasks else { return std::thread::sleep(Duration::from_millis(500)) };
        let comm = |path: std::path::PathBuf| std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if tasks.flatten().any(|task| comm(task.path()).trim() == name) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the program never started {name}");
}

/// Waits for the end without reading the streams or closing standard input.
#[track_caller]
fn ends(child: &mut Child) -> ExitStatus {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the program can be waited for") {
            return status;
        }
        if since.elapsed() > HANG {
            child.kill().expect("it can be killed");
            panic!("the program hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads standard error up to a line with `word`, or to its end.
fn read_to_word(child: &mut Child, word: &str) -> (String, BufReader<std::process::ChildStderr>) {
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut told = String::new();
    while !told.contains(word) && stderr.read_line(&mut told).expect("standard error is read") > 0 {}
    (told, stderr)
}

/// As [`read_to_word`], and the word comes.
fn wait_for_word(child: &mut Child, word: &str) -> (String, BufReader<std::process::ChildStderr>) {
    let (told, stderr) = read_to_word(child, word);
    assert!(told.contains(word), "{told}");
    (told, stderr)
}

#[test]
fn the_first_leaves_a_complete_file() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let mut child = start(&["encode", "-", &output, "--json"]);
    let mut stdin = child.stdin.take().expect("piped");
    // All of this is taken before the signal; then frames go on coming until nobody reads them.
    stdin.write_all(&y4m(320, 240, 60)).expect("60 frames are read");
    signal(&child, "-INT");
    let mut fed = 60;
    for n in 60.. {
        if stdin.write_all(b"FRAME\n").and_then(|()| stdin.write_all(&yuv_frame(320, 240, n))).is_err() {
            break;
        }
        fed += 1;
    }
    drop(stdin);
    complete(&scratch, &output, &Run::of(child.wait_with_output().expect("the program ends")), fed);
}

/// The output is what the report says, of at most `fed` frames.
#[track_caller]
fn complete(scratch: &Scratch, output: &str, result: &Run, fed: u64) {
    assert_eq!(result.code, Some(130), "{}", result.stderr);
    assert_eq!(scratch.names(), ["out.mp4"]);
    let json = result.json();
    assert_eq!(json["cancelled"], true);
    assert_eq!(json["exit_code"], 130);
    assert_eq!(json["ledger"]["balances"], true);
    let frames = json["frames_out"].as_u64().unwrap();
    assert!((1..=fed).contains(&frames), "{frames} of {fed} frames");
    let again = crate::common::run(&["decode", output, "--null", "-q", "--json"]).ok().json();
    assert_eq!(again["frames_out"], frames, "the file holds what the report says");
    if have("ffmpeg") {
        plays(output);
    }
}

#[test]
fn a_pipe_that_falls_silent_does_not_hold_the_file() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    for name in ["-INT", "-TERM", "-HUP"] {
        let mut child = start_heeding_hangup(&["encode", "-", &output, "--json", "-y"]);
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(&y4m(320, 240, 60)).expect("60 frames are read");
        signal(&child, name);
        assert_eq!(ends(&mut child).code(), Some(130), "{name}");
        complete(&scratch, &output, &Run::of(child.wait_with_output().expect("it has ended")), 60);
        drop(stdin);
    }
    // The same through a decoder, which still holds pictures when the pipe falls silent.
    let mut child = start(&["transcode", "-", &output, "--json", "-y"]);
    let mut stdin = child.stdin.take().expect("piped");
    // More than a pipe holds (64 KiB), so that the program is at work when all is written.
    let stream = std::fs::read(clip("small.h264")).unwrap().repeat(4);
    stdin.write_all(&stream).expect("the stream is read");
    has_thread(&child, "vhw-filter");
    signal(&child, "-INT");
    assert_eq!(ends(&mut child).code(), Some(130));
    complete(&scratch, &output, &Run::of(child.wait_with_output().expect("it has ended")), 200);
    drop(stdin);
}

#[test]
fn a_pipe_that_says_nothing_leaves_nothing() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let jobs: [&[&str]; 5] = [
        &["transcode", "-", &output],
        &["encode", "-", &output],
        &["encode", "-", &output, "--size", "64x64", "--pix-fmt", "yuv420p", "--fps", "25"],
        &["decode", "-", "--md5"],
        &["decode", "-", "--null", "-q"],
    ];
    for job in jobs {
        let mut child = start(job);
        listens(&child);
        signal(&child, "-TERM");
        let status = ends(&mut child);
        let result = Run::of(child.wait_with_output().expect("it has ended"));
        assert_eq!(status.code(), Some(130), "{job:?}: {}", result.stderr);
        assert!(result.stderr.contains("cancelled"), "{job:?}: {}", result.stderr);
        assert!(scratch.names().is_empty(), "{job:?}: {:?}", scratch.names());
    }
}

/// A FIFO with nobody at its other end: already opening it waits.
#[test]
fn a_fifo_without_its_other_end() {
    let scratch = Scratch::new();
    let fifo = scratch.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    let small = clip("small.h264");
    let output = scratch.path("out.mp4");
    let jobs: [&[&str]; 3] = [
        &["transcode", &fifo, &output],
        &["transcode", &small, &fifo, "--format", "h264"],
        &["decode", &small, &fifo, "--format", "yuv"],
    ];
    for job in jobs {
        let mut child = start(job);
        listens(&child);
        signal(&child, "-INT");
        let status = ends(&mut child);
        assert_eq!(status.code(), Some(130), "{job:?}");
        assert_eq!(scratch.names(), ["fifo"], "{job:?}");
    }
}

/// What `video-hw ... | sleep 100` says when it is interrupted once, or twice.
fn nobody_reads(twice: bool) -> String {
    let mut child = start(&["decode", &clip("bars.mp4"), "-", "--format", "yuv", "--fps", "1000"]);
    // The first byte says that the job is at work; the rest is far more than a pipe holds.
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut [0]).expect("the output begins");
    signal(&child, "-INT");
    let (mut told, mut stderr) = wait_for_word(&mut child, "once more");
    if twice {
        std::thread::sleep(Duration::from_millis(120));
        signal(&child, "-INT");
    }
    stderr.read_to_string(&mut told).expect("standard error is read");
    assert_eq!(ends(&mut child).code(), Some(130), "{told}");
    told
}

#[test]
fn a_reader_that_takes_nothing() {
    let told = nobody_reads(false);
    assert!(told.contains("cancelled"), "{told}");
    // The first ends it by itself after a while, which on a busy machine may be just before the second comes.
    let aborted = (0..20).any(|_| {
        let told = nobody_reads(true);
        assert!(told.contains("cancelled") || told.contains("aborted"), "{told}");
        told.contains("aborted")
    });
    assert!(aborted, "the second ends it at once");
}

/// A camera that is silent keeps nobody: the job has found out by its output that it is over.
#[test]
fn a_reader_that_goes_away_ends_a_job_whose_input_is_silent() {
    // The embedded encoder holds no frames back.
    let software = ["--backend", "software"];
    let options = ["encode", "-", "-", "--format", "h264", "--bitrate", "200M", "-q"];
    let mut child = start(&[&options[..], &software].concat());
    // Noise, which fills the pipe with a few pictures; no more than wait behind the encoder.
    let mut noise = 1u32;
    let mut input = y4m(320, 240, 0);
    for _ in 0..30 {
        input.extend_from_slice(b"FRAME\n");
        input.extend(
            std::iter::repeat_with(|| {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                noise as u8
            })
            .take(320 * 240 * 3 / 2),
        );
    }
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&input).expect("30 frames are read");
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut [0]).expect("the output begins");
    // Time for all of it to go through, so that the input is what the job waits for. Less would prove less, and fail nothing.
    std::thread::sleep(Duration::from_millis(500));
    drop(stdout);
    // As a shell tells it of a program that a broken pipe has ended.
    assert_eq!(ends(&mut child).code(), Some(141));
    drop(stdin);
}

/// As `timeout` does it: the process and its group get the signal, a moment apart.
fn the_same_signal_twice() -> bool {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let mut child = start(&["encode", "-", &output, "--json"]);
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&y4m(320, 240, 60)).expect("60 frames are read");
    // A shell that has started already sends both within microseconds, unless it has to wait in between.
    let id = child.id().to_string();
    let mut shell = Command::new("sh")
        .args(["-c", "echo; read -r go; kill -TERM \"$0\" \"$0\"", &id])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh runs");
    shell.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("the shell is there");
    let begun = Instant::now();
    drop(shell.stdin.take());
    assert!(shell.wait().expect("the shell ends").success());
    let at_once = begun.elapsed() < Duration::from_millis(90);
    assert_eq!(ends(&mut child).code(), Some(130));
    let result = Run::of(child.wait_with_output().expect("it has ended"));
    drop(stdin);
    // Or the program was late to look for the second, and took it for what it would have been then.
    let at_once = at_once && scratch.names() == ["out.mp4"];
    if at_once {
        complete(&scratch, &output, &result, 60);
    }
    at_once
}

#[test]
fn the_same_signal_twice_at_once_is_one() {
    assert!((0..20).any(|_| the_same_signal_twice()), "no two signals were sent at once");
}

/// Two signals while a job makes pictures of this width, and whether the second ended the job in time: the program waits a second
/// for it to clean up. `None`: the job was over before.
fn second_leaves_none(width: u32) -> Option<bool> {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    // Frames of this size keep a job busy between the signals: what is in its queues takes a while.
    let scale = format!("{width}x{}", width / 16 * 9);
    let mut child = start(&["encode", "-", &output, "--scale", &scale, "--threads", "1"]);
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&y4m(320, 240, 60)).expect("60 frames are read");
    signal(&child, "-INT");
    let (mut told, mut stderr) = read_to_word(&mut child, "once more");
    std::thread::sleep(Duration::from_millis(120));
    signal(&child, "-INT");
    let second = Instant::now();
    stderr.read_to_string(&mut told).expect("standard error is read");
    assert_eq!(ends(&mut child).code(), Some(130), "{told}");
    let late = second.elapsed() > Duration::from_millis(900);
    assert!(!told.contains("panicked"), "{told}");
    drop(stdin);
    // The job may have completed between the two; then what it left is complete.
    if scratch.names() == ["out.mp4"] {
        crate::common::run(&["decode", &output, "--null", "-q"]).ok();
        return None;
    }
    let clean = told.contains("aborted") && scratch.names().is_empty();
    assert!(clean || late, "{told}: {:?}", scratch.names());
    Some(clean)
}

#[test]
fn the_second_leaves_none() {
    // Larger pictures where the machine is done before the second signal comes, smaller ones where it is too busy to clean up in time.
    let mut width = 1920_u32;
    let in_time = (0..12).any(|_| match second_leaves_none(width) {
        Some(true) => true,
        Some(false) => {
            width = (width / 2).max(480).next_multiple_of(32);
            false
        }
        None => {
            width = (width * 3 / 2).min(3840).next_multiple_of(32);
            false
        }
    });
    assert!(in_time, "no job was ever in time");
}

/// `nohup` starts a program with SIGHUP ignored; then it stays so.
#[cfg(target_os = "linux")]
#[test]
fn nohup_is_respected() {
    let scratch = Scratch::new();
    let output = scratch.path("out.mp4");
    let mut child = Command::new("sh")
        .args([
            "-c",
            "trap '' HUP; exec \"$0\" encode - \"$1\" --json",
            env!("CARGO_BIN_EXE_video-hw"),
            &output,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&y4m(320, 240, 30)).expect("30 frames are read");
    listens(&child);
    signal(&child, "-HUP");
    std::thread::sleep(Duration::from_millis(200));
    drop(stdin);
    let result = Run::of(child.wait_with_output().expect("the program ends")).ok();
    assert_eq!(result.json()["frames_out"], 30);
}

/// Opening on a thread of its own changes nothing for a writer that comes late.
#[test]
fn a_fifo_that_is_written_later_still_works() {
    let scratch = Scratch::new();
    let fifo = scratch.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    let child = start(&["decode", &fifo, "--null", "--json", "-q"]);
    listens(&child);
    let mut writer = OpenOptions::new().write(true).open(&fifo).expect("the reader is there");
    writer.write_all(&y4m(64, 64, 5)).expect("the frames are read");
    drop(writer);
    let result = Run::of(child.wait_with_output().expect("the program ends")).ok();
    assert_eq!(result.json()["frames_out"], 5);
}
