//! Edit lists (ISO/IEC 14496-12 clause 8.6.6): from the time line of the media to that of the presentation.
//!
//! An edit says which stretch of the media is presented next and how fast; an empty edit leaves a gap. Stretches may
//! follow each other in any order and be presented several times. Where nothing is presented, because of an empty edit or
//! because the media ends before its edit, the picture before is held: its duration grows. Sound is silent there. At rate
//! 0 the picture at the start of the edit stands still.

use super::boxes::{Mp4Box, be_u16, be_u32, be_u64};
use super::steps::step;
use super::tables::Entry;
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::time::{TimeBase, Timestamp};

/// Rates are in 16.16 fixed point.
pub(super) const NORMAL: u32 = 1 << 16;

/// Presentation ticks per second above which a track's ticks are not divided further so that a rate comes out exact.
const FINEST: u64 = 10_000_000;
/// Ticks per second that tell all pictures apart, where a rate cannot come out exact.
const FINE: u64 = 1_000_000;

/// A stretch of the media that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// First composition time presented.
    pub(super) start: i64,
    /// First composition time not presented any more; `i64::MAX` for "to the end".
    pub(super) end: i64,
    /// A point of the media and when it is presented, in ticks of the presentation.
    origin: (i64, i64),
    /// When something else begins, or the presentation ends; `i64::MAX` where the end is not known.
    until: i64,
    rate: u32,
    /// The last picture stays until then.
    holds: bool,
}

/// What of the pictures of a segment has to be known for their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Composition time of the picture on screen when the segment starts: the last at or before it. `i64::MIN` for
    /// none, or where that is not known.
    pub(super) on_screen: i64,
    /// That of the first picture behind the start; `i64::MAX` for none.
    pub(super) next: i64,
    /// That of the last picture before the end; `i64::MIN` for none, or where that is not known.
    pub(super) last: i64,
}

impl Extent {
    /// Nothing but the samples' own durations tells.
    pub(super) const UNKNOWN: Self = Self { on_screen: i64::MIN, next: i64::MAX, last: i64::MIN };
}

/// How the media of one track is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edits {
    /// Never empty; ascending on the presentation time line.
    segments: Vec<Segment>,
    /// Ticks of the presentation for each of the media.
    factor: u32,
    /// See [`Self::is_ordered`].
    ordered: bool,
}

/// Times of a sample on the presentation time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Presented {
    pub(super) pts: i64,
    pub(super) dts: i64,
    pub(super) duration: u64,
    pub(super) discard: bool,
}

/// One line of an `elst` box.
#[derive(Clone, Copy)]
struct Edit {
    duration: u64,
    media_time: i64,
    rate: u32,
}

/// The lines of an `elst` box, read in place.
struct List {
    table: bytes::Bytes,
    /// Bytes of a line: 64-bit fields in version 1.
    line: usize,
}

impl List {
    fn new(elst: &Mp4Box, limits: &Limits) -> Result<Self> {
        let line = match elst.version_flags()?.0 {
            0 => 12,
            1 => 20,
            version => return Err(elst.broken(&format!("has version {version}; 0 and 1 are known"))),
        };
        let table = elst.table(4, line)?;
        let count = (table.len() / line) as u64;
        if count > limits.edits {
            limits.check(Limit::Edits, count, format!("the edit list at offset {}", elst.offset))?;
        }
        Ok(Self { table, line })
    }

    fn len(&self) -> usize {
        self.table.len() / self.line
    }

    fn get(&self, index: usize) -> Option<Edit> {
        let line = self.table.get(index.checked_mul(self.line)?..)?;
        let (duration, media_time) = match self.line {
            12 => (be_u32(line, 0)?.into(), i64::from(be_u32(line, 4)? as i32)),
            _ => (be_u64(line, 0)?, be_u64(line, 8)? as i64),
        };
        let rate = self.line - 4;
        Some(Edit {
            duration,
            media_time,
            rate: u32::from(be_u16(line, rate)?) << 16 | u32::from(be_u16(line, rate + 2)?),
        })
    }

    fn iter(&self) -> impl Iterator<Item = Edit> {
        (0..self.len()).map_while(|index| self.get(index))
    }

    /// Into how many parts the ticks of a track are divided so that every rate gives whole ones.
    fn factor(&self, timescale: u32) -> u32 {
        let timescale = u64::from(timescale).max(1);
        let mut factor = 1_u64;
        for edit in self.iter().filter(|edit| edit.media_time >= 0 && ![0, NORMAL].contains(&edit.rate)) {
            let divisor = u64::from(edit.rate / gcd(edit.rate, NORMAL));
            factor = factor / gcd(factor, divisor) * divisor;
            if timescale.saturating_mul(factor) > FINEST {
                return u32::try_from(FINE.div_ceil(timescale)).unwrap_or(1);
            }
        }
        u32::try_from(factor).unwrap_or(1)
    }
}

