//! From what VideoToolbox gives, picture by picture in decoding order, to the session: in output order, each unit answered once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::apart;
use super::stream::Shape;
use crate::backend::videotoolbox::driver::decompression::Decoded;
use crate::backend::videotoolbox::driver::pixels::PixelBuffer;
use crate::backend::videotoolbox::{surface, transform};
use crate::backend::{BackendKind, CopyBytes, DecodeEvent, DecodeSink, DecodedPicture, DeviceTimes};
use crate::bitstream::Reorder;
use crate::config::{CommonDecodeConfig, DecodeOutputMode};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::Surface;
use crate::pixel::{PixelFormat, PlaneLayout};
use crate::transform::aspect_ratio;

/// What VideoToolbox is asked for, for errors.
const CALL: &str = "VTDecompressionSessionDecodeFrame";

/// Why a unit has no picture that it was to have.
const DROPPED: &str = "dropped by the decoder";

/// A unit inside the decoder.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) serial: u64,
    pub(super) keyframe: bool,
    /// What is shown from here on refers to nothing before ...
    pub(super) heals: bool,
    /// ... and nor do leading pictures.
    pub(super) closed: bool,
    /// Something before it is missing, so that it may be wrong.
    pub(super) concealed: bool,
    /// It is decoded for others only; why.
    pub(super) hidden: Option<&'static str>,
    pub(super) key: (u64, i32),
    pub(super) shape: Arc<Shape>,
    /// What became of it.
    pub(super) outcome: Option<Outcome>,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Picture(PixelBuffer),
    Nothing(&'static str),
    Failed(Error),
}

impl From<Decoded> for Outcome {
    fn from(decoded: Decoded) -> Self {
        match (decoded.status.ok(CALL), decoded.picture) {
            (Err(error), _) => Self::Failed(error),
            (Ok(()), Some(picture)) => Self::Picture(picture),
            (Ok(()), None) if decoded.dropped => Self::Nothing(DROPPED),
            (Ok(()), None) => Self::Nothing("the decoder shows no picture for this unit"),
        }
    }
}

/// The way out.
pub(super) struct Output {
    sink: DecodeSink,
    mode: DecodeOutputMode,
    /// The size that pictures are scaled to here. Those that are cut first are left to the session.
    size: Option<Dimensions>,
    scaler: transform::Scaler,
    /// The format that the session makes of pictures in this one where they are.
    convert: Option<PixelFormat>,
    /// In decoding order.
    inside: VecDeque<Entry>,
    reorder: Reorder<Entry>,
    period: u64,
    /// A unit was lost since the last picture that refers to nothing before it.
    in_doubt: bool,
    /// That picture came behind damage, to which its leading pictures may refer.
    doubt_before: Option<(u64, i32)>,
    gone: bool,
    /// The decoder has told that it can do no more.
    death: Option<Error>,
}

impl Output {
    pub(super) fn new(config: &CommonDecodeConfig, sink: DecodeSink) -> Self {
        Self {
            sink,
            mode: config.output,
            size: config.size.filter(|_| config.crop.is_none()),
            scaler: transform::Scaler::default(),
            convert: config.convert.format(),
            inside: VecDeque::new(),
            reorder: Reorder::new(0),
            period: 0,
            in_doubt: false,
            doubt_before: None,
            gone: false,
            death: None,
        }
    }

    /// Whether the session has gone away.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Units without an answer of the decoder.
    pub(super) fn waiting(&self) -> usize {
        self.inside.len()
    }

    /// A unit goes into the decoder.
    pub(super) fn enter(&mut self, entry: Entry) {
        self.inside.push_back(entry);
    }

    /// The unit that was just entered was not taken.
    pub(super) fn refuse(&mut self, serial: u64, error: Error) {
        self.answer(serial, Outcome::Failed(error));
    }

    /// The decoder has answered. What comes for a unit that has its answer is passed over.
    pub(super) fn arrive(&mut self, arrived: impl IntoIterator<Item = Decoded>) {
        for decoded in arrived {
            self.answer(decoded.serial, Outcome::from(decoded));
        }
    }

