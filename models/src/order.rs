//! How a test is run: in every order of its threads, or often.

#[cfg(loom)]
use loom::thread::{self, JoinHandle};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
#[cfg(not(loom))]
use std::thread::{self, JoinHandle};

use crate::sync::{Condvar, Mutex};

/// Runs `body` in every order (of up to three involuntary switches), or often where there is no loom.
pub(crate) fn every_order(body: impl Fn() + Sync + Send + 'static) {
    #[cfg(loom)]
    {
        let mut model = loom::model::Builder::new();
        // Without a bound this takes longer than anybody waits; up to three involuntary switches take a second.
        model.preemption_bound = Some(3);
        model.check(body);
    }
    #[cfg(not(loom))]
    for _ in 0..if cfg!(miri) { 4 } else { 2000 } {
        body();
    }
}

/// Starts a thread of the test's.
pub(crate) fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(work)
}

/// A task that is a thread: polls until something is ready, and sleeps in between until it is woken. A wake-up that is lost
/// makes it sleep for ever, which loom finds.
pub(crate) fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let bell = Arc::new(ReadySet { rung: Mutex::new(false), ring: Condvar::new() });
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = poll(&mut cx) {
            return value;
        }
        let mut rung = bell.rung.lock().unwrap();
        while !std::mem::take(&mut *rung) {
            rung = bell.ring.wait(rung).unwrap();
        }
    }
}

struct ReadySet {
    rung: Mutex<bool>,
    ring: Condvar,
}

impl Wake for ReadySet {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.ring.notify_one();
    }
}
