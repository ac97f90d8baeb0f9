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

/// A file of the shared test material.
pub(crate) fn asset(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/assets").join(name);
    if path.exists() {
        return Some(path);
    }
    let _ =
        std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: no {}\n", path.display()));
    None
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
    let args = [input, &["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"]].concat();
    run("ffmpeg", &args)
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
