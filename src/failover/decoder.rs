//! The failover decoder: what outlives the decoders of a source, and who decodes next when one has died.

use std::collections::VecDeque;
use std::time::Instant;

use super::log::{FailoverLog, Takeover};
use super::policy::{Deaths, Opened, decoders_behind, first_that_opens};
use crate::backend::{Backend, BackendKind, Candidate, Job, Receipt};
use crate::config::FailurePolicy;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::time::Timestamp;

/// The decoders of a source, one after the other. The source opens them; which, and from which frame on, is said here.
pub(crate) struct FailoverDecoder {
    wanted: Backend,
    policy: FailurePolicy,
    /// Tells of the takeovers, also while the source works on another thread; `None`: nothing is decoded.
    pub(crate) log: Option<FailoverLog>,
    /// The last frame that came out of any decoder.
    pub(crate) last: Option<Timestamp>,
    /// Frames up to this one were given before.
    resume_behind: Option<Timestamp>,
    /// Frames that were decoded a second time.
    pub(crate) again: u64,
    /// Since the last new frame.
    deaths: Deaths,
    /// While the decoder that took over has given no new frame.
    trial: Option<Trial>,
}

/// A decoder that took over may still find that it does not decode this stream.
struct Trial {
    /// What the one before has died of.
    why: Error,
    /// Who is left to try.
    untried: VecDeque<BackendKind>,
}

/// A decoder that has died and may be replaced.
pub(crate) struct Death {
    from: BackendKind,
    reason: String,
    at: Instant,
    trial: Trial,
}

impl FailoverDecoder {
    /// `receipt`: of the first decoder; `None`: nothing is decoded.
    pub(crate) fn new(wanted: Backend, policy: FailurePolicy, receipt: Option<Receipt>) -> Self {
        Self {
            wanted,
            policy,
            log: receipt.map(FailoverLog::new),
            last: None,
            resume_behind: None,
            again: 0,
            deaths: Deaths::default(),
            trial: None,
        }
    }

    /// Whether a frame is new; one that another decoder gave before is not.
    pub(crate) fn is_new(&mut self, frame: &Frame) -> bool {
        if self.resume_behind.is_some_and(|last| frame.pts <= last) {
            self.again += 1;
            return false;
        }
        self.last = Some(frame.pts);
        self.deaths.0 = 0;
        self.trial = None;
        true
    }

    /// Whether what is decoded now was decoded before, so that its damage is counted already.
    pub(crate) const fn is_catching_up(&self) -> bool {
        self.trial.is_some()
    }

    /// A decoder has failed, with this receipt and for this reason. Another may go on where the input `can_be_read_again`.
    ///
    /// # Errors
    /// The error, when nobody may.
    pub(crate) fn died(
        &mut self,
        error: Error,
        receipt: &Receipt,
        can_be_read_again: impl FnOnce() -> bool,
    ) -> Result<Death> {
        let from = receipt.chosen().map_or(BackendKind::Custom, |(kind, _)| kind);
        let reason = error.to_string();
        let trial = match self.trial.take() {
            Some(trial) if matches!(error, Error::Unsupported { .. }) => trial,
            _ if self.may_go_on(&error) && can_be_read_again() => {
                Trial { why: error, untried: decoders_behind(from, self.wanted, self.policy) }
            }
            _ => return Err(error),
        };
        Ok(Death { from, reason, at: Instant::now(), trial })
    }

    fn may_go_on(&mut self, error: &Error) -> bool {
        // What is wrong with the stream is wrong for every decoder.
        let died = matches!(
            error,
            Error::DeviceLost { .. }
                | Error::Backend { .. }
                | Error::OutOfMemory { .. }
                | Error::SessionLimit { .. }
        );
        self.deaths.0 += 1;
        died && self.policy != FailurePolicy::Stop && !self.deaths.too_many()
    }

    /// Has another decoder go on behind the last frame; `frame` is the number of the next. `open` is told which kind, and whether
    /// that is the kind that has died.
    ///
    /// # Errors
    /// What the last decoder that worked has died of, when there is no other, or the input cannot be read again.
    pub(crate) fn replace<T>(
        &mut self,
        Death { from, reason, at, trial: Trial { why, mut untried } }: Death,
        frame: u64,
        mut open: impl FnMut(BackendKind, bool) -> Result<(T, Receipt)>,
    ) -> Result<T> {
        let takeover =
            Takeover { frame, pts: self.last, ..Takeover::nobody(Job::Decode, Candidate::of(from), reason) };
        let turns = std::iter::from_fn(|| untried.pop_front().map(|kind| (kind, None)));
        match first_that_opens(turns, |_| false, |kind| open(kind, kind == from)) {
            Ok(Opened { value: (opened, receipt), .. }) => {
                let to = receipt.chosen().map(|(kind, implementation)| (Candidate::of(kind), implementation));
                self.resume_behind = self.last;
                self.add(Takeover { to, took: at.elapsed(), ..takeover }, &why);
                self.trial = Some(Trial { why, untried });
                Ok(opened)
            }
            Err(refused) if matches!(refused[..], [(_, Error::Cancelled)]) => Err(Error::Cancelled),
            Err(refused) => {
                let refusal = refused.first().map_or_else(String::new, |(_, error)| format!(": {error}"));
                let reason = format!("{}; no other decoder could be opened{refusal}", takeover.reason);
                self.add(Takeover { reason, took: at.elapsed(), ..takeover }, &why);
                Err(why)
            }
        }
    }

    fn add(&self, takeover: Takeover, why: &Error) {
        if let Some(log) = &self.log {
            log.add(takeover, why, &[]);
        }
    }
}
