//! What a histogram holds at one moment, to be added up, asked and sent elsewhere.

use std::time::Duration;

use super::{Histogram, Ordering, StageSummary, middle_of, nanos};

/// The times that a [`Histogram`] has counted up to a moment. Those of several histograms can be added up: percentiles of
/// the sum are as exact as those of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Buckets that are not empty, in rising order, and how many times each has.
    counts: Vec<(u16, u64)>,
    total: Duration,
    max: Duration,
}

impl Histogram {
    /// Everything recorded so far.
    pub fn distribution(&self) -> Distribution {
        let counts = self.buckets.iter().enumerate().filter_map(|(bucket, count)| {
            let count = count.load(Ordering::Relaxed);
            // There are fewer than 2^16 buckets.
            (count > 0).then_some((bucket as u16, u64::from(count)))
        });
        Distribution {
            counts: counts.collect(),
            total: Duration::from_nanos(self.sum.load(Ordering::Relaxed)),
            max: Duration::from_nanos(self.max.load(Ordering::Relaxed)),
        }
    }
}

impl Distribution {
    /// How many times.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// All of them together.
    pub const fn total(&self) -> Duration {
        self.total
    }

    /// The longest.
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// Each time that occurs and how often, in rising order. Times are off by less than 0.8 % of themselves.
    pub fn times(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.counts.iter().map(|(bucket, count)| {
            // The middle of the last bucket may lie behind the largest value in it.
            (Duration::from_nanos(middle_of(usize::from(*bucket))).min(self.max), *count)
        })
    }

    /// For each bound, in rising order, how many were not longer.
    pub fn up_to(&self, bounds: impl IntoIterator<Item = Duration>) -> Vec<u64> {
        let mut times = self.times().peekable();
        let mut seen = 0;
        let mut count = |bound| {
            while let Some((_, count)) = times.next_if(|(time, _)| *time <= bound) {
                seen += count;
            }
            seen
        };
        bounds.into_iter().map(&mut count).collect()
    }

    /// Adds the times of another.
    pub fn add(&mut self, other: &Self) {
        let mut merged = Vec::with_capacity(self.counts.len().max(other.counts.len()));
        let (mut ours, mut theirs) = (self.counts.iter().peekable(), other.counts.iter().peekable());
        loop {
            match (ours.peek(), theirs.peek()) {
                (Some((a, n)), Some((b, m))) if a == b => {
                    merged.push((*a, n + m));
                    ours.next();
                    theirs.next();
                }
                (Some((a, _)), Some((b, _))) if b < a => merged.extend(theirs.next()),
                (Some(_), _) => merged.extend(ours.next()),
                (None, Some(_)) => merged.extend(theirs.next()),
                (None, None) => break,
            }
        }
        self.counts = merged;
        self.total = self.total.saturating_add(other.total);
        self.max = self.max.max(other.max);
    }

    /// What is in this one and was not in `earlier`, a copy of the same taken before: how often each time came since.
    pub fn since(&self, earlier: &Self) -> Vec<(Duration, u64)> {
        let mut before = earlier.counts.iter().peekable();
        let mut news = Vec::new();
        for (at, (bucket, count)) in self.times().map(|(time, _)| time).zip(&self.counts) {
            while before.next_if(|(known, _)| known < bucket).is_some() {}
            let known = before.next_if(|(known, _)| known == bucket).map_or(0, |(_, count)| *count);
            let more = count.saturating_sub(known);
            if more > 0 {
                news.push((at, more));
            }
        }
        news
    }

    /// Count, sum, percentiles.
    pub fn summary(&self) -> StageSummary {
        let count = self.count();
        let percentile = |share: u64| {
            let rank = (count * share).div_ceil(100).max(1);
            let mut seen = 0;
            let found = self.times().find(|(_, count)| {
                seen += count;
                seen >= rank
            });
            found.map_or(Duration::ZERO, |(time, _)| time)
        };
        StageSummary {
            count,
            total: nanos(self.total.as_nanos()),
            p50: percentile(50),
            p95: percentile(95),
            p99: percentile(99),
            max: self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> Histogram {
        let histogram = Histogram::default();
        for time in times {
            histogram.record(Duration::from_nanos(*time));
        }
        histogram
    }

    #[test]
    fn a_sum_is_the_distribution_of_all_times_together() {
        let (first, second) = ([5, 900, 70_000, 70_001, 1 << 33], [0, 5, 900, 1_000_000, 3]);
        let mut sum = of(&first).distribution();
        sum.add(&of(&second).distribution());
        let all: Vec<u64> = first.into_iter().chain(second).collect();
        assert_eq!(sum, of(&all).distribution());
        assert_eq!(sum.summary(), of(&all).summary());
        assert_eq!((sum.count(), sum.max()), (10, Duration::from_nanos(1 << 33)));
        let mut none = Distribution::default();
        none.add(&sum);
        assert_eq!(none, sum);
    }

    #[test]
    fn bounds_divide_the_times() {
        let found = of(&[10, 20, 30, 1_000_000, 2_000_000]).distribution();
        let bounds = [9, 10, 29, 30, 900_000, 1_100_000, u64::MAX].map(Duration::from_nanos);
        assert_eq!(found.up_to(bounds), [0, 1, 2, 3, 3, 4, 5]);
    }

    #[test]
    fn news_are_what_came_since() {
        let histogram = of(&[7, 7, 100]);
        let earlier = histogram.distribution();
        assert!(earlier.since(&earlier).is_empty());
        for time in [3, 7, 100, 101, 101] {
            histogram.record(Duration::from_nanos(time));
        }
        let nanos = |time| Duration::from_nanos(time);
        let news = histogram.distribution().since(&earlier);
        assert_eq!(news, [(nanos(3), 1), (nanos(7), 1), (nanos(100), 1), (nanos(101), 2)]);
        assert_eq!(histogram.distribution().since(&Distribution::default()).len(), 4);
    }
}
