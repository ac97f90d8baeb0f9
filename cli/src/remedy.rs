//! What can be done about an error, in terms of this program's options.

use video_hw::backend::BackendKind;
use video_hw::error::Remedy;
use video_hw::pipeline::Note;

use crate::limits;

/// To follow what happened, behind a semicolon.
pub(crate) fn message(remedy: &Remedy) -> String {
    match remedy {
        Remedy::OtherBackend => {
            format!("let another backend do it (--backend {}, --backend auto)", BackendKind::Software)
        }
        Remedy::OtherDevice(which) => format!("{}; or {which}", message(&Remedy::OtherBackend)),
        Remedy::FreeSession => format!(
            "close a session or another program that encodes, wait for one (--session-wait SECONDS), or use another GPU \
             (--device) or --backend {}",
            BackendKind::Software
        ),
        Remedy::RaiseLimit { limit, to } => {
            format!("if you trust the input, give --limits {}={}", limit.name(), limits::write(*limit, *to))
        }
        Remedy::Size => "give --size WIDTHxHEIGHT to bring all pictures to another size".to_owned(),
        Remedy::PixelFormat => "give --pix-fmt NAME to bring all pictures to one format".to_owned(),
        Remedy::FewerPixels => "a smaller --size or a lower --fps needs less".to_owned(),
        Remedy::OwnTimes => "leave out --fps to keep the input's own times".to_owned(),
        Remedy::MendTimes => {
            "--keep-going puts such times right, --fps RATE makes the frame rate constant".to_owned()
        }
        Remedy::KeepGoing => "--keep-going goes over it".to_owned(),
        Remedy::Deinterlace => "--deinterlace makes them progressive".to_owned(),
        Remedy::Overwrite => "give --overwrite (-y) or choose another name".to_owned(),
        Remedy::Spool => "save it to a file first, or give --spool to keep it in a temporary one".to_owned(),
        Remedy::OutputFormat(known) => format!("state the format with --format, one of {known}"),
        Remedy::OtherCodec { works, or } => {
            let works = works.map(|codec| format!("--codec {codec} works now"));
            works.into_iter().chain(or.iter().map(message)).collect::<Vec<_>>().join(". Or: ")
        }
        // The others are words already.
        other => other.to_string(),
    }
}

/// A sentence of its own.
pub(crate) fn sentence(remedy: &Remedy) -> String {
    let message = message(remedy);
    let mut rest = message.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// A reason, and what to do as a sentence behind it.
pub(crate) fn after(reason: &str, remedy: &Remedy) -> String {
    format!("{}. {}", reason.trim_end_matches('.'), sentence(remedy)).trim_end_matches([' ', '.']).to_owned()
}

/// A note of a report.
pub(crate) fn of_note(note: &Note) -> String {
    match message(&note.remedy) {
        remedy if remedy.is_empty() => note.what.clone(),
        remedy => format!("{}; {remedy}", note.what),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;
    use video_hw::codec::Codec;
    use video_hw::limits::Limit;

    use super::*;

    /// Whoever follows the advice must find the option, and nobody is told of the library's own names.
    #[test]
    fn remedies_name_options_that_there_are() {
        let command = crate::args::Cli::command();
        let options: BTreeSet<_> = command
            .get_subcommands()
            .flat_map(|command| command.get_arguments().filter_map(clap::Arg::get_long))
            .map(|option| format!("--{option}"))
            .collect();
        for remedy in [
            Remedy::OtherBackend,
            Remedy::OtherDevice("a GPU that encodes".into()),
            Remedy::FreeSession,
            Remedy::RaiseLimit { limit: Limit::Tracks, to: 5000 },
            Remedy::Size,
            Remedy::PixelFormat,
            Remedy::FewerPixels,
            Remedy::OwnTimes,
            Remedy::MendTimes,
            Remedy::KeepGoing,
            Remedy::Deinterlace,
            Remedy::Overwrite,
            Remedy::Spool,
            Remedy::OutputFormat("mp4, ivf".to_owned()),
            Remedy::OtherCodec { works: Some(Codec::H264), or: vec![Remedy::from("buy one")] },
        ] {
            let message = message(&remedy);
            let named: Vec<_> = message
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .filter(|word| word.starts_with("--"))
                .collect();
            assert!(!named.is_empty() && named.iter().all(|one| options.contains(*one)), "{message}");
            assert!(message != remedy.to_string() && !message.contains(['`', ':']), "{message}");
        }
        assert_eq!(message(&Remedy::from("unpack it first")), "unpack it first");
        assert_eq!(message(&Remedy::None), "");
    }

    #[test]
    fn a_reason_ends_with_what_to_do() {
        assert_eq!(after("no GPU.", &Remedy::from("buy one")), "no GPU. Buy one");
        assert_eq!(after("no GPU", &Remedy::None), "no GPU");
    }
}
