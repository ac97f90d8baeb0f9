//! From the settings to what a compression session is set to, or the refusal of what it cannot honour.

use std::fmt::Display;

use crate::backend::videotoolbox::driver::abi::pixel_format;
use crate::backend::videotoolbox::driver::compression::Wanted;
use crate::backend::videotoolbox::{check_device, codec_type};
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, Profile, RateControl, VtEncodeConfig};
use crate::error::{Error, Remedy, Result};
use crate::pixel::PixelFormat;
use crate::time::Rational;

pub(super) const H264_FORMATS: [PixelFormat; 2] = [PixelFormat::Nv12, PixelFormat::I420];
pub(super) const HEVC_FORMATS: [PixelFormat; 4] =
    [PixelFormat::Nv12, PixelFormat::I420, PixelFormat::P010, PixelFormat::I010];
/// VideoToolbox tells no smallest and no largest size; what an encoder does not take it refuses when it is opened.
pub(super) const MIN_SIDE: u32 = 16;
pub(super) const MAX_SIDE: u32 = 8192;
/// VideoToolbox is told whether it may reorder, and not how far; encoders are known to go so far.
pub(super) const MAX_B_FRAMES: u32 = 2;
pub(super) const MAX_QUALITY: u8 = 51;
pub(super) const MAX_GOP: u32 = i32::MAX as u32;
/// When the caller leaves the choice: as the other encoders here.
const DEFAULT_GOP: u32 = 250;
const DEFAULT_QUALITY: u8 = 26;
/// Bits for each sample of luma, where constant quality is not to be had.
const DEFAULT_BITS: f64 = 0.1;

/// Everything that is asked of a session, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) wanted: Wanted,
    pub(super) codec: Codec,
    pub(super) format: PixelFormat,
    pub(super) rate: Rate,
    pub(super) frame_rate: Rational,
    pub(super) low_latency: bool,
    /// By how many frames an output may trail its input.
    pub(super) reorder: usize,
    pub(super) gop: u32,
    /// Besides those of the rate.
    pub(super) properties: Vec<Property>,
    /// What the caller should know.
    pub(super) notes: Vec<String>,
}

/// A property of a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Property {
    /// Apple's name.
    pub(super) name: &'static str,
    pub(super) value: Value,
    /// The setting that asks for it; `None`: an encoder that does not know it will do.
    pub(super) setting: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Integer(i64),
    Real(f64),
    /// A constant of this name.
    Name(&'static str),
    Data(Vec<u8>),
    /// So many bytes in so many seconds at most.
    Limit(i64, f64),
    /// Width and height of a sample.
    Ratio(u32, u32),
}

/// How bits are spent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rate {
    /// Constant quality of the encoder's choice, else so many bits per second.
    Own {
        otherwise: u32,
    },
    Quality(u8),
    Constant(u32),
    Average {
        bits: u32,
        max: Option<u32>,
    },
}

impl Rate {
    /// The properties that make it so. An encoder that knows constant quality (`has_quality`) is set to that where it may
    /// choose.
    pub(super) fn properties(self, has_quality: bool) -> Vec<Property> {
        const SETTING: &str = "rate_control";
        let asked = |name, value, setting| Property { name, value, setting: Some(setting) };
        let quality = |quality: u8| {
            let share = f64::from(MAX_QUALITY - quality.min(MAX_QUALITY)) / f64::from(MAX_QUALITY - 1);
            asked("kVTCompressionPropertyKey_Quality", Value::Real(share), "rate_control quality")
        };
        let average = |bits: u32| {
            asked("kVTCompressionPropertyKey_AverageBitRate", Value::Integer(i64::from(bits)), SETTING)
        };
        match self {
            Self::Own { .. } if has_quality => vec![quality(DEFAULT_QUALITY)],
            Self::Own { otherwise } => vec![average(otherwise)],
            Self::Quality(value) => vec![quality(value)],
            Self::Constant(bits) => vec![asked(
                "kVTCompressionPropertyKey_ConstantBitRate",
                Value::Integer(i64::from(bits)),
                "rate_control cbr",
            )],
            Self::Average { bits, max } => {
                let limit = |max: u32| {
                    let second = Value::Limit(i64::from(max.div_ceil(8)), 1.0);
                    asked("kVTCompressionPropertyKey_DataRateLimits", second, "rate_control vbr max_bps")
                };
                [average(bits)].into_iter().chain(max.map(limit)).collect()
            }
        }
    }

