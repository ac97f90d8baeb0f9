//! Decoding by oneVPL.
//!
//! Everything here runs on the session's thread: units are read ([`unit`]) and given to a decoder, which is opened for what the
//! runtime reads in their headers ([`stream`]) and opened anew when it says that a unit does not fit. The GPU works meanwhile on
//! the pictures that were begun, and the oldest of them is waited for when there are enough ([`output`]). The decoder puts
//! pictures in output order; a timestamp, which is a number of ours, tells the unit of each.

mod apart;
mod capability;
mod output;
mod stream;
mod unit;

use std::sync::Arc;

pub(crate) use capability::decode_capability;

use self::output::{Entry, Output, Shape};
use self::stream::Stream;
use self::unit::{Reader, Start, Unit};
use super::driver::decoder::{Decoder, Feed, Step};
use super::driver::session::{Clock, Session};
use super::driver::status::Status;
use super::transform::Scaler;
use crate::backend::{CodedUnit, DecodeSink, DecoderBackend};
use crate::codec::Codec;
use crate::config::{CommonDecodeConfig, DecodeOutputMode};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;

/// Pictures on which the GPU works before the oldest is waited for: enough to keep it busy.
const MAX_INSIDE: u32 = 4;

/// How often a busy GPU is asked again before the session is asked whether it is still there.
const ASKED: u32 = 256;

const BEFORE: &str = "before the first random access point";
const LEADING: &str = "leading picture that refers to pictures before the random access point";

/// A decoder of one stream. The order of the fields is that of their end.
struct VplDecoder {
    config: CommonDecodeConfig,
    in_video_memory: bool,
    reader: Reader,
    output: Output,
    running: Option<Running>,
    session: Arc<Session>,
    /// Nothing can be decoded before a random access point.
    awaits_start: bool,
    /// Leading HEVC pictures refer to what was never sent.
    skips_rasl: bool,
    /// H.264: the picture that decoding began at, if it is no IDR picture.
    began_at: Option<(u64, i32)>,
    /// H.264: frames until all is right after that.
    recovering: u32,
    /// A unit was lost, to which those refer that follow.
    in_doubt: bool,
    /// Most pictures on their way.
    inside: usize,
}

/// A decoder and what it was opened for.
struct Running {
    decoder: Decoder,
    stream: Stream,
    shape: Arc<Shape>,
}

/// Opens a decoder.
///
/// # Errors
/// No GPU; a codec that it does not decode.
pub(crate) fn open_decoder(config: &CommonDecodeConfig, sink: DecodeSink) -> Result<Box<dyn DecoderBackend>> {
    let session = Session::open(config.device.as_deref())?;
    capability::check(&session, config.codec)?;
    let inside = if config.low_latency { 0 } else { config.max_display_delay.unwrap_or(MAX_INSIDE) };
    // A part of the picture is cut on the CPU, and scaled there too.
    let even = |size: &Dimensions| size.width().is_multiple_of(2) && size.height().is_multiple_of(2);
    let size = config.size.filter(even);
    let size = size.filter(|_| config.crop.is_none() && config.output != DecodeOutputMode::MetadataOnly);
    let scaler = size.map(|size| Scaler::new(&session, size));
    let in_order = !matches!(config.codec, Codec::H264 | Codec::Hevc | Codec::Mpeg2);
    Ok(Box::new(VplDecoder {
        config: config.clone(),
        in_video_memory: config.output != DecodeOutputMode::HostSurface || scaler.is_some(),
        reader: Reader::new(config),
        output: Output::new(config, scaler, in_order, sink),
        running: None,
        session,
        // What is not looked into is the decoder's to judge.
        awaits_start: true,
        skips_rasl: false,
        began_at: None,
        recovering: 0,
        in_doubt: false,
        inside: inside.min(MAX_INSIDE) as usize,
    }))
}

impl VplDecoder {
    fn take(&mut self, coded: &CodedUnit) -> Result<()> {
        let serial = coded.serial;
        let unit = match self.reader.read(&coded.packet.data) {
            Ok(Some(unit)) => unit,
            Ok(None) => {
                self.output.no_picture(serial, "no coded picture in the unit");
                return Ok(());
            }
            // What it counts on was never sent.
            Err(error) if error.is_recoverable() && self.awaits_start && !coded.packet.keyframe => {
                self.output.no_picture(serial, BEFORE);
                return Ok(());
            }
            Err(error) if error.is_recoverable() => return self.lose(serial, error),
            Err(error) => return Err(error),
        };
        if self.awaits_start && unit.start == Start::No {
            self.output.no_picture(serial, BEFORE);
            return Ok(());
        }
        let begins = self.awaits_start;
        let hidden = self.place(&unit);
        if unit.is_rasl && self.skips_rasl {
            self.output.no_picture(serial, LEADING);
            return Ok(());
        }
        if self.running.is_none() && !self.open(&unit)? {
            self.awaits_start = begins;
            self.output.no_picture(serial, BEFORE);
            return Ok(());
        }
        let Some(running) = &mut self.running else { return Ok(()) };
        if let Some(info) = &unit.info {
            stream::check(info, &self.config)?;
            running.shape = Arc::new(Shape::from(info));
        }
        let heals = matches!(unit.start, Start::Closed | Start::Open { .. } | Start::Recovery(0));
        self.in_doubt &= !heals;
        let timestamp = self.output.enter(Entry {
            serial,
            keyframe: unit.start != Start::No || coded.packet.keyframe,
            heals,
            concealed: self.recovering > 0 || self.in_doubt,
            hidden,
            shape: Arc::clone(&running.shape),
        });
        self.recovering = self.recovering.saturating_sub(1);
        match self.feed(&unit, timestamp) {
            Err(error) if error.is_recoverable() => self.lose(serial, error),
            fed => fed.and_then(|()| self.deliver(self.inside)),
        }
    }

