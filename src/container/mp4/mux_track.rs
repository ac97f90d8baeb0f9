//! What is remembered of each sample until the movie header is written.

use bytes::Bytes;

use super::boxes::Mp4Box;
use super::payload::Payload;
use super::pcm;
use crate::container::Track;
use crate::error::{Error, Result};
use crate::memory;
use crate::packet::Packet;
use crate::time::Timestamp;

/// Run-length coded values.
#[derive(Default)]
pub(super) struct Runs<T>(pub(super) Vec<(u32, T)>);

impl<T: PartialEq> Runs<T> {
    fn push(&mut self, times: u32, value: T) {
        match self.0.last_mut() {
            _ if times == 0 => {}
            Some((count, last)) if *last == value && *count <= u32::MAX - times => *count += times,
            _ => self.0.push((times, value)),
        }
    }
}

/// Sample sizes: one number as long as all are equal (PCM has one sample per frame).
pub(super) enum Sizes {
    Equal { size: u32, count: u32 },
    Each(Vec<u32>),
}

impl Sizes {
    /// Makes room for so many of a size, which [`Self::push`] then takes.
    fn make_room(&mut self, times: u32, new: u32) -> Result<()> {
        match self {
            Self::Equal { size, count } if *count > 0 && *size != new => {
                let mut each = memory::room(*count as usize + times as usize)?;
                each.resize(*count as usize, *size);
                *self = Self::Each(each);
                Ok(())
            }
            Self::Equal { .. } => Ok(()),
            Self::Each(each) => memory::grow(each, times as usize),
        }
    }

    fn push(&mut self, times: u32, new: u32) {
        match self {
            Self::Equal { size, count } => {
                *size = new;
                *count += times;
            }
            Self::Each(each) => each.extend(std::iter::repeat_n(new, times as usize)),
        }
    }
}

/// Samples stored one after the other.
pub(super) struct Chunk {
    pub(super) offset: u64,
    pub(super) samples: u32,
}

/// A track being written.
pub(super) struct MuxTrack {
    pub(super) public: Track,
    pub(super) timescale: u32,
    /// Ticks of the timescale per tick of the time base.
    factor: i64,
    /// Conversion of video samples; `None` for tracks that are copied.
    pub(super) payload: Option<Payload>,
    /// Bytes of a PCM frame: a sample of several frames is entered into the tables frame by frame.
    frame_len: Option<u32>,
    /// Entries of the tables.
    pub(super) count: u64,
    pub(super) sizes: Sizes,
    pub(super) deltas: Runs<u32>,
    /// Composition time minus decoding time.
    pub(super) offsets: Runs<i64>,
    /// Numbers of the sync samples, kept from the first sample on that is none.
    pub(super) sync: Vec<u32>,
    pub(super) all_sync: bool,
    pub(super) chunks: Vec<Chunk>,
    /// Where the last chunk ends.
    chunk_end: u64,
    pub(super) times: Times,
}

/// Extent of a track on the presentation time line, in ticks of its timescale.
#[derive(Default)]
pub(super) struct Times {
    /// Decoding time of the first sample: where the media time line begins.
    pub(super) first_dts: i64,
    last_dts: i64,
    /// What the last sample covers up to its last table entry, and the duration of that entry.
    covered: u32,
    last_duration: Option<u32>,
    /// Presentation times of the first and last presented sample, and the latest end of one.
    pub(super) presented: Option<(i64, i64, i64)>,
    /// Presentation times of the samples that are not to be shown.
    pub(super) discarded: Vec<i64>,
}

/// What a sample will look like in the tables. Made before its bytes are written, so that a sample that the
/// format cannot carry leaves no trace.
pub(super) struct Checked {
    pub(super) data: Bytes,
    pts: i64,
    dts: i64,
    duration: Option<u32>,
    /// Duration of the table entry in front of this sample.
    delta: u32,
    /// Table entries that the sample makes, and the duration of each but the last.
    frames: u32,
    step: u32,
    keyframe: bool,
    discard: bool,
}

