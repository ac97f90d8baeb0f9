//! What a session was initialised with, read out of the client's structures once and checked against the
//! capabilities.

use std::ffi::c_void;

use super::abi::{
    self, Config, Guid, INFINITE_GOP, InitParams, NvStatus, Plain, Vui, av1_bits, guids, h264_bits,
    hevc_bits, init_bits, rc_bits, rc_modes, tunings,
};
use super::caps::{Cap, Caps};
use super::plan::Pattern;
use super::presets;
use super::reported::reported;
use super::rules;
use super::versions::{self, Api, Struct};
use crate::codec::encoder::{Chroma, EncoderCodec, EncoderSpec, Rate};
use crate::core::Call;
use crate::policy;

/// The settings of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What the software encoder is opened with.
    pub spec: EncoderSpec,
    /// The driver decides picture types.
    pub ptd: bool,
    /// GOP structure.
    pub pattern: Pattern,
    /// Largest size of a reconfiguration; (0, 0): none.
    pub max_size: (u32, u32),
    /// Parameter sets before every IDR picture.
    pub repeat_headers: bool,
    /// No parameter sets in the stream.
    pub disable_headers: bool,
    /// Asked for at the queries too, so kept for a reconfiguration without configuration.
    pub preset: (Guid, u32),
    /// HEVC `maxCUSize`.
    pub max_cu: u32,
    /// Frame, field or MBAFF.
    pub frame_field_mode: u32,
    /// Rate control mode as the client gave it.
    pub rc_mode: u32,
    /// Weighted prediction and long term references, which exclude B pictures.
    pub weighted: bool,
    /// See `weighted`.
    pub ltr: bool,
    /// What the report says of all this.
    pub reported: serde_json::Value,
}

/// Codec of a GUID.
pub fn codec(guid: Guid) -> Option<EncoderCodec> {
    match guid {
        guids::H264 => Some(EncoderCodec::H264),
        guids::HEVC => Some(EncoderCodec::Hevc),
        guids::AV1 => Some(EncoderCodec::Av1),
        _ => None,
    }
}

/// Reads the configuration that an `NV_ENC_INITIALIZE_PARAMS` points to, or makes the preset's.
///
/// # Safety
/// `init.config` is null or points to an `NV_ENC_CONFIG` of the client's.
unsafe fn configuration(
    call: &Call,
    api: Api,
    codec: EncoderCodec,
    init: &InitParams,
) -> Result<Config, NvStatus> {
    // SAFETY: the caller vouches for the pointer.
    if let Some(config) = unsafe { abi::read::<Config>(init.config as *const c_void) } {
        versions::check(call, api, Struct::Config, config.version)?;
        // FFmpeg and the samples leave the word that the preset query wrote; zero is what a client gets that
        // builds the structure itself, and drivers accept it.
        if config.rc.version != 0 {
            versions::check(call, api, Struct::RcParams, config.rc.version)?;
        }
        return Ok(config);
    }
    let preset =
        presets::find(api, codec, init.preset_guid, init.tuning).ok_or(NvStatus::UNSUPPORTED_PARAM)?;
    Ok(preset.config(api, codec))
}

/// Reads and checks everything.
///
/// # Safety
/// As for `configuration`.
pub unsafe fn read(call: &Call, api: Api, caps: &Caps, init: &InitParams) -> Result<Settings, NvStatus> {
    let codec = codec(init.encode_guid).ok_or(NvStatus::UNSUPPORTED_PARAM)?;
    // SAFETY: the caller vouches for the pointer.
    let mut config = unsafe { configuration(call, api, codec, init) }?;
    if init.enable_async != 0 {
        call.breach(&rules::ASYNC, "enableEncodeAsync is set");
        return Err(NvStatus(policy::ASYNC_REFUSED));
    }
    let settings = gather(api, codec, init, &mut config);
    check(call, caps, init, &config, &settings)?;
    check_tools(api, caps, codec, &mut config)?;
    Ok(settings)
}

