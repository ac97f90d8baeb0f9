//! NAL units that no stream of its codec holds: traces of damage.

use super::annexb::nal_units;
use crate::codec::Codec;

/// The type of the first NAL unit in an access unit (Annex B) that is reserved or forbidden. Decoders pass over those, so
/// that a picture whose header was damaged would be missing without a word.
///
/// Types of RTP payloads and reserved ones count, since nothing but damage puts them into a file. Those that Dolby Vision
/// uses do not: 28 and 30 of H.264, 62 and 63 of H.265.
pub(crate) fn foreign_nal(codec: Codec, unit: &[u8]) -> Option<u8> {
    nal_units(unit).find_map(|nal| {
        let &first = nal.first()?;
        let (kind, foreign) = match codec {
            Codec::H264 => {
                let kind = first & 0x1f;
                (kind, matches!(kind, 0 | 17 | 18 | 22..=27 | 29 | 31))
            }
            Codec::Hevc => {
                let kind = first >> 1 & 0x3f;
                // nuh_temporal_id_plus1 is never 0.
                let no_layer = nal.get(1).is_some_and(|second| second.trailing_zeros() >= 3);
                (kind, no_layer || matches!(kind, 10..=15 | 22..=31 | 41..=61))
            }
            _ => return None,
        };
        // forbidden_zero_bit
        (foreign || first & 0x80 != 0).then_some(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_from_what_streams_hold() {
        let found = |codec, nal: &[u8]| foreign_nal(codec, &[&[0, 0, 1, 0x09, 0xf0, 0, 0, 1], nal].concat());
        assert_eq!(found(Codec::H264, &[0x65, 0x88]), None);
        assert_eq!(found(Codec::H264, &[0x7c, 0x88]), None, "Dolby Vision");
        assert_eq!(found(Codec::H264, &[0x60, 0x88]), Some(0));
        assert_eq!(found(Codec::H264, &[0xe5, 0x88]), Some(5), "forbidden_zero_bit");
        let hevc = |nal: &[u8]| foreign_nal(Codec::Hevc, &[&[0, 0, 1], nal].concat());
        assert_eq!(hevc(&[0x26, 1, 0xaf]), None);
        assert_eq!(hevc(&[0x7c, 1, 0xaf]), None, "Dolby Vision");
        assert_eq!(hevc(&[0x26, 0, 0xaf]), Some(19));
        assert_eq!(hevc(&[0x60, 1, 0xaf]), Some(48));
        assert_eq!(foreign_nal(Codec::Av1, &[0, 0, 1, 0x80]), None);
    }
}
