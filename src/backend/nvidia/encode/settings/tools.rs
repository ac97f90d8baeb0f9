//! The encoder's tools: B frames, lookahead, adaptive quantisation, passes, intra refresh.

use super::rate::Rate;
use super::refuse;
use crate::backend::nvidia::driver::nvenc_names::{b_reference, passes, tuning};
use crate::backend::nvidia::encode::capability::Caps;
use crate::codec::Codec;
use crate::config::{
    BReference, CommonEncodeConfig, IntraRefresh, MultiPass, NvidiaEncodeConfig, Profile, SpatialAq,
};
use crate::error::Result;

/// Frames that lookahead and B frames may hold back together.
pub(in crate::backend::nvidia::encode) const MOST_HELD: u32 = 31;
const MAX_AQ_STRENGTH: u8 = 15;
const MAX_LOOKAHEAD_LEVEL: u8 = 3;

/// What is asked of each tool; `None`: what the preset has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::backend::nvidia::encode) struct Tools {
    /// `NV_ENC_MULTI_PASS`
    pub(in crate::backend::nvidia::encode) multi_pass: Option<u32>,
    /// Frames; 0: none.
    pub(in crate::backend::nvidia::encode) lookahead: Option<u32>,
    pub(in crate::backend::nvidia::encode) lookahead_level: Option<u8>,
    pub(in crate::backend::nvidia::encode) spatial_aq: Option<SpatialAq>,
    pub(in crate::backend::nvidia::encode) temporal_aq: Option<bool>,
    /// `NV_ENC_BFRAME_REF_MODE`
    pub(in crate::backend::nvidia::encode) b_reference: Option<u32>,
    pub(in crate::backend::nvidia::encode) intra_refresh: Option<IntraRefresh>,
}

pub(super) fn tools(
    config: &CommonEncodeConfig,
    own: &NvidiaEncodeConfig,
    caps: &Caps,
    rate: Rate,
    low_latency: bool,
) -> Result<Tools> {
    let lookahead = lookahead(config, own, caps, low_latency)?;
    Ok(Tools {
        multi_pass: multi_pass(config.codec, own, rate)?,
        lookahead,
        lookahead_level: lookahead_level(config.codec, own, caps)?,
        spatial_aq: spatial_aq(config.codec, own, rate)?,
        temporal_aq: temporal_aq(config.codec, own, caps, rate)?,
        b_reference: b_references(config, own, caps, low_latency)?,
        intra_refresh: intra_refresh(config, own, caps)?,
    })
}

fn multi_pass(codec: Codec, own: &NvidiaEncodeConfig, rate: Rate) -> Result<Option<u32>> {
    let Some(wanted) = own.multi_pass else { return Ok(None) };
    if wanted != MultiPass::Off && rate.is_fixed() {
        let allowed = "off, since every quantiser is given; other rate_control than constqp and lossless";
        return Err(refuse(codec, "multi_pass", wanted.name(), allowed));
    }
    Ok(Some(match wanted {
        MultiPass::Off => passes::ONE,
        MultiPass::Quarter => passes::TWO_QUARTER,
        MultiPass::Full => passes::TWO_FULL,
    }))
}

fn lookahead(
    config: &CommonEncodeConfig,
    own: &NvidiaEncodeConfig,
    caps: &Caps,
    low_latency: bool,
) -> Result<Option<u32>> {
    let codec = config.codec;
    let off = low_latency || !caps.lookahead || own.intra_refresh.is_some();
    let Some(depth @ 1..) = own.lookahead else {
        return Ok(if off { Some(0) } else { own.lookahead });
    };
    if !caps.lookahead {
        return Err(refuse(codec, "lookahead", depth, "0 (SUPPORT_LOOKAHEAD is 0)"));
    }
    if low_latency {
        return Err(refuse(codec, "lookahead", depth, "0, since low latency looks at no frame ahead"));
    }
    let b_frames = config.requested_b_frames().unwrap_or(0);
    let most = MOST_HELD.saturating_sub(b_frames);
    if depth > most {
        let allowed = format!("0 to {most} ({MOST_HELD} less {b_frames} B frames)");
        return Err(refuse(codec, "lookahead", depth, allowed));
    }
    Ok(Some(depth))
}

