//! What bounds the units of a stream: each holds a credit from the moment it is accepted until its result was taken,
//! wherever it is meanwhile. A credit goes back when it is dropped, so no way out of the scheduler can forget it.

use super::ready_set::ReadySet;
use super::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The credits of one stream.
#[derive(Debug)]
pub(super) struct Credits {
    account: Mutex<Account>,
    freed: Condvar,
    ready: Arc<ReadySet>,
    key: u64,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    limit: usize,
    used: usize,
    peak: usize,
    /// Somebody wanted one since the last one went back, and got none.
    refused: bool,
    ended: bool,
}

/// How the credits of a stream stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) limit: usize,
    pub(super) used: usize,
    pub(super) peak: usize,
    pub(super) refused: bool,
}

/// The right of one unit to be inside.
#[derive(Debug)]
pub(super) struct Credit(Arc<Credits>);

impl Credits {
    /// `limit` credits; `key` is marked as ready whenever one goes back.
    pub(super) fn new(limit: usize, ready: Arc<ReadySet>, key: u64) -> Self {
        let account = Account { limit: limit.max(1), used: 0, peak: 0, refused: false, ended: false };
        Self { account: Mutex::new(account), freed: Condvar::new(), ready, key }
    }

    // Nothing can panic while the lock is held, so a poisoned one is still good.
    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A credit, if there is one now.
    pub(super) fn try_take(this: &Arc<Self>) -> Option<Credit> {
        let mut account = this.lock();
        if account.used >= account.limit || account.ended {
            account.refused = true;
            return None;
        }
        account.used += 1;
        account.peak = account.peak.max(account.used);
        drop(account);
        Some(Credit(Arc::clone(this)))
    }

    /// Whether there is a credit; that somebody wants one is noted.
    pub(super) fn wanted(&self) -> bool {
        let mut account = self.lock();
        let free = account.used < account.limit && !account.ended;
        account.refused |= !free;
        free
    }

    /// Waits until there seems to be a credit; `false` once the stream is over. Another thread may take it first.
    pub(super) fn wait(&self) -> bool {
        let mut account = self.lock();
        while account.used >= account.limit && !account.ended {
            account.refused = true;
            account = self.freed.wait(account).unwrap_or_else(PoisonError::into_inner);
        }
        !account.ended
    }

    /// One more from now on.
    pub(super) fn lend(&self) {
        let mut account = self.lock();
        account.limit += 1;
        account.refused = false;
        drop(account);
        self.freed.notify_all();
        self.ready.mark(self.key);
    }

    /// Nobody gets one any more, and nobody waits.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.freed.notify_all();
    }

    pub(super) fn standing(&self) -> Standing {
        let Account { limit, used, peak, refused, .. } = *self.lock();
        Standing { limit, used, peak, refused }
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        let mut account = self.0.lock();
        account.used -= 1;
        account.refused = false;
        drop(account);
        self.0.freed.notify_one();
        self.0.ready.mark(self.0.key);
    }
}
