//! The packets of a track by the heads of its blocks alone, and going to one of them.
//!
//! A packet's place is where its cluster begins and which of the track's packets in there it is: whatever is lost in front of a
//! cluster, that finds the same packet.

use std::ops::Range;

use bytes::Bytes;

use super::block::{BlockHead, GroupFacts, broken_group};
use super::demux::{Cluster, MatroskaDemuxer, Step};
use super::ebml::{Element, Header, MAX_HEADER};
use super::ids;
use super::lace_times::LaceTimes;
use super::source::Source;
use crate::container::{EachPacket, PacketBytes, PacketPlace, TrackId};
use crate::error::{Error, Result};

/// Bits of a place that number the packet in its cluster; those above are the position of the cluster.
const NUMBER_BITS: u32 = 20;
const MOST_IN_CLUSTER: u64 = 1 << NUMBER_BITS;
const FARTHEST_CLUSTER: u64 = 1 << (64 - NUMBER_BITS);

/// Bytes of a block that hold its head but for long laces.
const USUAL_HEAD: usize = 32;
/// Bytes that are copied at once.
const PIECE: usize = 32 << 10;

/// Counts the packets of a track in the cluster that is being read.
#[derive(Default)]
pub(super) struct Given {
    cluster: Option<u64>,
    count: u64,
}

impl Given {
    /// The place of the track's next packet; `None` where it cannot be said.
    pub(super) fn next(&mut self, cluster: Option<u64>) -> Option<u64> {
        if self.cluster != cluster {
            *self = Self { cluster, count: 0 };
        }
        let number = self.count;
        self.count += 1;
        let cluster = cluster.filter(|at| *at < FARTHEST_CLUSTER && number < MOST_IN_CLUSTER)?;
        Some(cluster << NUMBER_BITS | number)
    }
}

/// What is told of instead of being read.
pub(super) struct Telling {
    /// The track.
    pub(super) number: u64,
    /// The packets of the block at hand, and where their bytes lie in the file.
    packets: Vec<(PacketPlace, Range<u64>)>,
    /// Where that block ends.
    end: Option<u64>,
}

impl MatroskaDemuxer {
    /// As [`crate::container::Demuxer::index`].
    pub(super) fn tell_places(&mut self, track: TrackId, each: &mut EachPacket<'_>) -> Result<bool> {
        let Some(track) = self.inner.iter().find(|inner| inner.public.id == track) else { return Ok(false) };
        // The lengths of other frames stand in them.
        let can_tell = track.public.video.is_some() && track.refusal.is_none() && !track.coding.zlib;
        if !can_tell || self.source.len().is_none_or(|len| len >= FARTHEST_CLUSTER) {
            return Ok(false);
        }
        let (number, prefix) = (track.number, track.coding.prefix.clone());
        self.begin_anew()?;
        let told = self.by_heads(number, |this| {
            loop {
                let step = this.step();
                let (packets, end) = this.take_told();
                for (place, range) in packets {
                    let (source, prefix) = (&mut this.source, &prefix);
                    each(place, Some(&mut Stored { source, prefix, range }))?;
                }
                this.seek_behind(end)?;
                if let Step::End = step? {
                    return Ok(());
                }
            }
        });
        self.begin_anew()?;
        told.map(|()| true)
    }

    /// As [`crate::container::Demuxer::resume`].
    pub(super) fn go_to_place(&mut self, track: TrackId, place: u64) -> Result<bool> {
        let (position, number) = (place >> NUMBER_BITS, place & (MOST_IN_CLUSTER - 1));
        let Some(at) = self.inner.iter().position(|inner| inner.public.id == track) else { return Ok(false) };
        if self.source.len().is_none_or(|len| position >= len) {
            return Ok(false);
        }
        self.source.seek(position)?;
        self.restart(Cluster::default());
        if self.source.peek_header()?.is_none_or(|header| header.id != ids::CLUSTER) {
            return Ok(false);
        }
        let track = self.inner.get(at).map_or(0, |track| track.number);
        let Some((here, first)) = self.by_heads(track, |this| this.find_in_cluster(position, number))? else {
            return Ok(false);
        };
        self.source.seek(here)?;
        self.restart(self.cluster);
        if let Some(track) = self.inner.get_mut(at) {
            track.given = Given { cluster: Some(position), count: first };
        }
        self.step()?;
        // Frames of the same block in front of it.
        for _ in first..number {
            self.ready.pop_front();
        }
        Ok(true)
    }

