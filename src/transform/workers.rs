//! A fixed set of threads that transform frames, and the tickets for what they have in hand.
//!
//! Results do not travel: each stays with its ticket until somebody takes it. So a worker never waits for a consumer,
//! order is whatever order the tickets are kept in, and nobody who holds a ticket can be left waiting: work that is
//! thrown away settles its ticket.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::convert::{Converted, Site};
use super::request::TransformRequest;
use crate::error::{Error, Result, panic_message};
use crate::frame::Frame;
use crate::queue::{self, QueueReceiver, QueueSender, QueueStats};
use crate::sync::{lock, whole};

/// What a worker does with a frame. Another than [`TransformRequest::apply`] only in tests.
pub(super) type Work = dyn Fn(Frame, &TransformRequest) -> Result<Converted> + Send + Sync;

/// A frame that is, or will be, as it was asked for.
#[derive(Debug)]
#[must_use = "the frame comes out of its ticket"]
pub struct Ticket(Held);

#[derive(Debug)]
enum Held {
    /// Nothing was to be done.
    Ready(Box<Frame>),
    Promised(Arc<Promise>),
}

impl Ticket {
    pub(super) fn ready(frame: Frame) -> Self {
        Self(Held::Ready(Box::new(frame)))
    }

    /// Whether the frame never needed work.
    pub fn was_ready(&self) -> bool {
        matches!(self.0, Held::Ready(_))
    }

    /// Whether [`Self::wait`] would not wait.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Held::Ready(_) => true,
            Held::Promised(promise) => !matches!(*lock(&promise.state), State::Waiting),
        }
    }

    /// Waits for the frame.
    ///
    /// # Errors
    /// What went wrong with this frame; [`Error::Cancelled`] when the workers went away before its turn.
    pub fn wait(self) -> Result<Frame> {
        match self.0 {
            Held::Ready(frame) => Ok(*frame),
            Held::Promised(promise) => promise.take(),
        }
    }

    /// Whether [`Self::wait`] would not wait; where it would, the task is woken when the frame is there.
    pub fn poll_done(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            Held::Ready(_) => Poll::Ready(()),
            Held::Promised(promise) => promise.poll_done(cx),
        }
    }

    /// Waits until the frame is there, at most `timeout`; whether it is.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        match &self.0 {
            Held::Ready(_) => true,
            Held::Promised(promise) => promise.wait_timeout(timeout),
        }
    }
}

/// Where a worker leaves its result.
#[derive(Debug)]
pub(super) struct Promise {
    state: Mutex<State>,
    changed: Condvar,
    /// The task that asked last. Woken and dropped without the state's lock: that is foreign code.
    task: Mutex<Option<Waker>>,
}

#[derive(Debug)]
enum State {
    Waiting,
    Done(Box<Result<Frame>>),
    Taken,
}

impl Promise {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Waiting), changed: Condvar::new(), task: Mutex::new(None) })
    }

    // Nothing can panic while the lock is held, so a poisoned one is still good.
    /// The first result counts.
    fn settle(&self, result: Result<Frame>) {
        let mut state = lock(&self.state);
        if matches!(*state, State::Waiting) {
            *state = State::Done(Box::new(result));
            drop(state);
            self.changed.notify_all();
            if let Some(task) = self.replace_task(None) {
                task.wake();
            }
        }
    }

    fn replace_task(&self, task: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut *lock(&self.task), task)
    }

    fn poll_done(&self, cx: &mut Context<'_>) -> Poll<()> {
        drop(self.replace_task(Some(cx.waker().clone())));
        // Looked at afterwards: a result from now on finds the waker.
        if matches!(*lock(&self.state), State::Waiting) { Poll::Pending } else { Poll::Ready(()) }
    }

    fn take(&self) -> Result<Frame> {
        let mut state = lock(&self.state);
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Done(result) => return *result,
                State::Taken => return Err(Error::Cancelled),
                State::Waiting => {
                    *state = State::Waiting;
                    state = whole(self.changed.wait(state));
                }
            }
        }
    }

    fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = lock(&self.state);
        while matches!(*state, State::Waiting) {
            // A time beyond what the clock can tell is "for ever".
            let left = deadline.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            state = whole(self.changed.wait_timeout(state, left)).0;
        }
        true
    }
}

/// A frame on its way to a worker.
pub(super) struct Job {
    frame: Option<Frame>,
    request: TransformRequest,
    promise: Arc<Promise>,
    queued: Instant,
    /// Results below the current generation are of no use to anybody.
    generation: u64,
}

impl Job {
    pub(super) fn new(frame: Frame, request: TransformRequest, generation: u64) -> Self {
        Self { frame: Some(frame), request, promise: Promise::new(), queued: Instant::now(), generation }
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket(Held::Promised(Arc::clone(&self.promise)))
    }

