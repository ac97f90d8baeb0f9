//! The decoder behind the seam: coded units into a child, raw pictures out of it.
//!
//! Units travel in NUT under numbers that grow in output order ([`super::order`]), pictures come back under the same
//! ones. One child decodes one kind of picture: when a random access point says that size or format change, the child
//! is ended and another takes over, so that ffmpeg never scales or converts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::child::{ONLY_FILES_AND_PIPES, Output, Process, READ_AHEAD};
use super::nut::{self, Damage, NutReader, NutStream};
use super::program::{Program, program};
use crate::backend::demand::{Allowance, Demand, Kept};
use crate::backend::{
    BackendKind, CodedUnit, CopyBytes, DecodeEvent, DecodeSink, DecodedPicture, DecoderBackend,
};
use crate::bitstream::{OutputOrder, StreamInfo, UnitRole};
use crate::capability::DecodeCapability;
use crate::codec::Codec;
use crate::color::{ColorInfo, ColorRange};
use crate::config::{CommonDecodeConfig, DamagePolicy, DecodeOutputMode};
use crate::dimensions::Dimensions;
use crate::error::{Error, Remedy, Result};
use crate::frame::{HostSurface, Surface};
use crate::limits::{Limit, Limits};
use crate::packet::BitstreamLayout;
use crate::pixel::{Chroma, PixelFormat};
use crate::sync::lock;
use crate::time::Rational;

/// Name in receipts.
const IMPLEMENTATION: &str = "ffmpeg";
/// A tick of the numbers: that of ffmpeg's own clock, so that it rounds none.
const TICKS: u32 = 1_000_000;
/// Units that may still give a picture although later ones of the output order did.
const LATE: u64 = 64;
/// Largest picture: more bytes than the largest that [`Dimensions`] and 16-bit 4:4:4 can have would ever be believed.
const MAX_PICTURE: u64 = 1 << 31;

/// Most threads that ffmpeg takes by itself.
const OWN_THREADS: u64 = 16;

const NOTHING: &str = "ffmpeg gave no picture for it";

/// Opens a decoder. Its child starts with the first unit.
///
/// # Errors
/// No ffmpeg.
pub(crate) fn open_decoder(config: &CommonDecodeConfig, sink: DecodeSink) -> Result<Box<dyn DecoderBackend>> {
    let program = program(config.device.as_deref())?;
    Ok(Box::new(FfmpegDecoder {
        program,
        config: config.clone(),
        order: OutputOrder::new(config.codec),
        sink: SharedSink { sink: Arc::new(Mutex::new(sink)), gone: Arc::default() },
        run: None,
        allowance: Allowance::of(&config.limits),
        room: OWN_THREADS,
    }))
}

/// What ffmpeg decodes: every codec, into every Y'CbCr format there is here.
///
/// # Errors
/// No ffmpeg.
pub(crate) fn decode_capability(device: Option<&str>, codec: Codec) -> Result<Option<DecodeCapability>> {
    program(device)?;
    let limits = (Dimensions::new(1, 1), Dimensions::new(16_384, 16_384));
    let (Some(min), Some(max)) = limits else { return Ok(None) };
    let eight_bit = matches!(codec, Codec::Vp8 | Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vc1 | Codec::Mjpeg);
    let formats = RAW.iter().map(|(_, format)| *format).filter(|f| !eight_bit || f.bit_depth() == 8);
    Ok(Some(DecodeCapability {
        implementation: IMPLEMENTATION,
        min,
        max,
        engines: 1,
        formats: formats.collect(),
        variants: Vec::new(),
        refused: Vec::new(),
        output_modes: DecodeOutputMode::ALL.to_vec(),
        native_on_device: false,
        low_latency: true,
        // One frame for each thread but the first.
        max_display_delay: std::thread::available_parallelism().map_or(0, |n| n.get() as u32 - 1),
    }))
}

