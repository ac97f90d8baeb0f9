//! What comes back from sessions, on threads of VideoToolbox.
//!
//! A callback is given a number and no pointer. Under that number it finds the queue of its session, as long as there is one;
//! a callback that comes after the session's end finds nothing, and harms nobody.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::sync::{lock, whole};

/// What has come and was not taken yet.
pub(super) struct Arrivals<T> {
    queue: Mutex<Queue<T>>,
    more: Condvar,
}

struct Queue<T> {
    arrived: VecDeque<T>,
    /// Nobody waits any more.
    closed: bool,
}

impl<T> Arrivals<T> {
    fn new() -> Self {
        Self { queue: Mutex::new(Queue { arrived: VecDeque::new(), closed: false }), more: Condvar::new() }
    }

    fn push(&self, arrived: T) {
        lock(&self.queue).arrived.push_back(arrived);
        self.more.notify_all();
    }

    /// All that has come, in the order of its coming. With a `patience` it is waited for where nothing has.
    pub(super) fn take(&self, patience: Duration) -> VecDeque<T> {
        let queue = lock(&self.queue);
        let nothing = |queue: &mut Queue<T>| queue.arrived.is_empty() && !queue.closed;
        let (mut queue, _) = whole(self.more.wait_timeout_while(queue, patience, nothing));
        std::mem::take(&mut queue.arrived)
    }

    /// Waits until there is something to take; `false`: until nobody waits any more.
    pub(super) fn wait(&self) -> bool {
        let nothing = |queue: &mut Queue<T>| queue.arrived.is_empty() && !queue.closed;
        !whole(self.more.wait_while(lock(&self.queue), nothing)).closed
    }

    /// Ends all waiting.
    pub(super) fn close(&self) {
        lock(&self.queue).closed = true;
        self.more.notify_all();
    }
}

/// The queues of all sessions of a kind.
pub(super) struct Registry<T>(Mutex<BTreeMap<usize, Arc<Arrivals<T>>>>);

/// The place of a session in its registry, until it is dropped.
pub(super) struct Place<T: 'static> {
    registry: &'static Registry<T>,
    pub(super) number: usize,
    pub(super) arrivals: Arc<Arrivals<T>>,
}

impl<T: 'static> Registry<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    pub(super) fn enter(&'static self) -> Place<T> {
        // Never 0, which would be no pointer to whoever prints it.
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let arrivals = Arc::new(Arrivals::new());
        lock(&self.0).insert(number, Arc::clone(&arrivals));
        Place { registry: self, number, arrivals }
    }

    /// Puts what `make` gives into the queue of a session. Nothing unwinds into the framework.
    pub(super) fn arrived(&self, number: usize, make: impl FnOnce() -> T) {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let found = lock(&self.0).get(&number).cloned();
            if let Some(arrivals) = found {
                arrivals.push(make());
            }
        }));
    }
}

impl<T: 'static> Drop for Place<T> {
    fn drop(&mut self) {
        lock(&self.registry.0).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_after_the_end_finds_nothing() {
        static REGISTRY: Registry<u32> = Registry::new();
        let place = REGISTRY.enter();
        let other = REGISTRY.enter();
        let number = place.number;
        REGISTRY.arrived(number, || 1);
        REGISTRY.arrived(number, || 2);
        assert_eq!(place.arrivals.take(Duration::ZERO), [1, 2]);
        assert!(other.arrivals.take(Duration::ZERO).is_empty());
        drop(place);
        REGISTRY.arrived(number, || panic!("nobody is there to make it for"));
        // A panic goes no further either.
        REGISTRY.arrived(other.number, || panic!("on purpose"));
        REGISTRY.arrived(other.number, || 3);
        assert!(other.arrivals.wait());
        assert_eq!(other.arrivals.take(Duration::ZERO), [3]);
        other.arrivals.close();
        assert!(!other.arrivals.wait() && other.arrivals.take(Duration::from_secs(600)).is_empty());
    }
}
