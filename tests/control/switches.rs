//! Single switches and failures, one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use video_hw::backend::{BackendKind, Candidate, InPlace};
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig};
use video_hw::control::{
    Canary, EncoderSource, EventKind, OnFailure, SessionSwitchMode, SessionSwitchRequest, Start,
    StreamOptions, StreamState, SwitchStage, SwitchingEncoder,
};
use video_hw::error::Error;

use crate::backend::{Coded, Plan, Refusal, Source, config, flexible, frame, in_turn, size};
use crate::play::{NONE, Play, other_gop};
use crate::run::number;

#[test]
fn immediate_is_the_next_frame() {
    let mut play = Play::with(vec![Plan::default()]);
    play.feed(5);
    assert_eq!(play.switch(other_gop(2), SessionSwitchMode::Immediate), 2);
    play.until_ready();
    assert_eq!(play.stream.config().gop_length, config(1).gop_length, "until its first frame");
    play.feed(5);
    assert_eq!(play.stream.config().gop_length, other_gop(2).gop_length);
    play.finish();
    assert_eq!(play.starts(), [(1, 0), (2, 5)]);
    assert!(play.has(|kind| *kind == EventKind::Confirmed { generation: 2 }));
    let summary = play.stream.summary();
    let known: Vec<_> = summary.generations.iter().map(|known| (known.start, known.frames)).collect();
    assert_eq!(known, [(Start::Stream, 5), (Start::Switch, 5)]);
    assert!(summary.generations[0].ended.is_some() && summary.generations[1].ended.is_none());
}

#[test]
fn in_place_is_the_next_frame_without_an_idr_unless_one_is_asked_for() {
    for idr in [false, true] {
        let mut play = Play::with(vec![Plan { in_place: flexible(), ..Plan::default() }]);
        play.feed(5);
        let request = SessionSwitchRequest {
            target: (config(2), NONE),
            mode: SessionSwitchMode::Immediate,
            force_idr_on_activate: idr,
        };
        play.stream.request_switch(request).unwrap();
        play.feed(5);
        play.finish();
        assert_eq!(play.starts(), [(1, 0), (2, 5)]);
        let keys = play.got.packets.iter().filter(|packet| packet.keyframe).count();
        assert_eq!(keys, if idr { 2 } else { 1 });
        for packet in &play.got.packets {
            let coded = Coded::of(&packet.data);
            assert_eq!((coded.session, u64::from(coded.bitrate)), (0, packet.generation));
        }
        let counts = play.stream.summary().switches;
        assert_eq!((counts.in_place, counts.new_session), (1, 0));
    }
}

#[test]
fn a_switch_waits_for_the_end_of_the_gop_or_a_forced_idr() {
    for (in_place, forced) in [(false, false), (false, true), (true, false), (true, true)] {
        let can = if in_place { flexible() } else { InPlace::default() };
        let source = in_turn(vec![Plan { in_place: can, ..Plan::default() }]);
        let first = config(1).gop_length(10);
        let mut play = Play::new(source, first.clone(), StreamOptions::default());
        play.feed(3);
        let target = config(2).gop_length(10);
        play.switch(target, SessionSwitchMode::OnNextKeyframe);
        if !in_place {
            play.until_ready();
        }
        play.feed(3);
        play.feed_edited(1, |frame| frame.force_keyframe = forced);
        play.feed(8);
        play.finish();
        assert_eq!(play.starts(), [(1, 0), (2, if forced { 6 } else { 10 })], "{in_place} {forced}");
    }
}

/// Packets that come out later than the next end of the GOP are no reason to miss it.
#[test]
fn the_end_of_a_gop_is_known_without_its_packet() {
    let gate = Arc::new(AtomicBool::new(false));
    let shut = Arc::clone(&gate);
    let source = Source::new(move |opened, _, _| Plan {
        gate: (opened == 0).then(|| Arc::clone(&shut)),
        ..Plan::default()
    });
    let first = config(1).gop_length(2);
    let mut play = Play::new(source, first, StreamOptions::default());
    let feed = |play: &mut Play, frames: u64| {
        for _ in 0..frames {
            play.feed_unread(frame(play.next, size(32, 32)));
            play.next += 1;
        }
    };
    feed(&mut play, 4);
    play.switch(other_gop(2), SessionSwitchMode::OnNextKeyframe);
    play.until_ready();
    // 2 was an IDR, of which there is no packet yet.
    feed(&mut play, 1);
    let begins = |kind: &EventKind| matches!(kind, EventKind::Activated { generation: 2, .. });
    let begun = Instant::now();
    while !play.has(begins) && begun.elapsed() < Duration::from_secs(20) {
        play.events.extend(play.stream.take_events().into_iter().map(|event| event.kind));
        std::thread::sleep(Duration::from_millis(1));
    }
    let foreseen = play.has(begins);
    gate.store(true, Ordering::SeqCst);
    assert!(foreseen, "the stream waits for a packet: {:?}", play.events);
    feed(&mut play, 3);
    play.finish();
    assert_eq!(play.starts(), [(1, 0), (2, 4)]);
}

