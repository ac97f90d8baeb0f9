//! Writing Matroska and WebM.

use std::fmt;
use std::io::{Seek, Write};
use std::path::PathBuf;

use bytes::Bytes;

use super::ebml::{Put, UNKNOWN_SIZE};
use super::ids;
use super::metadata::MatroskaMetadata;
use super::mux_track::{Frame, OutTrack};
use crate::container::mp4::{Output, Target};
use crate::container::{ContainerFormat, FileMetadata, MuxSummary, Muxer, Track, TrackId, TrackKind};
use crate::error::{Error, Result};
use crate::memory;
use crate::packet::Packet;

/// Nanoseconds of a tick, as players expect it.
const USUAL_TICK: u32 = 1_000_000;
/// The shortest one: a cluster spans 32767 of them.
const SHORTEST_TICK: u32 = 1000;
/// Ticks that a frame lasts at least.
const TICKS_OF_A_FRAME: u64 = 4;

/// A cluster ends with a key frame once it is so long, and anyway when it is so long or large.
const CLUSTER_NANOS: i64 = 1_000_000_000;
const LONGEST_CLUSTER_NANOS: i64 = 5_000_000_000;
const LARGEST_CLUSTER: u64 = 5 << 20;

/// Packets that wait until every track has begun: of tracks that begin late ...
const MOST_WAITING: usize = 256;
const MOST_WAITING_BYTES: usize = 16 << 20;
/// ... and of pictures without which their track cannot be described.
const MOST_BYTES_UNDESCRIBED: usize = 256 << 20;

/// Writes Matroska (RFC 9559) or WebM.
///
/// A file gets known sizes, its duration, cues at the end and a `SeekHead`; on a pipe segment and clusters have unknown sizes, as
/// live streams do. Ticks last a millisecond, as players expect; less where the frames of a track follow each other so fast that
/// they would share them, and no more than in the Matroska file that the tracks come from.
pub struct MatroskaMuxer {
    out: Output,
    seekable: bool,
    webm: bool,
    tracks: Vec<OutTrack>,
    metadata: FileMetadata,
    state: State,
    /// Nanoseconds.
    tick: u32,
    /// Offset of the content of the segment.
    segment: u64,
    /// Offsets of what is filled in at the end: the entry of the cues, and the duration.
    seek_cues: u64,
    duration: u64,
    cluster: Option<Cluster>,
    cues: Vec<Cue>,
    samples: u64,
    /// When the last frame ends, in ticks.
    end: i64,
}

enum State {
    /// Packets that have come before the header could be written, and their bytes.
    Waiting(Vec<Packet>, usize),
    Started,
    Finished,
}

/// The cluster that is being written.
struct Cluster {
    position: u64,
    time: i64,
    /// Bytes of its content.
    size: u64,
    /// The content; empty on pipes, where it is written at once.
    parts: Vec<Bytes>,
}

struct Cue {
    time: i64,
    track: u64,
    cluster: u64,
    relative: u64,
}

impl fmt::Debug for MatroskaMuxer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MatroskaMuxer")
            .field("webm", &self.webm)
            .field("tracks", &self.tracks.len())
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}

