//! Encoding by VideoToolbox.
//!
//! On the session's thread a frame is copied into a pixel buffer of the compression session's pool, unless it is in one of a
//! decoder's ([`input`]), and handed over. VideoToolbox works on threads of its own; their callback only puts what it brings into
//! a queue, and a thread of this session's hands that on as soon as it is there ([`output`]). With `low_latency` a packet comes
//! out before the call that brought its frame returns. Settings are held against what the encoder knows before the first frame
//! ([`settings`]).

pub(super) mod capability;
mod input;
mod output;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use self::output::Output;
use self::settings::{Property, Rate, Settings, Value, frame_rate, negotiate, refuse};
use super::driver::compression::{Compression, Properties, aspect_ratio, value};
use super::driver::foundation::{Cf, array, boolean, data, integer, real};
use super::driver::pixels::{PixelBufferPool, Tags};
use crate::backend::{CopyBytes, EncodeSink, EncodeUnit, EncoderBackend, FrameCheck, InPlace};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::error::{Error, Remedy, Result};
use crate::packet::BitstreamLayout;
use crate::pixel::PixelFormat;
use crate::stages::EncodeMeter;
use crate::time::Rational;

const IMPLEMENTATION: &str = "VideoToolbox";

/// Most frames inside an encoder, whatever it was told.
const MAX_INSIDE: usize = 64;

/// How long a coded picture is waited for before the encoder is told to hold nothing back.
const PATIENCE: Duration = Duration::from_secs(1);

const NANOSECONDS: i128 = 1_000_000_000;

/// Whether frames of a format are encoded in the pixel buffers of their decoder.
pub(crate) fn encodes_from_device(format: PixelFormat) -> bool {
    matches!(format, PixelFormat::Nv12 | PixelFormat::P010)
}

/// A compression session. The order of the fields is that of their end.
struct VtEncoder {
    output: Output,
    pool: PixelBufferPool,
    tags: Tags,
    session: Compression,
    settings: Settings,
    known: Properties,
    has_quality: bool,
    clock: Clock,
    most_inside: usize,
    /// The next frame begins anew.
    idr_next: bool,
    /// Frames since that, with it.
    since_idr: u32,
    meter: Arc<EncodeMeter>,
    notes: Vec<String>,
}

/// The times that rate control works by: those of the nominal frame rate.
#[derive(Clone, Copy, Debug)]
struct Clock {
    origin: i64,
    frames: i64,
    rate: Rational,
}

impl Clock {
    fn at(&self, frame: i64) -> i64 {
        let ticks =
            i128::from(frame) * NANOSECONDS * i128::from(self.rate.den()) / i128::from(self.rate.num());
        self.origin.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX))
    }

    /// Time and duration of the next frame.
    fn next(&mut self) -> (i64, i64) {
        let (time, end) = (self.at(self.frames), self.at(self.frames + 1));
        self.frames += 1;
        (time, end - time)
    }

    fn change(&mut self, rate: Rational) {
        *self = Self { origin: self.at(self.frames), frames: 0, rate };
    }
}

/// Opens an encoder.
///
/// # Errors
/// No VideoToolbox, no such encoder, or a setting that cannot be honoured.
pub(crate) fn open_encoder(
    config: &CommonEncodeConfig,
    special: &BackendEncodeConfig,
    sink: EncodeSink,
) -> Result<Box<dyn EncoderBackend>> {
    super::frameworks()?;
    let mut settings = negotiate(config, special)?;
    let mut notes = std::mem::take(&mut settings.notes);
    let (session, known, has_quality) = match open(&settings) {
        Err(Error::Unsupported { .. } | Error::Backend { .. }) if settings.wanted.low_latency_rate => {
            settings.wanted.low_latency_rate = false;
            notes.push(
                "this encoder of VideoToolbox has no rate control for low latency with these settings; it uses its usual one"
                    .to_owned(),
            );
            open(&settings)?
        }
        opened => opened?,
    };
    if !has_quality && matches!(settings.rate, Rate::Own { .. }) {
        notes.push(
            "this encoder of VideoToolbox has no constant quality; an average bit rate takes its place"
                .to_owned(),
        );
    }
    let on_hardware = session.get("kVTCompressionPropertyKey_UsingHardwareAcceleratedVideoEncoder");
    if on_hardware.and_then(|value| value.as_bool()) == Some(false) {
        notes.push("VideoToolbox encodes on the CPU: it has no hardware for this here".to_owned());
    }
    session.prepare()?;
    let meter = Arc::new(EncodeMeter::default());
    Ok(Box::new(VtEncoder {
        output: Output::new(settings.codec, session.arriving(), sink, &meter)?,
        pool: session.pool()?,
        tags: tags(&settings)?,
        session,
        known,
        has_quality,
        clock: Clock { origin: 0, frames: 0, rate: settings.frame_rate },
        // An encoder that knows how many it may hold back holds none, and then nothing is waited for.
        most_inside: if settings.low_latency { 0 } else { MAX_INSIDE },
        settings,
        idr_next: true,
        since_idr: 0,
        meter,
        notes,
    }))
}

