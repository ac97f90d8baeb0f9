//! Time is a type: ticks of a stated time base, compared and converted exactly.
//!
//! Containers count time in ticks (MP4: 1/timescale s, MPEG-TS: 1/90000 s). A [`Timestamp`] keeps the
//! container's own ticks, so that a pts that goes in comes out bit-identical; it is only rescaled where
//! a consumer asks for another base.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

const ONE: NonZeroU32 = NonZeroU32::MIN;

/// A positive fraction. Used for frame rates (`30000/1001`) and sample aspect ratios.
#[derive(Clone, Copy, Debug)]
pub struct Rational {
    num: NonZeroU32,
    den: NonZeroU32,
}

impl Rational {
    /// The fraction 1/1.
    pub const ONE: Self = Self { num: ONE, den: ONE };

    /// `num/den`, kept as given (not reduced); `None` when either is zero.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        match (NonZeroU32::new(num), NonZeroU32::new(den)) {
            (Some(num), Some(den)) => Some(Self { num, den }),
            _ => None,
        }
    }

    /// Numerator.
    pub const fn num(self) -> u32 {
        self.num.get()
    }

    /// Denominator.
    pub const fn den(self) -> u32 {
        self.den.get()
    }

    /// The value as a floating point number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num()) / f64::from(self.den())
    }

    /// The same value in lowest terms.
    #[must_use]
    pub fn reduced(self) -> Self {
        let (mut a, mut b) = (self.num(), self.den());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self::new(self.num() / a, self.den() / a).unwrap_or(self)
    }

    /// The fraction upside down.
    #[must_use]
    pub const fn inverted(self) -> Self {
        Self { num: self.den, den: self.num }
    }
}

impl PartialEq for Rational {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rational {}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    fn cmp(&self, other: &Self) -> Ordering {
        let l = u64::from(self.num()) * u64::from(other.den());
        let r = u64::from(other.num()) * u64::from(self.den());
        l.cmp(&r)
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

/// Seconds per tick, as a fraction (`1/90000`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeBase(Rational);

impl TimeBase {
    /// Nanoseconds.
    pub const NANOS: Self = Self::per_second_const(1_000_000_000);
    /// The 90 kHz clock of MPEG systems.
    pub const MPEG: Self = Self::per_second_const(90_000);

    const fn per_second_const(ticks: u32) -> Self {
        match Rational::new(1, ticks) {
            Some(r) => Self(r),
            None => Self(Rational::ONE),
        }
    }

    /// `num/den` seconds per tick; `None` when either is zero.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        match Rational::new(num, den) {
            Some(r) => Some(Self(r)),
            None => None,
        }
    }

    /// `ticks` ticks per second (an MP4 timescale).
    pub const fn per_second(ticks: NonZeroU32) -> Self {
        Self(Rational { num: ONE, den: ticks })
    }

    /// One tick per frame at the given frame rate.
    pub const fn from_frame_rate(rate: Rational) -> Self {
        Self(rate.inverted())
    }

    /// Seconds per tick.
    pub const fn seconds_per_tick(self) -> Rational {
        self.0
    }
}

impl fmt::Display for TimeBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A point in time: `ticks` of `base`. May be negative (leading pictures, edit lists).
///
/// Ordering and equality compare the *time*, not the representation: 1 tick of 1/25 equals 3600 ticks of
/// 1/90000. Arithmetic saturates instead of overflowing; hostile files cannot make it panic.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    ticks: i64,
    base: TimeBase,
}

impl Timestamp {
    /// `ticks` of `base`.
    pub const fn new(ticks: i64, base: TimeBase) -> Self {
        Self { ticks, base }
    }

    /// The ticks.
    pub const fn ticks(self) -> i64 {
        self.ticks
    }

    /// The time base of the ticks.
    pub const fn base(self) -> TimeBase {
        self.base
    }

