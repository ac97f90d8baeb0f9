//! Coded units on their way to the decoders: parts in a row, each taken by the next decoder that is free.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};

use super::cut::Piece;
use crate::sync::{lock, whole};

/// Coded bytes that may wait for decoders.
pub(super) const MAX_BYTES: usize = 256 << 20;

/// See the module's documentation.
pub(super) struct Intake {
    state: Mutex<State>,
    /// A part, a unit or the end has come.
    filled: Condvar,
    /// A unit has been taken, or is missed.
    drained: Condvar,
    max_bytes: usize,
}

/// What comes of it when a decoder leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The decoder of this number takes its place.
    Replaced(usize),
    /// Others are there, or nothing is left to do.
    Gone,
    /// It was the last: the oldest part that nobody had, which nobody will take now.
    Abandons(u64),
}

#[derive(Default)]
struct State {
    parts: VecDeque<Part>,
    bytes: usize,
    /// Decoders that wait for a part.
    free: usize,
    /// Decoders at work or being opened.
    lanes: usize,
    closed: bool,
}

struct Part {
    number: u64,
    pieces: VecDeque<Piece>,
    complete: bool,
    taken: bool,
    /// Its decoder waits for the next unit.
    awaited: bool,
}

impl Intake {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), drained: Condvar::new(), max_bytes }
    }

    /// A part begins. Returns how many parts wait for a decoder beyond those that are free.
    pub(super) fn begin(&self, number: u64, first: Piece) -> usize {
        let mut state = lock(&self.state);
        state.bytes += first.unit.packet.data.len();
        let pieces = VecDeque::from([first]);
        state.parts.push_back(Part { number, pieces, complete: false, taken: false, awaited: false });
        self.filled.notify_all();
        state.waiting()
    }

    /// How many parts wait for a decoder beyond those that are free.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).waiting()
    }

    /// Adds to the newest part, or to the one before it.
    pub(super) fn append(&self, piece: Piece, to_previous: bool) {
        let mut state = lock(&self.state);
        let bytes = piece.unit.packet.data.len();
        let mut newest = state.parts.iter_mut().rev();
        if let Some(part) = if to_previous { newest.nth(1) } else { newest.next() } {
            part.pieces.push_back(piece);
            state.bytes += bytes;
        }
        self.filled.notify_all();
    }

    /// Nothing more comes for the part before the newest.
    pub(super) fn close_previous(&self) {
        if let Some(part) = lock(&self.state).parts.iter_mut().rev().nth(1) {
            part.complete = true;
        }
        self.filled.notify_all();
    }

    /// Nothing more comes for any part.
    pub(super) fn close_all(&self) {
        lock(&self.state).parts.iter_mut().for_each(|part| part.complete = true);
        self.filled.notify_all();
    }

    /// Waits until there is room for another unit: few parts wait, and few bytes. `false`: closed.
    pub(super) fn wait_for_room(&self, parts: usize) -> bool {
        let state = lock(&self.state);
        let full = |state: &mut State| {
            // A decoder that has used up a part which is still being filled would wait for ever.
            !state.closed
                && !state.parts.iter().any(Part::is_starved)
                && (state.untaken() > parts || state.bytes >= self.max_bytes)
        };
        let state = whole(self.drained.wait_while(state, full));
        !state.closed
    }

    /// The oldest part that nobody has; waits for one. `None`: closed.
    pub(super) fn take_part(&self) -> Option<u64> {
        let mut state = lock(&self.state);
        state.free += 1;
        let mut state = whole(self.filled.wait_while(state, |state| !state.closed && state.untaken() == 0));
        state.free -= 1;
        if state.closed {
            return None;
        }
        let part = state.parts.iter_mut().find(|part| !part.taken)?;
        part.taken = true;
        Some(part.number)
    }

    /// The next unit of a part, waiting for it. `None`: that was all.
    pub(super) fn next(&self, number: u64) -> Option<Piece> {
        let mut state = lock(&self.state);
        if let Some(part) = state.part(number) {
            part.awaited = true;
            if part.is_starved() {
                self.drained.notify_all();
            }
        }
        let waits =
            |state: &mut State| !state.closed && state.part(number).is_some_and(|part| part.is_starved());
        let mut state = whole(self.filled.wait_while(state, waits));
        if state.closed {
            return None;
        }
        let index = state.parts.iter().position(|part| part.number == number)?;
        state.parts[index].awaited = false;
        let piece = state.parts[index].pieces.pop_front();
        match &piece {
            Some(piece) => state.bytes -= piece.unit.packet.data.len(),
            None => drop(state.parts.remove(index)),
        }
        self.drained.notify_all();
        piece
    }

    /// There is one more decoder, if `next` has a number for it.
    pub(super) fn join(&self, next: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let mut state = lock(&self.state);
        let number = next()?;
        state.lanes += 1;
        Some(number)
    }

    /// A decoder is gone. When it was the last and `next` has a number, another takes its place. In one step with that
    /// question, or two that leave at once would each think the other stays.
    pub(super) fn leave(&self, next: impl FnOnce() -> Option<usize>) -> Left {
        let mut state = lock(&self.state);
        if !state.closed
            && state.lanes <= 1
            && let Some(number) = next()
        {
            return Left::Replaced(number);
        }
        state.lanes = state.lanes.saturating_sub(1);
        if state.closed || state.lanes > 0 {
            return Left::Gone;
        }
        state.parts.iter_mut().find(|part| !part.taken).map_or(Left::Gone, |part| {
            part.taken = true;
            Left::Abandons(part.number)
        })
    }

    /// A decoder gives a part up, of which it has taken the first unit: another may have it.
    pub(super) fn give_back(&self, number: u64, first: Piece) {
        let mut state = lock(&self.state);
        let bytes = first.unit.packet.data.len();
        if let Some(part) = state.part(number) {
            part.pieces.push_front(first);
            part.taken = false;
            state.bytes += bytes;
        }
        self.filled.notify_all();
    }

    /// Nobody gives or takes any more.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.parts.clear();
        self.filled.notify_all();
        self.drained.notify_all();
    }
}

