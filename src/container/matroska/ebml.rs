//! Elements of EBML (RFC 8794) in memory, whose sizes are not trusted.

use bytes::Bytes;

use crate::error::{Error, Result};

/// Header of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u32,
    /// Bytes of ID and size.
    pub(super) len: usize,
    /// Bytes of the content; `None` where it ends with what cannot be part of it.
    pub(super) size: Option<u64>,
}

/// Longest ID and size in bytes.
pub(super) const MAX_HEADER: usize = 4 + 8;

impl Header {
    /// Reads the header at the start of `bytes`; `None` for what is none or is cut off.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let id_len = first.leading_zeros() as usize + 1;
        if id_len > 4 {
            return None;
        }
        let id = bytes.get(..id_len)?.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
        let (size, size_len) = vint(bytes.get(id_len..)?)?;
        let unknown = size == (1 << (7 * size_len)) - 1;
        Some(Self { id, len: id_len + size_len, size: (!unknown).then_some(size) })
    }
}

/// A number of 1 to 8 bytes whose first byte marks its length, without that mark; and its length.
pub(super) fn vint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = first.leading_zeros() as usize + 1;
    if len > 8 {
        return None;
    }
    let whole = bytes.get(..len)?.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    Some((whole & ((1 << (7 * len)) - 1), len))
}

/// An element in memory, sharing the bytes it was read into.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) id: u32,
    pub(super) data: Bytes,
    /// Header included.
    pub(super) whole: Bytes,
}

