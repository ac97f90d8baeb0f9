//! Feeding a stream, and what must hold of everything that comes out.

use std::collections::BTreeSet;
use std::time::Duration;

use video_hw::control::{StreamSummary, SwitchingEncoder};
use video_hw::error::Error;
use video_hw::frame::Frame;
use video_hw::packet::Packet;
use video_hw::session::Submit;

use crate::backend::{Coded, pts, shade};

/// What came out of a stream.
#[derive(Default)]
pub(crate) struct Got {
    pub(crate) accepted: u64,
    pub(crate) packets: Vec<Packet>,
    /// Losses of single frames.
    pub(crate) losses: Vec<Error>,
    /// The end.
    pub(crate) end: Option<Error>,
}

impl Got {
    pub(crate) fn take(&mut self, outcome: Result<Packet, Error>) {
        assert!(self.end.is_none(), "nothing comes behind the end");
        match outcome {
            Ok(packet) => self.packets.push(packet),
            Err(error) if error.is_recoverable() => self.losses.push(error),
            Err(error) => self.end = Some(error),
        }
    }

    /// Hands a frame over, reaping meanwhile; `false`: the stream has ended.
    pub(crate) fn submit(&mut self, stream: &mut SwitchingEncoder, mut frame: Frame) -> bool {
        for _ in 0..10_000 {
            match stream.submit(frame) {
                Ok(Submit::Accepted) => {
                    self.accepted += 1;
                    return true;
                }
                Ok(Submit::Full(back)) => frame = back,
                Err(_) => return false,
            }
            if let Some(outcome) = stream.reap_timeout(Duration::from_millis(5)).transpose() {
                self.take(outcome);
            }
        }
        panic!("the stream takes nothing any more");
    }

    pub(crate) fn reap(&mut self, stream: &mut SwitchingEncoder) {
        while let Some(outcome) = stream.try_reap().transpose() {
            self.take(outcome);
        }
    }

    /// Reaps until something has happened.
    pub(crate) fn reap_until(
        &mut self,
        stream: &mut SwitchingEncoder,
        mut done: impl FnMut(&mut SwitchingEncoder) -> bool,
    ) {
        for _ in 0..10_000 {
            if done(stream) {
                return;
            }
            match stream.reap_timeout(Duration::from_millis(2)).transpose() {
                Some(outcome) => self.take(outcome),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        panic!("it never happened");
    }

    pub(crate) fn drain(&mut self, stream: &mut SwitchingEncoder) {
        if let Ok(rest) = stream.drain() {
            rest.for_each(|outcome| self.take(outcome));
        }
        self.reap(stream);
    }

    /// Numbers of the frames that were delivered, in display order.
    pub(crate) fn delivered(&self) -> BTreeSet<u64> {
        self.packets.iter().map(number).collect()
    }

    /// What must hold whatever happened.
    pub(crate) fn check(&self, summary: &StreamSummary) {
        let ledger = &summary.ledger;
        assert!(ledger.balances(), "{ledger:?}");
        assert_eq!(ledger.pending, 0, "{ledger:?}");
        assert_eq!(ledger.submitted, self.accepted);
        assert_eq!(ledger.delivered, self.packets.len() as u64);
        assert_eq!(self.delivered().len(), self.packets.len(), "a frame came twice");
        if self.end.is_none() {
            assert_eq!(ledger.failed, self.losses.len() as u64);
        }
        check_times(&self.packets);
        check_generations(&self.packets);
        check_decodable(&self.packets);
        let counted: u64 = summary.generations.iter().map(|known| known.packets).sum();
        assert_eq!(counted, ledger.delivered, "generations count what they delivered");
    }
}

/// The number of the frame that a packet shows; the packet must hold that picture.
pub(crate) fn number(packet: &Packet) -> u64 {
    let ticks = packet.pts.unwrap().ticks() as u64;
    let number = ticks / 40;
    assert_eq!(packet.pts, Some(pts(number)));
    assert_eq!(Coded::of(&packet.data).shade, shade(number), "the picture of frame {number}");
    number
}

/// Decoding times rise through all generations, and are never behind the display.
fn check_times(packets: &[Packet]) {
    let dts: Vec<_> = packets.iter().map(|packet| packet.dts.unwrap()).collect();
    assert!(dts.is_sorted_by(|a, b| a < b), "{dts:?}");
    assert!(packets.iter().all(|packet| packet.dts <= packet.pts));
}

/// Generations rise with time, and the packets of one session are together.
fn check_generations(packets: &[Packet]) {
    let mut shown: Vec<_> = packets.iter().map(|packet| (number(packet), packet.generation)).collect();
    shown.sort_unstable();
    assert!(shown.is_sorted_by_key(|(_, generation)| *generation), "{shown:?}");
}

/// A decoder could follow: each packet is an IDR or comes right behind the one before it in its own coded sequence.
fn check_decodable(packets: &[Packet]) {
    let mut last: Option<Coded> = None;
    for packet in packets {
        let coded = Coded::of(&packet.data);
        if packet.keyframe {
            assert_eq!(coded.sequence, 0);
        } else {
            let last = last.expect("a stream begins with an IDR");
            assert_eq!((coded.session, coded.sequence), (last.session, last.sequence + 1));
        }
        last = Some(coded);
    }
}
