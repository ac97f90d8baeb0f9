//! The figures of all streams together, held against the limits.

use std::fmt::Write;

use video_hw::backend::BackendKind;

use crate::Memory;
use crate::args::Options;
use crate::figures::{Histogram, Trend};
use crate::json::Object;
use crate::stream::Outcome;

const QUEUE_P95: f64 = 3.0;
const JITTER_P95_MS: f64 = 4.0;
/// The allocator's own coming and going is some MiB.
const HOST_GROWTH_MIB: f64 = 32.0;
const DEVICE_GROWTH_MIB: f64 = 8.0;

pub(crate) struct Report {
    backend: BackendKind,
    streams: usize,
    seconds: f64,
    due: u64,
    dropped: u64,
    packets: u64,
    balanced: bool,
    inside: Histogram,
    jitter: Histogram,
    latency: Histogram,
    lateness: Histogram,
    host: Growth,
    device: Growth,
    broken: Vec<String>,
}

/// How memory went.
#[derive(Clone, Copy, Default)]
struct Growth {
    first: Option<f64>,
    last: Option<f64>,
    /// MiB a minute.
    slope: Option<f64>,
}

impl Growth {
    fn of(trend: &Trend) -> Self {
        let (first, last) = trend.ends().unzip();
        Self { first, last, slope: trend.slope().map(|slope| slope * 60.0) }
    }

    /// MiB over the whole time, by the line through all values.
    fn over(self, seconds: f64) -> Option<f64> {
        self.slope.map(|slope| slope * seconds / 60.0)
    }
}

impl Report {
    pub(crate) fn of(options: &Options, backend: BackendKind, outcomes: &[Outcome], memory: &Memory) -> Self {
        let all = |part: fn(&Outcome) -> &Histogram| {
            let mut sum = outcomes.first().map_or_else(Histogram::milliseconds, |one| part(one).clone());
            outcomes.iter().skip(1).for_each(|one| sum.merge(part(one)));
            sum
        };
        let balanced = outcomes.iter().all(|one| {
            let ledger = &one.summary.ledger;
            ledger.balances()
                && ledger.pending == 0
                && ledger.unexpected == 0
                && ledger.delivered == one.packets
        });
        let mut report = Self {
            backend,
            streams: outcomes.len(),
            seconds: options.time.as_secs_f64(),
            due: outcomes.iter().map(|one| one.due).sum(),
            dropped: outcomes.iter().map(|one| one.dropped).sum(),
            packets: outcomes.iter().map(|one| one.packets).sum(),
            balanced,
            inside: all(|one| &one.inside),
            jitter: all(|one| &one.jitter),
            latency: all(|one| &one.latency),
            lateness: all(|one| &one.lateness),
            host: Growth::of(&memory.host),
            device: Growth::of(&memory.device),
            broken: Vec::new(),
        };
        report.judge(options.losses_only);
        report
    }

    fn judge(&mut self, losses_only: bool) {
        let mut broken = Vec::new();
        if self.dropped > 0 || self.packets != self.due {
            broken.push(format!(
                "{} of {} frames came out, {} were not taken",
                self.packets, self.due, self.dropped
            ));
        }
        if !self.balanced {
            broken.push("a ledger does not balance".to_owned());
        }
        for (growth, limit, of) in
            [(self.host, HOST_GROWTH_MIB, "the process"), (self.device, DEVICE_GROWTH_MIB, "the device")]
        {
            if let Some(mib) = growth.over(self.seconds).filter(|mib| *mib > limit) {
                broken.push(format!("the memory of {of} grows: {mib:.1} MiB (at most {limit})"));
            }
        }
        if !losses_only {
            let (queue, jitter) = (self.inside.quantile(0.95), self.jitter.quantile(0.95));
            if queue > QUEUE_P95 {
                broken.push(format!("{queue} frames inside at p95 (at most {QUEUE_P95})"));
            }
            if jitter > JITTER_P95_MS {
                broken.push(format!("jitter {jitter:.2} ms at p95 (at most {JITTER_P95_MS})"));
            }
        }
        self.broken = broken;
    }

    pub(crate) fn holds(&self) -> bool {
        self.broken.is_empty()
    }

    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        let line = |out: &mut String, name: &str, words: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{name:<16}{words}");
        };
        let times = |h: &Histogram| {
            format!("p50 {:.2}, p95 {:.2}, max {:.2} ms", h.quantile(0.5), h.quantile(0.95), h.max())
        };
        let memory = |growth: Growth| match growth {
            Growth { first: Some(first), last: Some(last), slope } => {
                let slope = slope.map_or_else(|| "unknown".to_owned(), |slope| format!("{slope:+.2}"));
                format!("{first:.1} to {last:.1} MiB, {slope} MiB a minute")
            }
            _ => "not known".to_owned(),
        };
        line(&mut out, "streams", format!("{} by {}, {} s", self.streams, self.backend, self.seconds));
        let rate = 100.0 * self.dropped as f64 / self.due.max(1) as f64;
        line(
            &mut out,
            "frames",
            format!("{} due, {} lost ({rate:.3} %), {} packets", self.due, self.dropped, self.packets),
        );
        let h = &self.inside;
        line(
            &mut out,
            "inside",
            format!("p50 {}, p95 {}, max {} frames", h.quantile(0.5), h.quantile(0.95), h.max()),
        );
        line(&mut out, "jitter", times(&self.jitter));
        line(&mut out, "latency", times(&self.latency));
        line(&mut out, "handed over late", format!(" {}", times(&self.lateness)));
        line(&mut out, "process memory", memory(self.host));
        line(&mut out, "device memory", memory(self.device));
        line(&mut out, "ledgers", if self.balanced { "balanced" } else { "NOT balanced" }.to_owned());
        let verdict = if self.holds() { "all limits kept".to_owned() } else { self.broken.join("; ") };
        line(&mut out, "verdict", verdict);
        let late = self.lateness.quantile(0.95);
        if late > JITTER_P95_MS {
            let words =
                format!("the machine is too busy for these times: it wakes threads {late:.2} ms late at p95");
            line(&mut out, "note", words);
        }
        out
    }

    pub(crate) fn json(&self) -> String {
        let quantiles = |h: &Histogram| {
            let mut object = Object::new();
            object.number("p50", Some(h.quantile(0.5)));
            object.number("p95", Some(h.quantile(0.95)));
            object.number("max", Some(h.max()));
            object
        };
        let memory = |growth: Growth| {
            let mut object = Object::new();
            object.number("first_mib", growth.first);
            object.number("last_mib", growth.last);
            object.number("mib_per_minute", growth.slope);
            object
        };
        let mut report = Object::new();
        report.text("backend", self.backend.name());
        report.value("streams", self.streams);
        report.number("seconds", Some(self.seconds));
        report.value("frames_due", self.due);
        report.value("frames_lost", self.dropped);
        report.value("packets", self.packets);
        report.value("ledgers_balance", self.balanced);
        report.value("frames_inside", quantiles(&self.inside));
        report.value("jitter_ms", quantiles(&self.jitter));
        report.value("latency_ms", quantiles(&self.latency));
        report.value("handed_over_late_ms", quantiles(&self.lateness));
        report.value("process_memory", memory(self.host));
        report.value("device_memory", memory(self.device));
        report.value("passed", self.holds());
        let broken: Vec<String> = self.broken.iter().map(|words| format!("\"{words}\"")).collect();
        report.list("broken", broken);
        format!("{report}\n")
    }
}
