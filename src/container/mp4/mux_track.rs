//! What is remembered of each sample until the movie header is written.

use bytes::Bytes;

use super::payload::Payload;
use crate::container::{Sample, Track};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Run-length coded values.
#[derive(Default)]
pub(super) struct Runs<T>(pub(super) Vec<(u32, T)>);

impl<T: PartialEq> Runs<T> {
    fn push(&mut self, value: T) {
        match self.0.last_mut() {
            Some((count, last)) if *last == value && *count < u32::MAX => *count += 1,
            _ => self.0.push((1, value)),
        }
    }
}

/// Sample sizes: one number as long as all are equal (PCM has one sample per frame).
pub(super) enum Sizes {
    Equal { size: u32, count: u32 },
    Each(Vec<u32>),
}

impl Sizes {
    fn push(&mut self, new: u32) {
        match self {
            Self::Equal { size, count } if *count == 0 || *size == new => {
                *size = new;
                *count += 1;
            }
            Self::Equal { size, count } => {
                let mut each = vec![*size; *count as usize];
                each.push(new);
                *self = Self::Each(each);
            }
            Self::Each(each) => each.push(new),
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
    pub(super) count: u32,
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
    /// Duration of the last sample.
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
    delta: u32,
    keyframe: bool,
    discard: bool,
}

impl MuxTrack {
    pub(super) fn new(track: &Track) -> Result<Self> {
        let payload = match (&track.video, &track.copy) {
            (Some(video), _) => Some(Payload::new(video)?),
            (None, Some(_)) => None,
            (None, None) => {
                return Err(Error::unsupported(format!(
                    "a {} track without a description to copy in an MP4 file",
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
    pub(super) fn check(&mut self, sample: &Sample) -> Result<Checked> {
        let number = u64::from(self.count) + 1;
        let invalid =
            |what: String| Error::invalid(format!("sample {number} of track {}: {what}", self.public.id.0));
        if self.count == u32::MAX {
            return Err(invalid("an MP4 track holds no more than 2^32 - 1 samples".to_owned()));
        }
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
            let delta = dts.checked_sub(self.times.last_dts).filter(|delta| *delta >= 0);
            let delta = delta.ok_or_else(|| {
                invalid(format!(
                    "its decoding time {dts} is before that of the sample in front of it ({})",
                    self.times.last_dts
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
            Some(payload) => payload.convert(&sample.data)?,
            None => sample.data.clone(),
        };
        if u32::try_from(data.len()).is_err() {
            return Err(Error::invalid(format!("a sample of {} bytes does not fit MP4", data.len())));
        }
        Ok(Checked { data, pts, dts, duration, delta, keyframe: sample.keyframe, discard: sample.discard })
    }

    /// Enters a sample that was written at `offset` into the tables.
    pub(super) fn push(&mut self, sample: &Checked, offset: u64) {
        if self.count == 0 {
            self.times.first_dts = sample.dts;
        } else {
            self.deltas.push(sample.delta);
        }
        self.times.last_dts = sample.dts;
        self.times.last_duration = sample.duration.or((self.count > 0).then_some(sample.delta));
        self.count += 1;
        let size = sample.data.len() as u32;
        self.sizes.push(size);
        self.offsets.push(sample.pts - sample.dts);
        if self.all_sync && !sample.keyframe {
            self.all_sync = false;
            self.sync = (1..self.count).collect();
        }
        if !self.all_sync && sample.keyframe {
            self.sync.push(self.count);
        }
        match self.chunks.last_mut() {
            Some(chunk) if self.chunk_end == offset => chunk.samples += 1,
            _ => self.chunks.push(Chunk { offset, samples: 1 }),
        }
        self.chunk_end = offset + u64::from(size);
        if sample.discard {
            self.times.discarded.push(sample.pts);
        } else {
            let end = sample.pts.saturating_add(self.times.last_duration.unwrap_or(0).into());
            self.times.presented = Some(match self.times.presented {
                None => (sample.pts, sample.pts, end),
                Some((first, last, latest)) => (first.min(sample.pts), last.max(sample.pts), latest.max(end)),
            });
        }
    }

    /// Duration of the last sample: as stated, else as that of the one before, else one tick.
    pub(super) fn last_duration(&self) -> u32 {
        self.times.last_duration.unwrap_or(1)
    }
}
