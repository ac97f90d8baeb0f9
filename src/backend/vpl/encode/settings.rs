//! From the settings to what an encoder is opened with, or the refusal of what it cannot honour: every setting is held
//! against what the GPU has answered.

mod picture;
mod rate;

use std::fmt::Display;

pub(super) use self::picture::Signal;
pub(super) use self::rate::Rate;
use super::capability::Caps;
use crate::backend::vpl::codec_id;
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, IntraRefresh, Profile, VplEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::pixel::PixelFormat;
use crate::time::Rational;
use crate::user_sei::UserSei;

/// No encoder of Intel's takes smaller pictures.
pub(super) const MIN_SIDE: u32 = 32;
pub(super) const MAX_GOP: u32 = u16::MAX as u32;
/// When the caller leaves the choice: as the other encoders here.
const DEFAULT_GOP: u32 = 250;
const MAX_IN_FLIGHT: usize = 64;
/// What lookahead is good for, as Intel's documents have it.
const LOOKAHEAD: std::ops::RangeInclusive<u32> = 10..=100;

/// The largest quantiser.
pub(super) const fn max_qp(codec: Codec) -> u8 {
    if matches!(codec, Codec::Av1 | Codec::Vp9) { 255 } else { 51 }
}

/// The largest (worst) target of constant quality.
pub(super) const fn max_quality(codec: Codec) -> u8 {
    match codec {
        Codec::Av1 | Codec::Vp9 => 63,
        Codec::Mjpeg => 100,
        _ => 51,
    }
}

/// Everything that is asked of an encoder, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) codec: Codec,
    /// `CodecId`
    pub(super) codec_id: u32,
    pub(super) format: PixelFormat,
    pub(super) size: Dimensions,
    pub(super) frame_rate: Rational,
    pub(super) aspect: Option<(u16, u16)>,
    /// `TargetUsage`, 1 (best) to 7.
    pub(super) usage: u16,
    pub(super) low_latency: bool,
    pub(super) low_power: Option<bool>,
    pub(super) b_frames: u16,
    pub(super) pyramid: bool,
    /// Frames from one IDR to the next; `None`: there is one.
    pub(super) gop: Option<u32>,
    pub(super) intra_refresh: Option<IntraRefresh>,
    /// `CodecProfile`
    pub(super) profile: u16,
    pub(super) rate: Rate,
    /// Frames; 0: none.
    pub(super) lookahead: u16,
    /// The decoder's buffer in bits, and how full it is when decoding begins.
    pub(super) vbv: Option<(u32, Option<u32>)>,
    pub(super) signal: Signal,
    /// Go with each IDR picture.
    pub(super) messages: Vec<UserSei>,
    pub(super) max_in_flight: u16,
    /// What the caller should know.
    pub(super) notes: Vec<String>,
}

pub(super) fn refuse(codec: Codec, setting: &str, given: impl Display, allowed: impl Display) -> Error {
    Error::Unsupported {
        feature: format!("{setting} {given} with {codec} by oneVPL on this GPU"),
        remedy: Remedy::Allowed(allowed.to_string()),
    }
}

/// The settings that only this backend has.
///
/// # Errors
/// Settings for another backend, or out of range.
pub(super) fn own(special: &BackendEncodeConfig, codec: Codec) -> Result<VplEncodeConfig> {
    let own = match special {
        BackendEncodeConfig::None => VplEncodeConfig::default(),
        BackendEncodeConfig::Vpl(own) => own.clone(),
        other => return Err(refuse(codec, "backend settings", other.owner(), "none or qsv")),
    };
    if (1..=MAX_IN_FLIGHT).contains(&own.max_in_flight_outputs) {
        return Ok(own);
    }
    Err(refuse(codec, "max_in_flight_outputs", own.max_in_flight_outputs, format!("1 to {MAX_IN_FLIGHT}")))
}

