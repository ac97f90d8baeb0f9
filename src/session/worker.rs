//! The thread between a session's two ends: commands in, outcomes out, nothing lost in between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Submit;
use crate::error::{Error, Result, panic_message};
use crate::hang::{self, Calls, Patience};
use crate::queue::{self, QueueMonitor, QueueReceiver, QueueSender, QueueStats, Received, TrySend};
use crate::sync::{lock, whole};

enum Command<I> {
    Unit(I),
    Flush,
}

pub(crate) enum Outcome<O> {
    /// A result, in order.
    Item(O),
    /// One unit is lost, the session goes on.
    Lost(Error),
    /// Everything submitted before the flush has come out.
    Flushed,
    /// The session is over.
    Ended(Error),
}

/// What runs on the thread.
pub(crate) trait Work: Send + 'static {
    type Input: Send + 'static;

    fn unit(&mut self, input: Self::Input) -> Result<()>;

    fn flush(&mut self) -> Result<()>;

    /// Has what is inside come out before the session ends by this error, where that is possible.
    fn drain(&mut self, _error: &Error) {}

    /// The session has ended by this error or a panic: what is inside, or still comes in, is lost.
    fn end(&mut self, error: &Error);
}

/// Where the work's results go. Cheap to clone.
pub(crate) struct Outlet<O>(QueueSender<Outcome<O>>);

impl<O> Clone for Outlet<O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<O> Outlet<O> {
    /// Waits while the queue is full; `false` once nobody will take results.
    pub(crate) fn send(&self, outcome: Outcome<O>) -> bool {
        self.0.send(outcome).is_ok()
    }

    /// Whether nobody will take results any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn mark(&self, outcome: Outcome<O>) {
        // A marker that nobody will read is no loss.
        let _ = self.0.send_marker(outcome);
    }
}

/// Joins the worker, so that a dropped session has released its device: when the output goes (nobody wants results
/// any more, whoever still holds the input), at the latest when both ends are gone. A worker whose session hangs is left
/// behind.
struct Joiner {
    handle: Mutex<Option<JoinHandle<()>>>,
    calls: Calls,
    done: Arc<Done>,
}

/// Whether the worker has ended.
#[derive(Default)]
struct Done {
    is_done: Mutex<bool>,
    changed: Condvar,
}

impl Done {
    fn set(&self) {
        *lock(&self.is_done) = true;
        self.changed.notify_all();
    }

    /// Waits a moment for it.
    fn wait(&self) -> bool {
        let is_done = lock(&self.is_done);
        let waited = self.changed.wait_timeout_while(is_done, hang::LOOK, |is_done| !*is_done);
        *whole(waited).0
    }
}

