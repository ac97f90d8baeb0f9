//! Where the time of decoders and encoders went, as text: the line for each session that `VIDEO_HW_NV_METRICS` and
//! `VIDEO_HW_VT_METRICS` (`VIDEO_HW_QSV_METRICS`) ask for, in any program. The library reads no environment: the program does, and prints.
//!
//! ```
//! # use video_hw::session::EncodeSummary;
//! use video_hw::figures::Figures;
//!
//! # fn at_the_end(summary: &EncodeSummary) {
//! let variable = |name: &str| std::env::var(name).ok();
//! for line in (Figures { encode: Some(summary), ..Figures::default() }).asked_for(variable) {
//!     eprintln!("{line}");
//! }
//! # }
//! ```
//!
//! In a line, `lock_ms` and its like are sums over the whole session, in milliseconds, and over all decoders where several share
//! a stream; `lock_ms_per_picture` is the mean of one, `lock_p50_ms` to `lock_max_ms` are percentiles and the largest. A stage
//! that has not run is left out. `queue_peak` is the largest number of pictures in flight at once: submitted, and their
//! result not yet taken. `docs/metrics.md` says which stages each backend has, and where each begins and ends.

use std::fmt::Write;
use std::time::Duration;

use crate::backend::{BackendKind, Receipt};
use crate::session::{DecodeSummary, EncodeSummary, Takeover};
use crate::stages::{EncodeStages, StageSummary};

type Named = (&'static str, StageSummary);

/// What there is to tell at the end of a job.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures<'a> {
    /// Of the decode session.
    pub decode: Option<&'a DecodeSummary>,
    /// Of the encode session.
    pub encode: Option<&'a EncodeSummary>,
    /// How long the program took to make the pictures that it encoded (`synth_ms`), where it measured that: no session
    /// sees it.
    pub synth: Option<StageSummary>,
}