/// A session with every setting; whether it has constant quality.
fn open(settings: &Settings) -> Result<(Compression, Properties, bool)> {
    let session = Compression::new(&settings.wanted)?;
    let known = session.properties()?;
    let mut has_quality = has_quality(&known);
    if let (Rate::Quality(quality), false) = (settings.rate, has_quality) {
        return Err(refuse(settings.codec, "rate_control quality", quality, "cbr or vbr with this encoder"));
    }
    let set_rate = |has_quality: bool| -> Result<()> {
        let properties = settings.rate.properties(has_quality);
        properties.iter().try_for_each(|property| set(&session, settings.codec, property))
    };
    match set_rate(has_quality) {
        // Nobody asked for it.
        Err(Error::Unsupported { .. }) if has_quality && matches!(settings.rate, Rate::Own { .. }) => {
            has_quality = false;
            set_rate(false)?;
        }
        done => done?,
    }
    settings.properties.iter().try_for_each(|property| set(&session, settings.codec, property))?;
    Ok((session, known, has_quality))
}

/// Whether an encoder has constant quality. Those of Intel's Macs know the property and do not keep to it.
fn has_quality(known: &Properties) -> bool {
    known.has("kVTCompressionPropertyKey_Quality")
        && !cfg!(all(target_vendor = "apple", target_arch = "x86_64"))
}

/// What pixel buffers have to say of their colours: what the stream says.
fn tags(settings: &Settings) -> Result<Tags> {
    let mut tags = Tags::default();
    for property in &settings.properties {
        let key = match property.name {
            "kVTCompressionPropertyKey_ColorPrimaries" => "kCVImageBufferColorPrimariesKey",
            "kVTCompressionPropertyKey_TransferFunction" => "kCVImageBufferTransferFunctionKey",
            "kVTCompressionPropertyKey_YCbCrMatrix" => "kCVImageBufferYCbCrMatrixKey",
            _ => continue,
        };
        tags.add(key, made(&property.value)?)?;
    }
    Ok(tags)
}

/// Sets a property; one that nobody asked for by name may be unknown.
fn set(session: &Compression, codec: Codec, property: &Property) -> Result<()> {
    let Property { name, value, setting } = property;
    let refused = |setting: &str| Error::Unsupported {
        feature: format!(
            "{setting} with {codec} by this encoder of VideoToolbox, which does not take {name}"
        ),
        remedy: Remedy::OtherBackend,
    };
    match (made(value).and_then(|value| session.set(name, &value)), setting) {
        (Err(Error::Unsupported { .. }), Some(setting)) => Err(refused(setting)),
        (Err(Error::Unsupported { .. }), None) => Ok(()),
        (done, _) => done,
    }
}

fn made(of: &Value) -> Result<Cf> {
    match of {
        Value::Bool(is) => boolean(*is),
        Value::Integer(number) => integer(*number),
        Value::Real(number) => real(*number),
        Value::Name(name) => value(name),
        Value::Data(bytes) => data(bytes),
        Value::Limit(bytes, seconds) => array(&[integer(*bytes)?, real(*seconds)?]),
        Value::Ratio(horizontal, vertical) => aspect_ratio(*horizontal, *vertical),
    }
}