/// Checks every setting and translates it.
///
/// # Errors
/// [`Error::Unsupported`] with the setting, its value and what is allowed.
pub(super) fn negotiate(config: &CommonEncodeConfig, own: &VplEncodeConfig, caps: &Caps) -> Result<Settings> {
    let codec = config.codec;
    let (usage, tuned_low) = usage(own, codec)?;
    let low_latency = config.low_latency || tuned_low;
    check_size(config, caps)?;
    if codec == Codec::Mjpeg {
        of_moving_pictures(config, own)?;
    }
    if !caps.formats().contains(&config.format) {
        let names: Vec<_> = caps.formats().iter().map(|format| format.name()).collect();
        return Err(refuse(codec, "format", config.format, names.join(", ")));
    }
    let intra_refresh = intra_refresh(config, own)?;
    let b_frames = b_frames(config, own, caps, low_latency)?;
    let rate = rate::rate(config, caps)?;
    let (messages, mut notes) = picture::messages(config)?;
    let signal = picture::signal(config, &mut notes);
    if tuned_low && !matches!(codec, Codec::H264 | Codec::Hevc) {
        notes.push(format!("tuning for low latency: oneVPL has no rate control for it with {codec}"));
    }
    Ok(Settings {
        codec,
        codec_id: codec_id(codec)?,
        format: config.format,
        size: config.dimensions,
        frame_rate: config.frame_rate,
        aspect: picture::aspect(config, &mut notes)?,
        usage,
        low_latency,
        low_power: own.low_power,
        b_frames,
        pyramid: pyramid(codec, own, b_frames)?,
        gop: if intra_refresh.is_some() { None } else { Some(gop(config)?) },
        intra_refresh,
        profile: picture::profile(config)?,
        rate,
        lookahead: lookahead(codec, own, caps, rate, low_latency)?,
        vbv: rate::vbv(config, rate)?,
        signal,
        messages,
        max_in_flight: own.max_in_flight_outputs as u16,
        notes,
    })
}

/// `TargetUsage`, and whether the tuning wants low latency.
fn usage(own: &VplEncodeConfig, codec: Codec) -> Result<(u16, bool)> {
    let usage = match own.preset.as_deref() {
        None => 4,
        Some(name) => {
            let number = name.strip_prefix('p').and_then(|number| number.parse::<u16>().ok());
            let number = number.filter(|number| (1..=7).contains(number));
            8 - number.ok_or_else(|| refuse(codec, "preset", name, "p1 (fastest) to p7 (best)"))?
        }
    };
    match own.tuning.as_deref() {
        None | Some("hq") => Ok((usage, false)),
        Some("uhq") => Ok((1, false)),
        Some("ll" | "ull") => Ok((usage, true)),
        Some(other) => Err(refuse(codec, "tuning", other, "hq, uhq, ll, ull")),
    }
}

fn check_size(config: &CommonEncodeConfig, caps: &Caps) -> Result<()> {
    let fits = |side: u32| (MIN_SIDE..=u32::from(caps.max_side)).contains(&side) && side.is_multiple_of(2);
    if fits(config.dimensions.width()) && fits(config.dimensions.height()) {
        return Ok(());
    }
    let allowed = format!("even sides, {MIN_SIDE} to {}", caps.max_side);
    Err(refuse(config.codec, "dimensions", config.dimensions, allowed))
}

fn b_frames(
    config: &CommonEncodeConfig,
    own: &VplEncodeConfig,
    caps: &Caps,
    low_latency: bool,
) -> Result<u16> {
    let codec = config.codec;
    let most = caps.max_b_frames;
    if let (Some(interval), Some(allowed)) = (config.frame_interval_p, config.wrong_interval(most)) {
        return Err(refuse(codec, "frame_interval_p", interval, allowed));
    }
    let asked = config.requested_b_frames();
    let none = if low_latency {
        Some("0 with low latency")
    } else if config.profile == Some(Profile::Baseline) {
        Some("0 with profile baseline")
    } else if own.intra_refresh.is_some() {
        Some("0 with intra_refresh")
    } else {
        None
    };
    match (asked, none) {
        (Some(asked @ 1..), Some(allowed)) => Err(refuse(codec, "b_frames", asked, allowed)),
        (Some(asked), _) if asked > most => Err(refuse(codec, "b_frames", asked, format!("0 to {most}"))),
        // What is left open has no B frames: a reordered stream is nothing to be surprised by.
        (asked, _) => Ok(asked.unwrap_or(0) as u16),
    }
}

