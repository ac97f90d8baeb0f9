//! Sessions that are lost at any frame, as with a Mac that goes to sleep: another decoder or encoder goes on, no frame is lost,
//! and the ledgers balance.

use video_hw::backend::{Backend, BackendKind, Candidate};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, FailurePolicy, RateControl};
use video_hw::dimensions::Dimensions;
use video_hw::pixel::PixelFormat;
use video_hw::session::EncodeSession;
use video_hw::time::Rational;

use crate::support::failover::{Random, long, say};
use crate::support::nvenc::{HEIGHT, WIDTH, all_well, check_times, encode, frame};
use crate::support::nvidia::{clip, golden};
use crate::support::videotoolbox::clean_case;
use crate::vt_decode::md5;

/// Deaths, and those of the short form: half of them decoders'.
const ALL: u64 = 200;
const SHORT: u64 = 20;
/// Frames of a clip, and of what is encoded.
const CLIP: u64 = 50;
const FRAMES: usize = 24;

/// At which frame of the stream the session is lost, in each case.
fn deaths(share: u64, frames: u64) -> impl Iterator<Item = (u64, u64)> {
    let count = if long() { ALL } else { SHORT } / 2;
    let mut random = Random::new(share);
    (0..count).map(move |case| (case, 1 + random.below(frames)))
}

/// Every frame is there and right, whoever decoded it.
#[test]
fn decoders_die_and_no_frame_is_lost() {
    const TEST: &str = "decoders_die_and_no_frame_is_lost";
    let mut done = 0;
    for (case, at) in deaths(1, CLIP) {
        let name = if case % 2 == 0 { "small.h264" } else { "small.h265" };
        let settings = format!("invalidate.decode.at={at}");
        let run = clean_case("m1", TEST, &settings, &case.to_string(), |_| {
            let opened = video_hw::frames(clip(name)).backend(Backend::Auto).on_failure(FailurePolicy::Next);
            let frames = opened.open().unwrap().map(|frame| frame.unwrap());
            assert_eq!(md5(frames), golden(name), "lost at {at}");
        });
        done += u64::from(run.is_some());
    }
    say(&format!("{done} decoders died"));
}

fn config(codec: Codec, b_frames: u32) -> CommonEncodeConfig {
    let size = Dimensions::new(WIDTH as u32, HEIGHT as u32).unwrap();
    CommonEncodeConfig::new(codec, size, Rational::new(25, 1).unwrap())
        .rate_control(RateControl::Vbr { avg_bps: 2_000_000, max_bps: None })
        .format(PixelFormat::I420)
        .b_frames(b_frames)
}

/// Every frame has its packet, once and at its time, whoever made it.
#[test]
fn encoders_die_and_no_frame_is_lost() {
    const TEST: &str = "encoders_die_and_no_frame_is_lost";
    let mut done = 0;
    for (case, at) in deaths(2, FRAMES as u64) {
        let settings = format!("invalidate.encode.at={at}");
        let run = clean_case("m1", TEST, &settings, &case.to_string(), |_| {
            let config = config(Codec::H264, [0, 2][case as usize % 2]);
            let none = BackendEncodeConfig::None;
            let mut session =
                EncodeSession::with_failover(Backend::Auto, config.clone(), &none, FailurePolicy::Next)
                    .unwrap();
            assert_eq!(session.receipt().engine(), Some(Candidate::VideoToolbox), "{:#}", session.receipt());
            let frames = (0..FRAMES).map(|number| frame(number, config.format));
            let packets = all_well(encode(&mut session, frames));
            check_times(&packets, 0..FRAMES);
            let summary = session.summary();
            assert_eq!(summary.takeovers.len(), 1, "lost at {at}");
            assert!(summary.ledger.balances(), "lost at {at}: {:?}", summary.ledger);
        });
        done += u64::from(run.is_some());
    }
    say(&format!("{done} encoders died"));
}

/// Decoder and encoder are lost at once, with frames on their way from one to the other.
#[test]
fn a_transcode_goes_on_where_its_sessions_are_lost() {
    clean_case("m1", "a_transcode_goes_on_where_its_sessions_are_lost", "sleep.encode.at=40", "", |_| {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        let job = video_hw::transcode(clip("bars.mp4"), &output).codec(Codec::H264).bitrate(2_000_000);
        let report = job.on_failure(FailurePolicy::Next).run().unwrap();
        assert!(report.balances() && report.losses.reasons().is_empty(), "{report:?}");
        assert_eq!((report.video_samples, report.encode.takeovers.len()), (120, 1));
        let frames = video_hw::frames(&output).backend(BackendKind::Software).open().unwrap();
        assert_eq!(frames.inspect(|frame| assert!(frame.is_ok())).count(), 120);
    });
}
