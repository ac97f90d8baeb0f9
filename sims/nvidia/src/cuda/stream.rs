//! Streams: queues of work with a thread each, tickets to wait for, and the order of the default stream.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::abi::{CuResult, Handle, STREAM_LEGACY, STREAM_PER_THREAD};
use super::context::Context;
use super::handles::{Kind, Table};
use crate::core::call::thread_id;
use crate::core::guarded;

/// How a stream stands to the default stream of its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is the default stream.
    Default,
    /// The default stream of one thread.
    PerThread,
    /// Made by the client; ordered with the default stream.
    Blocking,
    /// Made by the client; not ordered with it.
    NonBlocking,
}

/// One stream.
pub(super) struct Stream {
    pub(super) id: u64,
    pub(super) context: u64,
    pub(super) role: Role,
    pub(super) priority: i32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Number of the newest work given, and of the newest that is done. Work is done in order.
    issued: u64,
    done: u64,
    /// Work is being done: by the worker, or by a client's thread that found the stream idle.
    busy: bool,
    worker: bool,
    closing: bool,
    /// Ranges that unfinished work writes: number of the work, address, length.
    writes: VecDeque<(u64, u64, u64)>,
}

struct Job {
    number: u64,
    after: Vec<Ticket>,
    work: Work,
}

/// What a stream runs.
pub(super) type Work = Box<dyn FnOnce() + Send>;

/// One piece of work, to wait for.
#[derive(Clone)]
pub(super) struct Ticket {
    stream: Arc<Stream>,
    number: u64,
}

impl Ticket {
    pub(super) fn is_done(&self) -> bool {
        self.stream.lock().done >= self.number
    }

