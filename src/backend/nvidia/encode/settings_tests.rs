//! Settings against capabilities: what is refused, and in which words.

use super::rate::default_quality;
use super::*;
use crate::backend::nvidia::driver::nvenc_names::{format, rate};
use crate::backend::nvidia::driver::nvenc_version::Api;
use crate::color::ColorInfo;
use crate::config::{
    BReference, IntraRefresh, MultiPass, Profile, RateControl, SoftwareEncodeConfig, SpatialAq,
};
use crate::pixel::PixelFormat;

fn caps() -> Caps {
    Caps {
        api: Api::V13_0,
        max_b_frames: 3,
        rate_modes: rate::VBR | rate::CBR,
        width: (145, 4096),
        height: (49, 4096),
        max_macroblocks: 65_536,
        lossless: true,
        lookahead: true,
        lookahead_level: 3,
        ten_bit: true,
        dynamic_size: true,
        dynamic_bitrate: true,
        dynamic_rate_mode: true,
        full_chroma: true,
        custom_vbv: true,
        intra_refresh: true,
        temporal_aq: true,
        b_references: 2,
        formats: vec![
            format::NV12,
            format::P010,
            format::YUV444,
            format::YUV444_10,
            format::BGRA,
            format::RGBA,
        ],
    }
}

fn config(codec: Codec) -> CommonEncodeConfig {
    CommonEncodeConfig::new(codec, Dimensions::new(640, 360).unwrap(), Rational::new(25, 1).unwrap())
}

