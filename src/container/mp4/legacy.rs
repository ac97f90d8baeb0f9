//! Sample entries of the codecs before H.264: `mp4v`, which stands for several and says which in its `esds` (ISO/IEC
//! 14496-1 and 14496-14), `vc-1` (SMPTE RP 2025) and QuickTime's `jpeg`.

use bytes::Bytes;

use super::boxes::Mp4Box;
use crate::codec::Codec;
use crate::error::Result;

/// Fields of `dvc1` before the sequence header and entry point: profile and level, flags, frame rate.
const VC1_FIELDS: usize = 7;
/// The advanced profile in the upper half of the first byte of `dvc1`; the others have no start codes.
const VC1_ADVANCED: u8 = 12;

/// The codec of a sample entry, with the headers that its stream may leave out; `None` for other entries.
pub(super) fn codec_of(entry: &Mp4Box, fields_len: usize) -> Result<Option<(Codec, Option<Bytes>)>> {
    let child = |kind: [u8; 4]| -> Result<Option<Bytes>> {
        for child in entry.children(fields_len) {
            let child = child?;
            if child.kind == kind {
                return Ok(Some(child.payload));
            }
        }
        Ok(None)
    };
    Ok(match &entry.kind {
        b"jpeg" => Some((Codec::Mjpeg, None)),
        b"mp4v" => child(*b"esds")?.and_then(|esds| {
            let (object_type, header) = decoder_config(&esds)?;
            let codec = match object_type {
                0x20 => Codec::Mpeg4,
                // Simple, Main, SNR, Spatial, High and 4:2:2.
                0x60..=0x65 => Codec::Mpeg2,
                0x6c => Codec::Mjpeg,
                _ => return None,
            };
            Some((codec, header.filter(|header| !header.is_empty()).map(|header| esds.slice_ref(header))))
        }),
        b"vc-1" => child(*b"dvc1")?
            .filter(|record| record.first().is_some_and(|first| first >> 4 == VC1_ADVANCED))
            .map(|record| (Codec::Vc1, record.get(VC1_FIELDS..).map(|headers| record.slice_ref(headers)))),
        _ => None,
    })
}

/// Object type and decoder-specific information of an `esds` payload.
pub(in crate::container) fn decoder_config(esds: &[u8]) -> Option<(u8, Option<&[u8]>)> {
    // Version and flags of the box come first.
    let stream = descriptor(esds.get(4..)?, 3)?;
    let flags = *stream.get(2)?;
    let mut at = 3;
    if flags & 0x80 != 0 {
        at += 2;
    }
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*stream.get(at)?);
    }
    if flags & 0x20 != 0 {
        at += 2;
    }
    let config = descriptor(stream.get(at..)?, 4)?;
    // Object type, stream type, buffer size, two bit rates.
    Some((*config.first()?, config.get(13..).and_then(|rest| descriptor(rest, 5))))
}

/// The payload of the first descriptor with this tag.
fn descriptor(mut data: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        let (&tag, mut rest) = data.split_first()?;
        let mut length = 0usize;
        // Seven bits a byte, at most four bytes.
        for _ in 0..4 {
            let (&byte, more) = rest.split_first()?;
            rest = more;
            length = length << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        // A length beyond the box ends with it.
        let (payload, more) = rest.split_at(length.min(rest.len()));
        if tag == wanted {
            return Some(payload);
        }
        data = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: [u8; 20] = [4, 0x80, 17, 0x20, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0xaa, 0xbb];

    fn esds(flags: &[u8]) -> Vec<u8> {
        let length = (2 + flags.len() + CONFIG.len()) as u8;
        [&[0, 0, 0, 0, 3, 0x80, 0x80, length, 0, 1], flags, &CONFIG].concat()
    }

    #[test]
    fn the_decoder_config_is_found_behind_optional_fields() {
        for flags in [&[0][..], &[0x80, 0, 7], &[0x40, 3, b'u', b'r', b'l'], &[0x20, 0, 9]] {
            let esds = esds(flags);
            assert_eq!(decoder_config(&esds), Some((0x20, Some(&[0xaa, 0xbb][..]))), "{flags:?}");
        }
    }

    #[test]
    fn a_cut_record_is_no_codec_and_no_panic() {
        let whole = esds(&[0xe0, 0, 1, 1, b'u', 0, 2]);
        assert!(decoder_config(&whole).is_some());
        for end in 0..whole.len() {
            let _ = decoder_config(&whole[..end]);
        }
        assert_eq!(decoder_config(&whole[..12]), None);
    }
}
