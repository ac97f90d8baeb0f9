//! What the sessions of a stream say of themselves to those who watch the process (feature `metrics`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::running::{Received, Running};
use super::telemetry::SwitchCounts;
use crate::backend::{BackendKind, CopyBytes};
use crate::config::CommonEncodeConfig;
use crate::metrics::names::{CONVERTED, ENCODER, KEYFRAMES, SWITCHES};
use crate::metrics::{Identity, Observed, Sample, observe};
use crate::queue::QueueMonitor;
use crate::session::observe::{copies, fallbacks, inside};
use crate::stages::{Histogram, Jitter};
use crate::sync::lock;

/// The figures of one session, counted from the frame on with which it becomes the stream's: what it did to prove itself
/// is no frame of anybody's.
#[derive(Default)]
pub(super) struct Figures {
    fed: AtomicU64,
    coded: AtomicU64,
    bytes: AtomicU64,
    keyframes: AtomicU64,
    failed: AtomicU64,
    dropped: Mutex<BTreeMap<&'static str, u64>>,
    latency: Histogram,
    jitter: Mutex<Jitter>,
    switches: Mutex<[u64; 7]>,
}

const RESULTS: [&str; 7] =
    ["requested", "in_place", "new_session", "failed", "rolled_back", "superseded", "reopened"];

const fn numbers(counts: &SwitchCounts) -> [u64; 7] {
    let c = counts;
    [c.requested, c.in_place, c.new_session, c.failed, c.rolled_back, c.superseded, c.reopened]
}

impl Figures {
    fn of(session: &Running) -> (Arc<Self>, Observed) {
        let figures = Arc::new(Self::default());
        let (seen, queues, meter) = (Arc::clone(&figures), session.queues(), session.facts.meter.clone());
        let (receipt, converted) = (session.receipt.clone(), Arc::clone(&session.converted));
        let chosen = (session.candidate.backend(), session.facts.implementation);
        let identity = Identity {
            side: &ENCODER,
            chosen: Box::new(move || chosen),
            codec: receipt.codec,
            stream: session.target.0.stream.clone(),
            device: session.target.0.device.clone(),
            session: true,
        };
        let observed = observe(identity, move |sample| {
            seen.tell(sample);
            sample.counter(&CONVERTED, &[], converted.load(Ordering::Relaxed));
            fallbacks(&ENCODER, &receipt, sample);
            for (name, queue) in [("input", queues.0.stats()), ("output", queues.1.stats())] {
                let label = [("queue", name)];
                sample.gauge(&ENCODER.queue_depth, &label, queue.depth as f64);
                sample.gauge(&ENCODER.queue_peak, &label, queue.peak as f64);
                sample.gauge(&ENCODER.queue_capacity, &label, queue.capacity as f64);
            }
            if let Some(meter) = &meter {
                inside(meter, sample);
                let (input, output, device) = meter.copied();
                copies(&ENCODER, CopyBytes { input, output, device }, sample);
            }
        });
        (figures, observed)
    }

    fn tell(&self, sample: &mut Sample<'_>) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Outcomes first: a frame that comes in between is then inside, and none is out that never came in.
        let (coded, failed) = (read(&self.coded), read(&self.failed));
        let dropped = lock(&self.dropped).clone();
        let fed = read(&self.fed);
        sample.counter(&ENCODER.units, &[], fed);
        sample.frames(&ENCODER.frames, coded);
        sample.counter(&ENCODER.failed, &[], failed);
        let mut settled = coded + failed;
        for (reason, count) in dropped {
            settled += count;
            sample.counter(&ENCODER.dropped, &[("reason", reason)], count);
        }
        sample.gauge(&ENCODER.in_flight, &[], fed.saturating_sub(settled) as f64);
        sample.counter(&ENCODER.coded_bytes, &[], read(&self.bytes));
        sample.counter(&KEYFRAMES, &[], read(&self.keyframes));
        sample.times(&ENCODER.latency, &[], &self.latency);
        sample.times(&ENCODER.jitter, &[], lock(&self.jitter).deviations());
        for (result, count) in RESULTS.into_iter().zip(*lock(&self.switches)) {
            sample.counter(&SWITCHES, &[("result", result)], count);
        }
    }

    pub(super) fn received(&self, received: &Received) {
        match received {
            Received::Unit(unit) => {
                self.coded.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(unit.data.len() as u64, Ordering::Relaxed);
                self.keyframes.fetch_add(u64::from(unit.keyframe), Ordering::Relaxed);
                lock(&self.jitter).arrived(Instant::now());
            }
            Received::Dropped(_, reason) => *lock(&self.dropped).entry(reason).or_default() += 1,
            Received::Lost { .. } => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    pub(super) fn fed(&self) {
        self.fed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn latency(&self, latency: Duration) {
        self.latency.record(latency);
    }

    fn switched(&self, news: [u64; 7]) {
        for (sum, more) in lock(&self.switches).iter_mut().zip(news) {
            *sum += more;
        }
    }
}

/// Has a ring in front of a stream watched, as a queue of the encoder that runs now.
pub(super) fn ring(
    config: &CommonEncodeConfig,
    encoder: Option<(BackendKind, &'static str)>,
    ring: QueueMonitor,
) -> Observed {
    in_front(config, encoder, move |sample| {
        let (queue, label) = (ring.stats(), [("queue", "ring")]);
        sample.gauge(&ENCODER.queue_depth, &label, queue.depth as f64);
        sample.gauge(&ENCODER.queue_peak, &label, queue.peak as f64);
        sample.gauge(&ENCODER.queue_capacity, &label, queue.capacity as f64);
    })
}

/// Has something in front of a stream watched, under the labels of the encoder that runs now.
pub(super) fn in_front(
    config: &CommonEncodeConfig,
    encoder: Option<(BackendKind, &'static str)>,
    ask: impl Fn(&mut Sample<'_>) + Send + 'static,
) -> Observed {
    let chosen = encoder.unwrap_or((BackendKind::Custom, "none"));
    let identity = Identity {
        side: &ENCODER,
        chosen: Box::new(move || chosen),
        codec: config.codec,
        stream: config.stream.clone(),
        device: None,
        session: false,
    };
    observe(identity, ask)
}

/// What is told of a session of a stream; nothing before it is the stream's, or without anybody who asks.
pub(super) type Watched = Option<(Arc<Figures>, Observed)>;

impl Running {
    /// The session is the stream's now.
    pub(super) fn begin_watch(&mut self) {
        if self.watched.is_none() {
            self.watched = Some(Figures::of(self));
        }
    }

    pub(super) fn figures(&self) -> Option<&Figures> {
        self.watched.as_ref().map(|(figures, _)| figures.as_ref())
    }
}

/// What has been reported of a stream's switches.
#[derive(Default)]
pub(super) struct Switches([u64; 7]);

impl Switches {
    /// Switches are reported of the session that they led to.
    pub(super) fn report(&mut self, counts: &SwitchCounts, active: Option<&Running>) {
        let now = numbers(counts);
        if now != self.0
            && let Some(figures) = active.and_then(Running::figures)
        {
            let mut news = now;
            news.iter_mut().zip(self.0).for_each(|(now, reported)| *now -= reported);
            figures.switched(news);
            self.0 = now;
        }
    }
}
