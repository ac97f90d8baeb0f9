//! All figures at one moment, and their text for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::names::{self, Metric};
use crate::stages::Distribution;

/// Labels of a series: names and values.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Upper bounds of the buckets that Prometheus gets, in microseconds; the last one is without bound.
const BOUNDS_US: [u64; 19] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// A figure.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Of a [`names::Kind::Counter`].
    Counter(u64),
    /// Of a [`names::Kind::Gauge`].
    Gauge(f64),
    /// Of a [`names::Kind::Histogram`].
    Histogram(Distribution),
}

impl Value {
    /// Adds the figure of another session with the same labels.
    pub(super) fn add(&mut self, metric: &Metric, other: &Self) {
        match (self, other) {
            (Self::Counter(sum), Self::Counter(more)) => *sum = sum.saturating_add(*more),
            (Self::Gauge(most), Self::Gauge(other)) if metric.is_peak() => *most = most.max(*other),
            (Self::Gauge(sum), Self::Gauge(more)) => *sum += more,
            (Self::Histogram(sum), Self::Histogram(more)) => sum.add(more),
            // A metric has one kind.
            _ => {}
        }
    }
}

/// A metric with labels, and its figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Which metric.
    pub metric: &'static Metric,
    /// Of what.
    pub labels: Labels,
    /// How much.
    pub value: Value,
}

impl Series {
    /// The value of a label; none where the series has no such label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_str())
    }
}

/// All figures at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    series: Vec<Series>,
}

impl Snapshot {
    /// Puts series into the order of [`names::all`], then of their labels.
    pub(super) fn of(mut series: Vec<Series>) -> Self {
        let places: BTreeMap<_, _> = names::all().map(|metric| metric.name).zip(0..).collect();
        let place = |series: &Series| places.get(series.metric.name).copied().unwrap_or(usize::MAX);
        series.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.labels.cmp(&b.labels)));
        Self { series }
    }

    /// Every series, those of a metric side by side.
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// The sum of a counter or gauge over all series that have these labels among theirs.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |series: &&Series| {
            series.metric.name == name
                && labels.iter().all(|(label, value)| series.label(label) == Some(value))
        };
        self.series
            .iter()
            .filter(fits)
            .map(|series| match &series.value {
                Value::Counter(value) => *value as f64,
                Value::Gauge(value) => *value,
                Value::Histogram(_) => 0.0,
            })
            .sum()
    }

    /// The text that Prometheus reads (format 0.0.4; media type [`super::TEXT_TYPE`]).
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        for series in &self.series {
            let Metric { name, kind, help, .. } = series.metric;
            // Writing to a String does not fail.
            if last != *name {
                last = name;
                let _ = writeln!(text, "# HELP {name} {}", escape(help, false));
                let _ = writeln!(text, "# TYPE {name} {}", kind.name());
            }
            let labels = &series.labels;
            match &series.value {
                Value::Counter(value) => line(&mut text, name, "", labels, None, &value.to_string()),
                Value::Gauge(value) => line(&mut text, name, "", labels, None, &number(*value)),
                Value::Histogram(times) => histogram(&mut text, name, labels, times),
            }
        }
        text
    }
}

fn histogram(text: &mut String, name: &str, labels: &Labels, times: &Distribution) {
    let bounds = BOUNDS_US.map(Duration::from_micros);
    for (bound, count) in bounds.iter().zip(times.up_to(bounds)) {
        line(text, name, "_bucket", labels, Some(&number(bound.as_secs_f64())), &count.to_string());
    }
    let count = times.count().to_string();
    line(text, name, "_bucket", labels, Some("+Inf"), &count);
    line(text, name, "_sum", labels, None, &number(times.total().as_secs_f64()));
    line(text, name, "_count", labels, None, &count);
}

fn line(text: &mut String, name: &str, suffix: &str, labels: &Labels, le: Option<&str>, value: &str) {
    text.push_str(name);
    text.push_str(suffix);
    let labels = labels.iter().map(|(label, value)| (*label, value.as_str()));
    let mut before = '{';
    for (label, value) in labels.chain(le.map(|bound| ("le", bound))) {
        text.push(std::mem::replace(&mut before, ','));
        text.push_str(label);
        text.push_str("=\"");
        if value.contains(['\\', '\n', '"']) {
            text.push_str(&escape(value, true));
        } else {
            text.push_str(value);
        }
        text.push('"');
    }
    if before == ',' {
        text.push('}');
    }
    text.push(' ');
    text.push_str(value);
    text.push('\n');
}

/// As Prometheus reads numbers: Rust prints the shortest text that is exactly this number.
fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "NaN".to_owned() }
}

fn escape(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "counts, which are exact")]
mod tests {
    use super::*;
    use crate::stages::Histogram;

    fn labels(stream: &str) -> Labels {
        vec![("encoder_type", "openh264".to_owned()), ("stream", stream.to_owned())]
    }

    #[test]
    fn the_text_has_each_heading_once_and_hostile_labels_stay_in_their_quotes() {
        let side = &names::ENCODER;
        let series = |metric, stream, value| Series { metric, labels: labels(stream), value };
        let times = Histogram::default();
        for micros in [5, 30, 30, 20_000_000] {
            times.record(Duration::from_micros(micros));
        }
        let snapshot = Snapshot::of(vec![
            series(&side.jitter, "a", Value::Histogram(times.distribution())),
            series(&side.frames, "b\"} 9\nx 1\\", Value::Counter(7)),
            series(&side.frames, "a", Value::Counter(3)),
            series(&side.fps, "a", Value::Gauge(29.97)),
        ]);
        let text = snapshot.to_prometheus();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "# HELP encoder_frames_total Frames that came out encoded.",
                "# TYPE encoder_frames_total counter",
                "encoder_frames_total{encoder_type=\"openh264\",stream=\"a\"} 3",
                "encoder_frames_total{encoder_type=\"openh264\",stream=\"b\\\"} 9\\nx 1\\\\\"} 7",
                lines[4],
                "# TYPE encoder_fps gauge",
            ]
        );
        assert!(text.contains("encoder_fps{encoder_type=\"openh264\",stream=\"a\"} 29.97\n"), "{text}");
        let bucket = |le: &str| {
            let start = format!(
                "encoder_jitter_seconds_bucket{{encoder_type=\"openh264\",stream=\"a\",le=\"{le}\"}} "
            );
            text.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
        };
        let found = ["0.00001", "0.000025", "0.00005", "10", "+Inf"].map(|le| bucket(le).unwrap());
        assert_eq!(found, ["1", "1", "3", "3", "4"]);
        assert!(
            text.contains("encoder_jitter_seconds_sum{encoder_type=\"openh264\",stream=\"a\"} 20.000065\n")
        );
        assert!(text.contains("encoder_jitter_seconds_count{encoder_type=\"openh264\",stream=\"a\"} 4\n"));
        assert_eq!(text.matches("# TYPE").count(), 3);
        assert_eq!(snapshot.sum("encoder_frames_total", &[]), 10.0);
        assert_eq!(snapshot.sum("encoder_frames_total", &[("stream", "a")]), 3.0);
    }

    #[test]
    fn every_bound_is_larger_than_the_one_before() {
        assert!(BOUNDS_US.is_sorted_by(|a, b| a < b));
    }
}
