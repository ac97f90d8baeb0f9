//! From checked settings to the driver's structures: the preset's configuration, and ours on top of it.

use std::sync::Arc;

use super::capability::codec_guid;
use super::settings::{MOST_HELD, Rate, Settings, Signal, Tools, Vbv, refuse};
use crate::backend::nvidia::driver::nvenc::{Encoder, Session};
use crate::backend::nvidia::driver::nvenc_abi::{Config, InitParams, Qp, RcParams, Vui};
use crate::backend::nvidia::driver::nvenc_names::{av1, b_reference, h264, hevc, rate, rc, tuning};
use crate::backend::nvidia::driver::nvenc_version::Api;
use crate::codec::Codec;
use crate::config::SpatialAq;
use crate::error::{Error, Result};

/// How an initialised encoder reorders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Structure {
    /// B frames between P frames.
    pub(super) b_frames: usize,
    /// Pictures that the encoder looks ahead.
    pub(super) lookahead: usize,
    /// Frames from one IDR to the next.
    pub(super) gop: u32,
    /// By how many pictures decoding has to begin before display.
    pub(super) reorder: usize,
}

/// Initialises a session.
///
/// # Errors
/// What the driver refuses all the same.
pub(super) fn initialize(session: Session, settings: &Settings) -> Result<(Arc<Encoder>, Structure)> {
    let Some(guid) = codec_guid(settings.codec) else {
        return Err(Error::unsupported(format!("encoding {} by NVENC", settings.codec)));
    };
    let preset = session.preset(guid, settings.preset, settings.tuning);
    let mut config = match preset {
        // No capability tells which chips have it: the preset does.
        Err(Error::Backend { code: 8 | 12, .. }) if settings.tuning == tuning::ULTRA_HIGH_QUALITY => {
            let allowed = "hq, ll, ull, lossless (the driver has no such preset for this chip)";
            return Err(refuse(settings.codec, "tuning", "uhq", allowed));
        }
        other => other?,
    };
    let structure = configure(&mut config, settings, session.api());
    if let Some(mode @ (b_reference::EACH | b_reference::MIDDLE)) = settings.tools.b_reference
        && structure.b_frames == 0
    {
        let name = if mode == b_reference::EACH { "each" } else { "middle" };
        let allowed = "off, or b_frames of 1 and more: this preset has none";
        return Err(refuse(settings.codec, "b_reference", name, allowed));
    }
    let mut params = InitParams {
        codec: guid,
        preset: settings.preset,
        tuning: settings.tuning,
        // The driver decides what is coded as what: forced IDR pictures need it.
        decide_types: 1,
        ..InitParams::default()
    };
    apply(&mut params, settings);
    if settings.resizable {
        // It costs memory for the largest size: so that is the one that is asked for now, and pictures may get smaller
        // and as large again, but not larger.
        (params.max_width, params.max_height) = (params.width, params.height);
    }
    Ok((session.initialize(params, config)?, structure))
}

/// What of the parameters can change while an encoder runs.
pub(super) fn apply(params: &mut InitParams, settings: &Settings) {
    (params.width, params.height) = (settings.size.width(), settings.size.height());
    (params.display_width, params.display_height) = settings.display;
    (params.rate_num, params.rate_den) = (settings.frame_rate.num(), settings.frame_rate.den());
}