/// The refusal of a changed configuration.
fn refusal(change: impl FnOnce(&mut CommonEncodeConfig, &mut NvidiaEncodeConfig, &mut Caps)) -> String {
    let (mut config, mut own, mut caps) = (config(Codec::H264), NvidiaEncodeConfig::default(), caps());
    change(&mut config, &mut own, &mut caps);
    match negotiate(&config, &own, &caps) {
        Err(error @ Error::Unsupported { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn refusals_name_the_setting_the_capability_and_the_range() {
    for (message, said) in [
        (&["b_frames 4", "0 to 3", "NUM_MAX_BFRAMES"][..], refusal(|c, _, _| c.b_frames = Some(4))),
        (&["frame_interval_p 0", "1 to 4"], refusal(|c, _, _| c.frame_interval_p = Some(0))),
        (&["frame_interval_p -2147483648"], refusal(|c, _, _| c.frame_interval_p = Some(i32::MIN))),
        (
            &["b_frames 2", "0 to 1", "gop_length is 2"],
            refusal(|c, _, _| {
                (c.b_frames, c.gop_length) = (Some(2), Some(2));
            }),
        ),
        (&["b_frames 1", "low latency"], refusal(|c, _, _| (c.b_frames, c.low_latency) = (Some(1), true))),
        (
            &["dimensions 144x360", "145x49", "WIDTH_MIN"],
            refusal(|c, _, _| {
                c.dimensions = Dimensions::new(144, 360).unwrap();
            }),
        ),
        (
            &["dimensions 641x360", "even"],
            refusal(|c, _, _| {
                c.dimensions = Dimensions::new(641, 360).unwrap();
            }),
        ),
        (&["dimensions 640x360", "MB_NUM_MAX"], refusal(|_, _, caps| caps.max_macroblocks = 900)),
        (
            &["format yuv444p", "nv12, yuv420p", "SUPPORT_YUV444_ENCODE"],
            refusal(|c, _, caps| (c.format, caps.full_chroma) = (PixelFormat::I444, false)),
        ),
        (
            &["format p010le", "SUPPORT_10BIT_ENCODE is 0"],
            refusal(|c, _, caps| (c.format, caps.ten_bit) = (PixelFormat::P010, false)),
        ),
        (
            &["format p010le", "h264 need driver API 13.0", "speaks 12.2"],
            refusal(|c, _, caps| {
                (c.format, caps.ten_bit, caps.api) = (PixelFormat::P010, false, Api::V12_2);
            }),
        ),
        (&["format yuv444p10le", "yuv444p"], refusal(|c, _, _| c.format = PixelFormat::I410)),
        (&["gop_length 0"], refusal(|c, _, _| c.gop_length = Some(0))),
        (&["preset p8", "p1", "p7"], refusal(|_, own, _| own.preset = Some("p8".into()))),
        (&["preset p0"], refusal(|_, own, _| own.preset = Some("p0".into()))),
        (&["tuning best"], refusal(|_, own, _| own.tuning = Some("best".into()))),
        (
            &["tuning lossless", "SUPPORT_LOSSLESS_ENCODE"],
            refusal(|_, own, caps| {
                own.tuning = Some("lossless".into());
                caps.lossless = false;
            }),
        ),
        (
            &["rate_control cbr", "SUPPORTED_RATECONTROL_MODES"],
            refusal(|c, _, caps| {
                c.rate_control = Some(RateControl::Cbr { bitrate_bps: 1000 });
                caps.rate_modes = rate::VBR;
            }),
        ),
        (
            &["max_bps 5", "10 (avg_bps)"],
            refusal(|c, _, _| {
                c.rate_control = Some(RateControl::Vbr { avg_bps: 10, max_bps: Some(5) });
            }),
        ),
        (
            &["constqp inter_b 52", "0 to 51"],
            refusal(|c, _, _| {
                c.rate_control = Some(RateControl::ConstQp { intra: 1, inter_p: 1, inter_b: 52 });
            }),
        ),
        (&["color matrix gbr", "4:2:0"], refusal(|c, _, _| c.color = ColorInfo::SRGB)),
        (
            &["color matrix bt709", "BT.601"],
            refusal(|c, _, _| {
                (c.format, c.color) = (PixelFormat::Bgra, ColorInfo::BT709);
            }),
        ),
    ] {
        for word in message {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
    }
}

#[test]
fn other_backends_settings_and_odd_depths_of_flight_are_refused() {
    assert!(own(&BackendEncodeConfig::Software(SoftwareEncodeConfig::default()), Codec::H264).is_err());
    let by_codec =
        NvidiaEncodeConfig { max_in_flight_by_codec: vec![(Codec::Hevc, 65)], ..Default::default() };
    let said = own(&BackendEncodeConfig::Nvidia(by_codec), Codec::H264).unwrap_err().to_string();
    assert!(said.contains("max_in_flight_by_codec 65 with hevc") && said.contains("1 to 64"), "{said}");
    for (pictures, fits) in [(0, false), (1, true), (64, true), (65, false)] {
        let special = NvidiaEncodeConfig { max_in_flight_outputs: pictures, ..Default::default() };
        assert_eq!(own(&BackendEncodeConfig::Nvidia(special), Codec::H264).is_ok(), fits, "{pictures}");
    }
}

#[test]
fn what_is_left_open_is_the_presets_within_the_chips_means() {
    let own = NvidiaEncodeConfig::default();
    let open = negotiate(&config(Codec::H264), &own, &caps()).unwrap();
    assert_eq!((open.preset, open.tuning), (PRESETS[3], tuning::HIGH_QUALITY));
    assert_eq!(open.rate, Rate::Quality { quality: default_quality(Codec::H264), max: None });
    assert_eq!(open.structure(3, 250), (3, 250));
    assert_eq!(open.structure(5, 250), (3, 250), "no more than the chip can");
    assert_eq!(open.structure(2, u32::MAX), (2, DEFAULT_GOP), "B frames need an end");
    let short = CommonEncodeConfig { gop_length: Some(2), ..config(Codec::H264) };
    assert_eq!(negotiate(&short, &own, &caps()).unwrap().structure(3, 250), (1, 2));
    let live = negotiate(&config(Codec::H264).low_latency(true), &own, &caps()).unwrap();
    assert_eq!((live.tuning, live.structure(3, u32::MAX)), (tuning::LOW_LATENCY, (0, u32::MAX)));
    assert_eq!(live.tools.lookahead, Some(0));
}

#[test]
fn the_display_size_holds_the_sample_aspect_ratio() {
    let wide = CommonEncodeConfig { sample_aspect_ratio: Rational::new(16, 11), ..config(Codec::Hevc) };
    let settings = negotiate(&wide, &NvidiaEncodeConfig::default(), &caps()).unwrap();
    assert_eq!(settings.display, (256, 99));
}

#[test]
fn rgb_is_signalled_as_the_driver_converts_it() {
    let rgb = CommonEncodeConfig { format: PixelFormat::Bgra, color: ColorInfo::SRGB, ..config(Codec::H264) };
    let settings = negotiate(&rgb, &NvidiaEncodeConfig::default(), &caps()).unwrap();
    assert_eq!(settings.signal, Signal { full_range: Some(false), colour: Some((1, 13, 5)) });
}

/// The refusal of a changed setting, and which words it has to have.
macro_rules! refused {
    ($($message:expr => |$config:pat_param, $own:pat_param, $caps:pat_param| $change:expr;)*) => {$(
        let said = refusal(|$config, $own, $caps| $change);
        for word in $message {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
    )*};
}

const CBR: Option<RateControl> = Some(RateControl::Cbr { bitrate_bps: 1_000_000 });
const CONST_QP: Option<RateControl> = Some(RateControl::ConstQp { intra: 1, inter_p: 1, inter_b: 1 });

#[test]
fn rate_and_buffer_are_refused_by_name() {
    refused! {
        ["rate_control quality 0", "1 (best) to 51"] =>
            |c, _, _| c.rate_control = Some(RateControl::Quality { quality: 0, max_bps: None });
        ["rate_control quality 52", "1 (best) to 51"] =>
            |c, _, _| c.rate_control = Some(RateControl::Quality { quality: 52, max_bps: None });
        ["rate_control quality max_bps 0"] =>
            |c, _, _| c.rate_control = Some(RateControl::Quality { quality: 20, max_bps: Some(0) });
        ["rate_control quality", "SUPPORTED_RATECONTROL_MODES"] => |c, _, caps| {
            c.rate_control = Some(RateControl::Quality { quality: 20, max_bps: None });
            caps.rate_modes = rate::CBR;
        };
        ["vbv_bits 5", "SUPPORT_CUSTOM_VBV_BUF_SIZE is 0"] =>
            |c, _, caps| (c.rate_control, c.vbv_bits, caps.custom_vbv) = (CBR, Some(5), false);
        ["vbv_bits 5", "cbr, vbr, or quality with max_bps"] =>
            |c, _, _| (c.rate_control, c.vbv_bits) = (CONST_QP, Some(5));
        ["vbv_bits 0", "1 to 4294967295 bits"] => |c, _, _| (c.rate_control, c.vbv_bits) = (CBR, Some(0));
        ["vbv_initial_bits 6", "1 to 5 (vbv_bits)"] => |c, _, _| {
            (c.rate_control, c.vbv_bits, c.vbv_initial_bits) = (CBR, Some(5), Some(6));
        };
        ["vbv_initial_bits 6", "none without vbv_bits"] => |c, _, _| c.vbv_initial_bits = Some(6);
    }
}

#[test]
fn profiles_are_refused_by_name() {
    refused! {
        ["profile main10", "baseline, main, high, high444", "yuv420p"] =>
            |c, _, _| c.profile = Some(Profile::Main10);
        ["profile high", "high10", "p010le"] =>
            |c, _, _| (c.profile, c.format) = (Some(Profile::High), PixelFormat::P010);
        ["profile high", "high444", "without loss"] =>
            |c, own, _| (c.profile, own.tuning) = (Some(Profile::High), Some("lossless".into()));
        ["profile baseline", "b_frames is 2"] =>
            |c, _, _| (c.profile, c.b_frames) = (Some(Profile::Baseline), Some(2));
        ["profile main", "main10", "p010le", "hevc"] =>
            |c, _, _| (c.codec, c.profile, c.format) = (Codec::Hevc, Some(Profile::Main), PixelFormat::P010);
        ["profile main", "rext", "yuv444p"] =>
            |c, _, _| (c.codec, c.profile, c.format) = (Codec::Hevc, Some(Profile::Main), PixelFormat::I444);
    }
}

#[test]
fn tools_are_refused_by_name() {
    refused! {
        ["multi_pass full", "off", "constqp"] =>
            |c, own, _| (c.rate_control, own.multi_pass) = (CONST_QP, Some(MultiPass::Full));
        ["lookahead 8", "SUPPORT_LOOKAHEAD is 0"] =>
            |_, own, caps| (own.lookahead, caps.lookahead) = (Some(8), false);
        ["lookahead 30", "0 to 29 (31 less 2 B frames)"] =>
            |c, own, _| (c.b_frames, own.lookahead) = (Some(2), Some(30));
        ["lookahead 8", "low latency"] => |c, own, _| (c.low_latency, own.lookahead) = (true, Some(8));
        ["lookahead_level 1", "API 12.2", "speaks 12.1"] => |_, own, caps| {
            (own.lookahead, own.lookahead_level, caps.api) = (Some(8), Some(1), Api::V12_1);
        };
        ["lookahead_level 2", "0 to 1", "SUPPORT_LOOKAHEAD_LEVEL is 1"] => |_, own, caps| {
            (own.lookahead, own.lookahead_level, caps.lookahead_level) = (Some(8), Some(2), 1);
        };
        ["lookahead_level 4", "0 to 3"] =>
            |_, own, _| (own.lookahead, own.lookahead_level) = (Some(8), Some(4));
        ["lookahead_level 1", "lookahead is 1 or more"] => |_, own, _| own.lookahead_level = Some(1);
        ["spatial_aq 16", "1 (weak) to 15"] => |_, own, _| own.spatial_aq = Some(SpatialAq::Strength(16));
        ["spatial_aq 0", "off, auto"] => |_, own, _| own.spatial_aq = Some(SpatialAq::Strength(0));
        ["spatial_aq", "lossless"] =>
            |_, own, _| (own.spatial_aq, own.tuning) = (Some(SpatialAq::Auto), Some("lossless".into()));
        ["temporal_aq true", "SUPPORT_TEMPORAL_AQ is 0"] =>
            |_, own, caps| (own.temporal_aq, caps.temporal_aq) = (Some(true), false);
        ["b_reference each", "off, middle", "SUPPORT_BFRAME_REF_MODE is 2"] =>
            |_, own, _| own.b_reference = Some(BReference::Each);
        ["b_reference middle", "no B frames"] =>
            |c, own, _| (c.b_frames, own.b_reference) = (Some(0), Some(BReference::Middle));
        ["tuning uhq", "hevc from driver API 12.2", "speaks 13.0"] => |_, own, _| own.tuning = Some("uhq".into());
        ["tuning uhq", "speaks 12.1"] => |c, own, caps| {
            (c.codec, own.tuning, caps.api) = (Codec::Hevc, Some("uhq".into()), Api::V12_1);
        };
    }
}

#[test]
fn intra_refresh_is_refused_by_name() {
    let refresh = |period, frames| Some(IntraRefresh { period, frames });
    refused! {
        ["intra_refresh", "SUPPORT_INTRA_REFRESH is 0"] =>
            |_, own, caps| (own.intra_refresh, caps.intra_refresh) = (refresh(60, 30), false);
        ["intra_refresh period 1", "2 frames and more"] => |_, own, _| own.intra_refresh = refresh(1, 1);
        ["intra_refresh frames 60", "1 to 59"] => |_, own, _| own.intra_refresh = refresh(60, 60);
        ["intra_refresh frames 0", "1 to 59"] => |_, own, _| own.intra_refresh = refresh(60, 0);
        ["b_frames 1", "refreshes"] => |c, own, _| (c.b_frames, own.intra_refresh) = (Some(1), refresh(60, 30));
        ["gop_length 250", "takes the place of IDR"] =>
            |c, own, _| (c.gop_length, own.intra_refresh) = (Some(250), refresh(60, 30));
        ["intra_refresh", "force_idr"] =>
            |c, own, _| (c.force_idr, own.intra_refresh) = (true, refresh(60, 30));
    }
}

#[test]
fn refused_metadata_says_what_cannot_be() {
    let upside_down = CommonEncodeConfig {
        mastering_display: Some(crate::hdr::MasteringDisplay {
            red: crate::hdr::Chromaticity::default(),
            green: crate::hdr::Chromaticity::default(),
            blue: crate::hdr::Chromaticity::default(),
            white: crate::hdr::Chromaticity::default(),
            max_luminance: 1,
            min_luminance: 2,
        }),
        ..config(Codec::Hevc)
    };
    let refused = negotiate(&upside_down, &NvidiaEncodeConfig::default(), &caps()).unwrap_err();
    assert!(refused.to_string().contains("L(1,2)"), "{refused}");
}

#[test]
fn what_is_asked_for_together_makes_room_for_each_other() {
    let wanted = NvidiaEncodeConfig { lookahead: Some(30), ..Default::default() };
    let far = negotiate(&config(Codec::H264), &wanted, &caps()).unwrap();
    assert_eq!(far.structure(3, 250), (1, 250), "31 frames are held back at most");
    let wanted = NvidiaEncodeConfig {
        intra_refresh: Some(IntraRefresh { period: 60, frames: 9 }),
        ..Default::default()
    };
    let refreshed = negotiate(&config(Codec::Hevc), &wanted, &caps()).unwrap();
    assert_eq!(refreshed.structure(3, 250), (0, INFINITE_GOP));
    assert_eq!(refreshed.tools.lookahead, Some(0));
    let wanted = NvidiaEncodeConfig { max_in_flight_by_codec: vec![(Codec::Hevc, 3)], ..Default::default() };
    assert_eq!(negotiate(&config(Codec::Hevc), &wanted, &caps()).unwrap().max_in_flight, 3);
    assert_eq!(negotiate(&config(Codec::H264), &wanted, &caps()).unwrap().max_in_flight, 6);
}

#[test]
fn av1_has_its_own_ranges_and_no_b_frames() {
    let quality = |quality| CommonEncodeConfig {
        rate_control: Some(RateControl::Quality { quality, max_bps: None }),
        ..config(Codec::Av1)
    };
    let own = NvidiaEncodeConfig::default();
    let best = negotiate(&quality(63), &own, &caps()).unwrap();
    assert_eq!((best.rate, best.b_frames), (Rate::Quality { quality: 63, max: None }, Some(0)));
    assert!(negotiate(&quality(64), &own, &caps()).unwrap_err().to_string().contains("1 (best) to 63"));
    let b = CommonEncodeConfig { b_frames: Some(1), ..config(Codec::Av1) };
    let said = negotiate(&b, &own, &caps()).unwrap_err().to_string();
    assert!(said.contains("b_frames 1") && said.contains("B frames of av1 are not used"), "{said}");
    let full = CommonEncodeConfig { format: PixelFormat::I444, ..config(Codec::Av1) };
    assert!(negotiate(&full, &own, &caps()).unwrap_err().to_string().contains("format yuv444p"));
}
