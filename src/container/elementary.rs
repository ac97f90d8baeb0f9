//! Raw streams of H.264 and H.265: NAL units after start codes (Annex B), nothing else. There are no times:
//! a sample is one frame, and its pts and dts are `None`.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::bitstream::annexb::{find_start_code, nal_units};
use crate::bitstream::convert::length_prefixed_to_annexb;
use crate::bitstream::{
    AccessUnit, AccessUnitAssembler, ActiveParameterSets, AvcConfig, HevcConfig, StreamInfo, is_delimiter,
};
use crate::buffered::PageBytes;
use crate::codec::Codec;
use crate::container::{ContainerFormat, Demuxer, MuxSummary, Muxer, Track, TrackId, TrackKind, VideoTrack};
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::packet::BitstreamLayout;
use crate::packet::Packet;
use crate::stream_io::read_some;
use crate::time::{Rational, TimeBase, Timestamp};

const TRACK: TrackId = TrackId(1);

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// How far the first picture whose parameter sets are known may lie behind the start of the stream.
const MAX_LEADING_BYTES: u64 = 64 * 1024 * 1024;

/// Frame rate of the track's time base where the stream states none.
const DEFAULT_RATE: Option<Rational> = Rational::new(25, 1);

/// Reads a raw stream, one sample per frame.
///
/// A sample's `keyframe` also marks H.264 recovery points, at which a decoder may start although they
/// are no IDR pictures. Units without a picture (stray parameter sets at the end) are left out.
pub struct ElementaryDemuxer<R> {
    reader: R,
    path: PathBuf,
    assembler: AccessUnitAssembler,
    chunk: PageBytes,
    /// Units that were read to describe the track.
    ahead: VecDeque<AccessUnit>,
    /// Damage that was met meanwhile, reported behind them.
    held_error: Option<Error>,
    tracks: [Track; 1],
    enabled: bool,
    limits: Limits,
    /// Bytes read, and at how many to stop.
    position: u64,
    limit: u64,
    /// The source is at its end and the assembler has given up its last unit.
    finished: bool,
    /// How the source goes to a byte, where it can, and the byte that the assembler counts from.
    go: Option<GoTo<R>>,
    base: u64,
    /// Where the unit given last begins.
    last: Option<u64>,
}

/// How a source goes to a byte, where it can and stands at its first.
pub(super) fn goes_to<R: Seek>(reader: &mut R) -> Option<GoTo<R>> {
    let at_start = reader.stream_position().is_ok_and(|at| at == 0);
    at_start.then_some(|reader: &mut R, byte| reader.seek(SeekFrom::Start(byte)).map(drop))
}

pub(super) type GoTo<R> = fn(&mut R, u64) -> io::Result<()>;

impl<R: Read + Seek + Send> ElementaryDemuxer<R> {
    /// As [`Self::with_limits`], from the first byte of a source that can go back.
    pub(super) fn seekable(
        mut reader: R,
        path: impl Into<PathBuf>,
        codec: Codec,
        limits: Limits,
    ) -> Result<Self> {
        let go = goes_to(&mut reader);
        Ok(Self { go, ..Self::with_limits(reader, path, codec, limits)? })
    }
}

impl<R: Read + Send> ElementaryDemuxer<R> {
    /// Reads up to the first picture that comes with its parameter sets, to describe the track; `path` is named in
    /// errors.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] without such a picture, [`Error::Unsupported`] for codecs without NAL units,
    /// [`Error::Io`].
    pub fn new(reader: R, path: impl Into<PathBuf>, codec: Codec) -> Result<Self> {
        Self::with_limits(reader, path, codec, Limits::default())
    }

