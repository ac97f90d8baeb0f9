//! Times of pictures as a file can state them: none is negative, and each is later than the previous one.

use std::collections::VecDeque;

use crate::time::{TimeBase, Timestamp};

/// Runs that are kept: about 2 MiB.
const MOST_RUNS: usize = 1 << 16;
/// Most ticks between two pictures: sample durations of MP4 that every reader takes.
const LONGEST: i64 = i32::MAX as i64;
/// Most ticks between decoding and presentation: readers that are in use (ffmpeg) ignore all composition offsets of an MP4 file
/// when one is larger.
const FARTHEST: i64 = 1 << 28;
/// Most B frames between two others.
const MOST_B_FRAMES: usize = 16;
/// Latest time, in nanoseconds: 146 years, half of the range of 64 bits. The rest is room for a recording that begins there.
const LATEST_NANOS: i64 = 1 << 62;

/// Differences between the times of a recording and those that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeCorrections {
    /// Pictures whose time is not the one that was given.
    pub pictures: u64,
    /// Runs of pictures that were moved by the same amount, from the first picture on. The last 65,536 are kept;
    /// [`EncodedChunk::given`](super::EncodedChunk::given) has the time of each picture in any case.
    pub runs: VecDeque<TimeRun>,
    /// Runs before those.
    pub runs_left_out: u64,
}

/// Pictures whose times were all moved by the same amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeRun {
    /// Number of the first of them, from 0.
    pub first: u64,
    /// The time that was given for it.
    pub given: Timestamp,
    /// The time that it has.
    pub written: Timestamp,
}

impl TimeCorrections {
    /// The time that was given for the picture that has this time. `None`: it belongs to a run that was left out, or to no picture.
    pub fn given(&self, written: Timestamp) -> Option<Timestamp> {
        let behind = self.runs.partition_point(|run| run.written <= written);
        let run = self.runs.get(behind.checked_sub(1)?)?;
        if run.written == written {
            return Some(run.given);
        }
        let base = run.written.base();
        let since = i128::from(written.rescale(base).ticks()) - i128::from(run.written.ticks());
        let given = i128::from(run.given.rescale(base).ticks()) + since;
        i64::try_from(given).ok().map(|ticks| Timestamp::new(ticks, base))
    }
}

/// Gives pictures their times.
///
/// A time that can follow the previous one is kept. Any other is moved by the same amount as the previous time, so that a clock
/// that has jumped keeps its intervals. Where that cannot follow either, the time is one tick behind the previous one.
pub(super) struct RisingTimes {
    limits: Limits,
    line: Option<Line>,
    corrections: TimeCorrections,
    /// Pictures so far.
    count: u64,
}

/// Requirements of containers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Pictures by which decoding may run ahead.
    pub(super) reorder: usize,
    /// Length of a picture by the nominal rate.
    pub(super) frame: TimeBase,
    /// Whether pauses are kept that MP4 cannot state.
    pub(super) any_pause: bool,
}

impl Limits {
    /// Pictures that may lie between decoding and presentation of one.
    const fn depth(&self) -> usize {
        if self.reorder == 0 { 1 } else { self.reorder + MOST_B_FRAMES }
    }
}

/// The times so far, in ticks of `base`.
struct Line {
    base: TimeBase,
    latest: i64,
    /// Most ticks from the first of `recent` to the next time.
    longest: i64,
    /// Times of the last pictures, up to the number that may lie between decoding and presentation of one.
    recent: VecDeque<i64>,
    last: i64,
    /// Ticks by which the last time was moved.
    moved: i128,
    /// The last time that was given was no whole tick.
    uneven: bool,
}

