//! A bounded queue that can say how full it is and was: the only way data moves between threads here.
//!
//! Unlike a plain channel it hands a refused item back, counts its peak, and lets markers (a flush) pass the
//! capacity so that signalling the end can never block the thread that must also drain the other side. Either end may
//! also be polled by a task: what would free a waiting thread wakes it.
//!
//! `models/` runs this file under loom, in every order of its threads, and under miri and ThreadSanitizer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Depth of a queue now and at its fullest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
pub(crate) struct QueueSender<T> {
    shared: Arc<Shared<T>>,
    number: u64,
}

/// The receiving end. Sending fails once the receiver is gone.
#[derive(Debug)]
pub(crate) struct QueueReceiver<T>(Arc<Shared<T>>);

/// Why a bounded queue did not take an item; the item is handed back.
#[derive(Debug, PartialEq, Eq)]
pub enum TrySend<T> {
    /// No room now.
    Full(T),
    /// Nobody will ever take it.
    Closed(T),
}

/// What was found in a bounded queue.
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
    /// Numbers senders.
    next_sender: u64,
    /// The task that found nothing, and those that found no room. Each is woken once, at the next change of that: it looks
    /// again and comes back if somebody was quicker.
    want_item: Option<Waker>,
    want_room: Wakers,
    /// Of threads that drive several queues: woken by every item, and by every item taken out.
    on_item: Option<Waker>,
    on_room: Option<Waker>,
}

impl<T> State<T> {
    /// Nothing more will come.
    const fn is_over(&self) -> bool {
        self.senders == 0 || self.receiver_gone
    }
}

fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

/// Tasks that wait for room: of each sender the one that asked last, so that it cannot grow with the asking.
///
/// Waking and dropping a waker is foreign code, which may come back to the queue (a task that is dropped drops its end): it
/// is done when the lock is released.
#[derive(Debug, Default)]
struct Wakers(Vec<(u64, Waker)>);

impl Wakers {
    /// Gives what it replaces, which must not be dropped under the lock either.
    fn add(&mut self, sender: u64, waker: Waker) -> Option<Waker> {
        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| *known == sender) {
            return Some(std::mem::replace(known, waker));
        }
        self.0.push((sender, waker));
        None
    }

    fn remove(&mut self, sender: u64) -> Option<Waker> {
        let place = self.0.iter().position(|(known, _)| *known == sender)?;
        Some(self.0.swap_remove(place).1)
    }

    fn take(&mut self) -> Self {
        Self(std::mem::take(&mut self.0))
    }

    fn wake(self) {
        self.0.into_iter().for_each(|(_, waker)| waker.wake());
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
        let tasks = [state.want_item.take(), state.on_item.clone()];
        drop(state);
        self.not_empty.notify_one();
        tasks.into_iter().for_each(wake);
    }

    /// As if the receiver were gone: nothing goes in any more, and whoever waits at either end is woken.
    fn end(&self) {
        let mut state = self.lock();
        state.receiver_gone = true;
        // Items nobody will take are freed now, not when the last sender goes; outside the lock, because
        // dropping an item may take time.
        let left = std::mem::take(&mut state.items);
        let tasks = [state.want_item.take(), state.on_item.take(), state.on_room.take()];
        let room = state.want_room.take();
        drop(state);
        self.not_full.notify_all();
        self.not_empty.notify_all();
        tasks.into_iter().for_each(wake);
        room.wake();
        drop(left);
    }

    fn stats(&self) -> QueueStats {
        let state = self.lock();
        QueueStats { capacity: self.capacity, depth: state.items.len(), peak: state.peak }
    }
}

/// Looks at a queue without being one of its ends.
#[derive(Clone)]
pub(crate) struct QueueMonitor(Arc<dyn Watched>);

impl QueueMonitor {
    /// Fill state.
    pub(crate) fn stats(&self) -> QueueStats {
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
pub(crate) fn bounded<T>(capacity: usize) -> (QueueSender<T>, QueueReceiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            items: VecDeque::new(),
            peak: 0,
            senders: 1,
            receiver_gone: false,
            next_sender: 0,
            want_item: None,
            want_room: Wakers::default(),
            on_item: None,
            on_room: None,
        }),
        capacity: capacity.max(1),
        not_empty: Condvar::new(),
        not_full: Condvar::new(),
    });
    (QueueSender { shared: Arc::clone(&shared), number: 0 }, QueueReceiver(shared))
}

impl<T> QueueSender<T> {
    /// Takes `item` if there is room now.
    ///
    /// # Errors
    /// The item, when the queue is full or closed.
    pub(crate) fn try_send(&self, item: T) -> Result<(), TrySend<T>> {
        let state = self.shared.lock();
        if state.receiver_gone {
            return Err(TrySend::Closed(item));
        }
        if state.items.len() >= self.shared.capacity {
            return Err(TrySend::Full(item));
        }
        self.shared.push(state, item);
        Ok(())
    }

    /// Waits for room.
    ///
    /// # Errors
    /// The item, when the queue is closed.
    pub(crate) fn send(&self, item: T) -> Result<(), T> {
        let mut state = self.shared.lock();
        while !state.receiver_gone && state.items.len() >= self.shared.capacity {
            state = self.shared.not_full.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.receiver_gone {
            return Err(item);
        }
        self.shared.push(state, item);
        Ok(())
    }

    /// Whether [`Self::try_send`] would take an item or find the queue closed; where not, the task is woken when that changes.
    /// With several senders another may be quicker.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        if state.receiver_gone || state.items.len() < self.shared.capacity {
            // `waker` is dropped after `state`, which was made later; here and below.
            return Poll::Ready(());
        }
        let before = state.want_room.add(self.number, waker);
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Has `waker` woken by every item that is taken out, and by the end: for a thread that drives several queues. It
    /// replaces one set before.
    pub(crate) fn wake_on_room(&self, waker: &Waker) {
        let waker = waker.clone();
        let before = self.shared.lock().on_room.replace(waker);
        drop(before);
    }

