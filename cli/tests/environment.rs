//! What the program's children find in their environment, as told by one that stands in for ffmpeg.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{clip, command};

/// `CUDA_DEVICE_MAX_CONNECTIONS` as the stand-in found it, each time it was started.
fn found(arguments: &[&str], set: Option<&str>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    let program = folder.path().join("ffmpeg");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"${{CUDA_DEVICE_MAX_CONNECTIONS-none}}\" >> '{}'\nexit 1\n",
        notes.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = command(arguments);
    run.env("PATH", folder.path()).env_remove("CUDA_DEVICE_MAX_CONNECTIONS");
    if let Some(set) = set {
        run.env("CUDA_DEVICE_MAX_CONNECTIONS", set);
    }
    let output = run.output().unwrap();
    let notes = fs::read_to_string(&notes).unwrap_or_default();
    assert!(!notes.is_empty(), "it was never started: {}", String::from_utf8_lossy(&output.stderr));
    notes.lines().map(str::to_owned).collect()
}

fn all_are(found: &[String], value: &str) -> bool {
    found.iter().all(|one| one == value)
}

#[test]
#[cfg(target_os = "linux")]
fn a_job_asks_cuda_for_one_channel_unless_somebody_has_said_how_many() {
    let clip = clip("bars.mp4");
    let decode = ["decode", &clip, "--null", "--backend", "ffmpeg"];
    for (set, expected) in [(None, "1"), (Some("4"), "4"), (Some(""), "")] {
        let found = found(&decode, set);
        assert!(all_are(&found, expected), "{set:?}: {found:?}");
    }
}

#[test]
fn what_bench_starts_finds_the_environment_as_it_is() {
    let clip = clip("bars.mp4");
    let bench = ["bench", "decode", &clip, "--backend", "software", "--peer", "ffmpeg", "--repeat", "1"];
    // What it starts of itself is a process like any other, and asks before its children do.
    let found_by_peer = found(&bench, None);
    assert!(found_by_peer.iter().any(|one| one == "none"), "{found_by_peer:?}");
    let found_by_peer = found(&bench, Some("4"));
    assert!(all_are(&found_by_peer, "4"), "{found_by_peer:?}");
}
