//! The in-flight table: the frames of a stream whose outcomes are not out.
//!
//! Outcomes leave in closed groups: when no frame with a smaller number than the group's largest is missing. So whatever
//! happens, the frames in the table are exactly those from one frame on, and another encoder can go on there with an IDR:
//! nothing is lost, nothing comes twice. Without B frames each packet is a group, and nothing waits here.

use std::collections::VecDeque;
use std::ops::Range;

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