    /// Whether one follows from the other by other numbers alone. A ceiling cannot be taken away.
    pub(super) const fn is_of_kind(self, before: Self) -> bool {
        matches!(
            (before, self),
            (Self::Own { .. }, Self::Own { .. })
                | (Self::Quality(_), Self::Quality(_))
                | (Self::Constant(_), Self::Constant(_))
                | (Self::Average { max: None, .. }, Self::Average { .. })
                | (Self::Average { .. }, Self::Average { max: Some(_), .. })
        )
    }
}

/// The rate property of a new nominal frame rate.
pub(super) fn frame_rate(rate: Rational) -> Property {
    Property {
        name: "kVTCompressionPropertyKey_ExpectedFrameRate",
        value: Value::Real(rate.as_f64()),
        setting: None,
    }
}

pub(super) fn refuse(codec: Codec, setting: &str, given: impl Display, allowed: impl Display) -> Error {
    Error::Unsupported {
        feature: format!("{setting} {given} with {codec} by VideoToolbox"),
        remedy: Remedy::Allowed(allowed.to_string()),
    }
}

/// The settings that VideoToolbox alone has.
///
/// # Errors
/// Settings for another backend.
pub(super) fn own(special: &BackendEncodeConfig, codec: Codec) -> Result<VtEncodeConfig> {
    match special {
        BackendEncodeConfig::None => Ok(VtEncodeConfig::default()),
        BackendEncodeConfig::VideoToolbox(own) => Ok(own.clone()),
        other => Err(refuse(codec, "backend settings", other.owner(), "none or videotoolbox")),
    }
}

/// Checks every setting and translates it.
///
/// # Errors
/// [`Error::Unsupported`] with the setting, its value and what is allowed.
pub(super) fn negotiate(config: &CommonEncodeConfig, special: &BackendEncodeConfig) -> Result<Settings> {
    let codec = config.codec;
    let own = own(special, codec)?;
    check_device(config.device.as_deref())?;
    let formats: &[PixelFormat] = match codec {
        Codec::H264 => &H264_FORMATS,
        Codec::Hevc => &HEVC_FORMATS,
        other => return Err(refuse(other, "codec", other, "h264, hevc")),
    };
    if !formats.contains(&config.format) {
        let names: Vec<_> = formats.iter().map(|format| format.name()).collect();
        return Err(refuse(codec, "format", config.format, names.join(", ")));
    }
    size(config)?;
    let reorders = b_frames(config)?;
    let rate = rate(config)?;
    let gop = gop(config)?;
    let ten_bits = config.format.bit_depth() > 8;
    let mut properties = vec![
        Property {
            name: "kVTCompressionPropertyKey_ProfileLevel",
            value: Value::Name(profile(config)?),
            // Without it an encoder would take 10 bits and make 8 of them.
            setting: config.profile.map(|_| "profile").or(ten_bits.then_some("format")),
        },
        Property {
            name: "kVTCompressionPropertyKey_AllowFrameReordering",
            value: Value::Bool(reorders),
            setting: reorders.then_some("b_frames"),
        },
        Property {
            name: "kVTCompressionPropertyKey_MaxKeyFrameInterval",
            value: Value::Integer(i64::from(gop)),
            setting: config.gop_length.map(|_| "gop_length"),
        },
        // A key frame then is an IDR picture.
        Property { name: "kVTCompressionPropertyKey_AllowOpenGOP", value: Value::Bool(false), setting: None },
        frame_rate(config.frame_rate),
    ];
    if config.low_latency {
        // Otherwise the encoder holds back what it likes.
        let name = "kVTCompressionPropertyKey_MaxFrameDelayCount";
        properties.push(Property { name, value: Value::Integer(0), setting: None });
    }
    let real_time = if config.low_latency { Some(true) } else { own.real_time };
    let asked = own.real_time.is_some().then_some("real_time");
    properties.extend(real_time.map(|value| Property {
        name: "kVTCompressionPropertyKey_RealTime",
        value: Value::Bool(value),
        setting: asked,
    }));
    color(config, &mut properties)?;
    let mut notes: Vec<_> = light(config, &mut properties)?.into_iter().collect();
    if let Some(asked) = config.requested_b_frames().filter(|asked| (1..MAX_B_FRAMES).contains(asked)) {
        notes.push(format!(
            "b_frames {asked}: VideoToolbox is told that it may reorder, and decides how many there are"
        ));
    }
    if let Some(ratio) = config.sample_aspect_ratio.map(Rational::reduced) {
        properties.push(Property {
            name: "kVTCompressionPropertyKey_PixelAspectRatio",
            value: Value::Ratio(ratio.num(), ratio.den()),
            setting: Some("sample_aspect_ratio"),
        });
    }
    let full = config.color.range == Some(ColorRange::Full);
    let pixel_format = match (config.format.bit_depth(), full) {
        (8, false) => pixel_format::NV12_VIDEO,
        (8, true) => pixel_format::NV12_FULL,
        (_, false) => pixel_format::P010_VIDEO,
        (_, true) => pixel_format::P010_FULL,
    };
    Ok(Settings {
        wanted: Wanted {
            codec_type: codec_type(codec)?,
            width: config.dimensions.width(),
            height: config.dimensions.height(),
            pixel_format,
            hardware_alone: !own.allow_cpu,
            // It has neither constant quality nor a constant bit rate, and of H.264's profiles the high ones.
            low_latency_rate: config.low_latency
                && matches!(rate, Rate::Average { .. })
                && (codec != Codec::H264 || matches!(config.profile, None | Some(Profile::High))),
        },
        codec,
        format: config.format,
        rate,
        frame_rate: config.frame_rate,
        low_latency: config.low_latency,
        reorder: if reorders { MAX_B_FRAMES as usize } else { 0 },
        gop,
        properties,
        notes,
    })
}

