//! The frames inside an encoder that may die: kept until their packets are out, so that another encoder can be given them.
//!
//! As in [`super::books`], packets leave in closed groups (when no frame with a smaller number than the group's largest is
//! missing), so that what is left is always everything from one frame on. Without B frames each packet is a group, and
//! nothing waits here.

use std::collections::VecDeque;

use crate::backend::EncodeEvent;
use crate::error::Error;
use crate::frame::{Frame, Surface};

/// Bytes of frames that are kept. Encoders that look far ahead have more than this inside only at sizes where they need
/// several times as much themselves.
const MOST_BYTES: usize = 1 << 30;

struct Held {
    /// Without a picture when that was let go of, for there was no room for it.
    frame: Frame,
    answered: bool,
}

/// The frames without an outcome that is out.
pub(super) struct Inside {
    /// Number of the first.
    first: u64,
    held: VecDeque<Held>,
    /// Outcomes since the last closed group, in coding order.
    group: Vec<EncodeEvent>,
    /// How many of the first have to be answered for the group to be closed.
    reach: usize,
    bytes: usize,
    room: usize,
    /// Let go of, counted from the first.
    let_go: usize,
}

impl Inside {
    pub(super) fn new() -> Self {
        Self {
            first: 0,
            held: VecDeque::new(),
            group: Vec::new(),
            reach: 0,
            bytes: 0,
            room: MOST_BYTES,
            let_go: 0,
        }
    }

