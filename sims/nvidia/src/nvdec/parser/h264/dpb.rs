//! The decoded picture buffer of H.264: reference marking (8.2.5) and output by bumping (C.4).

use std::collections::VecDeque;

use super::super::stage::{Shown, Surface};
use super::slice::{Mmco, Slice};

/// Both fields, as a mask of top (1) and bottom (2).
pub(super) const FRAME: u8 = 3;

/// A frame, a complementary field pair, or a field alone.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// None for a frame inferred from a gap in `frame_num`.
    pub(super) surface: Option<Surface>,
    pub(super) frame_num: u32,
    pub(super) long_index: u32,
    /// Fields decoded.
    pub(super) fields: u8,
    /// Fields used for short-term reference.
    pub(super) short: u8,
    /// Fields used for long-term reference.
    pub(super) long: u8,
    pub(super) poc: [i32; 2],
    /// What to show, until it is handed out for output.
    pub(super) output: Option<Shown>,
    /// A first field whose second may still come.
    pub(super) open: bool,
}

impl Frame {
    /// Picture order count of what has been decoded of it.
    pub(super) fn order(&self) -> i32 {
        match self.fields {
            1 => self.poc[0],
            2 => self.poc[1],
            _ => self.poc[0].min(self.poc[1]),
        }
    }

    fn needed(&self) -> bool {
        self.open || self.output.is_some() || self.short | self.long != 0
    }

