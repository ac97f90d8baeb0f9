//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use video_hw::backend::Backend;
use video_hw::config::{ColorRequest, DecodeOutputMode, Engines};
use video_hw::dimensions::Dimensions;

use crate::program::Parsed;

pub(crate) const HELP: &str = "\
Decodes streams and tells how long it took, as one JSON document (--open-close: one a round, then a summary).

Usage: decode_many FILE [FILE...] [OPTIONS]

What to do (by default: decode everything as fast as possible)
  --sessions N       decode N streams at once; the files are taken in turn             [1]
  --stages           one stream, with the time of each step from the start of the process
  --spawned-at NS    with --stages: when the process was asked for, in ns since 1970
  --low-latency      one packet at a time: the next goes in when the frame of the last is out, or is missed
  --wait MS          with --low-latency: how long to wait for a frame                   [250]
  --open-close N     open all sessions, decode --frames of each, close them; N rounds, with memory after each
  --settle MS        with --open-close: pause after each round, for whoever measures    [100]

How to decode
  --output MODE      metadata, device, host or cpu-rgb                                  [host]
  --convert FORMAT   rgb24, nv12, ...: converted where the frames are
  --size WxH         scaled, by the decoder where it can
  --engines N|auto   decoders for one stream                                            [1]
  --window MIB       with several: most memory of pictures that wait for older ones
  --backend NAME     auto, nvidia, software ...                                         [auto]
  --device ID        number or identifier of the GPU
  --threads N        threads of a CPU decoder

What to check (the exit status is 1 when a check fails)
  --frames N         stop after N frames of each stream (--open-close: 2 by default)
  --expect N         each stream has so many frames
  --verify PERIOD    the stream repeats itself: frame i is frame i - PERIOD, sample by sample
  --surface KIND     every frame is there: none, host or device

  -h, --help         this text

fps is frames / (first packet submitted -> last frame out); fps_running is the same from the first frame on, without
the creation of the decoder.";

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Throughput,
    Stages { spawned_ns: Option<u128> },
    Latency,
    OpenClose { rounds: usize },
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) sessions: usize,
    pub(crate) wait: Duration,
    pub(crate) settle: Duration,
    pub(crate) output: DecodeOutputMode,
    pub(crate) convert: ColorRequest,
    pub(crate) size: Option<Dimensions>,
    pub(crate) engines: Engines,
    pub(crate) window: Option<u64>,
    pub(crate) backend: Backend,
    pub(crate) device: Option<String>,
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) frames: Option<u64>,
    pub(crate) expect: Option<u64>,
    pub(crate) verify: Option<NonZeroUsize>,
    pub(crate) surface: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Throughput,
            files: Vec::new(),
            sessions: 1,
            wait: Duration::from_millis(250),
            settle: Duration::from_millis(100),
            output: DecodeOutputMode::HostSurface,
            convert: ColorRequest::KeepNative,
            size: None,
            engines: Engines::One,
            window: None,
            backend: Backend::Auto,
            device: None,
            threads: None,
            frames: None,
            expect: None,
            verify: None,
            surface: None,
        }
    }
}

pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Parsed<Options>, String> {
    let mut o = Options::default();
    let mut spawned_ns = None;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "-h" | "--help" => return Ok(Parsed::Help),
            "--sessions" => o.sessions = positive(&arg, &value()?)?.get(),
            "--stages" => set_mode(&mut o.mode, Mode::Stages { spawned_ns: None })?,
            "--spawned-at" => spawned_ns = Some(number(&arg, &value()?)?),
            "--low-latency" => set_mode(&mut o.mode, Mode::Latency)?,
            "--wait" => o.wait = Duration::from_millis(number(&arg, &value()?)?),
            "--settle" => o.settle = Duration::from_millis(number(&arg, &value()?)?),
            "--open-close" => {
                let rounds = positive(&arg, &value()?)?.get();
                set_mode(&mut o.mode, Mode::OpenClose { rounds })?;
            }
            "--output" => o.output = output(&value()?)?,
            "--convert" => o.convert = convert(&value()?)?,
            "--size" => o.size = Some(number(&arg, &value()?)?),
            "--engines" => o.engines = engines(&value()?)?,
            "--window" => o.window = Some(number::<u64>(&arg, &value()?)?.saturating_mul(1 << 20)),
            "--backend" => o.backend = number(&arg, &value()?)?,
            "--device" => o.device = Some(value()?),
            "--threads" => o.threads = Some(positive(&arg, &value()?)?),
            "--frames" => o.frames = Some(number(&arg, &value()?)?),
            "--expect" => o.expect = Some(number(&arg, &value()?)?),
            "--verify" => o.verify = Some(positive(&arg, &value()?)?),
            "--surface" => o.surface = Some(surface(value()?)?),
            name if name.starts_with('-') => return Err(format!("there is no option {name}")),
            _ => o.files.push(PathBuf::from(arg)),
        }
    }
    match (&mut o.mode, spawned_ns) {
        (Mode::Stages { spawned_ns: slot }, given) => *slot = given,
        (_, Some(_)) => return Err("--spawned-at belongs to --stages".to_owned()),
        (_, None) => {}
    }
    if o.files.is_empty() {
        return Err("no file is given".to_owned());
    }
    Ok(Parsed::Run(o))
}

fn set_mode(mode: &mut Mode, wanted: Mode) -> Result<(), String> {
    if *mode != Mode::Throughput {
        return Err("--stages, --low-latency and --open-close exclude each other".to_owned());
    }
    *mode = wanted;
    Ok(())
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    value.parse().map_err(|error| format!("{name} {value}: {error}"))
}

fn positive(name: &str, value: &str) -> Result<NonZeroUsize, String> {
    number(name, value)
}

fn output(value: &str) -> Result<DecodeOutputMode, String> {
    match value {
        "metadata" => Ok(DecodeOutputMode::MetadataOnly),
        "device" => Ok(DecodeOutputMode::NativeSurface),
        "host" => Ok(DecodeOutputMode::HostSurface),
        "cpu-rgb" => Ok(DecodeOutputMode::CpuRgb),
        other => Err(format!("--output {other}: metadata, device, host or cpu-rgb")),
    }
}

fn convert(value: &str) -> Result<ColorRequest, String> {
    if value == "rgb24" {
        return Ok(ColorRequest::Rgb8);
    }
    number("--convert", value).map(ColorRequest::To)
}

fn engines(value: &str) -> Result<Engines, String> {
    match value {
        "auto" => Ok(Engines::Auto),
        "1" => Ok(Engines::One),
        other => positive("--engines", other).map(Engines::Count),
    }
}

fn surface(value: String) -> Result<String, String> {
    if ["none", "host", "device"].contains(&value.as_str()) {
        return Ok(value);
    }
    Err(format!("--surface {value}: none, host or device"))
}
