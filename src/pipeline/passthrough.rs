//! Tracks that are copied untouched, interleaved with the video by time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::source::{SourceInfo, SourceOptions};
use crate::container::{ContainerFormat, Demuxer, Input, Muxer, OpenOptions, Track, TrackId, TrackKind};
use crate::error::{Error, Result};
use crate::packet::Packet;
use crate::time::{TimeBase, Timestamp};

/// Problems remembered by their words.
const PROBLEMS_KEPT: usize = 10;
/// Errors in a row of samples after which the rest is taken for unreadable.
const MOST_BROKEN: u64 = 100_000;

/// Reads the other tracks of the input through a demuxer of its own, on demand.
pub(super) struct Passthrough {
    demuxer: Option<Box<dyn Demuxer>>,
    /// Input track, output track.
    tracks: Vec<(TrackId, TrackId)>,
    /// Output tracks whose samples are shown from their times on and stand alone: texts and chapters.
    lasting: Vec<TrackId>,
    next: Option<Packet>,
    path: PathBuf,
    start: Option<Duration>,
    end: Option<Timestamp>,
    samples: u64,
    /// Go on after damage.
    keep_going: bool,
    /// Samples that were left out because their times cannot be stated.
    untimed: u64,
    /// Errors of the demuxer that were gone over.
    broken: u64,
    problems: Vec<String>,
}

impl Passthrough {
    pub(super) fn none() -> Self {
        Self {
            demuxer: None,
            tracks: Vec::new(),
            lasting: Vec::new(),
            next: None,
            path: PathBuf::new(),
            start: None,
            end: None,
            samples: 0,
            keep_going: false,
            untimed: 0,
            broken: 0,
            problems: Vec::new(),
        }
    }

