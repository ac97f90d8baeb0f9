//! Which frame of one stream belongs to which frame of another.

use std::collections::VecDeque;

use crate::error::Result;
use crate::frame::Frame;
use crate::time::TimeBase;

/// How frames find each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchBy {
    /// By presentation time. Each distorted frame goes to the reference frame whose time is nearest, as far as that is
    /// no more than half a frame away; of several that go to the same one the nearest is taken.
    #[default]
    Time,
    /// The first to the first, the second to the second.
    Index,
}

/// What comes next.
#[derive(Clone, Debug)]
pub enum Matched {
    /// Two frames that belong together.
    Pair(Box<(Frame, Frame)>),
    /// A reference frame to which none belongs.
    OnlyReference(Box<Frame>),
    /// A distorted frame that belongs to none.
    OnlyDistorted(Box<Frame>),
}

/// Walks through two streams of frames in presentation order. Looks one frame ahead in each, and never holds more.
pub struct Matcher<R, D> {
    reference: Ahead<R>,
    distorted: Ahead<D>,
    by: MatchBy,
    /// Time of the last reference frame that was passed, in nanoseconds.
    last: Option<i64>,
}

impl<R, D> Matcher<R, D>
where
    R: Iterator<Item = Result<Frame>>,
    D: Iterator<Item = Result<Frame>>,
{
    /// Over two streams.
    pub fn new(reference: R, distorted: D, by: MatchBy) -> Self {
        Self { reference: Ahead::new(reference), distorted: Ahead::new(distorted), by, last: None }
    }

    /// The next pair or single frame; `None` when both streams are at their end.
    ///
    /// # Errors
    /// Those of the streams.
    pub fn next_match(&mut self) -> Result<Option<Matched>> {
        self.reference.fill()?;
        self.distorted.fill()?;
        let kind = match (self.reference.time(0), self.distorted.time(0)) {
            (None, None) => return Ok(None),
            (Some(_), None) => Kind::OnlyReference,
            (None, Some(_)) => Kind::OnlyDistorted,
            (Some(_), Some(_)) if self.by == MatchBy::Index => Kind::Pair,
            (Some(reference), Some(distorted)) => self.by_time(reference, distorted),
        };
        let reference = (kind != Kind::OnlyDistorted).then(|| {
            self.last = self.reference.time(0);
            self.reference.take()
        });
        let distorted = (kind != Kind::OnlyReference).then(|| self.distorted.take());
        Ok(match (reference.flatten(), distorted.flatten()) {
            (Some(reference), Some(distorted)) => Some(Matched::Pair(Box::new((reference, distorted)))),
            (Some(frame), None) => Some(Matched::OnlyReference(Box::new(frame))),
            (None, Some(frame)) => Some(Matched::OnlyDistorted(Box::new(frame))),
            (None, None) => None,
        })
    }

    /// The two streams, for what else they have to say.
    pub fn sources(&mut self) -> (&mut R, &mut D) {
        (&mut self.reference.source, &mut self.distorted.source)
    }

    fn by_time(&self, reference: i64, distorted: i64) -> Kind {
        let next = self.reference.time(1);
        let gap = |from: i64, to: i64| to.saturating_sub(from).max(0);
        let before = self.last.map(|last| gap(last, reference));
        let after = next.map(|next| gap(reference, next)).or_else(|| self.reference.duration());
        // At either end of the stream a frame reaches as far out as it does inwards.
        let (before, after) = (before.or(after), after.or(before));
        let reach = |gap: Option<i64>| gap.map_or(i64::MAX, |gap| gap / 2);
        if distorted < reference.saturating_sub(reach(before)) {
            return Kind::OnlyDistorted;
        }
        let end = reference.saturating_add(reach(after));
        if distorted > end {
            return Kind::OnlyReference;
        }
        let nearer = |time: i64| time <= end && time.abs_diff(reference) < distorted.abs_diff(reference);
        if self.distorted.time(1).is_some_and(nearer) { Kind::OnlyDistorted } else { Kind::Pair }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pair,
    OnlyReference,
    OnlyDistorted,
}

/// A stream and its next two frames.
struct Ahead<I> {
    source: I,
    frames: VecDeque<Frame>,
    ended: bool,
}

impl<I: Iterator<Item = Result<Frame>>> Ahead<I> {
    const fn new(source: I) -> Self {
        Self { source, frames: VecDeque::new(), ended: false }
    }

    fn fill(&mut self) -> Result<()> {
        while !self.ended && self.frames.len() < 2 {
            match self.source.next() {
                Some(frame) => self.frames.push_back(frame?),
                None => self.ended = true,
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// Time of the frame `ahead` in nanoseconds.
    fn time(&self, ahead: usize) -> Option<i64> {
        self.frames.get(ahead).map(|frame| frame.pts.rescale(TimeBase::NANOS).ticks())
    }

    /// How long the next frame is shown, by its own words.
    fn duration(&self) -> Option<i64> {
        let frame = self.frames.front()?;
        let end = frame.pts.offset(i64::try_from(frame.duration?).ok()?);
        Some(end.rescale(TimeBase::NANOS).ticks().saturating_sub(self.time(0)?)).filter(|d| *d > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dimensions::Dimensions;
    use crate::error::Error;
    use crate::frame::HostSurface;
    use crate::pixel::PixelFormat;
    use crate::time::Timestamp;

    fn frame(ms: i64, duration: Option<u64>) -> Frame {
        let size = Dimensions::new(1, 1).unwrap();
        let surface = HostSurface::from_packed(PixelFormat::Gray8, size, vec![0]).unwrap();
        let base = TimeBase::new(1, 1000).unwrap();
        Frame { duration, ..Frame::host(Timestamp::new(ms, base), surface) }
    }

    /// `r40=41` for a pair, `r40` and `d41` for frames that stay alone.
    fn walk(reference: &[i64], distorted: &[i64], by: MatchBy) -> String {
        let stream =
            |times: &[i64]| times.iter().map(|&t| Ok(frame(t, None))).collect::<Vec<_>>().into_iter();
        let mut matcher = Matcher::new(stream(reference), stream(distorted), by);
        let mut words = Vec::new();
        while let Some(next) = matcher.next_match().unwrap() {
            words.push(match next {
                Matched::Pair(pair) => format!("r{}={}", pair.0.pts.ticks(), pair.1.pts.ticks()),
                Matched::OnlyReference(frame) => format!("r{}", frame.pts.ticks()),
                Matched::OnlyDistorted(frame) => format!("d{}", frame.pts.ticks()),
            });
        }
        words.join(" ")
    }

    fn by_time(reference: &[i64], distorted: &[i64]) -> String {
        walk(reference, distorted, MatchBy::Time)
    }

    #[test]
    fn equal_and_nearly_equal_times_match() {
        assert_eq!(by_time(&[0, 40, 80], &[0, 40, 80]), "r0=0 r40=40 r80=80");
        assert_eq!(by_time(&[0, 40, 80], &[-15, 59, 95]), "r0=-15 r40=59 r80=95");
    }

    #[test]
    fn half_and_double_rates_leave_frames_alone() {
        assert_eq!(by_time(&[0, 40, 80, 120], &[0, 80]), "r0=0 r40 r80=80 r120");
        assert_eq!(by_time(&[0, 80], &[0, 40, 80, 120]), "r0=0 d40 r80=80 d120");
    }

    #[test]
    fn a_lost_or_added_frame_does_not_shift_the_rest() {
        assert_eq!(by_time(&[0, 40, 80, 120], &[0, 80, 120]), "r0=0 r40 r80=80 r120=120");
        assert_eq!(by_time(&[0, 40, 80], &[0, 25, 42, 80]), "r0=0 d25 r40=42 r80=80");
        assert_eq!(by_time(&[0, 40, 80], &[200, 240]), "r0 r40 r80 d200 d240");
        assert_eq!(by_time(&[200, 240], &[0, 40]), "d0 d40 r200 r240");
    }

    #[test]
    fn uneven_times_reach_half_way_to_their_neighbours() {
        // 40 reaches to 20 and to 520; 1000 takes over from there.
        assert_eq!(by_time(&[0, 40, 1000], &[0, 519, 521]), "r0=0 r40=519 r1000=521");
        assert_eq!(by_time(&[0, 40, 1000], &[0, 45, 519, 990]), "r0=0 r40=45 d519 r1000=990");
    }

    #[test]
    fn streams_of_one_frame_match_unless_the_duration_forbids_it() {
        assert_eq!(by_time(&[0], &[500]), "r0=500");
        let one = |frame: Frame| std::iter::once(Ok(frame));
        let mut matcher = Matcher::new(one(frame(0, Some(40))), one(frame(21, None)), MatchBy::Time);
        assert!(matches!(matcher.next_match(), Ok(Some(Matched::OnlyReference(_)))));
        assert!(matches!(matcher.next_match(), Ok(Some(Matched::OnlyDistorted(_)))));
        assert!(matches!(matcher.next_match(), Ok(None)));
    }

    #[test]
    fn by_index_times_do_not_matter() {
        assert_eq!(walk(&[0, 40, 80], &[900, 5], MatchBy::Index), "r0=900 r40=5 r80");
        assert_eq!(walk(&[], &[1], MatchBy::Index), "d1");
        assert_eq!(walk(&[], &[], MatchBy::Time), "");
    }

    #[test]
    fn times_that_stand_still_or_run_backwards_end() {
        assert_eq!(by_time(&[0, 0, 0], &[0, 0]), "r0=0 r0=0 r0");
        let hostile = [i64::MAX, i64::MIN, 0, -5, i64::MAX];
        let words = by_time(&hostile, &[i64::MIN, i64::MAX, 3]);
        assert!(words.matches('r').count() == 5, "{words}");
    }

    #[test]
    fn errors_of_a_stream_come_out() {
        let broken = vec![Ok(frame(0, None)), Err(Error::corrupt("x"))];
        let mut matcher = Matcher::new(broken.into_iter(), std::iter::empty(), MatchBy::Time);
        assert!(matcher.next_match().is_err());
    }
}
