//! The part of an input that is wanted, by presentation time.

use std::time::Duration;

use super::source::{SourceInfo, SourceOptions};
use crate::frame::Frame;
use crate::time::{TimeBase, Timestamp};

/// The part of the presentation that is wanted.
pub(super) struct Window {
    pub(super) start: Option<Timestamp>,
    end: Option<Timestamp>,
    /// Frames keep their times in the file.
    original_times: bool,
}

/// Where a frame lies.
pub(super) enum Place {
    Before,
    Inside { pts: Timestamp, duration: Option<u64> },
    Behind,
}

impl Window {
    pub(super) fn new(options: &SourceOptions) -> Self {
        let SourceOptions { start, duration, original_times, .. } = *options;
        let at =
            |d: Duration| Timestamp::new(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX), TimeBase::NANOS);
        let end = duration.map(|d| at(start.unwrap_or_default().saturating_add(d)));
        Self { start: start.map(at), end, original_times }
    }

    pub(super) fn place(&self, frame: &Frame) -> Place {
        if self.end.is_some_and(|end| !frame.pts.is_before(end)) {
            return Place::Behind;
        }
        if self.start.is_some_and(|start| frame.pts.is_before(start)) {
            return Place::Before;
        }
        // The last frame is shown up to the end of the wanted part, not beyond.
        let left =
            self.end.map(|end| end.rescale(frame.pts.base()).ticks().saturating_sub(frame.pts.ticks()));
        let left = left.map(|left| u64::try_from(left).unwrap_or(0).max(1));
        let duration = frame.duration.map(|d| left.map_or(d, |left| d.min(left)));
        Place::Inside { pts: frame.pts.offset(self.shift(frame.pts.base()).saturating_neg()), duration }
    }

    /// What lies between a time in the file and the time that is given.
    fn shift(&self, base: TimeBase) -> i64 {
        let start = self.start.filter(|_| !self.original_times);
        start.map_or(0, |start| start.rescale(base).ticks())
    }

    /// The time in the file of a frame that is given this time.
    pub(super) fn unshifted(&self, pts: Timestamp) -> Timestamp {
        pts.offset(self.shift(pts.base()))
    }

    pub(super) fn narrow(&self, info: &mut SourceInfo) {
        let start = self.start.map_or(Duration::ZERO, Timestamp::as_duration);
        let end = self.end.map(Timestamp::as_duration);
        let whole = info.duration;
        let wanted = match (whole, end) {
            (Some(whole), Some(end)) => Some(whole.min(end).saturating_sub(start)),
            (Some(whole), None) => Some(whole.saturating_sub(start)),
            (None, Some(end)) => Some(end.saturating_sub(start)),
            (None, None) => None,
        };
        if let (Some(frames), Some(whole), Some(wanted)) = (info.frames, whole, wanted)
            && !whole.is_zero()
        {
            info.frames = Some((frames as f64 * wanted.as_secs_f64() / whole.as_secs_f64()).round() as u64);
        }
        info.duration = wanted;
    }
}
