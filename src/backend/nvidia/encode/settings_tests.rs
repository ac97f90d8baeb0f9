//! Settings against capabilities: what is refused, and in which words.

use super::*;

fn caps() -> Caps {
    Caps {
        max_b_frames: 3,
        rate_modes: rate::VBR | rate::CBR,
        width: (145, 4096),
        height: (49, 4096),
        max_macroblocks: 65_536,
        lossless: true,
        lookahead: true,
        ten_bit: true,
        dynamic_size: true,
        dynamic_bitrate: true,
        dynamic_rate_mode: true,
        formats: vec![format::NV12, format::P010, format::BGRA, format::RGBA],
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
    for (words, said) in [
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
        (&["format yuv444p", "nv12, yuv420p"], refusal(|c, _, _| c.format = PixelFormat::I444)),
        (&["format p010le"], refusal(|c, _, _| c.format = PixelFormat::P010)),
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
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
    }
}

#[test]
fn other_backends_settings_and_odd_depths_of_flight_are_refused() {
    assert!(
        own(&BackendEncodeConfig::Software(crate::config::SoftwareEncodeConfig::default()), Codec::H264)
            .is_err()
    );
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
    assert_eq!(open.rate, Rate::Quality(DEFAULT_QUALITY));
    assert_eq!(open.structure(3, 250), (3, 250));
    assert_eq!(open.structure(5, 250), (3, 250), "no more than the chip can");
    assert_eq!(open.structure(2, u32::MAX), (2, DEFAULT_GOP), "B frames need an end");
    let short = CommonEncodeConfig { gop_length: Some(2), ..config(Codec::H264) };
    assert_eq!(negotiate(&short, &own, &caps()).unwrap().structure(3, 250), (1, 2));
    let live = negotiate(&config(Codec::H264).low_latency(), &own, &caps()).unwrap();
    assert_eq!((live.tuning, live.structure(3, u32::MAX)), (tuning::LOW_LATENCY, (0, u32::MAX)));
    assert!(!live.lookahead);
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
