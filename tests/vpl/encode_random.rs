//! The contract of the encoder: random settings (`support/encoded.rs`), each held against what the runtime was told and what
//! ffprobe finds.

use std::collections::BTreeMap;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::color::{ColorInfo, ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, Profile, RateControl, VplEncodeConfig};
use video_hw::dimensions::Dimensions;
use video_hw::pixel::PixelFormat;
use video_hw::time::Rational;

use crate::support::encoded::{Plan, seed};
use crate::support::failover::{Random, long, say};
use crate::support::nvenc::{HEIGHT, WIDTH, have_ffmpeg};
use crate::support::vpl::clean;

/// Configurations, and those of the short form.
const ALL: usize = 60;
const SHORT: usize = 12;

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
    let most = if low_latency || profile == Some(Profile::Baseline) { 0 } else { 3 };
    let b_frames = random.within(0, most) as u32;
    let bit_rate = random.within(300, 8000) as u32 * 1000;
    let mut qp = || random.within(1, 51) as u8;
    let (intra, inter_p, inter_b) = (qp(), qp(), qp());
    let rate_control = match random.within(0, 6) {
        0 => None,
        1 => Some(RateControl::Cbr { bitrate_bps: bit_rate }),
        2 => Some(RateControl::Vbr { avg_bps: bit_rate, max_bps: None }),
        3 => Some(RateControl::Vbr { avg_bps: bit_rate, max_bps: Some(bit_rate * 2) }),
        4 => Some(RateControl::ConstQp { intra, inter_p, inter_b }),
        5 => Some(RateControl::Quality { quality: intra, max_bps: Some(bit_rate) }),
        _ => Some(RateControl::Quality { quality: intra, max_bps: None }),
    };
    let counts_bits = matches!(rate_control, Some(RateControl::Cbr { .. } | RateControl::Vbr { .. }));
    let mut side = |most: usize| 2 * random.within(24, most / 2) as u32;
    let size = Dimensions::new(side(WIDTH), side(HEIGHT)).unwrap();
    let full = ColorInfo { range: Some(ColorRange::Full), ..ColorInfo::BT709 };
    let (num, den) = random.of(&[(25, 1), (30_000, 1001)]);
    let common = CommonEncodeConfig::new(codec, size, Rational::new(num, den).unwrap())
        .format(format)
        .rate_control(rate_control)
        .vbv_bits((counts_bits && random.one_in(3)).then_some(bit_rate * 2))
        .gop_length((!random.one_in(4)).then(|| random.within(3, 20) as u32))
        .b_frames((!random.one_in(6)).then_some(b_frames))
        .low_latency(low_latency)
        .profile(profile)
        .color(random.of(&[ColorInfo::BT709, NTSC, full]))
        .sample_aspect_ratio(random.one_in(3).then(|| Rational::new(4, 3)).flatten());
    let ahead = matches!(rate_control, Some(RateControl::Vbr { .. })) && codec == Codec::H264 && !low_latency;
    let special = VplEncodeConfig::default()
        .max_in_flight_outputs(random.within(1, 8))
        .preset(random.one_in(2).then(|| format!("p{}", random.within(1, 7))))
        // Refused with fewer B frames than two.
        .b_pyramid(random.one_in(2).then(|| random.one_in(2) && common.b_frames >= Some(2)))
        .lookahead((ahead && random.one_in(2)).then_some(20));
    let frames = random.within(1, 24);
    Plan::new(BackendKind::Qsv, common, BackendEncodeConfig::Vpl(special), frames, random)
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

/// `RateControlMethod`
fn method(plan: &Plan) -> u64 {
    let BackendEncodeConfig::Vpl(own) = &plan.special else { unreachable!() };
    match plan.common.rate_control {
        Some(RateControl::Cbr { .. }) => 1,
        Some(RateControl::Vbr { max_bps, .. }) if own.lookahead.is_some() => {
            if max_bps.is_some() {
                13
            } else {
                8
            }
        }
        Some(RateControl::Vbr { .. }) => 2,
        Some(RateControl::ConstQp { .. }) => 3,
        Some(RateControl::Quality { max_bps: Some(_), .. }) => 14,
        None | Some(RateControl::Quality { .. }) => 9,
    }
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
    let numbers = |name: &str| -> Vec<u64> {
        let number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        run.report().split(&format!("\"{name}\": ")).skip(1).map(number).collect()
    };
    assert_eq!(run.calls("MFXVideoENCODE_Init"), count as u64, "one encoder each, whatever was flushed");
    assert_eq!(numbers("method"), plans().map(|plan| method(&plan)).collect::<Vec<_>>());
    let distances: Vec<_> = plans().map(|plan| u64::from(plan.common.b_frames.unwrap_or(0)) + 1).collect();
    assert_eq!(numbers("distance"), distances);
}