fn gather(api: Api, codec: EncoderCodec, init: &InitParams, config: &mut Config) -> Settings {
    let preset = presets::find(api, codec, init.preset_guid, init.tuning);
    let mut spec = EncoderSpec {
        codec,
        width: init.width,
        height: init.height,
        chroma: Chroma::Yuv420,
        depth: 8,
        fps: if init.fps_num > 0 && init.fps_den > 0 { (init.fps_num, init.fps_den) } else { (30, 1) },
        rate: Rate::ConstQp { i: 0, p: 0, b: 0 },
        preset: preset.map_or(4, |preset| preset.level),
        reorder: u8::from(config.frame_interval_p > 1),
        gop: config.gop_length,
        slices: 1,
        aud: false,
        cavlc: false,
        profile: profile_idc(config.profile),
        level: 0,
        sar: sample_aspect(init),
        colour: None,
        full_range: None,
    };
    let rows = init.height.div_ceil(16).max(1);
    let (idr, repeat, disable, ltr, lossless_bit, vui, max_cu);
    match codec {
        EncoderCodec::H264 => {
            let h264 = config.h264();
            idr = h264.idr_period;
            repeat = h264.bits & h264_bits::REPEAT_SPSPPS != 0;
            disable = h264.bits & h264_bits::DISABLE_SPSPPS != 0;
            ltr = h264.bits & h264_bits::LTR != 0;
            lossless_bit = h264.bits & h264_bits::LOSSLESS != 0;
            vui = h264.vui;
            max_cu = 0;
            spec.aud = h264.bits & h264_bits::AUD != 0;
            spec.cavlc = h264.entropy == 2;
            spec.level = h264.level;
            spec.slices = slices(h264.slice_mode, h264.slice_mode_data, rows);
            if h264.chroma_format_idc == 3 {
                spec.chroma = Chroma::Yuv444;
            }
            if api >= Api::V13_0 && h264.output_bit_depth == 10 {
                spec.depth = 10;
            }
        }
        EncoderCodec::Hevc => {
            let hevc = config.hevc();
            idr = hevc.idr_period;
            repeat = hevc.bits & hevc_bits::REPEAT_SPSPPS != 0;
            disable = hevc.bits & hevc_bits::DISABLE_SPSPPS != 0;
            ltr = hevc.bits & hevc_bits::LTR != 0;
            lossless_bit = false;
            vui = hevc.vui;
            max_cu = hevc.max_cu;
            spec.aud = hevc.bits & hevc_bits::AUD != 0;
            spec.level = hevc.level;
            spec.slices = slices(hevc.slice_mode, hevc.slice_mode_data, rows);
            if (hevc.bits >> hevc_bits::CHROMA_SHIFT) & 3 == 3 {
                spec.chroma = Chroma::Yuv444;
            }
            let deep = if api.hevc_depth_in_bits() {
                (hevc.bits >> hevc_bits::DEPTH_SHIFT) & 7 == 2
            } else {
                hevc.output_bit_depth == 10
            };
            if deep {
                spec.depth = 10;
            }
        }
        EncoderCodec::Av1 => {
            let av1 = config.av1();
            idr = av1.idr_period;
            repeat = av1.bits & av1_bits::REPEAT_SEQUENCE_HEADER != 0;
            disable = av1.bits & av1_bits::DISABLE_SEQUENCE_HEADER != 0;
            (ltr, lossless_bit, max_cu) = (false, false, 0);
            vui = Vui::zeroed();
            if (av1.bits >> av1_bits::CHROMA_SHIFT) & 3 == 3 {
                spec.chroma = Chroma::Yuv444;
            }
            spec.full_range = Some(av1.full_range != 0);
            if (av1.primaries, av1.transfer, av1.matrix) != (0, 0, 0) {
                spec.colour = Some((av1.primaries as u8, av1.transfer as u8, av1.matrix as u8));
            }
            let deep = if api.hevc_depth_in_bits() {
                (av1.bits >> av1_bits::DEPTH_SHIFT) & 7 == 2
            } else {
                av1.output_bit_depth == 10
            };
            if deep {
                spec.depth = 10;
            }
        }
    }
    read_vui(&vui, &mut spec);
    let lossless = lossless_bit || init.tuning == tunings::LOSSLESS;
    spec.rate = rate(codec, config, lossless);
    let interval = u32::try_from(config.frame_interval_p).unwrap_or(0);
    let gop = if config.gop_length == 0 { INFINITE_GOP } else { config.gop_length };
    let lookahead =
        if config.rc.bits & rc_bits::LOOKAHEAD != 0 { u32::from(config.rc.lookahead_depth) } else { 0 };
    Settings {
        ptd: init.enable_ptd != 0,
        pattern: Pattern { gop, idr: if idr == 0 { gop } else { idr }, interval, lookahead },
        max_size: (init.max_width, init.max_height),
        repeat_headers: repeat,
        disable_headers: disable,
        preset: (init.preset_guid, init.tuning),
        max_cu,
        frame_field_mode: config.frame_field_mode,
        rc_mode: config.rc.mode,
        weighted: init.bits & init_bits::WEIGHTED_PREDICTION != 0,
        ltr,
        reported: reported(api, codec, init, config),
        spec,
    }
}

