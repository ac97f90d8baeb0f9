//! Times of pictures for which no PES packet states any.

use super::video::Times;
use crate::codec::Codec;
use crate::time::Rational;

/// Ticks of a picture where nothing states a rate: 25 a second.
const DEFAULT_STEP: i64 = 3600;

/// Where a picture stands among those around it, as its headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// `temporal_reference` of MPEG-2, and whether a group begins in front of it.
    Reference(i64, bool),
    /// The period and the picture order count of H.264 and H.265.
    Count(u64, i32),
    Unknown,
}

/// Gives times to pictures in decoding order.
#[derive(Debug, Default)]
pub(super) struct Timing {
    pub(super) rate: Option<Rational>,
    /// The last stated decoding time, and pictures since.
    anchor: Option<(i64, i64)>,
    last_dts: Option<i64>,
    /// The last known presentation time, with the reference or count it belongs to, and of which period that is.
    shown: Option<(i64, i64)>,
    period: u64,
    latest: Option<i64>,
    /// Ticks that lie between so many counts.
    counted: Option<(i64, i64)>,
    /// Some pictures are shown in another order than they come.
    reordered: bool,
}

impl Timing {
    /// For reading on elsewhere: what has been learned of the stream stays.
    pub(super) fn restart(&mut self) {
        let Self { rate, counted, reordered, .. } = *self;
        *self = Self { rate, counted, reordered, ..Self::default() };
    }

    pub(super) fn of(&mut self, codec: Codec, stated: Times, standing: Standing) -> Times {
        let dts = match (stated.dts, &mut self.anchor) {
            (Some(dts), _) => {
                self.anchor = Some((dts, 0));
                Some(dts)
            }
            (None, Some((anchor, pictures))) => {
                *pictures += 1;
                let (anchor, pictures) = (*anchor, *pictures);
                Some(anchor.saturating_add(self.span(pictures)))
            }
            (None, None) => None,
        };
        // What was derived may have run ahead of what is stated.
        let dts = dts.map(|dts| self.last_dts.map_or(dts, |last| dts.max(last.saturating_add(1))));
        self.last_dts = dts.or(self.last_dts);
        self.reordered |= stated.pts.is_some() && stated.pts != stated.dts;
        let pts = stated.pts.or_else(|| match (standing, self.shown, self.latest) {
            (Standing::Reference(number, true), _, Some(latest)) => {
                Some(latest.saturating_add(self.span(number + 1)))
            }
            (Standing::Reference(number, _), Some((pts, of)), _) => {
                Some(pts.saturating_add(self.span(number - of)))
            }
            _ if !self.reordered => dts,
            (Standing::Count(period, count), Some((pts, of)), _) if period == self.period => {
                Some(pts.saturating_add(self.counts(codec, i64::from(count) - of)))
            }
            // A period begins with the picture that is shown first, behind all before.
            (Standing::Count(..), _, Some(latest)) => Some(latest.saturating_add(self.span(1))),
            _ => None,
        });
        self.note(stated.pts, pts, standing);
        Times { pts, dts }
    }

    fn note(&mut self, stated: Option<i64>, pts: Option<i64>, standing: Standing) {
        self.latest = self.latest.max(pts);
        let Some(pts) = pts else { return };
        match standing {
            Standing::Reference(number, _) => self.shown = Some((pts, number)),
            Standing::Count(period, count) => {
                let count = i64::from(count);
                if let (Some(_), Some((before, of)), true) = (stated, self.shown, self.period == period) {
                    let (ticks, counts) = (pts.saturating_sub(before), count - of);
                    if ticks.signum() == counts.signum() && counts != 0 {
                        self.counted = Some((ticks, counts));
                    }
                }
                // Rounding must not add up: the next times are counted from a stated one.
                if stated.is_some() || self.period != period {
                    (self.shown, self.period) = (Some((pts, count)), period);
                }
            }
            Standing::Unknown => {}
        }
    }

    /// Ticks of so many counts. Those of H.264 count fields, as a rule.
    fn counts(&self, codec: Codec, counts: i64) -> i64 {
        let in_frame = if codec == Codec::H264 { 2 } else { 1 };
        let (ticks, of) = self.counted.unwrap_or_else(|| (self.span(1), in_frame));
        let ticks = i128::from(ticks) * i128::from(counts) / i128::from(of);
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }

    /// Ticks of so many pictures.
    fn span(&self, pictures: i64) -> i64 {
        self.rate.map_or(pictures.saturating_mul(DEFAULT_STEP), |rate| {
            let ticks = i128::from(pictures) * 90_000 * i128::from(rate.den()) / i128::from(rate.num());
            i64::try_from(ticks).unwrap_or(i64::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_gives_the_time_that_no_packet_states() {
        let mut timing = Timing { rate: Rational::new(25, 1), ..Timing::default() };
        let none = Times::default();
        let stated = |pts, dts| Times { pts: Some(pts), dts: Some(dts) };
        let mut of =
            |times, period, count| timing.of(Codec::H264, times, Standing::Count(period, count)).pts.unwrap();
        // I0 P3 B1 B2, of which the first states its time.
        assert_eq!(of(stated(7200, 0), 1, 0), 7200);
        assert_eq!([of(none, 1, 6), of(none, 1, 2), of(none, 1, 4)], [18_000, 10_800, 14_400]);
        // The counts turn out to be twice as far apart.
        assert_eq!(of(stated(36_000, 14_400), 1, 8), 36_000);
        assert_eq!(of(none, 1, 10), 43_200);
        // Another period begins behind all of this one.
        assert_eq!([of(none, 2, 0), of(none, 2, 2)], [46_800, 54_000]);
    }
}
