//! Reading Matroska and WebM.

use std::collections::VecDeque;
use std::fmt;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::block::Block;
use super::ebml::Header;
use super::header::SegmentHeader;
use super::ids;
use super::lace_times::LaceTimes;
use super::metadata::MatroskaMetadata;
use super::places::Telling;
use super::source::Source;
use super::text;
use super::tracks::MkvTrack;
use crate::container::{ContainerFormat, Demuxer, EachPacket, FileMetadata, Track, TrackId, TrackKind};
use crate::error::{Error, Result};
use crate::limits::{Limit, Limits};
use crate::packet::Packet;
use crate::stream_io::PositionedFile;
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
    /// Packets that are read and not given out yet, and where they can be read again.
    pub(super) ready: VecDeque<(Packet, Option<u64>)>,
    /// Where the packet that was given last can be.
    given: Option<u64>,
    /// Packets are not read but told of.
    pub(super) telling: Option<Telling>,
    ended: bool,
    /// What was met when reading ahead, where it cannot be met again.
    held: Option<Error>,
    /// Blocks of tracks that are not described, and which of the notes counts them.
    undescribed: (u64, Option<usize>),
    /// So has a segment behind the first one.
    pub(super) told_another: bool,
}

/// The cluster that is being read.
#[derive(Clone, Copy, Default)]
pub(super) struct Cluster {
    /// Where it begins; `None` where reading has begun within it.
    pub(super) position: Option<u64>,
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
pub(super) enum Step {
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
        Self::of_source(Source::new(reader, path)?, limits)
    }

    /// As [`Self::with_limits`], from a file: attachments are read when they are copied.
    pub(crate) fn of_file(file: PositionedFile, path: &Path, limits: Limits) -> Result<Self> {
        Self::of_source(Source::of_file(file, path.to_owned())?, limits)
    }

