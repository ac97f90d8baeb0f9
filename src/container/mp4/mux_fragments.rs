//! Writing fragmented MP4 (ISO/IEC 14496-12 clause 8.8), for outputs that cannot seek and for files that are to be
//! playable as far as they are written.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write;

use super::mux::{Mp4MuxOptions, is_quicktime_sound};
use super::mux_boxes::Boxes;
use super::mux_moov::{Header, fragmented_file_type};
use super::mux_track::{Checked, MuxTrack};
use super::output::{Output, Target};
use crate::container::{ContainerFormat, FileMetadata, Hides, MuxSummary, Muxer, Track, TrackId};
use crate::error::{Error, Result};
use crate::packet::Packet;

/// A fragment ends with the group of pictures in which it becomes this long ...
const WANTED_SECONDS: i64 = 1;
/// ... at the latest when it is so long or holds so many bytes.
const LONGEST_SECONDS: i64 = 5;
const MOST_BYTES: u64 = 16 << 20;

/// `sample_flags` (clause 8.8.3.1): `sample_depends_on` 2 (nothing) or 1, and `sample_is_non_sync_sample`.
const SYNC: u32 = 0x0200_0000;
const NON_SYNC: u32 = 0x0101_0000;

/// Writes fragmented MP4: a header without samples, then fragments that each hold a group of pictures, or a few of
/// them, and what belongs to it of the other tracks. Nothing is written twice, and memory holds one fragment.
///
/// Parameter sets that change behind the header are written into the samples from then on. Where they change before it is written
/// it says so (`avc3`, `hev1`); otherwise it cannot, and readers take them up all the same.
///
/// Times are exact: each fragment states its decoding time, and an edit list says where presentation begins in
/// tracks that begin before zero.
pub struct Mp4FragmentMuxer {
    out: Output,
    tracks: Vec<Fragmented>,
    metadata: FileMetadata,
    state: State,
    sequence: u32,
    samples: u64,
    /// Bytes of the samples that wait.
    waiting: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is written yet.
    Collecting,
    /// The header is written.
    Started,
    Finished,
}

/// A track and those of its samples that are not written yet.
struct Fragmented {
    track: MuxTrack,
    waiting: VecDeque<Checked>,
    /// Presentation time of the start of the media time line: zero, or before it. Known with the header.
    origin: Option<i64>,
}

/// One line of a track fragment run.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Line {
    duration: u32,
    size: u32,
    flags: u32,
    shift: i32,
}

/// What a fragment gets of one track.
struct Part {
    track: u32,
    /// On the media time line.
    dts: u64,
    lines: Vec<Line>,
    data: Vec<Checked>,
    bytes: u64,
}

impl fmt::Debug for Mp4FragmentMuxer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mp4FragmentMuxer")
            .field("tracks", &self.tracks.len())
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}

