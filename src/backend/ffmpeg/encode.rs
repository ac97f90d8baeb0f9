//! The encoder behind the seam: raw pictures into a child, coded packets out of it.
//!
//! The child counts pictures at the nominal rate, one tick each, so the time that comes back with a packet is the number
//! of its picture, and the session's serial is that number from the child's first picture on. What ffmpeg makes of real
//! times (rounding, doubling, dropping) has nothing to work on.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::child::{ONLY_FILES_AND_PIPES, Output, Process, READ_AHEAD};
use super::encoders::{ENCODERS, Encoder, Family};
use super::nut::{Damage, NutReader};
use super::program::{Program, program};
use super::settings::{MAX_SIDE, MIN_SIDE, Plan, VAAPI_NODE, own, plan};
use super::units::UnitReader;
use crate::backend::{
    BackendKind, CopyBytes, EncodeEvent, EncodeSink, EncodeUnit, EncodedUnit, EncoderBackend, FrameCheck,
    plain_host_frames,
};
use crate::capability::{EncodeCapability, InPlaceChanges};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, FfmpegEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::packet::BitstreamLayout;
use crate::pixel::PixelFormat;
use crate::sync::lock;
use crate::time::Rational;

/// Largest packet that is taken: some raw pictures of the largest size.
const MAX_PACKET: usize = 1 << 30;
/// Rows with padding between them are gathered to this.
const GATHERED: usize = 256 * 1024;

/// Opens an encoder: the one named, which the selection always does, or the CPU's of the codec.
///
/// # Errors
/// No ffmpeg, an encoder that it lacks, a device that is not there, or a setting that cannot be honoured.
pub(crate) fn open_encoder(
    config: &CommonEncodeConfig,
    special: &BackendEncodeConfig,
    sink: EncodeSink,
) -> Result<Box<dyn EncoderBackend>> {
    let own = own(special)?;
    let program = program(config.device.as_deref())?;
    let (encoder, plan) = choose(&program, config, &own)?;
    Ok(Box::new(FfmpegEncoder {
        program,
        encoder,
        plan,
        config: config.clone(),
        sink: SharedSink::new(sink),
        run: None,
    }))
}

/// What an encoder of a codec can do, the one named or the CPU's; `None`: there is none.
///
/// # Errors
/// No ffmpeg.
pub(crate) fn encode_capability(
    device: Option<&str>,
    special: &BackendEncodeConfig,
    codec: Codec,
) -> Result<Option<EncodeCapability>> {
    let program = program(device)?;
    let encoder = if let Some(name) = own(special).ok().and_then(|own| own.encoder) {
        let encoder = named(&program, &name, codec)?;
        works(&program, encoder)?;
        Some(encoder)
    } else {
        on_cpu(&program, codec)
    };
    let Some(encoder) = encoder else { return Ok(None) };
    let (Some(min), Some(max)) = (Dimensions::new(MIN_SIDE, MIN_SIDE), Dimensions::new(MAX_SIDE, MAX_SIDE))
    else {
        return Ok(None);
    };
    let qp_range = encoder.qp_range();
    let cpu = !encoder.is_hardware();
    let mut capability = EncodeCapability {
        implementation: encoder.implementation,
        min,
        max,
        alignment: 2,
        formats: encoder.formats(&program.formats(encoder.name)?),
        max_b_frames: encoder.max_b_frames(),
        cbr: true,
        vbr: true,
        const_qp: qp_range.1 > 0,
        qp_range,
        quality_range: Some(encoder.quality_range()),
        gop_range: (1, i32::MAX as u32),
        force_idr: true,
        low_latency: true,
        in_place: InPlaceChanges::default(),
    };
    capability.cbr = cpu && codec != Codec::Av1 || !cpu && !encoder.name.ends_with("videotoolbox");
    Ok(Some(capability))
}

