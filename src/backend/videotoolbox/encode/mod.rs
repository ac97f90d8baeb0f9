//! Encoding by VideoToolbox.
//!
//! Everything here runs on the session's thread: a frame is copied into a pixel buffer of the compression session's pool
//! ([`input`]) and handed over, and what has been coded by then is handed on. VideoToolbox works on threads of its own meanwhile;
//! their callback only puts what it brings into a queue. So a packet comes out with one of the next few frames, or with the
//! flush, and with `low_latency` in the call that brought its frame. Settings are held against what the encoder knows before
//! the first frame ([`settings`]).

mod capability;
mod input;
mod settings;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use capability::encode_capability;

use self::settings::{Property, Rate, Settings, Value, frame_rate, negotiate};
use super::driver::compression::{Coded, Compression, Properties, aspect_ratio, value};
use super::driver::foundation::{Cf, array, boolean, data, integer, real};
use super::driver::media::{LENGTH_SIZE, SampleBuffer};
use super::driver::pixels::PixelBufferPool;
use crate::backend::{
    BackendKind, CopyBytes, EncodeEvent, EncodeSink, EncodeUnit, EncodedUnit, EncoderBackend, FrameCheck,
    InPlace, plain_host_frames,
};
use crate::bitstream::annexb::nal_units;
use crate::bitstream::convert::length_prefixed_to_annexb;
use crate::bitstream::{h264, hevc};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::error::{Error, Remedy, Result};
use crate::memory;
use crate::packet::{BitstreamLayout, PictureType};
use crate::stages::EncodeMeter;
use crate::time::Rational;

const IMPLEMENTATION: &str = "VideoToolbox";

/// Most frames inside an encoder, whatever it was told.
const MAX_INSIDE: usize = 64;

/// How long a coded picture is waited for before the encoder is told to hold nothing back.
const PATIENCE: Duration = Duration::from_secs(1);

const NANOSECONDS: i128 = 1_000_000_000;

/// A compression session.
struct VtEncoder {
    pool: PixelBufferPool,
    session: Compression,
    sink: EncodeSink,
    gone: bool,
    settings: Settings,
    known: Properties,
    clock: Clock,
    /// Numbers of the frames inside.
    inside: VecDeque<u64>,
    most_inside: usize,
    /// The next frame begins anew.
    idr_next: bool,
    /// Bytes of the lengths in samples.
    length_size: u8,
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
    let session = match Compression::new(&settings.wanted) {
        Err(Error::Unsupported { .. } | Error::Backend { .. }) if settings.wanted.low_latency_rate => {
            settings.wanted.low_latency_rate = false;
            notes.push(
                "this encoder of VideoToolbox has no rate control for low latency; it uses its usual one"
                    .to_owned(),
            );
            Compression::new(&settings.wanted)?
        }
        opened => opened?,
    };
    let known = session.properties()?;
    let has_quality = known.has("kVTCompressionPropertyKey_Quality");
    if !has_quality && matches!(settings.rate, Rate::Own { .. }) {
        notes.push(
            "this encoder of VideoToolbox has no constant quality; an average bit rate takes its place"
                .to_owned(),
        );
    }
    for property in settings.rate.properties(has_quality).iter().chain(&settings.properties) {
        set(&session, settings.codec, property)?;
    }
    let on_hardware = session.get("kVTCompressionPropertyKey_UsingHardwareAcceleratedVideoEncoder");
    if on_hardware.and_then(|value| value.as_bool()) == Some(false) {
        notes.push("VideoToolbox encodes on the CPU: it has no hardware for this here".to_owned());
    }
    session.prepare()?;
    Ok(Box::new(VtEncoder {
        pool: session.pool()?,
        session,
        sink,
        gone: false,
        known,
        clock: Clock { origin: 0, frames: 0, rate: settings.frame_rate },
        inside: VecDeque::new(),
        // An encoder that knows how many it may hold back holds none, and then nothing is waited for.
        most_inside: if settings.low_latency { 0 } else { MAX_INSIDE },
        settings,
        idr_next: true,
        length_size: LENGTH_SIZE,
        meter: Arc::new(EncodeMeter::default()),
        notes,
    }))
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
    /// Copies a frame in and hands it over.
    fn enter(&mut self, unit: &EncodeUnit) -> Result<()> {
        let mut buffer = self.pool.take()?;
        let copied = self.meter.upload.time(|| input::place(&unit.frame, &mut buffer))?;
        self.meter.copied_in(copied);
        let force = unit.frame.force_keyframe || self.idr_next;
        let times = self.clock.next();
        // Before, since it may come out during the call.
        self.inside.push_back(unit.serial);
        let entered = self.meter.submit.time(|| self.session.encode(&buffer, times, force, unit.serial));
        if entered.is_err() {
            self.inside.retain(|serial| *serial != unit.serial);
        } else {
            self.idr_next = false;
            self.meter.inside(self.inside.len());
        }
        entered
    }

