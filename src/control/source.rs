//! Where encoders come from, and the proof that one works before frames are trusted to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::adapt::{adapt, plain, unchanged};
use super::running::{Counts, Fed, Heard, Running, Target};
use crate::backend::{self, Backend, Candidate, EncodeSink, EncoderBackend, Job, Receipt, Verdict};
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, SessionAdmission};
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::time::{TimeBase, Timestamp};

/// Opens the encoders of a stream. [`Backend`] is one: the encoders of this library.
pub trait EncoderSource: Send + Sync + 'static {
    /// Who may encode the stream, best first.
    fn candidates(&self) -> Vec<Candidate>;

    /// Opens an encoder of one of them.
    ///
    /// # Errors
    /// [`Error::SessionLimit`] and [`Error::OutOfMemory`] mean that it could be opened if another were closed.
    fn open(
        &self,
        candidate: Candidate,
        config: &CommonEncodeConfig,
        special: &BackendEncodeConfig,
        sink: EncodeSink,
    ) -> Result<Box<dyn EncoderBackend>>;
}

impl EncoderSource for Backend {
    fn candidates(&self) -> Vec<Candidate> {
        match self {
            Self::Auto => Candidate::ORDER.to_vec(),
            Self::Only(kind) => match Candidate::of_backend(*kind).collect::<Vec<_>>() {
                none if none.is_empty() => vec![Candidate::of(*kind)],
                several => several,
            },
        }
    }

    fn open(
        &self,
        candidate: Candidate,
        config: &CommonEncodeConfig,
        special: &BackendEncodeConfig,
        sink: EncodeSink,
    ) -> Result<Box<dyn EncoderBackend>> {
        backend::open_engine(candidate, config, special, sink)
    }
}

/// What is to be opened.
#[derive(Clone)]
pub(super) struct Opening {
    pub(super) source: Arc<dyn EncoderSource>,
    pub(super) target: Target,
    /// In the order in which they are tried.
    pub(super) candidates: Vec<Candidate>,
    /// The one that the stream is on, or was.
    pub(super) before: Option<Candidate>,
    /// Settings may be given up where a backend does not have them: the stream shall go on.
    pub(super) adapt: bool,
    /// Only a backend that does not have the settings at all is passed over. One that has them and fails ends the search:
    /// rather than a lesser backend takes the work, a session is closed to make room, or all stays as it is.
    pub(super) strict: bool,
    /// The stream has a session that encodes. To wait for room would be to wait for that one, which goes only when this
    /// one is there: it is refused at once instead.
    pub(super) beside: bool,
    /// Most frames by which an encoder may reorder.
    pub(super) reserve: Option<usize>,
    pub(super) counts: Arc<Counts>,
    /// How long the proof may take.
    pub(super) patience: Duration,
}

/// A session that has encoded a picture, and what had to be given up for it.
pub(super) struct Proven {
    pub(super) session: Running,
    pub(super) given_up: Vec<String>,
}

impl Opening {
    /// Opens the first backend that takes the settings and encodes a picture.
    ///
    /// # Errors
    /// The refusal of the first backend tried, or of the one that has no room.
    pub(super) fn run(self) -> Result<Proven> {
        let mut first = None;
        let named = self.named();
        let mut verdicts: Vec<_> = self.candidates.iter().map(|c| (*c, Verdict::NotTried)).collect();
        for (candidate, put_off) in backend::in_turn(&named, self.target.0.low_latency) {
            let verdict = match put_off.map_or_else(|| self.attempt(candidate), Err) {
                Ok((mut session, given_up)) => {
                    let chosen = Verdict::Chosen(session.facts.implementation);
                    note(&mut verdicts, candidate, chosen);
                    session.receipt.entries = verdicts;
                    return Ok(Proven { session, given_up });
                }
                // Who has stopped waiting wants none of the others either.
                Err(error @ Error::Cancelled) => return Err(error),
                Err(error) if self.strict && !lacks(&error) => return Err(error),
                Err(error) => {
                    let verdict = Verdict::refused(&error);
                    first.get_or_insert(error);
                    verdict
                }
            };
            note(&mut verdicts, candidate, verdict);
        }
        Err(first.unwrap_or_else(|| Error::invalid("no backend candidates")))
    }

    /// Of a backend that was chosen, the encoder that the settings name.
    fn named(&self) -> Vec<Candidate> {
        let mut named = self.candidates.clone();
        let one = self.candidates.first().map(|candidate| candidate.backend());
        if self.candidates.iter().all(|candidate| Some(candidate.backend()) == one) {
            named.retain(|candidate| candidate.is_meant_by(&self.target.1));
        }
        named
    }

