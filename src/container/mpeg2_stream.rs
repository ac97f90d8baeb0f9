//! Raw streams of MPEG-2 video (ISO/IEC 13818-2): pictures after start codes, without times. A sample is one frame with
//! the headers in front of it; of a frame in two fields it holds both.

use std::collections::{TryReserveError, VecDeque};
use std::io::{Read, Seek};
use std::path::PathBuf;

use bytes::Bytes;

use crate::bitstream::annexb::find_start_code;
use crate::buffered::PageBytes;
use crate::codec::Codec;
use crate::container::elementary::{GoTo, goes_to};
use crate::container::{ContainerFormat, Demuxer, Track, TrackId, TrackKind, VideoTrack};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::packet::BitstreamLayout;
use crate::packet::Packet;
use crate::stream_io::read_some;
use crate::time::{Rational, TimeBase, Timestamp};

const TRACK: TrackId = TrackId(1);
/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;
/// Bytes of one frame above which it is none: uncompressed pictures of the largest size are smaller.
const MAX_UNIT: usize = 64 * 1024 * 1024;
/// Bytes from a start code on that tell all that is looked at here.
const HEAD: usize = 7;

// Start codes (6.2.1). Slices are 1 to 0xaf.
const PICTURE: u8 = 0;
const SEQUENCE: u8 = 0xb3;
const EXTENSION: u8 = 0xb5;
const GROUP: u8 = 0xb8;
/// `picture_structure` of a whole frame.
const FRAME: u8 = 3;

/// A frame of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) data: Bytes,
    pub(super) keyframe: bool,
    /// Where it begins in the stream.
    pub(super) offset: u64,
}

/// Cuts a stream into frames.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    buffer: Vec<u8>,
    /// Where the frame at hand begins: what is before has been given out.
    start: usize,
    /// How far the buffer has been looked through.
    searched: usize,
    frame: Frame,
    /// Where the frame at hand begins in the stream.
    offset: u64,
}

/// What the buffer holds of a frame so far.
#[derive(Debug, Default)]
struct Frame {
    /// Pictures: two of them are fields.
    pictures: u32,
    structure: u8,
    /// Slices of the last picture have come: the next picture header begins another.
    slices: bool,
    sequence: bool,
    intra: bool,
}

impl Cutter {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.try_reserve(bytes.len())?;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Bytes taken of frames that are not complete.
    pub(super) fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next whole frame; at the end of the stream also the last.
    pub(super) fn next_unit(&mut self, ended: bool) -> Option<Unit> {
        while let Some(found) = self.buffer.get(self.searched..).and_then(find_start_code) {
            let at = self.searched + found;
            if self.buffer.len() < at + HEAD && !ended {
                self.searched = at;
                return None;
            }
            let byte = |offset: usize| self.buffer.get(at + offset).copied().unwrap_or(0);
            let code = byte(3);
            let frame = &mut self.frame;
            let complete = frame.slices && (frame.structure == FRAME || frame.pictures >= 2);
            match code {
                SEQUENCE | GROUP if frame.slices => return Some(self.cut(at)),
                PICTURE if complete => return Some(self.cut(at)),
                PICTURE => {
                    frame.pictures += 1;
                    frame.slices = false;
                    // MPEG-1 has no extension to say otherwise.
                    frame.structure = FRAME;
                    // temporal_reference (10), picture_coding_type (3): 1 is intra. Of two fields the first decides.
                    frame.intra |= frame.pictures == 1 && byte(5) >> 3 & 7 == 1;
                }
                SEQUENCE => frame.sequence = true,
                // Picture coding extension: four f_codes, intra_dc_precision, picture_structure.
                EXTENSION if byte(4) >> 4 == 8 => frame.structure = byte(6) & 3,
                0x01..=0xaf => frame.slices = true,
                _ => {}
            }
            self.searched = at + 4;
        }
        if ended && self.frame.pictures > 0 {
            return Some(self.cut(self.buffer.len()));
        }
        // The beginning of a start code may be at the end.
        self.searched = self.searched.max(self.buffer.len().saturating_sub(2));
        None
    }

