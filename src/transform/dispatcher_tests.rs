//! Order, losses, generations and endings of the dispatcher, with work of every speed and outcome.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::ThreadId;
use std::time::Duration;

use proptest::prelude::*;

use super::dispatcher::{TransformDispatcher, TransformOptions};
use super::request::TransformRequest;
use super::workers::Ticket;
use super::{ColorRequest, Converted, Site};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface, Surface};
use crate::pixel::PixelFormat;
use crate::time::{TimeBase, Timestamp};

const SIZE: Dimensions = Dimensions::new(8, 4).unwrap();
const RGB: TransformRequest = TransformRequest {
    host: false,
    crop: None,
    size: None,
    filter: super::ScaleFilter::Bilinear,
    convert: ColorRequest::Rgb8,
};

fn frame(number: usize, format: PixelFormat) -> Frame {
    let surface = HostSurface::from_packed(format, SIZE, vec![100; format.frame_bytes(SIZE)]).unwrap();
    Frame::host(Timestamp::new(number as i64, TimeBase::MPEG), surface)
}

fn number(frame: &Frame) -> usize {
    frame.pts.ticks() as usize
}

fn options(threads: usize, credits: usize) -> TransformOptions {
    TransformOptions { threads: NonZeroUsize::new(threads), credits: NonZeroUsize::new(credits) }
}

fn dispatcher(
    options: TransformOptions,
    work: impl Fn(&Frame) -> Result<()> + Send + Sync + 'static,
) -> TransformDispatcher {
    TransformDispatcher::with_work(
        options,
        Box::new(move |frame, request| {
            work(&frame)?;
            // Not the conversion itself: it is tested elsewhere, and slow where tests are interpreted.
            let format = request.convert.format().unwrap_or(frame.format);
            Ok(Converted { frame: Frame { format, ..frame }, assumed_color: false, site: Site::Cpu })
        }),
    )
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Pass,
    Work { micros: u64 },
    Fail,
    Panic,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        2 => Just(Fate::Pass),
        6 => (0_u64..400).prop_map(|micros| Fate::Work { micros }),
        1 => Just(Fate::Fail),
        1 => Just(Fate::Panic),
    ]
}

/// Does with frame `n` what `fates[n]` says.
fn scripted(fates: &[Fate]) -> impl Fn(&Frame) -> Result<()> + Send + Sync + 'static {
    let fates = fates.to_vec();
    move |frame| match fates[number(frame)] {
        Fate::Work { micros } => {
            std::thread::sleep(Duration::from_micros(micros));
            Ok(())
        }
        Fate::Fail => Err(Error::corrupt(format!("scripted loss of {}", number(frame)))),
        Fate::Panic => panic!("scripted panic at {}", number(frame)),
        Fate::Pass => panic!("frame {} needed no work", number(frame)),
    }
}

fn input(n: usize, fate: Fate) -> Frame {
    frame(n, if matches!(fate, Fate::Pass) { PixelFormat::Rgb24 } else { PixelFormat::I420 })
}

fn check(n: usize, fate: Fate, result: Result<Frame>) {
    match (fate, result) {
        (Fate::Pass | Fate::Work { .. }, Ok(frame)) => {
            assert_eq!((number(&frame), frame.format), (n, PixelFormat::Rgb24));
        }
        (Fate::Fail, Err(error)) => assert!(error.to_string().contains(&format!("loss of {n}")), "{error}"),
        (Fate::Panic, Err(error)) => {
            assert!(error.is_recoverable());
            assert!(error.to_string().contains(&format!("panic at {n}")), "{error}");
        }
        (fate, result) => panic!("frame {n}, {fate:?}: {result:?}"),
    }
}

