//! Packets of a transport stream (ISO/IEC 13818-1, 2.4.3), found by their sync bytes.

use std::io::{self, Read, Seek, SeekFrom};

use memchr::memchr_iter;

use crate::stream_io::read_some;

/// Bytes of a packet.
pub(super) const PACKET: usize = 188;
/// The first byte of a packet.
pub(super) const SYNC: u8 = 0x47;
/// From packet to packet: bare, with an arrival time in front (M2TS), with 16 bytes of error correction behind (DVB).
const PERIODS: [usize; 3] = [PACKET, 192, 204];
/// Sync bytes one after the other that make a stream of what follows a loss.
const CONFIRMED: usize = 5;
/// The same for bytes of which nothing is known.
const RECOGNISED: usize = 8;
/// Bytes that are looked at to find out how far the packets lie apart.
const FIRST_BYTES: usize = 4096;
/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;
/// What is there before the first packet has been met.
const NO_PACKET: &[u8; PACKET] = &[0; PACKET];

/// Where the first packet begins and how far the packets lie apart, when `head` begins like a transport stream.
pub(in crate::container) fn recognise(head: &[u8]) -> Option<(usize, usize)> {
    // In its place a row of four is enough, or nothing but packets: a stream of one picture has few.
    [(0, PACKET), (4, 192), (0, 204)].into_iter().find(|(start, period)| {
        let whole = head.len().is_multiple_of(*period) && head.len() > *period;
        in_a_row(head, *start, *period, if whole { 4.min(head.len() / period) } else { 4 })
    })
}

/// As [`recognise`], with anything in front of the first packet.
pub(in crate::container) fn recognise_anywhere(head: &[u8]) -> Option<(usize, usize)> {
    let found = |start| PERIODS.into_iter().find(|period| in_a_row(head, start, *period, RECOGNISED));
    memchr_iter(SYNC, head).find_map(|start| Some((start, found(start)?)))
}

fn in_a_row(bytes: &[u8], start: usize, period: usize, count: usize) -> bool {
    (0..count).all(|i| bytes.get(start + i * period) == Some(&SYNC))
}

/// What reading on has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A packet, at this byte; [`PacketReader::packet`] has it.
    Packet(u64),
    /// So many bytes from this one on are in no packet.
    Lost { at: u64, bytes: u64 },
    /// The end of the input.
    End,
}

/// Reads packet by packet, and finds the next one again where the row of sync bytes is broken.
pub(super) struct PacketReader<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Where in the buffer the next packet is expected, and where in the input the buffer begins.
    head: usize,
    offset: u64,
    period: usize,
    /// Where in the buffer the last packet begins.
    packet: usize,
    /// The period is known.
    begun: bool,
    ended: bool,
}

impl<R: Read> PacketReader<R> {
    /// The input, whose first byte is number `offset`.
    pub(super) fn new(reader: R, offset: u64) -> Self {
        let buffer = Vec::new();
        Self { reader, buffer, head: 0, offset, period: PACKET, packet: 0, begun: false, ended: false }
    }

    /// The packet that was met last.
    pub(super) fn packet(&self) -> &[u8; PACKET] {
        self.buffer.get(self.packet..).and_then(<[u8]>::first_chunk).unwrap_or(NO_PACKET)
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&self) -> bool {
        self.ended && self.head >= self.buffer.len()
    }

    /// Where in the input the next packet is expected.
    pub(super) fn position(&self) -> u64 {
        self.offset + self.head as u64
    }

    /// Goes on to the next packet or over what is none.
    pub(super) fn advance(&mut self) -> io::Result<Step> {
        if !self.begun {
            self.begun = true;
            self.has(FIRST_BYTES)?;
            if let Some((start, period)) =
                recognise(&self.buffer).or_else(|| recognise_anywhere(&self.buffer))
            {
                (self.head, self.period) = (start, period);
                // The time in front of the first packet is no loss.
                if start > 0 && (start, period) != (4, 192) {
                    return Ok(Step::Lost { at: self.offset, bytes: start as u64 });
                }
            }
        }
        // Behind a packet of 192 or 204 bytes the input may end before the next one.
        if !self.has(PACKET)? {
            let at = self.position();
            let rest = self.buffer.len().saturating_sub(self.head);
            self.head = self.buffer.len();
            // Of the bytes between packets there are at most 16.
            let between = self.period - PACKET;
            return Ok(if rest > between { Step::Lost { at, bytes: rest as u64 } } else { Step::End });
        }
        let at = self.position();
        if self.buffer.get(self.head) == Some(&SYNC) {
            self.packet = self.head;
            self.head += self.period;
            return Ok(Step::Packet(at));
        }
        self.resynchronise()?;
        Ok(Step::Lost { at, bytes: self.position().saturating_sub(at) })
    }

    /// Moves to the next byte from which sync bytes follow each other at one of the periods.
    fn resynchronise(&mut self) -> io::Result<()> {
        loop {
            let wanted = CONFIRMED * PERIODS[2];
            let all = !self.has(2 * wanted)?;
            let bytes = self.buffer.get(self.head..).unwrap_or_default();
            // At the end of the input as many as there are must do.
            let confirmed = |start: usize, period: usize| {
                let there = bytes.len().saturating_sub(start).div_ceil(period);
                let whole = bytes.len().saturating_sub(start) >= PACKET;
                whole && in_a_row(bytes, start, period, if all { there.min(CONFIRMED) } else { CONFIRMED })
            };
            let known = self.period;
            let until = if all { bytes.len() } else { bytes.len().saturating_sub(wanted) };
            let found = memchr_iter(SYNC, bytes.get(..until).unwrap_or(bytes)).find_map(|start| {
                let mut periods = [known].into_iter().chain(PERIODS);
                Some((start, periods.find(|period| confirmed(start, *period))?))
            });
            if let Some((start, period)) = found {
                self.head += start;
                self.period = period;
                return Ok(());
            }
            self.head += until;
            if all {
                return Ok(());
            }
        }
    }