    /// As [`Self::new`], within these limits.
    ///
    /// # Errors
    /// As [`Self::new`], and [`Error::LimitExceeded`].
    pub fn with_limits(reader: R, path: impl Into<PathBuf>, codec: Codec, limits: Limits) -> Result<Self> {
        let path = path.into();
        let mut demuxer = Self {
            reader,
            path,
            assembler: AccessUnitAssembler::new(codec)?.with_largest_unit(limits.packet_bytes),
            limits,
            chunk: PageBytes::new(CHUNK)?,
            ahead: VecDeque::new(),
            held_error: None,
            tracks: [track(codec, None)],
            enabled: true,
            position: 0,
            limit: MAX_LEADING_BYTES,
            finished: false,
            go: None,
            base: 0,
            last: None,
        };
        loop {
            match demuxer.next_unit() {
                Ok(Some(unit)) => {
                    // A broken parameter set is as good as a missing one: a later picture may do.
                    let info = StreamInfo::from_unit(codec, BitstreamLayout::AnnexB, &unit.data);
                    let waiting = demuxer.ahead.len() as u64 + 1;
                    demuxer.limits.check(
                        Limit::WaitingUnits,
                        waiting,
                        format!(
                            "{}: pictures in front of the first one that comes with its parameter sets",
                            demuxer.path.display()
                        ),
                    )?;
                    demuxer.ahead.push_back(unit);
                    if let Ok(Some(info)) = info {
                        demuxer.tracks = [track(codec, Some(&info))];
                        demuxer.limit = u64::MAX;
                        return Ok(demuxer);
                    }
                }
                Ok(None) => break,
                Err(e) if e.is_recoverable() => {
                    demuxer.held_error.get_or_insert(e);
                }
                Err(e) => return Err(e),
            }
        }
        Err(Error::corrupt_fatal(format!(
            "{}: no {codec} picture with its sequence parameter set in the first {} bytes",
            demuxer.path.display(),
            demuxer.position
        )))
    }

    /// The next unit that holds a picture.
    fn next_unit(&mut self) -> Result<Option<AccessUnit>> {
        loop {
            while let Some(unit) = self.assembler.next_unit() {
                if unit.has_picture {
                    return Ok(Some(unit));
                }
            }
            if self.finished {
                return Ok(None);
            }
            if self.position >= self.limit {
                return Ok(None);
            }
            let got =
                read_some(&mut self.reader, &mut self.chunk).map_err(|e| Error::io("read", &self.path, e))?;
            self.position = self.position.saturating_add(got as u64);
            if got == 0 {
                self.finished = true;
                self.assembler.finish();
            }
            self.assembler.push(self.chunk.get(..got).unwrap_or_default())?;
        }
    }
}

impl<R: Read + Send> Demuxer for ElementaryDemuxer<R> {
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
            None => match self.held_error.take() {
                Some(error) => return Err(error),
                None => self.next_unit()?,
            },
        };
        self.last = unit.as_ref().map(|unit| self.base.saturating_add(unit.offset));
        let [track] = &self.tracks;
        Ok(unit.map(|unit| Packet {
            keyframe: unit.keyframe || unit.recovery_point,
            unterminated: self.finished && self.ahead.is_empty() && !self.assembler.has_unit(),
            ..track.packet(unit.data)
        }))
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
        let codec = self.tracks.first().and_then(|track| track.video.as_ref()).map(|video| video.codec);
        let Some(codec) = codec else { return Ok(false) };
        go(&mut self.reader, position).map_err(|e| Error::io("read", &self.path, e))?;
        self.assembler = AccessUnitAssembler::new(codec)?.with_largest_unit(self.limits.packet_bytes);
        (self.base, self.position, self.finished) = (position, position, false);
        self.ahead.clear();
        self.held_error = None;
        Ok(true)
    }
}

/// The one track; `None` while nothing is known.
fn track(codec: Codec, info: Option<&StreamInfo>) -> Track {
    let rate = info.and_then(|info| info.frame_rate).or(DEFAULT_RATE).unwrap_or(Rational::ONE);
    Track {
        id: TRACK,
        kind: TrackKind::Video,
        time_base: TimeBase::from_frame_rate(rate),
        codec_name: codec.name().into(),
        language: None,
        duration: None,
        sample_count: None,
        video: info.map(|info| VideoTrack {
            color: info.color,
            sample_aspect_ratio: info.sample_aspect_ratio,
            frame_rate: info.frame_rate,
            hdr: info.hdr,
            ..VideoTrack::new(codec, BitstreamLayout::AnnexB, info.dimensions)
        }),
        copy: None,
    }
}

/// Writes a raw stream. Times are not written.
///
/// Length-prefixed samples are converted. The first sample and every random access point get the parameter sets in force
/// that they do not bring: those of the track's codec configuration (`avcC`, `hvcC`), until samples bring others.
pub struct ElementaryMuxer<W> {
    writer: W,
    path: PathBuf,
    track: Option<MuxTrack>,
    /// The sample under way, kept for its memory.
    scratch: Vec<u8>,
    summary: MuxSummary,
}

