//! What is known of every packet of a video track, and which of them is which frame.
//!
//! For each packet in decoding order: when its picture is shown, whether decoding can begin there, whether nothing of it is
//! shown, and where it is in the file. For each frame, in the order of presentation, its packet. A frame costs 13 bytes where
//! the demuxer finds a packet by its number, and 21 elsewhere ([`Index::BYTES`] is what limits are checked with).
//!
//! Where the packets have no times ([`Times::Numbered`]) they are ordered by what the headers say of the order of output, and
//! shown at a constant rate.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::memory;
use crate::time::{TimeBase, Timestamp};

/// Decoding can begin here, as the container or the headers say.
pub(super) const KEY: u8 = 1;
/// The headers were looked at, and it is so.
pub(super) const SURE: u8 = 2;
/// Pictures may follow that are shown before it and cannot be decoded from here.
pub(super) const OPEN: u8 = 4;
/// It gives no frame.
pub(super) const HIDDEN: u8 = 8;
/// All there are.
pub(super) const FLAGS: u8 = KEY | SURE | OPEN | HIDDEN;

/// What the times of frames are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// The container's.
    Stated,
    /// Ticks of the index's base, one for each frame.
    Numbered,
}

/// How a packet is found in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Places {
    /// By its number.
    Numbers,
    /// By [`crate::container::Demuxer::position`].
    Positions,
    /// By its time and what it begins with ([`mark`]), behind a seek.
    Marks,
}

/// Parameter sets in force that a random access point lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sets {
    /// From this packet on.
    pub(super) from: u32,
    pub(super) bytes: Bytes,
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) base: TimeBase,
    pub(super) times: Times,
    pub(super) places: Places,
    /// By packet: the ticks at which it is shown, or a number that grows in the order of output.
    pub(super) keys: Vec<i64>,
    /// By packet.
    pub(super) flags: Vec<u8>,
    /// By packet; empty with [`Places::Numbers`].
    pub(super) at: Vec<u64>,
    /// By frame: its packet.
    pub(super) order: Vec<u32>,
    /// When the last frame ends, in ticks.
    pub(super) end: i64,
    /// Ascending.
    pub(super) sets: Vec<Sets>,
    /// Why the frames behind are not there.
    pub(super) damage: Option<String>,
}

/// What is noted of a packet.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) key: i64,
    pub(super) duration: u64,
    pub(super) flags: u8,
    pub(super) at: u64,
}

impl Index {
    /// Most that a packet costs.
    pub(super) const BYTES: u64 = 21;

