//! Reduction of the refusals of several candidates to one error.

use super::admission::SessionRequest;
use super::select::encode_capability;
use super::vendors::{Candidate, vendor};
use super::{BackendKind, Job};
use crate::codec::Codec;
use crate::config::BackendEncodeConfig;
use crate::error::{Error, Remedy};

/// Refusals of one job, in the order in which candidates were asked.
pub(crate) struct Refusals {
    job: Job,
    codec: Codec,
    list: Vec<Refusal>,
}

struct Refusal {
    candidate: Candidate,
    /// How much it says about why the job cannot be done.
    worth: u8,
    error: Error,
}

impl Refusals {
    pub(crate) const fn new(job: Job, codec: Codec) -> Self {
        Self { job, codec, list: Vec::new() }
    }

    /// Adds a refusal. `foreign`: the settings are those of another backend.
    ///
    /// A backend that is not there, or an optional program that is not installed, is no answer where another backend has said
    /// what it cannot do; neither is a candidate that never encodes the codec.
    pub(crate) fn add(&mut self, candidate: Candidate, foreign: bool, error: Error) {
        let lacks = || foreign || self.job == Job::Encode && candidate.lacks(self.codec);
        let worth = match &error {
            Error::Unavailable { .. } if vendor(candidate.backend()).is_child => 0,
            Error::Unavailable { .. } => 1,
            _ if lacks() => 2,
            _ => 3,
        };
        self.list.push(Refusal { candidate, worth, error });
    }

    /// Returns an error that no encoder of the codec is available, with the reason of each candidate, or else the refusal that
    /// says most. Of two that are worth the same the later one is returned, except that the first is where backends are
    /// missing. `None`: no candidate was asked.
    pub(crate) fn told(self) -> Option<Error> {
        if self.is_without_encoder() {
            return Some(self.no_encoder());
        }
        let most = self.list.into_iter().reduce(|best, new| {
            if new.worth > best.worth || new.worth == best.worth && new.worth > 0 { new } else { best }
        });
        most.map(|refusal| refusal.error)
    }

    /// Whether candidates of several backends were asked for an encoder, and none has one of the codec.
    fn is_without_encoder(&self) -> bool {
        let first = self.list.first().map(|refusal| refusal.candidate.backend());
        let several = self.list.iter().any(|refusal| Some(refusal.candidate.backend()) != first);
        self.job == Job::Encode && several && !self.list.iter().any(|refusal| self.has_encoder(refusal))
    }

    fn has_encoder(&self, Refusal { candidate, error, .. }: &Refusal) -> bool {
        match error {
            Error::Unavailable { .. } => false,
            // A setting may be what it refused.
            Error::Unsupported { .. } | Error::InvalidInput { .. } => encodes(*candidate, self.codec),
            _ => true,
        }
    }

    fn no_encoder(self) -> Error {
        let codec = self.codec;
        let (mut reasons, mut remedies): (Vec<String>, Vec<Remedy>) = Default::default();
        for Refusal { candidate, error, .. } in self.list {
            // What another system has is no reason here.
            if candidate.engine().is_of_this_system().is_err() {
                continue;
            }
            let (reason, remedy) = match error {
                Error::Unavailable { reason, remedy, .. } => (reason, remedy),
                _ if candidate.lacks(codec) => (format!("it does not encode {codec}"), Remedy::None),
                other => (other.explain(|_| String::new()), other.remedy()),
            };
            let reason = format!("{}: {}", candidate.backend(), reason.trim_end_matches('.'));
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
            // All other backends are among the candidates.
            let remedy = match remedy {
                Remedy::None | Remedy::OtherBackend => continue,
                Remedy::OtherDevice(which) => Remedy::Other(which),
                other => other,
            };
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        let embedded = Candidate::of(BackendKind::EMBEDDED);
        let works = Codec::ALL.into_iter().find(|other| *other != codec && encodes(embedded, *other));
        Error::Unsupported {
            feature: format!(
                "encoding {codec}: no encoder for it is available here ({})",
                reasons.join("; ")
            ),
            remedy: Remedy::OtherCodec { works, or: remedies },
        }
    }
}

/// Whether a candidate has an encoder of a codec here.
fn encodes(candidate: Candidate, codec: Codec) -> bool {
    let (none, request) = (BackendEncodeConfig::None, SessionRequest::default());
    matches!(encode_capability(candidate, codec, None, &none, &request), Ok(Some(_)))
}