    fn answer(&mut self, serial: u64, outcome: Outcome) {
        if let Some(entry) = self.inside.iter_mut().find(|entry| entry.serial == serial) {
            entry.outcome.get_or_insert(outcome);
        }
    }

    /// Hands on what is ready.
    ///
    /// # Errors
    /// The decoder has told that it can do no more.
    pub(super) fn deliver(&mut self) -> Result<()> {
        while let Some(entry) = self.inside.pop_front_if(|entry| entry.outcome.is_some()) {
            self.settle(entry);
        }
        self.death.take().map_or(Ok(()), Err)
    }

    /// No answer will come any more: units without one are lost.
    pub(super) fn give_up(&mut self) {
        for entry in &mut self.inside {
            let lost = || Outcome::Failed(Error::corrupt(format!("{CALL} told nothing of this unit")));
            entry.outcome.get_or_insert_with(lost);
        }
    }

    /// Everything has come that will: what waits is handed on.
    ///
    /// # Errors
    /// As [`Self::deliver`].
    pub(super) fn finish(&mut self) -> Result<()> {
        self.give_up();
        let delivered = self.deliver();
        self.release(u64::MAX);
        self.period = 0;
        self.in_doubt = false;
        self.doubt_before = None;
        delivered
    }

    fn settle(&mut self, mut entry: Entry) {
        if entry.heals {
            self.doubt_before = self.in_doubt.then_some(entry.key).filter(|_| !entry.closed);
            self.in_doubt = false;
        }
        entry.concealed |= self.in_doubt || self.doubt_before.is_some_and(|before| entry.key < before);
        let (serial, hidden) = (entry.serial, entry.hidden);
        match entry.outcome.take() {
            Some(Outcome::Picture(_) | Outcome::Nothing(_)) | None if hidden.is_some() => {
                self.no_picture(serial, hidden.unwrap_or_default());
            }
            Some(Outcome::Failed(Error::CorruptStream { .. })) if hidden.is_some() => {
                self.no_picture(serial, hidden.unwrap_or_default());
            }
            Some(Outcome::Picture(picture)) => {
                self.reorder.set_depth(entry.shape.reorder);
                self.period = self.period.max(entry.key.0);
                let key = entry.key;
                entry.outcome = Some(Outcome::Picture(picture));
                self.reorder.push(key, entry);
                self.release(self.period);
            }
            Some(Outcome::Nothing(reason)) => {
                // What refers to it was decoded without it.
                self.in_doubt |= reason == DROPPED;
                self.no_picture(serial, reason);
            }
            Some(Outcome::Failed(error)) => {
                self.in_doubt = true;
                if error.is_recoverable() || matches!(error, Error::Unsupported { .. }) {
                    self.failed(serial, error);
                } else {
                    self.death.get_or_insert(error);
                }
            }
            None => {}
        }
    }

    fn release(&mut self, period: u64) {
        while let Some(entry) = self.reorder.pop(period) {
            let serial = entry.serial;
            match self.picture(entry) {
                Ok(picture) => self.send(DecodeEvent::Picture(picture)),
                Err(error) => self.failed(serial, error),
            }
        }
    }