impl Mp4FragmentMuxer {
    /// Writes from the current position of `writer` on. Nothing is written before the first fragment is
    /// complete.
    pub fn new<W: Write + Send + 'static>(writer: W, options: Mp4MuxOptions) -> Self {
        Self {
            out: Output::new(Target::Stream(Box::new(writer)), options.path),
            tracks: Vec::new(),
            metadata: FileMetadata::default(),
            state: State::Collecting,
            sequence: 0,
            samples: 0,
            waiting: 0,
        }
    }

    /// Writes the header. Tracks of which it cannot say what they are, since no sample has come, are left out.
    fn start(&mut self) -> Result<()> {
        if self.state != State::Collecting {
            return Ok(());
        }
        for track in &mut self.tracks {
            if track.track.payload.as_ref().is_some_and(|payload| payload.describe().is_err()) {
                continue;
            }
            track.origin = Some(track.waiting.front().map_or(0, |first| first.dts().min(0)));
        }
        let known = self.tracks.iter().filter_map(|track| Some((&track.track, track.origin?.unsigned_abs())));
        let header = Header::fragmented(known, &self.metadata)?.build(0, 0)?;
        let quicktime = self.tracks.iter().any(|track| is_quicktime_sound(&track.track.public));
        self.out.write(&fragmented_file_type(quicktime)?)?;
        self.out.write(&header)?;
        self.state = State::Started;
        Ok(())
    }

    /// Writes what waits as one fragment, at the end of the file all of it, before that without the last sample
    /// of each track, whose duration the next one tells.
    fn write_fragment(&mut self, end: bool) -> Result<()> {
        self.start()?;
        let mut parts = Vec::new();
        for track in &mut self.tracks {
            parts.extend(track.take(end)?);
        }
        self.waiting = self.tracks.iter().flat_map(|t| &t.waiting).map(|s| s.data.len() as u64).sum();
        let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        if bytes == 0 && parts.is_empty() {
            return Ok(());
        }
        self.sequence = self.sequence.wrapping_add(1);
        // The offsets in the moof count from its first byte; its length does not depend on them.
        let moof_len = self.moof(&parts, 0)?.len() as u64;
        // Data offsets are signed, so that a fragment stays below 2 GiB and its mdat needs no 64-bit size.
        let size = i32::try_from(moof_len + bytes + 8)
            .map_err(|_| Error::invalid(format!("a fragment of {bytes} bytes does not fit MP4")))?;
        let moof = self.moof(&parts, moof_len + 8)?;
        self.out.write(&moof)?;
        self.out.write(&(size as u32 - moof_len as u32).to_be_bytes())?;
        self.out.write(b"mdat")?;
        for sample in parts.iter().flat_map(|part| &part.data) {
            self.out.write(&sample.data)?;
        }
        self.out.flush()
    }

    /// The `moof` for media data that begins `data_at` bytes behind its start.
    fn moof(&self, parts: &[Part], data_at: u64) -> Result<Vec<u8>> {
        let mut out = Boxes::new();
        let mut at = data_at;
        out.within(*b"moof", |out| {
            out.within(*b"mfhd", |out| out.words(&[0, self.sequence]))?;
            for part in parts {
                out.within(*b"traf", |out| part.traf(out, at as u32))?;
                at += part.bytes;
            }
            Ok(())
        })?;
        Ok(out.into_bytes())
    }

    /// Whether a fragment ends in front of the sample that track `index` got last.
    fn is_due(&self, index: usize) -> bool {
        let Some(track) = self.tracks.get(index) else { return false };
        let (Some(first), Some(last)) = (track.waiting.front(), track.waiting.back()) else { return false };
        let second = i64::from(track.track.timescale);
        let span = last.dts().saturating_sub(first.dts());
        // Video decides, where there is any.
        let leader = self.tracks.iter().position(|track| track.track.payload.is_some()).unwrap_or(0);
        let at_boundary = index == leader && last.is_sync() && span >= WANTED_SECONDS.saturating_mul(second);
        // Another track may wait for the leader a little longer, not for ever.
        let patience = LONGEST_SECONDS * if index == leader { 1 } else { 2 };
        at_boundary || span >= patience.saturating_mul(second) || self.waiting >= MOST_BYTES
    }
}

impl Fragmented {
    /// Whether the sample is to be written: fragments cannot say that a sample that was presented in its turn is
    /// not to be shown, only that those before zero are not.
    fn wants(&self, sample: &Checked) -> Result<bool> {
        let id = self.track.public.id.0;
        if self.origin.is_some_and(|origin| sample.dts() < origin) {
            return Err(Error::invalid(format!(
                "track {id}: a sample is decoded at {} ticks, before the start that the header states",
                sample.dts()
            )));
        }
        if sample.is_hidden() && sample.pts() >= 0 {
            // Sound behind the end: nothing depends on it.
            if self.track.payload.is_none() && sample.is_sync() {
                return Ok(false);
            }
            return Err(Error::Unsupported {
                feature: format!(
                    "track {id}: a sample that is not to be shown at {} ticks, in fragmented MP4",
                    sample.pts()
                ),
                remedy: "write a plain MP4 file".into(),
            });
        }
        Ok(true)
    }

    /// Takes what can be written.
    fn take(&mut self, end: bool) -> Result<Option<Part>> {
        let Some(origin) = self.origin else { return Ok(None) };
        let count = if end { self.waiting.len() } else { self.waiting.len().saturating_sub(1) };
        let last_duration = self.track.last_duration();
        let Some(first) = self.waiting.front().filter(|_| count > 0) else { return Ok(None) };
        let dts = first.dts().saturating_sub(origin).unsigned_abs();
        let mut lines = Vec::new();
        for at in 0..count {
            let Some(sample) = self.waiting.get(at) else { break };
            let duration = self.waiting.get(at + 1).map_or(last_duration, Checked::delta);
            let (frames, step) = sample.frames();
            let shift = i32::try_from(sample.pts() - sample.dts()).map_err(|_| {
                Error::invalid(format!("track {}: composition time out of range", self.track.public.id.0))
            })?;
            let line = Line {
                duration,
                size: sample.data.len() as u32 / frames,
                flags: if sample.is_sync() { SYNC } else { NON_SYNC },
                shift,
            };
            lines.extend(std::iter::repeat_n(Line { duration: step, ..line }, frames as usize - 1));
            lines.push(line);
        }
        let data: Vec<Checked> = self.waiting.drain(..count).collect();
        let bytes = data.iter().map(|sample| sample.data.len() as u64).sum();
        Ok(Some(Part { track: self.track.public.id.0, dts, lines, data, bytes }))
    }
}