fn slices(mode: u32, data: u32, rows: u32) -> u32 {
    match mode {
        // Rows per slice.
        2 if data > 0 => rows.div_ceil(data),
        3 => data,
        _ => 1,
    }
    .clamp(1, rows)
}

fn read_vui(vui: &Vui, spec: &mut EncoderSpec) {
    if vui.signal_type_present != 0 {
        spec.full_range = Some(vui.full_range != 0);
    }
    if vui.colour_present != 0 {
        spec.colour = Some((vui.primaries as u8, vui.transfer as u8, vui.matrix as u8));
    }
}

/// The display aspect ratio over the size gives the sample aspect ratio.
fn sample_aspect(init: &InitParams) -> (u32, u32) {
    let (mut a, mut b) = (
        u64::from(init.dar_width) * u64::from(init.height),
        u64::from(init.dar_height) * u64::from(init.width),
    );
    if a == 0 || b == 0 {
        return (0, 0);
    }
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a, b) = (a / x, b / x);
    if a == b || a > 0xffff || b > 0xffff { (0, 0) } else { (a as u32, b as u32) }
}

fn profile_idc(guid: Guid) -> u32 {
    match guid {
        guids::H264_BASELINE => 66,
        guids::H264_MAIN => 77,
        guids::H264_HIGH | guids::H264_PROGRESSIVE_HIGH | guids::H264_CONSTRAINED_HIGH => 100,
        guids::H264_HIGH_10 => 110,
        guids::H264_HIGH_444 => 244,
        guids::HEVC_MAIN => 1,
        guids::HEVC_MAIN10 => 2,
        guids::HEVC_FREXT => 4,
        _ => 0,
    }
}

fn rate(codec: EncoderCodec, config: &Config, lossless: bool) -> Rate {
    let rc = &config.rc;
    let (most, worst) = if codec == EncoderCodec::Av1 { (255, 63) } else { (51, 51) };
    let qp = |value: u32| value.min(most) as u8;
    let average = if rc.average_bit_rate == 0 { policy::PRESET_BIT_RATE } else { rc.average_bit_rate };
    match rc.mode {
        rc_modes::CONSTQP if lossless && rc.const_qp.p == 0 && rc.const_qp.i == 0 => Rate::Lossless,
        rc_modes::CONSTQP => {
            Rate::ConstQp { i: qp(rc.const_qp.i), p: qp(rc.const_qp.p), b: qp(rc.const_qp.b) }
        }
        rc_modes::CBR | rc_modes::CBR_HQ | rc_modes::CBR_LOWDELAY_HQ => {
            Rate::Cbr { average, vbv: rc.vbv_buffer_size }
        }
        _ if rc.target_quality > 0 => {
            Rate::Quality { quality: rc.target_quality.min(worst), max: rc.max_bit_rate }
        }
        _ => Rate::Vbr { average, max: rc.max_bit_rate, vbv: rc.vbv_buffer_size },
    }
}

/// Size limits: also asked by a reconfiguration.
pub fn check_size(caps: &Caps, width: u32, height: u32) -> Result<(), NvStatus> {
    let within = |value: u32, low: Cap, high: Cap| {
        i64::from(value) >= i64::from(caps.get(low)) && i64::from(value) <= i64::from(caps.get(high))
    };
    let blocks = u64::from(width.div_ceil(16)) * u64::from(height.div_ceil(16));
    let fits = within(width, Cap::WidthMin, Cap::WidthMax)
        && within(height, Cap::HeightMin, Cap::HeightMax)
        && blocks <= u64::try_from(caps.get(Cap::MbNumMax)).unwrap_or(0);
    let even = width.is_multiple_of(2) && height.is_multiple_of(2);
    if fits && (even || !policy::EVEN_SIZES_ONLY) { Ok(()) } else { Err(NvStatus::INVALID_PARAM) }
}