    fn of_source(mut source: Source, limits: Limits) -> Result<Self> {
        let mut header = SegmentHeader::read(&mut source, &limits)?;
        let (mut inner, mut notes): (Vec<MkvTrack>, _) = (Vec::new(), Vec::new());
        let mut unreadable = None;
        for (index, entry) in header.tracks.iter().enumerate() {
            let track = MkvTrack::parse(entry, &header, &mut notes).and_then(|track| {
                let repeated = inner.iter().any(|other| other.number == track.number);
                let why = || entry.broken(&format!("repeats track number {}", track.number));
                if repeated { Err(why()) } else { Ok(track) }
            });
            // One that cannot be read does not keep anybody from the others.
            let track = match track {
                Ok(track) => track,
                Err(error @ (Error::CorruptStream { .. } | Error::Unsupported { .. })) => {
                    notes.push(format!("the {}. track is not read: {error}", index + 1));
                    unreadable.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(why) = &track.refusal {
                let how = why.remedy.to_string();
                let how = if how.is_empty() { how } else { format!("; {how}") };
                notes.push(format!("track {}: {} is not read{how}", track.number, why.what));
            }
            inner.push(track);
        }
        let has_video = inner.iter().any(|track| track.public.video.is_some());
        if let Some(error) = unreadable.filter(|_| !has_video) {
            return Err(error.in_file(source.path()));
        }
        let hidden = |track: &&MkvTrack| !track.enabled && track.public.video.is_some();
        let told =
            |track: &MkvTrack| format!("track {} is marked as disabled: players leave it out", track.number);
        notes.extend(inner.iter().filter(hidden).map(told));
        let metadata = MatroskaMetadata::of(&mut header, &inner).into_file_metadata(&inner);
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
            given: None,
            telling: None,
            ended: false,
            held: None,
            undescribed: (0, None),
            told_another: false,
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
            for (packet, _) in self.ready.range(known..) {
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
            self.undescribed.0 = 0;
        }
        Ok(())
    }

    /// Forgets what belongs to the place that was read before.
    pub(super) fn restart(&mut self, cluster: Cluster) {
        self.cluster = cluster;
        self.ended = false;
        self.given = None;
        self.ready.clear();
        for track in &mut self.inner {
            track.restart();
        }
    }

    pub(super) fn corrupt(&self, what: impl fmt::Display) -> Error {
        Error::corrupt(format!("{}: {what}", self.source.path().display()))
    }

    /// Reads the next element.
    pub(super) fn step(&mut self) -> Result<Step> {
        let here = self.source.position();
        if self.source.at_end()? || self.segment_ends(here)? {
            return Ok(Step::End);
        }
        let Some(header) = self.source.peek_header()? else { return self.resync(here, "no element") };
        let content = here.saturating_add(header.len as u64);
        let end = header.size.map(|size| content.saturating_add(size));
        if header.id == ids::CLUSTER {
            self.source.consume(header.len);
            self.cluster = Cluster { position: Some(here), time: None, end };
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
            // Elements of a later version.
            _ if self.source.len().is_none_or(|len| end <= len) => {
                return self.skip_unknown(header, here, size);
            }
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
            if track.is_some_and(|track| self.passes_over(track)) {
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
        if self.telling.is_some() {
            return self.tell_block(header, here, size, time);
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

    /// Whether nobody wants the blocks of a track.
    fn passes_over(&self, track: &MkvTrack) -> bool {
        match &self.telling {
            Some(telling) => track.number != telling.number,
            None => !track.selected || track.refusal.is_some(),
        }
    }

    /// The track of a block whose frames have these sizes, where it is one that is wanted.
    pub(super) fn track_of<Frame>(
        &mut self,
        block: &Block<Frame>,
        here: u64,
        is_empty: impl Fn(&Frame) -> bool,
    ) -> Result<Option<usize>> {
        let Some(at) = self.inner.iter().position(|track| track.number == block.track) else {
            if self.telling.is_none() {
                self.note_undescribed(block.track, here);
            }
            return Ok(None);
        };
        if self.inner.get(at).is_none_or(|track| self.passes_over(track)) {
            return Ok(None);
        }
        if block.frames.len() > 1 && block.frames.iter().all(is_empty) {
            return Err(self
                .corrupt(format_args!("a block at byte {here} holds {} empty frames", block.frames.len())));
        }
        Ok(Some(at))
    }

    /// Counts a block of a track that is not described, which nobody can read.
    fn note_undescribed(&mut self, track: u64, here: u64) {
        let (count, note) = &mut self.undescribed;
        *count += 1;
        let text = format!(
            "{count} blocks of tracks that are not described are left out; the last is of track {track}, at byte {here}"
        );
        if let Some(told) = note.and_then(|note| self.notes.get_mut(note)) {
            *told = text;
        } else {
            *note = Some(self.notes.len());
            self.notes.push(text);
        }
    }

    /// Makes packets of a block.
    fn take(&mut self, mut block: Block, cluster: i64, here: u64) -> Result<Step> {
        let Some(at) = self.track_of(&block, here, Bytes::is_empty)? else { return Ok(Step::Next) };
        let first = block.frames.first().map(|frame| &frame[..]);
        let known =
            block.frames.len() < 2 || self.inner.get_mut(at).is_none_or(|track| track.knows_durations(first));
        let end = self.source.position();
        block.duration = self.span_of(at, &block, (cluster, end), known)?;
        let cluster_position = self.cluster.position;
        let Some(track) = self.inner.get_mut(at) else { return Ok(Step::Next) };
        let mut times = LaceTimes::new(track, &block, cluster);
        let mut room = self.limits.packet_bytes;
        for (index, frame) in std::mem::take(&mut block.frames).into_iter().enumerate() {
            let data = match track.coding.undo(frame, &mut room, &self.limits) {
                Err(error @ Error::CorruptStream { .. }) => {
                    let number = block.track;
                    return Err(
                        self.corrupt(format_args!("a block of track {number} at byte {here} holds {error}"))
                    );
                }
                data => data?,
            };
            let sound = track.frame_duration(&data);
            let (pts, length) = times.next(track, &block, index, sound);
            if data.is_empty() && !track.is_text {
                continue;
            }
            let packet = packet(track, data, pts, length, block.keyframe);
            if track.is_text {
                push_text(track, packet, pts, length, &mut self.ready);
            } else {
                let position = track.given.next(cluster_position);
                self.ready.push_back((packet, position));
            }
        }
        Ok(Step::Next)
    }

    /// The ends of texts that nothing has followed.
    fn end_texts(&mut self) {
        for track in &mut self.inner {
            if let Some(end) = track.text_end.take() {
                self.ready.push_back((empty_text(track, end, Some(0)), None));
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
    ready: &mut VecDeque<(Packet, Option<u64>)>,
) {
    if let Some(end) = track.text_end.take().filter(|end| *end < pts) {
        let gap = empty_text(track, end, Some(pts - end));
        ready.push_back((gap, None));
    }
    // A text that does not fit a sample is longer than anybody reads.
    let Some(data) = text::to_sample(&shown.data) else { return };
    track.text_end = length.map(|length| pts.saturating_add(length));
    ready.push_back((Packet { data, ..shown }, None));
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
            if let Some((packet, position)) = self.ready.pop_front() {
                // Packets that were read ahead may be of tracks that are not wanted.
                if self.inner.iter().any(|track| track.public.id == packet.track && track.selected) {
                    self.given = position;
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

    fn index(&mut self, track: TrackId, each: &mut EachPacket<'_>) -> Result<bool> {
        self.tell_places(track, each)
    }

    fn position(&self) -> Option<u64> {
        self.given.filter(|_| self.source.len().is_some())
    }

    fn resume(&mut self, track: TrackId, position: u64) -> Result<bool> {
        self.go_to_place(track, position)
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
