//! A bounded queue that can say how full it is and was: the only way data moves between threads here.
//!
//! Unlike a plain channel it hands a refused item back, counts its peak, and lets markers (a flush) pass the
//! capacity so that signalling the end can never block the thread that must also drain the other side.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Depth of a queue now and at its fullest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Most items it may hold (markers not counted).
    pub capacity: usize,
    /// Items in it now.
    pub depth: usize,
    /// Most items it held at once.
    pub peak: usize,
}

/// The sending end. The queue is closed when every sender is gone.
#[derive(Debug)]
pub struct QueueSender<T>(Arc<Shared<T>>);

/// The receiving end. Sending fails once the receiver is gone.
#[derive(Debug)]
pub struct QueueReceiver<T>(Arc<Shared<T>>);

/// Why [`QueueSender::try_send`] did not take an item; the item is handed back.
#[derive(Debug, PartialEq, Eq)]
pub enum TrySend<T> {
    /// No room now.
    Full(T),
    /// Nobody will ever take it.
    Closed(T),
}

/// What [`QueueReceiver`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// An item.
    Item(T),
    /// Nothing yet.
    Empty,
    /// Nothing ever again.
    Closed,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    capacity: usize,
    not_empty: Condvar,
    not_full: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    peak: usize,
    senders: usize,
    receiver_gone: bool,
}

impl<T> State<T> {
    /// Nothing more will come.
    const fn is_over(&self) -> bool {
        self.senders == 0 || self.receiver_gone
    }
}

impl<T> Shared<T> {
    // A panic while the lock is held cannot leave the queue half-changed: every critical section below is
    // a few non-panicking statements. So a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut state: MutexGuard<'_, State<T>>, item: T) {
        state.items.push_back(item);
        state.peak = state.peak.max(state.items.len());
        drop(state);
        self.not_empty.notify_one();
    }

    /// As if the receiver were gone: nothing goes in any more, and whoever waits at either end is woken.
    fn end(&self) {
        let mut state = self.lock();
        state.receiver_gone = true;
        // Items nobody will take are freed now, not when the last sender goes; outside the lock, because
        // dropping an item may take time.
        let left = std::mem::take(&mut state.items);
        drop(state);
        self.not_full.notify_all();
        self.not_empty.notify_all();
        drop(left);
    }

    fn stats(&self) -> QueueStats {
        let state = self.lock();
        QueueStats { capacity: self.capacity, depth: state.items.len(), peak: state.peak }
    }
}

/// Looks at a queue without being one of its ends.
#[derive(Clone)]
pub struct QueueMonitor(Arc<dyn Watched>);

impl QueueMonitor {
    /// Fill state.
    pub fn stats(&self) -> QueueStats {
        self.0.stats()
    }

    /// Ends the queue from outside: what is in it is dropped, and both ends find it closed.
    pub(crate) fn end(&self) {
        self.0.end();
    }
}

impl std::fmt::Debug for QueueMonitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stats().fmt(f)
    }
}

trait Watched: Send + Sync {
    fn stats(&self) -> QueueStats;
    fn end(&self);
}

impl<T: Send> Watched for Shared<T> {
    fn stats(&self) -> QueueStats {
        Shared::stats(self)
    }

    fn end(&self) {
        Shared::end(self);
    }
}

/// A queue of at most `capacity` items (at least one).
pub fn bounded<T>(capacity: usize) -> (QueueSender<T>, QueueReceiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State { items: VecDeque::new(), peak: 0, senders: 1, receiver_gone: false }),
        capacity: capacity.max(1),
        not_empty: Condvar::new(),
        not_full: Condvar::new(),
    });
    (QueueSender(Arc::clone(&shared)), QueueReceiver(shared))
}

impl<T> QueueSender<T> {
    /// Takes `item` if there is room now.
    ///
    /// # Errors
    /// The item, when the queue is full or closed.
    pub fn try_send(&self, item: T) -> Result<(), TrySend<T>> {
        let state = self.0.lock();
        if state.receiver_gone {
            return Err(TrySend::Closed(item));
        }
        if state.items.len() >= self.0.capacity {
            return Err(TrySend::Full(item));
        }
        self.0.push(state, item);
        Ok(())
    }

