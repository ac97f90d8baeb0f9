//! Every setting of NVENC on the simulated driver (`sims/nvidia/`): what the driver is told, what is seen of it in the stream,
//! and that what a chip has not is refused by name before the driver sees it.

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::{
    BReference, BackendEncodeConfig, CommonEncodeConfig, IntraRefresh, MultiPass, NvidiaEncodeConfig,
    Profile, RateControl, SpatialAq,
};
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::pixel::PixelFormat;
use video_hw::session::EncodeSession;

use crate::support::encoded::settings_of_sessions;
use crate::support::nvenc::{
    all_well, check_pictures, check_times, config, decoded, encode, frame, have_ffmpeg, open, planar,
};
use crate::support::nvidia::simulated_on;

const VERSIONS: [&str; 5] = ["11.1", "12.0", "12.1", "12.2", "13.0"];
/// Those whose structures differ most; `VIDEO_HW_LONG=1` tries every setting with all.
const FAR_APART: [&str; 2] = ["11.1", "13.0"];

pub(crate) fn versions() -> &'static [&'static str] {
    if crate::support::failover::long() { &VERSIONS } else { &FAR_APART }
}

/// A configuration, and what the driver has to have been told.
struct Case {
    common: CommonEncodeConfig,
    own: NvidiaEncodeConfig,
    told: &'static [(&'static str, &'static str)],
}

fn case(
    codec: Codec,
    change: impl FnOnce(&mut CommonEncodeConfig, &mut NvidiaEncodeConfig),
    told: &'static [(&'static str, &'static str)],
) -> Case {
    let mut common = config(codec).rate_control(None);
    let mut own = NvidiaEncodeConfig::default();
    change(&mut common, &mut own);
    Case { common, own, told }
}

/// Encodes some frames with each configuration and judges the pictures; then holds what the driver was told against
/// what it should have been.
fn run_cases(chip: &str, test: &str, settings: &str, cases: &[Case]) {
    let run = simulated_on(chip, test, settings, || {
        for Case { common, own, .. } in cases {
            let mut session = open(common, &BackendEncodeConfig::Nvidia(own.clone()));
            let packets = all_well(encode(&mut session, (0..12).map(|n| frame(n, common.format))));
            check_times(&packets, 0..12);
            if have_ffmpeg() {
                check_pictures(&decoded(common.codec, &packets), 0..12, planar);
            }
        }
    });
    let Some(run) = run else { return };
    run.assert_clean();
    let sessions = settings_of_sessions(&run.report);
    assert_eq!(sessions.len(), cases.len(), "{}", run.report);
    for (told, case) in sessions.iter().zip(cases) {
        for (key, value) in case.told {
            let found = told.get(*key).map(String::as_str);
            assert_eq!(
                found,
                Some(*value),
                "{key} on {settings}: {:?} {:?}: {told:?}",
                case.common,
                case.own
            );
        }
    }
}

const fn cbr(bitrate_bps: u32) -> RateControl {
    RateControl::Cbr { bitrate_bps }
}

#[test]
fn rates_and_buffers_arrive_in_every_version() {
    let cases = |codec| {
        [
            case(
                codec,
                |_, _| {},
                &[("rate_mode", "1"), ("quality", "26"), ("vbv", "0"), ("profile", "auto")],
            ),
            case(
                codec,
                |c, _| c.rate_control = Some(RateControl::Quality { quality: 20, max_bps: Some(9_000_000) }),
                &[("rate_mode", "1"), ("quality", "20"), ("max", "9000000"), ("average", "0")],
            ),
            case(
                codec,
                |c, _| {
                    (c.rate_control, c.vbv_bits, c.vbv_initial_bits) =
                        (Some(cbr(6_000_000)), Some(3_000_000), Some(2_000_000));
                },
                &[("rate_mode", "2"), ("average", "6000000"), ("vbv", "3000000"), ("vbv_initial", "2000000")],
            ),
            case(
                codec,
                |c, _| {
                    let rate = RateControl::Vbr { avg_bps: 6_000_000, max_bps: Some(8_000_000) };
                    (c.rate_control, c.vbv_bits) = (Some(rate), Some(8_000_000));
                },
                &[
                    ("rate_mode", "1"),
                    ("quality", "0"),
                    ("max", "8000000"),
                    ("vbv", "8000000"),
                    ("vbv_initial", "0"),
                ],
            ),
        ]
    };
    for version in versions() {
        let cases: Vec<_> = [Codec::H264, Codec::Hevc].into_iter().flat_map(cases).collect();
        let settings = format!("driver.nvenc={version}");
        run_cases("ada", "rates_and_buffers_arrive_in_every_version", &settings, &cases);
    }
}

