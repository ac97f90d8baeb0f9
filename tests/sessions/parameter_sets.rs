//! Parameter sets that change on the way, decoded and copied; ffmpeg's decode of the same bytes is the judge.

use std::path::Path;

use video_hw::backend::BackendKind;

use crate::support::parameter_sets::{Case, h264, hevc};
use crate::support::streams::{ffmpeg_md5s, frame_md5, have, text};

/// The pictures of a file, as this program decodes them.
fn decoded(path: &Path) -> Result<Vec<String>, String> {
    let frames = video_hw::frames(path).native().backend(BackendKind::Software).open().map_err(|e| e.to_string())?;
    frames.map(|frame| frame.map(|frame| frame_md5(&frame)).map_err(|e| e.to_string())).collect()
}

/// What differs from `wanted`.
fn difference(wanted: &[String], got: Result<Vec<String>, String>) -> Option<String> {
    match got {
        Err(error) => Some(error),
        Ok(got) if got == wanted => None,
        Ok(got) => {
            let wrong: Vec<usize> = (0..wanted.len()).filter(|at| got.get(*at) != wanted.get(*at)).collect();
            Some(format!("{} frames, {} wanted, wrong: {wrong:?}", got.len(), wanted.len()))
        }
    }
}

/// What is wrong of a stream and of its copies.
fn wrong(case: &Case) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("case").with_extension(case.format());
    std::fs::write(&path, &case.bytes).unwrap();
    let of_ffmpeg = |path: &Path| ffmpeg_md5s(&["-threads", "1", "-i", text(path)]);
    let wanted = of_ffmpeg(&path);
    assert!(wanted.len() > 5, "{}", case.name);
    let mut wrong = Vec::new();
    let mut judge = |what: &str, got| {
        if let Some(difference) = difference(&wanted, got) {
            wrong.push(format!("{}: {what}: {difference}", case.name));
        }
    };
    judge("decoded", decoded(&path));
    let raw = if case.format() == "h264" { "copy.h264" } else { "copy.h265" };
    for (source, name) in [
        ("", "copy.mp4"),
        ("", "fragments.mp4"),
        ("", "copy.mkv"),
        ("", "copy.ts"),
        // What was copied once has lengths and a configuration record already.
        ("copy.mp4", "again.mkv"),
        ("copy.mkv", "again.mp4"),
        ("copy.mp4", raw),
    ] {
        let copy = dir.path().join(name);
        let source = if source.is_empty() { path.clone() } else { dir.path().join(source) };
        let job = video_hw::remux(source, &copy).fragmented(name == "fragments.mp4");
        if let Err(error) = job.run() {
            judge(name, Err(error.to_string()));
            continue;
        }
        judge(&format!("{name} in ffmpeg"), Ok(of_ffmpeg(&copy)));
        if name.starts_with("copy") {
            judge(name, decoded(&copy));
        }
    }
    wrong
}

fn check(cases: impl Fn(&Path) -> Vec<Case>) {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let cases = cases(dir.path());
    let (one, two) = cases.split_at(cases.len() / 2);
    let of = |cases: &[Case]| cases.iter().flat_map(wrong).collect::<Vec<_>>();
    let wrong = std::thread::scope(|scope| {
        let other = scope.spawn(|| of(one));
        [of(two), other.join().unwrap()].concat()
    });
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn h264_parameter_sets_change_on_the_way() {
    check(h264);
}

#[test]
fn hevc_parameter_sets_change_on_the_way() {
    check(hevc);
}
