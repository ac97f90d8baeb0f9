//! Supplemental enhancement information of H.264 (7.3.2.3) and H.265 (7.3.5): the messages in a NAL unit.

use super::bits::{BitReader, BitResult};
use crate::hdr::{ContentLight, HdrMetadata, MasteringDisplay};

/// Reads up to the payload of the first message of this type; with it the payload's bytes. `unit`: behind the NAL unit's
/// header.
pub(super) fn find(unit: &[u8], wanted: u32) -> Option<(BitReader<'_>, u32)> {
    let mut r = BitReader::nal(unit);
    while r.more_rbsp_data() {
        let (payload_type, size) = (varying(&mut r).ok()?, varying(&mut r).ok()?);
        if payload_type == wanted {
            return Some((r, size));
        }
        r.skip(size.saturating_mul(8)).ok()?;
    }
    None
}

/// Payload type and size: a byte of 255 says that more follows.
fn varying(r: &mut BitReader) -> BitResult<u32> {
    let mut value = 0_u32;
    loop {
        let byte = r.u(8)?;
        value = value.saturating_add(byte);
        if byte != 255 {
            return Ok(value);
        }
    }
}

/// What the messages in a NAL unit say of HDR10; `unit`: behind its header. Numbers that cannot be are as good as none.
pub(super) fn hdr(unit: &[u8]) -> HdrMetadata {
    HdrMetadata {
        mastering_display: payload(unit, MasteringDisplay::SEI)
            .and_then(|payload| MasteringDisplay::from_sei_payload(&payload)),
        content_light: payload(unit, ContentLight::SEI)
            .map(|payload| ContentLight::from_sei_payload(&payload)),
    }
}

/// The first `N` bytes of the first message of this type.
fn payload<const N: usize>(unit: &[u8], wanted: u32) -> Option<[u8; N]> {
    let (mut r, size) = find(unit, wanted)?;
    let mut out = [0; N];
    for byte in &mut out {
        *byte = r.u8().ok()?;
    }
    (size as usize >= N).then_some(out)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const P3: &str = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";

    pub(in crate::bitstream) fn message(payload_type: u8, payload: &[u8]) -> Vec<u8> {
        [&[payload_type, payload.len() as u8], payload].concat()
    }

    /// As it stands in a unit: nothing looks like a start code, and a stop bit is at the end.
    pub(in crate::bitstream) fn unit(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in messages.concat().into_iter().chain([0x80]) {
            if out.ends_with(&[0, 0]) && byte <= 3 {
                out.push(3);
            }
            out.push(byte);
        }
        out
    }

    #[test]
    fn metadata_is_found_behind_other_messages() {
        let display: MasteringDisplay = P3.parse().unwrap();
        let light = ContentLight { max_cll: 1000, max_fall: 400 };
        let other = message(5, &[7; 40]);
        let both =
            unit(&[other.clone(), message(144, &light.sei_payload()), message(137, &display.sei_payload())]);
        assert!(both.windows(3).any(|three| three == [0, 0, 3]), "there is something to undo");
        let found = hdr(&both);
        assert_eq!((found.mastering_display, found.content_light), (Some(display), Some(light)));
        assert_eq!(hdr(&unit(&[other])), HdrMetadata::default());
    }

    #[test]
    fn what_is_cut_off_or_cannot_be_is_none() {
        let display: MasteringDisplay = P3.parse().unwrap();
        let whole = unit(&[message(137, &display.sei_payload())]);
        for length in 0..whole.len() - 1 {
            assert_eq!(hdr(&whole[..length]), HdrMetadata::default(), "{length} bytes");
        }
        let short = unit(&[message(144, &[3, 232]), message(5, &[1; 10])]);
        assert_eq!(hdr(&short), HdrMetadata::default());
        let dark = MasteringDisplay { max_luminance: 5, ..display };
        assert_eq!(hdr(&unit(&[message(137, &dark.sei_payload())])), HdrMetadata::default());
        // A size without end.
        assert_eq!(hdr(&[vec![5], vec![255; 1000]].concat()), HdrMetadata::default());
    }
}
