//! Decoding by VideoToolbox.
//!
//! Everything here runs on the session's thread: units are read ([`unit`]), given to a session that fits their sequence
//! ([`stream`]), and what has come back by then is handed on in output order ([`output`]). VideoToolbox works on threads of its
//! own meanwhile; their callbacks only put what they bring into a queue. So a picture comes out with one of the next few units,
//! or with the flush, and with `low_latency` in the call that brought its unit.
//!
//! Annex B is asked for and not what containers have: parameter sets are looked for in every unit, and VideoToolbox wants the
//! bytes copied into memory of its own in any case. MPEG-2 and MPEG-4 go in as they come, with their start codes.

mod apart;
pub(super) mod capability;
mod output;
mod stream;
mod unit;

use std::sync::Arc;
use std::time::Duration;

use self::output::{Entry, Outcome, Output};
use self::stream::{Shape, Stream};
use self::unit::{Reader, Start, Unit};
use super::driver::decompression::Decompression;
use super::driver::media::{FormatDescription, SampleBuffer};
use crate::backend::{CodedUnit, DecodeSink, DecoderBackend};
use crate::codec::Codec;
use crate::config::{BackendDecodeConfig, CommonDecodeConfig, VtDecodeConfig, VtHardware};
use crate::error::{Error, Result};
use crate::packet::BitstreamLayout;

const IMPLEMENTATION: &str = "VideoToolbox";

/// Units inside the decoder before the next one waits: enough to keep hardware busy.
const MAX_INSIDE: u32 = 4;

/// How long a picture is waited for before the decoder is told to hold nothing back.
const PATIENCE: Duration = Duration::from_secs(1);

const BEFORE: &str = "before the first random access point";
const LEADING: &str = "leading picture that refers to pictures before the random access point";

/// A decoder of one stream.
struct VtDecoder {
    config: CommonDecodeConfig,
    reader: Reader,
    output: Output,
    running: Option<Running>,
    /// Nothing can be decoded before a random access point.
    awaits_start: bool,
    /// Leading HEVC pictures refer to what was never sent.
    skips_rasl: bool,
    /// H.264: the picture that decoding began at, if it is no IDR picture.
    began_at: Option<(u64, i32)>,
    /// H.264: frames until all is right after that.
    recovering: u32,
    /// Most units inside.
    inside: usize,
}

/// A session and what it is set to. The order of the fields is that of their end.
struct Running {
    session: Decompression,
    stream: Stream,
    shape: Arc<Shape>,
    format: FormatDescription,
}

/// Opens a decoder.
///
/// # Errors
/// No VideoToolbox; a codec that it does not decode here.
pub(crate) fn open_decoder(config: &CommonDecodeConfig, sink: DecodeSink) -> Result<Box<dyn DecoderBackend>> {
    super::check_device(config.device.as_deref())?;
    capability::check(config.codec)?;
    let inside = if config.low_latency { 0 } else { config.max_display_delay.unwrap_or(MAX_INSIDE) };
    Ok(Box::new(VtDecoder {
        config: config.clone(),
        reader: Reader::new(config),
        output: Output::new(config, sink),
        running: None,
        awaits_start: true,
        skips_rasl: false,
        began_at: None,
        recovering: 0,
        inside: inside.min(MAX_INSIDE) as usize,
    }))
}