/// Tells of the worker's end, however it ends.
struct Ending(Arc<Done>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl Joiner {
    fn take(&self) -> Option<JoinHandle<()>> {
        lock(&self.handle).take()
    }

    fn join(&self) {
        let handle = self.take();
        if let Some(handle) = handle.filter(|handle| handle.thread().id() != std::thread::current().id()) {
            let mut patience = Patience::new(&self.calls);
            while !self.done.wait() {
                if patience.look().is_some() {
                    return;
                }
            }
            // The worker catches panics itself; there is nothing to learn from the result.
            let _ = handle.join();
        }
    }
}

impl Drop for Joiner {
    fn drop(&mut self) {
        self.join();
    }
}

/// The end that takes units. Field order matters: the queue closes before the thread is joined.
pub(crate) struct Input<I> {
    queue: QueueSender<Command<I>>,
    flushes: u64,
    over: Reason,
    _joiner: Arc<Joiner>,
}

/// The end that gives results.
pub(crate) struct Output<O> {
    queue: QueueReceiver<Outcome<O>>,
    input: QueueMonitor,
    flushes_seen: u64,
    ended: bool,
    joiner: Arc<Joiner>,
    over: Reason,
    patience: Patience,
}

/// Why the work ended by itself, if it did: whoever finds the input closed is told the same as the output tells.
type Reason = Arc<OnceLock<Error>>;

/// Starts the thread. `open` makes the work on the caller's thread, so that its errors are the caller's.
pub(crate) fn spawn<W: Work, O: Send + 'static, X>(
    name: &str,
    input_capacity: usize,
    output_capacity: usize,
    open: impl FnOnce(Outlet<O>) -> Result<(W, X)>,
) -> Result<(Input<W::Input>, Output<O>, X)> {
    let (in_tx, in_rx) = queue::bounded(input_capacity);
    let (out_tx, out_rx) = queue::bounded(output_capacity);
    let outlet = Outlet(out_tx);
    let calls = Calls::of_thread().unwrap_or_default();
    // Threads that the work starts belong to the session too.
    let _entered = calls.enter();
    let (work, extra) = open(outlet.clone())?;
    let over = Reason::default();
    let reason = Arc::clone(&over);
    let done = Arc::new(Done::default());
    let ending = Ending(Arc::clone(&done));
    let handle = hang::spawn(name, move || {
        let _ending = ending;
        run(work, &in_rx, &outlet, &reason);
    })
    .map_err(|source| Error::io("start a worker thread for", name, source))?;
    let patience = Patience::new(&calls);
    let joiner = Arc::new(Joiner { handle: Mutex::new(Some(handle)), calls, done });
    let monitor = in_tx.monitor();
    let input = Input { queue: in_tx, flushes: 0, over: Arc::clone(&over), _joiner: Arc::clone(&joiner) };
    let output =
        Output { queue: out_rx, input: monitor, flushes_seen: 0, ended: false, joiner, over, patience };
    Ok((input, output, extra))
}

impl<O> Drop for Output<O> {
    fn drop(&mut self) {
        // The worker may wait for room, or for units from an input that somebody else holds.
        self.queue.end();
        self.input.end();
        self.joiner.join();
    }
}