fn lookahead_level(codec: Codec, own: &NvidiaEncodeConfig, caps: &Caps) -> Result<Option<u8>> {
    let Some(level) = own.lookahead_level else { return Ok(None) };
    if !caps.api.has_lookahead_level() {
        let allowed = format!("none: driver API 12.2 is needed, this one speaks {}", caps.api.name());
        return Err(refuse(codec, "lookahead_level", level, allowed));
    }
    if !matches!(own.lookahead, Some(1..)) {
        return Err(refuse(codec, "lookahead_level", level, "none, unless lookahead is 1 or more"));
    }
    let most = u32::from(MAX_LOOKAHEAD_LEVEL).min(caps.lookahead_level);
    if u32::from(level) > most {
        let allowed = format!("0 to {most} (SUPPORT_LOOKAHEAD_LEVEL is {})", caps.lookahead_level);
        return Err(refuse(codec, "lookahead_level", level, allowed));
    }
    Ok(Some(level))
}

fn spatial_aq(codec: Codec, own: &NvidiaEncodeConfig, rate: Rate) -> Result<Option<SpatialAq>> {
    match own.spatial_aq {
        Some(SpatialAq::Strength(strength)) if !(1..=MAX_AQ_STRENGTH).contains(&strength) => {
            let allowed = format!("off, auto, 1 (weak) to {MAX_AQ_STRENGTH}");
            Err(refuse(codec, "spatial_aq", strength, allowed))
        }
        Some(SpatialAq::Auto | SpatialAq::Strength(_)) if rate == Rate::Lossless => {
            Err(refuse(codec, "spatial_aq", "with tuning lossless", "off: nothing is lost"))
        }
        wanted => Ok(wanted),
    }
}

fn temporal_aq(codec: Codec, own: &NvidiaEncodeConfig, caps: &Caps, rate: Rate) -> Result<Option<bool>> {
    if own.temporal_aq == Some(true) {
        if !caps.temporal_aq {
            return Err(refuse(codec, "temporal_aq", "true", "false (SUPPORT_TEMPORAL_AQ is 0)"));
        }
        if rate == Rate::Lossless {
            return Err(refuse(codec, "temporal_aq", "with tuning lossless", "false: nothing is lost"));
        }
    }
    Ok(own.temporal_aq)
}

fn b_references(
    config: &CommonEncodeConfig,
    own: &NvidiaEncodeConfig,
    caps: &Caps,
    low_latency: bool,
) -> Result<Option<u32>> {
    let (codec, modes) = (config.codec, caps.b_references);
    let Some(wanted) = own.b_reference else { return Ok(None) };
    let (mode, can) = match wanted {
        BReference::Off => return Ok(Some(b_reference::OFF)),
        BReference::Each => (b_reference::EACH, modes & 1 != 0),
        BReference::Middle => (b_reference::MIDDLE, modes & 2 != 0),
    };
    if !can {
        let names = [(true, "off"), (modes & 1 != 0, "each"), (modes & 2 != 0, "middle")];
        let names: Vec<_> = names.into_iter().filter_map(|(can, name)| can.then_some(name)).collect();
        let allowed = format!("{} (SUPPORT_BFRAME_REF_MODE is {modes})", names.join(", "));
        return Err(refuse(codec, "b_reference", wanted.name(), allowed));
    }
    let none = low_latency || own.intra_refresh.is_some() || config.requested_b_frames() == Some(0);
    if none || codec == Codec::Av1 {
        return Err(refuse(codec, "b_reference", wanted.name(), "off, since there are no B frames"));
    }
    Ok(Some(mode))
}