    pub(super) fn into_frame(mut self) -> Option<Frame> {
        self.frame.take()
    }

    /// Whether nobody holds the ticket any more.
    fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.promise) == 1
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.promise.settle(Err(Error::Cancelled));
    }
}

/// What the workers did, summed over frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) transformed: u64,
    pub(super) on_device: u64,
    pub(super) fell_back: u64,
    pub(super) failed: u64,
    pub(super) assumed_color: bool,
    pub(super) waited: Duration,
    pub(super) busy: Duration,
    generation: u64,
}

struct Shared {
    work: Box<Work>,
    tally: Mutex<Tally>,
    /// Of the first device that failed.
    failure: OnceLock<String>,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }
}

/// The threads. They start with the first job, and are joined when this is dropped.
pub(super) struct Workers {
    wanted: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
    jobs: QueueSender<Job>,
    inbox: Arc<QueueReceiver<Job>>,
    shared: Arc<Shared>,
}

impl Workers {
    pub(super) fn new(threads: usize, queue: usize, work: Box<Work>) -> Self {
        let (jobs, inbox) = queue::bounded(queue);
        Self {
            wanted: threads.max(1),
            threads: Mutex::default(),
            jobs,
            inbox: Arc::new(inbox),
            shared: Arc::new(Shared { work, tally: Mutex::default(), failure: OnceLock::new() }),
        }
    }

    /// Hands a job over; with `wait`, waits while many wait already. One that cannot be done is settled.
    pub(super) fn start(&self, mut job: Job, wait: bool) {
        job.queued = Instant::now();
        if let Err(error) = self.ensure_threads() {
            self.shared.tally().failed += 1;
            return job.promise.settle(Err(error));
        }
        // A job that is handed back because the queue is closed settles its ticket when it is dropped here.
        let _ = if wait { self.jobs.send(job) } else { self.jobs.send_marker(job) };
    }

    fn ensure_threads(&self) -> Result<()> {
        let mut threads = lock(&self.threads);
        if !threads.is_empty() {
            return Ok(());
        }
        for number in 0..self.wanted {
            let (inbox, shared) = (Arc::clone(&self.inbox), Arc::clone(&self.shared));
            let name = format!("vhw-transform-{number}");
            let spawned = std::thread::Builder::new().name(name.clone()).spawn(move || run(&inbox, &shared));
            match spawned {
                Ok(handle) => threads.push(handle),
                // Some do the work of all.
                Err(_) if number > 0 => break,
                Err(source) => return Err(Error::io("start a thread for", name, source)),
            }
        }
        Ok(())
    }

    pub(super) fn set_generation(&self, generation: u64) {
        let mut tally = self.shared.tally();
        tally.generation = tally.generation.max(generation);
    }

    pub(super) fn generation(&self) -> u64 {
        self.shared.tally().generation
    }

    pub(super) fn threads(&self) -> usize {
        lock(&self.threads).len()
    }

    pub(super) fn tally(&self) -> Tally {
        *self.shared.tally()
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.shared.failure.get().cloned()
    }

    pub(super) fn queue(&self) -> QueueStats {
        self.jobs.stats()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // What waits is thrown away, which settles its tickets; what is in hand is finished.
        self.inbox.end();
        let threads = std::mem::take(whole(self.threads.get_mut()));
        for thread in threads {
            // Workers catch panics; there is nothing to learn from the result.
            let _ = thread.join();
        }
    }
}

fn run(inbox: &QueueReceiver<Job>, shared: &Shared) {
    while let Some(mut job) = inbox.recv() {
        let Some(frame) = job.frame.take() else { continue };
        if job.is_abandoned() || job.generation < shared.tally().generation {
            continue;
        }
        let waited = job.queued.elapsed();
        let started = Instant::now();
        // A panic in a conversion must cost one frame, not the thread.
        let done =
            catch_unwind(AssertUnwindSafe(|| (shared.work)(frame, &job.request))).unwrap_or_else(|panic| {
                let words = panic_message(panic.as_ref());
                Err(Error::corrupt(format!("the conversion of a picture panicked: {words}")))
            });
        {
            let mut tally = shared.tally();
            tally.waited += waited;
            tally.busy += started.elapsed();
            match &done {
                Ok(converted) => {
                    tally.transformed += 1;
                    tally.assumed_color |= converted.assumed_color;
                    match &converted.site {
                        Site::Cpu => {}
                        Site::Device => tally.on_device += 1,
                        Site::CpuInstead(words) => {
                            tally.fell_back += 1;
                            shared.failure.get_or_init(|| words.clone());
                        }
                    }
                }
                Err(_) => tally.failed += 1,
            }
        }
        job.promise.settle(done.map(|converted| converted.frame));
    }
}
