//! What IVF must know of its frames and does not store: which ones are random access points, and how an
//! AV1 temporal unit from another container becomes one that stands alone.

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::Codec;

/// OBU types (AV1 specification, 6.2.2).
const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_TEMPORAL_DELIMITER: u8 = 2;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_FRAME: u8 = 6;

/// A temporal delimiter with its size field: what every temporal unit of a stream begins with (AV1, 7.5).
const TEMPORAL_DELIMITER: [u8; 2] = [OBU_TEMPORAL_DELIMITER << 3 | 0b10, 0];

/// Bytes of `av1C` before its OBUs (AV1 Codec ISO Media File Format Binding, 2.3.3).
const AV1C_FIXED: usize = 4;

/// Whether decoding can start at this packet; the first bytes of it are enough. `false` for codecs that are
/// not stored in IVF.
pub(super) fn is_keyframe(codec: Codec, data: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => is_vp8_keyframe(data),
        Codec::Vp9 => is_vp9_keyframe(data),
        Codec::Av1 => is_av1_keyframe(data),
        Codec::H264 | Codec::Hevc => false,
    }
}

/// RFC 6386, 9.1: the lowest bit of the frame tag is 0 for key frames.
fn is_vp8_keyframe(data: &[u8]) -> bool {
    data.first().is_some_and(|tag| tag & 1 == 0)
}

/// VP9 specification, 6.2: frame_marker (2 bits), profile (2, low bit first), a reserved bit for profile 3,
/// show_existing_frame, frame_type (0: key frame). A superframe begins with its first frame.
fn is_vp9_keyframe(data: &[u8]) -> bool {
    let Some(&first) = data.first() else { return false };
    if first >> 6 != 0b10 {
        return false;
    }
    let flags = if first >> 4 & 0b11 == 0b11 { first << 1 } else { first };
    flags & 0b1100 == 0
}

/// AV1, 7.6.1: a random access point is a shown key frame in a temporal unit with a sequence header.
fn is_av1_keyframe(data: &[u8]) -> bool {
    let mut sequence: Option<u8> = None;
    for (kind, payload) in obus(data) {
        let first = payload.first().copied().unwrap_or(0xff);
        match kind {
            OBU_SEQUENCE_HEADER => sequence = Some(first),
            OBU_FRAME_HEADER | OBU_FRAME => {
                let Some(sequence) = sequence else { return false };
                let reduced_still_picture = sequence & 0b0000_1000 != 0;
                // show_existing_frame 0, frame_type 0 (KEY_FRAME), show_frame 1.
                return reduced_still_picture || first >> 4 == 0b0001;
            }
            _ => {}
        }
    }
    false
}

/// The temporal unit with the temporal delimiter and, at random access points, the sequence header of the
/// `av1C` record put in where they are missing: MP4 leaves out the one and may leave out the other.
pub(super) fn self_contained_unit(data: &Bytes, keyframe: bool, av1c: Option<&[u8]>) -> Bytes {
    let delimited = obus(data).next().is_some_and(|(kind, _)| kind == OBU_TEMPORAL_DELIMITER);
    let configuration = match av1c.and_then(|record| record.get(AV1C_FIXED..)) {
        Some(obus_of_record) if keyframe && !has_sequence_header(data) => obus_of_record,
        _ => &[],
    };
    if delimited && configuration.is_empty() {
        return data.clone();
    }
    let mut out = BytesMut::with_capacity(TEMPORAL_DELIMITER.len() + configuration.len() + data.len());
    let rest = if delimited { end_of_first_obu(data) } else { 0 };
    out.put_slice(&TEMPORAL_DELIMITER);
    out.put_slice(configuration);
    out.put_slice(data.get(rest..).unwrap_or_default());
    out.freeze()
}

fn has_sequence_header(data: &[u8]) -> bool {
    obus(data).any(|(kind, _)| kind == OBU_SEQUENCE_HEADER)
}

fn end_of_first_obu(data: &[u8]) -> usize {
    next_obu(data).map_or(0, |(_, _, rest)| data.len() - rest.len())
}

/// Type and payload of every OBU, up to the end or the first damage. The last payload may be cut short.
fn obus(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, payload, rest) = next_obu(data)?;
        data = rest;
        Some((kind, payload))
    })
}

/// Type, payload, and what follows (AV1, 5.3).
fn next_obu(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&header, mut rest) = data.split_first()?;
    let (kind, has_extension, has_size) = (header >> 3 & 0b1111, header & 0b100 != 0, header & 0b10 != 0);
    if has_extension {
        rest = rest.get(1..)?;
    }
    if !has_size {
        return Some((kind, rest, &[]));
    }
    let (size, rest) = leb128(rest)?;
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
    let (payload, rest) = rest.split_at(size);
    Some((kind, payload, rest))
}

/// AV1, 4.10.5: at most 8 bytes of 7 bits, low bits first.
fn leb128(data: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (i, &byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, data.get(i + 1..)?));
        }
    }
    None
}
