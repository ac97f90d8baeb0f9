//! How deep queues are: a distribution of small numbers, recorded without locks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Deeper queues are counted as this deep; the peak is exact.
const DEEPEST: usize = 255;

/// Depth of a queue, now, at its fullest, and as units found it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DepthSummary {
    /// Units in it now.
    pub depth: usize,
    /// Most units at once.
    pub peak: usize,
    /// Units that went in.
    pub count: u64,
    /// The smallest depth that half of the units did not exceed, themselves included.
    pub p50: usize,
    /// The same for 95 of 100.
    pub p95: usize,
    /// The same for 99 of 100.
    pub p99: usize,
}

#[derive(Debug)]
pub(super) struct DepthMeter {
    counts: Box<[AtomicU64]>,
    depth: AtomicUsize,
    peak: AtomicUsize,
}

impl Default for DepthMeter {
    fn default() -> Self {
        let counts = (0..=DEEPEST).map(|_| AtomicU64::new(0)).collect();
        Self { counts, depth: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }
}

impl DepthMeter {
    /// A unit went in; with it so many are inside.
    pub(super) fn entered(&self, depth: usize) {
        self.counts[depth.min(DEEPEST)].fetch_add(1, Ordering::Relaxed);
        self.peak.fetch_max(depth, Ordering::Relaxed);
        self.set(depth);
    }

    /// So many are inside now.
    pub(super) fn set(&self, depth: usize) {
        self.depth.store(depth, Ordering::Relaxed);
    }

    pub(super) fn summary(&self) -> DepthSummary {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let percentile = |share: u64| {
            let rank = (count * share).div_ceil(100).max(1);
            let mut seen = 0;
            let depth = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            depth.unwrap_or(0)
        };
        DepthSummary {
            depth: self.depth.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
            count,
            p50: percentile(50),
            p95: percentile(95),
            p99: percentile(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_units_found() {
        let meter = DepthMeter::default();
        assert_eq!(meter.summary(), DepthSummary::default());
        (1..=100).for_each(|depth| meter.entered(depth));
        meter.entered(1000);
        meter.set(3);
        let found = meter.summary();
        assert_eq!((found.p50, found.p95, found.p99), (51, 96, 100));
        assert_eq!((found.depth, found.peak, found.count), (3, 1000, 101));
    }
}