fn size(config: &CommonEncodeConfig) -> Result<()> {
    let (width, height) = (config.dimensions.width(), config.dimensions.height());
    let fits = |side: u32| (MIN_SIDE..=MAX_SIDE).contains(&side) && side.is_multiple_of(2);
    if fits(width) && fits(height) {
        return Ok(());
    }
    let allowed = format!("even sides, {MIN_SIDE} to {MAX_SIDE}");
    Err(refuse(config.codec, "dimensions", config.dimensions, allowed))
}

/// Whether pictures may be reordered.
fn b_frames(config: &CommonEncodeConfig) -> Result<bool> {
    if let (Some(interval), Some(allowed)) = (config.frame_interval_p, config.wrong_interval(MAX_B_FRAMES)) {
        return Err(refuse(config.codec, "frame_interval_p", interval, allowed));
    }
    match config.requested_b_frames() {
        Some(asked) if asked > MAX_B_FRAMES => {
            Err(refuse(config.codec, "b_frames", asked, format!("0 to {MAX_B_FRAMES}")))
        }
        Some(asked @ 1..) if config.low_latency => {
            Err(refuse(config.codec, "b_frames", asked, "0 with low_latency"))
        }
        Some(asked @ 1..) if config.profile == Some(Profile::Baseline) => {
            Err(refuse(config.codec, "b_frames", asked, "0 with profile baseline"))
        }
        asked => Ok(asked.unwrap_or(0) > 0),
    }
}