    fn cut(&mut self, at: usize) -> Unit {
        let data = self.buffer.get(self.start..at).unwrap_or_default();
        let data = Bytes::copy_from_slice(data);
        let offset = self.offset;
        self.offset = offset.saturating_add(at.saturating_sub(self.start) as u64);
        (self.start, self.searched) = (at, at);
        let frame = std::mem::take(&mut self.frame);
        Unit { data, keyframe: frame.intra && frame.sequence, offset }
    }
}

/// Reads a raw stream of MPEG-2 video, one sample per frame.
pub(super) struct Mpeg2Demuxer<R> {
    reader: R,
    path: PathBuf,
    cutter: Cutter,
    chunk: PageBytes,
    ahead: VecDeque<Unit>,
    limits: Limits,
    tracks: [Track; 1],
    enabled: bool,
    ended: bool,
    /// How the source goes to a byte, where it can.
    go: Option<GoTo<R>>,
    /// Where the frame given last begins.
    last: Option<u64>,
}

impl<R: Read + Seek + Send> Mpeg2Demuxer<R> {
    /// As [`Self::new`], from the first byte of a source that can go back.
    pub(super) fn seekable(mut reader: R, path: impl Into<PathBuf>, limits: Limits) -> Result<Self> {
        let go = goes_to(&mut reader);
        Ok(Self { go, ..Self::new(reader, path, limits)? })
    }
}

impl<R: Read + Send> Mpeg2Demuxer<R> {
    /// Reads the first frame, to describe the track; `path` is named in errors.
    pub(super) fn new(reader: R, path: impl Into<PathBuf>, limits: Limits) -> Result<Self> {
        let mut demuxer = Self {
            reader,
            path: path.into(),
            cutter: Cutter::default(),
            chunk: PageBytes::new(CHUNK)?,
            ahead: VecDeque::new(),
            limits,
            tracks: [track(None)],
            enabled: true,
            ended: false,
            go: None,
            last: None,
        };
        let first = demuxer.next_unit()?;
        let header = first.as_ref().and_then(|unit| Header::find(&unit.data));
        let (Some(first), Some(header)) = (first, header) else {
            let path = demuxer.path.display();
            return Err(Error::corrupt_fatal(format!("{path}: no MPEG-2 picture with a sequence header")));
        };
        demuxer.tracks = [track(Some(header))];
        demuxer.ahead.push_back(first);
        Ok(demuxer)
    }

    fn next_unit(&mut self) -> Result<Option<Unit>> {
        loop {
            if let Some(unit) = self.cutter.next_unit(self.ended) {
                return Ok(Some(unit));
            }
            if self.ended {
                return Ok(None);
            }
            let gathered = self.cutter.buffer.len();
            let surely = gathered.saturating_sub(CHUNK) as u64;
            if surely > self.limits.packet_bytes {
                let what = format!("{}: a picture", self.path.display());
                self.limits.check(Limit::PacketBytes, surely, what)?;
            }
            if gathered > MAX_UNIT {
                return Err(Error::corrupt_fatal(format!(
                    "{}: no end of a picture in {MAX_UNIT} bytes",
                    self.path.display()
                )));
            }
            let got =
                read_some(&mut self.reader, &mut self.chunk).map_err(|e| Error::io("read", &self.path, e))?;
            self.ended = got == 0;
            let pushed = self.cutter.push(self.chunk.get(..got).unwrap_or_default());
            pushed.map_err(|e| Error::io("read", &self.path, e.into()))?;
        }
    }
}

impl<R: Read + Send> Demuxer for Mpeg2Demuxer<R> {
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
        self.last = unit.as_ref().map(|unit| unit.offset);
        let [track] = &self.tracks;
        Ok(unit.map(|unit| Packet { keyframe: unit.keyframe, ..track.packet(unit.data) }))
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
        self.cutter = Cutter { offset: position, ..Cutter::default() };
        self.ahead.clear();
        self.ended = false;
        Ok(true)
    }
}