impl Checked {
    pub(super) fn pts(&self) -> i64 {
        self.pts
    }

    pub(super) fn dts(&self) -> i64 {
        self.dts
    }

    /// Duration of the table entry in front of this sample.
    pub(super) fn delta(&self) -> u32 {
        self.delta
    }

    /// Table entries that the sample makes, and the duration of each but the last.
    pub(super) fn frames(&self) -> (u32, u32) {
        (self.frames, self.step)
    }

    pub(super) fn is_sync(&self) -> bool {
        self.keyframe
    }

    /// Not to be shown.
    pub(super) fn is_hidden(&self) -> bool {
        self.discard
    }
}

impl MuxTrack {
    pub(super) fn new(track: &Track) -> Result<Self> {
        let payload = match (&track.video, &track.copy) {
            (Some(video), _) => Some(Payload::new(video)?),
            (None, Some(copy)) if !copy.sample_entry.is_empty() => None,
            (None, _) => {
                return Err(Error::unsupported(format!(
                    "a track of {} without a description to copy in an MP4 file",
                    track.codec_name
                )));
            }
        };
        let tick = track.time_base.seconds_per_tick();
        Ok(Self {
            public: track.clone(),
            timescale: tick.den(),
            factor: tick.num().into(),
            payload,
            frame_len: pcm_frame_len(track),
            count: 0,
            sizes: Sizes::Equal { size: 0, count: 0 },
            deltas: Runs::default(),
            offsets: Runs::default(),
            sync: Vec::new(),
            all_sync: true,
            chunks: Vec::new(),
            chunk_end: 0,
            times: Times::default(),
        })
    }

    /// Converts a sample and checks that its times fit.
    pub(super) fn check(&mut self, sample: &Packet) -> Result<Checked> {
        let number = self.count + 1;
        let invalid =
            |what: String| Error::invalid(format!("sample {number} of track {}: {what}", self.public.id.0));
        let (Some(pts), Some(dts)) = (sample.pts.or(sample.dts), sample.dts.or(sample.pts)) else {
            return Err(invalid("it has no time; MP4 needs one".to_owned()));
        };
        let ticks = |time: Timestamp| {
            let exact = time.rescale(self.public.time_base);
            if exact != time {
                return Err(invalid(format!(
                    "{} ticks of {} s are no whole number of the track's ticks of {} s",
                    time.ticks(),
                    time.base(),
                    self.public.time_base
                )));
            }
            exact
                .ticks()
                .checked_mul(self.factor)
                .ok_or_else(|| invalid("its time is out of range".to_owned()))
        };
        let (pts, dts) = (ticks(pts)?, ticks(dts)?);
        let duration =
            match sample.duration {
                None => None,
                Some(ticks) => {
                    let scaled =
                        ticks.checked_mul(self.factor.unsigned_abs()).and_then(|d| u32::try_from(d).ok());
                    Some(scaled.ok_or_else(|| {
                        invalid(format!("its duration of {ticks} ticks does not fit 32 bits"))
                    })?)
                }
            };
        let delta = if self.count == 0 {
            0
        } else {
            let before = self.times.last_dts.saturating_add(self.times.covered.into());
            let delta = dts.checked_sub(before).filter(|delta| *delta >= 0).ok_or_else(|| {
                invalid(format!(
                    "its decoding time {dts} is before that of the sample in front of it ({before})"
                ))
            })?;
            u32::try_from(delta).map_err(|_| {
                invalid(format!(
                    "it is {delta} ticks behind the one in front of it; MP4 has 32 bits for that"
                ))
            })?
        };
        if pts.checked_sub(dts).is_none_or(|offset| i32::try_from(offset).is_err()) {
            return Err(invalid(format!(
                "presentation time {pts} and decoding time {dts} are too far apart"
            )));
        }
        let data = match &mut self.payload {
            Some(payload) => payload.convert(&sample.data, sample.keyframe)?,
            None => sample.data.clone(),
        };
        let Ok(size) = u32::try_from(data.len()) else {
            return Err(Error::invalid(format!("a sample of {} bytes does not fit MP4", data.len())));
        };
        let (keyframe, discard) = (sample.keyframe, sample.discard);
        // Whole PCM frames that share the duration of the sample evenly.
        let whole = self.frame_len.filter(|len| keyframe && size > 0 && size.is_multiple_of(*len));
        let frames = whole.map_or(1, |len| size / len);
        let (frames, step) = match duration {
            Some(duration) if duration.is_multiple_of(frames) => (frames, duration / frames),
            _ => (1, duration.unwrap_or(0)),
        };
        Ok(Checked { data, pts, dts, duration, delta, frames, step, keyframe, discard })
    }

