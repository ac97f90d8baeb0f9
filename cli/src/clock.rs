//! When, in the life of this process, the first frame was out and the last: what starting costs is told apart from what
//! frames cost.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

static BEGUN: OnceLock<Instant> = OnceLock::new();
static SEEN: Mutex<Seen> = Mutex::new(Seen { first: None, last: None });

/// Times since the process began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) first: Option<Duration>,
    pub(crate) last: Option<Duration>,
}

/// The process begins.
pub(crate) fn begin() {
    BEGUN.get_or_init(Instant::now);
}

/// A job tells its progress: it does so with the first frame, now and then, and when all frames are out.
pub(crate) fn see(frames: u64) {
    let Some(begun) = BEGUN.get().filter(|_| frames > 0) else { return };
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let now = begun.elapsed();
    seen.first.get_or_insert(now);
    seen.last = Some(now);
}

pub(crate) fn seen() -> Seen {
    *SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}
