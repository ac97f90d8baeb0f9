//! The measuring example, run on the CPU: its reports say what happened, and its checks can fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The example's binary, or none when this test was built without the examples.
fn program() -> Option<PathBuf> {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let program =
        deps.parent().unwrap().join("examples").join(format!("decode_many{}", std::env::consts::EXE_SUFFIX));
    if program.exists() {
        return Some(program);
    }
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("SKIPPED: {} is not built (cargo test --examples builds it)\n", program.display()),
    );
    None
}

fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name)
}

/// Exit status and standard output.
fn run(program: &Path, clip: &Path, options: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(program).arg(clip).args(["--backend", "software"]).args(options).output().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    assert!(!stdout.is_empty(), "{options:?}: {}", String::from_utf8_lossy(&stderr));
    (status.code(), stdout)
}

#[track_caller]
fn says(report: &str, words: &[&str]) {
    for word in words {
        assert!(report.contains(word), "no {word} in {report}");
    }
}

#[test]
fn many_sessions_give_every_frame() {
    let Some(program) = program() else { return };
    let (status, report) = run(&program, &clip("small.h264"), &["--sessions", "3", "--expect", "50"]);
    says(&report, &["\"sessions\":3", "\"frames\":150", "\"frames_each\":[50,50,50]", "\"passed\":true"]);
    assert_eq!(status, Some(0));
}

#[test]
fn wrong_counts_and_places_are_failures() {
    let Some(program) = program() else { return };
    let (status, report) = run(&program, &clip("small.h264"), &["--expect", "51"]);
    says(&report, &["\"frames\":50", "\"passed\":false"]);
    assert_eq!(status, Some(1));
    let (status, report) = run(&program, &clip("small.h264"), &["--surface", "device"]);
    says(&report, &["\"misplaced\":50", "\"surface\":\"host\"", "\"passed\":false"]);
    assert_eq!(status, Some(1));
}

#[test]
fn a_stream_that_repeats_itself_is_told_from_one_that_does_not() {
    let Some(program) = program() else { return };
    let stream = std::fs::read(clip("small.h264")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let twice = folder.path().join("twice.h264");
    std::fs::write(&twice, [stream.as_slice(), stream.as_slice()].concat()).unwrap();
    let (status, report) = run(&program, &twice, &["--verify", "50", "--expect", "100"]);
    says(&report, &["\"different\":0", "\"passed\":true"]);
    assert_eq!(status, Some(0));
    // The pictures of this clip move, so a wrong period is a difference.
    let (status, report) = run(&program, &twice, &["--verify", "49"]);
    assert!(!report.contains("\"different\":0,"), "{report}");
    assert_eq!(status, Some(1));
}

#[test]
fn steps_of_the_start_come_in_order() {
    let Some(program) = program() else { return };
    let (status, report) = run(&program, &clip("small.h264"), &["--stages"]);
    let steps = [
        "file opened",
        "session open",
        "first packet submitted",
        "first frame",
        "last frame",
        "session closed",
    ];
    let places: Vec<_> = steps.iter().map(|step| report.find(step).expect(step)).collect();
    assert!(places.is_sorted(), "{report}");
    assert_eq!(status, Some(0));
}

#[test]
fn a_stream_with_b_frames_misses_frames_at_low_latency() {
    let Some(program) = program() else { return };
    let (status, report) = run(&program, &clip("small.h264"), &["--low-latency", "--wait", "20"]);
    says(&report, &["\"missed\":20", "\"gave_up\":true", "\"passed\":false"]);
    assert_eq!(status, Some(1));
}

#[test]
fn every_round_of_opening_gives_its_frames() {
    let Some(program) = program() else { return };
    let options = ["--open-close", "3", "--sessions", "4", "--settle", "0"];
    let (status, report) = run(&program, &clip("small.h264"), &options);
    assert_eq!(report.matches("\"sessions\":4,\"frames\":8").count(), 3, "{report}");
    says(&report, &["\"rounds\":3", "\"passed\":true"]);
    assert_eq!(status, Some(0));
}
