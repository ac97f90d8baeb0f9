//! Chosen frames instead of all: `decode --frames-at`, `--times-at` and `--every`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use video_hw::pipeline::SourceOptions;
use video_hw::reader::Reader;
use video_hw::{Error, Result};
use video_hw_terminal::{parse, text};

use crate::args::DecodeArgs;

/// Most frames that `--every` gives.
const MOST: u128 = 1_000_000;

/// Which frames.
#[derive(Debug, Args)]
#[command(next_help_heading = "Part of the input")]
pub(crate) struct PickArgs {
    /// These frames alone, counted from 0 as they are shown, in this order: 0,100,5000
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', conflicts_with_all = ["times_at", "every", "start", "duration", "frames"])]
    pub(crate) frames_at: Vec<usize>,
    /// The frames that are shown at these times, in this order: 1.5,20,1:02:03
    #[arg(long, value_name = "TIME,TIME,...", value_delimiter = ',', value_parser = parse::time, conflicts_with_all = ["every", "start", "duration", "frames"])]
    pub(crate) times_at: Vec<Duration>,
    /// The frame that is shown at the start and after each interval of this length: 1s, 500ms
    #[arg(long, value_name = "TIME", value_parser = parse::length)]
    pub(crate) every: Option<Duration>,
    /// Where each frame is in the file: taken from here, or written here where there is no such file yet. For files that are
    /// opened again and again and hold no index themselves
    #[arg(long, value_name = "FILE", requires = "picks")]
    pub(crate) index: Option<PathBuf>,
}

impl PickArgs {
    pub(crate) fn is_asked(&self) -> bool {
        !self.frames_at.is_empty() || !self.times_at.is_empty() || self.every.is_some()
    }
}

/// Opens the input for reading any of its frames, by a kept index where there is one.
pub(crate) fn open(
    input: &std::path::Path,
    options: SourceOptions,
    index: Option<&std::path::Path>,
) -> Result<Reader> {
    let builder = Reader::builder(input).options(options);
    let Some(index) = index else { return builder.open() };
    if index.exists() {
        return builder.with_index(index).open();
    }
    let film = builder.open()?;
    film.save_index(index)?;
    Ok(film)
}

/// The numbers of the frames that are asked for.
pub(crate) fn numbers(args: &DecodeArgs, film: &Reader) -> Result<Vec<usize>> {
    let pick = &args.pick;
    let input = args.input.to_string_lossy();
    let input = text::one_line(&input);
    if let Some(wrong) = pick.frames_at.iter().find(|number| **number >= film.len()) {
        let damage =
            film.damage().map_or_else(String::new, |damage| format!(" and ends with damage: {damage}"));
        return Err(Error::invalid(format!(
            "--frames-at {wrong}: {input} has {} frames, counted from 0{damage}",
            film.len()
        )));
    }
    if !pick.frames_at.is_empty() {
        return Ok(pick.frames_at.clone());
    }
    let Some(every) = pick.every else {
        let shown = |time: &Duration| {
            film.index_at(*time).ok_or_else(|| {
                let end = film.duration().as_secs_f64();
                let words = format!(
                    "--times-at {}: {input} shows no frame then; it ends at {end:.3} s",
                    time.as_secs_f64()
                );
                Error::invalid(words)
            })
        };
        return pick.times_at.iter().map(shown).collect();
    };
    let start = args.part.start.unwrap_or_default();
    let end = args
        .part
        .duration
        .map_or(film.duration(), |length| film.duration().min(start.saturating_add(length)));
    let count = end.saturating_sub(start).as_nanos() / every.as_nanos().max(1);
    if count > MOST {
        return Err(Error::invalid(format!(
            "--every gives {count} frames here, and {MOST} are the most; make it longer"
        )));
    }
    let mut numbers = Vec::new();
    let mut time = start;
    while time < end {
        // None in front of the first frame.
        numbers.extend(film.index_at(time));
        time = time.saturating_add(every);
    }
    Ok(numbers)
}

/// What the report says of the frames.
pub(crate) fn json(film: &Reader, numbers: &[usize]) -> Value {
    let one =
        |number: &usize| json!({ "index": number, "pts_s": film.pts(*number).map(|pts| pts.as_secs_f64()) });
    Value::Array(numbers.iter().map(one).collect())
}
