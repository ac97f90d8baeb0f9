//! Every unit that goes in has exactly one outcome, and the books can be checked at any time.

use std::collections::BTreeMap;

/// What became of the units given to a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Units accepted.
    pub submitted: u64,
    /// Units that gave an output.
    pub delivered: u64,
    /// Units that rightly or by policy gave none, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Units lost to an error.
    pub failed: u64,
    /// Units still inside.
    pub pending: u64,
    /// Outputs that belong to no pending unit: a defect of the backend.
    pub unexpected: u64,
}

impl Ledger {
    /// Units dropped, all reasons together.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Whether each unit is accounted for exactly once.
    pub fn balances(&self) -> bool {
        self.submitted == self.delivered + self.dropped_total() + self.failed + self.pending
            && self.unexpected == 0
    }

    /// The books with the units that have no outcome yet: pending, or lost once the session has `ended`. The
    /// worker may settle a unit before the submitting thread has counted it; such a unit counts as submitted.
    pub(crate) fn closed(&self, ended: bool) -> Self {
        let mut ledger = self.clone();
        let settled = ledger.delivered + ledger.dropped_total() + ledger.failed;
        ledger.submitted = ledger.submitted.max(settled);
        let open = ledger.submitted - settled;
        *(if ended { &mut ledger.failed } else { &mut ledger.pending }) += open;
        ledger
    }

    pub(crate) fn drop_one(&mut self, reason: &'static str) {
        *self.dropped.entry(reason).or_default() += 1;
    }
}
