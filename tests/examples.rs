//! Every example that one runs to see something is run, and what it made is looked at.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failure here is a failed run"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Runs an example in a folder of its own; `clips/` of an argument is that of the repository. Its standard output.
#[track_caller]
fn run(folder: &Path, name: &str, args: &[&str]) -> String {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let program: PathBuf =
        deps.parent().unwrap().join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    // `cargo test` builds them, `cargo test --test examples` by itself does not.
    assert!(program.exists(), "{} is not built: cargo build --examples", program.display());
    let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips");
    let args = args.iter().map(|arg| match arg.strip_prefix("clips/") {
        Some(clip) => clips.join(clip).into_os_string(),
        None => arg.into(),
    });
    let output = Command::new(&program).args(args).current_dir(folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn frames(path: &Path) -> usize {
    video_hw::frames(path).open().unwrap().inspect(|frame| assert!(frame.is_ok(), "{frame:?}")).count()
}

fn pictures(folder: &Path) -> usize {
    let is_png = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().path().extension().is_some_and(|e| e == "png")
    };
    folder.read_dir().unwrap().filter_map(|entry| is_png(entry).then_some(())).count()
}

#[test]
fn decode_annexb() {
    let folder = TempDir::new().unwrap();
    let said = run(folder.path(), "decode_annexb", &["clips/small.h264", "--chunk", "1000"]);
    let count = frames(&Path::new(env!("CARGO_MANIFEST_DIR")).join("clips/small.h264"));
    assert!(said.contains(&format!("{count} frames")), "{said}");
}

#[test]
fn encode_synthetic() {
    let folder = TempDir::new().unwrap();
    let args = ["a.h264", "--frames", "20", "--nv-gop-length", "5", "--backend", "software"];
    run(folder.path(), "encode_synthetic", &args);
    assert_eq!(frames(&folder.path().join("a.h264")), 20);
}

#[test]
fn encode_raw_argb() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("in.raw"), vec![77; 64 * 48 * 4 * 3]).unwrap();
    let args = ["in.raw", "out.h264", "--size", "64x48", "--order", "bgra", "--nv-gop-length", "2"];
    run(folder.path(), "encode_raw_argb", &args);
    assert_eq!(frames(&folder.path().join("out.h264")), 3);
}

#[test]
fn transform_nv12_rgb() {
    let folder = TempDir::new().unwrap();
    let said = run(folder.path(), "transform_nv12_rgb", &["--frames", "12", "--threads", "2"]);
    assert!(said.contains("12 pictures of 1280x720 in order"), "{said}");
    assert!(said.contains("on 2 threads"), "{said}");
}

#[test]
fn decode_rgb() {
    let folder = TempDir::new().unwrap();
    let said = run(folder.path(), "decode_rgb", &["clips/small.h264"]);
    let count = frames(&Path::new(env!("CARGO_MANIFEST_DIR")).join("clips/small.h264"));
    assert!(said.starts_with(&format!("{count} frames, ")), "{said}");
}

#[test]
fn decode_to_png() {
    let folder = TempDir::new().unwrap();
    let said = run(
        folder.path(),
        "decode_to_png",
        &["clips/bars.mp4", "f-%03d.png", "--start", "0.5", "--frames", "4"],
    );
    assert!(said.contains("4 pictures"), "{said}");
    assert_eq!(pictures(folder.path()), 4);
}

#[test]
fn thumbnails() {
    let folder = TempDir::new().unwrap();
    let said =
        run(folder.path(), "thumbnails", &["clips/bars.mp4", "t-%02d.png", "--count", "3", "--width", "80"]);
    assert_eq!((pictures(folder.path()), said.lines().count()), (3, 3), "{said}");
    // Three different pictures, not one three times.
    let png = |n: u32| std::fs::read(folder.path().join(format!("t-{n:02}.png"))).unwrap();
    assert!(png(1) != png(2) && png(2) != png(3));
}

#[test]
fn transcode_gpu_without_a_gpu() {
    let folder = TempDir::new().unwrap();
    let said = run(folder.path(), "transcode_gpu", &["clips/bars.mp4", "out.mp4", "--bitrate", "500000"]);
    assert!(said.contains("between decoder and encoder"), "{said}");
    let bars = Path::new(env!("CARGO_MANIFEST_DIR")).join("clips/bars.mp4");
    assert_eq!(frames(&folder.path().join("out.mp4")), frames(&bars));
}

#[test]
fn switch_bitrate() {
    let folder = TempDir::new().unwrap();
    run(folder.path(), "switch_bitrate", &["s.h264", "--frames", "30", "--backend", "software"]);
    assert_eq!(frames(&folder.path().join("s.h264")), 30);
}
