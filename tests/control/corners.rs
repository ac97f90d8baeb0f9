//! Switches and failures that meet: what waits, what is full, what comes twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use video_hw::backend::BackendKind;
use video_hw::config::SessionAdmission;
use video_hw::control::{
    Canary, EventKind, SessionSwitchMode, StreamOptions, StreamState, SwitchStage, SwitchingEncoder,
};
use video_hw::error::Error;
use video_hw::frame::{Frame, UserSei};

use crate::backend::{Coded, Plan, Refusal, Source, config, flexible, frame, in_turn, size};
use crate::play::{NONE, Play, other_gop};

/// To wait for room beside the session that has it would be to wait for the stream itself.
#[test]
fn a_stream_does_not_wait_for_its_own_session() {
    let patient = SessionAdmission::Wait(Duration::from_secs(60));
    let mut source = in_turn(vec![Plan::default()]);
    source.limit = 1;
    let log = Arc::clone(&source.log);
    let first = config(1).admission(patient);
    let mut play = Play::new(source, first, StreamOptions::default());
    play.feed(5);
    play.switch(other_gop(2).admission(patient), SessionSwitchMode::Immediate);
    play.until(|kind| matches!(kind, EventKind::NoRoomForTwo { generation: 2, .. }));
    play.feed(5);
    play.finish();
    assert_eq!(play.starts(), [(1, 0), (2, 5)]);
    let asked = log.admissions.lock().unwrap().clone();
    assert_eq!(asked, [patient, SessionAdmission::Refuse, patient], "without a session it may wait");
    let summary = play.stream.summary();
    assert!(summary.generations.iter().all(|known| known.config.admission == patient), "as asked for");
}

/// The packets are not looked at, and the session dies when all of them are there: nothing can move, and the call returns.
#[test]
fn a_dead_session_behind_a_full_output_does_not_keep_the_caller() {
    const OUTPUT: u64 = 64;
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let dies = Plan { in_place: flexible(), die_behind: Some(OUTPUT), ..Plan::default() };
        let source = in_turn(vec![dies, Plan { in_place: flexible(), ..Plan::default() }]);
        let log = Arc::clone(&source.log);
        let mut play = Play::new(source, config(1), StreamOptions::default());
        for number in 0..OUTPUT {
            play.feed_unread(frame(number, size(32, 32)));
        }
        // Its packets are on their way out, and it is gone.
        while log.live.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        play.switch(config(2), SessionSwitchMode::DrainThenSwap);
        play.feed_unread(frame(OUTPUT, size(32, 32)));
        assert_eq!(play.stream.state(), StreamState::SwitchPending { to: 2 });
        play.next = OUTPUT + 1;
        // The switch comes after the session that takes over.
        play.until(|kind| *kind == EventKind::Renumbered { from: 2, to: 4 });
        play.feed(5);
        play.finish();
        assert_eq!(play.got.packets.len() as u64, OUTPUT + 6);
        assert_eq!(Coded::of(&play.got.packets.last().unwrap().data).bitrate, 2);
        tell.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(60)).expect("the stream's call returns, and all comes out");
}

/// The settings before a switch are those before it, not those of the last that was confirmed.
#[test]
fn a_change_in_place_that_fails_with_its_first_frames_goes_back_one_step() {
    for steps in [1_u32, 2] {
        let before = 5 * u64::from(steps);
        // The proof is a picture too.
        let lose = [before + 1, before + 2, before + 3].into();
        let canary = Canary::new(10).max_errors(1);
        let options = StreamOptions::default().canary(canary);
        let loses = Plan { in_place: flexible(), lose, ..Plan::default() };
        let mut play = Play::new(in_turn(vec![loses]), config(1), options);
        play.feed(5);
        for bitrate in 2..=steps {
            let generation = play.switch(config(bitrate), SessionSwitchMode::Immediate);
            play.feed(5);
            play.until(|kind| *kind == EventKind::Confirmed { generation });
        }
        let failing = play.switch(config(9), SessionSwitchMode::Immediate);
        play.feed(3);
        play.until(|kind| {
            matches!(kind, EventKind::SwitchFailed { generation, stage: SwitchStage::Canary, back_to, .. }
                if (*generation, *back_to) == (failing, failing + 1))
        });
        play.feed(10);
        play.finish();
        let last = play.got.packets.last().unwrap();
        assert_eq!((last.generation, Coded::of(&last.data).bitrate), (failing + 1, steps));
        assert_eq!(play.got.losses.len(), 3);
        assert_eq!(play.stream.config().rate_control, config(steps).rate_control, "that came back");
        assert_eq!(play.stream.summary().switches.rolled_back, 1);
    }
}

#[test]
fn who_stops_waiting_gets_no_other_backend() {
    let mut source =
        in_turn(vec![Plan { refuse: Some(Refusal::Cancelled), ..Plan::default() }, Plan::default()]);
    source.kinds = vec![BackendKind::Custom, BackendKind::Ffmpeg];
    let log = Arc::clone(&source.log);
    let started = SwitchingEncoder::with_source(source, config(1), NONE, StreamOptions::default());
    assert!(matches!(started.err(), Some(Error::Cancelled)));
    assert_eq!(log.opened.load(Ordering::SeqCst), 1);
}

