//! The failover log: what a session tells of a backend that has died and of the one that took its place.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::backend::{Candidate, Job, Receipt, Verdict};
use crate::error::Error;
use crate::sync::lock;
use crate::time::Timestamp;

/// A backend has died in the middle of a stream, and another has taken over, or none could.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Takeover {
    /// Which of the two jobs it was.
    pub job: Job,
    /// The first frame that is the new one's, counted from 0.
    pub frame: u64,
    /// When it is shown, for an encoder. For a decoder, whose next frame is not known yet: when the last frame before it is
    /// shown, in the time of the input, which a start that was asked for does not shift.
    pub pts: Option<Timestamp>,
    /// What has died.
    pub from: Candidate,
    /// What works instead; `None`: nothing does, and the stream has ended.
    pub to: Option<(Candidate, &'static str)>,
    /// Why it died, and where nothing took over, why not.
    pub reason: String,
    /// Frames that are encoded a second time. How many are decoded again is not known when it happens.
    pub again: u64,
    /// Frames that were gone, with their device as a rule, and could not be had again.
    pub lost: u64,
    /// Settings that the new one does not have.
    pub given_up: Vec<String>,
    /// From the death to the new one's opening.
    pub took: Duration,
}

impl Takeover {
    /// A death that nobody has taken over from yet.
    pub(super) const fn nobody(job: Job, from: Candidate, reason: String) -> Self {
        Self {
            job,
            frame: 0,
            pts: None,
            from,
            to: None,
            reason,
            again: 0,
            lost: 0,
            given_up: Vec::new(),
            took: Duration::ZERO,
        }
    }
}

impl fmt::Display for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = match self.job {
            Job::Decode => "decoder",
            Job::Encode => "encoder",
        };
        write!(f, "{job} {} failed at frame {}", self.from.label(), self.frame)?;
        if let Some(pts) = self.pts {
            write!(f, " ({:.3} s)", pts.as_secs_f64())?;
        }
        write!(f, ": {}", self.reason)?;
        match self.to {
            None => return f.write_str("; nothing could take over"),
            Some((engine, implementation)) => {
                write!(f, "; {} ({implementation}) takes over", engine.label())?;
            }
        }
        let again = match self.job {
            Job::Decode => "decoded again",
            Job::Encode => "encoded again",
        };
        if self.again > 0 {
            write!(f, ", {} {} {again}", self.again, frames(self.again))?;
        }
        if self.lost > 0 {
            write!(f, ", {} {} lost", self.lost, frames(self.lost))?;
        }
        if !self.given_up.is_empty() {
            write!(f, ", without {}", self.given_up.join(", "))?;
        }
        Ok(())
    }
}

const fn frames(count: u64) -> &'static str {
    if count == 1 { "frame" } else { "frames" }
}

/// Who does a session's work, and who did it before. Shared by whoever replaces backends and whoever tells of it.
#[derive(Clone)]
pub(crate) struct FailoverLog(Arc<Mutex<(Receipt, Vec<Takeover>)>>, Arc<AtomicU64>);

impl FailoverLog {
    pub(crate) fn new(receipt: Receipt) -> Self {
        Self(Arc::new(Mutex::new((receipt, Vec::new()))), Arc::default())
    }

    /// Frames that were brought to the format, size or memory that their encoder reads.
    pub(crate) fn converted(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }

    /// One more was.
    pub(super) fn converted_one(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }

    /// What works now, and why.
    pub(crate) fn receipt(&self) -> Receipt {
        lock(&self.0).0.clone()
    }

    /// What has happened since there were `known` takeovers.
    pub(crate) fn since(&self, known: usize) -> Vec<Takeover> {
        lock(&self.0).1.get(known..).unwrap_or_default().to_vec()
    }

    /// Frames that were lost so far because they were gone when another took over.
    pub(crate) fn lost(&self) -> u64 {
        lock(&self.0).1.iter().map(|takeover| takeover.lost).sum()
    }

    /// Adds a takeover. `refused`: who was to take over before the one that did, and could not.
    pub(crate) fn add(&self, takeover: Takeover, why: &Error, refused: &[(Candidate, Error)]) {
        let (receipt, takeovers) = &mut *lock(&self.0);
        if let Some((engine, implementation)) = takeover.to {
            // One that has died and is opened anew has its last verdict.
            let refused = refused.iter().filter(|(candidate, _)| *candidate != engine);
            let refused = refused.map(|(candidate, why)| (*candidate, Verdict::refused(why)));
            receipt.replace_chosen(why, refused.chain([(engine, Verdict::Chosen(implementation))]).collect());
        }
        takeovers.push(takeover);
    }

    /// One more frame could not be carried over to the last that took over.
    pub(crate) fn lost_one(&self) {
        if let Some(last) = lock(&self.0).1.last_mut() {
            last.lost += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendKind;
    use crate::codec::Codec;

    #[test]
    fn one_line_says_what_where_why_and_what_now() {
        let receipt = Receipt::given(Job::Encode, Codec::H264, BackendKind::Nvidia, "nvenc");
        let log = FailoverLog::new(receipt);
        let why = Error::DeviceLost { backend: BackendKind::Nvidia, detail: "reset".into() };
        let takeover = Takeover {
            job: Job::Encode,
            frame: 57,
            pts: None,
            from: Candidate::Nvidia,
            to: Some((Candidate::Embedded, "openh264")),
            reason: why.to_string(),
            again: 3,
            lost: 0,
            given_up: vec!["2 B frames".to_owned()],
            took: Duration::ZERO,
        };
        let unsupported = Error::unsupported("this size");
        log.add(takeover.clone(), &why, &[(Candidate::Ffmpeg, unsupported.clone())]);
        let unsupported = Verdict::refused(&unsupported);
        log.lost_one();
        assert_eq!(log.receipt().chosen(), Some((BackendKind::Software, "openh264")));
        let verdicts = [Verdict::refused(&why), unsupported, Verdict::Chosen("openh264")];
        let engines = [Candidate::Nvidia, Candidate::Ffmpeg, Candidate::Embedded];
        assert_eq!(log.receipt().entries, engines.into_iter().zip(verdicts).collect::<Vec<_>>());
        assert_eq!((log.lost(), log.since(0).len(), log.since(1).len()), (1, 1, 0));
        assert_eq!(
            takeover.to_string(),
            "encoder nvidia failed at frame 57: nvidia device lost: reset; software (openh264) takes over, \
             3 frames encoded again, without 2 B frames"
        );
        let end = Takeover { to: None, ..takeover };
        assert!(end.to_string().ends_with("nothing could take over"));
    }
}
