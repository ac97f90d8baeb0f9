//! Walking over boxes (ISO/IEC 14496-12 clause 4.2) without trusting their sizes.

use std::fmt;

use bytes::Bytes;

use super::source::Source;
use super::steps::step;
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};

/// A box type. Displayed as its four characters, other bytes escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct FourCc(pub(super) [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Header of a box in the file.
#[derive(Clone, Copy)]
pub(super) struct BoxHeader {
    pub(super) kind: [u8; 4],
    /// Of the first byte of the header.
    pub(super) offset: u64,
    /// 8, or 16 with a 64-bit size.
    pub(super) header_len: u64,
    /// Whole box, header included, as claimed.
    pub(super) len: u64,
}

impl BoxHeader {
    /// First byte behind the box.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// Reads the header at `offset` of the file; `None` at its end, or when too few bytes are left for one.
    pub(super) fn read(source: &mut Source, offset: u64) -> Result<Option<Self>> {
        let bytes = source.read(offset, 16)?;
        Self::parse(&bytes, offset, source.len()).transpose()
    }

    /// `limit` is where the surrounding box or the file ends.
    fn parse(bytes: &[u8], offset: u64, limit: u64) -> Option<Result<Self>> {
        let short = be_u32(bytes, 0)?;
        let kind: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        let (header_len, len) = match short {
            0 => (8, limit.saturating_sub(offset)),
            1 => (16, be_u64(bytes, 8)?),
            n => (8, u64::from(n)),
        };
        if len < header_len {
            return Some(Err(Error::corrupt_fatal(format!(
                "box {} at offset {offset} claims {len} bytes, less than its own header",
                FourCc(kind)
            ))));
        }
        Some(Ok(Self { kind, offset, header_len, len }))
    }
}

/// A box in memory, sharing the bytes it was read into.
#[derive(Clone)]
pub(super) struct Mp4Box {
    pub(super) kind: [u8; 4],
    /// Offset in the file of the first byte of the header.
    pub(super) offset: u64,
    /// The whole box, header included.
    pub(super) bytes: Bytes,
    pub(super) payload: Bytes,
    /// How many boxes may be around each other in this one.
    depth: u64,
    /// How many may be in all, for messages.
    max_depth: u64,
}

impl Mp4Box {
    /// Reads a whole box of the file into memory.
    pub(super) fn load(source: &mut Source, header: BoxHeader, limits: &Limits) -> Result<Self> {
        let kind = FourCc(header.kind);
        let BoxHeader { offset, len, .. } = header;
        if header.end() > source.len() {
            return Err(Error::corrupt_fatal(format!(
                "box {kind} at offset {offset} claims {len} bytes, but the file ends after {} bytes: it is truncated",
                source.len()
            )));
        }
        if len > limits.index_memory {
            limits.check(Limit::IndexMemory, len, format!("box {kind} at offset {offset}"))?;
        }
        let bytes = source.read(offset, len)?;
        if bytes.len() as u64 != len {
            return Err(Error::corrupt_fatal(format!(
                "box {kind} at offset {offset} is cut off: {} of {len} bytes could be read",
                bytes.len()
            )));
        }
        let payload = bytes.slice(header.header_len as usize..);
        let max_depth = limits.box_depth;
        // This one is the first.
        let depth = max_depth.saturating_sub(1);
        Ok(Self { kind: header.kind, offset, payload, bytes, depth, max_depth })
    }

    /// A box that stands alone, such as the sample entry of a track that is copied.
    pub(super) fn from_bytes(bytes: &Bytes) -> Option<Self> {
        let header = BoxHeader::parse(bytes, 0, bytes.len() as u64)?.ok()?;
        if header.len != bytes.len() as u64 {
            return None;
        }
        let payload = bytes.slice(header.header_len as usize..);
        let (depth, max_depth) = (u64::MAX, u64::MAX);
        Some(Self { kind: header.kind, offset: 0, payload, bytes: bytes.clone(), depth, max_depth })
    }