impl RisingTimes {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, line: None, corrections: TimeCorrections::default(), count: 0 }
    }

    /// The time that the next picture gets.
    pub(super) fn place(&mut self, given: Timestamp) -> Timestamp {
        let depth = self.limits.depth();
        let (base, line) = match &mut self.line {
            Some(line) => (line.base, Some(line)),
            None => (given.base(), None),
        };
        let exact = given.rescale(base);
        let uneven = exact != given;
        let ticks = i128::from(exact.ticks());
        let (written, begins) = if let Some(line) = line {
            let written = line.next(ticks);
            let moved = i128::from(written) - ticks;
            let begins = moved != line.moved || uneven || line.uneven;
            (line.moved, line.uneven) = (moved, uneven);
            (written, begins)
        } else {
            let mut line = Line::new(base, &self.limits);
            line.last = if (0..=i128::from(line.latest)).contains(&ticks) { exact.ticks() } else { 0 };
            line.moved = i128::from(line.last) - ticks;
            (self.line.insert(line).last, true)
        };
        if let Some(line) = &mut self.line {
            line.last = written;
            line.recent.push_back(written);
            if line.recent.len() > depth {
                line.recent.pop_front();
            }
        }
        let written = Timestamp::new(written, base);
        if begins {
            self.begin_run(TimeRun { first: self.count, given, written });
        }
        self.count += 1;
        self.corrections.pictures += u64::from(written != given);
        written
    }

    fn begin_run(&mut self, run: TimeRun) {
        if self.corrections.runs.len() >= MOST_RUNS {
            self.corrections.runs.pop_front();
            self.corrections.runs_left_out += 1;
        }
        self.corrections.runs.push_back(run);
    }

    pub(super) const fn corrections(&self) -> &TimeCorrections {
        &self.corrections
    }
}

impl Line {
    fn new(base: TimeBase, limits: &Limits) -> Self {
        let tick = base.seconds_per_tick();
        let in_time = Timestamp::new(LATEST_NANOS, TimeBase::NANOS).rescale(base).ticks();
        let frames = i64::try_from(limits.reorder + 1).unwrap_or(i64::MAX);
        let longest = match limits.reorder {
            _ if limits.any_pause => i64::MAX,
            0 => LONGEST / i64::from(tick.num()),
            // Decoding begins whole nominal frames before the first picture.
            _ => {
                let most = FARTHEST / i64::from(tick.num());
                let ahead = Timestamp::new(frames, limits.frame).rescale(base).ticks();
                most.saturating_sub(ahead).max(most / 2)
            }
        };
        Self {
            base,
            latest: in_time.min(LATEST_NANOS / i64::from(tick.num())),
            longest,
            recent: VecDeque::new(),
            last: 0,
            moved: 0,
            uneven: false,
        }
    }

