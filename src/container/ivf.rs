//! IVF: the container of the VP8, VP9 and AV1 reference tools.
//!
//! All fields are little-endian. The file header has 32 bytes: `DKIF`, version (16 bits, 0), header length
//! (16 bits), four characters of the codec, width and height (16 bits each), time base denominator and
//! numerator (32 bits each), frame count (32 bits), 4 unused bytes. Every frame has a header of 12 bytes: size
//! (32 bits) and pts in ticks of the time base (64 bits). Frames are stored in decoding order, and pts grow
//! with it: these codecs reorder inside a packet, never between packets, so dts equals pts.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use bytes::{BufMut, Bytes, BytesMut};

use crate::bitstream::{StreamInfo, hdr_of_unit};
use crate::codec::Codec;
use crate::container::vpx_av1::{is_keyframe, self_contained_unit};
use crate::container::{ContainerFormat, Demuxer, MuxSummary, Muxer, Track, TrackId, TrackKind, VideoTrack};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::hdr::HdrMetadata;
use crate::limits::{Limit, Limits};
use crate::packet::{BitstreamLayout, Packet};
use crate::stream_io::{fill, read_up_to};
use crate::time::{Rational, TimeBase, Timestamp};

const MAGIC: &[u8; 4] = b"DKIF";
const FILE_HEADER: usize = 32;
const FRAME_HEADER: usize = 12;
const FRAME_COUNT_OFFSET: u64 = 24;

/// Largest frame accepted. The largest level of AV1 allows some 160 Mbit/s at 1 frame/s or more; anything
/// near this is a damaged header.
const MAX_FRAME: u32 = 256 * 1024 * 1024;

/// A time base of 1/240 or coarser is taken for the frame rate, which is what the field meant originally;
/// finer ones (1/1000, 1/90000) are clocks.
const MAX_FRAME_RATE: u32 = 240;

const TRACK: TrackId = TrackId(1);

/// Reads IVF from a file or, one way, from a pipe (see [`crate::stream_io::NonSeekable`]).
///
/// The header's frame count is not used: writers that could not seek leave it 0, others put a duration there.
pub struct IvfDemuxer<R> {
    reader: R,
    path: PathBuf,
    codec: Codec,
    time_base: TimeBase,
    tracks: [Track; 1],
    /// What reading the first sample gave, where that was done to describe the track.
    ahead: Option<Result<Option<Packet>>>,
    limits: Limits,
    seekable: bool,
    enabled: bool,
    ended: bool,
    /// Byte offset and number of the next frame header.
    position: u64,
    number: u64,
    /// Where the frame read last begins.
    last: Option<u64>,
    keyframes: KeyframeIndex,
}

/// Random access points found so far; never more than the frames read.
struct KeyframeIndex {
    points: Vec<Point>,
    /// The first frame not looked at yet; its pts is not known.
    end: Point,
}

#[derive(Clone, Copy)]
struct Point {
    pts: i64,
    position: u64,
    number: u64,
}

struct FrameHeader {
    size: u32,
    pts: i64,
}

impl<R: Read + Seek + Send> IvfDemuxer<R> {
    /// Reads the header; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] for a broken header, [`Error::Unsupported`] for other codecs, [`Error::Io`].
    pub fn new(reader: R, path: impl Into<PathBuf>) -> Result<Self> {
        Self::with_limits(reader, path, Limits::default())
    }

