//! Threads for code of the user's: sources that are read, consumers that are called. They may take as long as they like,
//! so they never run on the scheduler's thread. There are as few threads as will do: another is started only when
//! something has waited for a moment because all are busy.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::mailbox::{Mailbox, Stop, Taken};
use super::stage::Stage;
use crate::error::{Error, panic_message};
use crate::session::Submit;
use crate::sync::{lock, whole};

/// Something that has waited for so long gets a thread of its own.
const PATIENCE: Duration = Duration::from_millis(2);
/// Units that one stream may read, or be given, before another has its turn.
const BATCH: usize = 16;

/// Work for a helper.
pub(super) enum Chore {
    /// Read the stream's source.
    Read(Arc<Mailbox>),
    /// Call the stream's consumer.
    Deliver(Arc<Mailbox>),
    /// Close the stages of a stream that is over.
    Close(Vec<Box<dyn Stage>>),
}

/// The threads, and what waits for one.
pub(super) struct Helpers {
    pool: Arc<Pool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Without threads: chores are done by whoever calls [`Helpers::work`].
    inline: bool,
}

struct Pool {
    state: Mutex<State>,
    news: Condvar,
}

struct State {
    chores: VecDeque<(Instant, Chore)>,
    idle: usize,
    /// Threads that were asked for and have not come to life yet.
    starting: usize,
    ended: bool,
}

impl Helpers {
    pub(super) fn new(inline: bool) -> Self {
        let state = State { chores: VecDeque::new(), idle: 0, starting: 0, ended: false };
        let pool = Arc::new(Pool { state: Mutex::new(state), news: Condvar::new() });
        Self { pool, threads: Mutex::default(), inline }
    }

    /// What user code of this stream there is something for.
    pub(super) fn offer(&self, mailbox: &Arc<Mailbox>) {
        let (read, deliver) = mailbox.wishes();
        if read {
            self.add(Chore::Read(Arc::clone(mailbox)));
        }
        if deliver {
            self.add(Chore::Deliver(Arc::clone(mailbox)));
        }
    }

