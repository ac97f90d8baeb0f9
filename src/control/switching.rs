//! From a wish for other settings to the first frame of their generation.
//!
//! ```text
//! Steady ─ request ─► Opening (new session proves itself) ─► Waiting (for the boundary) ─► Steady, on trial
//!                 └── in place ────────────────────────────► Waiting ─► Acknowledging ──► Steady, on trial
//! Waiting ─ drain first ─► Draining ─► as above
//! Opening ─ no room ─► Waiting ─► Draining ─► Alone (old closed, new being opened) ─► Steady, on trial
//! ```
//!
//! A generation is on trial until its first closed group is out. Meanwhile the session before it is kept, drained, and no
//! other switch begins.

use std::sync::Arc;
use std::time::Instant;

use super::canary::Watch;
use super::helper::Job;
use super::observe::Watched;
use super::rule::{Change, decide};
use super::running::{Fed, Running, Target};
use super::source::{Opening, Proven};
use super::stream::SwitchingEncoder;
use super::telemetry::{EventKind, Start};
use super::{SessionSwitchMode, SessionSwitchRequest, SwitchStage};
use crate::backend::{Candidate, Verdict};
use crate::error::{Error, Result};

/// A switch that was asked for.
pub(super) struct Switch {
    pub(super) generation: u64,
    pub(super) target: Target,
    mode: SessionSwitchMode,
    force_idr: bool,
    requested: Instant,
    /// The first frame that was not there yet when it was asked for.
    first_serial: u64,
    /// Its first frames are watched, where the stream has rules for that.
    pub(super) watched: bool,
}

impl Switch {
    pub(super) fn new(generation: u64, request: SessionSwitchRequest<Target>, first_serial: u64) -> Self {
        Self {
            generation,
            target: request.target,
            mode: request.mode,
            force_idr: request.force_idr_on_activate,
            requested: Instant::now(),
            first_serial,
            watched: true,
        }
    }
}

/// How a switch is made.
pub(super) enum Way {
    /// By a session that has proved itself.
    Session(Box<Proven>),
    /// By the running encoder; `order`: it has to be told.
    InPlace { idr: bool, order: bool },
    /// By a session for which there is room when the old one is closed.
    Alone,
}

/// What a stream is about to do.
pub(super) enum Phase {
    /// Nothing.
    Steady,
    /// A new session is being opened; frames go to the old one.
    Opening { switch: Switch, job: Job<Result<Proven>> },
    /// All is ready for the switch but the frame that it begins with.
    Waiting { switch: Switch, way: Way },
    /// The packets of the frames before are waited for.
    Draining { switch: Switch, way: Way },
    /// The running encoder was asked for a change and has not answered.
    Acknowledging { switch: Switch, idr: bool },
    /// The old session is closed, the new one being opened.
    Alone { switch: Switch, job: Job<Result<Proven>> },
    /// The session has died, another is being opened for this reason.
    Reopening { job: Job<Result<Proven>>, dead: Dead },
}

impl Phase {
    /// Whether frames wait.
    pub(super) const fn holds_frames(&self) -> bool {
        matches!(
            self,
            Self::Draining { .. } | Self::Acknowledging { .. } | Self::Alone { .. } | Self::Reopening { .. }
        )
    }

    /// Whether something comes from elsewhere than the session.
    pub(super) const fn has_job(&self) -> bool {
        matches!(self, Self::Opening { .. } | Self::Alone { .. } | Self::Reopening { .. })
    }

    /// Whether the switch at hand begins with this frame, which is an IDR or not. Frames that were there when it was asked
    /// for are none of its own.
    pub(super) fn waits_for(&self, serial: u64, idr: bool) -> bool {
        match self {
            Self::Waiting { switch, .. } => {
                serial >= switch.first_serial && (idr || switch.mode != SessionSwitchMode::OnNextKeyframe)
            }
            _ => false,
        }
    }

    /// The generation that a switch is on its way to.
    pub(super) const fn generation(&self) -> Option<u64> {
        match self {
            Self::Opening { switch, .. }
            | Self::Waiting { switch, .. }
            | Self::Draining { switch, .. }
            | Self::Acknowledging { switch, .. }
            | Self::Alone { switch, .. } => Some(switch.generation),
            Self::Steady | Self::Reopening { .. } => None,
        }
    }
}

