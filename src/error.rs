//! Errors are instructions: each kind is something a caller can act on, and says what, where and what to
//! do next ([`Remedy`]).

mod remedy;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backend_kind::BackendKind;
use crate::capability::SessionUse;
use crate::limits::Limit;

pub use remedy::Remedy;

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, sorted by what the caller can do about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A backend cannot run on this machine. Pick another or follow `remedy`.
    Unavailable {
        /// Which backend.
        backend: BackendKind,
        /// What was found missing, and where it was looked for.
        reason: String,
        /// What the user can do.
        remedy: Remedy,
    },
    /// Valid input or setting that the chosen backend (or the project) cannot honour. Retrying is useless.
    Unsupported {
        /// The feature by its name in the field (`H.264 High 4:4:4 Predictive`).
        feature: String,
        /// What works instead.
        remedy: Remedy,
    },
    /// The size or the format of the pictures changes in mid-stream, where that cannot be taken.
    FormatChanged {
        /// From what to what, and where.
        what: String,
        /// What the user can do.
        remedy: Remedy,
    },
    /// A setting, an argument or a file that is wrong whatever the backend. Correct the call.
    InvalidInput {
        /// What is wrong with it.
        what: String,
        /// The file, where that is what is wrong: it is empty, say, or no video.
        file: Option<PathBuf>,
        /// What the user can do.
        remedy: Remedy,
    },
    /// The stream or file breaks its specification.
    CorruptStream {
        /// What is broken and where (byte offset, sample number, box path).
        what: String,
        /// Whether decoding can go on with the next access unit.
        recoverable: bool,
        /// What the user can do.
        remedy: Remedy,
    },
    /// The input asks for more than the [`Limits`](crate::limits::Limits) of this job allow. If the input is trusted, raise the limit.
    LimitExceeded {
        /// Which limit.
        limit: Limit,
        /// What the input asks for, in the limit's unit (bytes, pixels, a count, milliseconds).
        wanted: u64,
        /// What is allowed.
        allowed: u64,
        /// What was about to be allocated or done, and where in the input.
        what: String,
    },
    /// The driver refuses another session. Close one, or wait.
    SessionLimit {
        /// Which backend.
        backend: BackendKind,
        /// The driver's words or what is known of its limit, and the counts.
        detail: String,
        /// The counts, where sessions are counted.
        sessions: Option<SessionUse>,
    },
    /// The device is gone (reset, unplugged, fallen off the bus). Open a new session, here or elsewhere.
    DeviceLost {
        /// Which backend.
        backend: BackendKind,
        /// The driver's words.
        detail: String,
    },
    /// There is no memory for a frame at the moment: the frame is lost, the session goes on, and the next frame comes
    /// out if there is memory for it. From the opening of a session: there is none for the session.
    OutOfMemory {
        /// Which backend.
        backend: BackendKind,
        /// How much of which memory was asked for.
        what: String,
        /// What the user can do.
        remedy: Remedy,
    },
    /// A call into a codec library or driver failed in a way not covered by the kinds above.
    Backend {
        /// Which backend.
        backend: BackendKind,
        /// The function that failed.
        call: &'static str,
        /// Its return code; 0 where it has none.
        code: i64,
        /// Its explanation.
        detail: String,
    },
    /// A file or pipe failed.
    Io {
        /// `open`, `read`, `write`, `rename` ...
        action: &'static str,
        /// The file; `-` for standard input or output.
        path: PathBuf,
        /// The system's error.
        source: Arc<io::Error>,
        /// Whether it was to be written.
        writing: bool,
    },
    /// The caller asked to stop.
    Cancelled,
}

impl Error {
    /// [`Error::Unsupported`] without a remedy.
    pub fn unsupported(feature: impl Into<String>) -> Self {
        Self::Unsupported { feature: feature.into(), remedy: Remedy::None }
    }

