//! `CMTime`, and the timing of a sample.

use std::cmp::Ordering;

use crate::core::exports;

/// `CMTime`: a fraction of seconds. Apple packs it to 4 bytes, so that it takes 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, packed(4))]
pub struct Time {
    /// The numerator.
    pub value: i64,
    /// The denominator.
    pub timescale: i32,
    /// Bit 0: valid; 1: rounded; 2 to 4: infinities and indefinite.
    pub flags: u32,
    /// Which round of a loop.
    pub epoch: i64,
}

impl Time {
    /// `kCMTimeInvalid`
    pub const INVALID: Self = Self { value: 0, timescale: 0, flags: 0, epoch: 0 };

    /// A number, and neither invalid nor infinite nor indefinite.
    pub fn is_numeric(self) -> bool {
        self.flags & 0x1d == 1 && self.timescale > 0
    }

    /// Which of two numeric times comes first.
    pub fn order(self, other: Self) -> Ordering {
        let of = |time: Self, by: Self| i128::from(time.value) * i128::from(by.timescale);
        of(self, other).cmp(&of(other, self))
    }

    /// As seconds; 0 where it is no number.
    pub fn seconds(self) -> f64 {
        if self.is_numeric() { self.value as f64 / f64::from(self.timescale) } else { 0.0 }
    }
}

/// `CMSampleTimingInfo`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, packed(4))]
pub struct Timing {
    /// How long the sample is shown.
    pub duration: Time,
    /// When.
    pub pts: Time,
    /// When it is decoded; invalid where that is the order of display.
    pub dts: Time,
}

const _: () = assert!(size_of::<Time>() == 24 && align_of::<Time>() == 4 && size_of::<Timing>() == 72);

exports! {
    /// A time; without a scale, an invalid one.
    fn CMTimeMake(value: i64, timescale: i32) -> Time = Time::INVALID; {
        if timescale > 0 { Time { value, timescale, flags: 1, epoch: 0 } } else { Time::INVALID }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_other_scales_are_compared_as_fractions() {
        let time = |value, timescale| Time { value, timescale, flags: 1, epoch: 0 };
        assert_eq!(time(1, 3).order(time(333, 1000)), Ordering::Greater);
        assert_eq!(time(-1, 25).order(time(-4000, 100_000)), Ordering::Equal);
        assert!(!Time::INVALID.is_numeric());
    }
}
