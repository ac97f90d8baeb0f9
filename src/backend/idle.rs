//! Hardware decoders that the process keeps for the next stream.

use std::collections::BTreeMap;
use std::time::Duration;

/// Why a decoder was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Retired {
    /// One of its calls failed.
    Failed,
    /// The driver refused to set it to another stream.
    Refused,
    /// Decoders that were used more recently took its place.
    Displaced,
    /// No stream needed it in time.
    Idle,
    /// [`release_idle`] was called, or decoders are not kept.
    Released,
    /// Frames still referred to it when its session ended.
    Referenced,
}

/// What became of the hardware decoders of this process: `made` is the sum of those in use, `idle` ones and `retired` ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdleReport {
    /// Decoders created.
    pub made: u64,
    /// Times that a stream got a decoder of an earlier one.
    pub reused: u64,
    /// Decoders that wait for a stream.
    pub idle: usize,
    /// Decoders destroyed or being destroyed, by reason.
    pub retired: BTreeMap<Retired, u64>,
}

/// Sets how long hardware decoders wait for the next stream before they are destroyed: 10 seconds by default. Zero keeps none.
///
/// Creating a decoder takes the driver tens of milliseconds, so a program that opens many files runs several times faster with
/// kept ones. Idle decoders hold at most a sixteenth of their device's memory, and the device's context.
pub fn keep_idle(time: Duration) {
    #[cfg(feature = "backend-nvidia")]
    super::nvidia::kept::keep_for(time);
    let _ = time;
}

/// Destroys all idle hardware decoders now and waits until the driver has done so. Decoders in use are not affected.
pub fn release_idle() {
    #[cfg(feature = "backend-nvidia")]
    super::nvidia::kept::release();
}

/// Returns what became of the hardware decoders of this process.
#[must_use]
pub fn idle_report() -> IdleReport {
    #[cfg(feature = "backend-nvidia")]
    return super::nvidia::kept::report();
    #[cfg(not(feature = "backend-nvidia"))]
    IdleReport::default()
}
