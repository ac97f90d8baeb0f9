//! What the program's children find in their environment, as told by one that stands in for ffmpeg.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{clip, command, have};

/// `CUDA_DEVICE_MAX_CONNECTIONS` as a stand-in for ffmpeg finds it, each time it runs this script's `note`.
fn found(script: &str, arguments: &[&str], set: Option<&str>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    let program = folder.path().join("ffmpeg");
    let note = "printf '%s\\n' \"${CUDA_DEVICE_MAX_CONNECTIONS-none}\"";
    let script = format!("#!/bin/sh\nnote() {{ {note} >> '{}'; }}\n{script}\n", notes.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = command(arguments);
    run.env("PATH", folder.path()).env_remove("CUDA_DEVICE_MAX_CONNECTIONS");
    if let Some(set) = set {
        run.env("CUDA_DEVICE_MAX_CONNECTIONS", set);
    }
    let output = run.output().unwrap();
    let notes = fs::read_to_string(&notes).unwrap_or_default();
    assert!(!notes.is_empty(), "nothing was noted: {}", String::from_utf8_lossy(&output.stderr));
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
        let found = found("note; exit 1", &decode, set);
        assert!(all_are(&found, expected), "{set:?}: {found:?}");
    }
}

/// The ffmpeg that would be started by its name, if there is one.
fn real_ffmpeg() -> Option<std::path::PathBuf> {
    if !have("ffmpeg") {
        return None;
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join("ffmpeg"))
        .find(|path| path.is_file())
}

#[test]
fn what_bench_starts_finds_the_environment_as_it_is() {
    let Some(real) = real_ffmpeg() else { return };
    let clip = clip("bars.mp4");
    let bench = ["bench", "decode", &clip, "--backend", "software", "--peer", "ffmpeg", "--repeat", "1"];
    // The peer's runs alone tell of their progress. What asks what ffmpeg can do gets the real one's answers: without them there
    // would be no row of the peer, and nothing to note.
    let script =
        format!("case \" $* \" in *' -progress '*) note; exit 1;; esac\nexec '{}' \"$@\"", real.display());
    for (set, expected) in [(None, "none"), (Some("4"), "4")] {
        let found = found(&script, &bench, set);
        assert!(all_are(&found, expected), "{set:?}: {found:?}");
    }
}

/// Each start of ffmpeg or ffprobe with an input restricts its protocols first.
#[test]
fn ffmpeg_opens_files_and_pipes_alone() {
    let Some(real) = real_ffmpeg() else { return };
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    for name in ["ffmpeg", "ffprobe"] {
        let (program, real) = (folder.path().join(name), real.with_file_name(name));
        let (notes, real) = (notes.display(), real.display());
        let script = format!("#!/bin/sh\necho \"$0 $*\" >> '{notes}'\nexec '{real}' \"$@\"\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (clip, out) = (clip("bars.mp4"), folder.path().join("out.mp4"));
    let out = out.to_str().unwrap();
    let often = ["--warmup", "0", "--repeat", "1", "--quiet"];
    let bench = |case: &'static str| {
        let words = ["bench", case, &clip, "--backend", "software", "--peer", "ffmpeg", "--verify"];
        [&words[..], &often].concat()
    };
    let mut inputs = 0;
    for words in [
        vec!["decode", &clip, "--null", "--backend", "ffmpeg"],
        vec!["transcode", &clip, out, "-y", "--backend", "ffmpeg"],
        bench("decode"),
        bench("encode"),
        bench("transcode"),
    ] {
        let _ = fs::remove_file(&notes);
        command(&words).env("PATH", folder.path()).output().unwrap();
        let starts = fs::read_to_string(&notes).unwrap_or_default();
        for start in starts.lines() {
            let reads = start.contains(" -i ") || start.contains("-show_entries");
            inputs += usize::from(reads);
            let local = start.find("-protocol_whitelist file,pipe");
            let before = local.is_some_and(|at| start.find(" -i ").is_none_or(|input| at < input));
            assert!(!reads || before, "{words:?}: {start}");
        }
    }
    assert!(inputs >= 10, "{inputs} starts with an input");
}