    /// Keeps so many bytes at most.
    #[cfg(test)]
    pub(super) fn keep(&mut self, room: usize) {
        self.room = room;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Number of the first frame without an outcome, or of the next to come.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn enter(&mut self, serial: u64, frame: Frame) {
        if self.held.is_empty() {
            self.first = serial;
        }
        self.bytes += bytes(&frame);
        self.held.push_back(Held { frame, answered: false });
        // The oldest go first: whoever is given frames again needs all of them, or has the rest of them decoded again from
        // the first on anyway.
        while self.bytes > self.room
            && let Some(oldest) = self.held.get_mut(self.let_go)
        {
            self.bytes -= bytes(&oldest.frame);
            oldest.frame.surface = Surface::None;
            self.let_go += 1;
        }
    }

    fn at(&self, serial: u64) -> Option<usize> {
        let at = usize::try_from(serial.checked_sub(self.first)?).ok()?;
        (at < self.held.len()).then_some(at)
    }

    /// A frame that is inside; without a picture where that was let go of.
    pub(super) fn frame(&self, serial: u64) -> Option<&Frame> {
        self.held.get(self.at(serial)?).map(|held| &held.frame)
    }

    /// The numbers inside.
    pub(super) fn serials(&self) -> std::ops::Range<u64> {
        self.first..self.first + self.held.len() as u64
    }

    /// The frame as it is from now on, brought to other memory. Not kept where there is no room for it, as one that was let go
    /// of: whoever needs it once more has it fetched once more.
    pub(super) fn replace(&mut self, serial: u64, frame: Frame) {
        let Some(at) = self.at(serial).filter(|at| *at >= self.let_go) else { return };
        let Some(held) = self.held.get_mut(at) else { return };
        let kept = self.bytes - bytes(&held.frame) + bytes(&frame);
        if kept <= self.room {
            self.bytes = kept;
            held.frame = frame;
        }
    }

    /// Takes the outcome of a frame, and gives those that can leave, in coding order. One of a frame that is not inside, or
    /// that has one already, is passed on: the session counts it as the defect that it is.
    pub(super) fn answer(&mut self, serial: u64, event: EncodeEvent) -> Vec<EncodeEvent> {
        let Some(at) = self.at(serial) else { return vec![event] };
        match self.held.get_mut(at) {
            Some(held) if !held.answered => held.answered = true,
            _ => return vec![event],
        }
        self.group.push(event);
        self.reach = self.reach.max(at + 1);
        // Each of the group answers one of the first `reach`.
        if self.group.len() < self.reach {
            return Vec::new();
        }
        for held in self.held.drain(..self.reach) {
            self.bytes -= bytes(&held.frame);
        }
        self.first += self.reach as u64;
        self.let_go = self.let_go.saturating_sub(self.reach);
        self.reach = 0;
        std::mem::take(&mut self.group)
    }

    /// Forgets outcomes that are not out: their frames are given to another encoder.
    pub(super) fn forget(&mut self) {
        self.group.clear();
        self.reach = 0;
        for held in &mut self.held {
            held.answered = false;
        }
    }

    /// The frames that a flush has left without an answer, as failed ones.
    pub(super) fn unanswered(&mut self) -> Vec<EncodeEvent> {
        let missing: Vec<_> = self
            .serials()
            .zip(&self.held)
            .filter(|(_, held)| !held.answered)
            .map(|(serial, _)| serial)
            .collect();
        let failed = |serial| EncodeEvent::Failed { serial, error: no_answer() };
        missing.into_iter().flat_map(|serial| self.answer(serial, failed(serial))).collect()
    }
}

fn no_answer() -> Error {
    Error::corrupt("the encoder gave no answer for a frame")
}

fn bytes(frame: &Frame) -> usize {
    if matches!(frame.surface, Surface::None) {
        return 0;
    }
    frame.format.frame_bytes(frame.dimensions)
}

/// Number of the frame that an event is about.
pub(super) fn serial_of(event: &EncodeEvent) -> Option<u64> {
    match event {
        EncodeEvent::Unit(unit) => Some(unit.serial),
        EncodeEvent::Dropped { serial, .. } | EncodeEvent::Failed { serial, .. } => Some(*serial),
        EncodeEvent::Waiting => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::backend::EncodedUnit;
    use crate::dimensions::Dimensions;
    use crate::frame::HostSurface;
    use crate::pixel::PixelFormat;
    use crate::time::{TimeBase, Timestamp};

    fn frame(number: i64) -> Frame {
        let size = Dimensions::new(2, 2).unwrap();
        let surface = HostSurface::from_packed(PixelFormat::I420, size, vec![0; 6]).unwrap();
        Frame::host(Timestamp::new(number, TimeBase::new(1, 25).unwrap()), surface)
    }

    fn inside(frames: u64) -> Inside {
        let mut inside = Inside::new();
        (0..frames).for_each(|serial| inside.enter(serial, frame(serial as i64)));
        inside
    }

    fn coded(serial: u64) -> EncodeEvent {
        EncodeEvent::Unit(EncodedUnit {
            serial,
            data: Bytes::from_static(b"x"),
            keyframe: false,
            picture_type: None,
        })
    }

    fn serials(events: &[EncodeEvent]) -> Vec<u64> {
        events.iter().filter_map(serial_of).collect()
    }

    #[test]
    fn packets_without_reordering_leave_at_once() {
        let mut inside = inside(3);
        for serial in 0..3 {
            assert_eq!(serials(&inside.answer(serial, coded(serial))), [serial]);
        }
        assert!(inside.is_empty() && inside.first() == 3 && inside.bytes == 0);
    }

    #[test]
    fn a_group_leaves_as_a_whole_and_what_is_left_can_be_given_again() {
        let mut inside = inside(6);
        assert_eq!(serials(&inside.answer(0, coded(0))), [0]);
        assert!(inside.answer(3, coded(3)).is_empty());
        assert!(inside.answer(1, coded(1)).is_empty());
        assert_eq!(serials(&inside.answer(2, coded(2))), [3, 1, 2]);
        assert!(inside.answer(5, coded(5)).is_empty());
        inside.forget();
        assert_eq!(inside.serials(), 4..6);
        assert_eq!(serials(&inside.answer(4, coded(4))), [4]);
        assert_eq!(serials(&inside.answer(5, coded(5))), [5]);
    }

    #[test]
    fn answers_for_nobody_are_passed_on_to_whoever_counts_them() {
        let mut inside = inside(2);
        assert!(inside.answer(1, coded(1)).is_empty());
        assert_eq!(serials(&inside.answer(1, coded(1))), [1]);
        assert_eq!(serials(&inside.answer(7, coded(7))), [7]);
        assert_eq!(serials(&inside.answer(0, coded(0))), [1, 0]);
    }

    #[test]
    fn frames_that_a_flush_leaves_have_failed() {
        let mut inside = inside(3);
        assert!(inside.answer(1, coded(1)).is_empty());
        let rest = inside.unanswered();
        assert_eq!(serials(&rest), [1, 0, 2]);
        assert!(inside.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut inside = Inside { room: 15, ..Inside::new() };
        (0..4).for_each(|serial| inside.enter(serial, frame(serial as i64)));
        let kept: Vec<_> = inside.serials().map(|s| inside.frame(s).unwrap().as_host().is_some()).collect();
        assert_eq!(kept, [false, false, true, true]);
        assert_eq!(inside.bytes, 12);
        inside.answer(0, coded(0));
        // Neither one that was let go of comes back, nor a larger one for which there is no room.
        inside.replace(1, frame(1));
        assert!(inside.frame(1).unwrap().as_host().is_none());
        let size = Dimensions::new(4, 4).unwrap();
        let surface = HostSurface::from_packed(PixelFormat::I420, size, vec![0; 24]).unwrap();
        let time = frame(2).pts;
        inside.replace(2, Frame::host(time, surface));
        assert_eq!((inside.bytes, inside.let_go, inside.len()), (12, 1, 3));
        inside.replace(3, frame(9));
        assert_eq!(inside.frame(3).unwrap().pts, frame(9).pts);
    }
}
