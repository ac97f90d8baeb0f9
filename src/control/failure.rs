//! When something fails: back to what was, or on with another session.

use std::time::Instant;

use super::running::Running;
use super::source::{Opening, Proven};
use super::stream::{OnFailure, SwitchingEncoder};
use super::switching::{Dead, Phase, Switch, Way};
use super::telemetry::{EventKind, Start};
use super::{SessionSwitchRequest, SwitchStage};
use crate::backend::Verdict;
use crate::error::{Error, Result};

/// Sessions that may die one after another without a packet: a frame that kills every encoder must not go on for ever.
const MOST_ATTEMPTS: u32 = 3;

impl SwitchingEncoder {
    /// Whether the generation at hand is on trial and the session before it still there.
    pub(super) fn can_roll_back(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.old.is_some())
    }

    /// Leaves a generation that failed before it delivered anything: the session before it goes on, with its generation
    /// and with the frames whose packets are not out.
    pub(super) fn roll_back(&mut self, error: &Error) {
        let Some(trial) = self.trial.take() else { return };
        let Some(old) = trial.old else { return };
        if let Some(failed) = self.active.take() {
            self.closers.close(failed);
        }
        self.watch = None;
        self.telemetry.switch_failed(self.generation, SwitchStage::Activation, error, trial.from);
        self.telemetry.counts.rolled_back += 1;
        self.telemetry.resume(trial.from);
        self.generation = trial.from;
        self.settings = trial.before;
        self.books.forget();
        self.install(old, self.books.first());
    }

    /// The session before the one at hand has died with frames inside: they go to the new one.
    pub(super) fn old_died(&mut self, error: &Error) {
        let first = self.books.first();
        let Some(trial) = &mut self.trial else { return };
        trial.boundary = first;
        let (from, old) = (trial.from, trial.old.take());
        self.telemetry.tell(EventKind::SessionFailed { generation: from, reason: error.to_string() });
        if let Some(old) = old {
            self.closers.close(old);
        }
        self.books.forget();
        if let Some(active) = self.active.take() {
            self.install(active, first);
        }
    }

    /// The session that frames go to has died.
    pub(super) fn active_died(&mut self, error: Error) {
        let dead = self.active.take();
        self.telemetry
            .tell(EventKind::SessionFailed { generation: self.generation, reason: error.to_string() });
        self.books.forget();
        if self.can_roll_back() {
            if let Some(dead) = dead {
                self.closers.close(dead);
            }
            self.roll_back(&error);
            return;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Steady);
        if let Some(trial) = self.trial.take() {
            // A change that the encoder took, and died of: back to the settings before it, in a session of their own.
            self.settings = trial.before;
            self.taken_back(self.generation, &error);
            self.phase = phase;
            self.reopen(dead, error, true);
            return;
        }
        match phase {
            Phase::Acknowledging { switch, .. } => {
                self.taken_back(switch.generation, &error);
                self.reopen(dead, error, true);
            }
            phase if self.options.on_failure == OnFailure::Stop => {
                self.closers.close((dead, phase));
                let why = error.to_string();
                self.end(error, why);
            }
            // The session of a switch that is under way is there, or soon will be.
            Phase::Opening { switch, job } => {
                self.phase = Phase::Opening { switch, job };
                self.cursor = self.books.first();
                if let Some(dead) = dead {
                    self.closers.close(dead);
                }
            }
            Phase::Waiting { switch, way: Way::Session(proven) }
            | Phase::Draining { switch, way: Way::Session(proven) } => {
                if let Some(dead) = dead {
                    self.closers.close(dead);
                }
                let from = self.books.first();
                self.swap(switch, *proven, from);
            }
            Phase::Draining { switch, way: Way::Alone } => {
                self.active = dead;
                self.cursor = self.books.first();
                self.open_alone(switch);
            }
            // Asked for again once there is a session.
            Phase::Waiting { switch, .. } | Phase::Draining { switch, .. } => {
                if self.queued.is_some() {
                    self.superseded(&switch);
                } else {
                    self.queued = Some(switch);
                }
                self.reopen(dead, error, false);
            }
            Phase::Steady | Phase::Alone { .. } | Phase::Reopening { .. } => {
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
        self.attempts += 1;
        self.telemetry.end(self.generation, why.to_string());
        if self.attempts > MOST_ATTEMPTS {
            self.closers.close(dead);
            let words = format!("{MOST_ATTEMPTS} sessions died without a packet; the last: {why}");
            self.end(why, words);
            return;
        }
        let candidate = dead.as_ref().map(|dead| dead.candidate);
        let verdicts = dead.as_ref().map(|dead| dead.receipt.entries.clone()).unwrap_or_default();
        let mut opening = Opening {
            before: candidate,
            adapt: true,
            ..self.opening(self.settings.clone(), candidate.filter(|_| same))
        };
        if !same && let Some(at) = opening.candidates.iter().position(|known| Some(*known) == candidate) {
            opening.candidates.rotate_left(at + 1);
        }
        self.cursor = self.books.first();
        match self.open_job(opening, dead) {
            Ok(job) => {
                let dead = Dead { candidate, verdicts, why, since: Instant::now() };
                self.phase = Phase::Reopening { job, dead };
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
                self.install(session, self.books.first());
                self.renumber();
            }
            Err(error) => {
                let words = format!("{why}; and no other session could be opened: {error}");
                self.end(why, words);
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
        let before = match self.trial.take() {
            Some(trial) => {
                if let Some(old) = trial.old {
                    self.closers.close(old);
                }
                Some(trial.before)
            }
            None => self.last_good.clone(),
        };
        let Some(before) = before else { return };
        let back_to = self.next_generation;
        let error = Error::corrupt(reason);
        self.telemetry.switch_failed(self.generation, SwitchStage::Canary, &error, back_to);
        self.telemetry.counts.rolled_back += 1;
        // Somebody who has asked for something else meanwhile gets that.
        if self.queued.is_none() && self.phase.generation().is_none() {
            let request = SessionSwitchRequest::immediate(before).with_idr();
            let generation = self.take_generation();
            let mut switch = Switch::new(generation, request, self.books.next());
            switch.watched = false;
            self.queue(switch);
        }
    }
}
