//! The session limit from the command line, on the simulated driver (`sims/nvidia/`) whose limit several processes share.

#![cfg(target_os = "linux")]

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Machine, Run, Scratch, command, y4m};

/// A machine whose processes share what they count.
fn host() -> Option<Machine> {
    let host = Machine::new()?;
    std::fs::create_dir(host.dir().join("seats")).unwrap();
    Some(host)
}

/// The program on a machine that takes one encode session.
fn on(host: &Machine, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    let seats = host.dir().join("seats");
    host.runs(&mut command, "ada", &format!("sessions.limit=1;sessions.shared='{}'", seats.display()));
    command.env("NVSIM_QUIET", "1");
    command
}

/// An encoding that goes on as long as its input does.
fn endless(host: &Machine, output: &str, extra: &[&str]) -> Child {
    let arguments = [&["encode", "-", output, "--backend", "nvidia", "--json"][..], extra].concat();
    let mut child = on(host, &arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Two pictures: one to see what it is, one to be encoding. A pipe takes both, whether they are read or not.
    child.stdin.as_mut().unwrap().write_all(&y4m(160, 64, 2)).unwrap();
    child
}

/// Sessions open, and the limit learned, as `devices` tells them.
fn sessions(host: &Machine) -> (u64, Option<u64>) {
    let run = Run::of(on(host, &["devices", "--json"]).output().unwrap()).ok().json();
    let card = &run["backends"][0]["devices"][0]["encode_sessions"];
    (card["open"].as_u64().unwrap(), card["limit"].as_u64())
}

/// Sessions open as the lock files tell: `devices` asks the driver for capabilities, which a full driver refuses.
fn is_open(host: &Machine) -> bool {
    use std::os::unix::fs::MetadataExt;
    let user = host.dir().metadata().unwrap().uid();
    // The second is taken where this looked at the first just when the job did.
    ["nvenc-geforce.0", "nvenc-geforce.1"].into_iter().any(|name| {
        let place = std::fs::File::open(host.dir().join(format!("video-hw-sessions-{user}")).join(name));
        place.is_ok_and(|file| file.try_lock().is_err())
    })
}

fn until_open(host: &Machine) {
    let begun = Instant::now();
    while !is_open(host) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no session in a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_job_waits_for_a_session_or_is_refused_with_the_counts() {
    let Some(host) = host() else { return };
    let (host, scratch) = (&host, Scratch::new());
    assert_eq!(sessions(host), (0, None));
    let mut first = endless(host, &scratch.path("first.mp4"), &[]);
    until_open(host);
    let input = scratch.file("in.y4m", &y4m(320, 240, 3));
    let refused = Run::of(
        on(host, &["encode", &input, &scratch.path("no.mp4"), "--backend", "nvidia"]).output().unwrap(),
    );
    refused.refused(5, &["session limit reached", "1 session is open", "the limit is 1", "--session-wait"]);
    // Of two encoders the other is taken, and the report says why.
    let other = scratch.path("cpu.mp4");
    let mut encode = on(host, &["encode", &input, &other, "--json", "-q"]);
    let run = Run::of(encode.env("PATH", host.dir()).output().unwrap()).ok().out();
    assert!(run.contains("openh264") && run.contains("session limit"), "{run}");
    let waiting = endless(host, &scratch.path("second.mp4"), &["--session-wait", "120"]);
    std::thread::sleep(Duration::from_millis(300));
    drop(first.stdin.take());
    assert!(first.wait_with_output().unwrap().status.success());
    // It ends as its input does, which is when this is called.
    let run = Run::of(waiting.wait_with_output().unwrap()).ok().out();
    assert!(run.contains("NVENC"), "{run}");
    assert_eq!(sessions(host).0, 0);
}

#[test]
fn one_signal_ends_the_waiting() {
    let Some(host) = host() else { return };
    let (host, scratch) = (&host, Scratch::new());
    let mut first = endless(host, &scratch.path("first.mp4"), &[]);
    until_open(host);
    let waiting = endless(host, &scratch.path("second.mp4"), &["--session-wait", "3600"]);
    std::thread::sleep(Duration::from_millis(500));
    let killed = Command::new("kill").args(["-TERM", &waiting.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let run = Run::of(waiting.wait_with_output().unwrap());
    assert_ne!(run.code, Some(0), "{}", run.stderr);
    assert!(!std::path::Path::new(&scratch.path("second.mp4")).exists());
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
}
