//! When something fails: back to what was, or on with another session.

use std::time::Instant;

use super::super::proof::{Opening, Proven};
use super::super::running::Running;
use super::super::telemetry::{EventKind, Start};
use super::super::{SessionSwitchRequest, SwitchStage};
use super::state::{Dead, State, Switch, Trial, Way};
use super::{OnFailure, SwitchingEncoder};
use crate::backend::Verdict;
use crate::error::{Error, Result};
use crate::failover::{Deaths, behind};

impl SwitchingEncoder {
    /// Whether the generation at hand is on trial and the session before it still there.
    pub(super) const fn can_roll_back(&self) -> bool {
        self.state.trial_with_old().is_some()
    }

    /// Leaves a generation that failed before it delivered anything: the session before it goes on, with its generation
    /// and with the frames whose packets are not out.
    pub(super) fn roll_back(&mut self, error: &Error) {
        let State::OnTrial(trial) = self.state.take() else { return };
        let Trial { before, from, old: Some(old), .. } = *trial else { return };
        let failed = self.active.take();
        self.close(failed);
        self.watch = None;
        self.telemetry.switch_failed(self.generation, SwitchStage::Activation, error, from);
        self.telemetry.counts.rolled_back += 1;
        self.telemetry.resume(from);
        self.generation = from;
        self.settings = before;
        self.frames.table.forget();
        self.install(old, self.frames.table.first());
    }

    /// The session before the one at hand has died with frames inside: they go to the new one.
    pub(super) fn old_died(&mut self, error: &Error) {
        let first = self.frames.table.first();
        let State::OnTrial(trial) = &mut self.state else { return };
        trial.boundary = first;
        let (generation, old) = (trial.from, trial.old.take());
        self.telemetry.tell(EventKind::SessionFailed { generation, reason: error.to_string() });
        self.close(old);
        self.frames.table.forget();
        if let Some(active) = self.active.take() {
            self.install(active, first);
        }
    }

    /// The session that frames go to has died.
    pub(super) fn active_died(&mut self, error: Error) {
        let dead = self.active.take();
        let generation = self.generation;
        self.telemetry.tell(EventKind::SessionFailed { generation, reason: error.to_string() });
        self.frames.table.forget();
        if self.can_roll_back() {
            self.close(dead);
            self.roll_back(&error);
            return;
        }
        match self.state.take() {
            // A change that the encoder took, and died of: back to the settings before it, in a session of their own.
            State::OnTrial(trial) => {
                self.settings = trial.before;
                self.taken_back(generation, &error);
                self.reopen(dead, error, true);
            }
            State::Acknowledging { switch, .. } => {
                self.taken_back(switch.generation, &error);
                self.reopen(dead, error, true);
            }
            state if self.options.on_failure == OnFailure::Stop => {
                self.closers.close((dead, state));
                let why = error.to_string();
                self.end(error, why);
            }
            // The session of a switch that is under way is there, or soon will be.
            State::Opening { switch, job } => {
                self.state = State::Opening { switch, job };
                self.cursor = self.frames.table.first();
                self.close(dead);
            }
            State::Waiting { switch, way: Way::Session(proven) }
            | State::Draining { switch, way: Way::Session(proven) } => {
                self.close(dead);
                self.swap(switch, *proven, self.frames.table.first());
            }
            State::Draining { switch, way: Way::Alone } => {
                self.active = dead;
                self.cursor = self.frames.table.first();
                self.open_alone(switch);
            }
            // Asked for again once there is a session.
            State::Waiting { switch, .. } | State::Draining { switch, .. } => {
                if self.queued.is_some() {
                    self.superseded(&switch);
                } else {
                    self.queued = Some(switch);
                }
                self.reopen(dead, error, false);
            }
            State::Steady | State::Alone { .. } | State::Reopening { .. } | State::Ended(_) => {
                self.reopen(dead, error, false);
            }
        }
    }

    /// A switch in place has failed with the session that made it.
    fn taken_back(&mut self, generation: u64, error: &Error) {
        self.watch = None;
        self.telemetry.counts.rolled_back += 1;
        let back_to = self.next_generation;
        self.telemetry.switch_failed(generation, SwitchStage::Activation, error, back_to);
    }