    /// The block that holds packet `number` of the cluster at `position`, and the number of its first one.
    fn find_in_cluster(&mut self, position: u64, number: u64) -> Result<Option<(u64, u64)>> {
        loop {
            let here = self.source.position();
            let step = self.step();
            let (packets, end) = self.take_told();
            if self.cluster.position.is_some_and(|at| at != position) {
                return Ok(None);
            }
            let number_of = |packet: Option<&(PacketPlace, Range<u64>)>| {
                packet.map(|(place, _)| place.position & (MOST_IN_CLUSTER - 1))
            };
            if let (Some(first), Some(last)) = (number_of(packets.first()), number_of(packets.last()))
                && (first..=last).contains(&number)
            {
                return Ok(Some((here, first)));
            }
            self.seek_behind(end)?;
            match step {
                Ok(Step::Next) => {}
                Ok(Step::End) => return Ok(None),
                // It is told when it is read.
                Err(error) if error.is_recoverable() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes over blocks of track `number` instead of reading them; what was told of damage on the way may be told again.
    fn by_heads<T>(&mut self, number: u64, walk: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let told = (self.header.end, self.told_another);
        self.telling = Some(Telling { number, packets: Vec::new(), end: None });
        self.source.skim(true);
        let walked = walk(self);
        self.source.skim(false);
        self.telling = None;
        (self.header.end, self.told_another) = told;
        walked
    }

    fn begin_anew(&mut self) -> Result<()> {
        self.source.seek(self.header.first_cluster)?;
        self.restart(Cluster::default());
        Ok(())
    }

    fn take_told(&mut self) -> (Vec<(PacketPlace, Range<u64>)>, Option<u64>) {
        let told = self.telling.as_mut();
        told.map_or_else(Default::default, |told| (std::mem::take(&mut told.packets), told.end.take()))
    }

    fn seek_behind(&mut self, end: Option<u64>) -> Result<()> {
        end.map_or(Ok(()), |end| self.source.seek(end))
    }

    /// Reads the head of a block or group of `size` bytes at `here`, whose header is known, and tells of its packets. Whoever
    /// takes these goes behind it.
    pub(super) fn tell_block(&mut self, header: Header, here: u64, size: u64, cluster: i64) -> Result<Step> {
        let content = here.saturating_add(header.len as u64);
        let end = content.saturating_add(size);
        if let Some(len) = self.source.len().filter(|len| end > *len) {
            self.source.seek(len)?;
            return Err(self.cut_off(here, size));
        }
        if let Some(telling) = &mut self.telling {
            telling.end = Some(end);
        }
        self.source.consume(header.len);
        let head = match header.id {
            ids::SIMPLE_BLOCK => block_head(&mut self.source, size).map(|head| Some((head, content))),
            _ => group_head(&mut self.source, end),
        };
        match head {
            Ok(Some((head, content))) => self.tell(head, content, cluster, here),
            Ok(None) => Ok(Step::Next),
            Err(error @ Error::CorruptStream { .. }) => {
                Err(self.corrupt(format_args!("at byte {here}: {error}")))
            }
            Err(error) => Err(error),
        }
    }

    /// As `take`, of a block whose content begins at `content`.
    fn tell(&mut self, mut head: BlockHead, content: u64, cluster: i64, here: u64) -> Result<Step> {
        let Some(at) = self.track_of(&head, here, Range::is_empty)? else { return Ok(Step::Next) };
        let known = self.inner.get_mut(at).is_none_or(|track| track.knows_durations(None));
        let end = self.telling.as_ref().and_then(|telling| telling.end).unwrap_or(content);
        head.duration = self.span_of(at, &head, (cluster, end), known)?;
        let position = self.cluster.position;
        let (Some(track), Some(telling)) = (self.inner.get_mut(at), &mut self.telling) else {
            return Ok(Step::Next);
        };
        let mut times = LaceTimes::new(track, &head, cluster);
        for (index, frame) in head.frames.iter().enumerate() {
            let (pts, length) = times.next(track, &head, index, None);
            if frame.is_empty() && track.coding.prefix.is_empty() {
                continue;
            }
            let Some(position) = track.given.next(position) else {
                return Err(Error::unsupported(format!(
                    "an index of more than {MOST_IN_CLUSTER} packets in one cluster"
                )));
            };
            // A length below zero is none.
            let duration = length.and_then(|length| u64::try_from(length).ok()).unwrap_or(1);
            let place = PacketPlace { pts, duration, keyframe: head.keyframe, discard: false, position };
            let at = |offset: usize| content.saturating_add(offset as u64);
            telling.packets.push((place, at(frame.start)..at(frame.end)));
        }
        Ok(Step::Next)
    }
}

/// The head of the block of `size` bytes that begins here.
fn block_head(source: &mut Source, size: u64) -> Result<BlockHead> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut len = USUAL_HEAD.min(size);
    loop {
        let front = source.peek(len)?;
        let there = front.len();
        if let Some(head) = BlockHead::parse(front, size)? {
            return Ok(head);
        }
        if there < len {
            return Err(Error::corrupt(format!("a block of {size} bytes ends after {there}")));
        }
        len = len.saturating_mul(4).min(size);
    }
}

/// The head of the block in the group that goes on to `end`, and where the block's content begins; as `Block::group`.
pub(super) fn group_head(source: &mut Source, end: u64) -> Result<Option<(BlockHead, u64)>> {
    let (mut block, mut facts) = (None, GroupFacts::default());
    while source.position() < end {
        let left = usize::try_from(end - source.position()).unwrap_or(usize::MAX);
        let header = Header::parse(source.peek(MAX_HEADER.min(left))?).ok_or_else(broken_group)?;
        let content = source.position().saturating_add(header.len as u64);
        let size = header.size.filter(|size| content.checked_add(*size).is_some_and(|child| child <= end));
        let size = size.ok_or_else(broken_group)?;
        source.consume(header.len);
        match header.id {
            ids::BLOCK => block = Some((block_head(source, size)?, content)),
            id => {
                // One byte more than a number has.
                let data = Bytes::copy_from_slice(source.peek(size.min(9) as usize)?);
                facts.take(&Element { id, whole: data.clone(), data })?;
            }
        }
        source.seek(content.saturating_add(size))?;
    }
    Ok(block.map(|(block, content)| (facts.apply(block), content)))
}

/// The bytes of a packet where they lie.
struct Stored<'a> {
    source: &'a mut Source,
    /// What the file leaves out in front of them.
    prefix: &'a Bytes,
    range: Range<u64>,
}

impl PacketBytes for Stored<'_> {
    fn len(&self) -> u64 {
        (self.range.end - self.range.start).saturating_add(self.prefix.len() as u64)
    }

    fn read(&mut self, from: u64, into: &mut [u8]) -> Result<usize> {
        let left_out =
            usize::try_from(from).ok().and_then(|from| self.prefix.get(from..)).unwrap_or_default();
        let mut filled = left_out.len().min(into.len());
        if let (Some(room), Some(bytes)) = (into.get_mut(..filled), left_out.get(..filled)) {
            room.copy_from_slice(bytes);
        }
        let from = self.range.start.saturating_add(from.saturating_sub(self.prefix.len() as u64));
        if filled == into.len() || from >= self.range.end {
            return Ok(filled);
        }
        self.source.seek(from)?;
        loop {
            let left = self.range.end.saturating_sub(self.source.position());
            let left = usize::try_from(left).unwrap_or(usize::MAX).min(into.len() - filled).min(PIECE);
            let bytes = self.source.peek(left)?;
            let Some(room) = into.get_mut(filled..filled + bytes.len()).filter(|room| !room.is_empty())
            else {
                return Ok(filled);
            };
            room.copy_from_slice(bytes);
            filled += room.len();
            let len = room.len();
            self.source.consume(len);
        }
    }
}
