//! From chunks of a byte stream to one unit per frame.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use memchr::memmem;

use super::annexb::{START_CODE, trim_padding};
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::packet::PictureType;

mod boundary;

use boundary::{Boundary, Grouping};

/// All NAL units of one frame.
///
/// In H.264 the two fields of a frame are two access units (7.4.1.2.3), but containers, timestamps and
/// decoders count frames: both fields of a complementary pair are in one unit here. A field without a
/// partner is a unit of its own. In H.265 a field is a picture with a unit of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessUnit {
    /// The NAL units with the start codes they came with, without padding at the end.
    pub data: Bytes,
    /// Byte offset of `data` in the stream.
    pub offset: u64,
    /// Whether it holds a picture at which decoding can start: IDR in H.264, IRAP (IDR, CRA, BLA) in H.265.
    pub keyframe: bool,
    /// Whether a recovery point SEI message says that decoding may start here, with correct pictures after a
    /// number of frames (H.264 only; always false for H.265, which has CRA pictures for that).
    pub recovery_point: bool,
    /// Whether it holds a picture; parameter sets alone at the end of a stream do not make one.
    pub has_picture: bool,
    /// Coding type, where it could be read: over all slices in H.264, of the first slice in H.265.
    pub picture_type: Option<PictureType>,
}

/// What is known of the unit being gathered.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    keyframe: bool,
    recovery_point: bool,
    has_picture: bool,
    picture_type: Option<PictureType>,
}

impl Facts {
    fn merge(&mut self, other: Self) {
        self.keyframe |= other.keyframe;
        self.recovery_point |= other.recovery_point;
        self.has_picture |= other.has_picture;
        self.picture_type = join_types(self.picture_type, other.picture_type);
    }
}

/// Type of a picture with slices of both types.
fn join_types(a: Option<PictureType>, b: Option<PictureType>) -> Option<PictureType> {
    let rank = |t: &PictureType| match t {
        PictureType::I => 0,
        PictureType::P => 1,
        PictureType::B => 2,
        // An IDR field and the P field that completes its frame are an IDR frame.
        PictureType::Idr => 3,
    };
    a.into_iter().chain(b).max_by_key(rank)
}

/// A NAL unit whose end has not been seen.
#[derive(Clone, Copy, Debug)]
struct OpenNal {
    /// Start of its start code.
    code_at: u64,
    /// First byte of the unit.
    header_at: u64,
    /// Whether it is known to which unit it belongs.
    classified: bool,
}

/// Cuts a byte stream (Annex B) into [`AccessUnit`]s.
///
/// Give it the stream in chunks of any size; the units do not depend on how it was cut. A unit is released
/// as soon as the first bytes of the next one are there, and the last one by [`Self::finish`]. Bytes before
/// the first start code are skipped.
#[derive(Debug)]
pub struct AccessUnitAssembler {
    finder: memmem::Finder<'static>,
    grouping: Grouping,
    /// Bytes of the stream; those in front of `head` are spent. `offset` is where byte `head` lies in the stream. All
    /// positions below are stream offsets, so that taking a unit off the front moves none of them.
    buffer: Vec<u8>,
    head: usize,
    offset: u64,
    /// Units above this size are refused.
    most: u64,
    /// Start of the unit being gathered.
    unit_at: u64,
    /// No start code that is not yet known begins before this.
    scanned: u64,
    open: Option<OpenNal>,
    facts: Facts,
    /// Start of NAL units that come after a picture and begin the next unit, unless the next slice turns
    /// out to continue the frame; and what they say.
    undecided: Option<(u64, Facts)>,
    /// The unit being gathered is over the limit.
    discarding: bool,
    error: Option<Error>,
    ready: VecDeque<AccessUnit>,
}

/// How much of a chunk is looked at in one step.
const STEP: usize = 64 * 1024;

impl AccessUnitAssembler {
    /// Units above this size are refused: 64 MiB, more than an 8K picture of raw 8-bit 4:2:0 samples.
    pub const MAX_UNIT_BYTES: u64 = 64 * 1024 * 1024;

    /// At the start of a stream of this codec.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for codecs without NAL units.
    pub fn new(codec: Codec) -> Result<Self> {
        let grouping = match codec {
            Codec::H264 => Grouping::H264(boundary::H264::default()),
            Codec::Hevc => Grouping::Hevc(boundary::Hevc::default()),
            other => {
                return Err(Error::Unsupported {
                    feature: format!("{other} as a raw byte stream"),
                    remedy: "use IVF, MP4 or another container".into(),
                });
            }
        };
        Ok(Self {
            finder: memmem::Finder::new(&START_CODE),
            grouping,
            buffer: Vec::new(),
            head: 0,
            offset: 0,
            most: Self::MAX_UNIT_BYTES,
            unit_at: 0,
            scanned: 0,
            open: None,
            facts: Facts::default(),
            undecided: None,
            discarding: false,
            error: None,
            ready: VecDeque::new(),
        })
    }