    pub(super) fn new(base: TimeBase, times: Times, places: Places) -> Self {
        let (keys, flags, at, order, sets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { base, times, places, keys, flags, at, order, end: 0, sets, damage: None }
    }

    /// The next packet in decoding order.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`], [`Error::OutOfMemory`].
    pub(super) fn push(&mut self, entry: Entry, limits: &Limits) -> Result<()> {
        let number = self.keys.len() as u64;
        // Not for each packet: that would be most of the work.
        if number.is_multiple_of(4096) {
            self.check(number + 1, limits)?;
        }
        memory::grow(&mut self.keys, 1)?;
        memory::grow(&mut self.flags, 1)?;
        self.keys.push(entry.key);
        self.flags.push(entry.flags);
        if self.places != Places::Numbers || !self.at.is_empty() || entry.at != number {
            if self.at.is_empty() {
                // The packets before were found by their numbers.
                self.at = memory::collected(number as usize, 0..number)?;
            }
            memory::grow(&mut self.at, 1)?;
            self.at.push(entry.at);
        }
        if entry.flags & HIDDEN == 0 {
            let end = entry.key.saturating_add_unsigned(entry.duration);
            self.end = if number == 0 { end } else { self.end.max(end) };
        }
        Ok(())
    }

    /// Refuses more packets than memory is allowed for.
    pub(super) fn check(&self, packets: u64, limits: &Limits) -> Result<()> {
        let most = u64::from(u32::MAX);
        if packets > most {
            return Err(Error::unsupported(format!("an index of more than {most} frames")));
        }
        let sets: u64 = self.sets.iter().map(|sets| sets.bytes.len() as u64).sum();
        let bytes = packets.saturating_mul(Self::BYTES).saturating_add(sets);
        if bytes > limits.index_memory {
            limits.check(Limit::IndexMemory, bytes, format!("an index of {packets} frames"))?;
        }
        Ok(())
    }

    /// Brings the frames into the order in which they are shown, when all packets are there.
    pub(super) fn complete(&mut self) -> Result<()> {
        self.keys.shrink_to_fit();
        self.flags.shrink_to_fit();
        self.at.shrink_to_fit();
        let shown = |packet: &u32| self.flags.get(*packet as usize).is_some_and(|flags| flags & HIDDEN == 0);
        let mut order = memory::collected(self.keys.len(), (0..self.keys.len() as u32).filter(shown))?;
        order.sort_unstable_by_key(|packet| self.sort_key(*packet));
        self.order = order;
        if self.times == Times::Numbered {
            self.end = self.order.len() as i64;
        }
        Ok(())
    }

    fn sort_key(&self, packet: u32) -> (i64, u32) {
        (self.key(packet), packet)
    }

    pub(super) fn key(&self, packet: u32) -> i64 {
        self.keys.get(packet as usize).copied().unwrap_or(i64::MAX)
    }

    pub(super) fn flags(&self, packet: u32) -> u8 {
        self.flags.get(packet as usize).copied().unwrap_or(HIDDEN)
    }

    /// What [`crate::container::Demuxer::resume`] takes, or the mark.
    pub(super) fn place(&self, packet: u32) -> u64 {
        self.at.get(packet as usize).copied().unwrap_or(packet.into())
    }

    /// Frames.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Packets.
    pub(super) fn packets(&self) -> u32 {
        self.keys.len() as u32
    }

    /// The packet of a frame.
    pub(super) fn packet(&self, frame: usize) -> Option<u32> {
        self.order.get(frame).copied()
    }

    /// How many frames are shown before the picture of a packet.
    pub(super) fn rank(&self, packet: u32) -> usize {
        let key = self.sort_key(packet);
        self.order.partition_point(|other| self.sort_key(*other) < key)
    }

    pub(super) fn pts(&self, frame: usize) -> Option<Timestamp> {
        let packet = self.packet(frame)?;
        let ticks = match self.times {
            Times::Stated => self.key(packet),
            Times::Numbered => frame as i64,
        };
        Some(Timestamp::new(ticks, self.base))
    }

    pub(super) fn end(&self) -> Timestamp {
        Timestamp::new(self.end, self.base)
    }

    /// The last frame that has begun before `time`, where it has not ended before.
    pub(super) fn shown_before(&self, time: Timestamp) -> Option<usize> {
        if self.end() < time {
            return None;
        }
        self.count(|pts| pts < time).checked_sub(1)
    }

    /// How many frames, from the first on, begin at times of which this is true.
    pub(super) fn count(&self, is: impl Fn(Timestamp) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.pts(middle).is_some_and(&is) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The last packet at which decoding can begin so that the picture of `packet` comes out right; the first of all where
    /// there is none.
    pub(super) fn start_for(&self, packet: u32) -> u32 {
        let wanted = self.key(packet);
        let begins = |start: &u32| self.flags(*start) & KEY != 0 && self.key(*start) <= wanted;
        (0..=packet).rev().find(begins).unwrap_or(0)
    }

    /// The headers were looked at.
    pub(super) fn learn(&mut self, packet: u32, is: Option<Begins>) {
        if let Some(flags) = self.flags.get_mut(packet as usize) {
            *flags = *flags & HIDDEN | is.map_or(0, Begins::flags);
        }
    }

    /// Parameter sets that decoding needs in front of `packet`.
    pub(super) fn sets_for(&self, packet: u32) -> Option<&Bytes> {
        let behind = self.sets.partition_point(|sets| sets.from <= packet);
        self.sets.get(behind.checked_sub(1)?).map(|sets| &sets.bytes).filter(|bytes| !bytes.is_empty())
    }
}

/// How decoding begins at a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// Nothing behind refers to anything before.
    Closed,
    /// Pictures behind that are shown before it may.
    Open,
}

impl Begins {
    pub(super) fn flags(self) -> u8 {
        KEY | SURE | if self == Self::Open { OPEN } else { 0 }
    }
}

/// Enough of a packet to tell it from others with the same time: its length and a sum of its first and last bytes.
pub(super) fn mark(data: &[u8]) -> u64 {
    const LOOK: usize = 64;
    let head = data.get(..LOOK).unwrap_or(data);
    let tail = data.get(data.len().saturating_sub(LOOK)..).unwrap_or(data);
    let sum = fnv(fnv(FNV_START, head), tail);
    (data.len() as u64) << 32 | sum & u64::from(u32::MAX)
}

/// What [`fnv`] begins with.
pub(super) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The 64-bit sum of Fowler, Noll and Vo (FNV-1a): it tells changes, and withstands nobody who wants to hide one.
pub(super) fn fnv(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An index of packets shown at these ticks.
    pub(in super::super) fn of(packets: &[(i64, u8)]) -> Index {
        let mut index = Index::new(TimeBase::new(1, 10).unwrap(), Times::Stated, Places::Numbers);
        for (at, (key, flags)) in packets.iter().enumerate() {
            let entry = Entry { key: *key, duration: 1, flags: *flags, at: at as u64 };
            index.push(entry, &Limits::default()).unwrap();
        }
        index.complete().unwrap();
        index
    }

    #[test]
    fn frames_are_in_order_of_presentation_without_what_is_hidden() {
        let index = of(&[(-1, KEY | HIDDEN), (0, 0), (3, 0), (2, 0), (1, HIDDEN)]);
        assert_eq!(index.order, [1, 3, 2]);
        assert!(index.at.is_empty(), "numbers cost nothing");
        assert_eq!((index.rank(3), index.rank(4), index.end), (1, 1, 4));
    }

    #[test]
    fn leading_pictures_are_decoded_from_the_start_before() {
        // A key frame in the middle with two pictures behind it that are shown before it.
        let index = of(&[(0, KEY), (1, 0), (5, KEY | OPEN), (3, 0), (4, 0), (6, 0)]);
        let starts: Vec<u32> = (0..6).map(|packet| index.start_for(packet)).collect();
        assert_eq!(starts, [0, 0, 2, 0, 0, 2]);
    }

    #[test]
    fn a_time_is_that_of_the_frame_on_screen() {
        let index = of(&[(0, KEY), (4, 0), (2, 0)]);
        let at = |ticks| index.shown_before(Timestamp::new(ticks, TimeBase::new(1, 100).unwrap()));
        assert_eq!(
            [at(0), at(1), at(20), at(21), at(50), at(51)],
            [None, Some(0), Some(0), Some(1), Some(2), None]
        );
    }

    #[test]
    fn memory_is_bounded_before_it_is_taken() {
        let limits = Limits::default().index_memory(4096 * Index::BYTES);
        let mut index = Index::new(TimeBase::new(1, 10).unwrap(), Times::Stated, Places::Positions);
        let entry = Entry { key: 0, duration: 1, flags: KEY, at: 0 };
        let pushed = (0..10_000).take_while(|_| index.push(entry, &limits).is_ok()).count();
        assert_eq!(pushed, 4096);
    }

    #[test]
    fn sets_hold_until_others_come() {
        let mut index = of(&[(0, KEY), (1, KEY), (2, KEY), (3, KEY)]);
        index.sets = [(1, "a"), (3, "")].map(|(from, bytes)| Sets { from, bytes: bytes.into() }).into();
        let sets: Vec<_> = (0..4).map(|packet| index.sets_for(packet).map(|b| b.to_vec())).collect();
        assert_eq!(sets, [None, Some(b"a".to_vec()), Some(b"a".to_vec()), None]);
    }
}
