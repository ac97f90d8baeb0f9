//! The contract of the encoder: random settings (`support/encoded.rs`), each held against what the frameworks were told and what
//! ffprobe finds.

use std::collections::BTreeMap;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, Profile, RateControl};
use video_hw::dimensions::Dimensions;
use video_hw::pixel::PixelFormat;
use video_hw::time::Rational;

use crate::support::encoded::{Plan, seed, settings_of_sessions};
use crate::support::failover::{Random, long, say};
use crate::support::nvenc::{HEIGHT, WIDTH, have_ffmpeg};
use crate::support::videotoolbox::clean;

/// Configurations, and those of the short form.
const ALL: usize = 60;
const SHORT: usize = 20;

const DISPLAY: &str = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";
/// The same as an SEI message has it: green, blue, red, white point, luminance.
const VOLUME: &str = "33c286c41d4c0bb884d03e803d1340420098968000000032";

const PQ: ColorInfo = ColorInfo {
    matrix: MatrixCoefficients::Bt2020Ncl,
    primaries: ColorPrimaries::Bt2020,
    transfer: TransferCharacteristics::Pq,
    range: Some(ColorRange::Limited),
};
const NTSC: ColorInfo = ColorInfo {
    matrix: MatrixCoefficients::Smpte170M,
    primaries: ColorPrimaries::Smpte170M,
    transfer: TransferCharacteristics::Bt709,
    range: Some(ColorRange::Limited),
};

fn plan(random: &mut Random) -> Plan {
    let codec = random.of(&[Codec::H264, Codec::Hevc]);
    let low_latency = random.one_in(4);
    let formats = [PixelFormat::Nv12, PixelFormat::I420, PixelFormat::P010];
    let format = random.of(if codec == Codec::Hevc { &formats } else { &formats[..2] });
    let profiles = match (codec, format) {
        (Codec::H264, _) => [Profile::Main, Profile::High, Profile::Baseline],
        (_, PixelFormat::P010) => [Profile::Main10; 3],
        _ => [Profile::Main; 3],
    };
    let profile = random.one_in(2).then(|| random.of(&profiles));
    let most = if low_latency || profile == Some(Profile::Baseline) { 0 } else { 2 };
    let b_frames = random.within(0, most) as u32;
    let bit_rate = random.within(300, 8000) as u32 * 1000;
    let rate_control = match random.within(0, 4) {
        0 => None,
        1 => Some(RateControl::Cbr { bitrate_bps: bit_rate }),
        2 => Some(RateControl::Vbr { avg_bps: bit_rate, max_bps: None }),
        3 => Some(RateControl::Vbr { avg_bps: bit_rate, max_bps: Some(bit_rate * 2) }),
        _ => Some(RateControl::Quality { quality: random.within(1, 51) as u8, max_bps: None }),
    };
    let mut side = |most: usize| 2 * random.within(24, most / 2) as u32;
    let size = Dimensions::new(side(WIDTH), side(HEIGHT)).unwrap();
    let full = ColorInfo { range: Some(ColorRange::Full), ..ColorInfo::BT709 };
    let is_hdr = format == PixelFormat::P010 && random.one_in(2);
    let color = if is_hdr { PQ } else { random.of(&[ColorInfo::BT709, NTSC, full]) };
    let (num, den) = random.of(&[(25, 1), (30_000, 1001)]);
    let common = CommonEncodeConfig::new(codec, size, Rational::new(num, den).unwrap())
        .format(format)
        .rate_control(rate_control)
        .gop_length((!random.one_in(4)).then(|| random.within(3, 20) as u32))
        .b_frames((!random.one_in(6)).then_some(b_frames))
        .low_latency(low_latency)
        .profile(profile)
        .color(color)
        .sample_aspect_ratio(random.one_in(3).then(|| Rational::new(4, 3)).flatten())
        .mastering_display(if is_hdr { DISPLAY.parse().ok() } else { None })
        .content_light(if is_hdr { "1000,400".parse().ok() } else { None });
    let frames = random.within(1, 24);
    Plan::new(BackendKind::VideoToolbox, common, BackendEncodeConfig::None, frames, random)
}