    /// Refuses units above `bytes` instead of [`Self::MAX_UNIT_BYTES`], where that is less.
    #[must_use]
    pub fn with_largest_unit(mut self, bytes: u64) -> Self {
        self.most = bytes.min(Self::MAX_UNIT_BYTES);
        self
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] (recoverable) when a unit exceeds [`Self::MAX_UNIT_BYTES`]. It is dropped,
    /// all of `chunk` has been taken nevertheless, and the units around it come out as usual. [`Error::Io`] when there is
    /// no memory for the chunk or for a unit, which are lost then.
    pub fn push(&mut self, chunk: &[u8]) -> Result<()> {
        for step in chunk.chunks(STEP) {
            self.buffer.try_reserve(step.len()).map_err(|_| no_memory("a chunk of the stream"))?;
            self.buffer.extend_from_slice(step);
            self.scan();
        }
        self.error.take().map_or(Ok(()), Err)
    }

    /// The next complete unit, in stream order.
    pub fn next_unit(&mut self) -> Option<AccessUnit> {
        self.ready.pop_front()
    }

    /// Whether [`Self::next_unit`] has a unit to give.
    pub fn has_unit(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Ends the stream: what is left becomes the last unit. A new stream may follow; parameter sets are
    /// remembered.
    pub fn finish(&mut self) {
        let end = self.end();
        if self.open.is_some() {
            self.close_nal(end);
            if let Some((at, _)) = self.undecided {
                self.split(at);
            }
            self.split(end);
            self.grouping.begin_unit();
        }
        self.offset = end;
        self.scanned = end;
        self.buffer.clear();
        self.head = 0;
        self.open = None;
    }

    /// Stream offset behind the last byte taken.
    fn end(&self) -> u64 {
        self.offset + self.live().len() as u64
    }

    /// The bytes from `offset` on.
    fn live(&self) -> &[u8] {
        self.buffer.get(self.head..).unwrap_or(&[])
    }

    /// Forgets `count` bytes at the front. Memory is given back when as much is spent as is left, so that each byte is
    /// moved once.
    fn spend(&mut self, count: usize) {
        self.head = self.head.saturating_add(count).min(self.buffer.len());
        if self.head >= STEP && self.head >= self.buffer.len() / 2 {
            self.buffer.drain(..self.head);
            self.head = 0;
        }
    }

    /// The buffered bytes from stream offset `from` on; empty when they are gone or not there yet.
    fn bytes_from(&self, from: u64) -> &[u8] {
        let index = from.checked_sub(self.offset).and_then(|i| usize::try_from(i).ok());
        index.and_then(|i| self.live().get(i..)).unwrap_or(&[])
    }

    fn drop_before(&mut self, at: u64) {
        let count = (at.saturating_sub(self.offset) as usize).min(self.live().len());
        self.spend(count);
        self.offset += count as u64;
    }

    /// Looks at the bytes that were not looked at before.
    fn scan(&mut self) {
        while let Some(found) = self.finder.find(self.bytes_from(self.scanned)) {
            let code = self.scanned + found as u64;
            // A NAL unit cannot end in a zero, so a zero before the start code is part of it.
            let first = self.open.map_or(self.offset, |open| open.header_at);
            let zero_before = code > first && self.bytes_from(code - 1).first() == Some(&0);
            let code_at = if zero_before { code - 1 } else { code };
            if self.open.is_some() {
                self.close_nal(code_at);
            } else {
                self.drop_before(code_at);
                self.unit_at = code_at;
            }
            let header_at = code + START_CODE.len() as u64;
            self.open = Some(OpenNal { code_at, header_at, classified: false });
            self.scanned = header_at;
        }
        // The last two bytes may be the beginning of a start code.
        self.scanned = self.scanned.max(self.end().saturating_sub(START_CODE.len() as u64 - 1));
        self.classify(None);
        let keep = match self.open {
            Some(open) if !open.classified => {
                self.enforce_limit(open.code_at);
                open.code_at
            }
            Some(_) => {
                self.enforce_limit(self.scanned);
                self.scanned.saturating_sub(1)
            }
            None => self.scanned.saturating_sub(1),
        };
        if self.open.is_none() || self.discarding {
            self.drop_before(self.undecided.map_or(keep, |(at, _)| at.min(keep)));
        }
    }

    /// Finds out to which unit the open NAL unit belongs, once enough of it is there. `end` is its end,
    /// where known.
    fn classify(&mut self, end: Option<u64>) {
        let Some(open) = self.open.filter(|open| !open.classified) else { return };
        let start = open.header_at.saturating_sub(self.offset) as usize;
        let live = self.buffer.get(self.head..).unwrap_or(&[]);
        let until = end.map_or(live.len(), |end| end.saturating_sub(self.offset) as usize);
        let bytes = live.get(start..until).unwrap_or(&[]);
        let Some(&first) = bytes.first() else { return };
        let wanted = self.grouping.bytes_to_classify(first);
        // Until a byte further was searched, the last one wanted may be the zero of a start code.
        if end.is_none() && self.scanned < open.header_at + wanted as u64 + 1 {
            return;
        }
        let head = bytes.get(..wanted).unwrap_or(bytes);
        let (boundary, facts) = self.grouping.classify(head);
        self.open = Some(OpenNal { classified: true, ..open });
        match boundary {
            Boundary::Within => {}
            Boundary::MayBegin => self.undecided = self.undecided.or(Some((open.code_at, Facts::default()))),
            Boundary::Begins => {
                let at = self.undecided.map_or(open.code_at, |(at, _)| at);
                self.split(at);
            }
            Boundary::Continues => {
                if let Some((_, facts)) = self.undecided.take() {
                    self.facts.merge(facts);
                }
            }
        }
        self.current_facts().merge(facts);
    }

    /// The facts of the unit to which what comes now belongs, as far as is known.
    fn current_facts(&mut self) -> &mut Facts {
        match &mut self.undecided {
            Some((_, facts)) => facts,
            None => &mut self.facts,
        }
    }

    /// The open NAL unit ends at `end`.
    fn close_nal(&mut self, end: u64) {
        self.classify(Some(end));
        self.enforce_limit(end);
        if let Some(open) = self.open.take().filter(|_| !self.discarding) {
            let index = (open.header_at.saturating_sub(self.offset)) as usize;
            let until = (end.saturating_sub(self.offset)) as usize;
            let live = self.buffer.get(self.head..).unwrap_or(&[]);
            let nal = trim_padding(live.get(index..until).unwrap_or(&[]));
            let recovery_point = self.grouping.take_contents(nal);
            self.current_facts().recovery_point |= recovery_point;
        }
    }

    /// Applies the size limit to a unit that reaches at least up to `certain`.
    fn enforce_limit(&mut self, certain: u64) {
        if certain.saturating_sub(self.unit_at) <= self.most {
            return;
        }
        if let Some((at, _)) = self.undecided {
            self.split(at);
            self.grouping.begin_unit();
            self.enforce_limit(certain);
        } else if !self.discarding {
            self.discarding = true;
            self.error.get_or_insert_with(|| {
                Error::corrupt(format!(
                    "access unit at byte {} is longer than {} bytes; it is dropped",
                    self.unit_at, self.most
                ))
            });
        }
    }

    /// Ends the unit being gathered at `at`, where the next one begins.
    fn split(&mut self, at: u64) {
        let live = self.live();
        let length = (at.saturating_sub(self.offset) as usize).min(live.len());
        let data = copied(trim_padding(live.get(..length).unwrap_or(live)));
        self.spend(length);
        let facts =
            std::mem::replace(&mut self.facts, self.undecided.take().map_or(Facts::default(), |u| u.1));
        let data = data.unwrap_or_else(|error| {
            self.error.get_or_insert(error);
            Bytes::new()
        });
        if !self.discarding && !data.is_empty() {
            self.ready.push_back(AccessUnit {
                data,
                offset: self.unit_at,
                keyframe: facts.keyframe,
                recovery_point: facts.recovery_point,
                has_picture: facts.has_picture,
                picture_type: facts.picture_type,
            });
        }
        self.discarding = false;
        self.offset = at;
        self.unit_at = at;
    }
}

/// A unit in memory of its own, which lives no longer than the unit.
fn copied(data: &[u8]) -> Result<Bytes> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(data.len()).map_err(|_| no_memory("an access unit"))?;
    copy.extend_from_slice(data);
    Ok(copy.into())
}

fn no_memory(what: &str) -> Error {
    Error::io("keep", what, io::ErrorKind::OutOfMemory.into())
}
