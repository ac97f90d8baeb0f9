//! Switches and failures of NVENC streams on the simulated driver (`sims/nvidia/`): every kind of change, in every mode, with
//! everything that can go wrong on the way. ffmpeg judges the streams, the simulation what was done to the driver.

use video_hw::backend::{Backend, BackendKind};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig};
use video_hw::control::{
    EventKind, OnFailure, SessionSwitchMode, SessionSwitchRequest, StreamOptions, SwitchingEncoder,
};
use video_hw::error::Error;

use crate::support::failover::long;
use crate::support::nvenc::{frame, have_ffmpeg, next_encoder, nvidia};
use crate::support::nvidia::{clean_on, simulated_case_on};
use crate::support::switching::{Fate, MODES, NVENC, Played, WHATS, What, base, cases, play, play_on};

/// All changes with one fate, in all modes in the long form and in one in the short form, each in a process of its own.
fn matrix(test: &str, fate: Fate) {
    for (what, mode, case) in cases(long()) {
        let faults = NVENC.faults(fate, what, mode);
        let run = simulated_case_on("ada", test, &faults, &case, |case| NVENC.run(case, fate));
        if let Some(run) = run {
            run.assert_clean();
        }
    }
}

#[test]
fn every_switch_in_every_mode_succeeds() {
    matrix("every_switch_in_every_mode_succeeds", Fate::Ok);
}

#[test]
fn a_session_that_cannot_be_opened_leaves_the_old_one_running() {
    matrix("a_session_that_cannot_be_opened_leaves_the_old_one_running", Fate::CreationFails);
}

#[test]
fn a_session_that_fails_with_its_first_picture_is_taken_back() {
    matrix("a_session_that_fails_with_its_first_picture_is_taken_back", Fate::ActivationFails);
}

#[test]
fn a_device_that_is_lost_in_a_switch_leaves_the_stream_to_the_cpu() {
    matrix("a_device_that_is_lost_in_a_switch_leaves_the_stream_to_the_cpu", Fate::DeviceLost);
}

#[test]
fn without_room_for_two_sessions_the_old_one_is_drained_and_closed_first() {
    let test = "without_room_for_two_sessions_the_old_one_is_drained_and_closed_first";
    for mode in MODES {
        let case = format!("{mode:?}");
        let run = simulated_case_on("ada", test, "sessions.limit=1", &case, |case| {
            let mode = MODES.into_iter().find(|mode| format!("{mode:?}") == case).unwrap();
            let played = play(What::Codec, mode);
            played.judge();
            assert!(played.has(|kind| matches!(kind, EventKind::NoRoomForTwo { generation: 2, reason }
                if reason.contains("session limit"))));
            assert_eq!(played.generations().last(), Some(&2));
            assert_eq!(played.backend, Some(BackendKind::Nvidia), "not handed to a lesser backend");
            assert_eq!(played.summary.ledger.delivered as usize, played.frames);
        });
        if let Some(run) = run {
            run.assert_clean();
        }
    }
}

/// Frames into a stream until it is over or they are all out.
fn run_through(
    backend: Backend,
    config: CommonEncodeConfig,
    special: BackendEncodeConfig,
    options: StreamOptions,
) -> Played {
    let stream = SwitchingEncoder::with_source(backend, config, special, options).unwrap();
    play_on(stream, 40)
}

fn lost_at(call: u32) -> String {
    format!("fault=[{{function='nvEncLockInputBuffer',call={call},device_lost=true}}]")
}

#[test]
fn a_stream_goes_on_on_the_cpu_when_the_device_is_lost() {
    clean_on("ada", "a_stream_goes_on_on_the_cpu_when_the_device_is_lost", &lost_at(20), || {
        let config = base().b_frames(2);
        let played = run_through(Backend::Auto, config, nvidia(4), StreamOptions::default());
        played.judge();
        assert!(played.end.is_none(), "{:?}", played.end);
        let generations = played.generations();
        assert_eq!((generations.first(), generations.last()), (Some(&1), Some(&2)));
        assert_eq!(played.backend, Some(next_encoder()));
        // What the next does not have is told: the settings of NVENC, and the embedded encoder has no B frames.
        let plain = next_encoder() == BackendKind::Software;
        assert!(played.has(|kind| matches!(kind, EventKind::Reopened { generation: 2, given_up, .. }
            if given_up.iter().any(|word| word.contains("2 B frames")) == plain
                && given_up.len() == if plain { 2 } else { 1 })));
        assert!(played.has(
            |kind| matches!(kind, EventKind::SessionFailed { generation: 1, reason } if reason.contains("lost"))
        ));
        assert_eq!(played.summary.ledger.delivered, 40);
    });
}

