//! Sources that wait, and sources that do not.

use std::time::Duration;

use video_hw::pipeline::scheduler::{
    DropPolicy, IdrAfterDrop, LiveRules, PipelineScheduler, SchedulerOptions, StreamInput, StreamOutput,
    StreamSpec,
};
use video_hw::session::Submit;

use crate::support::{Puppet, frame, numbers, packet, ready, settle};

fn open(policy: DropPolicy, credits: usize) -> (PipelineScheduler, Puppet, StreamInput, StreamOutput) {
    let scheduler = PipelineScheduler::without_thread(SchedulerOptions::default()).unwrap();
    let stage = Puppet::new();
    let spec = StreamSpec::new("camera").stage(stage.clone()).credits(credits).policy(policy);
    let (input, output) = scheduler.open(spec).unwrap();
    (scheduler, stage, input, output)
}

#[test]
fn offline_the_source_waits_and_nothing_is_dropped() {
    let (scheduler, stage, mut input, mut output) = open(DropPolicy::Offline, 5);
    stage.room(2);
    let mut accepted = 0;
    let mut got = Vec::new();
    while got.len() < 40 {
        while let Submit::Accepted = input.submit(frame(accepted)).unwrap() {
            accepted += 1;
        }
        assert_eq!(accepted - got.len() as u64, 5, "as many inside as there are credits");
        settle(&scheduler);
        stage.finish(1);
        settle(&scheduler);
        got.extend(ready(&mut output));
    }
    assert_eq!(numbers(&got), (0..40).collect::<Vec<_>>());
    let ledger = output.summary().unwrap().ledger;
    assert_eq!((ledger.dropped_total(), ledger.pending), (0, 4));
}

#[test]
fn live_the_oldest_frames_go_and_the_next_is_an_idr() {
    let rules =
        LiveRules::default().max_queue(3).max_age(None).idr(IdrAfterDrop::After { dropped: 1, apart: 4 });
    let (scheduler, stage, mut input, output) = open(DropPolicy::Live(rules), 16);
    stage.room(1);
    for number in 0..10 {
        assert!(matches!(input.submit(frame(number)).unwrap(), Submit::Accepted), "never waits");
        settle(&scheduler);
    }
    assert_eq!(stage.inside(), [0]);
    let mut through = Vec::new();
    for number in 10..16 {
        through.push((stage.inside()[0], stage.idrs().len()));
        stage.finish(1);
        settle(&scheduler);
        assert!(matches!(input.submit(frame(number)).unwrap(), Submit::Accepted));
        settle(&scheduler);
    }
    // 1 to 6 are missing: 7 is an IDR. From then on there is room for each.
    assert_eq!(through, [(0, 0), (7, 1), (8, 0), (9, 0), (10, 0), (11, 0)]);
    let summary = output.summary().unwrap();
    assert_eq!(summary.ledger.dropped.get("queue full"), Some(&6));
    assert!(summary.balances(), "{summary:?}");
}

#[test]
fn live_without_a_credit_something_older_goes() {
    let rules = LiveRules::default().max_queue(100).max_age(None).idr(IdrAfterDrop::Never);
    let (scheduler, stage, mut input, output) = open(DropPolicy::Live(rules), 4);
    stage.room(2);
    for number in 0..4 {
        assert!(matches!(input.submit(frame(number)).unwrap(), Submit::Accepted));
        settle(&scheduler);
    }
    assert!(matches!(input.submit(frame(4)).unwrap(), Submit::Accepted));
    // 0 and 1 are inside, 2 had to go.
    let dropped = |output: &StreamOutput| output.summary().unwrap().ledger.dropped;
    assert_eq!(dropped(&output).get("no credit"), Some(&1));
    stage.room(4);
    settle(&scheduler);
    stage.finish(0);
    settle(&scheduler);
    assert_eq!(stage.inside(), [0, 1, 3, 4]);
    // Nothing waits: the newest goes.
    assert!(matches!(input.submit(frame(5)).unwrap(), Submit::Accepted));
    settle(&scheduler);
    assert_eq!(dropped(&output).get("no credit"), Some(&2));
    assert_eq!(stage.inside(), [0, 1, 3, 4]);
    assert!(output.summary().unwrap().balances());
}

#[test]
fn live_packets_go_up_to_the_next_key_frame() {
    let (scheduler, stage, mut input, output) = open(DropPolicy::live(2), 16);
    stage.room(0);
    // A group of ten, of which three fit, and the next.
    for number in 0..12 {
        assert!(matches!(input.submit(packet(number, number % 10 == 0)).unwrap(), Submit::Accepted));
        settle(&scheduler);
    }
    let ledger = output.summary().unwrap().ledger;
    // 0 and 1 wait; 2 finds no room, 3 to 9 refer to it. 10 takes the place of 1, to which nothing refers any more, and
    // 11 that of 0, for the same reason.
    assert_eq!(ledger.dropped.get("up to the next key frame"), Some(&7));
    assert_eq!(ledger.dropped.get("queue full"), Some(&3));
    stage.room(9);
    settle(&scheduler);
    stage.finish(0);
    settle(&scheduler);
    assert_eq!(stage.inside(), [10, 11]);
}

#[test]
fn frames_wait_between_stages_too_and_go_there() {
    let scheduler = PipelineScheduler::without_thread(SchedulerOptions::default()).unwrap();
    let (decoder, encoder) = (Puppet::new(), Puppet::new());
    let rules =
        LiveRules::default().max_queue(2).max_age(Duration::from_secs(3600)).idr(IdrAfterDrop::default());
    let spec = StreamSpec::new("camera")
        .stage(decoder.clone())
        .stage(encoder.clone())
        .credits(16)
        .policy(DropPolicy::Live(rules));
    let (mut input, output) = scheduler.open(spec).unwrap();
    encoder.room(1);
    for number in 0..8 {
        assert!(matches!(input.submit(frame(number)).unwrap(), Submit::Accepted));
        settle(&scheduler);
        decoder.finish(1);
        settle(&scheduler);
    }
    assert_eq!(encoder.inside(), [0]);
    let summary = output.summary().unwrap();
    assert_eq!(summary.ledger.dropped.get("queue full"), Some(&5));
    assert_eq!((summary.stages[1].waiting.depth, summary.stages[0].waiting.peak), (2, 1));
    encoder.finish(1);
    settle(&scheduler);
    assert_eq!((encoder.inside(), encoder.idrs()), (vec![6], vec![6]));
}

#[test]
fn live_a_new_generation_whose_key_frame_found_no_credit_waits_for_the_next() {
    let (scheduler, stage, mut input, mut output) = open(DropPolicy::live(100), 2);
    let mut submit = |generation, number, key| {
        let answer = input.submit_with_generation(generation, packet(number, key)).unwrap();
        assert!(matches!(answer, Submit::Accepted));
        settle(&scheduler);
    };
    submit(0, 0, true);
    submit(0, 1, false);
    assert_eq!(stage.inside(), [0, 1]);
    // Both credits are inside the stage, so there is nothing that could go for it.
    submit(1, 10, true);
    assert_eq!(output.summary().unwrap().ledger.dropped.get("no credit"), Some(&1));
    stage.finish(stage.inside().len());
    settle(&scheduler);
    assert_eq!(crate::support::ready(&mut output).len(), 2);
    submit(1, 11, false);
    assert!(stage.inside().is_empty(), "it refers to 10");
    submit(1, 12, true);
    submit(1, 13, false);
    assert_eq!(stage.inside(), [12, 13]);
    let ledger = output.summary().unwrap().ledger;
    assert_eq!(ledger.dropped.get("up to the next key frame"), Some(&1));
}
