//! Operations in flight. An engine works on one frame at a time, as long as it was told; what an operation leaves (pixels of a surface,
//! bytes of a bitstream) appears when somebody waits for it and its time has come, and not before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::abi::{ERR_ABORTED, ERR_NONE, Handle, Status, WRN_IN_EXECUTION};
use crate::core::report::locked;

/// What is left to do when an operation's time has come.
pub type Finish = Box<dyn FnOnce() -> Status + Send>;

/// An operation.
pub struct Task {
    /// The session's.
    pub session: usize,
    engine: usize,
    /// It touches nothing of the client's.
    safe: bool,
    ready: Instant,
    /// The finish, or the status that it gave.
    state: Mutex<Result<Status, Finish>>,
}

/// What a sync point is good for.
pub enum Found {
    /// An operation.
    Task(Arc<Task>),
    /// It was waited for.
    Used,
    /// Never was one.
    Unknown,
}

static NEXT: AtomicUsize = AtomicUsize::new(1);
static TASKS: Mutex<Option<HashMap<usize, Arc<Task>>>> = Mutex::new(None);
/// When the engines for decoding, encoding and processing are free.
static FREE: Mutex<[Option<Instant>; 3]> = Mutex::new([None; 3]);

/// Sync points are no addresses.
const BASE: usize = 0x5000_0000;

impl Task {
    /// An operation of an engine (0: decodes, 1: encodes, 2: processes) that cannot begin before `after`. A `safe` one is finished
    /// when its component is closed, others are given up: what they would write to may be gone.
    pub fn begin(
        session: usize,
        engine: usize,
        time: Duration,
        after: Option<&Arc<Self>>,
        safe: bool,
        finish: Finish,
    ) -> Arc<Self> {
        let mut ready = Instant::now();
        if let Some(after) = after {
            ready = ready.max(after.ready);
        }
        if !time.is_zero() {
            let mut free = locked(&FREE);
            ready = free[engine].map_or(ready, |free| free.max(ready)) + time;
            free[engine] = Some(ready);
        }
        Arc::new(Self { session, engine, safe, ready, state: Mutex::new(Err(finish)) })
    }

    /// One that is never done.
    pub fn never(session: usize, engine: usize, finish: Finish) -> Arc<Self> {
        let ready = Instant::now() + Duration::from_secs(u32::MAX.into());
        Arc::new(Self { session, engine, safe: false, ready, state: Mutex::new(Err(finish)) })
    }

    /// A sync point for it.
    pub fn point(self: &Arc<Self>) -> Handle {
        let number = BASE + NEXT.fetch_add(1, Ordering::Relaxed);
        locked(&TASKS).get_or_insert_default().insert(number, self.clone());
        std::ptr::without_provenance_mut(number)
    }

    /// Waits as long as it takes, or `wait` milliseconds.
    pub fn wait(&self, wait: u32) -> Status {
        let now = Instant::now();
        let given_up = locked(&self.state).is_ok();
        if self.ready > now && !given_up {
            let left = self.ready - now;
            let most = if wait == u32::MAX { left } else { left.min(Duration::from_millis(wait.into())) };
            std::thread::sleep(most);
            if most < left {
                return WRN_IN_EXECUTION;
            }
        }
        self.finish()
    }

    /// The engine has done it.
    pub fn is_ready(&self) -> bool {
        self.ready <= Instant::now()
    }

    /// Ends it, whatever the clock says.
    pub fn finish(&self) -> Status {
        let mut state = locked(&self.state);
        let finish = match std::mem::replace(&mut *state, Ok(ERR_NONE)) {
            Ok(status) => {
                *state = Ok(status);
                return status;
            }
            Err(finish) => finish,
        };
        let status = finish();
        *state = Ok(status);
        status
    }
}

/// Looks up a sync point.
pub fn find(point: Handle) -> Found {
    let number = point.addr();
    if let Some(task) = locked(&TASKS).get_or_insert_default().get(&number) {
        return Found::Task(task.clone());
    }
    let used = number > BASE && number < BASE + NEXT.load(Ordering::Relaxed);
    if used { Found::Used } else { Found::Unknown }
}

/// A sync point that was waited for with success.
pub fn forget(point: Handle) {
    locked(&TASKS).get_or_insert_default().remove(&point.addr());
}

/// Ends the operations of a component that nobody waited for; how many. Their sync points stay good.
pub fn drop_component(session: usize, engine: usize) -> usize {
    let of_it = |task: &&Arc<Task>| task.session == session && task.engine == engine;
    let left: Vec<Arc<Task>> =
        locked(&TASKS).get_or_insert_default().values().filter(of_it).cloned().collect();
    let mut count = 0;
    for task in left {
        if task.safe {
            task.finish();
        } else if let Err(given_up) = std::mem::replace(&mut *locked(&task.state), Ok(ERR_ABORTED)) {
            count += 1;
            drop(given_up);
        }
    }
    count
}

/// Forgets the sync points of a session.
pub fn drop_session(session: usize) {
    locked(&TASKS).get_or_insert_default().retain(|_, task| task.session != session);
}