fn tool_cases(codec: Codec) -> Vec<Case> {
    vec![
        case(codec, |_, own| own.multi_pass = Some(MultiPass::Full), &[("multi_pass", "2")]),
        case(codec, |_, own| own.multi_pass = Some(MultiPass::Quarter), &[("multi_pass", "1")]),
        // The preset has two passes.
        case(
            codec,
            |_, own| (own.preset, own.multi_pass) = (Some("p6".into()), Some(MultiPass::Off)),
            &[("multi_pass", "0"), ("preset", "6")],
        ),
        case(codec, |_, own| own.lookahead = Some(8), &[("lookahead", "8"), ("lookahead_level", "0")]),
        case(
            codec,
            |c, own| (c.b_frames, own.lookahead) = (Some(2), Some(29)),
            &[("lookahead", "29"), ("interval", "3")],
        ),
        // The preset looks ahead.
        case(
            codec,
            |_, own| (own.preset, own.lookahead) = (Some("p7".into()), Some(0)),
            &[("lookahead", "0"), ("preset", "7")],
        ),
        case(
            codec,
            |_, own| own.spatial_aq = Some(SpatialAq::Strength(7)),
            &[("spatial_aq", "1"), ("aq_strength", "7"), ("temporal_aq", "0")],
        ),
        case(
            codec,
            |_, own| (own.spatial_aq, own.temporal_aq) = (Some(SpatialAq::Auto), Some(true)),
            &[("spatial_aq", "1"), ("aq_strength", "0"), ("temporal_aq", "1")],
        ),
        case(codec, |_, own| own.spatial_aq = Some(SpatialAq::Off), &[("spatial_aq", "0")]),
        case(
            codec,
            |c, own| (c.b_frames, own.b_reference) = (Some(3), Some(BReference::Middle)),
            &[("b_reference", "2"), ("interval", "4")],
        ),
        case(codec, |_, own| own.b_reference = Some(BReference::Off), &[("b_reference", "0")]),
        case(
            codec,
            |_, own| own.intra_refresh = Some(IntraRefresh { period: 60, frames: 30 }),
            &[
                ("intra_refresh", "1"),
                ("intra_refresh_period", "60"),
                ("intra_refresh_count", "30"),
                ("gop", "4294967295"),
                ("interval", "1"),
            ],
        ),
        // The preset's depth makes room for more B frames than the preset has.
        case(
            codec,
            |c, own| (c.b_frames, own.preset) = (Some(4), Some("p7".into())),
            &[("lookahead", "27"), ("interval", "5")],
        ),
        case(codec, |_, own| own.tuning = Some("ull".into()), &[("tuning", "3"), ("interval", "1")]),
    ]
}

#[test]
fn tools_arrive_in_every_version() {
    for version in versions() {
        let cases: Vec<_> = [Codec::H264, Codec::Hevc].into_iter().flat_map(tool_cases).collect();
        run_cases("ada", "tools_arrive_in_every_version", &format!("driver.nvenc={version}"), &cases);
    }
}

#[test]
fn what_came_with_12_2_arrives() {
    for version in ["12.2", "13.0"] {
        let cases = [
            case(
                Codec::Hevc,
                |_, own| (own.lookahead, own.lookahead_level) = (Some(8), Some(1)),
                &[("lookahead", "8"), ("lookahead_level", "1")],
            ),
            case(
                Codec::Hevc,
                |_, own| own.tuning = Some("uhq".into()),
                &[("tuning", "5"), ("lookahead", "26")],
            ),
            case(
                Codec::Hevc,
                |_, own| (own.tuning, own.lookahead) = (Some("uhq".into()), Some(4)),
                &[("tuning", "5"), ("lookahead", "4")],
            ),
        ];
        run_cases("ada", "what_came_with_12_2_arrives", &format!("driver.nvenc={version}"), &cases);
    }
}