fn run<W: Work, O>(
    mut work: W,
    commands: &QueueReceiver<Command<W::Input>>,
    outlet: &Outlet<O>,
    reason: &OnceLock<Error>,
) {
    while let Some(command) = commands.recv() {
        if outlet.0.is_closed() {
            return;
        }
        let is_flush = matches!(command, Command::Flush);
        // A panic in a codec library must end one session, not the process.
        let done = catch_unwind(AssertUnwindSafe(|| match command {
            Command::Unit(unit) => work.unit(unit),
            Command::Flush => work.flush(),
        }));
        let done = match done {
            Ok(Err(error)) => {
                // What was inside before the error comes out before it is told.
                catch_unwind(AssertUnwindSafe(|| work.drain(&error)))
                    .map_or_else(|panic| Err(panicked(panic.as_ref())), |()| Err(error))
            }
            Ok(Ok(())) => Ok(()),
            Err(panic) => Err(panicked(panic.as_ref())),
        };
        match done {
            Ok(()) if is_flush => outlet.mark(Outcome::Flushed),
            Ok(()) => {}
            Err(error) => {
                let error = error.ending();
                work.end(&error);
                // Before the commands are closed: who meets that finds the reason.
                let _ = reason.set(error.clone());
                outlet.mark(Outcome::Ended(error));
                return;
            }
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let message = panic_message(panic);
    Error::corrupt_fatal(format!("the codec library panicked: {message}"))
}

impl<I> Input<I> {
    /// Hands `unit` over if there is room now; never waits.
    pub(crate) fn submit(&mut self, unit: I) -> Result<Submit<I>> {
        match self.queue.try_send(Command::Unit(unit)) {
            Ok(()) => Ok(Submit::Accepted),
            Err(TrySend::Full(Command::Unit(unit))) => Ok(Submit::Full(unit)),
            Err(TrySend::Full(Command::Flush) | TrySend::Closed(_)) => Err(self.ended()),
        }
    }

    /// Whether [`Self::submit`] would take a unit or tell the end; where not, the task is woken when it would.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.queue.poll_ready(cx)
    }

    /// Has `waker` woken whenever the worker has begun a unit.
    pub(crate) fn wake_on_room(&self, waker: &Waker) {
        self.queue.wake_on_room(waker);
    }

    /// Units that the worker has not begun.
    pub(crate) fn queued(&self) -> usize {
        self.queue.stats().depth
    }

    /// Hands `unit` over, waiting for room. Only for callers that drain the output on another thread.
    pub(crate) fn submit_blocking(&mut self, unit: I) -> Result<()> {
        self.queue.send(Command::Unit(unit)).map_err(|_| self.ended())
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.queue.send_marker(Command::Flush).map_err(|_| self.ended())?;
        self.flushes += 1;
        Ok(())
    }

    pub(crate) const fn flushes(&self) -> u64 {
        self.flushes
    }

    fn ended(&self) -> Error {
        match self.over.get() {
            Some(reason) => reason.clone(),
            None => Error::invalid("the session is closed: nobody takes its results any more"),
        }
    }
}

impl<O> Output<O> {
    pub(crate) fn try_reap(&mut self) -> Result<Option<O>> {
        match self.queue.try_recv() {
            Received::Item(outcome) => self.settle(outcome),
            Received::Empty => self.look().map_or(Ok(None), Err),
            Received::Closed => self.closed(),
        }
    }

    pub(crate) fn reap_timeout(&mut self, timeout: Duration) -> Result<Option<O>> {
        match self.queue.recv_timeout(timeout) {
            Received::Item(outcome) => self.settle(outcome),
            Received::Empty => self.look().map_or(Ok(None), Err),
            Received::Closed => self.closed(),
        }
    }

    /// Has `waker` woken whenever there is something to reap.
    pub(crate) fn wake_on_outcome(&self, waker: &Waker) {
        self.queue.wake_on_item(waker);
    }

    /// As [`Self::reap`]; instead of waiting the task is woken when there is something.
    pub(crate) fn poll_reap(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<O>>> {
        self.queue.poll_recv(cx).map(|outcome| match outcome {
            Some(outcome) => self.settle(outcome),
            None => self.closed(),
        })
    }

    /// Waits for a result; `None` at the end of a flush and once the session is over.
    pub(crate) fn reap(&mut self) -> Result<Option<O>> {
        loop {
            match self.queue.recv_timeout(hang::LOOK) {
                Received::Item(outcome) => return self.settle(outcome),
                Received::Closed => return self.closed(),
                Received::Empty => {
                    if let Some(error) = self.look() {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Gives the session up when one of its threads is in a call that does not return: why.
    fn look(&mut self) -> Option<Error> {
        let error = self.patience.look().filter(|_| !self.ended)?;
        self.ended = true;
        // Before the commands are closed: who meets that finds the reason.
        let _ = self.over.set(error.clone());
        self.queue.end();
        self.input.end();
        drop(self.joiner.take());
        Some(error)
    }

    /// Every result up to the end of flush number `flushes`, waiting for each.
    pub(crate) fn until_flushed(&mut self, flushes: u64) -> impl Iterator<Item = Result<O>> + '_ {
        std::iter::from_fn(move || {
            while self.flushes_seen < flushes && !self.ended {
                if let Some(item) = self.reap().transpose() {
                    return Some(item);
                }
            }
            None
        })
    }

    pub(crate) const fn flushes_seen(&self) -> u64 {
        self.flushes_seen
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Fill state of both queues, input first.
    pub(crate) fn stats(&self) -> (QueueStats, QueueStats) {
        (self.input.stats(), self.queue.stats())
    }

    /// What sees both queues also when this end is elsewhere; input first.
    #[cfg(feature = "metrics")]
    pub(crate) fn monitors(&self) -> (QueueMonitor, QueueMonitor)
    where
        O: Send + 'static,
    {
        (self.input.clone(), self.queue.monitor())
    }

    fn settle(&mut self, outcome: Outcome<O>) -> Result<Option<O>> {
        match outcome {
            Outcome::Item(item) => Ok(Some(item)),
            Outcome::Lost(error) => Err(error),
            Outcome::Flushed => {
                self.flushes_seen += 1;
                Ok(None)
            }
            Outcome::Ended(error) => {
                self.ended = true;
                Err(error)
            }
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "same shape as settle")]
    fn closed(&mut self) -> Result<Option<O>> {
        self.ended = true;
        Ok(None)
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
