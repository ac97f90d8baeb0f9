//! What pictures are: profile, colour, and the messages that tell of their light.

use super::refuse;
use crate::backend::vpl::driver::abi::names::{
    PROFILE_AV1_MAIN, PROFILE_AVC_CONSTRAINED_BASELINE, PROFILE_AVC_HIGH, PROFILE_AVC_MAIN,
    PROFILE_HEVC_MAIN, PROFILE_HEVC_MAIN10, PROFILE_JPEG_BASELINE, PROFILE_VP9_0, PROFILE_VP9_2,
};
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::config::{CommonEncodeConfig, Profile};
use crate::error::Result;
use crate::hdr::{ContentLight, MasteringDisplay};
use crate::time::Rational;
use crate::user_sei::UserSei;

/// What the stream says of its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::backend::vpl::encode) struct Signal {
    pub(in crate::backend::vpl::encode) full_range: Option<bool>,
    /// Primaries, transfer, matrix.
    pub(in crate::backend::vpl::encode) colour: Option<(u8, u8, u8)>,
}

pub(super) fn profile(config: &CommonEncodeConfig) -> Result<u16> {
    let ten = config.format.bit_depth() > 8;
    let codec = config.codec;
    Ok(match (codec, config.profile) {
        (Codec::H264, None | Some(Profile::High)) => PROFILE_AVC_HIGH,
        (Codec::H264, Some(Profile::Main)) => PROFILE_AVC_MAIN,
        // No encoder here has what Baseline has beyond it.
        (Codec::H264, Some(Profile::Baseline)) => PROFILE_AVC_CONSTRAINED_BASELINE,
        (Codec::Hevc, None) if !ten => PROFILE_HEVC_MAIN,
        (Codec::Hevc, None | Some(Profile::Main10)) => PROFILE_HEVC_MAIN10,
        (Codec::Hevc, Some(Profile::Main)) if !ten => PROFILE_HEVC_MAIN,
        (Codec::Av1, None | Some(Profile::Main)) => PROFILE_AV1_MAIN,
        (Codec::Vp9, None) => {
            if ten {
                PROFILE_VP9_2
            } else {
                PROFILE_VP9_0
            }
        }
        (Codec::Mjpeg, None) => PROFILE_JPEG_BASELINE,
        (_, given) => {
            let allowed = match codec {
                Codec::H264 => "baseline, main, high",
                Codec::Hevc if ten => "main10 for 10 bits",
                Codec::Hevc => "main, main10",
                Codec::Av1 => "main",
                _ => "none",
            };
            return Err(refuse(codec, "profile", given.map_or("", Profile::name), allowed));
        }
    })
}

/// Whether the stream has a place for what is not about samples themselves.
const fn has_vui(codec: Codec) -> bool {
    matches!(codec, Codec::H264 | Codec::Hevc)
}

pub(super) fn signal(config: &CommonEncodeConfig, notes: &mut Vec<String>) -> Signal {
    let ColorInfo { matrix, primaries, transfer, range } = config.color;
    let stated = matrix != MatrixCoefficients::Unspecified
        || primaries != ColorPrimaries::Unspecified
        || transfer != TransferCharacteristics::Unspecified;
    if !has_vui(config.codec) && config.codec != Codec::Av1 {
        if stated || range.is_some() {
            notes.push(format!(
                "the {} stream does not state its colour: oneVPL has no setting for it",
                config.codec
            ));
        }
        return Signal::default();
    }
    Signal {
        full_range: range.map(|range| range == ColorRange::Full),
        colour: stated.then(|| (primaries.code(), transfer.code(), matrix.code())),
    }
}

pub(super) fn aspect(config: &CommonEncodeConfig, notes: &mut Vec<String>) -> Result<Option<(u16, u16)>> {
    let Some(ratio) = config.sample_aspect_ratio.map(Rational::reduced) else { return Ok(None) };
    if !has_vui(config.codec) {
        if ratio != Rational::ONE {
            notes.push(format!("the {} stream has no sample aspect ratio", config.codec));
        }
        return Ok(None);
    }
    match (u16::try_from(ratio.num()), u16::try_from(ratio.den())) {
        (Ok(width), Ok(height)) => Ok(Some((width, height))),
        _ => Err(refuse(config.codec, "sample_aspect_ratio", ratio, "terms up to 65535 when reduced")),
    }
}

/// HDR10 as SEI messages of HEVC that go with each IDR picture; notes where it was a wish that cannot be had.
pub(super) fn messages(config: &CommonEncodeConfig) -> Result<(Vec<UserSei>, Vec<String>)> {
    let mut messages = Vec::new();
    if let Some(display) = config.mastering_display {
        display.check()?;
        messages.push(UserSei::new(MasteringDisplay::SEI, display.sei_payload()));
    }
    if let Some(light) = config.content_light {
        messages.push(UserSei::new(ContentLight::SEI, light.sei_payload()));
    }
    if messages.is_empty() || config.codec == Codec::Hevc {
        return Ok((messages, Vec::new()));
    }
    if config.hdr_optional {
        let note = "HDR10 metadata is not in the stream: oneVPL states it in hevc alone".to_owned();
        return Ok((Vec::new(), vec![note]));
    }
    let setting = if config.mastering_display.is_some() { "mastering_display" } else { "content_light" };
    Err(refuse(config.codec, setting, "given", "none, unless it is hevc"))
}