    fn attempt(&self, candidate: Candidate) -> Result<(Running, Vec<String>)> {
        let (target, given_up) = unchanged(&self.target, self.before, candidate);
        let mut refusal = match self.prove(candidate, target) {
            // A wish is no setting that the session lacks: the next can be asked for it again.
            Ok(session) => return Ok((session, given_up)),
            Err(error) => error,
        };
        if self.adapt {
            for (target, given_up) in [adapt(&self.target, candidate), plain(&self.target, candidate)] {
                // Only what is refused for its settings can be had with others.
                if !matches!(refusal, Error::Unsupported { .. } | Error::InvalidInput { .. }) {
                    break;
                }
                match self.prove(candidate, target) {
                    Ok(mut session) => {
                        session.adapted = !given_up.is_empty();
                        return Ok((session, given_up));
                    }
                    Err(error) => refusal = error,
                }
            }
        }
        Err(refusal)
    }

    /// Opens an encoder and has it encode a picture, which is thrown away. The next picture begins anew.
    fn prove(&self, candidate: Candidate, target: Target) -> Result<Running> {
        let picture = grey(&target.0)?;
        let receipt = Receipt {
            job: Job::Encode,
            codec: target.0.codec,
            entries: Vec::new(),
            split: None,
            notes: Vec::new(),
        };
        let mut session =
            Running::open(candidate, target, receipt, &self.counts, |(config, special), sink| {
                if self.beside {
                    let config = CommonEncodeConfig { admission: SessionAdmission::Refuse, ..config.clone() };
                    return self.source.open(candidate, &config, special, sink);
                }
                self.source.open(candidate, config, special, sink)
            })?;
        session
            .receipt
            .notes
            .extend(candidate.backend().hdr_note(&session.target.0, session.facts.implementation));
        let reorder = session.facts.reorder;
        if let Some(reserve) = self.reserve.filter(|reserve| reorder > *reserve) {
            return Err(Error::Unsupported {
                feature: format!(
                    "B frames that reorder by {reorder} frames in a stream that keeps room for {reserve}"
                ),
                remedy: "start the stream with a larger reorder_reserve".into(),
            });
        }
        if !matches!(session.feed(picture), Fed::Taken) {
            return Err(unproven("took no picture"));
        }
        session.flush();
        // One that cannot be expressed is "for ever".
        let deadline = Instant::now().checked_add(self.patience);
        let mut coded = false;
        loop {
            let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            match session.wait(left) {
                Heard::Unit { unit, .. } => coded = !unit.data.is_empty(),
                Heard::Flushed { .. } if coded => return Ok(session),
                Heard::Flushed { .. } => return Err(unproven("gave no packet for its first picture")),
                Heard::Dropped { reason, .. } => {
                    return Err(unproven(&format!("dropped its first picture: {reason}")));
                }
                Heard::Lost { error, .. } | Heard::Died(error) => return Err(error),
                Heard::Nothing if left.is_zero() => {
                    let seconds = self.patience.as_secs_f32();
                    return Err(unproven(&format!("gave nothing for its first picture in {seconds} s")));
                }
                Heard::Nothing | Heard::Stale | Heard::Reconfigured(_) | Heard::GaveUpMessages { .. } => {}
            }
        }
    }
}

fn note(verdicts: &mut [(Candidate, Verdict)], candidate: Candidate, verdict: Verdict) {
    for (_, known) in verdicts.iter_mut().filter(|(known, _)| *known == candidate) {
        *known = verdict.clone();
    }
}

/// Whether a backend does not have what is asked for, and would not have it later either.
const fn lacks(error: &Error) -> bool {
    matches!(error, Error::Unsupported { .. } | Error::InvalidInput { .. } | Error::Unavailable { .. })
}

fn unproven(what: &str) -> Error {
    Error::corrupt_fatal(format!("the encoder was opened, but {what}"))
}

/// A picture of one shade.
fn grey(config: &CommonEncodeConfig) -> Result<Frame> {
    let bytes = vec![128; config.format.frame_bytes(config.dimensions)];
    let surface = HostSurface::from_packed(config.format, config.dimensions, bytes)?;
    Ok(Frame {
        color: config.color,
        ..Frame::host(Timestamp::new(0, TimeBase::from_frame_rate(config.frame_rate)), surface)
    })
}