#[test]
fn profiles_arrive_and_are_in_the_stream() {
    let profile = |codec, profile, told| case(codec, |c, _| c.profile = Some(profile), told);
    for version in ["11.1", "13.0"] {
        let cases = [
            profile(Codec::H264, Profile::Baseline, &[("profile", "h264 baseline"), ("interval", "1")]),
            profile(Codec::H264, Profile::Main, &[("profile", "h264 main")]),
            profile(Codec::H264, Profile::High, &[("profile", "h264 high")]),
            profile(Codec::H264, Profile::High444, &[("profile", "h264 high 444"), ("chroma", "1")]),
            profile(Codec::Hevc, Profile::Main, &[("profile", "hevc main")]),
            profile(Codec::Hevc, Profile::Main10, &[("profile", "hevc main10"), ("chroma", "1")]),
            case(
                Codec::Hevc,
                |c, _| (c.format, c.profile) = (PixelFormat::P010, Some(Profile::Main10)),
                &[("profile", "hevc main10"), ("depth", "10")],
            ),
        ];
        run_cases("ada", "profiles_arrive_and_are_in_the_stream", &format!("driver.nvenc={version}"), &cases);
    }
}

/// Opens with a capability switched off: refused with these words, and the driver is not asked to initialise.
fn lacking(
    test: &str,
    capability: &str,
    change: impl Fn(&mut CommonEncodeConfig, &mut NvidiaEncodeConfig),
    words: &[&str],
) {
    for (codec, name) in [(Codec::H264, "h264"), (Codec::Hevc, "hevc")] {
        let settings = format!("device.0.nvenc.{name}.caps.{capability}");
        // The process that runs the body does not know which case it is: both codecs are tried, and the one that has
        // everything opens.
        let run = simulated_on("ada", test, &settings, || {
            for codec in [Codec::H264, Codec::Hevc] {
                let Case { common, own, .. } = case(codec, &change, &[]);
                let special = BackendEncodeConfig::Nvidia(own);
                match EncodeSession::with_special(BackendKind::Nvidia, common, &special) {
                    Ok(_) => say(&format!("OPENED {codec}\n")),
                    Err(Error::Unsupported { feature, remedy }) => {
                        say(&format!("REFUSED {codec}: {feature} | {remedy}\n"));
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
        let Some(run) = run else { return };
        run.assert_clean();
        let said = String::from_utf8_lossy(&run.output.stderr).into_owned();
        let refusal =
            said.lines().find(|line| line.starts_with(&format!("REFUSED {codec}"))).unwrap_or_default();
        for word in words {
            assert!(refusal.contains(word), "{word:?} with {settings}: {said}");
        }
        let other = if codec == Codec::H264 { "OPENED hevc" } else { "OPENED h264" };
        assert!(said.contains(other), "{settings}: {said}");
        assert_eq!(run.calls("nvEncInitializeEncoder"), 1, "of the other codec: {settings}");
    }
}

fn say(words: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
}

/// One test for each capability: the process that runs a test's body takes the first that it comes to.
macro_rules! lacking {
    ($($test:ident: $capability:literal, $change:expr, $words:expr;)*) => {$(
        #[test]
        fn $test() {
            lacking(stringify!($test), $capability, $change, &$words);
        }
    )*};
}

lacking! {
    no_lookahead: "support_lookahead=0", |_, own| own.lookahead = Some(4), ["lookahead 4", "SUPPORT_LOOKAHEAD is 0"];
    no_temporal_aq: "support_temporal_aq=0", |_, own| own.temporal_aq = Some(true),
        ["temporal_aq true", "SUPPORT_TEMPORAL_AQ is 0"];
    no_custom_vbv: "support_custom_vbv_buf_size=0", |c, _| (c.rate_control, c.vbv_bits) = (Some(cbr(1_000_000)), Some(9)),
        ["vbv_bits 9", "SUPPORT_CUSTOM_VBV_BUF_SIZE is 0"];
    no_intra_refresh: "support_intra_refresh=0",
        |_, own| own.intra_refresh = Some(IntraRefresh { period: 9, frames: 3 }),
        ["intra_refresh 9", "SUPPORT_INTRA_REFRESH is 0"];
    no_full_chroma: "support_yuv444_encode=0", |c, _| c.format = PixelFormat::I444,
        ["format yuv444p", "SUPPORT_YUV444_ENCODE is 0"];
    no_lossless: "support_lossless_encode=0", |_, own| own.tuning = Some("lossless".into()),
        ["tuning lossless", "SUPPORT_LOSSLESS_ENCODE is 0"];
    no_b_references: "support_bframe_ref_mode=0", |_, own| own.b_reference = Some(BReference::Middle),
        ["b_reference middle", "off (SUPPORT_BFRAME_REF_MODE is 0)"];
    few_b_frames: "num_max_bframes=1", |c, _| c.b_frames = Some(2), ["b_frames 2", "0 to 1 (NUM_MAX_BFRAMES)"];
    no_cbr: "supported_ratecontrol_modes=1", |c, _| c.rate_control = Some(cbr(1_000_000)),
        ["rate_control cbr", "SUPPORTED_RATECONTROL_MODES"];
}

#[test]
fn a_chip_without_the_tuning_refuses_it_by_name() {
    let refused = "fault=[{function='nvEncGetEncodePresetConfigEx',call=1,code=12}]";
    let run = simulated_on("ada", "a_chip_without_the_tuning_refuses_it_by_name", refused, || {
        let own = NvidiaEncodeConfig::default().tuning(Some("uhq".into()));
        let special = BackendEncodeConfig::Nvidia(own);
        let refused = EncodeSession::with_special(BackendKind::Nvidia, config(Codec::Hevc), &special);
        let said = refused.err().unwrap();
        assert!(matches!(said, Error::Unsupported { .. }), "{said:?}");
        let said = said.to_string();
        assert!(said.contains("tuning uhq") && said.contains("hq, ll, ull"), "{said}");
    });
    if let Some(run) = run {
        run.assert_clean();
    }
}

#[test]
fn the_software_encoder_refuses_by_name_what_it_cannot() {
    let refusal = |change: &dyn Fn(&mut CommonEncodeConfig)| {
        let mut config = config(Codec::H264);
        change(&mut config);
        match EncodeSession::new(BackendKind::Software, config) {
            Err(error @ Error::Unsupported { .. }) => error.to_string(),
            other => panic!("{:?}", other.err()),
        }
    };
    let display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)".parse().ok();
    let light = "1000,400".parse().ok();
    for (said, words) in [
        (refusal(&|c| c.profile = Some(Profile::High)), &["profile high", "allowed: main"][..]),
        (refusal(&|c| c.vbv_bits = Some(7)), &["vbv_bits 7", "buffer model"]),
        (refusal(&|c| c.vbv_initial_bits = Some(7)), &["vbv_initial_bits 7", "buffer model"]),
        (refusal(&|c| c.mastering_display = display), &["mastering_display G(13250", "SEI"]),
        (refusal(&|c| c.content_light = light), &["content_light 1000,400", "SEI"]),
        (
            refusal(&|c| c.rate_control = Some(RateControl::Quality { quality: 20, max_bps: None })),
            &["rate_control quality 20", "constqp"],
        ),
    ] {
        for word in words {
            assert!(said.contains(word), "{word:?}: {said}");
        }
    }
    let mut session =
        EncodeSession::new(BackendKind::Software, config(Codec::H264).rate_control(None)).unwrap();
    let mut with_message: Frame = frame(0, PixelFormat::I420);
    with_message.user_sei.push(video_hw::frame::UserSei::new(5, vec![1; 20]));
    let said = session.submit(with_message).err().unwrap().to_string();
    assert!(said.contains("user SEI message (payload type 5)") && said.contains("software"), "{said}");
    // The frame is the caller's again, and the session goes on.
    let got = encode(&mut session, [frame(0, PixelFormat::I420)]);
    assert!(got.len() == 1 && got[0].is_ok(), "{got:?}");
}
