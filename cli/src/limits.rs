//! `--limits`: what an input may cost.

use clap::Args;
use video_hw::limits::{Limit, LimitUnit, Limits};
use video_hw_terminal::parse;

/// Limits of the input.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits of the input")]
pub(crate) struct LimitArgs {
    /// What the input may cost before it is refused: NAME=VALUE, several with commas, or none (see --help)
    #[arg(
        long = "limits",
        id = "limits_of_input",
        value_name = "NAME=VALUE,...",
        value_parser = parse_limits,
        long_help = long_help()
    )]
    limits: Option<Limits>,
}

impl LimitArgs {
    /// The limits asked for, or the usual ones.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.clone().unwrap_or_default()
    }
}

/// What is limited, in the words of the help.
const fn about(limit: Limit) -> &'static str {
    match limit {
        Limit::PicturePixels => "pixels of one picture",
        Limit::PictureMemory => "decoded pictures in memory at once",
        Limit::IndexMemory => "the file's index in memory",
        Limit::Tracks => "tracks",
        Limit::Fragments => "fragments",
        Limit::BoxDepth => "depth of boxes within boxes",
        Limit::Edits => "entries of an edit list",
        Limit::PacketBytes => "one compressed picture",
        Limit::WaitingUnits => "compressed pictures that wait for their headers",
        Limit::SilentTime => "time in which a decoder gives no picture",
        Limit::DecodeTime => "CPU time of decoding for each KiB of input, after the first 2 s",
        _ => "",
    }
}

fn long_help() -> String {
    let usual = Limits::default();
    let mut text = String::from(
        "What an input may cost before it is refused: NAME=VALUE, separated by commas; `none` removes all limits. Sizes \
         are in bytes (K, M and G are powers of 1024), times in seconds. Ordinary files stay far below the defaults; \
         raise a limit for a file that you trust.\n",
    );
    for limit in Limit::ALL {
        let usual = write(limit, usual.get(limit));
        text.push_str(&format!("\n  {:<15} {} [default: {usual}]", limit.name(), about(limit)));
    }
    text
}

/// A value as `--limits` takes it, never less.
pub(crate) fn write(limit: Limit, value: u64) -> String {
    const STEPS: [(char, u32); 3] = [('G', 30), ('M', 20), ('K', 10)];
    match limit.unit() {
        LimitUnit::Milliseconds if value.is_multiple_of(1000) => (value / 1000).to_string(),
        LimitUnit::Milliseconds => format!("{value}ms"),
        LimitUnit::Bytes => STEPS.into_iter().find(|(_, shift)| value >> shift > 0).map_or_else(
            || value.to_string(),
            |(name, shift)| format!("{}{name}", value.div_ceil(1 << shift)),
        ),
        _ => value.to_string(),
    }
}

fn parse_limits(text: &str) -> Result<Limits, String> {
    if text == "none" {
        return Ok(Limits::none());
    }
    let mut limits = Limits::default();
    for part in text.split(',') {
        let (name, value) = parse::pair(part)?;
        let limit = Limit::from_name(&name).ok_or_else(|| {
            let names: Vec<_> = Limit::ALL.into_iter().map(Limit::name).collect();
            format!("there is no limit {name:?}; known: {}", names.join(", "))
        })?;
        limits.set(limit, parse_value(limit, &value)?);
    }
    Ok(limits)
}

fn parse_value(limit: Limit, text: &str) -> Result<u64, String> {
    if text == "none" {
        return Ok(Limits::none().get(limit));
    }
    let name = limit.name();
    match limit.unit() {
        LimitUnit::Milliseconds => {
            let time = parse::time(text)?;
            u64::try_from(time.as_millis()).map_err(|_| format!("{text:?} is too long a time for {name}"))
        }
        LimitUnit::Bytes => parse::bytes(text).map_err(|why| format!("{name}: {why}")),
        _ => text.parse().map_err(|_| format!("{text:?} is not a number; write {name}=10000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_units() {
        let limits = parse_limits("picture-memory=512M,tracks=10000,silent-time=2.5").unwrap();
        assert_eq!((limits.picture_memory, limits.tracks), (512 << 20, 10_000));
        assert_eq!(limits.silent_time.as_millis(), 2500);
        assert_eq!(limits.edits, Limits::default().edits);
        assert_eq!(parse_limits("none").unwrap(), Limits::none());
        assert_eq!(parse_limits("tracks=none").unwrap().tracks, u64::MAX);
        for wrong in [
            "",
            "4G",
            "memory=4G",
            "tracks=4G",
            "picture-memory=-1",
            "picture-memory=99999999999G",
            "tracks=",
        ] {
            assert!(parse_limits(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_limit_is_raised_to_is_enough() {
        for limit in Limit::ALL {
            for wanted in [1_u64, 1023, 1025, (1 << 20) + 1, (5 << 30) + 1] {
                let text = format!("{}={}", limit.name(), write(limit, wanted));
                assert!(parse_limits(&text).unwrap().get(limit) >= wanted, "{text}");
            }
        }
    }

    #[test]
    fn the_help_names_every_limit() {
        let help = long_help();
        for limit in Limit::ALL {
            assert!(help.contains(limit.name()) && !about(limit).is_empty(), "{help}");
        }
    }
}