fn gcd<T: Copy + PartialEq + Default + std::ops::Rem<Output = T>>(mut a: T, mut b: T) -> T {
    while b != T::default() {
        (a, b) = (b, a % b);
    }
    a
}

impl Edits {
    /// Everything is presented, from zero.
    pub(super) fn none() -> Self {
        Self::all_from(0)
    }

    fn all_from(delay: i64) -> Self {
        let (start, end, until) = (i64::MIN, i64::MAX, i64::MAX);
        let all = Segment { start, end, origin: (0, delay), until, rate: NORMAL, holds: false };
        Self { segments: vec![all], factor: 1, ordered: true }
    }

    /// Reads an `elst` box. `movie` is the time base of `mvhd`, `timescale` that of `mdhd`.
    pub(super) fn parse(elst: &Mp4Box, movie: TimeBase, timescale: u32, limits: &Limits) -> Result<Self> {
        let list = List::new(elst, limits)?;
        let factor = list.factor(timescale);
        let base = TimeBase::new(1, timescale.saturating_mul(factor))
            .ok_or_else(|| elst.broken("stands in a track without a timescale"))?;
        let to_presentation = |ticks: u64| {
            Timestamp::new(i64::try_from(ticks).unwrap_or(i64::MAX), movie).rescale(base).ticks()
        };
        let mut segments: Vec<Segment> = Vec::new();
        segments.try_reserve_exact(list.len()).map_err(|_| elst.no_memory())?;
        // Durations are added in ticks of the movie and rounded once.
        let mut elapsed = 0_u64;
        for (index, edit) in list.iter().enumerate() {
            let begin = to_presentation(elapsed);
            elapsed = elapsed.saturating_add(edit.duration);
            let until = to_presentation(elapsed);
            let Edit { duration, media_time: start, rate } = edit;
            if start < 0 {
                if start != -1 {
                    return Err(elst.broken(&format!("has media time {start} in entry {}", index + 1)));
                }
                if let Some(before) = segments.last_mut() {
                    (before.until, before.holds) = (until, true);
                }
                continue;
            }
            if rate > i32::MAX as u32 {
                return Err(Error::unsupported(format!(
                    "edit list at offset {}: entry {} plays backwards",
                    elst.offset,
                    index + 1
                )));
            }
            let length = until.saturating_sub(begin);
            let (end, until) = match (duration, rate) {
                // In fragmented files the duration is not known when the list is written.
                (0, 1..) if index + 1 == list.len() => (i64::MAX, i64::MAX),
                (0, _) => continue,
                (_, 0) => (start.saturating_add(1), until),
                _ => (start.saturating_add(rescaled(length, rate.into(), whole(factor))), until),
            };
            let origin = (start, begin);
            match segments.last_mut() {
                Some(before) if rate > 0 && before.continues(start, begin, rate, factor) => {
                    (before.end, before.until) = (end, until);
                }
                before => {
                    if let Some(before) = before {
                        before.holds = true;
                    }
                    segments.push(Segment { start, end, origin, until, rate, holds: rate == 0 });
                }
            }
        }
        if segments.is_empty() {
            // Only empty edits, or none: the list delays the track and hides nothing.
            return Ok(Self::all_from(to_presentation(elapsed)));
        }
        let ascending = |pair: &[Segment]| pair[0].end <= pair[1].start;
        let ordered = segments.len() == 1
            || segments.windows(2).all(ascending) && segments.iter().all(|s| s.rate == NORMAL);
        Ok(Self { segments, factor, ordered })
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Ticks of the presentation for each of the media.
    pub(super) fn factor(&self) -> u32 {
        self.factor
    }

    /// Whether the presentation follows the media: nothing twice, nothing out of order, nothing faster or slower.
    pub(super) fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// The segment that a composition time belongs to where the list is ordered: the one around it, else the next, else
    /// the last.
    pub(super) fn segment_for(&self, cts: i64) -> usize {
        let ended = |segment: &Segment| {
            step();
            segment.end <= cts
        };
        self.segments.partition_point(ended).min(self.segments.len() - 1)
    }

    /// The segment that is presented at `pts`: the last that begins by then, else the first.
    pub(super) fn segment_at(&self, pts: i64) -> usize {
        let begun = |segment: &Segment| {
            step();
            segment.begin() <= pts
        };
        self.segments.partition_point(begun).saturating_sub(1)
    }

    /// When the presentation ends; `None` where the list does not say.
    pub(super) fn presentation_end(&self) -> Option<i64> {
        self.segments.last().map(|segment| segment.until).filter(|until| *until != i64::MAX)
    }

    /// When `cts` is presented by segment `at`.
    pub(super) fn pts(&self, at: usize, cts: i64) -> i64 {
        self.segments.get(at).map_or(cts, |segment| segment.pts(cts, self.factor))
    }

    /// The composition time that segment `at` presents at `pts`.
    pub(super) fn cts(&self, at: usize, pts: i64) -> i64 {
        let Some(segment) = self.segments.get(at) else { return pts };
        let rate = if segment.rate == 0 { NORMAL } else { segment.rate };
        let ticks = pts.saturating_sub(segment.origin.1);
        segment.origin.0.saturating_add(rescaled(ticks, rate.into(), whole(self.factor)))
    }

    /// The presentation ends exactly where the last picture begins, which has no duration: then that one is presented for
    /// `duration` all the same. `slack` is what rounding to the ticks of the movie may have cost.
    pub(super) fn show_last(&mut self, latest: i64, duration: u32, slack: i64) {
        let factor = self.factor;
        let Some(last) = self.segments.last_mut() else { return };
        let behind = latest.saturating_sub(last.end);
        if last.rate != NORMAL || latest <= last.start || behind < 0 || behind > slack {
            return;
        }
        last.end = latest.saturating_add(duration.into());
        last.until = last.until.max(last.pts(last.end, factor));
    }

    /// Moves a sample to where segment `at` presents it. `dts_shift` is how far decoding times are held back so that none
    /// is behind its composition time; sound that reaches into the presentation from before its start is
    /// not marked, since a part of it is heard.
    pub(super) fn present(
        &self,
        at: usize,
        extent: &Extent,
        entry: &Entry,
        dts_shift: i64,
        sound: bool,
    ) -> Presented {
        let Some(segment) = self.segments.get(at) else {
            return Presented { pts: entry.cts, dts: entry.dts, duration: 0, discard: true };
        };
        let factor = self.factor;
        let end = entry.cts.saturating_add(entry.duration.into());
        let begun = match extent.on_screen {
            // Where stretches repeat, what another one ends with is not heard again.
            _ if sound => (at == 0 || self.ordered) && end > segment.start,
            i64::MIN => end > segment.start,
            shown => entry.cts >= shown,
        };
        let early = entry.cts < segment.start && !begun;
        let shown = !early && entry.cts < segment.end;
        let dts = segment.pts(entry.dts.saturating_sub(dts_shift), factor);
        let whole = segment.scaled(entry.duration.into(), factor);
        if !shown {
            let duration = u64::try_from(whole).unwrap_or(0);
            return Presented { pts: segment.pts(entry.cts, factor), dts, duration, discard: true };
        }
        let from_before = entry.cts < segment.start && !sound;
        let pts = segment.pts(if from_before { segment.start } else { entry.cts }, factor);
        let own = if from_before {
            let next = if extent.next == i64::MAX { end } else { extent.next };
            segment.scaled(next.saturating_sub(segment.start), factor)
        } else {
            whole
        };
        let last = if extent.last == i64::MIN { end >= segment.end } else { entry.cts == extent.last };
        let duration = match segment.until {
            i64::MAX => own,
            until if last && segment.holds && !sound => until.saturating_sub(pts),
            until => own.min(until.saturating_sub(pts)),
        };
        Presented { pts, dts, duration: u64::try_from(duration).unwrap_or(0), discard: false }
    }
}

impl Segment {
    /// When it begins, in ticks of the presentation.
    pub(super) fn begin(&self) -> i64 {
        if self.start == i64::MIN { i64::MIN } else { self.origin.1 }
    }