    /// The next time, for a picture of that many ticks.
    fn next(&self, ticks: i128) -> i64 {
        let oldest = self.recent.front().copied().unwrap_or(self.last);
        let most = oldest.saturating_add(self.longest).min(self.latest);
        let follows = |ticks: i128| i64::try_from(ticks).ok().filter(|t| *t > self.last && *t <= most);
        follows(ticks).or_else(|| follows(ticks + self.moved)).unwrap_or(self.last.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Rational;

    fn base(num: u32, den: u32) -> TimeBase {
        TimeBase::new(num, den).unwrap()
    }

    fn rising(reorder: usize, any_pause: bool) -> RisingTimes {
        let frame = TimeBase::from_frame_rate(Rational::new(30, 1).unwrap());
        RisingTimes::new(Limits { reorder, frame, any_pause })
    }

    fn run(given: &[i64]) -> (Vec<i64>, RisingTimes) {
        let mut times = rising(0, false);
        let place = |ticks: &i64| times.place(Timestamp::new(*ticks, base(1, 1_000_000))).ticks();
        let written = given.iter().map(place).collect();
        (written, times)
    }

    /// SplitMix64.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn good_times_are_kept() {
        let given = [1_700_000_000_000_000, 1_700_000_000_033_333, 1_700_000_900_000_000];
        let (written, times) = run(&given);
        assert_eq!(written, given);
        assert_eq!((times.corrections().pictures, times.corrections().runs.len()), (0, 1));
    }

    #[test]
    fn a_clock_that_was_set_keeps_its_intervals() {
        let (written, times) = run(&[1_000_000, 1_033_000, 500_000, 533_000, 566_000]);
        assert_eq!(written, [1_000_000, 1_033_000, 1_033_001, 1_066_001, 1_099_001]);
        assert_eq!((times.corrections().pictures, times.corrections().runs.len()), (3, 2));
        // Decades ahead, and back.
        let (written, times) = run(&[0, 33_000, 1 << 60, (1 << 60) + 33_000, 99_000]);
        assert_eq!(written, [0, 33_000, 33_001, 66_001, 99_000]);
        assert_eq!((times.corrections().pictures, times.corrections().runs.len()), (2, 3));
        // Equal times, and one out of line.
        assert_eq!(run(&[5, 5, 5, 40, 30, 80]).0, [5, 6, 7, 40, 41, 80]);
        // A counter of 32 bits.
        assert_eq!(run(&[4_294_967_000, 4_294_967_200, 100, 300]).0[2..], [4_294_967_201, 4_294_967_401]);
        assert_eq!(run(&[-500, -300, 100, 900]).0, [0, 200, 600, 900]);
        assert_eq!(run(&[i64::MIN, i64::MAX, i64::MIN, 7]).0, [0, 1, 2, 7]);
    }

    #[test]
    fn pauses_that_mp4_cannot_state_are_closed_where_that_is_not_refused() {
        let nanos = base(1, 1_000_000_000);
        let given = [0, 33_000_000, 3_000_000_000, 3_033_000_000];
        for (any_pause, wanted) in [(false, [0, 33_000_000, 33_000_001, 66_000_001]), (true, given)] {
            let mut times = rising(0, any_pause);
            assert_eq!(given.map(|ticks| times.place(Timestamp::new(ticks, nanos)).ticks()), wanted);
        }
    }

    #[test]
    fn pictures_in_another_unit_keep_the_time_that_was_given() {
        let mut times = rising(2, false);
        let given = [(0, 25), (3, 90), (4, 50), (5, 25)].map(|(t, den)| Timestamp::new(t, base(1, den)));
        let written = given.map(|time| times.place(time));
        assert_eq!(written.map(Timestamp::ticks), [0, 1, 2, 5]);
        for (written, given) in written.iter().zip(given) {
            assert_eq!(times.corrections().given(*written), Some(given));
        }
        assert_eq!(times.corrections().pictures, 1);
    }

    #[test]
    fn whatever_a_clock_does_times_rise_and_those_given_can_be_had_again() {
        for seed in 0..400 {
            let mut state = seed;
            let mut below = |bound: u64| random(&mut state) % bound;
            let units =
                [(1, 1_000_000), (1, 1_000_000_000), (1, 90_000), (1, 25), (u32::MAX, 1), (1, u32::MAX)];
            let (num, den) = units[below(6) as usize];
            let reorder = below(4) as usize;
            let mut times = rising(reorder, false);
            let mut clock = [0, -9, 1_700_000_000_000_000, i64::MIN, i64::MAX, 1 << 33][below(6) as usize];
            let (mut given, mut written) = (Vec::new(), Vec::new());
            for _ in 0..120 {
                clock = match below(14) {
                    0 => clock,
                    1 => clock.wrapping_sub(below(1 << 20) as i64),
                    2 => clock.wrapping_add(below(1 << 45) as i64),
                    3 => clock.wrapping_sub(below(1 << 62) as i64),
                    4 => [i64::MIN, i64::MAX, 0, -1, 1 << 32, 1 << 33][below(6) as usize],
                    5 => clock & 0xffff_ffff,
                    6 => clock & 0x1_ffff_ffff,
                    _ => clock.wrapping_add(below(50_000) as i64),
                };
                given.push(Timestamp::new(clock, base(num, den)));
                written.push(times.place(Timestamp::new(clock, base(num, den))));
            }
            let ticks: Vec<_> = written.iter().map(|time| time.ticks()).collect();
            assert!(ticks.is_sorted_by(|a, b| a < b) && ticks[0] >= 0, "{seed}: {ticks:?}");
            let most = if reorder == 0 { LONGEST } else { FARTHEST };
            for span in ticks.windows(times.limits.depth() + 1).filter(|_| num < 1000) {
                assert!(span[span.len() - 1] - span[0] <= most, "{seed}: {span:?}");
            }
            let corrections = times.corrections();
            let again: Vec<_> =
                written.iter().map(|time| corrections.given(*time).unwrap().ticks()).collect();
            assert!(
                again.iter().eq(given.iter().map(|time| time.ticks()).collect::<Vec<_>>().iter()),
                "{seed}"
            );
            let differ = written.iter().zip(&given).filter(|(a, b)| a != b).count();
            assert_eq!(corrections.pictures, differ as u64, "{seed}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut times = rising(2, false);
        for number in 0..MOST_RUNS as i64 + 10 {
            times.place(Timestamp::new(-number * number, base(1, 1000)));
        }
        let corrections = times.corrections();
        assert_eq!((corrections.runs.len(), corrections.runs_left_out), (MOST_RUNS, 10));
        let last = corrections.runs.back().unwrap();
        assert_eq!(corrections.given(last.written), Some(last.given));
        assert_eq!(corrections.given(Timestamp::new(3, base(1, 1000))), None);
    }
}
