//! Remedies for errors, phrased as options that can still be added to this command line.

use video_hw::backend::BackendKind;
use video_hw::error::Remedy;
use video_hw::limits::Limit;
use video_hw::pipeline::Note;

use crate::given::Given;
use crate::limits;

/// Returns the remedy as text that follows the error and a semicolon. Empty if the command line already has every option that would help.
pub(crate) fn message(remedy: &Remedy) -> String {
    words(remedy, Given::of_process())
}

fn words(remedy: &Remedy, given: &Given) -> String {
    let size = size_option(given);
    let fps = changes_frames(given).then_some("fps").filter(|fps| given.takes(fps));
    match remedy {
        Remedy::OtherBackend => other_backend(given).unwrap_or_default(),
        Remedy::OtherDevice(words) => either([other_backend(given), Some(words.to_string())], "; or "),
        Remedy::FreeSession => either(
            [
                Some("close a session or another program that encodes".to_owned()),
                given.takes("session-wait").then(|| {
                    if given.has("session-wait") {
                        "wait longer for one (--session-wait)".to_owned()
                    } else {
                        "wait for one (--session-wait SECONDS)".to_owned()
                    }
                }),
                given.takes("device").then(|| "use another GPU (--device)".to_owned()),
                other_backend(given),
            ],
            ", or ",
        ),
        Remedy::RaiseLimit { limit, to } if given.takes("limits") => {
            format!("if you trust the input, give --limits {}", raised(*limit, *to, given))
        }
        Remedy::RaiseLimit { .. } => String::new(),
        Remedy::Size => match size {
            Some(size) if given.has(size) => format!("give --{size} another size"),
            Some(size) => format!("give --{size} WIDTHxHEIGHT to bring all pictures to another size"),
            None => "bring the pictures to another size first".to_owned(),
        },
        Remedy::PixelFormat if changes_frames(given) && given.lacks("pix-fmt") => {
            "give --pix-fmt NAME to bring all pictures to one format".to_owned()
        }
        Remedy::PixelFormat => "bring the pictures to one format first".to_owned(),
        Remedy::FewerPixels => {
            let parts =
                [size.map(|size| format!("a smaller --{size}")), fps.map(|fps| format!("a lower --{fps}"))];
            match either(parts, " or ") {
                none if none.is_empty() => "smaller pictures need less".to_owned(),
                parts => format!("{parts} needs less"),
            }
        }
        Remedy::OwnTimes if given.has("fps") => "leave out --fps to keep the input's own times".to_owned(),
        Remedy::OwnTimes => String::new(),
        Remedy::MendTimes => either(
            [
                given.lacks("keep-going").then(|| "--keep-going puts such times right".to_owned()),
                fps.filter(|fps| !given.has(fps))
                    .map(|fps| format!("--{fps} RATE makes the frame rate constant")),
            ],
            ", ",
        ),
        Remedy::KeepGoing if given.lacks("keep-going") => "--keep-going goes over it".to_owned(),
        Remedy::Deinterlace if given.lacks("deinterlace") => {
            "--deinterlace makes them progressive".to_owned()
        }
        Remedy::KeepGoing | Remedy::Deinterlace => String::new(),
        Remedy::Overwrite if given.lacks("overwrite") => {
            "give --overwrite (-y) or choose another name".to_owned()
        }
        Remedy::Overwrite => "choose another name".to_owned(),
        Remedy::Spool if given.lacks("spool") => {
            "save it to a file first, or give --spool to keep it in a temporary one".to_owned()
        }
        Remedy::Spool => "save it to a file first".to_owned(),
        Remedy::LargerSpool => {
            let larger = given.takes("spool").then(|| "give --spool a larger SIZE".to_owned());
            either([larger, Some("save the input to a file first".to_owned())], ", or ")
        }
        Remedy::LessDeviceMemory => either(
            [
                Some(
                    size.map_or("use smaller pictures".to_owned(), |size| format!("use a smaller --{size}")),
                ),
                given.takes("max-in-flight").then(|| "a smaller --max-in-flight".to_owned()),
                given.has("lookahead").then(|| "no --lookahead".to_owned()),
                Some("fewer jobs at once".to_owned()),
                Some("another GPU".to_owned())
                    .map(|gpu| if given.takes("device") { gpu + " (--device)" } else { gpu }),
            ],
            ", or ",
        ),
        Remedy::OutputFormat(known) if given.lacks("format") => {
            format!("state the format with --format, one of {known}")
        }
        Remedy::OutputFormat(known) => format!("known formats: {known}"),
        Remedy::OtherCodec { works, or } => {
            let works = works.map(|codec| codec.to_string()).filter(|codec| {
                given.takes("codec")
                    && !given.value("codec").is_some_and(|said| said.eq_ignore_ascii_case(codec))
            });
            let works = works.map(|codec| format!("--codec {codec} works now"));
            let or = or.iter().map(|one| words(one, given)).filter(|one| !one.is_empty());
            works.into_iter().chain(or).collect::<Vec<_>>().join(". Or: ")
        }
        // Other remedies are plain text.
        other => other.to_string(),
    }
}

/// Joins the alternatives that are present.
fn either(parts: impl IntoIterator<Item = Option<String>>, between: &str) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(between)
}

/// Whether `--fps` and `--pix-fmt` of this command apply to decoded pictures. In `encode` and `compare` they describe the input.
fn changes_frames(given: &Given) -> bool {
    ["transcode", "trim", "decode"].contains(&given.command())
}

/// The option that sets the size of the output pictures.
fn size_option(given: &Given) -> Option<&'static str> {
    let option = match given.command() {
        "encode" => "scale",
        _ if changes_frames(given) => "size",
        _ => return None,
    };
    given.takes(option).then_some(option)
}

/// A backend to try instead of the one in use: `auto`, or `software` if `auto` is in use.
fn other_backend(given: &Given) -> Option<String> {
    const DO: &str = "let another backend do it";
    // These commands report on backends and open none.
    if ["doctor", "devices"].contains(&given.command()) {
        return Some(DO.to_owned());
    }
    // A copy opens no decoder and no encoder.
    if given.has("copy") && !given.has("exact") {
        return None;
    }
    let is_auto = |option: &str| given.value(option).is_none_or(|value| value.eq_ignore_ascii_case("auto"));
    let named =
        ["backend", "decoder-backend", "encoder-backend"].into_iter().filter(|option| !is_auto(option));
    let named: Vec<_> = named.map(|option| format!("--{option} auto")).collect();
    if !named.is_empty() {
        return Some(format!("{DO} ({})", named.join(" or ")));
    }
    given.takes("backend").then(|| format!("{DO} (--backend {})", BackendKind::Software))
}

/// Returns the value of `--limits` with this one limit raised and the others unchanged.
fn raised(limit: Limit, to: u64, given: &Given) -> String {
    let raised = format!("{}={}", limit.name(), limits::write(limit, to));
    let said = given.value("limits").unwrap_or_default().split(',').filter(|part| !part.is_empty());
    let others = said.filter(|part| part.split('=').next().map(str::trim) != Some(limit.name()));
    others.chain([raised.as_str()]).collect::<Vec<_>>().join(",")
}

/// Formats the remedy as a separate sentence.
pub(crate) fn sentence(remedy: &Remedy) -> String {
    let message = message(remedy);
    let mut rest = message.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// Formats a reason followed by the remedy as a second sentence.
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
#[path = "remedy_tests.rs"]
mod tests;