/// A session that another is opened for.
pub(super) struct Dead {
    pub(super) candidate: Option<Candidate>,
    /// What its receipt says of the others.
    pub(super) verdicts: Vec<(Candidate, Verdict)>,
    pub(super) why: Error,
    pub(super) since: Instant,
}

/// A generation that has not delivered yet, and the way back.
pub(super) struct Trial {
    /// Settings before.
    pub(super) before: Target,
    /// Generation before.
    pub(super) from: u64,
    /// First frame of the new generation.
    pub(super) boundary: u64,
    /// The session before; `None`: it is the same one, or is gone.
    pub(super) old: Option<Running>,
}

impl SwitchingEncoder {
    /// The generation of the newest request that has not failed.
    pub(super) fn wanted_generation(&self) -> u64 {
        let queued = self.queued.as_ref().map(|switch| switch.generation);
        queued.or_else(|| self.phase.generation()).unwrap_or(self.generation)
    }

    /// Takes note of a switch. One that waits already gives way.
    pub(super) fn queue(&mut self, switch: Switch) {
        if let Some(older) = self.queued.replace(switch) {
            self.superseded(&older);
        }
    }

    pub(super) fn superseded(&mut self, switch: &Switch) {
        let error = Error::invalid("a newer switch was asked for");
        self.telemetry.switch_failed(switch.generation, SwitchStage::Superseded, &error, self.generation);
    }