/// The encoder does not tell the length of its GOP, so nobody knows before its packet that a frame is an IDR.
#[test]
fn an_idr_that_nobody_foresaw_is_a_boundary_too() {
    struct Secretive(Source);
    struct Silent(Box<dyn video_hw::backend::EncoderBackend>);
    impl video_hw::backend::EncoderBackend for Silent {
        fn output_layout(&self) -> video_hw::packet::BitstreamLayout {
            self.0.output_layout()
        }
        fn submit(&mut self, unit: video_hw::backend::EncodeUnit) -> Result<(), Error> {
            self.0.submit(unit)
        }
        fn flush(&mut self) -> Result<(), Error> {
            self.0.flush()
        }
        fn implementation(&self) -> &'static str {
            "silent"
        }
    }
    impl EncoderSource for Secretive {
        fn candidates(&self) -> Vec<Candidate> {
            self.0.candidates()
        }
        fn open(
            &self,
            candidate: Candidate,
            config: &CommonEncodeConfig,
            special: &BackendEncodeConfig,
            sink: video_hw::backend::EncodeSink,
        ) -> Result<Box<dyn video_hw::backend::EncoderBackend>, Error> {
            Ok(Box::new(Silent(self.0.open(candidate, config, special, sink)?)))
        }
    }
    let first = config(1).gop_length(10);
    let source = Secretive(in_turn(vec![Plan::default()]));
    let mut play = Play::new(source, first, StreamOptions::default());
    play.feed(3);
    play.switch(other_gop(2), SessionSwitchMode::OnNextKeyframe);
    play.until_ready();
    play.feed(20);
    play.finish();
    assert_eq!(play.starts(), [(1, 0), (2, 10)], "frames behind it are coded again by the new session");
}

#[test]
fn a_drained_switch_has_nothing_inside_when_it_is_made() {
    for can in [InPlace::default(), flexible()] {
        let source = in_turn(vec![Plan { in_place: can, delay: 3, ..Plan::default() }]);
        let b_frames = |bitrate| config(bitrate).b_frames(2);
        let mut play = Play::new(source, b_frames(1), StreamOptions::default());
        play.feed(5);
        play.switch(b_frames(2), SessionSwitchMode::DrainThenSwap);
        if can == InPlace::default() {
            play.until_ready();
        }
        play.feed(9);
        play.finish();
        assert_eq!(play.starts(), [(1, 0), (2, 5)]);
        let at = play.got.packets.iter().position(|packet| packet.generation == 2).unwrap();
        assert!(play.got.packets[..at].iter().all(|packet| number(packet) < 5));
        assert!(play.got.packets[at].keyframe, "what was drained begins anew");
    }
}

#[test]
fn a_session_that_cannot_be_opened_changes_nothing() {
    for refuse in [Refusal::Unsupported, Refusal::Unavailable, Refusal::Broken] {
        let refused = Plan { refuse: Some(refuse), ..Plan::default() };
        let mut play = Play::with(vec![Plan::default(), refused]);
        play.feed(5);
        play.switch(other_gop(2), SessionSwitchMode::Immediate);
        play.until(|kind| {
            matches!(
                kind,
                EventKind::SwitchFailed { generation: 2, stage: SwitchStage::Creation, back_to: 1, .. }
            )
        });
        play.feed(5);
        play.finish();
        assert_eq!(play.starts(), [(1, 0)]);
        let summary = play.stream.summary();
        assert!(summary.switch_fail_reason.unwrap().contains("scripted"));
        assert_eq!((summary.switches.failed, summary.next_generation), (1, 3));
        assert_eq!((summary.active_generation, summary.config_generation), (1, 1));
    }
}

