//! The frames of a stream from acceptance to outcome: kept until their packet is out, released in closed groups, timed
//! for the whole stream.
//!
//! A group is closed when no frame with a smaller pts than its largest is missing. Only closed groups leave. So whatever
//! happens, the frames whose packets are not out are exactly those from one frame on, and another session can go on there
//! with an IDR: nothing is lost, nothing comes twice. Without B frames each packet is a group.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::backend::EncodedUnit;
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::packet::{BitstreamLayout, Packet};
use crate::session::Ledger;
use crate::session::dts::DtsGenerator;
use crate::time::{Rational, Timestamp};

/// What became of a frame.
pub(super) enum Outcome {
    Coded { unit: EncodedUnit, codec: Codec, layout: BitstreamLayout },
    Dropped(&'static str),
    Failed(Error),
}

/// A frame that is held.
struct Held {
    frame: Frame,
    /// The generation that it was given to last.
    generation: u64,
    accepted: Instant,
}

/// A frame that has left, for those who count.
pub(super) struct Released {
    pub(super) generation: u64,
    pub(super) pts: Timestamp,
    pub(super) latency: Duration,
    /// Size of its packet; `None`: it gave none.
    pub(super) bytes: Option<u64>,
    pub(super) failed: bool,
}

pub(super) struct Books {
    held: VecDeque<Held>,
    /// Serial of the first frame that is held.
    first: u64,
    /// Outcomes since the last closed group, in the order in which they came: coding order.
    group: Vec<(u64, Outcome)>,
    settled: BTreeSet<u64>,
    dts: DtsGenerator,
    pub(super) ledger: Ledger,
    pub(super) out: VecDeque<Result<Packet>>,
    pub(super) bytes_out: u64,
    pub(super) keyframes: u64,
    last_pts: Option<Timestamp>,
}

impl Books {
    /// Frames count from one.
    pub(super) fn new(reserve: usize, frame_rate: Rational) -> Self {
        Self {
            held: VecDeque::new(),
            first: 1,
            group: Vec::new(),
            settled: BTreeSet::new(),
            dts: DtsGenerator::new(reserve, frame_rate),
            ledger: Ledger::default(),
            out: VecDeque::new(),
            bytes_out: 0,
            keyframes: 0,
            last_pts: None,
        }
    }

