//! From the common settings to what openh264 is opened with, or the refusal of what it cannot honour.

use std::fmt::Display;

use crate::capability::{EncodeCapability, InPlaceChanges};
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, Profile, RateControl, SoftwareEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::pixel::PixelFormat;
use crate::time::Rational;

use super::driver::openh264::{Parameters, Rate, Signal};

pub(super) const IMPLEMENTATION: &str = "openh264 2.7";

const FORMATS: [PixelFormat; 2] = [PixelFormat::I420, PixelFormat::Nv12];
const MIN_SIDE: u32 = 16;
/// The library's own limit, in either orientation.
const MAX_LONG_SIDE: u32 = 3840;
const MAX_SHORT_SIDE: u32 = 2160;
/// Level 5.2, Main (H.264 table A-1).
const MAX_BITRATE: u32 = 240_000_000;
const MIN_BITRATE: u32 = 10_000;
/// At 8 and below, the library's buffer for a picture is too small for noise, and coding fails.
const QP_RANGE: (u8, u8) = (10, 51);
/// Frame rates that the library's rate control accepts; others are scaled into them.
const RATE_CONTROL_FPS: (f64, f64) = (1.0, 60.0);
/// Frames between IDR pictures when the caller leaves the choice: ten seconds at 25 Hz, as x264.
const DEFAULT_GOP: u32 = 250;
/// Quantiser when the caller leaves the choice: constant quality, not a bit rate that suits one size only.
const DEFAULT_QP: u8 = 26;
/// The library's own limit. When the caller leaves the choice there is one thread: each further one cuts the
/// picture into another slice, which costs quality (docs/encode-support.md has the figures).
const MAX_THREADS: usize = 4;
/// Rows of macroblocks that a slice should have at least: thinner ones cost more bits than they save time.
const MIN_SLICE_ROWS: u32 = 8;

/// `(level_idc, MaxMBPS, MaxFS, MaxBR in bit/s)` of H.264 table A-1, from level 1.1 up.
const LEVELS: [(u8, u64, u64, u64); 15] = [
    (11, 3_000, 396, 192_000),
    (12, 6_000, 396, 384_000),
    (13, 11_880, 396, 768_000),
    (20, 11_880, 396, 2_000_000),
    (21, 19_800, 792, 4_000_000),
    (22, 20_250, 1_620, 4_000_000),
    (30, 40_500, 1_620, 10_000_000),
    (31, 108_000, 3_600, 14_000_000),
    (32, 216_000, 5_120, 20_000_000),
    (40, 245_760, 8_192, 20_000_000),
    (41, 245_760, 8_192, 50_000_000),
    (42, 522_240, 8_704, 50_000_000),
    (50, 589_824, 22_080, 135_000_000),
    (51, 983_040, 36_864, 240_000_000),
    (52, 2_073_600, 36_864, 240_000_000),
];

/// What this backend encodes.
pub(crate) fn encode_capability(codec: Codec) -> Option<EncodeCapability> {
    if codec != Codec::H264 {
        return None;
    }
    Some(EncodeCapability {
        implementation: IMPLEMENTATION,
        min: Dimensions::new(MIN_SIDE, MIN_SIDE)?,
        max: Dimensions::new(MAX_LONG_SIDE, MAX_SHORT_SIDE)?,
        alignment: 2,
        formats: FORMATS.to_vec(),
        max_b_frames: 0,
        cbr: true,
        vbr: true,
        const_qp: true,
        qp_range: QP_RANGE,
        quality_range: None,
        gop_range: (1, u32::MAX - 1),
        force_idr: true,
        low_latency: true,
        in_place: InPlaceChanges::default(),
    })
}

fn refuse(setting: &str, given: impl Display, allowed: impl Display) -> Error {
    Error::Unsupported {
        feature: format!("{setting} {given} with the software H.264 encoder"),
        remedy: Remedy::Allowed(allowed.to_string()),
    }
}

