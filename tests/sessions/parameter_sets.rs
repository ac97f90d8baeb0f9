//! Parameter sets that change on the way, decoded and copied; ffmpeg's decode of the same bytes is the judge.

use std::path::{Path, PathBuf};

use video_hw::backend::BackendKind;

use crate::support::parameter_sets::{Case, h264, hevc};
use crate::support::streams::{frame_md5, have, run, text};

/// The pictures of a file, as this program decodes them.
fn decoded(path: &Path) -> Result<Vec<String>, String> {
    let frames =
        video_hw::frames(path).native().backend(BackendKind::Software).open().map_err(|e| e.to_string())?;
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

/// The pictures of these files, as ffmpeg decodes them.
fn judged(paths: &[PathBuf]) -> Vec<Vec<String>> {
    let mut args: Vec<String> = Vec::new();
    for path in paths {
        args.extend(["-threads", "1", "-i", text(path)].map(str::to_owned));
    }
    args.extend((0..paths.len()).flat_map(|number| ["-map".to_owned(), format!("{number}:v:0")]));
    args.extend(["-autoscale", "0", "-fps_mode", "passthrough", "-f", "framemd5", "-"].map(str::to_owned));
    let lines = run("ffmpeg", &args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut found = vec![Vec::new(); paths.len()];
    for line in lines.lines().filter(|line| !line.starts_with('#')) {
        let (number, md5) = (line.split(',').next().unwrap(), line.rsplit(',').next().unwrap());
        found[number.trim().parse::<usize>().unwrap()].push(md5.trim().to_owned());
    }
    found
}

/// What is wrong of a stream and of its copies.
fn wrong(case: &Case) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("case").with_extension(case.format());
    std::fs::write(&path, &case.bytes).unwrap();
    let raw = if case.format() == "h264" { "copy.h264" } else { "copy.h265" };
    let mut copies = vec![path.clone()];
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
        let job = video_hw::remux(source, &copy).fragmented(name == "fragments.mp4").run();
        job.unwrap_or_else(|error| panic!("{}: {name}: {error}", case.name));
        copies.push(copy);
    }
    let mut read = copies.clone();
    if case.fields {
        // ffmpeg decodes both fields of a packet by the set of the first (5.1: `h264_init_ps` has a new one with the
        // first slice of a packet alone). Behind start codes it takes them apart.
        let mut args = Vec::new();
        for copy in
            read.iter_mut().filter(|copy| copy.extension().is_some_and(|end| end == "mp4" || end == "mkv"))
        {
            args.extend(["-i".to_owned(), text(copy).to_owned()]);
            copy.as_mut_os_string().push(".h264");
        }
        for (number, copy) in read
            .iter()
            .filter(|copy| text(copy).ends_with("4.h264") || text(copy).ends_with("v.h264"))
            .enumerate()
        {
            let map = format!("{number}:v:0");
            args.extend(
                ["-map", &map, "-c", "copy", "-bsf:v", "h264_mp4toannexb", text(copy)].map(str::to_owned),
            );
        }
        run("ffmpeg", &args.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let judged = judged(&read);
    let wanted = &judged[0];
    assert!(wanted.len() > 5, "{}", case.name);
    let mut wrong = Vec::new();
    for (copy, in_ffmpeg) in copies.iter().zip(&judged) {
        let name = copy.file_name().unwrap().to_str().unwrap();
        if let Some(difference) = difference(wanted, Ok(in_ffmpeg.clone())) {
            wrong.push(format!("{}: {name} in ffmpeg: {difference}", case.name));
        }
        // The others hold the same samples.
        if ["case.h264", "case.hevc", "copy.mp4", "copy.mkv", "copy.ts"].contains(&name)
            && let Some(difference) = difference(wanted, decoded(copy))
        {
            wrong.push(format!("{}: {name}: {difference}", case.name));
        }
    }
    wrong
}

fn check(cases: impl Fn(&Path, bool) -> Vec<Case>) {
    if !have(&["ffmpeg"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let cases = cases(dir.path(), true);
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
