//! From the settings to what NVENC is initialised with, or the refusal of what it cannot honour: every setting is held
//! against the chip's capabilities before the driver sees it.

use std::fmt::Display;

use super::capability::{Caps, MAX_QP};
use crate::backend::nvidia::driver::nvenc_names::{Guid, INFINITE_GOP, PRESETS, format, rate, tuning};
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, NvidiaEncodeConfig, RateControl};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::pixel::{PixelFormat, PlaneLayout};
use crate::time::Rational;

/// Most pictures in flight: what the driver's buffers are good for.
const MAX_IN_FLIGHT: usize = 64;
/// Frames from one IDR to the next where neither caller nor preset give an end that B frames could count with.
const DEFAULT_GOP: u32 = 250;
/// Quality when the caller leaves the choice: constant, not a bit rate that suits one size only. About what QP 26
/// looks like.
const DEFAULT_QUALITY: u8 = 26;

/// Everything that is asked of the driver, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) codec: Codec,
    pub(super) size: Dimensions,
    pub(super) frame_rate: Rational,
    /// Width and height as displayed.
    pub(super) display: (u32, u32),
    pub(super) preset: Guid,
    pub(super) tuning: u32,
    /// Of the input buffers.
    pub(super) format: u32,
    pub(super) ten_bit: bool,
    /// `None`: the preset's, as far as the chip can.
    pub(super) b_frames: Option<u32>,
    pub(super) max_b_frames: u32,
    /// `None`: the preset's.
    pub(super) gop: Option<u32>,
    pub(super) rate: Rate,
    pub(super) lookahead: bool,
    /// The size may change while the encoder runs.
    pub(super) resizable: bool,
    pub(super) signal: Signal,
    pub(super) max_in_flight: usize,
}

/// How bits are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rate {
    Lossless,
    /// Constant quality.
    Quality(u8),
    Cbr(u32),
    Vbr {
        average: u32,
        max: Option<u32>,
    },
    ConstQp {
        i: u8,
        p: u8,
        b: u8,
    },
}

/// What the stream says of its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) full_range: Option<bool>,
    /// Primaries, transfer, matrix.
    pub(super) colour: Option<(u8, u8, u8)>,
}

fn refuse(codec: Codec, setting: &str, given: impl Display, allowed: impl Display) -> Error {
    Error::Unsupported {
        feature: format!("{setting} {given} with {codec} by NVENC on this GPU"),
        remedy: format!("allowed: {allowed}"),
    }
}

/// The settings that only NVENC has.
///
/// # Errors
/// Settings for another backend, or out of range.
pub(super) fn own(special: &BackendEncodeConfig, codec: Codec) -> Result<NvidiaEncodeConfig> {
    let own = match special {
        BackendEncodeConfig::None => NvidiaEncodeConfig::default(),
        BackendEncodeConfig::Nvidia(own) => own.clone(),
        BackendEncodeConfig::Software(_) => {
            return Err(refuse(codec, "backend settings", "software", "none or nvidia"));
        }
        BackendEncodeConfig::VideoToolbox(_) => {
            return Err(refuse(codec, "backend settings", "videotoolbox", "none or nvidia"));
        }
    };
    if !(1..=MAX_IN_FLIGHT).contains(&own.max_in_flight_outputs) {
        let allowed = format!("1 to {MAX_IN_FLIGHT}");
        return Err(refuse(codec, "max_in_flight_outputs", own.max_in_flight_outputs, allowed));
    }
    Ok(own)
}

/// Checks every setting and translates it.
///
/// # Errors
/// [`Error::Unsupported`] with the setting, its value and what is allowed.
pub(super) fn negotiate(
    config: &CommonEncodeConfig,
    own: &NvidiaEncodeConfig,
    caps: &Caps,
) -> Result<Settings> {
    let codec = config.codec;
    let tuning = tuning(config, own)?;
    let low_latency = config.low_latency || matches!(tuning, tuning::LOW_LATENCY | tuning::ULTRA_LOW_LATENCY);
    if tuning == tuning::LOSSLESS && !caps.lossless {
        return Err(refuse(codec, "tuning", "lossless", "hq, ll, ull (SUPPORT_LOSSLESS_ENCODE is 0)"));
    }
    check_size(config, caps)?;
    let format = format(config, caps)?;
    let gop = gop(config)?;
    Ok(Settings {
        codec,
        size: config.dimensions,
        frame_rate: config.frame_rate,
        display: display(config)?,
        preset: preset(own, codec)?,
        tuning,
        format,
        ten_bit: format == format::P010,
        b_frames: b_frames(config, caps, low_latency)?,
        max_b_frames: caps.max_b_frames,
        gop,
        rate: rate(config, caps, tuning)?,
        lookahead: caps.lookahead && !low_latency,
        resizable: caps.dynamic_size,
        signal: signal(config)?,
        max_in_flight: own.max_in_flight_outputs,
    })
}

