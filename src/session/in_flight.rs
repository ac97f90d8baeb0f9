//! What a session remembers of the units inside it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::worker::{Outcome, Outlet};
use super::{Ledger, SessionTiming};
use crate::error::{Error, Result};
use crate::stages::{Histogram, Jitter};
use crate::sync::lock;

/// The table of one session: `P` is kept for each unit until it is settled, `S` is what this kind of session
/// counts besides.
pub(super) struct InFlightTable<P, S> {
    pub(super) ledger: Ledger,
    pub(super) timing: SessionTiming,
    /// From a unit's turn at the backend to its result.
    pub(super) latency: Histogram,
    /// How evenly results come.
    pub(super) jitter: Jitter,
    /// Calls of the backend, less the time in which they waited for room.
    pub(super) calls: Histogram,
    /// Waits for room in the output queue.
    pub(super) output: Histogram,
    pub(super) own: S,
    /// Units that have had their answer.
    answered: u64,
    pending: BTreeMap<u64, (P, Instant)>,
    /// Most units that were inside at once.
    pub(super) in_flight_peak: usize,
    fatal: Option<Error>,
    ended: bool,
}

impl<P, S> InFlightTable<P, S> {
    /// The ledger as it stands.
    pub(super) fn ledger(&self) -> Ledger {
        self.ledger.closed(self.ended)
    }

    /// The unit is on its way into the backend.
    pub(super) fn enter(&mut self, serial: u64, unit: P) {
        self.pending.insert(serial, (unit, Instant::now()));
        self.in_flight_peak = self.in_flight_peak.max(self.pending.len());
    }

    /// Nothing more is handed on.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The units that have no answer yet.
    pub(super) fn all_inside(&self) -> Vec<u64> {
        self.pending.keys().copied().collect()
    }

    /// How many units have had their answer.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// What is kept for a unit that has no answer yet.
    pub(super) fn inside(&self, serial: u64) -> Option<&P> {
        self.pending.get(&serial).map(|(unit, _)| unit)
    }

    /// As [`Self::inside`].
    pub(super) fn inside_mut(&mut self, serial: u64) -> Option<&mut P> {
        self.pending.get_mut(&serial).map(|(unit, _)| unit)
    }

    /// What was kept for the unit that the backend answers, and when it went in.
    pub(super) fn take(&mut self, serial: u64) -> Option<(P, Instant)> {
        let pending = self.pending.remove(&serial);
        match pending {
            Some(_) => self.answered += 1,
            None => self.ledger.unexpected += 1,
        }
        pending
    }

    /// A result is handed on.
    pub(super) fn note_latency(&mut self, since: Instant) {
        let now = Instant::now();
        let latency = now.saturating_duration_since(since);
        self.jitter.arrived(now);
        self.timing.note_latency(latency);
        self.latency.record(latency);
    }

    /// The unit rightly gives nothing.
    pub(super) fn dropped(&mut self, serial: u64, reason: &'static str) {
        if self.take(serial).is_some() {
            self.ledger.drop_one(reason);
        }
    }

    /// The unit is lost. `None`: the session is over, and the error is kept for the worker to tell.
    pub(super) fn failed(&mut self, serial: u64, error: Error) -> Option<Error> {
        if self.take(serial).is_some() {
            self.ledger.failed += 1;
        }
        if error.is_recoverable() {
            return Some(error);
        }
        self.fatal.get_or_insert(error);
        None
    }
}

/// The table as the worker, the backend's sink and both ends of the session share them.
pub(super) struct SharedTable<P, S>(Arc<Mutex<InFlightTable<P, S>>>);

impl<P, S> Clone for SharedTable<P, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P, S> SharedTable<P, S> {
    pub(super) fn new(own: S) -> Self {
        Self(Arc::new(Mutex::new(InFlightTable {
            ledger: Ledger::default(),
            timing: SessionTiming::default(),
            latency: Histogram::default(),
            jitter: Jitter::default(),
            calls: Histogram::default(),
            output: Histogram::default(),
            own,
            answered: 0,
            pending: BTreeMap::new(),
            in_flight_peak: 0,
            fatal: None,
            ended: false,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, InFlightTable<P, S>> {
        // Poisoning means a panic elsewhere while counting; the counters are still the best there is.
        lock(&self.0)
    }

    /// Charges a call like [`Self::charge`] and records it in `calls`.
    pub(super) fn charge_call(&self, call: impl FnOnce() -> Result<()>) -> Result<()> {
        let busy_before = self.lock().timing.busy;
        let done = self.charge(call);
        let table = self.lock();
        table.calls.record(table.timing.busy.saturating_sub(busy_before));
        done
    }

    /// Runs a backend call and charges its time. A fatal event that came meanwhile is the call's error.
    pub(super) fn charge(&self, call: impl FnOnce() -> Result<()>) -> Result<()> {
        let blocked_before = self.lock().timing.blocked;
        let start = Instant::now();
        let done = call();
        let elapsed = start.elapsed();
        let mut table = self.lock();
        table.timing.charge(elapsed, blocked_before);
        table.fatal.take().map_or(done, Err)
    }

    /// Sends an outcome on, charging the wait for room; `false` once nobody will take it.
    pub(super) fn send<O>(&self, outlet: &Outlet<O>, outcome: Outcome<O>) -> bool {
        let start = Instant::now();
        let taken = outlet.send(outcome);
        let waited = start.elapsed();
        let mut table = self.lock();
        table.timing.blocked += waited;
        table.output.record(waited);
        taken
    }
}
