//! Which tracks of an input, and an input that comes through a pipe.

use clap::Args;
use video_hw::container::TrackId;
use video_hw::pipeline::TrackChoice;
use video_hw_terminal::parse;

/// Reading the input.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Video track, by its number (see `probe`); by default the largest of those that players show
    #[arg(long, value_name = "N", value_parser = number, allow_hyphen_values = true)]
    pub(crate) track: Option<TrackId>,
    #[command(flatten)]
    pub(crate) spool: SpoolArgs,
}

/// What becomes of a pipe that cannot be read as it comes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct SpoolArgs {
    /// Copy a pipe that cannot be read as it comes (MP4 with its index at the end) to a temporary file of at most so many bytes: 800M, 20G
    #[arg(long, value_name = "SIZE", value_parser = parse::bytes, num_args = 0..=1, require_equals = true, default_missing_value = "16G")]
    pub(crate) spool: Option<u64>,
}

/// Which other tracks are copied.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct CopyArgs {
    /// Sound tracks to copy: all, none, numbers (2,3), or a language (lang:eng)
    #[arg(long, value_name = "WHICH", value_parser = choice, default_value = "all")]
    pub(crate) audio: TrackChoice,
    /// Tracks of text to copy: all, none, numbers, or a language
    #[arg(long, value_name = "WHICH", value_parser = choice, default_value = "all")]
    pub(crate) subtitles: TrackChoice,
}

pub(crate) fn number(text: &str) -> Result<TrackId, String> {
    text.trim().parse().map(TrackId).map_err(|_| format!("{text:?} is not the number of a track"))
}

fn choice(text: &str) -> Result<TrackChoice, String> {
    match text {
        "all" => Ok(TrackChoice::All),
        "none" => Ok(TrackChoice::None),
        _ => match text.strip_prefix("lang:") {
            Some("") => Err("lang: needs a language, as in lang:eng".to_owned()),
            Some(language) => Ok(TrackChoice::Language(language.to_owned())),
            None => {
                text.split(',').map(number).collect::<Result<_, _>>().map(TrackChoice::Tracks).map_err(|_| {
                    format!(
                        "{text:?} is not a choice of tracks; write all, none, numbers as in 2,3, or lang:eng"
                    )
                })
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices() {
        assert_eq!(choice("all"), Ok(TrackChoice::All));
        assert_eq!(choice("none"), Ok(TrackChoice::None));
        assert_eq!(choice("2,3"), Ok(TrackChoice::Tracks(vec![TrackId(2), TrackId(3)])));
        assert_eq!(choice("lang:eng"), Ok(TrackChoice::Language("eng".to_owned())));
        for wrong in ["", "eng", "lang:", "1,", "-1", "1;2"] {
            assert!(choice(wrong).is_err(), "{wrong}");
        }
    }
}
