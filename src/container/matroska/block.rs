//! Blocks (RFC 9559 section 10): frames of a track at a time, one or several laced together.

use bytes::Bytes;

use super::ebml::{self, Children};
use super::ids;
use crate::error::{Error, Result};

/// A block, in whichever of its two clothes.
pub(super) struct Block {
    pub(super) track: u64,
    /// In ticks, from that of its cluster.
    pub(super) time: i16,
    /// Decoding can start here.
    pub(super) keyframe: bool,
    /// In ticks, of all its frames together.
    pub(super) duration: Option<u64>,
    /// Nanoseconds that are not to be heard at its end.
    pub(super) discard_padding: i64,
    pub(super) frames: Vec<Bytes>,
}

/// Flags of a block: that of key frames only in simple ones.
const KEYFRAME: u8 = 0x80;
const LACING: u8 = 0x06;

impl Block {
    /// Reads the content of a `SimpleBlock`.
    pub(super) fn simple(data: &Bytes) -> Result<Self> {
        let (mut block, flags) = Self::parse(data)?;
        block.keyframe = flags & KEYFRAME != 0;
        Ok(block)
    }

    /// Reads the content of a `BlockGroup`; `None` for one without a block.
    pub(super) fn group(data: Bytes) -> Result<Option<Self>> {
        let (mut block, mut references, mut duration, mut padding) = (None, false, None, 0);
        for child in Children::new(data) {
            let child = child.map_err(|_| Error::corrupt("a block group whose elements do not fit it"))?;
            let recoverable =
                |_| Error::corrupt(format!("a block group whose element {:X} is too long", child.id));
            match child.id {
                ids::BLOCK => block = Some(Self::parse(&child.data)?.0),
                ids::REFERENCE_BLOCK => references = true,
                ids::BLOCK_DURATION => duration = Some(child.uint().map_err(recoverable)?),
                ids::DISCARD_PADDING => padding = child.int().map_err(recoverable)?,
                _ => {}
            }
        }
        Ok(block.map(|block| Self { keyframe: !references, duration, discard_padding: padding, ..block }))
    }

    /// The track, the time and the key frame flag of a block that begins with these bytes.
    pub(super) fn peek(data: &[u8]) -> Option<(u64, i16, bool)> {
        let (track, len) = ebml::vint(data)?;
        let time = data.get(len..)?.first_chunk().map(|bytes| i16::from_be_bytes(*bytes))?;
        Some((track, time, data.get(len + 2)? & KEYFRAME != 0))
    }

    fn parse(data: &Bytes) -> Result<(Self, u8)> {
        let cut = || Error::corrupt(format!("a block of {} bytes is too short for its header", data.len()));
        let (track, len) = ebml::vint(data).ok_or_else(cut)?;
        let time = data.get(len..).and_then(<[u8]>::first_chunk).ok_or_else(cut)?;
        let flags = *data.get(len + 2).ok_or_else(cut)?;
        let frames = unlace(data.slice(len + 3..), flags & LACING).ok_or_else(|| {
            Error::corrupt(format!(
                "a block of track {track} whose {} bytes do not hold its laces",
                data.len()
            ))
        })?;
        let time = i16::from_be_bytes(*time);
        Ok((Self { track, time, keyframe: false, duration: None, discard_padding: 0, frames }, flags))
    }
}

/// The frames of a block's payload.
fn unlace(mut payload: Bytes, lacing: u8) -> Option<Vec<Bytes>> {
    if lacing == 0 {
        return Some(vec![payload]);
    }
    let more = usize::from(*payload.first()?);
    let mut sizes: Vec<usize> = Vec::with_capacity(more);
    let mut at = 1;
    match lacing {
        // Xiph: sums of bytes up to one that is not 255.
        0x02 => {
            for _ in 0..more {
                let mut size = 0;
                loop {
                    let byte = usize::from(*payload.get(at)?);
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
            let each = (payload.len() - 1).checked_div(more + 1)?;
            if each * (more + 1) != payload.len() - 1 {
                return None;
            }
            sizes.resize(more, each);
        }
        // EBML: the first size, then differences that count from the middle of their range.
        _ => {
            let mut size = 0_i64;
            for index in 0..more {
                let (value, len) = ebml::vint(payload.get(at..)?)?;
                at += len;
                let middle = if index == 0 { 0 } else { (1_i64 << (7 * len - 1)) - 1 };
                size = size.checked_add(i64::try_from(value).ok()? - middle)?;
                sizes.push(usize::try_from(size).ok()?);
            }
        }
    }
    payload = payload.slice(at..);
    let mut frames = Vec::with_capacity(more + 1);
    for size in sizes {
        if size > payload.len() {
            return None;
        }
        frames.push(payload.split_to(size));
    }
    frames.push(payload);
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