#[test]
fn a_stream_that_nobody_else_encodes_ends_with_the_reason_and_balanced_books() {
    let test = "a_stream_that_nobody_else_encodes_ends_with_the_reason_and_balanced_books";
    clean_on("ada", test, &lost_at(20), || {
        let config = base().codec(Codec::Hevc);
        let only = Backend::Only(BackendKind::Nvidia);
        let played = run_through(only, config, nvidia(4), StreamOptions::default());
        played.judge();
        assert!(matches!(played.end, Some(Error::DeviceLost { .. })), "{:?}", played.end);
        let ledger = &played.summary.ledger;
        assert!(ledger.balances() && ledger.pending == 0 && ledger.failed > 0, "{ledger:?}");
        assert!(played.has(|kind| matches!(kind, EventKind::Ended { reason }
            if reason.contains("no other session could be opened"))));
    });
}

#[test]
fn a_stream_that_the_embedded_encoder_lacks_goes_on_in_a_child_process() {
    if !have_ffmpeg() {
        return;
    }
    let test = "a_stream_that_the_embedded_encoder_lacks_goes_on_in_a_child_process";
    clean_on("ada", test, &lost_at(20), || {
        let config = base().codec(Codec::Hevc);
        let played = run_through(Backend::Auto, config, nvidia(4), StreamOptions::default());
        played.judge();
        assert!(played.end.is_none(), "{:?}", played.end);
        assert_eq!(played.generations().last(), Some(&2), "{:?}", played.events);
        assert_eq!(played.backend, Some(BackendKind::Ffmpeg));
        assert_eq!(played.summary.ledger.delivered, 40);
    });
}

#[test]
fn an_encoder_that_fails_is_opened_again_where_nothing_else_is_wanted() {
    let test = "an_encoder_that_fails_is_opened_again_where_nothing_else_is_wanted";
    let fault = "fault=[{function='nvEncLockBitstream',call=12,code=20}]";
    clean_on("ada", test, fault, || {
        let config = base().codec(Codec::Hevc).b_frames(3);
        let only = Backend::Only(BackendKind::Nvidia);
        let played = run_through(only, config, nvidia(4), StreamOptions::default());
        played.judge();
        assert!(played.end.is_none(), "{:?}", played.end);
        assert_eq!(played.summary.ledger.delivered, 40);
        assert_eq!(played.generations().last(), Some(&2));
        assert_eq!(played.backend, Some(BackendKind::Nvidia));
    });
}

#[test]
fn a_stream_ends_with_its_session_where_that_is_wanted() {
    let fault = "fault=[{function='nvEncLockBitstream',call=12,code=20}]";
    clean_on("ada", "a_stream_ends_with_its_session_where_that_is_wanted", fault, || {
        let options = StreamOptions::default().on_failure(OnFailure::Stop);
        let played = run_through(Backend::Auto, base(), nvidia(4), options);
        assert!(matches!(played.end, Some(Error::Backend { code: 20, .. })), "{:?}", played.end);
        assert!(played.summary.ledger.balances());
        // The first is the picture by which the session proved itself.
        assert_eq!(played.summary.ledger.delivered, 10);
    });
}

/// The flags of a change lie at another place in each version's structure.
#[test]
fn every_api_version_changes_settings_in_place() {
    for version in crate::nvenc_contract::versions() {
        let settings = format!("driver.nvenc={version}");
        clean_on("ada", "every_api_version_changes_settings_in_place", &settings, || {
            for what in [What::SizeDown, What::Bitrate] {
                let mut played = play(what, SessionSwitchMode::Immediate);
                played.judge();
                assert_eq!(played.summary.switches.in_place, 1);
                assert_eq!(played.summary.ledger.delivered as usize, played.frames);
                let keys = played.packets.drain(..).filter(|packet| packet.keyframe).count();
                assert_eq!(keys, if what == What::SizeDown { 2 } else { 1 });
            }
        });
    }
}