    /// [`Error::InvalidInput`] of a setting or argument.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::InvalidInput { what: what.into(), file: None, remedy: Remedy::None }
    }

    /// [`Error::InvalidInput`] of a file; `what` follows its name.
    pub fn invalid_file(path: &Path, what: impl fmt::Display) -> Self {
        let what = format!("{} {what}", name_of(path));
        Self::InvalidInput { what, file: Some(path.to_owned()), remedy: Remedy::None }
    }

    /// [`Error::CorruptStream`] after which decoding can go on.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::CorruptStream { what: what.into(), recoverable: true, remedy: Remedy::None }
    }

    /// [`Error::CorruptStream`] that ends the stream (a container without index, say).
    pub fn corrupt_fatal(what: impl Into<String>) -> Self {
        Self::CorruptStream { what: what.into(), recoverable: false, remedy: Remedy::None }
    }

    /// [`Error::Io`] of something that was not to be written.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source: Arc::new(source), writing: false }
    }

    /// [`Error::Io`] of something that was to be written.
    pub fn io_writing(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source: Arc::new(source), writing: true }
    }

    /// The same error with another remedy, where its kind has one of its own.
    #[must_use]
    pub fn with_remedy(mut self, new: impl Into<Remedy>) -> Self {
        if let Self::Unavailable { remedy, .. }
        | Self::Unsupported { remedy, .. }
        | Self::FormatChanged { remedy, .. }
        | Self::InvalidInput { remedy, .. }
        | Self::CorruptStream { remedy, .. }
        | Self::OutOfMemory { remedy, .. } = &mut self
        {
            *remedy = new.into();
        }
        self
    }

    /// Returns this error as one of a job that has tried every backend.
    #[must_use]
    pub(crate) fn after_every_backend(self) -> Self {
        let remedy = self.remedy().after_every_backend();
        self.with_remedy(remedy)
    }

    /// What the user can do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unavailable { remedy, .. }
            | Self::Unsupported { remedy, .. }
            | Self::FormatChanged { remedy, .. }
            | Self::InvalidInput { remedy, .. }
            | Self::CorruptStream { remedy, .. }
            | Self::OutOfMemory { remedy, .. } => remedy.clone(),
            Self::LimitExceeded { limit, wanted, .. } => Remedy::RaiseLimit { limit: *limit, to: *wanted },
            Self::SessionLimit { .. } => Remedy::FreeSession,
            Self::DeviceLost { .. } | Self::Backend { .. } | Self::Io { .. } | Self::Cancelled => {
                Remedy::None
            }
        }
    }

    /// The message, with the remedy in the words of a program that has its own names for this library's settings.
    pub fn explain(&self, message: impl FnOnce(&Remedy) -> String) -> String {
        let message = message(&self.remedy());
        match self {
            _ if message.is_empty() => self.what(),
            Self::Unavailable { .. } | Self::SessionLimit { .. } | Self::OutOfMemory { .. } => {
                format!("{}. {}", self.what(), sentence(&message))
            }
            _ => format!("{}; {message}", self.what()),
        }
    }

    /// What happened and where.
    fn what(&self) -> String {
        match self {
            Self::Unavailable { backend, reason, .. } => format!("{backend} is not available: {reason}"),
            Self::Unsupported { feature, .. } => format!("unsupported: {feature}"),
            Self::FormatChanged { what, .. } => format!("format changed: {what}"),
            Self::InvalidInput { what, .. } => format!("invalid input: {what}"),
            Self::CorruptStream { what, .. } => format!("corrupt stream: {what}"),
            Self::LimitExceeded { limit, wanted, allowed, what } => format!(
                "limit {} exceeded: {what} (wanted: {}, allowed: {})",
                limit.name(),
                limit.amount(*wanted),
                limit.amount(*allowed)
            ),
            Self::SessionLimit { backend, detail, .. } => {
                format!("{backend} session limit reached: {detail}")
            }
            Self::DeviceLost { backend, detail } => format!("{backend} device lost: {detail}"),
            Self::OutOfMemory { backend, what, .. } => format!("{backend}: no memory: {what}"),
            Self::Backend { backend, call, code, detail } => {
                format!("{backend}: {call} failed: {detail} (code {code})")
            }
            Self::Io { action, path, source, writing: true } if path.as_os_str() == "-" => {
                format!("{action} standard output: {source}")
            }
            Self::Io { action, path, source, .. } => format!("{action} {}: {source}", name_of(path)),
            Self::Cancelled => "cancelled".to_owned(),
        }
    }

    /// The same error, naming the file it is about where it does not yet.
    #[must_use]
    pub fn in_file(mut self, path: &Path) -> Self {
        if let Self::CorruptStream { what, .. }
        | Self::Unsupported { feature: what, .. }
        | Self::FormatChanged { what, .. } = &mut self
        {
            let name = name_of(path);
            if !what.contains(&name) {
                *what = format!("{name}: {what}");
            }
        }
        self
    }

    /// Adds the name of the file to the message.
    #[must_use]
    pub(crate) fn about_file(mut self, path: &Path) -> Self {
        if let Self::InvalidInput { file, .. } = &mut self {
            file.get_or_insert_with(|| path.to_owned());
        }
        self
    }

    /// The same error of a job that works on what `path` holds: what the caller of a part has given wrongly is then wrong in
    /// the input, and no argument of the job.
    #[must_use]
    pub(crate) fn of_input(self, path: &Path) -> Self {
        match self {
            Self::InvalidInput { what, remedy, .. } => {
                Self::CorruptStream { what, recoverable: false, remedy }.in_file(path)
            }
            other => other.in_file(path),
        }
    }

    /// The same error from whoever goes no further: what is damaged could be gone over, but is not.
    #[must_use]
    pub(crate) fn ending(mut self) -> Self {
        if let Self::CorruptStream { recoverable, .. } = &mut self {
            *recoverable = false;
        }
        self
    }

    /// Whether the session or reader that returned this can be used on.
    pub fn is_recoverable(&self) -> bool {
        matches!(self, Self::CorruptStream { recoverable: true, .. } | Self::OutOfMemory { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explain(Remedy::to_string))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

/// An input for people.
pub(crate) fn name_of(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

/// With a capital letter in front.
pub(crate) fn sentence(message: &str) -> String {
    let mut rest = message.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// The message of a panic that was caught.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let fixed = panic.downcast_ref::<&str>().map(|message| (*message).to_owned());
    fixed.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_is_told_in_the_words_of_whoever_tells_it() {
        let error = Error::Unavailable {
            backend: BackendKind::Nvidia,
            reason: "no encoder".to_owned(),
            remedy: Remedy::OtherBackend,
        };
        let reported = |error: &Error| error.explain(|remedy| format!("give {}", remedy.name()));
        assert_eq!(reported(&error), "nvidia is not available: no encoder. Give other_backend");
        assert!(error.to_string().contains("no encoder. Let another backend do it"), "{error}");
        let error = Error::corrupt("a").with_remedy(Remedy::KeepGoing).in_file(Path::new("b")).ending();
        assert_eq!(reported(&error), "corrupt stream: b: a; give keep_going");
        assert!(!error.is_recoverable());
        // Kinds that say themselves what can be done have no other remedy.
        let limit =
            Error::LimitExceeded { limit: Limit::Tracks, wanted: 2, allowed: 1, what: "a".to_owned() };
        let raise = Remedy::RaiseLimit { limit: Limit::Tracks, to: 2 };
        assert_eq!(limit.with_remedy("x").remedy(), raise);
        assert_eq!(Error::unsupported("a").to_string(), "unsupported: a");
    }

    #[test]
    fn the_names_of_remedies_are_their_own() {
        let names: std::collections::BTreeSet<_> = Remedy::PLAIN.iter().map(Remedy::name).collect();
        assert_eq!(names.len(), Remedy::PLAIN.len());
        assert!(Remedy::PLAIN.iter().all(|remedy| !remedy.to_string().is_empty()));
    }

    #[test]
    fn the_source_of_a_wrong_file_is_kept() {
        let file = |error: Error| match error {
            Error::InvalidInput { file, .. } => file,
            other => panic!("{other}"),
        };
        assert_eq!(file(Error::invalid("line 3").about_file(Path::new("a"))), Some("a".into()));
        let of_another = Error::invalid_file(Path::new("b"), "is empty").about_file(Path::new("a"));
        assert_eq!(file(of_another), Some("b".into()));
    }
}
