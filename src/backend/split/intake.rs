//! Coded units on their way to the decoders: parts in a row, each taken by the next decoder that is free.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::cut::Piece;

/// Coded bytes that may wait for decoders.
const MAX_BYTES: usize = 256 << 20;

/// See the module's documentation.
pub(super) struct Intake {
    state: Mutex<State>,
    /// A part, a unit or the end has come.
    filled: Condvar,
    /// A unit has been taken.
    drained: Condvar,
}

#[derive(Default)]
struct State {
    parts: VecDeque<Part>,
    bytes: usize,
    /// Decoders that wait for a part.
    free: usize,
    closed: bool,
}

struct Part {
    number: u64,
    pieces: VecDeque<Piece>,
    complete: bool,
    taken: bool,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), drained: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part begins. Returns how many parts wait for a decoder beyond those that are free.
    pub(super) fn begin(&self, number: u64, first: Piece) -> usize {
        let mut state = self.lock();
        state.bytes += first.unit.packet.data.len();
        let pieces = VecDeque::from([first]);
        state.parts.push_back(Part { number, pieces, complete: false, taken: false });
        self.filled.notify_all();
        state.untaken().saturating_sub(state.free)
    }

    /// Adds to the newest part, or to the one before it.
    pub(super) fn append(&self, piece: Piece, to_previous: bool) {
        let mut state = self.lock();
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
        if let Some(part) = self.lock().parts.iter_mut().rev().nth(1) {
            part.complete = true;
        }
        self.filled.notify_all();
    }

    /// Nothing more comes for any part.
    pub(super) fn close_all(&self) {
        self.lock().parts.iter_mut().for_each(|part| part.complete = true);
        self.filled.notify_all();
    }

    /// Waits until there is room for another unit: few parts wait that are complete, and few bytes. `false`: closed.
    pub(super) fn wait_for_room(&self, parts: usize) -> bool {
        let state = self.lock();
        let full = |state: &mut State| {
            // The last two may still be filled: holding them back would starve the decoders that have them.
            !state.closed && state.parts.len() > 2 && (state.untaken() > parts || state.bytes >= MAX_BYTES)
        };
        let state = self.drained.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// The oldest part that nobody has; waits for one. `None`: closed.
    pub(super) fn take_part(&self) -> Option<u64> {
        let mut state = self.lock();
        state.free += 1;
        let mut state = self
            .filled
            .wait_while(state, |state| !state.closed && state.untaken() == 0)
            .unwrap_or_else(PoisonError::into_inner);
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
        let waits = |state: &mut State| {
            let part = state.parts.iter().find(|part| part.number == number);
            !state.closed && part.is_some_and(|part| part.pieces.is_empty() && !part.complete)
        };
        let mut state = self.filled.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        let index = state.parts.iter().position(|part| part.number == number)?;
        let piece = state.parts[index].pieces.pop_front();
        match &piece {
            Some(piece) => state.bytes -= piece.unit.packet.data.len(),
            None => drop(state.parts.remove(index)),
        }
        self.drained.notify_all();
        piece
    }

    /// Nobody gives or takes any more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
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
}