    /// As [`Self::new`], within these limits.
    ///
    /// # Errors
    /// As [`Self::new`], and [`Error::LimitExceeded`].
    pub fn with_limits(mut reader: R, path: impl Into<PathBuf>, limits: Limits) -> Result<Self> {
        let path = path.into();
        let mut header = [0; FILE_HEADER];
        let got = fill(&mut reader, &mut header).map_err(|e| Error::io("read", &path, e))?;
        if got < FILE_HEADER {
            return Err(Error::corrupt_fatal(format!(
                "{}: the IVF header is cut short: {got} of {FILE_HEADER} bytes",
                path.display()
            )));
        }
        let (codec, dimensions, time_base) = parse_file_header(&header)
            .map_err(|what| Error::corrupt_fatal(format!("{}: {what}", path.display())))?;
        let codec = codec.map_err(|four_cc| Error::Unsupported {
            feature: format!("IVF with codec {:?}", four_cc.escape_ascii().to_string()),
            remedy: "VP80, VP90 and AV01 are read".into(),
        })?;
        // Longer headers are allowed for; shorter ones are a writer's slip, the fields are there all the same.
        let header_length = usize::from(le16(&header, 6)).max(FILE_HEADER);
        read_up_to(&mut reader, header_length - FILE_HEADER).map_err(|e| Error::io("read", &path, e))?;

        let track = Track {
            id: TRACK,
            kind: TrackKind::Video,
            time_base,
            codec_name: codec.name().into(),
            language: None,
            duration: None,
            sample_count: None,
            video: None,
            copy: None,
        };
        let position = reader.stream_position();
        let seekable = position.is_ok();
        let position = position.unwrap_or(header_length as u64);
        let end = Point { pts: 0, position, number: 0 };
        let mut demuxer = Self {
            reader,
            path,
            codec,
            time_base,
            tracks: [track],
            ahead: None,
            limits,
            seekable,
            enabled: true,
            ended: false,
            position,
            number: 0,
            last: None,
            keyframes: KeyframeIndex { points: Vec::new(), end },
        };
        // The file header says nothing of light, and who reads a pipe cannot come back for the first frame.
        if dimensions.is_none() || codec == Codec::Av1 {
            demuxer.ahead = Some(demuxer.read_packet());
        }
        let layout = BitstreamLayout::elementary(codec);
        let hdr = match &demuxer.ahead {
            Some(Ok(Some(sample))) => hdr_of_unit(codec, layout, &sample.data),
            _ => HdrMetadata::default(),
        };
        let dimensions = match dimensions {
            Some(dimensions) => dimensions,
            None => demuxer.dimensions_of_first_frame()?,
        };
        let rate = time_base.seconds_per_tick().inverted();
        let is_rate = Rational::new(MAX_FRAME_RATE, 1).is_some_and(|max| rate <= max);
        demuxer.tracks[0].video = Some(VideoTrack {
            frame_rate: is_rate.then_some(rate),
            hdr,
            ..VideoTrack::new(codec, layout, dimensions)
        });
        Ok(demuxer)
    }

    /// For file headers that state no size, as a writer leaves that did not look into the stream.
    fn dimensions_of_first_frame(&mut self) -> Result<Dimensions> {
        if let Some(Err(error)) = self.ahead.take_if(|first| first.is_err()) {
            return Err(error);
        }
        let layout = BitstreamLayout::elementary(self.codec);
        let info = match &self.ahead {
            Some(Ok(Some(sample))) => StreamInfo::from_unit(self.codec, layout, &sample.data).ok().flatten(),
            _ => None,
        };
        info.map(|info| info.dimensions).ok_or_else(|| {
            Error::corrupt_fatal(format!(
                "{}: neither the IVF header nor the first frame states a picture size",
                self.path.display()
            ))
        })
    }

    fn io(&self, error: io::Error) -> Error {
        Error::io("read", &self.path, error)
    }

    /// The header at the current position, with which the frame starts.
    fn read_frame_header(&mut self) -> Result<Option<FrameHeader>> {
        let mut header = [0; FRAME_HEADER];
        let got = fill(&mut self.reader, &mut header).map_err(|e| self.io(e))?;
        if got == 0 {
            return Ok(None);
        }
        if got < FRAME_HEADER {
            return Err(Error::corrupt(format!(
                "{}: the header of frame {} at byte {} is cut short: {got} of {FRAME_HEADER} bytes",
                self.path.display(),
                self.number,
                self.position
            )));
        }
        let size = le32(&header, 0);
        if size > MAX_FRAME {
            return Err(Error::corrupt_fatal(format!(
                "{}: frame {} at byte {} claims {size} bytes, more than the {MAX_FRAME} that any frame may have",
                self.path.display(),
                self.number,
                self.position
            )));
        }
        if u64::from(size) > self.limits.packet_bytes {
            let what = format!("{}: frame {} at byte {}", self.path.display(), self.number, self.position);
            self.limits.check(Limit::PacketBytes, size.into(), what)?;
        }
        let pts = u64::from(le32(&header, 4)) | u64::from(le32(&header, 8)) << 32;
        Ok(Some(FrameHeader { size, pts: pts as i64 }))
    }

    fn read_packet(&mut self) -> Result<Option<Packet>> {
        let Some(header) = self.read_frame_header()? else { return Ok(None) };
        let data = read_up_to(&mut self.reader, header.size as usize).map_err(|e| self.io(e))?;
        if data.len() < header.size as usize {
            return Err(Error::corrupt(format!(
                "{}: frame {} at byte {} is cut short: {} of {} bytes",
                self.path.display(),
                self.number,
                self.position,
                data.len(),
                header.size
            )));
        }
        let keyframe = is_keyframe(self.codec, &data);
        let here = Point { pts: header.pts, position: self.position, number: self.number };
        self.last = Some(self.position);
        self.advance(&header);
        self.keyframes.note(here, keyframe, self.position);
        let pts = Timestamp::new(header.pts, self.time_base);
        // The track is not described yet where its first packet is read ahead.
        let packet = Packet::new(self.codec, BitstreamLayout::elementary(self.codec), data).on(TRACK);
        Ok(Some(Packet { keyframe, ..packet.at(pts, pts) }))
    }

