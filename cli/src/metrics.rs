//! The stages of a hardware encoder in words: lines of `--verbose`, and the one line that `VIDEO_HW_NV_METRICS` asks for.

use std::fmt::Write;
use std::time::Duration;

use video_hw::backend::BackendKind;
use video_hw::session::EncodeSummary;
use video_hw::stages::{EncodeStages, StageSummary};

/// Set to `1` or `true`: a line of figures on standard error when an NVENC job ends, also with `--quiet`.
const VARIABLE: &str = "VIDEO_HW_NV_METRICS";

fn named(stages: &EncodeStages) -> [(&'static str, StageSummary); 5] {
    [
        ("wait", stages.wait),
        ("upload", stages.upload),
        ("encode", stages.submit),
        ("lock", stages.lock),
        ("copy", stages.copy),
    ]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A line for each stage.
pub(crate) fn lines(stages: &EncodeStages) -> Vec<String> {
    let mut lines: Vec<_> = named(stages)
        .iter()
        .map(|(name, stage)| {
            format!(
                "  {name}: {} times, mean {:.3} ms, p50 {:.3}, p95 {:.3}, p99 {:.3}, max {:.3}",
                stage.count,
                ms(stage.mean()),
                ms(stage.p50),
                ms(stage.p95),
                ms(stage.p99),
                ms(stage.max)
            )
        })
        .collect();
    lines.push(format!("  at most {} pictures inside the encoder", stages.queue_peak));
    lines
}

/// The line of figures, where it is asked for and there is something to tell.
pub(crate) fn asked_for(encode: &EncodeSummary) -> Option<String> {
    let wanted =
        std::env::var(VARIABLE).is_ok_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
    let by_nvenc = encode.receipt.chosen().is_some_and(|(kind, _)| kind == BackendKind::Nvidia);
    let stages = encode.stages.filter(|_| wanted && by_nvenc)?;
    Some(line(encode.ledger.submitted, encode.ledger.delivered, &stages))
}

fn line(frames: u64, packets: u64, stages: &EncodeStages) -> String {
    let mut line = format!("[nv.encode] frames={frames} packets={packets} queue_peak={}", stages.queue_peak);
    for (name, stage) in named(stages) {
        let figures = [
            ("", stage.mean()),
            ("p50_", stage.p50),
            ("p95_", stage.p95),
            ("p99_", stage.p99),
            ("max_", stage.max),
        ];
        for (which, time) in figures {
            // Writing to a String does not fail.
            let _ = write!(line, " {name}_{which}ms={:.3}", ms(time));
        }
    }
    let _ = write!(
        line,
        " input_copy_bytes={} output_copy_bytes={}",
        stages.input_copy_bytes, stages.output_copy_bytes
    );
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
        let stages = EncodeStages { lock, queue_peak: 3, input_copy_bytes: 9, ..EncodeStages::default() };
        let said = line(5, 4, &stages);
        assert!(said.starts_with("[nv.encode] frames=5 packets=4 queue_peak=3 wait_ms=0.000 "), "{said}");
        assert!(said.contains(" lock_ms=2.500 ") && said.contains(" lock_p95_ms=4.500 "), "{said}");
        assert!(said.ends_with(" input_copy_bytes=9 output_copy_bytes=0"), "{said}");
        let mut names: Vec<_> =
            said.split(' ').filter_map(|word| word.split_once('=')).map(|(name, _)| name).collect();
        assert_eq!(names.len(), 3 + 5 * 5 + 2);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 3 + 5 * 5 + 2);
        assert!(lines(&stages)[3].starts_with("  lock: 4 times, mean 2.500 ms"));
    }
}