fn check(call: &Call, caps: &Caps, init: &InitParams, config: &Config, s: &Settings) -> Result<(), NvStatus> {
    check_size(caps, init.width, init.height)?;
    if s.max_size != (0, 0) {
        check_size(caps, s.max_size.0, s.max_size.1)?;
    }
    let rc = &config.rc;
    if config.frame_interval_p < 0 || rc.mode > rc_modes::VBR_HQ || (rc.mode & rc.mode.wrapping_sub(1)) != 0 {
        return Err(NvStatus::INVALID_PARAM);
    }
    let b_frames = s.pattern.interval.saturating_sub(1);
    let deep_or_full = |wanted: bool, cap: Cap| wanted && !caps.has(cap);
    let lacking = i64::from(b_frames) > i64::from(caps.get(Cap::NumMaxBframes))
        || deep_or_full(s.spec.depth == 10, Cap::TenBit)
        || deep_or_full(s.spec.chroma == Chroma::Yuv444, Cap::Yuv444)
        || deep_or_full(s.spec.rate == Rate::Lossless, Cap::Lossless)
        || deep_or_full(rc.bits & rc_bits::LOOKAHEAD != 0 && rc.lookahead_depth > 0, Cap::Lookahead)
        || deep_or_full(rc.bits & rc_bits::TEMPORAL_AQ != 0, Cap::TemporalAq)
        || deep_or_full(rc.vbv_buffer_size != 0, Cap::CustomVbv)
        || deep_or_full(s.weighted, Cap::WeightedPrediction)
        || deep_or_full(config.frame_field_mode > 1, Cap::FieldEncoding)
        || deep_or_full(init.bits & init_bits::ME_ONLY != 0, Cap::MeOnly)
        // Output in video memory is not simulated.
        || init.bits & init_bits::OUTPUT_IN_VIDMEM != 0
        || rc.multi_pass > 2
        || rc.lookahead_depth > 32;
    if lacking {
        return Err(NvStatus::UNSUPPORTED_PARAM);
    }
    if b_frames > 0 {
        if s.weighted {
            call.breach(&rules::B_WEIGHTED, format!("{b_frames} B pictures with weighted prediction"));
            return Err(NvStatus::INVALID_PARAM);
        }
        if s.ltr {
            call.breach(&rules::B_LTR, format!("{b_frames} B pictures with long term references"));
            return Err(NvStatus::INVALID_PARAM);
        }
        if config.gop_length == INFINITE_GOP {
            call.breach(&rules::B_INFINITE_GOP, format!("{b_frames} B pictures in an infinite GOP"));
        }
    }
    Ok(())
}

/// Tools that need a capability, or an API that has them.
fn check_tools(api: Api, caps: &Caps, codec: EncoderCodec, config: &mut Config) -> Result<(), NvStatus> {
    let gop = config.gop_length;
    let rc = config.rc;
    let (refresh, period, count, b_ref_mode) = match codec {
        EncoderCodec::H264 => {
            let h264 = config.h264();
            let on = h264.bits & h264_bits::INTRA_REFRESH != 0;
            (on, h264.intra_refresh_period, h264.intra_refresh_count, h264.b_ref_mode)
        }
        EncoderCodec::Hevc => {
            let hevc = config.hevc();
            let on = hevc.bits & hevc_bits::INTRA_REFRESH != 0;
            (on, hevc.intra_refresh_period, hevc.intra_refresh_count, hevc.b_ref_mode)
        }
        EncoderCodec::Av1 => {
            let interval = config.frame_interval_p;
            let av1 = config.av1();
            // Neither is simulated; the second is another framing of the stream.
            if interval > 1 || av1.bits & av1_bits::LENGTH_FRAMING != 0 {
                return Err(NvStatus(policy::AV1_B_PICTURES));
            }
            let on = av1.bits & av1_bits::INTRA_REFRESH != 0;
            (on, av1.intra_refresh_period, av1.intra_refresh_count, av1.b_ref_mode)
        }
    };
    // A field that the API does not have yet is reserved.
    let reserved = rc.lookahead_level != 0 && api < Api::V12_2;
    let pointless = refresh && gop == INFINITE_GOP && count >= period;
    if reserved || pointless || b_ref_mode > 2 {
        return Err(NvStatus::INVALID_PARAM);
    }
    let modes = u32::try_from(caps.get(Cap::BframeRefMode)).unwrap_or(0);
    let highest = u32::try_from(caps.get(Cap::LookaheadLevel)).unwrap_or(0);
    // 15 lets the driver choose.
    let level = if rc.lookahead_level == 15 { 0 } else { rc.lookahead_level };
    let lacking = refresh && !caps.has(Cap::IntraRefresh)
        || b_ref_mode != 0 && modes & b_ref_mode == 0
        || level > highest;
    if lacking { Err(NvStatus::UNSUPPORTED_PARAM) } else { Ok(()) }
}

