//! Tracks that are copied untouched, interleaved with the video by time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::control::CancelToken;
use super::problems::Problems;
use super::side::Side;
use super::source::{SourceInfo, SourceOptions};
use super::tracks::{Taken, TrackSelection, chapters};
use crate::container::{Demuxer, Input, Muxer, OpenOptions, TrackId, TrackKind};
use crate::error::{Error, Result};
use crate::packet::Packet;
use crate::time::{TimeBase, Timestamp};

/// Sound that comes so long behind the end is the sign that no more of it is wanted, in seconds.
const BEHIND_END: f64 = 10.0;

/// Where samples come from.
enum Origin {
    /// Nothing comes, or nothing more.
    Over,
    /// The input, opened a second time.
    Own(Box<dyn Demuxer>),
    /// The demuxer of the pictures.
    Shared(Handed),
}

/// What the demuxer of the pictures hands over, for as long as it is wanted.
struct Handed(Side);

impl Drop for Handed {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Reads the other tracks of the input, on demand: through a demuxer of its own, or where the input can be read only once through
/// that of the pictures.
pub(super) struct Passthrough {
    origin: Origin,
    /// Input track, output track.
    tracks: Vec<(TrackId, TrackId)>,
    /// Output tracks whose samples are shown from their times on and stand alone: texts and chapters.
    lasting: Vec<TrackId>,
    next: Option<Packet>,
    path: PathBuf,
    cancel: CancelToken,
    start: Option<Duration>,
    end: Option<Timestamp>,
    samples: u64,
    /// Go on after damage.
    keep_going: bool,
    /// Samples that were left out because their times cannot be stated.
    untimed: u64,
    /// Errors of the demuxer that were gone over.
    problems: Problems,
    /// What its own demuxer has to say.
    notes: Vec<String>,
}

impl Passthrough {
    pub(super) fn none() -> Self {
        Self {
            origin: Origin::Over,
            tracks: Vec::new(),
            lasting: Vec::new(),
            next: None,
            path: PathBuf::new(),
            cancel: CancelToken::default(),
            start: None,
            end: None,
            samples: 0,
            keep_going: false,
            untimed: 0,
            problems: Problems::default(),
            notes: Vec::new(),
        }
    }

    /// Adds every track of the input that is wanted and that `muxer` can carry, and notes those that it cannot.
    pub(super) fn open(
        path: &Path,
        options: &SourceOptions,
        info: &SourceInfo,
        selection: &TrackSelection,
        muxer: &mut dyn Muxer,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let (mut tracks, mut lasting) = (Vec::new(), Vec::new());
        let taken = Taken {
            selection,
            chapters: chapters(&info.metadata),
            starts_late: options.start.is_some_and(|start| !start.is_zero()),
            main: None,
            one_video: Some("one video track is encoded"),
        };
        taken.note_unmatched(&info.tracks, notes);
        for track in info.tracks.iter().filter(|track| Some(track.id) != info.track) {
            if let Some(output) = taken.add(track, muxer, notes).map_err(|e| e.of_input(path))? {
                tracks.push((track.id, output));
                lasting.extend((track.kind == TrackKind::Subtitle).then_some(output));
            }
        }
        if tracks.is_empty() {
            return Ok(Self::none());
        }
        let origin = if let Some(side) = &options.side {
            if !side.begin(tracks.iter().map(|(id, _)| *id)) {
                return Err(Error::Unsupported {
                    feature: "sound and other tracks of a pipe that lie far in front of its pictures"
                        .to_owned(),
                    remedy: "save it to a file first, or leave them out".into(),
                });
            }
            Origin::Shared(Handed(side.clone()))
        } else {
            let opened = OpenOptions::new().limits(options.limits.clone()).open(path)?;
            let Input::Demuxer(mut demuxer) = opened else { return Ok(Self::none()) };
            demuxer.select_tracks(&tracks.iter().map(|(id, _)| *id).collect::<Vec<_>>());
            if let (Some(start), Some((first, _))) = (options.start, tracks.first()) {
                demuxer.seek(*first, at(start))?;
            }
            Origin::Own(demuxer)
        };
        let end = options.duration.map(|d| at(options.start.unwrap_or_default().saturating_add(d)));
        Ok(Self {
            origin,
            tracks,
            lasting,
            next: None,
            path: path.to_owned(),
            cancel: options.cancel.clone(),
            start: options.start,
            end,
            samples: 0,
            keep_going: options.keep_going,
            untimed: 0,
            problems: Problems::default(),
            notes: Vec::new(),
        })
    }