impl Element {
    /// An unsigned integer (7.2): big-endian, of up to 8 bytes, none being zero.
    pub(super) fn uint(&self) -> Result<u64> {
        if self.data.len() > 8 {
            return Err(self.broken("is an integer of more than 8 bytes"));
        }
        Ok(self.data.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A signed integer (7.1).
    pub(super) fn int(&self) -> Result<i64> {
        let unsigned = self.uint()?;
        let unused = 64 - 8 * self.data.len() as u32;
        // Shifted to the top and back, the sign fills what was not there.
        Ok(if unused == 64 { 0 } else { (unsigned << unused) as i64 >> unused })
    }

    /// A float (7.3) of none, 4 or 8 bytes.
    pub(super) fn float(&self) -> Result<f64> {
        match self.data.len() {
            0 => Ok(0.0),
            4 => Ok(f32::from_bits(self.uint()? as u32).into()),
            8 => Ok(f64::from_bits(self.uint()?)),
            len => Err(self.broken(&format!("is a float of {len} bytes"))),
        }
    }

    /// A string (7.4 and 7.5), which ends with a zero where there is one.
    pub(super) fn text(&self) -> String {
        let text = self.data.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// The elements inside.
    pub(super) fn children(&self) -> Children {
        Children::new(self.data.clone())
    }

    /// An error that names this element.
    pub(super) fn broken(&self, what: &str) -> Error {
        Error::corrupt_fatal(format!("Matroska element {:X} {what}", self.id))
    }
}

/// Walks over the elements of a master in memory.
pub(super) struct Children {
    rest: Bytes,
}

impl Children {
    pub(super) fn new(data: Bytes) -> Self {
        Self { rest: data }
    }
}

impl Iterator for Children {
    type Item = Result<Element>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let left = self.rest.len();
        let broken = |what: String| {
            Some(Err(Error::corrupt_fatal(format!("a Matroska element with {left} bytes left {what}"))))
        };
        let Some(header) = Header::parse(&self.rest) else {
            self.rest.clear();
            return broken("has no readable header".to_owned());
        };
        // Only segments and clusters may leave their size open.
        let end = header.size.and_then(|size| usize::try_from(size).ok()?.checked_add(header.len));
        let Some(end) = end.filter(|end| *end <= left) else {
            self.rest.clear();
            return broken(format!("({:X}) claims more than that", header.id));
        };
        let whole = self.rest.split_to(end);
        Some(Ok(Element { id: header.id, data: whole.slice(header.len..), whole }))
    }
}

/// An ID as it is written.
fn put_id(out: &mut Vec<u8>, id: u32) {
    let bytes = id.to_be_bytes();
    let unused = (id.leading_zeros() / 8) as usize;
    out.extend_from_slice(bytes.get(unused..).unwrap_or_default());
}

/// A size in as few bytes as hold it.
fn put_size(out: &mut Vec<u8>, size: u64) {
    // All ones say that the size is not known.
    let len = (1..8).find(|len| size < (1 << (7 * len)) - 1).unwrap_or(8);
    let marked = size | 1 << (7 * len);
    out.extend_from_slice(marked.to_be_bytes().get(8 - len as usize..).unwrap_or_default());
}

/// Size of segments and clusters that end where they end.
pub(super) const UNKNOWN_SIZE: [u8; 8] = [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// Elements that are written.
pub(super) trait Put {
    /// The header of an element whose content of `size` bytes follows.
    fn header(&mut self, id: u32, size: u64);
    /// The header of an element that ends where it ends; its size can be filled in, in the last 8 bytes.
    fn open_header(&mut self, id: u32);
    fn bytes(&mut self, id: u32, content: &[u8]);
    fn master(&mut self, id: u32, content: impl FnOnce(&mut Vec<u8>));
    fn uint(&mut self, id: u32, value: u64);
    fn float(&mut self, id: u32, value: f64);
}

impl Put for Vec<u8> {
    fn header(&mut self, id: u32, size: u64) {
        put_id(self, id);
        put_size(self, size);
    }

    fn open_header(&mut self, id: u32) {
        put_id(self, id);
        self.extend_from_slice(&UNKNOWN_SIZE);
    }

    fn bytes(&mut self, id: u32, content: &[u8]) {
        self.header(id, content.len() as u64);
        self.extend_from_slice(content);
    }

    fn master(&mut self, id: u32, content: impl FnOnce(&mut Vec<u8>)) {
        let mut inside = Vec::new();
        content(&mut inside);
        self.bytes(id, &inside);
    }

    fn uint(&mut self, id: u32, value: u64) {
        let unused = (value.leading_zeros() / 8).min(7) as usize;
        self.bytes(id, value.to_be_bytes().get(unused..).unwrap_or_default());
    }

    fn float(&mut self, id: u32, value: f64) {
        self.bytes(id, &value.to_bits().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_length_are_read_and_written() {
        for (id, size) in [(0xA3, 0), (0xA3, 126), (0xA3, 127), (0x4286, 16_382), (0x2A_D7B1, 1 << 40)] {
            let mut out = Vec::new();
            out.header(id, size);
            assert_eq!(Header::parse(&out), Some(Header { id, len: out.len(), size: Some(size) }));
            for end in 0..out.len() {
                assert_eq!(Header::parse(&out[..end]), None);
            }
        }
        let mut out = Vec::new();
        out.open_header(0x1F43_B675);
        assert_eq!(Header::parse(&out), Some(Header { id: 0x1F43_B675, len: 12, size: None }));
        assert_eq!(Header::parse(&[0xA3, 0xff]).unwrap().size, None);
        assert_eq!(Header::parse(&[0, 0x81]), None);
    }

    #[test]
    fn numbers_come_back_with_their_signs() {
        let element = |data: &'static [u8]| Element { id: 1, data: data.into(), whole: Bytes::new() };
        assert_eq!(element(&[]).int().unwrap(), 0);
        assert_eq!(element(&[0xff]).int().unwrap(), -1);
        assert_eq!(element(&[0, 0xff]).int().unwrap(), 255);
        assert!(element(&[0; 9]).uint().is_err());
        let mut out = Vec::new();
        out.uint(0xD7, 0);
        out.uint(0xD7, 1 << 33);
        out.float(0x4489, -1.5);
        let values: Vec<_> = Children::new(out.into()).map(Result::unwrap).collect();
        assert_eq!([values[0].uint().unwrap(), values[1].uint().unwrap()], [0, 1 << 33]);
        assert!((values[2].float().unwrap() + 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_child_that_claims_too_much_is_an_error_and_the_last() {
        let mut children = Children::new(Bytes::from_static(&[0xD7, 0x81, 1, 0xD7, 0x88, 1]));
        assert!(children.next().unwrap().is_ok());
        assert!(children.next().unwrap().is_err());
        assert!(children.next().is_none());
    }
}