    fn advance(&mut self, header: &FrameHeader) {
        self.position += FRAME_HEADER as u64 + u64::from(header.size);
        self.number += 1;
    }

    /// Reads frames behind the index until one is presented after `to`, or the file ends.
    fn extend_index(&mut self, to: i64) -> Result<()> {
        self.go_to(self.keyframes.end)?;
        loop {
            match self.read_packet() {
                Ok(Some(Packet { pts: Some(pts), .. })) if pts.ticks() <= to => {}
                Err(e @ Error::Io { .. }) => return Err(e),
                // Damage is reported when it is read again; what lies before it can be reached.
                Ok(_) | Err(_) => return Ok(()),
            }
        }
    }

    fn go_to(&mut self, point: Point) -> Result<()> {
        self.reader.seek(SeekFrom::Start(point.position)).map_err(|e| self.io(e))?;
        self.position = point.position;
        self.number = point.number;
        Ok(())
    }
}

impl KeyframeIndex {
    /// Remembers the frame at `here`, which ends at byte `end`, where it is the first that was not looked at.
    fn note(&mut self, here: Point, keyframe: bool, end: u64) {
        if here.position != self.end.position {
            return;
        }
        self.end = Point { pts: 0, position: end, number: here.number.saturating_add(1) };
        if keyframe {
            self.points.push(here);
        }
    }

    fn last_at_or_before(&self, pts: i64) -> Option<Point> {
        self.points.iter().rev().find(|point| point.pts <= pts).copied()
    }
}

impl<R: Read + Seek + Send> Demuxer for IvfDemuxer<R> {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::Ivf
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        if self.ended || !self.enabled {
            return Ok(None);
        }
        let result = self.ahead.take().unwrap_or_else(|| self.read_packet());
        self.ended = !matches!(result, Ok(Some(_)));
        result
    }

    fn select_tracks(&mut self, tracks: &[TrackId]) {
        self.enabled = tracks.contains(&TRACK);
    }

    fn seek(&mut self, track: TrackId, to: Timestamp) -> Result<bool> {
        if !self.seekable || track != TRACK {
            return Ok(false);
        }
        let resume = Point { pts: 0, position: self.position, number: self.number };
        // The last tick that does not lie after `to`.
        let mut ticks = to.rescale(self.time_base);
        if ticks > to {
            ticks = ticks.offset(-1);
        }
        self.extend_index(ticks.ticks())?;
        if let Some(point) = self.keyframes.last_at_or_before(ticks.ticks()) {
            self.go_to(point)?;
            self.ahead = None;
            self.ended = false;
            return Ok(true);
        }
        self.go_to(resume)?;
        Ok(false)
    }

    fn position(&self) -> Option<u64> {
        self.last.filter(|_| self.seekable)
    }

    fn resume(&mut self, track: TrackId, position: u64) -> Result<bool> {
        if !self.seekable || track != TRACK {
            return Ok(false);
        }
        let known = self.keyframes.points.iter().find(|point| point.position == position);
        let number = known.map_or(0, |point| point.number);
        self.go_to(Point { pts: 0, position, number })?;
        self.ahead = None;
        self.ended = false;
        Ok(true)
    }
}

type FileHeader = (Result<Codec, [u8; 4]>, Option<Dimensions>, TimeBase);

fn parse_file_header(header: &[u8; FILE_HEADER]) -> Result<FileHeader, String> {
    if !header.starts_with(MAGIC) {
        return Err("an IVF file starts with DKIF".into());
    }
    let version = le16(header, 4);
    if version != 0 {
        return Err(format!("IVF version {version}; only version 0 is known"));
    }
    let dimensions = Dimensions::new(le16(header, 12).into(), le16(header, 14).into());
    let (den, num) = (le32(header, 16), le32(header, 20));
    let time_base = TimeBase::new(num, den)
        .ok_or_else(|| format!("the IVF header states a time base of {num}/{den} seconds"))?;
    let codec = match &header[8..12] {
        b"VP80" => Ok(Codec::Vp8),
        b"VP90" => Ok(Codec::Vp9),
        b"AV01" => Ok(Codec::Av1),
        other => Err([other[0], other[1], other[2], other[3]]),
    };
    Ok((codec, dimensions, time_base))
}

/// Callers pass offsets inside fixed-size headers.
fn le16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from(le16(bytes, at)) | u32::from(le16(bytes, at + 2)) << 16
}

/// Writes IVF. On outputs that can seek, the frame count is put into the header at the end; on a pipe it stays
/// 0, which readers take for unknown.
pub struct IvfMuxer<W> {
    writer: W,
    path: PathBuf,
    start: Option<u64>,
    track: Option<MuxTrack>,
    summary: MuxSummary,
}

