//! From checked settings to the driver's structures: the preset's configuration, and ours on top of it.

use std::sync::Arc;

use super::settings::{Rate, Settings, Signal};
use crate::backend::nvidia::driver::nvenc::{Encoder, Session};
use crate::backend::nvidia::driver::nvenc_abi::{Config, InitParams, Qp, Vui};
use crate::backend::nvidia::driver::nvenc_names::{
    H264, H264_HIGH_444, HEVC, HEVC_MAIN10, INFINITE_GOP, LOOKAHEAD, h264, hevc, rate,
};
use crate::backend::nvidia::driver::nvenc_version::Api;
use crate::codec::Codec;
use crate::error::Result;

/// How an initialised encoder reorders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Structure {
    /// B frames between P frames.
    pub(super) b_frames: usize,
    /// Pictures that the encoder looks ahead.
    pub(super) lookahead: usize,
    /// By how many pictures decoding has to begin before display.
    pub(super) reorder: usize,
    /// Pictures from one IDR to the next; `None`: there is no second one by itself.
    pub(super) gop: Option<u32>,
}

/// `useBFramesAsRef`: every B frame may be referred to, or the middle one.
const B_REFERENCE_EACH: u32 = 1;
const B_REFERENCE_MIDDLE: u32 = 2;

/// Initialises a session.
///
/// # Errors
/// What the driver refuses all the same.
pub(super) fn initialize(session: Session, settings: &Settings) -> Result<(Arc<Encoder>, Structure)> {
    let guid = if settings.codec == Codec::H264 { H264 } else { HEVC };
    let mut config = session.preset(guid, settings.preset, settings.tuning)?;
    let structure = configure(&mut config, settings, session.api());
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
    if !settings.lookahead {
        config.rc.flags &= !LOOKAHEAD;
    }
    if config.rc.flags & LOOKAHEAD == 0 {
        config.rc.lookahead_depth = 0;
    }
    spend(config, settings.rate);
    let b_references = if settings.codec == Codec::H264 {
        h264(config, settings, gop)
    } else {
        hevc(config, settings, gop, api)
    };
    // Modes that are not known here could reorder further than decoding times allow for.
    if b_frames == 0 || !matches!(*b_references, B_REFERENCE_EACH | B_REFERENCE_MIDDLE) {
        *b_references = 0;
    }
    let reorder = match (b_frames, *b_references) {
        (0, _) => 0,
        // The middle one goes before those in front of it.
        (2.., B_REFERENCE_MIDDLE) => 2,
        _ => 1,
    };
    let lookahead = usize::from(config.rc.lookahead_depth);
    let gop = Some(gop).filter(|gop| !matches!(*gop, 0 | INFINITE_GOP));
    Structure { b_frames: b_frames as usize, lookahead, reorder, gop }
}

/// The part for H.264; gives the mode of references to B frames.
fn h264<'a>(config: &'a mut Config, settings: &Settings, gop: u32) -> &'a mut u32 {
    let lossless = settings.rate == Rate::Lossless;
    if lossless {
        config.profile = H264_HIGH_444;
    }
    let part = config.h264();
    part.idr_period = gop;
    part.flags |= h264::REPEAT_HEADERS | if lossless { h264::LOSSLESS } else { 0 };
    describe(&mut part.vui, settings.signal);
    &mut part.b_reference_mode
}

/// The part for HEVC; gives the mode of references to B frames.
fn hevc<'a>(config: &'a mut Config, settings: &Settings, gop: u32, api: Api) -> &'a mut u32 {
    if settings.ten_bit {
        config.profile = HEVC_MAIN10;
    }
    let part = config.hevc();
    part.idr_period = gop;
    part.flags |= hevc::REPEAT_HEADERS;
    if settings.ten_bit && api.has_hevc_depths() {
        (part.output_depth, part.input_depth) = (10, 10);
    } else if settings.ten_bit {
        let others = part.flags & !(7 << hevc::DEPTH_MINUS8_SHIFT);
        part.flags = others | 2 << hevc::DEPTH_MINUS8_SHIFT;
    }
    describe(&mut part.vui, settings.signal);
    &mut part.b_reference_mode
}

/// How bits are spent. The buffer model's size and delay stay those that the driver takes by itself.
pub(super) fn spend(config: &mut Config, wanted: Rate) {
    let rc = &mut config.rc;
    (rc.vbv_buffer_size, rc.vbv_initial_delay) = (0, 0);
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
        Rate::Quality(quality) => {
            rc.mode = rate::VBR;
            (rc.average_bit_rate, rc.max_bit_rate) = (0, 0);
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
