//! Calls that fail while pictures are encoded, on order: every frame is answered once, whatever happens.

use video_hw::backend::{Backend, BackendKind, Candidate};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, FailurePolicy};
use video_hw::control::{SessionSwitchRequest, SwitchingEncoder};
use video_hw::error::Error;
use video_hw::session::EncodeSession;
use video_hw::time::Rational;

use crate::support::failover::{Random, long, say};
use crate::support::nvenc::{all_well, check_times, config, encode, frame};
use crate::support::nvidia::clip;
use crate::support::switching::{Played, submit};
use crate::support::vpl::{Machine, Run, clean, clean_case};

const QSV: BackendKind = BackendKind::Qsv;
const NONE: BackendEncodeConfig = BackendEncodeConfig::None;
const FRAMES: usize = 30;

fn open(config: &CommonEncodeConfig) -> EncodeSession {
    EncodeSession::new(QSV, config.clone()).unwrap_or_else(|error| panic!("{error}"))
}

fn balances(session: &EncodeSession) {
    let ledger = session.summary().ledger;
    let dropped: u64 = ledger.dropped.values().sum();
    assert_eq!(ledger.delivered + ledger.failed + dropped, ledger.submitted, "{ledger:?}");
}

/// A GPU that is busy is asked again.
#[test]
fn a_busy_gpu_costs_nothing_but_time() {
    for settings in
        ["fail.encode.call=5:busy;fail.encode.call=6:busy", "fail.surface=7:13", "time.encode_us=2000"]
    {
        clean("a_busy_gpu_costs_nothing_but_time", settings, || {
            let config = config(Codec::H264);
            let mut session = open(&config);
            let packets = all_well(encode(&mut session, (0..FRAMES).map(|n| frame(n, config.format))));
            check_times(&packets, 0..FRAMES);
            assert!(session.summary().stages.unwrap().queue_peak <= 6);
        });
    }
}

/// No memory for one picture: that one is lost, and nothing else.
#[test]
fn no_memory_costs_a_frame() {
    for settings in ["fail.surface=5:memory", "fail.encode.call=5:memory"] {
        clean("no_memory_costs_a_frame", settings, || {
            let config = config(Codec::H264);
            let mut session = open(&config);
            let got = encode(&mut session, (0..FRAMES).map(|n| frame(n, config.format)));
            let errors: Vec<_> = got.iter().filter_map(|got| got.as_ref().err()).collect();
            let [Error::OutOfMemory { backend: QSV, .. }] = &errors[..] else { panic!("{errors:?}") };
            assert_eq!(got.len(), FRAMES);
            balances(&session);
        });
    }
}

#[test]
fn a_lost_session_costs_no_frame_where_another_encoder_goes_on() {
    for settings in
        ["lost.encode.at=12", "hang.encode.at=12", "fail.encode.at=12:lost", "fail.encode.call=12:aborted"]
    {
        clean("a_lost_session_costs_no_frame_where_another_encoder_goes_on", settings, || {
            let config = config(Codec::H264);
            let policy = FailurePolicy::Next;
            let mut session =
                EncodeSession::with_failover(Backend::Auto, config.clone(), &NONE, policy).unwrap();
            assert_eq!(session.receipt().engine(), Some(Candidate::Qsv), "{:#}", session.receipt());
            let packets = all_well(encode(&mut session, (0..FRAMES).map(|n| frame(n, config.format))));
            check_times(&packets, 0..FRAMES);
            assert_eq!(session.summary().takeovers.len(), 1);
        });
    }
}

#[test]
fn without_another_the_reason_is_told() {
    clean("without_another_the_reason_is_told", "fail.encode.at=12:lost", || {
        let config = config(Codec::Hevc);
        let mut session = open(&config);
        let got = encode(&mut session, (0..FRAMES).map(|n| frame(n, config.format)));
        let errors: Vec<_> = got.into_iter().filter_map(Result::err).collect();
        assert!(matches!(&errors[..], [Error::DeviceLost { backend: QSV, .. }, ..]), "{errors:?}");
        balances(&session);
    });
}