    /// The nearest tick of another base (halves away from zero). Exact when the new base is a multiple.
    #[must_use]
    pub fn rescale(self, to: TimeBase) -> Self {
        if self.base.0.num == to.0.num && self.base.0.den == to.0.den {
            return self;
        }
        let num = i128::from(self.base.0.num()) * i128::from(to.0.den());
        let den = i128::from(self.base.0.den()) * i128::from(to.0.num());
        // |ticks| < 2^63 and num < 2^64, so the product fits i128.
        let scaled = i128::from(self.ticks) * num;
        let half = den / 2;
        let rounded = if scaled >= 0 { (scaled + half) / den } else { (scaled - half) / den };
        Self { ticks: clamp_i64(rounded), base: to }
    }

    /// `self` moved by `ticks` of its own base, saturating.
    #[must_use]
    pub const fn offset(self, ticks: i64) -> Self {
        Self { ticks: self.ticks.saturating_add(ticks), base: self.base }
    }

    /// `self - earlier`, as ticks of `self`'s base.
    pub fn ticks_since(self, earlier: Self) -> i64 {
        self.ticks.saturating_sub(earlier.rescale(self.base).ticks)
    }

    /// Seconds, for people and for rates; not for arithmetic.
    pub fn as_secs_f64(self) -> f64 {
        self.ticks as f64 * self.base.0.as_f64()
    }

    /// The time as a [`Duration`] since zero; negative times give zero.
    pub fn as_duration(self) -> Duration {
        let nanos = self.rescale(TimeBase::NANOS).ticks;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }

    /// Whether it comes before `other`, to the nanosecond: a part that begins or ends with the time of a frame, which was made a
    /// [`Duration`] and rounded, does so with that frame.
    pub(crate) fn is_before(self, other: Self) -> bool {
        self.rescale(TimeBase::NANOS).ticks < other.rescale(TimeBase::NANOS).ticks
    }
}

fn clamp_i64(v: i128) -> i64 {
    i64::try_from(v).unwrap_or(if v < 0 { i64::MIN } else { i64::MAX })
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.base.0.num == other.base.0.num && self.base.0.den == other.base.0.den {
            return self.ticks.cmp(&other.ticks);
        }
        // ticks * num / den on both sides; cross-multiplied this can pass 2^127, so compare whole
        // seconds first and the remainders after.
        let split = |t: &Self| {
            let scaled = i128::from(t.ticks) * i128::from(t.base.0.num());
            let den = i128::from(t.base.0.den());
            (scaled.div_euclid(den), scaled.rem_euclid(den), den)
        };
        let (a_sec, a_rem, a_den) = split(self);
        let (b_sec, b_rem, b_den) = split(other);
        a_sec.cmp(&b_sec).then_with(|| (a_rem * b_den).cmp(&(b_rem * a_den)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", self.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(t: i64, num: u32, den: u32) -> Timestamp {
        Timestamp::new(t, TimeBase::new(num, den).unwrap())
    }

    #[test]
    fn equal_times_in_different_bases_are_equal() {
        assert_eq!(ts(1, 1, 25), ts(3600, 1, 90_000));
        assert_eq!(ts(-1, 1001, 30_000), ts(-3003, 1, 90_000));
        assert!(ts(1, 1, 3) > ts(333, 1, 1000));
        assert!(ts(i64::MAX, u32::MAX, 1) > ts(i64::MAX, 1, u32::MAX));
    }

    #[test]
    fn rescale_rounds_halves_away_from_zero_and_saturates() {
        let ms = TimeBase::new(1, 1000).unwrap();
        assert_eq!(ts(1, 1, 2000).rescale(ms).ticks(), 1);
        assert_eq!(ts(-1, 1, 2000).rescale(ms).ticks(), -1);
        assert_eq!(ts(1, 1, 2001).rescale(ms).ticks(), 0);
        assert_eq!(ts(i64::MAX, 1, 1).rescale(TimeBase::NANOS).ticks(), i64::MAX);
        assert_eq!(ts(i64::MIN, 1, 1).rescale(TimeBase::NANOS).ticks(), i64::MIN);
    }

    #[test]
    fn ratios_compare_by_value() {
        assert_eq!(Rational::new(50, 2), Rational::new(25, 1));
        assert_eq!(Rational::new(50, 2).unwrap().reduced().num(), 25);
        assert!(Rational::new(0, 1).is_none());
    }
}