    /// Hands on what has come, and waits where too much is inside.
    fn collect(&mut self) -> Result<()> {
        let arrived = self.session.arrived(Duration::ZERO);
        self.deliver(arrived)?;
        while self.inside.len() > self.most_inside {
            let arrived = self.meter.lock.time(|| self.session.arrived(PATIENCE));
            if arrived.is_empty() {
                // It holds pictures back, for longer than anybody should wait.
                return self.complete();
            }
            self.deliver(arrived)?;
        }
        Ok(())
    }

    /// Has everything come out that is inside.
    fn complete(&mut self) -> Result<()> {
        let completed = self.session.complete();
        let arrived = self.session.arrived(Duration::ZERO);
        self.deliver(arrived)?;
        completed?;
        while let Some(serial) = self.inside.pop_front() {
            let error = failed("it told nothing of this frame".to_owned());
            self.send(EncodeEvent::Failed { serial, error });
        }
        Ok(())
    }

    fn deliver(&mut self, arrived: VecDeque<Coded>) -> Result<()> {
        let mut death = None;
        for Coded { serial, status, dropped, sample } in arrived {
            let before = self.inside.len();
            self.inside.retain(|inside| *inside != serial);
            if self.inside.len() == before {
                // Nobody waits for it: a second answer, or one to a frame that was not taken.
                continue;
            }
            match (status.ok("VTCompressionOutputCallback"), sample) {
                (Err(error), _) if error.is_recoverable() => {
                    self.send(EncodeEvent::Failed { serial, error });
                }
                (Err(error), _) => {
                    self.inside.push_front(serial);
                    death.get_or_insert(error);
                }
                (Ok(()), Some(sample)) if !dropped => match self.unit(serial, &sample) {
                    Ok(unit) => self.send(EncodeEvent::Unit(unit)),
                    Err(error) if error.is_recoverable() => {
                        // What follows refers to it.
                        self.idr_next = true;
                        self.send(EncodeEvent::Failed { serial, error });
                    }
                    Err(error) => {
                        death.get_or_insert(error);
                    }
                },
                (Ok(()), _) => {
                    self.send(EncodeEvent::Dropped {
                        serial,
                        reason: "dropped by the encoder's rate control",
                    });
                }
            }
        }
        death.map_or(Ok(()), Err)
    }

    /// The access unit of a sample, with its parameter sets where decoding can start.
    fn unit(&mut self, serial: u64, sample: &SampleBuffer) -> Result<EncodedUnit> {
        let meter = Arc::clone(&self.meter);
        meter.copy.time(|| {
            let codec = self.settings.codec;
            let bytes = sample.bytes()?;
            let keyframe = sample.is_sync()?;
            let mut out = Vec::new();
            if keyframe {
                (out, self.length_size) = sample.format()?.parameter_sets(codec)?;
            }
            memory::grow(&mut out, bytes.len())?;
            length_prefixed_to_annexb(&bytes, self.length_size, &mut out)
                .map_err(|error| failed(format!("a sample that cannot be read: {error}")))?;
            self.meter.copied_out(out.len() as u64);
            let picture_type = picture_type(codec, &out, keyframe);
            Ok(EncodedUnit { serial, data: out.into(), keyframe, picture_type })
        })
    }

    fn send(&mut self, event: EncodeEvent) {
        if !self.gone {
            self.gone = !(self.sink)(event);
        }
    }
}

fn failed(detail: String) -> Error {
    Error::Backend {
        backend: BackendKind::VideoToolbox,
        call: "VTCompressionSessionEncodeFrame",
        code: 0,
        detail,
    }
}

/// What is known of a picture's type from its NAL units.
fn picture_type(codec: Codec, unit: &[u8], keyframe: bool) -> Option<PictureType> {
    let is_idr = |nal| match codec {
        Codec::H264 => h264::nal_type(nal) == Some(h264::NAL_IDR),
        _ => hevc::nal_type(nal).is_some_and(hevc::is_idr),
    };
    if nal_units(unit).any(is_idr) {
        return Some(PictureType::Idr);
    }
    keyframe.then_some(PictureType::I)
}

impl EncoderBackend for VtEncoder {
    fn output_layout(&self) -> BitstreamLayout {
        BitstreamLayout::elementary(self.settings.codec)
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        if self.gone {
            return Ok(());
        }
        match self.enter(&unit) {
            Ok(()) => self.collect(),
            // This frame is lost, and nothing else.
            Err(error) if error.is_recoverable() => {
                self.send(EncodeEvent::Failed { serial: unit.serial, error });
                self.collect()
            }
            Err(error) => {
                // What is inside comes out before the session ends, where it still works.
                if !matches!(error, Error::DeviceLost { .. }) {
                    let _ = self.complete();
                }
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
        plain_host_frames("VideoToolbox")
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
            let has_quality = self.known.has("kVTCompressionPropertyKey_Quality");
            for property in new.rate.properties(has_quality) {
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

    #[test]
    fn types_of_pictures_are_read_from_their_units() {
        assert_eq!(
            picture_type(Codec::H264, &[0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 1], true),
            Some(PictureType::Idr)
        );
        assert_eq!(picture_type(Codec::Hevc, &[0, 0, 1, 42, 1, 1], true), Some(PictureType::I));
        assert_eq!(picture_type(Codec::H264, &[0, 0, 1, 0x41, 1], false), None);
    }
}