    pub(super) fn wait(&self) {
        let mut state = self.stream.lock();
        while state.done < self.number {
            state = self.stream.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }
}

pub(super) static STREAMS: Table<Stream> = Table::new(Kind::Stream);
/// Default streams of threads, by thread and context.
type PerThread = HashMap<(u64, u64), Arc<Stream>>;
static PER_THREAD: Mutex<Option<PerThread>> = Mutex::new(None);

impl Stream {
    pub(super) fn new(context: u64, role: Role, priority: i32) -> Arc<Self> {
        let id = STREAMS.reserve();
        let stream =
            Arc::new(Self { id, context, role, priority, state: Mutex::default(), changed: Condvar::new() });
        STREAMS.insert(id, stream.clone());
        stream
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A ticket for everything given so far; none when it is all done.
    pub(super) fn tail(self: &Arc<Self>) -> Option<Ticket> {
        let state = self.lock();
        (state.done < state.issued).then(|| Ticket { stream: self.clone(), number: state.issued })
    }

    /// Work of other streams that new work on this one comes after: the default stream waits for the blocking
    /// streams of its context and they wait for it.
    fn implied(&self) -> Vec<Ticket> {
        let mates = match self.role {
            Role::NonBlocking => return Vec::new(),
            Role::Default => STREAMS.select(|other| {
                other.context == self.context && matches!(other.role, Role::Blocking | Role::PerThread)
            }),
            Role::Blocking | Role::PerThread => {
                STREAMS.select(|other| other.context == self.context && other.role == Role::Default)
            }
        };
        mates.iter().filter_map(Stream::tail).collect()
    }

    /// Queues `work` behind what the stream has, and behind `after`. `writes` are the ranges it will write.
    pub(super) fn issue(
        self: &Arc<Self>,
        mut after: Vec<Ticket>,
        writes: &[(u64, u64)],
        work: Work,
    ) -> Result<Ticket, CuResult> {
        after.extend(self.implied());
        let mut state = self.lock();
        if state.closing {
            // Destroyed by another thread meanwhile: the worker is gone, and nobody would ever do the work.
            return Err(CuResult::ERROR_CONTEXT_IS_DESTROYED);
        }
        if !state.worker {
            let stream = self.clone();
            std::thread::Builder::new()
                .name("nvsim stream".into())
                .spawn(move || stream.serve())
                .map_err(|_| CuResult::ERROR_OPERATING_SYSTEM)?;
            state.worker = true;
        }
        state.issued += 1;
        let number = state.issued;
        state.writes.extend(writes.iter().map(|&(address, length)| (number, address, length)));
        state.queue.push_back(Job { number, after, work });
        drop(state);
        self.changed.notify_all();
        Ok(Ticket { stream: self.clone(), number })
    }

    /// Runs `work` in its place in the stream and waits for it. When nothing is in the way it runs on the calling
    /// thread, which spares two switches.
    pub(super) fn run(self: &Arc<Self>, writes: &[(u64, u64)], work: Work) -> Result<(), CuResult> {
        let after = self.implied();
        {
            let mut state = self.lock();
            if !state.busy && state.queue.is_empty() && after.is_empty() {
                state.busy = true;
                state.issued += 1;
                let number = state.issued;
                state.writes.extend(writes.iter().map(|&(address, length)| (number, address, length)));
                drop(state);
                let outcome = guarded("stream", work);
                self.finish(number);
                return outcome.ok_or(CuResult::ERROR_UNKNOWN);
            }
        }
        self.issue(after, writes, work)?.wait();
        Ok(())
    }

    fn finish(&self, number: u64) {
        let mut state = self.lock();
        state.busy = false;
        state.done = number;
        while state.writes.front().is_some_and(|write| write.0 <= number) {
            state.writes.pop_front();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The worker: runs the queue until the stream is closed.
    fn serve(&self) {
        loop {
            let job = {
                let mut state = self.lock();
                loop {
                    if !state.busy
                        && let Some(job) = state.queue.pop_front()
                    {
                        state.busy = true;
                        break job;
                    }
                    if state.closing && state.queue.is_empty() {
                        return;
                    }
                    state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
                }
            };
            for ticket in job.after {
                ticket.wait();
            }
            // After a panic the stream goes on, or everybody would wait for ever.
            guarded("stream", job.work);
            self.finish(job.number);
        }
    }

    /// Waits for everything given so far; the default stream stands for the blocking streams too.
    pub(super) fn synchronize(self: &Arc<Self>) {
        let mut tickets = if self.role == Role::Default { self.implied() } else { Vec::new() };
        tickets.extend(self.tail());
        for ticket in tickets {
            ticket.wait();
        }
    }

    /// Whether that wait would be none.
    pub(super) fn is_idle(self: &Arc<Self>) -> bool {
        self.tail().is_none() && (self.role != Role::Default || self.implied().is_empty())
    }

    /// Lets the worker end once the queue is empty.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Whether unfinished work writes a byte of the range.
    pub(super) fn writes_into(&self, address: u64, length: u64) -> bool {
        let end = address.saturating_add(length);
        self.lock().writes.iter().any(|&(_, start, size)| start < end && address < start.saturating_add(size))
    }
}

/// True for the handles that stand for a default stream.
pub(super) fn is_special(handle: Handle) -> bool {
    handle as usize <= STREAM_PER_THREAD
}

/// The default stream that such a handle stands for.
pub(super) fn special(handle: Handle, context: &Context) -> Arc<Stream> {
    const { assert!(STREAM_LEGACY < STREAM_PER_THREAD) };
    if handle as usize == STREAM_PER_THREAD { per_thread(context.id) } else { context.default_stream.clone() }
}

/// The default stream of the calling thread in a context.
fn per_thread(context: u64) -> Arc<Stream> {
    let mut streams = PER_THREAD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let streams = streams.get_or_insert_default();
    streams.entry((thread_id(), context)).or_insert_with(|| Stream::new(context, Role::PerThread, 0)).clone()
}

/// Waits until everything that was given to the streams of a context is done.
pub(super) fn wait_context(context: u64) {
    let tails: Vec<Ticket> =
        STREAMS.select(|stream| stream.context == context).iter().filter_map(Stream::tail).collect();
    for ticket in tails {
        ticket.wait();
    }
}

/// Finishes and drops the streams of a dying context; answers those the client had made.
pub(super) fn close_context(context: u64) -> Vec<Arc<Stream>> {
    let streams = STREAMS.drain(|stream| stream.context == context);
    for stream in &streams {
        if let Some(tail) = stream.tail() {
            tail.wait();
        }
        stream.close();
    }
    let mut per_thread = PER_THREAD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(per_thread) = per_thread.as_mut() {
        per_thread.retain(|(_, owner), _| *owner != context);
    }
    streams.into_iter().filter(|stream| matches!(stream.role, Role::Blocking | Role::NonBlocking)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn gate() -> (mpsc::Sender<()>, Work) {
        let (open, closed) = mpsc::channel();
        (open, Box::new(move || closed.recv().unwrap_or(())))
    }

    #[test]
    fn the_default_stream_waits_for_blocking_streams_only() {
        let context = u64::MAX - 1;
        let default = Stream::new(context, Role::Default, 0);
        let blocking = Stream::new(context, Role::Blocking, 0);
        let free = Stream::new(context, Role::NonBlocking, 0);
        let (open, work) = gate();
        let (open_free, work_free) = gate();
        blocking.issue(Vec::new(), &[(100, 10)], work).unwrap();
        free.issue(Vec::new(), &[], work_free).unwrap();
        let (tell, hear) = mpsc::channel();
        let ticket = default.issue(Vec::new(), &[], Box::new(move || tell.send(()).unwrap())).unwrap();
        assert!(blocking.writes_into(105, 1) && !blocking.writes_into(110, 5));
        assert!(hear.recv_timeout(std::time::Duration::from_millis(30)).is_err());
        assert!(!ticket.is_done());
        open.send(()).unwrap();
        hear.recv().unwrap();
        ticket.wait();
        assert!(!blocking.writes_into(105, 1));
        assert!(free.tail().is_some());
        open_free.send(()).unwrap();
        assert_eq!(close_context(context).len(), 2);
        let late = blocking.issue(Vec::new(), &[], Box::new(|| ()));
        assert_eq!(late.err(), Some(CuResult::ERROR_CONTEXT_IS_DESTROYED));
    }
}