/// The encoders of a codec that work here, in order of preference. Those on hardware are tried.
pub(super) fn usable(program: &Program, codec: Codec) -> Vec<&'static Encoder> {
    let of_codec = ENCODERS.iter().filter(|encoder| encoder.codec == codec);
    of_codec.filter(|encoder| program.has_encoder(encoder.name) && works(program, encoder).is_ok()).collect()
}

/// The encoder of a codec that needs no device.
fn on_cpu(program: &Program, codec: Codec) -> Option<&'static Encoder> {
    let fits = |encoder: &&Encoder| encoder.codec == codec && !encoder.is_hardware();
    ENCODERS.iter().find(fits).filter(|encoder| program.has_encoder(encoder.name))
}

/// Whether an encoder codes a picture at all. Those on the CPU do if they were built in.
fn works(program: &Program, encoder: &'static Encoder) -> Result<()> {
    if !encoder.is_hardware() {
        return Ok(());
    }
    if encoder.family == Family::Vaapi && cfg!(target_os = "linux") && !Path::new(VAAPI_NODE).exists() {
        return Err(Error::Unavailable {
            backend: BackendKind::Ffmpeg,
            reason: format!("{} needs a GPU of Intel's or AMD's, and there is no {VAAPI_NODE}", encoder.name),
            remedy: "Load the GPU's kernel driver; start a container with --device /dev/dri".into(),
        });
    }
    let (Some(size), Some(rate)) = (Dimensions::new(640, 480), Rational::new(25, 1)) else { return Ok(()) };
    // What all hardware takes.
    let format = PixelFormat::Nv12;
    let config = CommonEncodeConfig { format, ..CommonEncodeConfig::new(encoder.codec, size, rate) };
    let plan = plan(&config, &FfmpegEncodeConfig::default(), encoder, &[format])?;
    program.tried(encoder.name, || trial(program, &plan, &config))
}

fn choose(
    program: &Program,
    config: &CommonEncodeConfig,
    own: &FfmpegEncodeConfig,
) -> Result<(&'static Encoder, Plan)> {
    let encoder = match &own.encoder {
        Some(name) => named(program, name, config.codec)?,
        None => on_cpu(program, config.codec).ok_or_else(|| lacking(program, config.codec))?,
    };
    if encoder.is_hardware() {
        works(program, encoder)?;
    }
    let plan = plan(config, own, encoder, &encoder.formats(&program.formats(encoder.name)?))?;
    if encoder.is_hardware() {
        // With these settings too: hardware has limits of its own.
        let key = format!("{:?}{:?}", plan.input, plan.output);
        program.tried(&key, || trial(program, &plan, config))?;
    }
    Ok((encoder, plan))
}

/// The program was built without the CPU's encoder of a codec.
fn lacking(program: &Program, codec: Codec) -> Error {
    let feature = format!("encoding {codec} by ffmpeg {}", program.version());
    Error::Unsupported { feature, remedy: others(codec).into() }
}

/// What to do where the program has no encoder of a codec.
fn others(codec: Codec) -> String {
    let names: Vec<_> = ENCODERS.iter().filter(|e| e.codec == codec).map(|e| e.name).collect();
    if names.is_empty() {
        return "h264, hevc and av1 are encoded".to_owned();
    }
    format!("install an ffmpeg that was built with one of {}", names.join(", "))
}

fn named(program: &Program, name: &str, codec: Codec) -> Result<&'static Encoder> {
    let wrong = |why: String, remedy: String| {
        Err(Error::Unsupported { feature: format!("encoder {name:?}: {why}"), remedy: remedy.into() })
    };
    let of_codec = || {
        let usable = ENCODERS.iter().filter(|e| e.codec == codec && program.has_encoder(e.name));
        let names: Vec<_> = usable.map(|e| e.name).collect();
        if names.is_empty() { others(codec) } else { format!("for {codec} there are {}", names.join(", ")) }
    };
    match Encoder::named(name) {
        None => wrong("not one that is known here".to_owned(), of_codec()),
        Some(encoder) if encoder.codec != codec => {
            wrong(format!("it makes {}, not {codec}", encoder.codec), of_codec())
        }
        Some(encoder) if !program.has_encoder(encoder.name) => {
            wrong(format!("ffmpeg {} was built without it", program.version()), of_codec())
        }
        Some(encoder) => Ok(encoder),
    }
}

