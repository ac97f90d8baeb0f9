//! Decoding times for encoders that reorder.

use std::collections::VecDeque;

use crate::time::{Rational, TimeBase, Timestamp};

/// Gives the k-th output the presentation time of the (k - delay)-th input: strictly increasing as long as
/// the inputs are, and never after the output's own presentation time when nothing is reordered by more than
/// `delay`. The first `delay` outputs lie whole nominal frames before the first input.
#[derive(Debug)]
pub(crate) struct DtsGenerator {
    delay: usize,
    frame: TimeBase,
    inputs: VecDeque<(u64, Timestamp)>,
    lead_in: usize,
}

impl DtsGenerator {
    pub(crate) fn new(delay: usize, frame_rate: Rational) -> Self {
        Self { delay, frame: TimeBase::from_frame_rate(frame_rate), inputs: VecDeque::new(), lead_in: delay }
    }

    pub(crate) fn submitted(&mut self, serial: u64, pts: Timestamp) {
        if self.delay > 0 {
            self.inputs.push_back((serial, pts));
        }
    }

    /// The frame gives no output, so its time must not be handed to another.
    pub(crate) fn abandoned(&mut self, serial: u64) {
        self.inputs.retain(|(s, _)| *s != serial);
    }

    pub(crate) fn next(&mut self, pts: Timestamp) -> Timestamp {
        if self.delay == 0 {
            return pts;
        }
        if self.lead_in > 0 {
            let first = self.inputs.front().map_or(pts, |(_, t)| *t);
            let step = Timestamp::new(1, self.frame).rescale(first.base()).ticks().max(1);
            let back = step.saturating_mul(self.lead_in as i64);
            self.lead_in -= 1;
            return first.offset(back.saturating_neg());
        }
        self.inputs.pop_front().map_or(pts, |(_, t)| t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_frames_get_increasing_dts_not_after_pts() {
        // Display order 0 1 2 3 4 coded as I0 P2 b1 P4 b3: a delay of one.
        let base = TimeBase::new(1, 25).unwrap();
        let mut dts = DtsGenerator::new(1, Rational::new(25, 1).unwrap());
        for i in 0..5 {
            dts.submitted(i, Timestamp::new(i as i64, base));
        }
        let coded = [0, 2, 1, 4, 3].map(|p| (dts.next(Timestamp::new(p, base)).ticks(), p));
        assert_eq!(coded, [(-1, 0), (0, 2), (1, 1), (2, 4), (3, 3)]);
    }
}