impl State {
    fn untaken(&self) -> usize {
        self.parts.iter().filter(|part| !part.taken).count()
    }

    fn waiting(&self) -> usize {
        self.untaken().saturating_sub(self.free)
    }

    fn part(&mut self, number: u64) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.number == number)
    }
}

impl Part {
    /// Its decoder waits for a unit, which is still to come.
    fn is_starved(&self) -> bool {
        self.awaited && self.pieces.is_empty() && !self.complete
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::CodedUnit;
    use crate::codec::Codec;
    use crate::packet::{BitstreamLayout, Packet};

    fn piece(serial: u64) -> Piece {
        let packet = Packet::new(Codec::Hevc, BitstreamLayout::AnnexB, vec![0; 100]);
        Piece { unit: CodedUnit { serial, packet }, echo: false }
    }

    /// Pushes as the session does; how many units went in.
    fn feed(intake: &Arc<Intake>, units: u64) -> std::thread::JoinHandle<u64> {
        let intake = Arc::clone(intake);
        std::thread::spawn(move || {
            let mut fed = 0;
            while fed < units && intake.wait_for_room(4) {
                if fed == 0 {
                    intake.begin(0, piece(0));
                } else {
                    intake.append(piece(fed), false);
                }
                fed += 1;
            }
            intake.close_all();
            fed
        })
    }

    #[test]
    fn a_part_without_end_waits_for_its_decoder_too() {
        let intake = Arc::new(Intake::new(1000));
        let feeder = feed(&intake, 500);
        intake.join(|| Some(0));
        let part = intake.take_part().unwrap();
        let mut most = 0;
        let mut taken = 0;
        while intake.next(part).is_some() {
            most = most.max(lock(&intake.state).bytes);
            taken += 1;
        }
        assert_eq!((taken, feeder.join().unwrap()), (500, 500));
        assert!(most <= 1000, "{most} bytes");
    }

    #[test]
    fn a_unit_beyond_all_bounds_starves_nobody() {
        // Each unit alone is as much as may wait.
        let intake = Arc::new(Intake::new(1));
        let feeder = feed(&intake, 50);
        let part = intake.take_part().unwrap();
        let serials: Vec<_> =
            std::iter::from_fn(|| intake.next(part)).map(|piece| piece.unit.serial).collect();
        assert_eq!(serials, (0..50).collect::<Vec<_>>());
        assert_eq!(feeder.join().unwrap(), 50);
    }

    #[test]
    fn a_part_that_is_given_back_is_the_next_to_be_taken() {
        let intake = Intake::new(1000);
        assert_eq!(
            (intake.join(|| Some(0)), intake.join(|| Some(1)), intake.join(|| None)),
            (Some(0), Some(1), None)
        );
        for number in 0..3 {
            intake.begin(number, piece(number));
        }
        intake.close_all();
        assert_eq!((intake.take_part(), intake.take_part()), (Some(0), Some(1)));
        let first = intake.next(0).unwrap();
        intake.give_back(0, first);
        assert_eq!(intake.leave(|| panic!("another decoder is there")), Left::Gone);
        assert_eq!(intake.take_part(), Some(0));
        assert_eq!(intake.next(0).map(|piece| piece.unit.serial), Some(0));
        assert_eq!(intake.leave(|| Some(5)), Left::Replaced(5), "the last one");
        assert_eq!(intake.leave(|| None), Left::Abandons(2), "nobody will take it");
    }
}