/// Codes one picture in a child of its own.
fn trial(program: &Program, plan: &Plan, config: &CommonEncodeConfig) -> Result<()> {
    let sink: EncodeSink = Box::new(|_| true);
    let bytes = vec![128_u8; config.format.frame_bytes(config.dimensions)];
    let picture = HostSurface::from_packed(config.format, config.dimensions, bytes)?;
    let mut run = Run::start(program, plan, config, &SharedSink::new(sink), 0)?;
    run.give(&picture)?;
    run.finish()
}

/// The session's sink, for one child after the other.
#[derive(Clone)]
struct SharedSink {
    sink: Arc<Mutex<EncodeSink>>,
    gone: Arc<AtomicBool>,
    copied: Arc<Copied>,
}

/// Bytes through the child's pipes.
#[derive(Default)]
struct Copied {
    input: AtomicU64,
    output: AtomicU64,
}

impl Copied {
    fn get(&self) -> CopyBytes {
        let (input, output) = (self.input.load(Ordering::Relaxed), self.output.load(Ordering::Relaxed));
        CopyBytes { input, output, device: 0 }
    }
}

impl SharedSink {
    fn new(sink: EncodeSink) -> Self {
        Self { sink: Arc::new(Mutex::new(sink)), gone: Arc::default(), copied: Arc::default() }
    }

    /// Waits while there is no room; `false` once nobody wants results.
    fn tell(&self, event: EncodeEvent) -> bool {
        if let EncodeEvent::Unit(unit) = &event {
            self.copied.output.fetch_add(unit.data.len() as u64, Ordering::Relaxed);
        }
        let wanted = lock(&self.sink)(event);
        self.gone.fetch_or(!wanted, Ordering::Relaxed);
        wanted
    }