fn rate(config: &CommonEncodeConfig) -> Result<Rate> {
    let codec = config.codec;
    let bits = |setting: &str, bits: u32| {
        if bits > 0 { Ok(bits) } else { Err(refuse(codec, setting, bits, "1 bit/s and more")) }
    };
    for (setting, given) in [("vbv_bits", config.vbv_bits), ("vbv_initial_bits", config.vbv_initial_bits)] {
        if let Some(given) = given {
            return Err(refuse(codec, setting, given, "none: VideoToolbox keeps to no buffer model"));
        }
    }
    Ok(match config.rate_control {
        None => {
            let samples = config.dimensions.pixels() as f64 * config.frame_rate.as_f64();
            Rate::Own { otherwise: (samples * DEFAULT_BITS).clamp(100_000.0, 1e9) as u32 }
        }
        Some(RateControl::Cbr { bitrate_bps }) => {
            Rate::Constant(bits("rate_control cbr bitrate_bps", bitrate_bps)?)
        }
        Some(RateControl::Vbr { avg_bps, max_bps }) => {
            let average = bits("rate_control vbr avg_bps", avg_bps)?;
            if let Some(max) = max_bps.filter(|max| *max < average) {
                let allowed = format!("{average} (avg_bps) and more");
                return Err(refuse(codec, "rate_control vbr max_bps", max, allowed));
            }
            Rate::Average { bits: average, max: max_bps }
        }
        Some(RateControl::Quality { quality, max_bps: None }) if (1..=MAX_QUALITY).contains(&quality) => {
            Rate::Quality(quality)
        }
        Some(RateControl::Quality { quality, max_bps: None }) => {
            let allowed = format!("1 (best) to {MAX_QUALITY}");
            return Err(refuse(codec, "rate_control quality", quality, allowed));
        }
        Some(RateControl::Quality { max_bps: Some(max), .. }) => {
            return Err(refuse(codec, "rate_control quality max_bps", max, "none"));
        }
        Some(RateControl::ConstQp { intra, .. }) => {
            let allowed = "rate_control quality, cbr or vbr; the nearest is quality";
            return Err(refuse(codec, "rate_control constqp", intra, allowed));
        }
    })
}

fn gop(config: &CommonEncodeConfig) -> Result<u32> {
    match config.gop_length {
        Some(given) if !(1..=MAX_GOP).contains(&given) => {
            Err(refuse(config.codec, "gop_length", given, format!("1 to {MAX_GOP}")))
        }
        _ if config.force_idr => Ok(1),
        given => Ok(given.unwrap_or(DEFAULT_GOP)),
    }
}

fn profile(config: &CommonEncodeConfig) -> Result<&'static str> {
    let ten = config.format.bit_depth() > 8;
    Ok(match (config.codec, config.profile) {
        (Codec::H264, None | Some(Profile::High)) => "kVTProfileLevel_H264_High_AutoLevel",
        (Codec::H264, Some(Profile::Main)) => "kVTProfileLevel_H264_Main_AutoLevel",
        (Codec::H264, Some(Profile::Baseline)) => "kVTProfileLevel_H264_Baseline_AutoLevel",
        (Codec::H264, Some(other)) => {
            return Err(refuse(config.codec, "profile", other, "baseline, main, high"));
        }
        (_, None) if ten => "kVTProfileLevel_HEVC_Main10_AutoLevel",
        (_, Some(Profile::Main10)) => "kVTProfileLevel_HEVC_Main10_AutoLevel",
        (_, None) => "kVTProfileLevel_HEVC_Main_AutoLevel",
        (_, Some(Profile::Main)) if !ten => "kVTProfileLevel_HEVC_Main_AutoLevel",
        (_, Some(other)) => {
            let allowed = if ten { "main10 for 10 bits" } else { "main, main10" };
            return Err(refuse(config.codec, "profile", other, allowed));
        }
    })
}