/// One value of a sample in a `trun` box.
type Field = fn(&Line) -> u32;

impl Part {
    /// The boxes of one track; what all samples share is said once.
    fn traf(&self, out: &mut Boxes, data_at: u32) -> Result<()> {
        let Some(first) = self.lines.first() else { return Ok(()) };
        let differs = |field: Field| self.lines.iter().any(|line| field(line) != field(first));
        let fields: [(u32, Field); 4] = [
            (0x100, |line| line.duration),
            (0x200, |line| line.size),
            (0x400, |line| line.flags),
            (0x800, |line| line.shift as u32),
        ];
        // There is no default for composition offsets but zero, and readers doubt samples that are nothing but a
        // number.
        let told: Vec<_> = fields
            .into_iter()
            .filter(|&(flag, field)| {
                differs(field) || (flag == 0x800 && first.shift != 0) || (flag == 0x200 && first.size == 0)
            })
            .collect();
        // default-base-is-moof, and defaults for duration, size and flags.
        out.within(*b"tfhd", |out| {
            out.words(&[0x02_0038, self.track, first.duration, first.size, first.flags])
        })?;
        out.within(*b"tfdt", |out| out.words(&[0x0100_0000, (self.dts >> 32) as u32, self.dts as u32]))?;
        out.within(*b"trun", |out| {
            let flags = told.iter().fold(1, |flags, (flag, _)| flags | flag);
            out.words(&[0x0100_0000 | flags, self.lines.len() as u32, data_at])?;
            for line in &self.lines {
                for (_, field) in &told {
                    out.words(&[field(line)])?;
                }
            }
            Ok(())
        })
    }
}

impl Muxer for Mp4FragmentMuxer {
    fn format(&self) -> ContainerFormat {
        ContainerFormat::Mp4
    }

    fn add_track(&mut self, track: &Track) -> Result<TrackId> {
        if self.state != State::Collecting || self.samples > 0 {
            return Err(Error::invalid("all tracks are added before the first sample"));
        }
        let id = TrackId(self.tracks.len() as u32 + 1);
        let track = MuxTrack::new(&Track { id, ..track.clone() })?;
        self.tracks.push(Fragmented { track, waiting: VecDeque::new(), origin: None });
        Ok(id)
    }

    fn describe(&mut self, metadata: &FileMetadata) -> bool {
        self.metadata = metadata.clone();
        true
    }

    /// An edit list in the header tells where presentation begins; where it ends is not known then.
    fn hides(&self) -> Hides {
        Hides { before: true, behind: false }
    }

    fn write(&mut self, sample: &Packet) -> Result<()> {
        if self.state == State::Finished {
            return Err(Error::invalid("the MP4 file is finished"));
        }
        let started = self.state == State::Started;
        let index = sample.track.0.checked_sub(1).map_or(usize::MAX, |index| index as usize);
        let Some(track) = self.tracks.get_mut(index) else {
            return Err(Error::invalid(format!("track {} was not added", sample.track.0)));
        };
        if started && track.origin.is_none() {
            return Err(Error::invalid(format!(
                "track {} begins when the header is written already, and has no codec_config",
                sample.track.0
            )));
        }
        let checked = track.track.check(sample)?;
        if !track.wants(&checked)? {
            return Ok(());
        }
        track.track.note(&checked);
        self.waiting += checked.data.len() as u64;
        track.waiting.push_back(checked);
        self.samples += 1;
        if self.is_due(index) { self.write_fragment(false) } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<MuxSummary> {
        if self.state == State::Finished {
            return Err(Error::invalid("the MP4 file is finished"));
        }
        if self.samples == 0 {
            return Err(Error::invalid("nothing to write: no track has a sample to present"));
        }
        self.write_fragment(true)?;
        self.state = State::Finished;
        Ok(MuxSummary { samples: self.samples, bytes: self.out.position() })
    }
}
