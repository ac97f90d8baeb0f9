//! Calls that fail while pictures are encoded, on order: every frame is answered once, whatever happens.

use video_hw::backend::{Backend, BackendKind, Candidate};
use video_hw::codec::Codec;
use video_hw::config::{BackendEncodeConfig, CommonEncodeConfig, FailurePolicy};
use video_hw::error::Error;
use video_hw::session::EncodeSession;

use crate::support::failover::{Random, long, say};
use crate::support::nvenc::{all_well, check_times, config, encode, frame};
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

/// Settings of the simulation for a fault anywhere.
fn fault(random: &mut Random) -> String {
    let at = random.within(1, FRAMES + 4);
    let status =
        random.of(&["busy", "lost", "failed", "hang", "memory", "incompatible", "aborted", "unknown"]);
    match random.within(0, 4) {
        0 => format!("fail.encode.call={at}:{status}"),
        // An operation that was begun cannot be busy.
        1 if status != "busy" => format!("fail.encode.at={at}:{status}"),
        1 | 2 => format!("fail.surface={at}:{status}"),
        3 => format!("lost.encode.at={at}"),
        _ => format!("hang.encode.at={at}"),
    }
}

/// Faults anywhere: every ledger balances, and what comes out is in order. Short form: a few.
#[test]
fn random_faults_leave_balanced_ledgers() {
    const ALL: u64 = 150;
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
            let got = encode(&mut session, (0..FRAMES).map(|n| frame(n, config.format)));
            let packets: Vec<_> = got.into_iter().filter_map(Result::ok).collect();
            assert!(packets.is_sorted_by(|a, b| a.dts < b.dts), "{settings}: decoding times rise");
            balances(&session);
        });
        drop(run);
    }
}