/// It opens, and does not encode: the proof finds that out before a frame is trusted to it.
#[test]
fn a_session_is_proved_before_the_old_one_is_left() {
    let mute = Plan { mute: [0].into(), ..Plan::default() };
    let swallow = Plan { swallow: [0].into(), ..Plan::default() };
    let dies = Plan { die_at: Some(0), ..Plan::default() };
    let panics = Plan { panic_at: Some(0), ..Plan::default() };
    for (bad, words) in [
        (mute, "gave no packet"),
        (swallow, "dropped its first picture"),
        (dies, "device lost"),
        (panics, "scripted panic"),
    ] {
        let mut play = Play::with(vec![Plan::default(), bad]);
        play.feed(5);
        play.switch(other_gop(2), SessionSwitchMode::Immediate);
        play.until(|kind| {
            matches!(kind, EventKind::SwitchFailed { stage: SwitchStage::Creation, reason, .. }
                if reason.contains(words))
        });
        play.feed(5);
        play.finish();
        assert_eq!(play.starts(), [(1, 0)], "{words}");
    }
}

#[test]
fn a_slow_proof_ends() {
    // Far beyond what the first session's proof takes here, and that is far below the second's.
    let slow = Plan { delay: 15_000, ..Plan::default() };
    let options = StreamOptions::default().prove_timeout(Duration::from_secs(4));
    let mut play = Play::new(in_turn(vec![Plan::default(), slow]), config(1), options);
    play.feed(5);
    play.switch(other_gop(2), SessionSwitchMode::Immediate);
    play.until(
        |kind| matches!(kind, EventKind::SwitchFailed { reason, .. } if reason.contains("gave nothing")),
    );
    play.finish();
}

#[test]
fn a_session_that_fails_with_its_first_frames_is_taken_back() {
    for bad in [
        Plan { die_at: Some(1), ..Plan::default() },
        Plan { panic_at: Some(1), ..Plan::default() },
        Plan { lose: [1].into(), ..Plan::default() },
    ] {
        let mut play = Play::with(vec![Plan::default(), bad]);
        play.feed(5);
        play.switch(other_gop(2), SessionSwitchMode::Immediate);
        play.until_ready();
        play.feed(10);
        play.finish();
        assert_eq!(play.starts(), [(1, 0)], "the old session has coded all of them");
        assert_eq!(play.got.packets.len(), 15);
        assert!(play.has(|kind| matches!(
            kind,
            EventKind::SwitchFailed { generation: 2, stage: SwitchStage::Activation, back_to: 1, .. }
        )));
        let summary = play.stream.summary();
        assert_eq!((summary.switches.rolled_back, summary.switches.reopened), (1, 0));
        assert_eq!((summary.active_generation, summary.next_generation), (1, 3));
    }
}

#[test]
fn an_encoder_that_dies_of_its_change_leaves_its_settings_to_another() {
    let dies = Plan { in_place: flexible(), die_of_reconfigure: true, ..Plan::default() };
    let mut play = Play::with(vec![dies, Plan::default()]);
    play.feed(5);
    play.switch(config(2), SessionSwitchMode::Immediate);
    play.feed(10);
    play.finish();
    assert_eq!(play.starts(), [(1, 0), (3, 5)]);
    assert!(play.got.packets.iter().all(|packet| Coded::of(&packet.data).bitrate == 1));
    assert!(play.has(|kind| matches!(kind, EventKind::Reopened { generation: 3, .. })));
}

#[test]
fn a_refused_change_in_place_is_made_by_a_new_session() {
    let refuses = Plan { in_place: flexible(), refuse_reconfigure: true, ..Plan::default() };
    let mut play = Play::with(vec![refuses, Plan::default()]);
    play.feed(5);
    play.switch(config(2), SessionSwitchMode::Immediate);
    play.feed(1);
    play.until(|kind| matches!(kind, EventKind::InPlaceRefused { generation: 2, .. }));
    play.until_ready();
    play.feed(5);
    play.finish();
    assert_eq!(play.starts().last().unwrap().0, 2);
    assert!(play.got.packets.iter().all(|packet| {
        let coded = Coded::of(&packet.data);
        (u64::from(coded.bitrate), u64::from(coded.session) + 1) == (packet.generation, packet.generation)
    }));
}

