//! The proof that an encoder works before frames are trusted to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::running::{Counts, Received, Running};
use crate::backend::{self, Candidate, Verdict};
use crate::config::{CommonEncodeConfig, SessionAdmission};
use crate::error::{Error, Result};
use crate::failover::{EncoderSource, Target, first_that_opens, told, with_what_it_has};
use crate::frame::{Frame, HostSurface};
use crate::time::{TimeBase, Timestamp};

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
    /// Of all candidates, with nothing given up, by itself.
    pub(super) fn new(
        source: &Arc<dyn EncoderSource>,
        target: Target,
        counts: &Arc<Counts>,
        patience: Duration,
    ) -> Self {
        Self {
            source: Arc::clone(source),
            target,
            candidates: source.candidates(),
            before: None,
            adapt: false,
            strict: false,
            beside: false,
            reserve: None,
            counts: Arc::clone(counts),
            patience,
        }
    }

    /// Opens the first backend that takes the settings and encodes a picture.
    ///
    /// # Errors
    /// No encoder of the codec is available; the refusal that says most of why the settings are not taken; the refusal of the
    /// backend that has no room.
    pub(super) fn run(self) -> Result<Proven> {
        let turns = backend::in_turn(&self.named(), self.target.0.low_latency);
        let last = |error: &Error| self.strict && !lacks(error);
        let nobody = || Error::invalid("no backend candidates");
        let found = first_that_opens(turns, last, |candidate| self.attempt(candidate))
            .map_err(|refused| told(self.target.0.codec, refused).unwrap_or_else(nobody))?;
        let mut proven = found.value;
        let receipt = &mut proven.session.receipt;
        receipt.entries = self.candidates.iter().map(|candidate| (*candidate, Verdict::NotTried)).collect();
        let refused = found.refused.iter().map(|(candidate, why)| (*candidate, Verdict::refused(why)));
        let chosen = (found.candidate, Verdict::Chosen(proven.session.facts.implementation));
        for (candidate, verdict) in refused.chain([chosen]) {
            for (_, known) in receipt.entries.iter_mut().filter(|(known, _)| *known == candidate) {
                *known = verdict.clone();
            }
        }
        Ok(proven)
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

    fn attempt(&self, candidate: Candidate) -> Result<Proven> {
        with_what_it_has(&self.target, self.before, candidate, self.adapt, |target, given_up, adapted| {
            let mut session = self.prove(candidate, target)?;
            session.adapted = adapted && !given_up.is_empty();
            if !adapted {
                session.asked_format = self.target.0.format;
                let (asked, format) = (session.asked_format, session.target.0.format);
                let note = backend::arrangement_note(asked, format, session.facts.implementation);
                session.receipt.notes.extend(note);
            }
            Ok(Proven { session, given_up })
        })
    }

    /// Opens an encoder and has it encode a picture, which is thrown away. The next picture begins anew.
    fn prove(&self, candidate: Candidate, target: Target) -> Result<Running> {
        let picture = grey(&target.0)?;
        let mut session = Running::open(candidate, target, &self.counts, |(config, special), sink| {
            if self.beside {
                let config = CommonEncodeConfig { admission: SessionAdmission::Refuse, ..config.clone() };
                return self.source.open(candidate, &config, special, sink);
            }
            self.source.open(candidate, config, special, sink)
        })?;
        let (implementation, reorder) = (session.facts.implementation, session.facts.reorder);
        session.receipt.notes.extend(candidate.backend().hdr_note(&session.target.0, implementation));
        if let Some(reserve) = self.reserve.filter(|reserve| reorder > *reserve) {
            return Err(Error::Unsupported {
                feature: format!(
                    "B frames that reorder by {reorder} frames in a stream that keeps room for {reserve}"
                ),
                remedy: "start the stream with a larger reorder_reserve".into(),
            });
        }
        if !session.feed(picture) {
            return Err(unproven("took no picture"));
        }
        session.flush();
        // One that cannot be expressed is "for ever".
        let deadline = Instant::now().checked_add(self.patience);
        let mut coded = false;
        loop {
            let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            match session.wait(left) {
                Received::Unit(unit) => coded = !unit.data.is_empty(),
                Received::Flushed(_) if coded => return Ok(session),
                Received::Flushed(_) => return Err(unproven("gave no packet for its first picture")),
                Received::Dropped(_, reason) => {
                    return Err(unproven(&format!("dropped its first picture: {reason}")));
                }
                Received::Lost(_, error) | Received::Died(error) => return Err(error),
                Received::Nothing if left.is_zero() => {
                    let seconds = self.patience.as_secs_f32();
                    return Err(unproven(&format!("gave nothing for its first picture in {seconds} s")));
                }
                _ => {}
            }
        }
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