    /// `FrameNumWrap` relative to the current `frame_num`.
    fn wrap(&self, current: u32, max: i64) -> i64 {
        let number = i64::from(self.frame_num);
        if number > i64::from(current) { number - max } else { number }
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Dpb {
    pub(super) frames: Vec<Frame>,
    /// Capacity in frames.
    pub(super) size: usize,
    /// Frames that may wait for output before the first of them must go.
    pub(super) reorder: usize,
    /// Pictures whose turn in output order has come.
    pub(super) ready: VecDeque<Shown>,
}

impl Dpb {
    /// Puts the waiting picture with the lowest order to the ready ones; false when none waits.
    pub(super) fn bump(&mut self) -> bool {
        let lowest = self.frames.iter_mut().filter(|frame| frame.output.is_some() && !frame.open);
        let Some(frame) = lowest.min_by_key(|frame| frame.order()) else { return false };
        self.ready.extend(frame.output.take());
        self.frames.retain(Frame::needed);
        true
    }

    /// Puts all waiting pictures to the ready ones.
    pub(super) fn bump_all(&mut self) {
        while self.bump() {}
    }

    /// Throws away everything, shown or not.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
    }

    fn waiting(&self) -> usize {
        self.frames.iter().filter(|frame| frame.output.is_some() && !frame.open).count()
    }

    /// Makes room for `frame` and stores it (C.4.5). A picture that is no reference competes with those that wait: it
    /// is stored first and the lowest goes, which may be itself. A first field waits for its second before that.
    pub(super) fn store(&mut self, frame: Frame) {
        self.frames.retain(Frame::needed);
        if frame.short | frame.long != 0 {
            self.make_room(self.size.max(1) - 1);
        }
        if frame.needed() {
            let open = frame.open;
            self.frames.push(frame);
            if !open {
                self.make_room(self.size.max(1));
            }
        }
    }

    /// The frame that was open is complete: it takes part in output from now on.
    pub(super) fn close(&mut self) {
        self.frames.retain(Frame::needed);
        self.make_room(self.size.max(1));
        self.settle();
    }

    /// Outputs until no more than `limit` frames are held.
    fn make_room(&mut self, limit: usize) {
        while self.frames.len() > limit {
            if !self.bump() {
                self.drop_oldest();
            }
        }
    }

    /// Outputs what the reordering depth no longer holds back.
    pub(super) fn settle(&mut self) {
        while self.waiting() > self.reorder && self.bump() {}
    }

    /// A damaged stream marked more references than fit: the one decoded first goes.
    fn drop_oldest(&mut self) {
        if let Some(index) = self.frames.iter().position(|frame| !frame.open) {
            self.frames.remove(index);
        } else {
            self.frames.clear();
        }
    }

    /// The sliding window (8.2.5.3): room for one more reference. `current` is left alone.
    pub(super) fn slide(&mut self, limit: u32, current: u32, max: i64) {
        let limit = limit.max(1) as usize;
        loop {
            let references =
                self.frames.iter().filter(|frame| !frame.open && frame.short | frame.long != 0).count();
            if references < limit {
                break;
            }
            let shorts = self.frames.iter_mut().filter(|frame| !frame.open && frame.short != 0);
            let Some(oldest) = shorts.min_by_key(|frame| frame.wrap(current, max)) else { break };
            oldest.short = 0;
        }
        self.frames.retain(Frame::needed);
    }

    /// Carries out the marking operations of `slice` on the stored frames; what concerns the current picture itself
    /// is left to the caller. `own` is the place of the frame whose second field is the current picture.
    pub(super) fn mark(&mut self, slice: &Slice, operations: &[Mmco], max: i64, own: Option<usize>) {
        for operation in operations {
            match *operation {
                Mmco::ForgetShort { difference } => {
                    if let Some((index, fields)) = self.find_short(slice, difference, max) {
                        self.frames[index].short &= !fields;
                    }
                }
                Mmco::ForgetLong { number } => {
                    if let Some((index, fields)) = self.find_long(slice, number) {
                        self.frames[index].long &= !fields;
                    }
                }
                Mmco::MakeLong { difference, index: long } => {
                    let Some((index, fields)) = self.find_short(slice, difference, max) else { continue };
                    self.free_long(long, Some(index));
                    let frame = &mut self.frames[index];
                    frame.short &= !fields;
                    frame.long |= fields;
                    frame.long_index = long;
                }
                Mmco::LimitLong { limit } => {
                    for frame in self.frames.iter_mut().filter(|frame| frame.long_index >= limit) {
                        frame.long = 0;
                    }
                }
                Mmco::ForgetAll => {
                    for frame in &mut self.frames {
                        frame.short = 0;
                        frame.long = 0;
                    }
                }
                Mmco::CurrentLong { index } => self.free_long(index, own),
            }
        }
    }

    /// Takes a long-term index away from whoever has it, except the frame at `keep` (its other field).
    fn free_long(&mut self, long: u32, keep: Option<usize>) {
        for (index, frame) in self.frames.iter_mut().enumerate() {
            if frame.long != 0 && frame.long_index == long && Some(index) != keep {
                frame.long = 0;
            }
        }
    }

    /// The frame and fields that `picNumX` means (8.2.5.4.1).
    fn find_short(&self, slice: &Slice, difference: u32, max: i64) -> Option<(usize, u8)> {
        let current = i64::from(slice.frame_num);
        let number = if slice.field { 2 * current + 1 } else { current } - (i64::from(difference) + 1);
        self.find(
            slice,
            |frame, fields| (frame.short & fields == fields).then(|| frame.wrap(slice.frame_num, max)),
            number,
        )
    }

    fn find_long(&self, slice: &Slice, number: u32) -> Option<(usize, u8)> {
        self.find(
            slice,
            |frame, fields| (frame.long & fields == fields).then_some(i64::from(frame.long_index)),
            i64::from(number),
        )
    }

    /// Looks `number` up: of frames by their own number, of fields by twice that, plus one for the parity of the
    /// current field.
    fn find(
        &self,
        slice: &Slice,
        key: impl Fn(&Frame, u8) -> Option<i64>,
        number: i64,
    ) -> Option<(usize, u8)> {
        let parity = if slice.bottom { 2 } else { 1 };
        self.frames.iter().enumerate().find_map(|(index, frame)| {
            if !slice.field {
                return (key(frame, FRAME)? == number).then_some((index, FRAME));
            }
            [1u8, 2].into_iter().find_map(|field| {
                let own = i64::from(field == parity);
                (2 * key(frame, field)? + own == number).then_some((index, field))
            })
        })
    }
}
