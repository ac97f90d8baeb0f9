//! The loop that moves everything: frames to sessions, what they answer to the in-flight table, packets out.
//!
//! There is no thread for this. Each call of the caller's looks at what has happened, moves what can be moved without
//! waiting, and returns; encoders, openings and closings have threads of their own.

use super::super::canary::Verdict;
use super::super::in_flight::{Outcome, StreamFrames};
use super::super::running::{Received, Running};
use super::super::telemetry::EventKind;
use super::SwitchingEncoder;
use super::state::State;
use crate::error::Error;
use crate::frame::Frame;

/// Packets that wait for the caller; encoders have queues of their own behind these.
const OUTPUT: usize = 64;

/// Which session news come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Old,
    Active,
}

impl SwitchingEncoder {
    /// Moves everything that can be moved without waiting.
    pub(in crate::control) fn pump(&mut self) {
        self.closers.sweep();
        while !self.has_ended() {
            let mut moved = self.advance();
            moved |= self.feed();
            moved |= self.listen();
            if !moved {
                break;
            }
        }
        self.complete_flushes();
        #[cfg(feature = "metrics")]
        self.switches_reported.report(&self.telemetry.counts, self.active.as_ref());
    }

    /// Gives frames to the active session.
    fn feed(&mut self) -> bool {
        let mut moved = false;
        while !self.state.holds_frames() {
            let at = self.cursor;
            let flush_here = self.flushes.contains(&at);
            let Some(active) = self.active.as_mut() else { break };
            if flush_here {
                active.flush();
            }
            let Some(frame) = self.frames.frame(at) else { break };
            let forced = frame.force_keyframe || active.target.0.force_idr || self.idr_at == Some(at);
            let key = forced || active.begins_anew();
            if self.state.waits_for(at, key || self.next_idr == Some(at)) {
                if self.cross() {
                    moved = true;
                    continue;
                }
                break;
            }
            let frame = Frame { force_keyframe: forced, ..frame.clone() };
            if !active.feed(frame) {
                break;
            }
            // The end of a GOP is known without its packet, which may come out later than the next end.
            if key || self.next_idr == Some(at) {
                self.next_idr = active.facts.idr_interval.map(|frames| at + u64::from(frames));
            }
            self.frames.given(at, self.generation);
            self.cursor += 1;
            moved = true;
        }
        moved
    }

    /// The session whose packets are next: the old one until its last is out.
    pub(super) fn reading(&self) -> Which {
        match self.state.trial_with_old() {
            Some(trial) if self.frames.table.first() < trial.boundary => Which::Old,
            _ => Which::Active,
        }
    }

    pub(super) fn session(&mut self, which: Which) -> Option<&mut Running> {
        match (which, &mut self.state) {
            (Which::Old, State::OnTrial(trial)) => trial.old.as_mut(),
            (Which::Old, _) => None,
            (Which::Active, _) => self.active.as_mut(),
        }
    }

    fn listen(&mut self) -> bool {
        let mut moved = false;
        while self.frames.out.len() < OUTPUT {
            let which = self.reading();
            let Some(session) = self.session(which) else { break };
            match session.receive() {
                Received::Nothing => break,
                received => self.received(which, received),
            }
            moved = true;
        }
        moved
    }

    pub(super) fn received(&mut self, which: Which, received: Received) {
        let missing = |frames: &StreamFrames, before| !frames.table.missing(before).is_empty();
        match received {
            Received::Nothing | Received::Stale => return,
            Received::Unit(unit) => {
                let serial = unit.serial;
                if unit.keyframe && which == Which::Active && self.swap_at_observed(serial) {
                    return;
                }
                let Some(session) = self.session(which) else { return };
                let (codec, layout) = (session.target.0.codec, session.facts.layout);
                if unit.keyframe && which == Which::Active {
                    let next = session.facts.idr_interval.map(|frames| serial + u64::from(frames));
                    self.next_idr = self.next_idr.max(next);
                }
                self.frames.settle(serial, Outcome::Coded { unit, codec, layout });
            }
            Received::Dropped(serial, reason) => self.frames.settle(serial, Outcome::Dropped(reason)),
            Received::Lost(_, error) if which == Which::Active && self.can_roll_back() => {
                self.roll_back(&error);
            }
            Received::Lost(serial, error) => self.frames.settle(serial, Outcome::Failed(error)),
            Received::Flushed(before) if missing(&self.frames, before) => {
                if which == Which::Active && self.can_roll_back() {
                    self.roll_back(&Error::corrupt("the encoder gave no answer for a frame"));
                } else {
                    self.frames.settle_missing(before);
                }
            }
            Received::Flushed(_) => {}
            Received::Reconfigured(done) => self.reconfigured(done),
            Received::GaveUpMessages(reason) => {
                let generation = match &self.state {
                    State::OnTrial(trial) if which == Which::Old => trial.from,
                    _ => self.generation,
                };
                self.telemetry.tell(EventKind::GaveUpMessages { generation, reason });
            }
            Received::Died(error) if which == Which::Old => self.old_died(&error),
            Received::Died(error) => self.active_died(error),
        }
        self.release();
    }

    fn release(&mut self) {
        let released = self.frames.release();
        if released.is_empty() {
            return;
        }
        let mut verdict = Verdict::Open;
        for frame in &released {
            if frame.bytes.is_some() {
                self.deaths.0 = 0;
            }
            self.telemetry.see(frame);
            #[cfg(feature = "metrics")]
            self.active
                .iter()
                .filter_map(Running::figures)
                .for_each(|figures| figures.latency(frame.latency));
            if let (Verdict::Open, Some(watch)) = (&verdict, &mut self.watch) {
                verdict = watch.see(frame);
            }
        }
        self.confirm();
        match verdict {
            Verdict::Open => {}
            Verdict::Passed => self.watch = None,
            Verdict::Failed(reason) => self.canary_failed(reason),
        }
        self.complete_flushes();
    }

    fn complete_flushes(&mut self) {
        while self.flushes.front().is_some_and(|before| *before <= self.frames.table.first()) {
            let before = self.flushes.pop_front();
            // Behind a flush the next frame begins anew, also where nothing was left to come out.
            if before == Some(self.cursor)
                && let Some(active) = &mut self.active
            {
                active.flush();
            }
        }
    }
}