/// What the fuzz target calls: frames do not depend on how the stream is cut, and hold no byte twice.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(bytes: &[u8], chunk: usize) {
    if let Ok(mut demuxer) = Mpeg2Demuxer::new(bytes, "fuzz", Limits::default()) {
        while let Ok(Some(_)) = demuxer.next_packet() {}
    }
    let _ = Header::find(bytes);
    let cut = |chunk: usize| {
        let (mut cutter, mut units) = (Cutter::default(), Vec::new());
        for piece in bytes.chunks(chunk.max(1)) {
            if cutter.push(piece).is_err() {
                break;
            }
            units.extend(std::iter::from_fn(|| cutter.next_unit(false)));
        }
        units.extend(std::iter::from_fn(|| cutter.next_unit(true)));
        units
    };
    let whole = cut(usize::MAX);
    assert!(whole.iter().map(|unit| unit.data.len()).sum::<usize>() <= bytes.len());
    assert_eq!(cut(chunk), whole);
}

/// What the sequence header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dimensions: Dimensions,
    pub(super) frame_rate: Option<Rational>,
}

impl Header {
    /// The first sequence header (6.2.2.1), with the extension behind it (6.2.2.3), which has more bits of each side.
    pub(super) fn find(data: &[u8]) -> Option<Self> {
        let mut rest = data;
        let mut found: Option<(u32, u32, u8)> = None;
        // frame_rate_extension_n and _d.
        let mut factor = (0, 0);
        while let Some(at) = find_start_code(rest) {
            let unit = rest.get(at + 3..)?;
            let byte = |offset: usize| unit.get(offset).map(|byte| u32::from(*byte));
            match *unit.first()? {
                SEQUENCE => {
                    let (width, height) = (byte(1)? << 4 | byte(2)? >> 4, (byte(2)? & 15) << 8 | byte(3)?);
                    found = Some((width, height, (byte(4)? & 15) as u8));
                }
                EXTENSION if byte(1)? >> 4 == 1 => {
                    let (width, height, _) = found.as_mut()?;
                    *width |= ((byte(2)? & 1) << 1 | byte(3)? >> 7) << 12;
                    *height |= (byte(3)? >> 5 & 3) << 12;
                    factor = byte(6).map_or(factor, |last| (last >> 5 & 3, last & 31));
                }
                PICTURE => break,
                _ => {}
            }
            rest = unit;
        }
        let (width, height, rate) = found?;
        let stated = rate_of(rate).and_then(|rate| {
            Rational::new(rate.num() * (factor.0 + 1), rate.den() * (factor.1 + 1)).map(Rational::reduced)
        });
        Some(Self { dimensions: Dimensions::new(width, height)?, frame_rate: stated })
    }
}

/// `frame_rate_code` (table 6-4).
fn rate_of(code: u8) -> Option<Rational> {
    let (num, den) = match code {
        1 => (24000, 1001),
        2 => (24, 1),
        3 => (25, 1),
        4 => (30000, 1001),
        5 => (30, 1),
        6 => (50, 1),
        7 => (60000, 1001),
        8 => (60, 1),
        _ => return None,
    };
    Rational::new(num, den)
}

