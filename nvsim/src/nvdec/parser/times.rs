//! Timestamps: which packet a picture began in, and what a picture without one is given.

use std::collections::VecDeque;

use crate::policy::PARSER_DEFAULT_CLOCK;

/// More stamps than pictures can wait for a picture: a client that stamps every byte must not fill memory.
const KEPT: usize = 4096;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Times {
    clock: u64,
    rate: (u32, u32),
    /// Places in the stream from which on a timestamp is valid.
    stamps: VecDeque<(u64, i64)>,
    /// The timestamp expected of the next picture in display order.
    expected: i64,
}

impl Times {
    pub(super) fn new(clock: u32) -> Self {
        let clock = if clock == 0 { PARSER_DEFAULT_CLOCK } else { u64::from(clock) };
        Self { clock, rate: (0, 0), stamps: VecDeque::new(), expected: 0 }
    }

    pub(super) fn set_rate(&mut self, numerator: u32, denominator: u32) {
        self.rate = (numerator, denominator);
    }

    /// A packet that begins at `at` carries `timestamp`.
    pub(super) fn stamp(&mut self, at: u64, timestamp: i64) {
        if self.stamps.len() >= KEPT {
            self.stamps.pop_front();
        }
        self.stamps.push_back((at, timestamp));
    }

    /// The timestamp of a picture that begins at `at`: that of the packet it begins in, unless an earlier picture of
    /// that packet took it.
    pub(super) fn take(&mut self, at: u64) -> Option<i64> {
        let mut found = None;
        while let Some(&(place, timestamp)) = self.stamps.front() {
            if place > at {
                break;
            }
            self.stamps.pop_front();
            found = Some(timestamp);
        }
        found
    }

    /// Forgets the timestamps of data that is thrown away.
    pub(super) fn reset(&mut self) {
        self.stamps.clear();
    }

    /// What the display callback is told: the picture's own timestamp, or one frame after the picture shown before.
    pub(super) fn display(&mut self, own: Option<i64>, repeat_first_field: i32) -> i64 {
        let timestamp = own.unwrap_or(self.expected);
        let (numerator, denominator) = if self.rate.0 == 0 || self.rate.1 == 0 { (25, 1) } else { self.rate };
        let frame = u128::from(self.clock) * u128::from(denominator) / u128::from(numerator);
        let frame = i64::try_from(frame).unwrap_or(i64::MAX);
        let extra = match repeat_first_field {
            1 => frame / 2,
            2 => frame,
            4 => frame.saturating_mul(2),
            _ => 0,
        };
        self.expected = timestamp.saturating_add(frame).saturating_add(extra);
        timestamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_belongs_to_the_first_picture_that_begins_in_its_packet() {
        let mut times = Times::new(0);
        times.stamp(0, 100);
        times.stamp(50, 200);
        times.stamp(90, 300);
        assert_eq!(times.take(1), Some(100));
        assert_eq!(times.take(30), None);
        assert_eq!(times.take(95), Some(300));
    }

    #[test]
    fn pictures_without_one_follow_at_the_frame_rate() {
        let mut times = Times::new(1000);
        times.set_rate(25, 1);
        assert_eq!([times.display(None, 0), times.display(None, 1), times.display(None, 0)], [0, 40, 100]);
        assert_eq!([times.display(Some(7), 0), times.display(None, 0)], [7, 47]);
    }
}