fn configure(config: &mut Config, settings: &Settings, api: Api) -> Structure {
    let preset_b_frames = u32::try_from(config.frame_interval_p).unwrap_or(1).saturating_sub(1);
    let (b_frames, gop) = settings.structure(preset_b_frames, config.gop_length);
    config.gop_length = gop;
    config.frame_interval_p = b_frames as i32 + 1;
    if let Some(profile) = settings.profile {
        config.profile = profile;
    }
    spend(&mut config.rc, settings.rate, settings.vbv);
    analyse(&mut config.rc, &settings.tools, api);
    // A preset's depth goes with its own number of B frames.
    let most = u16::try_from(MOST_HELD.saturating_sub(b_frames)).unwrap_or(0);
    config.rc.lookahead_depth = config.rc.lookahead_depth.min(most);
    let b_references = match settings.codec {
        Codec::H264 => h264(config, settings, gop, api),
        Codec::Hevc => hevc(config, settings, gop, api),
        _ => av1(config, settings, gop, api),
    };
    if let Some(mode) = settings.tools.b_reference {
        *b_references = mode;
    }
    // Modes that are not known here could reorder further than decoding times allow for.
    if b_frames == 0 || !matches!(*b_references, b_reference::EACH | b_reference::MIDDLE) {
        *b_references = b_reference::OFF;
    }
    let reorder = match (b_frames, *b_references) {
        (0, _) => 0,
        // The middle one goes before those in front of it.
        (2.., b_reference::MIDDLE) => 2,
        _ => 1,
    };
    let lookahead = usize::from(config.rc.lookahead_depth);
    Structure { b_frames: b_frames as usize, lookahead, gop, reorder }
}

/// The part for H.264; gives the mode of references to B frames.
fn h264<'a>(config: &'a mut Config, settings: &Settings, gop: u32, api: Api) -> &'a mut u32 {
    let part = config.h264();
    part.idr_period = gop;
    part.flags |= h264::REPEAT_HEADERS;
    if settings.rate == Rate::Lossless {
        part.flags |= h264::LOSSLESS;
    }
    if let Some(refresh) = settings.tools.intra_refresh {
        part.flags |= h264::INTRA_REFRESH | h264::RECOVERY_POINTS;
        (part.intra_refresh_period, part.intra_refresh_frames) = (refresh.period, refresh.frames);
    }
    part.chroma_format = chroma_format(settings);
    if settings.samples.ten_bit && api.has_deep_h264() {
        (part.output_depth, part.input_depth) = (10, 10);
    }
    describe(&mut part.vui, settings.signal);
    &mut part.b_reference_mode
}

/// The part for HEVC; gives the mode of references to B frames.
fn hevc<'a>(config: &'a mut Config, settings: &Settings, gop: u32, api: Api) -> &'a mut u32 {
    let part = config.hevc();
    part.idr_period = gop;
    part.flags |= hevc::REPEAT_HEADERS;
    if let Some(refresh) = settings.tools.intra_refresh {
        part.flags |= hevc::INTRA_REFRESH;
        (part.intra_refresh_period, part.intra_refresh_frames) = (refresh.period, refresh.frames);
    }
    let others = part.flags & !(3 << hevc::CHROMA_SHIFT);
    part.flags = others | chroma_format(settings) << hevc::CHROMA_SHIFT;
    if settings.samples.ten_bit && api.has_depth_fields() {
        (part.output_depth, part.input_depth) = (10, 10);
    } else if settings.samples.ten_bit {
        let others = part.flags & !(7 << hevc::DEPTH_MINUS8_SHIFT);
        part.flags = others | 2 << hevc::DEPTH_MINUS8_SHIFT;
    }
    describe(&mut part.vui, settings.signal);
    &mut part.b_reference_mode
}

/// The part for AV1; gives the mode of references to B frames.
fn av1<'a>(config: &'a mut Config, settings: &Settings, gop: u32, api: Api) -> &'a mut u32 {
    let part = config.av1();
    part.idr_period = gop;
    part.flags = (part.flags | av1::REPEAT_HEADERS) & !av1::LENGTH_FRAMING;
    if let Some(refresh) = settings.tools.intra_refresh {
        part.flags |= av1::INTRA_REFRESH;
        (part.intra_refresh_period, part.intra_refresh_frames) = (refresh.period, refresh.frames);
    }
    if settings.samples.ten_bit && api.has_depth_fields() {
        (part.output_depth, part.input_depth) = (10, 10);
    } else if settings.samples.ten_bit {
        let depths = 7 << av1::INPUT_DEPTH_MINUS8_SHIFT | 7 << av1::DEPTH_MINUS8_SHIFT;
        let ten = 2 << av1::INPUT_DEPTH_MINUS8_SHIFT | 2 << av1::DEPTH_MINUS8_SHIFT;
        part.flags = (part.flags & !depths) | ten;
    }
    if let Some((primaries, transfer, matrix)) = settings.signal.colour {
        part.primaries = u32::from(primaries);
        part.transfer = u32::from(transfer);
        part.matrix = u32::from(matrix);
    }
    part.full_range = u32::from(settings.signal.full_range.unwrap_or(false));
    &mut part.b_reference_mode
}