fn config() -> ProptestConfig {
    // Interpreted (miri), one case costs seconds.
    let cases = if cfg!(miri) { 4 } else { 64 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn everything_comes_out_once_and_in_its_place(
        fates in prop::collection::vec(fate(), 0..if cfg!(miri) { 12 } else { 80 }),
        threads in 1_usize..5,
        credits in 1_usize..12,
    ) {
        let dispatcher = dispatcher(options(threads, credits), scripted(&fates));
        let mut out = 0;
        for (n, &fate) in fates.iter().enumerate() {
            let mut next = input(n, fate);
            while let Err(back) = dispatcher.submit(next, &RGB) {
                assert_eq!(number(&back), n);
                next = back;
                assert_eq!(dispatcher.stats().inside.depth, credits);
                if let Some(result) = dispatcher.reap().transpose() {
                    check(out, fates[out], result);
                    out += 1;
                }
            }
        }
        for result in dispatcher.drain() {
            check(out, fates[out], result);
            out += 1;
        }
        assert_eq!(out, fates.len());
        let count = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count() as u64;
        let stats = dispatcher.stats();
        assert_eq!(stats.passed, count(|f| matches!(f, Fate::Pass)));
        assert_eq!(stats.transformed, count(|f| matches!(f, Fate::Work { .. })));
        assert_eq!(stats.failed, count(|f| matches!(f, Fate::Fail | Fate::Panic)));
        assert!(stats.inside.peak <= credits && stats.inside.depth == 0, "{stats:?}");
        let needed = stats.transformed + stats.failed > 0;
        assert_eq!(stats.threads, if needed { threads } else { 0 });
    }

    #[test]
    fn two_threads_submit_and_reap(
        fates in prop::collection::vec(fate(), 1..if cfg!(miri) { 8 } else { 60 }),
        threads in 1_usize..4,
        credits in 1_usize..6,
    ) {
        let dispatcher = dispatcher(options(threads, credits), scripted(&fates));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (n, &fate) in fates.iter().enumerate() {
                    dispatcher.submit_blocking(input(n, fate), &RGB);
                }
            });
            let mut out = 0;
            while out < fates.len() {
                if let Some(result) = dispatcher.reap_timeout(Duration::from_secs(20)).transpose() {
                    check(out, fates[out], result);
                    out += 1;
                }
            }
        });
        assert!(dispatcher.try_reap().is_ok_and(|left| left.is_none()));
    }

    #[test]
    fn it_ends_whenever_it_is_dropped_and_settles_every_ticket(
        fates in prop::collection::vec(fate(), 0..if cfg!(miri) { 6 } else { 30 }),
        threads in 1_usize..4,
        keep in prop::collection::vec(any::<bool>(), 30),
    ) {
        let dispatcher = dispatcher(options(threads, 3), scripted(&fates));
        let mut tickets: Vec<(usize, Ticket)> = Vec::new();
        for (n, &fate) in fates.iter().enumerate() {
            let ticket = dispatcher.ticket(input(n, fate), &RGB);
            // The other tickets are given up at once: nobody may wait for their frames.
            if keep[n] {
                tickets.push((n, ticket));
            }
        }
        let waiting = std::thread::spawn(move || {
            for (n, ticket) in tickets {
                match ticket.wait() {
                    Err(Error::Cancelled) => {}
                    result => check(n, fates[n], result),
                }
            }
        });
        drop(dispatcher);
        waiting.join().unwrap();
    }
}

