//! Reading Matroska and WebM.

use std::collections::VecDeque;
use std::fmt;
use std::io::{Read, Seek};
use std::path::PathBuf;

use bytes::Bytes;

use super::block::Block;
use super::ebml::Header;
use super::header::SegmentHeader;
use super::ids;
use super::metadata::MatroskaMetadata;
use super::source::Source;
use super::text;
use super::tracks::MkvTrack;
use crate::container::{ContainerFormat, Demuxer, FileMetadata, Track, TrackId, TrackKind};
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::packet::Packet;
use crate::time::{TimeBase, Timestamp};

/// How far is read to describe tracks whose first frame tells what they are.
const MOST_BYTES_AHEAD: usize = 64 << 20;
const MOST_PACKETS_AHEAD: usize = 1 << 14;

/// Reads Matroska and WebM (RFC 8794 and RFC 9559), from files and, one way, from pipes (see
/// [`crate::stream_io::NonSeekable`]).
///
/// Times are the file's own ticks, `CodecDelay` subtracted; decoding times, which files do not hold, are made of them. After damage
/// reading goes on with the next cluster.
pub struct MatroskaDemuxer {
    pub(super) source: Source,
    pub(super) header: SegmentHeader,
    pub(super) limits: Limits,
    tracks: Vec<Track>,
    pub(super) inner: Vec<MkvTrack>,
    disabled: Vec<TrackId>,
    notes: Vec<String>,
    metadata: FileMetadata,
    pub(super) cluster: Cluster,
    /// Packets that are read and not given out yet.
    ready: VecDeque<Packet>,
    ended: bool,
    /// What was met when reading ahead, where it cannot be met again.
    held: Option<Error>,
    /// A block of a track that is not described has been told of.
    told_unknown: bool,
}

/// The cluster that is being read.
#[derive(Clone, Copy, Default)]
pub(super) struct Cluster {
    /// Ticks; `None` until it has said.
    pub(super) time: Option<i64>,
    /// Where it ends, if it says so.
    pub(super) end: Option<u64>,
}

impl fmt::Debug for MatroskaDemuxer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MatroskaDemuxer")
            .field("path", &self.source.path())
            .field("tracks", &self.tracks)
            .finish_non_exhaustive()
    }
}

/// What reading an element has come to.
enum Step {
    /// Go on.
    Next,
    /// The input ends.
    End,
}

