//! Times that Matroska does not store: decoding times, and rates out of rounded durations.

use crate::time::Rational;

/// Makes decoding times out of presentation times in decoding order, one frame after the other.
///
/// A frame is decoded at the least presentation time of itself and the frames before it that are still to be shown, where at
/// most `depth` of them wait: presentation times in ascending order, that many frames late.
pub(super) struct DecodingTimes {
    depth: usize,
    /// Ascending, at most `depth` and one.
    waiting: Vec<i64>,
    last: i64,
}

impl DecodingTimes {
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, waiting: Vec::new(), last: i64::MIN }
    }

    /// Begins anew behind a jump.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.depth);
    }

    /// The decoding time of the next frame; `duration` is about that of a frame.
    pub(super) fn next(&mut self, pts: i64, duration: i64) -> i64 {
        if self.waiting.is_empty() {
            // What would have been shown before.
            let before = 1..=self.depth as i64;
            self.waiting =
                before.rev().map(|frames| pts.saturating_sub(frames.saturating_mul(duration))).collect();
        }
        let at = self.waiting.partition_point(|waiting| *waiting <= pts);
        self.waiting.insert(at, pts);
        let first = self.waiting.remove(0);
        // Streams that reorder more than they state.
        self.last = self.last.max(first);
        self.last
    }
}

/// The frame rate of a duration that was rounded to a nanosecond: a whole number of frames in one or in 1.001 seconds where
/// that fits.
pub(super) fn frame_rate(nanos: u64) -> Option<Rational> {
    const SECOND: u64 = 1_000_000_000;
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos > 0)?;
    for (span, frames_of, den) in [(SECOND, 1, 1), (SECOND / 1000 * 1001, 1000, 1001)] {
        let frames = (span + u64::from(nanos) / 2) / u64::from(nanos);
        if frames > 0 && (span / frames).abs_diff(nanos.into()) <= 1 {
            return Rational::new(u32::try_from(frames * frames_of).ok()?, den);
        }
    }
    Rational::new(SECOND as u32, nanos).map(Rational::reduced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dts(depth: usize, pts: &[i64], duration: i64) -> Vec<i64> {
        let mut times = DecodingTimes::new(depth);
        pts.iter().map(|pts| times.next(*pts, duration)).collect()
    }

    #[test]
    fn decoding_times_are_presentation_times_in_order_and_late() {
        assert_eq!(dts(0, &[0, 40, 80], 40), [0, 40, 80]);
        assert_eq!(dts(1, &[0, 80, 40, 160, 120], 40), [-40, 0, 40, 80, 120]);
        assert_eq!(dts(2, &[0, 160, 80, 40, 120], 40), [-80, -40, 0, 40, 80]);
        // Uneven steps.
        assert_eq!(dts(1, &[0, 100, 30, 250, 180], 40), [-40, 0, 30, 100, 180]);
    }

    #[test]
    fn a_stream_that_reorders_more_than_it_states_never_goes_back() {
        let pts = [0, 160, 80, 40, 120, 320, 240, 200, 280];
        let dts = dts(1, &pts, 40);
        assert!(dts.is_sorted(), "{dts:?}");
    }

    #[test]
    fn rates_are_recognised() {
        let rate = |nanos| frame_rate(nanos).map(|rate| (rate.num(), rate.den()));
        assert_eq!(rate(40_000_000), Some((25, 1)));
        assert_eq!(rate(33_333_333), Some((30, 1)));
        assert_eq!(rate(33_366_667), Some((30_000, 1001)));
        assert_eq!(rate(41_708_333), Some((24_000, 1001)));
        assert_eq!(rate(16_683_333), Some((60_000, 1001)));
        assert_eq!(rate(80_000_000), Some((25, 2)));
        assert_eq!(rate(0), None);
    }
}
