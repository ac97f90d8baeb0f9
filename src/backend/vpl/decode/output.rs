//! From what the decoder gives, picture by picture in output order, to the session: each unit answered once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::apart;
use crate::backend::vpl::driver::abi::FrameInfo;
use crate::backend::vpl::driver::frames::Surface as VplSurface;
use crate::backend::vpl::driver::session::SyncPoint;
use crate::backend::vpl::surface;
use crate::backend::vpl::transform::Scaler;
use crate::backend::{BackendKind, CopyBytes, DecodeEvent, DecodeSink, DecodedPicture, DeviceTimes};
use crate::color::ColorInfo;
use crate::config::{CommonDecodeConfig, DecodeOutputMode};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::Surface;
use crate::time::Rational;
use crate::transform::aspect_ratio;

/// From the timestamp of a unit to that of the next: the runtime counts in 90,000ths of a second, and may round.
const STEP: u64 = 3000;

/// No decoder holds a picture back for so many units: one without a picture by then has none.
const NEVER: u64 = 64;

/// Units that are inside at most, with all that is on its way.
const MOST_INSIDE: u64 = 2 * NEVER;

/// What is said of pictures besides what their surfaces say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape {
    pub(super) color: ColorInfo,
    pub(super) sample_aspect_ratio: Option<Rational>,
    pub(super) frame_rate: Option<Rational>,
}

/// A unit inside the decoder.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) serial: u64,
    pub(super) keyframe: bool,
    /// What comes from here on refers to nothing before.
    pub(super) heals: bool,
    /// Something before it is missing, so that it may be wrong.
    pub(super) concealed: bool,
    /// It is decoded for others only; why.
    pub(super) hidden: Option<&'static str>,
    pub(super) shape: Arc<Shape>,
}

/// What comes next.
enum Next {
    /// A picture on which the GPU works.
    Picture(VplSurface, SyncPoint),
    /// A unit that the decoder did not take.
    Lost(u64, Error),
}

/// The way out.
pub(super) struct Output {
    sink: DecodeSink,
    mode: DecodeOutputMode,
    /// Where pictures are wanted in another size.
    scaler: Option<Scaler>,
    /// The codec shows pictures in the order of their units.
    in_order: bool,
    /// In decoding order, with their numbers.
    inside: VecDeque<(u64, Entry)>,
    count: u64,
    flying: VecDeque<Next>,
    /// A unit was lost since the last picture that refers to nothing before it.
    in_doubt: bool,
    gone: bool,
    /// The device is lost, and what was begun behind that is not to be had.
    dead: bool,
}

impl Output {
    pub(super) fn new(
        config: &CommonDecodeConfig,
        scaler: Option<Scaler>,
        in_order: bool,
        sink: DecodeSink,
    ) -> Self {
        Self {
            sink,
            mode: config.output,
            scaler,
            in_order,
            inside: VecDeque::new(),
            count: 0,
            flying: VecDeque::new(),
            in_doubt: false,
            gone: false,
            dead: false,
        }
    }

    /// Whether the session has gone away.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Pictures on their way.
    pub(super) fn flying(&self) -> usize {
        self.flying.len()
    }

    /// A unit goes into the decoder; the timestamp that tells its picture.
    pub(super) fn enter(&mut self, entry: Entry) -> u64 {
        self.count += 1;
        self.inside.push_back((self.count, entry));
        // A decoder that gives nothing is not remembered more of.
        self.pass(self.count.saturating_sub(MOST_INSIDE));
        self.count * STEP
    }

    /// The decoder gives the next picture.
    ///
    /// # Errors
    /// More pictures than units.
    pub(super) fn begun(&mut self, surface: VplSurface, point: SyncPoint) -> Result<()> {
        if self.flying.len() as u64 > MOST_INSIDE {
            return Err(wrong("no unit: more come than went in".to_owned()));
        }
        self.flying.push_back(Next::Picture(surface, point));
        Ok(())
    }

    /// A unit is lost before the decoder has it. It is told behind the pictures that were begun before.
    pub(super) fn lost(&mut self, serial: u64, error: Error) {
        self.inside.retain(|(_, entry)| entry.serial != serial);
        self.flying.push_back(Next::Lost(serial, error));
    }

    /// Hands on the oldest of what is on its way; waits for it.
    ///
    /// # Errors
    /// The device is lost.
    pub(super) fn deliver(&mut self) -> Result<()> {
        let delivered = self.deliver_next();
        self.dead |= delivered.is_err();
        delivered
    }