/// Checks every setting and translates it.
///
/// # Errors
/// [`Error::Unsupported`] with the setting, its value and what is allowed.
pub(super) fn negotiate(config: &CommonEncodeConfig, backend: &BackendEncodeConfig) -> Result<Parameters> {
    if config.codec != Codec::H264 {
        return Err(refuse("codec", config.codec, "h264"));
    }
    let software = match backend {
        BackendEncodeConfig::None => SoftwareEncodeConfig::default(),
        BackendEncodeConfig::Software(software) => software.clone(),
        other => return Err(refuse("backend settings", other.owner(), "none or software")),
    };
    let (width, height) = size(config.dimensions)?;
    if !FORMATS.contains(&config.format) {
        return Err(refuse("format", config.format, "yuv420p or nv12 (8 bit, 4:2:0)"));
    }
    if let (Some(interval), Some(_)) = (config.frame_interval_p, config.wrong_interval(0)) {
        return Err(refuse("frame_interval_p", interval, "1 (the encoder has no B frames)"));
    }
    if let Some(b @ 1..) = config.b_frames {
        return Err(refuse("B frames (b_frames)", b, "0"));
    }
    if config.gop_length == Some(0) {
        return Err(refuse("gop_length", 0, "1 to 4294967294"));
    }
    if config.gop_length == Some(u32::MAX) {
        return Err(refuse("gop_length", u32::MAX, "1 to 4294967294"));
    }
    not_had(config)?;
    let speed = software.speed.unwrap_or(1);
    if speed > 2 {
        return Err(refuse("speed", speed, "0 (slowest, best) to 2 (fastest)"));
    }
    let (frame_rate, factor) = rate_control_rate(config.frame_rate);
    let rate = rate(config.rate_control, factor)?;
    Ok(Parameters {
        width,
        height,
        frame_rate,
        rate,
        idr_period: if config.force_idr { 1 } else { config.gop_length.unwrap_or(DEFAULT_GOP) },
        // A stated distance is kept exactly; only our own choice may be cut short by a scene change. Not under a bit rate: the
        // library takes noise for new scenes, and pays for each what the rate has for a second.
        scene_change_idr: config.gop_length.is_none()
            && !config.force_idr
            && matches!(rate, Rate::Quantiser(_)),
        complexity: 2 - speed,
        slices: slices(config)?,
        level_idc: level(config, rate)?,
        signal: Signal {
            full_range: config.color.range.map(|range| range == ColorRange::Full),
            colour: colour(config.color)?,
            sample_aspect_ratio: config.sample_aspect_ratio.map(sample_aspect_ratio).transpose()?,
        },
    })
}

/// What other encoders have and this one has not.
fn not_had(config: &CommonEncodeConfig) -> Result<()> {
    if let Some(profile) = config.profile.filter(|profile| *profile != Profile::Main) {
        return Err(refuse("profile", profile, "main"));
    }
    if let Some(bits) = config.vbv_bits {
        return Err(refuse("vbv_bits", bits, "none: the encoder keeps to no buffer model"));
    }
    if let Some(bits) = config.vbv_initial_bits {
        return Err(refuse("vbv_initial_bits", bits, "none: the encoder keeps to no buffer model"));
    }
    if let Some(display) = config.mastering_display {
        return Err(refuse("mastering_display", display, "none: the encoder writes no SEI messages"));
    }
    if let Some(light) = config.content_light {
        return Err(refuse("content_light", light, "none: the encoder writes no SEI messages"));
    }
    Ok(())
}

fn size(dimensions: Dimensions) -> Result<(u16, u16)> {
    let (w, h) = (dimensions.width(), dimensions.height());
    let fits = w.max(h) <= MAX_LONG_SIDE && w.min(h) <= MAX_SHORT_SIDE && w.min(h) >= MIN_SIDE;
    if !fits || w % 2 == 1 || h % 2 == 1 {
        let allowed = "even sides, 16x16 to 3840x2160 or 2160x3840";
        return Err(Error::Unsupported {
            feature: format!(
                "dimensions {dimensions} with the software H.264 encoder, which takes {allowed}"
            ),
            remedy: Remedy::Size,
        });
    }
    // Both are at most 3840.
    Ok((w as u16, h as u16))
}

/// The frame rate that rate control is told, and the factor between it and the true one.
fn rate_control_rate(rate: Rational) -> (f32, f64) {
    let reported = rate.as_f64().clamp(RATE_CONTROL_FPS.0, RATE_CONTROL_FPS.1);
    (reported as f32, reported / rate.as_f64())
}