    /// Asks, unless an event is on its way anyway and gets the same answer.
    fn is_wanted(&self) -> bool {
        if let Ok(mut sink) = self.sink.try_lock() {
            self.gone.fetch_or(!sink(EncodeEvent::Waiting), Ordering::Relaxed);
        }
        !self.is_gone()
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// Pictures inside a child.
#[derive(Default)]
struct Inside {
    given: u64,
    open: BTreeSet<u64>,
}

/// One child, from an IDR picture to the end of its input.
struct Run {
    process: Process,
    first: u64,
    inside: Arc<Mutex<Inside>>,
}

impl Run {
    fn start(
        program: &Program,
        plan: &Plan,
        config: &CommonEncodeConfig,
        sink: &SharedSink,
        first: u64,
    ) -> Result<Self> {
        let inside = Arc::new(Mutex::new(Inside::default()));
        let reading = Reading {
            inside: Arc::clone(&inside),
            sink: sink.clone(),
            config: config.clone(),
            reorder: plan.reorder as u64,
            first,
        };
        let arguments = arguments(program, plan);
        let asked = sink.clone();
        let wanted = Box::new(move || asked.is_wanted());
        let read = Box::new(move |output| reading.run(output));
        let process = Process::start(program.path(), &arguments, read, wanted)?;
        Ok(Self { process, first, inside })
    }

    /// The serial that the child's next picture must have.
    fn next_serial(&self) -> u64 {
        self.first + lock(&self.inside).given
    }

    /// Hands a picture over; `false` when the child takes no more.
    fn give(&mut self, picture: &HostSurface) -> Result<bool> {
        {
            let mut inside = lock(&self.inside);
            let index = inside.given;
            inside.open.insert(index);
            inside.given += 1;
        }
        let picture = picture.clone();
        self.process.put(Box::new(move |to| write_picture(&picture, to)))
    }

    /// Makes everything inside come out, and ends the child.
    fn finish(mut self) -> Result<()> {
        self.process.finish()?;
        let inside = lock(&self.inside);
        let Some(missing) = inside.open.first() else { return Ok(()) };
        Err(Error::Backend {
            backend: BackendKind::Ffmpeg,
            call: "output",
            code: 0,
            detail: format!(
                "of {} pictures {} gave no packet, the first of them number {missing}",
                inside.given,
                inside.open.len()
            ),
        })
    }
}

fn arguments(program: &Program, plan: &Plan) -> Vec<OsString> {
    let fixed = |list: &[&str]| list.iter().map(OsString::from).collect::<Vec<_>>();
    [
        fixed(&["-hide_banner", "-nostdin", "-loglevel", "level+warning"]),
        plan.input.clone(),
        // Nothing has to be found out, so nothing is held back for it.
        fixed(&["-probesize", "32", "-analyzeduration", "0"]),
        fixed(&ONLY_FILES_AND_PIPES),
        fixed(&["-i", "pipe:0", "-map", "0:v:0"]),
        program.every_frame().to_vec(),
        plan.output.clone(),
        // Each packet as soon as it is there. Its time is moved by as much as decoding times would be negative, which
        // NUT cannot have: by the same for all.
        fixed(&["-flush_packets", "1", "-f", "nut", "pipe:1"]),
    ]
    .concat()
}

/// The samples, without padding. Where there is none they are written from where they are.
fn write_picture(picture: &HostSurface, to: &mut dyn Write) -> io::Result<()> {
    for plane in picture.planes() {
        if let Some(all) = plane.as_contiguous() {
            to.write_all(all)?;
        } else {
            let mut gathered = BufWriter::with_capacity(GATHERED, &mut *to);
            plane.iter_rows().try_for_each(|row| gathered.write_all(row))?;
            gathered.flush()?;
        }
    }
    Ok(())
}

/// What the reading thread needs.
struct Reading {
    inside: Arc<Mutex<Inside>>,
    sink: SharedSink,
    config: CommonEncodeConfig,
    reorder: u64,
    first: u64,
}

impl Reading {
    fn run(self, output: Output) -> std::result::Result<(), Damage> {
        let feed = output.feed();
        let mut reader = NutReader::new(BufReader::with_capacity(READ_AHEAD, output), MAX_PACKET);
        if !reader.read_headers()? {
            return Ok(());
        }
        let stream = reader.stream().cloned().unwrap_or_default();
        let mut units = UnitReader::new(self.config.codec, &stream.configuration);
        let mut started = None;
        let mut count = 0;
        while let Some(packet) = reader.next_packet()? {
            // The first one out is the first one in: every child begins with a closed group.
            let start = *started.get_or_insert(packet.pts);
            let index = self.index(packet.pts, start, stream.time_base)?;
            if index.saturating_add(self.reorder) < count {
                return Err(Damage::Broken(format!(
                    "picture {index} comes as number {count}: reordered by more than {}",
                    self.reorder
                )));
            }
            let unit = units.read(packet.data, packet.key);
            if count == 0 {
                units.check(&unit.data, &self.config).map_err(Damage::Broken)?;
            }
            count += 1;
            let event = EncodeEvent::Unit(EncodedUnit {
                serial: self.first + index,
                data: unit.data,
                keyframe: unit.keyframe,
                picture_type: unit.picture_type,
            });
            if !feed.delivering(|| self.sink.tell(event)) {
                feed.discard();
                return Ok(());
            }
        }
        Ok(())
    }

    /// The number of the picture that a packet shows: each is one frame of the nominal rate after the other.
    fn index(&self, pts: i64, start: i64, base: (u64, u64)) -> std::result::Result<u64, Damage> {
        let rate = self.config.frame_rate;
        let ticks = i128::from(pts) - i128::from(start);
        let scaled =
            ticks.checked_mul(i128::from(base.0)).and_then(|n| n.checked_mul(i128::from(rate.num())));
        let per_frame = i128::from(base.1) * i128::from(rate.den());
        let index = scaled.map(|n| (2 * n + per_frame).div_euclid(2 * per_frame));
        let index = index.and_then(|index| u64::try_from(index).ok());
        let known = index.filter(|index| lock(&self.inside).open.remove(index));
        known.ok_or_else(|| {
            Damage::Broken(format!("a packet at {pts} belongs to no picture that waits for one"))
        })
    }
}

struct FfmpegEncoder {
    program: Arc<Program>,
    encoder: &'static Encoder,
    plan: Plan,
    config: CommonEncodeConfig,
    sink: SharedSink,
    run: Option<Run>,
}

impl FfmpegEncoder {
    fn host<'a>(&self, frame: &'a Frame) -> Result<&'a HostSurface> {
        let Some(host) = frame.as_host() else {
            return Err(Error::invalid(
                "the frame has no picture in host memory; download it before encoding",
            ));
        };
        if host.dimensions() != self.config.dimensions || host.format() != self.config.format {
            return Err(Error::invalid(format!(
                "the frame is {} {}, the encoder was opened for {} {}",
                host.dimensions(),
                host.format(),
                self.config.dimensions,
                self.config.format
            )));
        }
        Ok(host)
    }

