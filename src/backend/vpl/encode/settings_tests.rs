#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::backend::vpl::driver::abi::InfoMfx;
use crate::backend::vpl::driver::abi::names::{
    RATECONTROL_CBR, RATECONTROL_CQP, RATECONTROL_ICQ, RATECONTROL_LA, RATECONTROL_LA_HRD,
    RATECONTROL_LA_ICQ, RATECONTROL_QVBR, RATECONTROL_VBR,
};
use crate::backend::vpl::encode::configure::parameters;
use crate::config::RateControl;

fn caps() -> Caps {
    Caps {
        max_side: 4096,
        ten_bit: true,
        max_b_frames: 7,
        cbr: true,
        vbr: true,
        const_qp: true,
        quality: true,
        limited_quality: true,
        lookahead: true,
    }
}

fn config(codec: Codec) -> CommonEncodeConfig {
    let size = Dimensions::new(1280, 722).unwrap();
    CommonEncodeConfig::new(codec, size, Rational::new(30, 1).unwrap())
}

fn coding(config: &CommonEncodeConfig, own: &VplEncodeConfig) -> InfoMfx {
    *parameters(&negotiate(config, own, &caps()).unwrap(), None).video().coding()
}

#[test]
fn presets_are_target_usages() {
    let of = |preset: Option<&str>, tuning: Option<&str>| {
        let own =
            VplEncodeConfig::default().preset(preset.map(str::to_owned)).tuning(tuning.map(str::to_owned));
        let settings = negotiate(&config(Codec::H264), &own, &caps()).unwrap();
        (settings.usage, settings.low_latency)
    };
    assert_eq!(of(None, None), (4, false));
    assert_eq!(of(Some("p1"), None), (7, false));
    assert_eq!(of(Some("p7"), Some("hq")), (1, false));
    assert_eq!(of(Some("p2"), Some("uhq")), (1, false));
    assert_eq!(of(Some("p2"), Some("ull")), (6, true));
}

#[test]
fn rates_are_written_where_their_method_has_them() {
    let of = |codec, rate, own: &VplEncodeConfig| {
        let coding = coding(&config(codec).rate_control(rate), own);
        (coding.rate_control, coding.initial_delay, coding.target_kbps, coding.max_kbps)
    };
    let none = VplEncodeConfig::default();
    let vbr = |max_bps| RateControl::Vbr { avg_bps: 2_000_000, max_bps };
    let quality = |quality, max_bps| RateControl::Quality { quality, max_bps };
    let qp = RateControl::ConstQp { intra: 20, inter_p: 22, inter_b: 24 };
    let h264 = Codec::H264;
    assert_eq!(
        of(h264, Some(RateControl::Cbr { bitrate_bps: 2_000_001 }), &none),
        (RATECONTROL_CBR, 0, 2001, 2001)
    );
    assert_eq!(of(h264, Some(vbr(None)), &none), (RATECONTROL_VBR, 0, 2000, 4000));
    assert_eq!(of(h264, Some(vbr(Some(3_000_000))), &none), (RATECONTROL_VBR, 0, 2000, 3000));
    assert_eq!(of(h264, Some(qp), &none), (RATECONTROL_CQP, 20, 22, 24));
    assert_eq!(of(h264, Some(quality(20, None)), &none), (RATECONTROL_ICQ, 0, 20, 0));
    assert_eq!(of(h264, None, &none), (RATECONTROL_ICQ, 0, 26, 0));
    assert_eq!(of(h264, Some(quality(20, Some(9_000_000))), &none), (RATECONTROL_QVBR, 0, 9000, 9000));
    // Both ends of another scale.
    assert_eq!(of(Codec::Av1, Some(quality(63, None)), &none), (RATECONTROL_ICQ, 0, 51, 0));
    assert_eq!(of(Codec::Av1, Some(quality(1, None)), &none), (RATECONTROL_ICQ, 0, 1, 0));
    let ahead = none.clone().lookahead(20);
    assert_eq!(of(h264, Some(vbr(None)), &ahead).0, RATECONTROL_LA);
    assert_eq!(of(h264, Some(vbr(Some(3_000_000))), &ahead).0, RATECONTROL_LA_HRD);
    assert_eq!(of(h264, None, &ahead).0, RATECONTROL_LA_ICQ);
    // HEVC of 10 bits counts quantisers from -12.
    let ten = config(Codec::Hevc).format(PixelFormat::P010).rate_control(qp);
    assert_eq!(coding(&ten, &none).initial_delay, 32);
}

/// Numbers beyond 16 bits have a factor, and none of them becomes less.
#[test]
fn large_rates_have_a_factor() {
    let config = config(Codec::Hevc)
        .rate_control(RateControl::Vbr { avg_bps: 100_000_000, max_bps: Some(300_000_000) })
        .vbv_bits(900_000_000);
    let coding = coding(&config, &VplEncodeConfig::default());
    let of = |number: u16| u32::from(number) * u32::from(coding.multiplier);
    assert_eq!(coding.multiplier, 5);
    for (number, wanted) in
        [(coding.target_kbps, 100_000), (coding.max_kbps, 300_000), (coding.buffer_size, 112_500)]
    {
        assert!((wanted..wanted + 5).contains(&of(number)), "{} for {wanted}", of(number));
    }
}

#[test]
fn surfaces_are_larger_than_pictures() {
    let info = coding(&config(Codec::H264), &VplEncodeConfig::default()).frame_info;
    assert_eq!((info.width, info.height, info.crop_w, info.crop_h), (1280, 736, 1280, 722));
}

#[test]
fn a_pyramid_reorders_by_its_levels() {
    let reorder = |b_frames, pyramid: Option<bool>| {
        let own = VplEncodeConfig::default().b_pyramid(pyramid);
        let settings = negotiate(&config(Codec::H264).b_frames(b_frames), &own, &caps()).unwrap();
        settings.reorder(settings.b_frames)
    };
    assert_eq!([0, 1, 2, 3, 7].map(|b_frames| reorder(b_frames, None)), [0, 1, 1, 2, 3]);
    assert_eq!([2, 3].map(|b_frames| reorder(b_frames, Some(true))), [2, 2]);
    assert_eq!(reorder(7, Some(false)), 1);
}

#[test]
fn a_gpu_of_less_is_not_asked_for_more() {
    let less = Caps { quality: false, limited_quality: false, cbr: false, ..caps() };
    let none = VplEncodeConfig::default();
    let settings = negotiate(&config(Codec::Av1), &none, &less).unwrap();
    assert_eq!(settings.rate, Rate::ConstQp { i: 128, p: 128, b: 128 });
    let cbr = config(Codec::H264).rate_control(RateControl::Cbr { bitrate_bps: 1 });
    let said = negotiate(&cbr, &none, &less).unwrap_err().to_string();
    assert!(said.contains("rate_control cbr") && said.contains("vbr, constqp"), "{said}");
}
