//! Blocks (RFC 9559 section 10): frames of a track at a time, one or several laced together.

use std::ops::Range;

use bytes::Bytes;

use super::ebml::{self, Children, Element};
use super::ids;
use crate::error::{Error, Result};

/// A block, in whichever of its two clothes; its frames are bytes, or where those lie in the block's content.
pub(super) struct Block<Frame = Bytes> {
    pub(super) track: u64,
    /// In ticks, from that of its cluster.
    pub(super) time: i16,
    /// Decoding can start here.
    pub(super) keyframe: bool,
    /// In ticks, of all its frames together.
    pub(super) duration: Option<u64>,
    /// Nanoseconds that are not to be heard at its end.
    pub(super) discard_padding: i64,
    pub(super) frames: Vec<Frame>,
}

/// Where the frames of a block lie in its content.
pub(super) type BlockHead = Block<Range<usize>>;

/// Flags of a block: that of key frames only in simple ones.
const KEYFRAME: u8 = 0x80;
const LACING: u8 = 0x06;

/// What a group says of its block.
#[derive(Default)]
pub(super) struct GroupFacts {
    references: bool,
    duration: Option<u64>,
    padding: i64,
}

impl GroupFacts {
    /// Takes an element of the group other than its block.
    pub(super) fn take(&mut self, child: &Element) -> Result<()> {
        let recoverable =
            |_| Error::corrupt(format!("a block group whose element {:X} is too long", child.id));
        match child.id {
            ids::REFERENCE_BLOCK => self.references = true,
            ids::BLOCK_DURATION => self.duration = Some(child.uint().map_err(recoverable)?),
            ids::DISCARD_PADDING => self.padding = child.int().map_err(recoverable)?,
            _ => {}
        }
        Ok(())
    }

    /// The block with what was said of it.
    pub(super) fn apply<Frame>(&self, block: Block<Frame>) -> Block<Frame> {
        let (duration, discard_padding) = (self.duration, self.padding);
        Block { keyframe: !self.references, duration, discard_padding, ..block }
    }
}

/// A group whose elements are not whole.
pub(super) fn broken_group() -> Error {
    Error::corrupt("a block group whose elements do not fit it")
}

impl Block {
    /// Reads the content of a `SimpleBlock`.
    pub(super) fn simple(data: &Bytes) -> Result<Self> {
        // All of it is there: nothing more is needed.
        let head = BlockHead::parse(data, data.len())?.ok_or_else(|| too_short(data.len()))?;
        let frames = head.frames.iter().map(|range| data.slice(range.clone())).collect();
        let Block { track, time, keyframe, duration, discard_padding, .. } = head;
        Ok(Self { track, time, keyframe, duration, discard_padding, frames })
    }

    /// Reads the content of a `BlockGroup`; `None` for one without a block.
    pub(super) fn group(data: Bytes) -> Result<Option<Self>> {
        let (mut block, mut facts) = (None, GroupFacts::default());
        for child in Children::new(data) {
            let child = child.map_err(|_| broken_group())?;
            match child.id {
                ids::BLOCK => block = Some(Self::simple(&child.data)?),
                _ => facts.take(&child)?,
            }
        }
        Ok(block.map(|block| facts.apply(block)))
    }

    /// The track, the time and the key frame flag of a block that begins with these bytes.
    pub(super) fn peek(data: &[u8]) -> Option<(u64, i16, bool)> {
        let (track, time, flags, _) = front(data)?;
        Some((track, time, flags & KEYFRAME != 0))
    }
}

impl BlockHead {
    /// Reads what stands in front of the frames of a `SimpleBlock` (or a `Block`, which says nothing of key frames) of `size`
    /// bytes that begins with these; `None` where more of it is needed.
    pub(super) fn parse(data: &[u8], size: usize) -> Result<Option<Self>> {
        let whole = data.len() >= size;
        let Some((track, time, flags, at)) = front(data) else {
            return if whole { Err(too_short(size)) } else { Ok(None) };
        };
        match laces(data, at, size, flags & LACING) {
            Some(frames) => Ok(Some(Self {
                track,
                time,
                keyframe: flags & KEYFRAME != 0,
                duration: None,
                discard_padding: 0,
                frames,
            })),
            None if whole => {
                let what = format!("a block of track {track} whose {size} bytes do not hold its laces");
                Err(Error::corrupt(what))
            }
            None => Ok(None),
        }
    }
}

fn too_short(size: usize) -> Error {
    Error::corrupt(format!("a block of {size} bytes is too short for its header"))
}

/// Track, time and flags of a block, and how long these are.
fn front(data: &[u8]) -> Option<(u64, i16, u8, usize)> {
    let (track, len) = ebml::vint(data)?;
    let time = data.get(len..)?.first_chunk().map(|bytes| i16::from_be_bytes(*bytes))?;
    Some((track, time, *data.get(len + 2)?, len + 3))
}

