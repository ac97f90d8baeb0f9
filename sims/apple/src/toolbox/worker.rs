//! The thread of a session: takes work in order, and can be waited for.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};

use crate::core::report::{internal_error, locked};
use crate::core::{breach, call, rules};

/// Frames that wait at most; who brings another one waits.
const WAITING: usize = 8;

#[derive(Debug)]
struct State<J> {
    jobs: VecDeque<J>,
    busy: bool,
    stopped: bool,
}

#[derive(Debug)]
struct Queue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

/// The thread, and the work in front of it.
#[derive(Debug)]
pub struct Worker<J> {
    queue: Arc<Queue<J>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    id: Option<ThreadId>,
}

impl<J: Send + 'static> Worker<J> {
    /// Starts a thread that does `work` with each job.
    pub fn start(name: &'static str, mut work: impl FnMut(J) + Send + 'static) -> Self {
        let state = State { jobs: VecDeque::new(), busy: false, stopped: false };
        let queue = Arc::new(Queue { state: Mutex::new(state), changed: Condvar::new() });
        let own = queue.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            call::name_thread(name);
            while let Some(job) = own.next() {
                if catch_unwind(AssertUnwindSafe(|| work(job))).is_err() {
                    internal_error(name);
                }
                locked(&own.state).busy = false;
                own.changed.notify_all();
            }
        });
        let thread = thread.ok();
        let id = thread.as_ref().map(|thread| thread.thread().id());
        Self { queue, thread: Mutex::new(thread), id }
    }

    fn is_own_thread(&self) -> bool {
        self.id.is_none_or(|id| id == std::thread::current().id())
    }

    /// Gives it a job, when there is room. False when it was stopped.
    pub fn give(&self, job: J) -> bool {
        let own = self.is_own_thread();
        let mut state = locked(&self.queue.state);
        // From a callback of this very session there is nothing to wait for.
        while !own && !state.stopped && state.jobs.len() >= WAITING {
            state = self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped {
            return false;
        }
        state.jobs.push_back(job);
        self.queue.changed.notify_all();
        true
    }

    /// Waits until everything is done. False, and a breach, on its own thread.
    pub fn wait(&self) -> bool {
        if self.is_own_thread() {
            breach(&rules::CALLBACK_DEADLOCK, "the callback waits for itself");
            return false;
        }
        let mut state = locked(&self.queue.state);
        while !state.stopped && (state.busy || !state.jobs.is_empty()) {
            state = self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Jobs that are not done.
    pub fn pending(&self) -> usize {
        let state = locked(&self.queue.state);
        state.jobs.len() + usize::from(state.busy)
    }

    /// Ends it: the job at hand is done, the others are dropped. Nothing runs after this, except on its own thread.
    pub fn stop(&self) {
        let mut state = locked(&self.queue.state);
        state.stopped = true;
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        self.queue.changed.notify_all();
        drop(dropped);
        let thread = locked(&self.thread).take();
        if let Some(thread) = thread.filter(|_| !self.is_own_thread()) {
            let _ = thread.join();
        }
    }
}

impl<J> Queue<J> {
    fn next(&self) -> Option<J> {
        let mut state = locked(&self.state);
        loop {
            if state.stopped {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                state.busy = true;
                self.changed.notify_all();
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
