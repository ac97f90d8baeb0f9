//! Exit codes: the table for `--help`, and which error leads to which.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use video_hw::Error;
use video_hw_bench::Outcome;
use video_hw_terminal::cancel;

use crate::remedy;

/// What each means, for people.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done
  1    an input cannot be read, is damaged, or is larger than --limits allow; bench: slower than --baseline
  2    wrong arguments
  3    not supported, or nothing on this machine can do it
  4    the output cannot be written
  5    a backend, driver or device failed
  6    compare: the quality is below --min-psnr or --min-ssim
  7    bench: a row has no figures, an output is wrong (--verify), or a limit is broken
  70   a defect of this program
  130  cancelled; after the first Ctrl-C (SIGTERM, SIGHUP) the output is complete and playable,
       after the second there is none
  141  the reader of standard output went away";

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Input = 1,
    Usage = 2,
    Unsupported = 3,
    Output = 4,
    Backend = 5,
    Quality = 6,
    Bench = 7,
    Defect = 70,
    Cancelled = cancel::EXIT_CODE,
    /// 128 + SIGPIPE, what a shell reports of a program that the signal ended.
    BrokenPipe = 141,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            // 1, by which scripts and `git bisect run` know that a version is bad.
            Outcome::Slower => Self::Input,
            Outcome::Wrong => Self::Bench,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What a command reads and writes; tells whose failure an I/O error is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    pub(crate) inputs: Vec<PathBuf>,
    pub(crate) output: Option<PathBuf>,
}

impl Paths {
    /// Whether standard output carries the command's data.
    pub(crate) fn data_on_stdout(&self) -> bool {
        self.output.as_deref() == Some(Path::new("-"))
    }
}

/// The exit code that an error leads to.
pub(crate) fn of_error(error: &Error, paths: &Paths) -> Exit {
    match error {
        Error::CorruptStream { .. } | Error::LimitExceeded { .. } => Exit::Input,
        // "x.mp4 is empty" is the input's fault, "size 0x0" the caller's.
        Error::InvalidInput { file: Some(file), .. } if paths.inputs.contains(file) => Exit::Input,
        Error::InvalidInput { .. } => Exit::Usage,
        Error::Unavailable { .. } | Error::Unsupported { .. } | Error::FormatChanged { .. } => {
            Exit::Unsupported
        }
        Error::SessionLimit { .. }
        | Error::DeviceLost { .. }
        | Error::OutOfMemory { .. }
        | Error::Backend { .. } => Exit::Backend,
        Error::Io { path, source, writing, .. } => of_io(*writing, path, source, paths),
        Error::Cancelled => Exit::Cancelled,
        // The enum may grow; a kind without a meaning here is a defect of this table.
        _ => Exit::Defect,
    }
}

fn of_io(writing: bool, path: &Path, source: &io::Error, paths: &Paths) -> Exit {
    let stdout = path == Path::new("-");
    if writing && stdout && reader_is_gone(source) {
        return Exit::BrokenPipe;
    }
    let is_output = paths.output.as_deref() == Some(path) && !stdout;
    let is_input = paths.inputs.iter().any(|input| input == path);
    if writing || (is_output && !is_input) { Exit::Output } else { Exit::Input }
}

fn reader_is_gone(source: &io::Error) -> bool {
    /// What a pipe with a name answers when its other end was disconnected and not closed; the standard library has no kind for it.
    const ERROR_PIPE_NOT_CONNECTED: i32 = 233;
    source.kind() == io::ErrorKind::BrokenPipe
        || cfg!(windows) && source.raw_os_error() == Some(ERROR_PIPE_NOT_CONNECTED)
}

/// Name of an error's kind in JSON.
pub(crate) fn kind(error: &Error) -> &'static str {
    match error {
        Error::Unavailable { .. } => "unavailable",
        Error::Unsupported { .. } => "unsupported",
        Error::FormatChanged { .. } => "format_changed",
        Error::InvalidInput { .. } => "invalid_input",
        Error::CorruptStream { .. } => "corrupt_stream",
        Error::LimitExceeded { .. } => "limit_exceeded",
        Error::SessionLimit { .. } => "session_limit",
        Error::DeviceLost { .. } => "device_lost",
        Error::OutOfMemory { .. } => "out_of_memory",
        Error::Backend { .. } => "backend",
        Error::Io { .. } => "io",
        Error::Cancelled => "cancelled",
        _ => "other",
    }
}

