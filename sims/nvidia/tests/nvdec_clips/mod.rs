//! Small clips made by the ffmpeg program, cut into coded pictures, with what a software decode of them gives.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use md5::{Digest, Md5};

/// A clip in coding order.
pub struct Clip {
    /// Data of each coded picture.
    pub pictures: Vec<Vec<u8>>,
    /// For each coded picture its place in display order; none for a picture that is not shown.
    pub places: Vec<Option<usize>>,
    /// MD5 of each shown picture (planar, cropped), in display order, as ffmpeg decodes it.
    pub expected: Vec<String>,
}

/// True when the ffmpeg programs can be run; says so loudly when not.
pub fn ffmpeg_is_there() -> bool {
    let there =
        ["ffmpeg", "ffprobe"].iter().all(|program| Command::new(program).arg("-version").output().is_ok());
    if !there {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: the ffmpeg and ffprobe programs are not installed\n"),
        );
    }
    there
}

pub fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Encodes a moving test picture with `options` into a Matroska file.
pub fn encode(directory: &Path, size: &str, frames: u32, options: &[&str]) -> PathBuf {
    let path = directory.join("clip.mkv");
    let source = format!("testsrc2=size={size}:rate=25,noise=alls=6:allf=t:all_seed=7");
    let frames = frames.to_string();
    let log = directory.join("pass");
    let input = ["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-frames:v", &frames];
    // In one pass libvpx makes no hidden pictures.
    let passes: &[&[&str]] = if options.contains(&"libvpx-vp9") {
        &[&["-pass", "1", "-passlogfile"], &["-pass", "2", "-passlogfile"]]
    } else {
        &[&[]]
    };
    for pass in passes {
        let mut arguments = input.to_vec();
        arguments.extend(options);
        arguments.extend(*pass);
        if !pass.is_empty() {
            arguments.push(log.to_str().unwrap());
        }
        arguments.push(path.to_str().unwrap());
        run("ffmpeg", &arguments);
    }
    path
}

/// Cuts `path` into pictures. `format` is the raw format of the stream: `h264`, `hevc`, `mpeg2video`, `ivf`.
pub fn cut(path: &Path, format: &str) -> Clip {
    let file = path.to_str().unwrap();
    let raw = run("ffmpeg", &["-v", "error", "-i", file, "-c", "copy", "-f", format, "-"]);
    let mut pictures = match format {
        // The first slice of a picture says so in its first bit; parameter sets, delimiters and SEI come before.
        "h264" => cut_at(
            &raw,
            |unit| matches!(unit[0] & 0x1f, 1 | 5) && unit[1] & 0x80 != 0,
            |unit| (6..=9).contains(&(unit[0] & 0x1f)),
        ),
        "hevc" => cut_at(
            &raw,
            |unit| unit[0] >> 1 & 0x3f < 32 && unit[2] & 0x80 != 0,
            |unit| matches!(unit[0] >> 1 & 0x3f, 32..=35 | 39),
        ),
        "mpeg2video" => cut_at(&raw, |unit| unit[0] == 0, |unit| matches!(unit[0], 0xb3 | 0xb8)),
        "ivf" => ivf(&raw),
        other => panic!("no cutter for {other}"),
    };
    let places = if format == "ivf" {
        pictures = pictures.iter().flat_map(|packet| superframe(packet)).collect();
        let mut shown = 0;
        let place = |picture: &Vec<u8>| {
            // Frame marker 2, profile 2, show_existing_frame 1, frame_type 1, show_frame 1.
            assert_eq!(picture[0] >> 3 & 1, 0, "show_existing_frame");
            (picture[0] >> 1 & 1 == 1).then(|| {
                shown += 1;
                shown - 1
            })
        };
        pictures.iter().map(place).collect()
    } else {
        let text = run("ffprobe", &["-v", "error", "-show_entries", "packet=pts", "-of", "csv=p=0", file]);
        let times: Vec<i64> = String::from_utf8(text)
            .unwrap()
            .lines()
            .map(|line| line.trim_end_matches(',').parse().unwrap())
            .collect();
        assert_eq!(times.len(), pictures.len());
        times.iter().map(|time| Some(times.iter().filter(|other| *other < time).count())).collect()
    };
    let text = run("ffmpeg", &["-v", "error", "-i", file, "-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    let expected = String::from_utf8(text)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect();
    Clip { pictures, places, expected }
}

/// Cuts an Annex B or MPEG stream so that each piece holds one unit that is a `picture`. A unit that is `before` one
/// begins the next piece ahead of its picture.
fn cut_at(raw: &[u8], picture: impl Fn(&[u8]) -> bool, before: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let mut cuts = Vec::new();
    let mut headers_from = None;
    for at in 0..raw.len().saturating_sub(6) {
        if raw[at..at + 3] != [0, 0, 1] {
            continue;
        }
        // A zero byte before the start code stays with the unit before, which (MPEG-2) may end in one of its own.
        if picture(&raw[at + 3..]) {
            cuts.push(headers_from.take().unwrap_or(at));
        } else if before(&raw[at + 3..]) {
            headers_from.get_or_insert(at);
        }
    }
    assert!(!cuts.is_empty());
    cuts[0] = 0;
    let ends = cuts.iter().skip(1).copied().chain([raw.len()]);
    cuts.iter().zip(ends).map(|(start, end)| raw[*start..end].to_vec()).collect()
}

fn ivf(raw: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut at = 32;
    while at + 12 <= raw.len() {
        let size = u32::from_le_bytes(raw[at..at + 4].try_into().unwrap()) as usize;
        packets.push(raw[at + 12..at + 12 + size].to_vec());
        at += 12 + size;
    }
    packets
}

/// The frames of a VP9 superframe.
fn superframe(packet: &[u8]) -> Vec<Vec<u8>> {
    let marker = *packet.last().unwrap();
    let (bytes, frames) = ((marker >> 3 & 3) as usize + 1, (marker & 7) as usize + 1);
    let index = 2 + bytes * frames;
    if marker & 0xe0 != 0xc0 || packet.len() < index || packet[packet.len() - index] != marker {
        return vec![packet.to_vec()];
    }
    let sizes = &packet[packet.len() - index + 1..packet.len() - 1];
    let mut at = 0;
    let frame = |size: &[u8]| {
        let size = size.iter().rev().fold(0, |size, byte| size << 8 | *byte as usize);
        at += size;
        packet[at - size..at].to_vec()
    };
    sizes.chunks(bytes).map(frame).filter(|frame| !frame.is_empty()).collect()
}

/// MD5 of bytes, as text.
pub fn md5_text(parts: &[&[u8]]) -> String {
    let mut md5 = Md5::new();
    parts.iter().for_each(|part| md5.update(part));
    md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
