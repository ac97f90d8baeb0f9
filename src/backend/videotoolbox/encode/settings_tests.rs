#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure here is a failed run")]

use super::*;
use crate::config::NvidiaEncodeConfig;
use crate::dimensions::Dimensions;

const NONE: BackendEncodeConfig = BackendEncodeConfig::None;

fn config(codec: Codec) -> CommonEncodeConfig {
    let size = Dimensions::new(1280, 720).unwrap();
    CommonEncodeConfig::new(codec, size, Rational::new(30_000, 1001).unwrap())
}

fn value(settings: &Settings, name: &str) -> Option<Value> {
    let full = format!("kVTCompressionPropertyKey_{name}");
    settings.properties.iter().find(|property| property.name == full).map(|property| property.value.clone())
}

#[test]
fn usual_settings_are_the_usual_properties() {
    let settings = negotiate(&config(Codec::H264), &NONE).unwrap();
    assert_eq!(value(&settings, "ProfileLevel"), Some(Value::Name("kVTProfileLevel_H264_High_AutoLevel")));
    assert_eq!(value(&settings, "AllowFrameReordering"), Some(Value::Bool(false)));
    assert_eq!(value(&settings, "MaxKeyFrameInterval"), Some(Value::Integer(250)));
    assert_eq!(value(&settings, "RealTime"), None);
    assert_eq!((settings.reorder, settings.wanted.pixel_format), (0, pixel_format::NV12_VIDEO));
    assert!(settings.wanted.hardware_alone && !settings.wanted.low_latency_rate);
    // Nobody asked for these by name: an encoder without them will do.
    assert!(
        settings.properties.iter().all(|property| property.setting.is_none()),
        "{:?}",
        settings.properties
    );
    let own = settings.rate.properties(true);
    assert_eq!(own[0].value, Value::Real(0.5));
    let own = settings.rate.properties(false);
    assert_eq!(
        (own[0].name, &own[0].value),
        ("kVTCompressionPropertyKey_AverageBitRate", &Value::Integer(2_762_037))
    );
}

#[test]
fn what_is_asked_for_is_a_property_that_must_be_there() {
    let mut config = config(Codec::Hevc)
        .format(PixelFormat::P010)
        .b_frames(2)
        .gop_length(48)
        .profile(Profile::Main10)
        .rate_control(RateControl::Vbr { avg_bps: 4_000_000, max_bps: Some(6_000_001) })
        .mastering_display(
            "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)".parse().ok(),
        )
        .content_light("1000,400".parse().ok())
        .sample_aspect_ratio(Rational::new(8, 6));
    config.color = ColorInfo {
        matrix: MatrixCoefficients::Bt2020Ncl,
        primaries: ColorPrimaries::Bt2020,
        transfer: TransferCharacteristics::Pq,
        range: Some(ColorRange::Full),
    };
    let special =
        BackendEncodeConfig::VideoToolbox(VtEncodeConfig::default().real_time(false).allow_cpu(true));
    let settings = negotiate(&config, &special).unwrap();
    assert_eq!((settings.reorder, settings.wanted.pixel_format), (2, pixel_format::P010_FULL));
    assert!(!settings.wanted.hardware_alone);
    assert_eq!(value(&settings, "PixelAspectRatio"), Some(Value::Ratio(4, 3)));
    assert_eq!(value(&settings, "YCbCrMatrix"), Some(Value::Name("kCVImageBufferYCbCrMatrix_ITU_R_2020")));
    assert_eq!(value(&settings, "ContentLightLevelInfo"), Some(Value::Data(vec![3, 0xe8, 1, 0x90])));
    let Some(Value::Data(display)) = value(&settings, "MasteringDisplayColorVolume") else { panic!("none") };
    assert_eq!((display.len(), &display[..4]), (24, &[0x33, 0xc2, 0x86, 0xc4][..]), "green first");
    let rate = settings.rate.properties(true);
    assert_eq!(rate[1].value, Value::Limit(750_001, 1.0), "whole bytes");
    let must = |name: &str| {
        let full = format!("kVTCompressionPropertyKey_{name}");
        let all = rate.iter().chain(&settings.properties);
        all.filter(|property| property.name == full).any(|property| property.setting.is_some())
    };
    for name in [
        "AverageBitRate",
        "DataRateLimits",
        "ProfileLevel",
        "AllowFrameReordering",
        "MaxKeyFrameInterval",
        "RealTime",
        "ColorPrimaries",
        "TransferFunction",
        "MasteringDisplayColorVolume",
        "PixelAspectRatio",
    ] {
        assert!(must(name), "{name}");
    }
    assert!(!must("AllowOpenGOP") && !must("ExpectedFrameRate"));
}

