//! The command line.

use std::time::Duration;

use video_hw::backend::Backend;
use video_hw::codec::Codec;
use video_hw::dimensions::Dimensions;
use video_hw::time::Rational;

use crate::program::Parsed;

pub(crate) const HELP: &str = "\
Encodes live streams for a while and judges losses, waiting, evenness and memory.

Usage: soak_encode [OPTIONS]

  --streams N      streams at once                                    [4]
  --minutes N      how long (or --seconds N)                          [10 minutes]
  --size WxH       of the pictures                                    [1920x1080]
  --fps RATE       frames a second of each stream                     [30]
  --codec NAME     h264 or hevc                                       [h264]
  --backend NAME   auto, nvidia, software                             [nvidia]
  --device ID      number or identifier of the GPU
  --patience MS    a frame that finds no room waits so long for it before it is lost; for machines that
                   stand still for other reasons than this                            [0]
  --losses-only    judge lost frames, books and memory, and tell the times without judging them
  --json           one JSON document instead of a table
  -h, --help       this text

Limits: no frame lost, every ledger balanced, at most 3 frames inside an encoder for 95 of 100 frames, packets at most
4 ms off their interval for 95 of 100, memory of process and device flat (32 MiB and 8 MiB over the whole time).";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) streams: usize,
    pub(crate) time: Duration,
    pub(crate) size: Dimensions,
    pub(crate) rate: Rational,
    pub(crate) codec: Codec,
    pub(crate) backend: Backend,
    pub(crate) device: Option<String>,
    pub(crate) patience: Duration,
    pub(crate) losses_only: bool,
    pub(crate) json: bool,
}

impl Options {
    /// From one frame to the next.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate.as_f64())
    }

    /// Frames of each stream.
    pub(crate) fn frames(&self) -> u32 {
        (self.time.as_secs_f64() * self.rate.as_f64()) as u32
    }
}

pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Parsed<Options>, String> {
    let mut options = Options {
        streams: 4,
        time: Duration::from_secs(600),
        size: Dimensions::new(1920, 1080).ok_or("a size")?,
        rate: Rational::new(30, 1).ok_or("a rate")?,
        codec: Codec::H264,
        backend: Backend::Only(video_hw::backend::BackendKind::Nvidia),
        device: None,
        patience: Duration::ZERO,
        losses_only: false,
        json: false,
    };
    let mut args = args;
    while let Some(option) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{option} needs a value"));
        let number = |text: String| text.parse::<u32>().ok().filter(|n| *n > 0);
        let refuse = |name: &str| format!("{name} needs a number above 0");
        match option.as_str() {
            "-h" | "--help" => return Ok(Parsed::Help),
            "--streams" => options.streams = number(value()?).ok_or_else(|| refuse("--streams"))? as usize,
            "--minutes" => {
                let minutes = number(value()?).ok_or_else(|| refuse("--minutes"))?;
                options.time = Duration::from_secs(60 * u64::from(minutes));
            }
            "--seconds" => {
                let seconds = number(value()?).ok_or_else(|| refuse("--seconds"))?;
                options.time = Duration::from_secs(u64::from(seconds));
            }
            "--size" => options.size = value()?.parse().map_err(|error| format!("--size: {error}"))?,
            "--fps" => {
                let rate = number(value()?).and_then(|rate| Rational::new(rate, 1));
                options.rate = rate.ok_or_else(|| refuse("--fps"))?;
            }
            "--codec" => options.codec = value()?.parse().map_err(|error| format!("--codec: {error}"))?,
            "--backend" => {
                options.backend = value()?.parse().map_err(|error| format!("--backend: {error}"))?;
            }
            "--device" => options.device = Some(value()?),
            "--patience" => {
                let time = number(value()?).ok_or_else(|| refuse("--patience"))?;
                options.patience = Duration::from_millis(u64::from(time));
            }
            "--losses-only" => options.losses_only = true,
            "--json" => options.json = true,
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(Parsed::Run(options))
}