/// How raw formats are called in NUT.
const RAW: [([u8; 4], PixelFormat); 12] = [
    (*b"I420", PixelFormat::I420),
    (*b"Y42B", PixelFormat::I422),
    (*b"444P", PixelFormat::I444),
    (*b"Y3\x0b\x0a", PixelFormat::I010),
    (*b"Y3\x0a\x0a", PixelFormat::I210),
    (*b"Y3\x00\x0a", PixelFormat::I410),
    (*b"Y3\x0b\x0c", PixelFormat::I012),
    (*b"Y3\x0a\x0c", PixelFormat::I212),
    (*b"Y3\x00\x0c", PixelFormat::I412),
    (*b"Y800", PixelFormat::Gray8),
    (*b"Y1\x00\x0a", PixelFormat::Gray10),
    (*b"Y1\x00\x0c", PixelFormat::Gray12),
];

/// How codecs are called in NUT.
const fn four_characters(codec: Codec) -> [u8; 4] {
    match codec {
        Codec::H264 => *b"H264",
        Codec::Hevc => *b"HEVC",
        Codec::Av1 => *b"AV01",
        Codec::Vp9 => *b"VP90",
        Codec::Vp8 => *b"VP80",
        Codec::Mpeg2 => *b"mpg2",
        Codec::Mpeg4 => *b"mp4v",
        Codec::Vc1 => *b"WVC1",
        Codec::Mjpeg => *b"MJPG",
    }
}

/// The session's sink, for one child after the other.
#[derive(Clone)]
struct SharedSink {
    sink: Arc<Mutex<DecodeSink>>,
    gone: Arc<AtomicBool>,
}

impl SharedSink {
    /// Waits while there is no room; `false` once nobody wants results.
    fn tell(&self, event: DecodeEvent) -> bool {
        let wanted = lock(&self.sink)(event);
        self.gone.fetch_or(!wanted, Ordering::Relaxed);
        wanted
    }

    /// Asks, unless an event is on its way anyway and gets the same answer.
    fn is_wanted(&self) -> bool {
        if let Ok(mut sink) = self.sink.try_lock() {
            self.gone.fetch_or(!sink(DecodeEvent::Note(String::new())), Ordering::Relaxed);
        }
        !self.is_gone()
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// What a child is started for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shape {
    size: Option<Dimensions>,
    chroma: Option<Chroma>,
    depth: u8,
    /// ffmpeg has formats of their own for full range.
    range: Option<ColorRange>,
}

impl Shape {
    fn of(info: Option<&StreamInfo>) -> Self {
        info.map_or_else(Self::default, |info| Self {
            size: Some(info.dimensions),
            chroma: Some(info.chroma),
            depth: info.bit_depth(),
            range: info.color.range,
        })
    }
}

/// What every picture of a child shares.
#[derive(Clone, Copy)]
struct Common {
    color: ColorInfo,
    sample_aspect_ratio: Option<Rational>,
    frame_rate: Option<Rational>,
}

/// Units inside, by their number in output order.
type Inside = Arc<Mutex<BTreeMap<i64, (u64, bool)>>>;

struct Run {
    process: Process,
    shape: Shape,
    inside: Inside,
    began: bool,
}

/// Threads of the child; `None`: ffmpeg's choice. Those that decode frames side by side hold one back each, but for the
/// first.
fn threads(config: &CommonDecodeConfig) -> Option<usize> {
    let delay = if config.low_latency { Some(0) } else { config.max_display_delay };
    let asked = config.threads.map(NonZeroUsize::get);
    let Some(delay) = delay else { return asked };
    let usual = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    Some(asked.unwrap_or_else(usual).min((delay as usize).saturating_add(1)))
}

struct FfmpegDecoder {
    program: Arc<Program>,
    config: CommonDecodeConfig,
    order: OutputOrder,
    sink: SharedSink,
    run: Option<Run>,
    allowance: Allowance,
    /// Pictures that threads may decode beside each other.
    room: u64,
}

impl FfmpegDecoder {
    fn arguments(&self) -> Vec<OsString> {
        let mut list: Vec<OsString> = Vec::new();
        let mut add = |message: &[&str]| list.extend(message.iter().map(OsString::from));
        add(&["-hide_banner", "-nostdin", "-loglevel", "level+warning", "-max_error_rate", "1"]);
        // Nothing is found out by reading ahead: what is not known yet comes with the first picture.
        add(&["-probesize", "32", "-analyzeduration", "0"]);
        if self.config.codec == Codec::H264 {
            // Waits for as many pictures as the stream may reorder, where others would guess and lose some.
            add(&["-strict", "strict"]);
        }
        if self.config.damage == DamagePolicy::Strict {
            add(&["-err_detect", "explode"]);
        }
        let threads = threads(&self.config).map(|threads| threads.to_string());
        if self.config.low_latency {
            add(&["-flags", "low_delay"]);
        }
        if let Some(threads) = &threads {
            add(&["-threads", threads]);
        } else if self.room < OWN_THREADS {
            add(&["-threads", &self.room.to_string()]);
        }
        if let Ok(most) = i32::try_from(self.config.limits.picture_pixels) {
            add(&["-max_pixels", &most.to_string()]);
        }
        add(&["-copyts", "-f", "nut"]);
        add(&ONLY_FILES_AND_PIPES);
        add(&["-i", "pipe:0", "-map", "0:v:0"]);
        list.extend(self.program.every_frame());
        // The numbers' own ticks, and no scaler in front of the pictures.
        let rest = ["-enc_time_base", "1:1000000", "-noautoscale", "-c:v", "rawvideo"];
        list.extend(rest.iter().map(OsString::from));
        let rest = ["-avoid_negative_ts", "disabled", "-flush_packets", "1", "-f", "nut", "pipe:1"];
        list.extend(rest.iter().map(OsString::from));
        list
    }

