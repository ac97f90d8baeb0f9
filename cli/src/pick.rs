//! Chosen frames instead of all: `decode --frames-at`, `--times-at` and `--every`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use video_hw::pipeline::SourceOptions;
use video_hw::reader::Reader;
use video_hw::time::Timestamp;
use video_hw::{Error, Result};
use video_hw_terminal::{parse, text};

use crate::args::DecodeArgs;

/// Most frames that are chosen at once.
const MOST: u128 = 1_000_000;

/// Which frames.
#[derive(Debug, Args)]
#[command(next_help_heading = "Part of the input")]
pub(crate) struct PickArgs {
    /// These frames alone, counted from 0 as they are shown, in this order: 0,100,5000; 20-29 is ten of them
    #[arg(long, value_name = "N,N-M,...", value_delimiter = ',', value_parser = span, conflicts_with_all = ["times_at", "every", "start", "duration", "frames"])]
    pub(crate) frames_at: Vec<Span>,
    /// The frames that are shown at these times, in this order: 1.5,20,1:02:03
    #[arg(long, value_name = "TIME,TIME,...", value_delimiter = ',', value_parser = parse::time, conflicts_with_all = ["every", "start", "duration", "frames"])]
    pub(crate) times_at: Vec<Duration>,
    /// The frame that is shown at the start, by default the first one, and after each interval of this length: 1s, 500ms
    #[arg(long, value_name = "TIME", value_parser = parse::length)]
    pub(crate) every: Option<Duration>,
    /// Where each frame is in the file: taken from here, or written here where there is no such file yet. For files that are
    /// opened again and again and hold no index themselves
    #[arg(long, value_name = "FILE", requires = "picks")]
    pub(crate) index: Option<PathBuf>,
}

/// The first and the last of frames that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(usize, usize);

/// `5`, `20-29`.
fn span(words: &str) -> std::result::Result<Span, String> {
    let number = |words: &str| words.trim().parse().ok();
    let (first, last) = words.split_once('-').unwrap_or((words, words));
    let span = number(first).zip(number(last)).filter(|(first, last)| first <= last);
    span.map(|(first, last)| Span(first, last)).ok_or_else(|| {
        format!(
            "{words:?} is neither a frame nor a range of frames; write 5, or 20-29 with both of them in it"
        )
    })
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
    let beyond = |span: &&Span| span.1 >= film.len();
    if let Some(Span(first, last)) = pick.frames_at.iter().find(beyond) {
        let wrong = if *first >= film.len() { first } else { last };
        let damage =
            film.damage().map_or_else(String::new, |damage| format!(" and ends with damage: {damage}"));
        return Err(Error::invalid(format!(
            "--frames-at {wrong}: {input} has {} frames, counted from 0{damage}",
            film.len()
        )));
    }
    if !pick.frames_at.is_empty() {
        let count: u128 = pick.frames_at.iter().map(|Span(first, last)| (last - first) as u128 + 1).sum();
        if count > MOST {
            let words =
                format!("--frames-at names {count} frames, and {MOST} are the most; take fewer at a time");
            return Err(Error::invalid(words));
        }
        return Ok(pick.frames_at.iter().flat_map(|Span(first, last)| *first..=*last).collect());
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
    // Nothing is shown in front of the first frame.
    let first = film.pts(0).map_or(Duration::ZERO, Timestamp::as_duration);
    let start = args.part.start.unwrap_or_default().max(first);
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
        numbers.extend(film.index_at(time));
        time = time.saturating_add(every);
    }
    Ok(numbers)
}

/// What the report says of the frames.
pub(crate) fn json(film: &Reader, numbers: &[usize]) -> Value {
    let one = |number: &usize| {
        let mut value = film.pts(*number).map_or_else(|| json!({ "pts_s": null }), time);
        value["index"] = json!(number);
        value
    };
    Value::Array(numbers.iter().map(one).collect())
}

/// When a frame is shown: in seconds, as near as a floating point number comes, and exactly, in ticks.
pub(crate) fn time(pts: Timestamp) -> Value {
    json!({ "pts_s": pts.as_secs_f64(), "pts": pts.ticks(), "time_base": pts.base().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_ranges() {
        assert_eq!(
            (span("5"), span("20-29"), span("3-3")),
            (Ok(Span(5, 5)), Ok(Span(20, 29)), Ok(Span(3, 3)))
        );
        for wrong in ["", "-", "-1", "3-", "9-3", "0..3", "1-2-3", "x"] {
            assert!(span(wrong).unwrap_err().contains("write 5, or 20-29"), "{wrong}");
        }
    }
}