/// An encoder that keeps a picture for itself does not work: what it has not coded another one codes, or the reason is told.
#[test]
fn a_picture_that_never_comes_out_is_not_waited_for() {
    let test = "a_picture_that_never_comes_out_is_not_waited_for";
    let machine = Machine { settings: "keep.encode.at=5", ..Machine::USUAL };
    for case in ["0 alone", "2 alone", "0 followed", "2 followed"] {
        clean_case(machine, test, case, |case| {
            let config = config(Codec::H264).b_frames(u32::from(case.starts_with('2')) * 2);
            let frames = (0..FRAMES).map(|n| frame(n, config.format));
            if case.ends_with("followed") {
                let policy = FailurePolicy::Next;
                let mut session =
                    EncodeSession::with_failover(Backend::Auto, config.clone(), &NONE, policy).unwrap();
                check_times(&all_well(encode(&mut session, frames)), 0..FRAMES);
                assert_eq!(session.summary().takeovers.len(), 1);
                return;
            }
            let mut session = open(&config);
            let got = encode(&mut session, frames);
            let errors: Vec<_> = got.iter().filter_map(|got| got.as_ref().err()).collect();
            let [Error::Backend { backend: QSV, .. }] = &errors[..] else { panic!("{errors:?}") };
            assert!(errors[0].to_string().contains("1 pictures are inside"), "{}", errors[0]);
            balances(&session);
        });
    }
}

/// A buffer that is too small becomes larger, and an encoder that cannot be reset is opened anew.
#[test]
fn what_can_be_mended_costs_nothing() {
    for (settings, opened) in [
        ("fail.encode.call=3:-5;fail.encode.call=4:-5", 1),
        ("fail.encode.reset=1:incompatible", 2),
        ("fail.encode.reset=1:-15;fail.encode.call=16:busy", 2),
    ] {
        let run = clean("what_can_be_mended_costs_nothing", settings, || {
            let config = config(Codec::H264);
            let mut session = open(&config);
            for part in [0..12, 12..FRAMES] {
                let packets = all_well(encode(&mut session, part.clone().map(|n| frame(n, config.format))));
                check_times(&packets, part);
                assert!(packets[0].keyframe);
            }
        });
        if let Some(run) = run {
            assert_eq!(run.calls("MFXVideoENCODE_Init"), opened, "{settings}");
        }
    }
}

/// A change that is refused behind the end of a sequence leaves an encoder that goes on with a new one, by the old settings.
#[test]
fn a_refused_change_leaves_the_encoder_as_it_was() {
    let settings = "fail.encode.reset=2:unknown;fail.encode.init=2:unknown";
    let run = clean("a_refused_change_leaves_the_encoder_as_it_was", settings, || {
        let (base, none) = (crate::support::switching::base(), NONE);
        let mut stream = SwitchingEncoder::new(QSV, base.clone(), none.clone()).unwrap();
        let mut got = Vec::new();
        for number in 0..FRAMES {
            if number == 10 {
                let slower = base.clone().frame_rate(Rational::new(20, 1).unwrap());
                let request = SessionSwitchRequest::immediate((slower, none.clone()));
                stream.request_switch(request).unwrap();
            }
            assert!(submit(&mut stream, frame(number, base.format), &mut got));
        }
        let played = Played::finish(stream, got, FRAMES, 0);
        played.judge();
        assert_eq!(played.generations(), [1; FRAMES]);
        assert_eq!(played.backend, Some(QSV));
    });
    if let Some(run) = run {
        // Behind the proof, the refused one, and the one by the old settings.
        assert_eq!(run.calls("MFXVideoENCODE_Reset"), 3);
    }
}

