//! The same figures through the [`metrics`](https://docs.rs/metrics) crate, for programs that have an exporter already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ::metrics::{Key, KeyName, Label, Level, Metadata, Recorder, SharedString, with_recorder};

use super::names::{self, Kind, Metric, Unit};
use super::series::{Labels, Series, Snapshot, Value};
use crate::error::{Error, Result};
use crate::stages::Distribution;

/// Tells the recorder of the `metrics` crate what the sessions of this process came to, whenever it is asked to.
///
/// Histograms of this library are counted already; the recorder gets what came since the last time, each time as often as it
/// occurred. So a program has one publisher.
///
/// ```
/// // An exporter would be installed here.
/// let mut publisher = video_hw::metrics::Publisher::default();
/// publisher.publish(); // once a second, or whenever somebody looks
/// ```
#[derive(Debug, Default)]
pub struct Publisher {
    described: bool,
    reported: BTreeMap<(&'static str, Labels), Distribution>,
    /// Those that were told the last time: a recorder keeps a gauge for ever, also when what it is of has ended.
    gauges: BTreeSet<(&'static str, Labels)>,
}

impl Publisher {
    /// Tells the recorder that is installed everything as it is now. Where none is installed this does little.
    pub fn publish(&mut self) {
        let snapshot = super::snapshot();
        with_recorder(|recorder| self.publish_to(recorder, &snapshot));
    }

    /// Tells a recorder of these figures. A gauge that was told the last time and is no more is told once more, as 0.
    pub fn publish_to(&mut self, recorder: &dyn Recorder, snapshot: &Snapshot) {
        if !std::mem::replace(&mut self.described, true) {
            names::all().for_each(|metric| describe(recorder, metric));
        }
        let about = Metadata::new(module_path!(), Level::INFO, None);
        let mut ended = std::mem::take(&mut self.gauges);
        for Series { metric, labels, value } in snapshot.series() {
            let key = key(metric.name, labels);
            match value {
                Value::Counter(value) => recorder.register_counter(&key, &about).absolute(*value),
                Value::Gauge(value) => {
                    recorder.register_gauge(&key, &about).set(*value);
                    let known = (metric.name, labels.clone());
                    ended.remove(&known);
                    self.gauges.insert(known);
                }
                Value::Histogram(times) => {
                    let histogram = recorder.register_histogram(&key, &about);
                    let reported = self.reported.entry((metric.name, labels.clone())).or_default();
                    for (time, count) in times.since(reported) {
                        histogram
                            .record_many(time.as_secs_f64(), usize::try_from(count).unwrap_or(usize::MAX));
                    }
                    reported.clone_from(times);
                }
            }
        }
        for (name, labels) in ended {
            recorder.register_gauge(&key(name, &labels), &about).set(0.0);
        }
    }

    /// Publishes from a thread of its own, every `interval` and a last time when the handle is dropped.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn spawn(mut self, interval: Duration) -> Result<Publishing> {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name("vhw-metrics".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                    self.publish();
                }
                self.publish();
            })
            .map_err(|source| Error::io("start a thread for", "vhw-metrics", source))?;
        Ok(Publishing { stop: Some(stop), thread: Some(thread) })
    }
}

/// A publisher on a thread of its own; see [`Publisher::spawn`].
#[derive(Debug)]
pub struct Publishing {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Publishing {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A recorder that panicked ended the thread; there is nothing to learn from it here.
            let _ = thread.join();
        }
    }
}

fn key(name: &'static str, labels: &Labels) -> Key {
    let labels = labels.iter().map(|(name, value)| Label::new(*name, value.clone()));
    Key::from_parts(name, labels.collect::<Vec<_>>())
}

fn describe(recorder: &dyn Recorder, metric: &Metric) {
    let unit = match metric.unit {
        Unit::Bytes => ::metrics::Unit::Bytes,
        Unit::Seconds => ::metrics::Unit::Seconds,
        Unit::FramesPerSecond => ::metrics::Unit::CountPerSecond,
        // A share of a whole has no unit of its own there.
        _ => ::metrics::Unit::Count,
    };
    let (name, help) = (KeyName::from_const_str(metric.name), SharedString::const_str(metric.help));
    match metric.kind {
        Kind::Counter => recorder.describe_counter(name, Some(unit), help),
        Kind::Gauge => recorder.describe_gauge(name, Some(unit), help),
        Kind::Histogram => recorder.describe_histogram(name, Some(unit), help),
    }
}
