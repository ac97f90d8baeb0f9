//! Calls into drivers and codec libraries that do not return.
//!
//! Such a call cannot be broken off. Each thread of a session says which call it is in ([`during`]), and whoever waits for the
//! session looks at that now and then ([`Patience::look`]): a call that lasts beyond its limit ends the session with an
//! error that names it. Its thread is left behind, with what it holds.

use std::cell::RefCell;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::backend_kind::BackendKind;
use crate::error::{Error, Result};
use crate::sync::lock;

/// How long a call into a driver may last. Opening a device, the slowest, takes seconds.
pub(crate) const DRIVER_CALL: Duration = Duration::from_secs(30);

/// How long a call into a codec library on the CPU may last: one picture on a machine that is busy with other things.
pub(crate) const CODEC_CALL: Duration = Duration::from_secs(600);

/// How often [`join`] asks whether the thread has ended.
const POLL: Duration = Duration::from_millis(2);

/// How often somebody who waits looks at the calls.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// A call in progress.
#[derive(Clone, Copy, Debug)]
struct Call {
    backend: BackendKind,
    name: &'static str,
    limit: Duration,
    /// Tells calls of one thread apart.
    number: u64,
}

#[derive(Debug, Default)]
struct Thread(Mutex<ThreadState>);

#[derive(Debug, Default)]
struct ThreadState {
    calls: u64,
    current: Option<Call>,
}

thread_local! {
    /// The session that this thread works for, and its part in it.
    static OWN: RefCell<Option<(Calls, Arc<Thread>)>> = const { RefCell::new(None) };
}

/// The calls that the threads of one session are in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<Arc<Thread>>>>);

impl Calls {
    /// Those of the session that this thread works for.
    pub(crate) fn of_thread() -> Option<Self> {
        OWN.with_borrow(|own| own.as_ref().map(|(calls, _)| calls.clone()))
    }

    /// This thread works for the session until the value is dropped.
    #[must_use]
    pub(crate) fn enter(&self) -> Entered {
        let thread = Arc::new(Thread::default());
        lock(&self.0).push(Arc::clone(&thread));
        Entered { before: OWN.replace(Some((self.clone(), thread))) }
    }
}

/// Starts `work` on a thread of its own, which works for the same session as this one.
///
/// # Errors
/// No thread.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<T>> {
    let calls = Calls::of_thread();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _entered = calls.as_ref().map(Calls::enter);
        work()
    })
}

/// Waits for the end of a thread that works with these calls; `None`: one of them hangs, and the thread is left behind.
pub(crate) fn join<T>(thread: std::thread::JoinHandle<T>, calls: &Calls) -> Option<std::thread::Result<T>> {
    let mut patience = Patience::new(calls);
    while !thread.is_finished() {
        std::thread::sleep(POLL);
        if patience.look().is_some() {
            return None;
        }
    }
    Some(thread.join())
}

/// Does on a thread of its own what makes calls while nobody waits for this thread yet, as opening a session does. The threads
/// that it starts work for the session of this one.
///
/// # Errors
/// Those of `work`; the call that hangs, whose thread is left behind; no thread.
pub(crate) fn watched<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let calls = Calls::of_thread().unwrap_or_default();
    let _entered = calls.enter();
    let (done, result) = mpsc::sync_channel(1);
    let thread = spawn(name, move || {
        // Nobody takes what comes too late: it is closed here.
        let _ = done.send(work());
    })
    .map_err(|source| Error::io("start a thread for", name, source))?;
    let mut patience = Patience::new(&calls);
    loop {
        match result.recv_timeout(LOOK) {
            Ok(made) => {
                let _ = thread.join();
                return made;
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some((hung, error)) = patience.find() {
                    // The session may go on with something else, and is not to be ended by this call as well.
                    lock(&calls.0).retain(|other| !Arc::ptr_eq(other, &hung));
                    return Err(error);
                }
            }
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(Error::Cancelled),
            },
        }
    }
}

/// See [`Calls::enter`].
pub(crate) struct Entered {
    before: Option<(Calls, Arc<Thread>)>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some((calls, thread)) = OWN.replace(self.before.take()) {
            lock(&calls.0).retain(|other| !Arc::ptr_eq(other, &thread));
        }
    }
}

