//! The in-flight table: the frames of a stream whose outcomes are not out.
//!
//! Outcomes leave in closed groups: when no frame with a smaller number than the group's largest is missing. So whatever
//! happens, the frames in the table are exactly those from one frame on, and another encoder can go on there with an IDR:
//! nothing is lost, nothing comes twice. Without B frames each packet is a group, and nothing waits here.

use std::collections::VecDeque;
use std::ops::Range;

use crate::backend::EncodeEvent;
use crate::error::Error;
use crate::frame::{Frame, Surface};

/// Frames `F` from one number on, and the outcomes `O` of some of them.
pub(crate) struct InFlight<F, O> {
    /// Number of the first frame.
    first: u64,
    /// Each with whether it has its outcome.
    frames: VecDeque<(F, bool)>,
    /// Outcomes since the last closed group, in coding order.
    group: Vec<(u64, O)>,
    /// How many of the first frames must have theirs for the group to be closed.
    reach: usize,
}

impl<F, O> InFlight<F, O> {
    /// A table whose first frame has this number.
    pub(crate) const fn starting_at(first: u64) -> Self {
        Self { first, frames: VecDeque::new(), group: Vec::new(), reach: 0 }
    }

    /// The first frame without an outcome that is out, or the next to come.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next frame gets.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// The numbers in the table.
    pub(crate) fn serials(&self) -> Range<u64> {
        self.first..self.next()
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn enter(&mut self, frame: F) {
        self.frames.push_back((frame, false));
    }

    fn at(&self, serial: u64) -> Option<usize> {
        let at = usize::try_from(serial.checked_sub(self.first)?).ok()?;
        (at < self.frames.len()).then_some(at)
    }

    pub(crate) fn get(&self, serial: u64) -> Option<&F> {
        self.frames.get(self.at(serial)?).map(|(frame, _)| frame)
    }

    pub(crate) fn get_mut(&mut self, serial: u64) -> Option<&mut F> {
        let at = self.at(serial)?;
        self.frames.get_mut(at).map(|(frame, _)| frame)
    }

    /// Takes the outcome of a frame.
    ///
    /// # Errors
    /// The outcome, when the frame is not in the table or has one already: a defect of the encoder.
    pub(crate) fn settle(&mut self, serial: u64, outcome: O) -> Result<(), O> {
        let Some(at) = self.at(serial) else { return Err(outcome) };
        match self.frames.get_mut(at) {
            Some((_, settled)) if !*settled => *settled = true,
            _ => return Err(outcome),
        }
        self.group.push((serial, outcome));
        self.reach = self.reach.max(at + 1);
        Ok(())
    }

    /// Lets the outcomes at hand out, each with its frame and in coding order, if they are a closed group. How many frames left
    /// the table.
    pub(crate) fn release(&mut self, mut out: impl FnMut(u64, &F, O)) -> usize {
        // Each of the group is the outcome of one of the first `reach`.
        if self.group.len() < self.reach {
            return 0;
        }
        let (first, frames) = (self.first, &self.frames);
        for (serial, outcome) in self.group.drain(..) {
            if let Some((frame, _)) = frames.get((serial - first) as usize) {
                out(serial, frame, outcome);
            }
        }
        let released = std::mem::take(&mut self.reach);
        self.frames.drain(..released);
        self.first += released as u64;
        released
    }

    /// Whether no outcome waits for another.
    pub(crate) const fn is_closed(&self) -> bool {
        self.group.is_empty()
    }

    /// The frames before `serial` that have no outcome.
    pub(crate) fn missing(&self, before: u64) -> Vec<u64> {
        let each = self.serials().zip(&self.frames).take_while(|(serial, _)| *serial < before);
        each.filter(|(_, (_, settled))| !settled).map(|(serial, _)| serial).collect()
    }

    /// Forgets outcomes that are not out: their frames are given to another encoder.
    pub(crate) fn forget(&mut self) {
        self.group.clear();
        self.reach = 0;
        self.frames.iter_mut().for_each(|(_, settled)| *settled = false);
    }

    /// Nobody will give outcomes any more. How many frames had none that was out.
    pub(crate) fn end(&mut self) -> u64 {
        self.forget();
        let lost = self.frames.len() as u64;
        self.frames.clear();
        self.first += lost;
        lost
    }
}

/// Bytes of frames that are kept. Encoders that look far ahead have more than this inside only at sizes where they need
/// several times as much themselves.
const MOST_BYTES: usize = 1 << 30;

/// The frames inside an encoder that may die, of which so many bytes are kept that another encoder can be given them: the oldest
/// are without a picture where there was no room for it.
pub(super) struct KeptFrames {
    table: InFlight<Frame, EncodeEvent>,
    bytes: usize,
    room: usize,
    /// Let go of, counted from the first.
    let_go: usize,
}

impl KeptFrames {
    pub(super) const fn new() -> Self {
        Self { table: InFlight::starting_at(0), bytes: 0, room: MOST_BYTES, let_go: 0 }
    }