    fn picture(&mut self, entry: Entry) -> Result<DecodedPicture> {
        let Some(Outcome::Picture(mut buffer)) = entry.outcome else {
            return Err(wrong("no picture".to_owned()));
        };
        let shape = &entry.shape;
        let found = buffer.pixel_format();
        if found != shape.pixel_format {
            return Err(wrong(format!(
                "pixel format {found:#x}, and {:#x} was asked for",
                shape.pixel_format
            )));
        }
        let (mut dimensions, corner) = area(shape, buffer.size())?;
        let mut sample_aspect_ratio = shape.sample_aspect_ratio;
        let mut shaped = false;
        let mut device_times = DeviceTimes::default();
        let asked = Instant::now();
        if let Some(scaled) = self.scaled(&buffer, shape.format, dimensions) {
            device_times.convert = Some(asked.elapsed());
            (buffer, shaped) = (scaled, true);
            let size = self.size.unwrap_or(dimensions);
            sample_aspect_ratio = aspect_ratio(sample_aspect_ratio, dimensions, size);
            dimensions = size;
        }
        let mut copied = CopyBytes::default();
        let asked = Instant::now();
        let surface = match self.mode {
            DecodeOutputMode::MetadataOnly => Surface::None,
            _ if matches!(shape.format.layout(), PlaneLayout::Planar(_)) => {
                let (host, bytes) = apart::planes(&buffer, shape.format, dimensions, corner)?;
                copied.output = bytes;
                device_times.download = Some(asked.elapsed());
                Surface::Host(host)
            }
            mode => {
                let picture = surface::of_buffer(buffer, shape.format, dimensions, corner)?;
                let converts = mode == DecodeOutputMode::HostSurface
                    && self.convert.is_some_and(|to| transform::supported(shape.format, to));
                if mode == DecodeOutputMode::NativeSurface || converts {
                    Surface::Device(picture)
                } else {
                    let host = picture.download()?;
                    device_times.download = Some(asked.elapsed());
                    Surface::Host(host)
                }
            }
        };
        Ok(DecodedPicture {
            serial: entry.serial,
            dimensions,
            format: shape.format,
            color: shape.color,
            sample_aspect_ratio,
            frame_rate: shape.frame_rate,
            keyframe: entry.keyframe,
            concealed: entry.concealed,
            shaped,
            copied,
            device_times,
            surface,
        })
    }

    /// The picture in the size that is asked for, where it fills the buffer and the system scales it.
    fn scaled(
        &mut self,
        buffer: &PixelBuffer,
        format: PixelFormat,
        dimensions: Dimensions,
    ) -> Option<PixelBuffer> {
        let size = self.size.filter(|size| *size != dimensions)?;
        let fills = buffer.size() == (dimensions.width() as usize, dimensions.height() as usize);
        if !fills || format.layout() != PlaneLayout::SemiPlanar || self.mode == DecodeOutputMode::MetadataOnly
        {
            return None;
        }
        let mut words = None;
        let scaled = self.scaler.scale(buffer, size, |text| words = Some(text));
        if let Some(text) = words {
            self.note(text);
        }
        scaled
    }

    pub(super) fn no_picture(&mut self, serial: u64, reason: &'static str) {
        self.send(DecodeEvent::NoPicture { serial, reason });
    }

    /// What comes next may refer to what the decoder does not have.
    pub(super) const fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// A unit that never went in is lost.
    pub(super) fn lost(&mut self, serial: u64, error: Error) {
        self.in_doubt = true;
        self.failed(serial, error);
    }

    fn failed(&mut self, serial: u64, error: Error) {
        self.send(DecodeEvent::Failed { serial, error });
    }

    pub(super) fn note(&mut self, note: String) {
        self.send(DecodeEvent::Note(note));
    }

    fn send(&mut self, event: DecodeEvent) {
        if !self.gone {
            self.gone = !(self.sink)(event);
        }
    }
}

/// Size of the picture in a buffer of this size, and where it begins. Decoders give pictures cut to what is shown, or whole.
fn area(shape: &Shape, (width, height): (usize, usize)) -> Result<(Dimensions, (u32, u32))> {
    let is = |size: Dimensions| (size.width() as usize, size.height() as usize) == (width, height);
    if is(shape.dimensions) {
        return Ok((shape.dimensions, (0, 0)));
    }
    if is(shape.coded) {
        return Ok((shape.dimensions, shape.corner));
    }
    let side = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Dimensions::new(side(width), side(height))
        .filter(|_| shape.is_elastic)
        .map(|size| (size, (0, 0)))
        .ok_or_else(|| wrong(format!("{width}x{height} samples, and the stream has {}", shape.dimensions)))
}

fn wrong(what: String) -> Error {
    Error::Backend {
        backend: BackendKind::VideoToolbox,
        call: CALL,
        code: 0,
        detail: format!("the pixel buffer has {what}"),
    }
}
