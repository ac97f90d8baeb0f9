//! What IVF must know of its frames and does not store: which ones are random access points, and how an
//! AV1 temporal unit from another container becomes one that stands alone.

use bytes::{BufMut, Bytes, BytesMut};

use crate::bitstream::av1::{OBU_SEQUENCE_HEADER, OBU_TEMPORAL_DELIMITER, Obu, obus};
use crate::bitstream::{av1, vp8, vp9};
use crate::codec::Codec;

/// A temporal delimiter with its size field: what every temporal unit of a stream begins with (AV1, 7.5).
const TEMPORAL_DELIMITER: [u8; 2] = [OBU_TEMPORAL_DELIMITER << 3 | 0b10, 0];

/// Bytes of `av1C` before its OBUs (AV1 Codec ISO Media File Format Binding, 2.3.3).
const AV1C_FIXED: usize = 4;

/// Whether decoding can start at this packet; `false` for codecs that are not stored in IVF.
pub(super) fn is_keyframe(codec: Codec, data: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => vp8::FrameHeader::parse(data).is_ok_and(|header| header.keyframe),
        // Of a superframe, the first frame decides.
        Codec::Vp9 => vp9::FrameHeader::parse(data).is_ok_and(|header| header.keyframe),
        Codec::Av1 => av1::is_keyframe(data),
        _ => false,
    }
}

/// The temporal unit with the temporal delimiter and, at random access points, the sequence header of the
/// `av1C` record put in where they are missing: MP4 leaves out the one and may leave out the other.
pub(super) fn self_contained_unit(data: &Bytes, keyframe: bool, av1c: Option<&[u8]>) -> Bytes {
    let delimiter = match obus(data).next() {
        Some(Ok(Obu { kind: OBU_TEMPORAL_DELIMITER, bytes, .. })) => bytes.len(),
        _ => 0,
    };
    let configuration = match av1c.and_then(|record| record.get(AV1C_FIXED..)) {
        Some(obus_of_record) if keyframe && !has_sequence_header(data) => obus_of_record,
        _ => &[],
    };
    if delimiter > 0 && configuration.is_empty() {
        return data.clone();
    }
    let mut out = BytesMut::with_capacity(TEMPORAL_DELIMITER.len() + configuration.len() + data.len());
    out.put_slice(&TEMPORAL_DELIMITER);
    out.put_slice(configuration);
    out.put_slice(data.get(delimiter..).unwrap_or_default());
    out.freeze()
}

fn has_sequence_header(data: &[u8]) -> bool {
    obus(data).any(|obu| obu.is_ok_and(|obu| obu.kind == OBU_SEQUENCE_HEADER))
}