fn intra_refresh(
    config: &CommonEncodeConfig,
    own: &NvidiaEncodeConfig,
    caps: &Caps,
) -> Result<Option<IntraRefresh>> {
    let codec = config.codec;
    let Some(wanted) = own.intra_refresh else { return Ok(None) };
    let IntraRefresh { period, frames } = wanted;
    if !caps.intra_refresh {
        return Err(refuse(codec, "intra_refresh", period, "none (SUPPORT_INTRA_REFRESH is 0)"));
    }
    if period < 2 {
        return Err(refuse(codec, "intra_refresh period", period, "2 frames and more"));
    }
    if !(1..period).contains(&frames) {
        let allowed = format!("1 to {}, below the period of {period}", period - 1);
        return Err(refuse(codec, "intra_refresh frames", frames, allowed));
    }
    if let Some(b @ 1..) = config.requested_b_frames() {
        return Err(refuse(codec, "b_frames", b, "0, since the driver refreshes no stream with B frames"));
    }
    if config.force_idr {
        return Err(refuse(codec, "intra_refresh", period, "none, since force_idr makes every frame an IDR"));
    }
    if let Some(gop) = config.gop_length {
        let allowed = "none, since intra_refresh takes the place of IDR pictures";
        return Err(refuse(codec, "gop_length", gop, allowed));
    }
    Ok(Some(wanted))
}

/// B frames asked for; `None`: the preset's, as far as the chip can.
pub(super) fn b_frames(
    config: &CommonEncodeConfig,
    own: &NvidiaEncodeConfig,
    caps: &Caps,
    low_latency: bool,
) -> Result<Option<u32>> {
    let (codec, most) = (config.codec, caps.usable_b_frames(config.codec));
    let limit = if codec == Codec::Av1 { "B frames of av1 are not used" } else { "NUM_MAX_BFRAMES" };
    if let Some(interval) = config.frame_interval_p {
        let fits = u32::try_from(interval).is_ok_and(|interval| (1..=most + 1).contains(&interval));
        if !fits {
            let allowed = format!("1 to {} ({limit}: {most})", most + 1);
            return Err(refuse(codec, "frame_interval_p", interval, allowed));
        }
        if config.b_frames.is_some_and(|b| i64::from(b) + 1 != i64::from(interval)) {
            let allowed = "b_frames + 1, or only one of both settings";
            return Err(refuse(codec, "frame_interval_p", interval, allowed));
        }
    }
    let Some(wanted) = config.requested_b_frames() else {
        let none = low_latency
            || config.force_idr
            || own.intra_refresh.is_some()
            || config.profile == Some(Profile::Baseline);
        return Ok((none || most == 0).then_some(0));
    };
    if wanted > most {
        return Err(refuse(codec, "b_frames", wanted, format!("0 to {most} ({limit})")));
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

/// `NV_ENC_TUNING_INFO`
pub(super) fn tuning(config: &CommonEncodeConfig, own: &NvidiaEncodeConfig, caps: &Caps) -> Result<u32> {
    let codec = config.codec;
    let wanted = match own.tuning.as_deref() {
        None if config.low_latency => tuning::LOW_LATENCY,
        None | Some("hq") => tuning::HIGH_QUALITY,
        Some("uhq") => tuning::ULTRA_HIGH_QUALITY,
        Some("ll") => tuning::LOW_LATENCY,
        Some("ull") => tuning::ULTRA_LOW_LATENCY,
        Some("lossless") => tuning::LOSSLESS,
        Some(other) => return Err(refuse(codec, "tuning", other, "hq, uhq, ll, ull, lossless")),
    };
    if wanted == tuning::LOSSLESS && !caps.lossless {
        return Err(refuse(codec, "tuning", "lossless", "hq, ll, ull (SUPPORT_LOSSLESS_ENCODE is 0)"));
    }
    if wanted == tuning::ULTRA_HIGH_QUALITY {
        if !caps.api.has_ultra_high_quality(codec) {
            let allowed = format!(
                "hq, ll, ull, lossless (uhq is for hevc from driver API 12.2 on and for av1 from 13.0 on; this one speaks {})",
                caps.api.name()
            );
            return Err(refuse(codec, "tuning", "uhq", allowed));
        }
        if config.low_latency {
            return Err(refuse(codec, "tuning", "uhq", "ll, ull, since low latency was asked for"));
        }
    }
    Ok(wanted)
}
