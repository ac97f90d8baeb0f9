//! Who is asked when figures are wanted.
//!
//! Sessions do not push: each registers, when it opens, something that reads the books it keeps anyway. So the price of a
//! frame is the same whether anybody looks or not, and all the work is done by whoever asks. What a session came to is added
//! up when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::gpu;
use super::names::{Metric, Side};
use super::series::{Labels, Series, Snapshot, Value};
use crate::backend_kind::BackendKind;
use crate::codec::Codec;
use crate::stages::Histogram;
use crate::sync::lock;

/// Speeds are of at least this time.
const SPEED_OVER: Duration = Duration::from_secs(1);
/// So long the last gauges of a session that has ended are told, for readers that come four times a minute.
const ENDED_SHOWN: Duration = Duration::from_secs(15);
/// Sets of labels whose sums are kept; names of streams that come after these share one.
const MOST_KEPT: usize = 1024;
/// The stream that those are told under.
const OTHERS: &str = "(others)";

/// A series' metric, by name, and labels.
type Key = (&'static str, Labels);
type Values = BTreeMap<Key, (&'static Metric, Value)>;

static HUB: Mutex<Hub> = Mutex::new(Hub {
    live: BTreeMap::new(),
    next: 0,
    ended: BTreeMap::new(),
    last_gauges: BTreeMap::new(),
    kept: BTreeSet::new(),
});

struct Hub {
    live: BTreeMap<u64, Source>,
    next: u64,
    /// Counters and histograms of sessions that have ended.
    ended: Values,
    /// What gauges still say of sessions that ended just now.
    last_gauges: BTreeMap<Key, (&'static Metric, f64, Instant)>,
    /// Labels of sessions that have ended.
    kept: BTreeSet<Labels>,
}

/// What a session says of itself when asked.
type Ask = Box<dyn Fn(&mut Sample<'_>) + Send>;

struct Source {
    identity: Identity,
    /// Its stream's name is one of those that come after the kept ones.
    among_others: bool,
    ask: Ask,
    speed: Speed,
}

/// Tells what was chosen.
pub(crate) type Chosen = Box<dyn Fn() -> (BackendKind, &'static str) + Send>;

/// What labels are made from.
pub(crate) struct Identity {
    /// Encoder or decoder.
    pub(crate) side: &'static Side,
    /// The backend that was taken and its implementation. A decoder that refuses the stream is replaced by another one.
    pub(crate) chosen: Chosen,
    /// The codec.
    pub(crate) codec: Codec,
    /// What the caller calls the stream.
    pub(crate) stream: Option<String>,
    /// The device that the caller asked for.
    pub(crate) device: Option<String>,
    /// It is a session, and not something in front of one.
    pub(crate) session: bool,
}

impl Identity {
    fn labels(&self) -> Labels {
        let (backend, implementation) = (self.chosen)();
        let mut labels = vec![
            (self.side.type_label, backend.known_as(self.side.job, self.codec, implementation)),
            ("backend", backend.name().to_owned()),
            ("codec", self.codec.name().to_owned()),
        ];
        labels.extend(self.stream.clone().map(|stream| ("stream", stream)));
        labels
    }
}

/// Frames a second, from two looks at a counter.
struct Speed {
    opened: Instant,
    mark: (Instant, u64),
    last: Option<f64>,
}

impl Speed {
    fn new(now: Instant) -> Self {
        Self { opened: now, mark: (now, 0), last: None }
    }

    fn per_second(frames: u64, time: Duration) -> f64 {
        if time.is_zero() { 0.0 } else { frames as f64 / time.as_secs_f64() }
    }

    fn look(&mut self, now: Instant, frames: u64) -> f64 {
        let since = now.saturating_duration_since(self.mark.0);
        if since >= SPEED_OVER {
            self.last = Some(Self::per_second(frames.saturating_sub(self.mark.1), since));
            self.mark = (now, frames);
        }
        // In the first second there is nothing to compare with.
        self.last.unwrap_or_else(|| Self::per_second(frames, since))
    }

    fn whole(&self, now: Instant, frames: u64) -> f64 {
        Self::per_second(frames, now.saturating_duration_since(self.opened))
    }
}

/// Where a session puts its figures.
pub(crate) struct Sample<'a> {
    labels: &'a Labels,
    values: &'a mut Values,
    frames: u64,
}

impl Sample<'_> {
    fn put(&mut self, metric: &'static Metric, more: &[(&'static str, &str)], value: Value) {
        let mut labels = self.labels.clone();
        // `stream` stays last.
        let at = labels.iter().position(|(name, _)| *name == "stream").unwrap_or(labels.len());
        labels.splice(at..at, more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let entry = self.values.entry((metric.name, labels));
        entry.and_modify(|(_, sum)| sum.add(metric, &value)).or_insert((metric, value));
    }

    /// Frames that have come out; speed is made from them.
    pub(crate) fn frames(&mut self, metric: &'static Metric, frames: u64) {
        self.frames += frames;
        self.counter(metric, &[], frames);
    }

    /// A number that only rises.
    pub(crate) fn counter(&mut self, metric: &'static Metric, more: &[(&'static str, &str)], value: u64) {
        self.put(metric, more, Value::Counter(value));
    }

    /// How much there is now.
    pub(crate) fn gauge(&mut self, metric: &'static Metric, more: &[(&'static str, &str)], value: f64) {
        self.put(metric, more, Value::Gauge(value));
    }

    /// Times.
    pub(crate) fn times(
        &mut self,
        metric: &'static Metric,
        more: &[(&'static str, &str)],
        times: &Histogram,
    ) {
        self.put(metric, more, Value::Histogram(times.distribution()));
    }
}

impl Source {
    /// A session on a device that tells how busy it is.
    fn on_gpu(&self) -> Option<gpu::User> {
        let Identity { side, device, session, .. } = &self.identity;
        let (backend, _) = (self.identity.chosen)();
        (*session && backend.tells_utilization()).then(|| gpu::User {
            side,
            card: (backend, device.clone()),
            labels: self.labels(),
        })
    }

    fn labels(&self) -> Labels {
        let mut labels = self.identity.labels();
        for (name, value) in &mut labels {
            if *name == "stream" && self.among_others {
                OTHERS.clone_into(value);
            }
        }
        labels
    }

    /// Asks the session, and adds what it says.
    fn ask(&mut self, values: &mut Values, now: Instant, ended: bool) {
        let side = self.identity.side;
        let labels = self.labels();
        let mut sample = Sample { labels: &labels, values, frames: 0 };
        (self.ask)(&mut sample);
        if !self.identity.session {
            return;
        }
        let frames = sample.frames;
        let fps = if ended { self.speed.whole(now, frames) } else { self.speed.look(now, frames) };
        sample.gauge(&side.fps, &[], fps);
        sample.gauge(&side.sessions, &[], if ended { 0.0 } else { 1.0 });
        sample.counter(&side.opened, &[], 1);
    }
}

fn hub() -> MutexGuard<'static, Hub> {
    // A session that panicked while it was asked has left nothing half done here.
    lock(&HUB)
}

