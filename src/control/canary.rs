//! Watching the first frames of a new generation.

use std::time::Duration;

use super::in_flight::Released;
use crate::config::setters::setters;
use crate::config::{CommonEncodeConfig, RateControl};
use crate::time::Timestamp;

/// What the first frames of a generation must keep to; a generation that does not is left for the settings before it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Canary {
    /// How many frames are watched (10,000 at most).
    pub frames: u32,
    /// Most frames that may fail among them.
    pub max_errors: u32,
    /// Bound for the time from acceptance to release that 95 of 100 frames keep; judged when all were seen.
    pub max_latency_p95: Option<Duration>,
    /// By which share the bit rate may miss what was asked for (0.5: half to one and a half times), where a bit rate was
    /// asked for; judged when all were seen.
    pub bitrate_tolerance: Option<f64>,
}

impl Canary {
    /// Watches so many frames, of which none may fail.
    pub const fn new(frames: u32) -> Self {
        Self { frames, max_errors: 0, max_latency_p95: None, bitrate_tolerance: None }
    }
}

setters!(Canary { frames: u32, max_errors: u32 } option { max_latency_p95: Duration, bitrate_tolerance: f64 });

const MOST_FRAMES: u32 = 10_000;

/// A generation under watch.
pub(super) struct Watch {
    rules: Canary,
    generation: u64,
    wanted_bps: Option<u32>,
    nominal_fps: f64,
    latencies: Vec<Duration>,
    errors: u32,
    bytes: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// What a watch says.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// More has to be seen.
    Open,
    /// All was well.
    Passed,
    /// It was not, for this reason.
    Failed(String),
}

impl Watch {
    pub(super) fn new(rules: Canary, generation: u64, config: &CommonEncodeConfig) -> Self {
        let wanted_bps = match config.rate_control {
            Some(RateControl::Cbr { bitrate_bps }) => Some(bitrate_bps),
            Some(RateControl::Vbr { avg_bps, .. }) => Some(avg_bps),
            Some(RateControl::ConstQp { .. } | RateControl::Quality { .. }) | None => None,
        };
        Self {
            rules: Canary { frames: rules.frames.clamp(1, MOST_FRAMES), ..rules },
            generation,
            wanted_bps,
            nominal_fps: config.frame_rate.as_f64(),
            latencies: Vec::new(),
            errors: 0,
            bytes: 0,
            first: None,
            last: None,
        }
    }

    pub(super) fn see(&mut self, frame: &Released) -> Verdict {
        if frame.generation != self.generation {
            return Verdict::Open;
        }
        self.latencies.push(frame.latency);
        self.errors += u32::from(frame.failed);
        self.bytes += frame.bytes.unwrap_or(0);
        self.first.get_or_insert(frame.pts);
        self.last = Some(frame.pts);
        if self.errors > self.rules.max_errors {
            let (errors, most) = (self.errors, self.rules.max_errors);
            return Verdict::Failed(format!("{errors} of its first frames failed, {most} may"));
        }
        if self.latencies.len() < self.rules.frames as usize {
            return Verdict::Open;
        }
        self.latency().or_else(|| self.bitrate()).map_or(Verdict::Passed, Verdict::Failed)
    }

    fn latency(&mut self) -> Option<String> {
        let limit = self.rules.max_latency_p95?;
        self.latencies.sort_unstable();
        // Nearest rank.
        let rank = (self.latencies.len() * 95).div_ceil(100).max(1);
        let p95 = *self.latencies.get(rank - 1)?;
        (p95 > limit).then(|| format!("95 of 100 frames took up to {p95:?}, {limit:?} is the limit"))
    }

    fn bitrate(&self) -> Option<String> {
        let (tolerance, wanted) = (self.rules.bitrate_tolerance?, f64::from(self.wanted_bps?));
        let (first, last) = (self.first?, self.last?);
        // The last frame lasts too.
        let seconds = last.as_secs_f64() - first.as_secs_f64() + 1.0 / self.nominal_fps;
        let got = self.bytes as f64 * 8.0 / seconds;
        let off = (got - wanted).abs() / wanted;
        (off > tolerance).then(|| {
            let (off, most) = (100.0 * off, 100.0 * tolerance);
            format!("{got:.0} b/s where {wanted:.0} were asked for: off by {off:.0} %, {most:.0} % may be")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::dimensions::Dimensions;
    use crate::time::{Rational, TimeBase};

    fn watch(rules: Canary) -> Watch {
        let (size, rate) = (Dimensions::new(16, 16).unwrap(), Rational::new(25, 1).unwrap());
        let cbr = RateControl::Cbr { bitrate_bps: 200_000 };
        Watch::new(rules, 3, &CommonEncodeConfig::new(Codec::H264, size, rate).rate_control(cbr))
    }

    fn frame(at: i64, bytes: Option<u64>, milliseconds: u64) -> Released {
        Released {
            generation: 3,
            pts: Timestamp::new(at, TimeBase::new(1, 25).unwrap()),
            latency: Duration::from_millis(milliseconds),
            bytes,
            failed: bytes.is_none(),
        }
    }

    const RULES: Canary = Canary {
        frames: 20,
        max_errors: 1,
        max_latency_p95: Some(Duration::from_millis(40)),
        bitrate_tolerance: Some(0.2),
    };

    fn last(watch: &mut Watch, frames: impl Iterator<Item = Released>) -> Verdict {
        frames.map(|frame| watch.see(&frame)).find(|verdict| *verdict != Verdict::Open).unwrap()
    }

    #[test]
    fn what_keeps_to_the_rules_passes() {
        let slow = |n| if n == 7 { 500 } else { 30 };
        let verdict = last(&mut watch(RULES), (0..20).map(|n| frame(n, Some(1_000), slow(n))));
        assert_eq!(verdict, Verdict::Passed, "one slow frame of twenty is outside of the 95th");
    }

    #[test]
    fn each_rule_is_kept() {
        let message = |verdict| match verdict {
            Verdict::Failed(message) => message,
            other => panic!("{other:?}"),
        };
        let slow =
            last(&mut watch(RULES), (0..20).map(|n| frame(n, Some(1_000), if n < 2 { 500 } else { 30 })));
        assert!(message(slow).contains("500ms"));
        for bytes in [1_300, 700] {
            let off = last(&mut watch(RULES), (0..20).map(|n| frame(n, Some(bytes), 1)));
            assert!(message(off).contains("off by 30 %"));
        }
        let errors =
            last(&mut watch(RULES), (0..4).map(|n| frame(n, (n == 0 || n == 2).then_some(1_000), 1)));
        assert!(message(errors).contains("2 of its first"));
    }

    #[test]
    fn frames_of_another_generation_do_not_count() {
        let other = Released { generation: 2, ..frame(0, None, 1) };
        let mut watch = watch(Canary { max_errors: 0, ..RULES });
        assert!((0..50).all(|_| watch.see(&other) == Verdict::Open));
    }
}
