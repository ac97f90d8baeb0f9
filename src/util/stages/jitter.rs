//! How evenly things come.

use std::time::{Duration, Instant};

use super::Histogram;

/// Of how many intervals the mean is: enough to outlast a burst, few enough to follow a change of speed.
const MEMORY: u32 = 16;

/// How far each interval between two results is from the mean interval of those before it, forwards or backwards.
///
/// The mean moves: it is the frame interval where frames come in real time, and one over the speed in a job that runs as fast
/// as it can. So the figure tells in both how evenly frames come, and not how fast.
#[derive(Debug, Default)]
pub struct Jitter {
    last: Option<Instant>,
    mean: Option<Duration>,
    deviations: Histogram,
}

impl Jitter {
    /// A result has come. The first two only begin the measurement.
    pub fn arrived(&mut self, at: Instant) {
        let Some(last) = self.last.replace(at) else { return };
        let interval = at.saturating_duration_since(last);
        let Some(mean) = &mut self.mean else {
            self.mean = Some(interval);
            return;
        };
        let deviation = interval.abs_diff(*mean);
        self.deviations.record(deviation);
        *mean = if interval > *mean {
            *mean + deviation / MEMORY
        } else {
            mean.saturating_sub(deviation / MEMORY)
        };
    }

    /// The deviations so far.
    pub const fn deviations(&self) -> &Histogram {
        &self.deviations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_intervals_have_none_and_one_late_result_is_seen_twice() {
        let start = Instant::now();
        let mut jitter = Jitter::default();
        for n in 0..40 {
            jitter.arrived(start + Duration::from_millis(33) * n);
        }
        let found = jitter.deviations().summary();
        assert_eq!((found.count, found.max), (38, Duration::ZERO));
        // Late by 12 ms, and the next one in time again.
        jitter.arrived(start + Duration::from_millis(33 * 40 + 12));
        jitter.arrived(start + Duration::from_millis(33 * 41));
        let found = jitter.deviations().summary();
        assert_eq!(found.count, 40);
        assert!(found.max > Duration::from_millis(12) && found.max < Duration::from_millis(13), "{found:?}");
        assert!(
            found.total > Duration::from_millis(24) && found.total < Duration::from_millis(26),
            "{found:?}"
        );
    }

    #[test]
    fn a_new_speed_becomes_the_measure() {
        let start = Instant::now();
        let mut jitter = Jitter::default();
        let mut at = start;
        for n in 0..200 {
            at += Duration::from_millis(if n < 20 { 10 } else { 40 });
            jitter.arrived(at);
        }
        let before = jitter.deviations().summary();
        for _ in 0..50 {
            at += Duration::from_millis(40);
            jitter.arrived(at);
        }
        let after = jitter.deviations().summary();
        assert_eq!(before.max, Duration::from_millis(30));
        assert!(after.total < before.total + Duration::from_micros(100), "{before:?} {after:?}");
    }
}
