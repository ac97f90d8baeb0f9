//! How long the stages of decoders and encoders take: distributions that are recorded without allocation and without locks, while
//! they run, and read at any time. `docs/metrics.md` has the table of all stages: meaning, aggregation, vendors.

// By their paths: `models/` takes this file from elsewhere.
#[path = "stages/distribution.rs"]
mod distribution;
#[path = "stages/jitter.rs"]
mod jitter;

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use distribution::Distribution;
pub use jitter::Jitter;

/// Values below `2^STEP_BITS` have a bucket each; above, each power of two is cut into `2^(STEP_BITS - 1)` equal steps.
const STEP_BITS: u32 = 7;
const STEPS: usize = 1 << (STEP_BITS - 1);
/// Longer times (18 minutes, in nanoseconds) are counted in the last bucket.
const VALUE_BITS: u32 = 40;
const BUCKETS: usize = STEPS * (VALUE_BITS - STEP_BITS + 2) as usize;

/// A distribution of times, to be recorded by one thread or several while others read it.
///
/// Buckets are log-linear: a percentile is off by less than 0.8 % of itself; number, sum and largest value are exact.
/// Its size is fixed (about 9 kB), and recording is three additions and a maximum.
pub struct Histogram {
    buckets: Box<[AtomicU32]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU32::new(0)).collect();
        Self { buckets, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.summary().fmt(f)
    }
}

/// What a [`Histogram`] came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageSummary {
    /// How often the stage ran.
    pub count: u64,
    /// All of it together.
    pub total: Duration,
    /// The smallest time that half of the runs did not exceed.
    pub p50: Duration,
    /// The same for 95 of 100.
    pub p95: Duration,
    /// The same for 99 of 100.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl StageSummary {
    /// Arithmetic mean; zero where nothing ran.
    pub fn mean(&self) -> Duration {
        nanos(self.total.as_nanos().checked_div(u128::from(self.count)).unwrap_or(0))
    }
}

fn nanos(value: u128) -> Duration {
    Duration::from_nanos(u64::try_from(value).unwrap_or(u64::MAX))
}

const fn bucket_of(value: u64) -> usize {
    let most = (1 << VALUE_BITS) - 1;
    let value = if value < most { value } else { most };
    let bits = u64::BITS - value.leading_zeros();
    if bits <= STEP_BITS {
        return value as usize;
    }
    let shift = bits - STEP_BITS;
    // The leading bit is set: what is shifted down lies in the upper half of the linear range.
    shift as usize * STEPS + (value >> shift) as usize
}

/// The middle of a bucket: no value in it is further away than half its width.
const fn middle_of(bucket: usize) -> u64 {
    if bucket < 2 * STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    let low = ((bucket - shift * STEPS) as u64) << shift;
    low + (1 << shift) / 2
}