    /// Waits for room.
    ///
    /// # Errors
    /// The item, when the queue is closed.
    pub fn send(&self, item: T) -> Result<(), T> {
        let mut state = self.0.lock();
        while !state.receiver_gone && state.items.len() >= self.0.capacity {
            state = self.0.not_full.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.receiver_gone {
            return Err(item);
        }
        self.0.push(state, item);
        Ok(())
    }

    /// Adds a marker without regard to the capacity; never waits.
    ///
    /// # Errors
    /// The item, when the queue is closed.
    pub fn send_marker(&self, item: T) -> Result<(), T> {
        let state = self.0.lock();
        if state.receiver_gone {
            return Err(item);
        }
        self.0.push(state, item);
        Ok(())
    }

    /// Something that sees the fill state also when this end has gone elsewhere.
    pub fn monitor(&self) -> QueueMonitor
    where
        T: Send + 'static,
    {
        QueueMonitor(Arc::clone(&self.0) as Arc<dyn Watched>)
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.0.lock().receiver_gone
    }

    /// Fill state.
    pub fn stats(&self) -> QueueStats {
        self.0.stats()
    }
}

impl<T> Clone for QueueSender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for QueueSender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        if state.senders == 0 {
            drop(state);
            self.0.not_empty.notify_all();
        }
    }
}

impl<T> QueueReceiver<T> {
    /// Takes an item if there is one now.
    pub fn try_recv(&self) -> Received<T> {
        self.take(self.0.lock())
    }

    /// Waits for an item, at most `timeout`.
    pub fn recv_timeout(&self, timeout: Duration) -> Received<T> {
        // A timeout beyond what Instant can express is "for ever" to any caller.
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            return self.recv().map_or(Received::Closed, Received::Item);
        };
        let mut state = self.0.lock();
        while state.items.is_empty() && !state.is_over() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Empty;
            }
            state = self.0.not_empty.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.take(state)
    }

    /// Waits for an item; `None` once the queue is closed and empty.
    pub fn recv(&self) -> Option<T> {
        let mut state = self.0.lock();
        while state.items.is_empty() && !state.is_over() {
            state = self.0.not_empty.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match self.take(state) {
            Received::Item(item) => Some(item),
            Received::Empty | Received::Closed => None,
        }
    }

    /// As [`QueueSender::monitor`].
    pub fn monitor(&self) -> QueueMonitor
    where
        T: Send + 'static,
    {
        QueueMonitor(Arc::clone(&self.0) as Arc<dyn Watched>)
    }

    /// As dropping the receiver, while it is still there.
    pub(crate) fn end(&self) {
        self.0.end();
    }

    /// Fill state.
    pub fn stats(&self) -> QueueStats {
        self.0.stats()
    }

    fn take(&self, mut state: MutexGuard<'_, State<T>>) -> Received<T> {
        match state.items.pop_front() {
            Some(item) => {
                drop(state);
                self.0.not_full.notify_one();
                Received::Item(item)
            }
            None if state.is_over() => Received::Closed,
            None => Received::Empty,
        }
    }
}

impl<T> Drop for QueueReceiver<T> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_hands_the_item_back_and_peak_is_remembered() {
        let (tx, rx) = bounded(2);
        tx.try_send(1).unwrap();
        tx.try_send(2).unwrap();
        assert_eq!(tx.try_send(3), Err(TrySend::Full(3)));
        assert_eq!(rx.recv(), Some(1));
        assert_eq!(tx.stats(), QueueStats { capacity: 2, depth: 1, peak: 2 });
        tx.send_marker(9).unwrap();
        tx.send_marker(10).unwrap();
        assert_eq!(tx.stats().depth, 3);
        drop(rx);
        assert_eq!(tx.send_marker(4), Err(4));
        assert_eq!(tx.try_send(4), Err(TrySend::Closed(4)));
        assert_eq!(tx.send(5), Err(5));
    }

    #[test]
    fn closed_only_after_the_last_item() {
        let (tx, rx) = bounded(1);
        assert_eq!(rx.try_recv(), Received::<u8>::Empty);
        tx.send(7).unwrap();
        drop(tx);
        assert_eq!(rx.try_recv(), Received::Item(7));
        assert_eq!(rx.try_recv(), Received::Closed);
        assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Received::Closed);
    }

    #[test]
    fn a_blocked_sender_is_freed_by_room_and_by_closing() {
        let (tx, rx) = bounded(1);
        tx.send(1).unwrap();
        let sender = std::thread::spawn(move || (tx.send(2), tx.send(3)));
        assert_eq!(rx.recv(), Some(1));
        assert_eq!(rx.recv_timeout(Duration::MAX), Received::Item(2));
        drop(rx);
        let (second, _third) = sender.join().unwrap();
        assert_eq!(second, Ok(()));
    }
}
