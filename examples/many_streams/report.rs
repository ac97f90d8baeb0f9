//! What came of it, and whether that was fair.

use std::fmt::Write as _;
use std::time::Duration;

use video_hw::pipeline::scheduler::{ScheduledSummary, SchedulerSummary};

/// A stream when the first one was through.
pub(crate) struct Row {
    pub(crate) slow: bool,
    pub(crate) delivered: u64,
    pub(crate) summary: ScheduledSummary,
}

pub(crate) struct Report {
    pub(crate) backend: String,
    pub(crate) engines: usize,
    pub(crate) credits: usize,
    pub(crate) frames: u64,
    pub(crate) took: Duration,
    pub(crate) rows: Vec<Row>,
    /// At the end.
    pub(crate) ends: Vec<ScheduledSummary>,
    pub(crate) scheduler: SchedulerSummary,
}

impl Report {
    /// Packets that each stream but the slow one should have.
    fn fair(&self) -> f64 {
        let counted = self.rows.iter().filter(|row| !row.slow);
        let sum: u64 = counted.clone().map(|row| row.delivered).sum();
        sum as f64 / counted.count().max(1) as f64
    }

    /// The largest distance from the fair share, as a part of it.
    fn worst(&self) -> f64 {
        let fair = self.fair();
        let off = |row: &Row| (row.delivered as f64 - fair).abs() / fair.max(1.0);
        self.rows.iter().filter(|row| !row.slow).map(off).fold(0.0, f64::max)
    }

    fn queues_hold(&self) -> bool {
        self.rows.iter().all(|row| row.summary.inside.p95 <= self.credits)
    }

    fn books_hold(&self) -> bool {
        self.ends.iter().zip(&self.rows).all(|(end, row)| {
            let lost = end.ledger.failed + end.ledger.dropped_total();
            end.balances() && (row.slow || (lost == 0 && end.ledger.delivered == self.frames))
        })
    }

    pub(crate) fn holds(&self) -> bool {
        self.worst() <= 0.1 && self.queues_hold() && self.books_hold()
    }

    /// Packets a second, all streams together.
    fn rate(&self) -> f64 {
        self.rows.iter().map(|row| row.delivered).sum::<u64>() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn table(&self) -> String {
        let mut out = format!(
            "{}: {} streams, {} engines, {} credits each\n",
            self.backend,
            self.rows.len(),
            self.engines,
            self.credits
        );
        let _ = writeln!(out, "stream  packets  of fair  inside p95  peak  latency p95");
        for (number, row) in self.rows.iter().enumerate() {
            let inside = row.summary.inside;
            let _ = writeln!(
                out,
                "{number:>6}  {:>7}  {:>6.1}%  {:>10}  {:>4}  {:>8.1} ms{}",
                row.delivered,
                100.0 * row.delivered as f64 / self.fair().max(1.0),
                inside.p95,
                inside.peak,
                row.summary.latency.p95.as_secs_f64() * 1e3,
                if row.slow { "  slow consumer" } else { "" }
            );
        }
        let class = self.scheduler.classes.first();
        let _ = writeln!(
            out,
            "{:.2} s, {:.0} packets/s together; at most {} frames in work; {} wake-ups, {} helper threads",
            self.took.as_secs_f64(),
            self.rate(),
            class.map_or(0, |class| class.peak),
            self.scheduler.turns,
            self.scheduler.helper_threads
        );
        let word = |holds: bool| if holds { "ok" } else { "BROKEN" };
        let _ = writeln!(
            out,
            "shares within a tenth: {} ({:.1} % off at most); queues within credits: {}; books: {}",
            word(self.worst() <= 0.1),
            100.0 * self.worst(),
            word(self.queues_hold()),
            word(self.books_hold())
        );
        out
    }

    pub(crate) fn json(&self) -> String {
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                let inside = row.summary.inside;
                format!(
                    "{{\"packets\": {}, \"slow\": {}, \"inside_p95\": {}, \"inside_peak\": {}, \"latency_p95_ms\": {:.3}}}",
                    row.delivered,
                    row.slow,
                    inside.p95,
                    inside.peak,
                    row.summary.latency.p95.as_secs_f64() * 1e3
                )
            })
            .collect();
        format!(
            "{{\"engines\": {}, \"credits\": {}, \"frames\": {}, \"seconds\": {:.3}, \"packets_per_second\": {:.1}, \
             \"worst_share_off\": {:.4}, \"shares_hold\": {}, \"queues_hold\": {}, \"books_hold\": {}, \"streams\": [{}]}}\n",
            self.engines,
            self.credits,
            self.frames,
            self.took.as_secs_f64(),
            self.rate(),
            self.worst(),
            self.worst() <= 0.1,
            self.queues_hold(),
            self.books_hold(),
            rows.join(", ")
        )
    }
}
