//! Coded video sequences, and the change of libraries in their middle.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Finished;
use super::exact::{self, ExactDecoder};
use super::fast::{self, Decoded, FastDecoder};
use super::memory;
use super::raw::{self, RawDecoder};
use super::route::{self, Hazards, Route};
use super::survey::{Raw, Survey};
use crate::backend::software::decode::output::PictureShape;
use crate::bitstream::Reorder;
use crate::bitstream::h264::Sps;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::pixel::Chroma;

/// Units of the current sequence kept for a change of libraries in its middle, and their total size.
const MAX_REPLAY_UNITS: usize = 2000;
const MAX_REPLAY_BYTES: usize = 64 << 20;

/// Place in output order: period and picture order count.
pub(super) type Key = (u64, i32);

/// Coded video sequences that share a sequence parameter set.
pub(super) struct Sequence {
    pub(super) sps: Sps,
    pub(super) shape: PictureShape,
    codec: Codec,
    /// Pictures of the libraries that give them in decoding order.
    reorder: Reorder<Finished>,
    survey: Survey,
    replay: Replay,
    /// Where the slices of the last picture began that was known to be whole.
    slicing: Vec<(bool, u32)>,
    /// openh264 would have decoded all since the IDR picture exactly.
    raw_is_exact: bool,
    limits: Limits,
}

enum Codec {
    Fast(Box<FastDecoder>),
    Exact(Box<ExactDecoder>),
    /// With the keys of the units whose pictures are to come.
    Raw(Box<RawDecoder>, BTreeMap<u64, Key>),
}

/// A picture to decode.
#[derive(Clone)]
pub(super) struct Coded {
    pub(super) serial: u64,
    pub(super) key: Key,
    /// Slices after start codes, parameter sets before them where they are new.
    pub(super) data: Bytes,
    pub(super) idr: bool,
    /// Field parity and first macroblock of each slice.
    pub(super) slicing: Vec<(bool, u32)>,
    pub(super) hazards: Hazards,
    pub(super) route: Route,
    pub(super) raw_is_exact: bool,
    /// The last of its slices ends with the input.
    pub(super) unterminated: bool,
}

/// What the libraries were given since the last IDR picture, so that another one can take over.
#[derive(Default)]
struct Replay {
    units: Vec<Coded>,
    bytes: usize,
    overflown: bool,
}

impl Replay {
    fn push(&mut self, unit: &Coded) {
        self.bytes += unit.data.len();
        if self.units.len() >= MAX_REPLAY_UNITS || self.bytes > MAX_REPLAY_BYTES {
            self.overflown = true;
            self.units = Vec::new();
        } else if !self.overflown {
            self.units.push(unit.clone());
        }
    }

    fn take(&mut self) -> Result<Vec<Coded>> {
        if self.overflown {
            return Err(Error::Unsupported {
                feature: format!(
                    "H.264 coding tools that first appear {MAX_REPLAY_UNITS} pictures or \
                     {MAX_REPLAY_BYTES} bytes after the IDR picture"
                ),
                remedy: "decoding continues at the next IDR picture; encode them more often".into(),
            });
        }
        Ok(std::mem::take(&mut self.units))
    }
}

impl Sequence {
    /// `depth`: see [`Reorder`].
    pub(super) fn start(sps: &Sps, route: Route, depth: usize, limits: &Limits) -> Result<Self> {
        let dimensions =
            sps.dimensions().ok_or_else(|| Error::corrupt("H.264 SPS: cropping leaves nothing"))?;
        Ok(Self {
            sps: sps.clone(),
            shape: PictureShape { dimensions, format: route::format(sps)? },
            codec: match route {
                Route::Fast => Codec::Fast(Box::new(FastDecoder::new())),
                Route::Exact => Codec::Exact(Box::new(ExactDecoder::new())),
            },
            reorder: Reorder::new(depth),
            survey: Survey::new(),
            replay: Replay::default(),
            slicing: Vec::new(),
            raw_is_exact: false,
            limits: limits.clone(),
        })
    }