fn tuning(config: &CommonEncodeConfig, own: &NvidiaEncodeConfig) -> Result<u32> {
    Ok(match own.tuning.as_deref() {
        None if config.low_latency => tuning::LOW_LATENCY,
        None | Some("hq") => tuning::HIGH_QUALITY,
        Some("ll") => tuning::LOW_LATENCY,
        Some("ull") => tuning::ULTRA_LOW_LATENCY,
        Some("lossless") => tuning::LOSSLESS,
        Some(other) => return Err(refuse(config.codec, "tuning", other, "hq, ll, ull, lossless")),
    })
}

fn preset(own: &NvidiaEncodeConfig, codec: Codec) -> Result<Guid> {
    let Some(name) = own.preset.as_deref() else { return Ok(PRESETS[3]) };
    let number = name.strip_prefix('p').and_then(|number| number.parse::<usize>().ok());
    let found = number.and_then(|number| number.checked_sub(1)).and_then(|at| PRESETS.get(at));
    found.copied().ok_or_else(|| refuse(codec, "preset", name, "p1 (fastest) to p7 (best)"))
}

fn check_size(config: &CommonEncodeConfig, caps: &Caps) -> Result<()> {
    let (width, height) = (config.dimensions.width(), config.dimensions.height());
    let within = |side: u32, (low, high): (u32, u32)| (low..=high).contains(&side);
    // Half a chroma sample at the edge is not defined by the documents.
    let even = width.is_multiple_of(2) && height.is_multiple_of(2);
    if !(within(width, caps.width) && within(height, caps.height) && even) {
        let allowed = format!(
            "even sides, {}x{} (WIDTH_MIN, HEIGHT_MIN) to {}x{} (WIDTH_MAX, HEIGHT_MAX)",
            caps.width.0, caps.height.0, caps.width.1, caps.height.1
        );
        return Err(refuse(config.codec, "dimensions", config.dimensions, allowed));
    }
    let macroblocks = u64::from(width.div_ceil(16)) * u64::from(height.div_ceil(16));
    if macroblocks > caps.max_macroblocks {
        let allowed = format!("up to {} blocks of 16x16 (MB_NUM_MAX)", caps.max_macroblocks);
        return Err(refuse(config.codec, "dimensions", config.dimensions, allowed));
    }
    Ok(())
}

fn format(config: &CommonEncodeConfig, caps: &Caps) -> Result<u32> {
    let allowed = caps.pixel_formats(config.codec);
    let wanted = config.format;
    let known = match wanted {
        PixelFormat::Nv12 | PixelFormat::I420 => Some(format::NV12),
        PixelFormat::P010 => Some(format::P010),
        PixelFormat::Bgra => Some(format::BGRA),
        PixelFormat::Rgba => Some(format::RGBA),
        _ => None,
    };
    known.filter(|_| allowed.contains(&wanted)).ok_or_else(|| {
        let names: Vec<_> = allowed.iter().map(|format| format.name()).collect();
        refuse(config.codec, "format", wanted, names.join(", "))
    })
}

fn gop(config: &CommonEncodeConfig) -> Result<Option<u32>> {
    match config.gop_length {
        Some(given @ (0 | INFINITE_GOP)) => {
            Err(refuse(config.codec, "gop_length", given, format!("1 to {}", INFINITE_GOP - 1)))
        }
        _ if config.force_idr => Ok(Some(1)),
        given => Ok(given),
    }
}

fn b_frames(config: &CommonEncodeConfig, caps: &Caps, low_latency: bool) -> Result<Option<u32>> {
    let (codec, most) = (config.codec, caps.max_b_frames);
    if let Some(interval) = config.frame_interval_p {
        let fits = u32::try_from(interval).is_ok_and(|interval| (1..=most + 1).contains(&interval));
        if !fits {
            let allowed = format!("1 to {} (NUM_MAX_BFRAMES is {most})", most + 1);
            return Err(refuse(codec, "frame_interval_p", interval, allowed));
        }
        if config.b_frames.is_some_and(|b| i64::from(b) + 1 != i64::from(interval)) {
            let allowed = "b_frames + 1, or only one of both settings";
            return Err(refuse(codec, "frame_interval_p", interval, allowed));
        }
    }
    let Some(wanted) = config.requested_b_frames() else {
        return Ok((low_latency || config.force_idr).then_some(0));
    };
    if wanted > most {
        return Err(refuse(codec, "b_frames", wanted, format!("0 to {most} (NUM_MAX_BFRAMES)")));
    }
    if wanted > 0 && low_latency {
        return Err(refuse(codec, "b_frames", wanted, "0, since low latency reorders nothing"));
    }
    let gop = if config.force_idr { Some(1) } else { config.gop_length };
    if let Some(gop) = gop.filter(|gop| *gop <= wanted) {
        let allowed = format!("0 to {}, since gop_length is {gop}", gop.saturating_sub(1));
        return Err(refuse(codec, "b_frames", wanted, allowed));
    }
    Ok(Some(wanted))
}