#[test]
fn low_latency_holds_nothing_back() {
    let low = config(Codec::H264).low_latency(true);
    let settings = negotiate(&low, &NONE).unwrap();
    assert_eq!(value(&settings, "MaxFrameDelayCount"), Some(Value::Integer(0)));
    assert_eq!(value(&settings, "RealTime"), Some(Value::Bool(true)));
    assert!(!settings.wanted.low_latency_rate, "that has no constant quality");
    let rate = RateControl::Vbr { avg_bps: 1_000_000, max_bps: None };
    let low_rate = |config| negotiate(&config, &NONE).unwrap().wanted.low_latency_rate;
    let average = low.clone().rate_control(rate);
    assert!(low_rate(average.clone()));
    assert!(low_rate(average.clone().profile(Profile::High)));
    assert!(!low_rate(average.profile(Profile::Baseline)), "high profiles alone");
    assert!(!low_rate(low.rate_control(RateControl::Cbr { bitrate_bps: 1_000_000 })), "nor a constant rate");
}

#[test]
fn qualities_are_on_the_scale_of_the_codec() {
    let share = |quality| match Rate::Quality(quality).properties(true)[0].value {
        Value::Real(share) => share,
        ref other => panic!("{other:?}"),
    };
    assert!((share(1) - 1.0).abs() < 1e-9 && share(51).abs() < 1e-9 && share(20) > share(21));
}

#[test]
fn numbers_of_a_rate_change_and_its_kind_does_not() {
    let average = |max| Rate::Average { bits: 1, max };
    assert!(average(None).is_of_kind(average(None)) && average(Some(2)).is_of_kind(average(None)));
    assert!(!average(None).is_of_kind(average(Some(2))), "a ceiling cannot be taken away");
    assert!(Rate::Quality(2).is_of_kind(Rate::Quality(1)) && !Rate::Quality(2).is_of_kind(Rate::Constant(1)));
}

#[test]
fn what_cannot_be_honoured_is_refused_with_what_is_allowed() {
    let refused = |config: CommonEncodeConfig, special: &BackendEncodeConfig, words: &[&str]| {
        let error = negotiate(&config, special).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, Error::Unsupported { .. }), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    };
    let h264 = || config(Codec::H264);
    let qp = RateControl::ConstQp { intra: 20, inter_p: 20, inter_b: 20 };
    refused(h264().rate_control(qp), &NONE, &["constqp 20", "the nearest is quality"]);
    let ceiling = RateControl::Quality { quality: 20, max_bps: Some(1) };
    refused(h264().rate_control(ceiling), &NONE, &["max_bps 1", "none"]);
    refused(h264().rate_control(RateControl::Quality { quality: 0, max_bps: None }), &NONE, &["quality 0"]);
    let below = RateControl::Vbr { avg_bps: 2, max_bps: Some(1) };
    refused(h264().rate_control(below), &NONE, &["max_bps 1", "2 (avg_bps)"]);
    refused(h264().b_frames(3), &NONE, &["b_frames 3", "0 to 2"]);
    refused(h264().frame_interval_p(4), &NONE, &["frame_interval_p 4", "1 to 3"]);
    refused(h264().b_frames(1).low_latency(true), &NONE, &["b_frames 1", "0 with low_latency"]);
    refused(h264().b_frames(1).profile(Profile::Baseline), &NONE, &["b_frames 1", "baseline"]);
    refused(h264().vbv_bits(1000), &NONE, &["vbv_bits 1000"]);
    refused(h264().gop_length(0), &NONE, &["gop_length 0"]);
    refused(h264().profile(Profile::High444), &NONE, &["profile high444", "baseline, main, high"]);
    refused(h264().format(PixelFormat::P010), &NONE, &["format p010le", "nv12, yuv420p"]);
    refused(config(Codec::Av1), &NONE, &["codec av1", "h264, hevc"]);
    refused(config(Codec::Hevc).format(PixelFormat::P010).profile(Profile::Main), &NONE, &["main10"]);
    let light = h264().content_light("1,1".parse().ok());
    refused(light.clone(), &NONE, &["content_light 1,1", "hevc with 10 bits"]);
    let wished = negotiate(&light.hdr_optional(true), &NONE).unwrap();
    assert!(wished.notes[0].contains("HDR10 metadata is not in the stream"), "{:?}", wished.notes);
    let mut odd = h264();
    odd.dimensions = Dimensions::new(101, 100).unwrap();
    refused(odd, &NONE, &["dimensions 101x100", "even sides"]);
    let mut gamma = h264();
    gamma.color.transfer = TransferCharacteristics::Gamma28;
    refused(gamma, &NONE, &["color transfer gamma28"]);
    let foreign = BackendEncodeConfig::Nvidia(NvidiaEncodeConfig::default());
    refused(h264(), &foreign, &["backend settings nvidia", "videotoolbox"]);
    let error = negotiate(&h264().device("1".to_owned()), &NONE).unwrap_err().to_string();
    assert!(error.contains("no device \"1\""), "{error}");
}
