//! Variables of earlier versions: one line says what took their place.

use std::process::Command;

use crate::common::{Run, clip, command};

const ALL: [&str; 5] = [
    "VIDEO_HW_NV_PIPELINE",
    "VIDEO_HW_NV_SAFE_LIFETIME",
    "VIDEO_HW_VT_PIPELINE",
    "VIDEO_HW_VT_PIPELINE_QUEUE",
    "VIDEO_HW_VT_GPU_TRANSFORM",
];

fn run(mut command: Command, set: &[&str], value: &str) -> Run {
    for name in ALL {
        command.env_remove(name);
    }
    for name in set {
        command.env(name, value);
    }
    Run::of(command.output().unwrap()).ok()
}

#[test]
fn variables_without_meaning_are_answered_by_one_line_on_standard_error() {
    let clip = clip("small.h264");
    let sums =
        |more: &[&str]| command(&[&["decode", &clip, "--md5", "--backend", "software"][..], more].concat());
    let warnings = |run: &Run| -> Vec<String> {
        let lines = run.stderr.lines().filter(|line| line.starts_with("video-hw: warning: "));
        lines.map(str::to_owned).collect()
    };
    let plain = run(sums(&[]), &[], "1");
    assert!(warnings(&plain).is_empty(), "{}", plain.stderr);
    for name in ALL {
        let told = run(sums(&[]), &[name], "1");
        let [line] = &warnings(&told)[..] else { panic!("one line: {}", told.stderr) };
        assert!(line.contains(&format!("{name} has no effect: ")), "{line}");
        assert!(!ALL.iter().any(|other| !name.starts_with(other) && line.contains(other)), "{line}");
        assert_eq!(told.stdout, plain.stdout);
    }
    let all = run(sums(&[]), &ALL, "0");
    let [line] = &warnings(&all)[..] else { panic!("one line: {}", all.stderr) };
    assert!(ALL.iter().all(|name| line.contains(name)), "{line}");
    // Other commands have it too, and a JSON document on standard output stays one.
    assert_eq!(warnings(&run(command(&["devices"]), &ALL, "1")).len(), 1);
    let json = run(command(&["devices", "--json"]), &ALL, "1");
    assert!(json.json().is_object() || json.json().is_array());
    assert_eq!(warnings(&json).len(), 1);
    // Unset, and set to nothing, are the same.
    assert!(warnings(&run(sums(&[]), &ALL, "")).is_empty());
}

#[test]
fn the_line_is_in_nobodys_way() {
    let clip = clip("small.h264");
    let quiet = command(&["decode", &clip, "--null", "--backend", "software", "--quiet"]);
    assert_eq!(run(quiet, &ALL, "1").stderr, "");
    // Samples that go to standard output are the same.
    let raw = |set: &[&str]| {
        run(command(&["decode", &clip, "-", "--format", "y4m", "--backend", "software"]), set, "1").stdout
    };
    assert!(raw(&ALL) == raw(&[]));
}