fn rate(config: &CommonEncodeConfig, caps: &Caps, tuning: u32) -> Result<Rate> {
    let codec = config.codec;
    let needs = |mode: u32, name: &str| {
        if caps.rate_modes & mode != 0 {
            return Ok(());
        }
        let modes = format!("what SUPPORTED_RATECONTROL_MODES ({:#x}) has", caps.rate_modes);
        Err(refuse(codec, "rate_control", name, modes))
    };
    let bits = |setting: &str, bits: u32| {
        if bits > 0 { Ok(bits) } else { Err(refuse(codec, setting, bits, "1 bit/s and more")) }
    };
    if tuning == tuning::LOSSLESS {
        return match config.rate_control {
            None => Ok(Rate::Lossless),
            Some(_) => Err(refuse(codec, "rate_control", "with tuning lossless", "none: nothing is lost")),
        };
    }
    match config.rate_control {
        None if caps.rate_modes & rate::VBR == 0 => {
            Ok(Rate::ConstQp { i: DEFAULT_QUALITY, p: DEFAULT_QUALITY, b: DEFAULT_QUALITY })
        }
        None => Ok(Rate::Quality(DEFAULT_QUALITY)),
        Some(RateControl::Cbr { bitrate_bps }) => {
            needs(rate::CBR, "cbr")?;
            Ok(Rate::Cbr(bits("rate_control cbr bitrate_bps", bitrate_bps)?))
        }
        Some(RateControl::Vbr { avg_bps, max_bps }) => {
            needs(rate::VBR, "vbr")?;
            let average = bits("rate_control vbr avg_bps", avg_bps)?;
            if let Some(max) = max_bps.filter(|max| *max < average) {
                let allowed = format!("{average} (avg_bps) and more");
                return Err(refuse(codec, "rate_control vbr max_bps", max, allowed));
            }
            Ok(Rate::Vbr { average, max: max_bps })
        }
        Some(RateControl::ConstQp { intra, inter_p, inter_b }) => {
            for (name, qp) in [("intra", intra), ("inter_p", inter_p), ("inter_b", inter_b)] {
                if qp > MAX_QP {
                    let setting = format!("rate_control constqp {name}");
                    return Err(refuse(codec, &setting, qp, format!("0 to {MAX_QP}")));
                }
            }
            Ok(Rate::ConstQp { i: intra, p: inter_p, b: inter_b })
        }
    }
}

/// The driver is told the size as displayed, which holds the sample aspect ratio.
fn display(config: &CommonEncodeConfig) -> Result<(u32, u32)> {
    let (width, height) = (config.dimensions.width(), config.dimensions.height());
    let Some(ratio) = config.sample_aspect_ratio else { return Ok((width, height)) };
    let reduced = Rational::reduced(ratio);
    let (mut across, mut down) =
        (u64::from(width) * u64::from(reduced.num()), u64::from(height) * u64::from(reduced.den()));
    let (mut a, mut b) = (across, down);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    across /= a.max(1);
    down /= a.max(1);
    match (u32::try_from(across), u32::try_from(down)) {
        (Ok(across), Ok(down)) => Ok((across, down)),
        _ => Err(refuse(config.codec, "sample_aspect_ratio", ratio, "smaller terms when reduced")),
    }
}

/// Pictures of R, G, B are brought to 4:2:0 by the driver, always with the numbers of BT.601 and in limited range: that
/// is what the stream has to say then, whatever the pictures themselves are.
fn signal(config: &CommonEncodeConfig) -> Result<Signal> {
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
    if matrix == MatrixCoefficients::Identity {
        // Zero is for 4:4:4 alone (H.264 E.2.1, H.265 E.3.1).
        return Err(refuse(
            config.codec,
            "color matrix",
            matrix,
            "a Y'CbCr matrix, since the stream is 4:2:0",
        ));
    }
    let stated = matrix != MatrixCoefficients::Unspecified
        || primaries != ColorPrimaries::Unspecified
        || transfer != TransferCharacteristics::Unspecified;
    Ok(Signal {
        full_range: range.map(|range| range == ColorRange::Full),
        colour: stated.then(|| (primaries.code(), transfer.code(), matrix.code())),
    })
}

impl Settings {
    /// B frames and frames from one IDR to the next, given what the preset would have.
    pub(super) fn structure(&self, preset_b_frames: u32, preset_gop: u32) -> (u32, u32) {
        let b_frames = self.b_frames.unwrap_or_else(|| {
            let most = self.gop.map_or(u32::MAX, |gop| gop - 1);
            preset_b_frames.min(self.max_b_frames).min(most)
        });
        let gop = self.gop.unwrap_or(preset_gop);
        // B frames and a stream without a second IDR exclude each other.
        (b_frames, if b_frames > 0 && (gop == 0 || gop == INFINITE_GOP) { DEFAULT_GOP } else { gop })
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