/// The frames behind byte `at` of a block of `size` bytes that begins with `data`.
fn laces(data: &[u8], mut at: usize, size: usize, lacing: u8) -> Option<Vec<Range<usize>>> {
    if lacing == 0 {
        return Some(std::iter::once(at..size).collect());
    }
    let more = usize::from(*data.get(at)?);
    let mut sizes: Vec<usize> = Vec::with_capacity(more);
    at += 1;
    match lacing {
        // Xiph: sums of bytes up to one that is not 255.
        0x02 => {
            for _ in 0..more {
                let mut size = 0;
                loop {
                    let byte = usize::from(*data.get(at)?);
                    at += 1;
                    size += byte;
                    if byte != 255 {
                        break;
                    }
                }
                sizes.push(size);
            }
        }
        // Fixed: all of one size.
        0x04 => {
            let payload = size.checked_sub(at)?;
            let each = payload.checked_div(more + 1)?;
            if each * (more + 1) != payload {
                return None;
            }
            sizes.resize(more, each);
        }
        // EBML: the first size, then differences that count from the middle of their range.
        _ => {
            let mut size = 0_i64;
            for index in 0..more {
                let (value, len) = ebml::vint(data.get(at..)?)?;
                at += len;
                let middle = if index == 0 { 0 } else { (1_i64 << (7 * len - 1)) - 1 };
                size = size.checked_add(i64::try_from(value).ok()? - middle)?;
                sizes.push(usize::try_from(size).ok()?);
            }
        }
    }
    let mut frames = Vec::with_capacity(more + 1);
    for len in sizes {
        let end = at.checked_add(len).filter(|end| *end <= size)?;
        frames.push(at..end);
        at = end;
    }
    frames.push(at..size);
    Some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(flags: u8, laces: &[u8], sizes: &[usize]) -> Option<Vec<usize>> {
        let payload: Vec<u8> = sizes.iter().enumerate().flat_map(|(i, len)| vec![i as u8; *len]).collect();
        let block = [&[0x81, 0xff, 0xfe, 0x80 | flags], laces, &payload].concat();
        let block = Block::simple(&block.into()).ok()?;
        assert_eq!((block.track, block.time, block.keyframe), (1, -2, true));
        for (index, frame) in block.frames.iter().enumerate() {
            assert!(frame.iter().all(|byte| usize::from(*byte) == index));
        }
        Some(block.frames.iter().map(Bytes::len).collect())
    }

    #[test]
    fn frames_of_every_lacing_come_apart() {
        assert_eq!(frames(0, &[], &[5]), Some(vec![5]));
        assert_eq!(frames(2, &[2, 255, 45, 3], &[300, 3, 7]), Some(vec![300, 3, 7]));
        assert_eq!(frames(4, &[2], &[4, 4, 4]), Some(vec![4, 4, 4]));
        // 800, -300 and what is left, as in the specification's example.
        assert_eq!(frames(6, &[2, 0x43, 0x20, 0x5e, 0xd3], &[800, 500, 1000]), Some(vec![800, 500, 1000]));
        assert_eq!(frames(6, &[0], &[9]), Some(vec![9]));
    }

    #[test]
    fn laces_that_do_not_fit_are_errors() {
        assert_eq!(frames(2, &[1, 255], &[]), None);
        assert_eq!(frames(2, &[1, 9], &[3]), None);
        assert_eq!(frames(4, &[2], &[4]), None);
        assert_eq!(frames(6, &[2, 0x81, 0x80], &[5]), None, "a size below zero");
        assert_eq!(frames(6, &[], &[]), None);
        assert!(Block::simple(&Bytes::from_static(&[0x81, 0])).is_err());
        assert!(Block::simple(&Bytes::new()).is_err());
    }

    #[test]
    fn groups_say_what_refers_to_others() {
        let group = |more: &[u8]| Bytes::from([&[0xA1, 0x85, 0x81, 0, 7, 0, 0xaa][..], more].concat());
        let block = Block::group(group(&[])).unwrap().unwrap();
        assert!(block.keyframe && block.duration.is_none());
        let block = Block::group(group(&[0xFB, 0x81, 0xd8, 0x9B, 0x82, 1, 0])).unwrap().unwrap();
        assert_eq!((block.keyframe, block.duration, block.time), (false, Some(256), 7));
        let block = Block::group(group(&[0x75, 0xA2, 0x82, 0xff, 0])).unwrap().unwrap();
        assert_eq!(block.discard_padding, -256);
        assert!(Block::group(Bytes::new()).unwrap().is_none());
        assert!(Block::group(group(&[0xFB])).is_err());
    }
}
