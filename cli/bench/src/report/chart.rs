//! Charts as SVG inside the page.
//!
//! They have no `viewBox`: widths are shares of the place that a chart gets and heights are pixels, so that words and dots are as large on a
//! telephone as on a wall. Colours are the page's, by class, and whatever a colour says a shape or a word says too.

use std::fmt::Write;

use video_hw_terminal::text::markup as escaped;

use super::pairs::{Measure, OURS, Pair};
use super::words::{range, seconds, times};
use crate::record::{Latency, Run};
use crate::stats::{self, Stats};

/// Room for words at the ends of an axis, in percent of the width.
const EDGE: f64 = 2.0;

/// From values to shares of the width.
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// From 0 to the largest.
    fn from_zero(values: impl Iterator<Item = f64>, to: f64) -> Self {
        let high = values.filter(|v| v.is_finite()).fold(0.0, f64::max);
        Self { low: 0.0, high: if high > 0.0 { high } else { 1.0 }, from: 0.0, to }
    }

    /// Around all of them, with room at both ends.
    fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return None;
        }
        let room = if high > low { (high - low) * 0.08 } else { (high.abs() * 0.05).max(1e-9) };
        Some(Self { low: low - room, high: high + room, from, to })
    }

    fn place(&self, value: f64) -> f64 {
        // Halved first: the distance of the ends of a hostile record's values need not be a number.
        let part = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
        self.from + part * (self.to - self.from)
    }
}

/// The two sides of a pair, with the class that colours them.
fn sides<'a>(pair: &'a Pair<'_>) -> Vec<(&'static str, &'a str, &'a [Run], Stats)> {
    let ours = if pair.row.program == OURS { "a" } else { "b" };
    let mut all = vec![(ours, pair.row.program.as_str(), pair.row.runs.as_slice(), pair.ours)];
    if let (Some(peer), Some(stats)) = (pair.peer, pair.theirs) {
        all.push(("b", peer.program.as_str(), peer.runs.as_slice(), stats));
    }
    all
}

fn values(pair: &Pair<'_>, runs: &[Run]) -> Vec<f64> {
    runs.iter().filter_map(|run| pair.measure.of(run)).collect()
}

fn open(out: &mut String, class: &str, height: f64, label: &str) {
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        out,
        "<svg class=\"chart {class}\" width=\"100%\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
        escaped(label)
    );
}

/// A circle for ours, a square for the peer, with what it is for whoever points at it.
fn dot(out: &mut String, class: &str, x: f64, y: f64, size: f64, title: &str) {
    let title = escaped(title);
    let _ = if class == "a" {
        write!(
            out,
            "<circle class=\"dot a\" cx=\"{x:.2}%\" cy=\"{y:.1}\" r=\"{size}\"><title>{title}</title></circle>"
        )
    } else {
        let (side, back) = (size * 1.8, size * 0.9);
        write!(
            out,
            "<rect class=\"dot b\" x=\"{x:.2}%\" y=\"{:.1}\" width=\"{side:.1}\" height=\"{side:.1}\" transform=\"translate(-{back:.1} 0)\"><title>{title}</title></rect>",
            y - back
        )
    };
}

