//! What [`super::output_ring`] needs of threads, in one place: `models/` puts a checker's in its stead.

pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
pub(super) use std::thread::JoinHandle;

/// Starts a thread.
///
/// # Errors
/// No thread.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    crate::hang::spawn(name, work)
}
