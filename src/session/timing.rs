//! Where a session's time goes.

use std::time::Duration;

/// Time spent by a session, summed over its units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionTiming {
    /// In the codec, waiting for room in the output queue not counted.
    pub busy: Duration,
    /// Waiting for room in the output queue.
    pub blocked: Duration,
    /// From submission to delivery, the slowest unit.
    pub latency_max: Duration,
    /// From submission to delivery, all units.
    pub latency_sum: Duration,
}

impl SessionTiming {
    /// Mean time from submission to delivery over `delivered` units.
    pub fn latency_mean(&self, delivered: u64) -> Duration {
        let nanos = self.latency_sum.as_nanos().checked_div(u128::from(delivered)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Adds a call that took `elapsed`, less what it waited for room since `blocked` stood at
    /// `blocked_before`.
    pub(crate) fn charge(&mut self, elapsed: Duration, blocked_before: Duration) {
        let blocked = self.blocked.saturating_sub(blocked_before);
        self.busy += elapsed.saturating_sub(blocked);
    }

    pub(crate) fn note_latency(&mut self, latency: Duration) {
        self.latency_max = self.latency_max.max(latency);
        self.latency_sum = self.latency_sum.saturating_add(latency);
    }
}
