//! Clips, orders of pictures, and the `ffmpeg` program as the foreign judge.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test helper")]

use std::process::Command;

use nvsim::codec::encoder::{
    Chroma, EncoderCodec, EncoderSpec, PictureIn, PictureKind, PictureOut, Rate, SoftEncoder,
};

/// An encoder for small pictures, everything else plain.
pub fn spec(codec: EncoderCodec, width: u32, height: u32) -> EncoderSpec {
    EncoderSpec::plain(codec, width, height, Rate::ConstQp { i: 24, p: 26, b: 28 })
}

fn plane_sizes(spec: &EncoderSpec) -> [(usize, usize); 3] {
    let (width, height) = (spec.width as usize, spec.height as usize);
    let chroma = if spec.chroma == Chroma::Yuv444 { (width, height) } else { (width / 2, height / 2) };
    [(width, height), chroma, chroma]
}

/// A moving pattern with a square that moves against it and, if asked for, noise that costs bits.
pub fn picture(spec: &EncoderSpec, time: u64, noise: u32) -> [Vec<u8>; 3] {
    let mut seed = (time as u32).wrapping_mul(2_654_435_761) | 1;
    let mut index = 0;
    plane_sizes(spec).map(|(width, height)| {
        let (shift, mut plane) = (u32::from(spec.depth) - 8, Vec::new());
        let time = time as usize;
        for y in 0..height {
            for x in 0..width {
                let (dx, dy) = (x + time * 3, y + time);
                let mut value =
                    64 + ((dx * 2) & 63) as u32 + ((dx * dx + dy * dy) >> 10 & 31) as u32 + index * 24;
                let (sx, sy) = ((time * 5) % width, (time * 2) % height);
                if x.wrapping_sub(sx) < width / 4 && y.wrapping_sub(sy) < height / 4 {
                    value += 70;
                }
                if noise > 0 {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    value += (seed >> 16) % noise;
                }
                let value = (value.min(255) << shift) | (x as u32 & ((1 << shift) - 1));
                plane.extend(&value.to_le_bytes()[..if shift > 0 { 2 } else { 1 }]);
            }
        }
        index += 1;
        plane
    })
}

/// Codes one picture of the clip.
pub fn encode(
    encoder: &mut SoftEncoder,
    spec: &EncoderSpec,
    kind: PictureKind,
    display: u64,
    noise: u32,
) -> PictureOut {
    let planes = picture(spec, display, noise);
    let bytes = if spec.depth > 8 { 2 } else { 1 };
    let input = PictureIn {
        planes: planes.each_ref().map(|plane| &**plane),
        pitches: plane_sizes(spec).map(|(width, _)| width * bytes),
        kind,
        display_index: display,
        parameter_sets: kind == PictureKind::Idr,
        sei: &[],
    };
    encoder.encode(&input).unwrap()
}

/// Coding order of `count` pictures with `b` pictures in B positions between two others; IDR pictures at `idrs`
/// (display positions; a run of B pictures never crosses one).
pub fn coding_order(count: u64, b: u64, idrs: &[u64]) -> Vec<(PictureKind, u64)> {
    let mut order = vec![(PictureKind::Idr, 0)];
    let mut shown = 0;
    while shown + 1 < count {
        let next = shown + 1;
        if idrs.contains(&next) {
            order.push((PictureKind::Idr, next));
            shown = next;
            continue;
        }
        let stop = idrs.iter().copied().filter(|&idr| idr > shown).min().unwrap_or(count).min(count);
        let anchor = (next + b).min(stop - 1);
        // An I picture now and then.
        let kind = if anchor.is_multiple_of(7) { PictureKind::I } else { PictureKind::P };
        order.push((kind, anchor));
        order.extend((next..anchor).map(|display| (PictureKind::B, display)));
        shown = anchor;
    }
    order
}

/// A coded clip with what the decoder must make of it, in display order.
pub struct Clip {
    pub stream: Vec<u8>,
    pub sizes: Vec<usize>,
    pub reconstruction: Vec<u8>,
}

/// Codes pictures in the order given.
pub fn clip(spec: &EncoderSpec, order: &[(PictureKind, u64)], noise: u32) -> Clip {
    let mut encoder = SoftEncoder::open(spec).unwrap();
    let mut clip = Clip { stream: Vec::new(), sizes: Vec::new(), reconstruction: Vec::new() };
    let mut shown = vec![Vec::new(); order.len()];
    for &(kind, display) in order {
        let out = encode(&mut encoder, spec, kind, display, noise);
        assert!(out.data.starts_with(&[0, 0, 0, 1]));
        clip.stream.extend_from_slice(&out.data);
        clip.sizes.push(out.data.len());
        shown[display as usize] = encoder.reconstruction().unwrap().concat();
    }
    clip.reconstruction = shown.concat();
    clip
}

/// Whether the judge is there; says so if not.
pub fn judge(program: &str) -> bool {
    let there = Command::new(program).arg("-version").output().is_ok_and(|output| output.status.success());
    if !there {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no {program} program to decode with\n"),
        );
    }
    there
}

/// Decodes with `ffmpeg` to planar samples in display order. Any complaint of it is a failure.
#[track_caller]
pub fn decode(codec: EncoderCodec, stream: &[u8], chroma: Chroma, depth: u8) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("coded"), directory.path().join("decoded"));
    std::fs::write(&from, stream).unwrap();
    let format = match (chroma, depth) {
        (Chroma::Yuv420, 8) => "yuv420p",
        (Chroma::Yuv444, 8) => "yuv444p",
        (Chroma::Yuv420, _) => "yuv420p10le",
        (Chroma::Yuv444, _) => "yuv444p10le",
    };
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", demuxer(codec), "-i"])
        .arg(&from)
        .args(["-fps_mode", "passthrough", "-pix_fmt", format, "-f", "rawvideo"])
        .arg(&to)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    std::fs::read(&to).unwrap()
}

/// What `ffprobe` says of the stream, as `name=value` lines.
#[track_caller]
pub fn probe(codec: EncoderCodec, stream: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("coded");
    std::fs::write(&from, stream).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-f", demuxer(codec), "-show_streams", "-of", "default=nw=1"])
        .arg(&from)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn demuxer(codec: EncoderCodec) -> &'static str {
    match codec {
        EncoderCodec::H264 => "h264",
        EncoderCodec::Hevc => "hevc",
        EncoderCodec::Av1 => "obu",
    }
}

/// Types of the NAL units, all of which must have four-byte start codes.
pub fn unit_types(codec: EncoderCodec, data: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    for at in 0..data.len().saturating_sub(3) {
        if data[at..at + 3] == [0, 0, 1] {
            assert!(at > 0 && data[at - 1] == 0, "a short start code");
            types.push(match codec {
                EncoderCodec::H264 => data[at + 3] & 31,
                // AV1 has none, and its bytes are not looked at.
                EncoderCodec::Hevc | EncoderCodec::Av1 => data[at + 3] >> 1 & 63,
            });
        }
    }
    types
}