    /// Whether so many bytes are there from the next packet on; reads them where the input has them.
    fn has(&mut self, bytes: usize) -> io::Result<bool> {
        while self.buffer.len() < self.head + bytes && !self.ended {
            let spent = self.head.min(self.buffer.len());
            self.buffer.drain(..spent);
            self.head -= spent;
            self.offset += spent as u64;
            let filled = self.buffer.len();
            self.buffer.resize(filled + CHUNK, 0);
            let got = read_some(&mut self.reader, self.buffer.get_mut(filled..).unwrap_or_default());
            self.buffer.truncate(filled + got.as_ref().map_or(0, |got| *got));
            self.ended = got? == 0;
        }
        Ok(self.buffer.len() >= self.head + bytes)
    }
}

impl<R: Read + Seek> PacketReader<R> {
    /// Goes on at a packet met before.
    pub(super) fn seek(&mut self, at: u64) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(at))?;
        self.buffer.clear();
        (self.head, self.offset, self.ended) = (0, at, false);
        Ok(())
    }
}

/// What the header and the adaptation field of a packet say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) pid: u16,
    /// A section or a PES packet begins in it.
    pub(super) starts: bool,
    /// `transport_error_indicator`: whoever received it could not correct it.
    pub(super) damaged: bool,
    pub(super) scrambled: bool,
    pub(super) counter: u8,
    /// What the counter says may break off here.
    pub(super) discontinuity: bool,
    /// Where the payload begins; [`PACKET`] where there is none.
    pub(super) payload: usize,
}

impl Header {
    pub(super) fn of(packet: &[u8; PACKET]) -> Self {
        let [_, a, b, c, length, flags, ..] = *packet;
        let control = c >> 4 & 3;
        let (adapted, with_payload) = (control & 2 != 0, control & 1 != 0);
        let payload = match (adapted, with_payload) {
            (_, false) => PACKET,
            (false, true) => 4,
            (true, true) => (5 + usize::from(length)).min(PACKET),
        };
        let flags = if adapted && length > 0 { flags } else { 0 };
        Self {
            pid: u16::from(a & 0x1f) << 8 | u16::from(b),
            starts: a & 0x40 != 0,
            damaged: a & 0x80 != 0,
            scrambled: c >> 6 != 0,
            counter: c & 15,
            discontinuity: flags & 0x80 != 0,
            payload,
        }
    }

    pub(super) fn has_payload(&self) -> bool {
        self.payload < PACKET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(lead: usize, period: usize, packets: usize) -> Vec<u8> {
        let mut bytes = vec![0x11; lead];
        for number in 0..packets {
            let at = bytes.len();
            bytes.resize(at + period, 0x22);
            bytes[at] = SYNC;
            bytes[at + 1] = number as u8;
        }
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<u8>, Vec<(u64, u64)>) {
        let mut reader = PacketReader::new(bytes, 0);
        let (mut numbers, mut lost) = (Vec::new(), Vec::new());
        loop {
            match reader.advance().unwrap() {
                Step::Packet(_) => numbers.push(reader.packet()[1]),
                Step::Lost { at, bytes } => lost.push((at, bytes)),
                Step::End => return (numbers, lost),
            }
        }
    }

    #[test]
    fn every_period_is_found_from_any_start() {
        let all: Vec<u8> = (0..20).collect();
        for period in PERIODS {
            for lead in [0, 1, 4, 100, 187, 188, 300] {
                let bytes = stream(lead, period, 20);
                assert_eq!(recognise_anywhere(&bytes), Some((lead, period)));
                // The time in front of the first packet of M2TS is no loss.
                let told = lead > 0 && (lead, period) != (4, 192);
                let expected = if told { vec![(0, lead as u64)] } else { vec![] };
                assert_eq!(read(&bytes), (all.clone(), expected), "{period} from {lead}");
            }
        }
        assert_eq!(recognise(&stream(4, 192, 4)), Some((4, 192)));
        assert_eq!(recognise(&stream(1, 188, 4)), None);
    }

    #[test]
    fn a_broken_row_is_picked_up_behind_the_damage_and_counted() {
        let whole = stream(0, 188, 40);
        // A sync byte is gone.
        let mut bytes = whole.clone();
        bytes[10 * 188] = 0;
        let (numbers, lost) = read(&bytes);
        assert_eq!((numbers.len(), lost), (39, vec![(1880, 188)]));
        // Bytes are missing: of the packet they belong to nothing tells.
        let cut = [&whole[..10 * 188 + 50], &whole[10 * 188 + 90..]].concat();
        let (numbers, lost) = read(&cut);
        assert_eq!(numbers.len(), 39);
        assert_eq!(lost, [(11 * 188, 148)]);
        // The end of the input is in the middle of a packet.
        assert_eq!(read(&whole[..5 * 188 + 20]), (vec![0, 1, 2, 3, 4], vec![(940, 20)]));
        // Nothing but noise.
        assert_eq!(read(&vec![1; 100_000]), (vec![], vec![(0, 100_000)]));
    }

    #[test]
    fn streams_of_different_periods_one_behind_the_other() {
        let bytes = [stream(0, 188, 10), stream(4, 192, 10)].concat();
        let (numbers, lost) = read(&bytes);
        assert_eq!(numbers.len(), 20);
        assert_eq!(lost, [(1880, 4)]);
    }
}
