//! From a request for other settings to the first frame of their generation.

use super::super::canary::Watch;
use super::super::helper::Job;
use super::super::proof::{Opening, Proven};
use super::super::rule::{Change, decide};
use super::super::running::Running;
use super::super::telemetry::{EventKind, Start};
use super::super::{SessionSwitchMode, SwitchStage};
use super::SwitchingEncoder;
use super::state::{State, Switch, Trial, Way};
use crate::backend::Candidate;
use crate::error::{Error, Result};
use crate::failover::Target;

impl SwitchingEncoder {
    /// The generation of the newest request that has not failed.
    pub(super) fn wanted_generation(&self) -> u64 {
        let queued = self.queued.as_ref().map(|switch| switch.generation);
        queued.or_else(|| self.state.generation()).unwrap_or(self.generation)
    }

    /// Takes note of a switch. One that waits already gives way.
    pub(super) fn queue(&mut self, switch: Switch) {
        if let Some(older) = self.queued.replace(switch) {
            self.superseded(&older);
        }
    }

    /// Has a session closed on a thread of its own, if there is one.
    pub(super) fn close(&mut self, session: Option<Running>) {
        if session.is_some() {
            self.closers.close(session);
        }
    }

    pub(super) fn superseded(&mut self, switch: &Switch) {
        let error = Error::invalid("a newer switch was asked for");
        self.telemetry.switch_failed(switch.generation, SwitchStage::Superseded, &error, self.generation);
    }

    /// Looks at what was waited for; `true`: something has changed.
    pub(super) fn advance(&mut self) -> bool {
        let done = match &mut self.state {
            State::Opening { job, .. } | State::Alone { job, .. } | State::Reopening { job, .. } => {
                let Some(done) = job.take() else { return false };
                Some(done.and_then(|done| done))
            }
            _ => None,
        };
        match (self.state.take(), done) {
            (State::Steady, _) => return self.begin_queued(),
            // A boundary that may never come must not keep a newer request waiting.
            (State::Waiting { switch, way }, _) if self.queued.is_some() => {
                self.superseded(&switch);
                self.closers.close(way);
            }
            (State::Draining { switch, way }, _) if self.frames.table.first() >= self.cursor => {
                return self.drained(switch, way);
            }
            (State::Opening { switch, .. }, Some(done)) => self.opened(switch, done, false),
            (State::Alone { switch, .. }, Some(done)) => self.opened(switch, done, true),
            (State::Reopening { dead, .. }, Some(done)) => self.reopened(done, dead),
            (other, _) => {
                self.state = other;
                return false;
            }
        }
        true
    }

    fn begin_queued(&mut self) -> bool {
        let Some(active) = &self.active else { return false };
        let Some(switch) = self.queued.take() else { return false };
        let (old, new) = (&active.target, active.own_settings(&switch.target));
        let change = decide((&old.0, &old.1), (&new.0, &new.1), &active.facts.in_place);
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
        self.state = State::Waiting { switch, way };
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
            Ok(job) => self.state = State::Opening { switch, job },
            Err(error) => self.opened(switch, Err(error), false),
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
        let patience = self.options.prove_timeout;
        let mut opening = Opening::new(&self.source, target, &self.counts, patience);
        opening.candidates.sort_by_key(|candidate| Some(*candidate) != first);
        Opening { before: first, reserve: Some(self.reserve), ..opening }
    }

    /// What came of a new session; `alone`: the old one was closed for it.
    fn opened(&mut self, switch: Switch, result: Result<Proven>, alone: bool) {
        match result {
            Ok(proven) if self.active.is_none() => {
                let from = self.frames.table.first();
                self.swap(switch, proven, from);
            }
            Ok(proven) => {
                let given_up = proven.given_up.clone();
                self.telemetry.tell(EventKind::Ready { generation: switch.generation, given_up });
                self.state = State::Waiting { switch, way: Way::Session(Box::new(proven)) };
            }
            Err(error @ (Error::SessionLimit { .. } | Error::OutOfMemory { .. }))
                if self.active.is_some() =>
            {
                let (generation, reason) = (switch.generation, error.to_string());
                self.telemetry.tell(EventKind::NoRoomForTwo { generation, reason });
                self.state = State::Waiting { switch, way: Way::Alone };
            }
            Err(error) => {
                let back_to = if alone { self.next_generation } else { self.generation };
                self.telemetry.switch_failed(switch.generation, SwitchStage::Creation, &error, back_to);
                // If not alone, the old one has died meanwhile.
                if self.active.is_none() {
                    self.reopen(None, error, alone);
                }
            }
        }
    }