    /// Looks at what was waited for; `true`: something has changed.
    pub(super) fn advance(&mut self) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Steady) {
            Phase::Steady => self.begin_queued(),
            // A boundary that may never come must not keep a newer wish waiting.
            Phase::Waiting { switch, way } if self.queued.is_some() => {
                self.superseded(&switch);
                self.closers.close(way);
                true
            }
            Phase::Opening { switch, mut job } => {
                let Some(done) = job.take() else {
                    self.phase = Phase::Opening { switch, job };
                    return false;
                };
                self.opened(switch, done.and_then(|done| done));
                true
            }
            Phase::Draining { switch, way } if self.books.first() >= self.cursor => self.drained(switch, way),
            Phase::Alone { switch, mut job } => {
                let Some(done) = job.take() else {
                    self.phase = Phase::Alone { switch, job };
                    return false;
                };
                self.opened_alone(switch, done.and_then(|done| done));
                true
            }
            Phase::Reopening { mut job, dead } => {
                let Some(done) = job.take() else {
                    self.phase = Phase::Reopening { job, dead };
                    return false;
                };
                self.reopened(done.and_then(|done| done), dead);
                true
            }
            other => {
                self.phase = other;
                false
            }
        }
    }

    fn begin_queued(&mut self) -> bool {
        if self.trial.is_some() {
            return false;
        }
        let Some(active) = &self.active else { return false };
        let Some(switch) = self.queued.take() else { return false };
        let (old, new) = ((&active.target.0, &active.target.1), (&switch.target.0, &switch.target.1));
        let change = decide(old, new, &active.facts.in_place);
        let new_session = match change {
            Change::NewSession { because } => Some(because),
            Change::Nothing | Change::InPlace { .. } => None,
        };
        self.telemetry.tell(EventKind::SwitchRequested {
            generation: switch.generation,
            mode: switch.mode,
            new_session,
        });
        let way = match change {
            Change::Nothing => Way::InPlace { idr: false, order: false },
            Change::InPlace { idr } => Way::InPlace { idr, order: true },
            Change::NewSession { .. } => {
                self.open_beside(switch);
                return true;
            }
        };
        self.phase = Phase::Waiting { switch, way };
        true
    }

    /// Has a session opened on a thread of its own, once those that are being closed, and `before`, are gone: there may
    /// be room for few.
    ///
    /// # Errors
    /// No thread.
    pub(super) fn open_job(
        &mut self,
        opening: Opening,
        before: Option<Running>,
    ) -> Result<Job<Result<Proven>>> {
        let closing = std::mem::take(&mut self.closers);
        Job::start("vhw-open", move || {
            drop(before);
            drop(closing);
            opening.run()
        })
    }

    /// Has a session opened while the old one works.
    fn open_beside(&mut self, switch: Switch) {
        let opening = Opening { beside: true, ..self.opening_for(&switch) };
        match self.open_job(opening, None) {
            Ok(job) => self.phase = Phase::Opening { switch, job },
            Err(error) => self.opened(switch, Err(error)),
        }
    }

    /// A session for a switch. Where the one at hand lacks settings, because it took over from another, the next may too:
    /// else nothing could be changed any more by whoever asks for all of them again.
    fn opening_for(&self, switch: &Switch) -> Opening {
        let adapt = self.active.as_ref().is_some_and(|session| session.adapted);
        Opening { strict: true, adapt, ..self.opening(switch.target.clone(), self.candidate()) }
    }

    fn candidate(&self) -> Option<Candidate> {
        self.active.as_ref().map(|session| session.candidate)
    }

    /// Those of the source in its order, but the one that works first.
    pub(super) fn opening(&self, target: Target, first: Option<Candidate>) -> Opening {
        let mut candidates = self.source.candidates();
        candidates.sort_by_key(|candidate| Some(*candidate) != first);
        Opening {
            source: Arc::clone(&self.source),
            target,
            candidates,
            before: first,
            adapt: false,
            strict: false,
            beside: false,
            reserve: Some(self.reserve),
            counts: Arc::clone(&self.counts),
            patience: self.options.prove_timeout,
        }
    }

    fn opened(&mut self, switch: Switch, result: Result<Proven>) {
        match result {
            Ok(proven) if self.active.is_none() => {
                let from = self.books.first();
                self.swap(switch, proven, from);
            }
            Ok(proven) => {
                let given_up = proven.given_up.clone();
                self.telemetry.tell(EventKind::Ready { generation: switch.generation, given_up });
                self.phase = Phase::Waiting { switch, way: Way::Session(Box::new(proven)) };
            }
            Err(error @ (Error::SessionLimit { .. } | Error::OutOfMemory { .. }))
                if self.active.is_some() =>
            {
                let (generation, reason) = (switch.generation, error.to_string());
                self.telemetry.tell(EventKind::NoRoomForTwo { generation, reason });
                self.phase = Phase::Waiting { switch, way: Way::Alone };
            }
            Err(error) => {
                let stage = SwitchStage::Creation;
                self.telemetry.switch_failed(switch.generation, stage, &error, self.generation);
                if self.active.is_none() {
                    // The old one has died meanwhile.
                    self.reopen(None, error, false);
                }
            }
        }
    }

    /// The frame that the switch begins with is the next; `false`: it cannot be made now.
    pub(super) fn cross(&mut self) -> bool {
        let Phase::Waiting { switch, way } = std::mem::replace(&mut self.phase, Phase::Steady) else {
            return false;
        };
        if switch.mode == SessionSwitchMode::DrainThenSwap || matches!(way, Way::Alone) {
            if let Some(active) = &mut self.active {
                active.flush();
            }
            self.phase = Phase::Draining { switch, way };
            return true;
        }
        self.pass(switch, way)
    }

    fn pass(&mut self, switch: Switch, way: Way) -> bool {
        match way {
            Way::Session(proven) => {
                let from = self.cursor;
                self.swap(switch, *proven, from);
                true
            }
            Way::InPlace { idr, order: false } => {
                self.activate_in_place(switch, idr);
                true
            }
            Way::InPlace { idr, order: true } => {
                let asked = self.active.as_mut().map(|active| active.reconfigure(&switch.target));
                let taken = matches!(asked, Some(Fed::Taken));
                self.phase =
                    if taken { Phase::Acknowledging { switch, idr } } else { Phase::Waiting { switch, way } };
                taken
            }
            Way::Alone => {
                self.open_alone(switch);
                true
            }
        }
    }

    /// All packets before the switch are out; `false`: it cannot be made now. A session that has died says so among its
    /// answers, and those are not looked at before the caller has made room for packets: until then nothing moves.
    fn drained(&mut self, switch: Switch, way: Way) -> bool {
        if self.pass(switch, way) {
            return true;
        }
        if let Phase::Waiting { switch, way } = std::mem::replace(&mut self.phase, Phase::Steady) {
            self.phase = Phase::Draining { switch, way };
        }
        false
    }

    /// Closes the session and opens the next in its place.
    pub(super) fn open_alone(&mut self, switch: Switch) {
        let opening = self.opening_for(&switch);
        let old = self.active.take();
        match self.open_job(opening, old) {
            Ok(job) => self.phase = Phase::Alone { switch, job },
            Err(error) => self.opened_alone(switch, Err(error)),
        }
    }

    fn opened_alone(&mut self, switch: Switch, result: Result<Proven>) {
        match result {
            Ok(proven) => {
                let from = self.books.first();
                self.swap(switch, proven, from);
            }
            Err(error) => {
                let stage = SwitchStage::Creation;
                self.telemetry.switch_failed(switch.generation, stage, &error, self.next_generation);
                self.reopen(None, error, true);
            }
        }
    }

    /// Frames from `from` on go to this session.
    pub(super) fn install(&mut self, mut session: Running, from: u64) {
        session.begin_run(from);
        Watched::begin(&mut session);
        self.cursor = from;
        self.next_idr = None;
        self.idr_at = None;
        self.active = Some(session);
    }

    /// A new session takes over with the frame `from`.
    pub(super) fn swap(&mut self, switch: Switch, proven: Proven, from: u64) {
        let mut old = self.active.take();
        if let Some(old) = &mut old {
            old.flush();
        }
        self.telemetry.counts.new_session += 1;
        let session = proven.session;
        self.begin_generation(&switch, &session, Start::Switch, from);
        self.install(session, from);
        self.start_trial(switch, from, old);
    }

    fn activate_in_place(&mut self, switch: Switch, idr: bool) {
        let from = self.cursor;
        self.idr_at = (idr || switch.force_idr).then_some(from);
        self.telemetry.counts.in_place += 1;
        if let Some(session) = self.active.take() {
            self.begin_generation(&switch, &session, Start::InPlace, from);
            self.active = Some(session);
        }
        self.start_trial(switch, from, None);
    }

    fn begin_generation(&mut self, switch: &Switch, session: &Running, start: Start, from: u64) {
        self.telemetry.end(self.generation, format!("switched to generation {}", switch.generation));
        let took = switch.requested.elapsed();
        self.telemetry.begin(switch.generation, &session.target, &session.receipt, start, took);
        self.telemetry.tell(EventKind::Activated {
            generation: switch.generation,
            pts: self.books.frame(from).map(|frame| frame.pts),
            new_session: start == Start::Switch,
        });
    }

    fn start_trial(&mut self, switch: Switch, boundary: u64, old: Option<Running>) {
        let rules = self.options.canary.filter(|_| switch.watched);
        self.watch = rules.map(|rules| Watch::new(rules, switch.generation, &switch.target.0));
        let before = std::mem::replace(&mut self.settings, switch.target);
        self.trial = Some(Trial { before, from: self.generation, boundary, old });
        self.generation = switch.generation;
        self.phase = Phase::Steady;
    }

    /// Ends the trial when the first group of the new generation is out.
    pub(super) fn confirm(&mut self) {
        let out = self.trial.as_ref().is_some_and(|trial| self.books.first() > trial.boundary);
        if !out || self.telemetry.packets(self.generation) == 0 {
            return;
        }
        if let Some(trial) = self.trial.take() {
            self.last_good = Some(trial.before);
            if let Some(old) = trial.old {
                self.closers.close(old);
            }
            self.telemetry.tell(EventKind::Confirmed { generation: self.generation });
        }
    }

    /// A switch waits for an IDR, and here is one that came by itself: the new session begins with this frame. What the
    /// old one made of it and of those behind it is left. `false`: nothing of that kind.
    pub(super) fn swap_at_observed(&mut self, serial: u64) -> bool {
        let waits = matches!(&self.phase, Phase::Waiting { switch, way: Way::Session(_) }
            if switch.mode == SessionSwitchMode::OnNextKeyframe && serial >= switch.first_serial);
        if !waits || serial != self.books.first() || !self.books.is_closed() {
            return false;
        }
        let Phase::Waiting { switch, way } = std::mem::replace(&mut self.phase, Phase::Steady) else {
            return false;
        };
        let Way::Session(proven) = way else { return false };
        self.swap(switch, *proven, serial);
        true
    }

    /// The running encoder's answer.
    pub(super) fn reconfigured(&mut self, done: Result<()>) {
        let Phase::Acknowledging { switch, idr } = std::mem::replace(&mut self.phase, Phase::Steady) else {
            return;
        };
        match done {
            Ok(()) => self.activate_in_place(switch, idr),
            Err(error) => {
                let (generation, reason) = (switch.generation, error.to_string());
                self.telemetry.tell(EventKind::InPlaceRefused { generation, reason });
                self.open_beside(switch);
            }
        }
    }
}
