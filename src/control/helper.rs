//! Work that must not hold up a stream: opening and proving a session, closing one.

use std::thread::JoinHandle;

use crate::error::{Error, Result, panic_message};
use crate::hang::{self, Calls};

/// Work on a thread of its own. Dropping it waits for its end: no thread outlives its stream.
/// One whose driver call does not return is left behind.
pub(super) struct Job<T> {
    thread: Option<JoinHandle<T>>,
    calls: Calls,
}

impl<T: Send + 'static> Job<T> {
    /// # Errors
    /// No thread.
    pub(super) fn start(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<Self> {
        let calls = Calls::default();
        // A session that is opened there works with the same calls.
        let entered = calls.enter();
        let thread =
            hang::spawn(name, work).map_err(|source| Error::io("start a thread for", name, source))?;
        drop(entered);
        Ok(Self { thread: Some(thread), calls })
    }

    /// The result, once it is there; `None` before, and after it was taken.
    pub(super) fn take(&mut self) -> Option<Result<T>> {
        let thread = self.thread.take_if(|thread| thread.is_finished())?;
        Some(thread.join().map_err(|panic| {
            let message = panic_message(panic.as_ref());
            Error::corrupt_fatal(format!("the codec library panicked: {message}"))
        }))
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // What it would have given is dropped with it; a panic has no one left to tell.
            let _ = hang::join(thread, &self.calls);
        }
    }
}

/// Sessions on their way out. Dropping this waits for all of them.
#[derive(Default)]
pub(super) struct Closers(Vec<Job<()>>);

impl Closers {
    /// Drops a session on a thread of its own: a driver may take its time over that.
    pub(super) fn close<T: Send + 'static>(&mut self, session: T) {
        // Without a thread the closure, and the session in it, is dropped here.
        if let Ok(job) = Job::start("vhw-close", move || drop(session)) {
            self.0.push(job);
        }
    }

    /// Forgets those that are done.
    pub(super) fn sweep(&mut self) {
        self.0.retain_mut(|job| job.take().is_none());
    }
}