/// Pictures wait inside the encoder for many that come later.
#[test]
fn switches_go_well_with_lookahead() {
    clean_on("ada", "switches_go_well_with_lookahead", "", || {
        let looks_ahead = crate::support::nvenc::tuned("p7", "hq");
        let base = base().b_frames(3);
        let mut stream =
            SwitchingEncoder::new(BackendKind::Nvidia, base.clone(), looks_ahead.clone()).unwrap();
        let (mut got, mut number) = (Vec::new(), 0);
        for (what, mode) in [
            (What::Bitrate, SessionSwitchMode::Immediate),
            (What::SizeDown, SessionSwitchMode::DrainThenSwap),
            (What::Gop, SessionSwitchMode::Immediate),
            (What::Codec, SessionSwitchMode::DrainThenSwap),
        ] {
            let request = SessionSwitchRequest {
                target: (what.target(&base), looks_ahead.clone()),
                mode,
                force_idr_on_activate: false,
            };
            let generation = stream.request_switch(request).unwrap();
            while stream.generation() != generation {
                crate::support::switching::submit(&mut stream, frame(number, base.format), &mut got);
                number += 1;
            }
            for _ in 0..50 {
                crate::support::switching::submit(&mut stream, frame(number, base.format), &mut got);
                number += 1;
            }
        }
        let played = Played::finish(stream, got, number, 0);
        played.judge();
        let counts = played.summary.switches;
        assert_eq!((counts.failed, counts.in_place + counts.new_session), (0, 4), "{counts:?}");
        assert_eq!(played.summary.ledger.delivered as usize, number);
    });
}

/// Switches that were made.
fn played_switches(stream: &SwitchingEncoder) -> u64 {
    let counts = stream.summary().switches;
    counts.in_place + counts.new_session
}

/// Whatever is asked for in whatever order, on two streams at once.
#[test]
fn random_switches_leave_nothing_behind() {
    clean_on("ada", "random_switches_leave_nothing_behind", "", || {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut below = move |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound
        };
        let none = BackendEncodeConfig::None;
        for _ in 0..if long() { 20 } else { 2 } {
            let start = || SwitchingEncoder::new(BackendKind::Nvidia, base(), BackendEncodeConfig::None);
            let mut streams = [(start().unwrap(), Vec::new()), (start().unwrap(), Vec::new())];
            let frames = 60;
            for number in 0..frames {
                for (stream, got) in &mut streams {
                    if below(9) == 0 {
                        // Two changes at once, now and then of nothing.
                        let target = WHATS[below(7)].target(&WHATS[below(7)].target(&base()));
                        let request = SessionSwitchRequest {
                            target: (target, none.clone()),
                            mode: MODES[below(3)],
                            force_idr_on_activate: below(2) == 0,
                        };
                        stream.request_switch(request).unwrap();
                    }
                    let mut frame = frame(number, base().format);
                    frame.force_keyframe = below(10) == 0;
                    crate::support::switching::submit(stream, frame, got);
                    if below(20) == 0 {
                        stream.flush().unwrap();
                    }
                    std::thread::sleep(std::time::Duration::from_millis(below(6) as u64));
                }
            }
            for (mut stream, mut got) in streams {
                let mut number = frames;
                let begun = std::time::Instant::now();
                // A session that is still being opened takes over at a key frame to come.
                while played_switches(&stream) == 0 {
                    assert!(
                        begun.elapsed() < std::time::Duration::from_secs(60),
                        "no session ever took over"
                    );
                    let mut frame = frame(number, base().format);
                    frame.force_keyframe = true;
                    crate::support::switching::submit(&mut stream, frame, &mut got);
                    number += 1;
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                let played = Played::finish(stream, got, number, 0);
                played.judge();
                let summary = &played.summary;
                assert_eq!(summary.ledger.delivered as usize, number);
                assert_eq!(summary.switches.failed, 0, "{:?}", summary.switch_fail_reason);
            }
        }
    });
}

/// One session through everything that a driver changes in place, and back.
#[test]
fn settings_change_in_place_again_and_again() {
    clean_on("ada", "settings_change_in_place_again_and_again", "", || {
        for codec in [Codec::H264, Codec::Hevc] {
            let base = base().codec(codec).b_frames(2);
            let mut stream = SwitchingEncoder::new(BackendKind::Nvidia, base.clone(), nvidia(3)).unwrap();
            let changes = [What::SizeDown, What::Bitrate, What::Fps];
            let targets = changes.iter().flat_map(|what| [what.target(&base), base.clone()]);
            let mut got = Vec::new();
            let mut number = 0;
            for target in std::iter::once(base.clone()).chain(targets) {
                let request = SessionSwitchRequest::immediate((target, nvidia(3)));
                let generation = stream.request_switch(request).unwrap();
                while stream.generation() != generation {
                    crate::support::switching::submit(&mut stream, frame(number, base.format), &mut got);
                    number += 1;
                }
                for _ in 0..7 {
                    crate::support::switching::submit(&mut stream, frame(number, base.format), &mut got);
                    number += 1;
                }
            }
            let played = Played::finish(stream, got, number, 0);
            played.judge();
            let counts = played.summary.switches;
            assert_eq!((counts.requested, counts.new_session, counts.failed), (7, 0, 0), "{counts:?}");
            assert_eq!((counts.in_place, counts.superseded), (7, 0), "{counts:?}");
            assert_eq!(played.summary.ledger.delivered as usize, number);
        }
    });
}