struct MuxTrack {
    codec: Codec,
    layout: BitstreamLayout,
    /// Those in force: of the configuration, until the stream brings others.
    sets: ActiveParameterSets,
}

impl<W: Write + Send> ElementaryMuxer<W> {
    /// A muxer to `writer`; `path` is named in errors.
    pub fn new(writer: W, path: impl Into<PathBuf>) -> Self {
        Self { writer, path: path.into(), track: None, scratch: Vec::new(), summary: MuxSummary::default() }
    }
}

impl<W: Write + Send> Muxer for ElementaryMuxer<W> {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::ElementaryStream
    }

    fn add_track(&mut self, track: &Track) -> Result<TrackId> {
        if self.track.is_some() {
            return Err(Error::unsupported("a second track in an elementary stream"));
        }
        let Some(video) = track.video.as_ref().filter(|v| v.codec.uses_nal_units()) else {
            return Err(Error::Unsupported {
                feature: format!("{} as an elementary stream, which is H.264 or H.265", track.codec_name),
                remedy: "write IVF or MP4".into(),
            });
        };
        match (video.codec, video.layout) {
            (_, BitstreamLayout::AnnexB)
            | (Codec::H264, BitstreamLayout::Avcc { .. })
            | (Codec::Hevc, BitstreamLayout::Hvcc { .. }) => {}
            (codec, layout) => {
                return Err(Error::invalid(format!("{codec} samples cannot be in the layout {layout}")));
            }
        }
        let mut sets = ActiveParameterSets::new(video.codec);
        match (&video.codec_config, video.codec) {
            (None, _) => {}
            (Some(config), Codec::Hevc) => sets.observe(&HevcConfig::parse(config)?.to_annexb()),
            (Some(config), _) => sets.observe(&AvcConfig::parse(config)?.to_annexb()),
        }
        self.track = Some(MuxTrack { codec: video.codec, layout: video.layout, sets });
        Ok(TRACK)
    }

    fn write(&mut self, sample: &Packet) -> Result<()> {
        let number = self.summary.samples;
        let Some(track) = self.track.as_mut().filter(|_| sample.track == TRACK) else {
            return Err(Error::invalid(format!("elementary stream sample {number} is of an unknown track")));
        };
        self.scratch.clear();
        let data: &[u8] = match track.layout {
            BitstreamLayout::Avcc { length_size } | BitstreamLayout::Hvcc { length_size } => {
                length_prefixed_to_annexb(&sample.data, length_size, &mut self.scratch)?;
                &self.scratch
            }
            _ => &sample.data,
        };
        let (missing, at) = track.complete(data, sample.keyframe || number == 0);
        let (delimiter, rest) = data.split_at_checked(at).unwrap_or((&[], data));
        for part in [delimiter, &missing, rest] {
            self.writer.write_all(part).map_err(|e| Error::io_writing("write", &self.path, e))?;
            self.summary.bytes += part.len() as u64;
        }
        self.summary.samples += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<MuxSummary> {
        self.writer.flush().map_err(|e| Error::io_writing("write", &self.path, e))?;
        Ok(self.summary)
    }
}

impl MuxTrack {
    /// The parameter sets in force that an entry point lacks, and where in the unit they go: an access unit delimiter stays in
    /// front (H.264 7.4.1.2.3, H.265 7.4.2.4.4).
    fn complete(&mut self, data: &[u8], entry_point: bool) -> (Vec<u8>, usize) {
        let missing = if entry_point { self.sets.missing_from(data) } else { Vec::new() };
        self.sets.observe(data);
        let delimited = nal_units(data).next().is_some_and(|nal| is_delimiter(self.codec, nal));
        (missing, if delimited { end_of_first_unit(data) } else { 0 })
    }
}

/// Where the start code of the second NAL unit begins.
pub(super) fn end_of_first_unit(data: &[u8]) -> usize {
    let Some(first) = find_start_code(data).map(|at| at + 3) else { return data.len() };
    let Some(second) = data.get(first..).and_then(find_start_code).map(|at| first + at) else {
        return data.len();
    };
    // A zero in front of the three bytes is the first of a start code of four.
    if data.get(..second).is_some_and(|before| before.ends_with(&[0])) { second - 1 } else { second }
}
