//! The receipt: which backend was chosen, and why the others were not.

use std::fmt;
use std::sync::{Arc, Mutex};

use super::split::{SharedReport, SplitReport};
use super::vendors::{Candidate, vendor};
use super::{BackendKind, Job};
use crate::codec::Codec;
use crate::error::Error;
use crate::sync::lock;

/// The step at which a candidate was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalStep {
    /// Not contained in this build.
    Build,
    /// Library, driver or device not there.
    Device,
    /// Codec, feature or setting not supported.
    Capability,
    /// The driver's session limit.
    SessionLimit,
    /// Opening failed otherwise.
    Open,
}

impl fmt::Display for RefusalStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "build",
            Self::Device => "device",
            Self::Capability => "capability",
            Self::SessionLimit => "session limit",
            Self::Open => "open",
        })
    }
}

/// What became of one candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does the job, with this codec library or engine.
    Chosen(&'static str),
    /// It was tried and could not.
    Refused {
        /// Where it failed.
        step: RefusalStep,
        /// Why, and what to do.
        reason: String,
    },
    /// An earlier candidate was chosen, or the caller named another.
    NotTried,
}

impl RefusalStep {
    fn of(error: &Error) -> Self {
        match error {
            Error::Unavailable { backend, .. } if vendor(*backend).calls.is_none() => Self::Build,
            Error::Unavailable { .. } | Error::DeviceLost { .. } => Self::Device,
            Error::Unsupported { .. } | Error::InvalidInput { .. } => Self::Capability,
            Error::SessionLimit { .. } => Self::SessionLimit,
            _ => Self::Open,
        }
    }
}

impl Verdict {
    /// Of a candidate that could not, for this reason.
    pub(crate) fn refused(error: &Error) -> Self {
        Self::Refused { step: RefusalStep::of(error), reason: error.to_string() }
    }
}

/// Why this backend runs and the others do not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// What was to be done.
    pub job: Job,
    /// In which codec.
    pub codec: Codec,
    /// Every candidate, in order of preference.
    pub entries: Vec<(Candidate, Verdict)>,
    /// How the stream was shared out, where several decoders were wanted.
    pub split: Option<SplitReport>,
    /// What the caller should know of how the chosen one was opened.
    pub notes: Vec<String>,
}

impl Receipt {
    /// The backend that was chosen, and its codec library or engine.
    pub fn chosen(&self) -> Option<(BackendKind, &'static str)> {
        self.entries.iter().find_map(|(candidate, verdict)| match verdict {
            Verdict::Chosen(implementation) => Some((candidate.backend(), *implementation)),
            Verdict::Refused { .. } | Verdict::NotTried => None,
        })
    }

    /// Who was chosen.
    pub fn engine(&self) -> Option<Candidate> {
        let chosen = |verdict: &Verdict| matches!(verdict, Verdict::Chosen(_));
        self.entries.iter().find(|(_, verdict)| chosen(verdict)).map(|(candidate, _)| *candidate)
    }

    /// The chosen candidate could not go on for this reason; `rest` tells what became of others since. Who was refused before and
    /// has not been tried again keeps its reason.
    pub(crate) fn replace_chosen(&mut self, error: &Error, rest: Vec<(Candidate, Verdict)>) {
        for (_, verdict) in &mut self.entries {
            if matches!(verdict, Verdict::Chosen(_)) {
                *verdict = Verdict::refused(error);
            }
        }
        for (candidate, verdict) in rest {
            let before = self.entries.iter().position(|(known, _)| *known == candidate);
            match before.map(|at| self.entries.remove(at).1) {
                Some(past @ Verdict::Refused { .. }) if verdict == Verdict::NotTried => {
                    self.entries.push((candidate, past));
                }
                _ => self.entries.push((candidate, verdict)),
            }
        }
    }

    pub(crate) fn given(job: Job, codec: Codec, kind: BackendKind, implementation: &'static str) -> Self {
        let entries = vec![(Candidate::of(kind), Verdict::Chosen(implementation))];
        Self { job, codec, entries, split: None, notes: Vec::new() }
    }
}

impl fmt::Display for Receipt {
    /// What was chosen, in one line: `h264 decode: software (rusty_h264)`. `{:#}` adds who was refused before it, and why; so does
    /// a receipt in which nothing was chosen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = match self.job {
            Job::Decode => "decode",
            Job::Encode => "encode",
        };
        match self.chosen() {
            Some((kind, implementation)) => write!(f, "{} {job}: {kind} ({implementation})", self.codec)?,
            None => write!(f, "{} {job}: no backend", self.codec)?,
        }
        for (candidate, verdict) in &self.entries {
            if let Verdict::Refused { step, reason } = verdict
                && (f.alternate() || self.chosen().is_none())
            {
                write!(f, "; {} refused at {step}: {reason}", candidate.label())?;
            }
        }
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}

/// A receipt that may still change: as long as the decoder lives, another may take its place.
#[derive(Clone)]
pub(crate) struct SharedReceipt(Arc<Mutex<(Receipt, Option<SharedReport>)>>);

impl SharedReceipt {
    pub(crate) fn new(receipt: Receipt) -> Self {
        Self(Arc::new(Mutex::new((receipt, None))))
    }

    /// As it stands.
    pub(crate) fn get(&self) -> Receipt {
        let inner = lock(&self.0);
        Receipt { split: inner.1.as_ref().map(SharedReport::get), ..inner.0.clone() }
    }

    /// Another decoder is tried, or has taken over.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Receipt)) {
        change(&mut lock(&self.0).0);
    }

    /// The job is shared out among several decoders.
    pub(super) fn set_split(&self, report: SharedReport) {
        lock(&self.0).1 = Some(report);
    }

    /// Another backend has taken over.
    #[cfg(test)]
    pub(super) fn replace_for_test(&self, kind: BackendKind) {
        self.change(|receipt| *receipt = Receipt::given(receipt.job, receipt.codec, kind, "another"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_one_short_line_and_tells_of_refusals_on_request() {
        let refused =
            |reason: &str| Verdict::Refused { step: RefusalStep::Device, reason: reason.to_owned() };
        let mut receipt = Receipt::given(Job::Decode, Codec::H264, BackendKind::Software, "rusty_h264");
        receipt.entries.insert(0, (Candidate::Nvidia, refused("no driver")));
        assert_eq!(receipt.to_string(), "h264 decode: software (rusty_h264)");
        let full = "h264 decode: software (rusty_h264); nvidia refused at device: no driver";
        assert_eq!(format!("{receipt:#}"), full);
        receipt.entries.truncate(1);
        assert_eq!(receipt.to_string(), "h264 decode: no backend; nvidia refused at device: no driver");
    }
}
