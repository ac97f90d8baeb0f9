//! AV1 headers ("5.x" below are clauses of the AV1 bitstream specification).

mod config;
mod metadata;
mod obu;
mod sequence;

pub use config::Av1Config;
pub(super) use metadata::hdr;
pub(crate) use obu::read_leb128;
pub(crate) use obu::{
    OBU_FRAME, OBU_FRAME_HEADER, OBU_METADATA, OBU_SEQUENCE_HEADER, OBU_TEMPORAL_DELIMITER, Obu, obus,
    strip_temporal_delimiters,
};
pub(crate) use sequence::SequenceHeader;

use super::bits::{BitReader, BitResult};

/// Whether decoding can start at this temporal unit: its first frame is a shown key frame, and it brings a
/// sequence header (the sync sample rule of the AV1 file format). Damaged units are not.
pub(crate) fn is_keyframe(temporal_unit: &[u8]) -> bool {
    let mut sequence = None;
    for obu in obus(temporal_unit) {
        match obu {
            Ok(Obu { kind: OBU_SEQUENCE_HEADER, payload, .. }) => {
                sequence = SequenceHeader::parse(payload).ok();
            }
            Ok(Obu { kind: OBU_FRAME | OBU_FRAME_HEADER, payload, .. }) => {
                let Some(sequence) = &sequence else { return false };
                return sequence.reduced_still_picture
                    || shows_key_frame(&mut BitReader::new(payload)).unwrap_or(false);
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

/// The start of `uncompressed_header()` (5.9.2).
fn shows_key_frame(r: &mut BitReader) -> BitResult<bool> {
    let show_existing_frame = r.flag()?;
    let frame_type = r.u(2)?;
    let show_frame = r.flag()?;
    Ok(!show_existing_frame && frame_type == 0 && show_frame)
}
