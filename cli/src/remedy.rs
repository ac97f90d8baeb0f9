//! What can be done about an error, in terms of this program's options.

use video_hw::backend::BackendKind;
use video_hw::error::Remedy;
use video_hw::pipeline::Note;

use crate::limits;

/// To follow what happened, behind a semicolon.
pub(crate) fn words(remedy: &Remedy) -> String {
    match remedy {
        Remedy::OtherBackend => {
            format!("let another backend do it (--backend {}, --backend auto)", BackendKind::Software)
        }
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
        Remedy::OutputFormat(known) => format!("state the format with --format, one of {known}"),
        // The others are words already.
        other => other.to_string(),
    }
}

/// A sentence of its own.
pub(crate) fn sentence(remedy: &Remedy) -> String {
    let words = words(remedy);
    let mut rest = words.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// A reason, and what to do as a sentence behind it.
pub(crate) fn after(reason: &str, remedy: &Remedy) -> String {
    format!("{}. {}", reason.trim_end_matches('.'), sentence(remedy)).trim_end_matches([' ', '.']).to_owned()
}

/// A note of a report.
pub(crate) fn of_note(note: &Note) -> String {
    match words(&note.remedy) {
        remedy if remedy.is_empty() => note.what.clone(),
        remedy => format!("{}; {remedy}", note.what),
    }
}
