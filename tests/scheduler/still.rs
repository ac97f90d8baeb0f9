//! Stages that give nothing before they get more: a stream must not stand still because it may not have more.

use std::time::{Duration, Instant};

use video_hw::backend::mock::MockEncoder;
use video_hw::codec::Codec;
use video_hw::config::CommonEncodeConfig;
use video_hw::pipeline::scheduler::{
    EncodeStage, PipelineScheduler, ScheduledSummary, SchedulerOptions, StreamSpec,
};
use video_hw::session::EncodeSession;
use video_hw::time::Rational;

use crate::support::{frame, number, numbers};

/// Encodes forty frames with so many B frames between P frames.
fn encode(b_frames: usize, credits: usize, slots: usize, said: usize) -> ScheduledSummary {
    let scheduler = PipelineScheduler::new(SchedulerOptions::default().class("encoder", slots)).unwrap();
    let config = CommonEncodeConfig::new(Codec::H264, frame(0).dimensions, Rational::ONE);
    let mock = MockEncoder { b_frames, ..MockEncoder::default() };
    let session = EncodeSession::with_backend(config, |sink| Ok(mock.open(sink))).unwrap();
    let stage = EncodeStage::new(session).holding(said);
    let spec = StreamSpec::new("held").stage_in("encoder", stage).credits(credits);
    let (input, mut output) = scheduler.open(spec).unwrap();
    input.feed((0..40).map(|number| Ok(frame(number).into())));
    let got: Vec<_> = output.iter().map(Result::unwrap).collect();
    let mut shown = numbers(&got);
    assert!(b_frames == 0 || !shown.is_sorted(), "in coding order");
    shown.sort_unstable();
    assert_eq!(shown, (0..40).collect::<Vec<_>>());
    let summary = output.summary().unwrap();
    assert!(summary.balances() && summary.ledger.delivered == 40, "{summary:?}");
    summary
}

#[test]
fn slots_are_not_for_frames_that_are_held_back() {
    let found = encode(3, 16, 1, 0);
    assert!(found.stages[0].holds >= 1, "{found:?}");
    assert_eq!(found.credits, 16);
    let said = encode(3, 16, 1, 3);
    // A machine that stands still for a second looks like a stage that holds one more.
    assert!(said.stages[0].holds >= 3, "{said:?}");
    assert_eq!(said.credits, 16);
}

#[test]
fn credits_are_lent_to_a_stream_that_would_stand_still() {
    let summary = encode(5, 4, 8, 0);
    // How many more than it needs depends on the machine; never more than there are to lend.
    assert!((6..=4 + 64).contains(&summary.credits), "{}", summary.credits);
}

#[test]
fn a_consumer_that_takes_nothing_is_lent_nothing() {
    let scheduler = PipelineScheduler::new(SchedulerOptions::default()).unwrap();
    let stage = crate::support::Puppet::eager();
    let (input, mut output) = scheduler.open(StreamSpec::new("unread").stage(stage).credits(4)).unwrap();
    input.feed((0..40).map(|number| Ok(frame(number).into())));
    let begun = Instant::now();
    while output.summary().unwrap().ledger.submitted < 4 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", output.summary());
        std::thread::sleep(Duration::from_millis(1));
    }
    // Longer than it takes a stream that stands still by itself to be lent something.
    std::thread::sleep(Duration::from_millis(1500));
    let summary = output.summary().unwrap();
    assert_eq!((summary.credits, summary.inside.peak, summary.ledger.submitted), (4, 4, 4));
    let got: Vec<_> = output.iter().map(|got| number(&got.unwrap().unit)).collect();
    assert_eq!(got, (0..40).collect::<Vec<_>>());
}