impl MatroskaMuxer {
    /// Writes to an empty file. `path` is named in errors.
    pub fn create<W: Write + Seek + Send + 'static>(writer: W, path: impl Into<PathBuf>, webm: bool) -> Self {
        Self::new(Target::Seekable(Box::new(writer)), path.into(), webm, true)
    }

    /// Writes to what cannot seek: a live stream.
    pub fn stream<W: Write + Send + 'static>(writer: W, path: impl Into<PathBuf>, webm: bool) -> Self {
        Self::new(Target::Stream(Box::new(writer)), path.into(), webm, false)
    }

    fn new(target: Target, path: PathBuf, webm: bool, seekable: bool) -> Self {
        Self {
            out: Output::new(target, path),
            seekable,
            webm,
            tracks: Vec::new(),
            metadata: FileMetadata::default(),
            state: State::Waiting(Vec::new(), 0),
            tick: USUAL_TICK,
            segment: 0,
            seek_cues: 0,
            duration: 0,
            cluster: None,
            cues: Vec::new(),
            samples: 0,
            end: 0,
        }
    }

    fn told(&self) -> Option<&MatroskaMetadata> {
        self.metadata.matroska.as_deref()
    }

    /// Nanoseconds of a tick.
    fn choose_tick(&self) -> u32 {
        let told = self.told().map_or(USUAL_TICK, |told| told.scale);
        let shortest = self.tracks.iter().filter_map(|track| track.rate_duration).min().unwrap_or(u64::MAX);
        let mut tick = USUAL_TICK.min(told);
        while tick > SHORTEST_TICK && u64::from(tick) * TICKS_OF_A_FRAME > shortest {
            tick /= 10;
        }
        tick.max(SHORTEST_TICK)
    }

    /// Writes all that stands in front of the clusters.
    fn start(&mut self) -> Result<()> {
        self.tick = self.choose_tick();
        let mut out = Vec::new();
        out.master(ids::EBML, |out| {
            out.uint(ids::EBML_VERSION, 1);
            out.uint(ids::EBML_READ_VERSION, 1);
            out.uint(ids::EBML_MAX_ID_LENGTH, 4);
            out.uint(ids::EBML_MAX_SIZE_LENGTH, 8);
            out.bytes(ids::DOC_TYPE, if self.webm { b"webm" } else { b"matroska" });
            out.uint(ids::DOC_TYPE_VERSION, 4);
            out.uint(ids::DOC_TYPE_READ_VERSION, 2);
        });
        out.open_header(ids::SEGMENT);
        self.segment = out.len() as u64;

        let (info, duration_at) = self.info();
        let mut tracks = Vec::new();
        for track in &self.tracks {
            // A track without a picture to describe it has none to show.
            if track.begun || track.is_described() {
                let told = self.told().and_then(|told| told.track(track.id()));
                let enabled = self.metadata.track(track.id()).map(|told| told.enabled);
                track.write_entry(&mut tracks, told, enabled.filter(|_| track.public.video.is_none()))?;
            }
        }
        if !self.tracks.iter().any(|track| track.begun) {
            return Err(Error::invalid("nothing to write: no track has a sample"));
        }
        let mut more = Vec::new();
        if let Some(told) = self.metadata.matroska.as_deref() {
            told.write(&mut more);
        }
        let tracks_len = tracks.len() as u64;
        let mut tracks_element = Vec::new();
        tracks_element.header(ids::TRACKS, tracks_len);
        tracks_element.extend(tracks);
        if self.seekable {
            // Positions of a fixed length: that of the cues is filled in.
            let entries = [(ids::INFO, 0), (ids::TRACKS, info.len()), (ids::CUES, 0)];
            let head_len = SEEK_ENTRY * entries.len() + 5;
            out.header(ids::SEEK_HEAD, (SEEK_ENTRY * entries.len()) as u64);
            let head_end = self.segment as usize + head_len;
            for (id, offset) in entries {
                if id == ids::CUES {
                    self.seek_cues = out.len() as u64;
                }
                out.extend(seek_entry(id, (head_end + offset) as u64 - self.segment));
            }
        }
        self.duration = out.len() as u64 + duration_at as u64;
        out.extend(info);
        out.extend(tracks_element);
        out.extend(more);
        self.out.write(&out)?;
        // WebM has no place for them.
        let attachments = self.metadata.matroska.as_deref().and_then(|told| told.attachments.as_ref());
        attachments.filter(|_| !self.webm).map_or(Ok(()), |attachments| attachments.write(&mut self.out))
    }

    /// The segment information, and where in it the duration stands.
    fn info(&self) -> (Vec<u8>, usize) {
        let mut content = Vec::new();
        content.uint(ids::TIMESTAMP_SCALE, self.tick.into());
        content.bytes(ids::MUXING_APP, b"video-hw");
        content.bytes(ids::WRITING_APP, b"video-hw");
        if let Some(told) = self.told() {
            told.title.iter().for_each(|title| content.bytes(ids::TITLE, title));
            told.date.iter().for_each(|date| content.bytes(ids::DATE_UTC, date));
        }
        if self.seekable {
            content.float(ids::DURATION, 0.0);
        }
        let mut out = Vec::new();
        out.bytes(ids::INFO, &content);
        // The value is what the element ends with.
        let at = out.len() - size_of::<f64>();
        (out, at)
    }

    /// Writes the header and what has waited for it.
    fn begin(&mut self) -> Result<()> {
        let State::Waiting(waiting, _) = std::mem::replace(&mut self.state, State::Started) else {
            return Ok(());
        };
        self.start()?;
        for packet in waiting {
            self.write_packet(&packet)?;
        }
        Ok(())
    }

    fn index(&self, id: TrackId) -> Result<usize> {
        let index =
            id.0.checked_sub(1).map(|index| index as usize).filter(|index| *index < self.tracks.len());
        index.ok_or_else(|| Error::invalid(format!("track {} was not added", id.0)))
    }

    fn write_packet(&mut self, packet: &Packet) -> Result<()> {
        let index = self.index(packet.track)?;
        let tick = u64::from(self.tick);
        let Some(track) = self.tracks.get_mut(index) else { return Ok(()) };
        let Some(frame) = track.frame(packet, tick)? else { return Ok(()) };
        let time = self
            .ticks(frame.pts.saturating_add_unsigned(self.tracks.get(index).map_or(0, |track| track.delay)));
        self.write_frame(index, &frame, time)?;
        self.samples += 1;
        Ok(())
    }

    /// Whole ticks of so many nanoseconds, the nearest.
    fn ticks(&self, nanos: i64) -> i64 {
        let tick = i64::from(self.tick);
        nanos.saturating_add(tick / 2).div_euclid(tick)
    }

    fn write_frame(&mut self, index: usize, frame: &Frame, time: i64) -> Result<()> {
        let Some(track) = self.tracks.get(index) else { return Ok(()) };
        let is_video = track.public.kind == TrackKind::Video;
        let number = u64::from(track.id().0);
        let first_video = self.tracks.iter().position(|track| track.public.kind == TrackKind::Video);
        let leads = first_video.is_none_or(|first| first == index);
        if self.ends_cluster(frame, time, leads) {
            self.end_cluster()?;
        }
        if self.cluster.is_none() {
            self.open_cluster(time)?;
        }
        let relative = self.cluster.as_ref().and_then(|cluster| i16::try_from(time - cluster.time).ok());
        let Some(relative) = relative else {
            return Err(Error::invalid(format!(
                "a packet of track {number} lies {time} ticks from zero, too far before it"
            )));
        };
        let duration = frame.duration.map(|nanos| self.ticks(nanos).max(0).unsigned_abs());
        let reference = self.tracks.get(index).and_then(|track| track.last).map_or(-1, |last| last - time);
        let head = block_head(number, relative, frame, duration, reference);
        // Cues are for who seeks: key frames of pictures, or the starts of clusters where there are none.
        let fresh = self.cluster.as_ref().is_some_and(|cluster| cluster.parts.len() <= 1);
        if self.seekable && frame.keyframe && (is_video || (first_video.is_none() && fresh)) {
            let (cluster, relative) = self
                .cluster
                .as_ref()
                .map_or((0, 0), |cluster| (cluster.position - self.segment, cluster.size));
            memory::grow(&mut self.cues, 1)?;
            self.cues.push(Cue { time: time.max(0), track: number, cluster, relative });
        }
        self.put(head.front.into())?;
        self.put(frame.data.clone())?;
        self.put(head.back.into())?;
        if !self.seekable {
            self.out.flush()?;
        }
        if let Some(track) = self.tracks.get_mut(index) {
            track.last = Some(time);
            let usual = track.default_duration.and_then(|nanos| i64::try_from(nanos).ok());
            let length = frame.length.or(usual).unwrap_or(0);
            let delay = i64::try_from(track.delay).unwrap_or(0);
            let end = frame.pts.saturating_add(length).saturating_add(delay);
            self.end = self.end.max(self.ticks(end)).max(time);
        }
        Ok(())
    }

    /// Whether a frame belongs into the next cluster.
    fn ends_cluster(&self, frame: &Frame, time: i64, leads: bool) -> bool {
        let Some(cluster) = &self.cluster else { return false };
        let ticks = time.saturating_sub(cluster.time);
        let nanos = ticks.saturating_mul(self.tick.into());
        i16::try_from(ticks).is_err()
            || nanos >= LONGEST_CLUSTER_NANOS
            || cluster.size + frame.data.len() as u64 > LARGEST_CLUSTER && cluster.size > 1 << 10
            || leads && frame.keyframe && nanos >= CLUSTER_NANOS
    }

    fn open_cluster(&mut self, time: i64) -> Result<()> {
        // A cluster has no time before zero; its blocks may.
        let time = time.max(0);
        let mut content = Vec::new();
        content.uint(ids::TIMESTAMP, time.unsigned_abs());
        let position = self.out.position();
        self.cluster = Some(Cluster { position, time, size: 0, parts: Vec::new() });
        if !self.seekable {
            let mut header = Vec::new();
            header.open_header(ids::CLUSTER);
            self.out.write(&header)?;
        }
        self.put(content.into())
    }

    /// Adds to the cluster.
    fn put(&mut self, bytes: Bytes) -> Result<()> {
        let Some(cluster) = &mut self.cluster else { return Ok(()) };
        cluster.size += bytes.len() as u64;
        if !self.seekable {
            return self.out.write(&bytes);
        }
        if !bytes.is_empty() {
            memory::grow(&mut cluster.parts, 1)?;
            cluster.parts.push(bytes);
        }
        Ok(())
    }

    fn end_cluster(&mut self) -> Result<()> {
        let Some(cluster) = self.cluster.take() else { return Ok(()) };
        if self.seekable {
            let mut header = Vec::new();
            header.header(ids::CLUSTER, cluster.size);
            self.out.write(&header)?;
            for part in &cluster.parts {
                self.out.write(part)?;
            }
        }
        Ok(())
    }

    /// Writes the cues, and fills in what is known now.
    fn complete(&mut self) -> Result<()> {
        let cues = self.out.position() - self.segment;
        let mut content: Vec<u8> = memory::room(self.cues.len().saturating_mul(28))?;
        for cue in &self.cues {
            content.master(ids::CUE_POINT, |out| {
                out.uint(ids::CUE_TIME, cue.time.unsigned_abs());
                out.master(ids::CUE_TRACK_POSITIONS, |out| {
                    out.uint(ids::CUE_TRACK, cue.track);
                    out.uint(ids::CUE_CLUSTER_POSITION, cue.cluster);
                    out.uint(ids::CUE_RELATIVE_POSITION, cue.relative);
                });
            });
        }
        if content.is_empty() {
            let mut void = vec![0; SEEK_ENTRY];
            void[..2].copy_from_slice(&[ids::VOID as u8, 0x80 | (SEEK_ENTRY - 2) as u8]);
            self.out.overwrite(self.seek_cues, &void)?;
        } else {
            let mut header = Vec::new();
            header.header(ids::CUES, content.len() as u64);
            self.out.write(&header)?;
            self.out.write(&content)?;
            self.out.overwrite(self.seek_cues, &seek_entry(ids::CUES, cues))?;
        }
        let size = self.out.position() - self.segment;
        let mut marked = (size | 1 << 56).to_be_bytes();
        marked[0] = UNKNOWN_SIZE[0];
        self.out.overwrite(self.segment - UNKNOWN_SIZE.len() as u64, &marked)?;
        let duration = (self.end.max(0) as f64).to_bits().to_be_bytes();
        self.out.overwrite(self.duration, &duration)
    }
}