    pub(super) fn add(&self, chore: Chore) {
        let mut state = lock(&self.pool.state);
        // The same again waits already.
        let same = |other: &Chore| match (&chore, other) {
            (Chore::Read(a), Chore::Read(b)) | (Chore::Deliver(a), Chore::Deliver(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        if state.chores.iter().any(|(_, other)| same(other)) {
            return;
        }
        state.chores.push_back((Instant::now(), chore));
        let idle = state.idle;
        drop(state);
        if idle > 0 {
            self.pool.news.notify_one();
        } else if self.threads() == 0 {
            self.start();
        }
    }

    /// Another thread, if something has waited for long; when to look again.
    pub(super) fn tend(&self, now: Instant) -> Option<Duration> {
        if self.inline {
            return None;
        }
        let state = lock(&self.pool.state);
        let waited = now.saturating_duration_since(state.chores.front()?.0);
        let coming = state.idle > 0 || state.starting > 0;
        drop(state);
        // One that is about to take something may take something else first.
        if coming {
            return Some(PATIENCE);
        }
        if waited >= PATIENCE {
            self.start();
            return Some(PATIENCE);
        }
        Some(PATIENCE.saturating_sub(waited))
    }

    fn start(&self) {
        if self.inline {
            return;
        }
        let pool = Arc::clone(&self.pool);
        let mut threads = lock(&self.threads);
        let name = format!("vhw-helper-{}", threads.len());
        // Where no thread can be had the others do the work of all, and the next look tries again.
        lock(&self.pool.state).starting += 1;
        match std::thread::Builder::new().name(name).spawn(move || run(&pool)) {
            Ok(handle) => threads.push(handle),
            Err(_) => lock(&self.pool.state).starting -= 1,
        }
    }

    pub(super) fn threads(&self) -> usize {
        lock(&self.threads).len()
    }

    /// Does what waits, on this thread; whether there was something.
    pub(super) fn work(&self) -> bool {
        let chores = std::mem::take(&mut lock(&self.pool.state).chores);
        let any = !chores.is_empty();
        for (_, chore) in chores {
            chore.run();
        }
        any
    }

    /// Waits for what is in hand; what waits is dropped, but stages are closed.
    pub(super) fn end(&self) {
        lock(&self.pool.state).ended = true;
        self.pool.news.notify_all();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != std::thread::current().id())
        {
            // Helpers catch panics; there is nothing to learn from the result.
            let _ = thread.join();
        }
        // They hold code of the user's, which may do anything when it is dropped: nothing is locked meanwhile.
        let left = std::mem::take(&mut lock(&self.pool.state).chores);
        for (_, chore) in left {
            match chore {
                Chore::Close(_) => chore.run(),
                Chore::Read(mailbox) | Chore::Deliver(mailbox) => discard(mailbox),
            }
        }
    }
}

fn run(pool: &Pool) {
    let mut state = lock(&pool.state);
    state.starting -= 1;
    loop {
        if state.ended {
            return;
        }
        if let Some((_, chore)) = state.chores.pop_front() {
            drop(state);
            chore.run();
            state = lock(&pool.state);
        } else {
            state.idle += 1;
            state = whole(pool.news.wait(state));
            state.idle -= 1;
        }
    }
}

impl Chore {
    pub(super) fn run(self) {
        match self {
            // What they call is guarded where it is called; it may also panic when it is dropped.
            Self::Read(mailbox) => drop(catch_unwind(AssertUnwindSafe(|| read(&mailbox)))),
            Self::Deliver(mailbox) => drop(catch_unwind(AssertUnwindSafe(|| deliver(&mailbox)))),
            Self::Close(stages) => {
                for stage in stages {
                    discard(stage);
                }
            }
        }
    }
}

/// Drops what is the user's: it may panic, and everything else goes on all the same.
pub(super) fn discard<T>(users: T) {
    // There is nobody to tell.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(users)));
}

fn panicked(what: &str, mailbox: &Mailbox, panic: &(dyn std::any::Any + Send)) -> Error {
    Error::corrupt_fatal(format!(
        "the {what} of the stream `{}` panicked: {}",
        mailbox.name,
        panic_message(panic)
    ))
}

fn read(mailbox: &Mailbox) {
    for _ in 0..BATCH {
        let Some(mut source) = mailbox.take_source() else { return };
        match catch_unwind(AssertUnwindSafe(|| source.next())) {
            Ok(Some(Ok(unit))) => {
                // There was a credit, and nobody else submits: it is taken, unless the stream has ended meanwhile.
                match mailbox.submit(unit, None) {
                    Ok(Submit::Accepted) => {}
                    Ok(Submit::Full(unit)) => {
                        let rest = source;
                        source = Box::new(std::iter::once(Ok(unit)).chain(rest));
                    }
                    Err(_) => return,
                }
                mailbox.put_source(source);
            }
            Ok(Some(Err(error))) => return mailbox.stop(Stop::Failed(error)),
            Ok(None) => return mailbox.close(),
            Err(panic) => return mailbox.stop(Stop::Failed(panicked("source", mailbox, panic.as_ref()))),
        }
    }
}

fn deliver(mailbox: &Mailbox) {
    for _ in 0..BATCH {
        let Some(mut sink) = mailbox.take_sink() else { return };
        let (result, tag) = match mailbox.take() {
            Taken::Item(delivery, tag) => (Ok(delivery), Some(tag)),
            Taken::Lost(error) => (Err(error), None),
            Taken::Flushed => {
                mailbox.put_sink(sink);
                continue;
            }
            Taken::Empty | Taken::Over => return mailbox.put_sink(sink),
        };
        let done = catch_unwind(AssertUnwindSafe(|| sink(result)))
            .unwrap_or_else(|panic| Err(panicked("consumer", mailbox, panic.as_ref())));
        match (&done, &tag) {
            (Ok(()), Some(tag)) => mailbox.delivered(tag),
            (Err(_), Some(_)) => mailbox.refused(),
            (_, None) => {}
        }
        drop(tag);
        match done {
            Ok(()) => mailbox.put_sink(sink),
            // A consumer that failed is not called again.
            Err(error) => return mailbox.abandon(Stop::Failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_are_about_to_come_are_waited_for_and_looked_at_again() {
        let helpers = Helpers::new(false);
        let then = Instant::now();
        let tended = |idle, starting| {
            let mut state = lock(&helpers.pool.state);
            (state.idle, state.starting) = (idle, starting);
            state.chores = VecDeque::from([(then, Chore::Close(Vec::new()))]);
            drop(state);
            (helpers.tend(then + 10 * PATIENCE), helpers.threads())
        };
        assert_eq!(tended(1, 0), (Some(PATIENCE), 0));
        assert_eq!(tended(0, 1), (Some(PATIENCE), 0));
        assert_eq!(tended(0, 0), (Some(PATIENCE), 1));
        helpers.end();
    }
}
