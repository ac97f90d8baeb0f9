//! What pictures are: format, profile, colour, and the messages that tell of their light.

use super::refuse;
use crate::backend::nvidia::driver::nvenc_names::{
    AV1_MAIN, Guid, H264_BASELINE, H264_HIGH, H264_HIGH_10, H264_HIGH_444, H264_MAIN, HEVC_FREXT, HEVC_MAIN,
    HEVC_MAIN10, format, metadata,
};
use crate::backend::nvidia::encode::capability::Caps;
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::config::{CommonEncodeConfig, Profile};
use crate::error::Result;
use crate::hdr::{ContentLight, MasteringDisplay};
use crate::pixel::{PixelFormat, PlaneLayout};
use crate::user_sei::UserSei;

/// What is coded of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::nvidia::encode) struct Samples {
    /// `NV_ENC_BUFFER_FORMAT` of the input buffers.
    pub(in crate::backend::nvidia::encode) format: u32,
    pub(in crate::backend::nvidia::encode) ten_bit: bool,
    /// 4:4:4.
    pub(in crate::backend::nvidia::encode) full_chroma: bool,
}

/// What the stream says of its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::backend::nvidia::encode) struct Signal {
    pub(in crate::backend::nvidia::encode) full_range: Option<bool>,
    /// Primaries, transfer, matrix.
    pub(in crate::backend::nvidia::encode) colour: Option<(u8, u8, u8)>,
}

pub(super) fn samples(config: &CommonEncodeConfig, caps: &Caps) -> Result<Samples> {
    let allowed = caps.pixel_formats(config.codec);
    let wanted = config.format;
    let known = match wanted {
        PixelFormat::Nv12 | PixelFormat::I420 => Some(format::NV12),
        PixelFormat::P010 => Some(format::P010),
        PixelFormat::I444 => Some(format::YUV444),
        PixelFormat::I410 => Some(format::YUV444_10),
        PixelFormat::Bgra => Some(format::BGRA),
        PixelFormat::Rgba => Some(format::RGBA),
        _ => None,
    };
    let format = known.filter(|_| allowed.contains(&wanted)).ok_or_else(|| {
        let names: Vec<_> = allowed.iter().map(|format| format.name()).collect();
        refuse(config.codec, "format", wanted, format!("{}{}", names.join(", "), missing(config, caps)))
    })?;
    Ok(Samples {
        format,
        ten_bit: matches!(wanted, PixelFormat::P010 | PixelFormat::I410),
        full_chroma: matches!(wanted, PixelFormat::I444 | PixelFormat::I410),
    })
}

/// Which capability a format is missing.
fn missing(config: &CommonEncodeConfig, caps: &Caps) -> String {
    let full_chroma = matches!(config.format, PixelFormat::I444 | PixelFormat::I410);
    let mut why = Vec::new();
    if full_chroma && config.codec != Codec::Av1 && !caps.full_chroma {
        why.push("SUPPORT_YUV444_ENCODE is 0".to_owned());
    }
    if matches!(config.format, PixelFormat::P010 | PixelFormat::I410) && !caps.ten_bit {
        why.push(if config.codec == Codec::H264 && !caps.api.has_deep_h264() {
            format!("10 bits of h264 need driver API 13.0, this one speaks {}", caps.api.name())
        } else {
            "SUPPORT_10BIT_ENCODE is 0".to_owned()
        });
    }
    if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) }
}