impl VtEncoder {
    /// Hands a frame over, copied into a buffer of the pool where it is not in one already.
    fn enter(&mut self, unit: &EncodeUnit) -> Result<()> {
        let pixel_format = self.settings.wanted.pixel_format;
        let (buffer, copied) =
            self.meter.upload.time(|| input::buffer_of(&unit.frame, &self.pool, pixel_format, &self.tags))?;
        self.meter.copied_in(copied);
        self.idr_next |= self.output.was_broken();
        // With rate control for low latency an encoder makes no key frame that it is not asked for.
        let due = self.settings.wanted.low_latency_rate && self.since_idr >= self.settings.gop;
        let force = unit.frame.force_keyframe || self.idr_next || due;
        let times = self.clock.next();
        // Before, since it may come out during the call.
        let inside = self.output.enter(unit.serial, force);
        let entered = self.meter.submit.time(|| self.session.encode(&buffer, times, force, unit.serial));
        if entered.is_err() {
            self.output.withdraw(unit.serial);
        } else {
            self.idr_next = false;
            self.since_idr = if force { 1 } else { self.since_idr.saturating_add(1) };
            self.meter.inside(inside);
        }
        entered
    }

    /// Waits where too much is inside.
    fn settle(&self) -> Result<()> {
        if self.output.settle(self.most_inside, PATIENCE)? {
            return Ok(());
        }
        // It holds pictures back, for longer than anybody should wait.
        self.complete()
    }

    /// Has everything come out that is inside.
    fn complete(&self) -> Result<()> {
        self.output.finish(self.session.complete())
    }
}

impl EncoderBackend for VtEncoder {
    fn output_layout(&self) -> BitstreamLayout {
        BitstreamLayout::elementary(self.settings.codec)
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        if self.output.is_gone() {
            return Ok(());
        }
        match self.enter(&unit) {
            Ok(()) => self.settle(),
            // This frame is lost, and nothing else.
            Err(error) if error.is_recoverable() => {
                self.output.failed(unit.serial, error);
                self.settle()
            }
            Err(error) => {
                // What is inside comes out before the session ends, where it still works.
                let completed = if matches!(error, Error::DeviceLost { .. }) {
                    Err(error.clone())
                } else {
                    self.session.complete()
                };
                let _ = self.output.finish(completed);
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.complete()?;
        self.idr_next = true;
        Ok(())
    }

    fn admission(&self) -> FrameCheck {
        Arc::new(input::check)
    }

    fn copies(&self) -> CopyBytes {
        let (input, output, device) = self.meter.copied();
        CopyBytes { input, output, device }
    }

    fn reorder_delay(&self) -> usize {
        self.settings.reorder
    }

    fn in_place(&self) -> InPlace {
        InPlace {
            bitrate: true,
            frame_rate: self.known.has("kVTCompressionPropertyKey_ExpectedFrameRate"),
            ..InPlace::default()
        }
    }

    fn reconfigure(&mut self, config: &CommonEncodeConfig, special: &BackendEncodeConfig) -> Result<()> {
        let new = negotiate(config, special)?;
        if !new.rate.is_of_kind(self.settings.rate) && new.rate != self.settings.rate {
            return Err(Error::unsupported(
                "another mode of rate control in a running session of VideoToolbox",
            ));
        }
        if new.rate != self.settings.rate {
            for property in new.rate.properties(self.has_quality) {
                set(&self.session, self.settings.codec, &property)?;
            }
            self.settings.rate = new.rate;
        }
        if new.frame_rate != self.settings.frame_rate {
            set(&self.session, self.settings.codec, &frame_rate(new.frame_rate))?;
            self.clock.change(new.frame_rate);
            self.settings.frame_rate = new.frame_rate;
        }
        Ok(())
    }

    fn idr_interval(&self) -> Option<u32> {
        Some(self.settings.gop)
    }

    fn implementation(&self) -> &'static str {
        IMPLEMENTATION
    }

    fn meter(&self) -> Option<Arc<EncodeMeter>> {
        Some(Arc::clone(&self.meter))
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_where_the_rate_changes() {
        let rate = |num, den| Rational::new(num, den).unwrap();
        let mut clock = Clock { origin: 0, frames: 0, rate: rate(30_000, 1001) };
        let times: Vec<_> = (0..3).map(|_| clock.next()).collect();
        assert_eq!(times[0], (0, 33_366_666));
        assert_eq!(times[2].0, 66_733_333);
        assert!(times.windows(2).all(|two| two[0].0 + two[0].1 == two[1].0));
        clock.change(rate(25, 1));
        assert_eq!(clock.next(), (100_100_000, 40_000_000));
    }
}
