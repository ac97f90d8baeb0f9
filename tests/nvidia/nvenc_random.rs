//! Encoding by NVENC with random settings (`support/encoded.rs`) on the simulated driver.

use std::io::Write;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, NvidiaEncodeConfig, RateControl};
use video_hw::pixel::PixelFormat;

use crate::support::encoded::{Plan, seed};
use crate::support::failover::Random;
use crate::support::nvenc::{config, have_ffmpeg};
use crate::support::nvidia::clean_on;

/// Configurations of each test.
const EACH: usize = 10;
/// What ffprobe finds where a B picture is: the simulation codes them with P slices, in the order of B pictures.
const B_IS: char = 'P';

fn plan(random: &mut Random) -> Plan {
    let codec = random.of(&[Codec::H264, Codec::Hevc]);
    let tuning = random.of(&["hq", "hq", "hq", "ll", "ull", "lossless"]);
    let quick = matches!(tuning, "ll" | "ull");
    let b_frames = random.within(0, if quick { 0 } else { 3 });
    let formats =
        [PixelFormat::Nv12, PixelFormat::I420, PixelFormat::Bgra, PixelFormat::Rgba, PixelFormat::P010];
    let format = random.of(if codec == Codec::Hevc { &formats } else { &formats[..4] });
    let bit_rate = random.within(300, 8000) as u32 * 1000;
    let rate_control = match random.within(0, 4) {
        _ if tuning == "lossless" => None,
        0 => None,
        1 => Some(RateControl::Cbr { bitrate_bps: bit_rate }),
        2 => Some(RateControl::Vbr { avg_bps: bit_rate, max_bps: None }),
        3 => Some(RateControl::Vbr { avg_bps: bit_rate, max_bps: Some(bit_rate * 2) }),
        _ => {
            let mut qp = || random.within(1, 51) as u8;
            Some(RateControl::ConstQp { intra: qp(), inter_p: qp(), inter_b: qp() })
        }
    };
    let frames = random.within(1, 56);
    let gop = random.within(b_frames + 1, 40) as u32;
    let common = config(codec)
        .format(format)
        .rate_control(rate_control)
        .gop_length((!random.one_in(4)).then_some(gop))
        .b_frames((!random.one_in(6)).then_some(b_frames as u32))
        .low_latency(quick && random.one_in(2));
    // Lookahead also comes with the presets p6 and p7 of the tuning for quality.
    let special = NvidiaEncodeConfig::default()
        .max_in_flight_outputs(random.of(&[1, 1, 2, 3, 4, 6, 6, 8, 16, 64]))
        .preset(format!("p{}", random.within(1, 7)))
        .tuning(tuning.to_owned())
        .lookahead((!quick && random.one_in(2)).then(|| random.within(0, 28) as u32));
    Plan::new(BackendKind::Nvidia, common, BackendEncodeConfig::Nvidia(special), frames, random)
}

/// Runs this test's share of the configurations.
fn some(test: &str, settings: &str, share: u64) {
    let seed = seed();
    let _ = writeln!(std::io::stderr(), "{test}: seed {seed} (VIDEO_HW_RANDOM_SEED)");
    clean_on("ada", test, settings, || {
        let mut random = Random::new(seed.wrapping_mul(1000) + share);
        for number in 0..EACH {
            let plan = plan(&mut random);
            // Seen when it fails.
            eprintln!("seed {seed}, configuration {number}: {plan:?}");
            let packets = plan.run();
            plan.check(&packets);
            if have_ffmpeg() {
                plan.judge(&packets, B_IS);
            }
        }
    });
}

#[test]
fn at_full_speed() {
    some("at_full_speed", "", 0);
}

#[test]
fn with_an_engine_that_takes_its_time() {
    let settings = "time.enabled=true;time.encode_ns_per_frame=2000000;time.jitter=0.9";
    some("with_an_engine_that_takes_its_time", settings, 1);
}

/// Pictures may come out before the call that hands them over has come back.
#[test]
fn with_an_older_driver_and_an_engine_that_is_quick() {
    let settings = "driver.nvenc='12.0';time.enabled=true;time.encode_ns_per_frame=20000;time.jitter=0.5";
    some("with_an_older_driver_and_an_engine_that_is_quick", settings, 2);
}
