//! Coded units on their way to the decoders: segments in a row, each taken by the next decoder that is free.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};

use super::segmenter::Piece;
use crate::sync::{lock, whole};

/// Coded bytes that may wait for decoders.
pub(super) const MAX_BYTES: usize = 256 << 20;

/// See the module's documentation.
pub(super) struct SegmentQueue {
    state: Mutex<State>,
    /// A segment, a unit or the end has come.
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
    /// It was the last: the oldest segment that nobody had, which nobody will take now.
    Abandons(u64),
}

#[derive(Default)]
struct State {
    segments: VecDeque<Segment>,
    bytes: usize,
    /// Decoders that wait for a segment.
    free: usize,
    /// Decoders at work or being opened.
    lanes: usize,
    closed: bool,
}

struct Segment {
    number: u64,
    pieces: VecDeque<Piece>,
    complete: bool,
    taken: bool,
    /// Its decoder waits for the next unit.
    awaited: bool,
}

impl SegmentQueue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), drained: Condvar::new(), max_bytes }
    }

    /// A segment begins. Returns how many segments wait for a decoder beyond those that are free.
    pub(super) fn begin(&self, number: u64, first: Piece) -> usize {
        let mut state = lock(&self.state);
        state.bytes += first.unit.packet.data.len();
        let pieces = VecDeque::from([first]);
        state.segments.push_back(Segment { number, pieces, complete: false, taken: false, awaited: false });
        self.filled.notify_all();
        state.waiting()
    }

    /// How many segments wait for a decoder beyond those that are free.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).waiting()
    }

    /// Adds to the newest segment, or to the one before it.
    pub(super) fn append(&self, piece: Piece, to_previous: bool) {
        let mut state = lock(&self.state);
        let bytes = piece.unit.packet.data.len();
        let mut newest = state.segments.iter_mut().rev();
        if let Some(segment) = if to_previous { newest.nth(1) } else { newest.next() } {
            segment.pieces.push_back(piece);
            state.bytes += bytes;
        }
        self.filled.notify_all();
    }

    /// Nothing more comes for the segment before the newest.
    pub(super) fn close_previous(&self) {
        if let Some(segment) = lock(&self.state).segments.iter_mut().rev().nth(1) {
            segment.complete = true;
        }
        self.filled.notify_all();
    }

    /// Nothing more comes for any segment.
    pub(super) fn close_all(&self) {
        lock(&self.state).segments.iter_mut().for_each(|segment| segment.complete = true);
        self.filled.notify_all();
    }

    /// Waits until there is room for another unit: few segments wait, and few bytes. `false`: closed.
    pub(super) fn wait_for_room(&self, segments: usize) -> bool {
        let state = lock(&self.state);
        let full = |state: &mut State| {
            // A decoder that has used up a segment which is still being filled would wait for ever.
            !state.closed
                && !state.segments.iter().any(Segment::is_starved)
                && (state.untaken() > segments || state.bytes >= self.max_bytes)
        };
        let state = whole(self.drained.wait_while(state, full));
        !state.closed
    }

    /// The oldest segment that nobody has; waits for one. `None`: closed.
    pub(super) fn take_part(&self) -> Option<u64> {
        let mut state = lock(&self.state);
        state.free += 1;
        let mut state = whole(self.filled.wait_while(state, |state| !state.closed && state.untaken() == 0));
        state.free -= 1;
        if state.closed {
            return None;
        }
        let segment = state.segments.iter_mut().find(|segment| !segment.taken)?;
        segment.taken = true;
        Some(segment.number)
    }

    /// The next unit of a segment, waiting for it. `None`: that was all.
    pub(super) fn next(&self, number: u64) -> Option<Piece> {
        let mut state = lock(&self.state);
        if let Some(segment) = state.segment(number) {
            segment.awaited = true;
            if segment.is_starved() {
                self.drained.notify_all();
            }
        }
        let waits = |state: &mut State| {
            !state.closed && state.segment(number).is_some_and(|segment| segment.is_starved())
        };
        let mut state = whole(self.filled.wait_while(state, waits));
        if state.closed {
            return None;
        }
        let index = state.segments.iter().position(|segment| segment.number == number)?;
        state.segments[index].awaited = false;
        let piece = state.segments[index].pieces.pop_front();
        match &piece {
            Some(piece) => state.bytes -= piece.unit.packet.data.len(),
            None => drop(state.segments.remove(index)),
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
        state.segments.iter_mut().find(|segment| !segment.taken).map_or(Left::Gone, |segment| {
            segment.taken = true;
            Left::Abandons(segment.number)
        })
    }

    /// A decoder gives a segment up, of which it has taken the first unit: another may have it.
    pub(super) fn give_back(&self, number: u64, first: Piece) {
        let mut state = lock(&self.state);
        let bytes = first.unit.packet.data.len();
        if let Some(segment) = state.segment(number) {
            segment.pieces.push_front(first);
            segment.taken = false;
            state.bytes += bytes;
        }
        self.filled.notify_all();
    }

    /// Nobody gives or takes any more.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.segments.clear();
        self.filled.notify_all();
        self.drained.notify_all();
    }
}

