//! The part of an input that is wanted, by presentation time.

use std::time::Duration;

use super::source::SourceInfo;
use crate::frame::Frame;
use crate::time::{TimeBase, Timestamp};

/// The part of the presentation that is wanted.
pub(super) struct Window {
    pub(super) start: Option<Timestamp>,
    end: Option<Timestamp>,
}

/// Where a frame lies.
pub(super) enum Place {
    Before,
    Inside { pts: Timestamp, duration: Option<u64> },
    Behind,
}

impl Window {
    pub(super) fn new(start: Option<Duration>, duration: Option<Duration>) -> Self {
        let at =
            |d: Duration| Timestamp::new(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX), TimeBase::NANOS);
        let end = duration.map(|d| at(start.unwrap_or_default().saturating_add(d)));
        Self { start: start.map(at), end }
    }

    pub(super) fn place(&self, frame: &Frame) -> Place {
        if self.end.is_some_and(|end| frame.pts >= end) {
            return Place::Behind;
        }
        let shift = self.start.map_or(0, |start| start.rescale(frame.pts.base()).ticks());
        if self.start.is_some_and(|start| frame.pts < start) {
            return Place::Before;
        }
        // The last frame is shown up to the end of the wanted part, not beyond.
        let left =
            self.end.map(|end| end.rescale(frame.pts.base()).ticks().saturating_sub(frame.pts.ticks()));
        let left = left.map(|left| u64::try_from(left).unwrap_or(0).max(1));
        let duration = frame.duration.map(|d| left.map_or(d, |left| d.min(left)));
        Place::Inside { pts: frame.pts.offset(shift.saturating_neg()), duration }
    }

    /// The time in the file of a frame that is given this time.
    pub(super) fn unshifted(&self, pts: Timestamp) -> Timestamp {
        pts.offset(self.start.map_or(0, |start| start.rescale(pts.base()).ticks()))
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