/// `chromaFormatIDC`
fn chroma_format(settings: &Settings) -> u32 {
    if settings.samples.full_chroma { 3 } else { 1 }
}

/// How bits are spent.
pub(super) fn spend(rc: &mut RcParams, wanted: Rate, vbv: Vbv) {
    (rc.vbv_buffer_size, rc.vbv_initial_delay) = (vbv.size, vbv.initial);
    (rc.target_quality, rc.target_quality_fraction) = (0, 0);
    match wanted {
        Rate::Lossless => {
            rc.mode = rate::CONST_QP;
            rc.const_qp = Qp::default();
        }
        Rate::ConstQp { i, p, b } => {
            rc.mode = rate::CONST_QP;
            rc.const_qp = Qp { i: u32::from(i), p: u32::from(p), b: u32::from(b) };
        }
        Rate::Quality { quality, max } => {
            rc.mode = rate::VBR;
            (rc.average_bit_rate, rc.max_bit_rate) = (0, max.unwrap_or(0));
            rc.target_quality = quality;
        }
        Rate::Cbr(bits) => {
            rc.mode = rate::CBR;
            (rc.average_bit_rate, rc.max_bit_rate) = (bits, bits);
        }
        Rate::Vbr { average, max } => {
            rc.mode = rate::VBR;
            (rc.average_bit_rate, rc.max_bit_rate) = (average, max.unwrap_or(0));
        }
    }
}

/// How pictures are looked at before they are coded. What is left open stays the preset's.
fn analyse(rc: &mut RcParams, tools: &Tools, api: Api) {
    let set = |flags: &mut u32, bit: u32, on: bool| {
        *flags = if on { *flags | bit } else { *flags & !bit };
    };
    if let Some(passes) = tools.multi_pass {
        rc.multi_pass = passes;
    }
    if let Some(depth) = tools.lookahead {
        set(&mut rc.flags, rc::LOOKAHEAD, depth > 0);
        rc.lookahead_depth = u16::try_from(depth).unwrap_or(0);
    }
    if rc.flags & rc::LOOKAHEAD == 0 {
        rc.lookahead_depth = 0;
        // Before, the field is reserved.
        if api.has_lookahead_level() {
            rc.lookahead_level = 0;
        }
    } else if let Some(level) = tools.lookahead_level {
        rc.lookahead_level = u32::from(level);
    }
    if let Some(wanted) = tools.spatial_aq {
        set(&mut rc.flags, rc::SPATIAL_AQ, wanted != SpatialAq::Off);
        let strength = if let SpatialAq::Strength(strength) = wanted { u32::from(strength) } else { 0 };
        rc.flags = (rc.flags & !(15 << rc::AQ_STRENGTH_SHIFT)) | (strength & 15) << rc::AQ_STRENGTH_SHIFT;
    }
    if let Some(wanted) = tools.temporal_aq {
        set(&mut rc.flags, rc::TEMPORAL_AQ, wanted);
    }
}

/// What the stream says of its colour.
fn describe(vui: &mut Vui, signal: Signal) {
    /// `video_format`: not specified.
    const UNSPECIFIED: u32 = 5;
    if signal.full_range.is_none() && signal.colour.is_none() {
        return;
    }
    vui.signal_type_present = 1;
    vui.video_format = UNSPECIFIED;
    // Where nothing is said, readers take limited range.
    vui.full_range = u32::from(signal.full_range.unwrap_or(false));
    if let Some((primaries, transfer, matrix)) = signal.colour {
        vui.colour_present = 1;
        vui.primaries = u32::from(primaries);
        vui.transfer = u32::from(transfer);
        vui.matrix = u32::from(matrix);
    }
}