impl VtDecoder {
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
            Err(error) if error.is_recoverable() => return self.lose(coded, error),
            Err(error) => return Err(error),
        };
        if self.awaits_start && (unit.start == Start::No || self.running.is_none() && unit.stream.is_none()) {
            self.output.no_picture(serial, BEFORE);
            return Ok(());
        }
        let hidden = self.place(&unit);
        if unit.is_rasl && self.skips_rasl {
            self.output.no_picture(serial, LEADING);
            return Ok(());
        }
        if let Some(stream) = unit.stream {
            self.set(stream, unit.start)?;
        }
        let Some(running) = &self.running else {
            self.output.no_picture(serial, BEFORE);
            return Ok(());
        };
        self.output.enter(Entry {
            serial,
            keyframe: unit.start != Start::No || coded.packet.keyframe,
            heals: matches!(unit.start, Start::Closed | Start::Open { .. } | Start::Recovery(0)),
            closed: unit.start == Start::Closed,
            concealed: self.recovering > 0,
            hidden,
            key: unit.key,
            shape: Arc::clone(&running.shape),
            outcome: None,
        });
        self.recovering = self.recovering.saturating_sub(1);
        let sample = SampleBuffer::new(&unit.sample, &running.format);
        match sample.and_then(|sample| running.session.decode(&sample, serial)) {
            Ok(()) => {}
            Err(error) if error.is_recoverable() => self.output.refuse(serial, error),
            Err(error) => return Err(error),
        }
        self.collect()
    }

    /// A unit is lost before the decoder sees it; told in its turn, since what is inside was whole.
    fn lose(&mut self, coded: &CodedUnit, error: Error) -> Result<()> {
        let Some(running) = &self.running else {
            self.output.lost(coded.serial, error);
            return Ok(());
        };
        self.output.enter(Entry {
            serial: coded.serial,
            keyframe: false,
            heals: false,
            closed: false,
            concealed: false,
            hidden: None,
            key: (0, 0),
            shape: Arc::clone(&running.shape),
            outcome: Some(Outcome::Failed(error)),
        });
        self.collect()
    }

    /// Notes where decoding begins; why the unit's picture is not to be shown, if it is not.
    fn place(&mut self, unit: &Unit) -> Option<&'static str> {
        let begins = self.awaits_start;
        self.awaits_start = false;
        match unit.start {
            Start::Closed => {
                self.began_at = None;
                self.recovering = 0;
                self.skips_rasl = false;
            }
            Start::Open { broken } => self.skips_rasl = begins || broken,
            Start::Recovery(frames) if begins => {
                self.began_at = Some(unit.key);
                self.recovering = frames;
            }
            Start::Recovery(_) | Start::No => {}
        }
        let leads = self.began_at.is_some_and(|began| unit.key.0 == began.0 && unit.key.1 < began.1);
        leads.then_some(LEADING)
    }

    /// Has a session that takes the sequence, which a unit of this kind brings.
    fn set(&mut self, stream: Stream, start: Start) -> Result<()> {
        if self.running.as_ref().is_some_and(|running| running.stream == stream) {
            return Ok(());
        }
        stream.check(&self.config)?;
        let format = stream.describe()?;
        let shape = Arc::new(stream.shape.clone());
        if let Some(running) = &mut self.running {
            // A session gives pictures of one format.
            if running.shape.pixel_format == shape.pixel_format && running.session.accepts(&format) {
                running.format = format;
                running.shape = shape;
                running.stream = stream;
                return Ok(());
            }
            self.drain()?;
            self.running = None;
            if start == Start::No {
                // The pictures that the next ones refer to went with the session.
                self.output.doubt();
            }
        }
        let VtDecodeConfig { hardware, .. } = own(&self.config);
        let session = Decompression::new(&format, shape.pixel_format, hardware, self.config.low_latency)?;
        if session.is_on_hardware() == Some(false) && hardware != VtHardware::Never {
            self.output.note(format!(
                "VideoToolbox decodes this {} stream on the CPU: it has no hardware for it here",
                self.config.codec
            ));
        }
        self.running = Some(Running { session, stream, shape, format });
        Ok(())
    }

    /// Hands on what has come, and waits where too much is inside.
    fn collect(&mut self) -> Result<()> {
        let Some(running) = &self.running else { return Ok(()) };
        self.output.arrive(running.session.arrived(Duration::ZERO));
        self.output.deliver()?;
        while self.output.waiting() > self.inside {
            let arrived = running.session.arrived(PATIENCE);
            if arrived.is_empty() {
                // It holds pictures back, for longer than anybody should wait.
                running.session.finish()?;
                self.output.arrive(running.session.arrived(Duration::ZERO));
                self.output.give_up();
                return self.output.deliver();
            }
            self.output.arrive(arrived);
            self.output.deliver()?;
        }
        Ok(())
    }

    /// Has everything come out that is inside.
    fn drain(&mut self) -> Result<()> {
        let Some(running) = &self.running else { return Ok(()) };
        let finished = running.session.finish();
        self.output.arrive(running.session.arrived(Duration::ZERO));
        match finished {
            Ok(()) => self.output.finish(),
            Err(error) => {
                self.output.deliver()?;
                Err(error)
            }
        }
    }
}

impl DecoderBackend for VtDecoder {
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
            if works {
                let _ = self.drain();
            } else if let Some(running) = &self.running {
                self.output.arrive(running.session.arrived(Duration::ZERO));
                let _ = self.output.deliver();
            }
        }
        taken
    }

    fn flush(&mut self) -> Result<()> {
        self.drain()?;
        self.reader.restart();
        self.awaits_start = true;
        self.skips_rasl = false;
        self.began_at = None;
        self.recovering = 0;
        Ok(())
    }

    fn implementation(&self) -> &'static str {
        IMPLEMENTATION
    }
}

/// The settings that VideoToolbox alone has.
fn own(config: &CommonDecodeConfig) -> VtDecodeConfig {
    match &config.special {
        BackendDecodeConfig::VideoToolbox(own) => own.clone(),
        BackendDecodeConfig::None => VtDecodeConfig::default(),
    }
}

/// The codecs that are asked for at all.
const fn is_known(codec: Codec) -> bool {
    !matches!(codec, Codec::Vp8 | Codec::Vc1 | Codec::Mjpeg)
}
