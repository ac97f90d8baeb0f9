//! Errors are instructions: each kind is something a caller can act on, and says what, where and what to
//! do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::backend_kind::BackendKind;
use crate::capability::SessionUse;
use crate::limits::Limit;

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, sorted by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A backend cannot run on this machine. Pick another or follow `remedy`.
    #[error("{backend} is not available: {reason}. {remedy}")]
    Unavailable {
        /// Which backend.
        backend: BackendKind,
        /// What was found missing, and where it was looked for.
        reason: String,
        /// What the user can do.
        remedy: String,
    },
    /// Valid input or setting that the chosen backend (or the project) cannot honour. Retrying is useless.
    #[error("unsupported: {feature}{}", fmt_remedy(.remedy))]
    Unsupported {
        /// The feature by its name in the field (`H.264 High 4:4:4 Predictive`, `--pix-fmt pal8`).
        feature: String,
        /// What works instead, or empty.
        remedy: String,
    },
    /// A setting or argument that is wrong whatever the backend. Correct the call.
    #[error("invalid input: {0}")]
    InvalidInput(String),
    /// The stream or file breaks its specification.
    #[error("corrupt stream: {what}")]
    CorruptStream {
        /// What is broken and where (byte offset, sample number, box path).
        what: String,
        /// Whether decoding can go on with the next access unit.
        recoverable: bool,
    },
    /// The input asks for more than the [`Limits`](crate::limits::Limits) of this job allow. If the input is trusted, raise the limit.
    #[error(
        "limit {} exceeded: {what} (wanted: {}, allowed: {})",
        .limit.name(), .limit.amount(*.wanted), .limit.amount(*.allowed)
    )]
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
    #[error("{backend} session limit reached: {detail}")]
    SessionLimit {
        /// Which backend.
        backend: BackendKind,
        /// The driver's words or what is known of its limit, the counts, and what to do.
        detail: String,
        /// The counts, where sessions are counted.
        sessions: Option<SessionUse>,
    },
    /// The device is gone (reset, unplugged, fallen off the bus). Open a new session, here or elsewhere.
    #[error("{backend} device lost: {detail}")]
    DeviceLost {
        /// Which backend.
        backend: BackendKind,
        /// The driver's words.
        detail: String,
    },
    /// There is no memory for a frame at the moment: the frame is lost, the session goes on, and the next frame comes
    /// out if there is memory for it. From the opening of a session: there is none for the session.
    #[error("{backend}: no memory: {what}. {remedy}")]
    OutOfMemory {
        /// Which backend.
        backend: BackendKind,
        /// How much of which memory was asked for.
        what: String,
        /// What the user can do.
        remedy: String,
    },
    /// A call into a codec library or driver failed in a way not covered by the kinds above.
    #[error("{backend}: {call} failed: {detail} (code {code})")]
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
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// `open`, `read`, `write`, `rename` ...
        action: &'static str,
        /// The file; `-` for standard input or output.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

fn fmt_remedy(remedy: &str) -> String {
    if remedy.is_empty() { String::new() } else { format!("; {remedy}") }
}

impl Error {
    /// [`Error::Unsupported`] without a remedy.
    pub fn unsupported(feature: impl Into<String>) -> Self {
        Self::Unsupported { feature: feature.into(), remedy: String::new() }
    }

