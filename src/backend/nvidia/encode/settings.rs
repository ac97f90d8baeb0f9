//! From the settings to what NVENC is initialised with, or the refusal of what it cannot honour: every setting is held
//! against the chip's capabilities before the driver sees it.

mod picture;
mod rate;
mod tools;

use std::fmt::Display;

pub(super) use self::picture::{Samples, Signal};
pub(super) use self::rate::{Rate, Vbv};
pub(super) use self::tools::{MOST_HELD, Tools};
use super::capability::Caps;
use crate::backend::nvidia::driver::nvenc_names::{Guid, INFINITE_GOP, PRESETS, tuning};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, NvidiaEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::time::Rational;
use crate::user_sei::UserSei;

/// Most pictures in flight: what the driver's buffers are good for.
const MAX_IN_FLIGHT: usize = 64;
/// Frames from one IDR to the next where neither caller nor preset give an end that B frames could count with.
const DEFAULT_GOP: u32 = 250;

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
    pub(super) samples: Samples,
    /// `None`: the driver's choice.
    pub(super) profile: Option<Guid>,
    /// `None`: the preset's, as far as the chip can.
    pub(super) b_frames: Option<u32>,
    pub(super) max_b_frames: u32,
    /// `None`: the preset's.
    pub(super) gop: Option<u32>,
    pub(super) rate: Rate,
    pub(super) vbv: Vbv,
    pub(super) tools: Tools,
    /// The size may change while the encoder runs.
    pub(super) resizable: bool,
    pub(super) signal: Signal,
    /// Go with each IDR picture.
    pub(super) messages: Vec<UserSei>,
    pub(super) max_in_flight: usize,
}

pub(super) fn refuse(codec: Codec, setting: &str, given: impl Display, allowed: impl Display) -> Error {
    Error::Unsupported {
        feature: format!("{setting} {given} with {codec} by NVENC on this GPU"),
        remedy: Remedy::Allowed(allowed.to_string()),
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
        other => return Err(refuse(codec, "backend settings", other.owner(), "none or nvidia")),
    };
    for (of, pictures) in &own.max_in_flight_by_codec {
        in_flight(*of, "max_in_flight_by_codec", *pictures)?;
    }
    in_flight(codec, "max_in_flight_outputs", own.max_in_flight_outputs)?;
    Ok(own)
}

fn in_flight(codec: Codec, setting: &str, pictures: usize) -> Result<()> {
    if (1..=MAX_IN_FLIGHT).contains(&pictures) {
        return Ok(());
    }
    Err(refuse(codec, setting, pictures, format!("1 to {MAX_IN_FLIGHT}")))
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
    let tuning = tools::tuning(config, own, caps)?;
    let low_latency = config.low_latency || matches!(tuning, tuning::LOW_LATENCY | tuning::ULTRA_LOW_LATENCY);
    check_size(config, caps)?;
    let samples = picture::samples(config, caps)?;
    let rate = rate::rate(config, caps, tuning)?;
    let tools = tools::tools(config, own, caps, rate, low_latency)?;
    let by_codec = own.max_in_flight_by_codec.iter().find(|(of, _)| *of == codec);
    Ok(Settings {
        codec,
        size: config.dimensions,
        frame_rate: config.frame_rate,
        display: display(config)?,
        preset: preset(own, codec)?,
        tuning,
        samples,
        profile: picture::profile(config, samples, rate == Rate::Lossless)?,
        b_frames: tools::b_frames(config, own, caps, low_latency)?,
        max_b_frames: caps.usable_b_frames(codec),
        gop: if tools.intra_refresh.is_some() { Some(INFINITE_GOP) } else { gop(config)? },
        rate,
        vbv: rate::vbv(config, caps, rate)?,
        tools,
        resizable: caps.dynamic_size,
        signal: picture::signal(config, samples.full_chroma)?,
        messages: picture::messages(config)?,
        max_in_flight: by_codec.map_or(own.max_in_flight_outputs, |(_, pictures)| *pictures),
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

fn gop(config: &CommonEncodeConfig) -> Result<Option<u32>> {
    match config.gop_length {
        Some(given @ (0 | INFINITE_GOP)) => {
            Err(refuse(config.codec, "gop_length", given, format!("1 to {}", INFINITE_GOP - 1)))
        }
        _ if config.force_idr => Ok(Some(1)),
        given => Ok(given),
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

impl Settings {
    /// B frames and frames from one IDR to the next, given what the preset would have.
    pub(super) fn structure(&self, preset_b_frames: u32, preset_gop: u32) -> (u32, u32) {
        let b_frames = self.b_frames.unwrap_or_else(|| {
            let most = self.gop.map_or(u32::MAX, |gop| gop - 1);
            // Both hold frames back, and what was asked for goes first.
            let beside_lookahead = MOST_HELD - self.tools.lookahead.unwrap_or(0).min(MOST_HELD);
            preset_b_frames.min(self.max_b_frames).min(most).min(beside_lookahead)
        });
        let gop = self.gop.unwrap_or(preset_gop);
        // B frames and a stream without a second IDR exclude each other.
        (b_frames, if b_frames > 0 && (gop == 0 || gop == INFINITE_GOP) { DEFAULT_GOP } else { gop })
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