    /// The child for this picture. A new one where the picture is to begin anew: encoders cannot be told so while they
    /// run. It starts up while the old one ends.
    fn run_for(&mut self, serial: u64, anew: bool) -> Result<&mut Run> {
        let fits = |run: &Run| run.next_serial() == serial && !(anew && run.first != serial);
        if let Some(run) = self.run.take_if(|run| !fits(run)) {
            let next = Run::start(&self.program, &self.plan, &self.config, &self.sink, serial)?;
            run.finish()?;
            self.run = Some(next);
        }
        match &mut self.run {
            Some(run) => Ok(run),
            empty => {
                let run = Run::start(&self.program, &self.plan, &self.config, &self.sink, serial)?;
                Ok(empty.insert(run))
            }
        }
    }
}

impl EncoderBackend for FfmpegEncoder {
    fn output_layout(&self) -> BitstreamLayout {
        BitstreamLayout::elementary(self.config.codec)
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        if self.sink.is_gone() {
            return Ok(());
        }
        let picture = self.host(&unit.frame)?.clone();
        let anew = unit.frame.force_keyframe && !self.config.force_idr;
        let given = self.run_for(unit.serial, anew).and_then(|run| run.give(&picture));
        match given {
            Ok(true) => {
                let bytes = picture.format().frame_bytes(picture.dimensions()) as u64;
                self.sink.copied.input.fetch_add(bytes, Ordering::Relaxed);
                Ok(())
            }
            Ok(false) => match self.run.take().map_or(Ok(()), Run::finish) {
                // It took no more because nobody takes what comes of it.
                _ if self.sink.is_gone() => Ok(()),
                Err(error) => Err(error),
                Ok(()) => Err(Error::Backend {
                    backend: BackendKind::Ffmpeg,
                    call: "input",
                    code: 0,
                    detail: "the child process ended, content, before its input did".to_owned(),
                }),
            },
            Err(error) => {
                self.run = None;
                if self.sink.is_gone() { Ok(()) } else { Err(error) }
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        let done = self.run.take().map_or(Ok(()), Run::finish);
        if self.sink.is_gone() { Ok(()) } else { done }
    }

    fn reorder_delay(&self) -> usize {
        self.plan.reorder
    }

    fn admission(&self) -> FrameCheck {
        plain_host_frames("ffmpeg")
    }

    fn copies(&self) -> CopyBytes {
        self.sink.copied.get()
    }

    fn implementation(&self) -> &'static str {
        self.encoder.implementation
    }
}
