//! What goes into a child: loads that wait for its standard input, and the signs of life of everybody involved.
//!
//! A pipe blocks for as long as its reader likes. So nobody who must not wait for ever writes to it: the session's
//! thread leaves loads here and waits with a clock, and a thread that may block carries them on.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::sync::{lock, whole};

/// Loads that wait besides the one being written. One is enough to keep the pipe busy; a raw 8K picture has 50 MB.
const WAITING: usize = 1;
/// Written at a time, so that a slow reader still shows signs of life.
const PIECE: usize = 1 << 20;

/// Something that writes itself into the child.
pub(super) type Load = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// What was waited for has come.
    Done,
    /// The child takes nothing any more: it has closed its input, or is gone.
    Refused,
    /// Nothing moved in any direction for longer than is believable.
    Hung,
    /// Nobody wants to know any more.
    Unwanted,
}

/// How long to wait.
pub(super) struct Patience<'a> {
    /// Without anything moving.
    pub(super) limit: Duration,
    /// Asked now and then: whether somebody still wants results.
    pub(super) wanted: &'a (dyn Fn() -> bool + Send + Sync),
}

/// How often it is asked.
const ASKED: Duration = Duration::from_millis(200);

#[derive(Default)]
struct State {
    waiting: VecDeque<Load>,
    /// No load will follow.
    closed: bool,
    /// The input is closed, by whomever, or nobody reads what would come of it.
    over: bool,
    /// Threads that have come to their end.
    ended: usize,
}

/// Shared by the session's thread and the threads of one child.
#[derive(Default)]
pub(super) struct Feed {
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes that moved, in either direction.
    moved: AtomicU64,
    /// The reading thread hands something on: that may take as long as the consumer likes.
    delivering: AtomicBool,
    /// Nobody wants results any more.
    abandoned: AtomicBool,
}

impl Feed {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    /// Leaves a load, waiting for room.
    pub(super) fn put(&self, load: Load, patience: &Patience<'_>) -> Waited {
        let (mut state, waited) =
            self.wait(patience, |state| state.over || state.waiting.len() < WAITING, |state| state.over);
        if waited == Waited::Done {
            state.waiting.push_back(load);
            drop(state);
            self.changed.notify_all();
        }
        waited
    }

    /// No load will follow: the child gets the end of its input behind those that wait.
    pub(super) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// Throws away what waits.
    pub(super) fn discard(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
        self.change(|state| {
            state.waiting.clear();
            state.closed = true;
        });
    }

    /// Waits until so many threads have ended.
    pub(super) fn until_ended(&self, threads: usize, patience: &Patience<'_>) -> Waited {
        self.wait(patience, |state| state.ended >= threads, |_| false).1
    }

    /// As [`Self::until_ended`], but no longer than `limit` whatever moves; whether they have.
    pub(super) fn ended_within(&self, threads: usize, limit: Duration) -> bool {
        let began = Instant::now();
        let mut state = lock(&self.state);
        while state.ended < threads {
            let Some(left) = limit.checked_sub(began.elapsed()) else { return false };
            state = whole(self.changed.wait_timeout(state, left)).0;
        }
        true
    }

    /// Waits until `ready`, as long as anything moves or is being delivered.
    fn wait(
        &self,
        patience: &Patience<'_>,
        ready: impl Fn(&State) -> bool,
        refused: impl Fn(&State) -> bool,
    ) -> (MutexGuard<'_, State>, Waited) {
        let step = (patience.limit / 8).clamp(Duration::from_millis(10), ASKED);
        let mut seen = (self.moved.load(Ordering::Relaxed), Instant::now());
        let mut state = lock(&self.state);
        while !ready(&state) {
            state = whole(self.changed.wait_timeout(state, step)).0;
            let moved = self.moved.load(Ordering::Relaxed);
            if moved != seen.0 || self.delivering.load(Ordering::Relaxed) {
                seen = (moved, Instant::now());
            } else if seen.1.elapsed() > patience.limit && !ready(&state) {
                return (state, Waited::Hung);
            }
            drop(state);
            let wanted = (patience.wanted)();
            state = lock(&self.state);
            if !wanted && !ready(&state) {
                return (state, Waited::Unwanted);
            }
        }
        let waited = if refused(&state) { Waited::Refused } else { Waited::Done };
        (state, waited)
    }

    /// Something has moved.
    pub(super) fn alive(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Runs a delivery, which may take long without being a sign of a hung child.
    pub(super) fn delivering<T>(&self, deliver: impl FnOnce() -> T) -> T {
        self.delivering.store(true, Ordering::Relaxed);
        let result = deliver();
        self.delivering.store(false, Ordering::Relaxed);
        self.alive(1);
        result
    }

    /// Whether results are to be thrown away.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Nobody reads the output any more.
    pub(super) fn output_ended(&self) {
        self.change(|state| state.over = true);
    }

    /// A thread of the child is done.
    pub(super) fn thread_ended(&self) {
        self.change(|state| state.ended += 1);
    }

    /// Carries loads into `input` until there are no more, or it takes none; then closes it.
    pub(super) fn write_into(&self, input: impl Write) {
        let mut input = Lively { feed: self, to: input };
        while let Some(load) = self.next_load() {
            if load(&mut input).is_err() {
                break;
            }
        }
        // The end of input for the child, before anybody is told.
        drop(input);
        self.change(|state| {
            state.waiting.clear();
            state.over = true;
        });
    }

    fn next_load(&self) -> Option<Load> {
        let mut state = lock(&self.state);
        loop {
            if let Some(load) = state.waiting.pop_front() {
                drop(state);
                self.changed.notify_all();
                return Some(load);
            }
            if state.closed {
                return None;
            }
            state = whole(self.changed.wait(state));
        }
    }
}

/// Counts what it writes.
struct Lively<'a, W> {
    feed: &'a Feed,
    to: W,
}

impl<W: Write> Write for Lively<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.feed.is_abandoned() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let written = self.to.write(bytes.get(..PIECE).unwrap_or(bytes))?;
        self.feed.alive(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