    /// The library at work.
    pub(super) const fn library(&self) -> &'static str {
        match self.codec {
            Codec::Fast(_) => fast::LIBRARY,
            Codec::Exact(_) => exact::LIBRARY,
            Codec::Raw(..) => raw::LIBRARY,
        }
    }

    /// Whether the slice data of a picture, read to their end, hold all of it.
    pub(super) fn is_whole(&mut self, unit: &Coded) -> bool {
        self.survey.learn(&unit.data).is_ok() && self.survey.expect_whole(&unit.data, &self.sps).is_ok()
    }

    /// Gives the library made-up reference pictures of this period, in Annex B with their parameter sets, before the
    /// first picture. None of them comes out.
    pub(super) fn precede(&mut self, period: u64, units: Vec<Vec<u8>>) {
        for data in units {
            // No unit has this serial, which is how they stay inside.
            let unit = Coded {
                serial: u64::MAX,
                key: (period, i32::MIN),
                data: data.into(),
                idr: false,
                slicing: Vec::new(),
                hazards: Hazards::default(),
                route: Route::Fast,
                raw_is_exact: false,
                unterminated: false,
            };
            // Where the library cannot take them, the pictures behind them tell.
            match &mut self.codec {
                Codec::Fast(decoder) => {
                    self.replay.push(&unit);
                    let _ = decoder.decode(&unit.data, false);
                }
                Codec::Exact(decoder) => {
                    let _ = decoder.decode(unit.serial, &unit.data, u64::MAX, &mut Vec::new());
                }
                Codec::Raw(..) => {}
            }
        }
    }

    /// Decodes one picture. Pictures that need no reordering any more are added to `out`; those of units
    /// before `wanted` have been answered.
    pub(super) fn decode(&mut self, unit: &Coded, wanted: u64, out: &mut Vec<Finished>) -> Result<()> {
        if unit.idr {
            self.begin()?;
        }
        self.survey.learn(&unit.data).map_err(|error| match self.sps.chroma {
            // The library first reads these sets as if chroma had fewer scaling lists, and gives up where that fails.
            Chroma::Yuv444 => route::unreadable_sets(),
            _ => error,
        })?;
        // A lost slice leaves another slicing behind, and the libraries do not notice one in the middle. Most
        // encoders slice all pictures in the same way, so that few pictures need the full reading.
        if unit.slicing.len() > 1 && unit.slicing != self.slicing {
            self.survey.expect_whole(&unit.data, &self.sps)?;
            self.slicing.clone_from(&unit.slicing);
        }
        self.raw_is_exact &= unit.raw_is_exact;
        if self.raw_is_exact || matches!(self.codec, Codec::Fast(_)) {
            self.replay.push(unit);
        }
        match &mut self.codec {
            Codec::Fast(decoder) => {
                let mut raw = Raw::None;
                if unit.route == Route::Fast {
                    let search = unit.hazards.filter || unit.hazards.bipredictive;
                    let (planes, suspect) = match decoder.decode(&unit.data, search)? {
                        Decoded::Picture(planes) => (Some(planes), false),
                        Decoded::Suspect(planes) => (Some(planes), true),
                        Decoded::NotHere => (None, true),
                    };
                    if suspect {
                        raw = self.survey.raw_macroblocks(&unit.data, &self.sps)?;
                    }
                    if let Some(planes) = planes
                        && (raw == Raw::None || raw == Raw::Harmless && !unit.hazards.bipredictive)
                    {
                        let planes = planes.shown(&self.sps, self.shape);
                        self.reorder.push(unit.key, Finished { serial: unit.serial, copied: false, planes });
                        return Ok(());
                    }
                } else {
                    raw = self.survey.raw_macroblocks(&unit.data, &self.sps)?;
                }
                if raw == Raw::Filtered || unit.hazards.within_slices {
                    return self.change_to_raw(unit.hazards, wanted);
                }
                self.change_to_exact(wanted, out)
            }
            Codec::Exact(decoder) => {
                let raw = if unit.hazards.filter {
                    self.survey.raw_macroblocks(&unit.data, &self.sps)?
                } else {
                    Raw::Harmless
                };
                if raw == Raw::Filtered || unit.hazards.within_slices {
                    return self.change_to_raw(unit.hazards, wanted);
                }
                decoder.decode(unit.serial, &unit.data, wanted, out)
            }
            Codec::Raw(..) if !self.raw_is_exact => Err(route::beyond_openh264(unit.hazards)),
            Codec::Raw(decoder, keys) => {
                keys.insert(unit.serial, unit.key);
                let mut ready = Vec::new();
                let outcome = decoder.decode(unit.serial, &unit.data, wanted, &mut ready);
                self.sort(ready);
                outcome
            }
        }
    }

    /// The next picture that none can precede any more; `period` is the newest.
    pub(super) fn pop(&mut self, period: u64) -> Option<Finished> {
        self.reorder.pop(period)
    }

    /// Gives all that the library holds; nothing can be decoded afterwards.
    pub(super) fn finish(&mut self, out: &mut Vec<Finished>) -> Result<()> {
        match &mut self.codec {
            Codec::Fast(_) => Ok(()),
            Codec::Exact(decoder) => decoder.finish(out),
            Codec::Raw(decoder, _) => {
                let mut ready = Vec::new();
                let outcome = decoder.finish(&mut ready);
                self.sort(ready);
                outcome
            }
        }
    }

    /// A coded video sequence begins. The next one after raw macroblocks may have none, and B slices.
    fn begin(&mut self) -> Result<()> {
        self.replay = Replay::default();
        self.raw_is_exact = true;
        if let Codec::Raw(..) = self.codec {
            let outcome = self.finish(&mut Vec::new());
            self.codec = Codec::Fast(Box::new(FastDecoder::new()));
            return outcome;
        }
        Ok(())
    }

    fn sort(&mut self, ready: Vec<Finished>) {
        let Codec::Raw(_, keys) = &mut self.codec else { return };
        for picture in ready {
            if let Some(key) = keys.remove(&picture.serial) {
                self.reorder.push(key, picture);
            }
        }
    }

    /// The pictures of these units will come out again.
    fn forget(&mut self, units: &[Coded]) {
        if let Some(first) = units.first() {
            self.reorder.forget_from(first.key.0);
        }
    }

    /// Gives the whole sequence so far to `oxideav-h264`. Pictures that waited come out now.
    fn change_to_exact(&mut self, wanted: u64, out: &mut Vec<Finished>) -> Result<()> {
        memory::check(&self.sps, Route::Exact, 0, &self.limits)?;
        // Kept: raw macroblocks may follow.
        let units = self.replay.take()?;
        self.forget(&units);
        let mut decoder = ExactDecoder::new();
        let mut outcome = Ok(());
        for unit in &units {
            outcome = decoder.decode(unit.serial, &unit.data, wanted, out);
        }
        if self.raw_is_exact {
            self.replay.units = units;
        }
        self.codec = Codec::Exact(Box::new(decoder));
        outcome
    }

    /// Gives the whole sequence so far to openh264. Pictures that waited come out again.
    fn change_to_raw(&mut self, hazards: Hazards, wanted: u64) -> Result<()> {
        if !self.raw_is_exact {
            return Err(route::beyond_openh264(hazards));
        }
        let units = self.replay.take()?;
        let mut decoder = RawDecoder::new(self.shape)?;
        let (mut outcome, mut ready) = (Ok(()), Vec::new());
        for unit in &units {
            outcome = decoder.decode(unit.serial, &unit.data, wanted, &mut ready);
        }
        self.forget(&units);
        let keys = units.into_iter().map(|unit| (unit.serial, unit.key)).filter(|(s, _)| *s >= wanted);
        self.codec = Codec::Raw(Box::new(decoder), keys.collect());
        self.sort(ready);
        outcome
    }
}