/// The one track; `None` while nothing is known.
fn track(header: Option<Header>) -> Track {
    let rate = header.and_then(|header| header.frame_rate).or(Rational::new(25, 1)).unwrap_or(Rational::ONE);
    Track {
        id: TRACK,
        kind: TrackKind::Video,
        time_base: TimeBase::from_frame_rate(rate),
        codec_name: Codec::Mpeg2.name().into(),
        language: None,
        duration: None,
        sample_count: None,
        video: header.map(|header| VideoTrack {
            frame_rate: header.frame_rate,
            ..VideoTrack::new(Codec::Mpeg2, BitstreamLayout::elementary(Codec::Mpeg2), header.dimensions)
        }),
        copy: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Sequence header of 352x288 at 25 frames a second, and its extension.
    const SEQ: [u8; 22] = [
        0, 0, 1, 0xb3, 0x16, 0x01, 0x20, 0x13, 0xff, 0xff, 0xe0, 0x18, 0, 0, 1, 0xb5, 0x14, 0x8a, 0, 1, 0, 0,
    ];

    /// A picture of this coding type and structure, with one slice.
    fn picture(kind: u8, structure: u8) -> Vec<u8> {
        let header = [0, 0, 1, 0, 0, kind << 3, 0xff, 0xf8];
        let extension = [0, 0, 1, 0xb5, 0x8f, 0xff, 0xf0 | structure, 0x41, 0x80];
        [&header[..], &extension, &[0, 0, 1, 1, 0x22, 0x33, 0x44]].concat()
    }

    fn cut(stream: &[u8], chunk: usize) -> Vec<Unit> {
        let mut cutter = Cutter::default();
        let mut units = Vec::new();
        for bytes in stream.chunks(chunk) {
            cutter.push(bytes).unwrap();
            units.extend(std::iter::from_fn(|| cutter.next_unit(false)));
        }
        units.extend(std::iter::from_fn(|| cutter.next_unit(true)));
        units
    }

    #[test]
    fn frames_are_cut_whole_wherever_the_chunks_end() {
        let frames = [
            [&SEQ[..], &[0, 0, 1, 0xb8, 0, 8, 0, 0x40], &picture(1, 3)].concat(),
            picture(2, 3),
            [picture(3, 1), picture(3, 2)].concat(),
            [&SEQ[..], &picture(1, 2), &picture(2, 1)].concat(),
            // A field that stays alone.
            picture(2, 1),
            [&SEQ[..], &picture(1, 3), &[0, 0, 1, 0xb7]].concat(),
        ];
        let stream = frames.concat();
        for chunk in 1..stream.len() {
            let units = cut(&stream, chunk);
            let data: Vec<_> = units.iter().map(|unit| unit.data.to_vec()).collect();
            assert_eq!(data, frames, "chunks of {chunk}");
            let keys: Vec<_> = units.iter().map(|unit| unit.keyframe).collect();
            assert_eq!(keys, [true, false, false, true, false, true], "chunks of {chunk}");
        }
    }

    #[test]
    fn any_bytes_come_out_as_they_went_in() {
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 16
        };
        for _ in 0..200 {
            // Mostly start codes, of which the cutter makes what it can.
            let stream: Vec<u8> = (0..random() % 400)
                .flat_map(|_| {
                    let code = [0, 1, 0xb3, 0xb5, 0xb8, 0xb7][random() as usize % 6];
                    let body = [(random() >> 4) as u8, (random() >> 4) as u8, (random() >> 4) as u8];
                    let whole = [0, 0, 1, code, body[0], body[1], body[2]];
                    whole.into_iter().take(4 + random() as usize % 4).collect::<Vec<_>>()
                })
                .collect();
            let units = cut(&stream, 1 + random() as usize % 50);
            let joined: Vec<u8> = units.iter().flat_map(|unit| unit.data.to_vec()).collect();
            assert!(stream.starts_with(&joined));
            assert_eq!(units, cut(&stream, stream.len().max(1)));
        }
    }

    #[test]
    fn the_header_describes_the_track() {
        let stream = [&SEQ[..], &picture(1, 3)].concat();
        let demuxer = Mpeg2Demuxer::new(Cursor::new(stream), "a.m2v", Limits::default()).unwrap();
        let video = demuxer.tracks()[0].video.as_ref().unwrap();
        assert_eq!(video.dimensions, Dimensions::new(352, 288).unwrap());
        assert_eq!(video.frame_rate, Rational::new(25, 1));
        assert!(Mpeg2Demuxer::new(Cursor::new(picture(1, 3)), "a.m2v", Limits::default()).is_err());
        assert!(Mpeg2Demuxer::new(Cursor::new(&SEQ[..]), "a.m2v", Limits::default()).is_err());
    }
}
