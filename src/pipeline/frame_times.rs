//! Times of pictures on their way to a container: they increase, and each is a whole number of the output's ticks.
//!
//! Damaged and odd inputs have times that go back, that repeat, or whose unit changes in mid-stream. A job that goes on
//! after damage puts them right; any other ends and says which picture it is.

use std::path::Path;

use crate::error::{Error, Remedy, Result};
use crate::frame::Frame;
use crate::time::{Rational, TimeBase, Timestamp};

/// Ticks per second that times are put right in, at least.
const FINE: u64 = 90_000;

/// Checks or mends the times of pictures in presentation order.
pub(super) struct FrameTimes {
    base: TimeBase,
    mend: bool,
    /// Most ticks from one picture to the next.
    longest: i64,
    /// Ticks of a picture by the nominal frame rate.
    nominal: i64,
    last: Option<i64>,
    /// Ticks by which all later times are moved since a gap was closed.
    shift: i64,
    /// Pictures in a row whose own time was of no use.
    lost: u32,
    mended: MendedTimes,
}

/// The pictures whose times were put right.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MendedTimes {
    count: u64,
    first: Option<Timestamp>,
}

impl MendedTimes {
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// What the user should know.
    pub(super) fn problem(&self) -> Option<String> {
        let first = self.first?;
        Some(format!(
            "the times of {} pictures were put right, first that of the one at {first}: they did not increase, lay too far \
             apart, or their unit changed",
            self.count
        ))
    }
}

/// The time base for a track whose first picture has a time in `base`. Times that are put right need room between two
/// pictures.
pub(super) fn track_base(base: TimeBase, mend: bool) -> TimeBase {
    let tick = base.seconds_per_tick().reduced();
    let fine = (FINE * u64::from(tick.num())).div_ceil(u64::from(tick.den()));
    let den = u64::from(tick.den()) * fine;
    match u32::try_from(den).ok().filter(|den| mend && fine > 1 && i32::try_from(*den).is_ok()) {
        Some(den) => {
            let tick = Rational::new(tick.num(), den).map(Rational::reduced);
            tick.and_then(|tick| TimeBase::new(tick.num(), tick.den())).unwrap_or(base)
        }
        None => base,
    }
}

impl FrameTimes {
    /// For a track in ticks of `base`; `rate` is the nominal frame rate. Where decoding may run `reordered` pictures ahead,
    /// offsets between the two times need room as well.
    pub(super) fn new(base: TimeBase, rate: Rational, reordered: bool, mend: bool) -> Self {
        let second = Timestamp::new(1, TimeBase::from_frame_rate(Rational::ONE)).rescale(base).ticks().max(1);
        let nominal = Timestamp::new(1, TimeBase::from_frame_rate(rate)).rescale(base).ticks();
        // MP4 counts 32 bits from one picture to the next, and 31 from decoding to presentation.
        let longest = if reordered { i64::from(i32::MAX) / 16 } else { i64::from(u32::MAX) };
        Self {
            base,
            mend,
            longest,
            nominal: nominal.clamp(1, second),
            last: None,
            shift: 0,
            lost: 0,
            mended: MendedTimes::default(),
        }
    }

    /// The picture at a time that the output can state.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] that names `input`, where times are not to be put right.
    pub(super) fn place(&mut self, frame: Frame, input: &Path) -> Result<Frame> {
        let exact = frame.pts.rescale(self.base);
        let duration = frame.duration.map(|ticks| self.length(ticks, frame.pts.base()));
        let ticks = exact.ticks().saturating_add(self.shift);
        if !self.mend {
            self.check(&frame, exact, input)?;
            self.last = Some(ticks);
            return Ok(Frame { pts: exact, duration, ..frame });
        }
        let placed = self.put_right(ticks);
        let duration = duration.map(|ticks| ticks.min(self.longest.unsigned_abs()));
        if placed != exact.ticks() || exact != frame.pts {
            self.mended.count += 1;
            self.mended.first.get_or_insert(frame.pts);
        }
        self.last = Some(placed);
        Ok(Frame { pts: Timestamp::new(placed, self.base), duration, ..frame })
    }

    pub(super) const fn mended(&self) -> MendedTimes {
        self.mended
    }

    fn check(&self, frame: &Frame, exact: Timestamp, input: &Path) -> Result<()> {
        let broken =
            |what: String| Err(Error::corrupt_fatal(what).in_file(input).with_remedy(Remedy::MendTimes));
        if exact != frame.pts {
            return broken(format!(
                "the unit of its times changes in mid-stream: the picture at {} lies between two ticks of {} s",
                frame.pts, self.base
            ));
        }
        match self.last.map(|last| Timestamp::new(last, self.base)).filter(|last| exact <= *last) {
            Some(last) => {
                broken(format!("times of pictures must increase, but {} comes after {last}", frame.pts))
            }
            None => Ok(()),
        }
    }