    /// Adds a marker without regard to the capacity; never waits.
    ///
    /// # Errors
    /// The item, when the queue is closed.
    pub(crate) fn send_marker(&self, item: T) -> Result<(), T> {
        let state = self.shared.lock();
        if state.receiver_gone {
            return Err(item);
        }
        self.shared.push(state, item);
        Ok(())
    }

    /// Something that sees the fill state also when this end has gone elsewhere.
    pub(crate) fn monitor(&self) -> QueueMonitor
    where
        T: Send + 'static,
    {
        QueueMonitor(Arc::clone(&self.shared) as Arc<dyn Watched>)
    }

    /// Whether the receiver is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.lock().receiver_gone
    }

    /// Fill state.
    pub(crate) fn stats(&self) -> QueueStats {
        self.shared.stats()
    }
}

impl<T> Clone for QueueSender<T> {
    fn clone(&self) -> Self {
        let mut state = self.shared.lock();
        state.senders += 1;
        state.next_sender += 1;
        Self { shared: Arc::clone(&self.shared), number: state.next_sender }
    }
}

impl<T> Drop for QueueSender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.senders -= 1;
        let mine = state.want_room.remove(self.number);
        let over = state.senders == 0;
        let tasks = if over { [state.want_item.take(), state.on_item.take()] } else { [None, None] };
        drop(state);
        if over {
            self.shared.not_empty.notify_all();
        }
        tasks.into_iter().for_each(wake);
        drop(mine);
    }
}

impl<T> QueueReceiver<T> {
    /// Takes an item if there is one now.
    pub(crate) fn try_recv(&self) -> Received<T> {
        self.take(self.0.lock())
    }

    /// An item, or the end (`None`). Where there is neither, the task is woken when that changes: the one that asked last.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let waker = cx.waker().clone();
        let mut state = self.0.lock();
        if state.items.is_empty() && !state.is_over() {
            let before = state.want_item.replace(waker);
            drop(state);
            drop(before);
            return Poll::Pending;
        }
        match self.take(state) {
            Received::Item(item) => Poll::Ready(Some(item)),
            Received::Empty | Received::Closed => Poll::Ready(None),
        }
    }

    /// Waits for an item, at most `timeout`.
    pub(crate) fn recv_timeout(&self, timeout: Duration) -> Received<T> {
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
    pub(crate) fn recv(&self) -> Option<T> {
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
    #[allow(dead_code, reason = "for the figures of all sessions, a feature")]
    pub(crate) fn monitor(&self) -> QueueMonitor
    where
        T: Send + 'static,
    {
        QueueMonitor(Arc::clone(&self.0) as Arc<dyn Watched>)
    }

    /// Has `waker` woken by every item, and by the end: for a thread that drives several queues. It replaces one set before.
    pub(crate) fn wake_on_item(&self, waker: &Waker) {
        let waker = waker.clone();
        let before = self.0.lock().on_item.replace(waker);
        drop(before);
    }

    /// As dropping the receiver, while it is still there.
    pub(crate) fn end(&self) {
        self.0.end();
    }

    /// Fill state.
    pub(crate) fn stats(&self) -> QueueStats {
        self.0.stats()
    }

    fn take(&self, mut state: MutexGuard<'_, State<T>>) -> Received<T> {
        match state.items.pop_front() {
            Some(item) => {
                let (tasks, driver) = (state.want_room.take(), state.on_room.clone());
                drop(state);
                self.0.not_full.notify_one();
                tasks.wake();
                wake(driver);
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

    /// A waker that looks at the queue when it is woken and when it is dropped, as one may that holds a task.
    struct Curious(QueueMonitor);

    impl std::task::Wake for Curious {
        fn wake(self: Arc<Self>) {
            self.0.stats();
        }
    }

    impl Drop for Curious {
        fn drop(&mut self) {
            self.0.stats();
        }
    }

    #[test]
    fn wakers_are_left_alone_while_the_lock_is_held_and_do_not_pile_up() {
        let (tx, rx) = bounded(1);
        let watched = tx.monitor();
        let counts = || {
            let task = Arc::new(Curious(watched.clone()));
            let alive = Arc::downgrade(&task);
            (Waker::from(task), alive)
        };
        let mut alive = Vec::new();
        let other = tx.clone();
        for round in 0..3 {
            for _ in 0..10 {
                let (waker, weak) = counts();
                assert!(rx.poll_recv(&mut Context::from_waker(&waker)).is_pending());
                alive.push(weak);
            }
            tx.send(round).unwrap();
            for sender in [&tx, &other] {
                for _ in 0..10 {
                    let (waker, weak) = counts();
                    assert!(sender.poll_ready(&mut Context::from_waker(&waker)).is_pending());
                    alive.push(weak);
                }
            }
            let waiting = alive.iter().filter(|weak| weak.strong_count() > 0).count();
            assert_eq!(waiting, 2, "of each sender one; the receiver's were woken");
            assert_eq!(rx.recv(), Some(round));
            assert!(alive.iter().all(|weak| weak.strong_count() == 0));
        }
        tx.send(3).unwrap();
        let (waker, weak) = counts();
        assert!(other.poll_ready(&mut Context::from_waker(&waker)).is_pending());
        drop((waker, other));
        assert_eq!(weak.strong_count(), 0, "a sender that goes takes its waker along");
        let (waker, weak) = counts();
        assert!(tx.poll_ready(&mut Context::from_waker(&waker)).is_pending());
        drop((waker, rx));
        assert_eq!(weak.strong_count(), 0);
    }
}