    /// Keeps so many bytes at most.
    #[cfg(test)]
    pub(super) fn keep(&mut self, room: usize) {
        self.room = room;
    }

    pub(super) const fn table(&self) -> &InFlight<Frame, EncodeEvent> {
        &self.table
    }

    /// The next frame. The session numbers all that it hands over, from 0.
    pub(super) fn enter(&mut self, frame: Frame) {
        self.bytes += bytes(&frame);
        self.table.enter(frame);
        // The oldest go first: whoever is given frames again needs all of them, or has the rest of them decoded again from
        // the first on anyway.
        while self.bytes > self.room
            && let Some(oldest) = self.table.get_mut(self.table.first() + self.let_go as u64)
        {
            self.bytes -= bytes(oldest);
            oldest.surface = Surface::None;
            self.let_go += 1;
        }
    }

    /// The frame as it is from now on, brought to other memory. Not kept where there is no room for it, as one that was let go
    /// of: whoever needs it once more has it decoded once more.
    pub(super) fn replace(&mut self, serial: u64, frame: Frame) {
        if serial < self.table.first() + self.let_go as u64 {
            return;
        }
        let Some(held) = self.table.get_mut(serial) else { return };
        let kept = self.bytes - bytes(held) + bytes(&frame);
        if kept <= self.room {
            self.bytes = kept;
            *held = frame;
        }
    }

    /// Takes the outcome of a frame, and gives those that can leave, in coding order. One of a frame that is not inside, or
    /// that has one already, is passed on: the session counts it as the defect that it is.
    pub(super) fn answer(&mut self, serial: u64, event: EncodeEvent) -> Vec<EncodeEvent> {
        if let Err(defect) = self.table.settle(serial, event) {
            return vec![defect];
        }
        let (mut out, kept) = (Vec::new(), &mut self.bytes);
        let released = self.table.release(|_, frame, event| {
            *kept -= bytes(frame);
            out.push(event);
        });
        self.let_go = self.let_go.saturating_sub(released);
        out
    }

    /// Forgets outcomes that are not out: their frames are given to another encoder.
    pub(super) fn forget(&mut self) {
        self.table.forget();
    }

    /// The frames that a flush has left without an answer, as failed ones.
    pub(super) fn unanswered(&mut self) -> Vec<EncodeEvent> {
        let missing = self.table.missing(u64::MAX);
        let no_answer = || Error::corrupt("the encoder gave no answer for a frame");
        let failed = |serial| EncodeEvent::Failed { serial, error: no_answer() };
        missing.into_iter().flat_map(|serial| self.answer(serial, failed(serial))).collect()
    }
}

fn bytes(frame: &Frame) -> usize {
    if matches!(frame.surface, Surface::None) {
        return 0;
    }
    frame.format.frame_bytes(frame.dimensions)
}

/// Number of the frame that an event is about.
pub(super) const fn serial_of(event: &EncodeEvent) -> Option<u64> {
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

    fn inside(frames: u64) -> KeptFrames {
        let mut inside = KeptFrames::new();
        (0..frames).for_each(|serial| inside.enter(frame(serial as i64)));
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
        assert!(inside.table.is_empty() && inside.table.first() == 3 && inside.bytes == 0);
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
        assert_eq!(inside.table.serials(), 4..6);
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
        assert!(inside.table.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut inside = KeptFrames { room: 15, ..KeptFrames::new() };
        (0..4).for_each(|serial| inside.enter(frame(serial as i64)));
        let kept: Vec<_> =
            inside.table.serials().map(|s| inside.table.get(s).unwrap().as_host().is_some()).collect();
        assert_eq!(kept, [false, false, true, true]);
        assert_eq!(inside.bytes, 12);
        inside.answer(0, coded(0));
        // Neither one that was let go of comes back, nor a larger one for which there is no room.
        inside.replace(1, frame(1));
        assert!(inside.table.get(1).unwrap().as_host().is_none());
        let size = Dimensions::new(4, 4).unwrap();
        let surface = HostSurface::from_packed(PixelFormat::I420, size, vec![0; 24]).unwrap();
        let time = frame(2).pts;
        inside.replace(2, Frame::host(time, surface));
        assert_eq!((inside.bytes, inside.let_go, inside.table.len()), (12, 1, 3));
        inside.replace(3, frame(9));
        assert_eq!(inside.table.get(3).unwrap().pts, frame(9).pts);
    }
}