#[test]
fn frames_of_a_dead_session_go_to_another_and_none_is_lost() {
    for b_frames in [0, 1, 3] {
        let dies = Plan { die_at: Some(12), ..Plan::default() };
        let first = config(1).b_frames(b_frames);
        let source = in_turn(vec![dies, Plan::default()]);
        let mut play = Play::new(source, first, StreamOptions::default());
        play.feed(30);
        play.finish();
        assert_eq!(play.got.packets.len(), 30);
        let (generation, start) = play.starts()[1];
        assert!(generation == 2 && start <= 11, "{start}");
        assert!(play.has(|kind| matches!(kind, EventKind::SessionFailed { generation: 1, .. })));
    }
}

#[test]
fn the_next_backend_takes_over_and_then_the_first_again() {
    let mut source = Source::new(|_, kind, _| match kind {
        BackendKind::Custom => Plan { die_at: Some(11), ..Plan::default() },
        _ => Plan { die_at: Some(21), ..Plan::default() },
    });
    source.kinds = vec![BackendKind::Custom, BackendKind::Ffmpeg];
    let mut play = Play::new(source, config(1), StreamOptions::default());
    play.feed_slowly(35);
    play.finish();
    assert_eq!(play.starts(), [(1, 0), (2, 10), (3, 30)]);
    assert_eq!(play.stream.backend().unwrap().0, BackendKind::Custom);
    let receipt = format!("{:#}", play.stream.summary().generations[1].receipt);
    assert!(receipt.contains("custom refused") && receipt.contains("device lost"), "{receipt}");
}

#[test]
fn a_dead_session_ends_the_stream_where_that_is_wanted() {
    let dies = Plan { die_at: Some(12), ..Plan::default() };
    let options = StreamOptions::default().on_failure(OnFailure::Stop);
    let mut play = Play::new(in_turn(vec![dies, Plan::default()]), config(1), options);
    while play.got.end.is_none() {
        let frame = frame(play.next, size(32, 32));
        play.next += 1;
        if !play.got.submit(&mut play.stream, frame) {
            play.got.reap(&mut play.stream);
        }
    }
    play.finish();
    assert!(matches!(play.got.end, Some(Error::DeviceLost { .. })));
    assert_eq!(play.got.packets.len(), 11);
    assert!(matches!(play.stream.flush(), Err(Error::DeviceLost { .. })));
    assert!(play.stream.drain().is_err());
    let request = SessionSwitchRequest::immediate((config(1), NONE));
    assert!(play.stream.request_switch(request).is_err() && !play.stream.is_alive(1));
}

/// A frame that kills every encoder.
#[test]
fn sessions_are_not_opened_for_ever() {
    let source = Source::new(|session, _, _| Plan {
        die_at: Some(if session == 0 { 6 } else { 1 }),
        ..Plan::default()
    });
    let log = Arc::clone(&source.log);
    let mut play = Play::new(source, config(1), StreamOptions::default());
    for _ in 0..50 {
        let frame = frame(play.next, size(32, 32));
        if !play.got.submit(&mut play.stream, frame) {
            break;
        }
        play.next += 1;
    }
    play.finish();
    assert!(play.got.end.is_some());
    assert_eq!((play.got.packets.len(), log.opened.load(Ordering::SeqCst)), (5, 4));
}

#[test]
fn one_switch_at_a_time_and_the_newest_of_those_that_wait() {
    let source = Source::new(|session, _, _| Plan {
        delay: if session == 1 { 40 } else { 0 },
        in_place: flexible(),
        ..Plan::default()
    });
    let mut play = Play::new(source, config(1), StreamOptions::default());
    play.feed(3);
    for bitrate in 2..=5 {
        play.switch(other_gop(bitrate), SessionSwitchMode::Immediate);
    }
    play.until(|kind| matches!(kind, EventKind::Ready { generation: 5, .. }));
    play.feed(10);
    play.finish();
    assert_eq!(play.starts(), [(1, 0), (5, 3)]);
    let counts = play.stream.summary().switches;
    assert_eq!((counts.requested, counts.superseded, counts.failed), (4, 3, 0), "{counts:?}");
    assert_eq!(Coded::of(&play.got.packets.last().unwrap().data).bitrate, 5);
}