    /// Refuses a sequence whose pictures would take more than the limits allow: those that it may refer to and wait for, and
    /// the one at hand. Threads that decode a picture each are as many as there is room for.
    fn check(&mut self, info: &StreamInfo) -> Result<()> {
        let demand = Demand::from(info);
        let pictures = u64::from(info.dpb_frames.max(info.reorder_depth.unwrap_or(0))) + 1;
        // ffmpeg puts borders around pictures, and keeps the motion of their blocks.
        let each = demand.bytes() + demand.bytes() / 4;
        let kept = Kept { pictures, each, work: 0, waiting: 0 };
        self.allowance.check(demand, kept)?;
        let left = self.config.limits.picture_memory.saturating_sub(demand.total(kept));
        self.room = left.checked_div(each).unwrap_or(0).max(1);
        Ok(())
    }

    fn start(&self, info: Option<&StreamInfo>) -> Result<Run> {
        let inside = Inside::default();
        let mut color = info.map_or(ColorInfo::UNSPECIFIED, |info| info.color);
        if self.config.codec == Codec::Mjpeg {
            color.range = Some(ColorRange::Full);
        }
        let reading = Reading {
            inside: Arc::clone(&inside),
            sink: self.sink.clone(),
            metadata_only: self.config.output == DecodeOutputMode::MetadataOnly,
            limits: self.config.limits.clone(),
            common: Common {
                color,
                sample_aspect_ratio: info.and_then(|info| info.sample_aspect_ratio),
                frame_rate: info.and_then(|info| info.frame_rate),
            },
        };
        let read = Box::new(move |output| reading.run(output));
        let asked = self.sink.clone();
        let wanted = Box::new(move || asked.is_wanted());
        let process = Process::start(self.program.path(), &self.arguments(), read, wanted)?;
        let mut run = Run { process, shape: Shape::of(info), inside, began: false };
        // Where the size is not known the decoder finds it; the header must have some.
        let (width, height) = info.map_or((16, 16), |i| (i.dimensions.width(), i.dimensions.height()));
        let reorder = info.map_or(0, |info| info.reorder_depth.unwrap_or(info.dpb_frames));
        let reorder = if self.config.low_latency { 0 } else { reorder };
        let headers = nut::headers(four_characters(self.config.codec), width, height, (1, TICKS), reorder);
        run.process.put(Box::new(move |to| to.write_all(&headers)))?;
        Ok(run)
    }

