//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use video_hw::backend::Backend;

use crate::program::Parsed;
use crate::source::Jitter;

pub(crate) const HELP: &str = "\
Sends frames through a ring to an encoder: the frames come unevenly, the encoder takes the same time for each.

Usage: ring_jitter [OPTIONS]

  --seconds N       how long                                                            [10]
  --ring N          frames that the ring holds                                          [32]
  --jitter KIND     intervals: from frame to frame 0 to 80 ms in any order, 33 ms on the average of
                    each second; independent: on the average of the long run alone;
                    delays: a frame every 33 ms, each 0 to 80 ms late                   [intervals]
  --encoder-ms N    what a frame takes the encoder                                      [33]
  --prefill N       the encoder begins so many frames late, so that there is something to take
                    when the next one is late                                           [0]
  --backend NAME    encode by this backend (nvidia, software, auto) instead of waiting so long
  --seed N          of the random numbers                                               [1]
  --svg FILE        draw intervals and fill
  --losses-only     exit with 1 only when a frame was lost; tell nothing of times
  --json            one JSON document instead of a table
  --table           no run: reckon an hour of it for rings and encoders of several sizes
  -h, --help        this text

A frame that finds the ring full is lost, as a camera's is. Exit status: 0, 1 where a frame was lost, 2 for a wrong
command line.";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) time: Duration,
    pub(crate) ring: usize,
    pub(crate) jitter: Jitter,
    pub(crate) encoder: Duration,
    pub(crate) prefill: u32,
    pub(crate) backend: Option<Backend>,
    pub(crate) seed: u64,
    pub(crate) svg: Option<PathBuf>,
    pub(crate) losses_only: bool,
    pub(crate) json: bool,
    pub(crate) table: bool,
}

pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Parsed<Options>, String> {
    let mut options = Options {
        time: Duration::from_secs(10),
        ring: 32,
        jitter: Jitter::Intervals,
        encoder: Duration::from_millis(33),
        prefill: 0,
        backend: None,
        seed: 1,
        svg: None,
        losses_only: false,
        json: false,
        table: false,
    };
    while let Some(option) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{option} needs a value"));
        let number = |text: String, least: u64, most: u64| {
            let number = text.parse().ok().filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| format!("{option} needs a number from {least} to {most}, not {text:?}"))
        };
        match option.as_str() {
            "--seconds" => options.time = Duration::from_secs(number(value()?, 1, 3600)?),
            "--ring" => options.ring = number(value()?, 1, 4096)? as usize,
            "--jitter" => options.jitter = value()?.parse()?,
            "--encoder-ms" => options.encoder = Duration::from_millis(number(value()?, 0, 1000)?),
            "--prefill" => options.prefill = number(value()?, 0, 4096)? as u32,
            "--backend" => options.backend = Some(value()?.parse().map_err(|e| format!("--backend: {e}"))?),
            "--seed" => options.seed = number(value()?, 0, u64::from(u32::MAX))?,
            "--svg" => options.svg = Some(value()?.into()),
            "--losses-only" => options.losses_only = true,
            "--json" => options.json = true,
            "--table" => options.table = true,
            "-h" | "--help" => return Ok(Parsed::Help),
            _ => return Err(format!("there is no {option}")),
        }
    }
    if options.prefill as usize > options.ring {
        return Err(format!("--prefill {} is more than the ring holds ({})", options.prefill, options.ring));
    }
    Ok(Parsed::Run(options))
}
