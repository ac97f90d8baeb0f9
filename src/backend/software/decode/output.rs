//! The way out of every software decoder: who has been answered, and who has not.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::backend::{CodedUnit, CopyBytes, DecodeEvent, DecodeSink, DecodedPicture};
use crate::color::ColorInfo;
use crate::config::{CommonDecodeConfig, DecodeOutputMode};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{HostSurface, Surface};
use crate::pixel::PixelFormat;
use crate::time::Rational;

/// What a stream's headers say about its pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StreamFacts {
    pub(super) color: ColorInfo,
    pub(super) sample_aspect_ratio: Option<Rational>,
    pub(super) frame_rate: Option<Rational>,
}

impl StreamFacts {
    pub(super) const NONE: Self =
        Self { color: ColorInfo::UNSPECIFIED, sample_aspect_ratio: None, frame_rate: None };
}

/// Shape of one decoded picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PictureShape {
    pub(super) dimensions: Dimensions,
    pub(super) format: PixelFormat,
}

impl PictureShape {
    /// From what a codec library reports.
    ///
    /// # Errors
    /// When the size is zero or above the limit of the project, or no format fits.
    pub(super) fn new(width: usize, height: usize, format: Option<PixelFormat>) -> Result<Self> {
        let side = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
        let dimensions = Dimensions::new(side(width), side(height))
            .ok_or_else(|| Error::corrupt(format!("picture size {width}x{height}")))?;
        let format =
            format.ok_or_else(|| Error::unsupported("this combination of bit depth and chroma format"))?;
        Ok(Self { dimensions, format })
    }
}

/// Keeps the promise that every serial is answered exactly once, and builds the pictures.
pub(super) struct Output {
    sink: DecodeSink,
    metadata_only: bool,
    container_color: ColorInfo,
    /// Units not answered yet, with their random access flag. Bounded by what the codec holds back.
    open: BTreeMap<u64, bool>,
    doubt: Doubt,
    gone: bool,
}

/// Units whose pictures may be wrong because of damage, which the libraries do not tell.
#[derive(Debug, Default)]
struct Doubt {
    /// From the first serial up to the second, which is not among them.
    spans: Vec<(u64, u64)>,
    units: BTreeSet<u64>,
}

impl Doubt {
    fn is_open(&self) -> bool {
        self.spans.last().is_some_and(|(_, until)| *until == u64::MAX)
    }

    fn holds(&self, serial: u64) -> bool {
        self.units.contains(&serial)
            || self.spans.iter().any(|(from, until)| (*from..*until).contains(&serial))
    }

    /// Forgets what only units before `serial` could ask for.
    fn prune(&mut self, serial: u64) {
        self.spans.retain(|(_, until)| *until > serial);
        self.units.retain(|unit| *unit >= serial);
    }
}

impl Output {
    pub(super) fn new(config: &CommonDecodeConfig, sink: DecodeSink) -> Self {
        Self {
            sink,
            metadata_only: config.output == DecodeOutputMode::MetadataOnly,
            container_color: config.color,
            open: BTreeMap::new(),
            doubt: Doubt::default(),
            gone: false,
        }
    }

    /// Whether the session has gone away; the backend then stops working.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Takes responsibility for a unit.
    pub(super) fn accept(&mut self, unit: &CodedUnit, keyframe: bool) {
        self.open.insert(unit.serial, keyframe);
    }

    /// Corrects the random access flag once the headers are known.
    pub(super) fn set_keyframe(&mut self, serial: u64, keyframe: bool) {
        if let Some(flag) = self.open.get_mut(&serial) {
            *flag = keyframe;
        }
    }

    /// From this unit on pictures may be wrong, and are marked.
    pub(super) fn doubt_from(&mut self, serial: u64) {
        if !self.doubt.is_open() {
            self.doubt.spans.push((serial, u64::MAX));
        }
    }

    /// The picture of this unit may be wrong.
    pub(super) fn doubt(&mut self, serial: u64) {
        self.doubt.units.insert(serial);
    }

    /// Pictures from this unit on do not depend on any before.
    pub(super) fn trust_from(&mut self, serial: u64) {
        if let Some((_, until)) = self.doubt.spans.last_mut().filter(|(_, until)| *until == u64::MAX) {
            *until = serial;
        }
        let oldest = self.oldest_open().unwrap_or(serial);
        self.doubt.prune(oldest);
    }

    /// Whether pictures that follow now may be wrong.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.is_open()
    }

    /// The oldest unit without an answer.
    pub(super) fn oldest_open(&self) -> Option<u64> {
        self.open.keys().next().copied()
    }

    /// Delivers a picture. `planes` is called only when samples are wanted; `copied` tells that they are not the codec
    /// library's own memory. A second picture from the same
    /// unit has no serial left to travel under and is dropped.
    pub(super) fn picture(
        &mut self,
        serial: u64,
        shape: PictureShape,
        facts: &StreamFacts,
        copied: bool,
        planes: impl FnOnce() -> Result<Vec<(Bytes, usize)>>,
    ) {
        let Some(keyframe) = self.open.remove(&serial) else { return };
        let concealed = self.doubt.holds(serial);
        let surface = if self.metadata_only {
            Ok(Surface::None)
        } else {
            planes().and_then(|p| HostSurface::new(shape.format, shape.dimensions, p)).map(Surface::Host)
        };
        let output =
            if copied && !self.metadata_only { shape.format.frame_bytes(shape.dimensions) } else { 0 };
        let event = match surface {
            Ok(surface) => DecodeEvent::Picture(DecodedPicture {
                serial,
                dimensions: shape.dimensions,
                format: shape.format,
                color: self.container_color.or(facts.color),
                sample_aspect_ratio: facts.sample_aspect_ratio,
                frame_rate: facts.frame_rate,
                keyframe,
                concealed,
                shaped: false,
                copied: CopyBytes { output: output as u64, ..CopyBytes::default() },
                device_times: crate::backend::DeviceTimes::default(),
                surface,
            }),
            Err(error) => DecodeEvent::Failed { serial, error },
        };
        self.send(event);
    }

    /// The unit rightly gives no picture.
    pub(super) fn no_picture(&mut self, serial: u64, reason: &'static str) {
        if self.open.remove(&serial).is_some() {
            self.send(DecodeEvent::NoPicture { serial, reason });
        }
    }

    /// The unit is lost.
    pub(super) fn failed(&mut self, serial: u64, error: Error) {
        if self.open.remove(&serial).is_some() {
            self.send(DecodeEvent::Failed { serial, error });
        }
    }

    /// Answers every open unit before `serial` with "no picture".
    pub(super) fn settle_before(&mut self, serial: u64, reason: &'static str) {
        while let Some((&first, _)) = self.open.first_key_value() {
            if first >= serial {
                break;
            }
            self.no_picture(first, reason);
        }
    }

    /// Answers every open unit that `is_held` does not claim with "no picture".
    pub(super) fn settle_unless(&mut self, reason: &'static str, is_held: impl Fn(u64) -> bool) {
        let lost: Vec<u64> = self.open.keys().copied().filter(|&s| !is_held(s)).collect();
        for serial in lost {
            self.no_picture(serial, reason);
        }
    }

    /// Fails every open unit; the codec lost its state.
    pub(super) fn fail_all(&mut self, error: impl Fn() -> Error) {
        while let Some((&first, _)) = self.open.first_key_value() {
            self.failed(first, error());
        }
    }

    fn send(&mut self, event: DecodeEvent) {
        if !self.gone {
            self.gone = !(self.sink)(event);
        }
    }
}