/// As long as it lives the session is asked; when it goes, a last time.
pub(crate) struct Observed(u64);

/// Registers a session.
pub(crate) fn observe(identity: Identity, ask: impl Fn(&mut Sample<'_>) + Send + 'static) -> Observed {
    let speed = Speed::new(Instant::now());
    let source = Source { identity, among_others: false, ask: Box::new(ask), speed };
    let mut hub = hub();
    let id = hub.next;
    hub.next += 1;
    hub.live.insert(id, source);
    Observed(id)
}

impl Drop for Observed {
    fn drop(&mut self) {
        let source = hub().retire(self.0);
        // What the session shared with it is freed outside the lock.
        drop(source);
    }
}

impl Hub {
    fn retire(&mut self, id: u64) -> Option<Source> {
        let mut source = self.live.remove(&id)?;
        source.among_others = self.kept.len() >= MOST_KEPT && !self.kept.contains(&source.labels());
        self.kept.insert(source.labels());
        let (mut values, now) = (Values::new(), Instant::now());
        source.ask(&mut values, now, true);
        let side = source.identity.side;
        for (key, (metric, value)) in values {
            if let Value::Gauge(last) = value {
                // Nothing waits in a queue that is gone; how fast and how full it was says something of what has been.
                if metric.is_peak() || [side.fps.name, side.sessions.name].contains(&metric.name) {
                    self.last_gauges.insert(key, (metric, last, now));
                }
            } else {
                let sum = self.ended.entry(key);
                sum.and_modify(|(_, sum)| sum.add(metric, &value)).or_insert((metric, value));
            }
        }
        Some(source)
    }

    fn collect(&mut self, now: Instant) -> Values {
        let mut values = self.ended.clone();
        for source in self.live.values_mut() {
            source.ask(&mut values, now, false);
        }
        self.last_gauges.retain(|_, (_, _, at)| now.saturating_duration_since(*at) < ENDED_SHOWN);
        for (key, (metric, value, _)) in &self.last_gauges {
            values.entry(key.clone()).or_insert((metric, Value::Gauge(*value)));
        }
        values
    }
}

/// Every figure of this process, now. Waits for no session, and no session for it longer than it takes to copy its books.
///
/// GPUs in use are asked how busy they are, at most once a second however often this is called.
pub fn snapshot() -> Snapshot {
    let (mut values, on_gpus) = {
        let mut hub = hub();
        let on_gpus: Vec<_> = hub.live.values().filter_map(Source::on_gpu).collect();
        (hub.collect(Instant::now()), on_gpus)
    };
    // A driver may take its time: not under the lock, which sessions need to open and to close.
    gpu::ask(&on_gpus, |metric, labels, value| {
        values.insert((metric.name, labels), (metric, Value::Gauge(value)));
    });
    let series = values.into_iter().map(|((_, labels), (metric, value))| Series { metric, labels, value });
    Snapshot::of(series.collect())
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "numbers that binary fractions hold exactly")]
mod tests {
    use super::*;

    #[test]
    fn speed_is_that_of_the_last_second_or_more() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut speed = Speed::new(start);
        assert_eq!(speed.look(start, 0), 0.0);
        assert_eq!(speed.look(after(500), 30), 60.0);
        assert_eq!(speed.look(after(2_000), 80), 40.0);
        // Too soon for another answer.
        assert_eq!(speed.look(after(2_100), 800), 40.0);
        assert_eq!(speed.look(after(4_000), 880), 400.0);
        assert_eq!(speed.whole(after(8_000), 880), 110.0);
    }
}