impl Figures<'_> {
    /// The lines that environment variables ask for: one for each session whose backend has a variable that is `1` or `true`.
    /// `variable` gives the value of one.
    pub fn asked_for(&self, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let wanted = |backend: BackendKind| {
            let (name, prefix) = backend.figures_variable()?;
            let value = variable(name)?;
            (value == "1" || value.eq_ignore_ascii_case("true")).then_some(prefix)
        };
        let chosen = |receipt: &Receipt| receipt.chosen().map(|(backend, _)| backend);
        let decode = self.decode.and_then(|d| Some(decode_line(wanted(chosen(&d.receipt)?)?, d)));
        let encode = self.encode.and_then(|e| {
            let prefix = wanted(metered(e, chosen(&e.receipt)?))?;
            Some(encode_line(prefix, e, self.synth))
        });
        decode.into_iter().chain(encode).collect()
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn in_words(name: &str, stage: StageSummary) -> String {
    format!(
        "  {name}: {} times, mean {:.3} ms, p50 {:.3}, p95 {:.3}, p99 {:.3}, max {:.3}",
        stage.count,
        ms(stage.mean()),
        ms(stage.p50),
        ms(stage.p95),
        ms(stage.p99),
        ms(stage.max)
    )
}

/// A line in words for each stage of an encoder that has run.
pub fn lines(stages: &EncodeStages) -> Vec<String> {
    let mut lines: Vec<_> = stages.named().map(|(name, stage)| in_words(name, stage)).collect();
    lines.push(format!("  at most {} pictures inside the encoder", stages.queue_peak));
    lines
}

/// The backend that the stages are of: the one that the job began with, also when another has taken over.
fn metered(e: &EncodeSummary, at_work: BackendKind) -> BackendKind {
    first_takeover(e).filter(|_| e.stages.is_some()).map_or(at_work, |takeover| takeover.from.backend())
}

fn first_takeover(e: &EncodeSummary) -> Option<&Takeover> {
    e.takeovers.iter().find(|takeover| takeover.to.is_some())
}

fn decode_line(prefix: &str, d: &DecodeSummary) -> String {
    let counts = [
        ("frames", d.ledger.delivered),
        ("packets", d.ledger.submitted),
        ("queue_peak", d.in_flight_peak as u64),
        ("input_queue_peak", d.input_queue.peak as u64),
        ("output_queue_peak", d.output_queue.peak as u64),
    ];
    let stages: Vec<Named> = d.stages.named().chain([("latency", d.latency), ("jitter", d.jitter)]).collect();
    let copies = [d.input_copy_bytes, d.output_copy_bytes, d.device_copy_bytes];
    line(&format!("[{prefix}.decode]"), &counts, &stages, copies)
}

fn encode_line(prefix: &str, e: &EncodeSummary, synth: Option<StageSummary>) -> String {
    let inside = e.stages.map_or(e.in_flight_peak, |stages| stages.queue_peak);
    let (frames, packets) = match (first_takeover(e), e.stages) {
        // What the dead one did is what its stages have counted.
        (Some(_), Some(stages)) => (stages.submit.count, stages.copy.count),
        _ => (e.ledger.submitted, e.ledger.delivered),
    };
    let counts = [
        ("frames", frames),
        ("packets", packets),
        ("queue_peak", inside as u64),
        ("input_queue_peak", e.input_queue.peak as u64),
        ("output_queue_peak", e.output_queue.peak as u64),
    ];
    let mut stages: Vec<Named> = synth.map(|synth| ("synth", synth)).into_iter().collect();
    stages.extend(e.stages.iter().flat_map(EncodeStages::named));
    stages.extend([
        ("calls", e.calls),
        ("output", e.output_wait),
        ("latency", e.latency),
        ("jitter", e.jitter),
    ]);
    let copies = [e.input_copy_bytes, e.output_copy_bytes, e.device_copy_bytes];
    line(&format!("[{prefix}.encode]"), &counts, &stages, copies)
}

fn line(begin: &str, counts: &[(&str, u64)], stages: &[Named], copies: [u64; 3]) -> String {
    let mut line = begin.to_owned();
    // Writing to a String does not fail.
    for (name, count) in counts {
        let _ = write!(line, " {name}={count}");
    }
    for (name, stage) in stages {
        let figures = [
            ("ms", stage.total),
            ("ms_per_picture", stage.mean()),
            ("p50_ms", stage.p50),
            ("p95_ms", stage.p95),
            ("p99_ms", stage.p99),
            ("max_ms", stage.max),
        ];
        for (which, time) in figures {
            let _ = write!(line, " {name}_{which}={:.3}", ms(time));
        }
    }
    for (name, bytes) in ["input", "output", "device"].into_iter().zip(copies) {
        let _ = write!(line, " {name}_copy_bytes={bytes}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_every_figure_once() {
        let lock = StageSummary {
            count: 4,
            total: Duration::from_millis(10),
            p95: Duration::from_micros(4500),
            ..StageSummary::default()
        };
        let wait = StageSummary { count: 5, ..StageSummary::default() };
        let stages = EncodeStages { wait, lock, queue_peak: 3, ..EncodeStages::default() };
        let counts = [("frames", 5), ("packets", 4), ("queue_peak", 3)];
        let run: Vec<_> = stages.named().collect();
        let said = line("[nv.encode]", &counts, &run, [9, 0, 1]);
        assert!(said.starts_with("[nv.encode] frames=5 packets=4 queue_peak=3 wait_ms=0.000 "), "{said}");
        assert!(said.contains(" lock_ms=10.000 lock_ms_per_picture=2.500 "), "{said}");
        assert!(said.contains(" lock_p95_ms=4.500 "), "{said}");
        assert!(said.ends_with(" input_copy_bytes=9 output_copy_bytes=0 device_copy_bytes=1"), "{said}");
        let mut names: Vec<_> =
            said.split(' ').filter_map(|word| word.split_once('=')).map(|(name, _)| name).collect();
        assert_eq!(names.len(), 3 + 2 * 6 + 3, "stages that have not run are left out: {said}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 3 + 2 * 6 + 3);
        assert!(lines(&stages)[1].starts_with("  lock: 4 times, mean 2.500 ms"));
    }
}