    /// Ends the child; what it gave no picture for has its outcome then.
    fn finish(&mut self) -> Result<()> {
        let Some(mut run) = self.run.take() else { return Ok(()) };
        self.order = OutputOrder::new(self.config.codec);
        let done = run.process.finish();
        if self.sink.is_gone() {
            return Ok(());
        }
        done?;
        let errors: Vec<_> =
            run.process.remarks().into_iter().filter(|line| line.contains("[error]")).collect();
        let message = errors.join("; ");
        for line in errors {
            self.sink.tell(DecodeEvent::Note(format!("ffmpeg: {line}")));
        }
        for (serial, _) in std::mem::take(&mut *lock(&run.inside)).into_values() {
            let event = if message.is_empty() {
                DecodeEvent::NoPicture { serial, reason: NOTHING }
            } else {
                DecodeEvent::Failed { serial, error: Error::corrupt(format!("{NOTHING}: {message}")) }
            };
            if !self.sink.tell(event) {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, unit: &CodedUnit) -> Result<()> {
        let (codec, data) = (self.config.codec, &unit.packet.data);
        let layout = BitstreamLayout::elementary(codec);
        // What cannot be read here is ffmpeg's to judge.
        let info = StreamInfo::from_unit(codec, layout, data).ok().flatten();
        if let Some(info) = &info
            && let Err(error) = self.check(info)
        {
            // Pictures before it are whole.
            self.finish()?;
            return Err(error);
        }
        let starts = matches!(UnitRole::of(codec, data), UnitRole::Closed | UnitRole::Open);
        let differs = |run: &Run| starts && info.is_some() && run.shape != Shape::of(info.as_ref());
        if self.run.as_ref().is_some_and(differs) {
            self.finish()?;
        }
        if self.run.is_none() {
            self.run = Some(self.start(info.as_ref())?);
        }
        let mut number = self.order.number(&unit.packet.data, unit.packet.pts);
        let Some(run) = &mut self.run else { return Ok(()) };
        {
            let mut inside = lock(&run.inside);
            // Streams that number two pictures the same keep the order of decoding.
            while inside.contains_key(&number) {
                number += 1;
            }
            let waiting = inside.len() as u64 + 1;
            let what = "units for which ffmpeg has given no picture";
            self.config.limits.check(Limit::WaitingUnits, waiting, what)?;
            inside.insert(number, (unit.serial, unit.packet.keyframe));
        }
        let head = nut::frame(number, unit.packet.keyframe || !run.began, data.len());
        run.began = true;
        let data = data.clone();
        let taken = run.process.put(Box::new(move |to| {
            to.write_all(&head)?;
            to.write_all(&data)
        }))?;
        if taken || self.sink.is_gone() {
            return Ok(());
        }
        run.process.finish()?;
        if self.sink.is_gone() {
            return Ok(());
        }
        Err(Error::Backend {
            backend: BackendKind::Ffmpeg,
            call: "input",
            code: 0,
            detail: "the child process ended, content, before its input did".to_owned(),
        })
    }
}

impl DecoderBackend for FfmpegDecoder {
    fn input_layout(&self) -> BitstreamLayout {
        BitstreamLayout::elementary(self.config.codec)
    }

    fn submit(&mut self, unit: CodedUnit) -> Result<()> {
        if self.sink.is_gone() {
            return Ok(());
        }
        let taken = self.take(&unit);
        if taken.is_err() {
            self.run = None;
        }
        taken
    }

    fn flush(&mut self) -> Result<()> {
        self.finish()
    }

    fn implementation(&self) -> &'static str {
        IMPLEMENTATION
    }
}

/// What the reading thread needs.
struct Reading {
    inside: Inside,
    sink: SharedSink,
    metadata_only: bool,
    limits: Limits,
    common: Common,
}

impl Reading {
    fn run(self, output: Output) -> std::result::Result<(), Damage> {
        let feed = output.feed();
        let mut reader = NutReader::new(BufReader::with_capacity(READ_AHEAD, output), 0);
        if !reader.read_headers()? {
            return Ok(());
        }
        let stream = reader.stream().cloned().unwrap_or_default();
        let (size, format) = match kind(&stream) {
            Ok(kind) => kind,
            Err(error) => {
                self.refuse(error);
                return Ok(());
            }
        };
        let pixels = u64::from(size.width()) * u64::from(size.height());
        if let Err(error) = self.limits.check(Limit::PicturePixels, pixels, format!("a picture of {size}")) {
            self.refuse(error);
            return Ok(());
        }
        let bytes = format.frame_bytes(size);
        if bytes as u64 > MAX_PICTURE {
            return Err(Damage::Broken(format!("pictures of {size}")));
        }
        // Anything else than one picture of this size is a change of size within the stream.
        reader.set_limit(bytes.saturating_mul(4));
        let stated = (u32::try_from(stream.sample.0), u32::try_from(stream.sample.1));
        let ratio = if let (Ok(num), Ok(den)) = stated { Rational::new(num, den) } else { None };
        let ratio = self.common.sample_aspect_ratio.or(ratio);
        while let Some(packet) = reader.next_packet()? {
            if packet.data.len() != bytes {
                self.refuse(Error::Unsupported {
                    feature: "a change of the picture's size between random access points, by ffmpeg"
                        .to_owned(),
                    remedy: Remedy::OtherBackend,
                });
                return Ok(());
            }
            let Some((serial, keyframe)) = self.answer(packet.pts, stream.time_base) else {
                return Err(Damage::Broken("a picture more than there are units".to_owned()));
            };
            let picture = DecodedPicture {
                serial,
                dimensions: size,
                format,
                color: self.common.color,
                sample_aspect_ratio: ratio,
                frame_rate: self.common.frame_rate,
                keyframe,
                concealed: false,
                shaped: false,
                copied: CopyBytes { output: bytes as u64, ..CopyBytes::default() },
                device_times: crate::backend::DeviceTimes::default(),
                surface: self.surface(size, format, packet.data)?,
            };
            if !feed.delivering(|| self.sink.tell(DecodeEvent::Picture(picture))) {
                feed.discard();
                return Ok(());
            }
        }
        Ok(())
    }