/// Surfaces of a decoder that an encoder does not take are copied.
#[test]
fn surfaces_that_are_refused_are_copied() {
    let run = clean("surfaces_that_are_refused_are_copied", "foreign=refused", || {
        let folder = tempfile::tempdir().unwrap();
        let job = video_hw::transcode(clip("bars.mp4"), folder.path().join("out.mp4")).codec(Codec::H264);
        let report = job.decode_backend(QSV).encode_backend(QSV).run().unwrap();
        assert!(report.balances());
        assert_eq!(report.video_samples, 120);
        assert!(report.encode.input_copy_bytes > 0);
    });
    if let Some(run) = run {
        assert_eq!(run.calls("MFXMemory_GetSurfaceForEncode"), 120);
        assert!(run.calls("MFXVideoENCODE_EncodeFrameAsync") < 130, "it is tried once: {}", run.report());
    }
}

/// Operations that are never done are a lost device, for which is waited once, and no wait without end; long form.
#[test]
fn operations_that_are_never_done_are_a_lost_device() {
    if !long() {
        return;
    }
    let settings: &str = (10..40).map(|at| format!("stuck.encode.at={at};")).collect::<String>().leak();
    clean("operations_that_are_never_done_are_a_lost_device", settings, || {
        let config = config(Codec::H264);
        let mut session = open(&config);
        let got = encode(&mut session, (0..FRAMES).map(|n| frame(n, config.format)));
        let errors: Vec<_> = got.into_iter().filter_map(Result::err).collect();
        assert!(matches!(&errors[..], [Error::DeviceLost { backend: QSV, .. }, ..]), "{errors:?}");
        balances(&session);
    });
}

/// Settings of the simulation for a fault anywhere.
fn fault(random: &mut Random) -> String {
    let at = random.within(1, FRAMES + 4);
    let status =
        random.of(&["busy", "lost", "failed", "hang", "memory", "incompatible", "aborted", "unknown"]);
    match random.within(0, 7) {
        5 => format!("fail.encode.reset=1:{status}"),
        6 => format!("keep.encode.at={at}"),
        // Nothing is busy that is not open.
        7 if status != "busy" => format!("fail.encode.init=1:{status}"),
        0 => format!("fail.encode.call={at}:{status}"),
        // An operation that was begun cannot be busy.
        1 if status != "busy" => format!("fail.encode.at={at}:{status}"),
        1 | 2 => format!("fail.surface={at}:{status}"),
        3 | 7 => format!("lost.encode.at={at}"),
        _ => format!("hang.encode.at={at}"),
    }
}

/// Faults anywhere: every ledger balances, and what comes out is in order. Short form: a few.
#[test]
fn random_faults_leave_balanced_ledgers() {
    const ALL: u64 = 300;
    let count = if long() { ALL } else { 8 };
    say(&format!("random_faults_leave_balanced_ledgers: {count} of {ALL}"));
    for number in 0..count {
        let mut random = Random::new(0x5150 + number);
        let settings: &str = fault(&mut random).leak();
        let config = config(random.of(&[Codec::H264, Codec::Hevc])).b_frames(random.within(0, 2) as u32);
        let machine = Machine { settings, ..Machine::USUAL };
        let case = number.to_string();
        let run: Option<Run> = clean_case(machine, "random_faults_leave_balanced_ledgers", &case, |_| {
            let Ok(mut session) = EncodeSession::new(QSV, config.clone()) else { return };
            // A flush in the middle.
            let middle = FRAMES / 2;
            let mut got = encode(&mut session, (0..middle).map(|n| frame(n, config.format)));
            if got.iter().all(|got| got.as_ref().is_ok()) {
                got.extend(encode(&mut session, (middle..FRAMES).map(|n| frame(n, config.format))));
            }
            let packets: Vec<_> = got.into_iter().filter_map(Result::ok).collect();
            assert!(packets.is_sorted_by(|a, b| a.dts < b.dts), "{settings}: decoding times rise");
            balances(&session);
        });
        drop(run);
    }
}