    /// Ticks of the media in ticks of the presentation. What stands still is as long as at the normal rate.
    fn scaled(&self, ticks: i64, factor: u32) -> i64 {
        match self.rate {
            0 | NORMAL => ticks.saturating_mul(factor.into()),
            rate => rescaled(ticks, whole(factor), rate.into()),
        }
    }

    fn pts(&self, cts: i64, factor: u32) -> i64 {
        self.origin.1.saturating_add(self.scaled(cts.saturating_sub(self.origin.0), factor))
    }

    /// Whether an edit goes on with the media where this one ends, without a gap.
    fn continues(&self, start: i64, begin: i64, rate: u32, factor: u32) -> bool {
        let straight = self.end == start && self.rate == rate && !self.holds;
        straight && self.until == begin && self.pts(start, factor) == begin
    }
}

/// A number of ticks in 16.16 fixed point.
fn whole(factor: u32) -> u64 {
    u64::from(factor) << 16
}

/// `ticks * num / den`, halves away from zero.
fn rescaled(ticks: i64, num: u64, den: u64) -> i64 {
    let (num, den) = (i128::from(num), i128::from(den.max(1)));
    let product = i128::from(ticks) * num;
    let rounded = (product + product.signum() * (den / 2)) / den;
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
#[path = "edits_tests.rs"]
mod tests;
