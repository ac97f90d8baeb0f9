//! What `scripts/differential.py` found, each reduced to a clip of a few kilobytes: exact, or refused by name.
//!
//! `NAME.md5` beside a clip of `tests/data/differential` holds the MD5 of each frame as ffmpeg decodes it, up to where
//! the stream is `refused`, and the feature. `make.sh` there makes them.

use std::fs;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use super::harness::{decode, hex, host, ivf_units, nal_access_units};
use crate::codec::Codec;
use crate::config::CommonDecodeConfig;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/differential")
}

fn check(path: &Path) -> Result<(), String> {
    let file = fs::read(path).unwrap();
    let expected = fs::read_to_string(path.with_extension("md5")).unwrap();
    let (codec, units) = match path.extension().and_then(|e| e.to_str()) {
        Some("h264") => (Codec::H264, nal_access_units(Codec::H264, &file)),
        Some("hevc") => (Codec::Hevc, nal_access_units(Codec::Hevc, &file)),
        Some("vp9") => (Codec::Vp9, ivf_units(&file)),
        Some("vp8") => (Codec::Vp8, ivf_units(&file)),
        other => return Err(format!("a clip of {other:?}")),
    };
    let outcome = decode(&CommonDecodeConfig::new(codec), &units);
    let refusal = expected.lines().find_map(|line| line.strip_prefix("refused "));
    let expected: Vec<&str> = expected.lines().filter(|line| !line.starts_with("refused ")).collect();
    let ours: Vec<String> =
        outcome.pictures.iter().map(|p| hex(Md5::digest(host(p).to_packed()).as_slice())).collect();
    if outcome.refusal() != refusal {
        return Err(format!("{} frames, refused for {:?}", ours.len(), outcome.refusal()));
    }
    if ours == expected && (refusal.is_some() || outcome.failures.is_empty()) {
        return Ok(());
    }
    let wrong = ours.iter().zip(&expected).position(|(a, b)| a != b);
    Err(format!(
        "first wrong frame {wrong:?}, {} of {} frames, {:?}",
        ours.len(),
        expected.len(),
        outcome.failures.first()
    ))
}

#[test]
fn clips_that_were_wrong_once_are_exact_or_refused() {
    let mut clips: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    clips.retain(|path| !path.extension().is_some_and(|e| e == "md5" || e == "sh"));
    clips.sort();
    assert!(clips.len() >= 8, "only {} clips below {}", clips.len(), folder().display());
    let wrong: Vec<String> = clips
        .iter()
        .filter_map(|clip| check(clip).err().map(|what| format!("{}: {what}", clip.display())))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