#[test]
fn what_an_encoder_says_of_its_opening_is_in_the_receipt() {
    let notes = |words: &str| Plan { notes: vec![words.to_owned()], ..Plan::default() };
    let mut play = Play::with(vec![notes("one"), notes("two")]);
    play.feed(3);
    play.switch(other_gop(2), SessionSwitchMode::Immediate);
    play.until_ready();
    play.feed(3);
    play.finish();
    let summary = play.stream.summary();
    let said: Vec<_> = summary.generations.iter().map(|known| known.receipt.notes.clone()).collect();
    assert_eq!(said, [["one"], ["two"]]);
}

#[test]
fn a_proof_may_take_for_ever() {
    let options = StreamOptions::default().prove_timeout(Duration::MAX);
    let slow = Plan { delay: 20, ..Plan::default() };
    let mut play = Play::new(in_turn(vec![slow]), config(1), options);
    play.feed(3);
    play.finish();
    assert_eq!(play.got.packets.len(), 3);
}

/// The session dies while one switch drains it and another waits: the newer one is made, the older one told off.
#[test]
fn of_two_switches_that_a_dead_session_leaves_the_older_is_superseded() {
    let gate = Arc::new(AtomicBool::new(false));
    let dies =
        Plan { in_place: flexible(), gate: Some(Arc::clone(&gate)), die_at: Some(3), ..Plan::default() };
    let mut play = Play::with(vec![dies, Plan { in_place: flexible(), ..Plan::default() }]);
    play.feed(4);
    assert_eq!(play.switch(config(2), SessionSwitchMode::DrainThenSwap), 2);
    play.feed(1);
    assert_eq!(play.switch(config(3), SessionSwitchMode::Immediate), 3);
    gate.store(true, Ordering::SeqCst);
    play.until(|kind| matches!(kind, EventKind::Renumbered { from: 3, to: 5 }));
    play.feed(5);
    play.finish();
    let told: Vec<_> = play
        .events
        .iter()
        .filter_map(|kind| match kind {
            EventKind::SwitchFailed { generation, stage, .. } => Some((*generation, *stage)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(2, SwitchStage::Superseded)]);
    assert_eq!(play.stream.summary().switches.superseded, 1);
    assert_eq!(Coded::of(&play.got.packets.last().unwrap().data).bitrate, 3);
}

/// The backend that takes over writes no messages: the pictures go on, and it is told.
#[test]
fn messages_that_a_session_does_not_take_are_given_up() {
    let mut source = Source::new(|_, kind, _| match kind {
        BackendKind::Custom => Plan { die_at: Some(6), ..Plan::default() },
        _ => Plan { no_messages: true, ..Plan::default() },
    });
    source.kinds = vec![BackendKind::Custom, BackendKind::Ffmpeg];
    let log = Arc::clone(&source.log);
    let mut play = Play::new(source, config(1), StreamOptions::default());
    play.feed_edited(15, |frame| frame.user_sei = vec![UserSei::unregistered([7; 16], b"score")]);
    play.finish();
    assert_eq!(play.got.packets.len(), 15, "no picture is lost");
    assert_eq!(play.stream.backend().unwrap().0, BackendKind::Ffmpeg);
    let (_, start) = play.starts()[1];
    assert_eq!(log.messages.load(Ordering::SeqCst), 6, "up to the one that it died of");
    assert_eq!(play.stream.summary().without_messages, 15 - start);
    let told: Vec<_> =
        play.events.iter().filter(|kind| matches!(kind, EventKind::GaveUpMessages { .. })).collect();
    assert!(
        matches!(told[..], [EventKind::GaveUpMessages { generation: 2, reason }] if reason.contains("messages")),
        "{told:?}"
    );
}

#[test]
fn a_frame_with_too_many_messages_is_refused_and_the_stream_goes_on() {
    let mut play = Play::with(vec![Plan::default()]);
    play.feed(2);
    let message = |bytes: usize| UserSei::new(4, vec![1; bytes]);
    for (messages, taken) in [
        (vec![message(1); 64], true),
        (vec![message(1); 65], false),
        (vec![message(1 << 16)], true),
        (vec![message(1 << 15), message((1 << 15) + 1)], false),
    ] {
        let frame = Frame { user_sei: messages, ..frame(play.next, size(32, 32)) };
        if taken {
            assert!(play.got.submit(&mut play.stream, frame));
            play.next += 1;
        } else {
            let refusal = play.stream.submit(frame).unwrap_err();
            assert!(refusal.to_string().contains("user SEI messages"), "{refusal}");
        }
    }
    play.feed(2);
    play.finish();
    assert_eq!(play.got.packets.len(), 6);
}

/// Nobody refuses metadata that is only wished for; the stream is told all the same.
#[test]
fn wished_for_metadata_that_the_next_session_leaves_out_is_told() {
    let mut source =
        Source::new(|session, _, _| Plan { die_at: (session == 0).then_some(8), ..Plan::default() });
    source.kinds = vec![BackendKind::Nvidia, BackendKind::Software];
    let config = config(1).content_light("1000,400".parse().ok()).hdr_optional(true);
    let mut play = Play::new(source, config, StreamOptions::default());
    play.feed(12);
    play.until(|kind| {
        matches!(kind, EventKind::Reopened { given_up, receipt, .. }
            if given_up == &["HDR10 metadata"]
                && receipt.notes.iter().any(|note| note.contains("software (scripted) does not state it")))
    });
    play.finish();
}