    /// Makes room in the tables for a sample, so that [`Self::push`] cannot fail once it is written. Refuses more samples than
    /// they can count.
    pub(super) fn make_room(&mut self, sample: &Checked) -> Result<()> {
        let most = u64::from(u32::MAX);
        if self.count + u64::from(sample.frames) > most {
            return Err(Error::invalid(format!("track {} outgrows {most} samples", self.public.id.0)));
        }
        let frames = sample.frames;
        memory::grow(&mut self.deltas.0, 2)?;
        memory::grow(&mut self.offsets.0, 1)?;
        memory::grow(&mut self.chunks, 1)?;
        memory::grow(&mut self.times.discarded, usize::from(sample.discard))?;
        let sync = match (self.all_sync, sample.keyframe) {
            (true, false) => self.count as usize,
            (false, true) => frames as usize,
            _ => 0,
        };
        memory::grow(&mut self.sync, sync)?;
        self.sizes.make_room(frames, sample.data.len() as u32 / frames)
    }

    /// Enters a sample that was written at `offset` into the tables.
    pub(super) fn push(&mut self, sample: &Checked, offset: u64) {
        if self.count == 0 {
            self.times.first_dts = sample.dts;
        } else {
            self.deltas.push(1, sample.delta);
        }
        let frames = sample.frames;
        let first = self.count + 1;
        self.deltas.push(frames - 1, sample.step);
        self.note(sample);
        let size = sample.data.len() as u32;
        self.sizes.push(frames, size / frames);
        self.offsets.push(frames, sample.pts - sample.dts);
        if self.all_sync && !sample.keyframe {
            self.all_sync = false;
            self.sync.extend(1..first as u32);
        }
        if !self.all_sync && sample.keyframe {
            self.sync.extend(first as u32..=self.count as u32);
        }
        match self.chunks.last_mut() {
            Some(chunk) if self.chunk_end == offset => chunk.samples += frames,
            _ => self.chunks.push(Chunk { offset, samples: frames }),
        }
        self.chunk_end = offset + u64::from(size);
    }

    /// Takes note of the times of a sample.
    pub(super) fn note(&mut self, sample: &Checked) {
        self.times.last_duration = match sample.duration {
            Some(_) => Some(sample.step),
            None => (self.count > 0).then_some(sample.delta),
        };
        self.times.last_dts = sample.dts;
        self.times.covered = sample.step * (sample.frames - 1);
        self.count += u64::from(sample.frames);
        if sample.discard {
            self.times.discarded.push(sample.pts);
        } else {
            let length = u64::from(self.times.covered) + u64::from(self.times.last_duration.unwrap_or(0));
            let end = sample.pts.saturating_add_unsigned(length);
            self.times.presented = Some(match self.times.presented {
                None => (sample.pts, sample.pts, end),
                Some((first, last, latest)) => (first.min(sample.pts), last.max(sample.pts), latest.max(end)),
            });
        }
    }

    /// Duration of the last table entry: as stated, else as that of the one before, else one tick.
    pub(super) fn last_duration(&self) -> u32 {
        self.times.last_duration.unwrap_or(1)
    }
}

fn pcm_frame_len(track: &Track) -> Option<u32> {
    let copy = track.copy.as_ref().filter(|copy| copy.handler == *b"soun")?;
    pcm::frame_len(&Mp4Box::from_bytes(&copy.sample_entry)?)
}