/// Bytes of an entry of the `SeekHead` with an ID of 4 bytes and a position of 8.
const SEEK_ENTRY: usize = 21;

fn seek_entry(id: u32, position: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(SEEK_ENTRY);
    out.master(ids::SEEK, |out| {
        out.bytes(ids::SEEK_ID, &id.to_be_bytes());
        out.bytes(ids::SEEK_POSITION, &position.to_be_bytes());
    });
    out
}

/// What stands around the bytes of a frame.
struct BlockHead {
    front: Vec<u8>,
    back: Vec<u8>,
}

const KEYFRAME: u8 = 0x80;
const INVISIBLE: u8 = 0x08;

/// A simple block where that says all, else a group; `reference` is where, from here, a frame lies that this one refers to.
fn block_head(number: u64, relative: i16, frame: &Frame, duration: Option<u64>, reference: i64) -> BlockHead {
    let mut inside = Vec::new();
    // Track numbers count from one; 28 bits are more than there can be.
    if number < 0x7f {
        inside.push(0x80 | number as u8);
    } else {
        inside.extend((number as u32 & 0x0fff_ffff | 0x1000_0000).to_be_bytes());
    }
    inside.extend(relative.to_be_bytes());
    let invisible = if frame.hidden { INVISIBLE } else { 0 };
    let size = (inside.len() + 1 + frame.data.len()) as u64;
    let (mut front, mut back) = (Vec::new(), Vec::new());
    if duration.is_none() && frame.discard_padding == 0 {
        front.header(ids::SIMPLE_BLOCK, size);
        front.extend(inside);
        front.push(if frame.keyframe { KEYFRAME } else { 0 } | invisible);
        return BlockHead { front, back };
    }
    if let Some(ticks) = duration {
        back.uint(ids::BLOCK_DURATION, ticks);
    }
    if !frame.keyframe {
        // A frame at the same time as the one before refers to it all the same.
        let reference = if reference == 0 { -1 } else { reference };
        back.bytes(ids::REFERENCE_BLOCK, &reference.to_be_bytes());
    }
    if frame.discard_padding > 0 {
        back.bytes(ids::DISCARD_PADDING, &frame.discard_padding.to_be_bytes());
    }
    let mut block = Vec::new();
    block.header(ids::BLOCK, size);
    block.extend(inside);
    block.push(invisible);
    front.header(ids::BLOCK_GROUP, (block.len() + frame.data.len() + back.len()) as u64);
    front.extend(block);
    BlockHead { front, back }
}

