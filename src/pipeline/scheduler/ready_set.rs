//! How one thread waits for many streams at once: whoever has news of a stream marks its key.
//!
//! A mark is never lost (keys stay until they are taken), and marks of the same key between two waits are one.

use std::collections::BTreeSet;
use std::time::Duration;

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Keys of streams that there is news of.
#[derive(Debug)]
pub(super) struct ReadySet {
    keys: Mutex<BTreeSet<u64>>,
    marked: Condvar,
}

impl ReadySet {
    pub(super) fn new() -> Self {
        Self { keys: Mutex::new(BTreeSet::new()), marked: Condvar::new() }
    }

    // Nothing can panic while the lock is held, so a poisoned one is still good.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is news of `key`. Never waits for more than the lock; may be called from anywhere.
    pub(super) fn mark(&self, key: u64) {
        let mut keys = self.lock();
        let first = keys.is_empty();
        keys.insert(key);
        drop(keys);
        if first {
            self.marked.notify_one();
        }
    }

    /// The keys marked since the last time, waiting for one; with a limit, perhaps none. One thread waits.
    pub(super) fn wait(&self, limit: Option<Duration>) -> BTreeSet<u64> {
        let mut keys = self.lock();
        match limit {
            None => {
                while keys.is_empty() {
                    keys = self.marked.wait(keys).unwrap_or_else(PoisonError::into_inner);
                }
            }
            // Woken for nothing: the caller looks at its clocks and comes back.
            Some(limit) if keys.is_empty() && !limit.is_zero() => {
                keys = self.marked.wait_timeout(keys, limit).unwrap_or_else(PoisonError::into_inner).0;
            }
            Some(_) => {}
        }
        std::mem::take(&mut *keys)
    }
}