fn word(out: &mut String, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
    let _ = write!(
        out,
        "<text class=\"{class}\" x=\"{x:.2}%\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(text)
    );
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = write!(
        out,
        "<line class=\"{class}\" x1=\"{:.2}%\" y1=\"{:.1}\" x2=\"{:.2}%\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

/// Bars of the means from zero, with a dot for each run.
pub(crate) fn bars(pair: &Pair<'_>) -> String {
    let sides = sides(pair);
    let all = sides.iter().flat_map(|(_, _, runs, _)| values(pair, runs));
    let scale = Scale::from_zero(all, 100.0 - EDGE);
    let mut label = format!("Mean time, {}:", pair.measure.message());
    for (_, name, _, stats) in &sides {
        let _ = write!(label, " {name} {},", seconds(stats.mean));
    }
    let mut out = String::new();
    open(&mut out, "bars", 30.0 * sides.len() as f64, label.trim_end_matches(','));
    for (i, (class, name, runs, stats)) in sides.iter().enumerate() {
        let y = 30.0 * i as f64;
        let _ = write!(
            out,
            "<rect class=\"track\" x=\"0\" y=\"{}\" width=\"100%\" height=\"22\" rx=\"4\"/>",
            y + 4.0
        );
        if stats.n == 0 {
            word(&mut out, 1.5, y + 19.0, "start", "none", "no figures");
            continue;
        }
        let width = scale.place(stats.mean).max(0.3);
        let _ = write!(
            out,
            "<rect class=\"bar {class}\" x=\"0\" y=\"{}\" width=\"{width:.2}%\" height=\"22\" rx=\"4\"><title>{}: mean {}</title></rect>",
            y + 4.0,
            escaped(name),
            seconds(stats.mean)
        );
        for (n, value) in values(pair, runs).into_iter().enumerate() {
            let title = format!("{name}, run {}: {}", n + 1, seconds(value));
            dot(&mut out, class, scale.place(value), y + 9.0 + 4.0 * (n % 4) as f64, 2.5, &title);
        }
    }
    out.push_str("</svg>");
    out
}

/// Where the runs lie: one strip for each side, each run a dot, p50 and p95 marked.
pub(crate) fn distribution(pair: &Pair<'_>) -> Option<String> {
    let sides = sides(pair);
    let scale = Scale::around(sides.iter().flat_map(|side| values(pair, side.2)), EDGE, 100.0 - EDGE)?;
    let mut label = String::from("Distribution of the runs:");
    for (_, name, _, s) in &sides {
        let figures = [s.min, s.p50, s.p95, s.max].map(seconds);
        let [min, p50, p95, max] = &figures;
        let _ = write!(label, " {name} from {min}, p50 {p50}, p95 {p95}, to {max};");
    }
    let mut out = String::new();
    let height = 46.0 * sides.len() as f64 + 22.0;
    open(&mut out, "strip", height, label.trim_end_matches(';'));
    for (i, (class, name, runs, s)) in sides.iter().enumerate() {
        let y = 46.0 * i as f64;
        word(&mut out, EDGE, y + 11.0, "start", &format!("name {class}"), name);
        line(&mut out, "grid", (0.0, y + 30.0), (100.0, y + 30.0));
        if s.n == 0 {
            continue;
        }
        let (from, to) = (scale.place(s.min), scale.place(s.p95));
        let _ = write!(
            out,
            "<rect class=\"box {class}\" x=\"{from:.2}%\" y=\"{}\" width=\"{:.2}%\" height=\"20\" rx=\"3\"/>",
            y + 20.0,
            (to - from).max(0.2)
        );
        for (n, value) in values(pair, runs).into_iter().enumerate() {
            // Spread downwards by a fixed pattern, so that equal times stay visible.
            let title = format!("{name}, run {}: {}", n + 1, seconds(value));
            dot(&mut out, class, scale.place(value), y + 24.0 + 3.0 * ((n * 3) % 5) as f64, 3.0, &title);
        }
        let middle = scale.place(s.p50);
        line(&mut out, &format!("mark {class}"), (middle, y + 16.0), (middle, y + 43.0));
    }
    axis(&mut out, &scale, height - 6.0);
    out.push_str("</svg>");
    Some(out)
}

/// The ends of a scale and its middle, in words below a chart.
fn axis(out: &mut String, scale: &Scale, y: f64) {
    let at = [
        (scale.low, EDGE, "start"),
        (f64::midpoint(scale.low, scale.high), f64::midpoint(scale.from, scale.to), "middle"),
        (scale.high, 100.0 - EDGE, "end"),
    ];
    for (value, x, anchor) in at {
        word(out, x, y, anchor, "tick", &seconds(value));
    }
}

/// The runs in the order in which they ran.
pub(crate) fn timeline(pair: &Pair<'_>) -> Option<String> {
    let sides = sides(pair);
    let points = |runs: &[Run]| -> Vec<(f64, f64)> {
        let mut all: Vec<_> =
            runs.iter().filter_map(|run| Some((f64::from(run.order), pair.measure.of(run)?))).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    };
    let all: Vec<_> = sides.iter().flat_map(|side| points(side.2)).collect();
    if all.len() < 3 {
        return None;
    }
    let across = Scale::around(all.iter().map(|p| p.0), 17.0, 100.0 - EDGE)?;
    let up = Scale::around(all.iter().map(|p| p.1), 128.0, 10.0)?;
    let mut label = String::from("Runs in the order in which they ran.");
    for (_, name, runs, _) in &sides {
        let points = points(runs);
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            let _ = write!(label, " {name}: first {}, last {}.", seconds(first.1), seconds(last.1));
        }
    }
    let mut out = String::new();
    open(&mut out, "timeline", 150.0, &label);
    for (value, y) in [(up.high, 10.0), (f64::midpoint(up.low, up.high), 69.0), (up.low, 128.0)] {
        line(&mut out, "grid", (17.0, y), (100.0, y));
        word(&mut out, 16.0, y + 4.0, "end", "tick", &seconds(value));
    }
    for (class, name, runs, _) in &sides {
        let points = points(runs);
        for two in points.windows(2) {
            let end = |p: (f64, f64)| (across.place(p.0), up.place(p.1));
            line(&mut out, &format!("path {class}"), end(two[0]), end(two[1]));
        }
        for (order, value) in points {
            let title = format!("{name}, run {} of all: {}", order + 1.0, seconds(value));
            dot(&mut out, class, across.place(order), up.place(value), 3.0, &title);
        }
    }
    word(&mut out, 17.0, 146.0, "start", "tick", "first run");
    word(&mut out, 100.0 - EDGE, 146.0, "end", "tick", "last run");
    out.push_str("</svg>");
    Some(out)
}

/// Percentiles of a frame's way, medians of the runs.
pub(crate) fn latency(pair: &Pair<'_>) -> Option<String> {
    type Part = (&'static str, fn(&Latency) -> f64);
    const PARTS: [Part; 4] =
        [("p50", |l| l.p50_s), ("p95", |l| l.p95_s), ("p99", |l| l.p99_s), ("max", |l| l.max_s)];
    let sides: Vec<_> =
        sides(pair).into_iter().filter(|side| side.2.iter().any(|run| run.latency.is_some())).collect();
    if sides.is_empty() {
        return None;
    }
    let value = |runs: &[Run], part: Part| {
        stats::median(&runs.iter().filter_map(|run| run.latency.as_ref().map(part.1)).collect::<Vec<_>>())
    };
    let all = sides.iter().flat_map(|side| PARTS.map(|part| value(side.2, part)));
    let scale = Scale::from_zero(all, 62.0);
    let step = 17.0 * sides.len() as f64 + 10.0;
    let mut label = String::from("Latency of a frame:");
    for (_, name, runs, _) in &sides {
        for part in PARTS {
            let _ = write!(label, " {name} {} {},", part.0, seconds(value(runs, part)));
        }
    }
    let mut out = String::new();
    open(&mut out, "latency", step * PARTS.len() as f64, label.trim_end_matches(','));
    for (i, part) in PARTS.into_iter().enumerate() {
        let top = step * i as f64;
        word(&mut out, EDGE, top + step / 2.0, "start", "tick", part.0);
        for (n, (class, name, runs, _)) in sides.iter().enumerate() {
            let value = value(runs, part);
            let (y, width) = (top + 3.0 + 17.0 * n as f64, scale.place(value));
            let _ = write!(
                out,
                "<rect class=\"bar {class}\" x=\"14%\" y=\"{y}\" width=\"{width:.2}%\" height=\"13\" rx=\"3\"><title>{} {}: {}</title></rect>",
                escaped(name),
                part.0,
                seconds(value)
            );
            word(&mut out, 15.5 + width, y + 11.0, "start", "tick", &seconds(value));
        }
    }
    out.push_str("</svg>");
    Some(out)
}

/// Where the ratio and its interval lie, between a quarter and four times; the aim is marked.
pub(crate) fn ratio(pair: &Pair<'_>) -> Option<String> {
    let ratio = pair.ratio?;
    let place = |value: f64| {
        let part = (value.max(1e-12).ln() / 4_f64.ln()).clamp(-1.0, 1.0);
        50.0 + 46.0 * part
    };
    let mut out = String::new();
    let mut label = format!("Ratio {}, interval {}", times(ratio.value), range(&ratio));
    if let Some(aim) = pair.aim {
        let _ = write!(label, ", aim {} {}", times(aim.limit), aim.message());
    }
    open(&mut out, "ratio", 40.0, &label);
    let (left, right) = (place(ratio.low), place(ratio.high));
    out.push_str("<rect class=\"good\" x=\"4%\" y=\"4\" width=\"46%\" height=\"16\" rx=\"3\"/>");
    line(&mut out, "one", (50.0, 2.0), (50.0, 22.0));
    if let Some(limit) = pair.row.aim {
        line(&mut out, "aim", (place(limit), 0.0), (place(limit), 24.0));
    }
    line(&mut out, "range", (left, 12.0), (right, 12.0));
    dot(&mut out, "a", place(ratio.value), 12.0, 5.0, &label);
    for (x, anchor, text) in
        [(4.0, "start", "¼ of the time"), (50.0, "middle", "equal"), (96.0, "end", "4 times")]
    {
        word(&mut out, x, 36.0, anchor, "tick", text);
    }
    out.push_str("</svg>");
    Some(out)
}

/// Whether any chart of the pair has something to show.
pub(crate) fn has_runs(pair: &Pair<'_>) -> bool {
    pair.ours.n > 0 || pair.theirs.is_some_and(|stats| stats.n > 0)
}

/// What the times of a chart are.
pub(crate) fn caption(measure: Measure) -> &'static str {
    match measure {
        Measure::Wall => "Seconds of the whole process",
        Measure::Startup => "Until the first frame",
        Measure::Cpu => "CPU time",
        Measure::Latency => "A frame's way, median of the run",
    }
}
