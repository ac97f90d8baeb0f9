//! Streams of the repository against their lists of MD5s: exact, or refused by name.
//!
//! `NAME.md5` beside a stream holds the MD5 of each frame as ffmpeg decodes it, up to where the stream is `refused`, and the
//! feature. `make.sh` in each folder makes both.

use std::fs;
use std::path::Path;

use super::encoded::ffmpeg;
use super::harness::{Bench, packed_md5, stream_paths, units_of};
use crate::config::CommonDecodeConfig;

/// Decodes with `threads` threads and drops each picture once its MD5 is known.
fn check(path: &Path, expected: &str, threads: usize) -> Result<(), String> {
    let (codec, units) = units_of(path);
    let mut config = CommonDecodeConfig::new(codec);
    config.threads = threads.try_into().ok();
    let mut bench = Bench::open(&config);
    let mut ours = Vec::new();
    for unit in units {
        bench.submit(unit);
        ours.extend(bench.take_pictures().iter().map(packed_md5));
    }
    bench.flush();
    ours.extend(bench.take_pictures().iter().map(packed_md5));
    let outcome = bench.outcome();
    let refusal = expected.lines().find_map(|line| line.strip_prefix("refused "));
    let expected: Vec<&str> = expected.lines().filter(|line| !line.starts_with("refused ")).collect();
    if outcome.refusal() != refusal {
        return Err(format!("{} frames, refused for {:?}", ours.len(), outcome.refusal()));
    }
    if ours == expected && (refusal.is_some() || outcome.failures.is_empty()) {
        return Ok(());
    }
    let wrong = ours.iter().zip(&expected).position(|(a, b)| a != b);
    Err(format!(
        "first wrong frame {wrong:?}, {} of {} frames, {:?}, {:?}",
        ours.len(),
        expected.len(),
        outcome.failures.first(),
        outcome.no_picture.first()
    ))
}

fn check_folder(folder: &str, least: usize, threads: usize, wanted: fn(&Path) -> bool) {
    let mut streams = stream_paths(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder));
    streams.retain(|path| wanted(path));
    assert!(streams.len() >= least, "only {} streams in {folder}", streams.len());
    let wrong: Vec<String> = streams
        .iter()
        .filter_map(|path| {
            let expected = fs::read_to_string(path.with_extension("md5")).unwrap();
            check(path, &expected, threads).err().map(|what| format!("{}: {what}", path.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_av1(path: &Path) -> bool {
    path.to_string_lossy().ends_with("av1.ivf")
}

#[test]
fn streams_with_one_feature_each_are_exact() {
    check_folder("streams", 30, 1, |_| true);
}

#[test]
fn av1_is_exact_with_frame_threads() {
    check_folder("streams", 2, 4, is_av1);
}

/// Found by `scripts/differential.py`, each reduced to a stream of a few kilobytes.
#[test]
fn streams_that_were_wrong_once_are_exact_or_refused() {
    check_folder("differential", 8, 1, |_| true);
}

/// Every stream in the folder that `VIDEO_HW_ASSETS` names, as ffmpeg decodes it.
#[test]
fn further_streams_are_exact() {
    let Some(folder) = std::env::var_os("VIDEO_HW_ASSETS") else { return };
    let streams = stream_paths(Path::new(&folder));
    assert!(!streams.is_empty(), "no streams in {}", folder.display());
    let mut wrong = Vec::new();
    for path in streams {
        let name = path.to_str().unwrap();
        let judge =
            ["-i", name, "-map", "0:v:0", "-autoscale", "0", "-vsync", "passthrough", "-f", "framemd5", "-"];
        let judged = String::from_utf8(ffmpeg(&judge).unwrap()).unwrap();
        let sums = judged.lines().filter(|line| !line.starts_with('#')).filter_map(|l| l.rsplit(", ").next());
        let expected = sums.collect::<Vec<_>>().join("\n");
        wrong.extend(check(&path, &expected, 1).err().map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