/// Makes a call that must return within `limit`.
pub(crate) fn during<T>(
    backend: BackendKind,
    name: &'static str,
    limit: Duration,
    call: impl FnOnce() -> T,
) -> T {
    within(Some((backend, name, limit)), call)
}

/// Does something that may last as long as it likes, as waiting for a consumer does, in the middle of a call.
pub(crate) fn at_leisure<T>(work: impl FnOnce() -> T) -> T {
    within(None, work)
}

fn within<T>(call: Option<(BackendKind, &'static str, Duration)>, work: impl FnOnce() -> T) -> T {
    struct Restore(Arc<Thread>, Option<Call>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let mut state = lock(&self.0.0);
            state.calls += 1;
            let number = state.calls;
            state.current = self.1.map(|call| Call { number, ..call });
        }
    }
    let thread = OWN.with_borrow(|own| own.as_ref().map(|(_, thread)| Arc::clone(thread)));
    let _restore = thread.map(|thread| {
        let mut state = lock(&thread.0);
        state.calls += 1;
        let number = state.calls;
        let current = call.map(|(backend, name, limit)| Call { backend, name, limit, number });
        let before = std::mem::replace(&mut state.current, current);
        drop(state);
        Restore(thread, before)
    });
    work()
}

/// The patience of one who waits for a session. Its own looks are counted and not the time of the clock, so that a process
/// that was stopped meanwhile has not waited.
#[derive(Debug)]
pub(crate) struct Patience {
    calls: Calls,
    last: Instant,
    /// Looks at which each thread was in the same call.
    seen: Vec<(Arc<Thread>, u64, Duration)>,
}

impl Patience {
    pub(crate) fn new(calls: &Calls) -> Self {
        Self { calls: calls.clone(), last: Instant::now(), seen: Vec::new() }
    }

    /// The error for a call that lasts too long, if there is one.
    pub(crate) fn look(&mut self) -> Option<Error> {
        self.find().map(|(_, error)| error)
    }

    fn find(&mut self) -> Option<(Arc<Thread>, Error)> {
        let since = self.last.elapsed();
        if since < LOOK {
            return None;
        }
        self.last = Instant::now();
        let before = std::mem::take(&mut self.seen);
        for thread in lock(&self.calls.0).iter() {
            let Some(call) = lock(&thread.0).current else { continue };
            let known =
                before.iter().find(|(other, number, _)| Arc::ptr_eq(other, thread) && *number == call.number);
            let waited = known.map_or(Duration::ZERO, |(_, _, waited)| *waited + since.min(2 * LOOK));
            if waited >= call.limit {
                let error = Error::Backend {
                    backend: call.backend,
                    call: call.name,
                    code: 0,
                    detail: format!(
                        "it has not returned for {} s; the session is given up and its thread left behind",
                        call.limit.as_secs()
                    ),
                };
                return Some((Arc::clone(thread), error));
            }
            self.seen.push((Arc::clone(thread), call.number, waited));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(600);

    fn wait(patience: &mut Patience) -> Error {
        loop {
            if let Some(error) = patience.look() {
                return error;
            }
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn a_call_that_hangs_is_named_and_waiting_for_a_consumer_is_not() {
        let calls = Calls::default();
        let (started, start) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let (consume, consumed) = mpsc::channel::<()>();
        let entered = calls.enter();
        let waits = spawn("waits", {
            let started = started.clone();
            move || {
                during(BackendKind::Nvidia, "cuFine", LIMIT, || {
                    at_leisure(|| {
                        started.send(()).unwrap();
                        let _ = consumed.recv();
                    });
                });
            }
        });
        let hangs = spawn("hangs", move || {
            during(BackendKind::Nvidia, "cuOuter", LIMIT, || {
                during(BackendKind::Nvidia, "cuHangs", LIMIT, || {
                    started.send(()).unwrap();
                    let _ = released.recv();
                });
            });
        });
        drop(entered);
        start.recv().unwrap();
        start.recv().unwrap();
        let error = wait(&mut Patience::new(&calls));
        assert!(matches!(error, Error::Backend { call: "cuHangs", .. }), "{error}");
        drop((release, consume));
        hangs.unwrap().join().unwrap();
        waits.unwrap().join().unwrap();
        assert!(lock(&calls.0).is_empty(), "threads that have ended are no longer looked at");
    }
}
