//! What the tests of streams and pictures share: the judge (ffmpeg) and sums.

#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use md5::{Digest, Md5};
use video_hw::frame::Frame;

/// Whether the programs are there; says so when not.
pub(crate) fn have(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let found = Command::new(program)
            .arg("-version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success());
        if !found {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("SKIPPED: {program} is not installed\n"),
            );
        }
        found
    })
}

/// A stream of `tests/data/streams`.
pub(crate) fn stream(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/streams").join(name)
}

/// All of them.
pub(crate) fn streams() -> Vec<PathBuf> {
    let found = below(&stream(""));
    assert!(found.len() >= 35, "only {} streams", found.len());
    found
}

/// The streams in the folder that `VIDEO_HW_ASSETS` names.
pub(crate) fn further_streams() -> Vec<PathBuf> {
    let folder = std::env::var_os("VIDEO_HW_ASSETS").map(PathBuf::from);
    folder.map(|folder| below(&folder)).unwrap_or_default()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        if path.is_dir() {
            found.extend(below(&path));
        } else if ["h264", "264", "jsv", "h265", "265", "hevc", "ivf", "vp8", "vp9", "av1"].contains(&end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// One MD5 for each frame of a stream of the repository, as ffmpeg decoded it.
pub(crate) fn listed(path: &Path) -> Vec<String> {
    let list = std::fs::read_to_string(path.with_extension("md5")).unwrap();
    list.lines().map(str::to_owned).collect()
}

pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// md5 of the packed samples.
pub(crate) fn frame_md5(frame: &Frame) -> String {
    md5_hex(&frame.as_host().unwrap().to_packed())
}

/// Runs ffmpeg or ffprobe and returns what it prints.
pub(crate) fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(["-hide_banner", "-v", "error"]).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// One md5 per picture, as ffmpeg decodes them.
pub(crate) fn ffmpeg_md5s(input: &[&str]) -> Vec<String> {
    let args =
        [input, &["-map", "0:v:0", "-autoscale", "0", "-fps_mode", "passthrough", "-f", "framemd5", "-"]]
            .concat();
    run("ffmpeg", &args)
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