#[test]
fn without_room_for_two_the_old_one_is_closed_first() {
    for mode in
        [SessionSwitchMode::Immediate, SessionSwitchMode::OnNextKeyframe, SessionSwitchMode::DrainThenSwap]
    {
        for second in [Plan::default(), Plan { die_at: Some(0), ..Plan::default() }] {
            let fails = second.die_at.is_some();
            // The first attempt beside the old one does not get as far as the plan.
            let mut source = in_turn(vec![Plan::default(), Plan::default(), second, Plan::default()]);
            source.limit = 1;
            let mut play = Play::new(source, config(1), StreamOptions::default());
            play.feed(5);
            play.switch(other_gop(2), mode);
            play.until(|kind| matches!(kind, EventKind::NoRoomForTwo { generation: 2, .. }));
            play.feed_edited(1, |frame| frame.force_keyframe = true);
            play.feed(9);
            play.finish();
            assert_eq!(play.starts(), [(1, 0), (if fails { 3 } else { 2 }, 5)], "{mode:?}");
            let bitrate = Coded::of(&play.got.packets.last().unwrap().data).bitrate;
            assert_eq!(bitrate, if fails { 1 } else { 2 });
        }
    }
}

#[test]
fn b_frames_beyond_the_reserve_are_refused_with_words() {
    let options = StreamOptions::default().reorder_reserve(0);
    let mut play = Play::new(in_turn(vec![Plan::default()]), config(1), options);
    play.feed(3);
    let b_frames = config(1).b_frames(2);
    play.switch(b_frames, SessionSwitchMode::Immediate);
    play.until(|kind| {
        matches!(kind, EventKind::SwitchFailed { stage: SwitchStage::Creation, reason, .. }
            if reason.contains("reorder_reserve"))
    });
    play.feed(3);
    play.finish();
    assert!(play.got.packets.iter().all(|packet| packet.dts == packet.pts), "nothing is kept for nothing");
}

#[test]
fn a_stream_of_low_latency_keeps_no_room_for_b_frames() {
    for low_latency in [false, true] {
        let settings = config(1).low_latency(low_latency);
        let mut play = Play::new(in_turn(vec![Plan::default()]), settings, StreamOptions::default());
        play.feed(4);
        play.finish();
        let at_once = play.got.packets.iter().all(|packet| packet.dts == packet.pts);
        assert_eq!(at_once, low_latency);
        assert_eq!(play.got.packets.len(), 4);
    }
}

#[test]
fn frames_of_sizes_that_were_asked_for_are_taken_and_brought_to_the_session() {
    let mut play = Play::with(vec![Plan { in_place: flexible(), ..Plan::default() }]);
    play.feed(2);
    assert!(play.stream.submit(frame(2, size(16, 16))).is_err(), "nobody has asked for that");
    let small = config(1).dimensions(size(16, 16));
    play.switch(small, SessionSwitchMode::Immediate);
    // The caller changes the size at once, and back: the session is asked in between.
    for number in 2..8 {
        let size = if number % 2 == 0 { size(16, 16) } else { size(32, 32) };
        assert!(play.got.submit(&mut play.stream, frame(number, size)));
    }
    play.finish();
    let widths: Vec<_> = play.got.packets.iter().map(|packet| Coded::of(&packet.data).width).collect();
    assert_eq!(widths, [32, 32, 16, 16, 16, 16, 16, 16]);
    assert_eq!(play.stream.summary().converted, 3);
}

