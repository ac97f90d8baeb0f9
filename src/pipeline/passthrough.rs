//! Tracks that are copied untouched, interleaved with the video by time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::source::{SourceInfo, SourceOptions};
use crate::container::{ContainerFormat, Demuxer, Input, Muxer, Sample, TrackId, TrackKind, open_input};
use crate::error::{Error, Result};
use crate::time::{TimeBase, Timestamp};

/// Reads the other tracks of the input through a demuxer of its own, on demand.
pub(super) struct Passthrough {
    demuxer: Option<Box<dyn Demuxer>>,
    /// Input track, output track.
    tracks: Vec<(TrackId, TrackId)>,
    next: Option<Sample>,
    path: PathBuf,
    start: Option<Duration>,
    end: Option<Timestamp>,
    samples: u64,
    keep_going: bool,
    /// Samples that were damaged and gone over.
    damage: Vec<Error>,
}

impl Passthrough {
    pub(super) fn none() -> Self {
        Self {
            demuxer: None,
            tracks: Vec::new(),
            next: None,
            path: PathBuf::new(),
            start: None,
            end: None,
            samples: 0,
            keep_going: false,
            damage: Vec::new(),
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
        let video = info.tracks.iter().find(|t| t.kind == TrackKind::Video).map(|t| t.id);
        let others: Vec<_> = info.tracks.iter().filter(|t| Some(t.id) != video).collect();
        let mut tracks = Vec::new();
        for track in others {
            let name = format!("track {} ({})", track.id.0, track.codec_name);
            if muxer.format() != ContainerFormat::Mp4 {
                notes.push(format!("{name} is left out: {} carries one video track only", muxer.format()));
            } else if track.copy.is_none() {
                notes.push(format!("{name} is left out: the input does not describe it"));
            } else {
                tracks.push((track.id, muxer.add_track(track)?));
            }
        }
        if tracks.is_empty() {
            return Ok(Self::none());
        }
        let Input::Demuxer(mut demuxer) = open_input(path)? else { return Ok(Self::none()) };
        demuxer.select_tracks(&tracks.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        if let (Some(start), Some((first, _))) = (options.start, tracks.first()) {
            demuxer.seek(*first, at(start))?;
        }
        let end = options.duration.map(|d| at(options.start.unwrap_or_default().saturating_add(d)));
        Ok(Self {
            demuxer: Some(demuxer),
            tracks,
            next: None,
            path: path.to_owned(),
            start: options.start,
            end,
            samples: 0,
            keep_going: options.keep_going,
            damage: Vec::new(),
        })
    }

    /// Samples written.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Damage gone over ([`SourceOptions::keep_going`]).
    pub(super) fn take_damage(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.damage)
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
                muxer.write_sample(&sample)?;
                self.samples += 1;
            }
        }
        Ok(())
    }

    fn peek(&mut self) -> Result<Option<&Sample>> {
        while self.next.is_none() {
            let Some(demuxer) = &mut self.demuxer else { return Ok(None) };
            match demuxer.next_sample() {
                Ok(Some(sample)) => self.next = self.place(sample),
                Ok(None) => self.demuxer = None,
                Err(error @ Error::CorruptStream { recoverable, .. }) if self.keep_going => {
                    if !recoverable {
                        self.demuxer = None;
                    }
                    self.damage.push(error);
                }
                Err(error) => return Err(error.in_file(&self.path)),
            }
        }
        Ok(self.next.as_ref())
    }

    /// The sample as it belongs into the output; `None` outside the wanted part.
    fn place(&self, mut sample: Sample) -> Option<Sample> {
        let (_, output) = self.tracks.iter().find(|(input, _)| *input == sample.track)?;
        sample.track = *output;
        if self.end.is_some_and(|end| sample.pts.is_some_and(|pts| pts >= end)) {
            return None;
        }
        if let Some(start) = self.start.map(at) {
            if sample.pts.is_some_and(|pts| pts < start) {
                return None;
            }
            let shift = |t: Timestamp| t.offset(start.rescale(t.base()).ticks().saturating_neg());
            sample.pts = sample.pts.map(shift);
            sample.dts = sample.dts.map(shift);
        }
        Some(sample)
    }
}

fn at(time: Duration) -> Timestamp {
    Timestamp::new(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX), TimeBase::NANOS)
}