impl Histogram {
    /// Counts a time.
    pub fn record(&self, time: Duration) {
        let value = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // Each figure is right by itself; a reader may see one of them a run ahead of another.
        self.buckets[bucket_of(value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// Runs `work` and counts how long it took, whatever came of it.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.record(start.elapsed());
        done
    }

    /// Everything recorded so far.
    pub fn summary(&self) -> StageSummary {
        self.distribution().summary()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }
}

/// The stages of a hardware encoder while it runs.
#[derive(Debug, Default)]
pub struct EncodeMeter {
    /// See [`EncodeStages::wait`].
    pub wait: Histogram,
    /// See [`EncodeStages::upload`].
    pub upload: Histogram,
    /// See [`EncodeStages::submit`].
    pub submit: Histogram,
    /// See [`EncodeStages::lock`].
    pub lock: Histogram,
    /// See [`EncodeStages::copy`].
    pub copy: Histogram,
    queue_peak: AtomicUsize,
    input_bytes: AtomicU64,
    output_bytes: AtomicU64,
    device_bytes: AtomicU64,
}

impl EncodeMeter {
    /// So many pictures are inside the driver now.
    pub fn inside(&self, pictures: usize) {
        self.queue_peak.fetch_max(pictures, Ordering::Relaxed);
    }

    /// So many bytes of a picture were copied to the driver.
    pub fn copied_in(&self, bytes: u64) {
        self.input_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes of a picture were copied inside the device.
    pub fn copied_on_device(&self, bytes: u64) {
        self.device_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many coded bytes were copied out.
    pub fn copied_out(&self, bytes: u64) {
        self.output_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes copied in, out and inside the device so far.
    pub fn copied(&self) -> (u64, u64, u64) {
        let read = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed);
        (read(&self.input_bytes), read(&self.output_bytes), read(&self.device_bytes))
    }

    /// Most pictures that were inside the driver at once.
    pub fn queue_peak(&self) -> usize {
        self.queue_peak.load(Ordering::Relaxed)
    }

    /// The stages that have run, by the names that reports use.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        let stages = [&self.wait, &self.upload, &self.submit, &self.lock, &self.copy];
        EncodeStages::NAMES.into_iter().zip(stages).filter(|(_, times)| !times.is_empty())
    }

    /// The stages so far.
    pub fn stages(&self) -> EncodeStages {
        EncodeStages {
            wait: self.wait.summary(),
            upload: self.upload.summary(),
            submit: self.submit.summary(),
            lock: self.lock.summary(),
            copy: self.copy.summary(),
            queue_peak: self.queue_peak(),
            input_copy_bytes: self.input_bytes.load(Ordering::Relaxed),
            output_copy_bytes: self.output_bytes.load(Ordering::Relaxed),
            device_copy_bytes: self.device_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Where the time of a hardware encoder's session went. The first three stages are those of the thread that hands
/// pictures over, the other two those of the thread that takes coded ones; both work side by side. A stage that the encoder
/// does not have stays empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodeStages {
    /// Waiting until there is memory for one more picture: the encoder is behind.
    pub wait: StageSummary,
    /// Bringing a picture into the encoder's memory.
    pub upload: StageSummary,
    /// Handing a picture over; does not wait for it to be coded.
    pub submit: StageSummary,
    /// Waiting for a coded picture, in the order in which they come.
    pub lock: StageSummary,
    /// Copying a coded picture out and giving its memory back.
    pub copy: StageSummary,
    /// Most pictures in flight at once: submitted, and their output not yet taken.
    pub queue_peak: usize,
    /// Bytes of pictures copied from host memory.
    pub input_copy_bytes: u64,
    /// Coded bytes copied to host memory.
    pub output_copy_bytes: u64,
    /// Bytes of pictures copied inside the device.
    pub device_copy_bytes: u64,
}

impl EncodeStages {
    /// Names of the stages in reports, in the order of the fields.
    pub const NAMES: [&'static str; 5] = ["wait", "upload", "encode", "lock", "copy"];

    /// The stages that have run, by the names that reports use.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, StageSummary)> + use<> {
        let stages = [self.wait, self.upload, self.submit, self.lock, self.copy];
        Self::NAMES.into_iter().zip(stages).filter(|(_, stage)| stage.count > 0)
    }
}

/// The calls of several decoders that share one stream, while they run.
#[derive(Debug, Default)]
pub struct DecodeMeter {
    /// See [`DecodeStages::decode`]: the calls of all decoders.
    pub decode: Histogram,
    in_flight: AtomicUsize,
    in_flight_peak: AtomicUsize,
}

impl DecodeMeter {
    /// A decoder is given one more unit.
    pub fn enter(&self) {
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.in_flight_peak.fetch_max(in_flight, Ordering::Relaxed);
    }

    /// A decoder has answered as many units, or has ended with them.
    pub fn leave(&self, units: usize) {
        self.in_flight.fetch_sub(units, Ordering::Relaxed);
    }

    /// Most units that were inside all decoders together at once.
    pub fn in_flight_peak(&self) -> usize {
        self.in_flight_peak.load(Ordering::Relaxed)
    }
}

/// Stage times of a decode session. If several decoders share the stream, each stage is the sum over all of them and may exceed
/// the duration of the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeStages {
    /// Decoder calls, one per access unit or drain, without the wait for room in the output queue. On the CPU this is decoding
    /// itself; on a GPU it is parsing, submission and the wait for a free surface.
    pub decode: StageSummary,
    /// On a device: the wait until a decoded picture can be read there.
    pub map: StageSummary,
    /// On a device: conversion of format or size, or the copy inside it.
    pub convert: StageSummary,
    /// On a device: the copy to host memory, or the mapping of the surface for the CPU.
    pub download: StageSummary,
    /// The wait for room in the output queue: the consumer is behind.
    pub output: StageSummary,
}

impl DecodeStages {
    /// Names of the stages in reports, in the order of the fields.
    pub const NAMES: [&'static str; 5] = ["decode", "map", "convert", "download", "output"];

    /// The stages that have run, by the names that reports use.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, StageSummary)> + use<> {
        let stages = [self.decode, self.map, self.convert, self.download, self.output];
        Self::NAMES.into_iter().zip(stages).filter(|(_, stage)| stage.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Smallest value that `share` percent do not exceed.
    fn exact(sorted: &[u64], share: usize) -> u64 {
        sorted[(sorted.len() * share).div_ceil(100).max(1) - 1]
    }

    fn check(values: &[u64]) {
        let histogram = Histogram::default();
        for value in values {
            histogram.record(Duration::from_nanos(*value));
        }
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let found = histogram.summary();
        assert_eq!(found.count, values.len() as u64);
        assert_eq!(found.total.as_nanos() as u64, values.iter().sum::<u64>());
        assert_eq!(found.max.as_nanos() as u64, sorted[sorted.len() - 1]);
        for (share, found) in [(50, found.p50), (95, found.p95), (99, found.p99)] {
            let (found, wanted) = (found.as_nanos() as u64, exact(&sorted, share));
            // Half of a step, which is 1/64 of the value at most.
            assert!(found.abs_diff(wanted) * 128 <= wanted, "p{share} is {wanted}, not {found}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        check(&[0]);
        check(&[7]);
        check(&[1, 2, 3, 4, 127, 128, 129, 255, 256, 257]);
        let mut state = 1_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let even: Vec<u64> = (0..5000).map(|_| next() % 3_000_000).collect();
        check(&even);
        // From nanoseconds to minutes, as many in each power of two.
        let spread: Vec<u64> = (0..5000).map(|_| next() >> (24 + next() % 40)).collect();
        check(&spread);
        // A tail of one in a hundred, a thousand times as long.
        let tail: Vec<u64> =
            (0..5000).map(|n| if n % 100 == 0 { 2_000_000_000 } else { 2_000_000 + n }).collect();
        check(&tail);
    }

    #[test]
    fn buckets_follow_each_other_without_gap() {
        let mut last = 0;
        for value in (0..1 << 16)
            .chain((16..VALUE_BITS).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1]))
        {
            let bucket = bucket_of(value);
            assert!(
                bucket == last || bucket == last + 1 || value > 1 << 15,
                "{value}: {bucket} after {last}"
            );
            assert!(bucket >= last && bucket < BUCKETS);
            assert_eq!(bucket_of(middle_of(bucket)), bucket, "{value}");
            last = bucket;
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_recorded_is_nothing() {
        let found = Histogram::default().summary();
        assert_eq!((found, found.mean()), (StageSummary::default(), Duration::ZERO));
    }

    #[test]
    fn several_threads_lose_nothing() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|n| histogram.record(Duration::from_nanos(n))));
            }
        });
        let found = histogram.summary();
        assert_eq!((found.count, found.total), (4000, Duration::from_nanos(4 * 999 * 500)));
    }

    #[test]
    fn what_is_timed_is_counted_even_if_it_fails() {
        let meter = EncodeMeter::default();
        assert_eq!(meter.lock.time(|| Err::<(), _>(5)), Err(5));
        meter.inside(3);
        meter.inside(2);
        meter.copied_in(10);
        meter.copied_out(4);
        let stages = meter.stages();
        assert_eq!((stages.lock.count, stages.queue_peak), (1, 3));
        assert_eq!((stages.input_copy_bytes, stages.output_copy_bytes), (10, 4));
    }
}