#[test]
fn frames_as_asked_for_meet_no_thread_and_keep_their_place() {
    let (let_go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let dispatcher = dispatcher(options(2, 8), move |_| {
        let _ = gate.lock().unwrap().recv();
        Ok(())
    });
    let native = TransformRequest::default().convert(ColorRequest::KeepNative);
    for n in 0..8 {
        dispatcher.submit(frame(n, PixelFormat::I420), &native).unwrap();
        assert_eq!(number(&dispatcher.try_reap().unwrap().unwrap()), n);
    }
    assert_eq!((dispatcher.stats().threads, dispatcher.stats().passed), (0, 8));
    assert_eq!(dispatcher.stats().queue.peak, 0);

    // One in work holds back what needs none.
    dispatcher.submit(frame(0, PixelFormat::I420), &RGB).unwrap();
    dispatcher.submit(frame(1, PixelFormat::I420), &native).unwrap();
    assert!(dispatcher.try_reap().unwrap().is_none());
    assert!(dispatcher.reap_timeout(Duration::from_millis(5)).unwrap().is_none());
    let_go.send(()).unwrap();
    let order: Vec<_> = dispatcher.drain().map(|f| number(&f.unwrap())).collect();
    assert_eq!(order, [0, 1]);
}

#[test]
fn frames_without_samples_that_need_work_fail_alone() {
    let dispatcher = TransformDispatcher::default();
    let nothing = Frame { surface: Surface::None, ..frame(0, PixelFormat::I420) };
    dispatcher.submit(nothing, &RGB).unwrap();
    dispatcher.submit(frame(1, PixelFormat::I420), &RGB).unwrap();
    assert!(matches!(dispatcher.reap(), Err(Error::InvalidInput { .. })));
    let rgb = dispatcher.reap().unwrap().unwrap();
    assert_eq!(rgb.as_host().unwrap().format(), PixelFormat::Rgb24);
    assert!(dispatcher.reap().unwrap().is_none());
    assert!(dispatcher.stats().assumed_color);
}

#[test]
fn older_generations_are_dropped_counted_and_not_worked_on() {
    let (let_go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let worked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&worked);
    let dispatcher = dispatcher(options(1, 20), move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        let _ = gate.lock().unwrap().recv();
        Ok(())
    });
    let native = TransformRequest::default();
    for n in 0..6 {
        dispatcher.submit(frame(n, PixelFormat::I420), &RGB).unwrap();
    }
    dispatcher.submit(frame(6, PixelFormat::I420), &native).unwrap();
    // Wait until the first is in work: it cannot be taken back any more.
    while worked.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    dispatcher.set_generation(3);
    dispatcher.set_generation(2);
    assert_eq!(dispatcher.generation(), 3);
    dispatcher.submit_with_generation(frame(7, PixelFormat::I420), &RGB, 2).unwrap();
    dispatcher.submit(frame(8, PixelFormat::I420), &RGB).unwrap();
    dispatcher.submit_with_generation(frame(9, PixelFormat::I420), &RGB, 4).unwrap();
    drop(let_go);
    let out: Vec<_> = dispatcher.drain().map(|f| number(&f.unwrap())).collect();
    assert_eq!(out, [8, 9]);
    assert_eq!(dispatcher.stats().stale, 8);
    // The first of the old ones, and the two that came out.
    assert_eq!(worked.load(Ordering::SeqCst), 3);
}

#[test]
fn work_is_shared_out_and_measured() {
    let threads: Arc<std::sync::Mutex<std::collections::HashSet<ThreadId>>> = Arc::default();
    let seen = Arc::clone(&threads);
    let busy = Arc::new(AtomicU64::new(0));
    let both = Arc::clone(&busy);
    let dispatcher = dispatcher(options(2, 4), move |_| {
        seen.lock().unwrap().insert(std::thread::current().id());
        // Goes on once both threads are here.
        both.fetch_add(1, Ordering::SeqCst);
        while both.load(Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
        Ok(())
    });
    for n in 0..4 {
        dispatcher.submit(frame(n, PixelFormat::I420), &RGB).unwrap();
    }
    assert!(dispatcher.submit(frame(4, PixelFormat::I420), &RGB).is_err());
    assert_eq!(dispatcher.drain().count(), 4);
    assert_eq!(threads.lock().unwrap().len(), 2);
    assert!(!threads.lock().unwrap().contains(&std::thread::current().id()));
    let stats = dispatcher.stats();
    assert!(stats.busy > Duration::ZERO && stats.inside.peak == 4, "{stats:?}");
}