    fn surface(
        &self,
        size: Dimensions,
        format: PixelFormat,
        data: Bytes,
    ) -> std::result::Result<Surface, Damage> {
        if self.metadata_only {
            return Ok(Surface::None);
        }
        let surface = HostSurface::from_packed(format, size, data);
        surface.map(Surface::Host).map_err(|error| Damage::Broken(error.to_string()))
    }

    /// The stream is not for this backend: the session ends with that.
    fn refuse(&self, error: Error) {
        let first = lock(&self.inside).pop_first();
        if let Some((_, (serial, _))) = first {
            self.sink.tell(DecodeEvent::Failed { serial, error });
        }
    }

    /// Which unit the picture with this number belongs to. Units far before it will have none any more.
    fn answer(&self, pts: i64, base: (u64, u64)) -> Option<(u64, bool)> {
        let ticks = i128::from(pts) * i128::from(base.0) * i128::from(TICKS);
        let number =
            i64::try_from((2 * ticks + i128::from(base.1)).div_euclid(2 * i128::from(base.1))).ok()?;
        let mut late = Vec::new();
        let answer = {
            let mut inside = lock(&self.inside);
            // A number that ffmpeg has changed, to let its times grow, is a little higher than the one it was given.
            let key = inside.range(..=number).next_back().or_else(|| inside.first_key_value());
            let key = *key?.0;
            let answer = inside.remove(&key)?;
            while let Some(first) = inside.first_entry()
                && *first.key() < key
                && first.get().0.saturating_add(LATE) < answer.0
            {
                late.push(first.remove().0);
            }
            answer
        };
        for serial in late {
            self.sink.tell(DecodeEvent::NoPicture { serial, reason: NOTHING });
        }
        Some(answer)
    }
}

/// Size and format of the raw pictures.
fn kind(stream: &NutStream) -> Result<(Dimensions, PixelFormat)> {
    let size = (u32::try_from(stream.width), u32::try_from(stream.height));
    let size = if let (Ok(width), Ok(height)) = size { Dimensions::new(width, height) } else { None };
    let format = RAW.iter().find(|(name, _)| *name == stream.fourcc).map(|(_, format)| *format);
    match (size, format) {
        (Some(size), Some(format)) => Ok((size, format)),
        (None, _) => Err(Error::unsupported(format!("pictures of {}x{}", stream.width, stream.height))),
        (_, None) => Err(Error::Unsupported {
            feature: format!(
                "the pixel format that ffmpeg decodes this stream to ({:?})",
                stream.fourcc.escape_ascii().to_string()
            ),
            remedy: "Y'CbCr with 8, 10 or 12 bit is taken".into(),
        }),
    }
}