    /// Adds every track of the input that `muxer` can carry, and notes those that it cannot.
    pub(super) fn open(
        path: &Path,
        options: &SourceOptions,
        info: &SourceInfo,
        muxer: &mut dyn Muxer,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let others: Vec<_> = info.tracks.iter().filter(|t| Some(t.id) != info.track).collect();
        let (mut tracks, mut lasting) = (Vec::new(), Vec::new());
        for track in others {
            let name = format!("track {} ({})", track.id.0, track.codec_name);
            if muxer.format() != ContainerFormat::Mp4 {
                notes.push(format!("{name} is left out: {} carries one video track only", muxer.format()));
            } else if track.copy.is_none() {
                notes.push(format!("{name} is left out: the input does not describe it"));
            } else if is_timecode(track) && options.start.is_some_and(|start| !start.is_zero()) {
                notes.push(format!("{name} is left out: its timecode is that of the start of the input"));
            } else {
                let output = muxer.add_track(track).map_err(|e| e.of_input(path))?;
                tracks.push((track.id, output));
                lasting.extend((track.kind == TrackKind::Subtitle).then_some(output));
            }
        }
        if tracks.is_empty() {
            return Ok(Self::none());
        }
        let opened = OpenOptions::new().limits(options.limits.clone()).open(path)?;
        let Input::Demuxer(mut demuxer) = opened else { return Ok(Self::none()) };
        demuxer.select_tracks(&tracks.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        if let (Some(start), Some((first, _))) = (options.start, tracks.first()) {
            demuxer.seek(*first, at(start))?;
        }
        let end = options.duration.map(|d| at(options.start.unwrap_or_default().saturating_add(d)));
        Ok(Self {
            demuxer: Some(demuxer),
            tracks,
            lasting,
            next: None,
            path: path.to_owned(),
            start: options.start,
            end,
            samples: 0,
            keep_going: options.keep_going,
            untimed: 0,
            broken: 0,
            problems: Vec::new(),
        })
    }

    /// The output's number of a track of the input.
    pub(super) fn output_of(&self, input: TrackId) -> Option<TrackId> {
        self.tracks.iter().find(|(id, _)| *id == input).map(|(_, output)| *output)
    }

    /// The damage that was gone over, in words.
    pub(super) fn take_problems(&mut self) -> Vec<String> {
        if self.untimed > 0 {
            self.problems.push(format!(
                "{} samples of other tracks are left out: no file can state their times",
                std::mem::take(&mut self.untimed)
            ));
        }
        std::mem::take(&mut self.problems)
    }

    /// Samples written.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Writes every sample that is decoded at or before `time` of the output.
    pub(super) fn advance(&mut self, muxer: &mut dyn Muxer, time: Timestamp) -> Result<()> {
        self.copy(muxer, Some(time))
    }

    /// Writes the rest, or the rest up to `until`.
    pub(super) fn finish(&mut self, muxer: &mut dyn Muxer, until: Option<Timestamp>) -> Result<()> {
        self.copy(muxer, until)
    }

    fn copy(&mut self, muxer: &mut dyn Muxer, until: Option<Timestamp>) -> Result<()> {
        while let Some(sample) = self.peek()? {
            let time = sample.dts.or(sample.pts);
            if until.is_some_and(|until| time.is_some_and(|t| t > until)) {
                return Ok(());
            }
            if let Some(sample) = self.next.take() {
                match muxer.write(&sample) {
                    Ok(()) => self.samples += 1,
                    Err(Error::InvalidInput { .. }) if self.keep_going => self.untimed += 1,
                    Err(error) => return Err(error.of_input(&self.path)),
                }
            }
        }
        Ok(())
    }

    fn peek(&mut self) -> Result<Option<&Packet>> {
        while self.next.is_none() {
            let Some(demuxer) = &mut self.demuxer else { return Ok(None) };
            match demuxer.next_packet() {
                Ok(Some(sample)) => self.next = self.place(sample),
                Ok(None) => self.demuxer = None,
                Err(error @ Error::CorruptStream { .. }) if self.keep_going => {
                    // A track that ends early leaves the others to be copied; nothing else can be read behind other damage.
                    self.broken += 1;
                    if !error.is_recoverable() || self.broken > MOST_BROKEN {
                        self.demuxer = None;
                    }
                    if self.problems.len() < PROBLEMS_KEPT {
                        self.problems.push(error.of_input(&self.path).to_string());
                    }
                }
                Err(error) => return Err(error.of_input(&self.path)),
            }
        }
        Ok(self.next.as_ref())
    }

    /// The sample as it belongs into the output; `None` outside the wanted part.
    fn place(&self, mut sample: Packet) -> Option<Packet> {
        let (_, output) = self.tracks.iter().find(|(input, _)| *input == sample.track)?;
        sample.track = *output;
        if self.end.is_some_and(|end| sample.pts.is_some_and(|pts| pts >= end)) {
            return None;
        }
        if let Some(start) = self.start.map(at) {
            if let Some(pts) = sample.pts.filter(|pts| *pts < start) {
                // A text or a chapter is still shown; sound begins with its next sample.
                let late = start.rescale(pts.base()).ticks_since(pts);
                let left =
                    sample.duration.and_then(|d| d.checked_sub(late.unsigned_abs())).filter(|d| *d > 0)?;
                if !self.lasting.contains(output) {
                    return None;
                }
                let begin = pts.offset(late);
                (sample.pts, sample.dts, sample.duration) = (Some(begin), Some(begin), Some(left));
            }
            let shift = |t: Timestamp| t.offset(start.rescale(t.base()).ticks().saturating_neg());
            sample.pts = sample.pts.map(shift);
            sample.dts = sample.dts.map(shift);
        }
        Some(sample)
    }
}

fn is_timecode(track: &Track) -> bool {
    track.copy.as_ref().is_some_and(|copy| copy.handler == *b"tmcd")
}

fn at(time: Duration) -> Timestamp {
    Timestamp::new(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX), TimeBase::NANOS)
}