    fn deliver_next(&mut self) -> Result<()> {
        match self.flying.pop_front().filter(|_| !self.dead) {
            None => Ok(()),
            Some(Next::Lost(serial, error)) => {
                self.failed(serial, error);
                Ok(())
            }
            Some(Next::Picture(surface, point)) => {
                let waited = Instant::now();
                let done = surface.session().wait(point);
                let number = (surface.timestamp().saturating_add(STEP / 2)) / STEP;
                let Some(at) = self.inside.iter().position(|(own, _)| *own == number) else {
                    // It may have been taken when the answer was that there is no memory.
                    let was_lost = (1..=self.count).contains(&number);
                    return match done {
                        Err(error) if !error.is_recoverable() => Err(error),
                        _ if was_lost => Ok(()),
                        _ => Err(wrong("the timestamp of no unit".to_owned())),
                    };
                };
                if let Err(error) = &done
                    && !error.is_recoverable()
                {
                    return done;
                }
                let Some((_, mut entry)) = self.inside.remove(at) else { return Ok(()) };
                let passed = if self.in_order { number } else { number.saturating_sub(NEVER) };
                self.pass(passed);
                self.in_doubt &= !entry.heals;
                entry.concealed |= self.in_doubt || surface.is_corrupted();
                let times = DeviceTimes { map: Some(waited.elapsed()), ..DeviceTimes::default() };
                match (done, entry.hidden) {
                    (_, Some(reason)) => self.no_picture(entry.serial, reason),
                    (Err(error), None) => self.failed(entry.serial, error),
                    (Ok(()), None) => match self.shaped(&entry, surface, times) {
                        Ok(picture) => self.send(DecodeEvent::Picture(picture)),
                        Err(error @ Error::DeviceLost { .. }) => return Err(error),
                        Err(error) => self.failed(entry.serial, error),
                    },
                }
                Ok(())
            }
        }
    }

    /// Everything has come that will: units without a picture have none.
    pub(super) fn finish(&mut self) {
        self.pass(u64::MAX);
        self.in_doubt = false;
    }

    /// Units before this number have no picture.
    fn pass(&mut self, number: u64) {
        while let Some((_, entry)) = self.inside.pop_front_if(|(own, _)| *own < number) {
            let reason = entry.hidden.unwrap_or("the decoder shows no picture for this unit");
            self.no_picture(entry.serial, reason);
        }
    }

    /// The picture, in the size that is wanted where the GPU makes it so.
    fn shaped(
        &mut self,
        entry: &Entry,
        surface: VplSurface,
        mut times: DeviceTimes,
    ) -> Result<DecodedPicture> {
        let mut notes = None;
        let asked = Instant::now();
        let scaled = match &mut self.scaler {
            Some(scaler) => scaler.scale(&surface, |note| notes = Some(note))?,
            None => None,
        };
        if let Some(note) = notes {
            self.note(note);
        }
        let Some(scaled) = scaled else { return self.picture(entry, Arc::new(surface), times) };
        let size = |info: FrameInfo| Dimensions::new(info.crop_w.into(), info.crop_h.into());
        let sides = size(surface.info()).zip(size(scaled.info()));
        times.convert = Some(asked.elapsed());
        let mut picture = self.picture(entry, Arc::new(scaled), times)?;
        picture.shaped = true;
        if let Some((from, to)) = sides {
            picture.sample_aspect_ratio = aspect_ratio(picture.sample_aspect_ratio, from, to);
        }
        Ok(picture)
    }

    fn picture(
        &self,
        entry: &Entry,
        surface: Arc<VplSurface>,
        mut device_times: DeviceTimes,
    ) -> Result<DecodedPicture> {
        let info = surface.info();
        let size = if info.crop_w > 0 && info.crop_h > 0 {
            (info.crop_w, info.crop_h)
        } else {
            (info.width, info.height)
        };
        let dimensions = Dimensions::new(size.0.into(), size.1.into())
            .ok_or_else(|| wrong(format!("{}x{} samples", size.0, size.1)))?;
        let corner = (u32::from(info.crop_x), u32::from(info.crop_y));
        let is_inside =
            |from: u16, length: u16, all: u16| u32::from(from) + u32::from(length) <= u32::from(all);
        if !is_inside(info.crop_x, size.0, info.width) || !is_inside(info.crop_y, size.1, info.height) {
            return Err(wrong(format!("a picture of {dimensions} that is not inside it")));
        }
        let two_planes = surface::semi_planar(info.fourcc);
        let format = two_planes.or_else(|| apart::format(info.fourcc));
        let format = format.ok_or_else(|| wrong(format!("format {:#x}", info.fourcc)))?;
        let mut copied = CopyBytes::default();
        let asked = Instant::now();
        let surface = match self.mode {
            DecodeOutputMode::MetadataOnly => Surface::None,
            _ if two_planes.is_none() => {
                let (host, bytes) = apart::planes(&surface, dimensions, corner)?;
                copied.output = bytes;
                device_times.download = Some(asked.elapsed());
                Surface::Host(host)
            }
            mode => {
                let picture = surface::of(surface, format, dimensions, corner)?;
                if mode == DecodeOutputMode::NativeSurface {
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
            format,
            color: entry.shape.color,
            sample_aspect_ratio: entry.shape.sample_aspect_ratio,
            frame_rate: entry.shape.frame_rate,
            keyframe: entry.keyframe,
            concealed: entry.concealed,
            shaped: false,
            copied,
            device_times,
            surface,
        })
    }

    pub(super) fn no_picture(&mut self, serial: u64, reason: &'static str) {
        self.send(DecodeEvent::NoPicture { serial, reason });
    }

    fn failed(&mut self, serial: u64, error: Error) {
        self.in_doubt = true;
        self.send(DecodeEvent::Failed { serial, error });
    }

    /// Whether the session is still there, asked anew.
    pub(super) fn is_awaited(&mut self) -> bool {
        self.note(String::new());
        !self.gone
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

fn wrong(what: String) -> Error {
    Error::Backend {
        backend: BackendKind::Qsv,
        call: "MFXVideoDECODE_DecodeFrameAsync",
        code: 0,
        detail: format!("a surface with {what}"),
    }
}