    /// The output's number of a track of the input.
    pub(super) fn output_of(&self, input: TrackId) -> Option<TrackId> {
        self.tracks.iter().find(|(id, _)| *id == input).map(|(_, output)| *output)
    }

    /// The damage that was gone over, in words.
    pub(super) fn take_problems(&mut self) -> Problems {
        self.problems.count += self.untimed;
        if self.untimed > 0 {
            self.problems.words.push(format!(
                "{} samples of other tracks are left out: no file can state their times",
                std::mem::take(&mut self.untimed)
            ));
        }
        std::mem::take(&mut self.problems)
    }

    /// What there is to know of the input, as far as it was read.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        self.leave();
        std::mem::take(&mut self.notes)
    }

    /// Nothing more is wanted.
    fn leave(&mut self) {
        if let Origin::Own(demuxer) = std::mem::replace(&mut self.origin, Origin::Over) {
            self.notes = demuxer.notes().to_vec();
        }
    }

    /// Samples written.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Writes every sample that is decoded at or before `time` of the output, as far as it was read.
    pub(super) fn advance(&mut self, muxer: &mut dyn Muxer, time: Timestamp) -> Result<()> {
        self.copy(muxer, Some(time), false)
    }

    /// Writes what waits, whenever it is decoded, if it waits in the way of the pictures.
    pub(super) fn relieve(&mut self, muxer: &mut dyn Muxer) -> Result<()> {
        let full = matches!(&self.origin, Origin::Shared(handed) if handed.0.is_full());
        if full { self.copy(muxer, None, false) } else { Ok(()) }
    }

    /// Writes the rest, or the rest up to `until`. Nothing more is wanted then.
    pub(super) fn finish(&mut self, muxer: &mut dyn Muxer, until: Option<Timestamp>) -> Result<()> {
        let result = self.copy(muxer, until, true);
        self.leave();
        result
    }

    fn copy(&mut self, muxer: &mut dyn Muxer, until: Option<Timestamp>, wait: bool) -> Result<()> {
        while let Some(sample) = self.peek(wait)? {
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

    fn peek(&mut self, wait: bool) -> Result<Option<&Packet>> {
        while self.next.is_none() {
            let read = match &mut self.origin {
                Origin::Over => return Ok(None),
                Origin::Own(demuxer) => demuxer.next_packet(),
                Origin::Shared(handed) => match handed.0.pop(wait, &self.cancel) {
                    // More may come.
                    None if !wait => return Ok(None),
                    sample => Ok(sample),
                },
            };
            match read {
                Ok(Some(sample)) if self.is_far_behind(&sample) => self.leave(),
                Ok(Some(sample)) => self.next = self.place(sample),
                Ok(None) => self.leave(),
                Err(error @ Error::CorruptStream { .. }) if self.keep_going => {
                    // A track that ends early leaves the others to be copied; nothing else can be read behind other damage.
                    if !self.problems.goes_on(error, &self.path) {
                        self.leave();
                    }
                }
                Err(error) => return Err(error.of_input(&self.path)),
            }
        }
        Ok(self.next.as_ref())
    }

    /// Whether a sample is so far behind the wanted part that none that is wanted can follow: an input may go on for ever.
    fn is_far_behind(&self, sample: &Packet) -> bool {
        let time = sample.dts.or(sample.pts);
        self.end.zip(time).is_some_and(|(end, time)| time.as_secs_f64() > end.as_secs_f64() + BEHIND_END)
    }

    /// The sample as it belongs into the output; `None` outside the wanted part.
    fn place(&self, mut sample: Packet) -> Option<Packet> {
        let (_, output) = self.tracks.iter().find(|(input, _)| *input == sample.track)?;
        sample.track = *output;
        if self.end.is_some_and(|end| sample.pts.is_some_and(|pts| !pts.is_before(end))) {
            return None;
        }
        // A text or a chapter that lasts beyond the part would make the output as long.
        if let (Some(end), Some(pts), true) = (self.end, sample.pts, self.lasting.contains(output)) {
            let left = end.rescale(pts.base()).ticks_since(pts).unsigned_abs();
            sample.duration = sample.duration.map(|duration| duration.min(left));
        }
        if let Some(start) = self.start.map(at) {
            if let Some(pts) = sample.pts.filter(|pts| pts.is_before(start)) {
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

fn at(time: Duration) -> Timestamp {
    Timestamp::new(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX), TimeBase::NANOS)
}
