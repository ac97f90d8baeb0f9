//! Raw streams of AV1: open bitstream units one after the other (the low-overhead format, section 5.2 of the AV1
//! specification), or with the lengths of Annex B around them. There are no times: a sample is one temporal unit, which
//! is one shown frame, in the low-overhead format.

use std::collections::VecDeque;
use std::io::{self, Read, Seek};
use std::path::PathBuf;

use bytes::Bytes;

use crate::bitstream::StreamInfo;
use crate::bitstream::av1::{self, OBU_FRAME, OBU_FRAME_HEADER, OBU_TEMPORAL_DELIMITER, Obu, read_leb128};
use crate::codec::Codec;
use crate::container::elementary::{GoTo, goes_to};
use crate::container::{ContainerFormat, Demuxer, Track, TrackId, TrackKind, VideoTrack};
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::packet::BitstreamLayout;
use crate::packet::Packet;
use crate::stream_io::read_some;
use crate::time::{Rational, TimeBase, Timestamp};

const TRACK: TrackId = TrackId(1);
/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;
/// How far the first sequence header may lie behind the start of the stream.
const MAX_LEADING_BYTES: u64 = 64 * 1024 * 1024;
/// Longest `leb128()`.
const LEB128: usize = 8;

/// How units follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each states its size; a temporal delimiter begins the next temporal unit.
    LowOverhead,
    /// Lengths around temporal units, frame units and OBUs.
    AnnexB,
}

/// Which framing of AV1 a stream begins with, if it does: a temporal delimiter and then a plausible unit.
pub(super) fn recognise(head: &[u8]) -> Option<Framing> {
    // obu_has_size_field is set, the extension flag is not.
    if head.starts_with(&[OBU_TEMPORAL_DELIMITER << 3 | 2, 0])
        && head.get(2).is_some_and(|h| begins(*h, true))
    {
        return Some(Framing::LowOverhead);
    }
    let (unit, a) = read_leb128(head)?;
    let (frame, b) = read_leb128(head.get(a..)?)?;
    let (delimiter, c) = read_leb128(head.get(a + b..)?)?;
    let at = a + b + c;
    let is_delimiter = match delimiter {
        1 => head.get(at)? & 0xfb == OBU_TEMPORAL_DELIMITER << 3,
        2 => head.get(at..at + 2)? == [OBU_TEMPORAL_DELIMITER << 3 | 2, 0],
        _ => false,
    };
    let rest = head.get(at + delimiter as usize..)?;
    let (_, d) = read_leb128(rest)?;
    let fits = u64::from(frame) + b as u64 <= u64::from(unit);
    (is_delimiter && fits && begins(*rest.get(d)?, false)).then_some(Framing::AnnexB)
}

/// Whether a unit with this header may follow the first temporal delimiter: a sequence header, as a rule.
fn begins(header: u8, sized: bool) -> bool {
    let forbidden = header & 0x81 != 0;
    !forbidden && (!sized || header & 2 != 0) && matches!(header >> 3, 1 | 5 | 15)
}

/// Reads a raw stream of AV1, one sample per temporal unit.
pub(super) struct ObuDemuxer<R> {
    reader: R,
    path: PathBuf,
    framing: Framing,
    limits: Limits,
    buffer: Vec<u8>,
    /// Where the unit at hand begins in the buffer, how much of it is known to belong to it, and whether that holds a frame.
    start: usize,
    known: usize,
    has_frame: bool,
    /// Where `start` lies in the stream.
    offset: u64,
    /// Units read to describe the track, and where each begins.
    ahead: VecDeque<(u64, Bytes)>,
    tracks: [Track; 1],
    enabled: bool,
    ended: bool,
    /// How the source goes to a byte, where it can.
    go: Option<GoTo<R>>,
    /// Where the unit given last begins.
    last: Option<u64>,
}

impl<R: Read + Seek + Send> ObuDemuxer<R> {
    /// As [`Self::new`], from the first byte of a source that can go back.
    pub(super) fn seekable(
        mut reader: R,
        path: impl Into<PathBuf>,
        framing: Framing,
        limits: Limits,
    ) -> Result<Self> {
        let go = goes_to(&mut reader);
        Ok(Self { go, ..Self::new(reader, path, framing, limits)? })
    }
}