/// What a reconfiguration may not change: the first thing found that differs.
pub fn forbidden_change(old: &Settings, new: &Settings) -> Option<&'static str> {
    let same = |name: &'static str, equal: bool| (!equal).then_some(name);
    same("encodeGUID", old.spec.codec == new.spec.codec)
        .or_else(|| same("gopLength", old.pattern.gop == new.pattern.gop))
        .or_else(|| same("idrPeriod", old.pattern.idr == new.pattern.idr))
        .or_else(|| same("frameIntervalP", old.pattern.interval == new.pattern.interval))
        .or_else(|| same("enablePTD", old.ptd == new.ptd))
        .or_else(|| same("maxEncodeWidth or maxEncodeHeight", old.max_size == new.max_size))
        .or_else(|| same("bit depth", old.spec.depth == new.spec.depth))
        .or_else(|| same("chroma format", old.spec.chroma == new.spec.chroma))
        .or_else(|| same("maxCUSize", old.max_cu == new.max_cu))
        .or_else(|| same("frameFieldMode", old.frame_field_mode == new.frame_field_mode))
}

/// True when the software encoder cannot follow a change without an IDR picture.
pub fn breaks_stream(old: &EncoderSpec, new: &EncoderSpec) -> bool {
    let rate = match (old.rate, new.rate) {
        (Rate::Quality { .. }, Rate::Quality { .. }) => old.rate != new.rate,
        (old, new) => std::mem::discriminant(&old) != std::mem::discriminant(&new),
    };
    rate || *new != EncoderSpec { rate: new.rate, fps: new.fps, gop: new.gop, ..old.clone() }
}

/// An `NV_ENC_INITIALIZE_PARAMS` for unit tests.
#[cfg(test)]
fn example() -> InitParams {
    use super::abi::Plain;
    let mut init = InitParams::zeroed();
    init.encode_guid = guids::H264;
    init.preset_guid = guids::PRESETS[3];
    init.tuning = tunings::HIGH_QUALITY;
    (init.width, init.height) = (640, 360);
    (init.dar_width, init.dar_height) = (16, 9);
    init.enable_ptd = 1;
    init
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nvenc::abi::Plain;

    #[test]
    fn the_preset_becomes_settings() {
        let init = example();
        let preset = presets::find(Api::V12_2, EncoderCodec::H264, init.preset_guid, init.tuning).unwrap();
        let mut config = preset.config(Api::V12_2, EncoderCodec::H264);
        let settings = gather(Api::V12_2, EncoderCodec::H264, &init, &mut config);
        assert_eq!(settings.pattern, Pattern { gop: 250, idr: 250, interval: 4, lookahead: 0 });
        assert!(matches!(settings.spec.rate, Rate::Vbr { .. }));
        assert_eq!(settings.spec.sar, (0, 0));
        assert_eq!(settings.spec.preset, 4);
    }

    #[test]
    fn hevc_depth_is_found_in_both_spellings() {
        let mut init = example();
        init.encode_guid = guids::HEVC;
        let preset = |api| presets::find(api, EncoderCodec::Hevc, init.preset_guid, 1).unwrap();
        let mut old = preset(Api::V12_0).config(Api::V12_0, EncoderCodec::Hevc);
        old.hevc().bits |= 2 << hevc_bits::DEPTH_SHIFT;
        assert_eq!(gather(Api::V12_0, EncoderCodec::Hevc, &init, &mut old).spec.depth, 10);
        let mut new = preset(Api::V13_0).config(Api::V13_0, EncoderCodec::Hevc);
        new.hevc().output_bit_depth = 10;
        assert_eq!(gather(Api::V13_0, EncoderCodec::Hevc, &init, &mut new).spec.depth, 10);
    }

    #[test]
    fn an_anamorphic_size_gives_a_sample_aspect() {
        let mut init = example();
        (init.width, init.height) = (720, 576);
        assert_eq!(sample_aspect(&init), (64, 45));
    }

    #[test]
    fn rate_modes_are_mapped() {
        let mut config = Config::zeroed();
        config.rc.mode = rc_modes::CBR;
        config.rc.average_bit_rate = 5;
        assert_eq!(rate(EncoderCodec::H264, &config, false), Rate::Cbr { average: 5, vbv: 0 });
        config.rc.mode = rc_modes::VBR;
        config.rc.target_quality = 23;
        assert_eq!(rate(EncoderCodec::H264, &config, false), Rate::Quality { quality: 23, max: 0 });
        config.rc.mode = rc_modes::CONSTQP;
        assert_eq!(rate(EncoderCodec::H264, &config, true), Rate::Lossless);
        assert_eq!(rate(EncoderCodec::H264, &config, false), Rate::ConstQp { i: 0, p: 0, b: 0 });
    }
}
