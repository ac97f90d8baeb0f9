//! The frames of a stream from acceptance to outcome, timed for the whole stream whatever happens to its sessions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::backend::EncodedUnit;
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::failover::InFlight;
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

/// A frame without an outcome that is out.
pub(super) struct Accepted {
    frame: Frame,
    /// The generation that it was given to last.
    generation: u64,
    at: Instant,
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

pub(super) struct StreamFrames {
    pub(super) table: InFlight<Accepted, Outcome>,
    dts: DtsGenerator,
    ledger: Ledger,
    pub(super) out: VecDeque<Result<Packet>>,
    pub(super) bytes_out: u64,
    pub(super) keyframes: u64,
    last_pts: Option<Timestamp>,
}

impl StreamFrames {
    /// Frames count from one.
    pub(super) fn new(reserve: usize, frame_rate: Rational) -> Self {
        Self {
            table: InFlight::starting_at(1),
            dts: DtsGenerator::new(reserve, frame_rate),
            ledger: Ledger::default(),
            out: VecDeque::new(),
            bytes_out: 0,
            keyframes: 0,
            last_pts: None,
        }
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
        self.dts.submitted(self.table.next(), frame.pts);
        self.ledger.submitted += 1;
        self.table.enter(Accepted { frame, generation: 0, at: Instant::now() });
    }

    pub(super) fn frame(&self, serial: u64) -> Option<&Frame> {
        self.table.get(serial).map(|accepted| &accepted.frame)
    }

    /// The frame has been given to a generation.
    pub(super) fn given(&mut self, serial: u64, generation: u64) {
        if let Some(accepted) = self.table.get_mut(serial) {
            accepted.generation = generation;
        }
    }

    /// Notes what became of a frame. One that is not in flight, or has an outcome already, is a defect of the encoder.
    pub(super) fn settle(&mut self, serial: u64, outcome: Outcome) {
        self.ledger.unexpected += u64::from(self.table.settle(serial, outcome).is_err());
    }

    /// Notes the frames before `serial` that have no outcome as failed.
    pub(super) fn settle_missing(&mut self, before: u64) {
        for serial in self.table.missing(before) {
            let error = Error::corrupt("the encoder gave no answer for a frame");
            self.settle(serial, Outcome::Failed(error));
        }
    }

    /// Lets the group at hand out if it is closed, and tells of its frames in display order.
    pub(super) fn release(&mut self) -> Vec<Released> {
        let mut group = Vec::new();
        self.table.release(|serial, accepted, outcome| {
            let released = Released {
                generation: accepted.generation,
                pts: accepted.frame.pts,
                latency: accepted.at.elapsed(),
                bytes: None,
                failed: false,
            };
            group.push((serial, released, accepted.frame.duration, outcome));
        });
        // Their times must not become the decoding times of others.
        for (serial, ..) in group.iter().filter(|item| !matches!(item.3, Outcome::Coded { .. })) {
            self.dts.abandoned(*serial);
        }
        let mut released: Vec<(u64, Released)> = Vec::with_capacity(group.len());
        for (serial, mut gone, duration, outcome) in group {
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
        released.sort_by_key(|(serial, _)| *serial);
        released.into_iter().map(|(_, gone)| gone).collect()
    }

    /// The stream is over: every frame in flight has failed for this reason, which is told once.
    pub(super) fn end(&mut self, error: Error) {
        self.ledger.failed += self.table.end();
        self.out.push_back(Err(error));
    }

    /// The ledger as it stands.
    pub(super) fn ledger(&self) -> Ledger {
        Ledger { pending: self.table.len() as u64, ..self.ledger.clone() }
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

    fn frames(count: i64) -> StreamFrames {
        let mut frames = StreamFrames::new(2, Rational::new(25, 1).unwrap());
        let size = Dimensions::new(2, 2).unwrap();
        for at in 0..count {
            let surface = HostSurface::from_packed(PixelFormat::I420, size, vec![0; 6]).unwrap();
            frames.accept(Frame::host(Timestamp::new(at, TimeBase::new(1, 25).unwrap()), surface));
        }
        frames
    }

    fn coded() -> Outcome {
        let unit =
            EncodedUnit { serial: 0, data: Bytes::from_static(b"x"), keyframe: false, picture_type: None };
        Outcome::Coded { unit, codec: Codec::H264, layout: BitstreamLayout::AnnexB }
    }

    fn out(frames: &mut StreamFrames) -> Vec<(i64, i64)> {
        let times = |packet: Packet| (packet.dts.unwrap().ticks(), packet.pts.unwrap().ticks());
        frames.out.drain(..).map(|packet| times(packet.unwrap())).collect()
    }

    #[test]
    fn a_group_leaves_when_nothing_before_its_last_frame_is_missing() {
        let mut frames = frames(5);
        frames.settle(1, coded());
        assert_eq!(frames.release().len(), 1);
        frames.settle(4, coded());
        frames.settle(2, coded());
        assert!(frames.release().is_empty() && !frames.table.is_closed());
        frames.settle(3, coded());
        assert_eq!(frames.release().len(), 3);
        assert_eq!(out(&mut frames), [(-2, 0), (-1, 3), (0, 1), (1, 2)]);
        assert_eq!((frames.table.first(), frames.table.next()), (5, 6));
    }

    #[test]
    fn frames_whose_group_is_open_can_be_given_again() {
        let mut frames = frames(3);
        frames.settle(1, coded());
        frames.release();
        frames.settle(3, coded());
        frames.table.forget();
        assert_eq!((frames.table.first(), frames.table.missing(9)), (2, vec![2, 3]));
        frames.settle(2, coded());
        frames.settle(3, coded());
        assert_eq!(frames.release().len(), 2);
        assert!(frames.ledger().balances() && frames.ledger().delivered == 3);
    }

    #[test]
    fn losses_keep_the_times_of_the_others() {
        let mut frames = frames(5);
        frames.settle(1, coded());
        frames.settle(2, Outcome::Failed(Error::corrupt("lost")));
        frames.settle(3, Outcome::Dropped("rate"));
        frames.settle(4, coded());
        frames.settle(5, coded());
        frames.settle(5, coded());
        frames.settle(9, coded());
        assert_eq!(frames.release().len(), 5);
        let errors = frames.out.iter().filter(|item| item.is_err()).count();
        assert_eq!(errors, 1);
        frames.out.retain(Result::is_ok);
        assert_eq!(out(&mut frames), [(-2, 0), (-1, 3), (0, 4)]);
        let ledger = frames.ledger();
        assert_eq!((ledger.delivered, ledger.failed, ledger.dropped_total()), (3, 1, 1));
        assert_eq!((ledger.unexpected, ledger.pending), (2, 0), "two answers for nothing");
    }

    #[test]
    fn the_end_leaves_nothing_open() {
        let mut frames = frames(4);
        frames.settle(2, coded());
        frames.end(Error::corrupt_fatal("over"));
        assert!(frames.ledger().balances() && frames.ledger().failed == 4 && frames.table.is_empty());
        assert_eq!(frames.out.len(), 1);
    }
}
