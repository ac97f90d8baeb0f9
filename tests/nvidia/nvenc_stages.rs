//! What sessions tell of the stages inside NVENC, on the simulated driver. Counts and bytes are exact; of times only what
//! the simulated engine makes certain is held.

use std::time::Duration;

use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::pixel::PixelFormat;
use video_hw::session::{EncodeSession, EncodeSummary};

use crate::support::nvenc::{HEIGHT, WIDTH, all_well, config, encode, frame, nvidia, open};
use crate::support::nvidia::clean_on;

const FRAMES: usize = 20;
/// Every picture takes exactly as long, far longer than handing one over.
const SLOW: &str = "time.enabled=true;time.encode_ns_per_frame=40000000;device.0.nvenc_engines=1";

fn summary(in_flight: usize, b_frames: u32) -> EncodeSummary {
    let config = config(Codec::H264).b_frames(b_frames).format(PixelFormat::Nv12);
    let mut session = open(&config, &nvidia(in_flight));
    let packets = all_well(encode(&mut session, (0..FRAMES).map(|n| frame(n, PixelFormat::Nv12))));
    let summary = session.summary();
    let coded: usize = packets.iter().map(|packet| packet.data.len()).sum();
    let stages = summary.stages.unwrap();
    assert_eq!(stages.output_copy_bytes, coded as u64);
    assert_eq!(stages.input_copy_bytes, (FRAMES * WIDTH * HEIGHT * 3 / 2) as u64);
    for stage in [stages.wait, stages.upload, stages.submit, stages.lock, stages.copy, summary.latency] {
        assert_eq!(stage.count, FRAMES as u64, "{stages:?}");
        assert!(stage.p50 <= stage.p95 && stage.p95 <= stage.p99 && stage.p99 <= stage.max, "{stage:?}");
        assert!(stage.mean() <= stage.max && stage.total >= stage.max, "{stage:?}");
    }
    summary
}

/// As many pictures are inside as were asked for, besides those that the encoder holds back.
#[test]
fn the_peak_is_what_was_asked_for() {
    clean_on("ada", "the_peak_is_what_was_asked_for", SLOW, || {
        for in_flight in [1, 2, 6] {
            assert_eq!(summary(in_flight, 0).stages.unwrap().queue_peak, in_flight);
            assert_eq!(summary(in_flight, 2).stages.unwrap().queue_peak, in_flight + 2);
        }
    });
}

/// A picture is never there before its engine is done, and the waiting is where the engine is waited for.
#[test]
fn the_engines_time_is_in_the_right_stage() {
    clean_on("ada", "the_engines_time_is_in_the_right_stage", SLOW, || {
        let one = summary(1, 0);
        let engine = Duration::from_millis(40);
        assert!(one.latency.p50 >= engine && one.latency.total >= engine * FRAMES as u32, "{one:?}");
        // Both threads wait for it: at least once of so many for a part of its time, however busy the machine is.
        let stages = one.stages.unwrap();
        assert!(stages.wait.max >= engine / 8 && stages.lock.max >= engine / 8, "{stages:?}");
    });
}

#[test]
fn another_encoder_has_latencies_and_no_stages() {
    let mut session = EncodeSession::new(BackendKind::Software, config(Codec::H264)).unwrap();
    all_well(encode(&mut session, (0..5).map(|n| frame(n, PixelFormat::I420))));
    let summary = session.summary();
    assert!(summary.stages.is_none());
    assert_eq!((summary.latency.count, summary.latency.max), (5, summary.timing.latency_max));
    assert_eq!(summary.latency.mean(), summary.timing.latency_mean(5));
}