impl MatroskaDemuxer {
    /// Reads what stands in front of the clusters. `path` is only used in messages.
    ///
    /// # Errors
    /// [`Error::CorruptStream`] where there is no readable header, [`Error::Unsupported`] for encrypted or compressed video,
    /// [`Error::Io`].
    pub fn open<R: Read + Seek + Send + 'static>(reader: R, path: PathBuf) -> Result<Self> {
        Self::with_limits(reader, path, Limits::default())
    }

    /// As [`Self::open`], within these limits.
    ///
    /// # Errors
    /// As [`Self::open`], and [`Error::LimitExceeded`].
    pub fn with_limits<R: Read + Seek + Send + 'static>(
        reader: R,
        path: PathBuf,
        limits: Limits,
    ) -> Result<Self> {
        let mut source = Source::new(reader, path)?;
        let header = SegmentHeader::read(&mut source, &limits)?;
        let (mut inner, mut notes): (Vec<MkvTrack>, _) = (Vec::new(), Vec::new());
        for entry in &header.tracks {
            let track = MkvTrack::parse(entry, &header, &mut notes)?;
            if inner.iter().any(|other| other.number == track.number) {
                return Err(entry.broken(&format!("repeats track number {}", track.number)));
            }
            if let Some(why) = &track.refusal {
                notes.push(format!("track {}: {why} is not read", track.number));
            }
            inner.push(track);
        }
        let hidden = |track: &&MkvTrack| !track.enabled && track.public.video.is_some();
        let told =
            |track: &MkvTrack| format!("track {} is marked as disabled: players leave it out", track.number);
        notes.extend(inner.iter().filter(hidden).map(told));
        let metadata = MatroskaMetadata::of(&header, &inner).into_file_metadata(&inner);
        let mut this = Self {
            source,
            header,
            limits,
            tracks: Vec::new(),
            disabled: inner.iter().filter(|track| !track.enabled).map(|track| track.public.id).collect(),
            inner,
            notes,
            metadata,
            cluster: Cluster::default(),
            ready: VecDeque::new(),
            ended: false,
            held: None,
            told_unknown: false,
        };
        this.look_ahead()?;
        this.tracks = this.inner.iter().map(|track| track.public.clone()).collect();
        Ok(this)
    }

    /// Reads until every track is described, for those that their first frame describes.
    fn look_ahead(&mut self) -> Result<()> {
        let mut bytes = 0;
        while self.inner.iter().any(MkvTrack::waits_for_a_frame)
            && bytes < MOST_BYTES_AHEAD
            && self.ready.len() < MOST_PACKETS_AHEAD
        {
            let known = self.ready.len();
            match self.step() {
                Ok(Step::Next) => {}
                Ok(Step::End) => break,
                // A file tells its damage when it is read again, from the first cluster on.
                Err(error @ Error::CorruptStream { .. }) => {
                    self.held = Some(error).filter(|_| self.source.len().is_none());
                    break;
                }
                Err(error) => return Err(error),
            }
            for packet in self.ready.range(known..) {
                bytes += packet.data.len();
                let track = self.inner.iter_mut().find(|track| track.public.id == packet.track);
                if let Some(track) = track.filter(|track| track.waits_for_a_frame()) {
                    track.describe(Some(&packet.data));
                }
            }
        }
        if self.source.len().is_some() {
            self.source.seek(self.header.first_cluster)?;
            self.restart(Cluster::default());
        }
        Ok(())
    }

    /// Forgets what belongs to the place that was read before.
    pub(super) fn restart(&mut self, cluster: Cluster) {
        self.cluster = cluster;
        self.ended = false;
        self.ready.clear();
        for track in &mut self.inner {
            track.restart();
        }
    }

    fn corrupt(&self, what: impl fmt::Display) -> Error {
        Error::corrupt(format!("{}: {what}", self.source.path().display()))
    }

    /// Reads the next element.
    fn step(&mut self) -> Result<Step> {
        let here = self.source.position();
        if self.header.end.is_some_and(|end| here >= end) || self.source.at_end()? {
            return Ok(Step::End);
        }
        let Some(header) = self.source.peek_header()? else { return self.resync(here, "no element") };
        let content = here.saturating_add(header.len as u64);
        let end = header.size.map(|size| content.saturating_add(size));
        if header.id == ids::CLUSTER {
            self.source.consume(header.len);
            self.cluster = Cluster { time: None, end };
            return Ok(Step::Next);
        }
        let (Some(size), Some(end)) = (header.size, end) else {
            // A second file behind the first: its times would begin anew.
            if header.id == ids::SEGMENT || header.id == ids::EBML {
                return self.another_segment(here);
            }
            return self.resync(here, "an element without a size");
        };
        let in_cluster = self.cluster.end.is_none_or(|cluster| here < cluster);
        match header.id {
            ids::EBML if here > self.header.first_cluster => return self.another_segment(here),
            id if ids::is_top_level(id) => {}
            // What is larger than its cluster is no element.
            _ if in_cluster && self.cluster.end.is_some_and(|cluster| end > cluster) => {
                return self.resync(here, "an element larger than its cluster");
            }
            ids::TIMESTAMP | ids::SIMPLE_BLOCK | ids::BLOCK_GROUP => {
                return self.read_in_cluster(header, here, size);
            }
            ids::VOID
            | ids::CRC32
            | ids::POSITION
            | ids::PREV_SIZE
            | ids::SILENT_TRACKS
            | ids::ENCRYPTED_BLOCK => {}
            // Elements of a later version are gone over; anything may look like a short one.
            id if id > 0xff => {}
            _ => return self.resync(here, "an unknown element"),
        }
        if self.source.len().is_some_and(|len| end > len) {
            return self.resync(here, "an element that reaches past the end of the file");
        }
        self.source.consume(header.len);
        if self.source.skip(size)? {
            return Ok(Step::Next);
        }
        Err(self.cut_off(here, size))
    }

    fn cut_off(&self, here: u64, size: u64) -> Error {
        self.corrupt(format_args!("the file is cut off in an element of {size} bytes at byte {here}"))
    }

    fn another_segment(&mut self, here: u64) -> Result<Step> {
        let end = self.source.len().unwrap_or(here);
        self.header.end = Some(here.min(end));
        Err(self.corrupt(format_args!("another segment begins at byte {here}; the first one is read")))
    }

    fn read_in_cluster(&mut self, header: Header, here: u64, size: u64) -> Result<Step> {
        if self.source.len().is_some_and(|len| here.saturating_add(size) > len) {
            return self.resync(here, "an element that reaches past the end of the file");
        }
        if header.id == ids::TIMESTAMP {
            if size > 8 {
                return self.resync(here, "a timestamp of more than 8 bytes");
            }
            self.source.consume(header.len);
            let data = self.source.read(size)?;
            if (data.len() as u64) < size {
                return Err(self.cut_off(here, size));
            }
            let time = data.iter().fold(0_u64, |time, byte| time << 8 | u64::from(*byte));
            // Room for what is added to it.
            let time = i64::try_from(time).ok().filter(|time| *time < i64::MAX / 4);
            if time.is_none() {
                return self.resync(here, "a cluster at an impossible time");
            }
            self.cluster.time = time;
            return Ok(Step::Next);
        }
        let Some(time) = self.cluster.time else {
            return self.resync(here, "a block before the time of its cluster");
        };
        if header.id == ids::SIMPLE_BLOCK {
            // What is not wanted is not read.
            let front = self.source.peek(header.len + 16)?.get(header.len..).unwrap_or_default();
            let track =
                Block::peek(front).and_then(|(number, ..)| self.inner.iter().find(|t| t.number == number));
            if track.is_some_and(|track| !track.selected || track.refusal.is_some()) {
                self.source.consume(header.len);
                return if self.source.skip(size)? { Ok(Step::Next) } else { Err(self.cut_off(here, size)) };
            }
        }
        if size > self.limits.packet_bytes {
            self.limits.check(
                Limit::PacketBytes,
                size,
                format!("{}: a block at byte {here}", self.source.path().display()),
            )?;
        }
        self.source.consume(header.len);
        let data = Bytes::from(self.source.read(size)?);
        if (data.len() as u64) < size {
            return Err(self.cut_off(here, size));
        }
        let block = match header.id {
            ids::SIMPLE_BLOCK => Block::simple(&data).map(Some),
            _ => Block::group(data),
        };
        // The element has the size that it claims: what follows it can be read.
        match block {
            Ok(Some(block)) => self.take(block, time, here),
            Ok(None) => Ok(Step::Next),
            Err(error) => Err(self.corrupt(format_args!("at byte {here}: {error}"))),
        }
    }

    /// Looks for the next cluster behind damage at `from`, and tells of it.
    fn resync(&mut self, from: u64, found: &str) -> Result<Step> {
        const HEAD: [u8; 4] = ids::CLUSTER.to_be_bytes();
        // One byte further, so that a cluster that is damaged itself is not found again.
        self.source.consume(1);
        self.cluster = Cluster { time: None, end: None };
        loop {
            let ahead = self.source.peek(1 << 15)?;
            let at = ahead.windows(HEAD.len()).position(|window| window == HEAD);
            let len = ahead.len();
            match at {
                Some(at) => {
                    self.source.consume(at);
                    if self.is_cluster()? {
                        let to = self.source.position();
                        return Err(self.corrupt(format_args!(
                            "{found} at byte {from}; {} bytes up to the next cluster are lost",
                            to.saturating_sub(from)
                        )));
                    }
                    self.source.consume(1);
                }
                None if len < HEAD.len() => {
                    self.source.consume(len);
                    return Err(self.corrupt(format_args!(
                        "{found} at byte {from}, and no cluster behind it: the file is cut off or damaged"
                    )));
                }
                None => self.source.consume(len - (HEAD.len() - 1)),
            }
        }
    }

    /// Whether a cluster begins here: behind its header stands what may come first in one.
    fn is_cluster(&mut self) -> Result<bool> {
        let ahead = self.source.peek(32)?;
        let Some(header) = Header::parse(ahead) else { return Ok(false) };
        let first = Header::parse(ahead.get(header.len..).unwrap_or_default());
        Ok(first.is_some_and(|first| {
            matches!(first.id, ids::TIMESTAMP | ids::CRC32 | ids::VOID | ids::POSITION | ids::PREV_SIZE)
                && first.size.is_some_and(|size| size < 1 << 16)
        }))
    }

    /// Makes packets of a block.
    fn take(&mut self, block: Block, cluster: i64, here: u64) -> Result<Step> {
        let Some(track) = self.inner.iter_mut().find(|track| track.number == block.track) else {
            if std::mem::replace(&mut self.told_unknown, true) {
                return Ok(Step::Next);
            }
            return Err(self.corrupt(format_args!(
                "a block at byte {here} is of track {}, which is not described",
                block.track
            )));
        };
        if !track.selected || track.refusal.is_some() {
            return Ok(Step::Next);
        }
        let start = cluster.saturating_add(block.time.into()).saturating_sub(track.delay);
        let laces = block.frames.len() as u64;
        // Nanoseconds from the start of the block.
        let mut elapsed = 0_u64;
        let last = block.frames.len().saturating_sub(1);
        for (index, frame) in block.frames.into_iter().enumerate() {
            let data =
                if track.prefix.is_empty() { frame } else { [&track.prefix[..], &frame].concat().into() };
            let sound = track.frame_duration(&data);
            let nanos = track.default_duration.or(sound);
            let (from, length) = match (nanos, block.duration) {
                // A block of one frame says best how long that is.
                (_, Some(ticks)) if laces == 1 => (0, i64::try_from(ticks).ok()),
                (Some(nanos), _) => {
                    let from = track.ticks(elapsed);
                    elapsed = elapsed.saturating_add(nanos);
                    (from, Some(track.ticks(elapsed).saturating_sub(from)))
                }
                (None, Some(ticks)) => {
                    // A block lasts no longer than a day has nanoseconds.
                    let at =
                        |index: u64| i64::try_from(ticks.min(1 << 47) * index / laces).unwrap_or(i64::MAX);
                    (at(index as u64), Some(at(index as u64 + 1) - at(index as u64)))
                }
                (None, None) => (0, None),
            };
            let padding = if index == last { u64::try_from(block.discard_padding).unwrap_or(0) } else { 0 };
            let length = length.map(|length| length.saturating_sub(track.ticks(padding)).max(0));
            let pts = start.saturating_add(from);
            let packet = packet(track, data, pts, length, block.keyframe);
            if track.is_text {
                push_text(track, packet, pts, length, &mut self.ready);
            } else {
                self.ready.push_back(packet);
            }
        }
        Ok(Step::Next)
    }

    /// The ends of texts that nothing has followed.
    fn end_texts(&mut self) {
        for track in &mut self.inner {
            if let Some(end) = track.text_end.take() {
                self.ready.push_back(empty_text(track, end, Some(0)));
            }
        }
    }
}