/// The profile to ask for; `None`: the driver's choice.
pub(super) fn profile(config: &CommonEncodeConfig, samples: Samples, lossless: bool) -> Result<Option<Guid>> {
    let codec = config.codec;
    // Each with what asks for it by name; the first is what the format needs.
    let holding: &[(Profile, Guid)] = match (codec, samples.full_chroma, samples.ten_bit) {
        (Codec::H264, ..) if lossless => &[(Profile::High444, H264_HIGH_444)],
        (Codec::H264, true, _) => &[(Profile::High444, H264_HIGH_444)],
        (Codec::H264, _, true) => &[(Profile::High10, H264_HIGH_10)],
        (Codec::H264, ..) => &[
            (Profile::Baseline, H264_BASELINE),
            (Profile::Main, H264_MAIN),
            (Profile::High, H264_HIGH),
            (Profile::High444, H264_HIGH_444),
        ],
        (Codec::Hevc, true, _) => &[(Profile::RangeExtensions, HEVC_FREXT)],
        (Codec::Hevc, _, true) => &[(Profile::Main10, HEVC_MAIN10)],
        (Codec::Hevc, ..) => &[(Profile::Main, HEVC_MAIN), (Profile::Main10, HEVC_MAIN10)],
        _ => &[(Profile::Main, AV1_MAIN)],
    };
    let Some(wanted) = config.profile else {
        // Where one profile alone holds the pictures, it is asked for; else the driver knows best.
        return Ok(if let [(_, only)] = holding { Some(*only) } else { None });
    };
    let found = holding.iter().find(|(profile, _)| *profile == wanted);
    let what = format!("{}{}", config.format, if lossless { " without loss" } else { "" });
    let Some((_, guid)) = found else {
        let names: Vec<_> = holding.iter().map(|(profile, _)| profile.name()).collect();
        let allowed = format!("{}, which hold {what}", names.join(", "));
        return Err(refuse(codec, "profile", wanted, allowed));
    };
    if wanted == Profile::Baseline
        && let Some(b @ 1..) = config.requested_b_frames()
    {
        let allowed = format!("{}, which have B frames; b_frames is {b}", "main, high, high444");
        return Err(refuse(codec, "profile", wanted, allowed));
    }
    Ok(Some(*guid))
}

/// Pictures of R, G, B are brought to 4:2:0 by the driver, always with the numbers of BT.601 and in limited range: that
/// is what the stream has to say then, whatever the pictures themselves are.
pub(super) fn signal(config: &CommonEncodeConfig, full_chroma: bool) -> Result<Signal> {
    let ColorInfo { matrix, primaries, transfer, range } = config.color;
    if matches!(config.format.layout(), PlaneLayout::PackedRgb(_)) {
        let matrix = match matrix {
            MatrixCoefficients::Smpte170M => matrix,
            MatrixCoefficients::Bt470Bg | MatrixCoefficients::Identity | MatrixCoefficients::Unspecified => {
                MatrixCoefficients::Bt470Bg
            }
            other => {
                let allowed = "none, or that of BT.601, by which the driver converts R, G, B";
                return Err(refuse(config.codec, "color matrix", other, allowed));
            }
        };
        return Ok(Signal {
            full_range: Some(false),
            colour: Some((primaries.code(), transfer.code(), matrix.code())),
        });
    }
    if matrix == MatrixCoefficients::Identity && !full_chroma {
        // Zero is for 4:4:4 alone (H.264 E.2.1, H.265 E.3.1, AV1 5.5.2).
        let allowed = "a Y'CbCr matrix, since the stream is 4:2:0";
        return Err(refuse(config.codec, "color matrix", matrix, allowed));
    }
    let stated = matrix != MatrixCoefficients::Unspecified
        || primaries != ColorPrimaries::Unspecified
        || transfer != TransferCharacteristics::Unspecified;
    Ok(Signal {
        full_range: range.map(|range| range == ColorRange::Full),
        colour: stated.then(|| (primaries.code(), transfer.code(), matrix.code())),
    })
}

/// HDR10 as messages that go with each IDR picture. SEI (in AV1: metadata) is what every API version has; the fields for
/// it that came with 13.0 would say the same in one more way.
pub(super) fn messages(config: &CommonEncodeConfig) -> Result<Vec<UserSei>> {
    let av1 = config.codec == Codec::Av1;
    let mut messages = Vec::new();
    if let Some(display) = config.mastering_display {
        display.check()?;
        messages.push(if av1 {
            UserSei::new(metadata::MASTERING_DISPLAY, display.av1_payload())
        } else {
            UserSei::new(MasteringDisplay::SEI, display.sei_payload())
        });
    }
    if let Some(light) = config.content_light {
        let kind = if av1 { metadata::CONTENT_LIGHT } else { ContentLight::SEI };
        messages.push(UserSei::new(kind, light.sei_payload()));
    }
    Ok(messages)
}