    /// A unit is lost before the decoder has it.
    fn lose(&mut self, serial: u64, error: Error) -> Result<()> {
        self.in_doubt = true;
        self.output.lost(serial, error);
        self.deliver(self.inside)
    }

    /// Notes where decoding begins; why the unit's picture is not to be shown, if it is not.
    fn place(&mut self, unit: &Unit) -> Option<&'static str> {
        let begins = std::mem::replace(&mut self.awaits_start, false);
        match unit.start {
            Start::Closed => {
                self.began_at = None;
                self.recovering = 0;
                self.skips_rasl = false;
            }
            Start::Open { broken } => self.skips_rasl = begins || broken,
            Start::Recovery(frames) if begins => {
                self.began_at = unit.key;
                self.recovering = frames;
            }
            Start::Recovery(_) | Start::No => {}
        }
        let leads = |(began, key): ((u64, i32), (u64, i32))| key.0 == began.0 && key.1 < began.1;
        self.began_at.zip(unit.key).is_some_and(leads).then_some(LEADING)
    }

    /// Opens a decoder for the sequence that begins with a unit; whether its headers are there.
    fn open(&mut self, unit: &Unit) -> Result<bool> {
        let depth = if self.inside == 0 { 1 } else { MAX_INSIDE as u16 };
        let Some(stream) = Stream::of(&self.session, unit, &self.config, self.in_video_memory, depth)? else {
            return Ok(false);
        };
        let (decoder, on_cpu) = Decoder::open(&self.session, &stream.parameters)
            .map_err(|error| stream.refusal(error, unit.info.as_ref()))?;
        if on_cpu {
            self.output.note(format!(
                "oneVPL decodes a part of this {} stream on the CPU: the GPU has no hardware for it",
                self.config.codec
            ));
        }
        let shape = Arc::new(stream.shape());
        self.running = Some(Running { decoder, stream, shape });
        Ok(true)
    }

    /// Gives a unit to the decoder, and takes the pictures that begin with it.
    fn feed(&mut self, unit: &Unit, timestamp: u64) -> Result<()> {
        let mut reopened = false;
        let mut feed = Feed::new(&unit.data, timestamp);
        loop {
            match self.step(Some(&mut feed))? {
                Step::Picture(surface, point) => self.output.begun(surface, point)?,
                Step::Done => return Ok(()),
                Step::Busy => {}
                Step::Incompatible if reopened => {
                    return Err(Status::INCOMPATIBLE_VIDEO_PARAM.error("MFXVideoDECODE_DecodeFrameAsync"));
                }
                // What is inside comes out by the old parameters.
                Step::Incompatible => {
                    reopened = true;
                    self.pull()?;
                    self.deliver(0)?;
                    self.running = None;
                    if !self.open(unit)? {
                        return Err(Error::corrupt("another sequence begins, without its headers"));
                    }
                    feed = Feed::new(&unit.data, timestamp);
                }
            }
        }
    }

    /// One step of the decoder; where the GPU is busy, something that is on its way is waited for, or a moment.
    fn step(&mut self, mut feed: Option<&mut Feed<'_>>) -> Result<Step> {
        let mut clock = Clock::default();
        for asked in 1_u32.. {
            let Some(running) = &mut self.running else { return Ok(Step::Done) };
            match clock.count(|| running.decoder.step(feed.as_deref_mut()))? {
                Step::Busy if self.output.flying() > 0 => self.output.deliver()?,
                Step::Busy if asked.is_multiple_of(ASKED) && !self.output.is_awaited() => {
                    return Ok(Step::Done);
                }
                Step::Busy if clock.is_over() => break,
                Step::Busy => clock.pause(),
                step => return Ok(step),
            }
        }
        Err(Status::ALLOC_TIMEOUT_EXPIRED.error("MFXVideoDECODE_DecodeFrameAsync"))
    }

    /// Has everything begin that is inside.
    fn pull(&mut self) -> Result<()> {
        while let Step::Picture(surface, point) = self.step(None)? {
            self.output.begun(surface, point)?;
        }
        Ok(())
    }

    /// Hands on until so many are on their way.
    fn deliver(&mut self, most: usize) -> Result<()> {
        while self.output.flying() > most {
            self.output.deliver()?;
        }
        Ok(())
    }

    /// Has everything come out that is inside.
    fn drain(&mut self) -> Result<()> {
        let pulled = self.pull();
        self.deliver(0)?;
        pulled?;
        self.output.finish();
        Ok(())
    }
}

impl DecoderBackend for VplDecoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::elementary(self.config.codec)
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        if self.output.is_gone() {
            return Ok(());
        }
        let taken = self.take(&unit);
        if let Err(error) = &taken {
            // Behind an error nothing comes any more, so that what was decoded before it has to be out first.
            let works = matches!(error, Error::Unsupported { .. } | Error::LimitExceeded { .. });
            let _ = if works { self.drain() } else { self.deliver(0) };
        }
        taken
    }

    fn flush(&mut self) -> Result<()> {
        self.drain()?;
        if let Some(running) = &mut self.running
            && running.decoder.reset(&running.stream.parameters).is_err()
        {
            // The next sequence has its own.
            self.running = None;
        }
        self.reader.restart();
        self.awaits_start = true;
        self.skips_rasl = false;
        self.began_at = None;
        self.recovering = 0;
        self.in_doubt = false;
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        super::IMPLEMENTATION
    }
}