fn packet(track: &mut MkvTrack, data: Bytes, pts: i64, length: Option<i64>, keyframe: bool) -> Packet {
    let base = track.public.time_base;
    let dts = match &mut track.decoding {
        Some(decoding) => decoding.next(pts, length.unwrap_or(1).max(1)),
        None => pts,
    };
    Packet {
        duration: length.and_then(|length| u64::try_from(length).ok()),
        // Frames of sound and texts stand alone, whatever their flags say.
        keyframe: keyframe || track.public.kind != TrackKind::Video,
        ..track.public.packet(data).at(Timestamp::new(pts, base), Timestamp::new(dts, base))
    }
}

fn empty_text(track: &mut MkvTrack, pts: i64, length: Option<i64>) -> Packet {
    packet(track, Bytes::from_static(&[0, 0]), pts, length, true)
}

/// Texts of MP4 last until the next one: between two that do not meet an empty one is put.
fn push_text(
    track: &mut MkvTrack,
    shown: Packet,
    pts: i64,
    length: Option<i64>,
    ready: &mut VecDeque<Packet>,
) {
    if let Some(end) = track.text_end.take().filter(|end| *end < pts) {
        let gap = empty_text(track, end, Some(pts - end));
        ready.push_back(gap);
    }
    // A text that does not fit a sample is longer than anybody reads.
    let Some(data) = text::to_sample(&shown.data) else { return };
    track.text_end = length.map(|length| pts.saturating_add(length));
    ready.push_back(Packet { data, ..shown });
}