/// Apple has names for some of the code points, and no way to state the others.
fn color(config: &CommonEncodeConfig, properties: &mut Vec<Property>) -> Result<()> {
    let ColorInfo { matrix, primaries, transfer, range: _ } = config.color;
    let unknown = |what: &str, given: &dyn Display| {
        refuse(config.codec, what, given, "what VideoToolbox has a name for")
    };
    let primaries = match primaries {
        ColorPrimaries::Unspecified => None,
        ColorPrimaries::Bt709 => Some("kCVImageBufferColorPrimaries_ITU_R_709_2"),
        ColorPrimaries::Bt470Bg => Some("kCVImageBufferColorPrimaries_EBU_3213"),
        ColorPrimaries::Smpte170M => Some("kCVImageBufferColorPrimaries_SMPTE_C"),
        ColorPrimaries::Bt2020 => Some("kCVImageBufferColorPrimaries_ITU_R_2020"),
        ColorPrimaries::Smpte431 => Some("kCVImageBufferColorPrimaries_DCI_P3"),
        ColorPrimaries::Smpte432 => Some("kCVImageBufferColorPrimaries_P3_D65"),
        other => return Err(unknown("color primaries", &other)),
    };
    let transfer = match transfer {
        TransferCharacteristics::Unspecified => None,
        // One curve under two names.
        TransferCharacteristics::Bt709 | TransferCharacteristics::Smpte170M => {
            Some("kCVImageBufferTransferFunction_ITU_R_709_2")
        }
        TransferCharacteristics::Smpte240M => Some("kCVImageBufferTransferFunction_SMPTE_240M_1995"),
        TransferCharacteristics::Linear => Some("kCVImageBufferTransferFunction_Linear"),
        TransferCharacteristics::Srgb => Some("kCVImageBufferTransferFunction_sRGB"),
        TransferCharacteristics::Bt2020Ten | TransferCharacteristics::Bt2020Twelve => {
            Some("kCVImageBufferTransferFunction_ITU_R_2020")
        }
        TransferCharacteristics::Pq => Some("kCVImageBufferTransferFunction_SMPTE_ST_2084_PQ"),
        TransferCharacteristics::Smpte428 => Some("kCVImageBufferTransferFunction_SMPTE_ST_428_1"),
        TransferCharacteristics::Hlg => Some("kCVImageBufferTransferFunction_ITU_R_2100_HLG"),
        other => return Err(unknown("color transfer", &other)),
    };
    let matrix = match matrix {
        MatrixCoefficients::Unspecified => None,
        MatrixCoefficients::Bt709 => Some("kCVImageBufferYCbCrMatrix_ITU_R_709_2"),
        // The same numbers under two names.
        MatrixCoefficients::Bt470Bg | MatrixCoefficients::Smpte170M => {
            Some("kCVImageBufferYCbCrMatrix_ITU_R_601_4")
        }
        MatrixCoefficients::Smpte240M => Some("kCVImageBufferYCbCrMatrix_SMPTE_240M_1995"),
        MatrixCoefficients::Bt2020Ncl => Some("kCVImageBufferYCbCrMatrix_ITU_R_2020"),
        other => return Err(unknown("color matrix", &other)),
    };
    let stated = [
        ("kVTCompressionPropertyKey_ColorPrimaries", primaries, "color primaries"),
        ("kVTCompressionPropertyKey_TransferFunction", transfer, "color transfer"),
        ("kVTCompressionPropertyKey_YCbCrMatrix", matrix, "color matrix"),
    ];
    properties.extend(stated.into_iter().filter_map(|(name, value, setting)| {
        Some(Property { name, value: Value::Name(value?), setting: Some(setting) })
    }));
    Ok(())
}

/// HDR10 metadata, for which HEVC with 10 bits alone has properties; a note where it was a wish that cannot be had.
fn light(config: &CommonEncodeConfig, properties: &mut Vec<Property>) -> Result<Option<String>> {
    let mut note = None;
    let stated = [
        (
            "kVTCompressionPropertyKey_MasteringDisplayColorVolume",
            "mastering_display",
            config.mastering_display.map(|display| (display.to_string(), display.sei_payload())),
        ),
        (
            "kVTCompressionPropertyKey_ContentLightLevelInfo",
            "content_light",
            config.content_light.map(|light| (light.to_string(), light.sei_payload())),
        ),
    ];
    for (name, setting, payload) in stated {
        let Some((given, payload)) = payload else { continue };
        if config.codec != Codec::Hevc || config.format.bit_depth() < 10 {
            if config.hdr_optional {
                note = Some(
                    "HDR10 metadata is not in the stream: VideoToolbox states it in hevc with 10 bits alone"
                        .to_owned(),
                );
                continue;
            }
            return Err(refuse(config.codec, setting, given, "none, unless it is hevc with 10 bits"));
        }
        properties.push(Property { name, value: Value::Data(payload), setting: Some(setting) });
    }
    Ok(note)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
