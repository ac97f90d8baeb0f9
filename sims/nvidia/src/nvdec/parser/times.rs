//! Timestamps: which packet a picture began in, and which time it is shown with. All of it was measured on 580.159.
//!
//! Clients are allowed to stamp packets in decoding order. The parser looks for that in the first pictures: whenever a
//! picture is to be shown that is not the earliest of those decoded and not yet shown, the two exchange their times,
//! and from then on this is done for the whole stream.

use std::collections::VecDeque;

use crate::policy::{PARSER_DEFAULT_CLOCK, PARSER_DEFAULT_RATE, PARSER_TIMES_CHECKED};

/// More stamps than pictures can wait for a picture: a client that stamps every byte must not fill memory.
const KEPT: usize = 4096;

/// A picture that is decoded and not yet in output order.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    surface: i32,
    time: Option<i64>,
    /// Picture order count.
    order: i32,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Times {
    clock: u64,
    /// Ticks of the clock in a picture.
    frame: i64,
    /// Places in the stream from which on a timestamp is valid.
    stamps: VecDeque<(u64, i64)>,
    waiting: Vec<Waiting>,
    /// Pictures whose times are still to be checked against the display order.
    unchecked: u32,
    /// The client's times are known to be in decoding order.
    sorting: bool,
    /// No picture has been shown yet.
    first: bool,
    /// The timestamp expected of the next picture in display order.
    expected: i64,
}

impl Times {
    pub(super) fn new(clock: u32) -> Self {
        let clock = if clock == 0 { PARSER_DEFAULT_CLOCK } else { u64::from(clock) };
        let mut times = Self {
            clock,
            frame: 0,
            stamps: VecDeque::new(),
            waiting: Vec::new(),
            unchecked: PARSER_TIMES_CHECKED,
            sorting: false,
            first: true,
            expected: 0,
        };
        times.set_rate(0, 0);
        times
    }

    pub(super) fn set_rate(&mut self, numerator: u32, denominator: u32) {
        let (numerator, denominator) =
            if numerator == 0 || denominator == 0 { PARSER_DEFAULT_RATE } else { (numerator, denominator) };
        let frame = u128::from(self.clock) * u128::from(denominator) / u128::from(numerator);
        self.frame = i64::try_from(frame).unwrap_or(i64::MAX);
    }

    /// A packet that begins at `at` carries `timestamp`.
    pub(super) fn stamp(&mut self, at: u64, timestamp: i64) {
        if self.stamps.len() >= KEPT {
            self.stamps.pop_front();
        }
        self.stamps.push_back((at, timestamp));
    }

    /// The timestamp of a picture whose first slice begins at `at`: that of the packet it begins in, unless an
    /// earlier picture of that packet took it. A start code cut in two belongs to the second packet.
    pub(super) fn take(&mut self, at: u64) -> Option<i64> {
        let mut found = None;
        while let Some(&(place, timestamp)) = self.stamps.front() {
            if place > at + 3 {
                break;
            }
            self.stamps.pop_front();
            found = Some(timestamp);
        }
        found
    }

    /// Forgets the timestamps of data that is thrown away.
    pub(super) fn interrupt(&mut self) {
        self.stamps.clear();
    }

    /// The stream is over.
    pub(super) fn end_stream(&mut self) {
        self.stamps.clear();
        self.waiting.clear();
        self.expected = 0;
        self.first = true;
    }

    /// A picture goes to the decoder; its time counts from now on.
    pub(super) fn wait(&mut self, surface: i32, time: Option<i64>, order: i32) {
        self.waiting.retain(|waiting| waiting.surface != surface);
        self.waiting.push(Waiting { surface, time, order });
    }

    /// The time that the picture in `surface` is shown with: its own or the earliest of those that wait; without one
    /// the time expected. `own` is for a picture that does not wait (it is shown again).
    pub(super) fn display(&mut self, surface: i32, own: Option<i64>, repeat_first_field: i32) -> i64 {
        let found = self.waiting.iter().position(|waiting| waiting.surface == surface);
        let picture = match found {
            Some(index) => {
                let waiting = self.waiting.remove(index);
                Waiting { time: waiting.time.or(own), ..waiting }
            }
            None => Waiting { surface, time: own, order: 0 },
        };
        let timestamp = match picture.time {
            Some(time) => self.earliest(time),
            None if self.first => self.guess(&picture),
            None => self.expected,
        };
        let fields = i64::from(2 + repeat_first_field.max(-1));
        self.expected = timestamp.saturating_add(self.frame.saturating_mul(fields) / 2);
        self.first = false;
        timestamp
    }

    /// Exchanges `time` with an earlier one of a picture that waits.
    fn earliest(&mut self, time: i64) -> i64 {
        if !self.sorting && self.unchecked == 0 {
            return time;
        }
        self.unchecked = self.unchecked.saturating_sub(1);
        let earlier = self.waiting.iter_mut().filter_map(|waiting| waiting.time.as_mut());
        match earlier.min().filter(|earliest| **earliest < time) {
            Some(earliest) => {
                self.sorting = true;
                std::mem::replace(earliest, time)
            }
            None => time,
        }
    }

    /// The first picture has no time: it is as far before one that has as their order counts say.
    fn guess(&self, picture: &Waiting) -> i64 {
        let known = self.waiting.iter().find_map(|waiting| waiting.time.map(|time| (time, waiting.order)));
        let Some((time, order)) = known else { return self.expected };
        let fields = i64::from(order).saturating_sub(i64::from(picture.order)).max(2);
        time.saturating_sub(fields.saturating_mul(self.frame) / 2)
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
        assert_eq!(times.take(88), Some(300), "a start code across two packets");
    }

    #[test]
    fn pictures_without_one_follow_at_the_frame_rate() {
        let mut times = Times::new(1000);
        times.set_rate(25, 1);
        let mut shown = |own, repeat| times.display(0, own, repeat);
        assert_eq!([shown(None, 0), shown(None, 1), shown(None, 0)], [0, 40, 100]);
        assert_eq!([shown(Some(7), 0), shown(None, 0)], [7, 47]);
    }

    #[test]
    fn times_in_decoding_order_are_sorted() {
        let mut times = Times::new(1000);
        for (surface, time) in [(0, 0), (1, 40), (2, 80)] {
            times.wait(surface, Some(time), 0);
        }
        // Decoded I P B, shown I B P.
        assert_eq!([0, 2, 1].map(|surface| times.display(surface, None, 0)), [0, 40, 80]);
    }

    #[test]
    fn a_first_picture_without_time_is_placed_by_its_order_count() {
        let mut times = Times::new(1000);
        times.set_rate(25, 1);
        times.wait(0, None, 0);
        times.wait(1, Some(500), 6);
        assert_eq!(times.display(0, None, 0), 380);
    }
}