impl Demuxer for MatroskaDemuxer {
    fn format(&self) -> ContainerFormat {
        if self.header.webm { ContainerFormat::WebM } else { ContainerFormat::Matroska }
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn disabled_tracks(&self) -> &[TrackId] {
        &self.disabled
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn metadata(&self) -> Option<&FileMetadata> {
        Some(&self.metadata)
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        loop {
            if let Some(packet) = self.ready.pop_front() {
                // Packets that were read ahead may be of tracks that are not wanted.
                if self.inner.iter().any(|track| track.public.id == packet.track && track.selected) {
                    return Ok(Some(packet));
                }
                continue;
            }
            if let Some(error) = self.held.take() {
                return Err(error);
            }
            if self.ended || !self.inner.iter().any(|track| track.selected) {
                return Ok(None);
            }
            if let Step::End = self.step()? {
                self.ended = true;
                self.end_texts();
            }
        }
    }

    fn select_tracks(&mut self, tracks: &[TrackId]) {
        for track in &mut self.inner {
            track.selected = tracks.contains(&track.public.id);
        }
    }

    fn seek(&mut self, track: TrackId, to: Timestamp) -> Result<bool> {
        let Some(index) = self.inner.iter().position(|inner| inner.public.id == track) else {
            return Err(Error::invalid(format!("there is no track {} to seek in", track.0)));
        };
        if self.source.len().is_none() {
            return Ok(false);
        }
        let Some(inner) = self.inner.get(index) else { return Ok(false) };
        // The last tick of the file that is not behind `to`.
        let base: TimeBase = inner.public.time_base;
        let nearest = to.rescale(base);
        let ticks = if nearest > to { nearest.offset(-1) } else { nearest }.ticks();
        self.seek_ticks(index, ticks.saturating_add(inner.delay))?;
        Ok(true)
    }
}
