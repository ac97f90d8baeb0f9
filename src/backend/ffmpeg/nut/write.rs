//! Writing: headers once, then a few bytes in front of each frame.

use super::{CODED_FLAGS_ONLY, FILE_ID, MAIN, STREAM, SYNCPOINT, crc, flag};

/// The bytes that start a file with one video stream. `time_base` is the length of a tick in seconds, `reorder` by how
/// many frames decoding runs ahead of showing, where that is known.
pub(in super::super) fn headers(
    fourcc: [u8; 4],
    width: u32,
    height: u32,
    time_base: (u32, u32),
    reorder: u32,
) -> Vec<u8> {
    let mut out = FILE_ID.to_vec();
    let mut main = Vec::new();
    // Version, streams, bytes from one syncpoint to the next at most, time bases.
    for value in [3, 1, 65_536, 1, u64::from(time_base.0), u64::from(time_base.1)] {
        v(value, &mut main);
    }
    // The frame codes: 0 is not used; with all others each frame states all of its fields.
    for (flags, count) in [(flag::INVALID, 1), (flag::CODED_FLAGS, 254)] {
        // Six fields follow: time, multiplier, stream, size, reserved, and for how many codes they are.
        for value in [flags, 6, 0, 1, 0, 0, 0, count] {
            v(value, &mut main);
        }
    }
    // No headers left out of frames.
    v(0, &mut main);
    packet(MAIN, &main, &mut out);

    let mut stream = Vec::new();
    for value in [0, 0, 4] {
        v(value, &mut stream);
    }
    stream.extend_from_slice(&fourcc);
    // Time base, bits of times left out, longest gap, reordering, flags, bytes of configuration, size, shape of a
    // sample, colours.
    let rest = [0, 0, 1 << 32, u64::from(reorder), 0, 0, u64::from(width), u64::from(height), 0, 0, 0];
    for value in rest {
        v(value, &mut stream);
    }
    packet(STREAM, &stream, &mut out);
    out
}

/// What stands in front of the data of a frame. Each has a syncpoint and a checksum: without, frames that are large or
/// far apart in time would be taken for damage.
pub(in super::super) fn frame(pts: i64, key: bool, length: usize) -> Vec<u8> {
    let pts = pts.max(0) as u64;
    let mut out = Vec::with_capacity(64);
    let mut point = Vec::new();
    v(pts, &mut point);
    v(0, &mut point);
    packet(SYNCPOINT, &point, &mut out);
    let at = out.len();
    out.push(CODED_FLAGS_ONLY);
    v(flag::CODED_PTS | flag::SIZE_MSB | flag::CHECKSUM | if key { flag::KEY } else { 0 }, &mut out);
    v(pts + 1, &mut out);
    v(length as u64, &mut out);
    let sum = crc(out.get(at..).unwrap_or_default());
    out.extend_from_slice(&sum.to_be_bytes());
    out
}

pub(super) fn packet(start: u64, fields: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&start.to_be_bytes());
    v(fields.len() as u64 + 4, out);
    out.extend_from_slice(fields);
    out.extend_from_slice(&crc(fields).to_be_bytes());
}

fn v(value: u64, out: &mut Vec<u8>) {
    let bytes = (64 - value.max(1).leading_zeros()).div_ceil(7);
    for place in (0..bytes).rev() {
        let more = if place > 0 { 0x80 } else { 0 };
        out.push((value >> (7 * place)) as u8 & 0x7F | more);
    }
}