struct MuxTrack {
    time_base: TimeBase,
    codec: Codec,
    codec_config: Option<Bytes>,
    last_pts: Option<i64>,
}

impl<W: Write + Seek + Send> IvfMuxer<W> {
    /// A muxer to `writer`, from its current position on; `path` is named in errors. For outputs that cannot
    /// seek see [`crate::stream_io::NonSeekable`].
    pub fn new(mut writer: W, path: impl Into<PathBuf>) -> Self {
        let start = writer.stream_position().ok();
        Self { writer, path: path.into(), start, track: None, summary: MuxSummary::default() }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|e| Error::io_writing("write", &self.path, e))?;
        self.summary.bytes += bytes.len() as u64;
        Ok(())
    }

    fn patch_frame_count(&mut self, start: u64) -> io::Result<()> {
        let count = u32::try_from(self.summary.samples).unwrap_or(0);
        self.writer.seek(SeekFrom::Start(start + FRAME_COUNT_OFFSET))?;
        self.writer.write_all(&count.to_le_bytes())?;
        self.writer.seek(SeekFrom::Start(start + self.summary.bytes))?;
        Ok(())
    }
}

impl<W: Write + Seek + Send> Muxer for IvfMuxer<W> {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::Ivf
    }

    fn add_track(&mut self, track: &Track) -> Result<TrackId> {
        if self.track.is_some() {
            return Err(Error::unsupported("a second track in IVF, which holds one video track"));
        }
        let four_cc = match track.video.as_ref().map(|v| v.codec) {
            Some(Codec::Vp8) => b"VP80",
            Some(Codec::Vp9) => b"VP90",
            Some(Codec::Av1) => b"AV01",
            _ => {
                return Err(Error::Unsupported {
                    feature: format!("{} in IVF, which holds VP8, VP9 and AV1", track.codec_name),
                    remedy: "write MP4 or an elementary stream".into(),
                });
            }
        };
        let Some(video) = &track.video else { return Err(Error::unsupported("IVF without video")) };
        let seconds = track.time_base.seconds_per_tick();
        let mut header = BytesMut::with_capacity(FILE_HEADER);
        header.put_slice(MAGIC);
        header.put_u16_le(0);
        header.put_u16_le(FILE_HEADER as u16);
        header.put_slice(four_cc);
        // `Dimensions` never has a side above 65535.
        header.put_u16_le(video.dimensions.width() as u16);
        header.put_u16_le(video.dimensions.height() as u16);
        header.put_u32_le(seconds.den());
        header.put_u32_le(seconds.num());
        header.put_u64_le(0);
        self.write(&header)?;
        self.track = Some(MuxTrack {
            time_base: track.time_base,
            codec: video.codec,
            codec_config: video.codec_config.clone(),
            last_pts: None,
        });
        Ok(TRACK)
    }

    fn write(&mut self, sample: &Packet) -> Result<()> {
        let number = self.summary.samples;
        let Some(track) = self.track.as_mut().filter(|_| sample.track == TRACK) else {
            return Err(Error::invalid(format!("IVF sample {number} is of a track that was not added")));
        };
        let Some(pts) = sample.pts else {
            return Err(Error::invalid(format!("IVF sample {number} has no pts")));
        };
        // Rounded to the nearest tick where the sample counts in another base.
        let pts = pts.rescale(track.time_base).ticks();
        if let Some(last) = track.last_pts.filter(|last| pts < *last) {
            return Err(Error::invalid(format!(
                "IVF sample {number} has pts {pts} after {last}; IVF cannot reorder packets"
            )));
        }
        let data = match track.codec {
            Codec::Av1 => self_contained_unit(&sample.data, sample.keyframe, track.codec_config.as_deref()),
            _ => sample.data.clone(),
        };
        let size = u32::try_from(data.len()).ok().filter(|size| *size <= MAX_FRAME).ok_or_else(|| {
            Error::invalid(format!("IVF sample {number} has {} bytes, more than {MAX_FRAME}", data.len()))
        })?;
        track.last_pts = Some(pts);
        let mut header = BytesMut::with_capacity(FRAME_HEADER);
        header.put_u32_le(size);
        header.put_i64_le(pts);
        self.write(&header)?;
        self.write(&data)?;
        self.summary.samples += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<MuxSummary> {
        if let Some(start) = self.start.filter(|_| self.track.is_some()) {
            self.patch_frame_count(start).map_err(|e| Error::io_writing("write", &self.path, e))?;
        }
        self.writer.flush().map_err(|e| Error::io_writing("write", &self.path, e))?;
        Ok(self.summary)
    }
}