impl<R: Read + Send> ObuDemuxer<R> {
    /// Reads up to the first sequence header, to describe the track; `path` is named in errors.
    pub(super) fn new(reader: R, path: impl Into<PathBuf>, framing: Framing, limits: Limits) -> Result<Self> {
        let mut demuxer = Self {
            reader,
            path: path.into(),
            framing,
            limits,
            buffer: Vec::new(),
            start: 0,
            known: 0,
            has_frame: false,
            offset: 0,
            ahead: VecDeque::new(),
            tracks: [track(None)],
            enabled: true,
            ended: false,
            go: None,
            last: None,
        };
        while demuxer.offset < MAX_LEADING_BYTES
            && let Some((at, unit)) = demuxer.next_unit()?
        {
            let waiting = demuxer.ahead.len() as u64 + 1;
            if waiting > demuxer.limits.waiting_units {
                let what =
                    format!("{}: pictures in front of the first sequence header", demuxer.path.display());
                demuxer.limits.check(Limit::WaitingUnits, waiting, what)?;
            }
            let info = StreamInfo::from_unit(Codec::Av1, BitstreamLayout::Obu, &unit);
            demuxer.ahead.push_back((at, unit));
            if let Ok(Some(info)) = info {
                demuxer.tracks = [track(Some(&info))];
                return Ok(demuxer);
            }
        }
        Err(Error::corrupt_fatal(format!(
            "{}: no AV1 picture with its sequence header in the first {} bytes",
            demuxer.path.display(),
            demuxer.offset
        )))
    }

    /// The next temporal unit with a frame in it, and where it begins.
    fn next_unit(&mut self) -> Result<Option<(u64, Bytes)>> {
        loop {
            let at = self.offset;
            let cut = match self.framing {
                Framing::LowOverhead => self.cut_at_delimiter()?,
                Framing::AnnexB => self.cut_by_length()?,
            };
            match cut {
                Cut::Unit(Some(unit)) => return Ok(Some((at, unit))),
                // Without a frame.
                Cut::Unit(None) => {}
                Cut::More if !self.ended => self.read()?,
                Cut::More => return Ok(self.rest()?.map(|unit| (at, unit))),
            }
        }
    }

    /// What is left at the end of the stream.
    fn rest(&mut self) -> Result<Option<Bytes>> {
        let (known, left) = (self.known, self.live().len());
        if known > 0 && self.has_frame {
            return self.take(known).map(Some);
        }
        self.skip(known);
        if left == known {
            return Ok(None);
        }
        self.skip(left - known);
        Err(self.broken("the last unit is cut off"))
    }

    fn live(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or(&[])
    }

    fn skip(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
        (self.known, self.has_frame) = (0, false);
    }

    /// Takes so many bytes off the front.
    fn take(&mut self, bytes: usize) -> Result<Bytes> {
        let unit = self.live().get(..bytes).unwrap_or_default();
        let mut copy = Vec::new();
        copy.try_reserve_exact(unit.len()).map_err(|_| self.no_memory())?;
        copy.extend_from_slice(unit);
        self.skip(bytes);
        Ok(copy.into())
    }

    fn read(&mut self) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        self.buffer.try_reserve(CHUNK).map_err(|_| self.no_memory())?;
        self.buffer.resize(held + CHUNK, 0);
        let room = self.buffer.get_mut(held..).unwrap_or_default();
        let got = read_some(&mut self.reader, room);
        self.buffer.truncate(held + *got.as_ref().unwrap_or(&0));
        self.ended = got.map_err(|e| Error::io("read", &self.path, e))? == 0;
        Ok(())
    }

    fn check_size(&self, bytes: u64) -> Result<()> {
        if bytes <= self.limits.packet_bytes {
            return Ok(());
        }
        let what = format!("{}: the temporal unit at byte {}", self.path.display(), self.offset);
        self.limits.check(Limit::PacketBytes, bytes, what)
    }

    /// Goes from OBU to OBU up to the next temporal delimiter.
    fn cut_at_delimiter(&mut self) -> Result<Cut> {
        loop {
            let rest = self.live().get(self.known..).unwrap_or(&[]);
            let Some(&header) = rest.first() else { return Ok(Cut::More) };
            if header & 0x80 != 0 || header & 2 == 0 {
                let at = self.offset + self.known as u64;
                self.ended = true;
                return Err(self.broken(&format!("what begins at byte {at} is no OBU with a size")));
            }
            let kind = header >> 3 & 15;
            if kind == OBU_TEMPORAL_DELIMITER && self.known > 0 {
                return Ok(Cut::Unit(if self.has_frame {
                    Some(self.take(self.known)?)
                } else {
                    self.skip(self.known);
                    None
                }));
            }
            let before_size = 1 + usize::from(header >> 2 & 1);
            let size = rest.get(before_size..).unwrap_or(&[]);
            let Some((size, length)) = read_leb128(size) else {
                if size.len() < LEB128 {
                    return Ok(Cut::More);
                }
                self.ended = true;
                return Err(self.broken("the size of an OBU is not valid"));
            };
            let whole = (before_size + length) as u64 + u64::from(size);
            self.check_size(self.known as u64 + whole)?;
            if whole > rest.len() as u64 {
                return Ok(Cut::More);
            }
            self.known += whole as usize;
            self.has_frame |= matches!(kind, OBU_FRAME | OBU_FRAME_HEADER);
        }
    }

    /// Takes a whole `temporal_unit(sz)` and brings it to the low-overhead format.
    fn cut_by_length(&mut self) -> Result<Cut> {
        let live = self.live();
        let Some((size, length)) = read_leb128(live) else {
            if live.len() < LEB128 {
                return Ok(Cut::More);
            }
            self.ended = true;
            return Err(self.broken("the length of a temporal unit is not valid"));
        };
        self.check_size(size.into())?;
        let whole = length + size as usize;
        let Some(unit) = live.get(length..whole) else { return Ok(Cut::More) };
        let converted = low_overhead(unit);
        let converted = converted.map_err(|error| match error {
            Broken::Memory => self.no_memory(),
            Broken::Length => self.broken("a length in the temporal unit reaches past its end"),
        });
        self.skip(whole);
        let unit = converted?;
        let frame = |obu: Result<Obu>| obu.is_ok_and(|obu| matches!(obu.kind, OBU_FRAME | OBU_FRAME_HEADER));
        Ok(Cut::Unit(av1::obus(&unit).any(frame).then(|| unit.into())))
    }

    fn broken(&self, what: &str) -> Error {
        Error::corrupt(format!("{}: AV1 temporal unit at byte {}: {what}", self.path.display(), self.offset))
    }

    fn no_memory(&self) -> Error {
        Error::io("read", &self.path, io::ErrorKind::OutOfMemory.into())
    }
}