/// The message, on one line and in terms of this program's options.
pub(crate) fn message(error: &Error) -> String {
    let text = match error {
        // Wrong arguments need no word that they are.
        Error::InvalidInput { what, remedy, .. } => match remedy::message(remedy) {
            none if none.is_empty() => what.clone(),
            remedy => format!("{what}; {remedy}"),
        },
        other => other.explain(remedy::message),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use video_hw::backend::BackendKind;
    use video_hw::error::Remedy;
    use video_hw::limits::Limit;

    fn paths() -> Paths {
        Paths { inputs: vec!["in.mp4".into()], output: Some("out.mp4".into()) }
    }

    fn io_error(action: &'static str, path: &str, kind: io::ErrorKind) -> Error {
        let new = if ["open", "read"].contains(&action) { Error::io } else { Error::io_writing };
        new(action, path, io::Error::from(kind))
    }

    /// Each kind of error with the code that it leads to where no input is named.
    fn table() -> [(Error, Exit, &'static str); 12] {
        let backend = BackendKind::Nvidia;
        let text = String::new;
        let (limit, what) = (Limit::Tracks, text());
        [
            (Error::LimitExceeded { limit, wanted: 2, allowed: 1, what }, Exit::Input, "limit_exceeded"),
            (
                Error::FormatChanged { what: text(), remedy: Remedy::Size },
                Exit::Unsupported,
                "format_changed",
            ),
            (io_error("read", "in.mp4", io::ErrorKind::NotFound), Exit::Input, "io"),
            (Error::corrupt("x"), Exit::Input, "corrupt_stream"),
            (Error::invalid("x"), Exit::Usage, "invalid_input"),
            (Error::unsupported("x"), Exit::Unsupported, "unsupported"),
            (
                Error::Unavailable { backend, reason: text(), remedy: Remedy::None },
                Exit::Unsupported,
                "unavailable",
            ),
            (Error::SessionLimit { backend, detail: text(), sessions: None }, Exit::Backend, "session_limit"),
            (Error::DeviceLost { backend, detail: text() }, Exit::Backend, "device_lost"),
            (
                Error::OutOfMemory { backend, what: text(), remedy: Remedy::None },
                Exit::Backend,
                "out_of_memory",
            ),
            (Error::Backend { backend, call: "f", code: 1, detail: text() }, Exit::Backend, "backend"),
            (Error::Cancelled, Exit::Cancelled, "cancelled"),
        ]
    }

    #[test]
    fn every_kind_has_its_code() {
        for (error, exit, name) in table() {
            assert_eq!(of_error(&error, &paths()), exit, "{error}");
            assert_eq!(kind(&error), name);
        }
    }

    /// The variants of the library's enum, the table above and the one in the documents name the same.
    #[test]
    fn the_documents_name_every_kind_with_its_code() {
        let read = |path: &str| {
            std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        let source = read("src/error.rs");
        let (_, variants) = source.split_once("pub enum Error {\n").unwrap();
        let (variants, _) = variants.split_once("\n}").unwrap();
        let is_variant = |line: &&str| {
            line.strip_prefix("    ").is_some_and(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        };
        assert_eq!(variants.lines().filter(is_variant).count(), table().len());
        let document = read("docs/command-line.md");
        let (_, codes) = document.split_once("## Exit codes").unwrap();
        let rows: Vec<_> =
            codes.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| code")).collect();
        let number = |row: &&str| row.split('|').nth(1).unwrap().trim().to_owned();
        let in_help = HELP.lines().filter_map(|line| {
            line.strip_prefix("  ").filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        });
        let in_help: Vec<_> = in_help.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(rows.iter().map(number).collect::<Vec<_>>(), in_help);
        for (_, exit, name) in table() {
            let code = exit.code().to_string();
            let row = rows.iter().find(|row| number(row) == code).unwrap();
            assert!(row.contains(&format!("`{name}`")), "{code} lacks {name}: {row}");
        }
    }

    #[test]
    fn a_wrong_input_is_told_from_a_wrong_argument() {
        let empty = |file| Error::invalid_file(Path::new(file), "is empty");
        assert_eq!(of_error(&empty("in.mp4"), &paths()), Exit::Input);
        assert_eq!(of_error(&empty("in.mp4x"), &paths()), Exit::Usage);
        assert_eq!(of_error(&Error::invalid("in.mp4 is no size"), &paths()), Exit::Usage);
        assert_eq!(of_error(&Error::invalid("output out.mp4 exists already"), &paths()), Exit::Usage);
        let stdin = Paths { inputs: vec!["-".into()], output: None };
        assert_eq!(of_error(&empty("-"), &stdin), Exit::Input);
    }

    #[test]
    fn io_errors_go_to_the_side_they_happened_on() {
        use io::ErrorKind::{BrokenPipe, NotFound, PermissionDenied, StorageFull};
        let exit = |action, path, kind| of_error(&io_error(action, path, kind), &paths());
        assert_eq!(exit("open", "in.mp4", NotFound), Exit::Input);
        assert_eq!(exit("read", "in.mp4", PermissionDenied), Exit::Input);
        assert_eq!(exit("open", "out.mp4", PermissionDenied), Exit::Output);
        assert_eq!(exit("write", "out.mp4", StorageFull), Exit::Output);
        assert_eq!(exit("create a file in", "/somewhere", PermissionDenied), Exit::Output);
        assert_eq!(exit("write", "out.mp4", BrokenPipe), Exit::Output);
        assert_eq!(exit("write", "-", StorageFull), Exit::Output);
        assert_eq!(exit("write", "-", BrokenPipe), Exit::BrokenPipe);
    }

    #[test]
    fn messages_are_one_line_with_the_remedy() {
        let exists = Error::invalid("output a.mp4 exists already").with_remedy(Remedy::Overwrite);
        assert_eq!(message(&exists), "output a.mp4 exists already; choose another name");
        assert_eq!(message(&Error::corrupt("one\n  two")), "corrupt stream: one two");
        assert!(!message(&io_error("write", "-", io::ErrorKind::StorageFull)).contains(" -:"));
    }
}