    /// The boxes inside, from `skip` bytes into the payload on.
    pub(super) fn children(&self, skip: usize) -> Children<'_> {
        Children { parent: self, at: skip }
    }

    /// The first child of this type.
    pub(super) fn child(&self, kind: [u8; 4]) -> Result<Option<Mp4Box>> {
        for child in self.children(0) {
            let child = child?;
            if child.kind == kind {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    /// The first child of this type, which must be there.
    pub(super) fn need(&self, kind: [u8; 4]) -> Result<Mp4Box> {
        self.child(kind)?.ok_or_else(|| self.broken(&format!("has no {} box", FourCc(kind))))
    }

    /// Decodes the box with the structure of that crate.
    pub(super) fn decode<T: shiguredo_mp4::Decode>(&self) -> Result<T> {
        T::decode(&self.bytes).map(|(value, _)| value).map_err(|e| {
            let why = if e.reason.is_empty() { "it ends too early" } else { &e.reason };
            self.broken(&format!("cannot be read: {why}"))
        })
    }

    /// Version and flags of a full box.
    pub(super) fn version_flags(&self) -> Result<(u8, u32)> {
        let word =
            be_u32(&self.payload, 0).ok_or_else(|| self.broken("is too short for version and flags"))?;
        Ok(((word >> 24) as u8, word & 0x00FF_FFFF))
    }

    /// The table of fixed-size entries that ends a full box: `count_at` is the payload offset of the entry
    /// count. The count is checked against the bytes that are there before anything is done with it.
    pub(super) fn table(&self, count_at: usize, entry_len: usize) -> Result<Bytes> {
        let count =
            be_u32(&self.payload, count_at).ok_or_else(|| self.broken("is too short for its entry count"))?;
        let room = self.payload.len() - (count_at + 4);
        match (count as usize).checked_mul(entry_len) {
            Some(need) if need <= room => Ok(self.payload.slice(count_at + 4..count_at + 4 + need)),
            _ => Err(self.broken(&format!("claims {count} entries, but has room for {}", room / entry_len))),
        }
    }

    /// There is no memory for what is made of this box.
    pub(super) fn no_memory(&self) -> Error {
        let what = format!("the tables of box {} at offset {}", FourCc(self.kind), self.offset);
        Error::io("keep", what, std::io::ErrorKind::OutOfMemory.into())
    }

    /// An error that names this box.
    pub(super) fn broken(&self, what: &str) -> Error {
        Error::corrupt_fatal(format!("box {} at offset {} {what}", FourCc(self.kind), self.offset))
    }
}

pub(super) struct Children<'a> {
    parent: &'a Mp4Box,
    at: usize,
}

impl Iterator for Children<'_> {
    type Item = Result<Mp4Box>;

    fn next(&mut self) -> Option<Self::Item> {
        step();
        let payload = &self.parent.payload;
        let rest = payload.get(self.at..)?;
        let base = self.parent.offset + (self.parent.bytes.len() - payload.len()) as u64;
        let offset = base + self.at as u64;
        // QuickTime ends some lists with a 32-bit zero; that is no box.
        let header = match BoxHeader::parse(rest, offset, base + payload.len() as u64)? {
            Ok(header) => header,
            Err(e) => {
                self.at = payload.len();
                return Some(Err(e));
            }
        };
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        if len > rest.len() {
            self.at = payload.len();
            return Some(Err(Error::corrupt_fatal(format!(
                "box {} at offset {offset} claims {} bytes, but box {} around it has only {} left",
                FourCc(header.kind),
                header.len,
                FourCc(self.parent.kind),
                rest.len()
            ))));
        }
        let bytes = payload.slice(self.at..self.at + len);
        self.at += len;
        let Mp4Box { depth, max_depth, .. } = *self.parent;
        let Some(depth) = depth.checked_sub(1) else {
            self.at = payload.len();
            return Some(Err(Error::LimitExceeded {
                limit: Limit::BoxDepth,
                wanted: max_depth.saturating_add(1),
                allowed: max_depth,
                what: format!("box {} at offset {offset}", FourCc(header.kind)),
            }));
        };
        let payload = bytes.slice(header.header_len as usize..);
        Some(Ok(Mp4Box { kind: header.kind, offset, payload, bytes, depth, max_depth }))
    }
}

/// Big-endian 16 bits at `at`.
pub(super) fn be_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Big-endian 32 bits at `at`.
pub(super) fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Big-endian 64 bits at `at`.
pub(super) fn be_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