/// What the frameworks have to be told.
fn told(common: &CommonEncodeConfig) -> Vec<(&'static str, String)> {
    let mut told = match common.rate_control {
        None => vec![("Quality", "0.5".to_owned())],
        Some(RateControl::Cbr { bitrate_bps }) => vec![("ConstantBitRate", bitrate_bps.to_string())],
        Some(RateControl::Vbr { avg_bps, max_bps }) => {
            let limits = max_bps.map(|max| ("DataRateLimits", format!("{} 1", max.div_ceil(8))));
            [("AverageBitRate", avg_bps.to_string())].into_iter().chain(limits).collect()
        }
        Some(RateControl::Quality { quality, .. }) => {
            vec![("Quality", (f64::from(51 - quality) / 50.0).to_string())]
        }
        Some(RateControl::ConstQp { .. }) => unreachable!(),
    };
    let level = match (common.codec, common.profile) {
        (Codec::H264, Some(Profile::Baseline)) => "H264_Baseline_AutoLevel",
        (Codec::H264, Some(Profile::Main)) => "H264_Main_AutoLevel",
        (Codec::H264, _) => "H264_High_AutoLevel",
        _ if common.format == PixelFormat::P010 => "HEVC_Main10_AutoLevel",
        _ => "HEVC_Main_AutoLevel",
    };
    told.extend([
        ("ProfileLevel", level.to_owned()),
        ("MaxKeyFrameInterval", common.gop_length.unwrap_or(250).to_string()),
        ("AllowFrameReordering", (common.b_frames.unwrap_or(0) > 0).to_string()),
        ("ExpectedFrameRate", common.frame_rate.as_f64().to_string()),
        ("AllowOpenGOP", "false".to_owned()),
    ]);
    if common.low_latency {
        told.extend([("RealTime", "true".to_owned()), ("MaxFrameDelayCount", "0".to_owned())]);
    }
    if common.content_light.is_some() {
        told.push(("ContentLightLevelInfo", "03e80190".to_owned()));
        told.push(("MasteringDisplayColorVolume", VOLUME.to_owned()));
    }
    told
}

/// Holds what ffprobe says of the stream against the settings.
fn check_stream(common: &CommonEncodeConfig, stream: &BTreeMap<String, String>) {
    let full = common.color.range == Some(ColorRange::Full);
    let profile = match (common.codec, common.profile) {
        (Codec::H264, Some(Profile::Baseline)) => "Constrained Baseline",
        (Codec::H264, Some(Profile::Main)) => "Main",
        (Codec::H264, _) => "High",
        _ if common.format == PixelFormat::P010 => "Main 10",
        _ => "Main",
    };
    let (primaries, transfer, space) = match common.color.matrix {
        MatrixCoefficients::Bt2020Ncl => ("bt2020", "smpte2084", "bt2020nc"),
        MatrixCoefficients::Smpte170M => ("smpte170m", "bt709", "smpte170m"),
        _ => ("bt709", "bt709", "bt709"),
    };
    for (name, wanted) in [
        ("codec_name", common.codec.name().to_owned()),
        ("profile", profile.to_owned()),
        ("width", common.dimensions.width().to_string()),
        ("height", common.dimensions.height().to_string()),
        ("color_range", if full { "pc" } else { "tv" }.to_owned()),
        ("color_primaries", primaries.to_owned()),
        ("color_transfer", transfer.to_owned()),
        ("color_space", space.to_owned()),
        ("sample_aspect_ratio", common.sample_aspect_ratio.map_or("1:1", |_| "4:3").to_owned()),
    ] {
        let found = &stream[name];
        // A shape that is not stated is that of a square.
        assert!(*found == wanted || (found == "N/A" && wanted == "1:1"), "{name}: {found}, not {wanted}");
    }
    let ten = common.format == PixelFormat::P010;
    assert_eq!(stream["pix_fmt"].ends_with("10le"), ten, "{}", stream["pix_fmt"]);
}

#[test]
fn random_settings_are_in_the_stream() {
    let (seed, count) = (seed(), if long() { ALL } else { SHORT });
    say(&format!("random_settings_are_in_the_stream: seed {seed} (VIDEO_HW_RANDOM_SEED), {count} of {ALL}"));
    let plans = || {
        let mut random = Random::new(seed.wrapping_mul(1000));
        (0..count).map(move |_| plan(&mut random))
    };
    let run = clean("random_settings_are_in_the_stream", "", || {
        for (number, plan) in plans().enumerate() {
            // Seen when it fails.
            eprintln!("seed {seed}, configuration {number}: {plan:?}");
            let packets = plan.run();
            plan.check(&packets);
            if have_ffmpeg() {
                check_stream(&plan.common, &plan.judge(&packets, 'B'));
            }
        }
    });
    let Some(run) = run else { return };
    let sessions = settings_of_sessions(run.report());
    assert_eq!(sessions.len(), count, "one session each, whatever was flushed");
    for (number, (settings, plan)) in sessions.iter().zip(plans()).enumerate() {
        for (key, value) in told(&plan.common) {
            assert_eq!(settings.get(key), Some(&value), "{key} of configuration {number}: {plan:?}");
        }
    }
}