enum Cut {
    /// A temporal unit, or `None` for one without a frame.
    Unit(Option<Bytes>),
    /// More of the stream has to be there.
    More,
}

enum Broken {
    Length,
    Memory,
}

/// The OBUs of a temporal unit of Annex B, each with a size field.
fn low_overhead(unit: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut out = Vec::new();
    let mut frames = unit;
    while !frames.is_empty() {
        let mut frame = split(&mut frames)?;
        while !frame.is_empty() {
            let obu = split(&mut frame)?;
            let Some(&header) = obu.first() else { continue };
            out.try_reserve(obu.len() + LEB128).map_err(|_| Broken::Memory)?;
            if header & 2 != 0 {
                out.extend_from_slice(obu);
                continue;
            }
            let fixed = (1 + usize::from(header >> 2 & 1)).min(obu.len());
            let (fixed, payload) = obu.split_at(fixed);
            out.push(header | 2);
            out.extend_from_slice(fixed.get(1..).unwrap_or(&[]));
            let mut size = payload.len();
            while size > 0x7f {
                out.push(size as u8 | 0x80);
                size >>= 7;
            }
            out.push(size as u8);
            out.extend_from_slice(payload);
        }
    }
    Ok(out)
}

/// Takes what a length in front of it says off the front of `data`.
fn split<'a>(data: &mut &'a [u8]) -> Result<&'a [u8], Broken> {
    let (size, length) = read_leb128(data).ok_or(Broken::Length)?;
    let rest = data.get(length..).ok_or(Broken::Length)?;
    let (part, rest) = rest.split_at_checked(size as usize).ok_or(Broken::Length)?;
    *data = rest;
    Ok(part)
}

impl<R: Read + Send> Demuxer for ObuDemuxer<R> {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::ElementaryStream
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        if !self.enabled {
            return Ok(None);
        }
        let unit = match self.ahead.pop_front() {
            Some(unit) => Some(unit),
            None => self.next_unit()?,
        };
        self.last = unit.as_ref().map(|(at, _)| *at);
        let [track] = &self.tracks;
        Ok(unit.map(|(_, data)| Packet { keyframe: av1::is_keyframe(&data), ..track.packet(data) }))
    }

    fn select_tracks(&mut self, tracks: &[TrackId]) {
        self.enabled = tracks.contains(&TRACK);
    }

    /// Never possible: without times there is nothing to seek to.
    fn seek(&mut self, _: TrackId, _: Timestamp) -> Result<bool> {
        Ok(false)
    }

    fn position(&self) -> Option<u64> {
        self.last.filter(|_| self.go.is_some())
    }

    fn resume(&mut self, track: TrackId, position: u64) -> Result<bool> {
        let (Some(go), true) = (self.go, track == TRACK) else { return Ok(false) };
        go(&mut self.reader, position).map_err(|e| Error::io("read", &self.path, e))?;
        self.buffer.clear();
        self.ahead.clear();
        (self.start, self.known, self.has_frame) = (0, 0, false);
        (self.offset, self.ended) = (position, false);
        Ok(true)
    }
}

/// The one track; `None` while nothing is known.
fn track(info: Option<&StreamInfo>) -> Track {
    let rate = info.and_then(|info| info.frame_rate).or(Rational::new(25, 1)).unwrap_or(Rational::ONE);
    Track {
        id: TRACK,
        kind: TrackKind::Video,
        time_base: TimeBase::from_frame_rate(rate),
        codec_name: Codec::Av1.name().into(),
        language: None,
        duration: None,
        sample_count: None,
        video: info.map(|info| VideoTrack {
            color: info.color,
            sample_aspect_ratio: info.sample_aspect_ratio,
            frame_rate: info.frame_rate,
            hdr: info.hdr,
            ..VideoTrack::new(Codec::Av1, BitstreamLayout::Obu, info.dimensions)
        }),
        copy: None,
    }
}