impl Muxer for MatroskaMuxer {
    fn format(&self) -> ContainerFormat {
        if self.webm { ContainerFormat::WebM } else { ContainerFormat::Matroska }
    }

    fn add_track(&mut self, track: &Track) -> Result<TrackId> {
        if !matches!(&self.state, State::Waiting(waiting, _) if waiting.is_empty()) {
            return Err(Error::invalid("all tracks are added before the first sample"));
        }
        let id = TrackId(self.tracks.len() as u32 + 1);
        self.tracks.push(OutTrack::new(&Track { id, ..track.clone() }, self.webm)?);
        Ok(id)
    }

    fn describe(&mut self, metadata: &FileMetadata) -> bool {
        self.metadata = metadata.clone();
        // What other formats say is theirs.
        metadata.matroska.is_some() || metadata.kinds.is_empty()
    }

    fn write(&mut self, packet: &Packet) -> Result<()> {
        let index = self.index(packet.track)?;
        let told = self.metadata.matroska.as_deref().and_then(|told| told.track(packet.track));
        if let Some(track) = self.tracks.get_mut(index) {
            track.begin(packet, told);
        }
        match &mut self.state {
            State::Finished => Err(Error::invalid("the Matroska file is finished")),
            State::Started => self.write_packet(packet),
            State::Waiting(waiting, bytes) => {
                *bytes += packet.data.len();
                memory::grow(waiting, 1)?;
                waiting.push(packet.clone());
                let full = waiting.len() >= MOST_WAITING || *bytes >= MOST_WAITING_BYTES;
                if full || !self.tracks.iter().any(OutTrack::waits) {
                    self.begin_when_described()?;
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<MuxSummary> {
        if matches!(self.state, State::Finished) {
            return Err(Error::invalid("the Matroska file is finished"));
        }
        self.describe_waiting()?;
        self.begin()?;
        self.state = State::Finished;
        self.end_cluster()?;
        if self.seekable {
            self.complete()?;
        }
        self.out.flush()?;
        Ok(MuxSummary { samples: self.samples, bytes: self.out.position() })
    }
}

impl MatroskaMuxer {
    /// Has the packets that wait describe their tracks.
    fn describe_waiting(&mut self) -> Result<()> {
        let State::Waiting(waiting, _) = &self.state else { return Ok(()) };
        for packet in waiting {
            let index = packet.track.0.checked_sub(1).map(|index| index as usize);
            let track = index.and_then(|index| self.tracks.get_mut(index));
            if let Some(track) = track.filter(|track| !track.is_described()) {
                track.frame(packet, USUAL_TICK.into())?;
            }
        }
        Ok(())
    }

    fn begin_when_described(&mut self) -> Result<()> {
        self.describe_waiting()?;
        let State::Waiting(_, bytes) = &self.state else { return Ok(()) };
        if self.tracks.iter().all(OutTrack::is_described) || *bytes > MOST_BYTES_UNDESCRIBED {
            return self.begin();
        }
        Ok(())
    }
}
