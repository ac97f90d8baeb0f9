//! Metadata OBUs (5.8): what a stream says of its pictures beside them.

use super::obu::read_leb128;
use crate::hdr::{ContentLight, HdrMetadata, MasteringDisplay};

/// `METADATA_TYPE_HDR_CLL`.
const HDR_CLL: u32 = 1;
/// `METADATA_TYPE_HDR_MDCV`.
const HDR_MDCV: u32 = 2;

/// What a metadata OBU says of HDR10; numbers that cannot be are as good as none.
pub(in crate::bitstream) fn hdr(payload: &[u8]) -> HdrMetadata {
    let Some((kind, length)) = read_leb128(payload) else { return HdrMetadata::default() };
    let body = payload.get(length..).unwrap_or_default();
    HdrMetadata {
        mastering_display: (body.first_chunk().filter(|_| kind == HDR_MDCV))
            .and_then(MasteringDisplay::from_av1_payload),
        content_light: (body.first_chunk().filter(|_| kind == HDR_CLL)).map(ContentLight::from_sei_payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_and_others_are_not() {
        let display: MasteringDisplay =
            "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)".parse().unwrap();
        let light = ContentLight { max_cll: 1000, max_fall: 400 };
        // Behind the body are trailing bits.
        let of = |kind: u8, body: &[u8]| hdr(&[&[kind][..], body, &[0x80]].concat());
        let found = of(2, &display.av1_payload()).or(of(1, &light.sei_payload()));
        assert_eq!(found, HdrMetadata { mastering_display: Some(display), content_light: Some(light) });
        assert!(of(4, &display.av1_payload()).is_empty(), "ITU-T T.35");
        assert!(of(2, &display.av1_payload()[..20]).is_empty() && of(1, &[3]).is_empty(), "cut off");
        assert!(hdr(&[]).is_empty() && hdr(&[0xff; 40]).is_empty());
    }
}