/// `factor` keeps the bits per frame right where the frame rate had to be scaled.
fn rate(asked: Option<RateControl>, factor: f64) -> Result<Rate> {
    let average = |setting: &str, bits: u32| {
        if !(MIN_BITRATE..=MAX_BITRATE).contains(&bits) {
            return Err(refuse(setting, bits, format!("{MIN_BITRATE} to {MAX_BITRATE} bit/s")));
        }
        let scaled = f64::from(bits) * factor;
        // Never under one bit per frame: rate control has 60 frames a second at most.
        let least = f64::from(MIN_BITRATE / 100);
        if !(least..=f64::from(MAX_BITRATE)).contains(&scaled) {
            let allowed = format!(
                "{:.0} to {:.0} bit/s at this frame rate",
                least / factor,
                f64::from(MAX_BITRATE) / factor
            );
            return Err(refuse(setting, bits, allowed));
        }
        Ok(Rate::Average(scaled as i32))
    };
    match asked {
        None => Ok(Rate::Quantiser(DEFAULT_QP)),
        Some(RateControl::Cbr { bitrate_bps }) => average("rate_control cbr bitrate_bps", bitrate_bps),
        Some(RateControl::Vbr { avg_bps, max_bps: None }) => average("rate_control vbr avg_bps", avg_bps),
        Some(RateControl::Vbr { max_bps: Some(max), .. }) => {
            // Without skipped frames the library has no means to keep under a ceiling.
            Err(refuse("rate_control vbr max_bps", max, "none"))
        }
        Some(RateControl::Quality { quality, .. }) => {
            let allowed = "rate_control constqp, cbr or vbr; the nearest is constqp";
            Err(refuse("rate_control quality", quality, allowed))
        }
        Some(RateControl::ConstQp { intra, inter_p, inter_b: _ }) => {
            let (low, high) = QP_RANGE;
            if !(low..=high).contains(&intra) {
                return Err(refuse("rate_control constqp intra", intra, format!("{low} to {high}")));
            }
            if inter_p != intra {
                let allowed = format!("{intra}, the same as intra (there is one quantiser)");
                return Err(refuse("rate_control constqp inter_p", inter_p, allowed));
            }
            Ok(Rate::Quantiser(intra))
        }
    }
}

fn slices(config: &CommonEncodeConfig) -> Result<u16> {
    let rows = config.dimensions.height().div_ceil(16);
    let most = (rows / MIN_SLICE_ROWS).clamp(1, MAX_THREADS as u32) as usize;
    let threads = match config.threads {
        None => 1,
        Some(n) if n.get() > MAX_THREADS => {
            return Err(refuse("threads", n, format!("1 to {MAX_THREADS}")));
        }
        // More threads than the picture has room for is not an error: fewer are used.
        Some(n) => n.get().min(most),
    };
    Ok(threads as u16)
}

/// The lowest level that holds the picture size, the macroblock rate and the bit rate. Told to the library
/// because it does not know the true frame rate above 60 Hz.
fn level(config: &CommonEncodeConfig, reported: Rate) -> Result<u8> {
    let (w, h) = (config.dimensions.width(), config.dimensions.height());
    let frame = u64::from(w.div_ceil(16)) * u64::from(h.div_ceil(16));
    let rate = config.frame_rate;
    let per_second = (frame * u64::from(rate.num())).div_ceil(u64::from(rate.den()));
    let asked = match config.rate_control {
        Some(RateControl::Cbr { bitrate_bps: bits } | RateControl::Vbr { avg_bps: bits, .. }) => {
            u64::from(bits)
        }
        _ => 0,
    };
    // The library holds what it was told, which differs where the frame rate was scaled, to the level too.
    let bits = match reported {
        Rate::Average(reported) => asked.max(u64::try_from(reported).unwrap_or(0)),
        Rate::Quantiser(_) => asked,
    };
    LEVELS
        .iter()
        .find(|&&(_, max_rate, max_frame, max_bits)| {
            per_second <= max_rate && frame <= max_frame && bits <= max_bits
        })
        .map(|&(idc, ..)| idc)
        .ok_or_else(|| {
            let max = LEVELS[LEVELS.len() - 1].1 / frame.max(1);
            refuse("frame_rate", rate, format!("up to {max} Hz at {} (level 5.2)", config.dimensions))
        })
}

fn colour(color: ColorInfo) -> Result<Option<(u8, u8, u8)>> {
    if color.matrix == MatrixCoefficients::Identity {
        // E.2.1: matrix_coefficients shall not be 0 unless chroma_format_idc is 3.
        return Err(refuse("color matrix", color.matrix, "a Y'CbCr matrix (the stream is 4:2:0)"));
    }
    let stated = color.matrix != MatrixCoefficients::Unspecified
        || color.primaries != ColorPrimaries::Unspecified
        || color.transfer != TransferCharacteristics::Unspecified;
    Ok(stated.then(|| (color.primaries.code(), color.transfer.code(), color.matrix.code())))
}

fn sample_aspect_ratio(ratio: Rational) -> Result<(u16, u16)> {
    let reduced = ratio.reduced();
    match (u16::try_from(reduced.num()), u16::try_from(reduced.den())) {
        (Ok(width), Ok(height)) => Ok((width, height)),
        _ => Err(refuse("sample_aspect_ratio", ratio, "terms of at most 65535 when reduced")),
    }
}