    /// [`Error::InvalidInput`].
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::InvalidInput(what.into())
    }

    /// [`Error::CorruptStream`] after which decoding can go on.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::CorruptStream { what: what.into(), recoverable: true }
    }

    /// [`Error::CorruptStream`] that ends the stream (a container without index, say).
    pub fn corrupt_fatal(what: impl Into<String>) -> Self {
        Self::CorruptStream { what: what.into(), recoverable: false }
    }

    /// [`Error::Io`].
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    /// The same error, naming the file it is about where it does not yet.
    #[must_use]
    pub fn in_file(self, path: &Path) -> Self {
        let name =
            if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
        let prefix = |what: String| if what.contains(&name) { what } else { format!("{name}: {what}") };
        match self {
            Self::CorruptStream { what, recoverable } => {
                Self::CorruptStream { what: prefix(what), recoverable }
            }
            Self::Unsupported { feature, remedy } => Self::Unsupported { feature: prefix(feature), remedy },
            other => other,
        }
    }

    /// The same error of a job that works on what `path` holds: what the caller of a part has given wrongly is then wrong in
    /// the input, and no argument of the job.
    #[must_use]
    pub(crate) fn of_input(self, path: &Path) -> Self {
        match self {
            Self::InvalidInput(what) => Self::corrupt_fatal(what).in_file(path),
            other => other.in_file(path),
        }
    }

    /// The same error from whoever goes no further: what is damaged could be gone over, but is not.
    #[must_use]
    pub(crate) fn ending(self) -> Self {
        match self {
            Self::CorruptStream { what, .. } => Self::CorruptStream { what, recoverable: false },
            other => other,
        }
    }

    /// Whether the session or reader that returned this can be used on.
    pub fn is_recoverable(&self) -> bool {
        matches!(self, Self::CorruptStream { recoverable: true, .. } | Self::OutOfMemory { .. })
    }

    /// The same error for something else that fails for the same reason: its kind and words, and of the system's error
    /// its kind.
    #[must_use]
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Unavailable { backend, reason, remedy } => {
                Self::Unavailable { backend: *backend, reason: reason.clone(), remedy: remedy.clone() }
            }
            Self::Unsupported { feature, remedy } => {
                Self::Unsupported { feature: feature.clone(), remedy: remedy.clone() }
            }
            Self::InvalidInput(what) => Self::InvalidInput(what.clone()),
            Self::CorruptStream { what, recoverable } => {
                Self::CorruptStream { what: what.clone(), recoverable: *recoverable }
            }
            Self::LimitExceeded { limit, wanted, allowed, what } => {
                Self::LimitExceeded { limit: *limit, wanted: *wanted, allowed: *allowed, what: what.clone() }
            }
            Self::SessionLimit { backend, detail, sessions } => {
                Self::SessionLimit { backend: *backend, detail: detail.clone(), sessions: *sessions }
            }
            Self::DeviceLost { backend, detail } => {
                Self::DeviceLost { backend: *backend, detail: detail.clone() }
            }
            Self::OutOfMemory { backend, what, remedy } => {
                Self::OutOfMemory { backend: *backend, what: what.clone(), remedy: remedy.clone() }
            }
            Self::Backend { backend, call, code, detail } => {
                Self::Backend { backend: *backend, call, code: *code, detail: detail.clone() }
            }
            Self::Io { action, path, source } => {
                Self::io(action, path, io::Error::new(source.kind(), source.to_string()))
            }
            Self::Cancelled => Self::Cancelled,
        }
    }
}

/// The words of a panic that was caught.
pub(crate) fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let fixed = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    fixed.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_told_again_keeps_its_kind_and_words() {
        let text = || "what".to_owned();
        let backend = BackendKind::Nvidia;
        for error in [
            Error::Unavailable { backend, reason: text(), remedy: text() },
            Error::Unsupported { feature: text(), remedy: text() },
            Error::InvalidInput(text()),
            Error::corrupt("what"),
            Error::corrupt_fatal("what"),
            Error::LimitExceeded { limit: Limit::Tracks, wanted: 2, allowed: 1, what: text() },
            Error::SessionLimit { backend, detail: text(), sessions: None },
            Error::DeviceLost { backend, detail: text() },
            Error::OutOfMemory { backend, what: text(), remedy: text() },
            Error::Backend { backend, call: "f", code: 7, detail: text() },
            Error::io("read", "a file", io::Error::from(io::ErrorKind::TimedOut)),
            Error::Cancelled,
        ] {
            let again = error.again();
            assert_eq!(std::mem::discriminant(&again), std::mem::discriminant(&error));
            assert_eq!(again.to_string(), error.to_string());
            assert_eq!(again.is_recoverable(), error.is_recoverable());
        }
    }
}
