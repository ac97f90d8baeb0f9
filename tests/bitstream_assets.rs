//! Access units and headers against clips with known frame counts, judged by ffprobe.
//!
//! Reads `../shared/assets`, which is not part of the tree; says so and passes where it is absent.

use std::path::{Path, PathBuf};
use std::process::Command;

use video_hw::bitstream::{AccessUnit, AccessUnitAssembler};
use video_hw::codec::Codec;

fn assets() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/assets");
    if !dir.is_dir() {
        eprintln!("SKIPPED: {} is absent", dir.display());
        return None;
    }
    Some(dir)
}

/// Every NAL-based clip with the number of frames it holds.
fn clips(dir: &Path) -> Vec<(PathBuf, Codec, usize)> {
    let mut clips = Vec::new();
    for entry in std::fs::read_dir(dir.join("cros-codecs")).unwrap() {
        let path = entry.unwrap().path();
        let codec = match path.extension().and_then(|e| e.to_str()) {
            Some("h264") => Codec::H264,
            Some("h265") => Codec::Hevc,
            _ => continue,
        };
        let sums = std::fs::read_to_string(format!("{}.md5", path.display())).unwrap();
        clips.push((path, codec, sums.lines().count()));
    }
    let sums = std::fs::read_to_string(dir.join("jvt/md5s.txt")).unwrap();
    for line in sums.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        clips.push((dir.join("jvt").join(fields[3]), Codec::H264, fields[1].parse().unwrap()));
    }
    assert!(clips.len() >= 33, "only {} clips found", clips.len());
    clips.sort();
    clips
}

fn units(codec: Codec, data: &[u8], chunk: usize) -> Vec<AccessUnit> {
    let mut assembler = AccessUnitAssembler::new(codec).unwrap();
    let mut units = Vec::new();
    for piece in data.chunks(chunk) {
        assembler.push(piece).unwrap();
        units.extend(std::iter::from_fn(|| assembler.next_unit()));
    }
    assembler.finish();
    units.extend(std::iter::from_fn(|| assembler.next_unit()));
    units
}

#[test]
fn one_unit_for_each_frame() {
    let Some(dir) = assets() else { return };
    let mut wrong = Vec::new();
    for (path, codec, frames) in clips(&dir) {
        let data = std::fs::read(&path).unwrap();
        let found = units(codec, &data, data.len()).iter().filter(|u| u.has_picture).count();
        if found != frames {
            wrong.push(format!("{}: {found} units, {frames} frames", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