fn pyramid(codec: Codec, own: &VplEncodeConfig, b_frames: u16) -> Result<bool> {
    match own.b_pyramid {
        Some(true) if b_frames < 2 => Err(refuse(
            codec,
            "b_pyramid",
            "true",
            format!("false: b_frames is {b_frames}, and 2 are needed"),
        )),
        asked => Ok(asked.unwrap_or(b_frames > 2)),
    }
}

/// Refuses settings that mean nothing where each picture stands alone.
fn of_moving_pictures(config: &CommonEncodeConfig, own: &VplEncodeConfig) -> Result<()> {
    let codec = config.codec;
    if let Some(gop @ 2..) = config.gop_length {
        return Err(refuse(codec, "gop_length", gop, "1: each picture stands alone"));
    }
    for (setting, name) in [("preset", &own.preset), ("tuning", &own.tuning)] {
        if let Some(name) = name {
            return Err(refuse(codec, setting, name, "none; rate_control quality is what there is"));
        }
    }
    Ok(())
}

fn gop(config: &CommonEncodeConfig) -> Result<u32> {
    match config.gop_length {
        Some(given) if !(1..=MAX_GOP).contains(&given) => {
            Err(refuse(config.codec, "gop_length", given, format!("1 to {MAX_GOP}")))
        }
        _ if config.force_idr || config.codec == Codec::Mjpeg => Ok(1),
        given => Ok(given.unwrap_or(DEFAULT_GOP)),
    }
}

fn intra_refresh(config: &CommonEncodeConfig, own: &VplEncodeConfig) -> Result<Option<IntraRefresh>> {
    let Some(refresh) = own.intra_refresh else { return Ok(None) };
    let codec = config.codec;
    let IntraRefresh { period, frames } = refresh;
    if !matches!(codec, Codec::H264 | Codec::Hevc) {
        return Err(refuse(codec, "intra_refresh", period, "none, unless it is h264 or hevc"));
    }
    if let Some(gop) = config.gop_length {
        return Err(refuse(codec, "gop_length", gop, "none with intra_refresh"));
    }
    if !(2..=MAX_GOP).contains(&period) || !(2..period).contains(&frames) {
        let allowed = format!("period 3 to {MAX_GOP}, frames 2 and more and below it");
        return Err(refuse(codec, "intra_refresh", format!("{frames} of {period}"), allowed));
    }
    Ok(Some(refresh))
}

fn lookahead(codec: Codec, own: &VplEncodeConfig, caps: &Caps, rate: Rate, low_latency: bool) -> Result<u16> {
    let Some(depth @ 1..) = own.lookahead else { return Ok(0) };
    let none = if !caps.lookahead {
        Some("0: the GPU has none for it")
    } else if low_latency {
        Some("0 with low latency")
    } else if !matches!(rate, Rate::Vbr { .. } | Rate::Quality(_)) {
        Some("0, unless rate_control is vbr or quality")
    } else {
        None
    };
    match none {
        Some(allowed) => Err(refuse(codec, "lookahead", depth, allowed)),
        None if !LOOKAHEAD.contains(&depth) => Err(refuse(codec, "lookahead", depth, "0, 10 to 100")),
        None => Ok(depth as u16),
    }
}

impl Settings {
    /// By how many frames an output may trail its input.
    pub(super) fn reorder(&self, b_frames: u16) -> usize {
        match b_frames {
            0 => 0,
            // Each level of the pyramid waits for the one above.
            _ if self.pyramid => (b_frames + 1).next_power_of_two().ilog2() as usize,
            _ => 1,
        }
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
