//! Figures that take no more memory the longer they are kept: a soak must not grow by its own books.

/// How often each value came, in steps.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    step: f64,
    counts: Vec<u32>,
    total: u64,
    max: f64,
}

impl Histogram {
    /// Values from 0 on in `steps` steps; what is beyond counts as the last step.
    pub(crate) fn new(step: f64, steps: usize) -> Self {
        Self { step, counts: vec![0; steps], total: 0, max: 0.0 }
    }

    /// Milliseconds, to a fiftieth, up to a second.
    pub(crate) fn milliseconds() -> Self {
        Self::new(0.02, 50_000)
    }

    pub(crate) fn add(&mut self, value: f64) {
        let last = self.counts.len() - 1;
        let step = ((value / self.step) as usize).min(last);
        self.counts[step] = self.counts[step].saturating_add(1);
        self.total += 1;
        self.max = self.max.max(value);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// The value that `share` of all do not exceed, to a step.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted && seen > 0 {
                return step as f64 * self.step;
            }
        }
        0.0
    }

    pub(crate) fn max(&self) -> f64 {
        self.max
    }
}

/// A line through values over time, by least squares.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trend {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    first: Option<f64>,
    last: f64,
}

impl Trend {
    pub(crate) fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
        self.first.get_or_insert(y);
        self.last = y;
    }

    /// Growth each second; nothing from fewer than three values.
    pub(crate) fn slope(&self) -> Option<f64> {
        let spread = self.count * self.xx - self.x * self.x;
        (self.count >= 3.0 && spread > 0.0).then(|| (self.count * self.xy - self.x * self.y) / spread)
    }

    /// The first value and the last.
    pub(crate) fn ends(&self) -> Option<(f64, f64)> {
        self.first.map(|first| (first, self.last))
    }
}
