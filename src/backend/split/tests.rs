//! Scripted decoders that open, refuse and fail in every order.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;
use crate::backend::{BackendKind, DecodeEvent, DecodeSink, Direct, Job, Receipt};
use crate::packet::Packet;

/// What all decoders of a test see.
#[derive(Default)]
struct Common {
    /// The highest serial so far.
    highest: AtomicU64,
    /// The first lane's decoder has its first unit.
    first_is_at_work: AtomicBool,
    /// The last unit is about to go in.
    all_is_in: AtomicBool,
    /// Calls of all decoders.
    calls: AtomicU64,
}

type Seen = Arc<Common>;

/// What a decoder does with its first unit.
#[derive(Clone, Copy, Debug)]
enum First {
    /// Takes it, once a unit of this serial was seen.
    Takes(u64),
    /// Fails, once a unit of this serial was seen.
    Fails(u64),
    /// Finds out, when everything is in, that another backend has to do it, and goes on when a second decoder is at work.
    TakesOver,
}

/// How long anything may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it never came to that");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Answers each unit at once but for the first.
struct Scripted {
    lane: usize,
    sink: DecodeSink,
    seen: Seen,
    first: Option<First>,
    receipt: SharedReceipt,
}

impl Scripted {
    fn wait_for(&self, serial: u64) {
        wait_until(|| self.seen.highest.load(Ordering::SeqCst) >= serial);
    }
}

impl DecoderBackend for Scripted {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::AnnexB
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        self.seen.calls.fetch_add(1, Ordering::SeqCst);
        self.seen.highest.fetch_max(unit.serial, Ordering::SeqCst);
        if self.lane == 0 {
            self.seen.first_is_at_work.store(true, Ordering::SeqCst);
        }
        match self.first.take() {
            Some(First::Fails(serial)) => {
                self.wait_for(serial);
                let detail = "no more decoders".to_owned();
                return Err(Error::Backend { backend: BackendKind::Custom, call: "create", code: 2, detail });
            }
            Some(First::Takes(serial)) => self.wait_for(serial),
            Some(First::TakesOver) => {
                wait_until(|| self.seen.all_is_in.load(Ordering::SeqCst));
                // By then the end is waited for, as a rule.
                std::thread::sleep(Duration::from_millis(50));
                self.receipt.replace_for_test(BackendKind::Software);
                wait_until(|| self.receipt.get().split.is_some_and(|split| split.opened == 1));
            }
            None => {}
        }
        (self.sink)(DecodeEvent::NoPicture { serial: unit.serial, reason: "test" });
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.seen.calls.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        "scripted"
    }
}

/// Groups of 40 pictures: the serials that come out, how it ended, and the report.
fn decode(
    groups: u64,
    lanes: usize,
    script: impl Fn(usize) -> First + Send + Sync + 'static,
) -> (Vec<u64>, Result<()>, SplitReport) {
    // Room for the oldest segment's few, and nothing else.
    fed(groups, lanes, Room::of(1), |_, _, _| {}, script)
}

/// No second segment comes before the first lane has the first one.
fn the_first_takes_the_oldest(serial: u64, _: &SharedReceipt, common: &Common) {
    if serial == 40 {
        wait_until(|| common.first_is_at_work.load(Ordering::SeqCst));
    }
}

/// As [`decode`]; `before` is called before each unit goes in.
fn fed(
    groups: u64,
    lanes: usize,
    room: Room,
    before: impl Fn(u64, &SharedReceipt, &Common) + Send + 'static,
    script: impl Fn(usize) -> First + Send + Sync + 'static,
) -> (Vec<u64>, Result<()>, SplitReport) {
    let (tx, rx) = mpsc::channel();
    let sink: DecodeSink = Box::new(move |event| match event {
        DecodeEvent::NoPicture { serial, .. } => tx.send(serial).is_ok(),
        _ => false,
    });
    let seen = Seen::default();
    let (watched, worked) = (Arc::clone(&seen), Arc::clone(&seen));
    let open_lane = move |lane, sinks: SinkFactory| {
        let given = Receipt::given(Job::Decode, Codec::Hevc, BackendKind::Custom, "scripted");
        let receipt = SharedReceipt::new(given);
        let (seen, first) = (Arc::clone(&seen), Some(script(lane)));
        let decoder = Scripted { lane, sink: sinks(), seen, first, receipt: receipt.clone() };
        Ok((Box::new(decoder) as Box<dyn DecoderBackend>, receipt))
    };
    let (mut decoder, receipt) = open(
        Codec::Hevc,
        |_| Box::new(Direct(sink)),
        Arc::new(CardRoom::new()),
        Box::new(open_lane),
        Box::new(move |chosen: Chosen| {
            // The backend that takes over may have as many as it likes.
            let lanes = if chosen.is_some_and(|(kind, _)| kind == BackendKind::Software) { 3 } else { lanes };
            Terms { lanes, growth: Growth::AtOnce, room, ahead: u64::MAX }
        }),
    )
    .unwrap();
    let meter = decoder.meter().unwrap();
    let (done, wait) = mpsc::channel();
    let reported = receipt.clone();
    std::thread::spawn(move || {
        let ended = (0..groups * 40)
            .try_for_each(|serial| {
                before(serial, &reported, &watched);
                let kind = if serial % 40 == 0 { 19 } else { 1 };
                let data = vec![0, 0, 1, kind << 1, 1, 0x80];
                let packet = Packet::new(Codec::Hevc, BitstreamLayout::AnnexB, data);
                decoder.submit(CodedUnit { serial, packet })
            })
            .and_then(|()| decoder.flush());
        drop(decoder);
        done.send(ended)
    });
    let ended = wait.recv_timeout(3 * PATIENCE).unwrap();
    let report = receipt.get().split.unwrap();
    // All calls are counted, including failed ones.
    assert_eq!(meter.decode.distribution().count(), worked.calls.load(Ordering::SeqCst));
    assert!((1..=report.engines).contains(&meter.in_flight_peak()), "{meter:?}");
    (rx.iter().collect(), ended, report)
}