    /// Has another session opened for the settings in force. `same`: on the same backend first, since not the backend
    /// but the settings have failed; else on the source's next.
    pub(super) fn reopen(&mut self, dead: Option<Running>, why: Error, same: bool) {
        self.deaths.0 += 1;
        self.telemetry.end(self.generation, why.to_string());
        if self.deaths.too_many() {
            self.closers.close(dead);
            let message = format!("{} sessions died without a packet; the last: {why}", Deaths::MOST);
            self.end(why, message);
            return;
        }
        let candidate = dead.as_ref().map(|dead| dead.candidate);
        let verdicts = dead.as_ref().map(|dead| dead.receipt.entries.clone()).unwrap_or_default();
        let mut opening = Opening {
            before: candidate,
            adapt: true,
            ..self.opening(self.settings.clone(), candidate.filter(|_| same))
        };
        if !same && let Some(dead) = candidate {
            opening.candidates = behind(&dead, opening.candidates);
        }
        self.cursor = self.frames.table.first();
        match self.open_job(opening, dead) {
            Ok(job) => {
                let dead = Dead { candidate, verdicts, why, since: Instant::now() };
                self.state = State::Reopening { job, dead };
            }
            Err(error) => self.end(error, why.to_string()),
        }
    }

    pub(super) fn reopened(&mut self, result: Result<Proven>, dead: Dead) {
        let Dead { candidate, verdicts, why, since } = dead;
        match result {
            Ok(Proven { mut session, given_up }) => {
                self.generation = self.take_generation();
                // Whoever was not asked again, the one that died before all, keeps the reason why it does not run.
                for (known, verdict) in
                    session.receipt.entries.iter_mut().filter(|e| e.1 == Verdict::NotTried)
                {
                    let past = verdicts.iter().find(|(before, _)| before == known);
                    match past {
                        _ if Some(*known) == candidate => *verdict = Verdict::refused(&why),
                        Some((_, past @ Verdict::Refused { .. })) => *verdict = past.clone(),
                        _ => {}
                    }
                }
                let receipt = session.receipt.clone();
                let took = since.elapsed();
                self.telemetry.begin(self.generation, &session.target, &receipt, Start::Reopened, took);
                self.telemetry.counts.reopened += 1;
                let generation = self.generation;
                self.telemetry.tell(EventKind::Reopened { generation, receipt, given_up });
                self.install(session, self.frames.table.first());
                self.renumber();
            }
            Err(error) => {
                let message = format!("{why}; and no other session could be opened: {error}");
                self.end(why, message);
            }
        }
    }

    /// A switch that has waited for a session to take over comes after it, and so does its generation.
    fn renumber(&mut self) {
        let Some(mut switch) = self.queued.take() else { return };
        let from = switch.generation;
        switch.generation = self.take_generation();
        self.telemetry.tell(EventKind::Renumbered { from, to: switch.generation });
        self.queued = Some(switch);
    }

    /// The generation at hand broke the canary's rules: the settings before it come back, as a generation of their own,
    /// for packets of this one are out.
    pub(super) fn canary_failed(&mut self, reason: String) {
        self.watch = None;
        // Before its first packet it is still on trial, and what was before it is not yet noted as good. The trial is over:
        // it would wait for a packet that may never come.
        let before = match self.state.take() {
            State::OnTrial(trial) => {
                self.close(trial.old);
                Some(trial.before)
            }
            other => {
                self.state = other;
                self.last_good.clone()
            }
        };
        let Some(before) = before else { return };
        let back_to = self.next_generation;
        let error = Error::corrupt(reason);
        self.telemetry.switch_failed(self.generation, SwitchStage::Canary, &error, back_to);
        self.telemetry.counts.rolled_back += 1;
        // Somebody who has asked for something else meanwhile gets that.
        if self.queued.is_none() && self.state.generation().is_none() {
            let request = SessionSwitchRequest::immediate(before).with_idr();
            let generation = self.take_generation();
            let mut switch = Switch::new(generation, request, self.frames.table.next());
            switch.watched = false;
            self.queue(switch);
        }
    }
}
