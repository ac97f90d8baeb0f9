//! Packets of several tracks in the order of their decoding times, as players want them in a file.

use std::collections::VecDeque;

use crate::container::TrackId;
use crate::packet::Packet;
use crate::time::Timestamp;

/// A track of which nothing comes is waited for until so much of the others waits, in bytes and in seconds.
const MOST_BYTES: usize = 32 << 20;
const MOST_SECONDS: f64 = 5.0;

/// Packets that wait for those of other tracks.
pub(super) struct Interleaver {
    tracks: Vec<(TrackId, VecDeque<Packet>)>,
    bytes: usize,
}

impl Interleaver {
    pub(super) fn new(tracks: impl Iterator<Item = TrackId>) -> Self {
        Self { tracks: tracks.map(|id| (id, VecDeque::new())).collect(), bytes: 0 }
    }

    pub(super) fn push(&mut self, packet: Packet) {
        if let Some((_, waiting)) = self.tracks.iter_mut().find(|(id, _)| *id == packet.track) {
            self.bytes += packet.data.len();
            waiting.push_back(packet);
        }
    }

    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next packet that may be written; at the end of the input all of them may.
    pub(super) fn pop(&mut self, ended: bool) -> Option<Packet> {
        let complete = self.tracks.iter().all(|(_, waiting)| !waiting.is_empty());
        if !complete && !ended && self.bytes <= MOST_BYTES && self.span() <= MOST_SECONDS {
            return None;
        }
        let fronts = self.tracks.iter().enumerate();
        let fronts = fronts.filter_map(|(at, (_, waiting))| Some((time(waiting.front()?), at)));
        let (_, first) = fronts.min_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1)))?;
        let packet = self.tracks.get_mut(first)?.1.pop_front()?;
        self.bytes -= packet.data.len();
        Some(packet)
    }

    /// Seconds from the first to the last of what waits.
    fn span(&self) -> f64 {
        let waiting = || self.tracks.iter().map(|(_, waiting)| waiting);
        let first = waiting().filter_map(|waiting| time(waiting.front()?)).min();
        let last = waiting().filter_map(|waiting| time(waiting.back()?)).max();
        first.zip(last).map_or(0.0, |(first, last)| last.as_secs_f64() - first.as_secs_f64())
    }
}

fn time(packet: &Packet) -> Option<Timestamp> {
    packet.dts.or(packet.pts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::BitstreamLayout;
    use crate::time::TimeBase;

    fn packet(track: u32, dts: i64) -> Packet {
        let at = Timestamp::new(dts, TimeBase::new(1, 10).unwrap());
        Packet::new(None, BitstreamLayout::Opaque, vec![0]).on(TrackId(track)).at(at, at)
    }

    #[test]
    fn tracks_come_in_the_order_of_their_times() {
        let mut order = Interleaver::new([TrackId(1), TrackId(2)].into_iter());
        let mut out = Vec::new();
        let mut take = |order: &mut Interleaver, ended| {
            while let Some(packet) = order.pop(ended) {
                out.push((packet.track.0, packet.dts.unwrap().ticks()));
            }
        };
        for (track, dts) in [(1, 0), (1, 10), (1, 20), (2, 5), (2, 15), (2, 25)] {
            order.push(packet(track, dts));
            take(&mut order, false);
        }
        take(&mut order, true);
        assert_eq!(out, [(1, 0), (2, 5), (1, 10), (2, 15), (1, 20), (2, 25)]);
    }

    /// A track of text may be silent for an hour.
    #[test]
    fn a_silent_track_is_not_waited_for_long() {
        let mut order = Interleaver::new([TrackId(1), TrackId(2)].into_iter());
        let mut held = 0_i32;
        for dts in 0..1000 {
            order.push(packet(1, dts));
            held += 1;
            while order.pop(false).is_some() {
                held -= 1;
            }
            assert!(held <= 51, "{held}");
        }
    }
}
