//! Times of 33 bits on one line: wraps are undone, and where the clock jumps time goes on where it stood.

use std::collections::BTreeMap;

/// After 26.5 hours of 90 kHz the count begins anew.
const WRAP: i64 = 1 << 33;
/// How far a stream may run back, and forward, before its clock is taken for another one: 0.1 and 10 seconds.
const BACK: i64 = 9_000;
const FORWARD: i64 = 900_000;
/// Longest step of a stream that is taken for the duration of what comes last.
const LONGEST_STEP: i64 = 90_000;
/// Jumps whose length is kept, so that times are the same when the input is read again.
const MOST_KNOWN: usize = 1 << 12;

/// The time line at a packet: whoever goes on there places it as before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClockState {
    /// The last time that was met, unwrapped.
    reference: Option<i64>,
    offset: i64,
    /// The offset before the last jump, for what comes late.
    before: Option<i64>,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    last: Option<i64>,
    step: i64,
}

/// The time line of a program.
#[derive(Debug, Default)]
pub(super) struct Clock {
    state: ClockState,
    streams: Vec<Progress>,
    /// The time at which reading went on elsewhere: streams that have not come since are not far from it.
    around: Option<i64>,
    /// The offset behind each jump, by the place of its packet in the input.
    known: BTreeMap<u64, i64>,
}

/// Where something lies on the time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) pts: i64,
    pub(super) dts: i64,
    /// By how much the clock has jumped here.
    pub(super) jump: Option<i64>,
}

impl Clock {
    pub(super) fn state(&self) -> ClockState {
        self.state
    }

    /// Goes on at another place of the input.
    pub(super) fn restore(&mut self, state: ClockState) {
        self.state = state;
        self.around = state.reference.map(|reference| reference.saturating_add(state.offset));
        self.streams.clear();
    }

    /// Places what has these counts in stream number `stream`; its packet lies at byte `at` of the input.
    pub(super) fn place(&mut self, stream: usize, at: u64, pts: u64, dts: Option<u64>) -> Placed {
        let count = dts.unwrap_or(pts) as i64;
        let unwrapped = self.state.reference.map_or(count, |near| near.saturating_add(signed(count - near)));
        self.state.reference = Some(unwrapped);
        if self.streams.len() <= stream {
            self.streams.resize(stream + 1, Progress::default());
        }
        let mut time = unwrapped.saturating_add(self.state.offset);
        let mut jump = None;
        let own = self.streams.get(stream).and_then(|progress| progress.last);
        // Of a stream that is met for the first time here it is known only that it is not far away.
        let back = if own.is_some() { BACK } else { FORWARD };
        if let Some(last) = own.or(self.around) {
            // A stream that pauses is as far as the others are.
            let latest = self.streams.iter().filter_map(|one| one.last).max().unwrap_or(last);
            let fits =
                |time: i64| time >= last.saturating_sub(back) && time <= latest.saturating_add(FORWARD);
            if !fits(time) {
                let late = self
                    .state
                    .before
                    .map(|offset| unwrapped.saturating_add(offset))
                    .filter(|time| fits(*time));
                time = late.unwrap_or_else(|| {
                    // Behind all that has come, so that no stream overlaps itself.
                    let ends = self.streams.iter().filter_map(|one| Some(one.last?.saturating_add(one.step)));
                    let next = ends.max().unwrap_or(last);
                    let offset = self.state.offset.saturating_add(next.saturating_sub(time));
                    let offset = self.known.get(&at).copied().unwrap_or(offset);
                    if self.known.len() < MOST_KNOWN {
                        self.known.insert(at, offset);
                    }
                    jump = Some(self.state.offset.saturating_sub(offset));
                    self.state.before = Some(self.state.offset);
                    self.state.offset = offset;
                    unwrapped.saturating_add(offset)
                });
            }
        }
        if let Some(progress) = self.streams.get_mut(stream) {
            let step = progress.last.map_or(0, |last| time.saturating_sub(last));
            if (1..=LONGEST_STEP).contains(&step) {
                progress.step = step;
            }
            progress.last = Some(time);
        }
        let shown = dts.map_or(0, |dts| signed(pts as i64 - dts as i64));
        Placed { pts: time.saturating_add(shown), dts: time, jump }
    }
}

/// The difference of two counts, which is less than half of what they can count to.
fn signed(difference: i64) -> i64 {
    (difference + WRAP / 2).rem_euclid(WRAP) - WRAP / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrap_is_no_jump_and_streams_stay_together() {
        let mut clock = Clock::default();
        let first = WRAP - 5000;
        let raw = |time: i64| time.rem_euclid(WRAP) as u64;
        for at in (0..20_000).step_by(1000) {
            let placed = clock.place(0, 0, raw(first + at + 2000), Some(raw(first + at)));
            assert_eq!(placed, Placed { pts: first + at + 2000, dts: first + at, jump: None });
            // Sound runs behind: it wraps later.
            let sound = clock.place(1, 0, raw(first + at - 3000), None);
            assert_eq!((sound.pts, sound.jump), (first + at - 3000, None));
        }
    }

    #[test]
    fn time_goes_on_where_it_stood_and_what_comes_late_is_not_taken_for_a_jump() {
        let mut clock = Clock::default();
        for at in 0..10 {
            clock.place(0, 0, 900_000 + at * 3600, None);
            clock.place(1, 0, 901_000 + at * 3600, None);
        }
        let placed = clock.place(0, 0, 3600, None);
        let end = 901_000 + 10 * 3600;
        assert_eq!(placed.dts, end);
        assert_eq!(placed.jump, Some(3600 - end));
        // The last of the sound from before, and the first of that behind.
        assert_eq!(clock.place(1, 0, 901_000 + 36_000, None).jump, None);
        let sound = clock.place(1, 0, 4600, None);
        assert_eq!((sound.dts, sound.jump), (end + 1000, None));
        // A gap is a gap.
        assert_eq!(clock.place(0, 0, 7200 + 500_000, None).jump, None);
        // A stream that pauses while the others go on, even for longer than the clock may leap, is where they are.
        for at in 0..60 {
            clock.place(0, 0, 507_200 + at * 90_000, None);
        }
        let sound = clock.place(1, 0, 507_200 + 59 * 90_000, None);
        assert_eq!((sound.dts, sound.jump), (clock.place(0, 0, 507_200 + 59 * 90_000, None).dts, None));
        // Seconds back are not.
        assert!(clock.place(0, 0, 7200, None).jump.is_some());
    }
}