#[test]
fn a_generation_that_breaks_the_rules_of_the_canary_is_left() {
    let loses = Plan { lose: [4, 6].into(), ..Plan::default() };
    let canary = Canary::new(10).max_errors(1);
    let options = StreamOptions::default().canary(canary);
    let source = in_turn(vec![Plan::default(), loses, Plan::default()]);
    let mut play = Play::new(source, config(1), options);
    play.feed(5);
    play.switch(other_gop(2), SessionSwitchMode::Immediate);
    play.until_ready();
    play.feed(20);
    play.until(|kind| matches!(kind, EventKind::Ready { generation: 3, .. }));
    play.feed(20);
    play.finish();
    assert_eq!(play.starts().iter().map(|(generation, _)| *generation).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(Coded::of(&play.got.packets.last().unwrap().data).bitrate, 1, "the settings before");
    let summary = play.stream.summary();
    assert!(summary.switch_fail_reason.unwrap().contains("2 of its first frames failed"));
    assert_eq!(play.got.losses.len(), 2, "those are lost, and were told");
    assert!(play.has(|kind| matches!(
        kind,
        EventKind::SwitchFailed { generation: 2, stage: SwitchStage::Canary, back_to: 3, .. }
    )));
}

#[test]
fn submitting_and_reaping_go_on_while_a_session_is_opened() {
    let gate = Arc::new(AtomicBool::new(false));
    let opens = Arc::clone(&gate);
    let source = Source::new(move |session, _, _| {
        while session == 1 && !opens.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Plan::default()
    });
    let mut play = Play::new(source, config(1), StreamOptions::default());
    play.feed_slowly(3);
    play.switch(other_gop(2), SessionSwitchMode::Immediate);
    play.feed_slowly(20);
    assert_eq!(play.stream.state(), StreamState::SwitchPending { to: 2 });
    gate.store(true, Ordering::SeqCst);
    play.until_ready();
    play.feed(3);
    play.finish();
    assert_eq!(play.starts(), [(1, 0), (2, 23)]);
}

#[test]
fn a_stream_may_go_at_any_time() {
    for steps in 0..6 {
        let source = in_turn(vec![Plan { delay: 1, ..Plan::default() }]);
        let log = Arc::clone(&source.log);
        let mut play = Play::new(source, config(1), StreamOptions::default());
        play.feed(steps);
        play.switch(other_gop(2), SessionSwitchMode::Immediate);
        play.feed(steps);
        drop(play);
        assert_eq!(log.live.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_stream_that_nobody_encodes_is_not_started() {
    let refused = Plan { refuse: Some(Refusal::Unavailable), ..Plan::default() };
    let started =
        SwitchingEncoder::with_source(in_turn(vec![refused]), config(1), NONE, StreamOptions::default());
    assert!(matches!(started.err(), Some(Error::Unavailable { .. })));
}

#[test]
fn a_flush_keeps_the_session_and_the_next_frame_begins_anew() {
    let source = in_turn(vec![Plan::default()]);
    let log = Arc::clone(&source.log);
    let b_frames = config(1).b_frames(3);
    let mut play = Play::new(source, b_frames, StreamOptions::default());
    for round in 0..4_u64 {
        play.feed(6);
        play.got.drain(&mut play.stream);
        assert!(play.stream.is_drained());
        assert_eq!(play.got.packets.len() as u64, 6 * (round + 1), "everything comes with the flush");
    }
    play.finish();
    let keys: Vec<_> = play.got.packets.iter().filter(|packet| packet.keyframe).map(number).collect();
    assert_eq!(keys, [0, 6, 12, 18]);
    assert_eq!(log.opened.load(Ordering::SeqCst), 1);
}

#[test]
fn a_stream_tells_what_it_is_doing() {
    let mut play = Play::with(vec![Plan { die_at: Some(9), ..Plan::default() }, Plan::default()]);
    assert_eq!(play.stream.state(), StreamState::Running);
    play.switch(other_gop(2), SessionSwitchMode::Immediate);
    assert_eq!(play.stream.state(), StreamState::SwitchPending { to: 2 });
    let before = play.stream.summary();
    assert_eq!((before.active_generation, before.config_generation, before.next_generation), (1, 2, 3));
    play.until_ready();
    play.feed(3);
    play.finish();
    assert_eq!(play.stream.state(), StreamState::Running);
    assert_eq!(play.stream.summary().config_generation, 2);
}

/// The caller asks for what it always asks for, and the backend that took over does not have all of that.
#[test]
fn settings_can_be_changed_behind_a_session_that_lacks_some() {
    let mut source = Source::new(|session, kind, config| match kind {
        BackendKind::Custom if session > 0 => Plan { refuse: Some(Refusal::Broken), ..Plan::default() },
        BackendKind::Custom => Plan { die_at: Some(8), ..Plan::default() },
        _ if config.requested_b_frames().is_some() => {
            Plan { refuse: Some(Refusal::Unsupported), ..Plan::default() }
        }
        _ => Plan::default(),
    });
    source.kinds = vec![BackendKind::Custom, BackendKind::Ffmpeg];
    let b_frames = |bitrate| config(bitrate).b_frames(2);
    let mut play = Play::new(source, b_frames(1), StreamOptions::default());
    play.feed(12);
    play.until(|kind| matches!(kind, EventKind::Reopened { generation: 2, .. }));
    play.switch(b_frames(2), SessionSwitchMode::Immediate);
    play.until(|kind| matches!(kind, EventKind::Ready { generation: 3, given_up } if given_up.len() == 1));
    play.feed(5);
    play.finish();
    assert_eq!(play.starts().last(), Some(&(3, 12)));
    assert_eq!(Coded::of(&play.got.packets.last().unwrap().data).bitrate, 2);
}
