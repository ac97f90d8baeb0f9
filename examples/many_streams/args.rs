//! The command line.

use video_hw::backend::Backend;
use video_hw::dimensions::Dimensions;

use crate::program::Parsed;

pub(crate) const HELP: &str = "\
Encodes several streams on engines that they share, and judges who got how much of them.

Usage: many_streams [OPTIONS]

  --streams N      streams at once                                            [8]
  --engines N      engines that the device has; twice as many frames are in work at once  [2]
  --frames N       frames of each stream                                      [300]
  --credits N      frames that may be inside a stream at once                 [8]
  --size WxH       of the pictures                                            [320x180]
  --backend NAME   auto, nvidia, software                                     [auto]
  --slow N         the consumer of stream N (from 0) takes 250 ms for each packet
  --json           one JSON document instead of a table
  -h, --help       this text

Judged when the first stream is through: every other (but the slow one) has as many packets as the mean, but for a
tenth; 95 of 100 frames found at most as many in their stream as there are credits; at the end no frame was dropped or
lost. Exit status: 0 when all that holds, 1 when not or when a stream failed, 2 for wrong arguments.";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) streams: usize,
    pub(crate) engines: usize,
    pub(crate) frames: u64,
    pub(crate) credits: usize,
    pub(crate) size: Dimensions,
    pub(crate) backend: Backend,
    pub(crate) slow: Option<usize>,
    pub(crate) json: bool,
}

pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Parsed<Options>, String> {
    let mut options = Options {
        streams: 8,
        engines: 2,
        frames: 300,
        credits: 8,
        size: Dimensions::new(320, 180).ok_or("a size")?,
        backend: Backend::Auto,
        slow: None,
        json: false,
    };
    let mut args = args;
    while let Some(option) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{option} needs a value"));
        let number = |text: String| {
            text.parse::<usize>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| format!("{option} needs a number above 0"))
        };
        match option.as_str() {
            "-h" | "--help" => return Ok(Parsed::Help),
            "--streams" => options.streams = number(value()?)?,
            "--engines" => options.engines = number(value()?)?,
            "--frames" => options.frames = number(value()?)? as u64,
            "--credits" => options.credits = number(value()?)?,
            "--size" => options.size = value()?.parse().map_err(|error| format!("--size: {error}"))?,
            "--backend" => {
                options.backend = value()?.parse().map_err(|error| format!("--backend: {error}"))?;
            }
            "--slow" => {
                let text = value()?;
                let stream =
                    text.parse().map_err(|_| format!("--slow: {text} is not the number of a stream"))?;
                options.slow = Some(stream);
            }
            "--json" => options.json = true,
            other => return Err(format!("unknown option {other}")),
        }
    }
    if options.slow.is_some_and(|slow| slow >= options.streams) {
        return Err(format!("--slow: there are {} streams, counted from 0", options.streams));
    }
    Ok(Parsed::Run(options))
}