impl State {
    fn untaken(&self) -> usize {
        self.segments.iter().filter(|segment| !segment.taken).count()
    }

    fn waiting(&self) -> usize {
        self.untaken().saturating_sub(self.free)
    }

    fn segment(&mut self, number: u64) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.number == number)
    }
}

impl Segment {
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
    fn feed(segments: &Arc<SegmentQueue>, units: u64) -> std::thread::JoinHandle<u64> {
        let segments = Arc::clone(segments);
        std::thread::spawn(move || {
            let mut fed = 0;
            while fed < units && segments.wait_for_room(4) {
                if fed == 0 {
                    segments.begin(0, piece(0));
                } else {
                    segments.append(piece(fed), false);
                }
                fed += 1;
            }
            segments.close_all();
            fed
        })
    }

    #[test]
    fn a_part_without_end_waits_for_its_decoder_too() {
        let segments = Arc::new(SegmentQueue::new(1000));
        let feeder = feed(&segments, 500);
        segments.join(|| Some(0));
        let segment = segments.take_part().unwrap();
        let mut most = 0;
        let mut taken = 0;
        while segments.next(segment).is_some() {
            most = most.max(lock(&segments.state).bytes);
            taken += 1;
        }
        assert_eq!((taken, feeder.join().unwrap()), (500, 500));
        assert!(most <= 1000, "{most} bytes");
    }

    #[test]
    fn a_unit_beyond_all_bounds_starves_nobody() {
        // Each unit alone is as much as may wait.
        let segments = Arc::new(SegmentQueue::new(1));
        let feeder = feed(&segments, 50);
        let segment = segments.take_part().unwrap();
        let serials: Vec<_> =
            std::iter::from_fn(|| segments.next(segment)).map(|piece| piece.unit.serial).collect();
        assert_eq!(serials, (0..50).collect::<Vec<_>>());
        assert_eq!(feeder.join().unwrap(), 50);
    }

    #[test]
    fn a_part_that_is_given_back_is_the_next_to_be_taken() {
        let segments = SegmentQueue::new(1000);
        assert_eq!(
            (segments.join(|| Some(0)), segments.join(|| Some(1)), segments.join(|| None)),
            (Some(0), Some(1), None)
        );
        for number in 0..3 {
            segments.begin(number, piece(number));
        }
        segments.close_all();
        assert_eq!((segments.take_part(), segments.take_part()), (Some(0), Some(1)));
        let first = segments.next(0).unwrap();
        segments.give_back(0, first);
        assert_eq!(segments.leave(|| panic!("another decoder is there")), Left::Gone);
        assert_eq!(segments.take_part(), Some(0));
        assert_eq!(segments.next(0).map(|piece| piece.unit.serial), Some(0));
        assert_eq!(segments.leave(|| Some(5)), Left::Replaced(5), "the last one");
        assert_eq!(segments.leave(|| None), Left::Abandons(2), "nobody will take it");
    }
}