    /// The frame that the switch begins with is the next; `false`: it cannot be made now.
    pub(super) fn cross(&mut self) -> bool {
        let State::Waiting { switch, way } = self.state.take() else { return false };
        if switch.mode == SessionSwitchMode::DrainThenSwap || matches!(way, Way::Alone) {
            if let Some(active) = &mut self.active {
                active.flush();
            }
            self.state = State::Draining { switch, way };
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
                let taken = asked == Some(true);
                self.state =
                    if taken { State::Acknowledging { switch, idr } } else { State::Waiting { switch, way } };
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
        if let State::Waiting { switch, way } = self.state.take() {
            self.state = State::Draining { switch, way };
        }
        false
    }

    /// Closes the session and opens the next in its place.
    pub(super) fn open_alone(&mut self, switch: Switch) {
        let opening = self.opening_for(&switch);
        let old = self.active.take();
        match self.open_job(opening, old) {
            Ok(job) => self.state = State::Alone { switch, job },
            Err(error) => self.opened(switch, Err(error), true),
        }
    }

    /// Frames from `from` on go to this session.
    pub(super) fn install(&mut self, mut session: Running, from: u64) {
        session.begin_run(from);
        // Frames may also be given as the session reads them.
        self.know_shape(session.target.0.dimensions, session.target.0.format);
        #[cfg(feature = "metrics")]
        session.begin_watch();
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
            pts: self.frames.frame(from).map(|frame| frame.pts),
            new_session: start == Start::Switch,
        });
    }

    fn start_trial(&mut self, switch: Switch, boundary: u64, old: Option<Running>) {
        let rules = self.options.canary.filter(|_| switch.watched);
        self.watch = rules.map(|rules| Watch::new(rules, switch.generation, &switch.target.0));
        let before = std::mem::replace(&mut self.settings, switch.target);
        self.state = State::OnTrial(Box::new(Trial { before, from: self.generation, boundary, old }));
        self.generation = switch.generation;
    }

    /// Ends the trial when the first group of the new generation is out.
    pub(super) fn confirm(&mut self) {
        let out = matches!(&self.state, State::OnTrial(trial) if self.frames.table.first() > trial.boundary);
        if !out || self.telemetry.packets(self.generation) == 0 {
            return;
        }
        if let State::OnTrial(trial) = self.state.take() {
            self.last_good = Some(trial.before);
            self.close(trial.old);
            self.telemetry.tell(EventKind::Confirmed { generation: self.generation });
        }
    }

    /// A switch waits for an IDR, and here is one that came by itself: the new session begins with this frame. What the
    /// old one made of it and of those behind it is left. `false`: nothing of that kind.
    pub(super) fn swap_at_observed(&mut self, serial: u64) -> bool {
        let waits = matches!(&self.state, State::Waiting { switch, way: Way::Session(_) }
            if switch.mode == SessionSwitchMode::OnNextKeyframe && serial >= switch.first_serial);
        if !waits || serial != self.frames.table.first() || !self.frames.table.is_closed() {
            return false;
        }
        let State::Waiting { switch, way: Way::Session(proven) } = self.state.take() else { return false };
        self.swap(switch, *proven, serial);
        true
    }

    /// The running encoder's answer.
    pub(super) fn reconfigured(&mut self, done: Result<()>) {
        let (switch, idr) = match self.state.take() {
            State::Acknowledging { switch, idr } => (switch, idr),
            other => return self.state = other,
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