#[test]
fn a_decoder_that_fails_late_leaves_the_oldest_part_to_one_that_waits_for_room() {
    // The second fails when the first is beyond its segment, and is about to wait for that segment to leave the window. The oldest
    // segment is the first one's: a thread that begins late would leave it to the second.
    let script = |lane| if lane == 0 { First::Takes(40) } else { First::Fails(80) };
    let (serials, ended, report) = fed(6, 2, Room::of(1), the_first_takes_the_oldest, script);
    ended.unwrap();
    assert_eq!(serials, (0..240).collect::<Vec<_>>());
    assert_eq!((report.engines, report.opened), (2, 1), "{report:?}");
    let note = report.note.unwrap();
    assert!(note.starts_with("decoder 2 could not start") && note.contains("no more decoders"), "{note}");
}

#[test]
fn a_decoder_that_fails_early_takes_no_other_one_s_place() {
    // The second has failed before there is a segment for the third; the first waits until the third is at work.
    let in_order = |serial, receipt: &SharedReceipt, common: &Common| match serial {
        40 => the_first_takes_the_oldest(serial, receipt, common),
        80 => wait_until(|| receipt.get().split.is_some_and(|split| split.note.is_some())),
        _ => {}
    };
    let script = [First::Takes(41), First::Fails(0), First::Takes(0)];
    let (serials, ended, report) = fed(4, 3, Room::of(u64::MAX), in_order, move |lane| script[lane]);
    ended.unwrap();
    assert_eq!(serials, (0..160).collect::<Vec<_>>());
    assert_eq!((report.engines, report.opened), (3, 2), "{report:?}");
}

#[test]
fn a_takeover_that_comes_when_all_is_in_brings_its_terms() {
    let last = |serial, _: &SharedReceipt, common: &Common| {
        common.all_is_in.fetch_or(serial == 79, Ordering::SeqCst);
    };
    let script = |lane| if lane == 0 { First::TakesOver } else { First::Takes(0) };
    let (serials, ended, report) = fed(2, 1, Room::of(u64::MAX), last, script);
    ended.unwrap();
    assert_eq!(serials, (0..80).collect::<Vec<_>>());
    assert_eq!((report.engines, report.opened), (3, 2), "{report:?}");
}

#[test]
fn those_that_work_do_it_all() {
    use First::{Fails, Takes};
    // Failing at once, or when the others are at work.
    let scripts = [
        [Takes(40), Fails(0), Fails(0), Fails(0)],
        [Fails(80), Takes(0), Takes(0), Takes(0)],
        [Fails(80), Takes(0), Fails(80), Takes(0)],
        [Takes(120), Fails(120), Fails(120), Fails(120)],
    ];
    // The oldest segment is the first one's: what it waits for comes from the others, who may all have failed otherwise.
    for script in scripts {
        let (serials, ended, _) =
            fed(8, 4, Room::of(1), the_first_takes_the_oldest, move |lane| script[lane]);
        ended.unwrap();
        assert_eq!(serials, (0..320).collect::<Vec<_>>(), "{script:?}");
    }
}

#[test]
fn when_no_decoder_works_the_last_one_s_error_ends_it() {
    for lanes in 1..5 {
        let (serials, ended, report) = decode(8, lanes, |_| First::Fails(0));
        assert!(matches!(ended, Err(Error::Backend { code: 2, .. })), "{ended:?}");
        assert!(serials.is_empty() && report.note.is_some(), "{report:?}");
    }
}