    /// The tick for a picture that states `ticks`.
    fn put_right(&mut self, ticks: i64) -> i64 {
        let Some(last) = self.last else {
            // A start beyond what a container can state is a number out of nowhere.
            if ticks.saturating_abs() > self.longest {
                self.shift = ticks.saturating_neg();
                return 0;
            }
            return ticks;
        };
        if ticks <= last {
            // One picture out of line leaves room for the next; where all times are lost, the nominal rate goes on.
            self.lost = self.lost.saturating_add(1);
            let step = if self.lost == 1 { (self.nominal + 1) / 2 } else { self.nominal };
            return last.saturating_add(step.max(1));
        }
        self.lost = 0;
        if ticks.saturating_sub(last) > self.longest {
            let placed = last.saturating_add(self.nominal);
            self.shift = self.shift.saturating_sub(ticks.saturating_sub(placed));
            return placed;
        }
        ticks
    }

    /// A duration in ticks of the track.
    fn length(&self, ticks: u64, base: TimeBase) -> u64 {
        let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
        let scaled = Timestamp::new(ticks, base).rescale(self.base).ticks();
        u64::try_from(scaled).unwrap_or(0).max(u64::from(ticks > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dimensions::Dimensions;
    use crate::frame::HostSurface;
    use crate::pixel::PixelFormat;

    fn frame(ticks: i64, den: u32) -> Frame {
        let size = Dimensions::new(2, 2).unwrap();
        let surface = HostSurface::from_packed(PixelFormat::Gray8, size, vec![0; 4]).unwrap();
        Frame {
            duration: Some(1),
            ..Frame::host(Timestamp::new(ticks, TimeBase::new(1, den).unwrap()), surface)
        }
    }

    fn run(mend: bool, times: &[(i64, u32)]) -> Result<(Vec<i64>, u64)> {
        let rate = Rational::new(25, 1).unwrap();
        let base = track_base(TimeBase::new(1, times[0].1).unwrap(), mend);
        let mut clock = FrameTimes::new(base, rate, false, mend);
        let placed: Result<Vec<_>> = times
            .iter()
            .map(|&(ticks, den)| Ok(clock.place(frame(ticks, den), Path::new("in.mp4"))?.pts.ticks()))
            .collect();
        Ok((placed?, clock.mended().count()))
    }

    #[test]
    fn good_times_pass_as_they_are() {
        let times: Vec<_> = [0, 1, 2, 7, 8].map(|t| (t, 25)).to_vec();
        assert_eq!(run(false, &times).unwrap(), (vec![0, 1, 2, 7, 8], 0));
        assert_eq!(run(true, &times).unwrap(), ([0, 1, 2, 7, 8].map(|t| t * 3600).to_vec(), 0));
        // Another unit that means the same.
        assert_eq!(run(false, &[(0, 25), (2, 50), (2, 25)]).unwrap().0, [0, 1, 2]);
    }

    #[test]
    fn what_is_no_time_of_the_track_is_damage_of_the_input() {
        for times in [&[(0, 25), (1, 25), (1, 25)][..], &[(0, 25), (5, 25), (3, 25)], &[(0, 25), (1, 30)]] {
            let error = run(false, times).unwrap_err();
            assert!(matches!(error, Error::CorruptStream { recoverable: false, .. }), "{error}");
            let message = error.to_string();
            assert!(message.contains("in.mp4") && error.remedy() == Remedy::MendTimes, "{message}");
        }
    }

    #[test]
    fn times_are_put_right_and_counted() {
        // One out of line, and the rest as they are.
        let (times, count) = run(true, &[(0, 25), (1, 25), (1, 25), (2, 25), (3, 25)]).unwrap();
        assert_eq!((times, count), (vec![0, 3600, 5400, 7200, 10_800], 1));
        // No times at all: the nominal rate.
        let (times, count) = run(true, &[(0, 25); 5]).unwrap();
        assert_eq!((times, count), (vec![0, 1800, 5400, 9000, 12_600], 4));
        // A gap that no container can state is closed, and what follows keeps its distance.
        let far = 1_i64 << 40;
        let (times, count) = run(true, &[(0, 25), (far, 25), (far + 2, 25)]).unwrap();
        assert_eq!((times, count), (vec![0, 3600, 10_800], 2));
        // A time out of nowhere, and back again.
        let (times, _) = run(true, &[(0, 25), (i64::MAX, 25), (1, 25), (i64::MIN, 25)]).unwrap();
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    }

    #[test]
    fn any_unit_has_room_between_two_pictures() {
        for (num, den) in [(1, 25), (1001, 30_000), (2, 51), (1, 90_000), (1, 1_000_000_000), (u32::MAX, 1)] {
            let base = TimeBase::new(num, den).unwrap();
            let fine = track_base(base, true).seconds_per_tick();
            let whole = Timestamp::new(1, base).rescale(track_base(base, true));
            assert_eq!(whole, Timestamp::new(1, base), "{base}");
            let enough = fine.as_f64() <= 1.0 / 90_000.0;
            assert!(enough || num == u32::MAX, "{base}: {fine}");
            assert_eq!(track_base(base, false), base);
        }
    }
}