    /// The first frame without an outcome that is out.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// The serial that the next frame gets.
    pub(super) fn next(&self) -> u64 {
        self.first + self.held.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// # Errors
    /// Times that do not rise.
    pub(super) fn check_time(&self, pts: Timestamp) -> Result<()> {
        match self.last_pts.filter(|last| pts <= *last) {
            Some(last) => Err(Error::invalid(format!("frame times must increase: {pts} after {last}"))),
            None => Ok(()),
        }
    }

    pub(super) fn accept(&mut self, frame: Frame) {
        self.last_pts = Some(frame.pts);
        self.dts.submitted(self.next(), frame.pts);
        self.ledger.submitted += 1;
        self.held.push_back(Held { frame, generation: 0, accepted: Instant::now() });
    }

    fn held(&self, serial: u64) -> Option<&Held> {
        self.held.get(usize::try_from(serial.checked_sub(self.first)?).ok()?)
    }

    pub(super) fn frame(&self, serial: u64) -> Option<&Frame> {
        self.held(serial).map(|held| &held.frame)
    }

    /// The frame has been given to a generation.
    pub(super) fn given(&mut self, serial: u64, generation: u64) {
        let at = serial.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(held) = at.and_then(|at| self.held.get_mut(at)) {
            held.generation = generation;
        }
    }

    /// Notes what became of a frame. One that is not held, or has an outcome already, is a defect of the encoder.
    pub(super) fn settle(&mut self, serial: u64, outcome: Outcome) {
        if self.held(serial).is_none() || !self.settled.insert(serial) {
            self.ledger.unexpected += 1;
            return;
        }
        self.group.push((serial, outcome));
    }

    /// Notes the frames before `serial` that have no outcome as failed.
    pub(super) fn settle_missing(&mut self, before: u64) {
        for serial in self.missing(before) {
            let error = Error::corrupt("the encoder gave no answer for a frame");
            self.settle(serial, Outcome::Failed(error));
        }
    }

    /// The frames before `serial` that have no outcome.
    pub(super) fn missing(&self, before: u64) -> Vec<u64> {
        (self.first..before.min(self.next())).filter(|serial| !self.settled.contains(serial)).collect()
    }

    /// Whether no outcome waits for another.
    pub(super) fn is_closed(&self) -> bool {
        self.group.is_empty()
    }

    /// Forgets outcomes that are not out: their frames go to another session.
    pub(super) fn forget(&mut self) {
        self.group.clear();
        self.settled.clear();
    }

    /// Lets the group at hand out if it is closed, and tells of its frames in display order.
    pub(super) fn release(&mut self) -> Vec<Released> {
        let Some(&last) = self.settled.last() else { return Vec::new() };
        if (self.settled.len() as u64) < last + 1 - self.first {
            return Vec::new();
        }
        self.settled.clear();
        let group = std::mem::take(&mut self.group);
        // Their times must not become the decoding times of others.
        for (serial, outcome) in &group {
            if !matches!(outcome, Outcome::Coded { .. }) {
                self.dts.abandoned(*serial);
            }
        }
        let mut released: Vec<(u64, Released)> = Vec::with_capacity(group.len());
        for (serial, outcome) in group {
            let Some(held) = self.held(serial) else { continue };
            let mut gone = Released {
                generation: held.generation,
                pts: held.frame.pts,
                latency: held.accepted.elapsed(),
                bytes: None,
                failed: false,
            };
            let duration = held.frame.duration;
            match outcome {
                Outcome::Coded { unit, codec, layout } => {
                    gone.bytes = Some(unit.data.len() as u64);
                    self.ledger.delivered += 1;
                    self.bytes_out += unit.data.len() as u64;
                    self.keyframes += u64::from(unit.keyframe);
                    self.out.push_back(Ok(Packet {
                        pts: Some(gone.pts),
                        dts: Some(self.dts.next(gone.pts)),
                        duration,
                        keyframe: unit.keyframe,
                        picture_type: unit.picture_type,
                        generation: gone.generation,
                        ..Packet::new(codec, layout, unit.data)
                    }));
                }
                Outcome::Dropped(reason) => self.ledger.drop_one(reason),
                Outcome::Failed(error) => {
                    gone.failed = true;
                    self.ledger.failed += 1;
                    self.out.push_back(Err(error));
                }
            }
            released.push((serial, gone));
        }
        let count = usize::try_from(last + 1 - self.first).unwrap_or(self.held.len());
        self.held.drain(..count.min(self.held.len()));
        self.first = last + 1;
        released.sort_by_key(|(serial, _)| *serial);
        released.into_iter().map(|(_, gone)| gone).collect()
    }

    /// The stream is over: every frame that is held has failed for this reason, which is told once.
    pub(super) fn end(&mut self, error: Error) {
        self.forget();
        self.ledger.failed += self.held.len() as u64;
        self.first = self.next();
        self.held.clear();
        self.out.push_back(Err(error));
    }

    /// The ledger as it stands.
    pub(super) fn ledger(&self) -> Ledger {
        Ledger { pending: self.held.len() as u64, ..self.ledger.clone() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::dimensions::Dimensions;
    use crate::frame::HostSurface;
    use crate::pixel::PixelFormat;
    use crate::time::TimeBase;

    fn books(frames: i64) -> Books {
        let mut books = Books::new(2, Rational::new(25, 1).unwrap());
        let size = Dimensions::new(2, 2).unwrap();
        for at in 0..frames {
            let surface = HostSurface::from_packed(PixelFormat::I420, size, vec![0; 6]).unwrap();
            books.accept(Frame::host(Timestamp::new(at, TimeBase::new(1, 25).unwrap()), surface));
        }
        books
    }

    fn coded() -> Outcome {
        let unit =
            EncodedUnit { serial: 0, data: Bytes::from_static(b"x"), keyframe: false, picture_type: None };
        Outcome::Coded { unit, codec: Codec::H264, layout: BitstreamLayout::AnnexB }
    }

    fn out(books: &mut Books) -> Vec<(i64, i64)> {
        let times = |packet: Packet| (packet.dts.unwrap().ticks(), packet.pts.unwrap().ticks());
        books.out.drain(..).map(|packet| times(packet.unwrap())).collect()
    }

    #[test]
    fn a_group_leaves_when_nothing_before_its_last_frame_is_missing() {
        let mut books = books(5);
        books.settle(1, coded());
        assert_eq!(books.release().len(), 1);
        books.settle(4, coded());
        books.settle(2, coded());
        assert!(books.release().is_empty() && !books.is_closed());
        books.settle(3, coded());
        assert_eq!(books.release().len(), 3);
        assert_eq!(out(&mut books), [(-2, 0), (-1, 3), (0, 1), (1, 2)]);
        assert_eq!((books.first(), books.next()), (5, 6));
    }

    #[test]
    fn frames_whose_group_is_open_can_be_given_again() {
        let mut books = books(3);
        books.settle(1, coded());
        books.release();
        books.settle(3, coded());
        books.forget();
        assert_eq!((books.first(), books.missing(9)), (2, vec![2, 3]));
        books.settle(2, coded());
        books.settle(3, coded());
        assert_eq!(books.release().len(), 2);
        assert!(books.ledger().balances() && books.ledger().delivered == 3);
    }

    #[test]
    fn losses_keep_the_times_of_the_others() {
        let mut books = books(5);
        books.settle(1, coded());
        books.settle(2, Outcome::Failed(Error::corrupt("lost")));
        books.settle(3, Outcome::Dropped("rate"));
        books.settle(4, coded());
        books.settle(5, coded());
        books.settle(5, coded());
        books.settle(9, coded());
        assert_eq!(books.release().len(), 5);
        let errors = books.out.iter().filter(|item| item.is_err()).count();
        assert_eq!(errors, 1);
        books.out.retain(Result::is_ok);
        assert_eq!(out(&mut books), [(-2, 0), (-1, 3), (0, 4)]);
        let ledger = books.ledger();
        assert_eq!((ledger.delivered, ledger.failed, ledger.dropped_total()), (3, 1, 1));
        assert_eq!((ledger.unexpected, ledger.pending), (2, 0), "two answers for nothing");
    }

    #[test]
    fn the_end_leaves_nothing_open() {
        let mut books = books(4);
        books.settle(2, coded());
        books.end(Error::corrupt_fatal("over"));
        assert!(books.ledger().balances() && books.ledger().failed == 4 && books.is_empty());
        assert_eq!(books.out.len(), 1);
    }
}
